//! What was counted in a stretch of time, in memory and as bytes.

use crate::model::funnel::{After, Counted, Ends, ExchangeEnds, Followed, Loss, Sample};
use crate::model::ids::{DealId, ExchangeId, LineItemId};
use crate::model::money::Nanos;
use crate::model::no_bid::NoBidReason;
use prost::Message;
use std::collections::{BTreeMap, BTreeSet};

/// How finely time is told apart, and for how long.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Step {
    /// Kept for 26 hours.
    Minute,
    /// Kept for 35 days.
    Hour,
    /// Of UTC, kept for 400 days.
    Day,
}

impl Step {
    /// The finest first.
    pub const ALL: [Step; 3] = [Step::Minute, Step::Hour, Step::Day];

    /// Seconds.
    pub fn seconds(self) -> i64 {
        match self {
            Step::Minute => 60,
            Step::Hour => 3_600,
            Step::Day => 86_400,
        }
    }

    /// How long spans of it are kept, in seconds.
    pub fn kept_s(self) -> i64 {
        match self {
            Step::Minute => 26 * 3_600,
            Step::Hour => 35 * 86_400,
            Step::Day => 400 * 86_400,
        }
    }

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Step::Minute => "minute",
            Step::Hour => "hour",
            Step::Day => "day",
        }
    }

    /// The whole spans that a time lies in, all in Unix seconds.
    pub fn whole(self, from_s: i64, until_s: i64) -> (i64, i64) {
        let end = self.start_of(until_s);
        (self.start_of(from_s), if end < until_s { end.saturating_add(self.seconds()) } else { end })
    }

    /// The start of the span that a moment lies in, both in Unix seconds.
    pub fn start_of(self, at_s: i64) -> i64 {
        at_s - at_s.rem_euclid(self.seconds())
    }
}

/// What was counted of a line item.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Way {
    /// Where it got in the requests that found it.
    pub ends: Ends,
    /// Why it was not found, in the requests of the sample.
    pub missed: Ends,
    /// What came after its bids.
    pub after: After,
}

impl Way {
    fn merge(&mut self, more: &Way) {
        self.ends.merge(&more.ends);
        self.missed.merge(&more.missed);
        self.after.merge(&more.after);
    }
}

/// What was counted from `start_s` on, in a minute, an hour or a day.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Span {
    /// When it begins, in Unix seconds.
    pub start_s: i64,
    /// How long it is.
    pub step: Step,
    /// Requests that were looked at closely, out of those that were not refused as a whole.
    pub samples: u64,
    /// By exchange.
    pub exchanges: BTreeMap<ExchangeId, ExchangeEnds>,
    /// By line item: those that were found or had something come of their bids.
    pub line_items: BTreeMap<LineItemId, Way>,
    /// By deal.
    pub deals: BTreeMap<DealId, Ends>,
    /// What came after the bids that an exchange was sent.
    pub exchange_after: BTreeMap<ExchangeId, After>,
    /// What came after the bids on a deal.
    pub deal_after: BTreeMap<DealId, After>,
}

/// Whose counts are asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Whose {
    /// Everybody's.
    Everybody,
    /// A line item's, with those of all exchanges.
    LineItem(LineItemId),
    /// An exchange's.
    Exchange(ExchangeId),
    /// A deal's.
    Deal(DealId),
}

impl Whose {
    fn has_line_item(self, id: LineItemId) -> bool {
        matches!(self, Whose::Everybody) || self == Whose::LineItem(id)
    }

    fn has_exchange(self, id: ExchangeId) -> bool {
        matches!(self, Whose::Everybody | Whose::LineItem(_)) || self == Whose::Exchange(id)
    }

    fn has_deal(self, id: DealId) -> bool {
        matches!(self, Whose::Everybody) || self == Whose::Deal(id)
    }
}

impl Span {
    /// One in which nothing was counted.
    pub fn new(step: Step, start_s: i64) -> Span {
        Span {
            start_s,
            step,
            samples: 0,
            exchanges: <_>::default(),
            line_items: <_>::default(),
            deals: <_>::default(),
            exchange_after: <_>::default(),
            deal_after: <_>::default(),
        }
    }

    /// Requests of all exchanges.
    pub fn requests(&self) -> ExchangeEnds {
        let mut all = ExchangeEnds::default();
        self.exchanges.values().for_each(|ends| all.merge(ends));
        all
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        *self == Span::new(self.step, self.start_s)
    }

    /// Adds what was counted.
    pub fn count(&mut self, counted: &Counted) {
        for (id, ends) in &counted.exchanges {
            self.exchanges.entry(*id).or_default().merge(ends);
        }
        for (id, ends) in &counted.line_items {
            self.line_items.entry(*id).or_default().ends.merge(ends);
        }
        for (deal, ends) in &counted.deals {
            self.deals.entry(*deal).or_default().merge(ends);
        }
    }

    /// Adds what a sample says of line items that were not found.
    pub fn sample(&mut self, sample: &Sample) {
        self.samples += sample.requests;
        for (id, missed) in sample.missed.iter().filter(|(_, missed)| !missed.is_empty()) {
            self.line_items.entry(*id).or_default().missed.merge(missed);
        }
    }

    /// Adds what came after bids.
    pub fn follow(&mut self, followed: &Followed) {
        for (line_item, after) in &followed.line_items {
            self.line_items.entry(*line_item).or_default().after.merge(after);
        }
        for (exchange, after) in &followed.exchanges {
            self.exchange_after.entry(*exchange).or_default().merge(after);
        }
        for (deal, after) in &followed.deals {
            self.deal_after.entry(*deal).or_default().merge(after);
        }
    }

    /// Adds all of another span, whatever its time.
    pub fn merge(&mut self, more: &Span) {
        self.samples += more.samples;
        for (id, ends) in &more.exchanges {
            self.exchanges.entry(*id).or_default().merge(ends);
        }
        for (id, way) in &more.line_items {
            self.line_items.entry(*id).or_default().merge(way);
        }
        for (id, ends) in &more.deals {
            self.deals.entry(*id).or_default().merge(ends);
        }
        for (id, after) in &more.exchange_after {
            self.exchange_after.entry(*id).or_default().merge(after);
        }
        for (id, after) in &more.deal_after {
            self.deal_after.entry(*id).or_default().merge(after);
        }
    }

    /// What is somebody's of it.
    pub(super) fn of(&self, whose: Whose) -> Span {
        fn those<K: Copy + Ord, V: Clone>(all: &BTreeMap<K, V>, has: impl Fn(K) -> bool) -> BTreeMap<K, V> {
            all.iter().filter(|(id, _)| has(**id)).map(|(id, counts)| (*id, counts.clone())).collect()
        }
        Span {
            exchanges: those(&self.exchanges, |id| whose.has_exchange(id)),
            line_items: those(&self.line_items, |id| whose.has_line_item(id)),
            deals: those(&self.deals, |id| whose.has_deal(id)),
            exchange_after: those(&self.exchange_after, |id| whose.has_exchange(id)),
            deal_after: those(&self.deal_after, |id| whose.has_deal(id)),
            ..*self
        }
    }

    /// As bytes: `mark · CRC-32C of the rest, u32 · a protobuf message`.
    pub fn to_bytes(&self) -> Vec<u8> {
        let wire = SpanWire {
            start_s: self.start_s,
            step_s: self.step.seconds() as u32,
            cells: names(),
            samples: self.samples,
            exchanges: ExchangeWire::all(self),
            line_items: self.line_items.iter().map(LineItemWire::of).collect(),
            deals: DealWire::all(self),
        };
        let content = wire.encode_to_vec();
        let mut out = MARK.to_vec();
        out.extend(crc32c::crc32c(&content).to_le_bytes());
        out.extend(content);
        out
    }

    /// Reads what [`Span::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Span, SpanError> {
        Span::of_bytes(bytes, Whose::Everybody)
    }

    /// Reads what is of somebody in it.
    pub(super) fn of_bytes(bytes: &[u8], whose: Whose) -> Result<Span, SpanError> {
        let rest = bytes.strip_prefix(MARK).ok_or(SpanError::Mark)?;
        let (sum, content) = rest.split_first_chunk::<4>().ok_or(SpanError::Checksum)?;
        if crc32c::crc32c(content).to_le_bytes() != *sum {
            return Err(SpanError::Checksum);
        }
        let wire = SpanWire::decode(content).map_err(|_| SpanError::Content)?;
        let step = Step::ALL.into_iter().find(|step| step.seconds() == i64::from(wire.step_s));
        let step = step.ok_or(SpanError::Content)?;
        let cells = wire.cells.iter().map(|name| cell_of(name)).collect::<Option<Vec<_>>>();
        let cells = cells.ok_or(SpanError::Content)?;
        let mut span = Span { samples: wire.samples, ..Span::new(step, wire.start_s) };
        for exchange in &wire.exchanges {
            let id = u16::try_from(exchange.id).map_err(|_| SpanError::Content)?;
            if !whose.has_exchange(ExchangeId(id)) {
                continue;
            }
            let (whole, found) = (read(&cells, &exchange.whole)?, read(&cells, &exchange.found)?);
            let ends = ExchangeEnds { whole, found };
            if ends.requests() > 0 {
                span.exchanges.insert(ExchangeId(id), ends);
            }
            if let Some(after) = &exchange.after {
                span.exchange_after.insert(ExchangeId(id), after.read()?);
            }
        }
        for line_item in wire.line_items.iter().filter(|wire| whose.has_line_item(LineItemId(wire.id))) {
            let (ends, missed) = (read(&cells, &line_item.ends)?, read(&cells, &line_item.missed)?);
            let after = line_item.after.as_ref().map(AfterWire::read).transpose()?.unwrap_or_default();
            let way = Way { ends, missed, after };
            span.line_items.insert(LineItemId(line_item.id), way);
        }
        for deal in wire.deals.iter().filter(|wire| whose.has_deal(DealId(wire.id))) {
            let ends = read(&cells, &deal.ends)?;
            if !ends.is_empty() {
                span.deals.insert(DealId(deal.id), ends);
            }
            if let Some(after) = &deal.after {
                span.deal_after.insert(DealId(deal.id), after.read()?);
            }
        }
        Ok(span)
    }
}

/// Why bytes are no span.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SpanError {
    /// They begin otherwise.
    #[error("this is no span of a funnel: it does not begin like one")]
    Mark,
    /// They have changed.
    #[error("the checksum of this span of a funnel is wrong: a byte has changed, or the end is missing")]
    Checksum,
    /// The checksum is right, and the content makes no sense.
    #[error("this span of a funnel was written by another version of this program")]
    Content,
}

const MARK: &[u8; 8] = b"outbidF1";
/// What stands for bids among the names of reasons.
const BID: &str = "bid";

/// The cells as they are numbered by this version: reasons may come and go, their names stay.
fn names() -> Vec<String> {
    NoBidReason::ALL.iter().map(|reason| reason.as_str()).chain([BID]).map(str::to_owned).collect()
}

fn cell_of(name: &str) -> Option<u8> {
    let reason = NoBidReason::named(name).map(Ends::cell);
    reason.or((name == BID).then_some(Ends::BID))
}

#[derive(Clone, PartialEq, Message)]
struct SpanWire {
    #[prost(int64, tag = "1")]
    start_s: i64,
    #[prost(uint32, tag = "2")]
    step_s: u32,
    /// The names of the cells that the numbers below are of.
    #[prost(string, repeated, tag = "3")]
    cells: Vec<String>,
    #[prost(message, repeated, tag = "4")]
    exchanges: Vec<ExchangeWire>,
    #[prost(message, repeated, tag = "5")]
    line_items: Vec<LineItemWire>,
    #[prost(message, repeated, tag = "6")]
    deals: Vec<DealWire>,
    #[prost(uint64, tag = "7")]
    samples: u64,
}

#[derive(Clone, PartialEq, Message)]
struct ExchangeWire {
    #[prost(uint32, tag = "1")]
    id: u32,
    /// Cell, requests, cell, requests …
    #[prost(uint64, repeated, tag = "2")]
    whole: Vec<u64>,
    #[prost(uint64, repeated, tag = "3")]
    found: Vec<u64>,
    #[prost(message, optional, tag = "4")]
    after: Option<AfterWire>,
}

#[derive(Clone, PartialEq, Message)]
struct LineItemWire {
    #[prost(uint32, tag = "1")]
    id: u32,
    #[prost(uint64, repeated, tag = "2")]
    ends: Vec<u64>,
    #[prost(uint64, repeated, tag = "10")]
    missed: Vec<u64>,
    #[prost(message, optional, tag = "11")]
    after: Option<AfterWire>,
}

#[derive(Clone, PartialEq, Message)]
struct AfterWire {
    #[prost(uint64, tag = "1")]
    wins: u64,
    /// Those that no code below is of.
    #[prost(uint64, tag = "2")]
    losses: u64,
    #[prost(uint64, tag = "3")]
    billed: u64,
    #[prost(uint64, tag = "4")]
    impressions: u64,
    #[prost(uint64, tag = "5")]
    clicks: u64,
    #[prost(uint64, tag = "6")]
    conversions: u64,
    #[prost(int64, tag = "7")]
    spend: i64,
    /// Code, losses, code, losses …
    #[prost(uint64, repeated, tag = "8")]
    lost: Vec<u64>,
}

#[derive(Clone, PartialEq, Message)]
struct DealWire {
    #[prost(uint32, tag = "1")]
    id: u32,
    #[prost(uint64, repeated, tag = "2")]
    ends: Vec<u64>,
    #[prost(message, optional, tag = "3")]
    after: Option<AfterWire>,
}

impl ExchangeWire {
    fn all(span: &Span) -> Vec<ExchangeWire> {
        let ids: BTreeSet<ExchangeId> =
            span.exchanges.keys().chain(span.exchange_after.keys()).copied().collect();
        let one = |id: ExchangeId| {
            let ends = span.exchanges.get(&id).cloned().unwrap_or_default();
            let after = span.exchange_after.get(&id).map(AfterWire::of);
            ExchangeWire { id: id.0.into(), whole: write(&ends.whole), found: write(&ends.found), after }
        };
        ids.into_iter().map(one).collect()
    }
}

impl LineItemWire {
    fn of((id, way): (&LineItemId, &Way)) -> LineItemWire {
        let after = (way.after != After::default()).then(|| AfterWire::of(&way.after));
        LineItemWire { id: id.0, ends: write(&way.ends), missed: write(&way.missed), after }
    }
}

impl AfterWire {
    fn of(after: &After) -> AfterWire {
        let After { wins, losses, ref lost, billed, impressions, clicks, conversions, spend } = *after;
        let losses = losses.saturating_sub(after.lost_by(|_| true));
        let lost = lost.iter().flat_map(|(why, losses)| [u64::from(why.number()), *losses]).collect();
        AfterWire { wins, losses, billed, impressions, clicks, conversions, spend: spend.0, lost }
    }

    fn read(&self) -> Result<After, SpanError> {
        let AfterWire { wins, losses, billed, impressions, clicks, conversions, spend, .. } = *self;
        let spend = Nanos(spend);
        let mut after =
            After { wins, losses, billed, impressions, clicks, conversions, spend, lost: Vec::new() };
        let (pairs, rest) = self.lost.as_chunks::<2>();
        for [number, losses] in pairs {
            let number = u16::try_from(*number).map_err(|_| SpanError::Content)?;
            after.lose(Loss::of_number(number), *losses);
        }
        if rest.is_empty() { Ok(after) } else { Err(SpanError::Content) }
    }
}

impl DealWire {
    fn all(span: &Span) -> Vec<DealWire> {
        let ids: BTreeSet<DealId> = span.deals.keys().chain(span.deal_after.keys()).copied().collect();
        let one = |id: DealId| {
            let ends = span.deals.get(&id).map(write).unwrap_or_default();
            DealWire { id: id.0, ends, after: span.deal_after.get(&id).map(AfterWire::of) }
        };
        ids.into_iter().map(one).collect()
    }
}

fn write(ends: &Ends) -> Vec<u64> {
    ends.cells().flat_map(|(cell, requests)| [u64::from(cell), requests]).collect()
}

fn read(cells: &[u8], pairs: &[u64]) -> Result<Ends, SpanError> {
    let mut ends = Ends::default();
    let (pairs, rest) = pairs.as_chunks::<2>();
    for [number, requests] in pairs {
        let cell = usize::try_from(*number).ok().and_then(|number| cells.get(number));
        if !cell.is_some_and(|cell| ends.add(*cell, *requests)) {
            return Err(SpanError::Content);
        }
    }
    if rest.is_empty() { Ok(ends) } else { Err(SpanError::Content) }
}
