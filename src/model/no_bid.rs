//! Why a line item, an impression or a whole request gets no bid: one list, ranked. Whichever step finds several
//! reasons, the first of this list is reported; the funnel, explain and the metrics all point here.

/// A reason for not bidding, in rank order: the first variant is the first that is reported.
///
/// OpenRTB's own list (`nbr`, AdCOM "No-Bid Reason Codes") has no code for most of these;
/// [`NoBidReason::nbr`] gives it where it has.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum NoBidReason {
    // The request or the impression as a whole.
    /// The request breaks OpenRTB in a way that is answered 204: duplicate impression ids, several of site/app/dooh.
    InvalidRequest,
    /// A limit of the configuration was passed inside an impression, or a block list is over its limit.
    LimitExceeded,
    /// No medium that the bidder can fill is offered.
    NoUsableMedium,
    /// A price of the impression is not a finite decimal ≥ 0.
    InvalidPrice,
    /// The user agent is a crawler's.
    Crawler,
    /// The device contradicts itself.
    NonHuman,
    /// The address is of a data centre or a proxy.
    DataCentre,
    /// The publisher, the domain or the app is blocked for the whole account.
    BlockedInventory,
    /// The place's `ads.txt` does not name this seller.
    AdsTxt,
    /// The supply chain is not complete.
    SupplyChain,
    /// A seller in the supply chain is blocked.
    BlockedSeller,
    /// None of the allowed currencies has a rate.
    Currency,
    /// The seat is not in `wseat`, or is in `bseat`.
    Seat,
    /// `imp.qty.multiplier` is not finite, not positive or above the profile's maximum.
    Multiplier,
    /// The hold would have to live longer than the profile allows.
    HoldLife,
    /// No line item matches; explain names the reason of each.
    NoMatch,
    // The line item, in the order of the funnel.
    /// The line item, its campaign or its advertiser is not active, or is stopped.
    Inactive,
    /// Outside the flight.
    Flight,
    /// Outside the daypart.
    Daypart,
    /// The exchange is not targeted.
    Exchange,
    /// The deal is not offered, is excluded, or only deal bids are allowed.
    Deal,
    /// The medium is not targeted or not offered.
    Format,
    /// No creative has an offered size.
    Size,
    /// No creative has an allowed duration.
    Duration,
    /// No creative fills all required native assets.
    Assets,
    /// The kind of placement is not targeted: position, start, playback, refresh.
    Placement,
    /// The place is not targeted.
    Geo,
    /// Device type, operating system, browser, connection or carrier is not targeted.
    Device,
    /// Domain, bundle, publisher or content category is not targeted or is excluded.
    Inventory,
    /// Keywords are not targeted or are excluded.
    Keyword,
    /// The language is not targeted, or the creative's language is not accepted.
    Language,
    /// The creative's category is blocked by `bcat` or not in `acat`.
    BlockedCategory,
    /// The advertiser's domain is blocked by `badv` or not in the deal's `wadomain`.
    BlockedAdvertiser,
    /// The promoted app is blocked by `bapp`.
    BlockedApp,
    /// A creative attribute or type is blocked by `battr` or `btype`.
    BlockedAttribute,
    /// The impression wants https and the creative or the tracking URL is not.
    NotSecure,
    /// The creative needs an API, a content type, a bitrate or a VAST version that is not supported, or the request requires an answer that cannot be
    /// given yet (`regs.ext.dsa`).
    Unsupported,
    /// Privacy signals do not allow what the line item needs.
    Consent,
    /// The user is not in the audience.
    Audience,
    /// The frequency cap is reached.
    Frequency,
    /// No approved creative.
    CreativeApproval,
    /// A budget has not enough left for the full charge.
    Budget,
    /// The exchange may not be sent this bid: a kill switch, only probes, or no trust yet (money.md 2.6, 2.7).
    Breaker,
    /// Pacing holds it back.
    Pacing,
    /// The price is under the floor.
    BelowFloor,
    /// The pod has no room for it, or a like ad is in it already.
    Pod,
    /// Another line item of this bidder offered more.
    LostInternal,
    /// The answer would be late.
    Deadline,
}

impl NoBidReason {
    /// Every reason, in rank order.
    pub const ALL: [NoBidReason; 48] = {
        use NoBidReason::*;
        [
            InvalidRequest,
            LimitExceeded,
            NoUsableMedium,
            InvalidPrice,
            Crawler,
            NonHuman,
            DataCentre,
            BlockedInventory,
            AdsTxt,
            SupplyChain,
            BlockedSeller,
            Currency,
            Seat,
            Multiplier,
            HoldLife,
            NoMatch,
            Inactive,
            Flight,
            Daypart,
            Exchange,
            Deal,
            Format,
            Size,
            Duration,
            Assets,
            Placement,
            Geo,
            Device,
            Inventory,
            Keyword,
            Language,
            BlockedCategory,
            BlockedAdvertiser,
            BlockedApp,
            BlockedAttribute,
            NotSecure,
            Unsupported,
            Consent,
            Audience,
            Frequency,
            CreativeApproval,
            Budget,
            Breaker,
            Pacing,
            BelowFloor,
            Pod,
            LostInternal,
            Deadline,
        ]
    };

    /// The name used in metrics, explain and JSON.
    pub fn as_str(self) -> &'static str {
        use NoBidReason::*;
        match self {
            InvalidRequest => "invalid_request",
            LimitExceeded => "limit_exceeded",
            NoUsableMedium => "no_usable_medium",
            InvalidPrice => "invalid_price",
            Crawler => "crawler",
            NonHuman => "non_human",
            DataCentre => "data_centre",
            BlockedInventory => "blocked_inventory",
            AdsTxt => "ads_txt",
            SupplyChain => "supply_chain",
            BlockedSeller => "blocked_seller",
            Currency => "currency",
            Seat => "seat",
            Multiplier => "multiplier",
            HoldLife => "hold_life",
            NoMatch => "no_match",
            Inactive => "inactive",
            Flight => "flight",
            Daypart => "daypart",
            Exchange => "exchange",
            Deal => "deal",
            Format => "format",
            Size => "size",
            Duration => "duration",
            Assets => "assets",
            Placement => "placement",
            Geo => "geo",
            Device => "device",
            Inventory => "inventory",
            Keyword => "keyword",
            Language => "language",
            BlockedCategory => "blocked_category",
            BlockedAdvertiser => "blocked_advertiser",
            BlockedApp => "blocked_app",
            BlockedAttribute => "blocked_attribute",
            NotSecure => "not_secure",
            Unsupported => "unsupported",
            Consent => "consent",
            Audience => "audience",
            Frequency => "frequency",
            CreativeApproval => "creative_approval",
            Budget => "budget",
            Breaker => "breaker",
            Pacing => "pacing",
            BelowFloor => "below_floor",
            Pod => "pod",
            LostInternal => "lost_internal",
            Deadline => "deadline",
        }
    }

    /// The reason of this name.
    pub fn named(name: &str) -> Option<NoBidReason> {
        NoBidReason::ALL.into_iter().find(|reason| reason.as_str() == name)
    }

    /// OpenRTB's code for the answer's `nbr`, where the list has one (AdCOM 1.0, "No-Bid Reason Codes").
    pub fn nbr(self) -> Option<u16> {
        match self {
            NoBidReason::InvalidRequest | NoBidReason::NoUsableMedium => Some(2),
            NoBidReason::Crawler => Some(3),
            NoBidReason::NonHuman => Some(4),
            NoBidReason::DataCentre => Some(5),
            NoBidReason::BlockedInventory => Some(7),
            NoBidReason::AdsTxt => Some(12),
            NoBidReason::Deadline => Some(15),
            NoBidReason::SupplyChain => Some(16),
            NoBidReason::BlockedSeller => Some(17),
            _ => None,
        }
    }
}
