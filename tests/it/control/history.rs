//! The audit: what it tells, by which questions, and that it stays.

use super::{NOON_MS, clock, insert, new, open};
use outbid::model::clock::Clock;
use outbid::store::control::audit::{Actor, ActorKind, AuditQuery, Entry, NewEntry, Source, diff};
use outbid::store::control::{Control, ControlError, Cursor, Kind, WriteError};
use serde_json::{Value, json};
use std::sync::Arc;

fn entry(actor: u32, action: &str, resource: u32) -> NewEntry {
    NewEntry {
        account: resource % 2,
        actor: Actor { kind: ActorKind::User, id: Some(actor), display: format!("user {actor}") },
        source: Source::Ui,
        request_id: Some("r-1".to_owned()),
        action: action.to_owned(),
        kind: "campaign".to_owned(),
        resource: Some(resource),
        version_after: Some(2),
        before: json!({"name": "a"}),
        after: json!({"name": "b"}),
    }
}

fn add(control: &Control, entry: NewEntry) -> i64 {
    control.write(move |tx| tx.add_audit(&entry)).unwrap()
}

fn audit(control: &Control, query: &AuditQuery) -> Vec<Entry> {
    control.read(|r| r.audit(query)).unwrap()
}

#[test]
fn a_difference_has_only_the_members_that_differ() {
    let check = |before: Value, after: Value, gone: Value, come: Value| {
        assert_eq!(diff(&before, &after), (gone, come), "{before} → {after}");
    };
    check(json!({"a": 1, "b": {"c": 2}}), json!({"a": 1, "b": {"c": 2}}), json!({}), json!({}));
    check(json!({"a": 1, "b": 2}), json!({"a": 1, "b": 3}), json!({"b": 2}), json!({"b": 3}));
    check(json!({"a": 1}), json!({"b": 2}), json!({"a": 1}), json!({"b": 2}));
    check(
        json!({"budget": {"daily": "1", "lifetime": "9"}, "name": "n"}),
        json!({"budget": {"daily": "2", "lifetime": "9"}, "name": "n"}),
        json!({"budget": {"daily": "1"}}),
        json!({"budget": {"daily": "2"}}),
    );
    check(json!({"l": [1, 2]}), json!({"l": [1, 3]}), json!({"l": [1, 2]}), json!({"l": [1, 3]}));
    check(json!({"a": {"x": 1}}), json!({"a": null}), json!({"a": {"x": 1}}), json!({"a": null}));
    check(json!({"a": {}}), json!({"a": {"x": 1}}), json!({"a": {}}), json!({"a": {"x": 1}}));
    check(json!(1), json!({"a": 1}), json!(1), json!({"a": 1}));
}

#[test]
fn every_question_is_answered_newest_first_and_page_by_page() {
    let clock = clock();
    let control = Control::in_memory(Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
    for number in 0..40u32 {
        let action = if number % 3 == 0 { "create" } else { "update" };
        add(&control, entry(number % 4, action, number % 5));
        // Several in one millisecond.
        clock.advance_ms(u64::from(number % 2));
    }
    let system = NewEntry {
        actor: Actor { kind: ActorKind::System, id: None, display: "expiry".to_owned() },
        source: Source::System,
        request_id: None,
        resource: None,
        version_after: None,
        ..entry(0, "sweep", 0)
    };
    add(&control, system);
    let all = audit(&control, &AuditQuery { limit: 100, ..AuditQuery::default() });
    assert_eq!(all.len(), 41);
    assert!(all.is_sorted_by_key(|entry| std::cmp::Reverse((entry.at_ms, entry.id))));
    let check = |query: AuditQuery, fits: &dyn Fn(&Entry) -> bool| {
        let expected: Vec<i64> = all.iter().filter(|entry| fits(entry)).map(|entry| entry.id).collect();
        let (mut query, mut seen) = (AuditQuery { limit: 3, ..query }, Vec::new());
        loop {
            let page = audit(&control, &query);
            let Some(last) = page.last() else { break };
            query.after = Cursor::decode(&query.cursor(last).encode());
            seen.extend(page.iter().map(|entry| entry.id));
        }
        assert_eq!(seen, expected, "{query:?}");
    };
    let any = AuditQuery::default;
    check(any(), &|_| true);
    check(AuditQuery { account: Some(1), ..any() }, &|entry| entry.entry.account == 1);
    check(AuditQuery { action: Some("create".to_owned()), ..any() }, &|entry| entry.entry.action == "create");
    check(AuditQuery { kind: Some("campaign".to_owned()), resource: Some(2), ..any() }, &|entry| {
        entry.entry.resource == Some(2)
    });
    check(AuditQuery { actor: Some((ActorKind::User, Some(3))), account: Some(0), ..any() }, &|entry| {
        entry.entry.actor.id == Some(3) && entry.entry.account == 0
    });
    check(AuditQuery { actor: Some((ActorKind::System, None)), ..any() }, &|entry| {
        entry.entry.actor.kind == ActorKind::System
    });
    let (from_ms, to_ms) = (NOON_MS + 3, NOON_MS + 11);
    check(AuditQuery { from_ms: Some(from_ms), to_ms: Some(to_ms), ..any() }, &|entry| {
        (from_ms..to_ms).contains(&entry.at_ms)
    });
    let other = AuditQuery { after: Some(any().cursor(&all[0])), account: Some(1), limit: 1, ..any() };
    assert!(matches!(control.read(|r| r.audit(&other)), Err(ControlError::ForeignCursor)));
    let told = &all[0].entry;
    assert_eq!(
        (told.actor.display.as_str(), told.source, &told.after),
        ("expiry", Source::System, &json!({"name": "b"}))
    );
}

#[test]
fn nobody_changes_or_removes_an_entry_before_its_time() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("control.db");
    let clock = clock();
    let control = Control::open(&path, Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
    for number in 0..4 {
        add(&control, entry(1, "update", number));
        clock.advance_ms(10);
    }
    let by_hand = |sql: &str| {
        rusqlite::Connection::open(&path).unwrap().execute(sql, []).map_err(|why| why.to_string())
    };
    let refused = by_hand("UPDATE audit SET actor_name = 'someone else'").unwrap_err();
    assert!(refused.contains("never changes"), "{refused}");
    let refused = by_hand("DELETE FROM audit WHERE id = 1").unwrap_err();
    assert!(refused.contains("retention"), "{refused}");
    let forget = |before_ms, limit| control.write(move |tx| tx.forget_audit(before_ms, limit)).unwrap();
    assert_eq!(forget(NOON_MS + 20, 1), 1);
    assert_eq!(forget(NOON_MS + 20, 10), 1);
    assert_eq!(forget(NOON_MS, 10), 0);
    let left = audit(&control, &AuditQuery { limit: 10, ..AuditQuery::default() });
    assert_eq!(left.iter().map(|entry| entry.id).collect::<Vec<_>>(), [4, 3]);
    assert!(by_hand("DELETE FROM audit WHERE id = 3").is_err());
    assert_eq!(add(&control, entry(1, "update", 9)), 5, "an id is never used again");
}

#[test]
fn an_entry_and_its_change_are_there_together_or_not_at_all() {
    let temp = tempfile::tempdir().unwrap();
    let control = open(&temp.path().join("control.db")).unwrap();
    let undone = control.write(|tx| {
        tx.insert(new(Kind::Deal, "D")).unwrap();
        tx.add_audit(&entry(1, "create", 1)).unwrap();
        Err::<(), _>(())
    });
    assert!(matches!(undone, Err(WriteError::Refused(()))));
    insert(&control, new(Kind::Deal, "E")).unwrap();
    assert!(audit(&control, &AuditQuery { limit: 10, ..AuditQuery::default() }).is_empty());
}
