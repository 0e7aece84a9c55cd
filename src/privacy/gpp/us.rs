//! The GPP sections of the United States, 7 to 27: a version of six bits, then fields of two. A table says which of them
//! matter.
//!
//! In every field 0 means "does not apply", 1 a refusal and 2 none; 3 is not defined and counts as a refusal. A field about
//! known children that applies at all means that there is one.
//!
//! The sections of Maryland, Indiana, Kentucky and Rhode Island (24 to 27) are younger than the rest: they may begin with
//! a segment of their own, which repeats the section's id, and those of the last three give what is sensitive in a segment
//! of its own.

use super::GppError;
use crate::privacy::bits::Bits;

/// What a section says, as far as it matters.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Choices {
    /// Opted out of sale, of sharing or of targeted advertising.
    pub opted_out: bool,
    /// Refused the processing of something sensitive.
    pub sensitive_refused: bool,
    /// Refused the processing of the precise place.
    pub precise_geo_refused: bool,
    /// The user is a known child.
    pub child: bool,
    /// Global Privacy Control.
    pub gpc: bool,
}

/// The fields of one version of one section, counted from 0 after the version.
#[derive(Clone, Copy)]
struct Layout {
    /// The first opt-out and how many there are.
    opt_outs: (usize, usize),
    /// The first sensitive category and how many there are.
    sensitive: (usize, usize),
    /// Which of them is the precise place.
    geo: Option<usize>,
    /// The first field about known children and how many there are.
    children: (usize, usize),
    /// What is sensitive stands in a segment of its own.
    apart: bool,
}

/// A state with `notices` before its two opt-outs, then `sensitive` categories and `children` fields.
const fn state(notices: usize, sensitive: usize, geo: Option<usize>, children: usize) -> Layout {
    let (opt_outs, first) = ((notices, 2), notices + 2);
    Layout {
        opt_outs,
        sensitive: (first, sensitive),
        geo,
        children: (first + sensitive, children),
        apart: false,
    }
}

/// One of the four youngest.
const fn young(children: usize, apart: bool) -> Layout {
    let sensitive = (0, if apart { 8 } else { 0 });
    let geo = if apart { Some(7) } else { None };
    Layout { opt_outs: (5, 2), sensitive, geo, children: (7, children), apart }
}

/// The layout of a version of a section.
fn layout(section: u16, version: u8) -> Option<Layout> {
    let national = |sensitive, children| Layout {
        opt_outs: (6, 3),
        sensitive: (9, sensitive),
        geo: Some(7),
        children: (9 + sensitive, children),
        apart: false,
    };
    Some(match (section, version) {
        (7, 1) => national(12, 2),
        (7, 2) => national(16, 3),
        // California has opt-outs of sale and sharing, no one of targeted advertising.
        (8, 1) => state(3, 9, Some(2), 2),
        (9, 1) => state(3, 8, Some(7), 1),
        (10, 1) => state(3, 7, None, 1),
        (11, 1) => state(4, 8, Some(7), 1),
        (12..=14, 1) => state(3, 8, Some(7), 3),
        (15, 1) => state(3, 11, Some(10), 3),
        (16, 1) => state(3, 8, Some(7), 1),
        (17, 1) => state(3, 9, Some(7), 5),
        (18, 1) => state(4, 8, Some(7), 1),
        (19, 1) => state(3, 8, Some(7), 1),
        (20, 1) => state(3, 8, Some(7), 3),
        (21, 1) => state(3, 10, Some(7), 5),
        (22 | 23, 1) => state(3, 8, Some(7), 1),
        (24, 1) => young(0, false),
        (25..=27, 1) => young(1, true),
        _ => return None,
    })
}

/// Whether a section of that id is read here.
pub fn is_section(id: u16) -> bool {
    (7..=27).contains(&id)
}

/// Reads the text of a section.
pub fn read(section: u16, text: &str) -> Result<Choices, GppError> {
    if !is_section(section) {
        return Err(GppError::Unknown(section));
    }
    let mut segments = text.split('.').map(|text| Bits::of(text).ok_or(GppError::Text));
    let mut core = segments.next().unwrap_or(Err(GppError::Truncated))?;
    if section >= 24 && core.get(0, 6) == Some(section.into()) {
        core = segments.next().unwrap_or(Err(GppError::Truncated))?;
    }
    let version = core.get(0, 6).ok_or(GppError::Truncated)? as u8;
    let layout = layout(section, version).ok_or(GppError::Version { section, version })?;
    let mut choices = Choices {
        opted_out: is_refused(fields(core, 6, layout.opt_outs)?),
        child: fields(core, 6, layout.children)? != 0,
        ..Choices::default()
    };
    if !layout.apart {
        choices.refuse_sensitive(core, 6, &layout)?;
    }
    for segment in segments {
        let segment = segment?;
        if segment.len() == 0 {
            continue;
        }
        if layout.apart {
            choices.refuse_sensitive(segment, 0, &layout)?;
        } else if segment.get(0, 2) == Some(1) {
            choices.gpc |= segment.bit(2);
        }
    }
    Ok(choices)
}

impl Choices {
    /// Adds what is refused of the sensitive categories, whose fields are counted from bit `base` on.
    fn refuse_sensitive(&mut self, bits: Bits<'_>, base: usize, layout: &Layout) -> Result<(), GppError> {
        let (first, count) = layout.sensitive;
        self.sensitive_refused |= is_refused(fields(bits, base, (first, count))?);
        if let Some(geo) = layout.geo {
            self.precise_geo_refused |= is_refused(fields(bits, base, (first + geo, 1))?);
        }
        Ok(())
    }
}

/// Up to 16 fields side by side.
fn fields(bits: Bits<'_>, base: usize, (first, count): (usize, usize)) -> Result<u64, GppError> {
    bits.get(base + 2 * first, 2 * count).ok_or(GppError::Truncated)
}

/// Whether one of the fields is 1 or 3.
fn is_refused(fields: u64) -> bool {
    fields & 0x5555_5555_5555_5555 != 0
}
