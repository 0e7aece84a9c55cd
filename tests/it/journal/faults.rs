//! The n-th operation fails, for every n; a full disk; a failed sync.

use super::*;
use outbid::budget::journal::Fault;
use std::io::ErrorKind;

/// Work that meets everything the journal does: opening, commits, new segments, checkpoints that remove, a restart.
pub(super) fn script(storage: &MemoryStorage, model: &mut Model) -> Result<(), JournalError> {
    for _ in 0..2 {
        let (mut journal, recovered) = open(storage)?;
        model.check(&recovered).unwrap();
        for round in 0..9 {
            for length in [300, 20] {
                model.append(&mut journal, length);
            }
            keep_going(model.commit(&mut journal))?;
            if round % 3 == 2 {
                keep_going(model.checkpoint(&mut journal))?;
                keep_going(journal.maintain())?;
            }
            if journal.is_failed() {
                return Err(journal.commit().unwrap_err());
            }
        }
        // What a full disk held up goes through now.
        model.commit(&mut journal)?;
    }
    Ok(())
}

/// A full disk passes, and a checkpoint may fail; what failed for ever is asked for by the caller.
fn keep_going(outcome: Result<(), JournalError>) -> Result<(), JournalError> {
    match outcome {
        Err(JournalError::NoSpace { .. } | JournalError::Io { .. } | JournalError::Failed { .. })
        | Ok(()) => Ok(()),
        Err(other) => Err(other),
    }
}

#[test]
fn whichever_operation_fails_nothing_committed_is_lost() {
    let faults = [
        Fault::Error(ErrorKind::Other), // What EIO is to the standard library.
        Fault::Error(ErrorKind::StorageFull),
        Fault::Error(ErrorKind::Interrupted),
        Fault::ShortWrite,
    ];
    for fault in faults {
        let mut nth = 0;
        loop {
            nth += 1;
            let storage = MemoryStorage::new();
            let mut model = Model::default();
            storage.fail_at(nth, fault);
            let outcome = script(&storage, &mut model);
            if nth > storage.operations() {
                outcome.unwrap();
                break;
            }
            storage.clear_faults();
            for power in [None, Some(3), Some(nth)] {
                let (storage, mut model) = (storage.copy(), model.clone());
                if let Some(seed) = power {
                    storage.crash(seed);
                }
                let context = format!("{fault:?} at operation {nth}, power {power:?}");
                let (mut journal, recovered) =
                    open(&storage).unwrap_or_else(|why| panic!("{context}: {why}"));
                model.check(&recovered).unwrap_or_else(|why| panic!("{context}: {why}"));
                model.append(&mut journal, 50);
                model.commit(&mut journal).unwrap();
                drop(journal);
                storage.crash(nth);
                model
                    .check(&open(&storage).unwrap().1)
                    .unwrap_or_else(|why| panic!("{context}, later: {why}"));
            }
        }
        assert!(nth > 60, "only {nth} operations for {fault:?}");
    }
}

#[test]
fn after_a_failed_sync_everything_is_refused_for_ever() {
    let (storage, mut model) = written(2);
    let (mut journal, _) = open(&storage).unwrap();
    model.append(&mut journal, 20);
    storage.fail_at(storage.operations() + 2, Fault::Error(ErrorKind::Other));
    assert!(matches!(journal.commit(), Err(JournalError::Io { operation: "sync", .. })));
    assert!(journal.is_failed());
    assert_eq!(journal.durable_lsn(), 6);
    let before = storage.operations();
    for _ in 0..3 {
        journal.append(b"more");
        assert!(matches!(journal.commit(), Err(JournalError::Failed { .. })));
        assert!(matches!(journal.checkpoint(b"state"), Err(JournalError::Failed { .. })));
        assert!(journal.maintain().is_err());
    }
    assert_eq!((storage.operations(), journal.buffered_bytes()), (before, 0), "and the disk is left alone");
}

#[test]
fn what_only_a_cache_holds_after_a_failed_sync_is_written_again_before_it_is_reported() {
    let (storage, mut model) = written(2);
    let (mut journal, _) = open(&storage).unwrap();
    model.append(&mut journal, 20);
    storage.fail_at(storage.operations() + 2, Fault::Error(ErrorKind::Other));
    journal.commit().unwrap_err();
    drop(journal);
    let (_, recovered) = open(&storage).unwrap();
    assert_eq!(recovered.records.len(), 7, "the system still shows it");
    model.check(&recovered).unwrap();
    for seed in 0..20 {
        let storage = storage.copy();
        storage.crash(seed);
        model.check(&open(&storage).unwrap().1).unwrap();
    }
}

#[test]
fn a_full_disk_holds_commits_up_and_lets_them_through_when_space_returns() {
    let storage = MemoryStorage::new();
    let (mut journal, _) = open(&storage).unwrap();
    let mut model = Model::default();
    storage.set_capacity(Some(storage.used()));
    let mut held_up = 0;
    for _ in 0..40 {
        model.append(&mut journal, 100);
        match model.commit(&mut journal) {
            Ok(()) => assert_eq!(held_up, 0),
            Err(why) => {
                assert!(matches!(why, JournalError::NoSpace { .. }), "{why}");
                held_up += 1;
            }
        }
        assert_eq!(journal.maintain().is_err(), journal.is_short_of_space());
    }
    assert!(held_up > 0 && model.durable > 20, "{held_up} held up, {} durable", model.durable);
    assert!(journal.is_short_of_space() && !journal.is_failed());
    let mut after_crash = model.clone();
    let crashed = storage.copy();
    crashed.crash(5);
    after_crash.check(&open(&crashed).unwrap().1).unwrap();

    storage.set_capacity(None);
    model.commit(&mut journal).unwrap();
    assert!(journal.is_short_of_space(), "until it was set aside");
    journal.maintain().unwrap();
    assert!(!journal.is_short_of_space());
    drop(journal);
    storage.crash(6);
    model.check(&open(&storage).unwrap().1).unwrap();
    assert_eq!(model.durable, 40);
}

#[test]
fn a_write_that_finds_the_disk_full_half_way_is_made_again_whole() {
    // The operations of the attempts: the records' write; then the header's of the next segment, because the commit
    // has grown out of this one; then the records' write there.
    for attempts in [&[1][..], &[1, 1], &[1, 6], &[1, 1, 6, 1]] {
        let (storage, mut model) = written(2);
        let (mut journal, _) = open(&storage).unwrap();
        for _ in 0..4 {
            model.append(&mut journal, 60);
        }
        for nth in attempts {
            storage.fail_at(storage.operations() + nth, Fault::Error(ErrorKind::StorageFull));
            let refused = journal.commit().unwrap_err();
            assert!(matches!(refused, JournalError::NoSpace { .. }), "{attempts:?}: {refused}");
            model.append(&mut journal, 1_500);
            let crashed = storage.copy();
            crashed.crash(*nth);
            for now in [crashed, storage.copy()] {
                model.clone().check(&open(&now).unwrap().1).unwrap();
            }
        }
        model.commit(&mut journal).unwrap();
        drop(journal);
        storage.crash(1);
        model.check(&open(&storage).unwrap().1).unwrap();
        assert_eq!(model.durable, 10 + attempts.len());
    }
}

#[test]
fn the_emergency_file_makes_room_for_a_checkpoint() {
    let (storage, mut model) = written(10);
    let (mut journal, _) = open(&storage).unwrap();
    storage.set_capacity(Some(storage.used() + 10));
    model.checkpoint(&mut journal).unwrap();
    assert!(names(&storage, "emergency").is_empty());
    assert!(journal.is_short_of_space());
    let refused = journal.checkpoint(&vec![1; 4_000]).unwrap_err();
    assert!(matches!(refused, JournalError::NoSpace { .. }), "{refused}");
    assert!(names(&storage, "checkpoint.tmp").is_empty(), "what is of no use keeps no space");
    assert_eq!(journal.append(b"still good"), 31);
    journal.commit().unwrap();
    storage.set_capacity(None);
    journal.maintain().unwrap();
    assert_eq!(names(&storage, "emergency").len(), 1);
}

#[test]
fn a_journal_opens_on_a_full_disk() {
    let (storage, mut model) = written(10);
    for name in names(&storage, "journal-spare").iter().chain(&names(&storage, "emergency")) {
        storage.remove(name).unwrap();
    }
    storage.set_capacity(Some(storage.used()));
    let (journal, recovered) = open(&storage).unwrap();
    model.check(&recovered).unwrap();
    assert!(journal.is_short_of_space());
}
