//! What is learned of prices, and the tables of best bids that are made of it.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use outbid::model::money::Cpm;
use outbid::pricing::shading::{
    Axis, BINS, Estimator, Explorer, Heard, Landscape, Outcome, Place, ShadeTable, TableError,
};
use outbid::sim::auctions::draw;
use proptest::prelude::*;

const HERE: [u64; 4] = [1, 2, 3, 4];

/// A price that is log-normal around 1.00 CPM, more or less: the product of uniform draws.
fn price(row: usize) -> Cpm {
    let uniform = |salt| (draw(5, row, salt) >> 40) as f64 / (1u64 << 24) as f64;
    let normal = (0..12).map(uniform).sum::<f64>() - 6.0;
    Cpm((1e6 * (0.3 * normal).exp()) as i64)
}

/// What exchanges say, by a way of saying it.
fn heard(row: usize, bid: Cpm, told_wins: bool, told_losses_percent: u64) -> Heard {
    let price = price(row);
    match bid >= price {
        true => Heard::Won { min_to_win: told_wins.then_some(price) },
        false if draw(6, row, 99) % 100 < told_losses_percent => Heard::Lost { min_to_win: Some(price) },
        false => Heard::Silent,
    }
}

/// A learner that played `rows` auctions for a value of 2.00 CPM, and its last table.
fn learned(rows: usize, told_wins: bool, told_losses_percent: u64) -> (Landscape, ShadeTable) {
    let mut landscape = Landscape::new(Axis::default(), 100);
    let mut table = ShadeTable::unshaded(Axis::default());
    let (place, value) = (Place::new(HERE), Cpm(2_000_000));
    for row in 0..rows {
        let at_ms = row as i64 * 1_000;
        if row % 60 == 0 {
            table = landscape.rebuild(at_ms, Some(&table));
        }
        let best = table.shade(&place, value).bid;
        let bid = Explorer { rate_ppm: 100_000 }.explore(best, value, draw(7, row, 1)).bid;
        landscape.observe(&Outcome {
            place,
            at_ms,
            bid,
            heard: heard(row, bid, told_wins, told_losses_percent),
        });
    }
    let table = landscape.rebuild(rows as i64 * 1_000, Some(&table));
    (landscape, table)
}

/// The surplus of one bid against all prices, in CPM micros an auction.
fn surplus(bid: Cpm, value: Cpm) -> i64 {
    (0..20_000).map(|row| if bid >= price(row) { value.0 - bid.0 } else { 0 }).sum::<i64>() / 20_000
}

#[test]
fn bids_come_near_the_best_one_however_little_is_told() {
    let value = Cpm(2_000_000);
    let best = (50..200).map(|percent| surplus(Cpm(percent * 10_000), value)).max().unwrap();
    for (told_wins, told_losses) in [(true, 100), (true, 50), (true, 0), (false, 0)] {
        let (landscape, table) = learned(12_000, told_wins, told_losses);
        let bid = table.shade(&Place::new(HERE), value).bid;
        let found = surplus(bid, value);
        assert!(found * 100 >= best * 97, "told {told_wins} {told_losses}: {bid} gives {found} of {best}");
        let expected = if told_wins && told_losses == 100 { Estimator::Open } else { Estimator::Censored };
        assert_eq!(landscape.estimator(&Place::new(HERE)), expected);
        let truth = (0..20_000).filter(|row| price(*row) <= Cpm(1_200_000)).count() as f64 / 20_000.0;
        let said = landscape.win_probability(&Place::new(HERE), Cpm(1_200_000));
        assert!((said - truth).abs() < 0.05, "{said} {truth}");
    }
}

#[test]
fn a_place_without_outcomes_bids_as_the_wider_one_and_nothing_known_bids_the_value() {
    let (_, table) = learned(3_000, true, 100);
    let here = table.shade(&Place::new(HERE), Cpm(3_000_000));
    assert!(here.bid < Cpm(3_000_000) && here.win_ppm > 500_000, "{here:?}");
    let beside = table.shade(&Place::new([1, 2, 9, 9]), Cpm(3_000_000));
    assert!((beside.bid.0 - here.bid.0).abs() < here.bid.0 / 5, "{beside:?}");
    assert_ne!(table.shade(&Place::of_exchange(8), Cpm(3_000_000)).bid, Cpm(3_000_000));
    let nothing = ShadeTable::unshaded(Axis::default());
    assert_eq!(nothing.shade(&Place::new(HERE), Cpm(777)).bid, Cpm(777));
}

#[test]
fn too_many_places_count_for_the_wider_one() {
    let mut landscape = Landscape::new(Axis::default(), 10);
    for row in 0..500 {
        let place = Place::new([1, 1, row, row]);
        let heard = Heard::Won { min_to_win: Some(price(row as usize)) };
        landscape.observe(&Outcome { place, at_ms: 0, bid: Cpm(5_000_000), heard });
    }
    assert_eq!(landscape.places(), 10);
    assert!(landscape.refused() > 400);
    let table = landscape.rebuild(1, None);
    assert!(table.shade(&Place::new([1, 1, 77, 77]), Cpm(5_000_000)).bid < Cpm(3_000_000));
    // Two weeks later all of it has faded, and the places with it.
    landscape.rebuild(14 * 86_400_000, Some(&table));
    assert_eq!(landscape.places(), 1);
}

#[test]
fn what_was_learned_survives_as_bytes_and_damage_is_refused() {
    let (mut landscape, table) = learned(2_000, true, 50);
    let bytes = table.to_bytes();
    let read = ShadeTable::from_bytes(&bytes).unwrap();
    let probes = || (0..400).map(|at| Cpm(5_000 * at * at));
    let shade =
        |table: &ShadeTable| probes().map(|value| table.shade(&Place::new(HERE), value)).collect::<Vec<_>>();
    assert_eq!(shade(&read), shade(&table));
    assert_eq!(ShadeTable::from_bytes(b"nothing").map(|_| ()), Err(TableError::Mark { expected: "OBST" }));
    for at in (0..bytes.len()).step_by(7) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 16;
        assert!(ShadeTable::from_bytes(&flipped).is_err(), "byte {at}");
        assert!(ShadeTable::from_bytes(&bytes[..at]).is_err(), "length {at}");
    }
    // A learner that was read back is the one that was written, and builds its tables.
    let mut again = Landscape::from_bytes(&landscape.to_bytes()).unwrap();
    assert_eq!(again, landscape);
    let (next, other) = (landscape.rebuild(2_010_000, Some(&table)), again.rebuild(2_010_000, Some(&read)));
    assert_eq!(shade(&next), shade(&other));
    assert_eq!(again, landscape);
    let bytes = landscape.to_bytes();
    for at in (0..bytes.len()).step_by(101) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 16;
        assert!(Landscape::from_bytes(&flipped).is_err(), "byte {at}");
    }
}

#[test]
fn a_lookup_allocates_nothing() {
    let (_, table) = learned(1_000, true, 100);
    let place = Place::new(HERE);
    let mut sum = 0;
    let measured = allocation_counter::measure(|| {
        sum = (1..10_000).map(|value| table.shade(&place, Cpm(value * 1_000)).bid.0).sum();
    });
    assert!(measured.count_total == 0 && sum > 0);
}

#[test]
fn exploring_is_as_likely_as_it_says() {
    let explorer = Explorer::default();
    let (best, value) = (Cpm(1_000_000), Cpm(1_500_000));
    let drawn: Vec<_> = (0..200_000).map(|row| explorer.explore(best, value, draw(1, row, 3))).collect();
    let explored: Vec<_> = drawn.iter().filter(|drawn| drawn.factor_ppm != 1_000_000).collect();
    let share = explored.len() as f64 / drawn.len() as f64;
    assert!((share - 0.025).abs() < 0.002, "{share}");
    assert!(drawn.iter().all(|drawn| drawn.bid <= value && drawn.bid >= Cpm(300_000)));
    // Weighing by the inverse of the propensity gives back the number of bids.
    let weighed: f64 = drawn.iter().map(|drawn| 1e9 / f64::from(drawn.propensity_ppb)).sum::<f64>() / 17.0;
    assert!((weighed / drawn.len() as f64 - 1.0).abs() < 0.05, "{weighed}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn every_table_is_monotone_bounded_and_near_the_one_before(
        outcomes in prop::collection::vec((0u64..3, 1i64..200_000_000, 1i64..200_000_000, 0u8..4), 60..400),
        probes in prop::collection::vec(0i64..400_000_000, 40),
    ) {
        let mut landscape = Landscape::new(Axis::default(), 50);
        let mut probes = probes;
        probes.sort_unstable();
        let mut before: Option<ShadeTable> = None;
        for (part, outcomes) in outcomes.chunks(40).enumerate() {
            let at_ms = part as i64 * 10_000;
            for (place, bid, price, kind) in outcomes {
                let (place, bid, price) = (Place::new([*place, 0, 0, 0]), Cpm(*bid), Cpm(*price));
                let told = kind % 2 == 0;
                let heard = match bid >= price {
                    true => Heard::Won { min_to_win: told.then_some(price) },
                    false if *kind == 3 => Heard::Silent,
                    false => Heard::Lost { min_to_win: told.then_some(price) },
                };
                landscape.observe(&Outcome { place, at_ms, bid, heard });
            }
            let table = landscape.rebuild(at_ms, before.as_ref());
            for place in 0..3 {
                let place = Place::new([place, 0, 0, 0]);
                let bids: Vec<Cpm> = probes.iter().map(|value| table.shade(&place, Cpm(*value)).bid).collect();
                prop_assert!(bids.is_sorted(), "{:?}", bids);
                for (value, bid) in probes.iter().zip(&bids) {
                    let shaded = table.shade(&place, Cpm(*value));
                    prop_assert!(bid.0 <= *value && shaded.win_ppm <= 1_000_000);
                    // Below a fifth of the value only where that wins nearly for sure, or on the way there.
                    if before.is_none() && bid.0 < value / 5 - 1 && *value < 100_000_000 {
                        prop_assert!(shaded.win_ppm >= 800_000, "{} for {}: {}", bid, value, shaded.win_ppm);
                    }
                    let old = before.as_ref().filter(|old| old.places() > 0).map(|old| old.shade(&place, Cpm(*value)).bid);
                    if let Some(old) = old.filter(|_| table.places() == before.as_ref().map_or(0, ShadeTable::places)) {
                        prop_assert!((bid.0 - old.0).abs() * 1000 <= old.0 * 101 + 3_000, "{} after {}", bid, old);
                    }
                }
            }
            before = Some(table);
        }
    }

    #[test]
    fn a_price_is_in_the_bin_whose_ends_are_around_it(
        low in 1i64..10_000_000, factor in 4i64..100_000, price in 0i64..2_000_000_000_000,
    ) {
        let axis = Axis::new(Cpm(low), Cpm(low.saturating_mul(factor)));
        let bin = axis.bin(Cpm(price));
        let edges = axis.edges();
        prop_assert!(edges.is_sorted_by(|a, b| a < b));
        prop_assert!(bin == 0 || edges[bin] <= price);
        prop_assert!(bin == BINS || price < edges[bin + 1]);
    }
}
