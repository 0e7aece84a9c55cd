//! Who is in which segment, and the trees above the segments.
//!
//! Segment ids are ranks from 1 by popularity, so that the frequent ones take the short form of the audience index.
//! Above them stand nodes of eight neighbours each, and above those sixteen roots; users are in leaves only.

use super::WorldParams;
use super::dice::{Dice, Zipf};
use crate::model::ids::SegmentId;
use crate::model::taxonomy::Segment;

/// Segments that every user is in.
pub const MEMBERSHIPS_PER_USER: usize = 12;

/// Leaves under one node.
pub(super) const LEAVES_PER_NODE: u32 = 8;

/// Trees.
const ROOTS: u32 = 16;

/// Kind of the random stream.
const STREAM: u64 = u64::from_be_bytes(*b"audience");

/// The memberships of all users, computed when asked for.
#[derive(Clone, Debug)]
pub struct Memberships {
    seed: u64,
    ranks: Zipf,
}

impl Memberships {
    /// For checked parameters.
    pub fn new(params: &WorldParams) -> Memberships {
        Memberships { seed: params.seed, ranks: Zipf::new(1, u64::from(params.segments)) }
    }

    /// The [`MEMBERSHIPS_PER_USER`] segments of user `index` (from 0), ascending, no two alike: Zipf over all
    /// segments. The user's cookie is `dice::cookie(seed, index)`.
    pub fn of(&self, index: u64) -> impl Iterator<Item = SegmentId> + use<> {
        let mut dice = Dice::new(self.seed, STREAM, index);
        let mut held = [SegmentId(0); MEMBERSHIPS_PER_USER];
        let mut count = 0;
        while count < MEMBERSHIPS_PER_USER {
            let segment = SegmentId(self.ranks.draw(&mut dice) as u32);
            if !held[..count].contains(&segment) {
                held[count] = segment;
                count += 1;
            }
        }
        held.sort_unstable();
        held.into_iter()
    }
}

/// The node above the leaf of this rank.
pub(super) fn node_above(params: &WorldParams, rank: u32) -> SegmentId {
    SegmentId(params.segments + ROOTS + 1 + (rank - 1) / LEAVES_PER_NODE)
}

/// All segments and nodes. None is sensitive: an ordinary consent is enough.
pub(super) fn segments(params: &WorldParams) -> Vec<Segment> {
    let leaves = params.segments;
    let root = |n: u32| SegmentId(leaves + 1 + n % ROOTS);
    let segment = |id: SegmentId, key: String, name: String, parent: Option<SegmentId>| Segment {
        id,
        key,
        name,
        parent,
        sensitive: false,
        ..Segment::default()
    };
    let leaf = |rank: u32| {
        let parent = Some(node_above(params, rank));
        segment(SegmentId(rank), format!("load.s{rank}"), format!("Segment {rank}"), parent)
    };
    let node = |n: u32| {
        let id = node_above(params, n * LEAVES_PER_NODE + 1);
        segment(id, format!("load.n{n}"), format!("Group {n}"), Some(root(n)))
    };
    let tree = |n: u32| segment(root(n), format!("load.t{n}"), format!("Tree {n}"), None);
    let nodes = leaves.div_ceil(LEAVES_PER_NODE);
    (1..=leaves).map(leaf).chain((0..ROOTS).map(tree)).chain((0..nodes).map(node)).collect()
}
