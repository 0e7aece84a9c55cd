//! Where written text goes: into plain bytes, or into a JSON string without a copy in between.
//!
//! Invariant: what [`JsonText`] and [`push_string`] write is the inside of a JSON string (RFC 8259 section 7) that
//! parses back to the same text, for any UTF-8. U+2028 and U+2029 are escaped too, so that an answer is JavaScript as
//! well. Text is copied in runs: eight bytes are tested at once for the few that need an escape.

use crate::model::ids::BidId;

/// Takes text piece by piece.
pub trait Sink {
    /// Appends any text.
    fn push(&mut self, text: &str);

    /// Appends text in which JSON escapes nothing: what the encoders of `macros` keep or make, and tokens.
    fn push_inert(&mut self, text: &str) {
        self.push(text);
    }

    /// Appends `text`, of which `json` is the form inside a JSON string.
    fn push_prepared(&mut self, text: &str, json: &str) {
        let _ = json;
        self.push(text);
    }
}

impl Sink for Vec<u8> {
    fn push(&mut self, text: &str) {
        self.extend_from_slice(text.as_bytes());
    }
}

/// The inside of a JSON string to which text is appended piece by piece.
pub(super) struct JsonText<'o> {
    out: &'o mut Vec<u8>,
    bytes: usize,
}

impl<'o> JsonText<'o> {
    pub(super) fn new(out: &'o mut Vec<u8>) -> JsonText<'o> {
        JsonText { out, bytes: 0 }
    }

    /// Bytes of text so far, before escaping: what an exchange measures after it has read the JSON.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Sink for JsonText<'_> {
    fn push(&mut self, text: &str) {
        self.bytes += text.len();
        push_escaped(text, self.out);
    }

    fn push_inert(&mut self, text: &str) {
        self.push_prepared(text, text);
    }

    fn push_prepared(&mut self, text: &str, json: &str) {
        self.bytes += text.len();
        self.out.extend_from_slice(json.as_bytes());
    }
}

/// Appends `text` as a JSON string with its quotes.
pub fn push_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    push_escaped(text, out);
    out.push(b'"');
}

/// Appends `text` as it stands inside a JSON string.
pub(super) fn push_escaped(text: &str, out: &mut Vec<u8>) {
    out.reserve(text.len() + text.len() / 8);
    escape(text, |piece| out.extend_from_slice(piece.as_bytes()));
}

/// Appends to `out` the form that `text` has inside a JSON string. Where `out` is itself the inside of one, a text so
/// gets there that is read out of JSON inside JSON.
pub(super) fn push_nested(text: &str, out: &mut impl Sink) {
    escape(text, |piece| out.push(piece));
}

/// Gives `push` the form that `text` has inside a JSON string, in pieces.
fn escape(text: &str, mut push: impl FnMut(&str)) {
    let bytes = text.as_bytes();
    let (mut from, mut search) = (0, 0);
    while let Some(found) = find_special(&bytes[search..]) {
        let at = search + found;
        search = at + 1;
        let (escape, width) = match (bytes[at], bytes.get(at + 1..at + 3)) {
            (b'"', _) => ("\\\"", 1),
            (b'\\', _) => ("\\\\", 1),
            (b'\n', _) => ("\\n", 1),
            (b'\r', _) => ("\\r", 1),
            (b'\t', _) => ("\\t", 1),
            // All of U+2000–U+2FFF begin with 0xE2, only two of them are meant.
            (0xe2, Some([0x80, 0xa8])) => ("\\u2028", 3),
            (0xe2, Some([0x80, 0xa9])) => ("\\u2029", 3),
            (0xe2, _) => continue,
            (control, _) => {
                push(&text[from..at]);
                let hex = b"0123456789abcdef";
                let (high, low) = (hex[usize::from(control >> 4)], hex[usize::from(control & 15)]);
                let long = [b'\\', b'u', b'0', b'0', high, low];
                push(std::str::from_utf8(&long).expect("escapes are ASCII"));
                from = search;
                continue;
            }
        };
        push(&text[from..at]);
        push(escape);
        from = at + width;
        search = from;
    }
    push(&text[from..]);
}

/// A bid id as [`BidId`] displays it, without the detour over a formatter.
pub(super) struct BidIdText {
    bytes: [u8; BidIdText::MAX],
    length: usize,
}

impl BidIdText {
    /// Digits of the three numbers, and two hyphens.
    const MAX: usize = 8 + 4 + 16 + 2;

    pub(super) fn of(id: BidId) -> BidIdText {
        let mut text = BidIdText { bytes: [b'-'; Self::MAX], length: 0 };
        text.hex(id.epoch.into());
        text.length += 1;
        text.hex(id.core.into());
        text.length += 1;
        text.hex(id.sequence);
        text
    }

    fn hex(&mut self, value: u64) {
        let digits = (64 - value.leading_zeros()).div_ceil(4).max(1);
        for at in (0..digits).rev() {
            self.bytes[self.length] = b"0123456789abcdef"[(value >> (4 * at) & 15) as usize];
            self.length += 1;
        }
    }

    /// Digits and hyphens.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).expect("digits and hyphens are ASCII")
    }
}

/// Position of the first byte that may need an escape: a control, `"`, `\` or 0xE2.
fn find_special(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGHS: u64 = ONES << 7;
    // High bit set in every zero byte; a false hit can only follow a true one, and the lowest is taken.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    let (words, tail) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let controls = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
        let hits = controls
            | zeros(word ^ (ONES * u64::from(b'"')))
            | zeros(word ^ (ONES * u64::from(b'\\')))
            | zeros(word ^ (ONES * 0xe2));
        if hits != 0 {
            return Some(index * 8 + hits.trailing_zeros() as usize / 8);
        }
    }
    let special = |byte: &u8| matches!(byte, 0..0x20 | b'"' | b'\\' | 0xe2);
    tail.iter().position(special).map(|at| words.len() * 8 + at)
}
