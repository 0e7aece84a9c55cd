//! What the journal knows of the traffic with an exchange: what was held for it within a token's life, and what share
//! of its bids were billed. So a restart forgets neither what the house may still come to bear nor that an exchange
//! had fallen silent; at most the last minute before a crash.
//!
//! Invariant: a state that [`Event::Traffic`](super::record::Event::Traffic) alone moves, in bounded space.

use super::record;
use std::collections::VecDeque;

/// See the module. Amounts are units: nanos of the exchange's own currency.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// (seconds since the Unix epoch, units held in the minutes before), the oldest first.
    held: VecDeque<(u32, i64)>,
    /// The last record: what share of bids were billed, and how many went unbilled since.
    last: record::Traffic,
}

impl Traffic {
    /// Takes a record in. What is older than a token's life by then can cost nobody anything.
    pub(super) fn add(&mut self, part: &record::Traffic, token_life_s: u32) {
        let oldest_s = part.at_s.saturating_sub(token_life_s);
        self.held.retain(|(at_s, _)| *at_s >= oldest_s);
        if part.units > 0 {
            self.held.push_back((part.at_s, part.units));
        }
        self.last = *part;
    }

    /// What was held, with the moments: seconds since the Unix epoch, the oldest first.
    pub fn held(&self) -> impl Iterator<Item = (u32, i64)> + '_ {
        self.held.iter().copied()
    }

    /// Bids up to the last bill, within the window of the rate.
    pub fn bids(&self) -> u64 {
        self.last.bids
    }

    /// The bills of those.
    pub fn bills(&self) -> u64 {
        self.last.bills
    }

    /// Bids since the last bill whose bills should have come.
    pub fn silent(&self) -> u64 {
        self.last.silent
    }

    /// As an image keeps it: the parts, of which only the last says anything but units.
    pub(super) fn records(&self) -> Vec<record::Traffic> {
        let part = |(at_s, units): &(u32, i64)| record::Traffic {
            exchange: self.last.exchange,
            at_s: *at_s,
            units: *units,
            ..record::Traffic::default()
        };
        let mut parts: Vec<record::Traffic> = self.held.iter().map(part).collect();
        parts.push(record::Traffic { units: 0, ..self.last });
        parts
    }

    /// What [`Traffic::records`] made, read back.
    pub(super) fn restore(&mut self, part: &record::Traffic) {
        if part.units > 0 {
            self.held.push_back((part.at_s, part.units));
        }
        self.last = *part;
    }
}

#[cfg(test)]
mod tests {
    use super::super::journal::{MemoryStorage, Options};
    use super::super::{
        Bill, CoreBudget, ExchangeReport, ExchangeTerms, Funding, GateState, HoldRequest, HoldSource,
        JournalLog, Ledger, RunawayRule,
    };
    use super::*;
    use crate::model::clock::Now;
    use crate::model::ids::{AdvertiserId, BidId, CampaignId, CreativeId, ExchangeId, LineItemId, UserKey};
    use crate::model::line_item::Budget;
    use crate::model::money::{Cpm, Currency, Nanos, PPM};
    use crate::model::rates::{Rate, Rates};
    use crate::model::token::{HoldFormat, TokenClaims};
    use std::sync::Arc;

    fn part(at_s: u32, units: i64, silent: u64) -> record::Traffic {
        record::Traffic { exchange: 3, at_s, units, bids: 100, bills: 40, silent }
    }

    #[test]
    fn what_is_older_than_a_token_is_forgotten_and_the_rest_survives_an_image() {
        let mut traffic = Traffic::default();
        for (at_s, units, silent) in [(1_000, 5, 0), (1_060, 0, 7), (1_120, 9, 9)] {
            traffic.add(&part(at_s, units, silent), 100);
        }
        assert_eq!(traffic.held().collect::<Vec<_>>(), [(1_120, 9)]);
        assert_eq!((traffic.bids(), traffic.bills(), traffic.silent()), (100, 40, 9));
        let mut again = Traffic::default();
        traffic.records().iter().for_each(|part| again.restore(part));
        assert_eq!(again.records(), traffic.records());
        assert_eq!(again.silent(), 9);
    }

    const TERMS: ExchangeTerms = ExchangeTerms {
        id: ExchangeId(3),
        currency: Currency::USD,
        first_trust: None,
        house_day_max: None,
        deaf_check: true,
        lives_s: [10; HoldFormat::COUNT],
        max_hold_s: 20,
    };

    fn funding() -> Funding {
        Funding {
            line_item: LineItemId(1),
            line_item_budget: Budget::default(),
            campaign: CampaignId(1),
            campaign_budget: Budget::default(),
            advertiser: AdvertiserId(1),
            wallet: Nanos(1_000_000_000_000),
            time_zone: "UTC".to_owned(),
            currency: Currency::USD,
            version: 1,
        }
    }

    /// One life of a process on a directory.
    struct Life {
        ledger: Arc<Ledger>,
        core: CoreBudget,
        now: Now,
        made: u64,
        /// Between bids.
        step_ms: u64,
        /// How old a bid is when it is billed, as far as its bill says.
        age_s: u32,
    }

    impl Life {
        fn begin(storage: &MemoryStorage, epoch: u32, now: Now) -> Life {
            let (log, books) = JournalLog::open(Box::new(storage.clone()), Options::default()).unwrap();
            let ledger = Arc::new(Ledger::inline(books, Box::new(log), epoch, 1, now));
            let rates = Arc::new(Rates::new(Currency::USD));
            ledger.configure_exchanges(vec![TERMS], rates, RunawayRule::default(), now);
            ledger.configure(vec![(funding(), Nanos(1_000_000))], now).unwrap();
            Life {
                core: CoreBudget::new(0, Arc::clone(&ledger)),
                ledger,
                now,
                made: 0,
                step_ms: 1_000,
                age_s: 0,
            }
        }

        fn pass(&mut self, ms: u64) {
            let Now { mono_ns, unix_ms } = self.now;
            self.now = Now { mono_ns: mono_ns + ms * 1_000_000, unix_ms: unix_ms + ms as i64 };
            self.ledger.tick(self.now);
        }

        /// So many bids one after the other, each billed at once or none.
        fn bid(&mut self, bids: u64, billed: bool) {
            for _ in 0..bids {
                self.pass(self.step_ms);
                let request = HoldRequest {
                    line_item: LineItemId(1),
                    amount: Nanos(1_000_000),
                    unit_rate: Rate::ONE,
                    exchange: TERMS.id,
                    format: HoldFormat::WebBanner,
                    life_s: 10,
                    slot_s: 1,
                    now: self.now,
                };
                let Ok(granted) = self.core.try_hold(&request) else { continue };
                granted.hold.keep();
                self.made += 1;
                let claims = TokenClaims {
                    exchange: TERMS.id,
                    bid: BidId { epoch: self.ledger.epoch(), core: 0, sequence: self.made },
                    lease: granted.lease,
                    bucket: granted.bucket,
                    line_item: LineItemId(1),
                    creative: CreativeId(1),
                    issued_s: self.now.unix_s() as u32 - self.age_s,
                    price: Cpm(1_000_000),
                    currency: Currency::USD,
                    rate: Rate::ONE,
                    data_fee: Cpm(0),
                    platform_ppm: 0,
                    multiplier_ppm: PPM,
                    budget_day: granted.day.0,
                    test: false,
                    user: UserKey(0),
                    deal: None,
                };
                if billed {
                    self.ledger.post(&claims, Bill::at(claims.price), self.now);
                }
            }
        }

        fn report(&self) -> ExchangeReport {
            self.ledger.exchange_reports(self.now).remove(0)
        }
    }

    #[test]
    fn what_was_billed_before_a_pause_is_not_waited_for() {
        let start = Now { mono_ns: 0, unix_ms: 1_790_000_000_000 };
        let mut life = Life { step_ms: 20, age_s: 8, ..Life::begin(&MemoryStorage::new(), 1, start) };
        for _ in 0..3 {
            life.bid(50, true);
            (0..100).for_each(|_| life.pass(1_000));
            assert_eq!(life.report().state, GateState::Open);
        }
    }

    /// A11 with a restart inside: an exchange that billed for every bid falls silent, and the process forgets all.
    #[test]
    fn a_restart_forgets_neither_silence_nor_what_is_held() {
        let storage = MemoryStorage::new();
        let start = Now { mono_ns: 0, unix_ms: 1_790_000_000_000 };
        let mut life = Life::begin(&storage, 1, start);
        life.bid(180, true);
        assert_eq!(life.report().state, GateState::Open);
        let (held, now) = (life.report().bound.0 - life.report().house_limit.0, life.now);
        drop(life);
        let mut life = Life::begin(&storage, 2, Now { mono_ns: 5, ..now });
        let known = life.report().bound.0 - life.report().house_limit.0;
        assert!(known >= held * 2 / 3 && known <= held, "{known} of {held}");
        life.bid(60, false);
        assert!(life.report().is_deaf, "{:?}", life.report());
        // Deaf it was, deaf it is.
        life.bid(60, false);
        let now = life.now;
        drop(life);
        let mut life = Life::begin(&storage, 3, Now { mono_ns: 5, ..now });
        assert_eq!(life.report().state, GateState::Probing);
        life.bid(3, true);
        assert!(!life.report().is_deaf);
    }
}
