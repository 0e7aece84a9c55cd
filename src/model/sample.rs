//! What is kept of a bid request that was taken into the sample, without what names a person.

use super::ids::{ExchangeId, LineItemId, SegmentId};
use super::money::Cpm;
use super::no_bid::NoBidReason;

/// A bid request that can be decided once more.
///
/// Chosen are people, not requests: who is in the sample is in it with every request while `one_in` stays what it is, so that
/// what the sample says of how often one person is seen is what is so. Requests of nobody who can be told are chosen by
/// their id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SampledRequest {
    /// When it came, in Unix milliseconds.
    pub at_ms: i64,
    /// Who sent it.
    pub exchange: ExchangeId,
    /// It stands for so many requests, itself among them: one over the chance with which it was taken.
    pub one_in: u32,
    /// A keyed hash of whose request it is, which nothing outside of the sample shares; `None` = nobody can be told, or the request
    /// forbids to.
    pub person: Option<u64>,
    /// What the privacy gate answered, as `privacy::Permissions::bits` says it.
    pub permissions: u16,
    /// Something was known of the person.
    pub known: bool,
    /// The segments that the index knew the person in and that counted, ascending.
    pub segments: Vec<SegmentId>,
    /// Sensitive ones that did not count, ascending.
    pub refused: Vec<SegmentId>,
    /// `body` is protobuf, not JSON.
    pub protobuf: bool,
    /// The request, inflated, less what names the person or the household.
    pub body: Vec<u8>,
    /// Why it got no bid, or the bids it would get: line item, and price in the currency of the request.
    pub outcome: Result<Vec<(LineItemId, Cpm)>, NoBidReason>,
}
