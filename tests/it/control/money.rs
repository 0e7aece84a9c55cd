//! Transactions, the outbox and idempotency keys.

use super::{NOON_MS, clock, insert, new, store};
use outbid::model::clock::Clock;
use outbid::model::money::{Currency, Nanos};
use outbid::store::control::idempotency::{Answer, Begun, KEPT_MS};
use outbid::store::control::money::{
    Balance, NewTransaction, Transaction, TransactionError, TransactionKind, TransactionQuery,
};
use outbid::store::control::{Control, Cursor, Kind, WriteError};
use std::sync::Arc;

fn move_nanos(advertiser: u32, nanos: i64, key: Option<&str>) -> NewTransaction {
    NewTransaction {
        account: 0,
        advertiser,
        kind: TransactionKind::TopUp,
        amount: Nanos(nanos),
        currency: Currency::USD,
        note: "by wire".to_owned(),
        actor: "someone".to_owned(),
        idempotency_key: key.map(str::to_owned),
    }
}

fn book(control: &Control, new: NewTransaction) -> Result<Transaction, TransactionError> {
    control.write(move |tx| tx.transact(new)).map_err(|why| why.into_refusal().unwrap())
}

fn balance(control: &Control, advertiser: u32) -> Option<i64> {
    control.read(|r| r.balance(advertiser)).unwrap().map(|balance| balance.amount.0)
}

#[test]
fn a_balance_is_the_exact_sum_and_nothing_that_would_leave_its_type_is_booked() {
    let control = store();
    for name in ["A", "B"] {
        insert(&control, new(Kind::Advertiser, name)).unwrap();
    }
    assert_eq!(balance(&control, 1), None);
    let steps = [
        (i64::MAX - 1, true),
        (1, true),
        (1, false),
        (-i64::MAX, true),
        (-i64::MAX, true),
        (-1, true),
        (-1, false),
        (i64::MAX, true),
        (3, true),
    ];
    let mut expected = 0i64;
    for (nanos, fits) in steps {
        let booked = book(&control, move_nanos(1, nanos, None));
        assert_eq!(booked.is_ok(), fits, "{nanos}: {booked:?}");
        assert!(fits || matches!(booked, Err(TransactionError::TooMuch { advertiser: 1 })));
        expected = if fits { expected + nanos } else { expected };
        assert_eq!(balance(&control, 1), Some(expected));
    }
    book(&control, move_nanos(2, 5, None)).unwrap();
    let all = control.read(|r| r.balances()).unwrap();
    let wallet = |advertiser, nanos| Balance { advertiser, currency: Currency::USD, amount: Nanos(nanos) };
    assert_eq!(all, [wallet(1, expected), wallet(2, 5)]);
}

#[test]
fn a_key_books_once_and_a_wallet_keeps_its_currency_and_owner() {
    let control = store();
    insert(&control, new(Kind::Advertiser, "A")).unwrap();
    let generation = control.generation();
    let first = book(&control, move_nanos(1, 7, Some("k"))).unwrap();
    assert_eq!((first.at_ms, control.generation()), (NOON_MS, generation + 1));
    let again = book(&control, move_nanos(1, 9, Some("k")));
    assert!(matches!(again, Err(TransactionError::KeyUsed { booked }) if booked.moved.amount == Nanos(7)));
    let euros = NewTransaction { currency: Currency::parse("EUR").unwrap(), ..move_nanos(1, 9, None) };
    let refused = book(&control, euros);
    assert!(matches!(refused, Err(TransactionError::Currency { has: Currency::USD, .. })), "{refused:?}");
    let nobody = book(&control, move_nanos(2, 9, None));
    assert!(matches!(nobody, Err(TransactionError::NoAdvertiser { account: 0, advertiser: 2 })));
    let stranger = book(&control, NewTransaction { account: 3, ..move_nanos(1, 9, None) });
    assert!(matches!(stranger, Err(TransactionError::NoAdvertiser { account: 3, advertiser: 1 })));
    assert_eq!(balance(&control, 1), Some(7));
}

#[test]
fn transactions_are_listed_newest_first_and_stay() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("control.db");
    let control = super::open(&path).unwrap();
    for name in ["A", "B"] {
        insert(&control, new(Kind::Advertiser, name)).unwrap();
    }
    for number in 0..10 {
        book(&control, move_nanos(1 + number % 2, number.into(), None)).unwrap();
    }
    let check = |account, advertiser, expected: &[i64]| {
        let mut query = TransactionQuery { account, advertiser, after: None, limit: 3 };
        let mut seen = Vec::new();
        loop {
            let page = control.read(|r| r.transactions(&query)).unwrap();
            let Some(last) = page.last() else { break };
            query.after = Cursor::decode(&query.cursor(last).encode());
            seen.extend(page.iter().map(|one| one.moved.amount.0));
        }
        assert_eq!(seen, expected, "{account:?} {advertiser:?}");
    };
    check(None, None, &[9, 8, 7, 6, 5, 4, 3, 2, 1, 0]);
    check(Some(0), None, &[9, 8, 7, 6, 5, 4, 3, 2, 1, 0]);
    check(Some(4), None, &[]);
    check(None, Some(2), &[9, 7, 5, 3, 1]);
    check(Some(0), Some(1), &[8, 6, 4, 2, 0]);
    check(Some(4), Some(1), &[]);
    for sql in ["UPDATE transactions SET amount = 0", "DELETE FROM transactions"] {
        let why = rusqlite::Connection::open(&path).unwrap().execute(sql, []).unwrap_err().to_string();
        assert!(why.contains("a transaction"), "{why}");
    }
}

#[test]
fn the_outbox_is_read_in_order_until_each_message_is_done() {
    let control = store();
    insert(&control, new(Kind::Advertiser, "A")).unwrap();
    let undone = control.write(|tx| {
        tx.outbox_add("wallet", "0").unwrap();
        Err::<(), _>(())
    });
    assert!(matches!(undone, Err(WriteError::Refused(()))));
    let both = |tx: &mut outbid::store::control::Write<'_>| -> Result<(), TransactionError> {
        tx.transact(move_nanos(1, 7, None))?;
        for number in 1..=5 {
            tx.outbox_add("wallet", &number.to_string())?;
        }
        Ok(())
    };
    control.write(both).unwrap();
    let pending = |after, limit| -> Vec<(i64, String, u32)> {
        let messages = control.read(|r| r.outbox_pending(after, limit)).unwrap();
        messages.into_iter().map(|message| (message.id, message.payload, message.attempts)).collect()
    };
    let ids: Vec<i64> = pending(0, 10).iter().map(|message| message.0).collect();
    assert_eq!(ids.len(), 5);
    assert!(ids.is_sorted());
    assert_eq!(pending(0, 2).len(), 2);
    assert_eq!(pending(ids[1], 10)[0], (ids[2], "3".to_owned(), 0));
    let (second, third) = (ids[1], ids[2]);
    assert!(control.write(move |tx| tx.outbox_done(second)).unwrap());
    assert!(!control.write(move |tx| tx.outbox_done(second)).unwrap(), "it was done before");
    assert!(control.write(move |tx| tx.outbox_failed(third)).unwrap());
    assert!(!control.write(move |tx| tx.outbox_failed(second)).unwrap());
    let left: Vec<(String, u32)> = pending(0, 10).into_iter().map(|message| (message.1, message.2)).collect();
    let expected = [("1", 0), ("3", 1), ("4", 0), ("5", 0)].map(|(text, tries)| (text.to_owned(), tries));
    assert_eq!(left, expected);
    let sweep = |before_ms| control.write(move |tx| tx.sweep_outbox(before_ms)).unwrap();
    assert_eq!((sweep(NOON_MS), sweep(NOON_MS + 1)), (0, 1));
    assert_eq!(pending(0, 10).len(), 4, "what waits is never removed");
}

#[test]
fn a_request_that_comes_again_gets_its_answer_and_acts_once() {
    let clock = clock();
    let control = Control::in_memory(Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
    let begin = |scope: &'static str, hash: u8| {
        control.write(move |tx| tx.begin_idempotent(scope, "key", &[hash; 32])).unwrap()
    };
    let answer = || Answer { status: 201, body: b"{\"id\":\"1\"}".to_vec() };
    // Entry and effect together: a refusal forgets both.
    let refused = control.write(|tx| {
        assert_eq!(tx.begin_idempotent("a", "key", &[1; 32]).unwrap(), Begun::New);
        tx.insert(new(Kind::Deal, "D")).unwrap();
        Err::<(), _>("no")
    });
    assert!(matches!(refused, Err(WriteError::Refused("no"))));
    assert_eq!(begin("a", 1), Begun::New);
    assert_eq!(begin("a", 1), Begun::InFlight);
    assert_eq!(begin("a", 2), Begun::Mismatch);
    assert_eq!(begin("b", 2), Begun::New, "another client has its own keys");
    assert!(control.write(move |tx| tx.finish_idempotent("a", "key", &answer())).unwrap());
    assert!(!control.write(move |tx| tx.finish_idempotent("a", "key", &answer())).unwrap());
    assert_eq!(begin("a", 1), Begun::Replay(answer()));
    assert_eq!(begin("a", 2), Begun::Mismatch);
    assert!(control.write(|tx| tx.abandon_idempotent("b", "key")).unwrap());
    assert!(!control.write(|tx| tx.abandon_idempotent("a", "key")).unwrap(), "it has an answer");
    assert_eq!(begin("b", 3), Begun::New);
    clock.advance_ms(KEPT_MS as u64 - 1);
    assert_eq!(begin("a", 1), Begun::Replay(answer()));
    clock.advance_ms(1);
    assert_eq!(begin("a", 2), Begun::New, "a day later the key is free");
    assert_eq!(control.write(|tx| tx.sweep_idempotent(10)).unwrap(), 1);
    assert_eq!(begin("b", 4), Begun::New);
}
