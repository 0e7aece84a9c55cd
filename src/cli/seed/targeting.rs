//! Whom the line items of the measuring world are for.
//!
//! Most aim at an audience (Zipf over segments, some over tree nodes), the others at a list of sites; on top come
//! places, devices, dayparts and exclusions. The more line items there are, the narrower each one's audience or list
//! is: [`Reach`] finds the rank from which on segments and sites are bought, so that the expected number of matches
//! stays what [`AUDIENCE_MATCHES`] and [`SITE_MATCHES`] say.

use super::WorldParams;
use super::audience::{LEAVES_PER_NODE, MEMBERSHIPS_PER_USER, node_above};
use super::dice::{Dice, Zipf};
use super::facts;
use crate::model::country::Country;
use crate::model::ids::SegmentId;
use crate::model::targeting::{Category, Daypart, HourMask, Rule, SegmentRule, Targeting};

/// Line items per thousand that aim at a list of sites instead of an audience.
const SITE_LISTS: u64 = 150;

/// Audience line items that the average user is expected to match before any other targeting.
const AUDIENCE_MATCHES: f64 = 29.0;

/// Site-list line items that the average visit to a site is expected to match before any other targeting.
const SITE_MATCHES: f64 = 9.0;

/// Lengths of `any_of`, equally likely.
const ANY_OF: [u64; 4] = [1, 2, 3, 4];

/// Least and most domains of a site list.
const DOMAINS: (u64, u64) = (4, 16);

/// Draws the targeting of line items.
#[derive(Debug)]
pub(super) struct Targets {
    params: WorldParams,
    segments: Zipf,
    popular_segments: Zipf,
    sites: Zipf,
    popular_sites: Zipf,
}

impl Targets {
    /// For checked parameters.
    pub(super) fn new(params: &WorldParams) -> Targets {
        let line_items = f64::from(params.line_items);
        let (last_segment, lists) = (u64::from(params.segments), SITE_LISTS as f64 / 1_000.0);
        let any_of = ANY_OF.iter().sum::<u64>() as f64 / ANY_OF.len() as f64;
        let audience = Reach { last: last_segment, draws: MEMBERSHIPS_PER_USER as u32 };
        let site = Reach { last: facts::SITES, draws: 1 };
        let first_segment = audience.first_rank(AUDIENCE_MATCHES / (line_items * (1.0 - lists) * any_of));
        let domains = (DOMAINS.0 + DOMAINS.1) as f64 / 2.0;
        let first_site = site.first_rank(SITE_MATCHES / (line_items * lists * domains));
        Targets {
            params: *params,
            segments: Zipf::new(first_segment, last_segment),
            popular_segments: Zipf::new(1, last_segment.min(200)),
            sites: Zipf::new(first_site, facts::SITES),
            popular_sites: Zipf::new(1, 500),
        }
    }

    /// The targeting of one line item.
    pub(super) fn draw(&self, d: &mut Dice) -> Targeting {
        let mut targeting = Targeting::default();
        match d.chance(SITE_LISTS) {
            true => targeting.domains.include = self.domains(d),
            false => targeting.segments = self.audience(d),
        }
        if d.chance(300) {
            place(d, &mut targeting);
        }
        if d.chance(200) {
            device(d, &mut targeting);
        }
        targeting.daypart = d.chance(100).then(|| daypart(d));
        self.exclude(d, &mut targeting);
        targeting
    }

    fn domains(&self, d: &mut Dice) -> Vec<String> {
        let count = DOMAINS.0 + d.below(DOMAINS.1 - DOMAINS.0 + 1);
        let ranks = distinct((0..count).map(|_| self.sites.draw(d)).collect());
        ranks.into_iter().map(facts::site_domain).collect()
    }

    fn audience(&self, d: &mut Dice) -> SegmentRule {
        let ranks = distinct((0..*d.one_of(&ANY_OF)).map(|_| self.segments.draw(d)).collect());
        let any_of = distinct(ranks.into_iter().map(|rank| self.segment_or_node(d, rank)).collect());
        let excluded = SegmentId(self.popular_segments.draw(d) as u32);
        let none_of = if d.chance(80) && !any_of.contains(&excluded) { vec![excluded] } else { Vec::new() };
        SegmentRule { all_of: Vec::new(), any_of, none_of }
    }

    /// One in eight is a node: the one whose leaves are together about as popular as the leaf that was drawn.
    fn segment_or_node(&self, d: &mut Dice, rank: u64) -> SegmentId {
        let alike = rank * u64::from(LEAVES_PER_NODE);
        if d.chance(125) && alike <= u64::from(self.params.segments) {
            return node_above(&self.params, alike as u32);
        }
        SegmentId(rank as u32)
    }

    fn exclude(&self, d: &mut Dice, targeting: &mut Targeting) {
        if d.chance(100) {
            let ranks = distinct((0..1 + d.below(8)).map(|_| self.popular_sites.draw(d)).collect());
            let domains = ranks.into_iter().map(facts::site_domain);
            targeting.domains.exclude =
                domains.filter(|own| !targeting.domains.include.contains(own)).collect();
        }
        if d.chance(50) {
            let id = (*d.one_of(&facts::CATEGORIES)).to_owned();
            targeting.categories.exclude = vec![Category { cattax: 1, id }];
        }
        if d.chance(50) && targeting.regions.include.is_empty() {
            targeting.regions.exclude = regions(d, 2);
        }
        if d.chance(30) {
            targeting.device_types.exclude = vec![3];
        }
    }
}

/// How often a visit carries ranks of Zipf over `1..=last`, drawn `draws` times.
struct Reach {
    last: u64,
    draws: u32,
}

impl Reach {
    /// The rank from which on to buy, so that a visit carries a bought rank (Zipf from there on) with probability
    /// `wanted`: the smallest rank that is rare enough. Where even the rarest ranks are too frequent, half of all.
    fn first_rank(&self, wanted: f64) -> u64 {
        let mass: f64 = (1..=self.last).map(|rank| 1.0 / rank as f64).sum();
        let (mut bought, mut carried) = (0.0, 0.0);
        let mut first = self.last + 1;
        while first > 1 {
            let share = 1.0 / (first - 1) as f64;
            bought += share;
            carried += share * self.carries(share / mass);
            // `carried / bought` grows while ever more popular ranks are taken in.
            if carried / bought > wanted {
                break;
            }
            first -= 1;
        }
        first.clamp(1, (self.last / 2).max(1))
    }

    /// Probability that at least one of the draws is a rank with this share. Plain products, since `powi` may round
    /// differently elsewhere.
    fn carries(&self, share: f64) -> f64 {
        1.0 - (0..self.draws).fold(1.0, |missed, _| missed * (1.0 - share))
    }
}

fn place(d: &mut Dice, targeting: &mut Targeting) {
    match d.below(10) {
        0..6 => targeting.countries.include = countries(&["USA"]),
        6..7 => targeting.countries.include = countries(&["USA", "CAN"]),
        _ => {
            targeting.countries.include = countries(&["USA"]);
            targeting.regions.include = regions(d, 6);
        }
    }
}

fn countries(codes: &[&str]) -> Vec<Country> {
    codes.iter().map(|code| Country::parse(code).expect("the tables name countries of ISO 3166-1")).collect()
}

/// One to `most` regions of the United States as `us-ca`, by their weight.
fn regions(d: &mut Dice, most: u64) -> Vec<String> {
    let us = |place: &facts::Place| if place.0 == "USA" { place.2 } else { 0 };
    let drawn = (0..1 + d.below(most)).map(|_| facts::PLACES[d.weighted(&facts::PLACES, us)].1);
    distinct(drawn.map(|region| format!("us-{}", region.to_ascii_lowercase())).collect())
}

fn device(d: &mut Dice, targeting: &mut Targeting) {
    let include = |values: &[i64]| Rule { include: values.to_vec(), exclude: Vec::new() };
    match d.below(10) {
        0..3 => targeting.device_types = include(&[2]),
        3..6 => targeting.device_types = include(&[1]),
        6..8 => targeting.device_types = include(&[2, 4]),
        8 => targeting.os.include = vec!["ios".to_owned(), "macos".to_owned()],
        _ => targeting.os.include = vec!["android".to_owned(), "windows".to_owned()],
    }
}

/// Office hours, evenings, weekends or long weekdays, each as (days of the week, hours of the day), half-open.
fn daypart(d: &mut Dice) -> Daypart {
    const SHAPES: [((usize, usize), (usize, usize)); 4] =
        [((0, 5), (8, 18)), ((0, 7), (17, 24)), ((5, 7), (0, 24)), ((0, 5), (6, 22))];
    let (days, day_hours) = *d.one_of(&SHAPES);
    let mut hours = HourMask::NONE;
    for day in days.0..days.1 {
        (day_hours.0..day_hours.1).for_each(|hour| hours.insert(day * 24 + hour));
    }
    let time_zone = *d.one_of(&["America/New_York", "America/Chicago", "America/Los_Angeles"]);
    Daypart { hours, time_zone: time_zone.to_owned() }
}

fn distinct<T: Ord>(mut values: Vec<T>) -> Vec<T> {
    values.sort_unstable();
    values.dedup();
    values
}
