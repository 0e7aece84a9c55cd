//! The lowest layer of the JSON reader: a cursor that knows the grammar of RFC 8259 and nothing of OpenRTB.
//!
//! Invariant: every byte that the cursor passes has been checked against the grammar, also in values that are
//! skipped, and nothing here recurses: [`Scanner::skip`] keeps its open containers in the bits of one integer, so
//! that hostile nesting costs neither stack nor heap. The text is known to be UTF-8 before it comes here.

use super::parse::{Limits, ParseError};
use wide::u8x16;

/// A string as it stands in the body, without its quotes.
#[derive(Clone, Copy)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
    /// Whether it holds at least one (well-formed) escape.
    pub(super) escaped: bool,
}

/// A step through an object.
pub(super) enum Step<'a> {
    /// A key; its value comes next.
    Key(&'a [u8]),
    /// The object is closed.
    Close,
    /// The general way must be taken; nothing was consumed.
    NotPlain,
}

/// The sign that reading has ended: the error itself waits in the scanner, so that the results of the innermost
/// functions are hardly larger than their values.
pub(super) struct Stop(());

/// What reading gives.
pub(super) type Read<T> = Result<T, Stop>;

/// A cursor over a JSON text.
pub(super) struct Scanner<'a> {
    bytes: &'a [u8],
    pos: usize,
    depth: usize,
    max_depth: usize,
    error: Option<ParseError>,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(bytes: &'a [u8], max_depth: usize) -> Scanner<'a> {
        Scanner { bytes, pos: 0, depth: 0, max_depth: max_depth.min(Limits::MAX_DEPTH), error: None }
    }

    /// The next byte that is not white space, not consumed; the text may not end here.
    #[inline(always)]
    pub(super) fn peek(&mut self) -> Read<u8> {
        loop {
            match self.bytes.get(self.pos) {
                Some(&byte) if byte > b' ' => return Ok(byte),
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.pos += 1,
                Some(_) => return Err(self.malformed("a control character")),
                None => return Err(self.malformed("the text ends early")),
            }
        }
    }

    /// Consumes the byte that [`Scanner::peek`] showed.
    #[inline(always)]
    pub(super) fn bump(&mut self) {
        self.pos += 1;
    }

    /// Consumes the bracket that opens an object or array.
    #[inline(always)]
    pub(super) fn open(&mut self) -> Read<()> {
        if self.depth == self.max_depth {
            let error = ParseError::TooDeep { offset: self.pos, limit: self.max_depth };
            return Err(self.fail(error));
        }
        self.depth += 1;
        self.pos += 1;
        Ok(())
    }

    /// Consumes the bracket that closes an object or array.
    #[inline(always)]
    pub(super) fn close(&mut self) {
        self.depth -= 1;
        self.pos += 1;
    }

    /// Only white space may be left.
    pub(super) fn end(&mut self) -> Read<()> {
        match self.bytes[self.pos..].iter().position(|b| !matches!(b, b' ' | b'\t' | b'\n' | b'\r')) {
            None => Ok(()),
            Some(at) => Err(self.malformed_at(self.pos + at, "bytes after the request")),
        }
    }

    /// Reads a key and its colon.
    #[inline(always)]
    pub(super) fn key(&mut self) -> Read<Span> {
        if self.peek()? != b'"' {
            return Err(self.malformed("a key was expected"));
        }
        let span = self.string()?;
        if self.peek()? != b':' {
            return Err(self.malformed("a colon was expected"));
        }
        self.pos += 1;
        Ok(span)
    }

    /// Takes the next step in an object that is written without white space and escapes, as nearly all traffic is.
    #[inline(always)]
    pub(super) fn plain_step(&mut self, first: bool) -> Step<'a> {
        let rest = self.bytes.get(self.pos..).unwrap_or_default();
        let (before, rest) = match rest {
            [b'}', ..] => {
                self.close();
                return Step::Close;
            }
            [b',', b'"', rest @ ..] if !first => (2, rest),
            [b'"', rest @ ..] if first => (1, rest),
            _ => return Step::NotPlain,
        };
        let end = find_special(rest, 0);
        match rest.split_at_checked(end) {
            Some((key, [b'"', b':', ..])) => {
                self.pos += before + end + 2;
                Step::Key(key)
            }
            _ => Step::NotPlain,
        }
    }

    /// Reads a string without escapes; `None`, with nothing consumed, where the general way must be taken.
    #[inline(always)]
    pub(super) fn plain_string(&mut self) -> Option<(usize, usize)> {
        let [b'"', rest @ ..] = self.bytes.get(self.pos..)? else { return None };
        let end = find_special(rest, 0);
        if rest.get(end) != Some(&b'"') {
            return None;
        }
        let start = self.pos + 1;
        self.pos = start + end + 1;
        Some((start, start + end))
    }

    /// The most digits that [`Scanner::plain_int`] reads.
    pub(super) const PLAIN_DIGITS: usize = 18;

    /// Reads an integer of at most 18 digits; `None`, with nothing consumed, where the general way must be taken.
    #[inline(always)]
    pub(super) fn plain_int(&mut self) -> Option<i64> {
        let rest = self.bytes.get(self.pos..)?;
        let digits = rest.iter().take(19).take_while(|b| b.is_ascii_digit()).count();
        let plain = match digits {
            0 | 19 => false,
            1 => true,
            _ => rest[0] != b'0',
        };
        if !plain || matches!(rest.get(digits), Some(b'.' | b'e' | b'E') | None) {
            return None;
        }
        self.pos += digits;
        Some(rest[..digits].iter().fold(0, |value, digit| value * 10 + i64::from(digit - b'0')))
    }

    /// Reads a string; the cursor stands on its opening quote.
    #[inline(always)]
    pub(super) fn string(&mut self) -> Read<Span> {
        let start = self.pos + 1;
        let mut escaped = false;
        let mut at = start;
        loop {
            at = find_special(self.bytes, at);
            match self.bytes.get(at) {
                Some(b'"') => {
                    self.pos = at + 1;
                    return Ok(Span { start, end: at, escaped });
                }
                Some(b'\\') => {
                    escaped = true;
                    at = self.escape(at)?;
                }
                Some(_) => {
                    return Err(self.malformed_at(at, "a control character in a string"));
                }
                None => return Err(self.malformed_at(at, "an unterminated string")),
            }
        }
    }

    /// Checks the escape whose backslash is at `at`; gives the offset after it. Surrogates are not paired here:
    /// that matters only where a string is read.
    fn escape(&mut self, at: usize) -> Read<usize> {
        match self.bytes.get(at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
            Some(b'u') => match self.bytes.get(at + 2..at + 6) {
                Some(digits) if digits.iter().all(u8::is_ascii_hexdigit) => Ok(at + 6),
                _ => Err(self.malformed_at(at, "an incomplete unicode escape")),
            },
            _ => Err(self.malformed_at(at, "an unknown escape")),
        }
    }

    /// Reads a number; gives where it starts and ends.
    #[inline]
    pub(super) fn number(&mut self) -> Read<(usize, usize)> {
        let start = self.pos;
        let mut at = start + usize::from(self.bytes[start] == b'-');
        match self.bytes.get(at) {
            Some(b'0') => at += 1,
            Some(b'1'..=b'9') => at = self.digits(at + 1),
            _ => return Err(self.malformed("a value was expected")),
        }
        if self.bytes.get(at) == Some(&b'.') {
            at = self.digits_required(at + 1)?;
        }
        if let Some(b'e' | b'E') = self.bytes.get(at) {
            let sign = usize::from(matches!(self.bytes.get(at + 1), Some(b'+' | b'-')));
            at = self.digits_required(at + 1 + sign)?;
        }
        self.pos = at;
        Ok((start, at))
    }

    #[inline(always)]
    fn digits(&self, mut at: usize) -> usize {
        while self.bytes.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        at
    }

    fn digits_required(&mut self, from: usize) -> Read<usize> {
        match self.digits(from) {
            at if at == from => Err(self.malformed_at(at, "a digit was expected")),
            at => Ok(at),
        }
    }

    /// Consumes `true`, `false` or `null`.
    #[inline]
    pub(super) fn literal(&mut self, word: &'static [u8]) -> Read<()> {
        if self.bytes[self.pos..].starts_with(word) {
            self.pos += word.len();
            Ok(())
        } else {
            Err(self.malformed("an unknown word"))
        }
    }

    /// Passes over one value of any kind, checking its grammar and its nesting.
    pub(super) fn skip(&mut self) -> Read<()> {
        let outside = self.depth;
        // One bit an open container, the innermost lowest: 1 = object. MAX_DEPTH is its width.
        let mut objects: u128 = 0;
        loop {
            match self.peek()? {
                b'"' => {
                    self.string()?;
                }
                b'{' => {
                    self.open()?;
                    objects = (objects << 1) | 1;
                    if self.peek()? != b'}' {
                        self.key()?;
                        continue;
                    }
                }
                b'[' => {
                    self.open()?;
                    objects <<= 1;
                    if self.peek()? != b']' {
                        continue;
                    }
                }
                b't' => self.literal(b"true")?,
                b'f' => self.literal(b"false")?,
                b'n' => self.literal(b"null")?,
                _ => {
                    self.number()?;
                }
            }
            // A value is complete: close what ends here, then go to the next value, if there is one.
            loop {
                if self.depth == outside {
                    return Ok(());
                }
                match (objects & 1 == 1, self.peek()?) {
                    (true, b'}') | (false, b']') => {
                        self.close();
                        objects >>= 1;
                    }
                    (in_object, b',') => {
                        self.pos += 1;
                        if in_object {
                            self.key()?;
                        }
                        break;
                    }
                    _ => return Err(self.malformed("a comma or a closing bracket was expected")),
                }
            }
        }
    }

    /// An error at the cursor.
    #[cold]
    pub(super) fn malformed(&mut self, what: &'static str) -> Stop {
        self.malformed_at(self.pos, what)
    }

    #[cold]
    fn malformed_at(&mut self, offset: usize, what: &'static str) -> Stop {
        self.fail(ParseError::Malformed { offset, what })
    }

    /// Keeps an error and gives the sign for it.
    #[cold]
    pub(super) fn fail(&mut self, error: ParseError) -> Stop {
        self.error = Some(error);
        Stop(())
    }

    /// The error behind the sign.
    #[cold]
    pub(super) fn error(&mut self, Stop(()): Stop) -> ParseError {
        self.error.take().expect("every stop is made by fail")
    }
}

/// The offset of the first quote, backslash or control character at or after `at`; the length if there is none.
#[inline(always)]
fn find_special(bytes: &[u8], mut at: usize) -> usize {
    // Keys and most texts end within the first sixteen.
    while let Some(chunk) = bytes.get(at..).and_then(|rest| rest.first_chunk()) {
        let all = u8x16::new(*chunk);
        let controls = all.min(u8x16::splat(0x1f)).simd_eq(all);
        let special = all.simd_eq(u8x16::splat(b'"')) | all.simd_eq(u8x16::splat(b'\\')) | controls;
        match special.to_bitmask() {
            0 => at += 16,
            marks => return at + marks.trailing_zeros() as usize,
        }
    }
    while bytes.get(at).is_some_and(|b| !matches!(b, b'"' | b'\\' | 0..0x20)) {
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, accepted: bool) {
        let mut scanner = Scanner::new(text.as_bytes(), 8);
        let ours = scanner.skip().and_then(|()| scanner.end()).map_err(|stop| scanner.error(stop));
        assert_eq!(ours.is_ok(), accepted, "{text}: {ours:?}");
        let theirs = serde_json::from_str::<&serde_json::value::RawValue>(text);
        assert_eq!(theirs.is_ok(), accepted, "{text}: {theirs:?}");
    }

    #[rustfmt::skip]
    const GOOD: &[&str] = &[
        "0", "-0", "1.5e+3", " [ ] ", "{}", r#"{"a":{},"b":[1,{"c":null}],"c":""}"#, r#""\ud800""#, "true",
        r#""\"\\\/\b\f\n\r\t\u00e9""#, "[[[[[[[[]]]]]]]]", "1e400", "[\"12345678\u{7f}é\"]",
    ];

    #[rustfmt::skip]
    const BAD: &[&str] = &[
        "", " ", "01", "1.", ".5", "+1", "-", "1e", "1e+", "NaN", "Infinity", "tru", "truefalse", "nul", "[1,]", "[,]",
        "{\"a\":1,}", "{,}", "{a:1}", "{\"a\"}", "{\"a\":}", "{\"a\" 1}", "[1 2]", "[}", "{]", "[", "{", "\"", "\"\\x\"",
        "\"\\u12g4\"", "\"\\u12\"", "\"a\nb\"", "\"abcdefg\u{1f}\"", "\u{feff}{}", "{} {}", "1 1", "'a'", "\u{b}1", "]",
    ];

    #[test]
    fn the_grammar_is_that_of_rfc_8259() {
        GOOD.iter().for_each(|text| check(text, true));
        BAD.iter().for_each(|text| check(text, false));
    }

    #[test]
    fn every_position_of_a_special_byte_is_found() {
        for length in 0..70 {
            for at in 0..length {
                for special in [b'"', b'\\', 0, 0x1f] {
                    let mut bytes = vec![b'!'; length];
                    bytes[at] = special;
                    assert_eq!(find_special(&bytes, 0), at);
                    bytes[at] = 0x7f;
                    assert_eq!(find_special(&bytes, 0), length);
                }
            }
        }
    }

    #[test]
    fn nesting_is_counted_and_not_recursed() {
        let deep = "[".repeat(1_000_000);
        let mut scanner = Scanner::new(deep.as_bytes(), usize::MAX);
        let result = scanner.skip().map_err(|stop| scanner.error(stop));
        assert_eq!(result, Err(ParseError::TooDeep { offset: 128, limit: 128 }));
        let mixed = format!("{}1{}", "[{\"a\":".repeat(64), "}]".repeat(64));
        assert!(Scanner::new(mixed.as_bytes(), 128).skip().is_ok());
        assert!(Scanner::new(mixed.as_bytes(), 127).skip().is_err());
    }
}
