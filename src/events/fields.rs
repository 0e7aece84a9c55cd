//! Fields of messages as bytes (Protocol Buffers, "Encoding"): as much of it as [`wire`](super::wire) needs, without anything
//! in between.

use crate::model::money::Cpm;

/// Kinds of a field's bytes.
pub(super) const VARINT: u32 = 0;
pub(super) const FIXED64: u32 = 1;
pub(super) const LENGTH: u32 = 2;

/// What a field begins with.
pub(super) const fn key(number: u32, kind: u32) -> u32 {
    number << 3 | kind
}

/// The bit of each byte of a varint that says that another one follows.
const CONTINUED: u64 = 0x8080_8080_8080_8080;

/// The lower 56 bits, seven to a byte.
fn spread(number: u64) -> u64 {
    let halves = number & 0x0fff_ffff | (number & 0x00ff_ffff_f000_0000) << 4;
    let quarters = halves & 0x0000_3fff_0000_3fff | (halves & 0x0fff_c000_0fff_c000) << 2;
    quarters & 0x007f_007f_007f_007f | (quarters & 0x3f80_3f80_3f80_3f80) << 1
}

/// The other way round; the eighth bit of each byte is passed over.
fn gather(bytes: u64) -> u64 {
    let quarters = bytes & 0x007f_007f_007f_007f | (bytes & 0x7f00_7f00_7f00_7f00) >> 1;
    let halves = quarters & 0x0000_3fff_0000_3fff | (quarters & 0x3fff_0000_3fff_0000) >> 2;
    halves & 0x0fff_ffff | (halves & 0x0fff_ffff_0000_0000) >> 4
}

/// Fields that are being written, `MOST` bytes at most.
pub(super) struct Fields<const MOST: usize> {
    bytes: [u8; MOST],
    len: usize,
}

impl<const MOST: usize> Fields<MOST> {
    pub(super) fn new() -> Self {
        Fields { bytes: [0; MOST], len: 0 }
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    #[inline(always)]
    fn put<const LEN: usize>(&mut self, bytes: [u8; LEN]) {
        self.bytes[self.len..][..LEN].copy_from_slice(&bytes);
        self.len += LEN;
    }

    #[inline(always)]
    pub(super) fn varint(&mut self, number: u64) {
        match number {
            0..0x80 => self.put([number as u8]),
            _ => self.long_varint(number),
        }
    }

    #[inline(never)]
    fn long_varint(&mut self, number: u64) {
        // Eight bytes at once, of which those count that the number needs.
        let len = number.ilog2() as usize / 7 + 1;
        if len > 8 {
            self.put((spread(number) | CONTINUED).to_le_bytes());
            self.long_end(number >> 56);
        } else {
            let more = CONTINUED & ((1 << (8 * (len - 1))) - 1);
            self.put((spread(number) | more).to_le_bytes());
            self.len -= 8 - len;
        }
    }

    /// What the last eight bits of a number need that takes more than eight bytes.
    fn long_end(&mut self, bits: u64) {
        match bits {
            0..0x80 => self.put([bits as u8]),
            _ => self.put([bits as u8 | 0x80, 1]),
        }
    }

    #[inline(always)]
    pub(super) fn key(&mut self, key: u32) {
        match key {
            0..0x80 => self.put([key as u8]),
            _ => self.put([key as u8 | 0x80, (key >> 7) as u8]),
        }
    }

    #[inline(always)]
    pub(super) fn number(&mut self, key: u32, number: u64) {
        self.key(key);
        self.varint(number);
    }

    /// A number that is absent where it is 0.
    #[inline(always)]
    pub(super) fn positive(&mut self, key: u32, number: u32) {
        if number > 0 {
            self.number(key, number.into());
        }
    }

    #[inline(always)]
    pub(super) fn fixed64(&mut self, key: u32, number: u64) {
        self.key(key);
        self.put(number.to_le_bytes());
    }

    pub(super) fn fixed32s(&mut self, numbers: &[u32]) {
        let place = &mut self.bytes[self.len..][..size_of_val(numbers)];
        for (bytes, number) in place.as_chunks_mut().0.iter_mut().zip(numbers) {
            *bytes = number.to_le_bytes();
        }
        self.len += size_of_val(numbers);
    }

    pub(super) fn text(&mut self, key: u32, text: &str) {
        self.message(key, |out| {
            out.bytes[out.len..][..text.len()].copy_from_slice(text.as_bytes());
            out.len += text.len();
        });
    }

    /// A text of so many letters.
    #[inline(always)]
    pub(super) fn letters<const LEN: usize>(&mut self, key: u32, letters: [u8; LEN]) {
        self.key(key);
        self.put([LEN as u8]);
        self.put(letters);
    }

    /// What `write` adds as one field, shorter than 128 bytes, so that its length is one byte.
    pub(super) fn message(&mut self, key: u32, write: impl FnOnce(&mut Self)) {
        self.key(key);
        self.put([0]);
        let begin = self.len;
        write(self);
        debug_assert!(self.len - begin < 0x80);
        self.bytes[begin - 1] = (self.len - begin) as u8;
    }
}

/// Fields that are still to be read, in the order of their numbers. Each is asked for by its key and taken whole or not at
/// all: what is damaged, comes twice or is not known stays, and is seen by that at the end. Keys are constants, and what
/// compares with them is inlined for it.
pub(super) struct Rest<'b>(pub(super) &'b [u8]);

impl<'b> Rest<'b> {
    pub(super) fn is_read(&self) -> bool {
        self.0.is_empty()
    }

    /// What comes behind this key, where it comes next.
    #[inline(always)]
    fn behind(&self, key: u32) -> Option<&'b [u8]> {
        match key {
            0..0x80 => self.0.split_first().filter(|(first, _)| **first == key as u8).map(|(_, rest)| rest),
            _ => {
                let (first, rest) = self.0.split_first_chunk()?;
                (*first == [key as u8 | 0x80, (key >> 7) as u8]).then_some(rest)
            }
        }
    }

    #[inline(always)]
    pub(super) fn number(&mut self, key: u32) -> Option<u64> {
        let (number, rest) = varint(self.behind(key)?)?;
        self.0 = rest;
        Some(number)
    }

    /// As everywhere in this encoding, higher bits are dropped.
    #[inline(always)]
    pub(super) fn uint32(&mut self, key: u32) -> Option<u32> {
        self.number(key).map(|number| number as u32)
    }

    #[inline(always)]
    pub(super) fn cpm(&mut self, key: u32) -> Option<Cpm> {
        self.number(key).map(|number| Cpm(number as i64))
    }

    #[inline(always)]
    pub(super) fn flag(&mut self, key: u32) -> bool {
        self.number(key).is_some_and(|number| number != 0)
    }

    #[inline(always)]
    pub(super) fn fixed64(&mut self, key: u32) -> Option<u64> {
        let (bytes, rest) = self.behind(key)?.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*bytes))
    }

    #[inline(always)]
    pub(super) fn bytes(&mut self, key: u32) -> Option<&'b [u8]> {
        let (bytes, rest) = with_length(self.behind(key)?)?;
        self.0 = rest;
        Some(bytes)
    }
}

/// So many bytes as a number in front of them says, and what comes behind.
#[inline]
pub(super) fn with_length(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = varint(bytes)?;
    rest.split_at_checked(usize::try_from(length).ok()?)
}

/// The number that `bytes` begin with, and what comes behind.
#[inline(always)]
pub(super) fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    match bytes {
        [number @ 0..0x80, rest @ ..] => Some((u64::from(*number), rest)),
        _ => varint_of_bytes(bytes),
    }
}

#[inline(never)]
fn varint_of_bytes(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let Some(word) = bytes.first_chunk() else { return long_varint(bytes) };
    let word = u64::from_le_bytes(*word);
    let ends = !word & CONTINUED;
    if ends == 0 {
        return long_varint(bytes);
    }
    let number = gather(word & (ends ^ (ends - 1)));
    Some((number, &bytes[ends.trailing_zeros() as usize / 8 + 1..]))
}

/// Byte by byte: one that is long, or near the end.
#[inline(never)]
fn long_varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0;
    for (at, byte) in bytes.iter().enumerate().take(10) {
        number |= u64::from(*byte & 0x7f) << (7 * at);
        if *byte < 0x80 {
            // Of the tenth byte one bit is left.
            return (at < 9 || *byte < 2).then_some((number, &bytes[at + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_take_as_few_bytes_as_they_need(
            (number, bits) in (any::<u64>(), 0..64u32),
            behind in prop::collection::vec(any::<u8>(), 0..9),
        ) {
            let wanted = number >> bits;
            let mut fields = Fields::<20>::new();
            fields.varint(wanted);
            prop_assert_eq!(fields.len, (64 - wanted.leading_zeros()).div_ceil(7).max(1) as usize);
            let bytes = [fields.as_slice(), &behind].concat();
            prop_assert_eq!(varint(&bytes), Some((wanted, &behind[..])));
            prop_assert_eq!(varint(&bytes[..fields.len - 1]), None);
        }
    }

    #[test]
    fn numbers_that_are_none_are_not_read() {
        let too_long = [&[0xff; 9][..], &[2]].concat();
        for bytes in [&[][..], &[0x80], &[0xff; 12], &too_long] {
            assert_eq!(varint(bytes), None, "{bytes:02x?}");
        }
        assert_eq!(varint(&[0x80, 0x00, 7]), Some((0, &[7][..])), "longer than it must be");
    }
}
