//! The answer: decided bids → OpenRTB 2.6 JSON, written by hand into a reused buffer.
//!
//! Invariant: what is written is valid JSON for any text in any field, prices are exact decimals, and a bid that an
//! exchange's limits would make it refuse is not written but named, so that its hold can be released. After warm-up
//! a plain answer allocates nothing. Deliberately absent: deciding anything; a [`Bid`] comes here decided and held.

use super::macros::{self, MarkupContext, Place};
use super::native;
use super::price;
use super::text::{BidIdText, JsonText, push_string};
use super::token::{self, TokenClass, TokenKeys, TokenText};
use super::url::{NoticeKind, PublicUrl, UrlForm};
use crate::model::bid::{Bid, Fill};
use crate::model::creative::Transparency;
use crate::model::exchange::{BillingEvent, ExchangeProfile};
use crate::model::ids::BidId;

/// AdCOM creative attribute "has skip button".
const SKIPS: i64 = 16;

/// Everything that an answer is made of.
#[derive(Clone, Copy, Debug)]
pub struct Response<'r> {
    /// The request's id, echoed byte for byte.
    pub request_id: &'r str,
    /// The bids, all in one currency; the first one's id serves as `bidid` too.
    pub bids: &'r [Bid<'r>],
    /// Seat, limits and notices of the exchange that is answered.
    pub profile: &'r ExchangeProfile,
    /// What signs the notice tokens.
    pub keys: &'r TokenKeys,
    /// Where notices, pixels and clicks go.
    pub urls: &'r PublicUrl,
    /// Where the ad will be shown, for the markup.
    pub place: Place<'r>,
}

/// What became of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Bids in the answer. 0 = nothing was written: the answer is 204.
    pub bids: usize,
    /// Bids that could not be written; their holds are to be released.
    pub skipped: Vec<Skipped>,
}

/// A bid that is not in the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Its index in [`Response::bids`].
    pub bid: usize,
    /// Why.
    pub why: RespondError,
}

/// Why a bid cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RespondError {
    /// The rendered markup is too long for the exchange.
    #[error(
        "markup has {bytes} bytes, the exchange takes {limit}: shorten the creative or raise max_adm_bytes"
    )]
    MarkupTooLong {
        /// Its length.
        bytes: usize,
        /// The profile's limit.
        limit: u32,
    },
    /// A notice URL is too long for the exchange.
    #[error(
        "notice url has {bytes} bytes, the exchange takes {limit}: shorten track.public_url or raise max_url_bytes"
    )]
    UrlTooLong {
        /// The longest one's length.
        bytes: usize,
        /// The profile's limit.
        limit: u32,
    },
    /// A price that is not above zero is no bid.
    #[error("price is {micros} micros, a bid must be above zero")]
    Price {
        /// The price in CPM micros.
        micros: i64,
    },
}

/// Appends the answer to `out`. Where no bid is left, `out` stays as it was.
pub fn write(response: &Response<'_>, out: &mut Vec<u8>) -> Written {
    let start = out.len();
    let mut written = Written::default();
    let Some(first) = response.bids.first() else { return written };
    let urls = check_urls(response);
    out.extend_from_slice(b"{\"id\":");
    push_string(response.request_id, out);
    out.extend_from_slice(b",\"bidid\":");
    push_bid_id(first.id, out);
    out.extend_from_slice(b",\"cur\":\"");
    out.extend_from_slice(&first.currency.bytes());
    out.extend_from_slice(b"\",\"seatbid\":[{\"seat\":");
    push_string(&response.profile.seat, out);
    out.extend_from_slice(b",\"bid\":[");
    for (index, bid) in response.bids.iter().enumerate() {
        let bid_start = out.len();
        if written.bids > 0 {
            out.push(b',');
        }
        match urls.and_then(|()| push_bid(bid, response, out)) {
            Ok(()) => written.bids += 1,
            Err(why) => {
                out.truncate(bid_start);
                written.skipped.push(Skipped { bid: index, why });
            }
        }
    }
    out.extend_from_slice(b"]}]}");
    if written.bids == 0 {
        out.truncate(start);
    }
    written
}

/// Appends an answer without bids that gives a reason: `{"id":…,"nbr":2}`.
pub fn write_no_bid(request_id: &str, nbr: u16, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"id\":");
    push_string(request_id, out);
    out.extend_from_slice(b",\"nbr\":");
    push_number(nbr.into(), out);
    out.push(b'}');
}

/// The notices that an exchange is sent. A win is always asked for: it teaches what prices win. A browser that fires
/// `burl` may see `lurl` as well and could void with it, so there is none then.
fn notices(profile: &ExchangeProfile) -> impl Iterator<Item = (NoticeKind, &'static [u8])> {
    let burl = profile.billing_event == BillingEvent::Burl;
    [
        (true, NoticeKind::Win, &b",\"nurl\":\""[..]),
        (burl, NoticeKind::Billing, b",\"burl\":\""),
        (profile.send_lurl && !profile.burl_in_browser, NoticeKind::Loss, b",\"lurl\":\""),
    ]
    .into_iter()
    .filter_map(|(sent, kind, key)| sent.then_some((kind, key)))
}

/// All URLs of a kind have one length, so that the limit is checked once an answer.
fn check_urls(response: &Response<'_>) -> Result<(), RespondError> {
    let limit = response.profile.max_url_bytes;
    let in_markup = [NoticeKind::Impression, NoticeKind::Click, NoticeKind::Event];
    let kinds = notices(response.profile).map(|(kind, _)| kind).chain(in_markup);
    let form = UrlForm::of(response.profile);
    let bytes = kinds.map(|kind| response.urls.notice_bytes(kind, form)).max().unwrap_or_default();
    if bytes > limit as usize { Err(RespondError::UrlTooLong { bytes, limit }) } else { Ok(()) }
}

fn push_bid(bid: &Bid<'_>, response: &Response<'_>, out: &mut Vec<u8>) -> Result<(), RespondError> {
    if bid.price.0 <= 0 {
        return Err(RespondError::Price { micros: bid.price.0 });
    }
    let tokens = token::encode(&bid.claims, response.keys);
    out.extend_from_slice(b"{\"id\":");
    push_bid_id(bid.id, out);
    out.extend_from_slice(b",\"impid\":");
    push_string(bid.imp_id, out);
    out.extend_from_slice(b",\"price\":");
    price::push(bid.price, out);
    push_markup(bid, response, &tokens.public, out)?;
    push_creative(bid, out);
    out.extend_from_slice(b",\"exp\":");
    push_number(bid.exp_s.into(), out);
    if let Some(deal) = bid.deal_id {
        out.extend_from_slice(b",\"dealid\":");
        push_string(deal, out);
    }
    let form = UrlForm::of(response.profile);
    for (kind, key) in notices(response.profile) {
        out.extend_from_slice(key);
        let token = match kind.class_in(response.profile) {
            TokenClass::Server => &tokens.server,
            TokenClass::Public => &tokens.public,
        };
        for piece in response.urls.pieces(kind, token.as_str(), form) {
            // A notice URL holds nothing that JSON escapes, see `url`.
            out.extend_from_slice(piece.as_bytes());
        }
        out.push(b'"');
    }
    if let Some(transparency) = bid.transparency {
        push_transparency(transparency, out);
    }
    out.push(b'}');
    Ok(())
}

/// `bid.ext.dsa`.
fn push_transparency(declared: &Transparency, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"ext\":{\"dsa\":{\"behalf\":");
    push_string(&declared.behalf, out);
    out.extend_from_slice(b",\"paid\":");
    push_string(&declared.paid, out);
    out.extend_from_slice(b",\"adrender\":");
    push_number(i64::from(declared.renders), out);
    if !declared.domain.is_empty() {
        out.extend_from_slice(b",\"transparency\":[{\"domain\":");
        push_string(&declared.domain, out);
        push_list(b",\"dsaparams\":[", &declared.parameters, |n, out| push_number(*n, out), out);
        out.extend_from_slice(b"}]");
    }
    out.extend_from_slice(b"}}");
}

fn push_markup(
    bid: &Bid<'_>,
    response: &Response<'_>,
    token: &TokenText,
    out: &mut Vec<u8>,
) -> Result<(), RespondError> {
    let context = MarkupContext {
        urls: response.urls,
        form: UrlForm::of(response.profile),
        public_token: token.as_str(),
        cachebuster: cachebuster(bid.id),
        bid: bid.id,
        creative: bid.creative.id,
        line_item: bid.claims.line_item,
        campaign: bid.campaign,
        size: bid.size.unwrap_or_default(),
        place: response.place,
    };
    out.extend_from_slice(b",\"adm\":\"");
    let mut text = JsonText::new(out);
    match bid.fill {
        Fill::Html(template) => macros::render(template, &context, &mut text),
        Fill::Vast(vast) => macros::render(&vast.template, &context, &mut text),
        Fill::Native(fill) => {
            if let Some(ad) = bid.creative.native() {
                native::render(&fill, ad, &context, &mut text);
            }
        }
    }
    let bytes = text.bytes();
    out.push(b'"');
    let limit = response.profile.max_adm_bytes;
    if bytes > limit as usize { Err(RespondError::MarkupTooLong { bytes, limit }) } else { Ok(()) }
}

/// What an exchange reviews the creative by.
fn push_creative(bid: &Bid<'_>, out: &mut Vec<u8>) {
    let creative = bid.creative;
    push_list(b",\"adomain\":[", &creative.adomain, |domain, out| push_string(domain, out), out);
    out.extend_from_slice(b",\"cid\":\"");
    push_number(bid.campaign.0.into(), out);
    out.extend_from_slice(b"\",\"crid\":\"");
    push_number(creative.id.0.into(), out);
    out.push(b'"');
    if let Some(size) = bid.size {
        out.extend_from_slice(b",\"w\":");
        push_number(size.w.into(), out);
        out.extend_from_slice(b",\"h\":");
        push_number(size.h.into(), out);
    }
    // Required where the format was a ratio (section 4.2.3); the size in pixels is what it comes to.
    if let Some(ratio) = bid.flexible {
        out.extend_from_slice(b",\"wratio\":");
        push_number(ratio.w_ratio.into(), out);
        out.extend_from_slice(b",\"hratio\":");
        push_number(ratio.h_ratio.into(), out);
    }
    out.extend_from_slice(b",\"mtype\":");
    push_number(creative.media_type() as i64, out);
    push_stream(bid, out);
    push_list(b",\"cat\":[", &creative.categories, |category, out| push_string(category, out), out);
    // 1 is the default of the specification; any other must be said.
    if creative.cattax != 1 {
        out.extend_from_slice(b",\"cattax\":");
        push_number(creative.cattax.into(), out);
    }
    let attributes = creative.attributes.iter().chain(names_skip(bid).then_some(&SKIPS));
    push_list(b",\"attr\":[", attributes, |attribute, out| push_number(*attribute, out), out);
    push_list(b",\"apis\":[", creative.api.as_slice(), |api, out| push_number(*api, out), out);
    for (key, value) in
        [(&b",\"language\":"[..], &creative.language), (&b",\"bundle\":"[..], &creative.bundle)]
    {
        if let Some(value) = value {
            out.extend_from_slice(key);
            push_string(value, out);
        }
    }
}

/// Appends an array with its key, or nothing when it would be empty.
fn push_list<'i, T: 'i>(
    key: &[u8],
    items: impl IntoIterator<Item = &'i T>,
    push: impl Fn(&T, &mut Vec<u8>),
    out: &mut Vec<u8>,
) {
    let mut before = key;
    for item in items {
        out.extend_from_slice(before);
        push(item, out);
        before = b",";
    }
    if before == b"," {
        out.push(b']');
    }
}

/// What only video and audio have.
fn push_stream(bid: &Bid<'_>, out: &mut Vec<u8>) {
    let protocol = match bid.fill {
        Fill::Vast(vast) => Some(vast.protocol),
        Fill::Html(_) | Fill::Native(_) => None,
    };
    for (key, value) in [
        (&b",\"protocol\":"[..], protocol),
        (b",\"dur\":", bid.duration_s.map(i64::from)),
        (b",\"slotinpod\":", bid.slot_in_pod),
    ] {
        if let Some(value) = value {
            out.extend_from_slice(key);
            push_number(value, out);
        }
    }
}

/// Whether a skip button must be named. A document of VAST 2.0 has none.
fn names_skip(bid: &Bid<'_>) -> bool {
    bid.skips_itself
        && !bid.creative.attributes.contains(&SKIPS)
        && matches!(bid.fill, Fill::Vast(vast) if vast.protocol != 2)
}

fn push_number(number: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// The bid id as a JSON string.
fn push_bid_id(id: BidId, out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(BidIdText::of(id).as_bytes());
    out.push(b'"');
}

/// A number that differs from bid to bid and replays with the bid id: the finisher of SplitMix64, a bijection, over
/// the sequence spread by core and epoch.
fn cachebuster(id: BidId) -> u64 {
    let mut mixed = id.sequence ^ u64::from(id.core) << 48 ^ u64::from(id.epoch).rotate_left(40);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}
