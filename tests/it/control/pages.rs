//! Lists: every filter and order against a plain vector, pages that neither lose nor repeat, tokens that fit.

use super::{clock, insert, new, open, renamed, store, update};
use outbid::model::clock::Clock;
use outbid::store::control::{Control, ControlError, Cursor, Kind, New, Order, Query, Row, SortBy, Status};
use proptest::prelude::*;
use std::sync::Arc;

const SORTS: [SortBy; 4] = [SortBy::Created, SortBy::Updated, SortBy::Name, SortBy::Id];

fn list(control: &Control, query: &Query) -> Vec<Row> {
    control.read(|r| r.list(query)).unwrap()
}

/// All pages, with `between` run after each.
fn pages(control: &Control, mut query: Query, mut between: impl FnMut(&[Row])) -> Vec<Row> {
    let mut all: Vec<Row> = Vec::new();
    loop {
        let page = list(control, &query);
        assert!(page.len() <= query.limit);
        between(&page);
        let Some(last) = page.last() else { return all };
        let token = query.cursor(last).encode();
        query.after = Some(Cursor::decode(&token).unwrap());
        all.extend(page);
    }
}

/// What a list must be, by its definition.
fn naive(rows: &[Row], query: &Query) -> Vec<Row> {
    let fits = |row: &&Row| {
        row.kind == query.kind
            && query.account.is_none_or(|account| row.account == account)
            && query.parent.is_none_or(|parent| row.parent == Some(parent))
            && (query.statuses.is_empty() || query.statuses.contains(&row.status))
            && query.ids.as_ref().is_none_or(|ids| ids.contains(&row.id))
            && query.name.as_ref().is_none_or(|name| row.name.to_lowercase().contains(&name.to_lowercase()))
            && query.external_id.as_ref().is_none_or(|id| row.external_id.as_ref() == Some(id))
    };
    let mut found: Vec<Row> = rows.iter().filter(fits).cloned().collect();
    found.sort_by_key(|row| match query.order.by {
        SortBy::Created => (row.created_ms, String::new(), row.id),
        SortBy::Updated => (row.updated_ms, String::new(), row.id),
        SortBy::Name => (0, row.name.to_lowercase(), row.id),
        SortBy::Id => (0, String::new(), row.id),
    });
    if query.order.descending {
        found.reverse();
    }
    found
}

/// A world of campaigns below two advertisers, made at few different times and changed in another order.
fn world(names: &[(u8, u8, u8)]) -> (Control, Vec<Row>) {
    let clock = clock();
    let control = Control::in_memory(Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
    for name in ["A", "B"] {
        insert(&control, new(Kind::Advertiser, name)).unwrap();
    }
    let mut rows = Vec::new();
    for (number, (name, parent, status)) in names.iter().enumerate() {
        let wanted = New {
            parent: Some(1 + u32::from(parent % 2)),
            status: Status::ALL[usize::from(*status) % 4],
            external_id: (number % 3 == 0).then(|| format!("e{number}")),
            ..new(Kind::Campaign, ["Ab", "aB", "Äb", "c", "", "abc%_"][usize::from(*name) % 6])
        };
        rows.push(insert(&control, wanted).unwrap());
        clock.advance_ms(u64::from(name % 2));
    }
    for row in rows.iter_mut().rev().step_by(2) {
        clock.advance_ms(1);
        let name = format!("{}x", row.name);
        *row = update(&control, row, None, renamed(&name)).unwrap();
    }
    (control, rows)
}

fn queries() -> impl Strategy<Value = Query> {
    let filters = (
        prop::option::of(0..2u32),
        prop::option::of(1..4u32),
        prop::sample::subsequence(Status::ALL.to_vec(), 0..=4),
        prop::option::weighted(0.2, prop::collection::vec(1..40u32, 0..12)),
        prop::option::weighted(0.4, prop::sample::select(vec!["ab", "AB", "ä", "Ä", "x", "%", "", "zz"])),
        prop::option::weighted(0.2, prop::sample::select(vec!["e0", "e3", "none"])),
    );
    let order = (0..4usize, any::<bool>(), 1..9usize);
    (filters, order).prop_map(
        |((account, parent, statuses, ids, name, external), (by, descending, limit))| Query {
            account,
            parent,
            statuses,
            ids,
            name: name.map(str::to_owned),
            external_id: external.map(str::to_owned),
            order: Order { by: SORTS[by], descending },
            limit,
            ..Query::of(Kind::Campaign)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_filter_order_and_page_is_that_of_a_plain_vector(
        names in prop::collection::vec((any::<u8>(), any::<u8>(), any::<u8>()), 0..40),
        queries in prop::collection::vec(queries(), 24),
    ) {
        let (control, rows) = world(&names);
        for query in queries {
            let expected = naive(&rows, &query);
            let paged = pages(&control, query.clone(), |_| ());
            prop_assert_eq!(&paged, &expected, "{:?}", query);
            let count = control.read(|r| r.count(&query)).unwrap();
            prop_assert_eq!(count, expected.len() as u64);
        }
    }

    #[test]
    fn pages_are_complete_and_repeat_nothing_while_rows_are_inserted(
        at_start in 1..40usize,
        inserts in prop::collection::vec(0..4usize, 20),
        by in 0..4usize,
        descending: bool,
        limit in 1..7usize,
    ) {
        let (control, rows) = world(&vec![(0, 0, 0); at_start]);
        let order = Order { by: SORTS[by], descending };
        let query = Query { order, limit, ..Query::of(Kind::Campaign) };
        let mut inserts = inserts.into_iter();
        let seen = pages(&control, query, |_| {
            for number in 0..inserts.next().unwrap_or(0) {
                let name = ["", "Ab", "abx", "zzz"][number % 4];
                insert(&control, new(Kind::Campaign, name)).unwrap();
            }
        });
        let mut ids: Vec<u32> = seen.iter().map(|row| row.id).collect();
        ids.sort_unstable();
        let repeated = ids.windows(2).any(|pair| pair[0] == pair[1]);
        prop_assert!(!repeated, "{:?}", ids);
        for row in &rows {
            prop_assert!(ids.binary_search(&row.id).is_ok(), "{} is missing of {:?}", row.id, ids);
        }
    }
}

#[test]
fn writers_beside_a_reader_that_pages_do_not_disturb_it() {
    let temp = tempfile::tempdir().unwrap();
    let control = open(&temp.path().join("control.db")).unwrap();
    for number in 0..100 {
        insert(&control, new(Kind::Deal, &format!("{number}"))).unwrap();
    }
    std::thread::scope(|scope| {
        let writer = control.clone();
        let writing = scope.spawn(move || {
            for number in 0..60 {
                insert(&writer, new(Kind::Deal, &format!("{number} more"))).unwrap();
            }
        });
        while !writing.is_finished() {
            let order = Order { by: SortBy::Name, descending: true };
            let seen = pages(&control, Query { order, limit: 7, ..Query::of(Kind::Deal) }, |_| ());
            let mut old: Vec<u32> = seen.iter().map(|row| row.id).filter(|id| *id <= 100).collect();
            old.sort_unstable();
            assert_eq!(old, (1..=100).collect::<Vec<u32>>());
        }
    });
}

#[test]
fn a_token_of_another_query_is_an_error_and_one_of_this_query_is_not() {
    let (control, rows) = world(&[(0, 0, 0), (1, 1, 1), (2, 0, 2)]);
    let query = Query { account: Some(0), ..Query::of(Kind::Campaign) };
    let token = query.cursor(&rows[0]).encode();
    let after = Cursor::decode(&token);
    let check = |query: Query, fits: bool| {
        let answer = control.read(|r| r.list(&query));
        assert_eq!(answer.is_ok(), fits, "{query:?}");
        assert!(fits || matches!(answer, Err(ControlError::ForeignCursor)));
    };
    check(Query { after: after.clone(), ..query.clone() }, true);
    check(Query { after: after.clone(), limit: 1, ..query.clone() }, true);
    check(Query { after: after.clone(), account: Some(1), ..query.clone() }, false);
    check(Query { after: after.clone(), kind: Kind::Deal, ..query.clone() }, false);
    check(Query { after: after.clone(), statuses: vec![Status::Draft], ..query.clone() }, false);
    check(Query { after, order: Order { by: SortBy::Name, descending: false }, ..query }, false);
    for broken in ["", "AA", "not base64!", &token[..token.len() - 2], &format!("B{}", &token[1..])] {
        assert_eq!(Cursor::decode(broken), None, "{broken}");
    }
}

#[test]
fn a_start_streams_a_whole_kind_in_the_order_of_ids_and_stops_where_it_is_told() {
    let control = store();
    for id in [5, 3, 9] {
        insert(&control, New { id: Some(id), ..new(Kind::Segment, "s") }).unwrap();
    }
    insert(&control, new(Kind::Deal, "another kind")).unwrap();
    let mut seen = Vec::new();
    let streamed = control.read(|r| {
        r.all(Kind::Segment, |row| {
            seen.push(row.id);
            Ok::<_, ControlError>(())
        })
    });
    streamed.unwrap();
    assert_eq!(seen, [3, 5, 9]);
    let stopped = control.read(|r| r.all(Kind::Segment, |_| Err(ControlError::ForeignCursor)));
    assert!(matches!(stopped, Err(ControlError::ForeignCursor)));
}
