//! The second factor: codes of time (RFC 6238) over HMAC-SHA-1 with six digits and steps of 30 s, which is what
//! authenticator programs know.

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use subtle::ConstantTimeEq;

const STEP_MS: i64 = 30_000;
const DIGITS: usize = 6;
/// Steps before and after the present one whose codes are taken too: clocks differ, and people type.
const WINDOW: i64 = 1;
/// As long as SHA-1's output (RFC 4226, section 4).
const SECRET_BYTES: usize = 20;

/// A new secret.
pub(super) fn secret() -> Vec<u8> {
    rand::random::<[u8; SECRET_BYTES]>().to_vec()
}

/// The step of which `code` is, if it is one that may be used at this moment.
pub(super) fn step_of(secret: &[u8], code: &str, now_ms: i64) -> Option<i64> {
    let now = now_ms.div_euclid(STEP_MS);
    let mut found = None;
    // All of them, whichever fits: the time tells nothing.
    for step in now - WINDOW..=now + WINDOW {
        if bool::from(code_at(secret, step).as_bytes().ct_eq(code.as_bytes())) {
            found = Some(step);
        }
    }
    found
}

/// RFC 4226, section 5.3, with the step as the counter.
fn code_at(secret: &[u8], step: i64) -> String {
    let mut mac = <Hmac<Sha1> as KeyInit>::new_from_slice(secret).expect("HMAC takes a key of any length");
    mac.update(&step.to_be_bytes());
    let mac = mac.finalize().into_bytes();
    let at = usize::from(mac[19] & 0xf);
    let cut = u32::from_be_bytes([mac[at] & 0x7f, mac[at + 1], mac[at + 2], mac[at + 3]]);
    format!("{:0DIGITS$}", cut % 1_000_000)
}

/// RFC 4648 base32 without padding, as authenticator programs take secrets.
pub(super) fn base32(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let digit = |chunk: &[u8], at: usize| {
        let bits = chunk.iter().chain([&0; 5]).take(5).fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        ALPHABET[(bits >> (35 - 5 * at) & 31) as usize] as char
    };
    let digits =
        |chunk: &[u8]| (0..(chunk.len() * 8).div_ceil(5)).map(|at| digit(chunk, at)).collect::<String>();
    bytes.chunks(5).map(digits).collect()
}

/// What a program reads from a QR code.
pub(super) fn uri(secret: &[u8], email: &str) -> String {
    let label: String = form_urlencoded::byte_serialize(email.as_bytes()).collect();
    format!("otpauth://totp/outbid:{label}?secret={}&issuer=outbid", base32(secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_rfc_6238() {
        // Appendix B, SHA-1, the last six of its eight digits.
        for (at_s, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            let secret = b"12345678901234567890";
            assert_eq!(code_at(secret, at_s / 30), code);
            for (later_s, is_good) in [(-60, false), (-30, true), (0, true), (30, true), (60, false)] {
                let step = step_of(secret, code, (at_s + later_s) * 1_000);
                assert_eq!(step, is_good.then_some(at_s / 30), "{code} {later_s} s later");
            }
        }
    }

    #[test]
    fn base32_is_that_of_rfc_4648() {
        for (bytes, text) in [
            ("", ""),
            ("f", "MY"),
            ("fo", "MZXQ"),
            ("foo", "MZXW6"),
            ("foob", "MZXW6YQ"),
            ("fooba", "MZXW6YTB"),
        ] {
            assert_eq!(base32(bytes.as_bytes()), text);
        }
        assert_eq!(base32(b"foobar"), "MZXW6YTBOI");
        assert_eq!(
            uri(b"f", "a+b@c.example"),
            "otpauth://totp/outbid:a%2Bb%40c.example?secret=MY&issuer=outbid"
        );
    }
}
