//! A bid request as decisions see it: borrowed from the body it came in, only the fields that decisions use, the
//! same whether it came as OpenRTB 2.5 or 2.6, JSON or protobuf.
//!
//! Absent is not zero (OpenRTB 2.6 section 2.3): tri-state flags are `Option<bool>`, and a default is applied only
//! where the specification gives one. Unknown enum values are kept as their number. Strings are as sent; compare
//! them case-insensitively where the field's meaning asks for it.

use super::country::Country;
pub use super::media::{Banner, Size};
use super::media::{DurationFloor, Medium, Native, Stream};
use super::money::{Cpm, Currency};
use super::no_bid::NoBidReason;

/// One bid request (OpenRTB 2.6 section 3.2.1).
#[derive(Clone, Debug, Default)]
pub struct Auction<'a> {
    /// `id`: opaque, echoed byte for byte. A number in the request is kept as its text.
    pub id: &'a str,
    /// The impressions, in request order; never empty after a successful parse.
    pub imps: &'a [Imp<'a>],
    /// `at`: 1 first price, 2 second price plus, 500+ the exchange's own; `None` = absent.
    pub at: Option<i64>,
    /// `tmax` in milliseconds; `None` when absent, not positive or unreadable.
    pub tmax_ms: Option<u32>,
    /// `test = 1`: not billable; no budget, cap or learning may move.
    pub test: bool,
    /// `allimps`.
    pub all_imps: bool,
    /// `cur`: allowed bid currencies; empty = absent. Unknown codes are dropped here, see [`Auction::cur_given`].
    pub cur: &'a [Currency],
    /// Whether `cur` was there with at least one entry, readable or not.
    pub cur_given: bool,
    /// `wseat`: allowed buyer seats; empty = no restriction.
    pub wseat: &'a [&'a str],
    /// `bseat`: blocked buyer seats.
    pub bseat: &'a [&'a str],
    /// `wlang` and `wlangb`: allowed creative languages; empty = no restriction.
    pub wlang: &'a [&'a str],
    /// `acat`: allowed advertiser categories; empty = no restriction.
    pub acat: &'a [&'a str],
    /// `bcat`: blocked advertiser categories.
    pub bcat: &'a [&'a str],
    /// `cattax`: the taxonomy of `acat` and `bcat`; the default is 1, IAB Content 1.0.
    pub cattax: u16,
    /// `badv`: blocked advertiser domains.
    pub badv: &'a [&'a str],
    /// `bapp`: blocked promoted apps.
    pub bapp: &'a [&'a str],
    /// Where the impressions are shown.
    pub channel: Channel<'a>,
    /// `device`.
    pub device: Device<'a>,
    /// `user`.
    pub user: User<'a>,
    /// `regs`.
    pub regs: Regs<'a>,
    /// `source`.
    pub source: Source<'a>,
    /// Set when the whole request must be answered 204: the first reason in rank order.
    pub fault: Option<NoBidReason>,
}

/// One impression together with the request that it belongs to: what a decision is taken about.
#[derive(Clone, Copy, Debug)]
pub struct Opportunity<'r> {
    /// The request.
    pub auction: &'r Auction<'r>,
    /// The impression.
    pub imp: &'r Imp<'r>,
}

impl<'a> Auction<'a> {
    /// One [`Opportunity`] per impression, in request order.
    pub fn opportunities<'r>(&'r self) -> impl Iterator<Item = Opportunity<'r>>
    where
        'a: 'r,
    {
        self.imps.iter().map(move |imp| Opportunity { auction: self, imp })
    }
}

impl<'a> Imp<'a> {
    /// When the ad is shown, in milliseconds since the Unix epoch: `dt` where that is yet to come, else now.
    pub fn shown_ms(&self, now_ms: i64) -> i64 {
        self.shown_at_ms.map_or(now_ms, |at| at.max(now_ms))
    }

    /// The media that are offered, in the order of their numbers.
    pub fn media<'r>(&'r self) -> impl Iterator<Item = Medium<'r>>
    where
        'a: 'r,
    {
        let streams = [self.video.as_ref().map(Medium::Video), self.audio.as_ref().map(Medium::Audio)];
        let native = self.native.as_ref().map(Medium::Native);
        (self.banner.as_ref().map(Medium::Banner).into_iter())
            .chain(streams.into_iter().flatten())
            .chain(native)
    }
}

/// `imp` (OpenRTB 2.6 section 3.2.4).
#[derive(Clone, Debug, Default)]
pub struct Imp<'a> {
    /// `id`, echoed byte for byte in `bid.impid`.
    pub id: &'a str,
    /// `banner`.
    pub banner: Option<Banner<'a>>,
    /// `video`; absent where it names no content type.
    pub video: Option<Stream<'a>>,
    /// `audio`, likewise.
    pub audio: Option<Stream<'a>>,
    /// `native`; absent where its request cannot be read.
    pub native: Option<Native<'a>>,
    /// `instl = 1`.
    pub interstitial: bool,
    /// `tagid`.
    pub tag_id: Option<&'a str>,
    /// `bidfloor` in CPM of `bidfloorcur`, rounded up to a micro; absent = 0.
    pub bid_floor: Cpm,
    /// `bidfloorcur`; the default is USD. `None` when it is given and unreadable: then a floor > 0 cannot be met.
    pub bid_floor_cur: Option<Currency>,
    /// `secure`: `None` = unknown.
    pub secure: Option<bool>,
    /// `exp`: advisory seconds from auction to impression.
    pub exp_s: Option<u32>,
    /// `rwdd = 1`.
    pub rewarded: bool,
    /// `qty.multiplier` in millionths; 1_000_000 when absent, `None` when given and not usable.
    pub multiplier_ppm: Option<i64>,
    /// `dt`: when the ad is expected to be shown, in milliseconds since the Unix epoch.
    pub shown_at_ms: Option<i64>,
    /// `refresh`: the place shows one ad after the other; `None` = nothing is said of it.
    pub refresh: Option<Refresh>,
    /// `ssai`: 1 client, 2 server with client trackers, 3 all by the server.
    pub ssai: Option<i64>,
    /// `pmp.private_auction = 1`: only deal bids are allowed.
    pub private_auction: bool,
    /// `pmp.deals`.
    pub deals: &'a [Deal<'a>],
    /// Set when this impression must not be bid on: the first reason in rank order.
    pub fault: Option<NoBidReason>,
}

/// `imp.refresh` (section 3.2.33): what is said of a place that shows one ad after the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Refresh {
    /// `count`: how often it was refreshed since the page was loaded.
    pub count: Option<u32>,
    /// The least `minint` of `refsettings`: seconds between two ads.
    pub min_interval_s: Option<u32>,
}

/// `pmp.deals[]` (section 3.2.12).
#[derive(Clone, Debug, Default)]
pub struct Deal<'a> {
    /// `id`.
    pub id: &'a str,
    /// `bidfloor`, rounded up to a micro; absent = 0. `None` when it or another of the deal's floors is unreadable: the
    /// deal is not bid on.
    pub bid_floor: Option<Cpm>,
    /// `bidfloorcur`; the default is USD, never the impression's. `None` when unreadable.
    pub bid_floor_cur: Option<Currency>,
    /// `at`: overrides the request's; 3 = `bidfloor` is the agreed price.
    pub at: Option<i64>,
    /// `wseat`: empty = no restriction.
    pub wseat: &'a [&'a str],
    /// `wadomain`: empty = no restriction.
    pub wadomain: &'a [&'a str],
    /// `guar = 1`: programmatic guaranteed.
    pub guaranteed: bool,
    /// `mincpmpersec`: floor of one second in the deal's floor currency; 0 = absent.
    pub min_cpm_per_second: Cpm,
    /// `durfloors`: floors by duration; empty = absent.
    pub duration_floors: &'a [DurationFloor],
}

/// Where an impression is shown: at most one of site, app and dooh (section 3.2.1).
#[derive(Clone, Debug, Default)]
pub enum Channel<'a> {
    /// None of them is given.
    #[default]
    Unknown,
    /// `site`.
    Site(Inventory<'a>),
    /// `app`.
    App(Inventory<'a>),
    /// `dooh`.
    Dooh(Inventory<'a>),
}

impl<'a> Channel<'a> {
    /// The inventory, whatever its kind.
    pub fn inventory(&self) -> Option<&Inventory<'a>> {
        match self {
            Channel::Unknown => None,
            Channel::Site(inventory) | Channel::App(inventory) | Channel::Dooh(inventory) => Some(inventory),
        }
    }
}

/// What `site`, `app` and `dooh` have in common (sections 3.2.13, 3.2.14, 3.2.18).
#[derive(Clone, Debug, Default)]
pub struct Inventory<'a> {
    /// `id`: the exchange's.
    pub id: Option<&'a str>,
    /// `name`.
    pub name: Option<&'a str>,
    /// `domain` as sent; where absent, the host of `page`.
    pub domain: Option<&'a str>,
    /// `bundle` of an app.
    pub bundle: Option<&'a str>,
    /// `page` of a site.
    pub page: Option<&'a str>,
    /// `publisher.id`.
    pub publisher_id: Option<&'a str>,
    /// `publisher.domain`.
    pub publisher_domain: Option<&'a str>,
    /// `inventorypartnerdomain`: whose ads.txt counts as well.
    pub inventory_partner_domain: Option<&'a str>,
    /// `cat`, `sectioncat` and `pagecat`, in this order, and `content.cat`.
    pub cat: &'a [&'a str],
    /// `cattax` of them; the default is 1.
    pub cattax: u16,
    /// `keywords` (comma-separated, trimmed) or `kwarray`, and those of `content`.
    pub keywords: &'a [&'a str],
    /// `content.language` or `content.langb`.
    pub content_language: Option<&'a str>,
    /// `venuetype` of a dooh, else `venuetypeid`: the kinds of place, of any taxonomy, numbers as text.
    pub venue_types: &'a [&'a str],
    /// `venuetypetax` of them, else `venuetax`; the default is 1.
    pub venue_taxonomy: i64,
}

/// `device` (section 3.2.18) and its `geo`.
#[derive(Clone, Debug, Default)]
pub struct Device<'a> {
    /// `ua`.
    pub ua: Option<&'a str>,
    /// The first brand of `sua.browsers` that is not a placeholder.
    pub sua_browser: Option<&'a str>,
    /// `sua.platform.brand`.
    pub sua_platform: Option<&'a str>,
    /// `geo`: where the device is now.
    pub geo: Geo<'a>,
    /// `dnt`.
    pub dnt: Option<bool>,
    /// `lmt`.
    pub lmt: Option<bool>,
    /// `ip`.
    pub ip: Option<&'a str>,
    /// `ipv6`.
    pub ipv6: Option<&'a str>,
    /// `devicetype`: 1 mobile/tablet, 2 PC, 3 CTV, 4 phone, 5 tablet, 6 connected device, 7 set-top box, 8 OOH.
    pub device_type: Option<i64>,
    /// `make`.
    pub make: Option<&'a str>,
    /// `model`.
    pub model: Option<&'a str>,
    /// `os`.
    pub os: Option<&'a str>,
    /// `osv`.
    pub osv: Option<&'a str>,
    /// `langb`, else `language`.
    pub language: Option<&'a str>,
    /// `carrier`.
    pub carrier: Option<&'a str>,
    /// `mccmnc`.
    pub mccmnc: Option<&'a str>,
    /// `connectiontype`: 1 ethernet, 2 wifi, 3–7 cellular.
    pub connection_type: Option<i64>,
    /// `ifa`; `None` when absent, empty or all zero.
    pub ifa: Option<&'a str>,
}

/// `geo` (section 3.2.19).
#[derive(Clone, Debug, Default)]
pub struct Geo<'a> {
    /// `country`, alpha-2 or alpha-3.
    pub country: Option<Country>,
    /// `region`: `CA` or `US-CA`.
    pub region: Option<&'a str>,
    /// `metro`.
    pub metro: Option<&'a str>,
    /// `city`.
    pub city: Option<&'a str>,
    /// `zip`.
    pub zip: Option<&'a str>,
    /// `utcoffset` in minutes.
    pub utc_offset_min: Option<i32>,
    /// `lat` in millionths of a degree, north positive, rounded to the nearest.
    pub lat_micro: Option<i32>,
    /// `lon` in millionths of a degree, east positive, rounded to the nearest.
    pub lon_micro: Option<i32>,
    /// `type`: 1 device's location service, 2 IP address, 3 given by the user.
    pub kind: Option<i64>,
    /// `accuracy` in metres.
    pub accuracy_m: Option<i64>,
}

/// `user` (section 3.2.20).
#[derive(Clone, Debug, Default)]
pub struct User<'a> {
    /// `id`: the exchange's.
    pub id: Option<&'a str>,
    /// `buyeruid`: ours.
    pub buyeruid: Option<&'a str>,
    /// `eids` (2.6) and `ext.eids` (2.5), in this order.
    pub eids: &'a [Eid<'a>],
    /// `consent` (2.6) or `ext.consent` (2.5).
    pub consent: Option<&'a str>,
    /// `keywords` or `kwarray`.
    pub keywords: &'a [&'a str],
    /// `geo`: home.
    pub geo: Geo<'a>,
    /// `data[].segment[]`, one entry a segment that has an id.
    pub segments: &'a [ProvidedSegment<'a>],
}

/// A segment that somebody else put the user into (sections 3.2.21 and 3.2.22).
#[derive(Clone, Copy, Debug, Default)]
pub struct ProvidedSegment<'a> {
    /// `data.id`: the exchange's name of the provider.
    pub provider_id: Option<&'a str>,
    /// `data.name`.
    pub provider_name: Option<&'a str>,
    /// `data.ext.segtax` (community extension "segtax"); without it ids are the provider's own.
    pub taxonomy: Option<i64>,
    /// `segment.id`.
    pub id: &'a str,
}

/// One identifier of `eids[].uids[]` (sections 3.2.27 and 3.2.28).
#[derive(Clone, Copy, Debug, Default)]
pub struct Eid<'a> {
    /// `source`.
    pub source: &'a str,
    /// `uids[].id`.
    pub id: &'a str,
    /// `mm`: 0 unknown, 1 none, 2 cookie sync, 3 authenticated, 4 observed first party, 5 inferred.
    pub match_method: Option<i64>,
    /// `uids[].atype`.
    pub agent_type: Option<i64>,
}

/// `regs` (section 3.2.3), 2.6 and 2.5 locations joined; where both are given and differ the stricter stands.
#[derive(Clone, Debug, Default)]
pub struct Regs<'a> {
    /// `coppa`.
    pub coppa: Option<bool>,
    /// `gdpr`.
    pub gdpr: Option<bool>,
    /// `us_privacy`.
    pub us_privacy: Option<&'a str>,
    /// `gpp`.
    pub gpp: Option<&'a str>,
    /// `gpp_sid`.
    pub gpp_sid: &'a [i64],
    /// `ext.gpc`: Global Privacy Control, the string `"1"`.
    pub gpc: bool,
    /// `ext.dsa`.
    pub dsa: Dsa,
}

impl Regs<'_> {
    /// `ext.dsa.dsarequired`, see [`Dsa::required`].
    pub fn dsa_required(&self) -> Option<i64> {
        self.dsa.required
    }
}

/// `regs.ext.dsa` (community extension "DSA Transparency").
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Dsa {
    /// `dsarequired`: 0 not required, 1 supported, 2 required, 3 required of an online platform.
    pub required: Option<i64>,
    /// `pubrender`: whether the publisher renders the transparency information: 0 cannot, 1 could, 2 will.
    pub publisher_renders: Option<i64>,
    /// `datatopub`: whether to send the information: 0 do not, 1 optional, 2 send it.
    pub data_to_publisher: Option<i64>,
}

/// `source` (section 3.2.2).
#[derive(Clone, Debug, Default)]
pub struct Source<'a> {
    /// `fd`: the final decision is taken upstream of the exchange.
    pub upstream_decides: Option<bool>,
    /// `tid`.
    pub tid: Option<&'a str>,
    /// `pchain`: payment chain as defined by TAG.
    pub payment_chain: Option<&'a str>,
    /// `schain` (2.6) or `ext.schain` (2.5): whether it is complete; `None` = no chain.
    pub schain_complete: Option<bool>,
    /// `schain.ver`.
    pub schain_version: Option<&'a str>,
    /// `schain.nodes`.
    pub schain_nodes: &'a [SupplyNode<'a>],
}

/// `schain.nodes[]` (section 3.2.26).
#[derive(Clone, Copy, Debug, Default)]
pub struct SupplyNode<'a> {
    /// `asi`.
    pub asi: &'a str,
    /// `sid`.
    pub sid: &'a str,
    /// `hp`: the node takes part in the payment.
    pub pays: Option<bool>,
}
