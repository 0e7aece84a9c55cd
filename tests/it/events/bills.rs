//! Every bill of the ledger has exactly one event, wherever a crash came between the two, and however often.

use super::{KEEP_ALL, click, read};
use outbid::budget::journal::{Item as Record, MemoryStorage, Options, scan};
use outbid::budget::{
    AccountKey, Bill, BillSink, Billed, Books, Funding, JournalLog, Ledger, bill_of, record,
};
use outbid::events::{EventWriter, Item, Retention, segments};
use outbid::model::clock::Now;
use outbid::model::event::{Event, NoticeEvent, What};
use outbid::model::ids::*;
use outbid::model::line_item::Budget;
use outbid::model::money::{Cpm, Currency, Nanos, PPM};
use outbid::model::rates::Rate;
use outbid::model::token::{Bucket, TokenClaims};
use outbid::serve::restore;
use parking_lot::Mutex;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

const NOW: Now = Now { unix_ms: 1_790_000_000_123, mono_ns: 1_000_000_000 };
/// So small that checkpoints let segments go.
const JOURNAL: Options = Options { segment_bytes: 4_096, spare_segments: 1, emergency_bytes: 0 };
/// So small that notices go over several.
const NOTICES: Retention = Retention { segment_bytes: 1_500, ..KEEP_ALL };
const HEADER: u64 = 32;

/// Bills on their way to a log that is written by hand.
#[derive(Default)]
struct Way {
    bills: Vec<Event>,
    durable: u64,
    overtaken: u64,
}

struct Sink(Arc<Mutex<Way>>);

impl BillSink for Sink {
    fn take(&mut self, bills: &mut Vec<Event>) {
        self.0.lock().bills.append(bills);
    }

    fn durable_lsn(&self) -> u64 {
        self.0.lock().durable
    }

    fn overtaken(&mut self) {
        self.0.lock().overtaken += 1;
    }
}

fn funding() -> (Funding, Nanos) {
    let unlimited = Budget { lifetime: None, daily: None };
    let funding = Funding {
        line_item: LineItemId(1),
        line_item_budget: unlimited,
        campaign: CampaignId(2),
        campaign_budget: unlimited,
        advertiser: AdvertiserId(3),
        wallet: Nanos(1_000_000_000),
        time_zone: "UTC".to_owned(),
        currency: Currency::USD,
        version: 1,
    };
    (funding, Nanos(1_000_000))
}

/// A bid whose hold is gone: its bill is charged to the accounts.
fn claims(sequence: u64) -> TokenClaims {
    TokenClaims {
        exchange: ExchangeId(1),
        bid: BidId { epoch: 1, core: 0, sequence },
        lease: LeaseId(1),
        bucket: Bucket::default(),
        line_item: LineItemId(1),
        creative: CreativeId(5),
        issued_s: NOW.unix_s() as u32 - 7,
        price: Cpm(2_000_000),
        currency: Currency::USD,
        rate: Rate::ONE,
        data_fee: Cpm(0),
        platform_ppm: 0,
        multiplier_ppm: PPM,
        budget_day: 20_717,
        test: false,
        user: UserKey(sequence % 3),
        deal: None,
    }
}

/// A ledger over a journal, and a log of notices, each written step by step.
struct World {
    storage: MemoryStorage,
    dir: tempfile::TempDir,
    ledger: Ledger,
    notices: EventWriter,
    way: Arc<Mutex<Way>>,
    /// Bytes of the newest segment that are synced, and which that is.
    synced: (String, u64),
    bids: u64,
    boots: u32,
    /// Every bill that was ever durable, by its record.
    truth: BTreeMap<u64, Event>,
}

impl World {
    fn new() -> World {
        let (storage, dir) = (MemoryStorage::new(), tempfile::tempdir().unwrap());
        let (ledger, notices, way) = start(&storage, dir.path(), 1);
        ledger.configure(vec![funding()], NOW).unwrap();
        let truth = BTreeMap::new();
        let mut world =
            World { storage, dir, ledger, notices, way, synced: <_>::default(), bids: 0, boots: 1, truth };
        world.sync();
        world
    }

    fn bill(&mut self, times: u64) {
        for _ in 0..times {
            self.bids += 1;
            // Every other one tells what would have won.
            let min_to_win = self.bids.is_multiple_of(2).then_some(Cpm(900_000));
            let bill = Bill { min_to_win, ..Bill::at(Cpm(1_000_000)) };
            self.ledger.post_then(&claims(self.bids), bill, NOW, Box::new(|_| ()));
            self.ledger.step(NOW).unwrap();
        }
    }

    /// The journal is synced, and its bills are on their way.
    fn commit(&mut self) {
        let from = self.way.lock().bills.len();
        self.ledger.sync().unwrap();
        for bill in &self.way.lock().bills[from..] {
            self.truth.insert(bill.bill_lsn().unwrap(), *bill);
        }
    }

    /// The log takes so many of the bills that are on their way.
    fn write(&mut self, most: usize) {
        let mut way = self.way.lock();
        let count = most.min(way.bills.len());
        way.bills.drain(..count).for_each(|bill| {
            self.notices.append(&bill);
        });
        self.notices.append(&click(1));
        self.notices.flush().unwrap();
    }

    fn sync(&mut self) {
        self.notices.sync().unwrap();
        self.way.lock().durable = self.notices.durable_bill();
        let newest = segments(&self.dir.path().join("n")).unwrap().pop().unwrap();
        self.synced = (newest.file, newest.bytes);
    }

    fn checkpoint(&mut self) {
        self.commit();
        let done = self.ledger.attempt(|writer| {
            writer.maintain(1).unwrap();
            Ok(())
        });
        done.unwrap();
    }

    /// What is not synced of the newest segment of the log survives up to a place, but for a hole.
    fn lose_notices(&self, cut: u64, hole: Option<u64>) {
        let newest = segments(&self.dir.path().join("n")).unwrap().pop().unwrap();
        let kept = if newest.file == self.synced.0 { self.synced.1 } else { HEADER };
        let path = self.dir.path().join("n").join(&newest.file);
        let mut bytes = fs::read(&path).unwrap();
        let unsynced = newest.bytes - kept;
        if let Some(at) = hole.filter(|_| unsynced > 0) {
            let at = (kept + at % unsynced) as usize;
            let end = bytes.len().min(at + 40);
            bytes[at..end].fill(0);
        }
        bytes.truncate((kept + if unsynced == 0 { 0 } else { unsynced - cut % unsynced }) as usize);
        fs::write(path, bytes).unwrap();
    }

    /// The process is gone; where the power is gone, so is what was not synced.
    fn crash(&mut self, power: Option<(u64, u64, Option<u64>)>, half: usize) {
        if let Some((seed, cut, hole)) = power {
            self.storage.crash(seed);
            self.lose_notices(cut, hole);
        }
        // A start that does not get to its end: some of what is missing is written, and not yet synced.
        let (mut notices, _) = EventWriter::open(&self.dir.path().join("n"), NOTICES).unwrap();
        let known = notices.known_bills().unwrap();
        let missing = self.truth.iter().filter(|(lsn, _)| !known.has(**lsn));
        missing.take(half).for_each(|(_, bill)| {
            notices.append(bill);
        });
        notices.flush().unwrap();
        drop(notices);
        if let Some((_, cut, hole)) = power {
            self.lose_notices(cut / 3, hole);
        }
        self.boots += 1;
        (self.ledger, self.notices, self.way) = start(&self.storage, self.dir.path(), self.boots);
        // What the journal kept of its last write although nobody was told.
        for (lsn, bill) in journal_bills(&self.storage) {
            let known = self.truth.insert(lsn, bill);
            assert!(known.is_none_or(|known| known == bill), "record {lsn} has changed");
        }
        self.sync();
    }

    fn check(&self) {
        let mut found = BTreeMap::new();
        for item in read(&self.dir.path().join("n"), 1) {
            if let Item::Event(_, event) = item
                && let Some(lsn) = event.bill_lsn()
            {
                assert_eq!(found.insert(lsn, event), None, "two events of record {lsn}");
            }
        }
        assert_eq!(found, self.truth);
        let charged = |event: &Event| match event.what {
            What::Notice(noticed) => match noticed.kind {
                NoticeEvent::Bill { charged, .. } => charged.0,
                _ => 0,
            },
            _ => 0,
        };
        let posted = self.ledger.balance(AccountKey::Wallet(AdvertiserId(3))).posted.0;
        assert_eq!(found.values().map(charged).sum::<i64>(), posted);
        assert_eq!(self.way.lock().overtaken, 0);
    }
}

/// What a server does when it starts.
fn start(storage: &MemoryStorage, dir: &Path, epoch: u32) -> (Ledger, EventWriter, Arc<Mutex<Way>>) {
    let (log, books): (JournalLog, Books) = JournalLog::open(Box::new(storage.clone()), JOURNAL).unwrap();
    let (mut notices, _) = EventWriter::open(&dir.join("n"), NOTICES).unwrap();
    notices.renew().unwrap();
    let last = outbid::budget::EventLog::durable_lsn(&log);
    restore(&mut notices, storage, last).unwrap();
    let known = notices.known_bills().unwrap();
    assert_eq!(restore(&mut notices, storage, last).unwrap(), 0, "{known:?}");
    let way = Arc::new(Mutex::new(Way { durable: notices.durable_bill(), ..Way::default() }));
    let log = Billed::new(Box::new(log), Box::new(Sink(Arc::clone(&way))));
    let ledger = Ledger::stepped(books, Box::new(log), epoch, 1, NOW).unwrap();
    (ledger, notices, way)
}

fn journal_bills(storage: &MemoryStorage) -> Vec<(u64, Event)> {
    let mut found = Vec::new();
    scan(storage, 0, |item| {
        if let Record::Record { lsn, payload, .. } = item {
            found.extend(bill_of(lsn, &record::Event::read(payload).unwrap()).map(|bill| (lsn, bill)));
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    found
}

#[derive(Clone, Debug)]
enum Step {
    Bill(u64),
    Commit,
    Write(usize),
    Sync,
    Checkpoint,
    Kill(usize),
    PowerFails(u64, u64, Option<u64>, usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1u64..6).prop_map(Step::Bill),
        4 => Just(Step::Commit),
        4 => (1usize..8).prop_map(Step::Write),
        2 => Just(Step::Sync),
        2 => Just(Step::Checkpoint),
        1 => (0usize..5).prop_map(Step::Kill),
        2 => (any::<u64>(), any::<u64>(), any::<Option<u64>>(), 0usize..5)
            .prop_map(|(seed, cut, hole, half)| Step::PowerFails(seed, cut, hole, half)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn every_bill_has_exactly_one_event_wherever_a_crash_comes(steps in prop::collection::vec(step(), 1..60)) {
        let mut world = World::new();
        for step in steps {
            match step {
                Step::Bill(times) => world.bill(times),
                Step::Commit => world.commit(),
                Step::Write(most) => world.write(most),
                Step::Sync => world.sync(),
                Step::Checkpoint => world.checkpoint(),
                Step::Kill(half) => {
                    world.crash(None, half);
                    world.check();
                }
                Step::PowerFails(seed, cut, hole, half) => {
                    world.crash(Some((seed, cut, hole)), half);
                    world.check();
                }
            }
        }
        world.crash(None, 0);
        world.check();
    }
}

#[test]
fn a_checkpoint_waits_for_the_bills_before_the_last_one_but_not_for_ever() {
    let mut world = World::new();
    let generations = |world: &World| {
        outbid::budget::journal::checkpoints(&world.storage)
            .unwrap()
            .iter()
            .map(|c| c.lsn)
            .collect::<Vec<_>>()
    };
    world.bill(3);
    world.checkpoint();
    world.bill(1);
    world.checkpoint();
    let first = generations(&world);
    assert_eq!(first.len(), 1, "{first:?}");
    // The bills before the first one are kept, so another may follow; it lets go nothing that is missing.
    world.write(3);
    world.sync();
    world.checkpoint();
    let second = generations(&world);
    assert_eq!(second.len(), 2);
    // Nothing is synced from here on.
    for _ in 0..1_000 {
        world.bill(1);
        world.checkpoint();
        if generations(&world) != second {
            break;
        }
    }
    assert_eq!(world.way.lock().overtaken, 1);
    let waited = world.bids;
    assert!((300..900).contains(&waited), "{waited} bills");
}

#[test]
fn a_journal_that_was_cut_back_gives_its_numbers_to_other_bills() {
    let mut world = World::new();
    world.bill(5);
    world.commit();
    world.write(5);
    world.sync();
    // Another ledger in its place, as after a repair or an older backup.
    world.storage = MemoryStorage::new();
    (world.ledger, world.notices, world.way) = start(&world.storage, world.dir.path(), 2);
    world.ledger.configure(vec![funding()], NOW).unwrap();
    world.bids = 100;
    world.bill(2);
    world.commit();
    drop(start(&world.storage, world.dir.path(), 3));
    let bids = read(&world.dir.path().join("n"), 1).into_iter().filter_map(|item| match item {
        Item::Event(_, Event { what: What::Notice(noticed), .. }) => match noticed.kind {
            NoticeEvent::Bill { .. } => Some(noticed.bid.sequence),
            _ => None,
        },
        _ => None,
    });
    assert_eq!(bids.collect::<Vec<_>>(), [1, 2, 3, 4, 5, 101, 102]);
}
