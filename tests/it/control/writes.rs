//! The writer: one at a time, whole or not at all, bounded, counted.

use super::{clock, get, insert, new, open, renamed, store, update};
use outbid::store::control::{Change, ChangeError, Control, ControlError, Kind, Status, WriteError};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;

#[test]
fn of_a_hundred_who_change_one_row_exactly_one_wins_each_version() {
    let temp = tempfile::tempdir().unwrap();
    let control = open(&temp.path().join("control.db")).unwrap();
    let row = insert(&control, new(Kind::LineItem, "0")).unwrap();
    let (wins, conflicts) = (AtomicUsize::new(0), AtomicUsize::new(0));
    for round in 0..3u64 {
        std::thread::scope(|scope| {
            for number in 0..100 {
                let (control, row, wins, conflicts) = (control.clone(), row.clone(), &wins, &conflicts);
                scope.spawn(move || {
                    let change = renamed(&format!("{round}-{number}"));
                    match update(&control, &row, Some(round + 1), change) {
                        Ok(changed) => {
                            assert_eq!(changed.version, round + 2);
                            wins.fetch_add(1, Ordering::Relaxed)
                        }
                        Err(WriteError::Refused(ChangeError::Conflict { current })) => {
                            assert_eq!(current.version, round + 2);
                            conflicts.fetch_add(1, Ordering::Relaxed)
                        }
                        Err(why) => panic!("{why}"),
                    };
                });
            }
        });
    }
    assert_eq!((wins.into_inner(), conflicts.into_inner()), (3, 297));
    assert_eq!(get(&control, Kind::LineItem, row.id).unwrap().version, 4);
    assert_eq!(control.generation(), 4);
}

#[test]
fn a_refusal_and_a_panic_undo_everything_and_the_next_write_works() {
    let temp = tempfile::tempdir().unwrap();
    for control in [store(), open(&temp.path().join("control.db")).unwrap()] {
        let row = insert(&control, new(Kind::Deal, "kept")).unwrap();
        let generation = control.generation();
        let refused = control.write(|tx| {
            tx.insert(new(Kind::Deal, "undone")).unwrap();
            Err::<(), _>("no")
        });
        assert!(matches!(refused, Err(WriteError::Refused("no"))), "{refused:?}");
        let (kind, id) = (row.kind, row.id);
        let panicked = control.write(move |tx| {
            tx.update(kind, id, None, renamed("undone")).unwrap();
            match kind {
                Kind::Deal => panic!("there was nothing"),
                _ => Ok::<_, ()>(()),
            }
        });
        assert!(
            matches!(&panicked, Err(WriteError::Panicked { message }) if message == "there was nothing"),
            "{panicked:?}"
        );
        assert_eq!(get(&control, kind, id), Some(row.clone()));
        assert_eq!(get(&control, kind, id + 1), None);
        assert_eq!(control.generation(), generation);
        let next = insert(&control, new(Kind::Deal, "next")).unwrap();
        assert_eq!(next.id, id + 1, "an id that was undone was never given out");
        assert_eq!(control.generation(), generation + 1);
    }
}

#[test]
fn the_generation_grows_with_what_changed_only_and_a_snapshot_says_which_it_holds() {
    let control = store();
    type Step = (&'static str, u64, fn(&Control));
    let steps: [Step; 4] = [
        ("a resource", 1, |control| drop(insert(control, new(Kind::Advertiser, "A")).unwrap())),
        ("two resources at once", 1, |control| {
            let both = |tx: &mut outbid::store::control::Write<'_>| {
                tx.insert(new(Kind::Deal, "1"))?;
                tx.insert(new(Kind::Deal, "2"))
            };
            control.write(both).unwrap();
        }),
        ("a write that only looks", 0, |control| {
            control.write(|tx| tx.get(Kind::Advertiser, 1)).unwrap().unwrap();
        }),
        ("a change to what is there already", 0, |control| {
            let row = get(control, Kind::Advertiser, 1).unwrap();
            let change =
                Change { status: Some(row.status), doc: Some(row.doc.clone()), ..renamed(&row.name) };
            assert_eq!(update(control, &row, Some(row.version), change).unwrap(), row);
        }),
    ];
    for (what, grown, step) in steps {
        let before = control.generation();
        step(&control);
        assert_eq!(control.generation(), before + grown, "{what}");
        assert_eq!(control.read(|r| r.generation()).unwrap(), control.generation(), "{what}");
    }
}

#[test]
fn a_read_sees_one_moment_while_writes_go_on() {
    let temp = tempfile::tempdir().unwrap();
    let control = open(&temp.path().join("control.db")).unwrap();
    let row = insert(&control, new(Kind::Segment, "before")).unwrap();
    let seen = control.read(|r| {
        let first = r.get(row.kind, row.id)?.unwrap();
        update(&control, &row, None, renamed("after")).unwrap();
        let second = r.get(row.kind, row.id)?.unwrap();
        Ok::<_, ControlError>((first, second, r.generation()?))
    });
    assert_eq!(seen.unwrap(), (row.clone(), row.clone(), 1));
    assert_eq!(get(&control, row.kind, row.id).unwrap().name, "after");
}

#[test]
fn more_readers_than_are_kept_all_read() {
    let temp = tempfile::tempdir().unwrap();
    let control = open(&temp.path().join("control.db")).unwrap();
    let row = insert(&control, new(Kind::Segment, "S")).unwrap();
    // Many at once, more than are kept: each sees the row.
    std::thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| assert_eq!(get(&control, row.kind, row.id).as_ref(), Some(&row)));
        }
    });
}

#[test]
fn a_full_queue_refuses_and_what_waited_is_done() {
    let temp = tempfile::tempdir().unwrap();
    let control = Control::open_with_queue(&temp.path().join("control.db"), clock(), 2).unwrap();
    let (entered, began) = sync_channel(1);
    let (release, released) = sync_channel::<()>(1);
    let (busy, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let first = control.clone();
        scope.spawn(move || {
            first.write(move |_| {
                entered.send(()).unwrap();
                released.recv().map_err(|_| ())
            })
        });
        began.recv().unwrap();
        // Two fit into the queue, whoever they are; the rest is refused at once.
        let others: Vec<_> = (0..10)
            .map(|number| {
                let (control, busy, done) = (control.clone(), &busy, &done);
                scope.spawn(move || {
                    match control.write(move |tx| tx.insert(new(Kind::Deal, &number.to_string()))) {
                        Ok(_) => done.fetch_add(1, Ordering::Relaxed),
                        Err(WriteError::Busy { waiting: 2 }) => busy.fetch_add(1, Ordering::Relaxed),
                        Err(why) => panic!("{why}"),
                    }
                })
            })
            .collect();
        while busy.load(Ordering::Relaxed) < 8 {
            std::thread::yield_now();
        }
        release.send(()).unwrap();
        drop(others);
    });
    assert_eq!((done.into_inner(), busy.into_inner()), (2, 8));
}

#[test]
fn a_write_within_a_write_is_refused_instead_of_waiting_for_itself() {
    let control = store();
    let inner = control.clone();
    let nested = control.write(move |_| {
        let write = inner.write(|tx| tx.insert(new(Kind::Deal, "D")));
        let read = inner.read(|r| r.get(Kind::Deal, 1));
        Ok::<_, ()>((
            write.is_err_and(|why| matches!(why, WriteError::Store(ControlError::Nested))),
            read.is_err(),
        ))
    });
    assert_eq!(nested.unwrap(), (true, true));
}

#[test]
fn the_last_handle_may_go_within_a_write() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("control.db");
    let control = open(&path).unwrap();
    let (goes, gone) = sync_channel::<()>(1);
    let held = control.clone();
    let thread = std::thread::spawn(move || {
        let last = held.clone();
        let done = held.write(move |tx| {
            gone.recv().unwrap();
            drop(last);
            tx.insert(new(Kind::Deal, "D"))
        });
        done.unwrap()
    });
    drop(control);
    goes.send(()).unwrap();
    let row = thread.join().unwrap();
    assert_eq!(row.status, Status::Active);
    assert_eq!(get(&open(&path).unwrap(), Kind::Deal, row.id), Some(row));
}
