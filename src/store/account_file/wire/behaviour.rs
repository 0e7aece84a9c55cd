//! How people come into segments by what they do, how others name segments, and where events are reported.

use super::super::behaviour::{
    ADVERTISERS, AT_LEAST, DAYS, HALF_LIFE_S, LOST_DAYS, MAX_TEXTS, MOST_WORDS, ORIGINS, PER_SECOND,
    RECENT_DAYS, SECONDS, SEGTAX, USUAL_PER_SECOND, WITHIN_S,
};
use super::super::schema::{
    Described, Form, Spec, formed, list, name, number, one_of, one_of_texts, refers, segment, text, whole,
    word,
};
use super::super::values::STATUSES;
use super::{Absent, Quoted};
use crate::model::behaviour::{Action, Tier};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Texts by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(in crate::store::account_file) struct Texts(pub(in crate::store::account_file) BTreeMap<String, String>);

impl Absent for Texts {
    fn is_absent(&self) -> bool {
        self.0.is_empty()
    }
}

impl Described for Texts {
    fn spec() -> Spec {
        Spec::texts(text().at_most(MAX_TEXTS))
    }
}

wire! {
    ExternalWire {
        /// `user.data.ext.segtax`: the number of the taxonomy; 4 is the IAB's Audience Taxonomy 1.1, from 500 on they are private.
        segtax: Option<i64> = whole(SEGTAX).required(),
        /// `user.data.name` of who says it; without it whoever says it.
        provider: Option<String> = word("data.example"),
        /// `user.data.segment.id`.
        id: Option<String> = word("607").required(),
    }
    SegmentRuleWire {
        /// Whose events count.
        advertiser_ids: Vec<Quoted> = list(refers("advertisers.id")).some().entries(ADVERTISERS),
        /// From these pixels; none is all of these advertisers.
        pixel_ids: Vec<Quoted> = list(refers("pixels.id")),
        /// Of these kinds; none is all.
        actions: Vec<String> = list(one_of::<Action>()),
        /// Custom events of any of these names; none is all. Case does not count.
        names: Vec<String> = list(word("newsletter").at_most(MAX_TEXTS)).entries(MOST_WORDS),
        /// With any of these words or phrases among their search words, as whole words in this order; none is all. Case does not count.
        keywords: Vec<String> = list(word("running shoes").at_most(MAX_TEXTS)).entries(MOST_WORDS),
        /// Of a category at or under any of these segments, by their keys; none is all.
        categories: Vec<String> = list(segment()),
        /// By any of these definitions of conversions; none is all.
        conversion_ids: Vec<Quoted> = list(refers("conversions.id")),
        /// Worth at least this, in the currency of the advertiser whose event it is.
        min_value: Option<Quoted> = number("50.00"),
        /// How often.
        at_least: Option<i64> = whole(AT_LEAST).default(1),
        /// Within how many seconds, up to 365 days; by default 30 days.
        within_s: Option<i64> = whole(SECONDS).default(WITHIN_S),
    }
    InterestWeightsWire {
        /// Of a look.
        view: Option<Quoted> = number("1").default("1.000"),
        /// Of a search.
        search: Option<Quoted> = number("3").default("3.000"),
        /// Of something put into a cart.
        cart: Option<Quoted> = number("5").default("5.000"),
        /// Of a purchase, which ends most interests.
        purchase: Option<Quoted> = number("0").default("0.000"),
        /// Of a conversion.
        conversion: Option<Quoted> = number("1").default("1.000"),
        /// Of a custom event.
        custom: Option<Quoted> = number("1").default("1.000"),
    }
    SegmentInterestWire {
        /// Whose events count.
        advertiser_ids: Vec<Quoted> = list(refers("advertisers.id")).some().entries(ADVERTISERS),
        /// Seconds in which a score falls to its half, up to 365 days; by default 7 days.
        half_life_s: Option<i64> = whole(SECONDS).default(HALF_LIFE_S),
        /// The score from which somebody is in the segment: more than 0, at most 3 decimals.
        threshold: Option<Quoted> = number("4.5").required(),
        /// What an event of the segment's category, or of one under it, adds to the score: up to 1000, at most 3 decimals.
        weights: InterestWeightsWire,
    }
    SegmentCustomersWire {
        /// Whose customers.
        advertiser_id: Option<Quoted> = refers("advertisers.id").required(),
        /// Where they stand.
        tier: Option<String> = one_of::<Tier>().required(),
        /// Purchases of so many days are recent.
        recent_days: Option<i64> = whole(DAYS).default(RECENT_DAYS),
        /// After so many days without a purchase a customer is lost; more than `recent_days`.
        lost_days: Option<i64> = whole(DAYS).default(LOST_DAYS),
    }
    PixelWire {
        /// Its number.
        id: Option<Quoted>,
        /// The advertiser; it stays.
        advertiser: Option<Quoted> = refers("advertisers.id").required(),
        /// For people.
        name: Option<String> = name().required(),
        /// Whether it takes events.
        status: Option<String> = one_of_texts(STATUSES),
        /// Origins whose pages may report, such as `https://shop.example`; http only of loopback. Without any only servers may.
        origins: Vec<String> = list(formed("^[Hh][Tt][Tt][Pp][Ss]?://[^/?#\\s]+/?$", &["https://shop.example"])).entries(ORIGINS),
        /// Events a second that are taken from browsers.
        per_second: Option<i64> = whole(PER_SECOND).default(USUAL_PER_SECOND),
        /// What servers sign their events with: 32 bytes as 64 hexadecimal digits or as base64. Without it no server may report.
        secret: Option<String> = formed(
            "^([0-9A-Fa-f]{64}|[A-Za-z0-9+/_-]{43}=?)$",
            &["9f86d081884c7d659a2feaa0c55ad0159f86d081884c7d659a2feaa0c55ad015"],
        ).secret(),
    }
}
