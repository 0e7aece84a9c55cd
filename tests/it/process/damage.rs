//! Trials B5 and B6 on the real binary: what a damaged journal or checkpoint does to a start, and that a bill which
//! was charged is never charged again, wherever its record lies by then.

use super::trial::account::{self, EXCHANGE, LINES, Line, Plan, UNIT};
use super::trial::http::Client;
use super::trial::load::Offer;
use super::trial::server::{Server, Site};
use crate::server::until;
use outbid::events::{EventReader, Item, LogName};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A server with a data directory of its own, and the bills that it has charged.
struct World {
    _dir: tempfile::TempDir,
    site: Site,
    server: Server,
    bills: Vec<String>,
}

impl World {
    fn start(seed: u64) -> World {
        let dir = tempfile::tempdir().unwrap();
        let plan = Plan { budgets: [500 * UNIT; 3], dear: false, hold_s: 60 };
        let site = Site::prepare(super::program(), &dir.path().join("data"), &plan, seed).unwrap();
        let site = site.set("ledger.segment_bytes=65536");
        let server = site.start().unwrap();
        World { _dir: dir, site, server, bills: Vec::new() }
    }

    /// Bids and bills, so many times.
    fn charge(&mut self, times: usize) {
        let (mut bids, mut track) = (Client::new(self.site.at[0]), Client::new(self.site.at[1]));
        let (line, from) = (&LINES[0], self.bills.len());
        while self.bills.len() < from + times {
            let id = format!("bid-{}", self.bills.len());
            let reply = bids.bid(EXCHANGE, &account::request(line, &id)).unwrap();
            assert_eq!(reply.status, 200);
            let path = Offer::read(&reply, line).unwrap().notice(line.bid);
            let reply = track.get(&path, "").unwrap();
            assert_eq!((reply.status, reply.class.as_str()), (204, "accepted"));
            self.bills.push(path);
        }
    }

    /// The bills in the event log, as records of the ledger's journal.
    fn events(&self) -> Vec<u64> {
        let notices = LogName::Notices.dir(&self.site.dir.join("events"));
        let mut reader = EventReader::open(&notices, 1);
        let items = std::iter::from_fn(|| reader.next().unwrap());
        let bills = items.filter_map(|item| match item {
            Item::Event(_, event) => event.bill_lsn(),
            Item::Gap(..) | Item::Damaged { .. } => None,
        });
        bills.collect()
    }

    /// Everything that was charged is charged, has one event, and is not charged again.
    fn check(&self) {
        until("every bill has an event", || self.events().len() >= self.bills.len());
        let events = self.events();
        assert_eq!(events.len(), self.bills.len());
        assert_eq!(events.iter().collect::<BTreeSet<_>>().len(), events.len(), "{events:?}");
        let spent = || self.site.balances().unwrap().wallets[0].1;
        let expected = Line::asked(LINES[0].bid) * self.bills.len() as i64;
        assert_eq!(spent(), expected);
        let mut track = Client::new(self.site.at[1]);
        for path in &self.bills {
            let reply = track.get(path, "").unwrap();
            assert_eq!((reply.status, reply.class.as_str()), (204, "duplicate"));
        }
        assert_eq!(spent(), expected);
    }

    fn start_again(&mut self) {
        self.server = self.site.start().unwrap();
    }

    /// Kills, lets `damage` happen to a file, and starts again.
    fn kill_and(&mut self, damage: impl FnOnce(&Self)) {
        self.server.kill().unwrap();
        damage(self);
        self.start_again();
    }

    /// The start must be refused as damaged; what it says.
    fn refused(&mut self) -> String {
        self.server = self.site.spawn().unwrap();
        assert_eq!(self.server.wait_end(Duration::from_secs(20)).unwrap(), Some(4), "{}", self.server.said());
        self.server.said()
    }

    /// The ledger's files of a kind, in their order.
    fn files(&self, prefix: &str, suffix: &str) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.site.dir.join("ledger")).unwrap();
        let names = entries.map(|entry| entry.unwrap().path());
        let is_one = |path: &PathBuf| {
            let name = path.file_name().unwrap().to_str().unwrap();
            name.starts_with(prefix) && name.ends_with(suffix) && !name.contains("spare")
        };
        let mut found: Vec<PathBuf> = names.filter(is_one).collect();
        found.sort();
        found
    }

    fn segments(&self) -> Vec<PathBuf> {
        self.files("journal-", ".wal")
    }

    fn checkpoints(&self) -> Vec<PathBuf> {
        self.files("checkpoint-", ".ckpt")
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // Nobody reads it when all went well.
            let _ = std::fs::remove_file(&self.site.log);
        }
    }
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).unwrap();
    change(&mut bytes);
    std::fs::write(path, bytes).unwrap();
}

/// One past the last byte that is not zero: the rest of a segment is set aside.
fn used(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1
}

#[test]
fn a_damaged_middle_refuses_to_start_and_names_file_and_offset() {
    let mut world = World::start(21);
    world.charge(20);
    world.server.kill().unwrap();
    let segment = world.segments()[0].clone();
    let whole = std::fs::read(&segment).unwrap();
    let middle = used(&whole) / 2;
    change(&segment, |bytes| bytes[middle] ^= 0x10);
    let damaged = std::fs::read(&segment).unwrap();
    for _ in 0..2 {
        let said = world.refused();
        let name = segment.file_name().unwrap().to_str().unwrap();
        assert!(said.contains(name) && said.contains("offset"), "{said}");
    }
    assert_eq!(std::fs::read(&segment).unwrap(), damaged, "a start that was refused changes nothing");
    std::fs::write(&segment, whole).unwrap();
    world.start_again();
    world.check();
}

#[test]
fn a_torn_tail_is_cut_off_and_said() {
    let mut world = World::start(22);
    world.charge(20);
    world.kill_and(|world| {
        change(world.segments().last().unwrap(), |bytes| {
            // The beginning of a record that was never finished: a length, and a part of what it promises.
            let end = used(bytes);
            bytes[end..end + 24]
                .copy_from_slice(&[40, 0, 0, 0, 7, 7, 7, 7, 9, 9, 9, 9, 9, 9, 9, 9, 1, 2, 3, 4, 5, 6, 7, 8]);
        });
    });
    assert!(world.server.said().contains("torn"), "{}", world.server.said());
    world.check();
    world.charge(5);
    world.kill_and(|_| {});
    world.check();
}

#[test]
fn a_bill_is_not_charged_again_after_checkpoint_truncation_and_kill() {
    let mut world = World::start(23);
    let first = world.segments()[0].clone();
    world.charge(10);
    let mut rounds = 0;
    while first.exists() {
        // A clean end writes an image of the books; two of them let old segments go.
        world.charge(400);
        world.server.stop().unwrap();
        world.start_again();
        rounds += 1;
        assert!(rounds < 10, "the first segment is still there: {:?}", world.segments());
    }
    world.kill_and(|_| {});
    world.check();
    world.kill_and(|_| {});
    world.check();
}

#[test]
fn a_damaged_or_missing_checkpoint_falls_back_by_one_generation() {
    let mut world = World::start(24);
    for _ in 0..2 {
        world.charge(10);
        world.server.stop().unwrap();
        world.start_again();
    }
    world.charge(10);
    assert_eq!(world.checkpoints().len(), 2);
    world.kill_and(|world| {
        let newest = world.checkpoints()[1].clone();
        change(&newest, |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        });
    });
    world.check();
    world.charge(5);
    world.server.stop().unwrap();
    world.start_again();
    world.kill_and(|world| std::fs::remove_file(world.checkpoints().last().unwrap()).unwrap());
    world.check();
}

#[test]
fn a_half_written_checkpoint_is_passed_over() {
    let mut world = World::start(25);
    for _ in 0..2 {
        world.charge(10);
        world.server.stop().unwrap();
        world.start_again();
    }
    world.kill_and(|world| change(&world.checkpoints()[1].clone(), |bytes| bytes.truncate(bytes.len() / 2)));
    world.check();
}

#[test]
fn bills_come_back_from_the_journal_into_a_cut_or_a_missing_event_log() {
    let mut world = World::start(26);
    world.charge(60);
    world.check();
    world.kill_and(|world| {
        let notices = LogName::Notices.dir(&world.site.dir.join("events"));
        let newest = std::fs::read_dir(notices).unwrap().map(|entry| entry.unwrap().path()).max().unwrap();
        change(&newest, |bytes| bytes.truncate(bytes.len() / 2));
    });
    assert!(world.server.said().contains("were missing in the event log"), "{}", world.server.said());
    world.check();
    world.charge(5);
    world.kill_and(|world| std::fs::remove_dir_all(world.site.dir.join("events")).unwrap());
    world.check();
}

#[test]
fn an_event_log_that_does_not_open_refuses_the_start_and_says_what_to_do() {
    let mut world = World::start(27);
    world.charge(3);
    world.check();
    world.server.kill().unwrap();
    let events = LogName::Notices.dir(&world.site.dir.join("events"));
    let aside = world.site.dir.join("aside");
    std::fs::rename(&events, &aside).unwrap();
    std::fs::write(&events, "").unwrap();
    let said = world.refused();
    let events_name = events.to_str().unwrap();
    for part in ["the event log does not open", events_name, "nothing is served", "move"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    std::fs::remove_file(&events).unwrap();
    std::fs::rename(&aside, &events).unwrap();
    world.start_again();
    world.check();
}
