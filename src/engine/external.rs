//! What exchanges and publishers say of a user in `user.data`, in the names of others, as segments of the account.
//!
//! Invariant: a sensitive segment is never reached this way: that a stranger says so is no explicit consent.
//! Deliberately absent: what is said without `segtax`, whose ids mean whatever its provider likes.

use crate::model::auction::ProvidedSegment;
use crate::model::ids::SegmentId;
use crate::model::taxonomy::{Segment, Taxonomy};
use std::collections::HashMap;

/// Names that others have for segments, ready to be looked up without an allocation.
#[derive(Debug, Default)]
pub(super) struct ExternalNames {
    /// By taxonomy; there are few.
    taxonomies: Vec<(i64, Names)>,
}

/// What the ids of one taxonomy mean.
type Names = HashMap<Box<str>, Vec<Meaning>>;

/// What a name means; tenants give it meanings of their own.
#[derive(Debug)]
struct Meaning {
    /// Whose word counts; `None` = anybody's.
    provider: Option<Box<str>>,
    segment: SegmentId,
}

impl ExternalNames {
    pub(super) fn compile(segments: &[Segment], tree: &Taxonomy) -> ExternalNames {
        let mut names = ExternalNames::default();
        for segment in segments.iter().filter(|segment| !tree.is_sensitive(segment.id)) {
            for external in &segment.external {
                let segtax = i64::from(external.segtax);
                let at = names.taxonomies.iter().position(|(known, _)| *known == segtax);
                let at = at.unwrap_or_else(|| {
                    names.taxonomies.push((segtax, Names::new()));
                    names.taxonomies.len() - 1
                });
                let meanings = names.taxonomies[at].1.entry(external.id.as_str().into()).or_default();
                let provider = external.provider.as_deref().map(Into::into);
                meanings.push(Meaning { provider, segment: segment.id });
            }
        }
        names
    }

    /// Whether nobody has a name for anything.
    pub(super) fn is_empty(&self) -> bool {
        self.taxonomies.is_empty()
    }

    /// The segments that are meant; some may come twice.
    pub(super) fn meant<'n>(
        &'n self,
        said: &'n [ProvidedSegment<'n>],
    ) -> impl Iterator<Item = SegmentId> + 'n {
        said.iter().flat_map(|said| {
            let of = said.taxonomy.and_then(|said| self.taxonomies.iter().find(|(known, _)| *known == said));
            let meanings = of.and_then(|(_, names)| names.get(said.id)).map_or(&[][..], Vec::as_slice);
            let counts = |meaning: &&Meaning| {
                let provider = meaning.provider.as_deref();
                provider.is_none() || provider == said.provider_name || provider == said.provider_id
            };
            meanings.iter().filter(counts).map(|meaning| meaning.segment)
        })
    }
}
