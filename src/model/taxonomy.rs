//! A classification tree, numbered so that "is under" is two comparisons: a node's descendants are the nodes whose
//! entry number lies in its interval (Euler tour).

use super::behaviour::Source;
use super::ids::SegmentId;
use std::collections::BTreeMap;

/// A node as configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// Id in the append-only dictionary.
    pub id: SegmentId,
    /// Unique key for files and people, such as `persona.wealthy`.
    pub key: String,
    /// For people.
    pub name: String,
    /// The node above; `None` = a root or a flat segment.
    pub parent: Option<SegmentId>,
    /// Health, family, finances: a membership counts only with explicit consent on record. Holds for every node
    /// below this one as well.
    pub sensitive: bool,
    /// How people come into it, besides being put there by lists.
    pub source: Source,
    /// What else is said of the node, such as `price_level` = `premium`: by name, for people and their programs.
    pub values: BTreeMap<String, String>,
    /// What exchanges and publishers say in `user.data` that means this node.
    pub external: Vec<ExternalSegment>,
}

/// A segment as others name it: `user.data.ext.segtax` and `user.data.segment.id` (IAB "Segment Taxonomies" extension).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExternalSegment {
    /// The taxonomy's number in the IAB's list; 4 = Audience Taxonomy 1.1, from 500 on private ones.
    pub segtax: u32,
    /// `user.data.name` or the domain of the provider that this is said by; `None` = whoever says it.
    pub provider: Option<String>,
    /// The id in that taxonomy.
    pub id: String,
}

/// Every tree of an account, immutable.
#[derive(Clone, Debug, Default)]
pub struct Taxonomy {
    /// By segment id: (entry, one past the last descendant's entry); (0, 0) = unknown id.
    intervals: Vec<(u32, u32)>,
    /// Segment ids by entry number (which starts at 1).
    by_entry: Vec<SegmentId>,
    /// By segment id: the node or one above it is sensitive.
    sensitive: Vec<bool>,
    /// Keys by segment id, for people.
    keys: Vec<Box<str>>,
}

/// Why a set of segments is no forest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TaxonomyError {
    /// Two nodes have one id.
    #[error("segment id {0} is used twice")]
    DuplicateId(SegmentId),
    /// The parent is not among the nodes.
    #[error("segment {child} names the parent {parent}, which does not exist")]
    UnknownParent {
        /// The node.
        child: SegmentId,
        /// Its missing parent.
        parent: SegmentId,
    },
    /// The parents lead round in a circle.
    #[error("segment {0} is its own ancestor")]
    Cycle(SegmentId),
}

impl Taxonomy {
    /// Numbers the nodes. A node that names itself as parent is taken as a root (IAB files contain one).
    pub fn build(segments: &[Segment]) -> Result<Taxonomy, TaxonomyError> {
        let mut children: BTreeMap<Option<SegmentId>, Vec<SegmentId>> = BTreeMap::new();
        let mut known = BTreeMap::new();
        for segment in segments {
            if known.insert(segment.id, segment.sensitive).is_some() {
                return Err(TaxonomyError::DuplicateId(segment.id));
            }
        }
        for segment in segments {
            let parent = segment.parent.filter(|p| *p != segment.id);
            if let Some(parent) = parent
                && !known.contains_key(&parent)
            {
                return Err(TaxonomyError::UnknownParent { child: segment.id, parent });
            }
            children.entry(parent).or_default().push(segment.id);
        }
        let size = known.keys().next_back().map_or(0, |id| id.0 as usize + 1);
        let mut tree = Taxonomy {
            intervals: vec![(0, 0); size],
            by_entry: Vec::new(),
            sensitive: vec![false; size],
            keys: vec![Box::default(); size],
        };
        for segment in segments {
            tree.keys[segment.id.0 as usize] = segment.key.as_str().into();
        }
        for (id, sensitive) in &known {
            tree.sensitive[id.0 as usize] = *sensitive;
        }
        tree.number(&children);
        match known.keys().find(|id| tree.intervals[id.0 as usize].0 == 0) {
            Some(unreached) => Err(TaxonomyError::Cycle(*unreached)),
            None => {
                tree.inherit_sensitivity();
                Ok(tree)
            }
        }
    }

    /// What lies under a sensitive node is sensitive: otherwise a finer label would escape the rule of its parent.
    fn inherit_sensitivity(&mut self) {
        let mut sensitive_until = 0;
        for (id, entry) in self.by_entry.iter().zip(1..) {
            let index = id.0 as usize;
            if entry < sensitive_until {
                self.sensitive[index] = true;
            } else if self.sensitive[index] {
                sensitive_until = self.intervals[index].1;
            }
        }
    }

    /// Iterative pre-order walk: depth is unlimited, so recursion is not an option.
    fn number(&mut self, children: &BTreeMap<Option<SegmentId>, Vec<SegmentId>>) {
        enum Step {
            Enter(SegmentId),
            Leave(SegmentId),
        }
        let of = |id: Option<SegmentId>| children.get(&id).map_or(&[][..], Vec::as_slice);
        let mut stack: Vec<Step> = of(None).iter().rev().map(|id| Step::Enter(*id)).collect();
        while let Some(step) = stack.pop() {
            match step {
                Step::Enter(id) => {
                    self.by_entry.push(id);
                    self.intervals[id.0 as usize].0 = self.by_entry.len() as u32;
                    stack.push(Step::Leave(id));
                    stack.extend(of(Some(id)).iter().rev().map(|child| Step::Enter(*child)));
                }
                Step::Leave(id) => self.intervals[id.0 as usize].1 = self.by_entry.len() as u32 + 1,
            }
        }
    }

    /// The half-open interval of entry numbers of `id` and everything below it; `None` for an unknown id.
    pub fn interval(&self, id: SegmentId) -> Option<(u32, u32)> {
        self.intervals.get(id.0 as usize).copied().filter(|(entry, _)| *entry != 0)
    }

    /// Whether `id` is `node` or a descendant of it. A segment that no tree knows is under itself only.
    pub fn is_under(&self, id: SegmentId, node: SegmentId) -> bool {
        match (self.interval(id), self.interval(node)) {
            (Some((entry, _)), Some((from, to))) => (from..to).contains(&entry),
            _ => id == node,
        }
    }

    /// `node` and everything below it; for a segment that no tree knows, nothing.
    pub fn descendants(&self, node: SegmentId) -> &[SegmentId] {
        let (from, to) = self.interval(node).unwrap_or((1, 1));
        &self.by_entry[from as usize - 1..to as usize - 1]
    }

    /// The key of a segment for people; its number where the trees do not know it.
    pub fn label(&self, id: SegmentId) -> String {
        match self.keys.get(id.0 as usize) {
            Some(key) if !key.is_empty() => key.to_string(),
            _ => id.to_string(),
        }
    }

    /// Whether a membership of `id` needs explicit consent: the node or one above it is sensitive.
    pub fn is_sensitive(&self, id: SegmentId) -> bool {
        self.sensitive.get(id.0 as usize).copied().unwrap_or(false)
    }
}

/// Whether some entry number of a user lies in an interval of [`Taxonomy::interval`]; `entries` ascend.
pub fn any_within(entries: &[u32], (from, to): (u32, u32)) -> bool {
    let first = entries.partition_point(|entry| *entry < from);
    entries.get(first).is_some_and(|entry| *entry < to)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: u32, parent: Option<u32>) -> Segment {
        Segment {
            id: SegmentId(id),
            key: format!("s{id}"),
            name: String::new(),
            parent: parent.map(SegmentId),
            sensitive: id == 4,
            ..Segment::default()
        }
    }

    #[test]
    fn a_node_includes_its_descendants_and_nothing_else() {
        let tree = Taxonomy::build(&[
            node(3, Some(1)),
            node(1, None),
            node(4, Some(3)),
            node(7, None),
            node(9, Some(9)),
        ])
        .unwrap();
        assert!(tree.is_under(SegmentId(4), SegmentId(1)));
        assert!(tree.is_under(SegmentId(1), SegmentId(1)));
        assert!(!tree.is_under(SegmentId(1), SegmentId(4)));
        assert!(!tree.is_under(SegmentId(7), SegmentId(1)));
        assert!(tree.is_under(SegmentId(99), SegmentId(99)));
        assert_eq!(tree.descendants(SegmentId(3)), [SegmentId(3), SegmentId(4)]);
        assert!(tree.is_sensitive(SegmentId(4)) && !tree.is_sensitive(SegmentId(3)));
    }

    #[test]
    fn what_lies_under_a_sensitive_node_is_sensitive() {
        let tree = Taxonomy::build(&[
            node(2, Some(4)),
            node(4, Some(1)),
            node(1, None),
            node(5, Some(2)),
            node(6, Some(1)),
            node(7, None),
        ])
        .unwrap();
        let sensitive: Vec<u32> = (0..9).filter(|id| tree.is_sensitive(SegmentId(*id))).collect();
        assert_eq!(sensitive, [2, 4, 5]);
    }

    #[test]
    fn what_is_no_forest_is_refused() {
        assert_eq!(
            Taxonomy::build(&[node(1, Some(2)), node(2, Some(1))]).unwrap_err(),
            TaxonomyError::Cycle(SegmentId(1))
        );
        assert_eq!(
            Taxonomy::build(&[node(1, None), node(1, None)]).unwrap_err(),
            TaxonomyError::DuplicateId(SegmentId(1))
        );
        assert!(matches!(Taxonomy::build(&[node(1, Some(8))]), Err(TaxonomyError::UnknownParent { .. })));
    }
}
