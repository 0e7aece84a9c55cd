//! Notice tokens: the signed text in every notice URL, from which a bill can be posted after all memory of the bid
//! is lost (money.md 3.2).
//!
//! Layout, integers big-endian, 111 bytes, and 117 for a bid on a deal:
//!
//! | bytes | content |
//! |---|---|
//! | 1 | version in the high four bits, flags in the low four (bit 0: the request was a test, bit 1: on a deal) |
//! | 1 | key id |
//! | 2 | exchange |
//! | 4 + 2 + 8 | bid id: epoch, core, sequence |
//! | 8 | lease |
//! | 2 + 4 | hold class, slot |
//! | 4 + 4 | line item, creative |
//! | 4 | issued, seconds since the Unix epoch |
//! | 8 | bid price, CPM micros |
//! | 3 + 8 | currency, frozen rate in nano-units |
//! | 8 + 4 | data fee in CPM micros, platform share in ppm |
//! | 8 | multiplier in ppm |
//! | 4 | budget day |
//! | 8 | keyed user key |
//! | 4 + 2 | with bit 1 only: the deal, two zero bytes |
//! | 16 | tag: one half of HMAC-SHA-256 over everything before it |
//!
//! Both widths are multiples of three: the base64url text has 148 or 156 characters and no spare bits, so that one token
//! has one text. The first half of the MAC is the tag of class [`TokenClass::Server`], the second that of
//! [`TokenClass::Public`]: who has seen the pixel of a bid can still not forge its bill.
//!
//! Invariant: what [`decode`] returns was written by [`encode`] with a key of the ring, for that class. Deliberately
//! absent: age, replay and exchange checks, which need a clock and the ledger and belong to the notice handler.

use crate::model::ids::{BidId, CreativeId, DealId, ExchangeId, LeaseId, LineItemId, UserKey};
use crate::model::money::{Cpm, Currency};
use crate::model::rates::Rate;
use crate::model::token::{Bucket, TokenClaims};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// Bytes of a token before the tag, of a bid in the open auction.
const BODY_BYTES: usize = 95;
/// What a bid on a deal adds to that.
const DEAL_BYTES: usize = 6;
/// Bytes of a tag.
const TAG_BYTES: usize = 16;
/// Bytes of a token of a bid in the open auction …
pub const TOKEN_BYTES: usize = BODY_BYTES + TAG_BYTES;
/// … and characters of its text.
pub const TOKEN_CHARS: usize = TOKEN_BYTES / 3 * 4;
/// Bytes of a token of a bid on a deal, the longest there is …
pub const DEAL_TOKEN_BYTES: usize = TOKEN_BYTES + DEAL_BYTES;
/// … and characters of its text.
pub const DEAL_TOKEN_CHARS: usize = DEAL_TOKEN_BYTES / 3 * 4;
const _: () = assert!(
    TOKEN_BYTES.is_multiple_of(3) && DEAL_TOKEN_BYTES.is_multiple_of(3),
    "spare bits would give one token several texts"
);

/// The layout described above.
const VERSION: u8 = 1;
/// Flag: nothing may move.
const FLAG_TEST: u8 = 1;
/// Flag: the bid was on a deal, which stands at the end of the body.
const FLAG_DEAL: u8 = 2;

/// Who may present a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum TokenClass {
    /// Exchange to server: win, billing, loss.
    Server,
    /// Browser or app: impression, click, view.
    Public,
}

/// Why a text is no valid token. None of these tells a caller anything about the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Wrong length, alphabet or content.
    #[error("token is malformed")]
    Malformed,
    /// A layout that this build does not read.
    #[error("token has version {0}, this build reads version 1")]
    UnknownVersion(u8),
    /// The key was never in the ring, or has left it.
    #[error("token is signed with key {0}, which is not in the ring")]
    UnknownKey(u8),
    /// Altered, forged, or presented for the other class.
    #[error("token has a wrong tag")]
    BadTag,
}

/// A secret with the id that tokens name it by.
#[derive(Clone)]
pub struct TokenKey {
    /// Its number in the ring.
    pub id: u8,
    /// 32 random bytes.
    pub secret: [u8; 32],
}

/// The ring: the key that signs, and the older ones that still verify. Immutable; a rotation publishes a new ring.
#[derive(Clone)]
pub struct TokenKeys {
    active: (u8, Hmac<Sha256>),
    older: Vec<(u8, Hmac<Sha256>)>,
}

/// Two keys of a ring have one id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("token key id {0} is used twice, give each key of the ring its own id")]
pub struct DuplicateKeyId(pub u8);

impl std::fmt::Debug for TokenKeys {
    /// Ids only: a secret never reaches a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let older: Vec<u8> = self.older.iter().map(|(id, _)| *id).collect();
        f.debug_struct("TokenKeys").field("active", &self.active.0).field("older", &older).finish()
    }
}

impl TokenKeys {
    /// A ring that signs with `active` and accepts `older` as well. The keyed MAC states are computed here once.
    pub fn new(active: &TokenKey, older: &[TokenKey]) -> Result<TokenKeys, DuplicateKeyId> {
        let keyed = |key: &TokenKey| {
            let mac = Hmac::<Sha256>::new_from_slice(&key.secret).expect("HMAC takes a key of any length");
            (key.id, mac)
        };
        let ring = TokenKeys { active: keyed(active), older: older.iter().map(keyed).collect() };
        let mut ids: Vec<u8> = ring.older.iter().map(|(id, _)| *id).chain([active.id]).collect();
        ids.sort_unstable();
        match ids.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(DuplicateKeyId(pair[0])),
            None => Ok(ring),
        }
    }

    fn find(&self, id: u8) -> Option<&Hmac<Sha256>> {
        std::iter::once(&self.active).chain(&self.older).find(|(known, _)| *known == id).map(|(_, mac)| mac)
    }
}

/// A token as it stands in a URL.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenText {
    /// Zeros behind the text.
    chars: [u8; DEAL_TOKEN_CHARS],
    /// Of the text.
    len: usize,
}

impl TokenText {
    /// The text: base64url without padding.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.chars[..self.len]).expect("base64 is ASCII")
    }
}

impl std::fmt::Debug for TokenText {
    /// Full tokens are not logged: whoever reads one can fire its URL.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TokenText({}…)", &self.as_str()[..8])
    }
}

/// The two tokens of one bid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// For win, billing and loss URLs.
    pub server: TokenText,
    /// For impression, click and view URLs.
    pub public: TokenText,
}

/// Signs `claims` with the ring's active key: one MAC for both tokens, no allocation.
pub fn encode(claims: &TokenClaims, keys: &TokenKeys) -> Tokens {
    let (key_id, keyed) = &keys.active;
    let body_bytes = BODY_BYTES + if claims.deal.is_some() { DEAL_BYTES } else { 0 };
    let token_bytes = body_bytes + TAG_BYTES;
    let len = token_bytes / 3 * 4;
    // Whole base64 groups of the body: the same in both texts.
    let shared = body_bytes / 3;
    let mut raw = [0; DEAL_TOKEN_BYTES];
    write_body(claims, *key_id, &mut raw[..body_bytes]);
    let mut mac = keyed.clone();
    mac.update(&raw[..body_bytes]);
    let mac = mac.finalize().into_bytes();
    let (server_tag, public_tag) = mac.split_at(TAG_BYTES);

    raw[body_bytes..token_bytes].copy_from_slice(server_tag);
    let mut server = [0; DEAL_TOKEN_CHARS];
    base64_into(&raw[..token_bytes], &mut server[..len]);
    raw[body_bytes..token_bytes].copy_from_slice(public_tag);
    let mut public = server;
    base64_into(&raw[shared * 3..token_bytes], &mut public[shared * 4..len]);
    let [server, public] = [server, public].map(|chars| TokenText { chars, len });
    Tokens { server, public }
}

fn base64_into(raw: &[u8], text: &mut [u8]) {
    let written = URL_SAFE_NO_PAD.encode_slice(raw, text);
    assert_eq!(written, Ok(raw.len() / 3 * 4), "the buffers have the fixed widths of the layout");
}

/// Reads a token that was presented on a route of `class`. The tag is compared in constant time.
pub fn decode(text: &str, class: TokenClass, keys: &TokenKeys) -> Result<TokenClaims, TokenError> {
    let (claims, signed_as) = verify(text, keys)?;
    if signed_as == class { Ok(claims) } else { Err(TokenError::BadTag) }
}

/// Reads a token and says which class it was signed for: on a route whose class depends on the exchange, only the
/// token can say which exchange it is. Both tags are compared, in constant time.
pub fn verify(text: &str, keys: &TokenKeys) -> Result<(TokenClaims, TokenClass), TokenError> {
    let mut raw = [0; DEAL_TOKEN_BYTES];
    let token_bytes = match text.len() {
        TOKEN_CHARS => TOKEN_BYTES,
        DEAL_TOKEN_CHARS => DEAL_TOKEN_BYTES,
        _ => return Err(TokenError::Malformed),
    };
    if URL_SAFE_NO_PAD.decode_slice(text, &mut raw) != Ok(token_bytes) {
        return Err(TokenError::Malformed);
    }
    let (body, tag) = raw[..token_bytes].split_at(token_bytes - TAG_BYTES);
    let (version, key_id) = (body[0] >> 4, body[1]);
    if version != VERSION {
        return Err(TokenError::UnknownVersion(version));
    }
    let mut mac = keys.find(key_id).ok_or(TokenError::UnknownKey(key_id))?.clone();
    mac.update(body);
    let mac = mac.finalize().into_bytes();
    let (server, public) = mac.split_at(TAG_BYTES);
    let class = match (bool::from(server.ct_eq(tag)), bool::from(public.ct_eq(tag))) {
        (true, _) => TokenClass::Server,
        (_, true) => TokenClass::Public,
        _ => return Err(TokenError::BadTag),
    };
    Ok((read_body(body).ok_or(TokenError::Malformed)?, class))
}

fn write_body(claims: &TokenClaims, key_id: u8, body: &mut [u8]) {
    let mut rest = body;
    let mut put = |bytes: &[u8]| {
        let (field, after) = std::mem::take(&mut rest).split_at_mut(bytes.len());
        field.copy_from_slice(bytes);
        rest = after;
        rest.len()
    };
    let test = if claims.test { FLAG_TEST } else { 0 };
    let deal = if claims.deal.is_some() { FLAG_DEAL } else { 0 };
    put(&[VERSION << 4 | test | deal, key_id]);
    put(&claims.exchange.0.to_be_bytes());
    put(&claims.bid.epoch.to_be_bytes());
    put(&claims.bid.core.to_be_bytes());
    put(&claims.bid.sequence.to_be_bytes());
    put(&claims.lease.0.to_be_bytes());
    put(&claims.bucket.class.to_be_bytes());
    put(&claims.bucket.slot.to_be_bytes());
    put(&claims.line_item.0.to_be_bytes());
    put(&claims.creative.0.to_be_bytes());
    put(&claims.issued_s.to_be_bytes());
    put(&claims.price.0.to_be_bytes());
    put(&claims.currency.bytes());
    put(&claims.rate.0.to_be_bytes());
    put(&claims.data_fee.0.to_be_bytes());
    put(&claims.platform_ppm.to_be_bytes());
    put(&claims.multiplier_ppm.to_be_bytes());
    put(&claims.budget_day.to_be_bytes());
    let mut left = put(&claims.user.0.to_be_bytes());
    if let Some(deal) = claims.deal {
        put(&deal.0.to_be_bytes());
        left = put(&[0; 2]);
    }
    assert_eq!(left, 0, "the body has the width of the layout");
}

/// Takes the next field off the front of the body.
fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (field, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*field)
}

fn read_body(body: &[u8]) -> Option<TokenClaims> {
    let rest = &mut &body[2..];
    let flags = body[0] & 0x0f;
    let has_deal = flags & FLAG_DEAL != 0;
    if flags & !(FLAG_TEST | FLAG_DEAL) != 0
        || body.len() != BODY_BYTES + if has_deal { DEAL_BYTES } else { 0 }
    {
        return None;
    }
    Some(TokenClaims {
        exchange: ExchangeId(u16::from_be_bytes(take(rest)?)),
        bid: BidId {
            epoch: u32::from_be_bytes(take(rest)?),
            core: u16::from_be_bytes(take(rest)?),
            sequence: u64::from_be_bytes(take(rest)?),
        },
        lease: LeaseId(u64::from_be_bytes(take(rest)?)),
        bucket: Bucket { class: u16::from_be_bytes(take(rest)?), slot: u32::from_be_bytes(take(rest)?) },
        line_item: LineItemId(u32::from_be_bytes(take(rest)?)),
        creative: CreativeId(u32::from_be_bytes(take(rest)?)),
        issued_s: u32::from_be_bytes(take(rest)?),
        price: Cpm(i64::from_be_bytes(take(rest)?)),
        currency: Currency::parse(std::str::from_utf8(&take::<3>(rest)?).ok()?)?,
        rate: Rate(i64::from_be_bytes(take(rest)?)),
        data_fee: Cpm(i64::from_be_bytes(take(rest)?)),
        platform_ppm: u32::from_be_bytes(take(rest)?),
        multiplier_ppm: i64::from_be_bytes(take(rest)?),
        budget_day: u32::from_be_bytes(take(rest)?),
        user: UserKey(u64::from_be_bytes(take(rest)?)),
        deal: match has_deal {
            true => Some(DealId(u32::from_be_bytes(take(rest)?))).filter(|_| **rest == [0; 2]),
            false => None,
        },
        test: flags & FLAG_TEST != 0,
    })
}
