//! The level of a snapshot. With a learning rate for each coordinate the dozens of features that every row has move
//! together, by some hundredths with each row: a snapshot of any moment predicts 5 to 10 % too much or too little on
//! average, while the learner, which corrects itself with the next rows, is right. So each snapshot is given an intercept of
//! its own, under which it gets the sum of the clicks of the last rows right.
//!
//! Kept are the last clicks and as many of the other rows, drawn evenly, with the weight of all: a thousand rows of rare
//! clicks say little. That the snapshot has learned these rows does no harm to a sum.

use super::bytes::{DamagedBytes, Reader, Writer};
use super::ftrl::sigmoid;
use crate::model::ids::CampaignId;
use std::collections::VecDeque;

/// Clicks, and other rows, that are kept.
const KEPT: usize = 1_024;
/// Clicks that the intercept is shrunk by.
const SHRINKAGE: f64 = 20.0;

#[derive(Clone, PartialEq, Debug)]
struct Kept {
    /// The row's place among all.
    number: u64,
    campaign: CampaignId,
    clicks: f32,
    shown: f32,
    features: Box<[u32]>,
}

/// The rows by which levels are found.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Level {
    clicked: VecDeque<Kept>,
    others: VecDeque<Kept>,
    rows: u64,
    clicks: u64,
    /// How much of the next other row to keep is due.
    due: f64,
}

impl Level {
    /// Takes a row that was learned: `clicks` of `shown` impressions, both a weight or `clicks` 0. A late click is one click
    /// of none.
    pub fn add(&mut self, features: &[u32], campaign: CampaignId, clicks: f64, shown: f64) {
        self.rows += 1;
        let mut kept = Kept {
            number: self.rows,
            campaign,
            clicks: clicks as f32,
            shown: shown as f32,
            features: Box::default(),
        };
        if clicks > 0.0 {
            self.clicks += 1;
            kept.features = features.into();
            push(&mut self.clicked, kept);
            return;
        }
        let others = (self.rows - self.clicks) as f64;
        let share = ((self.clicks + 1) as f64 / others).min(1.0);
        self.due += share;
        if self.due >= 1.0 {
            self.due -= 1.0;
            kept.shown /= share as f32;
            kept.features = features.into();
            push(&mut self.others, kept);
        }
    }

    /// What has to be added to log-odds so that they get the clicks of the last rows right.
    pub fn fit(&self, logit: impl Fn(&[u32], CampaignId) -> f32) -> f32 {
        // Both have to tell of the same time.
        let start = |rows: &VecDeque<Kept>| match rows.front() {
            Some(first) if rows.len() == KEPT => first.number,
            _ => 0,
        };
        let start = start(&self.clicked).max(start(&self.others));
        let rows = self.clicked.iter().chain(&self.others).filter(|row| row.number >= start);
        let scored: Vec<(f64, f64, f64)> = rows
            .map(|row| {
                let logit = f64::from(logit(&row.features, row.campaign));
                (logit, f64::from(row.clicks), f64::from(row.shown))
            })
            .collect();
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
        out.f64(self.due);
        for rows in [&self.clicked, &self.others] {
            out.u32(rows.len() as u32);
            for row in rows {
                out.u64(row.number);
                out.u32(row.campaign.0);
                out.f32(row.clicks);
                out.f32(row.shown);
                out.u32(row.features.len() as u32);
                row.features.iter().for_each(|feature| out.u32(*feature));
            }
        }
    }

    pub(super) fn read(input: &mut Reader<'_>) -> Result<Level, DamagedBytes> {
        let (rows, clicks, due) = (input.u64()?, input.u64()?, input.f64()?);
        let mut level = Level { rows, clicks, due, ..Level::default() };
        if clicks > rows || !(0.0..=2.0).contains(&due) {
            return Err(input.wrong("more clicks than rows"));
        }
        for queue in [&mut level.clicked, &mut level.others] {
            let count = input.count(24)?;
            if count > KEPT {
                return Err(input.wrong("more rows than there is room for"));
            }
            for _ in 0..count {
                let (number, campaign) = (input.u64()?, CampaignId(input.u32()?));
                let (clicks, shown) = (input.f32()?, input.f32()?);
                let features = (0..input.count(4)?).map(|_| input.u32()).collect::<Result<_, _>>()?;
                queue.push_back(Kept { number, campaign, clicks, shown, features });
            }
        }
        Ok(level)
    }
}

fn push(rows: &mut VecDeque<Kept>, row: Kept) {
    if rows.len() == KEPT {
        rows.pop_front();
    }
    rows.push_back(row);
}
