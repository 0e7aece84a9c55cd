//! Random catalogs and requests from small pools, so that rules and requests often meet: in other words, in other
//! case, above and below each other, included and excluded at once.

use outbid::model::auction::{Auction, Banner, Channel, Deal, Imp, Inventory, Size};
use outbid::model::country::Country;
use outbid::model::ids::{ExchangeId, ListId, SegmentId};
use outbid::model::list::{List, ListKind, ListUse};
use outbid::model::media::{FlexibleSize, Native, Stream};
use outbid::model::targeting::{Category, Daypart, Fit, HourMask, MediaType, Rule, SegmentRule, Targeting};
use outbid::model::taxonomy::{Segment, Taxonomy};
use outbid::targeting::Facts;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use std::sync::{Arc, LazyLock};

const SIZES: [Size; 4] =
    [Size { w: 300, h: 250 }, Size { w: 728, h: 90 }, Size { w: 320, h: 50 }, Size { w: 160, h: 600 }];
/// Halves of the first size and anything as flat as the second.
const FLEXIBLE: [FlexibleSize; 2] = [
    FlexibleSize { w_ratio: 6, h_ratio: 5, w_min: 200 },
    FlexibleSize { w_ratio: 728, h_ratio: 90, w_min: 800 },
];
const COUNTRIES: [&str; 3] = ["US", "DE", "CA"];
const ZONES: [&str; 4] = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"];
const DEALS: [&str; 4] = ["d1", "D1", "d2", "d3"];
const LISTED_LANGUAGES: [&str; 5] = ["en", "en-us", "de", "zh-hans", "EN_gb"];
const GIVEN_LANGUAGES: [&str; 7] = ["en", "EN-US", "en_GB", "de-AT", "zh-Hans-CN", "zh", "eng"];
const LISTED_CATEGORIES: [(u16, &str); 6] =
    [(1, "IAB2"), (1, "iab2-3"), (1, "IAB20"), (7, "52"), (7, "IAB2"), (1, "")];
const GIVEN_CATEGORIES: [&str; 6] = ["IAB2", "IAB2-3", "IAB20-1", "52", "-3", "iab2-3-1"];
const DOMAINS: [&str; 5] = ["example.com", "news.example.com", "Other.org", "com", "badexample.com"];
const HOSTS: [&str; 8] = [
    "example.com",
    "a.News.example.com.",
    "badexample.com",
    "https://other.org:443/x",
    "com",
    "x..com",
    "",
    "net",
];

/// Lists that line items share. Lists of one kind overlap, one is empty, and some count on one exchange only.
static LISTS: LazyLock<Vec<Arc<List>>> = LazyLock::new(|| {
    let all: [(ListKind, Option<u16>, &[&str]); 15] = [
        (ListKind::Domain, None, &["example.com", "other.org"]),
        (ListKind::Domain, None, &["news.example.com", "com"]),
        (ListKind::Domain, None, &[]),
        (ListKind::Bundle, None, &["123456", "com.game"]),
        (ListKind::Publisher, None, &["pub-1", "pub-3"]),
        (ListKind::Region, None, &["de-be", "us-ca"]),
        (ListKind::Metro, None, &["501", "803"]),
        (ListKind::City, None, &["berlin", "us:boston"]),
        (ListKind::Zip, None, &["10115", "us:02101"]),
        (ListKind::Keyword, None, &["books", "golf"]),
        (ListKind::Deal, None, &["D1", "d2"]),
        (ListKind::Deal, Some(1), &["d1"]),
        (ListKind::Deal, Some(2), &["d1", "d3"]),
        (ListKind::Address, None, &["192.0.2.0/24", "2001:db8::/32"]),
        (ListKind::Address, None, &["192.0.2.128/25"]),
    ];
    let list = |(id, (kind, exchange, values)): (u32, (ListKind, Option<u16>, &[&str]))| {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        Arc::new(List {
            id: ListId(id),
            name: String::new(),
            kind,
            exchange: exchange.map(ExchangeId),
            values,
        })
    };
    (1..).zip(all).map(list).collect()
});

/// Segments 1 → {2 → 3, 4}, 5, 6 → 7, and 8, which no tree knows.
pub(super) fn taxonomy() -> Taxonomy {
    let parents = [(1, None), (2, Some(1)), (3, Some(2)), (4, Some(1)), (5, None), (6, None), (7, Some(6))];
    let segments = parents.map(|(id, parent)| Segment {
        id: SegmentId(id),
        key: format!("s{id}"),
        name: String::new(),
        parent: parent.map(SegmentId),
        sensitive: false,
        ..Segment::default()
    });
    Taxonomy::build(&segments).expect("it is a forest")
}

pub(super) struct Dice(StdRng);

impl Dice {
    pub(super) fn new(seed: u64) -> Dice {
        Dice(StdRng::seed_from_u64(seed))
    }

    fn chance(&mut self, one_in: u32) -> bool {
        self.0.random_ratio(1, one_in)
    }

    fn one<T: Clone>(&mut self, pool: &[T]) -> T {
        pool.choose(&mut self.0).expect("pools are not empty").clone()
    }

    fn maybe<T: Clone>(&mut self, pool: &[T]) -> Option<T> {
        (!self.chance(4)).then(|| self.one(pool))
    }

    fn some<T: Clone>(&mut self, pool: &[T], most: usize) -> Vec<T> {
        (0..self.0.random_range(0..=most)).map(|_| self.one(pool)).collect()
    }

    /// Most often no rule at all, so that line items with several rules still match now and then.
    fn rule<T: Clone>(&mut self, pool: &[T]) -> Rule<T> {
        let include = if self.chance(8) { self.some(pool, 6) } else { Vec::new() };
        let exclude = if self.chance(12) { self.some(pool, 2) } else { Vec::new() };
        Rule { include, exclude }
    }

    fn texts(&mut self, pool: &[&str]) -> Rule<String> {
        let Rule { include, exclude } = self.rule(pool);
        let owned = |list: Vec<&str>| list.into_iter().map(str::to_owned).collect();
        Rule { include: owned(include), exclude: owned(exclude) }
    }

    fn hours(&mut self) -> HourMask {
        let mut hours = HourMask::NONE;
        (0..HourMask::HOURS).filter(|_| self.0.random_ratio(3, 5)).for_each(|hour| hours.insert(hour));
        hours
    }

    fn segment_rule(&mut self) -> SegmentRule {
        let pool: Vec<SegmentId> = (1..=8).map(SegmentId).collect();
        let mut list = |one_in, most| if self.chance(one_in) { self.some(&pool, most) } else { Vec::new() };
        SegmentRule { all_of: list(10, 2), any_of: list(4, 6), none_of: list(8, 2) }
    }

    /// Uses of lists, most often none.
    fn lists(&mut self) -> Vec<ListUse> {
        let most = if self.chance(3) { 3 } else { 0 };
        let used = self.some(&LISTS, most);
        used.into_iter().map(|list| ListUse { list, excluded: self.chance(2) }).collect()
    }

    /// What a line item targets, and what its creatives fill.
    pub(super) fn line_item(&mut self) -> (Targeting, Vec<Fit>) {
        let countries: Vec<Country> = COUNTRIES.iter().filter_map(|code| Country::parse(code)).collect();
        let categories = LISTED_CATEGORIES.map(|(cattax, id)| Category { cattax, id: id.to_owned() });
        let daypart =
            self.chance(5).then(|| Daypart { hours: self.hours(), time_zone: self.one(&ZONES).to_owned() });
        let targeting = Targeting {
            exchanges: self.rule(&[ExchangeId(1), ExchangeId(2), ExchangeId(3)]),
            deals: self.texts(&DEALS),
            placement: None,
            formats: if self.chance(4) {
                self.rule(&[MediaType::Banner, MediaType::Video])
            } else {
                Rule::default()
            },
            sizes: self.rule(&SIZES),
            countries: self.rule(&countries),
            regions: self.texts(&["us-ca", "ca", "de-be", "US-NY", "x-1"]),
            metros: self.texts(&["501", "803", " 501 "]),
            cities: self.texts(&["berlin", "de:berlin", "us:boston", "boston"]),
            zips: self.texts(&["10115", "de:10115", "us:02101"]),
            device_types: self.rule(&[1, 2, 4, 5, -1]),
            os: self.texts(&["android", "ios", "Windows"]),
            browsers: self.texts(&["chrome", "safari"]),
            connections: self.rule(&[0, 2, 6]),
            carriers: self.texts(&["verizon", "310-005"]),
            languages: self.texts(&LISTED_LANGUAGES),
            domains: self.texts(&DOMAINS),
            bundles: self.texts(&["com.game", "123456", ""]),
            publishers: self.texts(&["pub-1", "pub-2"]),
            categories: self.rule(&categories),
            keywords: self.texts(&["golf", "tennis", "cars"]),
            segments: self.segment_rule(),
            daypart,
            lists: self.lists(),
        };
        let mut fits: Vec<Fit> = self.some(&SIZES, 3).into_iter().map(Fit::Banner).collect();
        fits.extend(self.maybe(&SIZES).into_iter().map(Fit::Banner));
        fits.extend(self.some(&[Fit::Video, Fit::Audio, Fit::Native], 1));
        (targeting, fits)
    }

    /// Makes up a request with one to three impressions and shows it.
    pub(super) fn request(&mut self, show: impl FnOnce(&Facts<'_>, &[Imp<'_>])) {
        let sizes: Vec<Vec<Size>> = (0..3).map(|_| self.some(&SIZES, 3)).collect();
        let offered: Vec<Vec<&str>> = (0..3).map(|_| self.some(&DEALS, 2)).collect();
        let deals: Vec<Vec<Deal<'_>>> =
            offered.iter().map(|ids| ids.iter().map(|id| Deal { id, ..Deal::default() }).collect()).collect();
        let mut imps = Vec::new();
        for (sizes, deals) in sizes.iter().zip(&deals).take(self.0.random_range(1..=3)) {
            let flexible: &[FlexibleSize] = if self.chance(5) { &FLEXIBLE } else { &[] };
            let banner = (!self.chance(8)).then(|| Banner { sizes, flexible, ..Banner::default() });
            let private_auction = self.chance(6);
            let video = self.chance(2).then(Stream::default);
            let audio = self.chance(6).then(Stream::default);
            let native = self.chance(4).then(Native::default);
            imps.push(Imp { banner, deals, private_auction, video, audio, native, ..Imp::default() });
        }
        let segments: Vec<SegmentId> =
            self.some(&[1, 2, 3, 4, 5, 6, 7, 8, 9], 5).into_iter().map(SegmentId).collect();
        let cat = self.some(&GIVEN_CATEGORIES, 2);
        let keywords: [Vec<&str>; 2] = [(); 2].map(|()| self.some(&["Golf", " tennis", "books", ""], 2));
        let mut auction = Auction { imps: &imps, ..Auction::default() };
        auction.channel = self.channel(&cat, &keywords[0]);
        auction.user.keywords = &keywords[1];
        self.device(&mut auction);
        let facts = Facts {
            exchange: ExchangeId(self.0.random_range(1..=4)),
            auction: &auction,
            user_permitted: !self.chance(4),
            segments: &segments,
            os: self.chance(3).then(|| self.one(&["ios", "linux"])),
            browser: self.maybe(&["chrome", "Safari", "opera"]),
            // Within two weeks, one of which changes the clocks in Berlin and one on Lord Howe.
            unix_s: self.0.random_range(1_774_300_000..1_775_500_000),
        };
        show(&facts, &imps);
    }

    fn channel<'a>(&mut self, cat: &'a [&'a str], keywords: &'a [&'a str]) -> Channel<'a> {
        let inventory = Inventory {
            domain: self.maybe(&HOSTS),
            bundle: self.maybe(&["com.Game", "123456", ""]),
            publisher_id: self.maybe(&["PUB-1", "pub-2", "pub-3"]),
            cat,
            cattax: self.one(&[1, 1, 7]),
            keywords,
            ..Inventory::default()
        };
        match self.0.random_range(0..6) {
            0 => Channel::Unknown,
            1 => Channel::Dooh(inventory),
            2 => Channel::App(inventory),
            _ => Channel::Site(inventory),
        }
    }

    fn device(&mut self, auction: &mut Auction<'_>) {
        let device = &mut auction.device;
        device.geo.country = self.maybe(&COUNTRIES).and_then(Country::parse);
        device.geo.region = self.maybe(&["CA", "US-CA", "us-ny", "BE", "de-BE", "X-1", ""]);
        device.geo.metro = self.maybe(&["501", " 803"]);
        device.geo.city = self.maybe(&["Berlin", " boston ", "de:berlin", "Rome"]);
        device.geo.zip = self.maybe(&["10115", "02101", ""]);
        device.ip = self.maybe(&["192.0.2.1", " 192.0.2.200", "198.51.100.1", "none"]);
        device.ipv6 = self.maybe(&["2001:db8::1", "2001:db9::1", "::ffff:192.0.2.1"]);
        device.device_type = self.maybe(&[1, 2, 4, 5, 7, -1]);
        device.os = self.maybe(&["Android", "iOS", "windows", "bsd"]);
        device.connection_type = self.maybe(&[0, 2, 3, 6]);
        device.carrier = self.maybe(&["Verizon", "o2"]);
        device.mccmnc = self.maybe(&["310-005", "262-01"]);
        device.language = self.maybe(&GIVEN_LANGUAGES);
    }
}
