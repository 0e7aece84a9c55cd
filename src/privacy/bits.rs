//! Numbers of any width out of base64url text, read where they stand: no byte is decoded that nobody asks for, and
//! nothing is allocated.
//!
//! Invariant: a [`Bits`] holds characters of the alphabet only, so that a read inside its length always succeeds.
//! Deliberately absent: padding (`=`), which neither TCF nor GPP has; text with it is refused.

/// Longest text that is looked at, in characters: real strings have some hundreds, the longest a few thousands.
pub(super) const MAX_TEXT: usize = 16_384;

/// Widest number, in bits.
const MAX_WIDTH: usize = 48;

/// The value of each character; those outside the alphabet never reach it.
const VALUES: [u8; 256] = {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut values = [0; 256];
    let mut at = 0;
    while at < alphabet.len() {
        values[alphabet[at] as usize] = at as u8;
        at += 1;
    }
    values
};

/// Base64url text as a string of bits, six a character, the highest first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bits<'a> {
    text: &'a [u8],
}

impl<'a> Bits<'a> {
    /// The bits of `text`; `None` where it is too long or has a character outside the alphabet.
    pub(super) fn of(text: &'a str) -> Option<Bits<'a>> {
        let text = text.as_bytes();
        // Without a branch, so that many characters are judged at once.
        let is_in =
            |b: u8| (b | 0x20).wrapping_sub(b'a') < 26 || b.wrapping_sub(b'0') < 10 || b == b'-' || b == b'_';
        let all = text.iter().fold(true, |all, b| all & is_in(*b));
        (all && text.len() <= MAX_TEXT).then_some(Bits { text })
    }

    /// How many bits there are.
    pub(super) fn len(&self) -> usize {
        self.text.len() * 6
    }

    /// The number of `width` bits (at most 48) from bit `at` on; `None` where it does not end inside the text.
    #[inline]
    pub(super) fn get(&self, at: usize, width: usize) -> Option<u64> {
        debug_assert!(width <= MAX_WIDTH, "{width} bits do not fit");
        let end = at.checked_add(width).filter(|end| *end <= self.len())?;
        let (first, mask) = (at / 6, (1 << width) - 1);
        let gather = |chars: &[u8]| chars.iter().fold(0, |n: u64, b| n << 6 | u64::from(VALUES[*b as usize]));
        // Mostly there are eight characters, which a fixed number of steps gathers in less than half the time.
        if let Some(chars) = self.text[first..].first_chunk::<8>()
            && at % 6 + width <= 48
        {
            return Some(gather(chars) >> (48 - at % 6 - width) & mask);
        }
        let last = end.div_ceil(6);
        Some(gather(&self.text[first..last]) >> (last * 6 - end) & mask)
    }

    /// Whether bit `at` is set; false beyond the end.
    pub(super) fn bit(&self, at: usize) -> bool {
        self.get(at, 1) == Some(1)
    }

    /// Reads from bit `at` on, number after number.
    pub(super) fn from(self, at: usize) -> Cursor<'a> {
        Cursor { bits: self, at }
    }
}

/// A place in the bits that moves on with each read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    bits: Bits<'a>,
    at: usize,
}

impl Cursor<'_> {
    /// The next `width` bits (at most 48) as a number.
    #[inline]
    pub(super) fn take(&mut self, width: usize) -> Option<u64> {
        let taken = self.bits.get(self.at, width)?;
        self.at += width;
        Some(taken)
    }

    /// The next `width` bits (at most 48) as a number, staying here.
    #[inline]
    pub(super) fn peek(&self, width: usize) -> Option<u64> {
        self.bits.get(self.at, width)
    }

    /// Passes over bits that were looked at.
    #[inline]
    pub(super) fn pass(&mut self, count: usize) {
        debug_assert!(self.at + count <= self.bits.len(), "only what was seen is passed over");
        self.at += count;
    }

    /// Whether bit `ahead` of those that come next is set; then passes over `count` of them.
    pub(super) fn pick(&mut self, ahead: Option<usize>, count: usize) -> Option<bool> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.bits.len())?;
        let is_set = ahead.is_some_and(|ahead| self.bits.bit(self.at + ahead));
        self.at = end;
        Some(is_set)
    }

    /// The next number in Fibonacci coding, at least 1 and below 2³², in at most 48 bits: bits for 1, 2, 3, 5, 8 and so on,
    /// ended by two ones in a row.
    pub(super) fn take_fibonacci(&mut self) -> Option<u32> {
        let width = (self.bits.len() - self.at).min(MAX_WIDTH);
        // The first bit highest, and behind the last one nothing.
        let code = self.peek(width)?.checked_shl(64 - width as u32)?;
        let ones_in_a_row = code & code << 1;
        let last = ones_in_a_row.leading_zeros() as usize;
        if last >= width {
            return None;
        }
        let is_set = |at: &usize| code << at >> 63 == 1;
        let sum: u64 = (0..=last).filter(is_set).map(|at| FIBONACCI[at]).sum();
        self.pass(last + 2);
        u32::try_from(sum).ok()
    }
}

/// 1, 2, 3, 5, 8 and so on.
const FIBONACCI: [u64; MAX_WIDTH] = {
    let mut numbers = [1; MAX_WIDTH];
    numbers[1] = 2;
    let mut at = 2;
    while at < MAX_WIDTH {
        numbers[at] = numbers[at - 1] + numbers[at - 2];
        at += 1;
    }
    numbers
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_any_width_are_read_where_they_stand() {
        // "BCDE" is 000001 000010 000011 000100.
        let bits = Bits::of("BCDE").unwrap();
        let check = |at, width, expected| assert_eq!(bits.get(at, width), expected, "{width} bits at {at}");
        check(0, 6, Some(1));
        check(5, 1, Some(1));
        check(5, 6, Some(0b100_001));
        check(0, 24, Some(0b000_001_000_010_000_011_000_100));
        check(23, 1, Some(0));
        check(24, 0, Some(0));
        check(23, 2, None);
        check(usize::MAX, 6, None);
        assert!(!bits.bit(10_000));
    }

    #[test]
    fn foreign_characters_and_endless_texts_are_refused() {
        for odd in ["=", "A=", "A+", "A/B", "A B", "Aé", "A\0", "A.", "A@", "A[", "A`", "A{", "A:"] {
            assert!(Bits::of(odd).is_none(), "{odd:?}");
        }
        let all = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let bits = Bits::of(all).unwrap();
        (0..64).for_each(|n| assert_eq!(bits.get(n * 6, 6), Some(n as u64)));
        assert!(Bits::of(&"A".repeat(MAX_TEXT)).is_some());
        assert!(Bits::of(&"A".repeat(MAX_TEXT + 1)).is_none());
    }

    #[test]
    fn fibonacci_codes_are_read_and_endless_ones_refused() {
        // 11 · 011 · 0011 · 1011 and padding: 1, 2, 3, 4.
        let text = "110110 011101 100000".split(' ').map(|six| usize::from_str_radix(six, 2).unwrap());
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let text: String = text.map(|n| char::from(alphabet[n])).collect();
        let mut cursor = Bits::of(&text).unwrap().from(0);
        assert_eq!(
            std::array::from_fn(|_| cursor.take_fibonacci()),
            [Some(1), Some(2), Some(3), Some(4), None]
        );
        // 101010…: never two ones in a row, and beyond 2³² it is no number that counts.
        assert_eq!(Bits::of(&"q".repeat(200)).unwrap().from(0).take_fibonacci(), None);
        assert_eq!(Bits::of(&"A".repeat(200)).unwrap().from(0).take_fibonacci(), None);
    }
}
