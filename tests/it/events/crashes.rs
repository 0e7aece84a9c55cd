//! Cut and changed files: only what is hit is lost, and it is said.

use super::{KEEP_ALL, click, numbers, read};
use outbid::events::{EventWriter, Item, segments};
use std::fs;
use std::path::{Path, PathBuf};

/// Three blocks of ten clicks in one segment; its path and its bytes.
fn three_blocks(dir: &Path) -> (PathBuf, Vec<u8>) {
    let (mut writer, _) = EventWriter::open(dir, KEEP_ALL).unwrap();
    for number in 1..=30 {
        writer.append(&click(number));
        if number % 10 == 0 {
            writer.flush().unwrap();
        }
    }
    let path = dir.join(&segments(dir).unwrap()[0].file);
    let bytes = fs::read(&path).unwrap();
    (path, bytes)
}

#[test]
fn a_torn_end_costs_its_own_block_and_writing_goes_on_there() {
    let dir = tempfile::tempdir().unwrap();
    let (path, bytes) = three_blocks(dir.path());
    let mut lengths: Vec<usize> = (0..bytes.len()).step_by(37).collect();
    lengths.extend([0, 1, 31, 32, 33, bytes.len() - 1]);
    for length in lengths {
        fs::write(&path, &bytes[..length]).unwrap();
        let kept = numbers(dir.path());
        assert!(kept.len().is_multiple_of(10) && kept.len() < 30, "{length}: {kept:?}");
        let (mut writer, opened) = EventWriter::open(dir.path(), KEEP_ALL).unwrap();
        assert_eq!((opened.next, opened.damaged), (kept.len() as u64 + 1, None), "{length}");
        assert_eq!(numbers(dir.path()), kept);
        writer.append(&click(opened.next));
        writer.flush().unwrap();
        assert_eq!(numbers(dir.path()), (1..=opened.next).collect::<Vec<_>>(), "{length}");
        assert!(read(dir.path(), 1).iter().all(|item| matches!(item, Item::Event(..))), "{length}");
        fs::remove_file(&path).unwrap();
    }
}

#[test]
fn a_changed_byte_in_the_middle_costs_its_own_block_and_nothing_is_written_over_it() {
    let dir = tempfile::tempdir().unwrap();
    let (path, bytes) = three_blocks(dir.path());
    let block = (bytes.len() - 32) / 3;
    for (at, lost) in
        [(32 + 2, 1..=10u64), (32 + 30, 1..=10), (32 + block + 8, 11..=20), (32 + 2 * block - 1, 11..=20)]
    {
        let mut changed = bytes.clone();
        changed[at] ^= 0x40;
        fs::write(&path, &changed).unwrap();
        let kept: Vec<u64> = (1..=30).filter(|number| !lost.contains(number)).collect();
        assert_eq!(numbers(dir.path()), kept, "byte {at}");
        let said = read(dir.path(), 1);
        assert_eq!(said.iter().filter(|item| matches!(item, Item::Damaged { .. })).count(), 1, "byte {at}");
        assert!(said.contains(&Item::Gap(*lost.start(), lost.end() + 1)), "byte {at}: {said:?}");
        let (mut writer, opened) = EventWriter::open(dir.path(), KEEP_ALL).unwrap();
        assert_eq!((opened.next, opened.torn), (31, None));
        assert_eq!(opened.damaged, Some(path.file_name().unwrap().to_str().unwrap().to_owned()));
        writer.append(&click(31));
        writer.flush().unwrap();
        assert_eq!(numbers(dir.path()), kept.iter().copied().chain([31]).collect::<Vec<_>>(), "byte {at}");
        assert_eq!(fs::read(&path).unwrap(), changed);
        for segment in &segments(dir.path()).unwrap()[1..] {
            fs::remove_file(dir.path().join(&segment.file)).unwrap();
        }
    }
}

#[test]
fn a_segment_without_a_readable_header_is_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let (path, bytes) = three_blocks(dir.path());
    let mut changed = bytes;
    changed[3] ^= 1;
    fs::write(&path, &changed).unwrap();
    let damaged = read(dir.path(), 1);
    assert!(matches!(damaged[..], [Item::Damaged { offset: 0, .. }]), "{damaged:?}");
    let (mut writer, opened) = EventWriter::open(dir.path(), KEEP_ALL).unwrap();
    // No number of the lost records comes again.
    assert!(opened.next > 30 && opened.damaged.is_some(), "{opened:?}");
    writer.append(&click(opened.next));
    writer.flush().unwrap();
    assert_eq!(numbers(dir.path()), [opened.next]);
}
