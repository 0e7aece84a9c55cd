//! What each rule of a line item's targeting costs, and which ones to give up first.

use std::collections::BTreeMap;

/// Impressions by the set of rules that they do not meet.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    by_failing: BTreeMap<u32, Weight>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Weight {
    weight: f64,
    sampled: usize,
}

/// What would be if some rules were not there.
#[derive(Clone, PartialEq, Debug)]
pub struct Relaxation {
    /// The rules, as bits.
    pub without: u32,
    /// Impressions that would meet the others.
    pub avails: f64,
    /// How many times as many that is; `None` where there are none now.
    pub times: Option<f64>,
    /// Impressions in the sample that it rests on.
    pub sampled: usize,
}

/// What a rule removes.
#[derive(Clone, PartialEq, Debug)]
pub struct Removed {
    /// The rule, as a bit.
    pub rule: u32,
    /// Of the impressions that meet all other rules the share that it removes.
    pub share: f64,
    /// Impressions that do not meet it, whatever else they meet.
    pub fails: f64,
}

impl Rules {
    /// Counts an impression that stands for `weight` and does not meet the rules in `failing`.
    pub fn add(&mut self, failing: u32, weight: f64) {
        let sum = self.by_failing.entry(failing).or_default();
        sum.weight += weight;
        sum.sampled += 1;
    }

    /// Those that would be left without some rules.
    fn without(&self, rules: u32) -> Weight {
        let mut all = Weight::default();
        for (_, sum) in self.by_failing.iter().filter(|(failing, _)| **failing & !rules == 0) {
            all.weight += sum.weight;
            all.sampled += sum.sampled;
        }
        all
    }

    /// Impressions that meet everything.
    pub fn avails(&self) -> f64 {
        self.without(0).weight
    }

    /// All impressions.
    pub fn all(&self) -> f64 {
        self.by_failing.values().map(|sum| sum.weight).sum()
    }

    /// What to give up, what brings the most first; two at a time where no single rule helps.
    pub fn relaxations(&self) -> Vec<Relaxation> {
        let singles: Vec<u32> = self.rules();
        let mut found = self.tried(singles.iter().copied());
        if found.is_empty() {
            let pairs =
                singles.iter().flat_map(|a| singles.iter().filter(move |b| *b > a).map(move |b| a | b));
            found = self.tried(pairs);
        }
        found
    }

    fn tried(&self, sets: impl Iterator<Item = u32>) -> Vec<Relaxation> {
        let now = self.avails();
        let mut found: Vec<Relaxation> = sets
            .map(|without| (without, self.without(without)))
            .filter(|(_, left)| left.weight > now)
            .map(|(without, left)| Relaxation {
                without,
                avails: left.weight,
                times: (now > 0.0).then(|| left.weight / now),
                sampled: left.sampled,
            })
            .collect();
        found.sort_by(|a, b| b.avails.total_cmp(&a.avails).then(a.without.cmp(&b.without)));
        found
    }

    /// What each rule that fails anywhere removes, the dearest first.
    pub fn removed(&self) -> Vec<Removed> {
        let now = self.avails();
        let one = |rule: u32| {
            let otherwise = self.without(rule).weight;
            let fails = self.by_failing.iter().filter(|(failing, _)| **failing & rule != 0);
            Removed {
                rule,
                share: if otherwise > 0.0 { 1.0 - now / otherwise } else { 0.0 },
                fails: fails.map(|(_, sum)| sum.weight).sum(),
            }
        };
        let mut removed: Vec<Removed> = self.rules().into_iter().map(one).collect();
        removed.sort_by(|a, b| b.share.total_cmp(&a.share).then(b.fails.total_cmp(&a.fails)));
        removed
    }

    /// The rules that fail anywhere, as bits.
    fn rules(&self) -> Vec<u32> {
        let any = self.by_failing.keys().fold(0, |any, failing| any | failing);
        (0..u32::BITS).map(|at| 1 << at).filter(|rule| any & rule != 0).collect()
    }
}
