//! The account file as JSON. Nothing is required here and most values are texts, because serde stops at the first
//! error; what is missing or malformed is found by the readers, all of it and with its place. Unknown fields and wrong
//! JSON types are serde's.

use super::price_codec::CodecWire;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

/// A number in quotes: an id or an exact decimal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(super) struct Quoted(pub(super) String);

impl<'de> Deserialize<'de> for Quoted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Quoted, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Quoted;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a number in quotes such as \"12\" or \"2.50\"")
            }

            fn visit_str<E>(self, text: &str) -> Result<Quoted, E> {
                Ok(Quoted(text.to_owned()))
            }

            fn visit_string<E>(self, text: String) -> Result<Quoted, E> {
                Ok(Quoted(text))
            }
        }
        deserializer.deserialize_string(Visitor)
    }
}

/// A value of a list that grows: by its name, or by its number where the file's format has no name for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(super) enum NameOrNumber {
    Name(String),
    Number(i64),
}

impl<'de> Deserialize<'de> for NameOrNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<NameOrNumber, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = NameOrNumber;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a name in quotes or a whole number")
            }

            fn visit_str<E>(self, text: &str) -> Result<NameOrNumber, E> {
                Ok(NameOrNumber::Name(text.to_owned()))
            }

            fn visit_i64<E>(self, number: i64) -> Result<NameOrNumber, E> {
                Ok(NameOrNumber::Number(number))
            }

            fn visit_u64<E>(self, number: u64) -> Result<NameOrNumber, E> {
                // What does not fit is out of every bound.
                Ok(NameOrNumber::Number(i64::try_from(number).unwrap_or(i64::MAX)))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

macro_rules! wire {
    ($($(#[$about:meta])* $name:ident {$($field:ident: $ty:ty,)+})+) => {$(
        $(#[$about])*
        #[derive(Debug, Default, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub(super) struct $name {$(
            #[serde(skip_serializing_if = "Absent::is_absent")]
            pub(super) $field: $ty,
        )+}

        impl Absent for $name {
            fn is_absent(&self) -> bool {
                true $(&& self.$field.is_absent())+
            }
        }
    )+};
}

/// What is not written.
trait Absent {
    fn is_absent(&self) -> bool;
}

impl<T> Absent for Option<T> {
    fn is_absent(&self) -> bool {
        self.is_none()
    }
}

impl<T> Absent for Vec<T> {
    fn is_absent(&self) -> bool {
        self.is_empty()
    }
}

/// Include and exclude lists of one dimension.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RuleWire<T> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) include: Vec<T>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) exclude: Vec<T>,
}

impl<T> Default for RuleWire<T> {
    fn default() -> Self {
        RuleWire { include: Vec::new(), exclude: Vec::new() }
    }
}

impl<T> Absent for RuleWire<T> {
    fn is_absent(&self) -> bool {
        self.include.is_empty() && self.exclude.is_empty()
    }
}

/// A factor for one value of a price dimension.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FactorWire<T> {
    pub(super) value: T,
    pub(super) factor: Quoted,
}

wire! {
    AccountWire {
        rates: RatesWire,
        exchanges: Vec<ExchangeWire>,
        segments: Vec<SegmentWire>,
        advertisers: Vec<AdvertiserWire>,
        campaigns: Vec<CampaignWire>,
        creatives: Vec<CreativeWire>,
        line_items: Vec<LineItemWire>,
        safety: SafetyWire,
        lists: Vec<ListWire>,
        deals: Vec<DealWire>,
        conversions: Vec<ConversionWire>,
    }
    ListWire {
        id: Option<Quoted>,
        name: Option<String>,
        r#type: Option<String>,
        items: Vec<String>,
    }
    DealWire {
        id: Option<Quoted>,
        name: Option<String>,
        status: Option<String>,
        exchange: Option<String>,
        deal_id: Option<String>,
        price: Option<Quoted>,
        guaranteed: Option<bool>,
    }
    ConversionWire {
        id: Option<Quoted>,
        advertiser: Option<Quoted>,
        name: Option<String>,
        status: Option<String>,
        click_window_h: Option<i64>,
        view_window_h: Option<i64>,
        counting: Option<String>,
        value: Option<Quoted>,
    }
    SafetyWire {
        domains: Vec<String>,
        bundles: Vec<String>,
        publishers: Vec<String>,
        sellers: Vec<String>,
        complete_supply_chain: Option<bool>,
        crawlers: Option<bool>,
        impossible_devices: Option<bool>,
        addresses: Vec<String>,
        ads_txt: Vec<AdsTxtWire>,
    }
    AdsTxtWire {
        domain: Option<String>,
        lines: Vec<String>,
    }
    RatesWire {
        base: Option<String>,
        as_of: Option<String>,
        max_age_h: Option<i64>,
        others: Vec<RateWire>,
    }
    RateWire {
        currency: Option<String>,
        rate: Option<Quoted>,
    }
    SegmentWire {
        id: Option<Quoted>,
        key: Option<String>,
        name: Option<String>,
        parent: Option<String>,
        sensitive: Option<bool>,
    }
    AdvertiserWire {
        id: Option<Quoted>,
        name: Option<String>,
        status: Option<String>,
        currency: Option<String>,
        time_zone: Option<String>,
        wallet: Option<Quoted>,
        data_fee: Option<Quoted>,
        platform_share: Option<Quoted>,
    }
    BudgetWire {
        lifetime: Option<Quoted>,
        daily: Option<Quoted>,
    }
    FlightWire {
        start_at: Option<String>,
        end_at: Option<String>,
    }
    CampaignWire {
        id: Option<Quoted>,
        advertiser: Option<Quoted>,
        name: Option<String>,
        status: Option<String>,
        budget: BudgetWire,
        flight: FlightWire,
    }
    LineItemWire {
        id: Option<Quoted>,
        campaign: Option<Quoted>,
        name: Option<String>,
        status: Option<String>,
        bid: BidWire,
        budget: BudgetWire,
        flight: FlightWire,
        targeting: TargetingWire,
        multipliers: MultipliersWire,
        creatives: Vec<AssignmentWire>,
        deal_ids: Vec<Quoted>,
        conversion_ids: Vec<Quoted>,
    }
    BidWire {
        strategy: Option<String>,
        amount: Option<Quoted>,
        max: Option<Quoted>,
    }
    AssignmentWire {
        creative: Option<Quoted>,
        weight: Option<i64>,
        when: ConditionWire,
    }
    ConditionWire {
        segments: Vec<String>,
        countries: Vec<String>,
        regions: Vec<String>,
        hours: Vec<HoursWire>,
    }
    CategoryWire {
        cattax: Option<i64>,
        id: Option<String>,
    }
    AudienceWire {
        all_of: Vec<String>,
        any_of: Vec<String>,
        none_of: Vec<String>,
    }
    HoursWire {
        day: Option<String>,
        start: Option<i64>,
        end: Option<i64>,
    }
    DaypartsWire {
        time_zone: Option<String>,
        include: Vec<HoursWire>,
        exclude: Vec<HoursWire>,
    }
    ListedWire {
        include: Vec<String>,
        exclude: Vec<String>,
        include_lists: Vec<Quoted>,
        exclude_lists: Vec<Quoted>,
    }
    AddressesWire {
        include_lists: Vec<Quoted>,
        exclude_lists: Vec<Quoted>,
    }
    TargetingWire {
        exchanges: RuleWire<String>,
        deals: ListedWire,
        formats: RuleWire<String>,
        sizes: RuleWire<String>,
        countries: RuleWire<String>,
        regions: ListedWire,
        metros: ListedWire,
        cities: ListedWire,
        zips: ListedWire,
        addresses: AddressesWire,
        device_types: RuleWire<i64>,
        os: RuleWire<String>,
        browsers: RuleWire<String>,
        connections: RuleWire<i64>,
        carriers: RuleWire<String>,
        languages: RuleWire<String>,
        domains: ListedWire,
        bundles: ListedWire,
        publishers: ListedWire,
        categories: RuleWire<CategoryWire>,
        keywords: ListedWire,
        audience: AudienceWire,
        dayparts: Option<DaypartsWire>,
        placement: Option<PlacementWire>,
    }
    PlacementWire {
        positions: RuleWire<i64>,
        video_placements: RuleWire<i64>,
        starts: RuleWire<String>,
        playback_methods: RuleWire<i64>,
        feeds: RuleWire<i64>,
        native_contexts: RuleWire<i64>,
        interstitial: Option<bool>,
        rewarded: Option<bool>,
        client_trackers: Option<bool>,
        max_refreshes: Option<i64>,
        min_refresh_s: Option<i64>,
    }
    ApprovalWire {
        exchange: Option<String>,
        approval: Option<String>,
    }
    MultipliersWire {
        segments: Vec<FactorWire<String>>,
        exchanges: Vec<FactorWire<String>>,
        countries: Vec<FactorWire<String>>,
        device_types: Vec<FactorWire<i64>>,
        channels: Vec<FactorWire<String>>,
        sizes: Vec<FactorWire<String>>,
        deals: Vec<FactorWire<String>>,
        hours: Vec<FactorWire<Vec<HoursWire>>>,
    }
    DsaWire {
        behalf: Option<String>,
        paid: Option<String>,
        renders: Option<bool>,
        domain: Option<String>,
        parameters: Vec<i64>,
    }
    CreativeWire {
        id: Option<Quoted>,
        advertiser: Option<Quoted>,
        name: Option<String>,
        format: Option<String>,
        size: Option<String>,
        markup: Option<String>,
        click_url: Option<String>,
        landing_domains: Vec<String>,
        adomain: Vec<String>,
        iab_categories: Vec<String>,
        cattax: Option<i64>,
        attributes: Vec<i64>,
        banner_type: Option<i64>,
        expands: Vec<i64>,
        duration_s: Option<i64>,
        files: Vec<FileWire>,
        vast_tag: Option<String>,
        mimes: Vec<String>,
        linearity: Option<i64>,
        skip_after_s: Option<i64>,
        companions: Vec<CompanionWire>,
        trackers: Vec<TrackerWire>,
        titles: Vec<String>,
        images: Vec<ImageWire>,
        data: Vec<DataWire>,
        video: Option<StreamWire>,
        fallback_url: Option<String>,
        privacy_url: Option<String>,
        pixels: Vec<String>,
        api: Option<i64>,
        language: Option<String>,
        bundle: Option<String>,
        secure: Option<bool>,
        dsa: Option<DsaWire>,
        approval: Option<String>,
        approvals: Vec<ApprovalWire>,
    }
    StreamWire {
        duration_s: Option<i64>,
        files: Vec<FileWire>,
        vast_tag: Option<String>,
        mimes: Vec<String>,
        linearity: Option<i64>,
        skip_after_s: Option<i64>,
        companions: Vec<CompanionWire>,
        trackers: Vec<TrackerWire>,
    }
    FileWire {
        url: Option<String>,
        mime: Option<String>,
        size: Option<String>,
        w: Option<i64>,
        h: Option<i64>,
        bitrate: Option<i64>,
        streaming: Option<bool>,
    }
    CompanionWire {
        size: Option<String>,
        w: Option<i64>,
        h: Option<i64>,
        url: Option<String>,
        mime: Option<String>,
    }
    ImageWire {
        kind: Option<NameOrNumber>,
        size: Option<String>,
        w: Option<i64>,
        h: Option<i64>,
        url: Option<String>,
        mime: Option<String>,
    }
    TrackerWire {
        event: Option<String>,
        url: Option<String>,
    }
    DataWire {
        r#type: Option<NameOrNumber>,
        text: Option<String>,
    }
    ExchangeWire {
        id: Option<Quoted>,
        name: Option<String>,
        auth: AuthWire,
        seat: Option<String>,
        currency: Option<String>,
        price_codec: Option<CodecWire>,
        price_unit: Option<String>,
        billing_event: Option<String>,
        burl_in_browser: Option<bool>,
        missing_price: Option<String>,
        default_at: Option<i64>,
        default_tmax_ms: Option<i64>,
        max_tmax_ms: Option<i64>,
        network_margin_ms: Option<i64>,
        holds: HoldsWire,
        max_multiplier: Option<Quoted>,
        max_cpm: Option<Quoted>,
        max_qps: Option<i64>,
        max_open_holds: Option<Quoted>,
        house: HouseWire,
        max_adm_bytes: Option<i64>,
        max_url_bytes: Option<i64>,
        send_nbr: Option<bool>,
        send_lurl: Option<bool>,
        seller_system: Option<String>,
        open_bids: Option<i64>,
        eid_sources: Vec<String>,
        match_user_id: Option<bool>,
        gdpr_default: Option<String>,
    }
    HouseWire {
        first_trust: Option<Quoted>,
        trusted: Option<bool>,
        day_max: Option<Quoted>,
        deaf_check: Option<bool>,
    }
    AuthWire {
        r#type: Option<String>,
        name: Option<String>,
        secret: Option<String>,
        addresses: Vec<String>,
    }
    HoldsWire {
        web_banner_s: Option<i64>,
        app_banner_s: Option<i64>,
        app_interstitial_s: Option<i64>,
        video_s: Option<i64>,
        grace_s: Option<i64>,
        max_s: Option<i64>,
    }
}

/// An account as it is read: entries of the long lists stay text until their turn comes, so that a hundred thousand of
/// them are never in memory in two forms.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AccountText<'t> {
    pub(super) rates: RatesWire,
    pub(super) exchanges: Vec<ExchangeWire>,
    pub(super) segments: Vec<SegmentWire>,
    pub(super) advertisers: Vec<AdvertiserWire>,
    pub(super) campaigns: Vec<CampaignWire>,
    #[serde(borrow)]
    pub(super) creatives: Vec<&'t RawValue>,
    #[serde(borrow)]
    pub(super) line_items: Vec<&'t RawValue>,
    pub(super) safety: SafetyWire,
    pub(super) lists: Vec<ListWire>,
    pub(super) deals: Vec<DealWire>,
    pub(super) conversions: Vec<ConversionWire>,
}
