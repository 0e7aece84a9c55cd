//! Prices on the wire: how an answer writes one and how a notice's is read.
//!
//! Invariant: no float on either way, and what a profile's codec and unit do not make a price is an error, never a
//! guess. Deliberately absent: what a missing or unreadable price costs, which is the notice handler's to decide, and
//! any binding of a price to a bid, which no exchange's cipher has: a price counts only beside our own token.

pub mod blowfish;
pub mod google;

use super::url::Notified;
use crate::model::exchange::{PriceCodec, PriceUnit};
use crate::model::money::{Cpm, PPM};

/// Why a price cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PriceError {
    /// Not a finite decimal ≥ 0 of at most [`Cpm::MAX`], or no cipher text of the codec's form.
    #[error("price has not the form of the profile's codec; check price_codec and price_unit")]
    BadInput,
    /// Altered, or encrypted with other keys.
    #[error("price has a wrong signature; check encryption_key and integrity_key, they may be swapped")]
    Signature,
    /// Encrypted too long ago, or in the future.
    #[error("price was encrypted {age_s} s ago, outside max_age_s of its codec")]
    Stale {
        /// Now less the time in the cipher text; negative = in the future.
        age_s: i64,
    },
    /// Above [`Cpm::MAX`].
    #[error("price is {value}, more than 1000000 CPM; check price_unit")]
    OutOfRange {
        /// The number, in the profile's unit.
        value: u64,
    },
}

impl PriceError {
    /// The error as a metric's label.
    pub fn as_str(self) -> &'static str {
        match self {
            PriceError::BadInput => "price_bad_input",
            PriceError::Signature => "price_signature",
            PriceError::Stale { .. } => "price_stale",
            PriceError::OutOfRange { .. } => "price_out_of_range",
        }
    }
}

/// Reads the raw query value of a price macro at `now_s`, seconds since the Unix epoch. What is finer than a CPM micro
/// is rounded down: nobody is charged more than the exchange said. [`Notified::Invalid`] is an error here.
pub fn read(raw: &str, codec: &PriceCodec, unit: PriceUnit, now_s: i64) -> Result<Notified<Cpm>, PriceError> {
    match Notified::read(raw, |text| Some(decode(text, codec, unit, now_s))) {
        Notified::Value(price) => price.map(Notified::Value),
        Notified::Empty => Ok(Notified::Empty),
        Notified::Audit => Ok(Notified::Audit),
        Notified::Unsubstituted => Ok(Notified::Unsubstituted),
        Notified::Invalid => Err(PriceError::BadInput),
    }
}

fn decode(text: &str, codec: &PriceCodec, unit: PriceUnit, now_s: i64) -> Result<Cpm, PriceError> {
    match codec {
        PriceCodec::Plain => decimal(text, unit),
        PriceCodec::GoogleHmacSha1(keys) => whole(google::decrypt_price(text, keys, now_s)?, unit),
        PriceCodec::OpenxCpi(keys) => whole(google::decrypt_price(text, keys, now_s)?, PriceUnit::CpiMicros),
        PriceCodec::BlowfishEcbHex(key) => decimal(&blowfish::decrypt(text, key)?, unit),
    }
}

fn decimal(text: &str, unit: PriceUnit) -> Result<Cpm, PriceError> {
    let price = match unit {
        PriceUnit::Cpm => Cpm::parse_decimal(text, false),
        PriceUnit::CpmMicros => Cpm::parse_micros(text, false),
        PriceUnit::CpiMicros => Cpm::parse_cpi_micros(text, false),
    };
    price.ok_or(PriceError::BadInput)
}

fn whole(value: u64, unit: PriceUnit) -> Result<Cpm, PriceError> {
    let cpm_micros = match unit {
        PriceUnit::Cpm => PPM as u128,
        PriceUnit::CpmMicros => 1,
        PriceUnit::CpiMicros => 1_000,
    };
    let micros = i64::try_from(u128::from(value) * cpm_micros).map(Cpm);
    micros.ok().filter(|price| *price <= Cpm::MAX).ok_or(PriceError::OutOfRange { value })
}

/// Appends a price as a JSON number in units of CPM with six decimals: `1.250000`. Exact, because a price is whole
/// micros; `price` is not negative.
pub fn push(price: Cpm, out: &mut Vec<u8>) {
    debug_assert!(price.0 >= 0, "prices are not negative");
    let micros = price.0.unsigned_abs();
    let mut fraction = *b".000000";
    let mut rest = micros % 1_000_000;
    for digit in fraction[1..].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out.extend_from_slice(itoa::Buffer::new().format(micros / 1_000_000).as_bytes());
    out.extend_from_slice(&fraction);
}
