//! How many are in segments. Counting walks everybody, so it is done in the background, for all segments at once, and at
//! most once in [`FRESH_NS`].

use super::people;
use crate::admin::call::{Call, Reply};
use crate::admin::crud::row_of;
use crate::admin::problem::{FieldError, Problem};
use crate::admin::shape::{Shape, moment};
use crate::admin::state::Inner;
use crate::audience::{Origin, Store};
use crate::model::ids::SegmentId;
use crate::store::control::Kind;
use hyper::StatusCode;
use parking_lot::{Condvar, Mutex};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// How long a count is shown.
const FRESH_NS: u64 = 60_000_000_000;
/// How long a call waits for a count that is under way.
const PATIENCE: Duration = Duration::from_millis(1_500);
/// Most segments whose overlaps are counted at once.
const MAX_SEGMENTS: usize = 10;

/// How many are in one segment.
#[derive(Clone, Copy, Debug, Default)]
struct Size {
    /// Who has not changed since the base was packed, and who has.
    base: u64,
    changed: u64,
    /// Who is not in it itself and is in a node below it.
    below: u64,
    /// Whom lists have put in.
    listed: u64,
    explicit_consent: u64,
}

/// All segments that anybody is in, as they were counted.
#[derive(Debug)]
struct Counted {
    at_ms: i64,
    at_ns: u64,
    sizes: HashMap<SegmentId, Size>,
}

/// What was counted last.
#[derive(Default)]
pub(in crate::admin) struct Counts {
    newest: Mutex<State>,
    done: Condvar,
    /// Held while overlaps are counted: one walk at a time is enough.
    overlap: Mutex<()>,
}

#[derive(Default)]
struct State {
    counted: Option<Arc<Counted>>,
    /// Somebody counts.
    is_busy: bool,
    /// Something has changed since: the next call counts anew.
    is_stale: bool,
}

impl Counts {
    /// What was counted is not true any more.
    pub(super) fn forget(&self) {
        self.newest.lock().is_stale = true;
    }
}

/// `GET /v1/segments/{id}/stats`.
pub(super) fn stats(inner: &Arc<Inner>, call: Call) -> Result<Reply, Problem> {
    let store = people(inner)?.store;
    let (id, account) = (call.id.unwrap_or(0), call.account);
    call.parameters.finish("account_id")?;
    let shape = Shape::of(Kind::Segment).expect("segments are resources");
    let row = inner.control.read(|read| row_of(read, shape, id, account))?;
    let counted = counted(inner, store);
    let size =
        counted.as_ref().map(|counted| counted.sizes.get(&SegmentId(row.id)).copied().unwrap_or_default());
    let said = |of: fn(&Size) -> u64| size.as_ref().map(of);
    let body = json!({
        "segment_id": row.id.to_string(), "counted_at": counted.map(|counted| moment(counted.at_ms)),
        "members": said(|size| size.base + size.changed),
        "members_with_below": said(|size| size.base + size.changed + size.below), "in_base": said(|size| size.base),
        "in_overlay": said(|size| size.changed), "listed": said(|size| size.listed),
        "explicit_consent": said(|size| size.explicit_consent),
    });
    Ok(Reply::new(StatusCode::OK, body))
}

/// The newest count; an older one, or none, where a newer one takes longer than a call waits.
fn counted(inner: &Arc<Inner>, store: Arc<Store>) -> Option<Arc<Counted>> {
    let mut state = inner.counts.newest.lock();
    let is_fresh = |state: &State| {
        let now_ns = inner.clock.mono_ns();
        let counted = state.counted.as_ref().filter(|_| !state.is_stale);
        counted.is_some_and(|counted| now_ns.saturating_sub(counted.at_ns) < FRESH_NS)
    };
    if is_fresh(&state) {
        return state.counted.clone();
    }
    if !state.is_busy {
        let own = Arc::clone(inner);
        let begun = std::thread::Builder::new().name("counts".to_owned()).spawn(move || count(&own, &store));
        match begun {
            Ok(_detached) => (state.is_busy, state.is_stale) = (true, false),
            Err(error) => tracing::error!(%error, "nobody counts who is in the segments"),
        }
    }
    inner.counts.done.wait_while_for(&mut state, |state| state.is_busy, PATIENCE);
    state.counted.clone()
}

/// Says that nobody counts any more, however it ended.
struct Ends<'i>(&'i Counts);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.newest.lock().is_busy = false;
        self.0.done.notify_all();
    }
}

fn count(inner: &Inner, store: &Store) {
    let _ends = Ends(&inner.counts);
    if let Err(error) = rustix::process::nice(10) {
        tracing::debug!(%error, "counts keep their priority");
    }
    let (now, at_ns) = (inner.clock.now(), inner.clock.mono_ns());
    let mut sizes: HashMap<SegmentId, Size> = HashMap::new();
    let above = above(inner);
    let mut nodes: Vec<SegmentId> = Vec::new();
    store.index().for_each_member(None, now.unix_s(), |member| {
        for membership in member.memberships {
            let size = sizes.entry(membership.segment).or_default();
            *(if member.is_changed { &mut size.changed } else { &mut size.base }) += 1;
            size.listed += u64::from(membership.origin == Origin::FirstParty);
            size.explicit_consent += u64::from(membership.explicit_consent);
        }
        nodes.clear();
        let of = member.memberships.iter().filter_map(|membership| above.get(&membership.segment));
        of.for_each(|above| nodes.extend(above));
        nodes.sort_unstable();
        nodes.dedup();
        for node in &nodes {
            if member.memberships.iter().all(|membership| membership.segment != *node) {
                sizes.entry(*node).or_default().below += 1;
            }
        }
    });
    inner.counts.newest.lock().counted = Some(Arc::new(Counted { at_ms: now.unix_ms, at_ns, sizes }));
}

/// What stands above each segment that anything stands above.
fn above(inner: &Inner) -> HashMap<SegmentId, Vec<SegmentId>> {
    let parents: HashMap<SegmentId, SegmentId> = {
        let editor = inner.editor.lock();
        let own = editor.segments().filter_map(|(_, segment)| Some((segment.id, segment.parent?)));
        own.filter(|(id, parent)| id != parent).collect()
    };
    let chain = |id: &SegmentId| std::iter::successors(parents.get(id), |above| parents.get(above)).copied();
    parents.keys().map(|id| (*id, chain(id).collect())).collect()
}

/// `POST /v1/segments:overlap`.
pub(super) fn overlap(inner: &Arc<Inner>, call: Call) -> Result<Reply, Problem> {
    let store = people(inner)?.store;
    let ids = segment_ids(&call)?;
    let account = call.account;
    call.parameters.finish("account_id")?;
    let shape = Shape::of(Kind::Segment).expect("segments are resources");
    inner.control.read(|read| {
        for (at, id) in ids.iter().enumerate() {
            if row_of(read, shape, *id, account).is_err() {
                let message = format!("there is no segment {id}");
                let pointer = format!("/segment_ids/{at}");
                return Err(Problem::invalid(vec![FieldError::new(pointer, "unknown_reference", message)]));
            }
        }
        Ok(())
    })?;
    let Some(_alone) = inner.counts.overlap.try_lock() else {
        let detail = "overlaps are being counted for somebody else; come again";
        let busy = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail);
        return Err(Problem { retry_after_s: Some(3), ..busy });
    };
    let segments: Vec<SegmentId> = ids.iter().copied().map(SegmentId).collect();
    let now = inner.clock.now();
    // By the set of segments that somebody is in, a bit each: no more than there are sets.
    let mut by_set = vec![0_u64; 1 << segments.len()];
    store.index().for_each_member(Some(&segments), now.unix_s(), |member| {
        let place = |of: SegmentId| segments.iter().position(|segment| *segment == of);
        let set =
            member.memberships.iter().filter_map(|of| place(of.segment)).fold(0, |set, at| set | 1 << at);
        by_set[set] += 1;
    });
    let with = |bits: usize| -> u64 {
        by_set.iter().enumerate().filter(|(set, _)| set & bits == bits).map(|(_, count)| count).sum()
    };
    let sizes: Vec<Value> = (ids.iter().enumerate())
        .map(|(at, id)| json!({ "segment_id": id.to_string(), "members": with(1 << at) }))
        .collect();
    let mut overlaps = Vec::new();
    for (at, one) in ids.iter().enumerate() {
        for (beside, other) in ids.iter().enumerate().skip(at + 1) {
            let pair = [one.to_string(), other.to_string()];
            overlaps.push(json!({ "segment_ids": pair, "members": with(1 << at | 1 << beside) }));
        }
    }
    let union: u64 = by_set.iter().sum();
    let body = json!({
        "counted_at": moment(now.unix_ms), "sizes": sizes, "overlaps": overlaps, "in_any": union,
        "in_all": with((1 << ids.len()) - 1),
    });
    Ok(Reply::new(StatusCode::OK, body))
}

/// The ids of a body `{"segment_ids": ["1", "2"]}`.
fn segment_ids(call: &Call) -> Result<Vec<u32>, Problem> {
    let mut object = call.object(&["application/json"])?;
    let refuse = |pointer: &str, code, message: &str| {
        Err(Problem::invalid(vec![FieldError::new(pointer, code, message)]))
    };
    let given = object.remove("segment_ids");
    if let Some(name) = object.keys().next() {
        return refuse(&format!("/{name}"), "malformed", "is not known; there is segment_ids");
    }
    let ids: Option<Vec<u32>> = given.as_ref().and_then(Value::as_array).and_then(|given| {
        given.iter().map(|id| id.as_str()?.parse::<u32>().ok().filter(|id| *id > 0)).collect()
    });
    let Some(ids) = ids else {
        return refuse("/segment_ids", "malformed", "is a list of ids in quotes");
    };
    if !(2..=MAX_SEGMENTS).contains(&ids.len()) {
        return refuse("/segment_ids", "out_of_range", "has 2 to 10 ids");
    }
    match ids.iter().enumerate().find(|(at, id)| ids[..*at].contains(id)) {
        Some(_) => refuse("/segment_ids", "duplicate", "names a segment twice"),
        None => Ok(ids),
    }
}
