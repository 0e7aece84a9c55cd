//! One line a record, in order, and a line for each place that cannot be read.

use super::*;
use outbid::budget::record::{
    Adjust, Day, Horizon, Late, Pardon, Reach, Release, Return, Shown, Stale, Stop, Traffic, Trial,
};
use serde_json::Value;

fn json(outcome: &Outcome) -> Vec<Value> {
    outcome.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_record_reads_in_the_products_words_with_exact_money() {
    let world = World::new(4);
    let dumped = world.wal(&["dump"]);
    assert_eq!(dumped.code, 0, "{}", dumped.err);
    let expected = "         1  boot        epoch=1790000000 at=2026-09-21T14:13:20Z
         2  fund        line_item=11 campaign=12 advertiser=13 wallet=100.00 campaign_lifetime=none \
         campaign_daily=5.250000001 line_item_lifetime=none line_item_daily=0.00 currency=USD \
         time_zone=Asia/Kathmandu version=3
         3  grant       lease=7687991459840000001 core=1 line_item=11 day=2026-09-21 amount=2.00
         4  post        bid=6ab13b80-1-4 issued=2026-09-21T14:13:21Z lease=7687991459840000001 charge=0.000001075 \
         released=0.00 overprice=0.00 exchange=2 billed=2026-09-21T14:13:27Z data=0.000000005 \
         platform=0.00000007 units=0.000001075 house_units=0.00
";
    assert_eq!(dumped.out, expected);
}

#[test]
fn every_kind_has_its_name_and_its_fields() {
    let Event::Post(Post { bid, source, .. }) = event(4) else { panic!("record 4 is a post") };
    let (lease, line_item, day, epoch, min_to_win) = (lease(), 11, 20_717, EPOCH, Some(1_200_000));
    let shown = Some(Shown { line_item, creative: 14, user: 15, price: 2_500_000, at_ms: 16, min_to_win });
    let late = Late { bid, line_item, day, charge: 1, overdelivery: 2, overprice: 3, source, shown };
    let cases = [
        (Event::Return(Return { lease, amount: 9 }), "return", "amount=0.000000009"),
        (Event::Late(late), "late", "charge=0.000000001 overdelivery=0.000000002 overprice=0.000000003"),
        (Event::Late(late), "late", "creative=14 price_cpm=2.50 min_to_win_cpm=1.20"),
        (
            Event::Stale(Stale { bid, amount: 8, line_item, source }),
            "stale",
            "line_item=11 amount=0.000000008",
        ),
        (Event::Release(Release { lease }), "release", "lease=7687991459840000001"),
        (
            Event::Horizon(Horizon { epoch, core: 1, sequence: 1 << 40 }),
            "horizon",
            "core=1 sequence=1099511627776",
        ),
        (
            Event::Day(Day { advertiser: 13, day, time_zone: "Asia/Kolkata".to_owned() }),
            "day",
            "advertiser=13 day=2026-09-21 time_zone=Asia/Kolkata",
        ),
        (Event::Adjust(Adjust { line_item, amount: -5, overdelivery: 0 }), "adjust", "amount=-0.000000005"),
        (Event::Stop(Stop { scope: 4, id: 12, stopped: false }), "stop", "scope=campaign id=12 stopped=no"),
        (Event::Trial(Trial { exchange: 2, units: 10_000_000_000 }), "trial", "exchange=2 units=10.00"),
        (Event::Pardon(Pardon { exchange: 2 }), "pardon", "exchange=2"),
        (Event::Reach(Reach { hold_s: 7_200 }), "reach", "hold_s=7200"),
        (
            Event::Traffic(Traffic { exchange: 2, at_s: 7, units: 5, bids: 90, bills: 30, silent: 4 }),
            "traffic",
            "exchange=2 at=1970-01-01T00:00:07Z units=0.000000005 bids=90 bills=30 silent=4",
        ),
    ];
    let world = World::new(0);
    let (mut journal, mut bytes) = (world.open(), Vec::new());
    for (event, ..) in &cases {
        event.clone().write_to(&mut bytes);
        journal.append(&bytes);
    }
    journal.commit().unwrap();
    let dumped = world.wal(&["dump"]);
    assert_eq!(dumped.out.lines().count(), cases.len());
    for (line, (_, kind, fields)) in dumped.out.lines().zip(&cases) {
        assert!(line[12..].starts_with(&format!("{kind:<11} ")) && line.contains(fields), "{line}");
    }
}

#[test]
fn as_json_money_is_a_string_of_nanos_and_the_number_comes_first() {
    let world = World::new(4);
    let dumped = world.wal(&["dump", "--json"]);
    assert!(dumped.out.lines().all(|line| line.starts_with("{\"lsn\":")), "{}", dumped.out);
    let lines = json(&dumped);
    assert_eq!(lines.len(), 4);
    assert_eq!(lines[1]["campaign_daily_nanos"], "5250000001");
    assert_eq!(lines[1]["campaign_lifetime_nanos"], Value::Null);
    assert_eq!((&lines[3]["kind"], &lines[3]["lsn"]), (&Value::from("post"), &Value::from(4)));
    assert_eq!(
        (&lines[3]["charge_nanos"], &lines[3]["lease"]),
        (&"1075".into(), &lease().to_string().into())
    );
}

#[test]
fn every_record_stands_there_once_and_a_range_shows_only_its_own() {
    let world = World::new(40);
    assert!(world.files("journal-0", ".wal").len() > 2);
    let shown = |arguments: &[&str]| {
        let lines = json(&world.wal(&[&["dump", "--json"], arguments].concat()));
        lines.iter().map(|line| line["lsn"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(shown(&[]), (1..=40).collect::<Vec<_>>());
    assert_eq!(shown(&["--from", "17", "--to", "23"]), (17..=23).collect::<Vec<_>>());
    assert_eq!(shown(&["--from", "39"]), [39, 40]);
    assert_eq!(shown(&["--to", "2"]), [1, 2]);
    assert_eq!(shown(&["--from", "41"]), [0; 0]);
}

#[test]
fn checkpoints_come_first_with_lsn_and_size() {
    let world = World::new(10);
    world.checkpoint();
    world.append(5);
    world.checkpoint();
    tamper(&world.files("checkpoint-", ".ckpt")[1], |bytes| bytes.truncate(40));
    let lines = json(&world.wal(&["dump", "--json", "--from", "15"]));
    assert_eq!((&lines[0]["kind"], &lines[0]["lsn"]), (&"checkpoint".into(), &15.into()));
    assert!(lines[0]["unreadable"].as_str().unwrap().contains("checksum"));
    assert_eq!((&lines[1]["lsn"], &lines[1]["bytes"]), (&10.into(), &300.into()));
    assert_eq!(lines.len(), 3);
}

#[test]
fn a_torn_tail_is_told_from_a_damaged_middle() {
    let world = World::new(20);
    let before = world.contents();
    let last = world.spot(20);
    tamper(&last.path, |bytes| bytes[last.end - 2] = 0);
    let dumped = world.wal(&["dump"]);
    dumped.check(0, &["        19  post", "        20  unreadable"], &[]);
    let torn = dumped.line("  20  torn ");
    assert!(torn.contains("nothing acknowledged is in it"), "{torn}");
    assert!(torn.contains(&format!("file={} offset={}", name(&last.path), last.offset)), "{torn}");

    std::fs::write(&last.path, &before[name(&last.path)]).unwrap();
    let middle = world.spot(7);
    flip(&middle);
    let before = world.contents();
    let dumped = world.wal(&["dump"]);
    let bytes = middle.end - middle.offset;
    let unreadable =
        format!("7  unreadable  file={} offset={} bytes={bytes}", name(&middle.path), middle.offset);
    dumped.check(0, &["         6  post", &unreadable, "         8  post", "        20  post"], &[]);
    let damaged = dumped.line("  7  damaged ");
    assert!(damaged.contains("outbid wal repair"), "{damaged}");
    assert_eq!(world.contents(), before, "a dump changes nothing");
}

#[test]
fn records_in_a_segment_that_is_gone_are_named_as_missing() {
    let world = World::new(40);
    let files = world.files("journal-0", ".wal");
    let first = |file: &Path| name(file)[8..28].parse::<u64>().unwrap();
    std::fs::remove_file(&files[1]).unwrap();
    let dumped = world.wal(&["dump"]);
    let missing = format!("{:>10}  missing     to={}", first(&files[1]), first(&files[2]) - 1);
    dumped.check(0, &[&missing, "  damaged "], &[]);
}

#[test]
fn a_record_of_an_unknown_kind_is_shown_as_bytes() {
    let world = World::new(3);
    let mut journal = world.open();
    // Field 99 of a later version, empty.
    journal.append(&[0x9a, 0x06, 0x00]);
    journal.commit().unwrap();
    drop(journal);
    let dumped = world.wal(&["dump"]);
    let line = dumped.line("not-known");
    assert!(line.starts_with("         4  not-known ") && line.contains("bytes=3 begins=9a0600"), "{line}");
    assert!(line.contains("use the version that wrote it"), "{line}");
}

#[test]
fn it_works_beside_a_process_that_has_the_directory_open() {
    let world = World::new(5);
    let _server = DataDir::open(world.dir.path()).unwrap();
    let mut journal = world.open();
    let mut bytes = Vec::new();
    event(6).write_to(&mut bytes);
    journal.append(&bytes);
    journal.commit().unwrap();
    world.wal(&["dump", "--from", "6"]).check(0, &["         6  post"], &[]);
    world.wal(&["verify"]).check(0, &["6, lsn 1 to 6"], &[]);
}

#[test]
fn beside_a_busy_writer_every_record_is_whole_and_nothing_is_found_that_is_not_there() {
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
    let world = World::new(100);
    let done = AtomicBool::new(false);
    let (mut last, mut looks) = (0, 0);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let options = Options { segment_bytes: 1 << 15, ..OPTIONS };
            let mut journal = Journal::open(Box::new(world.storage()), options).unwrap().0;
            let mut bytes = Vec::new();
            while !done.load(Relaxed) {
                for _ in 0..3 {
                    event(journal.last_lsn() + 1).write_to(&mut bytes);
                    journal.append(&bytes);
                }
                journal.commit().unwrap();
                if journal.last_lsn().is_multiple_of(500) {
                    journal.checkpoint(b"state").unwrap();
                }
            }
            journal.last_lsn()
        });
        for _ in 0..15 {
            world.wal(&["verify"]).check(0, &["next start  goes on after"], &[]);
            let lines = json(&world.wal(&["dump", "--json"]));
            assert!(lines.iter().all(|line| line["kind"] != "damaged" && line["kind"] != "not-known"));
            looks += lines.iter().filter(|line| line["kind"] == "post").count();
        }
        done.store(true, Relaxed);
        last = writer.join().unwrap();
    });
    assert!(last > 100 && looks > 1_000, "{last} records were written, {looks} were seen");
}

#[test]
fn a_reader_that_closes_the_pipe_ends_it_quietly() {
    use std::io::Read;
    use std::process::{Command, Stdio};
    let world = World::new(0);
    let mut journal = world.open();
    let mut bytes = Vec::new();
    for lsn in 1..=2_000 {
        event(lsn).write_to(&mut bytes);
        journal.append(&bytes);
    }
    journal.commit().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_outbid"))
        .args(["wal", "dump", "--data", world.data()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 10];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!((child.wait().unwrap().code(), err.as_str()), (Some(0), ""));
}
