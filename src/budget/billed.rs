//! Bills on their way to the event log: every charge becomes an event once its record in the journal is durable, made
//! from that record alone. So the same event comes of it when a later start reads the journal, and whoever keeps the
//! events can be made whole from there.
//!
//! Invariant: events leave in the order of the journal, after their commit. A checkpoint waits until the events before
//! the last one are kept, because it lets go the records from which they could be made again; a keeper that has failed
//! holds it up for a bounded length of journal only: money does not stop for the sake of reports.

use super::record;
use super::writer::{CommitError, EventLog};
use crate::model::event::{Event, NoticeEvent, Noticed, What};
use crate::model::ids::{CreativeId, ExchangeId, LineItemId, UserKey};
use crate::model::money::{Cpm, Nanos};

/// A journal this many times as long as it should get before a checkpoint is not put off any longer.
const LONGEST_WAIT: u64 = 4;

/// Who keeps the events of bills.
pub trait BillSink: Send {
    /// Takes the events of one commit or more, in the order of the journal, out of `bills`. Must not wait.
    fn take(&mut self, bills: &mut Vec<Event>);

    /// The last record of the journal whose event is durable; those of all bills before it are durable too.
    fn durable_lsn(&self) -> u64;

    /// Records are let go although their events are not known to be durable.
    fn overtaken(&mut self);
}

/// The event of a record of the journal, where it charged a bill. What the house bears is no event, nor are records
/// of versions that did not say what was shown.
pub fn bill_of(lsn: u64, record: &record::Event) -> Option<Event> {
    let (bid, charge, source, shown) = match record {
        record::Event::Post(post) => (post.bid, post.charge, post.source, post.shown?),
        record::Event::Late(late) if late.overdelivery == 0 => {
            (late.bid, late.charge, late.source, late.shown?)
        }
        _ => return None,
    };
    let what = What::Notice(Noticed {
        kind: NoticeEvent::Bill { charged: Nanos(charge), price: Cpm(shown.price), lsn },
        bid: bid.id(),
        exchange: ExchangeId(source.exchange as u16),
        line_item: LineItemId(shown.line_item),
        creative: CreativeId(shown.creative),
        user: UserKey(shown.user),
        after_s: source.at_s.saturating_sub(bid.issued_s),
        min_to_win: shown.min_to_win.map(Cpm),
    });
    Some(Event { at_ms: i64::from(source.at_s) * 1_000 + i64::from(shown.at_ms), what })
}

/// An [`EventLog`] whose bills become events.
pub struct Billed {
    log: Box<dyn EventLog>,
    sink: Box<dyn BillSink>,
    /// The number of the last record that was appended.
    last: u64,
    /// Of records that are not committed yet.
    waiting: Vec<Event>,
    /// The last bill that was handed on.
    last_bill: u64,
    /// The last bill before the newest checkpoint.
    before_checkpoint: u64,
    is_short: bool,
}

impl Billed {
    /// A log that has everything before this in `sink` already.
    pub fn new(log: Box<dyn EventLog>, sink: Box<dyn BillSink>) -> Billed {
        let last = log.durable_lsn();
        Billed { log, sink, last, waiting: Vec::new(), last_bill: 0, before_checkpoint: 0, is_short: false }
    }

    /// Everything that the next checkpoint lets go is kept as an event.
    fn is_kept(&self) -> bool {
        self.before_checkpoint == 0 || self.sink.durable_lsn() >= self.before_checkpoint
    }
}

impl EventLog for Billed {
    fn append(&mut self, event: &[u8]) {
        self.last += 1;
        self.log.append(event);
        // The writer wrote it just now.
        let record = record::Event::read(event).ok();
        self.waiting.extend(record.and_then(|record| bill_of(self.last, &record)));
    }

    fn commit(&mut self) -> Result<(), CommitError> {
        // Where there is no space they wait like their records, which happen all the same.
        self.log.commit()?;
        if let Some(Event { what: What::Notice(noticed), .. }) = self.waiting.last()
            && let NoticeEvent::Bill { lsn, .. } = noticed.kind
        {
            self.last_bill = lsn;
            self.sink.take(&mut self.waiting);
            self.waiting.clear();
        }
        Ok(())
    }

    fn checkpoint(&mut self, image: &[u8]) -> Result<(), CommitError> {
        let is_kept = self.is_kept();
        self.log.checkpoint(image)?;
        if !is_kept {
            let (lsn, durable) = (self.before_checkpoint, self.sink.durable_lsn());
            tracing::error!(
                lsn,
                durable,
                "the event log is behind, and the journal cannot wait any longer: bills up to this record may have no \
                 event; `outbid ledger export` has them"
            );
            self.sink.overtaken();
        }
        self.before_checkpoint = self.last_bill;
        Ok(())
    }

    fn bytes_since_checkpoint(&self) -> u64 {
        self.log.bytes_since_checkpoint()
    }

    fn checkpoint_after_bytes(&self) -> u64 {
        self.log.checkpoint_after_bytes()
    }

    fn may_checkpoint(&self) -> bool {
        let longest = self.log.checkpoint_after_bytes().saturating_mul(LONGEST_WAIT);
        self.is_kept() || self.is_short || self.log.bytes_since_checkpoint() >= longest
    }

    fn maintain(&mut self) -> bool {
        self.is_short = self.log.maintain();
        self.is_short
    }

    fn durable_lsn(&self) -> u64 {
        self.log.durable_lsn()
    }
}
