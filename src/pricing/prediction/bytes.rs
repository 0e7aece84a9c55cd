//! Models and states as bytes: one frame with a version and a checksum around numbers in little-endian order.
//!
//! `kind 8 bytes · version u32 · length of the content u64 · CRC-32C of version, length and content u32 · content`.
//! Tables have mostly empty slots: they are written as runs, `empty slots before it u32 · full slots u32 · the slots`,
//! ended by a run without full slots.

use super::options::OptionsError;

const FRAME: usize = 8 + 4 + 8 + 4;

/// Bytes that are not what they should be.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum DamagedBytes {
    /// Something else.
    #[error("this is no {0}: it does not begin like one; give the file that was exported")]
    Kind(&'static str),
    /// Another version.
    #[error(
        "this {what} has version {found}; this program reads version {known}: export it again with this one"
    )]
    Version {
        /// What it is.
        what: &'static str,
        /// The version that stands there.
        found: u32,
        /// The version that is known.
        known: u32,
    },
    /// Cut off, or followed by something.
    #[error("this {what} has {found} bytes where {expected} belong; take an undamaged copy")]
    Length {
        /// What it is.
        what: &'static str,
        /// Bytes that are there.
        found: u64,
        /// Bytes that belong there.
        expected: u64,
    },
    /// Changed.
    #[error("the checksum of this {0} is wrong: a byte has changed; take an undamaged copy")]
    Checksum(&'static str),
    /// The checksum is right, and the content makes no sense.
    #[error("this {what} holds {problem}; it was not written by this program")]
    Content {
        /// What it is.
        what: &'static str,
        /// What is wrong.
        problem: &'static str,
    },
    /// The checksum is right, and a parameter cannot be.
    #[error("this {what} holds a parameter that cannot be: {why}")]
    Options {
        /// What it is.
        what: &'static str,
        /// Which, and why.
        why: OptionsError,
    },
}

/// What a frame holds.
#[derive(Clone, Copy, Debug)]
pub(in crate::pricing) struct Kind {
    /// What the bytes begin with.
    pub(in crate::pricing) magic: [u8; 8],
    /// For people.
    pub(in crate::pricing) what: &'static str,
    /// The version that is written and read.
    pub(in crate::pricing) version: u32,
}

/// Puts numbers into a frame.
pub(in crate::pricing) struct Writer {
    kind: Kind,
    bytes: Vec<u8>,
}

impl Writer {
    pub(in crate::pricing) fn new(kind: Kind) -> Writer {
        let mut bytes = Vec::with_capacity(1 << 16);
        bytes.extend_from_slice(&kind.magic);
        bytes.extend_from_slice(&kind.version.to_le_bytes());
        bytes.resize(FRAME, 0);
        Writer { kind, bytes }
    }

    pub(in crate::pricing) fn bytes(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(in crate::pricing) fn u8(&mut self, value: u8) {
        self.bytes.push(value);
    }

    pub(in crate::pricing) fn u32(&mut self, value: u32) {
        self.bytes(&value.to_le_bytes());
    }

    pub(in crate::pricing) fn u64(&mut self, value: u64) {
        self.bytes(&value.to_le_bytes());
    }

    pub(in crate::pricing) fn i64(&mut self, value: i64) {
        self.bytes(&value.to_le_bytes());
    }

    pub(in crate::pricing) fn f32(&mut self, value: f32) {
        self.bytes(&value.to_le_bytes());
    }

    pub(in crate::pricing) fn f64(&mut self, value: f64) {
        self.bytes(&value.to_le_bytes());
    }

    /// A table of `len` slots as runs of those that are not empty.
    pub(in crate::pricing) fn runs(
        &mut self,
        len: usize,
        is_empty: impl Fn(usize) -> bool,
        mut write: impl FnMut(&mut Writer, usize),
    ) {
        let mut at = 0;
        loop {
            let first = (at..len).find(|slot| !is_empty(*slot)).unwrap_or(len);
            let end = (first..len).find(|slot| is_empty(*slot)).unwrap_or(len);
            self.u32((first - at) as u32);
            self.u32((end - first) as u32);
            if first == end {
                return;
            }
            (first..end).for_each(|slot| write(self, slot));
            at = end;
        }
    }

    /// Closes the frame.
    pub(in crate::pricing) fn finish(self) -> Vec<u8> {
        let Writer { kind, mut bytes } = self;
        let length = (bytes.len() - FRAME) as u64;
        bytes[12..20].copy_from_slice(&length.to_le_bytes());
        let checksum = checksum(kind.version, length, &bytes[FRAME..]);
        bytes[20..24].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }
}

fn checksum(version: u32, length: u64, content: &[u8]) -> u32 {
    let head = crc32c::crc32c_append(crc32c::crc32c(&version.to_le_bytes()), &length.to_le_bytes());
    crc32c::crc32c_append(head, content)
}

/// Takes numbers out of a frame.
pub(in crate::pricing) struct Reader<'b> {
    what: &'static str,
    rest: &'b [u8],
}

impl<'b> Reader<'b> {
    /// Checks the frame.
    pub(in crate::pricing) fn open(kind: Kind, bytes: &'b [u8]) -> Result<Reader<'b>, DamagedBytes> {
        let what = kind.what;
        if bytes.get(..8) != Some(&kind.magic) {
            return Err(DamagedBytes::Kind(what));
        }
        let found = bytes.len() as u64;
        let mut frame = Reader { what, rest: &bytes[8..] };
        let short = |_| DamagedBytes::Length { what, found, expected: FRAME as u64 };
        let version = frame.u32().map_err(short)?;
        let length = frame.u64().map_err(short)?;
        let sum = frame.u32().map_err(short)?;
        if version != kind.version {
            return Err(DamagedBytes::Version { what, found: version, known: kind.version });
        }
        if frame.rest.len() as u64 != length {
            let expected = length.saturating_add(FRAME as u64);
            return Err(DamagedBytes::Length { what, found, expected });
        }
        if sum != checksum(version, length, frame.rest) {
            return Err(DamagedBytes::Checksum(what));
        }
        Ok(frame)
    }

    /// The error of content that makes no sense.
    pub(in crate::pricing) fn wrong(&self, problem: &'static str) -> DamagedBytes {
        DamagedBytes::Content { what: self.what, problem }
    }

    /// The error of a parameter.
    pub(in crate::pricing) fn wrong_options(&self, why: OptionsError) -> DamagedBytes {
        DamagedBytes::Options { what: self.what, why }
    }

    /// So many bytes.
    pub(in crate::pricing) fn take(&mut self, count: usize) -> Result<&'b [u8], DamagedBytes> {
        let (head, rest) = self.rest.split_at_checked(count).ok_or(self.wrong("less than it announces"))?;
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DamagedBytes> {
        Ok(*self.take(N)?.first_chunk().expect("N bytes were taken"))
    }

    pub(in crate::pricing) fn u8(&mut self) -> Result<u8, DamagedBytes> {
        self.array().map(|[byte]| byte)
    }

    pub(in crate::pricing) fn u32(&mut self) -> Result<u32, DamagedBytes> {
        self.array().map(u32::from_le_bytes)
    }

    pub(in crate::pricing) fn u64(&mut self) -> Result<u64, DamagedBytes> {
        self.array().map(u64::from_le_bytes)
    }

    pub(in crate::pricing) fn i64(&mut self) -> Result<i64, DamagedBytes> {
        self.array().map(i64::from_le_bytes)
    }

    /// A finite number.
    pub(in crate::pricing) fn f32(&mut self) -> Result<f32, DamagedBytes> {
        let value = f32::from_le_bytes(self.array()?);
        if value.is_finite() { Ok(value) } else { Err(self.wrong("a number that is none")) }
    }

    /// A finite number.
    pub(in crate::pricing) fn f64(&mut self) -> Result<f64, DamagedBytes> {
        let value = f64::from_le_bytes(self.array()?);
        if value.is_finite() { Ok(value) } else { Err(self.wrong("a number that is none")) }
    }

    /// A number of things that take at least `each` bytes: never more than there can be.
    pub(in crate::pricing) fn count(&mut self, each: usize) -> Result<usize, DamagedBytes> {
        let count = self.u32()? as usize;
        let fits = count.checked_mul(each).is_some_and(|bytes| bytes <= self.rest.len());
        if fits { Ok(count) } else { Err(self.wrong("less than it announces")) }
    }

    /// The slots of a table of `len`, as [`Writer::runs`] wrote them.
    pub(in crate::pricing) fn runs(
        &mut self,
        len: usize,
        mut read: impl FnMut(&mut Self, usize) -> Result<(), DamagedBytes>,
    ) -> Result<(), DamagedBytes> {
        let mut at = 0_usize;
        loop {
            let (empty, full) = (self.u32()? as usize, self.u32()? as usize);
            at = at
                .checked_add(empty)
                .filter(|at| *at <= len)
                .ok_or(self.wrong("a table that is too long"))?;
            let end = at.checked_add(full).filter(|end| *end <= len);
            let end = end.ok_or(self.wrong("a table that is too long"))?;
            if full == 0 {
                return if at == len { Ok(()) } else { Err(self.wrong("a table that is too short")) };
            }
            for slot in at..end {
                read(self, slot)?;
            }
            at = end;
        }
    }

    /// Nothing may be left.
    pub(in crate::pricing) fn end(&self) -> Result<(), DamagedBytes> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.wrong("more than it announces")) }
    }
}
