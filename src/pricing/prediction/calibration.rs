//! From log-odds that rank well to probabilities that are right on average (pricing.md 2c):
//!
//! ```text
//! logit p′ = iso(a + b·logit p) + a_c        b between 0.5 and 1.5; a_c = ln((clicks_c + K)/(Σ p_c + K)) within ±1, K ≥ 20
//! ```
//!
//! a and b by Newton's method on what was predicted in the last day (Platt scaling), pulled to 0 and 1 as by 20 clicks; `iso`
//! optionally by pooling adjacent violators (Zadrozny and Elkan, KDD'02) in up to 50 bins of 200 clicks or more; then an
//! intercept for each campaign, which few clicks leave near 0 (He et al., *Practical Lessons from Predicting Clicks on Ads
//! at Facebook*, ADKDD'14, judge by the same ratio). Only predictions that were made before their label count.

use super::bytes::{DamagedBytes, Reader, Writer};
use super::ftrl::sigmoid;
use crate::model::ids::CampaignId;
use std::collections::{BTreeMap, VecDeque};

/// Clicks that the global correction is shrunk by, and those of campaigns at least.
const SHRINKAGE: f64 = 20.0;
/// As good as no correction.
const SHRINKAGE_MAX: f64 = 1e6;
/// Predictions older than this do not count.
const HORIZON_MS: i64 = 86_400_000;
/// Bins of the isotonic correction.
const BINS_MAX: usize = 50;
/// Clicks in each of them.
const BIN_CLICKS: f64 = 200.0;
/// A correction of a campaign that is smaller than this is left out.
const NEGLIGIBLE: f32 = 1e-3;

/// A correction of log-odds.
#[derive(Clone, PartialEq, Debug)]
pub struct Calibration {
    intercept: f32,
    slope: f32,
    /// Log-odds before and after, both rising; empty = no isotonic part.
    knots: Vec<(f32, f32)>,
    campaigns: Intercepts,
}

impl Default for Calibration {
    fn default() -> Calibration {
        Calibration { intercept: 0.0, slope: 1.0, knots: Vec::new(), campaigns: Intercepts::default() }
    }
}

impl Calibration {
    /// The log-odds as they should have been.
    pub fn apply(&self, logit: f32, campaign: CampaignId) -> f32 {
        self.common(logit) + self.campaigns.get(campaign)
    }

    /// Without what is the campaign's own.
    fn common(&self, logit: f32) -> f32 {
        let straight = self.intercept + self.slope * logit;
        if self.knots.is_empty() { straight } else { interpolate(&self.knots, straight) }
    }

    /// Intercept and slope of the common part.
    pub fn line(&self) -> (f32, f32) {
        (self.intercept, self.slope)
    }

    /// What is added for this campaign.
    pub fn of_campaign(&self, campaign: CampaignId) -> f32 {
        self.campaigns.get(campaign)
    }

    pub(super) fn write(&self, out: &mut Writer) {
        out.f32(self.intercept);
        out.f32(self.slope);
        out.u32(self.knots.len() as u32);
        for (before, after) in &self.knots {
            out.f32(*before);
            out.f32(*after);
        }
        let campaigns = self.campaigns.rows();
        out.u32(campaigns.len() as u32);
        for (campaign, intercept) in campaigns {
            out.u32(campaign);
            out.f32(intercept);
        }
    }

    pub(super) fn read(input: &mut Reader<'_>) -> Result<Calibration, DamagedBytes> {
        let (intercept, slope) = (input.f32()?, input.f32()?);
        let knots = (0..input.count(8)?).map(|_| Ok((input.f32()?, input.f32()?)));
        let knots: Vec<(f32, f32)> = knots.collect::<Result<_, DamagedBytes>>()?;
        if !knots.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1) {
            return Err(input.wrong("a correction that falls"));
        }
        let campaigns = (0..input.count(8)?).map(|_| Ok((input.u32()?, input.f32()?)));
        let campaigns: Vec<(u32, f32)> = campaigns.collect::<Result<_, DamagedBytes>>()?;
        if !campaigns.is_sorted_by(|a, b| a.0 < b.0) {
            return Err(input.wrong("campaigns out of order"));
        }
        Ok(Calibration { intercept, slope, knots, campaigns: Intercepts::build(&campaigns) })
    }
}

/// Beyond the outer knots by as much as at them.
fn interpolate(knots: &[(f32, f32)], x: f32) -> f32 {
    let above = knots.partition_point(|knot| knot.0 <= x);
    match (above.checked_sub(1).map(|at| knots[at]), knots.get(above)) {
        (Some((x0, y0)), Some((x1, y1))) => y0 + (y1 - y0) * (x - x0) / (x1 - x0),
        (Some((x0, y0)), None) => y0 + (x - x0),
        (None, Some((x1, y1))) => y1 + (x - x1),
        (None, None) => x,
    }
}

/// Intercepts by campaign: open addressing with half of the places free, one cache line a look-up.
#[derive(Clone, PartialEq, Debug)]
struct Intercepts {
    /// A free place has the intercept 0, which no campaign in the table has.
    places: Vec<(u32, f32)>,
}

impl Default for Intercepts {
    fn default() -> Intercepts {
        Intercepts { places: vec![(0, 0.0); 2] }
    }
}

impl Intercepts {
    fn build(rows: &[(u32, f32)]) -> Intercepts {
        let mut places = vec![(0, 0.0); (rows.len() * 2).next_power_of_two().max(2)];
        for (campaign, intercept) in rows.iter().filter(|row| row.1 != 0.0) {
            let mut at = place(*campaign, places.len());
            while places[at].1 != 0.0 {
                at = (at + 1) & (places.len() - 1);
            }
            places[at] = (*campaign, *intercept);
        }
        Intercepts { places }
    }

    fn get(&self, campaign: CampaignId) -> f32 {
        let mut at = place(campaign.0, self.places.len());
        // Half of the places are free at least, so that this ends.
        loop {
            match self.places[at] {
                (_, 0.0) => return 0.0,
                (found, intercept) if found == campaign.0 => return intercept,
                _ => at = (at + 1) & (self.places.len() - 1),
            }
        }
    }

    fn rows(&self) -> Vec<(u32, f32)> {
        let mut rows: Vec<(u32, f32)> = self.places.iter().copied().filter(|place| place.1 != 0.0).collect();
        rows.sort_by_key(|row| row.0);
        rows
    }
}

/// `len` is a power of two, 2 at least.
fn place(campaign: u32, len: usize) -> usize {
    (u64::from(campaign).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - len.trailing_zeros())) as usize
}

/// A prediction and what became of it.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Scored {
    at_ms: i64,
    campaign: u32,
    logit: f32,
    clicks: f32,
    shown: f32,
}

/// What was predicted of late, and what it says of the predictor.
#[derive(Clone, PartialEq, Debug)]
pub struct Calibrator {
    recent: VecDeque<Scored>,
    capacity: usize,
    isotonic: bool,
    total: u64,
}

impl Calibrator {
    /// Looks at `capacity` predictions at most, with the isotonic part or without.
    pub fn new(capacity: usize, isotonic: bool) -> Calibrator {
        Calibrator { recent: VecDeque::new(), capacity: capacity.max(1), isotonic, total: 0 }
    }

    /// Takes a prediction, as log-odds before calibration, and its outcome: `shown` impressions with so many clicks among
    /// them. A late click is one click of no impression, as its impression was taken already.
    pub fn add(&mut self, at_ms: i64, campaign: CampaignId, logit: f64, clicks: f64, shown: f64) {
        if self.recent.len() == self.capacity {
            self.recent.pop_front();
        }
        let (logit, clicks, shown) = (logit as f32, clicks as f32, shown as f32);
        self.recent.push_back(Scored { at_ms, campaign: campaign.0, logit, clicks, shown });
        self.total += 1;
    }

    /// The correction that the last day asks for. The older half of all there was never counts: what a learner predicted
    /// when it knew little says nothing of it now.
    pub fn fit(&self, now_ms: i64) -> Calibration {
        let mature = (self.total / 2).min(self.recent.len() as u64) as usize;
        let rows = self.recent.iter().skip(self.recent.len() - mature);
        let rows: Vec<Scored> = rows.filter(|row| row.at_ms > now_ms - HORIZON_MS).copied().collect();
        let (intercept, slope) = line(&rows);
        let mut fitted = Calibration { intercept, slope, ..Calibration::default() };
        if self.isotonic {
            fitted.knots = isotonic(&rows, &fitted);
        }
        let mut by_campaign: BTreeMap<u32, (f64, f64)> = BTreeMap::new();
        for row in &rows {
            let (clicks, expected) = by_campaign.entry(row.campaign).or_default();
            *clicks += f64::from(row.clicks);
            *expected += f64::from(row.shown) * sigmoid(f64::from(fitted.common(row.logit)));
        }
        let shrinkage = shrinkage(by_campaign.values());
        let own = |(clicks, expected): (f64, f64)| {
            let ratio = (clicks + shrinkage) / (expected + shrinkage);
            ratio.ln().clamp(-1.0, 1.0) as f32
        };
        let campaigns = by_campaign.into_iter().map(|(campaign, sums)| (campaign, own(sums)));
        let campaigns: Vec<(u32, f32)> = campaigns.filter(|row| row.1.abs() > NEGLIGIBLE).collect();
        fitted.campaigns = Intercepts::build(&campaigns);
        fitted
    }

    pub(super) fn write(&self, out: &mut Writer) {
        out.u64(self.total);
        out.u32(self.recent.len() as u32);
        for row in &self.recent {
            out.i64(row.at_ms);
            out.u32(row.campaign);
            [row.logit, row.clicks, row.shown].iter().for_each(|value| out.f32(*value));
        }
    }

    pub(super) fn read(mut self, input: &mut Reader<'_>) -> Result<Calibrator, DamagedBytes> {
        self.total = input.u64()?;
        for _ in 0..input.count(24)? {
            let (at_ms, campaign) = (input.i64()?, input.u32()?);
            let [logit, clicks, shown] = [input.f32()?, input.f32()?, input.f32()?];
            self.recent.push_back(Scored { at_ms, campaign, logit, clicks, shown });
        }
        if self.recent.len() > self.capacity || self.total < self.recent.len() as u64 {
            return Err(input.wrong("more predictions than there is room for"));
        }
        Ok(self)
    }
}

/// Clicks that campaigns are shrunk by: 20 at least, and as many as make their ratios differ no more than they do beyond
/// chance. Ratios around 1 with the variance 1/K are those of a gamma distribution with the shape K; the variance of what
/// was clicked beyond that of a Poisson draw is Σ e²/K (empirical Bayes by moments; Robbins 1956).
fn shrinkage<'c>(campaigns: impl Iterator<Item = &'c (f64, f64)>) -> f64 {
    let (mut beyond_chance, mut squares) = (0.0, 0.0);
    for (clicks, expected) in campaigns {
        beyond_chance += (clicks - expected).powi(2) - expected;
        squares += expected * expected;
    }
    if beyond_chance <= 0.0 {
        SHRINKAGE_MAX
    } else {
        (squares / beyond_chance).clamp(SHRINKAGE, SHRINKAGE_MAX)
    }
}

/// Intercept and slope that make the rows likeliest, with the pull.
fn line(rows: &[Scored]) -> (f32, f32) {
    let weight: f64 = rows.iter().map(|row| f64::from(row.shown)).sum();
    if weight <= 0.0 {
        return (0.0, 1.0);
    }
    // About the mean, so that intercept and slope are found apart.
    let mean = rows.iter().map(|row| f64::from(row.shown) * f64::from(row.logit)).sum::<f64>() / weight;
    let mut slope = 1.0;
    let mut middle = mean;
    for _ in 0..12 {
        let [ga, gb, haa, hab, hbb] = derivatives(rows, mean, middle, slope);
        let (ga, gb) = (ga + SHRINKAGE * (middle - mean), gb + SHRINKAGE * (slope - 1.0));
        let (haa, hbb) = (haa + SHRINKAGE, hbb + SHRINKAGE);
        let determinant = haa * hbb - hab * hab;
        let (da, db) = ((hbb * ga - hab * gb) / determinant, (haa * gb - hab * ga) / determinant);
        middle -= da.clamp(-1.0, 1.0);
        slope = (slope - db.clamp(-0.5, 0.5)).clamp(0.5, 1.5);
        if da.abs() + db.abs() < 1e-7 {
            break;
        }
    }
    // The slope may lie at a bound: the intercept that goes with it.
    for _ in 0..12 {
        let [ga, _, haa, ..] = derivatives(rows, mean, middle, slope);
        let step = (ga + SHRINKAGE * (middle - mean)) / (haa + SHRINKAGE);
        middle -= step.clamp(-1.0, 1.0);
        if step.abs() < 1e-7 {
            break;
        }
    }
    ((middle - slope * mean) as f32, slope as f32)
}

/// First and second derivatives of the loss by the log-odds at `mean` and by the slope.
fn derivatives(rows: &[Scored], mean: f64, middle: f64, slope: f64) -> [f64; 5] {
    let mut sums = [0.0; 5];
    for row in rows {
        let (x, shown) = (f64::from(row.logit) - mean, f64::from(row.shown));
        let p = sigmoid(middle + slope * x);
        let (g, h) = (shown * p - f64::from(row.clicks), shown * p * (1.0 - p));
        for (sum, term) in sums.iter_mut().zip([g, g * x, h, h * x, h * x * x]) {
            *sum += term;
        }
    }
    sums
}

/// Bins of as many clicks each, by rising prediction, pooled until their rates rise as well.
fn isotonic(rows: &[Scored], so_far: &Calibration) -> Vec<(f32, f32)> {
    let clicks: f64 = rows.iter().map(|row| f64::from(row.clicks)).sum();
    let bins = ((clicks / BIN_CLICKS) as usize).min(BINS_MAX);
    if bins < 2 {
        return Vec::new();
    }
    let mut sorted: Vec<(f32, Scored)> = rows.iter().map(|row| (so_far.common(row.logit), *row)).collect();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let each = clicks / bins as f64;
    // Expected clicks, clicks and impressions of each bin.
    let mut pools: Vec<[f64; 3]> = Vec::with_capacity(bins);
    let mut open = [0.0; 3];
    for (at, (logit, row)) in sorted.iter().enumerate() {
        let shown = f64::from(row.shown);
        open[0] += shown * sigmoid(f64::from(*logit));
        open[1] += f64::from(row.clicks);
        open[2] += shown;
        let last = at + 1 == sorted.len();
        if open[2] > 0.0 && (last || (open[1] >= each && pools.len() + 1 < bins)) {
            pools.push(std::mem::take(&mut open));
            while let [.., before, after] = pools[..]
                && before[1] * after[2] >= after[1] * before[2]
            {
                pools.truncate(pools.len() - 2);
                pools.push([before[0] + after[0], before[1] + after[1], before[2] + after[2]]);
            }
        }
    }
    let logit = |p: f64| (p.clamp(1e-9, 1.0 - 1e-9) / (1.0 - p.clamp(1e-9, 1.0 - 1e-9))).ln() as f32;
    let knots = pools.iter().filter(|pool| pool[1] > 0.0);
    let mut knots: Vec<(f32, f32)> = knots.map(|p| (logit(p[0] / p[2]), logit(p[1] / p[2]))).collect();
    knots.dedup_by(|after, before| after.0 <= before.0);
    knots
}
