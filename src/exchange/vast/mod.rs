//! VAST: video and audio ads as the documents that players read (IAB VAST 2.0 to 4.3).
//!
//! An ad is compiled once into one template for each version, because exchanges list the versions they take. Invariant:
//! every document is well-formed, has the elements of its version's schema in the schema's order, and asks for the
//! impression, so that no ad is shown for free. Text is escaped, never in a CDATA section. Deliberately absent: VPAID,
//! SIMID, OMID verification, icons, DAAST, which add nothing that a line item can ask for yet; and reading VAST.
//!
//! What a version has no place for is left out of its document: the advertiser's error trackers and the clicks on
//! wrapped overlays in 2.0 and 3.0, skipping in 2.0.

mod document;
mod version;
mod xml;

use super::macros::MacroError;
use crate::model::creative::{Creative, StreamAd, VastTemplate};
use version::Version;

/// The documents of an ad of a creative, the newest version first. For the time when a catalog is compiled.
pub(super) fn compile(
    creative: &Creative,
    ad: &StreamAd,
    is_audio: bool,
) -> Result<Vec<VastTemplate>, MacroError> {
    let write = |version| document::write(creative, ad, is_audio, version);
    Version::NEWEST_FIRST.into_iter().map(write).collect()
}
