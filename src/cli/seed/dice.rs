//! Seeded randomness that gives the same numbers on every machine: integer mixing, and for Zipf only additions and
//! divisions, which IEEE 754 rounds alike everywhere.

pub use crate::model::mix::splitmix64;

use crate::model::mix::GOLDEN;

/// The cookie of user `i` in the world of `seed`: `splitmix64(seed XOR (i × 0x9E3779B97F4A7C15 mod 2^64))` as 16
/// lower-case hex digits. `world.json` calls this rule `splitmix64-hex`. Different users never share a cookie, since
/// every step is a bijection.
pub fn cookie(seed: u64, i: u64) -> String {
    format!("{:016x}", splitmix64(seed ^ i.wrapping_mul(GOLDEN)))
}

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub struct Dice {
    state: u64,
}

impl Dice {
    /// Stream `n` of the kind `kind` under `seed`; streams of different kinds or numbers are unrelated.
    pub fn new(seed: u64, kind: u64, n: u64) -> Dice {
        Dice { state: splitmix64(splitmix64(splitmix64(seed) ^ kind) ^ n) }
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        let out = splitmix64(self.state);
        self.state = self.state.wrapping_add(GOLDEN);
        out
    }

    /// A number in `0..n`; `n` ≥ 1.
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(n)) >> 64) as u64
    }

    /// A number in `0.0..1.0`.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// True `per_mille` times in a thousand.
    pub fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1_000) < per_mille
    }

    /// One of `items`, which must not be empty, all equally likely.
    pub fn one_of<'t, T>(&mut self, items: &'t [T]) -> &'t T {
        &items[self.below(items.len() as u64) as usize]
    }

    /// The index of one of `items` by the weight that `weight` reads; their sum must be positive.
    pub fn weighted<T>(&mut self, items: &[T], weight: impl Fn(&T) -> u32) -> usize {
        let total: u64 = items.iter().map(|item| u64::from(weight(item))).sum();
        let mut left = self.below(total);
        for (index, item) in items.iter().enumerate() {
            let weight = u64::from(weight(item));
            if left < weight {
                return index;
            }
            left -= weight;
        }
        unreachable!("below() is less than the sum of the weights")
    }
}

/// Zipf with exponent 1 over the ranks `first..=last`: rank r is drawn in proportion to 1/r. Exact, without a table of
/// all ranks: an octave by its mass, then a rank in it by rejection (accepted at least every other time).
#[derive(Clone, Debug)]
pub struct Zipf {
    /// (first rank, one past the last rank, mass of this and all octaves before).
    octaves: Vec<(u64, u64, f64)>,
}

impl Zipf {
    /// Over `first..=last`, where 1 ≤ `first` ≤ `last`.
    pub fn new(first: u64, last: u64) -> Zipf {
        assert!(1 <= first && first <= last, "ranks {first}..={last} are no range from 1 on");
        let (mut octaves, mut from, mut mass) = (Vec::new(), first, 0.0);
        while from <= last {
            let to = (2 * from).min(last + 1);
            mass += (from..to).map(|rank| 1.0 / rank as f64).sum::<f64>();
            octaves.push((from, to, mass));
            from = to;
        }
        Zipf { octaves }
    }

    /// Draws a rank.
    pub fn draw(&self, dice: &mut Dice) -> u64 {
        let total = self.octaves.last().map_or(0.0, |octave| octave.2);
        let at = dice.unit() * total;
        let index = self.octaves.partition_point(|octave| octave.2 <= at).min(self.octaves.len() - 1);
        let (from, to, _) = self.octaves[index];
        loop {
            let rank = from + dice.below(to - from);
            if dice.unit() * (rank as f64) < from as f64 {
                return rank;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same values stand in the test of `outbid-load`.
    #[test]
    fn cookies_follow_the_rule_of_world_json() {
        assert_eq!(cookie(0, 0), "e220a8397b1dcdaf");
        assert_eq!(cookie(0, 1), "6e789e6aa1b965f4");
        assert_eq!(cookie(7, 0), "63cbe1e459320dd7");
        assert_eq!(cookie(7, 999_999), "97a3dc31ff44fa05");
        assert_eq!(cookie(u64::MAX, 123), "b28751f9eeadb2de");
    }

    #[test]
    fn zipf_draws_ranks_in_proportion_to_their_inverse() {
        let (zipf, mut dice) = (Zipf::new(3, 50), Dice::new(1, 2, 3));
        let mut counts = [0u32; 51];
        let draws = 200_000;
        for _ in 0..draws {
            counts[zipf.draw(&mut dice) as usize] += 1;
        }
        let mass: f64 = (3..=50).map(|rank| 1.0 / f64::from(rank)).sum();
        assert_eq!(counts[..3], [0, 0, 0]);
        for rank in [3u32, 4, 5, 6, 7, 12, 24, 50] {
            let expected = f64::from(draws) / f64::from(rank) / mass;
            let seen = f64::from(counts[rank as usize]);
            assert!((seen - expected).abs() < 5.0 * expected.sqrt(), "rank {rank}: {seen}, not {expected}");
        }
    }

    #[test]
    fn weights_decide_and_a_zero_weight_is_never_drawn() {
        let mut dice = Dice::new(5, 0, 0);
        let items = [("never", 0), ("often", 3), ("seldom", 1)];
        let mut counts = [0u32; 3];
        for _ in 0..4_000 {
            counts[dice.weighted(&items, |item| item.1)] += 1;
        }
        assert_eq!(counts[0], 0);
        assert!((2_850..3_150).contains(&counts[1]), "{counts:?}");
    }
}
