//! Similar users: from the members of one segment to a chosen number of others who are most like them.
//!
//! Naive Bayes over segments: the score of a user is the sum, over the user's segments, of how much more often the seed is
//! in them than everybody is, as a logarithm of odds with one imagined member on each side (Laplace). A fifth of the seed is
//! held back by the hash of its keys and is not learned from; how many of those the expansion finds, against how many a
//! random audience of its size would, is the lift, with the Wilson interval of that share (Wilson, 1927).
//!
//! Invariant: a sensitive membership is not looked at, neither of the seed nor as a reason nor to choose among, and nobody's
//! explicit consent is passed on. What a model put somewhere is none either: a model that learns from models learns from
//! itself. The same index, seed and time give the same audience. Memory is a few numbers a segment and eight bytes a chosen
//! user; time is three walks over all users, which hold no lock that a lookup, a write or a merge waits for.

use super::{AudienceIndex, Member, Membership, Origin};
use crate::model::ids::{SegmentId, UserKey};
use crate::model::taxonomy::Taxonomy;
use std::collections::{BTreeMap, HashMap};

/// One of so many members of the seed is held back.
const HELD_BACK: u64 = 5;
/// Least members that something can be learned and shown from.
pub const MIN_SEED: u64 = 100;
/// Scores are told apart to a hundredth.
const STEPS: f64 = 100.0;
/// 95 % of a normal distribution lie within so many deviations.
const Z: f64 = 1.959_964;
/// Reasons that are told.
const TOLD: usize = 10;
/// Users between two questions whether to go on.
const PATIENCE: u32 = 4_096;

/// What to expand.
#[derive(Clone, Copy, Debug)]
pub struct Expansion<'e> {
    /// Whose members are the pattern.
    pub seed: SegmentId,
    /// What is to be filled, where that is a segment: neither it nor what is below it is a reason, or the second search would
    /// find that nobody of the first one is in the seed.
    pub target: Option<SegmentId>,
    /// The segments that count, those of one account: who is in none of them is not known there. `None` = all.
    pub among: Option<&'e [SegmentId]>,
    /// Users to find; fewer where fewer are known who have anything in common with the seed.
    pub size: usize,
    /// The time at which memberships count, in Unix seconds.
    pub now_s: i64,
}

impl Expansion<'_> {
    /// Whether a membership may be looked at.
    pub fn counts(&self, taxonomy: &Taxonomy, membership: &Membership) -> bool {
        let is_of_target = self.target.is_some_and(|target| taxonomy.is_under(membership.segment, target));
        membership.origin != Origin::Inferred && !is_of_target && !taxonomy.is_sensitive(membership.segment)
    }
}

/// Who was found, and how good that is.
#[derive(Clone, Debug, PartialEq)]
pub struct Similar {
    /// In no order; members of the seed are not among them, except those held back.
    pub users: Vec<UserKey>,
    /// Members of the seed, those held back included.
    pub seed: u64,
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
    /// What tells the seed from the others most, the most telling first.
    pub telling: Vec<Telling>,
}

/// How much a segment tells of the seed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Telling {
    /// The segment.
    pub segment: SegmentId,
    /// Which share of the seed is in it, 0 to 1; of the part that was learned from.
    pub seed_share: f64,
    /// Which share of the population.
    pub other_share: f64,
    /// How much knowing it says of who is of the seed: the relative entropy of the two shares, in bits (Kullback and Leibler,
    /// 1951).
    bits: f64,
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
    /// Whoever asked for it wants it no more.
    #[error("the search was ended")]
    Ended,
}

impl AudienceIndex {
    /// Finds the users who are most like the members of a segment. `is_to_end` is asked now and then.
    ///
    /// # Errors
    /// The seed is sensitive or too small, or the search was ended.
    pub fn similar(
        &self,
        taxonomy: &Taxonomy,
        expansion: &Expansion<'_>,
        is_to_end: &dyn Fn() -> bool,
    ) -> Result<Similar, SimilarError> {
        let Expansion { seed, size, .. } = *expansion;
        if taxonomy.is_sensitive(seed) {
            return Err(SimilarError::Sensitive(seed));
        }
        let search = Search { index: self, taxonomy, expansion, is_to_end };
        let mut counts = Counts::default();
        search.walk(|role, _, memberships| counts.add(role, memberships))?;
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
        let mut heights: BTreeMap<i64, u64> = BTreeMap::new();
        search.walk(|role, _, memberships| {
            if role != Role::Seed
                && let Some(score) = score(memberships)
            {
                *heights.entry(score).or_default() += 1;
            }
        })?;
        let (least, of_least) = cut(&heights, size as u64);
        let population = counts.others + counts.held_back;
        let mut similar = Similar {
            users: Vec::with_capacity(size.min(usize::try_from(population).unwrap_or(usize::MAX))),
            seed: counts.members(),
            held_back: counts.held_back,
            found: 0,
            population,
            lift: 0.0,
            lift_interval: (0.0, 0.0),
            telling: counts.telling(seed, taxonomy),
        };
        let mut taken_of_least = 0;
        search.walk(|role, key, memberships| {
            let score = score(memberships).filter(|score| role != Role::Seed && *score >= least);
            let Some(score) = score else { return };
            if score == least {
                if taken_of_least == of_least {
                    return;
                }
                taken_of_least += 1;
            }
            similar.found += u64::from(role == Role::HeldBack);
            similar.users.push(key);
        })?;
        similar.measure();
        Ok(similar)
    }
}

/// What all walks of one search have in common.
struct Search<'s> {
    index: &'s AudienceIndex,
    taxonomy: &'s Taxonomy,
    expansion: &'s Expansion<'s>,
    is_to_end: &'s dyn Fn() -> bool,
}

impl Search<'_> {
    /// Calls `f` with everybody of whom something may be looked at, and with that.
    fn walk(&self, mut f: impl FnMut(Role, UserKey, &[Membership])) -> Result<(), SimilarError> {
        let Search { taxonomy, expansion, .. } = *self;
        let (mut seen, mut has_ended) = (0_u32, false);
        let mut memberships = Vec::new();
        self.index.while_each_member(expansion.among, expansion.now_s, |member| {
            memberships.clear();
            let all = member.memberships.iter();
            memberships.extend(all.filter(|membership| expansion.counts(taxonomy, membership)));
            if !memberships.is_empty() {
                let own = Member { memberships: &memberships, ..*member };
                f(Role::of(&own, expansion.seed, taxonomy), own.key, &memberships);
            }
            seen = seen.wrapping_add(1);
            has_ended = seen.is_multiple_of(PATIENCE) && (self.is_to_end)();
            !has_ended
        });
        if has_ended { Err(SimilarError::Ended) } else { Ok(()) }
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

    /// The shares of the seed and of everybody else that are in each segment, without the seed itself and what lies below
    /// it. One imagined member on each side keeps both above 0 and below 1.
    fn shares(&self, seed: SegmentId, taxonomy: &Taxonomy) -> impl Iterator<Item = (SegmentId, f64, f64)> {
        let (seeds, rest) = (self.seed as f64 + 2.0, (self.others + self.held_back) as f64 + 2.0);
        let of_others =
            self.by_segment.iter().filter(move |(segment, _)| !taxonomy.is_under(**segment, seed));
        of_others.map(move |(segment, (in_seed, in_rest))| {
            (*segment, (*in_seed as f64 + 1.0) / seeds, (*in_rest as f64 + 1.0) / rest)
        })
    }

    /// Logarithms of odds by segment.
    fn weights(&self, seed: SegmentId, taxonomy: &Taxonomy) -> HashMap<SegmentId, f64> {
        let odds = |share: f64| share / (1.0 - share);
        let shares = self.shares(seed, taxonomy);
        shares.map(|(segment, of_seed, of_rest)| (segment, (odds(of_seed) / odds(of_rest)).ln())).collect()
    }

    fn telling(&self, seed: SegmentId, taxonomy: &Taxonomy) -> Vec<Telling> {
        let shares = self.shares(seed, taxonomy);
        let mut telling: Vec<Telling> = shares
            .map(|(segment, seed_share, other_share)| {
                let part = |of_seed: f64, of_rest: f64| of_seed * (of_seed / of_rest).log2();
                let bits = part(seed_share, other_share) + part(1.0 - seed_share, 1.0 - other_share);
                Telling { segment, seed_share, other_share, bits }
            })
            .collect();
        telling.sort_by(|a, b| b.bits.total_cmp(&a.bits).then(a.segment.cmp(&b.segment)));
        telling.truncate(TOLD);
        telling
    }
}

/// The least score that is chosen, and how many with it.
fn cut(heights: &BTreeMap<i64, u64>, size: u64) -> (i64, u64) {
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
