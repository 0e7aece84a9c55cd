//! GPP strings of the Global Privacy Platform: a header that lists section ids, and the sections (IAB Tech Lab,
//! "Consent String Specification" and "Section Information"; design: openrtb.md section 4.3).
//!
//! [`Gpp`] takes the string apart; what a section of the United States says is read by [`us::read`]. Deliberately
//! absent: the sections of Canada (5) and of TCF 1 (1), which are passed over, and the signal integrity section (4).

pub mod us;

use super::bits::{Bits, MAX_TEXT};

/// Most sections of one string; 25 are defined.
pub const MAX_SECTIONS: usize = 32;

/// Why a GPP string or one of its sections is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum GppError {
    /// A character outside base64url, or a text beyond all use.
    #[error("the GPP string is no base64url text of at most {MAX_TEXT} characters")]
    Text,
    /// No header of version 1.
    #[error("the GPP string does not begin with a header of version 1")]
    Header,
    /// It ends in the middle.
    #[error("the GPP string ends in the middle of what it announces")]
    Truncated,
    /// The header lists other sections than follow.
    #[error("the GPP string lists {listed} sections and has {found}")]
    Sections {
        /// How many ids the header lists.
        listed: usize,
        /// How many sections follow.
        found: usize,
    },
    /// Too many sections.
    #[error("the GPP string lists more than {MAX_SECTIONS} sections")]
    TooManySections,
    /// A section whose version is not known.
    #[error("section {section} of the GPP string has the unknown version {version}")]
    Version {
        /// Its id.
        section: u16,
        /// Its version.
        version: u8,
    },
    /// A section that is none of the United States.
    #[error("section {0} is none of the United States")]
    Unknown(u16),
}

/// A GPP string taken apart; its sections are not looked at.
#[derive(Clone, Copy, Debug)]
pub struct Gpp<'a> {
    ids: [u16; MAX_SECTIONS],
    len: usize,
    /// The sections with the tildes between them.
    sections: &'a str,
}

impl<'a> Gpp<'a> {
    /// Reads the header. A list of ids that does not fit the sections is refused, because nobody knows then which
    /// section is which.
    pub fn read(text: &'a str) -> Result<Gpp<'a>, GppError> {
        if text.len() > MAX_TEXT {
            return Err(GppError::Text);
        }
        let (header, sections) = text.split_once('~').unwrap_or((text, ""));
        let mut cursor = Bits::of(header).ok_or(GppError::Text)?.from(0);
        // Type 3 is a header, its version 1.
        if cursor.take(12) != Some(3 << 6 | 1) {
            return Err(GppError::Header);
        }
        let mut gpp = Gpp { ids: [0; MAX_SECTIONS], len: 0, sections };
        let entries = cursor.take(12).ok_or(GppError::Truncated)?;
        let mut last = 0u32;
        for _ in 0..entries {
            let is_range = cursor.take(1).ok_or(GppError::Truncated)? == 1;
            let first = cursor.take_fibonacci().and_then(|offset| last.checked_add(offset));
            let first = first.ok_or(GppError::Truncated)?;
            let more = if is_range { cursor.take_fibonacci().ok_or(GppError::Truncated)? } else { 0 };
            last = first.checked_add(more).ok_or(GppError::TooManySections)?;
            for id in first..=last {
                gpp.push(id)?;
            }
        }
        let found = gpp.texts().count();
        if found == gpp.len { Ok(gpp) } else { Err(GppError::Sections { listed: gpp.len, found }) }
    }

    fn push(&mut self, id: u32) -> Result<(), GppError> {
        let place = self.ids.get_mut(self.len).ok_or(GppError::TooManySections)?;
        // No id beyond 16 bits is or will be defined; such a one stands for "unknown".
        *place = u16::try_from(id).unwrap_or(u16::MAX);
        self.len += 1;
        Ok(())
    }

    fn texts(&self) -> impl Iterator<Item = &'a str> {
        let sections = self.sections;
        sections.split('~').filter(move |_| !sections.is_empty())
    }

    /// Id and text of each section, in the string's order.
    pub fn sections(&self) -> impl Iterator<Item = (u16, &'a str)> {
        self.ids[..self.len].iter().copied().zip(self.texts())
    }

    /// The text of one section.
    pub fn section(&self, id: u16) -> Option<&'a str> {
        self.sections().find(|(listed, _)| *listed == id).map(|(_, text)| text)
    }
}
