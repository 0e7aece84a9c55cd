//! Notice URLs, out and back: where they point, which OpenRTB macros they carry (OpenRTB 2.6 section 4.4), and what
//! an exchange made of those macros.
//!
//! Invariant: a URL written here holds only characters that JSON, HTML attributes and URLs take as they are, so
//! that writers copy it without escaping, and all URLs of one kind have one length. Deliberately absent: tokens
//! (`token`), price codecs (`price`) and the landing page of a click, which is looked up by the creative.
//!
//! Of the 14 macros the URLs carry those that a notice is acted on. The token says what the ids would; a discount is
//! already in the price, and an impression's own time moves nothing, so that `AUCTION_DISCOUNT_PCT`,
//! `AUCTION_DISCOUNT_CPM` and `AUCTION_IMP_TS` would only make the URLs longer.
//!
//! The way back is tolerant, because nobody else is careful: a macro comes back as a number, empty, as `AUDIT` or
//! not substituted at all; separators arrive as `&amp;`, slashes doubled. Each is told apart, never guessed away.

use super::token::{DEAL_TOKEN_CHARS, TokenClass};
use crate::model::creative::StreamEvent;
use crate::model::exchange::{BillingEvent, ExchangeProfile, PriceCodec};
use crate::model::money::{Cpm, Currency};

/// What a notice URL reports.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum NoticeKind {
    /// `nurl`: `/n/{token}`.
    Win,
    /// `burl`: `/b/{token}`.
    Billing,
    /// `lurl`: `/l/{token}`.
    Loss,
    /// The pixel in the markup: `/i/{token}.gif`.
    Impression,
    /// The click URL in the markup: `/c/{token}`.
    Click,
    /// What players and publishers report of an ad: `/e/{token}?e={event}`.
    Event,
}

impl NoticeKind {
    /// Every kind.
    pub const ALL: [NoticeKind; 6] = [
        NoticeKind::Win,
        NoticeKind::Billing,
        NoticeKind::Loss,
        NoticeKind::Impression,
        NoticeKind::Click,
        NoticeKind::Event,
    ];

    /// The class of token that a URL of this kind carries and accepts.
    pub fn class(self) -> TokenClass {
        match self {
            NoticeKind::Win | NoticeKind::Billing | NoticeKind::Loss => TokenClass::Server,
            NoticeKind::Impression | NoticeKind::Click | NoticeKind::Event => TokenClass::Public,
        }
    }

    /// The class where it depends on the profile: an exchange that fires `burl` in browsers gets the public one.
    pub fn class_in(self, profile: &ExchangeProfile) -> TokenClass {
        match self {
            NoticeKind::Billing if profile.burl_in_browser => TokenClass::Public,
            _ => self.class(),
        }
    }

    /// What stands before the token, between token and price, and after the price.
    fn shape(self, form: UrlForm) -> [&'static str; 3] {
        match self {
            NoticeKind::Win => [
                "/n/",
                "?p=",
                "&c=${AUCTION_CURRENCY}&m=${AUCTION_MULTIPLIER}&b=${AUCTION_MBR}&w=${AUCTION_MIN_TO_WIN}",
            ],
            NoticeKind::Billing => ["/b/", "?p=", "&c=${AUCTION_CURRENCY}&m=${AUCTION_MULTIPLIER}"],
            NoticeKind::Loss => {
                ["/l/", "?r=${AUCTION_LOSS}&p=", "&c=${AUCTION_CURRENCY}&w=${AUCTION_MIN_TO_WIN}"]
            }
            NoticeKind::Impression if form.priced_impression => ["/i/", ".gif?p=", ""],
            NoticeKind::Impression => ["/i/", ".gif", ""],
            NoticeKind::Click => ["/c/", "", ""],
            NoticeKind::Event => ["/e/", "?e=", ""],
        }
    }

    fn has_price(self, form: UrlForm) -> bool {
        match self {
            NoticeKind::Win | NoticeKind::Billing | NoticeKind::Loss => true,
            // A browser fires it: a price that anyone could rewrite has no place in it (money.md 2.4).
            NoticeKind::Impression => form.priced_impression,
            NoticeKind::Click | NoticeKind::Event => false,
        }
    }
}

/// VAST's macro for the reason of an error, which the player replaces.
const ERROR_CODE: &str = "[ERRORCODE]";

/// What of a notice URL depends on the exchange.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UrlForm {
    /// The macro that the exchange replaces by the clearing price.
    price_macro: &'static str,
    /// The pixel carries the price: it books the spend, and the price's cipher proves who wrote it.
    priced_impression: bool,
}

impl UrlForm {
    /// OpenRTB's own macro, no price in the pixel.
    pub const PLAIN: UrlForm = UrlForm { price_macro: "${AUCTION_PRICE}", priced_impression: false };

    /// The form that an exchange needs.
    pub fn of(profile: &ExchangeProfile) -> UrlForm {
        let codec = &profile.price_codec;
        UrlForm {
            price_macro: match codec {
                // Encrypted under this name only; OpenX does not replace the plain macro in markup.
                PriceCodec::OpenxCpi(_) => "${AUCTION_PRICE:OXCRYPT}",
                _ => UrlForm::PLAIN.price_macro,
            },
            priced_impression: profile.billing_event == BillingEvent::Impression && codec.is_authenticated(),
        }
    }
}

/// Why `track.public_url` cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublicUrlError {
    /// Neither http nor https.
    #[error("public url {0:?} must begin with https:// or http://")]
    Scheme(String),
    /// No host.
    #[error("public url {0:?} has no host")]
    NoHost(String),
    /// A query, a user name, a space …
    #[error("public url has {found:?} at byte {offset}, only letters, digits and -._~:/[]% may stand in it")]
    Character {
        /// The character.
        found: char,
        /// Where it is.
        offset: usize,
    },
}

/// `track.public_url`: the base of every notice, pixel and click URL; path prefixes are allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl {
    /// Without a slash at the end.
    base: String,
}

impl PublicUrl {
    /// Checks and keeps a base URL. Trailing slashes are dropped.
    pub fn parse(text: &str) -> Result<PublicUrl, PublicUrlError> {
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let Some(rest) = rest else { return Err(PublicUrlError::Scheme(text.to_owned())) };
        let host = rest.split('/').next().unwrap_or_default();
        if host.is_empty() || host.starts_with(':') {
            return Err(PublicUrlError::NoHost(text.to_owned()));
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-._~:/[]%".contains(c);
        if let Some((offset, found)) = text.char_indices().find(|(_, c)| !allowed(*c)) {
            return Err(PublicUrlError::Character { found, offset });
        }
        Ok(PublicUrl { base: text.trim_end_matches('/').to_owned() })
    }

    /// Whether the URLs are https: where not, impressions with `secure = 1` cannot be bid on.
    pub fn is_secure(&self) -> bool {
        self.base.starts_with("https://")
    }

    /// The base without a slash at the end.
    pub fn as_str(&self) -> &str {
        &self.base
    }

    /// The URL of a notice in pieces, to be written one after the other: base, path, token, then what stands before
    /// the price, its macro, and the rest. Only the macro may hold characters that an encoder would escape and must not.
    pub fn pieces<'a>(&'a self, kind: NoticeKind, token: &'a str, form: UrlForm) -> [&'a str; 6] {
        let [path, before, after] = kind.shape(form);
        let price = if kind.has_price(form) { form.price_macro } else { "" };
        [&self.base, path, token, before, price, after]
    }

    /// The URL of an event in pieces, as [`PublicUrl::pieces`] gives them. An impression is a notice of its own kind;
    /// a click is one here where nothing is opened by it.
    pub fn event_pieces<'a>(&'a self, event: StreamEvent, token: &'a str, form: UrlForm) -> [&'a str; 6] {
        let before = match event {
            StreamEvent::Impression => return self.pieces(NoticeKind::Impression, token, form),
            StreamEvent::Start => "?e=start",
            StreamEvent::FirstQuartile => "?e=first_quartile",
            StreamEvent::Midpoint => "?e=midpoint",
            StreamEvent::ThirdQuartile => "?e=third_quartile",
            StreamEvent::Complete => "?e=complete",
            StreamEvent::Skip => "?e=skip",
            StreamEvent::Click => "?e=click",
            StreamEvent::Error => "?e=error&c=",
        };
        let [path, _, after] = NoticeKind::Event.shape(form);
        let code = if event == StreamEvent::Error { ERROR_CODE } else { "" };
        [&self.base, path, token, before, code, after]
    }

    /// Length in bytes of the longest URL of a kind and form, which is one on a deal, macros not substituted.
    pub fn notice_bytes(&self, kind: NoticeKind, form: UrlForm) -> usize {
        let pieces = match kind {
            // The longest, with the player's macro behind it.
            NoticeKind::Event => self.event_pieces(StreamEvent::Error, "", form),
            _ => self.pieces(kind, "", form),
        };
        pieces.iter().map(|piece| piece.len()).sum::<usize>() + DEAL_TOKEN_CHARS
    }
}

/// The path of a notice, read back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoticePath<'a> {
    /// What it reports.
    pub kind: NoticeKind,
    /// The token, not yet verified.
    pub token: &'a str,
    /// Slashes were doubled or added: counted apart.
    pub mangled: bool,
}

impl<'a> NoticePath<'a> {
    /// Reads a request path without its query. Only the last two segments count, so that a proxy may strip the
    /// public URL's prefix or not. `None` = not a notice.
    pub fn parse(path: &'a str) -> Option<NoticePath<'a>> {
        let mut segments = path.rsplit('/').filter(|segment| !segment.is_empty());
        let last = segments.next()?;
        let name = segments.next()?;
        let kind = NoticeKind::ALL
            .into_iter()
            .find(|kind| kind.shape(UrlForm::PLAIN)[0].trim_matches('/') == name)?;
        let token = match kind {
            NoticeKind::Impression => last.strip_suffix(".gif").unwrap_or(last),
            _ => last,
        };
        Some(NoticePath { kind, token, mangled: path.contains("//") || path.ends_with('/') })
    }
}

/// What an exchange put in the place of a macro.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Notified<T> {
    /// A readable value.
    Value(T),
    /// Nothing, or the parameter is missing: OpenRTB substitutes an unknown value by the empty text.
    Empty,
    /// `AUDIT`: a test rendering; nothing may move.
    Audit,
    /// The macro itself, plain or percent-encoded.
    Unsubstituted,
    /// Anything else.
    Invalid,
}

/// Longest value of a parameter after percent-decoding, in bytes; longer ones are invalid.
const MAX_VALUE_BYTES: usize = 256;

impl<T> Notified<T> {
    /// Tells the cases of a raw query value apart; what is left is given, percent-decoded, to `read`.
    pub fn read(raw: &str, read: impl FnOnce(&str) -> Option<T>) -> Notified<T> {
        let mut buffer = [0; MAX_VALUE_BYTES];
        let Some(text) = percent_decode(raw, &mut buffer) else { return Notified::Invalid };
        let text = text.trim();
        if text.is_empty() {
            Notified::Empty
        } else if text.eq_ignore_ascii_case("AUDIT") {
            Notified::Audit
        } else if ["${", "%24%7B", "%24%7b", "$%7B", "$%7b"].iter().any(|form| text.contains(form)) {
            // The encoded forms are what is left of a macro that was encoded twice.
            Notified::Unsubstituted
        } else {
            read(text).map_or(Notified::Invalid, Notified::Value)
        }
    }

    /// The value, where there is one.
    pub fn value(self) -> Option<T> {
        match self {
            Notified::Value(value) => Some(value),
            _ => None,
        }
    }
}

/// Decodes `%XX` and `+` into `buffer`; `None` when it is too long or not UTF-8. A `%` that begins no escape stays.
fn percent_decode<'b>(raw: &str, buffer: &'b mut [u8; MAX_VALUE_BYTES]) -> Option<&'b str> {
    let raw = raw.as_bytes();
    let hex = |at: usize| raw.get(at).and_then(|b| (*b as char).to_digit(16));
    let (mut at, mut length) = (0, 0);
    while at < raw.len() {
        let (byte, width) = match (raw[at], hex(at + 1), hex(at + 2)) {
            (b'%', Some(high), Some(low)) => ((high * 16 + low) as u8, 3),
            (b'+', _, _) => (b' ', 1),
            (byte, _, _) => (byte, 1),
        };
        *buffer.get_mut(length)? = byte;
        length += 1;
        at += width;
    }
    std::str::from_utf8(&buffer[..length]).ok()
}

/// The query of a notice, read back. Prices stay raw: reading them is up to the profile's codec, see
/// [`super::price::read`]. Where a parameter is given twice the first counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoticeQuery<'a> {
    /// `${AUCTION_PRICE}`, raw; empty when missing.
    pub price: &'a str,
    /// `${AUCTION_CURRENCY}`.
    pub currency: Notified<Currency>,
    /// `${AUCTION_MULTIPLIER}` in millionths, rounded down; > 0.
    pub multiplier_ppm: Notified<i64>,
    /// `${AUCTION_LOSS}`.
    pub loss: Notified<u16>,
    /// `${AUCTION_MBR}`, clearing price ÷ bid price, in millionths, rounded down.
    pub mbr_ppm: Notified<i64>,
    /// `${AUCTION_MIN_TO_WIN}`, raw; empty when missing.
    pub min_to_win: &'a str,
    /// The event of [`NoticeKind::Event`].
    pub event: Notified<StreamEvent>,
    /// Separators had become `&amp;`: counted apart.
    pub mangled: bool,
}

impl<'a> NoticeQuery<'a> {
    /// Reads the query of a notice, without its `?`. Unknown parameters are ignored; nothing fails.
    pub fn parse(query: &'a str) -> NoticeQuery<'a> {
        let mut raw: [Option<&'a str>; 7] = [None; 7];
        let mut mangled = false;
        for mut pair in query.split('&') {
            while let Some(rest) = pair.strip_prefix("amp;") {
                (pair, mangled) = (rest, true);
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if let Some(index) = ["p", "c", "m", "r", "b", "w", "e"].iter().position(|known| *known == name) {
                raw[index].get_or_insert(value);
            }
        }
        let [price, currency, multiplier, loss, mbr, min_to_win, event] = raw.map(Option::unwrap_or_default);
        // A price is in millionths too, so that its reader serves ratios as well.
        let millionths = |text: &str| Cpm::parse_decimal(text, false).map(|value| value.0);
        NoticeQuery {
            price,
            currency: Notified::read(currency, Currency::parse),
            multiplier_ppm: Notified::read(multiplier, |text| millionths(text).filter(|ppm| *ppm > 0)),
            loss: Notified::read(loss, |text| text.parse().ok()),
            mbr_ppm: Notified::read(mbr, millionths),
            min_to_win,
            event: Notified::read(event, StreamEvent::named),
            mangled,
        }
    }

    /// Whether any macro became `AUDIT`: a test rendering, whatever the notice.
    pub fn is_audit(&self) -> bool {
        let raw = [self.price, self.min_to_win].map(|text| Notified::read(text, |_| Some(())));
        raw.contains(&Notified::Audit)
            || self.currency == Notified::Audit
            || self.multiplier_ppm == Notified::Audit
            || self.loss == Notified::Audit
            || self.mbr_ppm == Notified::Audit
    }
}
