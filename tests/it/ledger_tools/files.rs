//! On files alone: sums, tampering, what is refused.

use super::*;
use outbid::model::money::Nanos;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// A journal that a served process wrote and a clean end put a checkpoint behind.
fn sold() -> TempDir {
    let dir = data_dir();
    let server = Served::start(dir.path());
    for (index, price) in ["1.5", "0.3", "2.1", "9.9", "0"].iter().enumerate() {
        server.sell(&format!("s{index}"), price);
    }
    server.end();
    dir
}

fn nanos(text: &str) -> i64 {
    Nanos::parse_decimal(text).unwrap_or_else(|| panic!("{text:?}")).0
}

/// The rows of an export by column name.
fn rows(csv: &str) -> Vec<std::collections::BTreeMap<&str, &str>> {
    let mut lines = csv.lines();
    let header: Vec<&str> = lines.next().unwrap().split(',').collect();
    let row = |line: &'_ str| -> usize { line.split(',').count() };
    lines
        .map(|line| {
            assert_eq!(row(line), header.len(), "{line}");
            header.iter().copied().zip(line.split(',')).collect()
        })
        .collect()
}

/// The sums of an export are the sums of the books.
fn check_sums(data: &Path) -> usize {
    let exported = ledger(data, &["export"]);
    assert_eq!(exported.code, 0, "{}", exported.err);
    let rows = rows(&exported.out);
    let sum = |column: &str| rows.iter().map(|row| nanos(row[column])).sum::<i64>();
    let shown = ledger(data, &["show", "--json"]).json();
    assert_eq!(sum("charge"), nanos(shown["accounts"][0]["posted"].as_str().unwrap()));
    for (column, parts) in [("media", "media"), ("data_fee", "data"), ("platform_share", "platform")] {
        let credits = shown["credits"].as_array().unwrap().iter();
        assert_eq!(
            sum(column),
            credits.map(|row| nanos(row[parts].as_str().unwrap())).sum::<i64>(),
            "{column}"
        );
    }
    for column in ["overprice", "overdelivery", "stale"] {
        let house = shown["house"].as_array().unwrap().iter();
        assert_eq!(
            sum(column),
            house.map(|row| nanos(row[column].as_str().unwrap())).sum::<i64>(),
            "{column}"
        );
    }
    assert!(rows.iter().all(|row| row["currency"] == "USD"));
    rows.len()
}

#[test]
fn an_export_adds_up_to_the_books() {
    let dir = sold();
    assert_eq!(check_sums(dir.path()), 5);
    let csv = ledger(dir.path(), &["export"]);
    let by_kind = |kind: &str| rows(&csv.out).iter().filter(|row| row["kind"] == kind).count();
    assert_eq!((by_kind("charge"), by_kind("opening")), (5, 0));
    let dear = &rows(&csv.out)[3];
    assert!(nanos(dear["overprice"]) > 0 && dear["exchange"] == "demo", "{dear:?}");
    let json = ledger(dir.path(), &["export", "--format", "json"]);
    let lines: Vec<Value> = json.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 5);
    assert_eq!(lines[3]["overprice"], dear["overprice"]);
    assert_eq!(lines[3]["lsn"].to_string(), dear["lsn"]);
}

#[test]
fn where_the_first_records_are_gone_the_sums_stay() {
    let dir = sold();
    // Twice, so that both checkpoints are behind the first segment.
    for _ in 0..2 {
        let server = Served::start(dir.path());
        server.sell("more", "1.25");
        server.end();
    }
    assert_eq!(check_sums(dir.path()), 7);
    // The records up to the older checkpoint become unreadable, which harms nothing.
    let (_, _, path, offset) = records(dir.path()).into_iter().find(|record| record.0 == 3).unwrap();
    flip(&path, offset);
    let rows = check_sums(dir.path());
    assert!(rows < 7, "{rows} rows");
    ledger(dir.path(), &["export"]).check(0, &["opening", "sum of the records"], &[]);
    ledger(dir.path(), &["verify"]).check(0, &["from the checkpoint at lsn", "equals the replay"], &[]);
}

/// A10: what reports of money are made of is what the journal says, and what the books say, after sales at random
/// prices, repeated and cut off by crashes.
#[test]
fn a10_an_export_adds_up_to_the_books_through_crashes() {
    let dir = data_dir();
    let mut dice = StdRng::seed_from_u64(10);
    let mut sold = 0;
    for run in 0..4 {
        let server = Served::start(dir.path());
        for _ in 0..dice.random_range(5..30) {
            let prices = ["0", "0.000001", "1.25", "2.1", "9.9", "40", "", "nonsense"];
            let (price, times) = (prices[dice.random_range(0..8)], dice.random_range(1..4));
            server.sell_and_repeat(&format!("s{sold}"), price, times);
            sold += 1;
        }
        if run % 2 == 0 {
            server.kill()
        } else {
            server.end()
        }
        ledger(dir.path(), &["verify"]).check(0, &["invariants  hold"], &[]);
    }
    // Records below a checkpoint that are gone would be one opening row; these segments are larger.
    assert_eq!(check_sums(dir.path()), sold);
}

/// Flips a bit in the payload of a record.
fn flip(path: &Path, offset: u64) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[offset as usize + 25] ^= 4;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_flipped_bit_is_found_and_named() {
    let dir = data_dir();
    let server = Served::start(dir.path());
    server.sell("a", "1.5");
    server.sell("b", "1.5");
    server.kill();
    let all = records(dir.path());
    let (lsn, _, path, offset) = all.iter().find(|(_, event, ..)| matches!(event, Event::Post(_))).unwrap();
    flip(path, *offset);
    for command in ["verify", "show", "export"] {
        let refused = ledger(dir.path(), &[command]);
        refused.check(4, &[], &[path.file_name().unwrap().to_str().unwrap(), &offset.to_string()]);
        assert!(refused.err.contains(&format!("record {lsn}")) || refused.err.contains("restore a backup"));
        assert_eq!(refused.out, "");
    }
}

#[test]
fn a_record_that_was_altered_with_its_checksum_is_found() {
    let dir = sold();
    let all = records(dir.path());
    let first = |wanted: fn(&Event) -> bool| all.iter().find(|(_, event, ..)| wanted(event)).unwrap().0;
    let last_post = all.iter().rfind(|(_, event, ..)| matches!(event, Event::Post(_))).unwrap().0;
    let unchanged = rewritten(dir.path(), true, |_, _| {});
    ledger(unchanged.path(), &["verify"]).check(0, &["invariants  hold", "equals the replay"], &[]);

    let check = |at: u64, checkpoints: bool, change: &dyn Fn(&mut Event), code: i32, parts: &[&str]| {
        let altered = rewritten(dir.path(), checkpoints, |lsn, event| {
            if lsn == at {
                change(event);
            }
        });
        ledger(altered.path(), &["verify"]).check(code, &[], parts);
    };
    // More than the budgets have.
    let grant = first(|event| matches!(event, Event::Grant(_)));
    let huge = |event: &mut Event| {
        if let Event::Grant(grant) = event {
            grant.amount = i64::MAX;
        }
    };
    check(grant, true, &huge, 4, &[&format!("record {grant} (grant) breaks I1 no overspend"), "wal dump"]);
    // More than the lease has, and so much that a sum of it would not fit.
    for charge in [1 << 40, i64::MAX] {
        let dear = |event: &mut Event| {
            if let Event::Post(post) = event {
                (post.charge, post.released) = (charge, i64::MAX);
            }
        };
        check(last_post, true, &dear, 4, &[&format!("record {last_post} (post) breaks I2 lease")]);
    }
    // A bid charged twice.
    let post = first(|event| matches!(event, Event::Post(_)));
    let Event::Post(before) = all.iter().find(|(lsn, ..)| *lsn == post).unwrap().1 else { unreachable!() };
    let twice = move |event: &mut Event| {
        if let Event::Post(post) = event {
            post.bid = before.bid;
        }
    };
    check(last_post, true, &twice, 4, &[&format!("record {last_post} (post) breaks I5 one resolution")]);
    // One nano less breaks no rule; the checkpoint remembers it.
    let less = |event: &mut Event| {
        if let Event::Post(post) = event {
            post.charge -= 1;
        }
    };
    check(post, true, &less, 4, &["the checkpoint at lsn", "wallet 1 shows", "restore a backup"]);
    check(post, false, &less, 0, &[]);
    // A refund of more than was ever charged is named, and does not end the tool.
    let refund = |event: &mut Event| {
        let adjust = outbid::budget::record::Adjust { line_item: 100, amount: -(1 << 50), overdelivery: 0 };
        *event = Event::Adjust(adjust);
    };
    let back = first(|event| matches!(event, Event::Return(_)));
    check(back, false, &refund, 4, &[&format!("record {back} (adjust) breaks")]);
}

#[test]
fn what_is_no_ledger_is_refused_or_empty() {
    let empty = tempfile::tempdir().unwrap();
    for command in ["show", "verify", "export"] {
        ledger(empty.path(), &[command]).check(1, &[], &["is no data directory", "--data DIR"]);
    }
    let dir = data_dir();
    ledger(dir.path(), &["verify"]).check(0, &["invariants  hold over 0 accounts"], &[]);
    ledger(dir.path(), &["show"]).check(0, &["as of         record 0"], &[]);
    let exported = ledger(dir.path(), &["export"]);
    assert_eq!((exported.code, exported.out.lines().count()), (0, 1));
}
