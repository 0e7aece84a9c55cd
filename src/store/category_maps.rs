//! Imported mappings between category taxonomies: tab-separated files as IAB Tech Lab publishes them, one for each pair
//! of taxonomies, kept in the data directory as `taxonomies/<from>-to-<to>.tsv`.

use super::durable;
use crate::model::category::CategoryMap;
use std::io;
use std::path::{Path, PathBuf};

/// Why a mapping was not read or kept.
#[derive(Debug, thiserror::Error)]
pub enum CategoryMapError {
    /// The operating system refused something.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The header does not name two columns of ids.
    #[error("{name}: the first line has to name two columns that end with \"Unique ID\", it names {found}")]
    Header {
        /// The file.
        name: String,
        /// How many it names.
        found: usize,
    },
    /// No line maps anything.
    #[error("{name}: no line maps a category")]
    Empty {
        /// The file.
        name: String,
    },
}

/// Reads the text of a mapping: the first two columns whose header ends with "Unique ID". Lines without a category on
/// either side map nothing.
pub fn parse(text: &str, name: &str, from: u16, to: u16) -> Result<CategoryMap, CategoryMapError> {
    let mut lines = text.trim_start_matches('\u{feff}').lines();
    let header = lines.next().unwrap_or_default().split('\t');
    let columns: Vec<usize> = header
        .enumerate()
        .filter(|(_, title)| title.trim().ends_with("Unique ID"))
        .map(|(at, _)| at)
        .collect();
    let [one, other, ..] = columns[..] else {
        return Err(CategoryMapError::Header { name: name.to_owned(), found: columns.len() });
    };
    let pair = |line: &str| {
        let fields: Vec<&str> = line.split('\t').map(str::trim).collect();
        let (ours, theirs) = (*fields.get(one)?, *fields.get(other)?);
        (!ours.is_empty() && !theirs.is_empty()).then(|| (ours.to_owned(), theirs.to_owned()))
    };
    let pairs: Vec<(String, String)> = lines.filter_map(pair).collect();
    if pairs.is_empty() {
        return Err(CategoryMapError::Empty { name: name.to_owned() });
    }
    Ok(CategoryMap { from, to, pairs })
}

/// Checks a file and keeps it in `dir`, in place of an earlier one for the same taxonomies.
pub fn import(file: &Path, from: u16, to: u16, dir: &Path) -> Result<CategoryMap, CategoryMapError> {
    let text = std::fs::read_to_string(file).map_err(io_error("read", file))?;
    let map = parse(&text, &file.display().to_string(), from, to)?;
    std::fs::create_dir_all(dir).map_err(io_error("create", dir))?;
    let kept = dir.join(format!("{from}-to-{to}.tsv"));
    durable::replace(&kept, 0o640, |out| out.write_all(text.as_bytes())).map_err(io_error("write", &kept))?;
    Ok(map)
}

/// Every mapping that was imported into `dir`, in the order of its names; none where the directory is missing.
pub fn read_all(dir: &Path) -> Result<Vec<CategoryMap>, CategoryMapError> {
    let mut files = Vec::new();
    match std::fs::read_dir(dir) {
        Ok(entries) => {
            for entry in entries {
                files.push(entry.map_err(io_error("read", dir))?.path());
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io_error("read", dir)(error)),
    }
    files.sort();
    let taxonomies = |path: &Path| {
        let (from, to) = path.file_name()?.to_str()?.strip_suffix(".tsv")?.split_once("-to-")?;
        Some((from.parse().ok()?, to.parse().ok()?))
    };
    let known = files.iter().filter_map(|path| Some((path, taxonomies(path)?)));
    known
        .map(|(path, (from, to))| {
            let text = std::fs::read_to_string(path).map_err(io_error("read", path))?;
            parse(&text, &path.display().to_string(), from, to)
        })
        .collect()
}

fn io_error<'p>(action: &'static str, path: &'p Path) -> impl FnOnce(io::Error) -> CategoryMapError + 'p {
    move |source| CategoryMapError::Io { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "One Unique ID\tOne Tier 1\tOther Unique ID\tOther Tier 1\r\nIAB1\tArts\t1008\tArt\r\nIAB2\tCars\t\t\r\n";

    #[test]
    fn a_mapping_is_imported_and_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let (file, kept) = (dir.path().join("given.tsv"), dir.path().join("taxonomies"));
        assert!(read_all(&kept).unwrap().is_empty());
        std::fs::write(&file, TEXT).unwrap();
        let map = import(&file, 1, 8, &kept).unwrap();
        assert_eq!(map.pairs, [("IAB1".to_owned(), "1008".to_owned())]);
        std::fs::write(kept.join("notes.txt"), "for people").unwrap();
        assert_eq!(read_all(&kept).unwrap(), [map]);
    }

    #[test]
    fn what_maps_nothing_is_refused_with_its_name() {
        let header = parse("a\tb\n", "x.tsv", 1, 8).unwrap_err().to_string();
        assert!(header.contains("x.tsv") && header.contains("names 0"), "{header}");
        let empty = parse("A Unique ID\tB Unique ID\n\tx\n", "x.tsv", 1, 8).unwrap_err().to_string();
        assert!(empty.contains("no line maps"), "{empty}");
    }

    /// The real file, where it lies.
    #[test]
    fn the_published_mapping_is_read() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../shared/data/taxonomies/Content 1.0 to Ad Product 2.0.tsv");
        let Ok(text) = std::fs::read_to_string(&path) else {
            eprintln!("SKIPPED: {} is missing, nothing is shown about published mappings", path.display());
            return;
        };
        let map = parse(&text, "published", 1, 8).unwrap();
        assert!(map.pairs.len() > 350, "{}", map.pairs.len());
        assert_eq!(map.translate(1, 8, &["IAB1-6".to_owned()]), Some(vec!["1419".to_owned()]));
    }
}
