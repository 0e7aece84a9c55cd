//! Who is left of the candidates for an impression, best first.
//!
//! Each has an upper bound of what it could offer. Where a value rests on a prediction, the bound at first is that of an
//! outcome which is certain, mostly the cap of the line item. The prediction is made when nobody has a higher bound, which
//! then falls to what is expected. So survivors come in the order in which they would if all were predicted, while those
//! whose cap is below the best offer cost no prediction.

use super::catalog::Head;
use super::context::{Core, Request};
use super::decide::{Place, Reasons};
use super::observer::{Observer, Rejection};
use crate::model::mix::splitmix64;
use crate::model::money::{Cpm, PPM};
use crate::model::no_bid::NoBidReason;
use crate::model::rates::{Rates, Round};
use crate::pricing::Predicted;
use crate::pricing::pacing::Level;
use crate::targeting::LineItemIx;
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

/// A line item that the index found eligible, with the most that it could offer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Survivor {
    /// In the bid's currency.
    pub(super) upper: Cpm,
    pub(super) line_item: LineItemIx,
    /// Its value rests on a prediction that was not made yet.
    unpredicted: bool,
    /// What is expected of it; zeros where its value rests on nothing of that.
    pub(super) predicted: Predicted,
}

impl Survivor {
    /// Whether its value rests on a prediction that was not made yet.
    pub(super) fn is_unpredicted(&self) -> bool {
        self.unpredicted
    }

    fn key(&self) -> (Cpm, Reverse<LineItemIx>) {
        (self.upper, Reverse(self.line_item))
    }
}

impl Ord for Survivor {
    fn cmp(&self, other: &Survivor) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl PartialOrd for Survivor {
    fn partial_cmp(&self, other: &Survivor) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Survivor {
    fn eq(&self, other: &Survivor) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Survivor {}

/// Those of one impression, in buffers that are used again.
#[derive(Debug, Default)]
pub(super) struct Survivors {
    /// They bid on deals only; all are predicted, by falling upper bound, as each deal goes over them.
    pub(super) with_deals: Vec<Survivor>,
    /// The others, which bid in the open auction only.
    pub(super) open: BinaryHeap<Survivor>,
}

/// What the index finds, less what is not active or not in flight, and of each kind no more than may be scored.
pub(super) fn collect<O: Observer>(
    request: &Request<'_>,
    core: &mut Core,
    observer: &mut O,
    place: &Place<'_>,
    seed: u64,
    reasons: &mut Reasons,
) {
    let mut with_deals = std::mem::take(&mut core.survivors.with_deals);
    let mut open = std::mem::take(&mut core.survivors.open).into_vec();
    with_deals.clear();
    open.clear();
    let catalog = request.catalog();
    let found = catalog.matcher().candidates(place.imp, &mut core.scratch);
    observer.candidates(place.position, found);
    let shown_ms = place.imp.shown_ms(request.now.unix_ms);
    let rates = &request.snapshot.rates;
    // In a large account they lie far apart: each would be a wait of its own.
    found.iter().for_each(|ix| catalog.head(*ix).announce());
    for ix in found {
        let head = catalog.head(*ix);
        let level = head.level.get();
        match head.eligible(shown_ms).and_then(|()| passes(&level, seed, *ix)) {
            Ok(()) => {
                let upper = in_currency(rates, upper_bound(head, &level, head.upper_value), head, place);
                let (unpredicted, predicted) = (head.predicts, Predicted::default());
                let kind = if head.has_deals { &mut with_deals } else { &mut open };
                kind.push(Survivor { upper, line_item: *ix, unpredicted, predicted });
            }
            Err(reason) => {
                observer.rejected(place.position, *ix, &Rejection::of(reason));
                reasons.add(reason);
            }
        }
    }
    core.last_survivors.push((with_deals.len() + open.len()) as u32);
    let most = request.settings.max_candidates;
    let mut rank = |survivors: &mut Vec<Survivor>| {
        for survivor in &mut *survivors {
            expect(request, core, place, seed, survivor);
        }
        survivors.sort_unstable_by(|a, b| b.cmp(a));
        for survivor in survivors.iter().skip(most) {
            let beyond = Rejection::of(NoBidReason::LostInternal);
            observer.rejected(place.position, survivor.line_item, &beyond);
        }
        survivors.truncate(most);
    };
    rank(&mut with_deals);
    if open.len() > most {
        rank(&mut open);
    }
    core.survivors = Survivors { with_deals, open: BinaryHeap::from(open) };
}

/// Takes the best survivor that bids in the open auction, unless it could offer less than `least`.
pub(super) fn next_open(
    request: &Request<'_>,
    core: &mut Core,
    place: &Place<'_>,
    seed: u64,
    least: Option<Cpm>,
) -> Option<Survivor> {
    let mut open = std::mem::take(&mut core.survivors.open);
    let next = loop {
        let Some(mut best) = open.peek_mut() else { break None };
        if least.is_some_and(|least| least > best.upper) {
            break None;
        }
        if !best.unpredicted {
            break Some(PeekMut::pop(best));
        }
        // It finds its place anew when it is let go of.
        expect(request, core, place, seed, &mut best);
    };
    core.survivors.open = open;
    next
}

/// Looks what may come of a survivor whose value rests on it, and lowers its bound to that.
fn expect(request: &Request<'_>, core: &mut Core, place: &Place<'_>, seed: u64, survivor: &mut Survivor) {
    if !std::mem::take(&mut survivor.unpredicted) {
        return;
    }
    core.foresee(request, place.imp);
    let catalog = request.catalog();
    let (head, prospect) = (catalog.head(survivor.line_item), catalog.prospect(survivor.line_item));
    survivor.predicted = core.predict(request, prospect, seed);
    let level = head.level.get();
    let upper = upper_bound(head, &level, prospect.upper_value(&survivor.predicted));
    survivor.upper = in_currency(&request.snapshot.rates, upper, head, place);
}

/// The most that a line item could bid whose value times multipliers is at most `value`. What a guaranteed deal asks for is bid
/// whatever pacing says.
fn upper_bound(head: &Head, level: &Level, value: Cpm) -> Cpm {
    let kappa_ppm = if head.has_deals { level.kappa_ppm.max(PPM) } else { level.kappa_ppm };
    value.scale_ppm(kappa_ppm).min(head.max_bid)
}

fn in_currency(rates: &Rates, upper: Cpm, head: &Head, place: &Place<'_>) -> Cpm {
    rates.convert(upper, head.currency, place.currency, Round::Up).unwrap_or(Cpm::MAX)
}

/// Whether this request is among those that pacing lets a line item look at.
fn passes(level: &Level, seed: u64, ix: LineItemIx) -> Result<(), NoBidReason> {
    /// Keeps these draws apart from those of rotation and ties.
    const SALT: u64 = 0x7061_6369_6E67_0000;
    let drawn = || ((u128::from(splitmix64(seed ^ SALT ^ u64::from(ix.0))) * PPM as u128) >> 64) as u32;
    if level.pass_ppm >= PPM as u32 || drawn() < level.pass_ppm { Ok(()) } else { Err(NoBidReason::Pacing) }
}
