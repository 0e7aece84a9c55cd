//! The level of a snapshot. With a learning rate for each coordinate the dozens of features that every row has move
//! together, by some hundredths with each row: a snapshot of any moment predicts 5 to 10 % too much or too little on
//! average, while the learner, which corrects itself with the next rows, is right. So each snapshot is given an intercept of
//! its own, under which it gets the sum of the clicks of the last rows right.
//!
//! Kept are the last clicks and four times as many of the other rows, with the weight of all: a thousand rows of rare clicks
//! say little. Others are drawn by a hash of their number, as every k-th row of a log that repeats itself is no sample of it,
//! and weighed by how many there were, which is known. The snapshot has learned these rows, and gives each more or less for
//! it; where all rows have one weight that adds up to nothing, but negatives that are learned with the weight of several
//! would make it too low on them and the level too high. So what a row moved its own log-odds by is taken back.

use super::bytes::{DamagedBytes, Reader, Writer};
use super::features::mix;
use super::ftrl::sigmoid;
use crate::model::ids::CampaignId;
use std::collections::VecDeque;

/// Clicks that are kept.
const CLICKS: usize = 1_024;
/// Other rows that are kept for each of them: so many that which ones were drawn matters less than what was clicked.
const OTHERS: usize = 4;
/// Clicks that the intercept is shrunk by.
const SHRINKAGE: f64 = 20.0;

#[derive(Clone, PartialEq, Debug)]
struct Kept {
    /// The row's place among all.
    number: u64,
    campaign: CampaignId,
    clicks: f32,
    shown: f32,
    /// So many rows it stands for, itself included.
    stands_for: f32,
    /// How far its log-odds moved when it was learned.
    moved: f32,
    features: Box<[u32]>,
}

/// The rows by which levels are found.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Level {
    clicked: VecDeque<Kept>,
    others: VecDeque<Kept>,
    rows: u64,
    clicks: u64,
}

impl Level {
    /// Takes a row that was learned: `clicks` of `shown` impressions, both a weight or `clicks` 0. A late click is one click
    /// of none.
    pub fn add(&mut self, features: &[u32], campaign: CampaignId, clicks: f64, shown: f64) {
        self.add_moved(features, campaign, clicks, shown, || 0.0);
    }

    /// The same of a row whose log-odds moved so far when it was learned; asked for those rows only that are kept.
    pub(super) fn add_moved(
        &mut self,
        features: &[u32],
        campaign: CampaignId,
        clicks: f64,
        shown: f64,
        moved: impl FnOnce() -> f64,
    ) {
        self.rows += 1;
        let mut kept = Kept {
            number: self.rows,
            campaign,
            clicks: clicks as f32,
            shown: shown as f32,
            stands_for: 1.0,
            moved: 0.0,
            features: Box::default(),
        };
        if clicks > 0.0 {
            self.clicks += 1;
            kept.moved = moved() as f32;
            kept.features = features.into();
            push(&mut self.clicked, kept, CLICKS);
            return;
        }
        let others = (self.rows - self.clicks) as f64;
        let share = (((self.clicks + 1) * OTHERS as u64) as f64 / others).min(1.0);
        if uniform(self.rows) < share {
            kept.stands_for = (1.0 / share) as f32;
            kept.moved = moved() as f32;
            kept.features = features.into();
            push(&mut self.others, kept, OTHERS * CLICKS);
        }
    }

    /// What has to be added to log-odds so that they get the clicks of the last rows right.
    pub fn fit(&self, logit: impl Fn(&[u32], CampaignId) -> f32) -> f32 {
        // Both have to tell of the same time.
        let start = |rows: &VecDeque<Kept>, most: usize| match rows.front() {
            Some(first) if rows.len() == most => first.number,
            _ => 0,
        };
        let start = start(&self.clicked, CLICKS).max(start(&self.others, OTHERS * CLICKS));
        let of_that_time = |rows: &VecDeque<Kept>| rows.partition_point(|row| row.number < start);
        let clicked = self.clicked.range(of_that_time(&self.clicked)..);
        let others = self.others.range(of_that_time(&self.others)..);
        // As many others as there were: how many of them were drawn is chance.
        let there_were = (self.rows + 1).saturating_sub(start.max(1)) as f64 - clicked.len() as f64;
        let stand_for: f64 = others.clone().map(|row| f64::from(row.stands_for)).sum();
        let weight = if stand_for > 0.0 { there_were / stand_for } else { 1.0 };
        let score = |row: &Kept, weight: f64| {
            let (clicks, shown) = (f64::from(row.clicks), f64::from(row.shown));
            let logit = logit(&row.features, row.campaign) - row.moved;
            (f64::from(logit), clicks, shown * f64::from(row.stands_for) * weight)
        };
        let scored: Vec<(f64, f64, f64)> =
            clicked.map(|row| score(row, 1.0)).chain(others.map(|row| score(row, weight))).collect();
        let mut level = 0.0_f64;
        for _ in 0..20 {
            let (mut gradient, mut curvature) = (SHRINKAGE * level, SHRINKAGE);
            for (logit, clicks, shown) in &scored {
                let p = sigmoid(logit + level);
                gradient += shown * p - clicks;
                curvature += shown * p * (1.0 - p);
            }
            let step = gradient / curvature;
            level -= step.clamp(-0.5, 0.5);
            if step.abs() < 1e-7 {
                break;
            }
        }
        level.clamp(-1.0, 1.0) as f32
    }

    pub(super) fn write(&self, out: &mut Writer) {
        out.u64(self.rows);
        out.u64(self.clicks);
        for rows in [&self.clicked, &self.others] {
            out.u32(rows.len() as u32);
            for row in rows {
                out.u64(row.number);
                out.u32(row.campaign.0);
                out.f32(row.clicks);
                out.f32(row.shown);
                out.f32(row.stands_for);
                out.f32(row.moved);
                out.u32(row.features.len() as u32);
                row.features.iter().for_each(|feature| out.u32(*feature));
            }
        }
    }

    pub(super) fn read(input: &mut Reader<'_>) -> Result<Level, DamagedBytes> {
        let (rows, clicks) = (input.u64()?, input.u64()?);
        let mut level = Level { rows, clicks, ..Level::default() };
        if clicks > rows {
            return Err(input.wrong("more clicks than rows"));
        }
        for (queue, most) in [(&mut level.clicked, CLICKS), (&mut level.others, OTHERS * CLICKS)] {
            let count = input.count(32)?;
            if count > most {
                return Err(input.wrong("more rows than there is room for"));
            }
            let mut last = 0;
            for _ in 0..count {
                let (number, campaign) = (input.u64()?, CampaignId(input.u32()?));
                let [clicks, shown] = [input.f32()?, input.f32()?];
                let [stands_for, moved] = [input.f32()?, input.f32()?];
                let features = (0..input.count(4)?).map(|_| input.u32()).collect::<Result<_, _>>()?;
                if number <= last || number > rows {
                    return Err(input.wrong("rows out of order"));
                }
                last = number;
                queue.push_back(Kept { number, campaign, clicks, shown, stands_for, moved, features });
            }
        }
        Ok(level)
    }
}

fn push(rows: &mut VecDeque<Kept>, row: Kept, most: usize) {
    if rows.len() == most {
        rows.pop_front();
    }
    rows.push_back(row);
}

/// From 0 to 1, by the number of a row: the same for ever.
fn uniform(number: u64) -> f64 {
    (mix(number) >> 11) as f64 / (1_u64 << 53) as f64
}
