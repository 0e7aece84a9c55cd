//! The import direction of ARCHITECTURE.md, file sizes, and what must not stand in the sources.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Who may import whom; `*` = anything. `telemetry` is free to all.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("telemetry", &["model"]),
    ("exchange", &["model"]),
    ("privacy", &["model"]),
    ("targeting", &["model"]),
    ("pricing", &["model"]),
    ("budget", &["model"]),
    ("events", &["model"]),
    ("store", &["model"]),
    ("config", &["model"]),
    ("contacts", &["model"]),
    ("forecast", &["model"]),
    ("funnel", &["model"]),
    ("samples", &["model"]),
    ("audience", &["model", "privacy"]),
    ("engine", &["model", "privacy", "audience", "targeting", "pricing", "budget"]),
    (
        "serve",
        &[
            "model", "engine", "events", "exchange", "budget", "audience", "contacts", "privacy", "config",
            "forecast", "funnel", "samples",
        ],
    ),
    (
        "admin",
        &[
            "model", "serve", "exchange", "budget", "audience", "contacts", "store", "config", "funnel",
            "forecast", "samples",
        ],
    ),
    ("cli", &["*"]),
    ("sim", &["*"]),
];

/// What the decision and everything below it must do without, so that it can be benchmarked, fuzzed and replayed.
const PURE: &[&str] = &["model", "privacy", "audience", "targeting", "pricing", "budget", "engine"];
const IMPURE: &[&str] = &["tokio", "hyper", "hyper_util", "serde_json", "socket2", "clap"];

/// A file is looked at again at this length.
const MAX_LINES: usize = 600;

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("the folder exists") {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every source file of the package with its module (the first folder or file below `src`) and its text, comments and
/// strings of documentation left out.
fn modules() -> Vec<(String, PathBuf, String)> {
    let mut files = Vec::new();
    sources(&root().join("src"), &mut files);
    files
        .into_iter()
        .map(|path| {
            let below = path.strip_prefix(root().join("src")).expect("found below src");
            let first = below.iter().next().expect("not empty").to_string_lossy();
            let module = first.strip_suffix(".rs").unwrap_or(&first).to_owned();
            let text = fs::read_to_string(&path).expect("readable");
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>();
            (module, path, code.join("\n"))
        })
        .collect()
}

/// The modules that `code` names as `crate::x`, also inside a group `use crate::{a, b::c}`.
fn imports(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let names = match rest.strip_prefix('{') {
            Some(group) => top_level(group),
            None => vec![rest],
        };
        for name in names {
            let name: String =
                name.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            found.push(name);
        }
    }
    found
}

/// The entries of a group, up to its closing brace.
fn top_level(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut entries) = (0, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                entries.push(&group[start..at]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                entries.push(&group[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    entries
}

#[test]
fn imports_only_go_down() {
    let allowed: BTreeMap<&str, &[&str]> = MAY_IMPORT.iter().copied().collect();
    let mut broken = Vec::new();
    for (module, path, code) in modules() {
        if module == "main" || module == "lib" {
            continue;
        }
        let Some(may) = allowed.get(module.as_str()) else {
            broken.push(format!("{}: module {module} is not in the list of this test", path.display()));
            continue;
        };
        for import in imports(&code) {
            let fine = import == module
                || import == "telemetry"
                || may.contains(&"*")
                || may.contains(&import.as_str())
                // A macro or item of the crate's root is no module.
                || !allowed.contains_key(import.as_str());
            if !fine {
                broken.push(format!("{}: {module} must not import {import}", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "imports that go back up:\n{}", broken.join("\n"));
}

#[test]
fn only_main_imports_the_commands() {
    for (module, path, code) in modules() {
        if module != "main" && module != "lib" && module != "cli" {
            assert!(!imports(&code).contains(&"cli".to_owned()), "{} imports cli", path.display());
        }
    }
}

#[test]
fn the_decision_and_everything_below_it_stays_pure() {
    let mut broken = Vec::new();
    for (module, path, code) in modules().into_iter().filter(|(module, ..)| PURE.contains(&module.as_str())) {
        for name in IMPURE {
            let used = code.match_indices(&format!("{name}::")).any(|(at, _)| {
                // `tracing::` must not count for a crate that ends alike.
                !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_')
            });
            if used {
                broken.push(format!("{}: {module} uses {name}", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_load_generator_imports_nothing_of_the_engine() {
    let mut files = Vec::new();
    sources(&root().join("loadtest/src"), &mut files);
    for path in files {
        let text = fs::read_to_string(&path).expect("readable");
        assert!(!text.contains("outbid::"), "{} imports the engine", path.display());
    }
    let manifest = fs::read_to_string(root().join("loadtest/Cargo.toml")).expect("readable");
    assert!(!manifest.contains("path = \"..\""), "loadtest depends on the engine");
}

#[test]
fn no_file_outgrows_its_subject() {
    let mut files = Vec::new();
    for dir in ["src", "loadtest/src", "tests/it", "benches"] {
        sources(&root().join(dir), &mut files);
    }
    let lines = |path: &PathBuf| fs::read_to_string(path).expect("readable").lines().count();
    let long: Vec<String> = files
        .iter()
        .filter(|path| lines(path) > MAX_LINES)
        .map(|path| format!("{}: {} lines", path.display(), lines(path)))
        .collect();
    assert!(long.is_empty(), "files over {MAX_LINES} lines; do they hold two things?\n{}", long.join("\n"));
}

/// The rows of the tables in a page: the first cell and the rest.
fn table_rows(page: &str) -> Vec<(&str, &str)> {
    let cells =
        page.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | "));
    cells.filter(|(row, _)| *row != "row").collect()
}

/// What stands between backticks in the part of a cell that names tests, which ends where what is missing is told.
fn named_tests(cell: &str) -> Vec<&str> {
    let tests = cell.split("not built:").next().unwrap_or_default();
    tests.split('`').skip(1).step_by(2).filter(|name| name.len() > 12 && name.contains('_')).collect()
}

#[test]
fn every_row_of_openrtb_has_a_test_that_exists_or_says_what_is_missing() {
    let page = fs::read_to_string(root().join("docs/openrtb.md")).expect("readable");
    let mut files = Vec::new();
    for dir in ["src", "tests/it"] {
        sources(&root().join(dir), &mut files);
    }
    let code: String = files.iter().map(|path| fs::read_to_string(path).expect("readable")).collect();
    let exists = |name: &str| code.contains(&format!("fn {name}("));
    let rows = table_rows(&page);
    assert!(rows.len() > 90, "{} rows", rows.len());
    let mut broken = Vec::new();
    for (row, cell) in &rows {
        let tests = named_tests(cell);
        let said = cell.contains("not built: ") || cell.starts_with("section");
        if tests.is_empty() && !said {
            broken.push(format!("{row}: no test and no word of what is missing"));
        }
        let missing = tests.into_iter().filter(|name| !exists(name));
        broken.extend(missing.map(|name| format!("{row}: no test is called {name}")));
    }
    assert!(broken.is_empty(), "docs/openrtb.md:\n{}", broken.join("\n"));
    for mistake in 1..=12 {
        let is_here = |(row, _): &(&str, &str)| row.starts_with(&format!("{mistake} "));
        assert!(rows.iter().any(is_here), "mistake {mistake} has no row");
    }
}

#[test]
fn every_test_of_a_row_is_in_the_page() {
    let page = fs::read_to_string(root().join("docs/openrtb.md")).expect("readable");
    let mut files = Vec::new();
    for dir in ["src", "tests/it"] {
        sources(&root().join(dir), &mut files);
    }
    for (path, prefix) in files.iter().flat_map(|path| ["row_1_", "mistake_"].map(|prefix| (path, prefix))) {
        let code = fs::read_to_string(path).expect("readable");
        let named = format!("fn {prefix}");
        for (at, _) in code.match_indices(&named) {
            let name = code[at + "fn ".len()..].split('(').next().expect("not empty");
            assert!(page.contains(&format!("`{name}`")), "{}: {name} is in no row", path.display());
        }
    }
}

#[test]
fn the_import_reader_sees_what_it_must() {
    let code = "use crate::{a::b, c::{d, e}, f};\nfn g() { crate::h::i() }";
    assert_eq!(imports(code), ["a", "c", "f", "h"]);
}

/// The names in backticks of the table that says which trial is shown where.
fn index() -> Vec<String> {
    let page = fs::read_to_string(root().join("docs/trials.md")).expect("readable");
    let section = page.split("\n## ").find(|section| section.starts_with("Which trial is shown where"));
    let rows = section.expect("the index of trials").lines().filter(|line| line.starts_with("| "));
    rows.flat_map(|row| row.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// Whether a source file that `module` names has a test of that name, or one that begins so before a `*`.
fn is_test(files: &[(PathBuf, String)], module: &str, name: &str) -> bool {
    let file = module.replace("::", "/");
    let ends = [format!("/{file}.rs"), format!("/{file}/mod.rs")];
    let texts = files.iter().filter(|(path, _)| {
        let path = path.to_string_lossy();
        ends.iter().any(|end| path.ends_with(end))
    });
    let wanted = match name.strip_suffix('*') {
        Some(beginning) => format!("fn {beginning}"),
        None => format!("fn {name}("),
    };
    texts.into_iter().any(|(_, text)| {
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        let is_one = |at: usize| lines[..at].iter().rev().take(3).any(|line| *line == "#[test]");
        (0..lines.len()).any(|at| lines[at].starts_with(&wanted) && is_one(at))
    })
}

#[test]
fn every_trial_of_the_index_exists() {
    let mut paths = Vec::new();
    sources(&root().join("src"), &mut paths);
    sources(&root().join("tests"), &mut paths);
    let files: Vec<(PathBuf, String)> =
        paths.into_iter().map(|path| (path.clone(), fs::read_to_string(path).expect("readable"))).collect();
    let script = fs::read_to_string(root().join("scripts/trials")).expect("readable");
    let exists = |name: &str| match (name.strip_prefix("scripts/trials "), name.rsplit_once("::")) {
        (Some(trial), _) => script.contains(&format!("#   scripts/trials {trial}")),
        (None, Some((module, name))) => is_test(&files, module, name),
        (None, None) => false,
    };
    let names = index();
    assert!(names.len() > 40, "{} names", names.len());
    let gone: Vec<&String> = names.iter().filter(|name| !exists(name)).collect();
    assert!(gone.is_empty(), "docs/trials.md names what does not exist: {gone:?}");
    // It can fail.
    assert!(!exists("token::served::d3_nothing") && !exists("scripts/trials nothing"));
}
