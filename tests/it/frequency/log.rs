//! What was counted survives a restart, a torn end and a removal; nothing else is believed.

use super::{START_S, answered, cap, rules, show};
use outbid::budget::file_storage::FileStorage;
use outbid::budget::frequency::{FrequencyError, FrequencyTable, Rules};
use outbid::model::ids::UserKey;
use std::fs;
use std::path::{Path, PathBuf};

fn open(dir: &Path, now_s: u32) -> Result<FrequencyTable, FrequencyError> {
    FrequencyTable::open(1_000, Box::new(FileStorage::open(dir).unwrap()), now_s)
}

fn file(dir: &Path, prefix: &str) -> PathBuf {
    let mut found: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.file_name().unwrap().to_str().unwrap().starts_with(prefix));
    assert_eq!(found.len(), 1, "{prefix}: {found:?}");
    found.remove(0)
}

/// Thirty people with one to three impressions each, the last ten of them after a save.
fn filled(dir: &Path, rules: &Rules) -> FrequencyTable {
    let table = open(dir, START_S).unwrap();
    for user in 1..=30u64 {
        if user == 21 {
            table.save().unwrap();
        }
        for nth in 0..=user % 3 {
            table.count(&show(user, user * 10 + nth, START_S + nth as u32), std::iter::once(rules));
        }
    }
    table.sync().unwrap();
    table
}

#[test]
fn a_restart_goes_on_counting() {
    let dir = tempfile::tempdir().unwrap();
    let rules = rules(&cap(3, 3_600));
    let before = filled(dir.path(), &rules);
    let kept: Vec<_> = (1..=30).map(|user| before.export(UserKey(user))).collect();
    drop(before);
    for _ in 0..3 {
        let after = open(dir.path(), START_S + 10).unwrap();
        let now: Vec<_> = (1..=30).map(|user| after.export(UserKey(user))).collect();
        assert_eq!(now, kept);
        assert_eq!(after.counts().users, 30);
        assert!(!answered(&after, std::slice::from_ref(&rules), 2, 1, START_S + 10), "three are three");
    }
    let later = open(dir.path(), START_S + 3_700).unwrap();
    assert_eq!(later.counts().users, 0, "what no cap asks for is let go");
}

#[test]
fn what_was_not_synced_is_lost_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let rules = rules(&cap(9, 3_600));
    let table = filled(dir.path(), &rules);
    table.count(&show(99, 1, START_S), std::iter::once(&rules));
    drop(table);
    let changes = file(dir.path(), "changes-");
    let whole = fs::read(&changes).unwrap();
    let counted = |table: &FrequencyTable| {
        (1..=99).map(|user| table.export(UserKey(user)).iter().map(|shown| shown.1).sum::<u32>()).sum::<u32>()
    };
    let full = counted(&open_copy(dir.path(), &whole));
    let mut last = 0;
    for length in (0..=whole.len()).step_by(7).chain([whole.len()]) {
        let found = counted(&open_copy(dir.path(), &whole[..length]));
        assert!(found >= last && found <= full, "a longer log tells no less: {length}");
        last = found;
    }
    assert_eq!(last, full);
}

/// Opens a copy of the directory whose changes are these bytes.
fn open_copy(dir: &Path, changes: &[u8]) -> FrequencyTable {
    let copy = tempfile::tempdir().unwrap();
    for prefix in ["base-", "changes-"] {
        let from = file(dir, prefix);
        let to = copy.path().join(from.file_name().unwrap());
        fs::copy(from, &to).unwrap();
        if prefix == "changes-" {
            fs::write(to, changes).unwrap();
        }
    }
    open(copy.path(), START_S).unwrap()
}

#[test]
fn damage_in_the_middle_is_an_error_that_names_file_and_place() {
    let dir = tempfile::tempdir().unwrap();
    let rules = rules(&cap(9, 3_600));
    let table = filled(dir.path(), &rules);
    table.count(&show(50, 1, START_S), std::iter::once(&rules));
    table.sync().unwrap();
    drop(table);
    for (prefix, at) in [("base-", 3), ("base-", 40), ("changes-", 10), ("changes-", 60)] {
        let path = file(dir.path(), prefix);
        let good = fs::read(&path).unwrap();
        let mut bad = good.clone();
        bad[at] ^= 0x40;
        fs::write(&path, &bad).unwrap();
        let error = open(dir.path(), START_S).unwrap_err().to_string();
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(error.starts_with(name) && error.contains("damaged at byte"), "{error}");
        fs::write(&path, &good).unwrap();
    }
    // Whatever stands there, reading it ends.
    let path = file(dir.path(), "base-");
    let good = fs::read(&path).unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] = bad[at].wrapping_add(1);
        fs::write(&path, &bad).unwrap();
        assert!(open(dir.path(), START_S).is_err(), "byte {at}");
    }
    fs::write(&path, &good).unwrap();
    assert_eq!(open(dir.path(), START_S).unwrap().counts().users, 31);
}

#[test]
fn who_is_erased_is_on_the_disk_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let rules = rules(&cap(9, 3_600));
    let table = filled(dir.path(), &rules);
    let secret = UserKey(0xFEED_FACE_CAFE_BEEF);
    table.count(&show(secret.0, 1, START_S), std::iter::once(&rules));
    table.sync().unwrap();
    let is_on_disk = || {
        let files = fs::read_dir(dir.path()).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap());
        files.into_iter().any(|bytes| bytes.windows(8).any(|window| window == secret.0.to_le_bytes()))
    };
    assert!(is_on_disk());
    assert!(table.erase(secret) && !table.erase(secret));
    table.sync().unwrap();
    // A crash here: the log says that they are erased.
    assert!(open_now(dir.path()).export(secret).is_empty());
    assert!(table.wants_save());
    table.save().unwrap();
    assert!(!is_on_disk() && !table.wants_save());
    drop(table);
    assert_eq!(open(dir.path(), START_S).unwrap().counts().users, 30);
}

/// Opens a copy of the directory as it is.
fn open_now(dir: &Path) -> FrequencyTable {
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
    }
    open(copy.path(), START_S).unwrap()
}
