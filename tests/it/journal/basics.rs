//! Appending, committing, rolling, checkpoints, and the same on a real disk.

use super::*;
use outbid::budget::file_storage::FileStorage;
use outbid::budget::journal::MAX_PAYLOAD;

#[test]
fn what_was_committed_comes_back_in_order() {
    let (storage, mut model) = written(20);
    let (journal, recovered) = open(&storage).unwrap();
    model.check(&recovered).unwrap();
    assert_eq!(recovered.records.len(), 60);
    assert_eq!((journal.last_lsn(), journal.durable_lsn(), recovered.torn), (60, 60, None));
    assert!(segments(&storage).len() > 2, "{:?}", segments(&storage));
}

#[test]
fn what_was_not_committed_is_not_promised() {
    let storage = MemoryStorage::new();
    let (mut journal, _) = open(&storage).unwrap();
    assert_eq!((journal.append(b"one"), journal.append(b"two")), (1, 2));
    assert_eq!((journal.last_lsn(), journal.durable_lsn()), (2, 0));
    assert_eq!(journal.commit().unwrap(), 2);
    assert_eq!(journal.buffered_bytes(), 0);
    journal.append(b"three");
    assert!(journal.buffered_bytes() > 0);
    drop(journal);
    let (mut journal, recovered) = open(&storage).unwrap();
    assert_eq!(recovered.records, [(1, b"one".to_vec()), (2, b"two".to_vec())]);
    assert_eq!(journal.append(b"third again"), 3);
    assert_eq!(journal.commit().unwrap(), 3);
}

#[test]
fn a_commit_of_nothing_writes_nothing() {
    let storage = MemoryStorage::new();
    let (mut journal, _) = open(&storage).unwrap();
    let before = storage.operations();
    assert_eq!(journal.commit().unwrap(), 0);
    assert_eq!(storage.operations(), before);
}

#[test]
fn a_commit_is_one_write_and_one_sync_whoever_waits() {
    let storage = MemoryStorage::new();
    let (mut journal, _) = open(&storage).unwrap();
    for _ in 0..10 {
        journal.append(&payload(1, 50));
    }
    let before = storage.operations();
    journal.commit().unwrap();
    assert_eq!(storage.operations() - before, 2);
}

#[test]
fn a_commit_larger_than_a_segment_and_the_longest_record_come_back() {
    let storage = MemoryStorage::new();
    let mut model = Model::default();
    let (mut journal, _) = open(&storage).unwrap();
    for length in [10, MAX_PAYLOAD, 1_000, 1_000, 1_000] {
        model.append(&mut journal, length);
    }
    model.commit(&mut journal).unwrap();
    model.append(&mut journal, 10);
    model.commit(&mut journal).unwrap();
    drop(journal);
    storage.crash(1);
    model.check(&open(&storage).unwrap().1).unwrap();
}

#[test]
fn a_checkpoint_shortens_the_replay_and_lets_old_segments_go() {
    let (storage, mut model) = written(20);
    let (mut journal, _) = open(&storage).unwrap();
    let before = segments(&storage).len();
    model.checkpoint(&mut journal).unwrap();
    assert_eq!(segments(&storage).len(), before, "the generation before is the empty journal");
    for _ in 0..20 {
        model.append(&mut journal, 100);
        model.commit(&mut journal).unwrap();
    }
    model.checkpoint(&mut journal).unwrap();
    let first = |index: usize| segments(&storage)[index][8..28].parse::<u64>().unwrap();
    assert!(
        (2..=61).contains(&first(0)) && first(1) > 61,
        "61 and later are needed: {:?}",
        segments(&storage)
    );
    model.append(&mut journal, 100);
    model.commit(&mut journal).unwrap();
    model.checkpoint(&mut journal).unwrap();
    assert_eq!(names(&storage, "checkpoint-").len(), 2);
    model.append(&mut journal, 9);
    model.commit(&mut journal).unwrap();
    drop(journal);
    let (_, recovered) = open(&storage).unwrap();
    assert_eq!(recovered.checkpoint.as_ref().unwrap().0, 81);
    assert_eq!(recovered.records.len(), 1);
    model.check(&recovered).unwrap();
}

#[test]
fn a_checkpoint_holds_what_is_durable_not_what_is_appended() {
    let storage = MemoryStorage::new();
    let mut model = Model::default();
    let (mut journal, _) = open(&storage).unwrap();
    model.append(&mut journal, 20);
    model.commit(&mut journal).unwrap();
    model.append(&mut journal, 20);
    model.checkpoint(&mut journal).unwrap();
    drop(journal);
    let (_, recovered) = open(&storage).unwrap();
    assert_eq!(recovered.checkpoint.as_ref().unwrap().0, 1);
    model.check(&recovered).unwrap();
}

#[test]
#[should_panic(expected = "a payload of 0 bytes")]
fn an_empty_record_is_a_bug_of_the_caller() {
    open(&MemoryStorage::new()).unwrap().0.append(b"");
}

#[test]
fn appending_allocates_nothing_once_warm() {
    let (mut journal, _) = open(&MemoryStorage::new()).unwrap();
    let bytes = payload(1, 100);
    for _ in 0..100 {
        journal.append(&bytes);
    }
    journal.commit().unwrap();
    let counted = allocation_counter::measure(|| {
        for _ in 0..100 {
            journal.append(&bytes);
        }
    });
    assert_eq!(counted.count_total, 0);
}

#[test]
fn it_works_on_a_real_disk() {
    let dir = tempfile::tempdir().unwrap();
    let open = || Journal::open(Box::new(FileStorage::open(dir.path()).unwrap()), OPTIONS).unwrap();
    let mut model = Model::default();
    for _ in 0..3 {
        let (mut journal, recovered) = open();
        model.check(&recovered).unwrap();
        assert!(!journal.is_short_of_space());
        for _ in 0..30 {
            model.append(&mut journal, 100);
            model.commit(&mut journal).unwrap();
        }
        journal.maintain().unwrap();
        model.checkpoint(&mut journal).unwrap();
        model.append(&mut journal, 50);
        model.commit(&mut journal).unwrap();
    }
    model.check(&open().1).unwrap();
    assert_eq!(model.durable, 93);
}

#[test]
fn a_real_file_has_its_space_set_aside_and_an_error_names_the_path() {
    use std::os::unix::fs::MetadataExt;
    let dir = tempfile::tempdir().unwrap();
    let storage = FileStorage::open(dir.path()).unwrap();
    let mut file = storage.create("a", 1 << 20).unwrap();
    file.write_at(5, b"x").unwrap();
    file.sync().unwrap();
    let metadata = std::fs::metadata(dir.path().join("a")).unwrap();
    assert_eq!(metadata.len(), 1 << 20);
    assert!(metadata.blocks() * 512 >= 1 << 20, "{} blocks", metadata.blocks());
    file.set_len(6).unwrap();
    assert_eq!(storage.read("a").unwrap(), b"\0\0\0\0\0x");
    storage.rename("a", "b").unwrap();
    storage.sync_dir().unwrap();
    assert_eq!(storage.list().unwrap(), ["b"]);
    storage.remove("b").unwrap();
    let why = storage.read("b").unwrap_err();
    assert_eq!(why.kind(), std::io::ErrorKind::NotFound);
    assert!(why.to_string().contains(dir.path().to_str().unwrap()), "{why}");
    assert!(FileStorage::open(&dir.path().join("absent")).is_err());
}
