//! A repair asks first, deletes nothing, and leaves a journal that opens and works.

use super::*;

/// Repairs a damaged journal; checks that the rehearsal changes nothing and says what the repair then does, that
/// nothing is gone, and that the journal works with the first `kept` records.
fn check_repair(world: &World, kept: u64, said: &[&str]) {
    let before = world.contents();
    let asked = world.wal(&["repair"]);
    asked.check(2, &["would keep every record up to lsn", "damage     "], &["nothing was changed", "--yes"]);
    assert_eq!(world.contents(), before, "a rehearsal changes nothing");

    let done = world.wal(&["repair", "--yes"]);
    done.check(0, said, &[]);
    done.check(0, &[&format!("kept       every record up to lsn {kept}\n")], &[]);
    let after = world.contents();
    let moved =
        done.out.lines().filter(|line| line.starts_with("set aside  ") && line.contains(" bytes of "));
    for line in moved {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, _, bytes, _, _, file, _, _, offset, _, aside] = words[..] else { panic!("{line}") };
        let (bytes, offset) = (bytes.parse::<usize>().unwrap(), offset.parse::<usize>().unwrap());
        assert_eq!(after[aside], before[file][offset..offset + bytes], "{line}");
        assert!(asked.out.contains(&line.replace("set aside ", "would move")), "{line} in\n{}", asked.out);
    }
    world.wal(&["verify"]).check(0, &[&format!("goes on after lsn {kept}")], &[]);
    world.wal(&["repair", "--yes"]).check(0, &["nothing to repair"], &[]);
    world.append(5);
    assert_eq!(world.open().durable_lsn(), kept + 5);
    world.wal(&["verify"]).check(0, &[], &[]);
}

#[test]
fn what_is_before_a_flipped_byte_is_kept_and_what_is_lost_is_said() {
    let world = World::new(40);
    flip(&world.spot(7));
    check_repair(
        &world,
        6,
        &[
            "is damaged at offset",
            "lost       lsn 7 to 40, as far as there are traces of them",
            "of these can still be read: 33 post",
            "may be charged again by late bills. The house bears it.",
            "opens a new boot epoch",
        ],
    );
}

#[test]
fn a_missing_segment_is_repaired() {
    let world = World::new(40);
    let files = world.files("journal-0", ".wal");
    std::fs::remove_file(&files[1]).unwrap();
    let kept = name(&files[1])[8..28].parse::<u64>().unwrap() - 1;
    let lost = format!("lost       lsn {} to 40", kept + 1);
    check_repair(&world, kept, &["a segment that begins with this record is missing", &lost]);
}

#[test]
fn a_header_whose_records_are_sound_costs_nothing() {
    let world = World::new(40);
    tamper(&world.files("journal-0", ".wal")[1], |bytes| bytes[2] ^= 1);
    check_repair(&world, 40, &["the header is unreadable", "is written anew", "lost       no record"]);
}

#[test]
fn a_journal_that_ends_before_its_checkpoint_loses_nothing_that_the_checkpoint_holds() {
    let world = World::new(20);
    world.checkpoint();
    let spot = world.spot(18);
    world.files("journal-0", ".wal").iter().filter(|path| **path > spot.path).for_each(|path| {
        std::fs::remove_file(path).unwrap();
    });
    tamper(&spot.path, |bytes| bytes[spot.offset..].fill(9));
    check_repair(&world, 20, &["a checkpoint holds records up to 20", "lost       no record"]);
}

#[test]
fn what_only_a_rename_or_a_backup_mends_is_refused_as_damaged() {
    let world = World::new(40);
    let files = world.files("journal-0", ".wal");
    let aside = world.ledger().join("aside");
    let swap = || {
        std::fs::rename(&files[1], &aside).unwrap();
        std::fs::rename(&files[2], &files[1]).unwrap();
        std::fs::rename(&aside, &files[2]).unwrap();
    };
    swap();
    let before = world.contents();
    let rename = format!("rename the file to {}", name(&files[2]));
    world.wal(&["repair", "--yes"]).check(4, &[], &["cannot be repaired, and nothing was changed", &rename]);
    assert_eq!(world.contents(), before);
    swap();
    world.wal(&["repair", "--yes"]).check(0, &["nothing to repair"], &[]);
}

#[test]
fn a_directory_in_use_is_not_repaired() {
    let world = World::new(20);
    flip(&world.spot(7));
    let before = world.contents();
    let server = DataDir::open(world.dir.path()).unwrap();
    let holder = format!("is in use by process {}; stop it first", std::process::id());
    for command in [&["repair"][..], &["repair", "--yes"]] {
        world.wal(command).check(1, &[], &[&holder]);
    }
    assert_eq!(world.contents(), before);
    drop(server);
    check_repair(&world, 6, &[]);
}
