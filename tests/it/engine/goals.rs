//! How far pacing goes for each goal, and the slow loop of those that have a target: `Steering` with a clock that stands
//! where the test says.

use super::world::World;
use outbid::budget::Ledger;
use outbid::engine::{Steering, TICK_MS, Told, Won};
use outbid::model::clock::Now;
use outbid::model::line_item::{Pacing, PacingMode, PacingPeriod, Strategy};
use outbid::model::money::{Cpm, Nanos};
use outbid::targeting::LineItemIx;
use std::sync::Arc;

const MIDNIGHT_MS: i64 = 1_799_971_200_000;
const QUARTER_MS: i64 = 900_000;
/// What a click may cost.
const TARGET: i64 = 500_000_000;

/// One line item, whose clicks a test counts.
struct Steered {
    world: World,
    ledger: Arc<Ledger>,
    steering: Steering,
    now_ms: i64,
    won: Won,
}

impl Steered {
    fn new(strategy: Strategy, mode: PacingMode) -> Steered {
        let world = World::small(|account| {
            account.advertisers[0].time_zone = "UTC".to_owned();
            let line = &mut account.line_items[0];
            (line.strategy, line.bid, line.max_bid) = (strategy, Cpm(TARGET), Cpm(8_000_000));
            line.budget.daily = Some(Nanos(1_000_000_000));
            line.pacing = Pacing { mode, period: PacingPeriod::Daily };
        });
        let ledger = world.ledger();
        Steered { world, ledger, steering: Steering::default(), now_ms: MIDNIGHT_MS, won: Won::default() }
    }

    /// κ and the share of requests after a look at this moment.
    fn tick(&mut self) -> (i64, u32) {
        let won = self.won;
        let told = Told {
            catalog: &self.world.snapshot.catalog,
            ledger: &self.ledger,
            requests: 0,
            won: &|_| won,
            now: Now { mono_ns: 1, unix_ms: self.now_ms },
        };
        self.steering.tick(&told);
        let level = self.world.snapshot.catalog.levels().get(LineItemIx(0));
        (level.kappa_ppm, level.pass_ppm)
    }

    /// A quarter of an hour in which so much was paid for so many clicks; then a look.
    fn quarter(&mut self, spent: i64, clicks: u64) -> i64 {
        self.won.goal_spent.0 += spent;
        self.won.goal_allowed.0 += TARGET * clicks as i64;
        self.won.goal_outcomes += clicks;
        self.now_ms += QUARTER_MS;
        self.tick().0
    }

    /// A start anew: what was counted is forgotten, what was written is not.
    fn restarted(self) -> Steered {
        let steering = Steering::from_bytes(&self.steering.to_bytes()).unwrap();
        Steered { steering, won: Won::default(), ..self }
    }
}

#[test]
fn a_settled_account_begins_on_all_requests_at_the_full_value() {
    for strategy in [Strategy::FixedCpm, Strategy::MaxCpm, Strategy::TargetCpc, Strategy::MaxClicks] {
        let mut steered = Steered::new(strategy, PacingMode::Even);
        assert!(steered.tick().1 < 1_000_000, "{strategy:?}: an account that is new begins slowly");

        let mut settled = Steered::new(strategy, PacingMode::Even);
        settled.steering = Steering::settled(&settled.world.snapshot.catalog);
        let mut settled = settled.restarted();
        assert_eq!(settled.tick(), (1_000_000, 1_000_000), "{strategy:?}");
    }
}

#[test]
fn a_budget_that_nobody_spends_raises_kappa_as_far_as_the_goal_lets_it() {
    for (strategy, expected) in [
        (Strategy::FixedCpm, 1_000_000),
        (Strategy::MaxCpm, 1_000_000),
        (Strategy::MaxCpc, 1_000_000),
        (Strategy::Reach, 1_000_000),
        // Its budget would let it go to 2, and its target nowhere as long as nothing came of what was spent.
        (Strategy::TargetCpc, 1_000_000),
        (Strategy::TargetCpa, 1_000_000),
        (Strategy::TargetRoas, 1_000_000),
        (Strategy::MaxClicks, 100_000_000),
        (Strategy::MaxConversions, 100_000_000),
    ] {
        let mut steered = Steered::new(strategy, PacingMode::Even);
        let mut highest = 0;
        for _ in 0..2_000 {
            highest = highest.max(steered.tick().0);
            steered.now_ms += TICK_MS;
        }
        let (kappa_ppm, pass_ppm) = steered.tick();
        assert_eq!((kappa_ppm, highest, pass_ppm), (expected, expected, 1_000_000), "{strategy:?}");
    }
}

#[test]
fn clicks_that_cost_too_much_lower_the_bid_and_cheap_ones_raise_it_to_twice_the_value() {
    for mode in [PacingMode::Asap, PacingMode::Even] {
        let mut dear = Steered::new(Strategy::TargetCpc, mode);
        let mut cheap = Steered::new(Strategy::TargetCpc, mode);
        dear.tick();
        cheap.tick();
        let day = 0..96;
        let dear: Vec<i64> = day.clone().map(|_| dear.quarter(2 * 40 * TARGET, 40)).collect();
        assert!(dear[48..].windows(2).all(|pair| pair[1] <= pair[0]), "{dear:?}");
        assert!((100_000..500_000).contains(&dear[95]), "{dear:?}");
        let cheap: Vec<i64> = day.map(|_| cheap.quarter(40 * TARGET / 4, 40)).collect();
        assert_eq!(cheap[95], 2_000_000, "{mode:?} {cheap:?}");
        assert!(cheap[1] < 1_100_000, "{mode:?} {cheap:?}");
    }
}

#[test]
fn nothing_paid_and_nothing_clicked_leaves_the_value_as_it_is() {
    let mut steered = Steered::new(Strategy::TargetCpc, PacingMode::Asap);
    assert!((0..200).all(|_| steered.quarter(0, 0) == 1_000_000));
    // The same of goals whose outcomes nobody counts, and of those without a target whatever is counted.
    let mut steered = Steered::new(Strategy::MaxCpc, PacingMode::Asap);
    assert!((0..200).all(|_| steered.quarter(100 * TARGET, 1) == 1_000_000));
}

#[test]
fn a_quarter_of_few_impressions_without_a_click_says_nothing() {
    let mut steered = Steered::new(Strategy::TargetCpc, PacingMode::Asap);
    steered.tick();
    // A tenth of a click's price in each quarter, and a click in every tenth of them: exactly on target.
    let levels: Vec<i64> =
        (1..=960).map(|nth| steered.quarter(TARGET / 10, u64::from(nth % 10 == 0))).collect();
    assert!(levels.iter().all(|level| (900_000..1_100_000).contains(level)), "{levels:?}");
    // Twenty clicks' price without a click is no chance any more.
    for _ in 0..95 {
        steered.quarter(TARGET, 0);
    }
    let level = steered.quarter(TARGET, 0);
    assert!(level < 500_000, "{level}");
    // Who wins nothing at this level is let back.
    let back = (0..200).map(|_| steered.quarter(0, 0)).last().unwrap();
    assert!((950_000..=1_000_000).contains(&back), "{back}");
}

#[test]
fn returns_are_judged_by_what_the_conversions_that_came_brought() {
    let mut steered = Steered::new(Strategy::TargetRoas, PacingMode::Asap);
    steered.tick();
    let mut quarter = |spent: i64, allowed: i64, conversions: u64| {
        steered.won.goal_spent.0 += spent;
        steered.won.goal_allowed.0 += allowed;
        steered.won.goal_outcomes += conversions;
        steered.now_ms += QUARTER_MS;
        steered.tick().0
    };
    // Nobody knows yet what one brings.
    assert!((0..90).all(|_| quarter(1_000_000_000, 0, 0) == 1_000_000));
    // It becomes known, and is a hundredth of what was spent for each.
    assert!(quarter(1_000_000_000, 1_000_000_000, 100) < 1_000_000);
    let level = (0..96).map(|_| quarter(1_000_000_000, 4_000_000_000, 40)).last().unwrap();
    assert!(level > 1_500_000, "{level}");
}

#[test]
fn a_restart_goes_on_where_the_loop_was_and_judges_only_what_comes_after_it() {
    let mut steered = Steered::new(Strategy::TargetCpc, PacingMode::Asap);
    let before = (0..20).map(|_| steered.quarter(2 * 40 * TARGET, 40)).last().unwrap();
    assert!(before < 800_000, "{before}");
    let mut again = steered.restarted();
    assert_eq!(again.tick().0, before);
    again.now_ms += QUARTER_MS;
    let after = again.tick().0;
    assert!((before..=before + before / 50).contains(&after), "{before} {after}");
    let lower = again.quarter(2 * 40 * TARGET, 40);
    assert!(lower < after, "{after} {lower}");
}

#[test]
fn another_target_is_no_news_of_what_was_paid_before() {
    let mut steered = Steered::new(Strategy::TargetCpc, PacingMode::Asap);
    steered.tick();
    let before = (0..4).map(|_| steered.quarter(40 * TARGET, 40)).last().unwrap();
    assert_eq!(before, 1_000_000);
    let mut account = steered.world.account.clone();
    account.line_items[0].bid = Cpm(TARGET * 2);
    steered.world = World::of(account, steered.world.members.clone());
    // All clicks so far are allowed twice as much from here on.
    steered.won.goal_allowed.0 *= 2;
    steered.now_ms += QUARTER_MS;
    assert_eq!(steered.tick().0, before);
}

#[test]
fn state_of_another_form_is_refused() {
    let bytes = Steered::new(Strategy::TargetCpc, PacingMode::Even).restarted().steering.to_bytes();
    let sealed = |mut body: Vec<u8>| {
        body.truncate(bytes.len() - 4);
        let sum = crc32c::crc32c(&body);
        [body, sum.to_le_bytes().to_vec()].concat()
    };
    assert!(Steering::from_bytes(&sealed(bytes.clone())).is_ok());
    let mut older = bytes.clone();
    older[8] = 1;
    assert!(Steering::from_bytes(&sealed(older)).is_err());
    let mut damaged = bytes.clone();
    damaged[20] ^= 1;
    assert!(Steering::from_bytes(&damaged).is_err());
}

#[test]
fn goals_of_one_campaign_share_a_controller_only_where_kappa_goes_as_far() {
    let world = World::small(|account| {
        account.campaigns[0].budget.daily = Some(Nanos(1_000_000_000));
        let first = account.line_items[0].clone();
        let strategies = [Strategy::MaxCpm, Strategy::MaxCpc, Strategy::MaxClicks, Strategy::FixedCpm];
        account.line_items = (1..)
            .zip(strategies)
            .map(|(id, strategy)| {
                let pacing = Pacing { mode: PacingMode::Even, period: PacingPeriod::Daily };
                let id = outbid::model::ids::LineItemId(id);
                outbid::model::line_item::LineItem { id, strategy, pacing, ..first.clone() }
            })
            .collect();
    });
    let ledger = world.ledger();
    let mut steering = Steering::default();
    let catalog = &world.snapshot.catalog;
    let now = Now { mono_ns: 1, unix_ms: MIDNIGHT_MS };
    let told = Told { catalog, ledger: &ledger, requests: 0, won: &|_| Won::default(), now };
    steering.tick(&told);
    assert_eq!(steering.figures().controllers, 3);
}
