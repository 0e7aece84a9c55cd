//! What happened, as the event log keeps it and as learners and reports read it: one plain value a record.
//!
//! Money columns of a report come from the ledger's journal and not from here (money.md, I12).

use super::auction::{Auction, Channel, Inventory};
use super::bid::Bid;
use super::country::Country;
use super::creative::StreamEvent;
use super::ids::{
    AdvertiserId, BidId, CampaignId, ConversionId, CreativeId, ExchangeId, LineItemId, UserKey,
};
use super::money::{Cpm, Currency, Nanos};
use super::no_bid::NoBidReason;
use super::targeting::MediaType;
use super::token::TokenClaims;
use super::{auction::Size, line_item::ChannelKind};

/// One record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Event {
    /// When: milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "rings hold them by value, so that a core that bids allocates nothing"
)]
pub enum What {
    /// A bid was answered.
    Bid(BidMade),
    /// A request got no bid.
    NoBid(NoBid),
    /// A notice of a bid came, and counted.
    Notice(Noticed),
    /// An advertiser reported a conversion.
    Conversion(Converted),
}

impl What {
    /// The identifier under which the person is known of whom it is; 0 = of nobody.
    pub fn user(&self) -> UserKey {
        match self {
            What::Bid(bid) => bid.user,
            What::NoBid(_) => UserKey(0),
            What::Notice(noticed) => noticed.user,
            What::Conversion(converted) => converted.user,
        }
    }

    /// Which kind it is.
    pub fn kind(&self) -> Kind {
        match self {
            What::Bid(_) => Kind::Bid,
            What::NoBid(_) => Kind::NoBid,
            What::Conversion(_) => Kind::Conversion,
            What::Notice(noticed) => match noticed.kind {
                NoticeEvent::Win(_) => Kind::Win,
                NoticeEvent::Bill { .. } => Kind::Bill,
                NoticeEvent::Loss(_) => Kind::Loss,
                NoticeEvent::Impression => Kind::Impression,
                NoticeEvent::Click => Kind::Click,
                NoticeEvent::Player(_) => Kind::Player,
            },
        }
    }
}

/// What kinds of records there are, in the order in which they happen.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// A bid.
    Bid,
    /// A request without one.
    NoBid,
    /// A win.
    Win,
    /// A bill.
    Bill,
    /// A loss.
    Loss,
    /// An impression.
    Impression,
    /// A click.
    Click,
    /// What a player reports.
    Player,
    /// A conversion.
    Conversion,
}

impl Event {
    /// The record of the ledger's journal that a bill comes from.
    pub fn bill_lsn(&self) -> Option<u64> {
        match self.what {
            What::Notice(Noticed { kind: NoticeEvent::Bill { lsn, .. }, .. }) => {
                Some(lsn).filter(|lsn| *lsn > 0)
            }
            _ => None,
        }
    }
}

impl Kind {
    /// All of them, each at the place that it has as a number.
    pub const ALL: [Kind; 9] = [
        Kind::Bid,
        Kind::NoBid,
        Kind::Win,
        Kind::Bill,
        Kind::Loss,
        Kind::Impression,
        Kind::Click,
        Kind::Player,
        Kind::Conversion,
    ];

    /// Its name, in commands and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Bid => "bid",
            Kind::NoBid => "no_bid",
            Kind::Win => "win",
            Kind::Bill => "bill",
            Kind::Loss => "loss",
            Kind::Impression => "impression",
            Kind::Click => "click",
            Kind::Player => "player",
            Kind::Conversion => "conversion",
        }
    }
}

/// A bid that was answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BidMade {
    /// The bid.
    pub id: BidId,
    /// Who was answered.
    pub exchange: ExchangeId,
    /// The campaign.
    pub campaign: CampaignId,
    /// The line item.
    pub line_item: LineItemId,
    /// The creative.
    pub creative: CreativeId,
    /// The price in `currency`.
    pub price: Cpm,
    /// Its currency.
    pub currency: Currency,
    /// Impressions for which one play counts, in millionths.
    pub multiplier_ppm: i64,
    /// The identifier under which the user is known; 0 where none may be used.
    pub user: UserKey,
    /// What is shown.
    pub media: MediaType,
    /// Its size, where it has one.
    pub size: Option<Size>,
    /// Seconds that it takes; 0 where it takes no time.
    pub duration_s: u32,
    /// On a deal, not in the open auction.
    pub deal: bool,
    /// Not billed.
    pub test: bool,
    /// Where.
    pub place: Place,
    /// What its price came from.
    pub evidence: Evidence,
}

impl BidMade {
    /// The record of a bid.
    pub fn of(bid: &Bid<'_>, place: Place) -> BidMade {
        BidMade {
            id: bid.id,
            exchange: bid.claims.exchange,
            campaign: bid.campaign,
            line_item: bid.claims.line_item,
            creative: bid.creative.id,
            price: bid.price,
            currency: bid.currency,
            multiplier_ppm: bid.claims.multiplier_ppm,
            user: bid.claims.user,
            media: bid.creative.media_type(),
            size: bid.size,
            duration_s: bid.duration_s.unwrap_or(0),
            deal: bid.deal_id.is_some(),
            test: bid.claims.test,
            place,
            evidence: *bid.evidence,
        }
    }
}

/// What was known and asked when a bid was made, for those who learn from what became of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Evidence {
    /// What the impression was worth: the price before it was shaded, in the bid's currency.
    pub worth: Cpm,
    /// The price in the base currency of the rates; 0 = not known.
    pub base_price: Cpm,
    /// The winner pays its own bid and no price was agreed on, so that what became of it tells what others bid.
    pub first_price: bool,
    /// How likely this price was among those that would have been explored, in parts per billion.
    pub propensity_ppb: u32,
    /// Stable hash of the slot, the deal, the floor and the hours of the day: the narrowest place whose prices are
    /// learned.
    pub market: u64,
    /// Predicted probability of a click, in parts per billion; 0 = none was predicted.
    pub click_ppb: u32,
    /// The same of a conversion after a click.
    pub conversion_ppb: u32,
    /// Seconds for which the bid stands.
    pub life_s: u32,
    /// What predictions look at.
    pub features: Features,
}

impl Evidence {
    /// Nothing is known.
    pub const NONE: Evidence = Evidence {
        worth: Cpm(0),
        base_price: Cpm(0),
        first_price: false,
        propensity_ppb: 0,
        market: 0,
        click_ppb: 0,
        conversion_ppb: 0,
        life_s: 0,
        features: Features { len: 0, hashes: [0; Features::MAX] },
    };
}

/// Hashed features, as many as there may be.
#[derive(Clone, Copy, Eq)]
pub struct Features {
    len: u8,
    hashes: [u32; Features::MAX],
}

impl Features {
    /// Most features of a bid.
    pub const MAX: usize = 64;

    /// The first [`Features::MAX`] of these.
    pub fn new(hashes: impl IntoIterator<Item = u32>) -> Features {
        let mut features = Features::default();
        for (place, hash) in features.hashes.iter_mut().zip(hashes) {
            *place = hash;
            features.len += 1;
        }
        features
    }

    /// Those that stand one after the other in these bytes, little-endian, as far as [`Features::MAX`] goes.
    pub fn from_le_bytes(bytes: &[u8]) -> Features {
        let mut features = Features::default();
        let hashes = bytes.chunks_exact(size_of::<u32>());
        features.len = hashes.len().min(Features::MAX) as u8;
        for (place, hash) in features.hashes.iter_mut().zip(hashes) {
            *place = u32::from_le_bytes(*hash.first_chunk().expect("a chunk is as long"));
        }
        features
    }

    /// They.
    pub fn as_slice(&self) -> &[u32] {
        &self.hashes[..usize::from(self.len)]
    }
}

impl Default for Features {
    fn default() -> Features {
        Features { len: 0, hashes: [0; Features::MAX] }
    }
}

impl PartialEq for Features {
    fn eq(&self, other: &Features) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl std::fmt::Debug for Features {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.as_slice()).finish()
    }
}

/// Where an impression is shown, as far as learners and reports need it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Place {
    /// The kind of channel; `None` = not said.
    pub channel: Option<ChannelKind>,
    /// Stable hash of the site's domain or the app's bundle in lower case; 0 = neither is known.
    pub inventory: u64,
    /// The country.
    pub country: Option<Country>,
    /// OpenRTB `devicetype`.
    pub device_type: Option<u8>,
}

impl Place {
    /// Where a request is from.
    pub fn of(auction: &Auction<'_>) -> Place {
        let named = |inventory: &Inventory<'_>| inventory.bundle.or(inventory.domain).map_or(0, stable_hash);
        let (channel, inventory) = match &auction.channel {
            Channel::Unknown => (None, 0),
            Channel::Site(site) => (Some(ChannelKind::Site), named(site)),
            Channel::App(app) => (Some(ChannelKind::App), named(app)),
            Channel::Dooh(screen) => (Some(ChannelKind::Dooh), named(screen)),
        };
        let device_type = auction.device.device_type.and_then(|number| u8::try_from(number).ok());
        Place { channel, inventory, country: auction.device.geo.country, device_type }
    }
}

/// FNV-1a with 64 bits (Fowler, Noll, Vo) over the text in lower case: the same in every version of this program.
pub fn stable_hash(text: &str) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    text.bytes().fold(OFFSET, |hash, byte| (hash ^ u64::from(byte.to_ascii_lowercase())).wrapping_mul(PRIME))
}

/// A request that got no bid.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoBid {
    /// Who asked.
    pub exchange: ExchangeId,
    /// The first reason in rank order.
    pub reason: NoBidReason,
    /// Where.
    pub place: Place,
}

/// A notice that counted: duplicates, forgeries and tests are no events.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Noticed {
    /// Of what.
    pub kind: NoticeEvent,
    /// The bid.
    pub bid: BidId,
    /// The exchange that was answered.
    pub exchange: ExchangeId,
    /// The line item.
    pub line_item: LineItemId,
    /// The creative.
    pub creative: CreativeId,
    /// The identifier under which the user was known; 0 where none was used.
    pub user: UserKey,
    /// Seconds from the bid to the notice.
    pub after_s: u32,
    /// The lowest price that would have won, in the bid's currency, where a win, a bill or a loss says it (`AUCTION_MIN_TO_WIN`).
    pub min_to_win: Option<Cpm>,
}

impl Noticed {
    /// What was told of the bid with these claims, so many seconds after it was made.
    pub fn of(kind: NoticeEvent, claims: &TokenClaims, after_s: u32, min_to_win: Option<Cpm>) -> Noticed {
        Noticed {
            kind,
            bid: claims.bid,
            exchange: claims.exchange,
            line_item: claims.line_item,
            creative: claims.creative,
            user: claims.user,
            after_s,
            min_to_win,
        }
    }
}

/// A conversion as it counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Converted {
    /// By which definition.
    pub conversion: ConversionId,
    /// Whose it is.
    pub advertiser: AdvertiserId,
    /// The identifier under which the person is known.
    pub user: UserKey,
    /// What it is worth in the advertiser's currency.
    pub value: Option<Nanos>,
    /// The ad that it is put down to; `None` = to none of ours.
    pub credit: Option<Credit>,
}

/// The ad that a conversion is put down to: the last click within the definition's window, and without one the last
/// impression.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Credit {
    /// The bid.
    pub bid: BidId,
    /// The line item.
    pub line_item: LineItemId,
    /// The creative.
    pub creative: CreativeId,
    /// It was clicked, and not only seen.
    pub click: bool,
    /// Seconds from the click or the impression to the conversion.
    pub after_s: u32,
}

/// What a notice tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoticeEvent {
    /// The auction was won, at this price if the exchange says one. Nothing is shown yet.
    Win(Option<Cpm>),
    /// The bill was charged.
    Bill {
        /// What the advertiser was charged, in the wallet's currency.
        charged: Nanos,
        /// The price that was asked, in the bid's currency.
        price: Cpm,
        /// The record of the ledger's journal that says so, which no other bill has; 0 = written by a version that
        /// did not say.
        lsn: u64,
    },
    /// The auction was lost, for this reason (OpenRTB's loss codes) if the exchange says one.
    Loss(Option<u16>),
    /// The ad was shown.
    Impression,
    /// The ad was clicked.
    Click,
    /// A player reported an event of video or audio.
    Player(StreamEvent),
}

#[cfg(test)]
mod tests {
    use super::{Kind, stable_hash};

    #[test]
    fn hashes_are_those_of_every_version() {
        // The test vectors of the authors of FNV.
        assert_eq!(stable_hash(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(stable_hash("a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(stable_hash("foobar"), 0x8594_4171_f739_67e8);
        assert_eq!(stable_hash("FooBar"), stable_hash("foobar"));
    }

    #[test]
    fn every_kind_stands_at_its_number_under_a_name_of_its_own() {
        for (at, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, at);
            let named = |other: &Kind| other.as_str() == kind.as_str();
            assert_eq!(Kind::ALL.iter().filter(|other| named(other)).count(), 1, "{kind:?}");
        }
    }
}
