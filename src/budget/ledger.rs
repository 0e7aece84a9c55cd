//! The ledger as the rest of the process sees it: questions and notices go to the one writer, on a thread of its own
//! in a server, or without one: at once, or a step at a time under a script.

use super::accounts::{AccountKey, Balance};
use super::books::{Books, Violation};
use super::charge::Bill;
use super::edits::EditRefused;
use super::gate::Gates;
use super::house::{HouseTotals, Stop};
use super::lease::{Ask, Mailbox};
use super::posting::{Posting, Reply, Resolution};
use super::record::Funding;
use super::watch::{ExchangeReport, ExchangeTerms, RunawayRule};
use super::writer::{CommitError, EventLog, LeaseAudit, LedgerWriter};
use super::writer_thread::WriterThread;
use crate::model::clock::{Clock, Now};
use crate::model::ids::{ExchangeId, LineItemId};
use crate::model::money::Nanos;
use crate::model::rates::Rates;
use crate::model::token::TokenClaims;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Sender, channel};

/// Whether a line item could set money aside, without moving any.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Standing {
    /// Each of its accounts with what a bid could still hold of it: the budget less what is posted and what open bids
    /// hold, wherever the rest is leased to. `i64::MAX` = no limit at this level; negative only after a cut.
    pub room: [(AccountKey, Nanos); 5],
}

/// Line items that are edited before others get their turn: some milliseconds.
const EDITS_AT_ONCE: usize = 256;

/// Anything that is done on the writer.
type Work = Box<dyn FnOnce(&mut LedgerWriter) -> Result<(), Violation> + Send>;

/// Something for the writer to do.
pub(super) enum Command {
    Ask(Ask),
    Post(Box<TokenClaims>, Bill, Now, Reply),
    With(Work),
    End,
}

impl Command {
    /// Does it. `now` is when it is read, which may be long after it came.
    pub(super) fn run(self, writer: &mut LedgerWriter, now: Now) -> Result<(), Violation> {
        match self {
            Command::Ask(ask) => writer.top_up(ask),
            Command::Post(claims, bill, arrived, reply) => {
                writer.note_lag(arrived, now);
                writer.post(&claims, bill, arrived, reply)
            }
            Command::With(work) => work(writer),
            Command::End => Ok(()),
        }
    }
}

enum Port {
    /// Commands are done and committed at once, by whoever gives them.
    Inline(Mutex<LedgerWriter>),
    /// Commands wait until a script says so.
    Stepped(Mutex<(LedgerWriter, VecDeque<Command>)>),
    /// Commands go to the writer's thread.
    Thread(Sender<Command>),
}

/// What the thread tells everybody without being asked.
#[derive(Debug, Default)]
pub(super) struct Signals {
    pub(super) full: AtomicBool,
    pub(super) expired: AtomicU64,
}

/// See the module.
pub struct Ledger {
    port: Port,
    epoch: u32,
    mailboxes: Vec<Arc<Mailbox>>,
    gates: Arc<Gates>,
    signals: Arc<Signals>,
}

/// What every way of running a ledger begins with.
struct Opened {
    writer: LedgerWriter,
    mailboxes: Vec<Arc<Mailbox>>,
    gates: Arc<Gates>,
}

fn open(books: Books, log: Box<dyn EventLog>, epoch: u32, cores: u16, now: Now) -> Result<Opened, Violation> {
    let mailboxes: Vec<Arc<Mailbox>> = (0..cores.max(1)).map(|_| Arc::default()).collect();
    let gates = Arc::new(Gates::default());
    let writer = LedgerWriter::open(books, log, epoch, mailboxes.clone(), Arc::clone(&gates), now)?;
    Ok(Opened { writer, mailboxes, gates })
}

/// Opening and running.
impl Ledger {
    /// Books that live in this process alone, done at once: for explaining, benches and tests of the rules.
    pub fn in_memory(epoch: u32, cores: u16, now: Now) -> Ledger {
        Ledger::inline(Books::default(), Box::new(super::NoLog), epoch, cores, now)
    }

    /// Books over a log, with every command done and committed at once by whoever gives it.
    pub fn inline(books: Books, log: Box<dyn EventLog>, epoch: u32, cores: u16, now: Now) -> Ledger {
        let Opened { writer, mailboxes, gates } = must(open(books, log, epoch, cores, now));
        let port = Port::Inline(Mutex::new(writer));
        Ledger { port, epoch, mailboxes, gates, signals: Arc::default() }
    }

    /// Books over a log, whose commands wait for [`Ledger::step`] and whose commits for [`Ledger::sync`]: every moment
    /// between them can be tried.
    pub fn stepped(
        books: Books,
        log: Box<dyn EventLog>,
        epoch: u32,
        cores: u16,
        now: Now,
    ) -> Result<Ledger, Violation> {
        let Opened { writer, mailboxes, gates } = open(books, log, epoch, cores, now)?;
        let port = Port::Stepped(Mutex::new((writer, VecDeque::new())));
        Ok(Ledger { port, epoch, mailboxes, gates, signals: Arc::default() })
    }

    /// Books over a log, written by a thread of their own until [`Ledger::end`].
    pub fn start(
        books: Books,
        log: Box<dyn EventLog>,
        epoch: u32,
        cores: u16,
        clock: Arc<dyn Clock>,
    ) -> std::io::Result<(Ledger, std::thread::JoinHandle<()>)> {
        let Opened { writer, mailboxes, gates } = must(open(books, log, epoch, cores, clock.now()));
        let (sender, receiver) = channel();
        let signals = Arc::new(Signals::default());
        let thread = WriterThread { writer, receiver, clock, signals: Arc::clone(&signals) };
        let handle = std::thread::Builder::new().name("ledger".to_owned()).spawn(move || thread.run())?;
        Ok((Ledger { port: Port::Thread(sender), epoch, mailboxes, gates, signals }, handle))
    }

    /// Does the next command that waits, of a stepped ledger; false when none does.
    pub fn step(&self, now: Now) -> Result<bool, Violation> {
        let Port::Stepped(inner) = &self.port else { return Ok(false) };
        let (writer, queue) = &mut *inner.lock();
        match queue.pop_front() {
            Some(command) => command.run(writer, now).map(|()| true),
            None => Ok(false),
        }
    }

    /// Commits what a stepped ledger has decided.
    pub fn sync(&self) -> Result<(), CommitError> {
        let Port::Stepped(inner) = &self.port else { return Ok(()) };
        let (writer, _) = &mut *inner.lock();
        let committed = if writer.is_dirty() { writer.commit() } else { Ok(()) };
        self.signals.full.store(writer.is_full(), Relaxed);
        committed
    }

    /// Commands that wait in a stepped ledger.
    pub fn waiting(&self) -> usize {
        match &self.port {
            Port::Stepped(inner) => inner.lock().1.len(),
            Port::Inline(_) | Port::Thread(_) => 0,
        }
    }

    /// Ends the writer's thread after everything that was sent is durable and what is free has gone back.
    pub fn end(&self) {
        self.send(Command::End);
    }

    fn send(&self, command: Command) {
        match &self.port {
            Port::Inline(writer) => {
                let writer = &mut *writer.lock();
                let now = match &command {
                    Command::Post(_, _, arrived, _) => *arrived,
                    _ => Now::default(),
                };
                must(command.run(writer, now));
                commit_inline(writer);
            }
            Port::Stepped(inner) => inner.lock().1.push_back(command),
            Port::Thread(sender) => {
                if sender.send(command).is_err() {
                    tracing::debug!("the ledger has stopped");
                }
            }
        }
    }

    /// Does something on the writer and waits for its answer; an error only of a ledger that runs under a script.
    /// `None` when the writer is gone.
    pub fn attempt<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut LedgerWriter) -> Result<T, Violation> + Send + 'static,
    ) -> Result<Option<T>, Violation> {
        match &self.port {
            Port::Inline(writer) => {
                let writer = &mut *writer.lock();
                let done = must(work(writer));
                commit_inline(writer);
                Ok(Some(done))
            }
            Port::Stepped(inner) => work(&mut inner.lock().0).map(Some),
            Port::Thread(_) => {
                let (sender, receiver) = channel();
                self.send(Command::With(Box::new(move |writer| {
                    let done = work(writer)?;
                    // Whoever asked may have gone.
                    let _gone = sender.send(done);
                    Ok(())
                })));
                Ok(receiver.recv().ok())
            }
        }
    }

    fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut LedgerWriter) -> Result<T, Violation> + Send + 'static,
    ) -> Option<T> {
        must(self.attempt(work))
    }

    /// Looks at the writer once everything decided so far is durable, and waits for that.
    pub fn inspect<T: Send + 'static>(
        &self,
        look: impl FnOnce(&LedgerWriter) -> T + Send + 'static,
    ) -> Option<T> {
        let (sender, receiver) = channel();
        self.with(move |writer| {
            writer.look_later(Box::new(move |writer| {
                let _gone = sender.send(look(writer));
            }));
            Ok(())
        });
        if matches!(self.port, Port::Stepped(_)) {
            self.sync().ok()?;
        }
        receiver.recv().ok()
    }
}

/// What cores and notices ask for.
impl Ledger {
    /// The boot epoch that new leases and bids carry.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Which exchanges may be sent bids, and the clocks that their holds expire by.
    pub fn gates(&self) -> &Gates {
        &self.gates
    }

    /// Whether the journal takes nothing new for want of space.
    pub fn is_full(&self) -> bool {
        self.signals.full.load(Relaxed)
    }

    /// Slots of holds that expired since the start, where a thread lets them.
    pub fn expired(&self) -> u64 {
        self.signals.expired.load(Relaxed)
    }

    /// Where a core finds the leases that it is handed.
    pub(super) fn mailbox(&self, core: u16) -> Option<Arc<Mailbox>> {
        self.mailboxes.get(usize::from(core)).cloned()
    }

    /// A core's lease runs dry. Does not wait.
    pub(super) fn ask(&self, ask: Ask) {
        self.send(Command::Ask(ask));
    }

    /// Charges a bill; `reply` hears of it when it is durable.
    pub fn post_then(&self, claims: &TokenClaims, bill: Bill, now: Now, reply: Reply) {
        self.send(Command::Post(Box::new(*claims), bill, now, reply));
    }

    /// Charges a bill and waits until that is durable. For scripts and tests; a server uses [`Ledger::post_then`].
    pub fn post(&self, claims: &TokenClaims, bill: Bill, now: Now) -> Posting {
        let (sender, receiver) = channel();
        let reply: Reply = Box::new(move |posting| {
            let _gone = sender.send(posting);
        });
        self.post_then(claims, bill, now, reply);
        receiver.recv().unwrap_or(Posting::Unavailable)
    }

    /// Gives back the hold of a bid that lost; `reply` hears of it at once, nothing needs to be durable.
    pub fn void_then(&self, claims: &TokenClaims, reply: impl FnOnce(Resolution) + Send + 'static) {
        let claims = *claims;
        self.send(Command::With(Box::new(move |writer| {
            reply(writer.void(&claims)?);
            Ok(())
        })));
    }

    /// Gives back the hold of a bid that lost, and waits.
    pub fn void(&self, claims: &TokenClaims) -> Resolution {
        let claims = *claims;
        self.with(move |writer| writer.void(&claims)).unwrap_or(Resolution::Ignored)
    }

    /// The periodic work where no thread does it, in a process that heard everything since the last time. Returns how
    /// many holds' slots expired.
    pub fn tick(&self, now: Now) -> u64 {
        let heard_ns = self.gates.pass_ns(now);
        self.with(move |writer| writer.tick_heard(now, heard_ns)).unwrap_or(0)
    }
}

/// What people and the control plane ask for.
impl Ledger {
    /// Sets or changes budgets, each with the largest hold that a bid may ask for; new line items get their leases.
    /// Returns when that is durable. An edit that money cannot follow changes nothing.
    pub fn configure(&self, funding: Vec<(Funding, Nanos)>, now: Now) -> Result<(), EditRefused> {
        let done = self.with(move |writer| writer.configure(funding, now));
        // The leases are handed out with the commit, which a look waits for.
        self.inspect(|_| ());
        done.unwrap_or_else(|| Err(EditRefused("the ledger has stopped".to_owned())))
    }

    /// The same for all that an account holds, when a process begins: what says the same as the books keeps the version
    /// that they know.
    pub fn configure_all(&self, funding: Vec<(Funding, Nanos)>, now: Now) -> Result<(), EditRefused> {
        let done = self.with(move |writer| writer.configure_all(funding, now));
        self.inspect(|_| ());
        done.unwrap_or_else(|| Err(EditRefused("the ledger has stopped".to_owned())))
    }

    /// The same for edits of a running server: a few line items at a time, so that bills and top-ups in between do not
    /// wait for all of them. Nothing is done where one of them is refused; all that are refused are named. Nobody else
    /// may edit meanwhile.
    pub fn edit(&self, funding: Vec<(Funding, Nanos)>, now: Now) -> Result<(), Vec<EditRefused>> {
        let stopped = || vec![EditRefused("the ledger has stopped".to_owned())];
        let asked = self.with(move |writer| Ok((writer.refusals(&funding), funding)));
        let (refused, funding) = asked.ok_or_else(stopped)?;
        if !refused.is_empty() {
            return Err(refused);
        }
        let mut rest = funding.into_iter();
        loop {
            let part: Vec<_> = rest.by_ref().take(EDITS_AT_ONCE).collect();
            if part.is_empty() {
                break;
            }
            let done = self.with(move |writer| writer.configure(part, now)).ok_or_else(stopped)?;
            done.map_err(|refused| vec![refused])?;
        }
        self.inspect(|_| ()).ok_or_else(stopped)
    }

    /// Line items left the account: see [`LedgerWriter::retire`]. Does not wait for the journal.
    pub fn retire(&self, line_items: &[LineItemId]) {
        for part in line_items.chunks(EDITS_AT_ONCE) {
            let part = part.to_vec();
            self.with(move |writer| writer.retire(&part));
        }
    }

    /// The newest version that any edit came with.
    pub fn newest_version(&self) -> u64 {
        self.with(|writer| Ok(writer.books().newest_version())).unwrap_or_default()
    }

    /// Sets the house's contracts with the exchanges.
    pub fn configure_exchanges(
        &self,
        terms: Vec<ExchangeTerms>,
        rates: Arc<Rates>,
        rule: RunawayRule,
        now: Now,
    ) {
        self.with(move |writer| writer.configure_exchanges(terms, rates, rule, now));
        self.inspect(|_| ());
    }

    /// Throws or releases a kill switch, and waits until that is durable.
    pub fn stop(&self, what: Stop, stopped: bool) {
        self.with(move |writer| writer.stop(what, stopped));
        self.inspect(|_| ());
    }

    /// The kill switches that are thrown.
    pub fn stops(&self) -> BTreeSet<Stop> {
        self.with(|writer| Ok(writer.books().stops().clone())).unwrap_or_default()
    }

    /// An operator lets an exchange go on after its house costs had stopped it.
    pub fn pardon(&self, exchange: ExchangeId, now: Now) {
        self.with(move |writer| writer.pardon(exchange, now));
        self.inspect(|_| ());
    }

    /// How every configured exchange stands.
    pub fn exchange_reports(&self, now: Now) -> Vec<ExchangeReport> {
        self.with(move |writer| Ok(writer.exchange_reports(now))).unwrap_or_default()
    }

    /// Every account with a budget or a movement.
    pub fn balances(&self) -> BTreeMap<AccountKey, Balance> {
        self.with(|writer| Ok(writer.books().balances())).unwrap_or_default()
    }

    /// One account.
    pub fn balance(&self, key: AccountKey) -> Balance {
        self.with(move |writer| Ok(writer.books().balance(key))).unwrap_or_default()
    }

    /// What the house bears, in nanos of each wallet's own currency.
    pub fn house(&self) -> HouseTotals {
        self.with(|writer| Ok(writer.books().house())).unwrap_or_default()
    }

    /// Money of earlier boots that may still be billed.
    pub fn in_doubt(&self) -> Nanos {
        self.with(|writer| Ok(writer.books().in_doubt())).unwrap_or_default()
    }

    /// What open bids hold, by exchange, in units of its currency.
    pub fn held_by_exchange(&self) -> BTreeMap<ExchangeId, Nanos> {
        self.with(|writer| Ok(writer.held_by_exchange())).unwrap_or_default()
    }

    /// Every lease of this boot, for audits and tests.
    pub fn audit(&self) -> Vec<LeaseAudit> {
        self.with(|writer| Ok(writer.audit())).unwrap_or_default()
    }

    /// What a line item could still set aside; `None` when it has no funding.
    pub fn standing(&self, line_item: LineItemId, now: Now) -> Option<Standing> {
        self.with(move |writer| Ok(writer.standing(line_item, now))).flatten()
    }
}

/// The books no longer add up: going on could charge somebody wrongly.
pub(super) fn must<T>(done: Result<T, Violation>) -> T {
    done.unwrap_or_else(|violation| super::broken(violation.invariant, &violation.detail))
}

fn commit_inline(writer: &mut LedgerWriter) {
    if writer.is_dirty() {
        after_commit(writer.commit());
    }
}

/// No space is survived; anything else is not known to be durable, so the process must not go on (money.md 2.5).
pub(super) fn after_commit(committed: Result<(), CommitError>) {
    match committed {
        Ok(()) => {}
        // `/readyz` says it, and the journal's log when it begins; a line for each commit would fill the log.
        Err(CommitError::NoSpace(detail)) => tracing::debug!(%detail, "a commit waits for space"),
        Err(failed) => super::broken("I8 durable", &failed.to_string()),
    }
}
