//! Who belongs to which segment, answered from memory: identifiers of a request → keys → segment ids.
//!
//! An immutable packed base in shards (`packed.rs`: about 36 bytes for a user of twelve segments) plus a mutable
//! overlay for what changed since; [`AudienceIndex::merge`] folds the overlay into the base one shard at a time.
//!
//! Invariants:
//! - A raw identifier is never kept: everything is keyed by [`UserKey`](crate::model::ids::UserKey), a keyed stable
//!   hash, and a key is made only where [`UseIds`](crate::privacy::UseIds) was granted or by an import.
//! - Segments are read only with the proof [`UseSegments`](crate::privacy::UseSegments).
//! - A write is visible to the next lookup, also while its shard is being merged. Whether a membership lies in the
//!   base or in the overlay never changes an answer.
//! - A sensitive segment without explicit consent is never among the answered segments.
//! - A guard of a concurrent map is never held across another access to a concurrent map.
//!
//! [`Store`] keeps it: a log of single changes behind the saved base, so that a change survives a crash; [`behaviour`]
//! turns what people do into memberships.
//!
//! Deliberately absent: names of segments (the account's configuration maps keys to ids), and anything that a person
//! searched, saw or bought.

mod behaviour;
mod builder;
mod erased;
mod file;
mod filter;
mod held;
mod identity;
mod index;
mod log;
mod lookup;
mod offsets;
mod overlay;
mod pack;
mod packed;
mod record;
mod similar;
mod store;
mod walk;

pub use behaviour::{Borders, Customer, Kept, Moved, Plan, Purchases, Seen, Swept, Touch, Windows};
pub use builder::Builder;
pub use erased::KEPT_S as ERASURES_KEPT_S;
pub use identity::{IdKey, IdKind, Keys, MAX_KEYS, keys};
pub use index::{AudienceIndex, Erased, Stats};
pub use lookup::Lookup;
pub use record::{EXPIRY_UNIT_S, Membership, Origin};
pub use similar::{Expansion, MIN_SEED, Similar, SimilarError, Telling};
pub use store::{Forgotten, Opened, SYNC_EVERY_MS, Store, Writer};
pub use walk::{Member, Ties};

use crate::model::ids::SegmentId;
use std::path::PathBuf;

/// Segment ids lie below this; the same number as segments an installation may have.
pub const MAX_SEGMENTS: u32 = 1_000_000;

/// Most memberships of one user, expired ones that no merge has dropped yet included.
pub const MAX_SEGMENTS_PER_USER: usize = 4_096;

/// Why a change, a build or a file was refused. What was there before stays as it was.
#[derive(Debug, thiserror::Error)]
pub enum AudienceError {
    /// The segment's id is over the limit.
    #[error("segment id {0} is not below the limit of {MAX_SEGMENTS}")]
    SegmentId(SegmentId),
    /// The user would be in too many segments.
    #[error("a user may be in at most {MAX_SEGMENTS_PER_USER} segments: remove one before adding another")]
    TooManySegments,
    /// Too many keys begin alike, which hashes do not.
    #[error(
        "{count} users fall into one bucket of shard {shard}: the keys are no hashes, make them with `IdKey`"
    )]
    SkewedKeys {
        /// The shard.
        shard: usize,
        /// Users in the bucket.
        count: usize,
    },
    /// A shard's records pass 4 GiB.
    #[error("shard {shard} passes 4 GiB: build the index with more shards")]
    ShardTooLarge {
        /// The shard.
        shard: usize,
    },
    /// The operating system refused a file operation.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried: `read`, `write`, `rename`, …
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file is not what was written.
    #[error("{} is damaged: {what}; restore it from a backup or import the segments again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Which part, and what is wrong with it.
        what: String,
    },
    /// The file is of a format that this version does not read.
    #[error("{} has format version {found}, this program reads version {supported}", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// The version in the file.
        found: u32,
        /// The version that can be read.
        supported: u32,
    },
    /// The file's keys were made with another secret, so that no cookie would ever be found.
    #[error("{} was built with another identity key: restore that key or import the segments again", path.display())]
    OtherKey {
        /// The file.
        path: PathBuf,
    },
}
