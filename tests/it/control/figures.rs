//! What the control store costs at a size that customers have. Prints, and asserts only that pages are right:
//! `cargo test --test it control::figures -- --ignored --nocapture`.

use super::{new, open, renamed};
use outbid::model::clock::{Clock, FixedClock, Now};
use outbid::store::control::{
    Change, ChangeError, Control, ControlError, Kind, New, Order, Query, SortBy, Status, WriteError,
};
use outbid::telemetry::clock::SystemClock;
use std::sync::Arc;

const ROWS: u32 = 100_000;

/// A clock that stands still but when it is asked, so that rows are made at different times.
struct Ticking(FixedClock);

impl Clock for Ticking {
    fn now(&self) -> Now {
        self.0.advance_ms(1);
        self.0.now()
    }
}

/// How long `work` takes, in milliseconds, printed as `what`.
fn timed<T>(clock: &SystemClock, what: &str, work: impl FnOnce() -> T) -> T {
    let begun = clock.mono_ns();
    let done = work();
    let ms = (clock.mono_ns() - begun) as f64 / 1e6;
    eprintln!("{what:<60} {ms:>10.2} ms");
    done
}

fn fill(control: &Control) {
    let doc = format!(r#"{{"bid":{{"amount":"2.50"}},"targeting":"{}"}}"#, "x".repeat(1_600));
    for part in 0..ROWS / 1_000 {
        let doc = doc.clone();
        let insert = move |tx: &mut outbid::store::control::Write<'_>| -> Result<(), ChangeError> {
            for number in part * 1_000..(part + 1) * 1_000 {
                let status = if number % 10 == 0 { Status::Paused } else { Status::Active };
                let name = format!("Line item {}", number * 7_919 % ROWS);
                let parent = Some(1 + number % 1_000);
                tx.insert(New { parent, status, doc: doc.clone(), ..new(Kind::LineItem, &name) })?;
            }
            Ok(())
        };
        control.write(insert).unwrap();
    }
}

fn pages(clock: &SystemClock, control: &Control) {
    let of = |account| Query { account, ..Query::of(Kind::LineItem) };
    let by = |by, descending| Order { by, descending };
    let active = vec![Status::Active];
    let living = vec![Status::Draft, Status::Active, Status::Paused];
    let lists = [
        ("oldest first", of(Some(0))),
        ("newest first", Query { order: by(SortBy::Created, true), ..of(Some(0)) }),
        ("newest first, all accounts", Query { order: by(SortBy::Created, true), ..of(None) }),
        ("changed last", Query { order: by(SortBy::Updated, true), ..of(Some(0)) }),
        ("by name", Query { order: by(SortBy::Name, false), ..of(Some(0)) }),
        ("active, newest first", Query { statuses: active, order: by(SortBy::Created, true), ..of(Some(0)) }),
        (
            "not archived, changed last",
            Query { statuses: living, order: by(SortBy::Updated, true), ..of(Some(0)) },
        ),
        ("archived among none, newest first", Query { statuses: vec![Status::Archived], ..of(Some(0)) }),
        ("of one campaign", Query { parent: Some(7), ..of(Some(0)) }),
        ("with a rare text in the name", Query { name: Some("em 99999".to_owned()), ..of(Some(0)) }),
        (
            "with a common text, changed last",
            Query { name: Some("LINE".to_owned()), order: by(SortBy::Updated, true), ..of(Some(0)) },
        ),
    ];
    for (what, query) in lists {
        let page =
            timed(clock, &format!("a page of 50: {what}"), || control.read(|r| r.list(&query))).unwrap();
        if let Some(last) = page.get(49) {
            let next = Query { after: Some(query.cursor(last)), ..query.clone() };
            timed(clock, "  and the page behind it", || control.read(|r| r.list(&next))).unwrap();
        }
        timed(clock, "  and how many there are", || control.read(|r| r.count(&query))).unwrap();
    }
}

#[test]
#[ignore = "prints figures, which takes seconds; run by name"]
fn what_a_hundred_thousand_line_items_cost() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("control.db");
    let clock = SystemClock::new();
    let ticking = Ticking(FixedClock::at(Now { mono_ns: 0, unix_ms: super::NOON_MS }));
    let control = Control::open(&path, Arc::new(ticking)).unwrap();
    let parents = |tx: &mut outbid::store::control::Write<'_>| -> Result<(), ChangeError> {
        tx.insert(new(Kind::Advertiser, "A"))?;
        for number in 0..1_000 {
            tx.insert(New { parent: Some(1), ..new(Kind::Campaign, &number.to_string()) })?;
        }
        tx.insert(new(Kind::List, "sites")).map(drop)
    };
    control.write(parents).unwrap();
    timed(&clock, "100,000 line items of 1.6 KB, 1,000 a transaction", || fill(&control));
    timed(&clock, "100 changes of one row, each durable", || {
        for number in 0..100 {
            let change = Change { doc: Some(format!("[{number}]")), ..renamed(&number.to_string()) };
            let _: Result<_, WriteError<ChangeError>> =
                control.write(move |tx| tx.update(Kind::LineItem, 5, None, change));
        }
    });
    pages(&clock, &control);
    let mut bytes = 0;
    timed(&clock, "all of them, streamed", || {
        control.read(|r| {
            r.all(Kind::LineItem, |row| {
                bytes += row.doc.len();
                Ok::<_, ControlError>(())
            })
        })
    })
    .unwrap();
    assert!(bytes > 160_000_000);
    let values = || (0..500_000u64).map(|number| format!("site-{:08}.example", number * 7_919 % 500_000));
    timed(&clock, "500,000 items onto a list, in no order", || {
        control.write(move |tx| tx.add_items(1, values())).unwrap()
    });
    timed(&clock, "the same list replaced", || {
        control.write(move |tx| tx.replace_items(1, values())).unwrap()
    });
    timed(&clock, "a copy of it all", || control.backup(&temp.path().join("copy.db"))).unwrap();
    drop(control);
    let size = std::fs::metadata(&path).unwrap().len() / 1_000_000;
    timed(&clock, &format!("opening it again ({size} MB, checked)"), || open(&path)).unwrap();
}
