//! What each sampled person brings: with caps that is played through in the order of time, several times over; without, it is a sum.

use super::dice::Dice;
use super::{Avail, Question};
use crate::model::frequency::UnknownUsers;
use std::collections::BTreeMap;

/// How often a person's day is played through.
const PLAYS: usize = 24;

/// What a step brings, in the sample's time.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(super) struct Totals {
    pub(super) bids: f64,
    /// Bids that would win if nobody counted.
    pub(super) wins: f64,
    pub(super) impressions: f64,
    pub(super) spend: f64,
}

impl Totals {
    pub(super) fn scaled(self, by: f64) -> Totals {
        let Totals { bids, wins, impressions, spend } = self;
        Totals { bids: bids * by, wins: wins * by, impressions: impressions * by, spend: spend * by }
    }

    pub(super) fn win_rate(&self) -> f64 {
        if self.bids > 0.0 { self.wins / self.bids } else { 0.0 }
    }

    fn add(&mut self, other: &Totals) {
        self.bids += other.bids;
        self.wins += other.wins;
        self.impressions += other.impressions;
        self.spend += other.spend;
    }
}

/// One person, with everybody who is like them.
#[derive(Clone, Debug)]
pub(super) struct Person {
    /// At each step.
    pub(super) steps: Vec<Totals>,
    /// The chance to be shown anything at each step.
    pub(super) reach: Vec<f64>,
    /// How many people they stand for.
    pub(super) weight: f64,
    /// Of the impressions at the base that those people see together.
    pub(super) variance: f64,
    /// The same of spend.
    pub(super) spend_variance: f64,
    /// What caps leave of the wins at the base.
    pub(super) kept: f64,
    /// Their avails, in the order of time.
    pub(super) avails: Vec<usize>,
}

/// All of them.
#[derive(Debug)]
pub(super) struct People(Vec<Person>);

/// What holds for each person.
struct Caps {
    caps: Vec<(usize, Option<i64>)>,
    gap_ms: i64,
    skips_unknown: bool,
}

impl Caps {
    fn of(question: &Question<'_>) -> Caps {
        let rules = || question.frequency.iter().filter(|frequency| !frequency.is_empty());
        let caps = rules().flat_map(|frequency| &frequency.caps);
        Caps {
            caps: caps.map(|cap| (cap.max.into(), cap.within_s.map(|s| i64::from(s) * 1_000))).collect(),
            gap_ms: rules().map(|frequency| i64::from(frequency.min_gap_s) * 1_000).max().unwrap_or(0),
            skips_unknown: rules().any(|frequency| frequency.unknown_users == UnknownUsers::Skip),
        }
    }

    fn is_none(&self) -> bool {
        self.caps.is_empty() && self.gap_ms == 0
    }

    /// Whether somebody may be shown it at `now_ms` who was shown it at `shown`, ascending.
    fn allow(&self, shown: &[i64], now_ms: i64) -> bool {
        let far = shown.last().is_none_or(|last| now_ms - last >= self.gap_ms);
        far && self.caps.iter().all(|(max, within_ms)| match shown.len().checked_sub(*max) {
            None => true,
            Some(at) => within_ms.is_some_and(|within_ms| now_ms - shown[at] >= within_ms),
        })
    }
}

impl People {
    pub(super) fn of(question: &Question<'_>) -> People {
        let caps = Caps::of(question);
        let mut known: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        let mut people: Vec<Person> = Vec::new();
        for (at, avail) in question.avails.iter().enumerate() {
            match avail.person {
                Some(person) => known.entry(person).or_default().push(at),
                None if caps.skips_unknown => {}
                None => people.push(Person::free(question, vec![at])),
            }
        }
        for (number, (_, mut avails)) in known.into_iter().enumerate() {
            avails.sort_by_key(|at| question.avails[*at].at_ms);
            people.push(match caps.is_none() {
                true => Person::free(question, avails),
                false => Person::capped(question, &caps, avails, number as u64),
            });
        }
        People(people)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Person> {
        self.0.iter()
    }

    /// What a step brings of everybody.
    pub(super) fn totals(&self, step: usize) -> Totals {
        let mut all = Totals::default();
        self.0.iter().for_each(|person| all.add(&person.steps[step]));
        all
    }

    /// How many people are shown it at least once where only this part of the impressions can be paid.
    pub(super) fn reached(&self, step: usize, part: f64) -> f64 {
        let one =
            |person: &Person| person.weight * (1.0 - (1.0 - person.reach[step]).powf(part.clamp(0.0, 1.0)));
        self.0.iter().map(one).sum()
    }
}

fn weight(avail: &Avail) -> f64 {
    avail.one_in.into()
}

impl Person {
    fn new(question: &Question<'_>, avails: Vec<usize>) -> Person {
        let steps = question.avails[avails[0]].bids.len();
        let weights = avails.iter().map(|at| weight(&question.avails[*at]));
        Person {
            steps: vec![Totals::default(); steps],
            reach: vec![0.0; steps],
            // Who was in the thinner sample was in the denser one.
            weight: weights.fold(f64::INFINITY, f64::min),
            variance: 0.0,
            spend_variance: 0.0,
            kept: 1.0,
            avails,
        }
    }

    /// Somebody whom nobody counts.
    fn free(question: &Question<'_>, avails: Vec<usize>) -> Person {
        let mut person = Person::new(question, avails);
        for step in 0..person.steps.len() {
            let mut nothing = 1.0;
            for avail in person.avails.iter().map(|at| &question.avails[*at]) {
                let Some(chance) = avail.bids[step] else { continue };
                let (weight, totals) = (weight(avail), &mut person.steps[step]);
                totals.bids += weight;
                totals.wins += weight * chance.win;
                totals.impressions += weight * chance.win;
                totals.spend += weight * chance.win * chance.cost_nanos;
                nothing *= 1.0 - chance.win;
                if step == question.base {
                    let variance = weight * chance.win * (1.0 - chance.win);
                    person.variance += variance;
                    person.spend_variance += variance * chance.cost_nanos.powi(2);
                }
            }
            person.reach[step] = 1.0 - nothing;
        }
        person
    }

    /// Somebody who is shown it so often and no more. Each play draws once for each avail, whatever the price: a higher bid never
    /// loses what a lower one wins.
    fn capped(question: &Question<'_>, caps: &Caps, avails: Vec<usize>, number: u64) -> Person {
        let mut person = Person::new(question, avails);
        let mut dice = Dice::new(question.seed, number);
        let mut shown: Vec<i64> = Vec::new();
        let (mut sums, mut squares, mut spent, mut spent_squares) = (0.0, 0.0, 0.0, 0.0);
        let part = 1.0 / PLAYS as f64;
        for _ in 0..PLAYS {
            let draws: Vec<f64> = person.avails.iter().map(|_| dice.even()).collect();
            for step in 0..person.steps.len() {
                shown.clear();
                let (mut impressions, mut spend) = (0.0, 0.0);
                for (avail, draw) in person.avails.iter().map(|at| &question.avails[*at]).zip(&draws) {
                    let Some(chance) = avail.bids[step] else { continue };
                    let (weight, totals) = (weight(avail), &mut person.steps[step]);
                    totals.bids += weight * part;
                    totals.wins += weight * chance.win * part;
                    if *draw < chance.win && caps.allow(&shown, avail.at_ms) {
                        shown.push(avail.at_ms);
                        totals.impressions += weight * part;
                        totals.spend += weight * chance.cost_nanos * part;
                        impressions += 1.0;
                        spend += chance.cost_nanos;
                    }
                }
                if step == question.base {
                    sums += impressions * part;
                    squares += impressions * impressions * part;
                    spent += spend * part;
                    spent_squares += spend * spend * part;
                }
                person.reach[step] += if shown.is_empty() { 0.0 } else { part };
            }
        }
        person.variance = person.weight * (squares - sums * sums).max(0.0);
        person.spend_variance = person.weight * (spent_squares - spent * spent).max(0.0);
        let base = person.steps[question.base];
        person.kept = if base.wins > 0.0 { (base.impressions / base.wins).min(1.0) } else { 1.0 };
        person
    }
}
