//! An account that changes while the server runs: read, checked, compiled and published on one thread of its own, at
//! a low priority, whenever somebody asks for it.
//!
//! Where an account comes from is the caller's ([`AccountSource`]): a file now, a control store later. What happens
//! then is always the same: what cannot be taken up is refused with every reason, and nothing changes; else the ledger
//! is told first, so that what is published has its leases (money.md 2.2), then the new parts are published, each for
//! itself, then what left the account gives its money back. What cores used before is freed here, not by them.
//!
//! Invariant: nothing that is keyed by a stable id is reset: accounts, leases, ear clocks, counters.

use super::runtime::is_open_to_anyone;
use super::state::{Phase, Shared, runaway_rule};
use crate::engine::{Catalog, Tally};
use crate::exchange;
use crate::model::account::Account;
use crate::model::rates::Rates;
use crate::telemetry::catalogue;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

/// Reads and checks the newest account.
pub type AccountSource = Box<dyn FnMut() -> Result<Account, Refused> + Send>;

/// How often catalogs of before are looked at, whether they can be freed.
const SWEEP: Duration = Duration::from_secs(1);
/// Requests that may wait for their turn.
const WAITING: usize = 16;

/// An account that was not taken up; what was served is served on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refused {
    /// Every reason; never empty.
    pub errors: Vec<Reason>,
}

/// One thing that is wrong with an account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reason {
    /// Where: a JSON pointer (RFC 6901), or empty.
    pub pointer: String,
    /// The kind, for machines.
    pub code: &'static str,
    /// What is wrong and what to do.
    pub message: String,
}

impl From<Reason> for Refused {
    fn from(reason: Reason) -> Refused {
        Refused { errors: vec![reason] }
    }
}

impl Reason {
    fn new(code: &'static str, message: String) -> Reason {
        Reason { pointer: String::new(), code, message }
    }
}

/// What came of an account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Published {
    /// The version of the catalog that is served now.
    pub version: u64,
    /// Whether it is a new one.
    pub catalog: bool,
    /// Whether there are new exchange rates.
    pub rates: bool,
    /// The line items beside those of before.
    pub line_items: Tally,
    /// How long reading and checking took, then compiling, then the ledger until it was synced; in milliseconds.
    pub steps_ms: [u64; 3],
    /// How long all of it took, in milliseconds.
    pub total_ms: u64,
}

/// Somebody who waits for a publication.
type Waiting = oneshot::Sender<Result<Published, Refused>>;

/// Asks the publisher.
#[derive(Clone, Debug)]
pub(super) struct Requests(mpsc::Sender<Waiting>);

impl Requests {
    /// Asks for the newest account to be taken up and waits; `None` where too many wait already, or the server closes.
    pub(super) async fn publish(&self) -> Option<Result<Published, Refused>> {
        let (waiting, done) = oneshot::channel();
        self.0.try_send(waiting).ok()?;
        done.await.ok()
    }

    /// Asks for it without waiting. Where too many wait already, one of them will take up what is newest now.
    pub(super) fn poke(&self) {
        let (waiting, _) = oneshot::channel();
        let _full = self.0.try_send(waiting);
    }
}

/// Starts the thread that takes up accounts until the server closes: when the admin listener is asked to, and at SIGHUP
/// where `hangups`. `rates` are those of the account that is served now.
pub fn publisher(
    shared: &Arc<Shared>,
    source: AccountSource,
    rates: Arc<Rates>,
    hangups: bool,
) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let hangup = {
        let _entered = runtime.enter();
        hangups.then(|| signal(SignalKind::hangup())).transpose()?
    };
    let (sender, requests) = mpsc::channel(WAITING);
    let publisher = Publisher { shared: Arc::clone(shared), source, rates };
    let run = move || {
        // Serving comes first, but on a machine that is full to the brim a change must still be served some day: a
        // tenth of a core.
        if let Err(error) = rustix::process::nice(10) {
            tracing::debug!(%error, "the publisher keeps its priority");
        }
        runtime.block_on(publisher.run(requests, hangup));
    };
    std::thread::Builder::new().name("publisher".to_owned()).spawn(run)?;
    shared.accept_accounts(Requests(sender));
    shared.metrics.gauge(catalogue::ACCOUNT_RELOAD_SUCCESS, &[]).set(1.0);
    note_time(shared);
    Ok(())
}

fn note_time(shared: &Shared) {
    let now_s = shared.clock.now().unix_s();
    shared.metrics.gauge(catalogue::ACCOUNT_RELOAD_TIME, &[]).set(now_s as f64);
}

struct Publisher {
    shared: Arc<Shared>,
    source: AccountSource,
    /// As they were configured; what is served of them may have become stale.
    rates: Arc<Rates>,
}

impl Publisher {
    async fn run(mut self, mut requests: mpsc::Receiver<Waiting>, mut hangup: Option<Signal>) {
        while self.shared.phase() < Phase::Closing {
            tokio::select! {
                waiting = requests.recv() => {
                    let Some(first) = waiting else { return };
                    // The newest account is what all of them wait for.
                    let mut waiting = vec![first];
                    waiting.extend(std::iter::from_fn(|| requests.try_recv().ok()));
                    let done = self.publish();
                    for waiting in waiting {
                        // Whoever asked may have gone.
                        let _gone = waiting.send(done.clone());
                    }
                }
                () = hung_up(&mut hangup) => drop(self.publish()),
                () = tokio::time::sleep(SWEEP) => {}
            }
            self.shared.snapshots.sweep();
        }
    }

    /// Takes up the newest account, and says so.
    fn publish(&mut self) -> Result<Published, Refused> {
        let done = self.take_up();
        let metrics = &self.shared.metrics;
        let outcome = match &done {
            Ok(Published { version, line_items, total_ms, catalog, rates, .. }) => {
                tracing::info!(version, catalog, rates, ?line_items, total_ms, "the account was taken up");
                note_time(&self.shared);
                if *catalog || *rates { "published" } else { "unchanged" }
            }
            Err(Refused { errors }) => {
                for Reason { pointer, code, message } in errors {
                    tracing::error!(pointer, code, "the account was not taken up: {message}");
                }
                "refused"
            }
        };
        metrics.counter(catalogue::ACCOUNT_RELOADS, &[outcome]).increment(1);
        metrics.gauge(catalogue::ACCOUNT_RELOAD_SUCCESS, &[]).set(f64::from(u8::from(done.is_ok())));
        done
    }

    fn take_up(&mut self) -> Result<Published, Refused> {
        let shared = Arc::clone(&self.shared);
        let clock = &*shared.clock;
        let began_ns = clock.mono_ns();
        let ms_since = |from_ns: u64| clock.mono_ns().saturating_sub(from_ns) / 1_000_000;
        let account = (self.source)()?;
        let read_ms = ms_since(began_ns);
        let before = Arc::clone(&shared.snapshots.load().catalog);
        check_exchanges(&shared, &before, &account)?;
        let line_items = before.tally(&account);
        let rates = (account.rates != *self.rates).then(|| Arc::new(account.rates.clone()));
        let compiling_ns = clock.mono_ns();
        let next = match before.is_of(&account) {
            true => None,
            false => Some(Arc::new(rebuild(&before, account)?)),
        };
        let compile_ms = ms_since(compiling_ns);
        let ledger_ns = clock.mono_ns();
        self.tell_ledger(&before, next.as_deref(), rates.as_ref())?;
        let ledger_ms = ms_since(ledger_ns);
        let (catalog, has_rates) = (next.is_some(), rates.is_some());
        if let Some(rates) = rates {
            self.rates = Arc::clone(&rates);
            shared.snapshots.publish_rates(rates, clock.now());
        }
        let version = next.as_ref().map_or(before.version, |next| next.version);
        if let Some(next) = next {
            shared.funnels.prepare(&next, shared.metrics.cores());
            shared.snapshots.publish_catalog(Arc::clone(&next));
            shared.ledger.retire(&next.left_since(&before));
            // Who is new shall not spend a day's budget before the next look at it.
            shared.pace();
            shared.metrics.gauge(catalogue::CATALOG_BUILD, &[]).set(compile_ms as f64 / 1e3);
        }
        let steps_ms = [read_ms, compile_ms, ledger_ms];
        Ok(Published {
            version,
            catalog,
            rates: has_rates,
            line_items,
            steps_ms,
            total_ms: ms_since(began_ns),
        })
    }

    /// Budgets first: the one thing that can still be refused. Returns when all of it is synced and the first leases of
    /// new line items are with the cores.
    fn tell_ledger(
        &self,
        before: &Catalog,
        next: Option<&Catalog>,
        rates: Option<&Arc<Rates>>,
    ) -> Result<(), Refused> {
        let (ledger, now) = (&self.shared.ledger, self.shared.clock.now());
        if let Some(next) = next {
            ledger.edit(next.funding_since(before), now).map_err(|refused| Refused {
                errors: refused.into_iter().map(|it| Reason::new("ledger", it.to_string())).collect(),
            })?;
        }
        let exchanges = next.filter(|next| next.exchanges() != before.exchanges());
        if exchanges.is_some() || rates.is_some() {
            let terms = next.unwrap_or(before).exchange_terms().collect();
            let rates = Arc::clone(rates.unwrap_or(&self.rates));
            ledger.configure_exchanges(terms, rates, runaway_rule(&self.shared.config), now);
        }
        Ok(())
    }
}

/// Waits for SIGHUP; for ever where nobody listens to it.
async fn hung_up(hangup: &mut Option<Signal>) {
    match hangup {
        Some(hangup) => {
            hangup.recv().await;
        }
        None => std::future::pending().await,
    }
}

fn rebuild(before: &Catalog, account: Account) -> Result<Catalog, Refused> {
    let next = before.rebuild(account, &exchange::compile_markup);
    next.map_err(|error| Reason::new("compile", format!("the account cannot be compiled: {error}")).into())
}

/// What a running server cannot follow, or must not.
fn check_exchanges(shared: &Shared, before: &Catalog, account: &Account) -> Result<(), Refused> {
    let listen = shared.config.listen.bid;
    let mut errors = Vec::new();
    for (index, profile) in account.exchanges.iter().enumerate() {
        let mut refuse = |field: &str, code, message| {
            errors.push(Reason { pointer: format!("/exchanges/{index}/{field}"), code, message });
        };
        if is_open_to_anyone(profile, listen) {
            let message = format!(
                "exchange {:?} has no authentication and listen.bid = {listen} is beyond loopback; give it `auth`",
                profile.name
            );
            refuse("auth", "conflict", message);
        }
        let known = before.exchange_by_id(profile.id).filter(|known| known.currency != profile.currency);
        if let Some(known) = known {
            let message = format!(
                "exchange {:?} is settled in {}, in which its holds and the house's costs are counted, and cannot \
                 change to {}; give the new contract an id and a name of its own",
                profile.name, known.currency, profile.currency
            );
            refuse("currency", "conflict", message);
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(Refused { errors }) }
}
