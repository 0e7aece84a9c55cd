//! Items of lists, many at once.

use super::{insert, new, open, store};
use outbid::store::control::items::ItemsError;
use outbid::store::control::{Control, ControlError, Kind, WriteError};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

fn all(control: &Control, list: u32) -> Vec<String> {
    let mut seen = Vec::new();
    let streamed = control.read(|r| {
        r.items(list, |value| {
            seen.push(value.to_owned());
            Ok::<_, ControlError>(())
        })
    });
    streamed.unwrap();
    seen
}

#[test]
fn items_are_added_removed_and_replaced_and_each_stands_once() {
    let control = store();
    let list = insert(&control, new(Kind::List, "sites")).unwrap().id;
    let other = insert(&control, new(Kind::List, "apps")).unwrap().id;
    let add = |list, values: &'static [&str]| control.write(move |tx| tx.add_items(list, values)).unwrap();
    let generation = control.generation();
    assert_eq!(add(list, &["b.example", "a.example", "b.example"]), 2);
    assert_eq!(add(other, &["a.example"]), 1);
    assert_eq!(control.generation(), generation + 2);
    assert_eq!(add(list, &["a.example"]), 0);
    assert_eq!(control.generation(), generation + 2, "nothing changed");
    assert_eq!(all(&control, list), ["a.example", "b.example"]);
    let removed = control.write(move |tx| tx.remove_items(list, ["a.example", "none.example"]));
    assert_eq!(removed.unwrap(), 1);
    let replaced = control.write(move |tx| tx.replace_items(list, ["c", "d", "e"].map(str::to_owned)));
    assert_eq!(replaced.unwrap(), 3);
    assert_eq!(all(&control, list), ["c", "d", "e"]);
    assert_eq!(all(&control, other), ["a.example"]);
    let page = |after: Option<&str>| control.read(|r| r.items_page(list, after, 2)).unwrap();
    assert_eq!((page(None), page(Some("d"))), (vec!["c".to_owned(), "d".to_owned()], vec!["e".to_owned()]));
    let looked = control.read(|r| {
        Ok::<_, ControlError>((r.items_count(list)?, r.has_item(list, "d")?, r.has_item(list, "a.example")?))
    });
    assert_eq!(looked.unwrap(), (3, true, false));
    let emptied = control.write(move |tx| tx.replace_items(list, [""; 0])).unwrap();
    assert_eq!((emptied, all(&control, list).len()), (0, 0));
    assert_eq!(control.generation(), generation + 5);
    let missing = control.write(|tx| tx.add_items(77, ["x"])).unwrap_err();
    assert!(matches!(missing, WriteError::Refused(ItemsError::Missing { list: 77 })), "{missing:?}");
}

#[test]
fn a_long_list_is_taken_from_a_stream_in_one_transaction_and_undone_as_one() {
    let temp = tempfile::tempdir().unwrap();
    let control = open(&temp.path().join("control.db")).unwrap();
    let list = insert(&control, new(Kind::List, "sites")).unwrap().id;
    const MANY: usize = 50_000;
    // In no order, as uploads come.
    let values = || (0..MANY).map(|number| format!("site-{:06}.example", number * 7_919 % MANY));
    assert_eq!(control.write(move |tx| tx.add_items(list, values())).unwrap(), MANY as u64);
    let taken = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&taken);
    let broken = control.write(move |tx| {
        let torn = values().inspect(|_| {
            assert!(seen.fetch_add(1, Ordering::Relaxed) < MANY / 2, "the upload broke off");
        });
        tx.replace_items(list, torn)
    });
    assert!(matches!(broken, Err(WriteError::Panicked { .. })));
    assert_eq!(taken.load(Ordering::Relaxed), MANY / 2 + 1);
    let items = all(&control, list);
    assert_eq!((items.len(), items[0].as_str()), (MANY, "site-000000.example"));
    assert!(items.is_sorted());
}
