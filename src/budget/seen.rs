//! What is known of each bid after its answer: one byte a bid in pages by (epoch, core), so that every event counts
//! once and a bid is charged at most once, whatever URLs and repetitions arrive.
//!
//! Pages are dropped in order once they are older than a token may be; a bid of a dropped page is stale for good.

use crate::model::ids::BidId;
use std::collections::{BTreeMap, HashMap};

/// Facts about one bid; a bit each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Seen {
    /// Its money went back (loss).
    Voided = 1,
    /// It was charged.
    Posted = 2,
    /// A win notice came.
    Won = 4,
    /// An impression came.
    Impressed = 8,
    /// A click came.
    Clicked = 16,
    /// A loss notice came.
    Lost = 32,
}

const PAGE: u64 = 4_096;

/// The bids that notices have named.
#[derive(Debug, Default)]
pub struct SeenBids {
    cores: HashMap<(u32, u16), Pages>,
}

#[derive(Debug, Default)]
struct Pages {
    pages: BTreeMap<u64, Page>,
    /// Every sequence below is stale.
    horizon: u64,
}

#[derive(Debug)]
struct Page {
    bits: Box<[u8]>,
    /// The youngest bid on the page that a notice named, seconds since the Unix epoch.
    newest_s: u32,
    /// The last bid on the page that a notice named. Bids behind it may yet be made, on a quiet core hours later.
    last: u64,
}

impl SeenBids {
    /// Whether the bid's page was dropped.
    pub fn is_stale(&self, bid: BidId) -> bool {
        self.cores.get(&(bid.epoch, bid.core)).is_some_and(|pages| bid.sequence < pages.horizon)
    }

    /// Whether `fact` is known of the bid.
    pub fn has(&self, bid: BidId, fact: Seen) -> bool {
        let page = self.cores.get(&(bid.epoch, bid.core)).and_then(|c| c.pages.get(&(bid.sequence / PAGE)));
        page.is_some_and(|page| page.bits[(bid.sequence % PAGE) as usize] & fact as u8 != 0)
    }

    /// Records `fact`; returns whether it is new.
    pub fn record(&mut self, bid: BidId, issued_s: u32, fact: Seen) -> bool {
        let pages = self.cores.entry((bid.epoch, bid.core)).or_default();
        let page = pages.pages.entry(bid.sequence / PAGE).or_insert_with(|| Page {
            bits: vec![0; PAGE as usize].into(),
            newest_s: 0,
            last: 0,
        });
        page.newest_s = page.newest_s.max(issued_s);
        page.last = page.last.max(bid.sequence);
        let bits = &mut page.bits[(bid.sequence % PAGE) as usize];
        let new = *bits & fact as u8 == 0;
        *bits |= fact as u8;
        new
    }

    /// Drops, in order, the pages whose named bids were all issued before `issued_before_s`. Stale from then on is what
    /// is not younger than the last of them: bids are numbered in the order in which they are made.
    pub fn drop_before(&mut self, issued_before_s: u32) {
        for pages in self.cores.values_mut() {
            while let Some(first) = pages.pages.first_entry()
                && first.get().newest_s < issued_before_s
            {
                pages.horizon = first.get().last + 1;
                first.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fact_counts_once_and_old_pages_are_stale() {
        let mut seen = SeenBids::default();
        let bid = |sequence| BidId { epoch: 7, core: 1, sequence };
        assert!(seen.record(bid(5), 100, Seen::Posted));
        assert!(!seen.record(bid(5), 100, Seen::Posted));
        assert!(
            seen.has(bid(5), Seen::Posted) && !seen.has(bid(5), Seen::Won) && !seen.has(bid(6), Seen::Posted)
        );
        assert!(seen.record(bid(PAGE), 500, Seen::Won));
        seen.drop_before(200);
        assert!(seen.is_stale(bid(5)) && !seen.is_stale(bid(PAGE)));
    }

    #[test]
    fn a_bid_made_after_a_quiet_night_is_not_stale() {
        let mut seen = SeenBids::default();
        let bid = |sequence| BidId { epoch: 7, core: 1, sequence };
        assert!(seen.record(bid(5), 100, Seen::Posted));
        seen.drop_before(200);
        assert!(seen.is_stale(bid(4)) && seen.is_stale(bid(5)) && !seen.is_stale(bid(6)));
        assert!(seen.record(bid(6), 900, Seen::Posted) && !seen.record(bid(6), 900, Seen::Posted));
        seen.drop_before(200);
        assert!(!seen.is_stale(bid(6)) && seen.has(bid(6), Seen::Posted));
    }
}
