//! Encoders: one per place in the markup. Each keeps a short list of characters as they are and escapes all others,
//! so that a value means text in its place and nothing else.
//!
//! Invariant: whatever the value, the output of every encoder consists of ASCII and holds none of `"`, `'`, `<`,
//! `>`, backtick, `$`, `{`, `}`, nor `&`, `%` or `\` except at the head of an escape. So it closes no quote and opens
//! no tag in any of the places, and an exchange finds no `${…}` of its own in it. All but the short list is escaped,
//! non-ASCII too: the frame that shows the ad may declare another charset.

use super::super::text::Sink;
use crate::model::creative::Encoding;

/// Whether a notice token passes an encoder unchanged: base64url in all but scripts, which escape its hyphens.
pub(super) fn keeps_tokens(encoding: Encoding) -> bool {
    encoding != Encoding::JsString
}

/// Appends `value` so that it is plain text in a place of the given kind.
pub fn encode(encoding: Encoding, value: &str, out: &mut impl Sink) {
    match encoding {
        Encoding::HtmlText | Encoding::HtmlAttribute => escaped(value, &HTML, out, push_entity),
        Encoding::UrlComponent => escaped(value, &UNRESERVED, out, push_percent),
        Encoding::JsString => escaped(value, &SCRIPT, out, push_unicode_escape),
    }
}

/// Runs of kept characters are copied as they are, the others go through `escape`.
fn escaped<S: Sink>(value: &str, keep: &[bool; 128], out: &mut S, escape: impl Fn(char, &mut S)) {
    let mut rest = value;
    while let Some(at) = rest.bytes().position(|b| !keep.get(b as usize).is_some_and(|kept| *kept)) {
        out.push_inert(&rest[..at]);
        let mut tail = rest[at..].chars();
        if let Some(c) = tail.next() {
            escape(c, out);
        }
        rest = tail.as_str();
    }
    out.push_inert(rest);
}

const fn keep(punctuation: &[u8]) -> [bool; 128] {
    let mut table = [false; 128];
    let mut at = 0;
    while at < 128 {
        table[at] = (at as u8).is_ascii_alphanumeric();
        at += 1;
    }
    at = 0;
    while at < punctuation.len() {
        table[punctuation[at] as usize] = true;
        at += 1;
    }
    table
}

/// What a notice URL is made of stays readable.
const HTML: [bool; 128] = keep(b" -._~:/,");
/// RFC 3986 section 2.3.
const UNRESERVED: [bool; 128] = keep(b"-._~");
/// No slash (`</script>` begins before the value) and no hyphen (`-->`).
const SCRIPT: [bool; 128] = keep(b" ._:,");

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Appends ASCII bytes made here.
fn push_ascii(bytes: &[u8], out: &mut impl Sink) {
    out.push_inert(std::str::from_utf8(bytes).expect("escapes are ASCII"));
}

/// Hexadecimal digits of `value` without leading zeros.
fn hex_digits(value: u32, buffer: &mut [u8; 8]) -> &[u8] {
    let mut from = buffer.len();
    let mut rest = value;
    while rest != 0 || from == buffer.len() {
        from -= 1;
        buffer[from] = HEX[(rest & 15) as usize];
        rest >>= 4;
    }
    &buffer[from..]
}

/// A numeric character reference. Controls become U+FFFD: HTML maps references to them to other characters, and XML
/// has none of them, nor U+FFFE and U+FFFF.
fn push_entity(c: char, out: &mut impl Sink) {
    let odd = c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}');
    let c = if odd { char::REPLACEMENT_CHARACTER } else { c };
    out.push_inert("&#x");
    push_ascii(hex_digits(u32::from(c), &mut [0; 8]), out);
    out.push_inert(";");
}

fn push_percent(c: char, out: &mut impl Sink) {
    for byte in c.encode_utf8(&mut [0; 4]).bytes() {
        push_ascii(&[b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]], out);
    }
}

/// `\uXXXX`, which JavaScript and JSON both read.
fn push_unicode_escape(c: char, out: &mut impl Sink) {
    for unit in c.encode_utf16(&mut [0; 2]) {
        let digit = |shift: u16| HEX[usize::from(*unit >> shift & 15)];
        out.push("\\");
        push_ascii(&[b'u', digit(12), digit(8), digit(4), digit(0)], out);
    }
}
