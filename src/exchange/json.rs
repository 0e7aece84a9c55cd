//! The typed layer of the JSON reader: walks objects and arrays without recursion of its own and reads values as
//! leniently as real traffic needs (design: openrtb.md 1.17, number 11).
//!
//! What counts as what, for every field that is read:
//! - `null` is absent, and so is a value of a kind that the field cannot take.
//! - Text: a string, or a number (its text as sent). An empty string is absent. A string with a lone surrogate
//!   has no UTF-8 form: it is absent like any other unreadable value.
//! - Integer: a number or a string that holds one, its fraction cut off; `true` and `false` are 1 and 0.
//! - Count: like an integer, but at least 1 and no boolean; what is too large counts as the largest.
//! - Flag: an integer 0 or 1, `true`, `false`, or those words as a string.
//! - List: an array; a single number is one entry, a string a comma-separated list; `null` entries are skipped.
//! - Strings are measured once their escapes are resolved. Every occurrence of a repeated key is read and measured,
//!   the last one stands.
//!
//! Strings are borrowed from the body, or live in the arena when they hold escapes; nothing touches the heap.

use super::parse::{Limits, ParseError};
use super::scan::{Read, Scanner, Span, Step, Stop};
use crate::model::no_bid::NoBidReason;
use bumpalo::Bump;
use bumpalo::collections::{String as ArenaString, Vec as ArenaVec};

/// A value where a scalar was expected.
#[derive(Clone, Copy)]
pub(super) enum Scalar<'a> {
    Null,
    Bool(bool),
    /// A number, as sent.
    Number(&'a str),
    /// A string, escapes resolved.
    Text(&'a str),
    /// An object, an array, or a string with a lone surrogate.
    Unreadable,
}

/// How far the walk through one object or array has come.
pub(super) struct Walk {
    first: bool,
}

/// A list as read; what the defects mean is the caller's to say.
struct List<'a, T> {
    /// The readable entries; empty when a limit was passed, so that nobody takes a part for the whole.
    items: &'a [T],
    /// The limit that was passed: what it measures, and its value.
    over: Option<(&'static str, usize)>,
    /// An entry, or the whole, was of a kind that cannot be read.
    unreadable: bool,
    /// There was something, readable or not.
    given: bool,
}

/// A reader over one request.
pub(super) struct Reader<'a> {
    scan: Scanner<'a>,
    text: &'a str,
    arena: &'a Bump,
    pub(super) limits: Limits,
    /// The top-level field that is being read.
    section: &'static str,
    /// Inside an impression a passed limit is a fault of that impression; outside it ends the reading.
    pub(super) in_imp: bool,
    /// The fault, so far, of the request or, inside an impression, of that impression.
    pub(super) fault: Option<NoBidReason>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str, limits: &Limits, arena: &'a Bump) -> Reader<'a> {
        let scan = Scanner::new(text.as_bytes(), limits.depth);
        Reader { scan, text, arena, limits: *limits, section: "request", in_imp: false, fault: None }
    }

    /// A reader over a text that this request holds, as a part of the impression that is being read.
    pub(super) fn inside(&self, text: &'a str) -> Reader<'a> {
        Reader::inside_imp(text, &self.limits, self.arena)
    }

    /// A reader over a text that some request holds, as a part of an impression.
    pub(super) fn inside_imp(text: &'a str, limits: &Limits, arena: &'a Bump) -> Reader<'a> {
        Reader { in_imp: true, ..Reader::new(text, limits, arena) }
    }

    /// Names the top-level field that is read next, for errors.
    pub(super) fn section(&mut self, name: &'static str) -> &mut Self {
        self.section = name;
        self
    }

    /// Notes a reason; the first in rank order stands.
    pub(super) fn note(&mut self, reason: NoBidReason) {
        self.fault = Some(self.fault.map_or(reason, |known| known.min(reason)));
    }

    /// Ends the reading.
    pub(super) fn fail(&mut self, error: ParseError) -> Stop {
        self.scan.fail(error)
    }

    /// The error that ended the reading.
    pub(super) fn error(&mut self, stop: Stop) -> ParseError {
        self.scan.error(stop)
    }

    /// A limit is passed: a fault inside an impression, an error elsewhere.
    #[cold]
    pub(super) fn breach(&mut self, what: &'static str, limit: usize) -> Read<()> {
        if self.in_imp {
            self.note(NoBidReason::LimitExceeded);
            return Ok(());
        }
        let field = self.section;
        Err(self.fail(ParseError::LimitExceeded { field, what, limit }))
    }

    /// An empty vector in the arena.
    pub(super) fn vec<T>(&self) -> ArenaVec<'a, T> {
        ArenaVec::new_in(self.arena)
    }

    /// The parts one after the other; copied only when more than one has entries.
    pub(super) fn concat<T: Copy>(&self, parts: &[&'a [T]]) -> &'a [T] {
        let mut filled = parts.iter().filter(|part| !part.is_empty());
        match (filled.next(), filled.next()) {
            (None, _) => &[],
            (Some(only), None) => only,
            _ => {
                let mut all = self.vec();
                for part in parts {
                    all.extend_from_slice_copy(part);
                }
                all.into_bump_slice()
            }
        }
    }

    /// The next byte of the text that is not white space.
    pub(super) fn peek(&mut self) -> Read<u8> {
        self.scan.peek()
    }

    /// Passes over one value.
    #[inline]
    pub(super) fn skip(&mut self) -> Read<()> {
        self.scan.skip()
    }

    /// Only white space may be left.
    pub(super) fn end(&mut self) -> Read<()> {
        self.scan.end()
    }

    /// Enters an object; any other value is passed over.
    #[inline]
    pub(super) fn object(&mut self) -> Read<Option<Walk>> {
        self.enter(b'{')
    }

    /// Enters an array; any other value is passed over.
    #[inline]
    pub(super) fn array(&mut self) -> Read<Option<Walk>> {
        self.enter(b'[')
    }

    #[inline]
    fn enter(&mut self, bracket: u8) -> Read<Option<Walk>> {
        if self.scan.peek()? == bracket {
            self.scan.open()?;
            return Ok(Some(Walk { first: true }));
        }
        self.scan.skip()?;
        Ok(None)
    }

    /// The next key of the object, its value to be read or skipped by the caller; `None` = the object is closed.
    #[inline(always)]
    pub(super) fn next_key(&mut self, walk: &mut Walk) -> Read<Option<&'a [u8]>> {
        match self.scan.plain_step(walk.first) {
            Step::Key(key) => {
                walk.first = false;
                Ok(Some(key))
            }
            Step::Close => Ok(None),
            Step::NotPlain => self.any_next_key(walk),
        }
    }

    #[inline(never)]
    fn any_next_key(&mut self, walk: &mut Walk) -> Read<Option<&'a [u8]>> {
        if !self.advance(walk, b'}')? {
            return Ok(None);
        }
        let span = self.scan.key()?;
        if span.escaped {
            // A key that cannot be read is no key that we know.
            return Ok(Some(self.resolve(span).unwrap_or_default().as_bytes()));
        }
        Ok(Some(&self.text.as_bytes()[span.start..span.end]))
    }

    /// Whether the array has another entry, to be read or skipped by the caller.
    #[inline]
    pub(super) fn next_item(&mut self, walk: &mut Walk) -> Read<bool> {
        self.advance(walk, b']')
    }

    #[inline(always)]
    fn advance(&mut self, walk: &mut Walk, bracket: u8) -> Read<bool> {
        let byte = self.scan.peek()?;
        if byte == bracket {
            self.scan.close();
            return Ok(false);
        }
        if std::mem::take(&mut walk.first) {
            return Ok(true);
        }
        if byte != b',' {
            return Err(self.scan.malformed("a comma or a closing bracket was expected"));
        }
        self.scan.bump();
        // A bracket here would be a trailing comma; neither a key nor a value begins with one that closes.
        if self.scan.peek()? == bracket {
            return Err(self.scan.malformed("a comma before a closing bracket"));
        }
        Ok(true)
    }

    /// Reads a value where a scalar is expected; objects and arrays are passed over.
    #[inline]
    pub(super) fn scalar(&mut self) -> Read<Scalar<'a>> {
        if let Some((start, end)) = self.scan.plain_string() {
            return Ok(Scalar::Text(&self.text[start..end]));
        }
        Ok(match self.scan.peek()? {
            b'"' => {
                let span = self.scan.string()?;
                match span.escaped {
                    false => Scalar::Text(&self.text[span.start..span.end]),
                    true => self.resolve(span).map_or(Scalar::Unreadable, Scalar::Text),
                }
            }
            b'{' | b'[' => {
                self.scan.skip()?;
                Scalar::Unreadable
            }
            b't' => {
                self.scan.literal(b"true")?;
                Scalar::Bool(true)
            }
            b'f' => {
                self.scan.literal(b"false")?;
                Scalar::Bool(false)
            }
            b'n' => {
                self.scan.literal(b"null")?;
                Scalar::Null
            }
            _ => {
                let (start, end) = self.scan.number()?;
                Scalar::Number(&self.text[start..end])
            }
        })
    }

    /// Reads text within the limit of strings.
    #[inline]
    pub(super) fn text(&mut self) -> Read<Option<&'a str>> {
        self.text_within(self.limits.string)
    }

    /// Reads text within a limit of its own.
    #[inline]
    pub(super) fn text_within(&mut self, limit: usize) -> Read<Option<&'a str>> {
        let (Scalar::Text(text) | Scalar::Number(text)) = self.scalar()? else { return Ok(None) };
        if text.len() > limit {
            self.breach("string", limit)?;
            return Ok(None);
        }
        Ok(Some(text).filter(|text| !text.is_empty()))
    }

    /// Reads an integer.
    #[inline]
    pub(super) fn int(&mut self) -> Read<Option<i64>> {
        if let Some(int) = self.scan.plain_int() {
            return Ok(Some(int));
        }
        Ok(self.scalar()?.int())
    }

    /// Reads what is counted or measured from 1 up, see [`Scalar::positive_u32`].
    #[inline]
    pub(super) fn positive(&mut self) -> Read<Option<u32>> {
        Ok(self.scalar()?.positive_u32())
    }

    /// Reads a size in pixels from 1 up that an ad is measured by; what is too large for the type counts as its maximum,
    /// which nothing reaches.
    pub(super) fn at_least(&mut self) -> Read<Option<u16>> {
        Ok(self.positive()?.map(|pixels| u16::try_from(pixels).unwrap_or(u16::MAX)))
    }

    /// Reads degrees of at most `limit` to either side, in millionths.
    pub(super) fn degrees(&mut self, limit: f64) -> Read<Option<i32>> {
        Ok(self.scalar()?.degrees(limit))
    }

    /// Reads a flag.
    #[inline]
    pub(super) fn flag(&mut self) -> Read<Option<bool>> {
        if let Some(int) = self.scan.plain_int() {
            return Ok(flag_of(int));
        }
        Ok(self.scalar()?.flag())
    }

    /// Reads texts that inform: what cannot be read is left out.
    pub(super) fn texts(&mut self) -> Read<&'a [&'a str]> {
        let list = self.text_list(self.limits.array)?;
        self.informative(list)
    }

    /// Reads integers that inform: what cannot be read is left out.
    pub(super) fn ints(&mut self) -> Read<&'a [i64]> {
        let list = self.int_list()?;
        self.informative(list)
    }

    /// Reads texts that inform, and whether there was anything, readable or not.
    pub(super) fn texts_given(&mut self) -> Read<(&'a [&'a str], bool)> {
        let list = self.text_list(self.limits.array)?;
        let given = list.given;
        Ok((self.informative(list)?, given))
    }

    /// Reads texts that forbid or restrict: what cannot be read in full is a fault, because it cannot be obeyed.
    pub(super) fn rule_texts(&mut self, limit: usize) -> Read<&'a [&'a str]> {
        let list = self.text_list(limit)?;
        Ok(self.rule(list))
    }

    /// Reads integers that forbid: what cannot be read in full is a fault, because it cannot be obeyed.
    pub(super) fn rule_ints(&mut self) -> Read<&'a [i64]> {
        let list = self.int_list()?;
        Ok(self.rule(list))
    }

    /// Reads numbers from 1 up that restrict: what cannot be read in full is a fault, because it cannot be obeyed.
    pub(super) fn rule_positives(&mut self) -> Read<&'a [u32]> {
        let list = self.list(self.limits.array, Scalar::positive_u32, |_| None)?;
        Ok(self.rule(list))
    }

    fn informative<T>(&mut self, list: List<'a, T>) -> Read<&'a [T]> {
        if let Some((what, limit)) = list.over {
            self.breach(what, limit)?;
        }
        Ok(list.items)
    }

    fn rule<T>(&mut self, list: List<'a, T>) -> &'a [T] {
        if list.over.is_some() {
            self.note(NoBidReason::LimitExceeded);
        }
        if list.unreadable {
            self.note(NoBidReason::InvalidRequest);
        }
        list.items
    }

    fn text_list(&mut self, limit: usize) -> Read<List<'a, &'a str>> {
        let text = |scalar| match scalar {
            Scalar::Text(text) | Scalar::Number(text) => Some(text),
            _ => None,
        };
        self.list(limit, text, |_| None)
    }

    fn int_list(&mut self) -> Read<List<'a, i64>> {
        let short_enough = self.limits.string >= Scanner::PLAIN_DIGITS;
        self.list(self.limits.array, Scalar::int, |scan| short_enough.then(|| scan.plain_int()).flatten())
    }

    /// Reads a list whose entries `read` understands; `plain` reads those of the usual form faster.
    #[inline]
    fn list<T>(
        &mut self,
        limit: usize,
        read: impl Fn(Scalar<'a>) -> Option<T>,
        plain: impl Fn(&mut Scanner<'a>) -> Option<T>,
    ) -> Read<List<'a, T>> {
        let mut draft = ListDraft { items: self.vec(), over: None, unreadable: false, count: 0 };
        if self.scan.peek()? == b'[' {
            let mut walk = self.array()?.expect("an array begins here");
            while self.next_item(&mut walk)? {
                if let Some(item) = plain(&mut self.scan) {
                    draft.push_plain(item, limit);
                    continue;
                }
                let entry = self.scalar()?;
                draft.push(entry, limit, self.limits.string, &read);
            }
            return Ok(draft.finish());
        }
        match self.scalar()? {
            Scalar::Null => {}
            Scalar::Text(text) => {
                for piece in text.split(',').map(str::trim).filter(|piece| !piece.is_empty()) {
                    draft.push(Scalar::Text(piece), limit, self.limits.string, &read);
                }
            }
            number @ Scalar::Number(_) => draft.push(number, limit, self.limits.string, &read),
            Scalar::Bool(_) | Scalar::Unreadable => draft.push(Scalar::Unreadable, limit, 0, &read),
        }
        Ok(draft.finish())
    }

    /// Resolves the escapes of a string into the arena; `None` when it holds a lone surrogate.
    #[cold]
    fn resolve(&self, span: Span) -> Option<&'a str> {
        let mut rest = &self.text[span.start..span.end];
        let mut out = ArenaString::with_capacity_in(rest.len(), self.arena);
        while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
            out.push_str(&rest[..at]);
            let escape = rest.as_bytes()[at + 1];
            rest = &rest[at + 2..];
            out.push(match escape {
                b'b' => '\u{8}',
                b'f' => '\u{c}',
                b'n' => '\n',
                b'r' => '\r',
                b't' => '\t',
                b'u' => {
                    let (found, after) = unicode_escape(rest)?;
                    rest = after;
                    found
                }
                same => char::from(same),
            });
        }
        out.push_str(rest);
        Some(out.into_bump_str())
    }
}

/// Appends to a vector in the arena, whose first room is for several entries: growing there is copying.
#[inline]
pub(super) fn push<T>(items: &mut ArenaVec<'_, T>, item: T) {
    const FIRST_ROOM: usize = 16;
    if items.capacity() == 0 {
        items.reserve_exact(FIRST_ROOM);
    }
    items.push(item);
}

/// A list in the making.
struct ListDraft<'a, T> {
    items: ArenaVec<'a, T>,
    over: Option<(&'static str, usize)>,
    unreadable: bool,
    count: usize,
}

impl<'a, T> ListDraft<'a, T> {
    #[inline]
    fn push_plain(&mut self, item: T, limit: usize) {
        self.count += 1;
        match self.count > limit {
            true => self.over = Some(("array", limit)),
            false => push(&mut self.items, item),
        }
    }

    #[inline]
    fn push(
        &mut self,
        entry: Scalar<'a>,
        limit: usize,
        longest: usize,
        read: impl Fn(Scalar<'a>) -> Option<T>,
    ) {
        self.count += 1;
        match entry {
            _ if self.count > limit => self.over = Some(("array", limit)),
            Scalar::Null => {}
            Scalar::Text(text) | Scalar::Number(text) if text.len() > longest => {
                self.over = Some(("string", longest));
            }
            entry => match read(entry) {
                Some(item) => push(&mut self.items, item),
                None => self.unreadable = true,
            },
        }
    }

    fn finish(self) -> List<'a, T> {
        let items = if self.over.is_some() { &[] } else { self.items.into_bump_slice() as &[T] };
        List { items, over: self.over, unreadable: self.unreadable, given: self.count > 0 }
    }
}

/// Reads the four digits after `\u`, and the second half of a pair where they are the first.
fn unicode_escape(rest: &str) -> Option<(char, &str)> {
    let unit = |text: &str| u32::from_str_radix(text.get(..4)?, 16).ok();
    let first = unit(rest)?;
    let rest = &rest[4..];
    if !(0xd800..0xdc00).contains(&first) {
        return Some((char::from_u32(first)?, rest));
    }
    let second = unit(rest.strip_prefix("\\u")?)?;
    let low = second.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
    Some((char::from_u32(0x10000 + ((first - 0xd800) << 10) + low)?, &rest[6..]))
}

impl Scalar<'_> {
    /// As an integer; the fraction is cut off.
    #[inline]
    pub(super) fn int(self) -> Option<i64> {
        match self {
            Scalar::Number(text) => int_of(text),
            Scalar::Text(text) => int_of(text.trim()),
            Scalar::Bool(value) => Some(i64::from(value)),
            Scalar::Null | Scalar::Unreadable => None,
        }
    }

    /// As a flag; another integer than 0 and 1 is an unknown value and so none.
    #[inline]
    pub(super) fn flag(self) -> Option<bool> {
        match self {
            Scalar::Bool(value) => Some(value),
            Scalar::Text(text) if text.trim().eq_ignore_ascii_case("true") => Some(true),
            Scalar::Text(text) if text.trim().eq_ignore_ascii_case("false") => Some(false),
            other => other.int().and_then(flag_of),
        }
    }

    /// As an angle in millionths of a degree, rounded to the nearest.
    pub(super) fn degrees(self, limit: f64) -> Option<i32> {
        let (Scalar::Number(text) | Scalar::Text(text)) = self else { return None };
        micro_degrees(float_of(text.trim())?, limit)
    }

    /// As a span of time that must be positive: a number, or a string that holds one, at least 1; what is too
    /// large for the type counts as its maximum.
    pub(super) fn positive_u32(self) -> Option<u32> {
        let text = match self {
            Scalar::Number(text) => text,
            Scalar::Text(text) => text.trim(),
            _ => return None,
        };
        let whole = text.parse().ok().or_else(|| float_of(text).map(|float| float as i64))?;
        (whole > 0).then(|| u32::try_from(whole).unwrap_or(u32::MAX))
    }
}

/// Millionths of a degree, rounded to the nearest; `None` beyond the limit to either side.
pub(super) fn micro_degrees(degrees: f64, limit: f64) -> Option<i32> {
    (degrees.abs() <= limit).then(|| (degrees * 1e6).round() as i32)
}

/// A text as a flag, see [`Scalar::flag`].
pub(super) fn flag_of_text(text: &str) -> Option<bool> {
    Scalar::Text(text).flag()
}

fn flag_of(int: i64) -> Option<bool> {
    match int {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

#[inline]
fn int_of(text: &str) -> Option<i64> {
    match text.parse() {
        Ok(int) => Some(int),
        Err(_) => float_of(text).filter(|float| float.abs() < i64::MAX as f64).map(|float| float as i64),
    }
}

/// A decimal in the notation of JSON, or close to it; not the words that Rust reads as floats. Infinite when too
/// large.
#[cold]
fn float_of(text: &str) -> Option<f64> {
    let decimal = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
    decimal.then(|| text.parse().ok())?
}
