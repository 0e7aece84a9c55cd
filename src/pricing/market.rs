//! Where an impression is offered, as prices of others are learned: the same for the bid that is shaded and for the record
//! of it that is learned from.

use super::shading::Place;
use crate::model::auction::Size;
use crate::model::event::stable_hash;
use crate::model::ids::ExchangeId;
use crate::model::money::Cpm;
use crate::model::targeting::MediaType;

/// Prices of so many hours of the day are learned together.
const HOURS: i64 = 4;

/// What tells the narrowest places apart.
#[derive(Clone, Copy, Debug)]
pub struct MarketFacts<'r> {
    /// `imp.tagid`.
    pub slot: Option<&'r str>,
    /// The deal that is bid on.
    pub deal: Option<&'r str>,
    /// The floor that the bid answers to, in its currency.
    pub floor: Cpm,
    /// When, in seconds since the Unix epoch.
    pub unix_s: i64,
}

/// [`Evidence::market`](crate::model::event::Evidence): slot, deal, floor by doublings and block of hours of the UTC day. The
/// same in every version of this program, because places are kept.
pub fn market(facts: &MarketFacts<'_>) -> u64 {
    let floor = u64::from(u64::BITS - facts.floor.0.max(0).unsigned_abs().leading_zeros());
    let hours = (facts.unix_s.div_euclid(3_600).rem_euclid(24) / HOURS) as u64;
    let text = |text: Option<&str>| text.map_or(0, stable_hash);
    let parts = [text(facts.deal), floor, hours];
    parts.into_iter().fold(text(facts.slot), |hash, part| (hash ^ part).wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

/// The place of a bid, from wide to narrow: exchange; with medium and size; with site or app
/// ([`Place::inventory`](crate::model::event::Place)); with what [`market`] tells apart.
pub fn place(
    exchange: ExchangeId,
    (media, size): (MediaType, Option<Size>),
    inventory: u64,
    market: u64,
) -> Place {
    let size = size.map_or(0, |size| u64::from(size.w) << 16 | u64::from(size.h));
    Place::new([u64::from(exchange.0), (media as u64) << 32 | size, inventory, market])
}
