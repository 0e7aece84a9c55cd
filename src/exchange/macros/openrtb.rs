//! OpenRTB's own macros (OpenRTB 2.6 section 4.4): the exchange replaces them in whatever it finds them in, so that a
//! mistyped one stays in the ad that people see.

use super::MacroError;

/// OpenRTB's macros, without `${` and `}`. Each may name a codec, as in `${AUCTION_PRICE:B64}`.
pub const NAMES: [&str; 14] = [
    "AUCTION_ID",
    "AUCTION_BID_ID",
    "AUCTION_IMP_ID",
    "AUCTION_SEAT_ID",
    "AUCTION_AD_ID",
    "AUCTION_PRICE",
    "AUCTION_CURRENCY",
    "AUCTION_MBR",
    "AUCTION_LOSS",
    "AUCTION_MIN_TO_WIN",
    "AUCTION_MULTIPLIER",
    "AUCTION_IMP_TS",
    "AUCTION_DISCOUNT_PCT",
    "AUCTION_DISCOUNT_CPM",
];

/// How they all begin.
const PREFIX: &str = "AUCTION_";

/// The macro that begins at `at`, if one does: its length in bytes. What is no `${NAME}` or `${NAME:CODEC}` is the
/// author's, such as `${price}` in a script.
pub(super) fn find(text: &str, at: usize) -> Result<Option<usize>, MacroError> {
    // Callers go byte by byte, so that `at` may lie inside a character.
    let Some(rest) = text.get(at..).and_then(|rest| rest.strip_prefix("${")) else { return Ok(None) };
    let end =
        |from: &str| from.bytes().position(|b| !b.is_ascii_alphanumeric() && b != b'_').unwrap_or(from.len());
    let name = &rest[..end(rest)];
    let tail = &rest[name.len()..];
    let codec = tail.strip_prefix(':').map_or(0, |codec| 1 + end(codec));
    let begins = name.get(..PREFIX.len()).is_some_and(|head| head.eq_ignore_ascii_case(PREFIX));
    if !begins || !tail[codec..].starts_with('}') {
        return Ok(None);
    }
    if NAMES.contains(&name) {
        return Ok(Some("${}".len() + name.len() + codec));
    }
    let suggestion = super::nearest(NAMES.into_iter(), &name.to_ascii_uppercase());
    Err(MacroError::UnknownExchange { name: name.to_owned(), offset: at, suggestion })
}
