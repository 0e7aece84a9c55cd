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
#[derive(Clone, Debug, Default)]
pub struct SeenBids {
    cores: HashMap<(u32, u16), Pages>,
}

#[derive(Clone, Debug, Default)]
struct Pages {
    pages: BTreeMap<u64, Page>,
    /// Every sequence below is stale.
    horizon: u64,
}

#[derive(Clone, Debug)]
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
        self.record_bit(bid, issued_s, fact as u8)
    }

    /// Records a fact whose bits are the caller's own, in a list of its own; returns whether it is new.
    pub fn record_bit(&mut self, bid: BidId, issued_s: u32, fact: u8) -> bool {
        let pages = self.cores.entry((bid.epoch, bid.core)).or_default();
        let page = pages.pages.entry(bid.sequence / PAGE).or_insert_with(|| Page {
            bits: vec![0; PAGE as usize].into(),
            newest_s: 0,
            last: 0,
        });
        page.newest_s = page.newest_s.max(issued_s);
        page.last = page.last.max(bid.sequence);
        let bits = &mut page.bits[(bid.sequence % PAGE) as usize];
        let new = *bits & fact == 0;
        *bits |= fact;
        new
    }

    /// (epoch, core, first sequence still known) for every core whose oldest pages name only bids that were issued
    /// before `issued_before_s`. Stale from then on is what is not younger than the last of them: bids are numbered in
    /// the order in which they are made.
    pub fn droppable(&self, issued_before_s: u32) -> Vec<(u32, u16, u64)> {
        let old = |pages: &Pages| {
            let pages = pages.pages.values().take_while(|page| page.newest_s < issued_before_s);
            pages.last().map(|page| page.last + 1)
        };
        let cores = self.cores.iter().filter_map(|((epoch, core), pages)| Some((*epoch, *core, old(pages)?)));
        let mut found: Vec<_> = cores.collect();
        found.sort_unstable();
        found
    }

    /// Forgets every bid of a core below `sequence`: they are stale from now on. A horizon never falls.
    pub fn forget_below(&mut self, epoch: u32, core: u16, sequence: u64) {
        let pages = self.cores.entry((epoch, core)).or_default();
        pages.horizon = pages.horizon.max(sequence);
        let horizon = pages.horizon;
        pages.pages.retain(|_, page| page.last >= horizon);
    }

    /// Drops, in order, the pages whose bids were all issued before `issued_before_s`.
    pub fn drop_before(&mut self, issued_before_s: u32) {
        for (epoch, core, sequence) in self.droppable(issued_before_s) {
            self.forget_below(epoch, core, sequence);
        }
    }

    /// The horizons above zero, in order.
    pub(super) fn horizons(&self) -> Vec<(u32, u16, u64)> {
        let all = self.cores.iter().filter(|(_, pages)| pages.horizon > 0);
        let mut sorted: Vec<_> = all.map(|((epoch, core), pages)| (*epoch, *core, pages.horizon)).collect();
        sorted.sort_unstable();
        sorted
    }

    /// The pages with a bid of which `fact` is known, in order.
    pub(super) fn pages_with(&self, fact: Seen) -> Vec<FactPage> {
        let mut sorted = Vec::new();
        for ((epoch, core), pages) in &self.cores {
            for (number, page) in &pages.pages {
                let mut bits = vec![0u8; PAGE as usize / 8];
                for (at, facts) in page.bits.iter().enumerate() {
                    bits[at / 8] |= u8::from(facts & fact as u8 != 0) << (at % 8);
                }
                if bits.iter().any(|byte| *byte != 0) {
                    let (epoch, core, number) = (*epoch, *core, *number);
                    sorted.push(FactPage { epoch, core, number, newest_s: page.newest_s, bits });
                }
            }
        }
        sorted.sort_by_key(|page| (page.epoch, page.core, page.number));
        sorted
    }

    /// Makes `fact` known of the bids of a page, as [`SeenBids::pages_with`] wrote it.
    pub(super) fn restore_page(&mut self, page: &FactPage, fact: Seen) {
        let first = page.number * PAGE;
        let known =
            (0..PAGE).filter(|at| page.bits.get((at / 8) as usize).is_some_and(|b| b >> (at % 8) & 1 == 1));
        for at in known {
            let bid = BidId { epoch: page.epoch, core: page.core, sequence: first + at };
            self.record(bid, page.newest_s, fact);
        }
    }
}

/// Of which bids of a page a fact is known.
pub(super) struct FactPage {
    pub(super) epoch: u32,
    pub(super) core: u16,
    /// Position of the page in the core's sequence.
    pub(super) number: u64,
    /// The youngest bid on it that a notice named, seconds since the Unix epoch.
    pub(super) newest_s: u32,
    /// One bit a bid, in order.
    pub(super) bits: Vec<u8>,
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
