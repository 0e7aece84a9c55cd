//! Copies: whole while writes go on, put back only where nobody works.

use super::{get, insert, new, open, renamed, store, update};
use outbid::store::control::backup::restore;
use outbid::store::control::{Control, ControlError, Kind, VERSION};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Every row of every table, as text.
fn contents(path: &Path) -> Vec<String> {
    let connection = rusqlite::Connection::open(path).unwrap();
    let mut tables =
        connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").unwrap();
    let tables: Vec<String> = tables.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let mut all = Vec::new();
    for table in tables {
        let mut rows = connection.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let columns = rows.column_count();
        let mut rows = rows.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let values: Vec<_> = (0..columns).map(|column| row.get_ref(column).unwrap()).collect();
            all.push(format!("{table}: {values:?}"));
        }
    }
    all
}

fn fill(control: &Control, count: usize) {
    for number in 0..count {
        let list = insert(control, new(Kind::List, &number.to_string())).unwrap().id;
        control.write(move |tx| tx.add_items(list, ["a", "b"])).unwrap();
    }
}

#[test]
fn a_copy_is_equal_and_can_be_put_back() {
    let temp = tempfile::tempdir().unwrap();
    let (path, copy) = (temp.path().join("control.db"), temp.path().join("copy.db"));
    let control = open(&path).unwrap();
    fill(&control, 30);
    std::fs::write(&copy, "an older copy").unwrap();
    control.backup(&copy).unwrap();
    assert_eq!(std::fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    let names: Vec<_> =
        std::fs::read_dir(temp.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!names.iter().any(|name| name.to_string_lossy().contains(".tmp")), "{names:?}");
    let then = contents(&copy);
    assert_eq!(then, contents(&path));
    let row = get(&control, Kind::List, 1).unwrap();
    update(&control, &row, None, renamed("later")).unwrap();
    let refused = restore(&copy, &path).unwrap_err();
    assert!(matches!(refused, ControlError::InUse { .. }), "{refused:?}");
    assert_eq!(get(&control, Kind::List, 1).unwrap().name, "later");
    drop(control);
    restore(&copy, &path).unwrap();
    assert_eq!(contents(&path), then);
    let again = open(&path).unwrap();
    assert_eq!(get(&again, Kind::List, 1), Some(row));
    assert_eq!(insert(&again, new(Kind::List, "next")).unwrap().id, 31);
}

#[test]
fn a_copy_is_one_moment_of_a_database_that_is_written_to() {
    let temp = tempfile::tempdir().unwrap();
    let control = open(&temp.path().join("control.db")).unwrap();
    std::thread::scope(|scope| {
        let writer = control.clone();
        let writing = scope.spawn(move || fill(&writer, 40));
        let mut last = 0;
        for number in 0.. {
            let copy = temp.path().join(format!("{number}.db"));
            control.backup(&copy).unwrap();
            let copied = open(&copy).unwrap();
            // Each list is one transaction, its items another one: a moment has them all but the last one's.
            let generation = copied.generation();
            let lists = copied.read(|r| r.count(&outbid::store::control::Query::of(Kind::List))).unwrap();
            assert_eq!(lists, generation.div_ceil(2));
            assert!(generation >= last);
            last = generation;
            if writing.is_finished() {
                break;
            }
        }
    });
}

#[test]
fn a_damaged_database_is_replaced_and_a_bad_copy_is_not_put_anywhere() {
    let temp = tempfile::tempdir().unwrap();
    let (path, copy) = (temp.path().join("control.db"), temp.path().join("copy.db"));
    let control = store();
    fill(&control, 3);
    control.backup(&copy).unwrap();
    std::fs::write(&path, "no database at all".repeat(300)).unwrap();
    std::fs::write(temp.path().join("control.db-wal"), "the log of another file").unwrap();
    restore(&copy, &path).unwrap();
    assert_eq!(contents(&path), contents(&copy));
    let before = std::fs::read(&path).unwrap();
    let empty = temp.path().join("empty.db");
    std::fs::write(&empty, "").unwrap();
    let text = temp.path().join("text.db");
    std::fs::write(&text, "no database at all".repeat(300)).unwrap();
    let newer = temp.path().join("newer.db");
    control.backup(&newer).unwrap();
    rusqlite::Connection::open(&newer).unwrap().pragma_update(None, "user_version", VERSION + 1).unwrap();
    for bad in [&empty, &text, &newer, &temp.path().join("none.db")] {
        let why = restore(bad, &path).unwrap_err();
        assert!(why.to_string().contains(bad.to_str().unwrap()), "{why}");
        assert_eq!(std::fs::read(&path).unwrap(), before, "{}", bad.display());
    }
    restore(&copy, &temp.path().join("fresh.db")).unwrap();
}

#[test]
fn a_database_is_never_its_own_copy() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("control.db");
    let control = open(&path).unwrap();
    fill(&control, 1);
    let refused = control.backup(&temp.path().join("./control.db")).unwrap_err();
    assert!(refused.to_string().contains("the database itself"), "{refused}");
    assert!(get(&control, Kind::List, 1).is_some());
}
