//! Google's price encryption, which OpenX, BidSwitch, Index and others use as well
//! (<https://developers.google.com/authorized-buyers/rtb/response-guide/decrypt-price>).
//!
//! A package is `iv:16 ‖ payload:n ‖ signature:4`. The payload is XORed, 20 bytes at a time, with
//! `HMAC-SHA1(e_key, iv ‖ counter)`; the signature is the head of `HMAC-SHA1(i_key, plain payload ‖ iv)`. The counter is
//! empty for the first section, then `00` … `ff`, then `0000` … `00ff`, then `000000` … `0000ff`. A price is a package
//! of 8 bytes, big-endian, in web-safe base64; a mobile advertising id or a place is a longer one.
//!
//! Invariant: a package that opens was sealed with both keys, but for 1 guess in 2³². Nothing binds it to a bid, and an
//! old one can be sent again: the signed token beside it is what keeps the books right.

use super::PriceError;
use crate::model::exchange::HmacPriceKeys;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use subtle::ConstantTimeEq;

/// Bytes of an initialisation vector: by convention seconds and microseconds since the Unix epoch, four each, and
/// eight of the server.
pub const IV_BYTES: usize = 16;
/// Bytes of a signature.
pub const SIGNATURE_BYTES: usize = 4;
/// Bytes that one HMAC hides.
const SECTION_BYTES: usize = 20;
/// Longest payload: one section without a counter and 256 with each length of it.
pub const MAX_PAYLOAD_BYTES: usize = SECTION_BYTES * (1 + 3 * 256);
/// Bytes of a price's package.
const PRICE_BYTES: usize = IV_BYTES + 8 + SIGNATURE_BYTES;
/// Characters of a price: without padding, and with it.
const PRICE_CHARS: (usize, usize) = (38, 40);

/// Decrypts `package` in place and returns its payload.
pub fn open<'p>(package: &'p mut [u8], keys: &HmacPriceKeys) -> Result<&'p [u8], PriceError> {
    let length = package.len();
    let (iv, rest) = package.split_first_chunk_mut::<IV_BYTES>().ok_or(PriceError::BadInput)?;
    let (payload, signature) = rest.split_last_chunk_mut::<SIGNATURE_BYTES>().ok_or(PriceError::BadInput)?;
    if length > IV_BYTES + MAX_PAYLOAD_BYTES + SIGNATURE_BYTES {
        return Err(PriceError::BadInput);
    }
    apply_pad(iv, payload, keys);
    if bool::from(sign(iv, payload, keys).ct_eq(signature)) {
        Ok(payload)
    } else {
        Err(PriceError::Signature)
    }
}

/// Encrypts a payload of at most [`MAX_PAYLOAD_BYTES`]. For exchanges' sides: simulators and tests.
///
/// # Panics
/// When the payload is longer.
pub fn seal(iv: &[u8; IV_BYTES], payload: &[u8], keys: &HmacPriceKeys) -> Vec<u8> {
    assert!(payload.len() <= MAX_PAYLOAD_BYTES, "{} bytes have no counters", payload.len());
    let mut package = [iv, payload, &sign(iv, payload, keys)].concat();
    apply_pad(iv, &mut package[IV_BYTES..IV_BYTES + payload.len()], keys);
    package
}

/// Reads a price, padded or not; its age is looked at only where the keys say so.
pub fn decrypt_price(text: &str, keys: &HmacPriceKeys, now_s: i64) -> Result<u64, PriceError> {
    let (unpadded, padded) = PRICE_CHARS;
    let text = if text.len() == padded { text.strip_suffix("==").unwrap_or(text) } else { text };
    let mut package = [0; PRICE_BYTES];
    if text.len() != unpadded || URL_SAFE_NO_PAD.decode_slice(text, &mut package) != Ok(PRICE_BYTES) {
        return Err(PriceError::BadInput);
    }
    let payload = open(&mut package, keys)?;
    let value = u64::from_be_bytes(payload.try_into().expect("a price's payload has eight bytes"));
    if let Some(max_age_s) = keys.max_age_s {
        check_age(&package, max_age_s, now_s)?;
    }
    Ok(value)
}

/// Encrypts a price, unpadded. For exchanges' sides: simulators and tests.
pub fn encrypt_price(value: u64, iv: &[u8; IV_BYTES], keys: &HmacPriceKeys) -> String {
    URL_SAFE_NO_PAD.encode(seal(iv, &value.to_be_bytes(), keys))
}

/// The vector's first four bytes are a time only by convention, so this step stands apart.
fn check_age(package: &[u8; PRICE_BYTES], max_age_s: u32, now_s: i64) -> Result<(), PriceError> {
    let [a, b, c, d, ..] = *package;
    let age_s = now_s - i64::from(u32::from_be_bytes([a, b, c, d]));
    if age_s.unsigned_abs() > u64::from(max_age_s) { Err(PriceError::Stale { age_s }) } else { Ok(()) }
}

fn keyed(key: &[u8; 32]) -> Hmac<Sha1> {
    Hmac::new_from_slice(key).expect("HMAC takes a key of any length")
}

fn sign(iv: &[u8; IV_BYTES], payload: &[u8], keys: &HmacPriceKeys) -> [u8; SIGNATURE_BYTES] {
    let mut mac = keyed(&keys.integrity.0);
    mac.update(payload);
    mac.update(iv);
    let mac = mac.finalize().into_bytes();
    *mac.first_chunk().expect("SHA-1 has 20 bytes")
}

/// XORs the payload with the pad: encrypts and decrypts.
fn apply_pad(iv: &[u8; IV_BYTES], payload: &mut [u8], keys: &HmacPriceKeys) {
    let keyed = keyed(&keys.encryption.0);
    for (section, bytes) in payload.chunks_mut(SECTION_BYTES).enumerate() {
        let mut mac = keyed.clone();
        mac.update(iv);
        if let Some(count) = section.checked_sub(1) {
            let counter = [0, 0, (count % 256) as u8];
            mac.update(&counter[2 - count / 256..]);
        }
        let pad = mac.finalize().into_bytes();
        bytes.iter_mut().zip(pad).for_each(|(byte, pad)| *byte ^= pad);
    }
}
