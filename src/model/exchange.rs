//! An exchange's profile: everything that differs from exchange to exchange and that a decision, an answer or a
//! notice must know.

use super::ids::ExchangeId;
use super::money::{Cpm, Currency, Nanos};
use super::secret::{BlowfishKey, Key256, MASK};
use std::fmt;

/// The contract with one exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExchangeProfile {
    /// Stable id, as tokens carry it.
    pub id: ExchangeId,
    /// Name in the bid URL: `POST /openrtb2/{name}`.
    pub name: String,
    /// How the exchange proves who it is.
    pub auth: ExchangeAuth,
    /// Our seat: `seatbid.seat`, compared with `wseat` and `bseat`.
    pub seat: String,
    /// Currency to bid in where the request allows it.
    pub currency: Currency,
    /// How the clearing price is written in notices.
    pub price_codec: PriceCodec,
    /// What the clearing price counts.
    pub price_unit: PriceUnit,
    /// Which notice books the spend.
    pub billing_event: BillingEvent,
    /// The exchange fires `burl` in browsers: it carries the public token then, and `lurl` is off (money.md 3.2).
    pub burl_in_browser: bool,
    /// What a billing notice without a readable price costs.
    pub missing_price: MissingPrice,
    /// `at` when the request has none; OpenRTB's default is 2.
    pub default_at: i64,
    /// `tmax` in milliseconds when the request has none, or an unreadable one.
    pub default_tmax_ms: u32,
    /// A larger `tmax` counts as this.
    pub max_tmax_ms: u32,
    /// What the network takes of `tmax`, in milliseconds.
    pub network_margin_ms: u32,
    /// Lives of holds.
    pub holds: HoldLives,
    /// Largest `imp.qty.multiplier`, in millionths.
    pub max_multiplier_ppm: i64,
    /// Never bid above this here, in the profile's currency.
    pub max_cpm: Cpm,
    /// Requests a second; `None` = no cap.
    pub max_qps: Option<u32>,
    /// Value of all open holds, in nanos of the profile's currency; `None` = no cap.
    pub max_open_holds: Option<Nanos>,
    /// What bounds the costs of the house here.
    pub house: HouseRules,
    /// Longest `adm` in bytes.
    pub max_adm_bytes: u32,
    /// Longest URL in bytes.
    pub max_url_bytes: u32,
    /// Send `nbr` with status 200 instead of an empty 204 where OpenRTB has a code.
    pub send_nbr: bool,
    /// Send `lurl`.
    pub send_lurl: bool,
    /// The exchange's name in `ads.txt` and supply chains (`asi`), lower case; `None` = not known, and who may sell
    /// what is not judged.
    pub seller_system: Option<String>,
    /// Bids in the open auction of one impression, at least 1, each from another campaign. Every one of them holds
    /// money, and many exchanges look at the best alone.
    pub open_bids: usize,
    /// Sources of `user.eids` that may be looked up, in order of priority.
    pub eid_sources: Vec<String>,
    /// `user.id` is a key of our match table with this exchange.
    pub match_user_id: bool,
    /// What an EEA/UK/CH or unknown place without a signal means: see `privacy`.
    pub gdpr_default: GdprDefault,
    /// Where browsers that come to be matched are sent on to, with `${UID}` for our uid; `None` = nowhere.
    pub sync_url: Option<String>,
    /// Hosts to which the exchange may have its browsers sent back from a match; each is listed itself.
    pub sync_domains: Vec<String>,
}

/// What stands for our uid in [`ExchangeProfile::sync_url`].
pub const UID_MACRO: &str = "${UID}";

impl ExchangeProfile {
    /// Whether browsers see, and can fire, the URL that books the spend.
    pub fn bills_in_public(&self) -> bool {
        match self.billing_event {
            BillingEvent::Impression => true,
            BillingEvent::Burl => self.burl_in_browser,
            BillingEvent::Nurl => false,
        }
    }
}

/// What bounds the costs that nobody can be charged with (money.md 2.6). Amounts are nanos of the profile's currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HouseRules {
    /// Everything ever held here before the first verified bill; `None`, on loopback only, trusts from the start.
    pub first_trust: Option<Nanos>,
    /// What the house bears in a day; `None` = 0.5 % of what was spent the day before, at least 10 units.
    pub day_max: Option<Nanos>,
    /// Whether bills that stay away mean that we are deaf; off on loopback only.
    pub deaf_check: bool,
}

impl Default for HouseRules {
    fn default() -> Self {
        HouseRules { first_trust: Some(Nanos(10_000_000_000)), day_max: None, deaf_check: true }
    }
}

impl HouseRules {
    /// For exchanges that are played on this machine: trusted, and free to fall silent.
    pub const LOOPBACK: HouseRules = HouseRules { first_trust: None, day_max: None, deaf_check: false };
}

/// How an exchange authenticates itself (money.md 3.2: third parties must not be able to ask for signed URLs).
#[derive(Clone, PartialEq, Eq)]
pub enum ExchangeAuth {
    /// Nothing: only for listeners on loopback.
    LoopbackOnly,
    /// A header with a secret value.
    Header {
        /// Lower-case header name.
        name: String,
        /// Its value, compared in constant time.
        secret: String,
    },
    /// A secret path segment: `POST /openrtb2/{name}/{secret}`.
    PathSecret(String),
    /// Addresses or networks of the peer, `a.b.c.d/n` or IPv6 alike.
    Addresses(Vec<IpNet>),
}

impl fmt::Debug for ExchangeAuth {
    /// A secret never reaches a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExchangeAuth::LoopbackOnly => f.write_str("LoopbackOnly"),
            ExchangeAuth::Header { name, .. } => write!(f, "Header({name}: {MASK})"),
            ExchangeAuth::PathSecret(_) => write!(f, "PathSecret({MASK})"),
            ExchangeAuth::Addresses(networks) => f.debug_tuple("Addresses").field(networks).finish(),
        }
    }
}

/// An address block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpNet {
    /// Network address.
    pub addr: std::net::IpAddr,
    /// Prefix length in bits.
    pub prefix: u8,
}

impl IpNet {
    /// Reads `10.0.0.0/8`, `2001:db8::/32` or a single address.
    pub fn parse(text: &str) -> Option<IpNet> {
        let (addr, prefix) = match text.split_once('/') {
            Some((addr, prefix)) => (addr, Some(prefix.parse::<u8>().ok()?)),
            None => (text, None),
        };
        let addr: std::net::IpAddr = addr.parse().ok()?;
        let width = if addr.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.unwrap_or(width);
        (prefix <= width).then_some(IpNet { addr, prefix })
    }

    /// Whether `addr` lies in the block; an IPv4 address mapped into IPv6 counts as IPv4.
    pub fn contains(&self, addr: std::net::IpAddr) -> bool {
        use std::net::IpAddr::{V4, V6};
        match (self.addr, addr.to_canonical()) {
            (V4(net), V4(addr)) => {
                let shift = 32 - u32::from(self.prefix);
                shift == 32 || (net.to_bits() ^ addr.to_bits()) >> shift == 0
            }
            (V6(net), V6(addr)) => {
                let shift = 128 - u32::from(self.prefix);
                shift == 128 || (net.to_bits() ^ addr.to_bits()) >> shift == 0
            }
            _ => false,
        }
    }
}

/// How a price stands in a notice URL, with the secrets that read it. The ciphers are in `exchange::price`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PriceCodec {
    /// A plain decimal.
    Plain,
    /// A whole number under Google's scheme of HMAC-SHA1 keys; many exchanges use it.
    GoogleHmacSha1(HmacPriceKeys),
    /// The same scheme at OpenX: other macro, and the number counts CPI micros.
    OpenxCpi(HmacPriceKeys),
    /// A decimal under Blowfish in ECB mode, in hex. Hidden, but not authenticated.
    BlowfishEcbHex(BlowfishKey),
}

impl PriceCodec {
    /// Whether a price that decodes was written by who has the keys. Only such a price may come by a URL that browsers
    /// see (money.md 2.4).
    pub fn is_authenticated(&self) -> bool {
        match self {
            PriceCodec::GoogleHmacSha1(_) | PriceCodec::OpenxCpi(_) => true,
            PriceCodec::Plain | PriceCodec::BlowfishEcbHex(_) => false,
        }
    }
}

/// The two keys of Google's price scheme, and how old a price may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HmacPriceKeys {
    /// `e_key`.
    pub encryption: Key256,
    /// `i_key`.
    pub integrity: Key256,
    /// A price whose initialisation vector is further than this many seconds from now, either way, is refused. `None`
    /// where the vector is no timestamp.
    pub max_age_s: Option<u32>,
}

/// What the number of a clearing price means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PriceUnit {
    /// Units of the currency per thousand impressions.
    Cpm,
    /// Millionths of a unit per thousand impressions.
    CpmMicros,
    /// Millionths of a unit per impression: a thousand CPM micros each.
    CpiMicros,
}

/// The notice that books the spend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BillingEvent {
    /// `burl`.
    Burl,
    /// The impression pixel.
    Impression,
    /// `nurl`: legacy, warned about.
    Nurl,
}

/// What a billing notice without a usable price costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingPrice {
    /// The bid price.
    Bid,
    /// Nothing: the notice is refused and counted.
    Reject,
}

/// What is assumed where no GDPR signal is present and the place is EEA/UK/CH or unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GdprDefault {
    /// GDPR applies: contextual only.
    Applies,
    /// An unknown place counts as outside; EEA/UK/CH stays contextual.
    UnknownIsOutside,
}

/// Seconds that a hold lives by format, and the bounds around them (money.md 2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HoldLives {
    /// Web banner.
    pub web_banner_s: u32,
    /// App banner.
    pub app_banner_s: u32,
    /// Interstitial or native in an app.
    pub app_interstitial_s: u32,
    /// Video and audio.
    pub video_s: u32,
    /// Added to each.
    pub grace_s: u32,
    /// A request that needs a longer life is not bid on.
    pub max_s: u32,
}

impl Default for HoldLives {
    fn default() -> Self {
        HoldLives {
            web_banner_s: 120,
            app_banner_s: 300,
            app_interstitial_s: 1_800,
            video_s: 600,
            grace_s: 10,
            max_s: 7_200,
        }
    }
}
