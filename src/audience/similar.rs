//! Similar users: from the members of one segment to a chosen number of others who are most like them.
//!
//! Naive Bayes over segments: the score of a user is the sum, over the user's segments, of how much more often the seed is
//! in them than everybody is, as a logarithm of odds with one imagined member on each side (Laplace). A fifth of the seed is
//! held back by the hash of its keys and is not learned from; how many of those the expansion finds, against how many a
//! random audience of its size would, is the lift, with the Wilson interval of that share (Wilson, 1927).
//!
//! Invariant: a sensitive segment is neither seed nor feature, and nobody's explicit consent is passed on. The same index,
//! seed and time give the same audience. Memory is a few numbers a segment and eight bytes a chosen user; time is three
//! walks over all users.

use super::{AudienceIndex, Member, Membership};
use crate::model::ids::{SegmentId, UserKey};
use crate::model::taxonomy::Taxonomy;
use std::collections::HashMap;

/// One of so many members of the seed is held back.
const HELD_BACK: u64 = 5;
/// Least members that something can be learned and shown from.
pub const MIN_SEED: u64 = 100;
/// Scores are told apart to a hundredth.
const STEPS: f64 = 100.0;
/// 95 % of a normal distribution lie within so many deviations.
const Z: f64 = 1.959_964;

/// What to expand.
#[derive(Clone, Copy, Debug)]
pub struct Expansion {
    /// Whose members are the pattern.
    pub seed: SegmentId,
    /// Users to find; fewer where fewer are known who have anything in common with the seed.
    pub size: usize,
    /// The time at which memberships count, in Unix seconds.
    pub now_s: i64,
}

/// Who was found, and how good that is.
#[derive(Clone, Debug, PartialEq)]
pub struct Similar {
    /// In no order; members of the seed are not among them, except those held back.
    pub users: Vec<UserKey>,
    /// Members of the seed that were held back.
    pub held_back: u64,
    /// How many of them were found.
    pub found: u64,
    /// Users that could have been chosen, those held back included.
    pub population: u64,
    /// Share of those held back that was found, over the share of the population that was chosen.
    pub lift: f64,
    /// The interval in which the lift lies with 95 %.
    pub lift_interval: (f64, f64),
}

/// Why nothing was expanded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SimilarError {
    /// The seed is sensitive.
    #[error(
        "segment {0} is sensitive: who is like its members would be known to be so without their consent"
    )]
    Sensitive(SegmentId),
    /// Too few to learn from.
    #[error("the seed has {0} members and needs {MIN_SEED}: fewer say more of chance than of people")]
    TooFew(u64),
}

impl AudienceIndex {
    /// Finds the users who are most like the members of a segment.
    ///
    /// # Errors
    /// The seed is sensitive or too small.
    pub fn similar(&self, taxonomy: &Taxonomy, expansion: &Expansion) -> Result<Similar, SimilarError> {
        let Expansion { seed, size, now_s } = *expansion;
        if taxonomy.is_sensitive(seed) {
            return Err(SimilarError::Sensitive(seed));
        }
        let role = |member: &Member<'_>| Role::of(member, seed, taxonomy);
        let mut counts = Counts::default();
        self.for_each_member(None, now_s, |member| counts.add(role(member), member.memberships));
        if counts.members() < MIN_SEED {
            return Err(SimilarError::TooFew(counts.members()));
        }
        let weights = counts.weights(seed, taxonomy);
        let score = |memberships: &[Membership]| {
            let mut shared = false;
            let sum: f64 = (memberships.iter())
                .filter_map(|membership| weights.get(&membership.segment))
                .inspect(|_| shared = true)
                .sum();
            shared.then_some((sum * STEPS).round() as i64)
        };
        let mut heights: std::collections::BTreeMap<i64, u64> = std::collections::BTreeMap::new();
        self.for_each_member(None, now_s, |member| {
            if role(member) != Role::Seed
                && let Some(score) = score(member.memberships)
            {
                *heights.entry(score).or_default() += 1;
            }
        });
        let (least, of_least) = cut(&heights, size as u64);
        let mut similar = Similar {
            users: Vec::with_capacity(size),
            held_back: counts.held_back,
            found: 0,
            population: counts.others + counts.held_back,
            lift: 0.0,
            lift_interval: (0.0, 0.0),
        };
        let mut taken_of_least = 0;
        self.for_each_member(None, now_s, |member| {
            let role = role(member);
            let score = score(member.memberships).filter(|score| role != Role::Seed && *score >= least);
            let Some(score) = score else { return };
            if score == least {
                if taken_of_least == of_least {
                    return;
                }
                taken_of_least += 1;
            }
            similar.found += u64::from(role == Role::HeldBack);
            similar.users.push(member.key);
        });
        similar.measure();
        Ok(similar)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Role {
    Seed,
    HeldBack,
    Other,
}

impl Role {
    /// By the hash of the key, which no rule of the account knows.
    fn of(member: &Member<'_>, seed: SegmentId, taxonomy: &Taxonomy) -> Role {
        let is_of_seed = |membership: &Membership| taxonomy.is_under(membership.segment, seed);
        if !member.memberships.iter().any(is_of_seed) {
            Role::Other
        } else if member.key.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32 & 0xffff_ffff
            < u64::from(u32::MAX) / HELD_BACK
        {
            Role::HeldBack
        } else {
            Role::Seed
        }
    }
}

/// How many users are in each segment.
#[derive(Default)]
struct Counts {
    seed: u64,
    held_back: u64,
    others: u64,
    /// By segment: of the seed that is learned from, of everybody else.
    by_segment: HashMap<SegmentId, (u64, u64)>,
}

impl Counts {
    fn members(&self) -> u64 {
        self.seed + self.held_back
    }

    fn add(&mut self, role: Role, memberships: &[Membership]) {
        match role {
            Role::Seed => self.seed += 1,
            Role::HeldBack => self.held_back += 1,
            Role::Other => self.others += 1,
        }
        for membership in memberships {
            let (seed, rest) = self.by_segment.entry(membership.segment).or_default();
            match role {
                Role::Seed => *seed += 1,
                // Part of those who are to be chosen among, whom nothing tells from the others.
                Role::HeldBack | Role::Other => *rest += 1,
            }
        }
    }

    /// Logarithms of odds by segment, without the seed itself and what lies below it, and without what is sensitive.
    fn weights(&self, seed: SegmentId, taxonomy: &Taxonomy) -> HashMap<SegmentId, f64> {
        let (seeds, rest) = (self.seed as f64 + 2.0, (self.others + self.held_back) as f64 + 2.0);
        let counts =
            |segment: SegmentId| !taxonomy.is_under(segment, seed) && !taxonomy.is_sensitive(segment);
        (self.by_segment.iter())
            .filter(|(segment, _)| counts(**segment))
            .map(|(segment, (in_seed, in_rest))| {
                let odds = |share: f64| share / (1.0 - share);
                let (of_seed, of_rest) = ((*in_seed as f64 + 1.0) / seeds, (*in_rest as f64 + 1.0) / rest);
                (*segment, (odds(of_seed) / odds(of_rest)).ln())
            })
            .collect()
    }
}

/// The least score that is chosen, and how many with it.
fn cut(heights: &std::collections::BTreeMap<i64, u64>, size: u64) -> (i64, u64) {
    let mut left = size;
    for (score, count) in heights.iter().rev() {
        if *count >= left {
            return (*score, left);
        }
        left -= count;
    }
    (i64::MIN, 0)
}

impl Similar {
    fn measure(&mut self) {
        let chosen = self.users.len() as f64 / (self.population as f64).max(1.0);
        if self.held_back == 0 || chosen <= 0.0 {
            return;
        }
        let (n, found) = (self.held_back as f64, self.found as f64);
        let share = found / n;
        let middle = (share + Z * Z / (2.0 * n)) / (1.0 + Z * Z / n);
        let half = Z / (1.0 + Z * Z / n) * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
        self.lift = share / chosen;
        self.lift_interval = ((middle - half).max(0.0) / chosen, (middle + half) / chosen);
    }
}
