//! Draws that are the same for the same seed.

use crate::model::mix::splitmix64;

#[derive(Clone, Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64, salt: u64) -> Dice {
        Dice(splitmix64(seed ^ splitmix64(salt)))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        splitmix64(self.0)
    }

    /// Evenly from 0 to just below 1.
    pub(super) fn even(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Standard normal (Box and Muller 1958).
    pub(super) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.even()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.even()).cos()
    }

    /// Poisson: by products where the mean is small (Knuth), else by the normal law.
    pub(super) fn poisson(&mut self, mean: f64) -> f64 {
        if mean > 60.0 {
            return (mean + mean.sqrt() * self.normal()).round().max(0.0);
        }
        let (least, mut product, mut count) = ((-mean).exp(), self.even(), 0.0);
        while product > least {
            product *= self.even();
            count += 1.0;
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_have_the_means_and_variances_of_their_laws() {
        let mut dice = Dice::new(1, 2);
        let mut check = |draw: &mut dyn FnMut(&mut Dice) -> f64, mean: f64, variance: f64| {
            let draws: Vec<f64> = (0..20_000).map(|_| draw(&mut dice)).collect();
            let found = draws.iter().sum::<f64>() / 20_000.0;
            let spread = draws.iter().map(|x| (x - found).powi(2)).sum::<f64>() / 20_000.0;
            assert!((found - mean).abs() < 5.0 * (variance / 20_000.0).sqrt(), "{found} for {mean}");
            assert!((spread / variance - 1.0).abs() < 0.06, "{spread} for {variance}");
        };
        check(&mut |dice| dice.even(), 0.5, 1.0 / 12.0);
        check(&mut |dice| dice.normal(), 0.0, 1.0);
        check(&mut |dice| dice.poisson(1.0), 1.0, 1.0);
        check(&mut |dice| dice.poisson(80.0), 80.0, 80.0);
    }
}
