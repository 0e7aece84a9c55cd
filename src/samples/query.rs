//! What is looked for among the records.

use super::record::{Part, Record};
use crate::model::ids::{ExchangeId, LineItemId};
use crate::model::no_bid::NoBidReason;
use std::fmt;
use std::str::FromStr;

/// Names a record: its hour since the Unix epoch, and its number in it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Key {
    hour: i64,
    number: u64,
}

impl Key {
    /// Of a record in the hour that begins at `start_s`.
    pub fn new(start_s: i64, number: u64) -> Key {
        Key { hour: start_s.div_euclid(3_600), number }
    }

    /// When its hour begins, in Unix seconds.
    pub fn start_s(self) -> i64 {
        self.hour.saturating_mul(3_600)
    }

    /// Its number in the hour.
    pub fn number(self) -> u64 {
        self.number
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.hour, self.number)
    }
}

/// It is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no key of a sample")]
pub struct NoKey;

impl FromStr for Key {
    type Err = NoKey;

    fn from_str(text: &str) -> Result<Key, NoKey> {
        let (hour, number) = text.split_once('-').ok_or(NoKey)?;
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(hour) || !digits(number) {
            return Err(NoKey);
        }
        let hour = hour.parse().map_err(|_| NoKey)?;
        Ok(Key { hour, number: number.parse().map_err(|_| NoKey)? })
    }
}

/// How a request ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asked {
    /// With bids.
    Bid,
    /// Without, for this reason.
    NoBid(NoBidReason),
}

/// See the module. What is `None` is not asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// From this moment on, in Unix milliseconds …
    pub from_ms: i64,
    /// … until before this one.
    pub until_ms: i64,
    /// Only records before this one, in the order of the answer.
    pub after: Option<Key>,
    /// Of this exchange.
    pub exchange: Option<ExchangeId>,
    /// With this id.
    pub request_id: Option<String>,
    /// On this domain or below it, or in the app with this bundle; whatever the case.
    pub place: Option<String>,
    /// Which ended so.
    pub outcome: Option<Asked>,
    /// On which this line item would have bid.
    pub line_item: Option<LineItemId>,
    /// So many at most.
    pub limit: usize,
}

impl Query {
    /// Everything of a time.
    pub fn all(from_ms: i64, until_ms: i64) -> Query {
        Query {
            from_ms,
            until_ms,
            after: None,
            exchange: None,
            request_id: None,
            place: None,
            outcome: None,
            line_item: None,
            limit: usize::MAX,
        }
    }

    /// Whether a record is one that is looked for, wherever the answer goes on.
    pub fn matches(&self, record: &Record) -> bool {
        let request = &record.request;
        let outcome = |asked: Asked| match (asked, &request.outcome) {
            (Asked::Bid, Ok(_)) => true,
            (Asked::NoBid(reason), Err(met)) => reason == *met,
            _ => false,
        };
        let bids = |id: LineItemId| {
            request.outcome.as_ref().is_ok_and(|bids| bids.iter().any(|(line_item, _)| *line_item == id))
        };
        (self.from_ms..self.until_ms).contains(&request.at_ms)
            && self.exchange.is_none_or(|exchange| exchange == request.exchange)
            && self.request_id.as_ref().is_none_or(|id| *id == record.id)
            && self.place.as_ref().is_none_or(|place| is_at(record.place.as_deref(), place))
            && self.outcome.is_none_or(outcome)
            && self.line_item.is_none_or(bids)
    }

    /// Looks through the hours, which come newest first, as `read` gives them.
    pub fn run(&self, hours: &[i64], mut read: impl FnMut(i64) -> Option<Part>) -> Found {
        let mut found = Found::default();
        for start_s in hours {
            let is_past = self.after.is_some_and(|after| Key::new(*start_s, 0) > after);
            if is_past {
                continue;
            }
            let Some(part) = read(*start_s) else { continue };
            for record in part.newest_first() {
                found.looked_at += 1;
                found.stands_for += u64::from(record.request.one_in);
                let key = Key::new(*start_s, record.number);
                if self.after.is_some_and(|after| key >= after) || !self.matches(&record) {
                    continue;
                }
                if found.records.len() == self.limit {
                    found.more = true;
                    return found;
                }
                found.records.push((key, record));
            }
        }
        found
    }
}

fn is_at(place: Option<&str>, asked: &str) -> bool {
    let Some(place) = place else { return false };
    let asked = asked.trim().trim_end_matches('.');
    let Some(at) = place.len().checked_sub(asked.len()).filter(|at| place.is_char_boundary(*at)) else {
        return false;
    };
    let (before, end) = place.split_at(at);
    !asked.is_empty() && end.eq_ignore_ascii_case(asked) && (before.is_empty() || before.ends_with('.'))
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The newest first.
    pub records: Vec<(Key, Record)>,
    /// There are more than the limit.
    pub more: bool,
    /// So many records were looked at …
    pub looked_at: u64,
    /// … which stand for so many requests.
    pub stands_for: u64,
}
