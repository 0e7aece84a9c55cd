//! What a line item bids on, and what changes its bid.

use super::super::schema::{
    Described, Form, Spec, country, domain, exchange, factors, formed, list, listed, lists, one_of,
    one_of_texts, region, rule, segment, size, text, time_zone, whole, word,
};
use super::super::targeting::{
    CONNECTIONS, DAYS, DEVICE_TYPES, FEEDS, MAX_FACTOR, NATIVE_CONTEXTS, PLAYBACK_METHODS, POSITIONS, SEEN,
    VIDEO_PLACEMENTS,
};
use super::{Absent, FactorWire, Quoted, RuleWire};
use crate::model::behaviour::Tier;
use crate::model::line_item::ChannelKind;
use crate::model::list::ListKind;
use crate::model::targeting::{MediaType, StreamStart};
use serde::{Deserialize, Serialize};

wire! {
    CategoryWire {
        /// The taxonomy, as AdCOM numbers them.
        cattax: Option<i64> = whole(1..=65_535).default(1),
        /// The category in it; in taxonomy 1 such as IAB2-3.
        id: Option<String> = text().at_least(1).such_as("IAB2-3").required(),
    }
    AudienceWire {
        /// Segments by key; the user is in all of them.
        all_of: Vec<String> = list(segment()),
        /// Segments by key; the user is in one of them.
        any_of: Vec<String> = list(segment()),
        /// Segments by key; the user is in none of them.
        none_of: Vec<String> = list(segment()),
    }
    HoursWire {
        /// The day.
        day: Option<String> = one_of_texts(DAYS).required(),
        /// The first hour.
        start: Option<i64> = whole(0..=23).required(),
        /// The hour that it ends before; after `start`.
        end: Option<i64> = whole(1..=24).required(),
    }
    DaypartsWire {
        /// The time zone of the hours. Default the advertiser's.
        time_zone: Option<String> = time_zone(),
        /// Hours that it bids in; none is all.
        include: Vec<HoursWire>,
        /// Hours that it does not bid in.
        exclude: Vec<HoursWire>,
    }
    ListedWire {
        /// Any of these; none is all.
        include: Vec<String>,
        /// None of these.
        exclude: Vec<String>,
        /// Ids of lists; what stands on any of them is wanted too.
        include_lists: Vec<Quoted>,
        /// Ids of lists; what stands on any of them is refused.
        exclude_lists: Vec<Quoted>,
    }
    AddressesWire {
        /// Ids of lists; what stands on any of them is wanted too.
        include_lists: Vec<Quoted>,
        /// Ids of lists; what stands on any of them is refused.
        exclude_lists: Vec<Quoted>,
    }
    TargetingWire {
        /// Exchanges by name.
        exchanges: RuleWire<String> = rule(exchange()),
        /// Deals by the exchanges' own texts, on every exchange.
        deals: ListedWire = listed(word("PMP-4711"), ListKind::Deal),
        /// Kinds of ads.
        formats: RuleWire<String> = rule(one_of::<MediaType>()),
        /// Sizes of the place in pixels.
        sizes: RuleWire<String> = rule(size()),
        /// Countries, ISO 3166.
        countries: RuleWire<String> = rule(country()),
        /// Regions, ISO 3166-2.
        regions: ListedWire = listed(region(), ListKind::Region),
        /// Metropolitan areas, as exchanges call them.
        metros: ListedWire = listed(word("501"), ListKind::Metro),
        /// Cities, as exchanges call them.
        cities: ListedWire = listed(word("hamburg"), ListKind::City),
        /// Postal codes.
        zips: ListedWire = listed(word("20095"), ListKind::Zip),
        /// Addresses of the user, by lists alone.
        addresses: AddressesWire = lists(ListKind::Address),
        /// Device types, as AdCOM numbers them.
        device_types: RuleWire<i64> = rule(whole(DEVICE_TYPES)),
        /// Operating systems, as requests name them.
        os: RuleWire<String> = rule(word("ios")),
        /// Browsers, as requests name them.
        browsers: RuleWire<String> = rule(word("chrome")),
        /// Connection types, as AdCOM numbers them.
        connections: RuleWire<i64> = rule(whole(CONNECTIONS)),
        /// Carriers, as requests name them.
        carriers: RuleWire<String> = rule(word("vodafone")),
        /// Languages of the user.
        languages: RuleWire<String> = rule(formed("^[A-Za-z0-9]{2,3}(-[A-Za-z0-9]{1,8})*$", &["en", "pt-BR"])),
        /// Domains of sites, those below them too.
        domains: ListedWire = listed(domain(), ListKind::Domain),
        /// Apps by bundle.
        bundles: ListedWire = listed(word("com.example.game"), ListKind::Bundle),
        /// Publishers by id.
        publishers: ListedWire = listed(word("pub-12"), ListKind::Publisher),
        /// Categories of the content.
        categories: RuleWire<CategoryWire> = rule(CategoryWire::spec()),
        /// Keywords of the content.
        keywords: ListedWire = listed(word("shoes"), ListKind::Keyword),
        /// Segments of the user.
        audience: AudienceWire,
        /// Hours of the week; without it all.
        dayparts: Option<DaypartsWire>,
        /// The place itself; without it any.
        placement: Option<PlacementWire>,
    }
    PlacementWire {
        /// Positions on the page, as AdCOM numbers them.
        positions: RuleWire<i64> = rule(whole(POSITIONS)),
        /// Kinds of video placement, as AdCOM numbers them.
        video_placements: RuleWire<i64> = rule(whole(VIDEO_PLACEMENTS)),
        /// When in the content it plays.
        starts: RuleWire<String> = rule(one_of::<StreamStart>()),
        /// How it begins to play, as AdCOM numbers them.
        playback_methods: RuleWire<i64> = rule(whole(PLAYBACK_METHODS)),
        /// Kinds of audio feed, as AdCOM numbers them.
        feeds: RuleWire<i64> = rule(whole(FEEDS)),
        /// Contexts of native ads, as Native 1.2 numbers them.
        native_contexts: RuleWire<i64> = rule(whole(NATIVE_CONTEXTS)),
        /// Full-screen places only, or none of them.
        interstitial: Option<bool>,
        /// Rewarded places only, or none of them.
        rewarded: Option<bool>,
        /// Only places where trackers of the client run.
        client_trackers: Option<bool> = bool::spec().default(false),
        /// The most times that the place was refreshed.
        max_refreshes: Option<i64> = whole(0..=i64::from(u32::MAX)),
        /// The fewest seconds between refreshes.
        min_refresh_s: Option<i64> = whole(1..=i64::from(u32::MAX)),
    }
    MultipliersWire {
        /// By segment of the user, by its key.
        segments: Vec<FactorWire<String>> = factors(segment(), MAX_FACTOR),
        /// By where the user stands as a customer of the line item's advertiser; needs a segment of `customers` of that tier.
        value_tiers: Vec<FactorWire<String>> = factors(one_of::<Tier>(), MAX_FACTOR),
        /// By exchange, by its name.
        exchanges: Vec<FactorWire<String>> = factors(exchange(), MAX_FACTOR),
        /// By country.
        countries: Vec<FactorWire<String>> = factors(country(), MAX_FACTOR),
        /// By device type, as AdCOM numbers them.
        device_types: Vec<FactorWire<i64>> = factors(whole(DEVICE_TYPES), MAX_FACTOR),
        /// By where it is shown.
        channels: Vec<FactorWire<String>> = factors(one_of::<ChannelKind>(), MAX_FACTOR),
        /// By size of the place.
        sizes: Vec<FactorWire<String>> = factors(size(), MAX_FACTOR),
        /// By deal, as the exchange calls it.
        deals: Vec<FactorWire<String>> = factors(word("PMP-4711"), MAX_FACTOR),
        /// By hours of the week, in the advertiser's time zone.
        hours: Vec<FactorWire<Vec<HoursWire>>> = factors(Vec::<HoursWire>::spec(), MAX_FACTOR),
        /// By position on the page, as AdCOM numbers them.
        positions: Vec<FactorWire<i64>> = factors(whole(POSITIONS), MAX_FACTOR),
        /// By how often the person has seen the campaign.
        frequencies: Vec<FactorWire<SeenWire>> = factors(SeenWire::spec(), MAX_FACTOR),
    }
    SeenWire {
        /// At least so many impressions before this one.
        from: Option<i64> = whole(SEEN).default(0),
        /// At most so many, not less than `from`; without it any more.
        to: Option<i64> = whole(SEEN),
    }
}
