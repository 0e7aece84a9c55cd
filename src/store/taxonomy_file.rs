//! Taxonomies as IAB Tech Lab publishes them: tab-separated tables of ids, parents and names.
//!
//! The files differ in their headers and have quirks, which are borne: a byte order mark, carriage returns, titles above
//! the header, empty first columns and tabs at the end, a node that is its own parent (a root), footnote stars behind
//! names. Content Taxonomy 1.0 has no column of parents: there `IAB1-2` is below `IAB1`.
//!
//! Invariant: what [`parse`] gives are trees, every node after its parent.

use std::collections::{HashMap, HashSet};

/// A node of a taxonomy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its id in the taxonomy.
    pub id: String,
    /// The id of the node above it; `None` = a root.
    pub parent: Option<String>,
    /// Its own name, without those of the nodes above it.
    pub name: String,
    /// The line of the file that it stands on, from 1.
    pub line: usize,
}

/// Why a file is no taxonomy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TaxonomyFileError {
    /// No line is the header.
    #[error(
        "{name}: no line names the columns; one has to say \"Unique ID\" and \"Parent\", or \"IAB Code\""
    )]
    Header {
        /// The file.
        name: String,
    },
    /// There is nothing below the header.
    #[error("{name}: no line below the header has an id")]
    Empty {
        /// The file.
        name: String,
    },
    /// An id that a key cannot be made of.
    #[error("{name}:{line}: {id:?} is no id; it has spaces or characters beyond ASCII")]
    Id {
        /// The file.
        name: String,
        /// The line.
        line: usize,
        /// What stands there.
        id: String,
    },
    /// An id for the second time.
    #[error("{name}:{line}: {id} stands on line {first} already")]
    Twice {
        /// The file.
        name: String,
        /// The line.
        line: usize,
        /// Which id.
        id: String,
        /// Where it stood first.
        first: usize,
    },
    /// A parent that the file does not have.
    #[error("{name}:{line}: {id} is below {parent}, which is on no line")]
    Parent {
        /// The file.
        name: String,
        /// The line.
        line: usize,
        /// The node.
        id: String,
        /// Its missing parent.
        parent: String,
    },
    /// Parents that lead round.
    #[error("{name}:{line}: {id} is below itself")]
    Circle {
        /// The file.
        name: String,
        /// The line.
        line: usize,
        /// The node.
        id: String,
    },
}

/// Where a file has what.
struct Columns {
    id: usize,
    /// `None`: the parent is what stands before the last `-` of the id.
    parent: Option<usize>,
    /// A column of its own for the name.
    name: Option<usize>,
    /// From the widest to the finest; the name is in the last that is not empty.
    tiers: Vec<usize>,
}

impl Columns {
    fn of(cells: &[&str]) -> Option<Columns> {
        let find = |fits: &dyn Fn(&str) -> bool| cells.iter().position(|cell| fits(cell));
        let tiers = (0..cells.len()).filter(|at| cells[*at].starts_with("Tier ")).collect();
        if let Some(id) = find(&|cell| cell == "IAB Code") {
            return Some(Columns { id, parent: None, name: find(&|cell| cell.ends_with("Category")), tiers });
        }
        let (id, parent) = (find(&|cell| cell == "Unique ID")?, find(&|cell| cell.starts_with("Parent"))?);
        Some(Columns { id, parent: Some(parent), name: find(&|cell| cell == "Name"), tiers })
    }

    fn node(&self, cells: &[&str], line: usize) -> Option<Node> {
        let cell = |at: usize| cells.get(at).copied().filter(|cell| !cell.is_empty());
        let id = cell(self.id)?;
        let parent = match self.parent {
            Some(at) => cell(at),
            None => id.rsplit_once('-').map(|(above, _)| above),
        };
        let finest = self.tiers.iter().rev().find_map(|at| cell(*at));
        let name = self.name.and_then(cell).or(finest).unwrap_or(id).trim_end_matches('*').trim_end();
        let parent = parent.filter(|parent| *parent != id).map(str::to_owned);
        Some(Node { id: id.to_owned(), parent, name: name.to_owned(), line })
    }
}

/// Reads the text of a taxonomy; `name` is what errors call it.
///
/// # Errors
/// The first thing that is wrong, with its line.
pub fn parse(text: &str, name: &str) -> Result<Vec<Node>, TaxonomyFileError> {
    let mut columns = None;
    let mut nodes = Vec::new();
    for (at, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let cells: Vec<&str> = line.split('\t').map(str::trim).collect();
        match &columns {
            None => columns = Columns::of(&cells),
            Some(columns) => nodes.extend(Columns::node(columns, &cells, at + 1)),
        }
    }
    if columns.is_none() {
        return Err(TaxonomyFileError::Header { name: name.to_owned() });
    }
    if nodes.is_empty() {
        return Err(TaxonomyFileError::Empty { name: name.to_owned() });
    }
    check(&nodes, name)?;
    in_order(nodes, name)
}

fn check(nodes: &[Node], name: &str) -> Result<(), TaxonomyFileError> {
    let mut lines: HashMap<&str, usize> = HashMap::with_capacity(nodes.len());
    for Node { id, line, .. } in nodes {
        let (name, line) = (name.to_owned(), *line);
        if !id.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(TaxonomyFileError::Id { name, line, id: id.clone() });
        }
        if let Some(first) = lines.insert(id, line) {
            return Err(TaxonomyFileError::Twice { name, line, id: id.clone(), first });
        }
    }
    for Node { id, parent, line, .. } in nodes {
        if let Some(parent) = parent.as_ref().filter(|parent| !lines.contains_key(parent.as_str())) {
            let (name, id, parent) = (name.to_owned(), id.clone(), parent.clone());
            return Err(TaxonomyFileError::Parent { name, line: *line, id, parent });
        }
    }
    Ok(())
}

/// Every node after its parent, else as in the file.
fn in_order(mut nodes: Vec<Node>, name: &str) -> Result<Vec<Node>, TaxonomyFileError> {
    let mut ordered: Vec<Node> = Vec::with_capacity(nodes.len());
    let mut there: HashSet<String> = HashSet::with_capacity(nodes.len());
    while !nodes.is_empty() {
        let before = nodes.len();
        let mut later = Vec::new();
        for node in nodes {
            if node.parent.as_ref().is_none_or(|parent| there.contains(parent)) {
                there.insert(node.id.clone());
                ordered.push(node);
            } else {
                later.push(node);
            }
        }
        if later.len() == before {
            let Node { id, line, .. } = later.swap_remove(0);
            return Err(TaxonomyFileError::Circle { name: name.to_owned(), line, id });
        }
        nodes = later;
    }
    Ok(ordered)
}

/// What names of sensitive nodes begin a word with, unless somebody says otherwise: health, family, finances, faith,
/// politics, origin.
pub const SENSITIVE: [&str; 11] = [
    "health",
    "medic",
    "famil",
    "parent",
    "marital",
    "financ",
    "relig",
    "spiritual",
    "politic",
    "ethnic",
    "pregnan",
];

/// Which nodes are to be marked: those in whose names a word begins with one of `stems`, and that have no such node above
/// them, because what lies below is sensitive with it. In the order of the nodes, which [`parse`] gave.
pub fn sensitive(nodes: &[Node], stems: &[String]) -> Vec<bool> {
    let stems: Vec<String> =
        stems.iter().map(|stem| stem.to_lowercase()).filter(|stem| !stem.is_empty()).collect();
    let says = |name: &str| {
        let name = name.to_lowercase();
        let mut words = name.split(|c: char| !c.is_alphanumeric());
        words.any(|word| stems.iter().any(|stem| word.starts_with(stem.as_str())))
    };
    // Whether it, or one above it, is.
    let mut is_so: HashMap<&str, bool> = HashMap::with_capacity(nodes.len());
    nodes
        .iter()
        .map(|node| {
            let above = node.parent.as_ref().is_some_and(|parent| is_so.get(parent.as_str()) == Some(&true));
            let own = !above && says(&node.name);
            is_so.insert(&node.id, above || own);
            own
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every quirk at once: a mark, a title, an empty first column, a child before its parent, stars, a node above itself.
    const QUIRKS: &str = "\u{feff}A title\t\t\r\n\tUnique ID\tParent ID\tCondensed\tTier 1\tTier 2\tNotes\r\n\
        \t3\t2\tInterest | Running |\tInterest\tRunning\t\t\t\r\n\t2\t\tInterest\tInterest\t\tx\r\n\r\n\
        \t9\t9\tPurchase*\tPurchase Intent*\t\t\r\n\t\t\ta footnote\r\n\t10\t9\tp\tPurchase Intent*\tHealthcare\r\n";

    fn node(id: &str, parent: Option<&str>, name: &str, line: usize) -> Node {
        Node { id: id.to_owned(), parent: parent.map(str::to_owned), name: name.to_owned(), line }
    }

    #[test]
    fn quirks_of_the_published_files_are_borne() {
        let expected = [
            node("2", None, "Interest", 4),
            node("9", None, "Purchase Intent", 6),
            node("10", Some("9"), "Healthcare", 8),
            node("3", Some("2"), "Running", 3),
        ];
        assert_eq!(parse(QUIRKS, "a.tsv").unwrap(), expected);
        let codes = "IAB Code\tTier\tIIAB Category\nIAB1\tTier 1\tArts\nIAB1-2\tTier 2\tBooks\n";
        let expected = [node("IAB1", None, "Arts", 2), node("IAB1-2", Some("IAB1"), "Books", 3)];
        assert_eq!(parse(codes, "a.tsv").unwrap(), expected);
    }

    #[test]
    fn what_is_no_tree_is_refused_with_its_line() {
        let check = |rows: &str, expected: &str| {
            let why = parse(&format!("Unique ID\tParent\tName\n{rows}"), "a.tsv").unwrap_err().to_string();
            assert!(why.starts_with(expected), "{why}");
        };
        check("1\t\tA\n2\t7\tB\n", "a.tsv:3: 2 is below 7");
        check("1\t\tA\n1\t\tB\n", "a.tsv:3: 1 stands on line 2");
        check("1\t2\tA\n2\t1\tB\n", "a.tsv:2: 1 is below itself");
        check("1 2\t\tA\n", "a.tsv:2: \"1 2\" is no id");
        check("", "a.tsv: no line below");
        assert!(parse("id,parent\n1,\n", "a.tsv").unwrap_err().to_string().contains("Unique ID"));
    }

    #[test]
    fn the_highest_node_that_says_it_is_marked() {
        let nodes = [
            node("1", None, "Medical Health", 2),
            node("2", Some("1"), "Health insurance", 3),
            node("3", None, "Sports", 4),
            node("4", Some("3"), "Unhealthy sports", 5),
            node("5", Some("3"), "Sports, family", 6),
        ];
        assert_eq!(sensitive(&nodes, &SENSITIVE.map(str::to_owned)), [true, false, false, false, true]);
        assert_eq!(sensitive(&nodes, &["SPORT".to_owned()]), [false, false, true, false, false]);
        assert_eq!(sensitive(&nodes, &[String::new()]), [false; 5]);
    }
}
