//! Prices on the wire: how an answer writes one and how a notice's is read.
//!
//! Invariant: no float on either way. Deliberately absent: encrypted codecs; a profile cannot name one yet.

use super::url::Notified;
use crate::model::exchange::{PriceCodec, PriceUnit};
use crate::model::money::Cpm;

/// Reads the raw query value of a price macro: a finite decimal ≥ 0, at most [`Cpm::MAX`]. What is finer than a CPM
/// micro is rounded down: nobody is charged more than the exchange said.
pub fn read(raw: &str, codec: PriceCodec, unit: PriceUnit) -> Notified<Cpm> {
    match (codec, unit) {
        (PriceCodec::Plain, PriceUnit::Cpm) => Notified::read(raw, |text| Cpm::parse_decimal(text, false)),
        (PriceCodec::Plain, PriceUnit::CpmMicros) => {
            Notified::read(raw, |text| Cpm::parse_micros(text, false))
        }
    }
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
