//! Resources: ids, versions, parents, external ids, singletons.

use super::{NOON_MS, clock, get, insert, new, renamed, store, update};
use outbid::model::clock::Clock;
use outbid::store::control::{Change, ChangeError, Control, Kind, New, Status, WriteError};
use std::sync::Arc;

/// A resource below a parent.
fn below(kind: Kind, parent: u32) -> New {
    New { parent: Some(parent), ..new(kind, "child") }
}

#[test]
fn a_resource_comes_back_as_it_was_made_and_changed() {
    let clock = clock();
    let control = Control::in_memory(Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
    let advertiser = insert(&control, new(Kind::Advertiser, "Ärzte & Söhne")).unwrap();
    let wanted = New {
        external_id: Some("crm-7".to_owned()),
        status: Status::Draft,
        doc: r#"{"budget":{"daily":"1.50"}}"#.to_owned(),
        ..below(Kind::Campaign, advertiser.id)
    };
    let made = insert(&control, wanted).unwrap();
    assert_eq!((made.id, made.version, made.created_ms, made.updated_ms), (1, 1, NOON_MS, NOON_MS));
    assert_eq!(get(&control, Kind::Campaign, 1), Some(made.clone()));
    clock.advance_ms(5);
    let change = Change {
        name: Some("new".to_owned()),
        status: Some(Status::Archived),
        external_id: Some(None),
        parent: Some(None),
        doc: Some("[]".to_owned()),
    };
    let changed = update(&control, &made, Some(1), change).unwrap();
    assert_eq!(get(&control, Kind::Campaign, 1), Some(changed.clone()));
    assert_eq!((changed.version, changed.created_ms, changed.updated_ms), (2, NOON_MS, NOON_MS + 5));
    assert_eq!(
        (changed.name.as_str(), changed.status, changed.doc.as_str()),
        ("new", Status::Archived, "[]")
    );
    assert_eq!((changed.external_id, changed.parent), (None, None));
}

#[test]
fn ids_ascend_in_each_kind_and_imports_bring_theirs_in_any_order() {
    let control = store();
    let id = |kind, id| insert(&control, New { id, ..new(kind, "x") }).map(|row| row.id);
    assert_eq!(id(Kind::Deal, None).unwrap(), 1);
    assert_eq!(id(Kind::List, None).unwrap(), 1);
    assert_eq!(id(Kind::Deal, Some(900)).unwrap(), 900);
    assert_eq!(id(Kind::Deal, Some(3)).unwrap(), 3);
    assert!(matches!(id(Kind::Deal, Some(3)), Err(ChangeError::Exists { id: 3, .. })));
    assert!(matches!(id(Kind::Deal, Some(0)), Err(ChangeError::ZeroId { .. })));
    assert_eq!(id(Kind::Deal, Some(u32::MAX)).unwrap(), u32::MAX);
    // Only those themselves are taken.
    assert_eq!(id(Kind::Deal, None).unwrap(), 2);
    assert_eq!(id(Kind::Deal, None).unwrap(), 4);
    assert_eq!(id(Kind::List, None).unwrap(), 2);
}

#[test]
fn ids_of_an_account_from_elsewhere_are_left_out_as_far_as_enough_stay() {
    let control = store();
    let id = |kind| insert(&control, new(kind, "x")).map(|row| row.id);
    let leave = |kind, up_to| control.write(move |tx| tx.leave_out_ids(kind, up_to)).unwrap();
    leave(Kind::Deal, 700);
    leave(Kind::Deal, 30);
    assert_eq!(id(Kind::Deal).unwrap(), 701);
    leave(Kind::Deal, u32::MAX);
    assert_eq!(id(Kind::Deal).unwrap(), 702);
    // What a kind can have at most, and then no more.
    let of_segment = |id| insert(&control, New { id: Some(id), ..new(Kind::Segment, "x") });
    leave(Kind::Segment, (1 << 24) - 2);
    assert_eq!(id(Kind::Segment).unwrap(), 1);
    leave(Kind::Exchange, 100);
    of_segment((1 << 24) - 1).unwrap();
    assert_eq!(id(Kind::Segment).unwrap(), 2);
    assert_eq!(id(Kind::Exchange).unwrap(), 101);
    let all = Kind::Exchange.max_id();
    (102..=all).for_each(|next| assert_eq!(id(Kind::Exchange).unwrap(), next));
    assert!(matches!(id(Kind::Exchange), Err(ChangeError::NoIdLeft { .. })));
}

#[test]
fn a_parent_exists_and_is_of_the_right_kind() {
    let control = store();
    let advertiser = insert(&control, new(Kind::Advertiser, "A")).unwrap().id;
    let campaign = insert(&control, below(Kind::Campaign, advertiser)).unwrap();
    assert_eq!(insert(&control, below(Kind::LineItem, campaign.id)).unwrap().parent, Some(campaign.id));
    for orphan in [below(Kind::Campaign, 99), below(Kind::LineItem, 99), below(Kind::Exchange, advertiser)] {
        let refused = insert(&control, orphan.clone()).unwrap_err();
        assert!(matches!(refused, ChangeError::NoParent { .. }), "{orphan:?}: {refused:?}");
    }
    let moved = Change { parent: Some(Some(99)), ..Change::default() };
    let refused = update(&control, &campaign, None, moved).unwrap_err();
    assert!(matches!(refused, WriteError::Refused(ChangeError::NoParent { parent: 99, .. })), "{refused:?}");
    let refused = insert(&control, New { account: 8, ..new(Kind::Deal, "D") }).unwrap_err();
    assert!(matches!(refused, ChangeError::NoAccount { account: 8, .. }), "{refused:?}");
}

#[test]
fn an_external_id_stands_for_one_row_of_its_account_and_kind() {
    let control = store();
    let named = |kind, name: &str| New { external_id: Some("e".to_owned()), ..new(kind, name) };
    let first = insert(&control, named(Kind::Deal, "first")).unwrap();
    insert(&control, named(Kind::List, "another kind")).unwrap();
    let refused = insert(&control, named(Kind::Deal, "second")).unwrap_err();
    assert!(matches!(refused, ChangeError::ExternalIdTaken { by, .. } if by == first.id), "{refused:?}");
    let second = insert(&control, new(Kind::Deal, "second")).unwrap();
    let take = Change { external_id: Some(Some("e".to_owned())), ..Change::default() };
    let refused = update(&control, &second, None, take.clone()).unwrap_err();
    assert!(matches!(refused, WriteError::Refused(ChangeError::ExternalIdTaken { .. })), "{refused:?}");
    update(&control, &first, None, Change { external_id: Some(None), ..Change::default() }).unwrap();
    assert_eq!(update(&control, &second, None, take).unwrap().external_id.as_deref(), Some("e"));
}

#[test]
fn a_singleton_is_one_row_of_the_platform() {
    let control = store();
    let rates = insert(&control, new(Kind::Rates, "rates")).unwrap();
    assert_eq!(rates.id, 1);
    let again = insert(&control, new(Kind::Rates, "rates")).unwrap_err();
    assert!(matches!(again, ChangeError::Exists { id: 1, .. }), "{again:?}");
    assert_eq!(update(&control, &rates, Some(1), renamed("r")).unwrap().version, 2);
}

#[test]
fn a_change_without_a_version_needs_none_and_one_of_nothing_is_missing() {
    let control = store();
    let row = insert(&control, new(Kind::Deal, "D")).unwrap();
    assert_eq!(update(&control, &row, None, renamed("E")).unwrap().version, 2);
    let refused = control.write(|tx| tx.update(Kind::Deal, 2, None, renamed("F"))).unwrap_err();
    assert!(matches!(refused, WriteError::Refused(ChangeError::Missing { id: 2, .. })), "{refused:?}");
    let text = update(&control, &row, Some(1), renamed("G")).unwrap_err().to_string();
    assert_eq!(text, "deal 1 has version 2 by now; read it again and repeat the change");
}
