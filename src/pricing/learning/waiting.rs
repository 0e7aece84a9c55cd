//! Bids whose outcome is not known yet.

use crate::model::ids::{BidId, CampaignId};
use crate::model::money::Cpm;
use crate::pricing::shading::Place;
use std::cmp::Reverse;
use std::collections::hash_map::Entry;
use std::collections::{BinaryHeap, HashMap};

/// What is known of a bid's fate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Heard {
    /// Nothing yet.
    Nothing,
    /// It won or lost, and that was learned; or nobody could have heard.
    Outcome,
}

/// A bid that may still win, lose, or be shown.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Waiting {
    pub(super) place: Place,
    pub(super) price: Cpm,
    pub(super) base_price: Cpm,
    pub(super) first_price: bool,
    pub(super) heard: Heard,
    pub(super) campaign: CampaignId,
    /// Empty once it was shown.
    pub(super) features: Box<[u32]>,
}

impl Waiting {
    /// A price in the bid's currency in the base currency of the rates, by the bid's own.
    pub(super) fn in_base(&self, price: Cpm) -> Option<Cpm> {
        if self.price.0 <= 0 || price.0 <= 0 {
            return None;
        }
        let base = i128::from(price.0) * i128::from(self.base_price.0) / i128::from(self.price.0);
        i64::try_from(base).ok().map(Cpm).filter(|price| *price > Cpm(0))
    }
}

/// Bids by id and by the end of their time, bounded.
#[derive(Debug)]
pub(super) struct Queue {
    bids: HashMap<BidId, (i64, Waiting), foldhash::fast::RandomState>,
    ends: BinaryHeap<Reverse<(i64, BidId)>>,
    capacity: usize,
}

impl Queue {
    pub(super) fn new(capacity: usize) -> Queue {
        Queue { bids: HashMap::default(), ends: BinaryHeap::new(), capacity: capacity.max(1) }
    }

    pub(super) fn len(&self) -> usize {
        self.bids.len()
    }

    /// Adds a bid, which is made only then; `false` = there is no room, or it is there already.
    pub(super) fn push(&mut self, id: BidId, until_ms: i64, bid: impl FnOnce() -> Waiting) -> bool {
        if self.bids.len() >= self.capacity {
            return false;
        }
        let Entry::Vacant(place) = self.bids.entry(id) else { return false };
        place.insert((until_ms, bid()));
        self.ends.push(Reverse((until_ms, id)));
        true
    }

    pub(super) fn get_mut(&mut self, id: BidId) -> Option<&mut Waiting> {
        self.bids.get_mut(&id).map(|(_, bid)| bid)
    }

    /// Takes out a bid whose time was over at `now_ms`, the oldest first.
    pub(super) fn expired(&mut self, now_ms: i64) -> Option<Waiting> {
        let Reverse((until_ms, id)) = *self.ends.peek()?;
        if until_ms > now_ms {
            return None;
        }
        self.ends.pop();
        self.bids.remove(&id).map(|(_, bid)| bid)
    }

    /// The outcome of none of them is learned any more.
    pub(super) fn forgive(&mut self) {
        self.bids.values_mut().for_each(|(_, bid)| bid.heard = Heard::Outcome);
    }

    /// All of them, in an order of their own.
    pub(super) fn in_order(&self) -> Vec<(BidId, i64, &Waiting)> {
        let mut all: Vec<_> = self.bids.iter().map(|(id, (until_ms, bid))| (*id, *until_ms, bid)).collect();
        all.sort_unstable_by_key(|(id, until_ms, _)| (*until_ms, *id));
        all
    }
}
