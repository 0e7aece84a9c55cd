//! A price under Blowfish in ECB mode, big-endian, in hexadecimal: an ASCII decimal in blocks of eight characters. A
//! legacy of one exchange.
//!
//! ECB has no integrity at all: whoever changes a digit of the cipher text changes the price to garbage or, by luck or
//! by replay, to another price. So it is a way to read prices and no proof of anything; our token is.

use super::PriceError;
use crate::model::secret::BlowfishKey;
use blowfish::Blowfish;
use blowfish::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};

/// Bytes of a block.
const BLOCK_BYTES: usize = 8;
/// No decimal of a price needs more.
const MAX_BLOCKS: usize = 4;

/// Decrypts a decimal. Padding behind it, whether NULs, blanks or PKCS #5, is dropped.
pub fn decrypt(text: &str, key: &BlowfishKey) -> Result<String, PriceError> {
    let hex: Option<Vec<u8>> = text.bytes().map(|b| (b as char).to_digit(16).map(|n| n as u8)).collect();
    let hex = hex.filter(|hex| {
        hex.len().is_multiple_of(2 * BLOCK_BYTES)
            && (1..=MAX_BLOCKS).contains(&(hex.len() / (2 * BLOCK_BYTES)))
    });
    let mut plain: Vec<u8> =
        hex.ok_or(PriceError::BadInput)?.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    let cipher = keyed(key);
    for block in plain.as_chunks_mut::<BLOCK_BYTES>().0 {
        cipher.decrypt_block(block.into());
    }
    let plain = String::from_utf8(plain).map_err(|_| PriceError::BadInput)?;
    Ok(plain.trim_end_matches(|c: char| c <= ' ').to_owned())
}

/// Encrypts a decimal, padded with NULs to whole blocks. For exchanges' sides: simulators and tests.
pub fn encrypt(decimal: &str, key: &BlowfishKey) -> String {
    let mut bytes = decimal.as_bytes().to_vec();
    bytes.resize(bytes.len().next_multiple_of(BLOCK_BYTES), 0);
    let cipher = keyed(key);
    for block in bytes.as_chunks_mut::<BLOCK_BYTES>().0 {
        cipher.encrypt_block(block.into());
    }
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// The key schedule is most of the work; notices of one legacy exchange do not justify keeping it.
fn keyed(key: &BlowfishKey) -> Blowfish {
    Blowfish::new_from_slice(key.expose()).expect("a BlowfishKey has a length that Blowfish takes")
}
