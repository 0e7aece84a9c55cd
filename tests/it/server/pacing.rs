//! Spending on plan, over HTTP, through days that pass as the test says.

use super::{Server, Setup, good_request, notice_url};
use outbid::model::account::Account;
use outbid::model::clock::{Clock, FixedClock, Now};
use outbid::model::line_item::{Pacing, PacingMode, PacingPeriod, Strategy};
use outbid::model::money::{Cpm, Nanos};
use outbid::model::targeting::SegmentRule;
use outbid::targeting::LineItemIx;
use std::path::Path;
use std::sync::Arc;

/// A midnight in UTC, where the demo's advertiser is.
const MIDNIGHT_MS: i64 = 1_799_971_200_000;
const SLOT_MS: u64 = 900_000;
/// Nine requests in every quarter of an hour of a day.
const SLOTS: usize = 96;
const REQUESTS: usize = 9;
/// Hours of a day.
const PER_HOUR: usize = SLOTS / 24;

struct Day {
    server: Server,
    clock: Arc<FixedClock>,
}

/// The first line item alone, which bids 30.00 and may spend a third of what the day offers.
fn day(home: Option<&Path>, change: impl FnOnce(&mut Account)) -> Day {
    day_from(0, home, change)
}

/// The same, begun so many slots after midnight.
fn day_from(slot: i64, home: Option<&Path>, change: impl FnOnce(&mut Account)) -> Day {
    let unix_ms = MIDNIGHT_MS + slot * SLOT_MS as i64;
    let clock = Arc::new(FixedClock::at(Now { mono_ns: 1_000_000_000_000, unix_ms }));
    let setup = Setup::demo().clock(Arc::clone(&clock) as Arc<dyn Clock>).account(|account| {
        account.line_items.truncate(1);
        account.advertisers[0].time_zone = "UTC".to_owned();
        account.advertisers[0].data_fee = Cpm(0);
        account.advertisers[0].platform_ppm = 0;
        let line = &mut account.line_items[0];
        (line.bid, line.max_bid) = (Cpm(30_000_000), Cpm(30_000_000));
        line.targeting.segments = SegmentRule::default();
        line.budget.daily = Some(Nanos(30_000_000 * (SLOTS * REQUESTS) as i64 / 3));
        line.pacing = Pacing { mode: PacingMode::Even, period: PacingPeriod::Daily };
        line.strategy = Strategy::FixedCpm;
        change(account);
    });
    let setup = match home {
        Some(home) => setup.home(home),
        None => setup,
    };
    Day { server: setup.start(), clock }
}

impl Day {
    /// A quarter of an hour with its requests; every bid is won at its price and billed. Returns what was charged.
    fn slot(&self, nth: usize) -> i64 {
        self.server.shared.pace();
        let mut spent = 0;
        for request in 0..REQUESTS {
            let reply = self.server.bid("demo", &good_request(&format!("{nth}-{request}")));
            if reply.status == 200 {
                let bid = reply.json()["seatbid"][0]["bid"][0].clone();
                let url = notice_url(&bid, "burl", &bid["price"].to_string());
                assert_eq!(self.server.track("GET", &url).status, 204);
                spent += (bid["price"].as_f64().unwrap() * 1e6).round() as i64;
            }
        }
        self.clock.advance_ms(SLOT_MS);
        // The cores take the leap for a long queue and shed, until their next heartbeats, which come in real time.
        std::thread::sleep(std::time::Duration::from_millis(25));
        self.server.shared.ledger().gates().hear(self.clock.now());
        spent
    }

    fn slots(&self, range: std::ops::Range<usize>) -> i64 {
        range.map(|nth| self.slot(nth)).sum()
    }

    fn level(&self) -> (i64, u32) {
        let snapshot = self.server.shared.snapshots().load();
        let level = snapshot.catalog.levels().get(LineItemIx(0));
        (level.kappa_ppm, level.pass_ppm)
    }
}

#[test]
fn an_even_line_item_spends_with_the_day_and_an_eager_one_at_once() {
    let budget = 30_000_000 * (SLOTS * REQUESTS) as i64 / 3;
    let even = day(None, |_| {});
    let (morning, afternoon) = (even.slots(0..SLOTS / 2), even.slots(SLOTS / 2..SLOTS));
    let share = |spent: i64| spent as f64 / budget as f64;
    assert!((0.35..0.6).contains(&share(morning)), "by noon {:.3}", share(morning));
    let all = share(morning + afternoon);
    assert!((0.93..=1.0).contains(&all), "by midnight {all:.3}");
    let eager = day(None, |account| account.line_items[0].pacing.mode = PacingMode::Asap);
    assert!(share(eager.slots(0..SLOTS * 4 / 10)) > 0.99);
    assert_eq!(eager.level(), (1_000_000, 1_000_000));
}

#[test]
fn a_maximum_is_lowered_and_a_fixed_price_is_not() {
    let spent = |strategy: Strategy| {
        let day = day(None, |account| account.line_items[0].strategy = strategy);
        day.slots(0..SLOTS / 4);
        day.level()
    };
    let (kappa_ppm, pass_ppm) = spent(Strategy::FixedCpm);
    assert!(kappa_ppm == 1_000_000 && (100_000..700_000).contains(&pass_ppm), "{kappa_ppm} {pass_ppm}");
    let (kappa_ppm, pass_ppm) = spent(Strategy::MaxCpm);
    assert!(kappa_ppm < 500_000, "{kappa_ppm} {pass_ppm}");
}

#[test]
fn a_restart_in_mid_day_goes_on_where_it_was() {
    let home = tempfile::tempdir().unwrap();
    let max_cpm = |account: &mut Account| account.line_items[0].strategy = Strategy::MaxCpm;
    let before = {
        let day = day(Some(home.path()), max_cpm);
        day.slots(0..20);
        day.server.shared.pace();
        day.level()
    };
    let again = day_from(20, Some(home.path()), max_cpm);
    let after = again.level();
    let ratio = after.0 as f64 / before.0 as f64;
    assert!((0.95..=1.05).contains(&ratio) && after.1 == before.1, "{before:?} {after:?}");
    let fresh = day(None, max_cpm);
    fresh.server.shared.pace();
    assert_eq!(fresh.level(), (500_000, 100_000), "who is new begins slowly");
}

#[test]
fn closed_hours_are_left_out_of_the_plan() {
    let budget = 30_000_000 * (SLOTS * REQUESTS) as i64 / 9;
    let day = day(None, |account| {
        let line = &mut account.line_items[0];
        line.budget.daily = Some(Nanos(budget));
        let mut hours = outbid::model::targeting::HourMask::NONE;
        (0..168).filter(|hour| (6..14).contains(&(hour % 24))).for_each(|hour| hours.insert(hour));
        let time_zone = "UTC".to_owned();
        line.targeting.daypart = Some(outbid::model::targeting::Daypart { hours, time_zone });
    });
    let by_hours: Vec<f64> = (0..24)
        .map(|hour| day.slots(hour * PER_HOUR..(hour + 1) * PER_HOUR) as f64 / budget as f64)
        .collect();
    assert!(by_hours[..6].iter().chain(&by_hours[14..]).all(|spent| *spent == 0.0), "{by_hours:.2?}");
    let open: f64 = by_hours[6..14].iter().sum();
    assert!((0.9..=1.0).contains(&open), "{open:.3} {by_hours:.2?}");
    assert!(by_hours[6..14].iter().all(|spent| *spent < 0.4), "{by_hours:.2?}");
    // Its own, and that of its campaign's budget.
    assert_eq!(day.server.metric("outbid_pacing_controllers{state=\"paced\"}"), 2);
}
