//! One log: writing, reading, following, what is kept.

use super::{KEEP_ALL, click, event, numbers, read};
use outbid::events::{EventReader, EventWriter, Item, Retention, segments};
use outbid::model::event::Event;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read_back_over_any_flushes_and_restarts(
        steps in prop::collection::vec((prop::collection::vec(event(), 0..30), any::<bool>()), 0..12),
        segment_bytes in 100u64..4_000,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let retention = Retention { segment_bytes, ..KEEP_ALL };
        let mut written: Vec<Event> = Vec::new();
        let (mut writer, opened) = EventWriter::open(dir.path(), retention).unwrap();
        prop_assert_eq!(opened.next, 1);
        let mut follower = EventReader::open(dir.path(), 0);
        let mut followed = Vec::new();
        for (events, restart) in steps {
            for event in events {
                written.push(event);
                prop_assert_eq!(writer.append(&event), written.len() as u64);
            }
            writer.flush().unwrap();
            while let Some(item) = follower.next().unwrap() {
                followed.push(item);
            }
            if restart {
                drop(writer);
                let (again, opened) = EventWriter::open(dir.path(), retention).unwrap();
                prop_assert_eq!(opened.next, written.len() as u64 + 1);
                prop_assert_eq!((opened.torn, opened.damaged), (None, None));
                writer = again;
            }
        }
        let expected: Vec<Item> =
            (1..).zip(&written).map(|(number, event)| Item::Event(number, *event)).collect();
        prop_assert_eq!(&followed, &expected);
        prop_assert_eq!(follower.position(), written.len() as u64 + 1);
        for from in [1, written.len() as u64 / 2, written.len() as u64 + 1] {
            let begin = (from.max(1) - 1) as usize;
            prop_assert_eq!(read(dir.path(), from), &expected[begin.min(expected.len())..]);
        }
    }
}

/// A log of so many clicks in several segments, flushed by tens.
fn filled(dir: &std::path::Path, count: u64, segment_bytes: u64) -> EventWriter {
    let retention = Retention { segment_bytes, ..KEEP_ALL };
    let (mut writer, _) = EventWriter::open(dir, retention).unwrap();
    for number in 1..=count {
        assert_eq!(writer.append(&click(number)), number);
        if number % 10 == 0 {
            writer.flush().unwrap();
        }
    }
    writer.flush().unwrap();
    writer.sync().unwrap();
    writer
}

#[test]
fn old_segments_go_by_size_and_by_age_and_readers_are_told() {
    let dir = tempfile::tempdir().unwrap();
    drop(filled(dir.path(), 1_000, 2_000));
    let all = segments(dir.path()).unwrap();
    assert!(all.len() > 10, "{}", all.len());
    let bytes: u64 = all.iter().map(|segment| segment.bytes).sum();
    let mut behind = EventReader::open(dir.path(), 1);
    assert!(matches!(behind.next().unwrap(), Some(Item::Event(1, _))));

    let half = Retention { segment_bytes: 2_000, keep_bytes: bytes / 2, ..KEEP_ALL };
    let (mut writer, _) = EventWriter::open(dir.path(), half).unwrap();
    assert!(writer.retain(0).unwrap() > 4);
    assert_eq!(writer.retain(0).unwrap(), 0);
    assert!(writer.bytes() <= bytes / 2 && writer.bytes() > bytes / 3);
    let oldest = segments(dir.path()).unwrap()[0].first;
    assert_eq!(read(dir.path(), 1)[0], Item::Gap(1, oldest));
    assert_eq!(numbers(dir.path()), (oldest..=1_000).collect::<Vec<_>>());
    // A reader that stands in a removed segment reads it to its end, and then misses what is gone.
    let rest: Vec<Item> = std::iter::from_fn(|| behind.next().unwrap()).collect();
    let gap = rest.iter().find(|item| matches!(item, Item::Gap(..))).unwrap();
    assert!(matches!(gap, Item::Gap(_, to) if *to == oldest), "{gap:?}");
    assert_eq!(rest.last(), Some(&Item::Event(1_000, click(1_000))));

    // The records' own times are of 1970; the one that is written to stays.
    let brief = Retention { segment_bytes: 2_000, keep_ms: 1_000, ..KEEP_ALL };
    drop(writer);
    let (mut writer, _) = EventWriter::open(dir.path(), brief).unwrap();
    let later = i64::MAX;
    writer.retain(later).unwrap();
    assert_eq!((writer.segments(), segments(dir.path()).unwrap().len()), (1, 1));
}

#[test]
fn a_directory_that_is_not_there_is_an_empty_log() {
    let dir = tempfile::tempdir().unwrap();
    let none = dir.path().join("none");
    assert_eq!(read(&none, 1), []);
    assert_eq!(segments(&none).unwrap(), []);
    assert_eq!(EventWriter::open(&none, KEEP_ALL).unwrap().1.next, 1);
}

#[test]
fn numbers_go_on_where_records_waited_for_a_flush() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = filled(dir.path(), 5, 65_536);
    // Never flushed, never seen: nobody was told of it.
    assert_eq!(writer.append(&click(6)), 6);
    assert_eq!(numbers(dir.path()), [1, 2, 3, 4, 5]);
    drop(writer);
    let (_, opened) = EventWriter::open(dir.path(), KEEP_ALL).unwrap();
    assert_eq!(opened.next, 6);
}
