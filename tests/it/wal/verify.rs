//! Sound is 0; everything else is 1, with file, offset, what is wrong and what to do.

use super::*;

fn at(spot: &Spot) -> String {
    format!("{}:{}: ", spot.path.display(), spot.offset)
}

#[test]
fn a_sound_journal_is_summed_up() {
    let world = World::new(20);
    world.checkpoint();
    world.append(10);
    world.checkpoint();
    world.append(10);
    let before = world.contents();
    let segments = world.files("journal-0", ".wal");
    let bytes: usize = segments.iter().map(|path| before[name(path)].len()).sum();
    let first = name(&segments[0])[8..28].parse::<u64>().unwrap();
    let verified = world.wal(&["verify"]);
    let expected = format!(
        "journal     {}\n\
         segments    {} of {bytes} bytes on disk\n\
         records     {}, lsn {first} to 40\n\
         checkpoint  at lsn 30, 300 bytes, reads\n\
         checkpoint  at lsn 20, 300 bytes, reads\n\
         next start  goes on after lsn 40\n",
        world.ledger().display(),
        segments.len(),
        41 - first,
    );
    assert_eq!((verified.code, verified.out, verified.err.as_str()), (0, expected, ""));
    assert_eq!(world.contents(), before, "nothing was changed");
}

#[test]
fn a_torn_tail_is_harmless_and_says_so() {
    let world = World::new(20);
    let last = world.spot(20);
    tamper(&last.path, |bytes| bytes.truncate(last.end - 3));
    let torn = format!("{}a torn last write of", at(&last));
    world.wal(&["verify"]).check(
        1,
        &[&torn, "cut at the next start, nothing acknowledged is in it", "goes on after lsn 19"],
        &["1 finding in"],
    );
    world.wal(&["repair"]).check(0, &["nothing to repair, a start goes on after record 19", &torn], &[]);
    drop(world.open());
    world.wal(&["verify"]).check(0, &["19, lsn 1 to 19"], &[]);
}

#[test]
fn a_flipped_byte_in_the_middle_is_refused_by_file_and_offset() {
    let world = World::new(20);
    for lsn in [1, 9, 19] {
        let spot = world.spot(lsn);
        flip(&spot);
        let refused =
            format!("{}a start is refused at record {lsn}: the record is unreadable, but", at(&spot));
        world.wal(&["verify"]).check(
            1,
            &[&refused, "restore a backup, or run `outbid wal repair`", "next start  refused"],
            &["1 finding in"],
        );
        flip(&spot);
    }
    world.wal(&["verify"]).check(0, &[], &[]);
}

#[test]
fn a_missing_segment_is_refused_by_its_name() {
    let world = World::new(40);
    let files = world.files("journal-0", ".wal");
    std::fs::remove_file(&files[1]).unwrap();
    let verified = world.wal(&["verify"]);
    verified.check(1, &["a start is refused at record", "outbid wal repair"], &[]);
    std::fs::remove_file(&files[0]).unwrap();
    let first =
        format!("{}:0: a start is refused at record 1: a segment that begins with", files[0].display());
    world.wal(&["verify"]).check(1, &[&first, "put the file back"], &[]);
}

#[test]
fn a_half_written_checkpoint_falls_back_and_is_still_worth_a_look() {
    let world = World::new(20);
    world.checkpoint();
    world.append(10);
    world.checkpoint();
    world.append(3);
    let newest = world.files("checkpoint-", ".ckpt").pop().unwrap();
    tamper(&newest, |bytes| bytes.truncate(150));
    let finding = format!("{}:0: the checkpoint cannot be read, because", newest.display());
    world.wal(&["verify"]).check(
        1,
        &[
            "checkpoint  at lsn 30, does not read: its checksum does not match",
            "checkpoint  at lsn 20, 300 bytes, reads",
            "next start  goes on after lsn 33",
            &finding,
            "loses nothing",
        ],
        &["1 finding in"],
    );
    // Without its name it was never a checkpoint.
    std::fs::rename(&newest, world.ledger().join("checkpoint.tmp")).unwrap();
    world.wal(&["verify"]).check(0, &["checkpoint  at lsn 20", "goes on after lsn 33"], &[]);
}

#[test]
fn two_unreadable_checkpoints_are_refused() {
    let world = World::new(20);
    world.checkpoint();
    world.append(10);
    world.checkpoint();
    world.files("checkpoint-", ".ckpt").iter().for_each(|path| tamper(path, |bytes| bytes[35] ^= 1));
    world.wal(&["verify"]).check(1, &["a start is refused at record 30: neither this checkpoint nor"], &[]);
}

#[test]
fn damage_that_a_checkpoint_makes_harmless_is_found_all_the_same() {
    let world = World::new(20);
    world.checkpoint();
    let spot = world.spot(5);
    flip(&spot);
    let finding = format!("{}{} bytes where record 5 should be", at(&spot), spot.end - spot.offset);
    world.wal(&["verify"]).check(1, &[&finding, "nothing is lost", "goes on after lsn 20"], &["1 finding"]);
}

#[test]
fn a_record_that_is_whole_but_not_understood_is_named() {
    let check = |payload: &[u8], what: &str| {
        let world = World::new(3);
        let mut journal = world.open();
        journal.append(payload);
        journal.commit().unwrap();
        drop(journal);
        world.append(2);
        let named = format!("{}record 4 is not understood: ", at(&world.spot(4)));
        world.wal(&["verify"]).check(1, &[&named, what, "goes on after lsn 6"], &["1 finding in"]);
        world.wal(&["repair", "--yes"]).check(1, &["nothing to repair", &named], &["no repair mends"]);
    };
    check(&[0x9a, 0x06, 0x00], "use the version that wrote it or a newer one");
    check(&[0xff], "its checksum is right");
    let Event::Fund(fund) = event(2) else { panic!("record 2 is a funding") };
    let mut odd = Vec::new();
    Event::Fund(Fund { currency: "dollar".to_owned(), ..fund }).write_to(&mut odd);
    check(&odd, "\"dollar\"");
}

#[test]
fn many_records_of_a_newer_version_are_named_only_in_part() {
    let world = World::new(3);
    let mut journal = world.open();
    (0..50).for_each(|_| {
        journal.append(&[0x9a, 0x06, 0x00]);
        journal.commit().unwrap();
    });
    drop(journal);
    let verified = world.wal(&["verify"]);
    verified.check(1, &["record 23 is not understood", "(and 30 later records)"], &["20 findings"]);
    assert!(!verified.out.contains("record 24 is"), "{}", verified.out);
}

#[test]
fn a_newer_format_is_not_called_damaged() {
    let world = World::new(20);
    let file = world.files("journal-0", ".wal").remove(0);
    tamper(&file, |bytes| {
        bytes[8] = 2;
        let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes[..12]), &bytes[16..24]);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
    });
    let newer = format!("{}:0: a start is refused: this is format version 2", file.display());
    world.wal(&["verify"]).check(1, &[&newer, "use the newer program"], &["1 finding in"]);
    world.wal(&["dump"]).check(0, &["  newer "], &[]);
    world.wal(&["repair", "--yes"]).check(
        1,
        &[],
        &["cannot be repaired, and nothing was changed", "version 2"],
    );
}

#[test]
fn as_json_it_says_the_same() {
    let world = World::new(20);
    world.checkpoint();
    world.append(10);
    let read = || serde_json::from_str::<serde_json::Value>(&world.wal(&["verify", "--json"]).out).unwrap();
    let sound = read();
    assert_eq!(
        (&sound["records"], &sound["first_lsn"], &sound["last_lsn"]),
        (&30.into(), &1.into(), &30.into())
    );
    assert_eq!((&sound["opens"], &sound["findings"]), (&true.into(), &serde_json::json!([])));
    assert_eq!(
        (&sound["checkpoints"][0]["lsn"], &sound["checkpoints"][0]["bytes"]),
        (&20.into(), &300.into())
    );
    let spot = world.spot(25);
    flip(&spot);
    let damaged = read();
    let finding = &damaged["findings"][0];
    assert_eq!(damaged["opens"], false);
    assert_eq!((&finding["kind"], &finding["lsn"]), (&"damaged".into(), &25.into()));
    assert_eq!((&finding["file"], &finding["offset"]), (&name(&spot.path).into(), &spot.offset.into()));
}
