//! Spend plans and the controller that keeps to them.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use outbid::model::money::Nanos;
use outbid::pricing::pacing::{
    Facts, GoalFacts, GoalLoop, Level, Pace, Pacer, Period, SLOTS, Settings, SpendPlan, Start, StateError,
    TrafficShape, budget_of_day,
};
use proptest::prelude::*;

const HOUR: i64 = 3_600_000;
const DAY: Period =
    Period { starts_ms: 1_767_225_600_000, ends_ms: 1_767_225_600_000 + 24 * HOUR, early_ms: 0 };
const BUDGET: Nanos = Nanos(1_000_000_000);

fn even_plan() -> SpendPlan {
    SpendPlan::new(DAY, SLOTS, |_| 1.0)
}

fn facts(now_ms: i64, spent: i64) -> Facts {
    let left = Nanos(BUDGET.0 - spent);
    Facts { now_ms, spent: Nanos(spent), left, average_price: Nanos(1_000), ..Facts::default() }
}

/// A market that spends `rate(hour) × κ` a second, and what a pacer makes of a day in it: spend by hour.
fn day(pacer: &mut Pacer, plan: &SpendPlan, settings: &Settings, rate: impl Fn(f64) -> f64) -> Vec<i64> {
    let (mut spent, mut by_hour) = (0i64, vec![0; 24]);
    for tick in 0..8_640 {
        let now_ms = DAY.starts_ms + tick * 10_000;
        let level = pacer.tick(plan, &facts(now_ms, spent), settings);
        let hour = tick as f64 / 360.0;
        let share = level.kappa_ppm as f64 / 1e6 * f64::from(level.pass_ppm) / 1e6;
        let bought = ((rate(hour) * share * 10.0) as i64).min(BUDGET.0 - spent);
        spent += bought;
        by_hour[hour as usize] += bought;
    }
    by_hour
}

fn warm(kappa: f64, settings: &Settings) -> Pacer {
    Pacer::new(Start::Warm(kappa), &facts(DAY.starts_ms, 0), settings)
}

/// Nanos a second with which an even day needs κ = ½.
const USUAL: f64 = 2.0 * 1e9 / 86_400.0;

#[test]
fn an_even_budget_is_spent_by_the_plan_and_to_its_end() {
    let settings = Settings::even(BUDGET);
    for start in [Start::Warm(0.5), Start::Warm(0.9), Start::Cold] {
        let mut pacer = Pacer::new(start, &facts(DAY.starts_ms, 0), &settings);
        let hours = day(&mut pacer, &even_plan(), &settings, |_| USUAL);
        let sum: i64 = hours.iter().sum();
        assert!(sum > BUDGET.0 * 995 / 1000, "{start:?}: {sum}");
        let planned = BUDGET.0 / 24;
        assert!(hours[2..].iter().all(|hour| (hour - planned).abs() < planned / 10), "{start:?}: {hours:?}");
    }
}

#[test]
fn twice_the_traffic_is_taken_back_within_minutes() {
    let settings = Settings::even(BUDGET);
    let hours = day(&mut warm(0.5, &settings), &even_plan(), &settings, |hour| {
        if hour < 12.0 { USUAL } else { 2.0 * USUAL }
    });
    let planned = BUDGET.0 / 24;
    assert!(hours[12] < planned * 105 / 100, "{hours:?}");
    assert!((hours[13] - planned).abs() < planned / 20, "{hours:?}");
}

#[test]
fn closed_hours_neither_spend_nor_move_the_multiplier() {
    let open = |slot: usize| f64::from(u8::from((96..240).contains(&slot)));
    let plan = SpendPlan::new(DAY, SLOTS, open);
    let settings = Settings::even(BUDGET);
    let mut pacer = warm(0.4, &settings);
    for tick in 0..2_800 {
        pacer.tick(&plan, &facts(DAY.starts_ms + tick * 10_000, 0), &settings);
    }
    assert_eq!(pacer.level().kappa_ppm, 400_000);
    assert_eq!((plan.done(DAY.starts_ms + 8 * HOUR), plan.done(DAY.starts_ms + 20 * HOUR)), (0.0, 1.0));
}

#[test]
fn ahead_is_up_to_a_fifth_ahead_and_asap_bids_its_most() {
    let settings = Settings { pace: Pace::Ahead, ..Settings::even(BUDGET) };
    let hours = day(&mut warm(0.5, &settings), &even_plan(), &settings, |_| USUAL);
    let half: i64 = hours[..12].iter().sum();
    assert!((BUDGET.0 * 53 / 100..=BUDGET.0 * 61 / 100).contains(&half), "{half}");
    let settings = Settings { pace: Pace::Asap, ..settings };
    let mut pacer = Pacer::new(Start::Cold, &facts(DAY.starts_ms, 0), &settings);
    let level = pacer.tick(&even_plan(), &facts(DAY.starts_ms + 1, 0), &settings);
    assert_eq!(level, Level { kappa_ppm: 1_000_000, pass_ppm: 1_000_000 });
}

#[test]
fn requests_are_passed_over_only_at_the_lowest_multiplier() {
    let settings = Settings { kappa_min: 0.2, ..Settings::even(BUDGET) };
    let mut pacer = warm(0.5, &settings);
    // Twenty times what even the lowest multiplier should spend.
    let hours = day(&mut pacer, &even_plan(), &settings, |_| 20.0 * USUAL);
    let level = pacer.level();
    assert_eq!(level.kappa_ppm, 200_000);
    let planned = BUDGET.0 / 24;
    assert!((hours[10] - planned).abs() < planned / 4, "{hours:?}");
    let mut pacer = warm(0.5, &settings);
    day(&mut pacer, &even_plan(), &settings, |_| USUAL);
    assert_eq!(pacer.level().pass_ppm, 1_000_000);
}

#[test]
fn offers_below_the_floor_are_passed_over_instead_of_lowered() {
    let settings = Settings::even(BUDGET);
    let mut pacer = warm(0.5, &settings);
    let mut spent = 0;
    for tick in 1..60 {
        spent += BUDGET.0 / 1_000;
        let facts = Facts { below_floor_ppm: 600_000, ..facts(DAY.starts_ms + tick * 10_000, spent) };
        pacer.tick(&even_plan(), &facts, &settings);
    }
    assert_eq!(pacer.level().kappa_ppm, 500_000);
    assert!(pacer.level().pass_ppm < 100_000, "{:?}", pacer.level());
}

#[test]
fn the_smaller_of_both_multipliers_counts_and_the_other_does_not_wind_up() {
    let settings = Settings { kappa_max: 4.0, ..Settings::even(BUDGET) };
    let goal = GoalLoop::new(DAY.starts_ms);
    let mut pacer = warm(1.1, &settings).with_goal(goal);
    let mut matured = GoalFacts { outcome: Some(Nanos(1_000_000)), ..GoalFacts::default() };
    for tick in 0..2_000 {
        let now_ms = DAY.starts_ms + tick * 10_000;
        // Conversions pay for half of what they cost.
        matured.spent.0 += 1_000_000;
        matured.allowed.0 += 500_000;
        pacer.goal_mut().unwrap().tick(now_ms, &matured);
        pacer.tick(&even_plan(), &facts(now_ms, 1_000 * tick), &settings);
    }
    let level = pacer.level();
    assert!((300_000..950_000).contains(&level.kappa_ppm), "{level:?}");
    assert!(pacer.kappa() < 1.2, "{}", pacer.kappa());
}

#[test]
fn a_restart_goes_on_where_it_was() {
    let settings = Settings::even(BUDGET);
    let mut pacer = warm(0.5, &settings).with_goal(GoalLoop::new(DAY.starts_ms));
    let mut spent = 0;
    for tick in 0..4_000 {
        let level = pacer.tick(&even_plan(), &facts(DAY.starts_ms + tick * 10_000, spent), &settings);
        spent += (USUAL * 10.0 * level.kappa_ppm as f64 / 1e6) as i64;
    }
    let mut read = Pacer::from_bytes(&pacer.to_bytes()).unwrap();
    assert_eq!(read, pacer);
    // A minute passed in which nobody watched and a hundredth of the budget was billed; then all goes on as planned.
    let billed = spent + BUDGET.0 / 100;
    read.resume(&facts(DAY.starts_ms + 40_060_000, billed));
    let planned = (BUDGET.0 - billed) / (8_640 - 4_006);
    let after = read.tick(&even_plan(), &facts(DAY.starts_ms + 40_070_000, billed + planned), &settings);
    let before = pacer.level().kappa_ppm;
    assert!((after.kappa_ppm - before).abs() <= before / 20, "{before} {after:?}");
}

#[test]
fn damaged_state_is_refused() {
    let pacer = warm(0.5, &Settings::even(BUDGET)).to_bytes();
    let shape = TrafficShape::default().to_bytes();
    assert_eq!(
        Pacer::from_bytes(&pacer[..pacer.len() - 1]).map(|_| ()),
        Err(StateError::Length { expected: pacer.len(), found: pacer.len() - 1 })
    );
    assert!(Pacer::from_bytes(&[]).is_err() && TrafficShape::from_bytes(&[1]).is_err());
    for at in 0..pacer.len() {
        let mut flipped = pacer.clone();
        flipped[at] ^= 4;
        assert!(Pacer::from_bytes(&flipped).is_err(), "byte {at}");
    }
    assert_eq!(
        Pacer::from_bytes(&[&[9], &pacer[1..]].concat()),
        Err(StateError::Version { expected: 1, found: 9 })
    );
    assert_eq!(TrafficShape::from_bytes(&shape).unwrap(), TrafficShape::default());
}

#[test]
fn a_tick_allocates_nothing() {
    let (settings, plan) = (Settings::even(BUDGET), even_plan());
    let mut pacer = warm(0.5, &settings);
    let measured = allocation_counter::measure(|| {
        for tick in 0..1_000 {
            pacer.tick(&plan, &facts(DAY.starts_ms + tick * 10_000, tick * 10_000), &settings);
        }
    });
    assert_eq!(measured.count_total, 0);
}

#[test]
fn a_shape_follows_its_days_and_leans_on_its_parent() {
    let mut own = TrafficShape::default();
    assert!(own.shrunk(None).iter().all(|share| *share == 1.0 / SLOTS as f64));
    let mut parent = [0.0; SLOTS];
    parent[200] = 5.0;
    assert_eq!(own.shrunk(Some(&parent))[200], 1.0);
    own.observe(100, 40.0);
    own.end_day();
    own.end_day();
    assert_eq!(own.days(), 1);
    let shape = own.shrunk(Some(&parent));
    assert!((shape[100] - 1.0 / 3.0).abs() < 1e-9 && (shape[200] - 2.0 / 3.0).abs() < 1e-9);
    own.observe(101, 40.0);
    assert_eq!(own.drift(101), 0.5);
    own.end_day();
    let shape = own.shrunk(None);
    assert!((shape[100] - 0.7).abs() < 1e-6 && (shape[101] - 0.3).abs() < 1e-6);
    assert_eq!(TrafficShape::from_bytes(&own.to_bytes()).unwrap(), own);
}

#[test]
fn a_flight_gives_each_day_its_part_of_what_is_left() {
    assert_eq!(budget_of_day(Nanos(900), &[1.0, 2.0]), Nanos(300));
    assert_eq!(budget_of_day(Nanos(901), &[3.0]), Nanos(901));
    assert_eq!(budget_of_day(Nanos(900), &[0.0, 2.0]), Nanos(0));
    assert_eq!(budget_of_day(Nanos(900), &[]), Nanos(0));
    assert_eq!(budget_of_day(Nanos(-1), &[1.0]), Nanos(0));
}

proptest! {
    #[test]
    fn a_plan_rises_from_nothing_to_all_and_knows_no_level(
        weights in prop::collection::vec(0.0f64..10.0, 24), scale in 0.001f64..1000.0, early_h in 0i64..6,
        from in 0usize..SLOTS,
    ) {
        let period = Period { early_ms: early_h * HOUR, ..DAY };
        let weight = |slot: usize| weights[slot / 12];
        let mut plan = SpendPlan::new(period, SLOTS, weight);
        prop_assert_eq!(&plan, &SpendPlan::new(period, SLOTS, weight));
        let scaled = SpendPlan::new(period, SLOTS, |slot| weight(slot) * scale);
        let at = |plan: &SpendPlan, slot: i64| plan.done(DAY.starts_ms + slot * 300_000);
        prop_assert!((0..=288).all(|slot| (at(&plan, slot) - at(&scaled, slot)).abs() < 1e-8));
        for _ in 0..2 {
            prop_assert_eq!((at(&plan, -1), at(&plan, 0), at(&plan, 288), at(&plan, 999)), (0.0, 0.0, 1.0, 1.0));
            prop_assert!((0..288).all(|slot| at(&plan, slot) <= at(&plan, slot + 1)));
            let shares: f64 = (0..288)
                .map(|slot| {
                    let (from, to) = (DAY.starts_ms + slot * 300_000, DAY.starts_ms + (slot + 1) * 300_000);
                    plan.share(from, to) * (1.0 - plan.done(from))
                })
                .sum();
            prop_assert!((shares - 1.0).abs() < 1e-6);
            let before: Vec<f64> = (0..=from as i64).map(|slot| at(&plan, slot)).collect();
            plan.revise(from, |slot| 1.0 + slot as f64);
            prop_assert!(before.iter().enumerate().all(|(slot, done)| at(&plan, slot as i64) == *done));
        }
    }

    #[test]
    fn no_facts_bring_a_level_out_of_its_range(
        ticks in prop::collection::vec((0i64..400_000, -1i64..i64::MAX / 4, any::<i64>(), any::<i64>(), any::<u32>()), 1..60),
        low in 0.0f64..2.0, high in 0.0f64..2.0,
    ) {
        let settings = Settings { kappa_min: low, kappa_max: high, ..Settings::even(BUDGET) };
        let mut pacer = Pacer::new(Start::Cold, &facts(DAY.starts_ms, 0), &settings);
        let mut now_ms = DAY.starts_ms;
        for (step, spent, left, price, below_floor_ppm) in ticks {
            now_ms += step;
            let facts = Facts {
                now_ms, spent: Nanos(spent), open_expected: Nanos(spent / 2), left: Nanos(left / 4),
                average_price: Nanos(price), below_floor_ppm,
            };
            let level = pacer.tick(&even_plan(), &facts, &settings);
            prop_assert!(level.kappa_ppm >= 1 && level.pass_ppm <= 1_000_000 && level.pass_ppm >= 10_000);
            prop_assert!(level.kappa_ppm as f64 <= high.max(low).max(1e-6) * 1e6 + 1.0, "{:?}", level);
        }
    }
}
