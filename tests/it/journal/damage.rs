//! Flipped, cut, zeroed, swapped and missing: a torn tail is recovered, anything else is refused by file and offset, and
//! nothing different ever comes back.

use super::*;
use outbid::budget::journal::{Problem, Warning};
use proptest::prelude::*;

/// One segment of more than 4 KiB of records, three to a commit.
fn long() -> (MemoryStorage, Model) {
    let storage = MemoryStorage::new();
    let options = Options { segment_bytes: 1 << 16, ..OPTIONS };
    let (mut journal, _) = Journal::open(Box::new(storage.clone()), options).unwrap();
    let mut model = Model::default();
    for _ in 0..25 {
        for length in [30, 64, 100] {
            model.append(&mut journal, length);
        }
        model.commit(&mut journal).unwrap();
    }
    (storage, model)
}

/// Two checkpoints over a few segments, and records behind them.
fn with_checkpoints() -> (MemoryStorage, Model) {
    let (storage, mut model) = written(20);
    let (mut journal, _) = open(&storage).unwrap();
    for _ in 0..2 {
        model.checkpoint(&mut journal).unwrap();
        for _ in 0..30 {
            model.append(&mut journal, 100);
            model.commit(&mut journal).unwrap();
        }
    }
    model.checkpoint = 0;
    (storage, model)
}

#[test]
fn every_byte_of_the_last_4_kib_flipped_is_recovered_at_the_tail_and_refused_before_it() {
    let (storage, model) = long();
    let places = places(&storage);
    let last = places.last().unwrap();
    for at in last.end - 4_096..last.end {
        let (storage, mut model) = (storage.copy(), model.clone());
        storage.tamper(&last.file, |bytes| bytes[at] ^= if at % 2 == 0 { 1 << (at % 8) } else { 0xFF });
        let hit = places.iter().find(|place| at < place.end).unwrap();
        if hit.lsn < last.lsn {
            assert_eq!(
                refused_at(open(&storage)),
                (hit.file.clone(), hit.offset as u64, hit.lsn),
                "byte {at}"
            );
            continue;
        }
        let (_, recovered) = open(&storage).unwrap();
        let torn = recovered.torn.as_ref().unwrap();
        assert_eq!((&torn.file, torn.offset), (&hit.file, hit.offset as u64), "byte {at}");
        model.durable -= 1;
        model.check(&recovered).unwrap();
        assert_eq!(model.durable, 74);
    }
}

#[test]
fn a_thousand_flips_in_the_middle_are_refused_by_file_and_offset() {
    let (storage, mut model) = written(60);
    let places = places(&storage);
    let files = segments(&storage);
    let last = places.last().unwrap().clone();
    let mut sound = 0;
    for n in 0..1_000_u64 {
        let storage = storage.copy();
        let random = n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 16;
        let file = &files[random as usize % files.len()];
        let end = if *file == last.file { last.offset } else { 2_000 };
        let at = (random >> 20) as usize % end;
        storage.tamper(file, |bytes| bytes[at] ^= 1 << (n % 8));
        let hit = places.iter().find(|place| place.file == *file && (place.offset..place.end).contains(&at));
        match hit {
            Some(hit) => {
                assert_eq!(
                    refused_at(open(&storage)),
                    (file.clone(), hit.offset as u64, hit.lsn),
                    "flip {n}"
                );
            }
            None if at < 24 => assert_eq!(refused_at(open(&storage)).0, *file),
            // The end mark, and what was never written: nothing is lost.
            None => {
                sound += 1;
                model.check(&open(&storage).unwrap().1).unwrap();
            }
        }
    }
    assert!(sound < 200, "{sound} flips hit nothing");
}

#[test]
fn a_last_segment_cut_anywhere_gives_a_prefix_and_says_what_is_torn() {
    let (storage, model) = written(6);
    let places = places(&storage);
    let last = places.last().unwrap();
    for length in 0..=last.end {
        let (storage, mut model) = (storage.copy(), model.clone());
        storage.tamper(&last.file, |bytes| bytes.truncate(length));
        if length < 24 {
            assert_eq!(refused_at(open(&storage)).1, 0, "{length} bytes");
            continue;
        }
        let (_, recovered) = open(&storage).unwrap();
        let whole = places.iter().filter(|place| place.file != last.file || place.end <= length).count();
        let between =
            places.iter().any(|place| place.file == last.file && place.end == length) || length == 24;
        assert_eq!(recovered.torn.is_none(), between, "{length} bytes: {:?}", recovered.torn);
        model.durable = whole;
        model.check(&recovered).unwrap();
        assert_eq!(model.durable, whole, "{length} bytes");
    }
}

#[test]
fn a_segment_in_the_middle_cut_anywhere_is_refused() {
    let (storage, mut model) = written(20);
    let places = places(&storage);
    let file = &segments(&storage)[1];
    let end = places.iter().rfind(|place| place.file == *file).unwrap().end;
    for length in 0..end {
        let storage = storage.copy();
        storage.tamper(file, |bytes| bytes.truncate(length));
        let hit = places.iter().find(|place| place.file == *file && length < place.end).unwrap();
        let offset = if length < 24 { 0 } else { hit.offset as u64 };
        assert_eq!(refused_at(open(&storage)), (file.clone(), offset, hit.lsn), "{length} bytes");
    }
    storage.tamper(file, |bytes| bytes.truncate(end));
    model.check(&open(&storage).unwrap().1).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn zeros_are_refused_where_anything_later_proves_the_record(from in 0.0..1.0_f64, length in 1_usize..1_500) {
        let (storage, mut model) = long();
        let places = places(&storage);
        let last = places.last().unwrap();
        let from = (from * last.end as f64) as usize;
        let to = (from + length).min(last.end);
        let mut changed = None;
        storage.tamper(&last.file, |bytes| {
            changed = (from..to).find(|&at| bytes[at] != 0);
            bytes[from..to].fill(0);
        });
        let last_commit = places[places.len() - 3].offset;
        match open(&storage) {
            Err(JournalError::Damaged { file, offset, .. }) => {
                prop_assert!(file == last.file && changed.is_some_and(|first| offset as usize <= first));
            }
            Err(other) => panic!("{other}"),
            // A tail that is zeroed to its end looks as if it had never been written.
            Ok((_, recovered)) => {
                prop_assert!(changed.is_none() || to > last_commit, "zeros from {from} to {to} passed unseen");
                model.durable = if changed.is_some() { 0 } else { model.durable };
                model.check(&recovered).unwrap();
            }
        }
    }
}

#[test]
fn a_sector_that_a_crash_left_out_is_torn_but_a_flip_in_the_same_commit_is_damage() {
    let storage = MemoryStorage::new();
    let (mut journal, _) = open(&storage).unwrap();
    let mut model = Model::default();
    model.append(&mut journal, 100);
    model.commit(&mut journal).unwrap();
    for _ in 0..6 {
        model.append(&mut journal, 250);
    }
    model.commit(&mut journal).unwrap();
    let file = &segments(&storage)[0];
    for at in [512, 700, 1_023] {
        let storage = storage.copy();
        storage.tamper(file, |bytes| bytes[at] ^= 0x10);
        refused_at(open(&storage));
    }
    storage.tamper(file, |bytes| bytes[512..1_024].fill(0));
    let (_, recovered) = open(&storage).unwrap();
    assert!(recovered.torn.is_some());
    model.durable = 1;
    model.check(&recovered).unwrap();
    assert_eq!(model.durable, 2);
    assert_eq!(open(&storage).unwrap().1.torn, None, "cut off for good");
}

#[test]
fn swapped_segments_are_named_and_renaming_them_is_enough() {
    let (storage, mut model) = written(20);
    let files = segments(&storage);
    let swap = || {
        storage.rename(&files[1], "aside").unwrap();
        storage.rename(&files[2], &files[1]).unwrap();
        storage.rename("aside", &files[2]).unwrap();
    };
    swap();
    match open(&storage).map(|_| ()) {
        Err(JournalError::Damaged { file, offset: 0, problem: Problem::Swapped { belongs }, .. }) => {
            assert_eq!((&file, &belongs), (&files[1], &files[2]));
        }
        other => panic!("{other:?}"),
    }
    swap();
    model.check(&open(&storage).unwrap().1).unwrap();
}

#[test]
fn a_missing_segment_is_noticed_wherever_it_was() {
    let (storage, _) = written(20);
    let files = segments(&storage);
    for missing in &files {
        let storage = storage.copy();
        storage.remove(missing).unwrap();
        let (_, _, lsn) = refused_at(open(&storage));
        assert_eq!(&missing[8..28], format!("{lsn:020}"));
    }
}

#[test]
fn an_unreadable_checkpoint_falls_back_one_generation_and_loses_nothing() {
    let (storage, model) = with_checkpoints();
    let newest = names(&storage, "checkpoint-").pop().unwrap();
    let length = storage.read(&newest).unwrap().len();
    let check = |context: String, change: &dyn Fn(&mut Vec<u8>)| {
        let (storage, mut model) = (storage.copy(), model.clone());
        storage.tamper(&newest, change);
        let (mut journal, recovered) = open(&storage).unwrap_or_else(|why| panic!("{context}: {why}"));
        assert_eq!(recovered.checkpoint.as_ref().unwrap().0, 60, "{context}");
        assert!(
            matches!(&recovered.warnings[..], [Warning::CheckpointUnreadable { file, .. }] if *file == newest),
            "{context}"
        );
        model.check(&recovered).unwrap();
        assert_eq!(model.durable, 120, "{context}");
        // The next checkpoint takes its place; the unreadable one never counts as a generation.
        model.append(&mut journal, 10);
        model.commit(&mut journal).unwrap();
        model.checkpoint(&mut journal).unwrap();
        assert!(!names(&storage, "checkpoint-").contains(&newest), "{context}");
        drop(journal);
        model.check(&open(&storage).unwrap().1).unwrap();
    };
    for at in 0..length {
        check(format!("byte {at} flipped"), &|bytes| bytes[at] ^= 1 << (at % 8));
        check(format!("cut to {at} bytes"), &|bytes| bytes.truncate(at));
    }
    check("zeroed".to_owned(), &|bytes| bytes.fill(0));
    check("longer".to_owned(), &|bytes| bytes.push(0));
}

#[test]
fn a_missing_checkpoint_costs_a_longer_replay() {
    let (storage, mut model) = with_checkpoints();
    storage.remove(&names(&storage, "checkpoint-")[1]).unwrap();
    let (_, recovered) = open(&storage).unwrap();
    assert_eq!(recovered.checkpoint.as_ref().unwrap().0, 60);
    model.check(&recovered).unwrap();
}

#[test]
fn the_only_checkpoint_unreadable_is_a_replay_from_the_start() {
    let (storage, mut model) = written(20);
    let (mut journal, _) = open(&storage).unwrap();
    model.checkpoint(&mut journal).unwrap();
    model.checkpoint = 0;
    storage.tamper(&names(&storage, "checkpoint-")[0], |bytes| bytes[50] ^= 1);
    let (_, recovered) = open(&storage).unwrap();
    assert_eq!((recovered.checkpoint.is_none(), recovered.records.len()), (true, 60));
    model.check(&recovered).unwrap();
}

#[test]
fn two_unreadable_or_swapped_checkpoints_are_refused() {
    let (storage, _) = with_checkpoints();
    let files = names(&storage, "checkpoint-");
    let check = |storage: &MemoryStorage| match open(storage).map(|_| ()) {
        Err(JournalError::Damaged { file, problem: Problem::Checkpoints { older }, .. }) => {
            assert_eq!([older, file], files[..]);
        }
        other => panic!("{other:?}"),
    };
    let swapped = storage.copy();
    swapped.rename(&files[0], "aside").unwrap();
    swapped.rename(&files[1], &files[0]).unwrap();
    swapped.rename("aside", &files[1]).unwrap();
    check(&swapped);
    for file in &files {
        storage.tamper(file, |bytes| bytes.truncate(10));
    }
    check(&storage);
}

#[test]
fn a_half_written_checkpoint_without_a_name_is_ignored_and_removed() {
    let (storage, mut model) = written(5);
    let mut file = storage.create("checkpoint.tmp", 0).unwrap();
    file.write_at(0, b"half").unwrap();
    model.check(&open(&storage).unwrap().1).unwrap();
    assert!(names(&storage, "checkpoint.tmp").is_empty());
}

#[test]
fn a_journal_that_ends_before_its_checkpoint_is_refused() {
    let (storage, mut model) = written(20);
    let (mut journal, _) = open(&storage).unwrap();
    model.checkpoint(&mut journal).unwrap();
    drop(journal);
    let last = places(&storage).pop().unwrap();
    for change in [
        &(|bytes: &mut Vec<u8>| bytes[last.offset + 30] ^= 1) as &dyn Fn(&mut Vec<u8>),
        &|bytes| bytes[last.offset..].fill(0),
        &|bytes| bytes.truncate(last.offset + 5),
    ] {
        let storage = storage.copy();
        storage.tamper(&last.file, change);
        let at = (last.file.clone(), last.offset as u64, 60);
        assert_eq!(refused_at(open(&storage)), at);
        // The unreadable checkpoint proves by its name alone what the older generation cannot.
        storage.tamper(&names(&storage, "checkpoint-")[0], |bytes| bytes[40] ^= 1);
        assert_eq!(refused_at(open(&storage)), at);
    }
}

#[test]
fn records_between_the_checkpoint_and_the_first_segment_are_missed() {
    let (storage, _) = with_checkpoints();
    for file in segments(&storage) {
        if file[8..28].parse::<u64>().unwrap() <= 91 {
            storage.remove(&file).unwrap();
        }
    }
    assert_eq!(refused_at(open(&storage)).2, 91);
}

#[test]
fn damage_below_the_checkpoint_is_reported_and_does_no_harm() {
    let (storage, model) = with_checkpoints();
    let places = places(&storage);
    // The segment that record 91 stands in begins below the checkpoint at 90.
    let file = &places.iter().find(|place| place.lsn == 91).unwrap().file;
    let mut warned = 0;
    for hit in places.iter().filter(|place| place.file == *file && place.lsn <= 90) {
        let (storage, mut model) = (storage.copy(), model.clone());
        storage.tamper(file, |bytes| bytes[hit.offset + 25] ^= 4);
        let (_, recovered) = open(&storage).unwrap();
        let expected =
            Warning::DamageBelowCheckpoint { file: file.clone(), offset: hit.offset as u64, lsn: hit.lsn };
        assert_eq!(recovered.warnings, [expected]);
        model.check(&recovered).unwrap();
        warned += 1;
    }
    assert!(warned > 0);
}

#[test]
fn a_newer_format_is_refused_as_newer() {
    let newer = |bytes: &mut Vec<u8>, covered: std::ops::Range<usize>| {
        bytes[8] = 2;
        let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes[..12]), &bytes[covered]);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
    };
    let check = |storage: &MemoryStorage, name: &str| match open(storage).map(|_| ()) {
        Err(JournalError::NewerFormat { file, found: 2, known: 1 }) => assert_eq!(file, name),
        other => panic!("{other:?}"),
    };
    let (storage, _) = with_checkpoints();
    let segment = segments(&storage).pop().unwrap();
    let checkpoint = names(&storage, "checkpoint-").pop().unwrap();
    let other = storage.copy();
    other.tamper(&segment, |bytes| newer(bytes, 16..24));
    check(&other, &segment);
    storage.tamper(&checkpoint, |bytes| newer(bytes, 16..bytes.len()));
    check(&storage, &checkpoint);
}
