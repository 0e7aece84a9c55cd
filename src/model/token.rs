//! What a notice token carries: everything needed to post a bill after all memory of the bid is lost
//! (money.md section 3.2). The bytes, their MAC and the URLs around them belong to `exchange::token`.

use super::ids::{BidId, CreativeId, DealId, ExchangeId, LeaseId, LineItemId, UserKey};
use super::money::{Cpm, Currency};
use super::rates::Rate;

/// Which life class and time slot of a lease a hold was booked in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Bucket {
    /// Hold class: the pair (exchange, format).
    pub class: u16,
    /// Absolute number of the slot, never modulo.
    pub slot: u32,
}

/// The format half of a hold class.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u16)]
pub enum HoldFormat {
    /// A banner or native on the web, or out of home.
    WebBanner = 0,
    /// A banner in an app.
    AppBanner = 1,
    /// An interstitial or native in an app.
    AppInterstitial = 2,
    /// Video and audio.
    Stream = 3,
}

impl HoldFormat {
    /// Formats that fit one exchange in [`Bucket::class`].
    pub const COUNT: usize = 4;
}

const FORMATS: u16 = HoldFormat::COUNT as u16;

impl Bucket {
    /// The largest exchange id that fits a class.
    pub const MAX_EXCHANGE: ExchangeId = ExchangeId(u16::MAX / FORMATS);

    /// The bucket of a hold class and slot; `exchange` is at most [`Bucket::MAX_EXCHANGE`].
    pub fn new(exchange: ExchangeId, format: HoldFormat, slot: u32) -> Bucket {
        Bucket { class: exchange.0.min(Self::MAX_EXCHANGE.0) * FORMATS + format as u16, slot }
    }

    /// The exchange half of the class.
    pub fn exchange(self) -> ExchangeId {
        ExchangeId(self.class / FORMATS)
    }

    /// The format half, as the position of a [`HoldFormat`].
    pub fn format(self) -> usize {
        usize::from(self.class % FORMATS)
    }
}

/// The signed content of a notice URL.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TokenClaims {
    /// The exchange that was answered.
    pub exchange: ExchangeId,
    /// The bid.
    pub bid: BidId,
    /// The lease that holds its money.
    pub lease: LeaseId,
    /// Where in the lease.
    pub bucket: Bucket,
    /// The line item.
    pub line_item: LineItemId,
    /// The creative.
    pub creative: CreativeId,
    /// When the bid was made, in seconds since the Unix epoch.
    pub issued_s: u32,
    /// The bid price in `currency`.
    pub price: Cpm,
    /// The currency of the bid.
    pub currency: Currency,
    /// Nano-units of the wallet's currency for one unit of `currency`, frozen at the bid.
    pub rate: Rate,
    /// Data fee per thousand impressions in the wallet's currency, frozen at the bid.
    pub data_fee: Cpm,
    /// Platform share of the media cost, parts per million, frozen at the bid.
    pub platform_ppm: u32,
    /// `imp.qty.multiplier` in millionths.
    pub multiplier_ppm: i64,
    /// The advertiser's civil day of the bid, in days since 1970-01-01.
    pub budget_day: u32,
    /// The request was a test: nothing may move.
    pub test: bool,
    /// Keyed hash of the user, zero when unknown or not allowed.
    pub user: UserKey,
    /// The deal of the account that the bid was on: none in the open auction, nor on a deal that a line item names by its
    /// text alone.
    pub deal: Option<DealId>,
}
