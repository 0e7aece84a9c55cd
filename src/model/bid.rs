//! A decided bid, ready to be written as a response.

use super::auction::Size;
use super::creative::{Creative, Template};
use super::ids::{BidId, CampaignId};
use super::money::{Cpm, Currency};
use super::token::TokenClaims;

/// One bid for one impression.
#[derive(Clone, Copy, Debug)]
pub struct Bid<'r> {
    /// `bid.impid`: the impression's id, byte for byte.
    pub imp_id: &'r str,
    /// Position of the impression in the request.
    pub imp_index: usize,
    /// `bid.id` and the key of every notice.
    pub id: BidId,
    /// `bid.price` in `currency`.
    pub price: Cpm,
    /// The answer's `cur`; the same for all bids of one answer.
    pub currency: Currency,
    /// The creative.
    pub creative: &'r Creative,
    /// Its compiled markup.
    pub template: &'r Template,
    /// Size of the slot that it fills: equal to the creative's.
    pub size: Size,
    /// `bid.cid`.
    pub campaign: CampaignId,
    /// `bid.dealid`.
    pub deal_id: Option<&'r str>,
    /// `bid.exp`: seconds the bidder will wait for the impression.
    pub exp_s: u32,
    /// What the notice tokens carry.
    pub claims: TokenClaims,
}
