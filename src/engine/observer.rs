//! What a decision can be watched by. Serving plugs in nothing and pays nothing; explaining plugs in a recorder.

use crate::audience::Lookup;
use crate::model::money::{Cpm, Currency};
use crate::model::no_bid::NoBidReason;
use crate::pricing::shading::Place;
use crate::pricing::{Factors, Offer};
use crate::privacy::Permissions;
use crate::targeting::LineItemIx;

/// Why a line item may not bid in a place of an impression.
#[derive(Clone, Copy, Debug)]
pub struct Rejection<'a> {
    /// The reason.
    pub reason: NoBidReason,
    /// The deal; `None` = the open auction, or every place.
    pub deal: Option<&'a str>,
    /// The offer that was under the floor or could not be held.
    pub offer: Option<&'a Offer>,
}

impl Rejection<'_> {
    /// A rejection before any offer and for every place.
    pub fn of(reason: NoBidReason) -> Rejection<'static> {
        Rejection { reason, deal: None, offer: None }
    }
}

/// Where a line item was asked for a price, and by which rules.
#[derive(Clone, Copy, Debug)]
pub struct Market {
    /// Where prices of others are learned.
    pub place: Place,
    /// The winner pays its own bid.
    pub first_price: bool,
    /// The price was agreed on.
    pub fixed_price: bool,
    /// The deal is guaranteed: its floor is bid whatever the impression is worth.
    pub guaranteed: bool,
    /// Currency of the offer.
    pub currency: Currency,
    /// The exchange's cap, in that currency.
    pub exchange_cap: Cpm,
    /// Impressions that one play counts for, in millionths.
    pub multiplier_ppm: i64,
}

/// Watches one decision. Every method does nothing by default.
pub trait Observer {
    /// Whether everything must be looked at: then no survivor is skipped because a better one is already known.
    const EXHAUSTIVE: bool = false;

    /// The privacy gate's answer.
    fn permissions(&mut self, _permissions: &Permissions) {}
    /// What the audience index knows.
    fn audience(&mut self, _lookup: &Lookup) {}
    /// The line items that the index found for one impression (its position in the request).
    fn candidates(&mut self, _imp: usize, _found: &[LineItemIx]) {}
    /// One of them may not bid, at all or on one deal; the offer is given where there was one.
    fn rejected(&mut self, _imp: usize, _line_item: LineItemIx, _rejection: &Rejection<'_>) {}
    /// One of them made an offer, in the open auction or for a deal.
    fn offered(
        &mut self,
        _imp: usize,
        _line_item: LineItemIx,
        _deal: Option<&str>,
        _offer: &Offer,
        _factors: &Factors,
    ) {
    }
    /// One of them was asked for a price, with the offer that it would make if there were no floor; only where
    /// [`Observer::EXHAUSTIVE`].
    fn asked(
        &mut self,
        _imp: usize,
        _line_item: LineItemIx,
        _deal: Option<&str>,
        _offer: &Offer,
        _market: &Market,
    ) {
    }
    /// An offer was chosen and its money is held.
    fn chosen(&mut self, _imp: usize, _line_item: LineItemIx, _deal: Option<&str>) {}
    /// An impression gets no bid.
    fn no_bid(&mut self, _imp: usize, _reason: NoBidReason) {}
}

/// Watches nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoObserver;

impl Observer for NoObserver {}
