//! The account's rules, interests and tiers, compiled: an event → what it may move.
//!
//! Invariant: an event moves nothing of an advertiser that the segment does not name, and never a sensitive segment:
//! what was observed is no explicit consent.

use super::Seen;
use crate::model::behaviour::{ActionFilter, Customers, Interest, Rule, Source};
use crate::model::ids::{AdvertiserId, SegmentId};
use crate::model::taxonomy::{Segment, Taxonomy};
use std::collections::HashMap;
use std::sync::Arc;

/// See the module.
#[derive(Debug, Default)]
pub struct Plan {
    taxonomy: Arc<Taxonomy>,
    rules: Vec<(SegmentId, Rule)>,
    interests: Vec<(SegmentId, Interest)>,
    customers: Vec<(SegmentId, Customers)>,
    advertisers: HashMap<AdvertiserId, OfAdvertiser>,
    /// Half-lives by segment, for who reads scores.
    half_lives: HashMap<SegmentId, u32>,
}

/// The words behind the first one of a phrase.
type Words = Box<[Box<str>]>;

/// What the events of one advertiser may move, as places in the plan's lists.
#[derive(Debug, Default)]
struct OfAdvertiser {
    /// Rules that ask for no keyword.
    rules: Vec<u32>,
    /// Rules that do, by the first word of each of their phrases: the words behind it, and the rule.
    by_word: HashMap<Box<str>, Vec<(Words, u32)>>,
    /// Interests by the category of the event.
    interests: HashMap<SegmentId, Vec<u32>>,
    customers: Vec<u32>,
    /// Categories that move anything, by their keys: nobody else's, because keys are unique within an account only.
    categories: HashMap<Box<str>, SegmentId>,
}

impl Plan {
    /// Compiles what `segments` say. Costs the sum of the sizes of the trees under interests.
    pub fn compile(segments: &[Segment], taxonomy: &Arc<Taxonomy>) -> Plan {
        let mut plan = Plan { taxonomy: Arc::clone(taxonomy), ..Plan::default() };
        for segment in segments.iter().filter(|segment| !taxonomy.is_sensitive(segment.id)) {
            match &segment.source {
                Source::Listed => {}
                Source::Rule(rule) => plan.add_rule(segment.id, rule),
                Source::Interest(interest) => plan.add_interest(segment.id, interest),
                Source::Customers(customers) => {
                    let place = plan.customers.len() as u32;
                    plan.of(customers.advertiser).customers.push(place);
                    plan.customers.push((segment.id, *customers));
                }
            }
        }
        plan
    }

    fn of(&mut self, advertiser: AdvertiserId) -> &mut OfAdvertiser {
        self.advertisers.entry(advertiser).or_default()
    }

    fn add_rule(&mut self, segment: SegmentId, rule: &Rule) {
        let place = self.rules.len() as u32;
        for advertiser in &rule.filter.advertisers {
            self.add_categories(*advertiser, &rule.filter.categories);
            let of = self.of(*advertiser);
            if rule.filter.keywords.is_empty() {
                of.rules.push(place);
            }
            for phrase in &rule.filter.keywords {
                let mut words = words(phrase).map(Box::<str>::from);
                if let Some(first) = words.next() {
                    of.by_word.entry(first).or_default().push((words.collect(), place));
                }
            }
        }
        self.rules.push((segment, rule.clone()));
    }

    fn add_interest(&mut self, segment: SegmentId, interest: &Interest) {
        let place = self.interests.len() as u32;
        let taxonomy = Arc::clone(&self.taxonomy);
        for advertiser in &interest.advertisers {
            self.add_categories(*advertiser, &[segment]);
            let of = self.of(*advertiser);
            for category in taxonomy.descendants(segment) {
                of.interests.entry(*category).or_default().push(place);
            }
        }
        self.half_lives.insert(segment, interest.half_life_s);
        self.interests.push((segment, interest.clone()));
    }

    fn add_categories(&mut self, advertiser: AdvertiserId, nodes: &[SegmentId]) {
        let taxonomy = Arc::clone(&self.taxonomy);
        let of = self.of(advertiser);
        for category in nodes.iter().flat_map(|node| taxonomy.descendants(*node)) {
            of.categories.insert(taxonomy.label(*category).into_boxed_str(), *category);
        }
    }

    /// The category that an advertiser's event means by a key; `None` where it would move nothing.
    pub fn category(&self, advertiser: AdvertiserId, key: &str) -> Option<SegmentId> {
        self.advertisers.get(&advertiser)?.categories.get(key).copied()
    }

    /// Whether no event moves anything.
    pub fn is_empty(&self) -> bool {
        self.advertisers.is_empty()
    }

    /// The trees that it was compiled with.
    pub fn taxonomy(&self) -> &Taxonomy {
        &self.taxonomy
    }

    /// The half-life of a segment that is an interest, in seconds.
    pub fn half_life_s(&self, segment: SegmentId) -> Option<u32> {
        self.half_lives.get(&segment).copied()
    }

    /// The rules that the event meets, each once.
    pub(super) fn rules_met<'p>(&'p self, seen: &Seen<'_>, met: &mut Vec<&'p (SegmentId, Rule)>) {
        met.clear();
        let Some(of) = self.advertisers.get(&seen.advertiser) else { return };
        let meets = |place: &u32| {
            let rule = &self.rules[*place as usize];
            self.meets(&rule.1.filter, seen).then_some(rule)
        };
        met.extend(of.rules.iter().filter_map(meets));
        if of.by_word.is_empty() || seen.keywords.is_empty() {
            return;
        }
        let words: Vec<&str> = words(seen.keywords).collect();
        for (at, word) in words.iter().enumerate() {
            let Some(phrases) = of.by_word.get(*word) else { continue };
            for (rest, place) in phrases {
                let follows = words[at + 1..].iter().zip(&**rest).filter(|(said, asked)| ***said == ***asked);
                let is_new = |rule: &&(SegmentId, Rule)| !met.iter().any(|other| std::ptr::eq(*other, *rule));
                if follows.count() == rest.len()
                    && let Some(rule) = meets(place).filter(is_new)
                {
                    met.push(rule);
                }
            }
        }
    }

    /// The interests that the event adds to.
    pub(super) fn interests_met(&self, seen: &Seen<'_>) -> impl Iterator<Item = &(SegmentId, Interest)> {
        let of = self.advertisers.get(&seen.advertiser).zip(seen.category);
        let places = of.and_then(|(of, category)| of.interests.get(&category));
        places.into_iter().flatten().map(|place| &self.interests[*place as usize])
    }

    /// The tiers of an advertiser's customers.
    pub(super) fn tiers(&self, advertiser: AdvertiserId) -> impl Iterator<Item = &(SegmentId, Customers)> {
        let places = self.advertisers.get(&advertiser).map(|of| &of.customers[..]).unwrap_or_default();
        places.iter().map(|place| &self.customers[*place as usize])
    }

    /// Advertisers whose customers have tiers.
    pub(super) fn advertisers_with_tiers(&self) -> impl Iterator<Item = AdvertiserId> {
        self.advertisers.iter().filter(|(_, of)| !of.customers.is_empty()).map(|(advertiser, _)| *advertiser)
    }

    fn meets(&self, filter: &ActionFilter, seen: &Seen<'_>) -> bool {
        let is_under =
            |category| filter.categories.iter().any(|node| self.taxonomy.is_under(category, *node));
        (filter.pixels.is_empty() || filter.pixels.contains(&seen.pixel))
            && (filter.actions.is_empty() || filter.actions.contains(&seen.action))
            && (filter.names.is_empty() || filter.names.iter().any(|name| name == seen.name))
            && (filter.categories.is_empty() || seen.category.is_some_and(is_under))
            && (filter.conversions.is_empty()
                || seen.conversion.is_some_and(|conversion| filter.conversions.contains(&conversion)))
            && filter.min_value.is_none_or(|least| seen.value.is_some_and(|value| value >= least))
    }
}

/// The words of a text: runs of letters and digits.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty())
}
