//! The ledger thread's share of a record: `cargo bench --bench journal`.

use divan::Bencher;
use outbid::budget::file_storage::FileStorage;
use outbid::budget::journal::{Journal, MemoryStorage, Options};

fn main() {
    divan::main();
}

const RECORD: [u8; 100] = [7; 100];

/// A hundred records in memory, the usual size of a commit under load.
#[divan::bench]
fn append_100_records_of_100_bytes(bencher: Bencher<'_, '_>) {
    let storage = Box::new(MemoryStorage::new());
    let (mut journal, _) = Journal::open(storage, small()).expect("an empty directory");
    bencher.counter(divan::counter::ItemsCount::new(100_u32)).bench_local(|| {
        for _ in 0..100 {
            journal.append(divan::black_box(&RECORD));
        }
        // To memory, and cheap beside the appends: it empties the buffer.
        journal.commit().expect("memory does not fail")
    });
}

/// One record, written and synced: the disk's own time.
#[divan::bench(sample_count = 300, sample_size = 1)]
fn commit_a_record_to_disk(bencher: Bencher<'_, '_>) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let storage = Box::new(FileStorage::open(dir.path()).expect("it exists"));
    let (mut journal, _) = Journal::open(storage, Options::default()).expect("an empty directory");
    bencher.bench_local(|| {
        journal.append(&RECORD);
        journal.commit().expect("the disk has room")
    });
}

/// Reads a journal of a million records (116 MiB of them, in two segments).
#[divan::bench(sample_count = 3, sample_size = 1)]
fn recover_a_million_records(bencher: Bencher<'_, '_>) {
    let storage = MemoryStorage::new();
    let (mut journal, _) =
        Journal::open(Box::new(storage.clone()), Options::default()).expect("an empty directory");
    for n in 1..=1_000_000 {
        journal.append(&RECORD);
        if n % 1_000 == 0 {
            journal.commit().expect("memory does not fail");
        }
    }
    drop(journal);
    bencher.bench_local(|| {
        Journal::open(Box::new(storage.clone()), Options::default()).expect("it is sound").1.records.len()
    });
}

fn small() -> Options {
    Options { segment_bytes: 1 << 20, spare_segments: 0, emergency_bytes: 0 }
}
