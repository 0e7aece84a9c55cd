//! Tenants, users, keys and sessions.

use super::{NOON_MS, clock, insert, new, store};
use outbid::model::clock::Clock;
use outbid::store::control::accounts::{AccountChange, AccountError, NewAccount};
use outbid::store::control::keys::{NewKey, Session};
use outbid::store::control::users::{NewUser, UserChange, UserError, UserStatus};
use outbid::store::control::{ChangeError, Control, ControlError, Kind, New, Status, Write, WriteError};
use std::sync::Arc;

fn write<T: Send + 'static, E: Send + std::fmt::Debug + 'static>(
    control: &Control,
    work: impl FnOnce(&mut Write<'_>) -> Result<T, E> + Send + 'static,
) -> Result<T, E> {
    control.write(work).map_err(|why| match why {
        WriteError::Refused(why) => why,
        why => panic!("{why:?}"),
    })
}

fn tenant(name: &str) -> NewAccount {
    NewAccount { id: None, name: name.to_owned(), status: Status::Active, doc: "{}".to_owned() }
}

fn user(account: Option<u32>, email: &str) -> NewUser {
    NewUser {
        account,
        email: email.to_owned(),
        name: "Someone".to_owned(),
        role: "trader".to_owned(),
        advertisers: vec![7, 9],
        password_hash: None,
        status: UserStatus::Invited,
    }
}

fn key(hash: u8, replaces: Option<u32>) -> NewKey {
    NewKey {
        account: None,
        name: "robot".to_owned(),
        prefix: "outbid_live_ab".to_owned(),
        last4: "wxyz".to_owned(),
        hash: [hash; 32],
        role: "api".to_owned(),
        scopes: vec!["reports".to_owned()],
        addresses: vec!["10.0.0.0/8".to_owned()],
        advertisers: vec![3],
        expires_ms: None,
        replaces,
    }
}

#[test]
fn tenants_have_versions_and_the_platform_is_none_of_them() {
    let control = store();
    let platform = control.read(|r| r.account(0)).unwrap().unwrap();
    assert_eq!((platform.name.as_str(), platform.status), ("platform", Status::Active));
    let generation = control.generation();
    let made = write(&control, |tx| tx.insert_account(tenant("T"))).unwrap();
    assert_eq!((made.id, made.version, made.created_ms), (1, 1, NOON_MS));
    assert_eq!(control.generation(), generation + 1, "a tenant that is stopped must stop serving");
    let taken = write(&control, |tx| tx.insert_account(NewAccount { id: Some(1), ..tenant("U") }));
    assert!(matches!(taken, Err(AccountError::Exists { id: 1 })));
    let far = write(&control, |tx| tx.insert_account(NewAccount { id: Some(40), ..tenant("V") })).unwrap();
    assert_eq!(write(&control, |tx| tx.insert_account(tenant("W"))).unwrap().id, far.id + 1);
    let stop = || AccountChange { status: Some(Status::Paused), ..AccountChange::default() };
    let stopped = write(&control, move |tx| tx.update_account(1, Some(1), stop())).unwrap();
    assert_eq!((stopped.version, stopped.status), (2, Status::Paused));
    let late = write(&control, move |tx| tx.update_account(1, Some(1), stop()));
    assert!(matches!(late, Err(AccountError::Conflict { current }) if *current == stopped));
    let missing = write(&control, move |tx| tx.update_account(77, None, stop()));
    assert!(matches!(missing, Err(AccountError::Missing { id: 77 })));
    let names: Vec<String> =
        control.read(|r| r.accounts()).unwrap().into_iter().map(|account| account.name).collect();
    assert_eq!(names, ["T", "V", "W"]);
}

#[test]
fn tenants_share_external_ids_but_no_parents_and_no_singletons() {
    let control = store();
    for name in ["T", "U"] {
        write(&control, move |tx| tx.insert_account(tenant(name))).unwrap();
    }
    let of = |account| New { account, external_id: Some("e".to_owned()), ..new(Kind::Advertiser, "A") };
    let first = insert(&control, of(1)).unwrap();
    insert(&control, of(2)).unwrap();
    let child = |account| New { account, parent: Some(first.id), ..new(Kind::Campaign, "C") };
    insert(&control, child(1)).unwrap();
    let stolen = insert(&control, child(2)).unwrap_err();
    assert!(matches!(stolen, ChangeError::NoParent { .. }), "{stolen:?}");
    let rates = insert(&control, New { account: 1, ..new(Kind::Rates, "rates") }).unwrap_err();
    assert!(matches!(rates, ChangeError::NoAccount { account: 1, .. }), "{rates:?}");
}

#[test]
fn a_user_is_known_by_an_address_in_any_case() {
    let control = store();
    write(&control, |tx| tx.insert_account(tenant("T"))).unwrap();
    let made = write(&control, |tx| tx.insert_user(user(Some(1), "Some.One@Example.COM"))).unwrap();
    assert_eq!((made.email.as_str(), made.version), ("some.one@example.com", 1));
    assert_eq!(made.advertisers, [7, 9]);
    let found = control.read(|r| r.user_by_email("SOME.one@example.com")).unwrap();
    assert_eq!(found.as_ref(), Some(&made));
    let taken = write(&control, |tx| tx.insert_user(user(None, "some.ONE@example.com")));
    assert!(matches!(taken, Err(UserError::EmailTaken { email }) if email == made.email));
    let nowhere = write(&control, |tx| tx.insert_user(user(Some(5), "x@example.com")));
    assert!(matches!(nowhere, Err(UserError::NoAccount { account: 5 })));
    let change = UserChange {
        password_hash: Some(Some("$argon2id$…".to_owned())),
        totp_secret: Some(Some(vec![1, 2, 3])),
        status: Some(UserStatus::Active),
        advertisers: Some(Vec::new()),
        ..UserChange::default()
    };
    let changed = write(&control, move |tx| tx.update_user(made.id, Some(1), change)).unwrap();
    assert_eq!((changed.version, changed.status), (2, UserStatus::Active));
    assert_eq!(control.read(|r| r.user(made.id)).unwrap().as_ref(), Some(&changed));
    let shown = format!("{changed:?}");
    assert!(!shown.contains("argon2") && !shown.contains("[1, 2, 3]"), "{shown}");
    write(&control, move |tx| tx.user_logged_in(made.id)).unwrap();
    let now = control.read(|r| r.user(made.id)).unwrap().unwrap();
    assert_eq!((now.last_login_ms, now.version), (Some(NOON_MS), 2));
    let other = write(&control, |tx| tx.insert_user(user(None, "y@example.com"))).unwrap();
    let take = UserChange { email: Some(now.email.to_uppercase()), ..UserChange::default() };
    let taken = write(&control, move |tx| tx.update_user(other.id, None, take));
    assert!(matches!(taken, Err(UserError::EmailTaken { .. })));
    let ids = |account| -> Vec<u32> {
        control.read(|r| r.users(account)).unwrap().iter().map(|user| user.id).collect()
    };
    assert_eq!((ids(Some(1)), ids(None)), (vec![1], vec![1, 2]));
}

#[test]
fn a_key_is_found_by_its_hash_and_can_be_rotated_and_revoked() {
    let control = store();
    let old = write(&control, |tx| tx.insert_key(key(1, None))).unwrap();
    let next = write(&control, move |tx| tx.insert_key(key(2, Some(old.id)))).unwrap();
    assert_eq!((next.replaces, next.scopes.as_slice()), (Some(old.id), &["reports".to_owned()][..]));
    assert_eq!(control.read(|r| r.key_by_hash(&[2; 32])).unwrap().as_ref(), Some(&next));
    assert_eq!(control.read(|r| r.key_by_hash(&[3; 32])).unwrap(), None);
    let twice = write(&control, |tx| tx.insert_key(key(2, None)));
    assert!(matches!(twice, Err(ControlError::Sqlite { .. })));
    assert!(write(&control, |tx| tx.expire_key(1, NOON_MS + 5)).unwrap());
    assert!(write(&control, |tx| tx.revoke_key(1)).unwrap());
    assert!(!write(&control, |tx| tx.revoke_key(1)).unwrap(), "it was revoked before");
    write(&control, |tx| tx.keys_used(&[(2, 30), (2, 20), (99, 1)])).unwrap();
    let keys = control.read(|r| r.keys(None)).unwrap();
    let seen: Vec<_> = keys.iter().map(|key| (key.expires_ms, key.revoked_ms, key.last_used_ms)).collect();
    assert_eq!(seen, [(Some(NOON_MS + 5), Some(NOON_MS), None), (None, None, Some(30))]);
    assert_eq!(control.read(|r| r.keys(Some(1))).unwrap(), []);
    assert_eq!(control.generation(), 0, "nothing of this serves");
}

#[test]
fn sessions_end_one_by_one_all_of_a_user_or_by_time() {
    let clock = clock();
    let control = Control::in_memory(Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
    let user = write(&control, |tx| tx.insert_user(user(None, "a@example.com"))).unwrap().id;
    let session = move |token: u8, life_ms: i64| Session {
        token_hash: [token; 32],
        user,
        csrf_hash: [token + 100; 32],
        created_ms: NOON_MS,
        expires_ms: NOON_MS + life_ms,
        seen_ms: NOON_MS,
    };
    for (token, life_ms) in [(1, 10), (2, 10), (3, 1000), (4, 1000)] {
        write(&control, move |tx| tx.insert_session(&session(token, life_ms))).unwrap();
    }
    let get = |token: u8| control.read(|r| r.session(&[token; 32])).unwrap();
    assert_eq!(get(1), Some(session(1, 10)));
    clock.advance_ms(5);
    assert!(write(&control, |tx| tx.touch_session(&[1; 32], NOON_MS + 500)).unwrap());
    assert_eq!(get(1), Some(Session { seen_ms: NOON_MS + 5, expires_ms: NOON_MS + 500, ..session(1, 0) }));
    clock.advance_ms(5);
    assert_eq!(write(&control, |tx| tx.sweep_sessions()).unwrap(), 1);
    assert_eq!((get(2), get(1).is_some()), (None, true));
    assert!(write(&control, |tx| tx.end_session(&[3; 32])).unwrap());
    assert!(!write(&control, |tx| tx.end_session(&[3; 32])).unwrap());
    assert_eq!(write(&control, move |tx| tx.end_sessions_of(user)).unwrap(), 2);
    let nobody = Session { user: 55, ..session(9, 1) };
    assert!(write(&control, move |tx| tx.insert_session(&nobody)).is_err());
}

#[test]
fn a_user_has_one_invitation_and_each_code_of_a_second_factor_is_taken_once() {
    let control = store();
    write(&control, |tx| tx.insert_account(tenant("T"))).unwrap();
    let id = write(&control, |tx| tx.insert_user(user(Some(1), "a@b.example"))).unwrap().id;
    write(&control, move |tx| tx.insert_invite(id, &[1; 32], NOON_MS + 5)).unwrap();
    write(&control, move |tx| tx.insert_invite(id, &[2; 32], NOON_MS + 9)).unwrap();
    assert_eq!(control.read(|r| r.invite(&[1; 32])).unwrap(), None);
    let invite = control.read(|r| r.invite(&[2; 32])).unwrap().unwrap();
    assert_eq!((invite.user, invite.created_ms, invite.expires_ms), (id, NOON_MS, NOON_MS + 9));
    assert_eq!(control.read(|r| r.invite_of(id)).unwrap(), Some(invite));
    assert!(write(&control, move |tx| tx.end_invites_of(id)).unwrap());
    assert!(!write(&control, move |tx| tx.end_invites_of(id)).unwrap());
    for (step, taken) in [(7, true), (7, false), (6, false), (8, true)] {
        assert_eq!(write(&control, move |tx| tx.totp_used(id, step)).unwrap(), taken, "{step}");
    }
    let row = control.read(|r| r.user(id)).unwrap().unwrap();
    assert_eq!((row.totp_step, row.version), (Some(8), 1));
}
