//! `dump`, `verify` and `repair`.

use super::*;
use outbid::budget::journal::{Fault, repair, verify};
use std::collections::BTreeMap;
use std::io::ErrorKind;

fn contents(storage: &MemoryStorage) -> BTreeMap<String, Vec<u8>> {
    storage.list().unwrap().into_iter().map(|name| (name.clone(), storage.read(&name).unwrap())).collect()
}

/// Flips a bit of a record.
fn break_record(storage: &MemoryStorage, lsn: u64) -> Place {
    let place = places(storage)[lsn as usize - 1].clone();
    storage.tamper(&place.file, |bytes| bytes[place.offset + 21] ^= 2);
    place
}

#[test]
fn a_dump_shows_every_record_and_every_place_that_cannot_be_read() {
    let (storage, model) = written(20);
    let broken = break_record(&storage, 31);
    let before = contents(&storage);
    let (mut records, mut unreadable) = (Vec::new(), Vec::new());
    dump(&storage, |item| match item {
        Item::Record { lsn, payload, .. } => records.push((lsn, payload.to_vec())),
        Item::Unreadable { file, offset, lsn, bytes } => {
            unreadable.push((file.to_owned(), offset, lsn, bytes))
        }
    })
    .unwrap();
    let all = (1..).zip(model.appended).filter(|(lsn, _)| *lsn != 31);
    assert_eq!(records, all.collect::<Vec<_>>());
    let length = (broken.end - broken.offset) as u64;
    assert_eq!(unreadable, [(broken.file, broken.offset as u64, 31, length)]);
    assert_eq!(contents(&storage), before);
}

#[test]
fn verify_says_what_opening_would_say_and_changes_nothing() {
    let (storage, mut model) = written(20);
    let (mut journal, _) = open(&storage).unwrap();
    model.checkpoint(&mut journal).unwrap();
    drop(journal);
    let sound = verify(&storage).unwrap();
    assert_eq!(sound.opens.unwrap(), 60);
    assert_eq!(sound.segments.iter().map(|segment| segment.records).sum::<u64>(), 60);
    assert_eq!(sound.segments.last().unwrap().last_lsn, 60);
    assert!(sound.segments.iter().all(|segment| segment.unreadable == 0));
    assert!(sound.checkpoints[0].content.is_ok() && sound.checkpoints[0].lsn == 60);

    break_record(&storage, 20);
    storage.tamper(&names(&storage, "checkpoint-")[0], |bytes| bytes.truncate(9));
    let before = contents(&storage);
    let verdict = verify(&storage).unwrap();
    assert!(verdict.checkpoints[0].content.is_err());
    assert_eq!(verdict.segments.iter().map(|segment| segment.unreadable).sum::<u64>(), 1);
    assert!(matches!(verdict.opens, Err(JournalError::Damaged { lsn: 20, .. })), "{:?}", verdict.opens);
    assert_eq!(contents(&storage), before);
}

#[test]
fn a_sound_journal_and_a_torn_one_need_no_repair() {
    let (storage, _) = written(5);
    assert_eq!(repair(&storage).unwrap(), None);
    let last = places(&storage).pop().unwrap();
    storage.tamper(&last.file, |bytes| bytes[last.end - 1] ^= 1);
    assert_eq!(repair(&storage).unwrap(), None);
    assert_eq!(verify(&storage).unwrap().torn.unwrap().offset, last.offset as u64);
}

/// Repairs; checks that the journal opens with the first `kept` records, that nothing was deleted, and that it works.
fn check_repair(storage: &MemoryStorage, model: &Model, kept: usize) {
    let mut model = model.clone();
    let before = contents(storage);
    let done = repair(storage).unwrap().expect("there was damage");
    assert!(!done.damage.is_empty());
    let after = contents(storage);
    for aside in &done.aside {
        let moved = &after[&aside.moved_to];
        assert_eq!(moved.len() as u64, aside.bytes);
        let offset = aside.offset as usize;
        assert!(before[&aside.file][offset..].starts_with(moved), "{aside:?}");
    }
    storage.crash(1);
    let (mut journal, recovered) = open(storage).unwrap();
    model.durable = kept;
    model.appended.truncate(kept);
    model.check(&recovered).unwrap();
    assert_eq!((journal.last_lsn(), done.last_lsn), (kept as u64, kept as u64));
    for _ in 0..30 {
        model.append(&mut journal, 120);
        model.commit(&mut journal).unwrap();
    }
    drop(journal);
    storage.crash(2);
    model.check(&open(storage).unwrap().1).unwrap();
    assert_eq!(repair(storage).unwrap(), None);
}

#[test]
fn a_repair_keeps_everything_before_the_damage_and_deletes_nothing() {
    let (storage, model) = written(20);
    for lsn in [1, 2, 25, 58] {
        let storage = storage.copy();
        break_record(&storage, lsn);
        check_repair(&storage, &model, lsn as usize - 1);
    }
}

#[test]
fn a_repair_mends_a_header_whose_records_are_sound() {
    let (storage, model) = written(20);
    for file in segments(&storage) {
        let storage = storage.copy();
        storage.tamper(&file, |bytes| bytes[3] ^= 1);
        check_repair(&storage, &model, 60);
    }
}

#[test]
fn a_repair_goes_on_without_segments_that_are_gone() {
    let (storage, model) = written(20);
    for file in segments(&storage) {
        let lost = storage.copy();
        lost.remove(&file).unwrap();
        let kept = file[8..28].parse::<usize>().unwrap() - 1;
        check_repair(&lost, &model, kept);
        let zeroed = storage.copy();
        zeroed.tamper(&file, |bytes| bytes.fill(0));
        check_repair(&zeroed, &model, kept);
    }
}

#[test]
fn a_repair_goes_on_behind_the_checkpoint_when_the_journal_ends_before_it() {
    let (storage, mut model) = written(20);
    let (mut journal, _) = open(&storage).unwrap();
    model.checkpoint(&mut journal).unwrap();
    drop(journal);
    for lsn in [50, 60] {
        let storage = storage.copy();
        let place = &places(&storage)[lsn - 1];
        for file in segments(&storage).iter().filter(|file| **file > place.file) {
            storage.remove(file).unwrap();
        }
        storage.tamper(&place.file, |bytes| bytes[place.offset..].fill(9));
        check_repair(&storage, &model, 60);
    }
    // With the checkpoint unreadable as well, what the records say is all that is left.
    storage.tamper(&names(&storage, "checkpoint-")[0], |bytes| bytes.fill(0));
    let place = &places(&storage)[59];
    storage.tamper(&place.file, |bytes| bytes[place.offset..].fill(0));
    model.checkpoint = 0;
    check_repair(&storage, &model, 59);
}

#[test]
fn a_repair_refuses_what_only_a_backup_or_a_rename_mends() {
    let (storage, mut model) = written(20);
    let (mut journal, _) = open(&storage).unwrap();
    for _ in 0..2 {
        model.checkpoint(&mut journal).unwrap();
        for _ in 0..30 {
            model.append(&mut journal, 100);
            model.commit(&mut journal).unwrap();
        }
    }
    model.checkpoint(&mut journal).unwrap();
    drop(journal);
    for file in names(&storage, "checkpoint-") {
        storage.tamper(&file, |bytes| bytes.fill(0));
    }
    let before = contents(&storage);
    assert!(matches!(repair(&storage), Err(JournalError::Damaged { .. })));
    assert_eq!(contents(&storage), before);

    let (storage, _) = written(20);
    let files = segments(&storage);
    storage.rename(&files[1], "aside").unwrap();
    storage.rename(&files[2], &files[1]).unwrap();
    storage.rename("aside", &files[2]).unwrap();
    assert!(repair(&storage).is_err());
}

#[test]
fn two_unreadable_checkpoints_over_a_whole_journal_are_replayed_after_a_repair() {
    let (storage, mut model) = written(2);
    let (mut journal, _) = open(&storage).unwrap();
    for _ in 0..2 {
        model.append(&mut journal, 30);
        model.commit(&mut journal).unwrap();
        model.checkpoint(&mut journal).unwrap();
    }
    drop(journal);
    for file in names(&storage, "checkpoint-") {
        storage.tamper(&file, |bytes| bytes.fill(0));
    }
    model.checkpoint = 0;
    check_repair(&storage, &model, 8);
}

#[test]
fn a_repair_that_a_crash_interrupts_can_be_made_again() {
    let (sound, model) = written(20);
    break_record(&sound, 25);
    for nth in 1.. {
        let storage = sound.copy();
        storage.fail_from(nth, Fault::Error(ErrorKind::Other));
        let finished = repair(&storage).is_ok();
        storage.crash(nth);
        if let Ok((_, recovered)) = open(&storage) {
            assert_eq!(recovered.records.len(), 24, "opens only as repaired");
        }
        repair(&storage).unwrap();
        let mut model = model.clone();
        model.durable = 24;
        let (_, recovered) = open(&storage).unwrap();
        model.check(&recovered).unwrap();
        assert_eq!(model.durable, 24);
        if finished {
            break;
        }
    }
}
