//! Draws that are the same for ever and on every machine, so that a seed in a bug report stays good.

/// Steele, Lea and Flood's SplitMix64.
#[derive(Clone, Debug)]
pub(super) struct Dice(u64);

impl Dice {
    /// Draws of one seed; `salt` separates what must not move when something else draws more often.
    pub(super) fn new(seed: u64, salt: u64) -> Dice {
        let mut dice = Dice(seed ^ salt.wrapping_mul(0xD6E8_FEB8_6659_FD93));
        // Neighbouring seeds begin apart.
        dice.0 = dice.next();
        dice
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Below `bound`, which is above 0.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    /// Between both, inclusive.
    pub(super) fn within(&mut self, low: i64, high: i64) -> i64 {
        low + self.below((high - low).max(0) as u64 + 1) as i64
    }

    /// True `percent` times in a hundred.
    pub(super) fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// True once in so many.
    pub(super) fn once_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }

    /// One of a pool that is not empty.
    pub(super) fn one<T: Clone>(&mut self, pool: &[T]) -> T {
        pool[self.below(pool.len() as u64) as usize].clone()
    }

    /// A wait around `mean`: most are shorter, some several times as long.
    pub(super) fn wait(&mut self, mean: u64) -> u64 {
        // Between a half and six times, in eighths: −ln of a uniform draw without a float.
        let doublings = (self.next() | 1 << 40).trailing_zeros().min(5);
        mean / 2 * u64::from(doublings) + self.below(mean / 2 + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_draws_the_same_for_ever() {
        let mut dice = Dice::new(7, 1);
        assert_eq!(
            [dice.next(), dice.next(), dice.below(1_000)],
            [12_188_124_095_464_034_426, 4_241_588_642_336_970_332, 89]
        );
        let mean = (0..10_000).map(|_| dice.wait(1_000)).sum::<u64>() / 10_000;
        assert!((700..1_300).contains(&mean), "{mean}");
    }
}
