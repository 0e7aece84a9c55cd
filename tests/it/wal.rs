//! `outbid wal`: what an operator sees of a journal, sound and damaged, by the real binary.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod dump;
mod repair;
mod verify;

use outbid::budget::file_storage::FileStorage;
use outbid::budget::journal::{Item, Journal, Options, dump as read_all};
use outbid::budget::record::{Bid, Boot, Event, Fund, Grant, Post, Source};
use outbid::model::ids::BidId;
use outbid::store::data_dir::DataDir;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Small, so that a few records fill a segment.
const OPTIONS: Options = Options { segment_bytes: 1_024, spare_segments: 1, emergency_bytes: 512 };

const EPOCH: u32 = 1_790_000_000;

/// A data directory with a journal in it.
struct World {
    dir: TempDir,
}

/// What a command did.
struct Outcome {
    code: i32,
    out: String,
    err: String,
}

impl Outcome {
    /// The line of the output that holds `part`.
    fn line(&self, part: &str) -> &str {
        let found = self.out.lines().find(|line| line.contains(part));
        found.unwrap_or_else(|| panic!("no {part:?} in:\n{}{}", self.out, self.err))
    }

    fn check(&self, code: i32, out: &[&str], err: &[&str]) {
        assert_eq!(self.code, code, "{}{}", self.out, self.err);
        for (parts, text) in [(out, &self.out), (err, &self.err)] {
            for part in parts {
                assert!(text.contains(part), "no {part:?} in:\n{text}");
            }
        }
    }
}

/// A record's place.
#[derive(Clone)]
struct Spot {
    path: PathBuf,
    offset: usize,
    end: usize,
}

/// Runs the binary.
fn outbid(arguments: &[&str]) -> Outcome {
    // Away from any configuration file, and without what the environment may set.
    let output = Command::new(env!("CARGO_BIN_EXE_outbid"))
        .args(arguments)
        .current_dir(std::env::temp_dir())
        .env_clear()
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Outcome { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

/// What a ledger writes: a boot, a funding, a grant, then posts.
fn event(lsn: u64) -> Event {
    match lsn {
        1 => Event::Boot(Boot { epoch: EPOCH, unix_ms: i64::from(EPOCH) * 1_000 }),
        2 => Event::Fund(Fund {
            line_item: 11,
            campaign: 12,
            advertiser: 13,
            wallet: 100_000_000_000,
            campaign_lifetime: None,
            campaign_daily: Some(5_250_000_001),
            line_item_lifetime: None,
            line_item_daily: Some(0),
            time_zone: "Asia/Kathmandu".to_owned(),
            currency: "USD".to_owned(),
            version: 3,
        }),
        3 => {
            Event::Grant(Grant { lease: lease(), core: 1, line_item: 11, day: 20_717, amount: 2_000_000_000 })
        }
        _ => {
            let source =
                Source { exchange: 2, at_s: EPOCH + 7, data: 5, platform: 70, units: 1_075, house_units: 0 };
            let bid = Bid::new(BidId { epoch: EPOCH, core: 1, sequence: lsn }, EPOCH + 1);
            Event::Post(Post {
                bid,
                lease: lease(),
                charge: 1_075,
                released: 0,
                overprice: 0,
                source,
                shown: None,
            })
        }
    }
}

fn lease() -> u64 {
    u64::from(EPOCH) << 32 | 1
}

impl World {
    /// `records` records, one to a commit.
    fn new(records: u64) -> World {
        let world = World { dir: tempfile::tempdir().unwrap() };
        drop(DataDir::open(world.dir.path()).unwrap());
        world.append(records);
        world
    }

    fn data(&self) -> &str {
        self.dir.path().to_str().unwrap()
    }

    fn ledger(&self) -> PathBuf {
        self.dir.path().join("ledger")
    }

    fn storage(&self) -> FileStorage {
        FileStorage::open(&self.ledger()).unwrap()
    }

    fn open(&self) -> Journal {
        Journal::open(Box::new(self.storage()), OPTIONS).unwrap().0
    }

    fn append(&self, records: u64) {
        let mut journal = self.open();
        let mut bytes = Vec::new();
        for _ in 0..records {
            event(journal.last_lsn() + 1).write_to(&mut bytes);
            journal.append(&bytes);
            journal.commit().unwrap();
        }
    }

    /// A checkpoint at the last record.
    fn checkpoint(&self) {
        self.open().checkpoint(&[b's'; 300]).unwrap();
    }

    fn wal(&self, command: &[&str]) -> Outcome {
        outbid(&[&["wal"], command, &["--data", self.data()]].concat())
    }

    /// Where the record stands.
    fn spot(&self, wanted: u64) -> Spot {
        let mut spot = None;
        read_all(&self.storage(), |item| {
            if let Item::Record { file, offset, lsn, payload } = item
                && lsn == wanted
            {
                let offset = offset as usize;
                spot =
                    Some(Spot { path: self.ledger().join(file), offset, end: offset + 20 + payload.len() });
            }
        })
        .unwrap();
        spot.unwrap()
    }

    /// The files that begin and end like this, in order.
    fn files(&self, prefix: &str, suffix: &str) -> Vec<PathBuf> {
        let names = self.contents().into_keys();
        let named = names.filter(|name| name.starts_with(prefix) && name.ends_with(suffix));
        named.map(|name| self.ledger().join(name)).collect()
    }

    /// Everything in the journal's directory.
    fn contents(&self) -> BTreeMap<String, Vec<u8>> {
        let entries = std::fs::read_dir(self.ledger()).unwrap().map(|entry| entry.unwrap());
        let name = |entry: &std::fs::DirEntry| entry.file_name().into_string().unwrap();
        entries.map(|entry| (name(&entry), std::fs::read(entry.path()).unwrap())).collect()
    }
}

/// Changes a file.
fn tamper(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).unwrap();
    change(&mut bytes);
    std::fs::write(path, bytes).unwrap();
}

/// Flips a bit in a record.
fn flip(spot: &Spot) {
    tamper(&spot.path, |bytes| bytes[spot.offset + 25] ^= 4);
}

fn name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

#[test]
fn what_is_no_data_directory_is_refused_and_stays_as_it_is() {
    let empty = tempfile::tempdir().unwrap();
    let absent = empty.path().join("absent");
    for command in [&["dump"][..], &["verify"], &["repair"], &["repair", "--yes"]] {
        let run = |data: &Path| outbid(&[&["wal"], command, &["--data", data.to_str().unwrap()]].concat());
        run(empty.path()).check(1, &[], &["is no data directory", "no ledger/", "--data DIR"]);
        run(&absent).check(1, &[], &["cannot read", "--data DIR", "No such file"]);
    }
    assert_eq!(std::fs::read_dir(empty.path()).unwrap().count(), 0);
}

#[test]
fn the_configured_directory_is_taken_where_none_is_named() {
    let world = World::new(3);
    let set = format!("data.dir={}", world.data());
    outbid(&["wal", "verify", "--set", &set]).check(0, &["3, lsn 1 to 3"], &[]);
    outbid(&["wal", "verify", "--data-dir", world.data(), "--set", "no.such=option"]).check(
        0,
        &["3, lsn 1 to 3"],
        &[],
    );
}

#[test]
fn a_directory_without_a_journal_is_empty_and_sound() {
    let dir = tempfile::tempdir().unwrap();
    drop(DataDir::open(dir.path()).unwrap());
    let run =
        |command: &[&str]| outbid(&[&["wal"], command, &["--data", dir.path().to_str().unwrap()]].concat());
    run(&["verify"]).check(0, &["segments    none: the first start begins a journal here"], &[]);
    run(&["repair", "--yes"]).check(0, &["nothing to repair"], &[]);
    let dumped = run(&["dump"]);
    assert_eq!((dumped.code, dumped.out.as_str()), (0, ""));
}
