//! From the files of a journal to the books, record by record, without changing anything.
//!
//! Begins as far back as the files reach without a gap: at the first record, or at the oldest checkpoint behind which
//! every record is there. Beside a running server the end is the last record that a first look found; a segment that a
//! checkpoint lets go meanwhile makes the whole reading begin anew.

use crate::budget::journal::{self, CheckpointReport, Item, JournalError};
use crate::budget::record::{Event, RecordError};
use crate::budget::{Books, Violation};
use crate::cli::Failure;
use crate::cli::wal::settled;
use crate::model::storage::Storage;
use std::ops::ControlFlow;

/// How often a journal is read anew that a server takes files away from.
const ATTEMPTS: usize = 4;

/// Why the books cannot be rebuilt.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReplayError {
    /// The journal does not open, or the directory cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A record or a checkpoint that this version cannot use.
    #[error("record {lsn}: {source}")]
    Record {
        /// The record; that of its state for a checkpoint.
        lsn: u64,
        /// Why.
        source: RecordError,
    },
    /// A record that contradicts those before it.
    #[error(
        "record {lsn} ({kind}) breaks {violation}; every record before it adds up. Do not serve on these books: \
         restore a backup, or look at the record with `outbid wal dump --from {lsn} --to {lsn}`"
    )]
    Violation {
        /// The record.
        lsn: u64,
        /// What it is called.
        kind: &'static str,
        /// What it breaks.
        violation: Violation,
    },
    /// Files went away again and again.
    #[error("the journal changed while it was read; run the command again")]
    Moved,
}

impl From<ReplayError> for Failure {
    fn from(error: ReplayError) -> Failure {
        match error {
            ReplayError::Journal(JournalError::Io { .. }) | ReplayError::Moved => {
                Failure::Failed(error.into())
            }
            _ => Failure::Damaged(error.into()),
        }
    }
}

/// Where a replay begins and ends.
#[derive(Debug)]
pub(super) struct Plan {
    /// The record whose state it begins with; 0 is the empty state.
    pub(super) base: u64,
    /// The last record when the journal was looked at.
    pub(super) last: u64,
}

impl Plan {
    /// Looks where a replay can begin.
    pub(super) fn of(storage: &dyn Storage) -> Result<Plan, ReplayError> {
        for _ in 0..ATTEMPTS {
            let verdict = settled(storage)?;
            let last = verdict.opens?;
            let readable = |report: &CheckpointReport| report.content.is_ok().then_some(report.lsn);
            let mut checkpoints: Vec<u64> = verdict.checkpoints.iter().filter_map(readable).collect();
            checkpoints.sort_unstable();
            let whole_after = whole_after(storage, last)?;
            let base = match whole_after {
                0 => Some(0),
                lsn => checkpoints.into_iter().find(|checkpoint| *checkpoint >= lsn),
            };
            if let Some(base) = base {
                return Ok(Plan { base, last });
            }
        }
        Err(ReplayError::Moved)
    }
}

/// The record behind which all others up to `last` are there.
fn whole_after(storage: &dyn Storage, last: u64) -> Result<u64, JournalError> {
    let (mut after, mut bad, mut expected) = (last, 0, None);
    journal::scan(storage, 0, |item| match item {
        Item::Record { lsn, .. } | Item::Unreadable { lsn, .. } if lsn > last => ControlFlow::Break(()),
        Item::Record { lsn, .. } => {
            if expected != Some(lsn) {
                after = bad.max(lsn - 1);
            }
            expected = Some(lsn + 1);
            ControlFlow::Continue(())
        }
        Item::Unreadable { lsn, .. } => {
            (bad, expected) = (lsn, None);
            ControlFlow::Continue(())
        }
    })?;
    Ok(if expected == Some(last + 1) { after } else { last })
}

/// The books of the checkpoint at `lsn`, or empty ones for 0; `None` when it has gone meanwhile.
pub(super) fn books_at(storage: &dyn Storage, lsn: u64) -> Result<Option<Books>, ReplayError> {
    if lsn == 0 {
        return Ok(Some(Books::default()));
    }
    let Some(image) = journal::checkpoint_payload(storage, lsn)? else { return Ok(None) };
    Books::from_image(&image).map(Some).map_err(|source| ReplayError::Record { lsn, source })
}

/// What is seen of a replay.
pub(super) trait Observer {
    /// The books that it begins with; called again when it begins anew.
    fn begin(&mut self, base: u64, books: &Books) -> anyhow::Result<()>;

    /// A record, with the books as they are after it. `Break` ends the replay here.
    fn record(&mut self, lsn: u64, event: &Event, books: &Books) -> anyhow::Result<ControlFlow<()>>;

    /// Whether it may begin anew: nothing was let out yet.
    fn may_begin_anew(&self) -> bool {
        true
    }
}

/// Sees nothing: for the books alone.
pub(super) struct Blind;

impl Observer for Blind {
    fn begin(&mut self, _base: u64, _books: &Books) -> anyhow::Result<()> {
        Ok(())
    }

    fn record(&mut self, _lsn: u64, _event: &Event, _books: &Books) -> anyhow::Result<ControlFlow<()>> {
        Ok(ControlFlow::Continue(()))
    }
}

/// Replays the journal from as far back as it reaches up to the last record, or up to `to` where that is earlier.
pub(super) fn replay(
    storage: &dyn Storage,
    to: Option<u64>,
    observer: &mut dyn Observer,
) -> Result<(Plan, Books), Failure> {
    for _ in 0..ATTEMPTS {
        let mut plan = Plan::of(storage)?;
        plan.last = plan.last.min(to.unwrap_or(u64::MAX));
        let Some(books) = books_at(storage, plan.base)? else { continue };
        observer.begin(plan.base, &books)?;
        let mut run = Run { books, expected: plan.base + 1, last: plan.last, observer, ended: None };
        let from = plan.base + 1;
        let scanned = journal::scan(storage, from, |item| run.item(item));
        scanned.map_err(ReplayError::from)?;
        match run.ended {
            Some(End::Failed(failure)) => return Err(failure),
            Some(End::Seen) => return Ok((plan, run.books)),
            None if run.expected > plan.last => return Ok((plan, run.books)),
            // A file went while it was read.
            None | Some(End::Gap) if run.observer.may_begin_anew() => {}
            None | Some(End::Gap) => break,
        }
    }
    Err(ReplayError::Moved.into())
}

struct Run<'o> {
    books: Books,
    expected: u64,
    last: u64,
    observer: &'o mut dyn Observer,
    ended: Option<End>,
}

enum End {
    Seen,
    Gap,
    Failed(Failure),
}

impl Run<'_> {
    fn item(&mut self, item: Item<'_>) -> ControlFlow<()> {
        let end = match item {
            Item::Record { lsn, .. } | Item::Unreadable { lsn, .. } if lsn < self.expected => None,
            _ if self.expected > self.last => return ControlFlow::Break(()),
            Item::Record { lsn, payload, .. } if lsn == self.expected => {
                self.expected += 1;
                self.apply(lsn, payload)
            }
            Item::Record { .. } | Item::Unreadable { .. } => Some(End::Gap),
        };
        match end {
            None => ControlFlow::Continue(()),
            Some(end) => {
                self.ended = Some(end);
                ControlFlow::Break(())
            }
        }
    }

    fn apply(&mut self, lsn: u64, payload: &[u8]) -> Option<End> {
        let event = match Event::read(payload) {
            Ok(event) => event,
            Err(source) => return Some(End::Failed(ReplayError::Record { lsn, source }.into())),
        };
        if let Err(violation) = self.books.apply(&event) {
            let kind = crate::cli::wal::kind(&event);
            return Some(End::Failed(ReplayError::Violation { lsn, kind, violation }.into()));
        }
        match self.observer.record(lsn, &event, &self.books) {
            Ok(ControlFlow::Continue(())) => None,
            Ok(ControlFlow::Break(())) => Some(End::Seen),
            Err(why) => Some(End::Failed(Failure::Failed(why))),
        }
    }
}

/// The first record after which the books no longer add up as a whole, found by halves; `None` where they do at `last`.
/// What each record asserts by itself is already known to hold.
pub(super) fn first_violation(
    storage: &dyn Storage,
    base: u64,
    last: u64,
) -> Result<Option<(u64, Violation)>, Failure> {
    let check = |lsn: u64| -> Result<Option<Violation>, Failure> {
        let (plan, books) = replay(storage, Some(lsn), &mut Blind)?;
        if plan.base > base { Err(ReplayError::Moved.into()) } else { Ok(books.check().err()) }
    };
    let (mut sound, mut broken) = (base, last);
    if let Some(violation) = check(base)? {
        return Ok(Some((base, violation)));
    }
    let Some(mut violation) = check(last)? else { return Ok(None) };
    while broken - sound > 1 {
        let middle = sound + (broken - sound) / 2;
        match check(middle)? {
            Some(found) => (broken, violation) = (middle, found),
            None => sound = middle,
        }
    }
    Ok(Some((broken, violation)))
}
