//! The file: made, brought up to date, refused, and whole after an end without a close.

use super::{get, insert, new, open};
use outbid::store::control::{ControlError, Kind, VERSION};
use rusqlite::Connection;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// The steps as they stand in the sources, oldest first.
fn steps() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/control/migrations");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

fn pragma(path: &Path, name: &str) -> i64 {
    Connection::open(path).unwrap().pragma_query_value(None, name, |row| row.get(0)).unwrap()
}

/// Every table, index and trigger with its text.
fn schema(path: &Path) -> Vec<(String, Option<String>)> {
    let connection = Connection::open(path).unwrap();
    let mut rows = connection.prepare("SELECT name, sql FROM sqlite_schema ORDER BY name").unwrap();
    rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
}

#[test]
fn a_new_file_gets_all_tables_and_only_its_owner_may_read_it() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("control.db");
    let control = open(&path).unwrap();
    insert(&control, new(Kind::Advertiser, "A")).unwrap();
    for file in ["control.db", "control.db-wal", "control.db-shm"] {
        let mode = std::fs::metadata(temp.path().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    drop(control);
    assert!(!temp.path().join("control.db-wal").exists(), "the log is folded in at a clean end");
    assert_eq!(pragma(&path, "user_version"), VERSION);
    assert_eq!(pragma(&path, "application_id"), 0x6f75_7462);
}

#[test]
fn a_database_of_every_older_version_comes_to_the_same_tables_and_keeps_its_rows() {
    let temp = tempfile::tempdir().unwrap();
    let fresh = temp.path().join("fresh.db");
    drop(open(&fresh).unwrap());
    let steps = steps();
    assert_eq!(steps.len() as i64, VERSION);
    for version in 0..=steps.len() {
        let path = temp.path().join(format!("{version}.db"));
        let old = Connection::open(&path).unwrap();
        for step in &steps[..version] {
            old.execute_batch(step).unwrap();
        }
        if version > 0 {
            old.pragma_update(None, "application_id", 0x6f75_7462).unwrap();
            old.pragma_update(None, "user_version", version as i64).unwrap();
            let row = "INSERT INTO resource VALUES \
                ('advertiser', 7, 0, NULL, 'Old', 'old', NULL, 'active', 3, 1, 2, '{\"a\":1}')";
            old.execute_batch(row).unwrap();
        }
        drop(old);
        let control = open(&path).unwrap();
        assert_eq!(get(&control, Kind::Advertiser, 7).map(|row| row.version), (version > 0).then_some(3));
        drop(control);
        assert_eq!(schema(&path), schema(&fresh), "from version {version}");
    }
}

#[test]
fn opening_again_changes_nothing() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("control.db");
    let control = open(&path).unwrap();
    let row = insert(&control, new(Kind::Exchange, "E")).unwrap();
    let generation = control.generation();
    drop(control);
    let before = schema(&path);
    let control = open(&path).unwrap();
    assert_eq!(get(&control, Kind::Exchange, row.id), Some(row));
    assert_eq!(control.generation(), generation);
    drop(control);
    assert_eq!(schema(&path), before);
}

#[test]
fn a_file_that_is_newer_foreign_or_damaged_is_refused_and_left_alone() {
    let temp = tempfile::tempdir().unwrap();
    let check = |name: &str, make: &dyn Fn(&Path), fits: fn(&ControlError) -> bool, says: &str| {
        let path = temp.path().join(name);
        make(&path);
        let before = std::fs::read(&path).unwrap();
        let why = open(&path).unwrap_err();
        assert!(fits(&why), "{name}: {why:?}");
        let text = why.to_string();
        assert!(text.contains(says) && text.contains(name), "{text}");
        assert_eq!(std::fs::read(&path).unwrap(), before, "{name} was changed");
    };
    let newer = |path: &Path| {
        drop(open(path).unwrap());
        let connection = Connection::open(path).unwrap();
        connection.pragma_update(None, "journal_mode", "DELETE").unwrap();
        connection.pragma_update(None, "user_version", VERSION + 1).unwrap();
    };
    check("newer.db", &newer, |why| matches!(why, ControlError::Newer { .. }), "run the newer program");
    let foreign = |path: &Path| {
        Connection::open(path)
            .unwrap()
            .execute_batch("CREATE TABLE other (a); PRAGMA application_id = 5")
            .unwrap();
    };
    check(
        "foreign.db",
        &foreign,
        |why| matches!(why, ControlError::Foreign { found: 5, .. }),
        "another path",
    );
    let text = |path: &Path| {
        std::fs::write(path, "no database at all, but long enough for a header".repeat(9)).unwrap()
    };
    let damaged = |why: &ControlError| matches!(why, ControlError::Damaged { .. });
    check("text.db", &text, damaged, "restore it from a backup");
    let torn = |path: &Path| {
        let control = open(path).unwrap();
        for number in 0..300 {
            insert(&control, new(Kind::Advertiser, &format!("advertiser {number}"))).unwrap();
        }
        drop(control);
        Connection::open(path).unwrap().pragma_update(None, "journal_mode", "DELETE").unwrap();
        let mut bytes = std::fs::read(path).unwrap();
        // The pages behind the schema, but not the last: content, not the header.
        let half = bytes.len() / 2;
        bytes[half..half + 8192].fill(0xa5);
        std::fs::write(path, bytes).unwrap();
    };
    check("torn.db", &torn, damaged, "restore it from a backup");
    let missing = open(&temp.path().join("no/such/control.db")).unwrap_err();
    assert!(matches!(missing, ControlError::Io { .. }), "{missing:?}");
}

#[test]
fn what_was_answered_is_there_after_an_end_without_a_close() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("control.db");
    let control = open(&path).unwrap();
    let rows: Vec<_> =
        (0..20).map(|number| insert(&control, new(Kind::List, &number.to_string())).unwrap()).collect();
    // What a killed process leaves: the files as they are now, the index of the log among them or not.
    for with_index in [true, false] {
        let image = tempfile::tempdir().unwrap();
        let files: &[&str] = if with_index { &["", "-wal", "-shm"] } else { &["", "-wal"] };
        for file in files {
            let name = format!("control.db{file}");
            std::fs::copy(temp.path().join(&name), image.path().join(&name)).unwrap();
        }
        let again = open(&image.path().join("control.db")).unwrap();
        for row in &rows {
            assert_eq!(get(&again, row.kind, row.id).as_ref(), Some(row));
        }
        assert_eq!(again.generation(), control.generation());
    }
    drop(control);
}
