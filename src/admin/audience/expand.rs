//! `POST /v1/segments/{id}:expand`: people like those of a segment are found and put into another one, as one job.
//!
//! Only segments of the account are looked at, so that nobody learns from another account's people, and only memberships
//! that say nothing sensitive. Whatever is kept of somebody was agreed to when it came in, and goes when they are erased or
//! opt out; so who is still there with something that may be looked at may be profiled, and that is asked again in the very
//! write that puts somebody into the target. A search that is ended, or cut off by a stop, leaves whom it has put there.

use super::{People, people, unkept};
use crate::admin::audit;
use crate::admin::call::{Call, Reply, Who};
use crate::admin::crud::{Op, row_of};
use crate::admin::jobs::{Counts, EXPANSION, End, Live};
use crate::admin::problem::{FieldError, Problem};
use crate::admin::shape::Shape;
use crate::admin::sheets::{preferred_wait, promised};
use crate::admin::state::Inner;
use crate::audience::{AudienceError, Expansion, Membership, Origin, Similar, SimilarError, Store, Telling};
use crate::model::behaviour::Source;
use crate::model::ids::{SegmentId, UserKey};
use crate::model::taxonomy::{Segment, Taxonomy};
use crate::store::control::jobs::{JobState, NewJob};
use crate::store::control::{Kind, Row, Status};
use hyper::StatusCode;
use serde_json::{Value, json};
use std::sync::Arc;

/// What an expansion may be asked beside its body.
pub(super) const PARAMETERS: &[&str] = &["validate_only"];
/// Most people who are looked for: eight bytes each while the job runs.
pub(super) const MAX_SIZE: u64 = 10_000_000;
/// Days after which those who were found leave, where nothing is said.
pub(super) const TTL_DAYS: u64 = 30;
/// Longest time that is given.
pub(super) const MAX_TTL_DAYS: u64 = 3_650;
/// People who are written in one go: events wait for as long, well below a millisecond.
const CHUNK: usize = 256;
/// After so many people what has changed is folded into the base, see uploads.
const PER_MERGE: usize = 1_000_000;

/// What was asked for.
struct Asked {
    dry: bool,
    seed: Row,
    /// `None` where a trial names one that is not there yet.
    target: Option<Row>,
    size: u64,
    ttl_days: u64,
    replace: bool,
    who: Who,
}

pub(super) fn start(inner: &Arc<Inner>, call: Call) -> Result<Reply, Problem> {
    let People { store, .. } = people(inner)?;
    let wait = preferred_wait(&call.headers);
    let asked = asked(inner, call)?;
    let options = json!({
        "validate_only": asked.dry, "segment_id": asked.seed.id.to_string(),
        "target_id": asked.target.as_ref().map(|target| target.id.to_string()), "size": asked.size,
        "ttl_days": asked.ttl_days, "replace": asked.replace,
    });
    let new = NewJob {
        account: asked.seed.account,
        kind: EXPANSION,
        collection: "segments",
        options: options.to_string(),
        actor: asked.who.actor.name.clone(),
        request_id: asked.who.request_id.clone(),
        outcome: "{}".to_owned(),
    };
    let work = move |inner: &Arc<Inner>, live: &Arc<Live>| {
        let end = run(inner, live, &store, &asked).err();
        note(inner, live, &asked);
        end.unwrap_or(End { state: JobState::Succeeded, reason: None })
    };
    let live = inner.jobs.begin(inner.clock.now().unix_ms, new, Box::new(work))?;
    promised(inner, &live, wait)
}

fn asked(inner: &Arc<Inner>, mut call: Call) -> Result<Asked, Problem> {
    let dry = call.parameters.switch("validate_only")?;
    let mut object = call.object(&["application/json"])?;
    let (id, within, who) = (call.id.unwrap_or(0), call.account, call.who());
    call.parameters.finish(&PARAMETERS.join(", "))?;
    let mut errors = Vec::new();
    let mut wrong = |name: &str, code, message: String| {
        errors.push(FieldError::new(format!("/{name}"), code, message));
    };
    let mut number = |name: &str, default: Option<u64>, most: u64| match (object.remove(name), default) {
        (None | Some(Value::Null), Some(default)) => default,
        (given, _) => {
            let found = given.as_ref().and_then(Value::as_u64).filter(|number| (1..=most).contains(number));
            let code = if given.is_none() { "missing" } else { "out_of_range" };
            found.unwrap_or_else(|| {
                wrong(name, code, format!("is a whole number of 1 to {most}"));
                0
            })
        }
    };
    let (size, ttl_days) = (number("size", None, MAX_SIZE), number("ttl_days", Some(TTL_DAYS), MAX_TTL_DAYS));
    let replace = match object.remove("replace") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(replace)) => replace,
        Some(_) => {
            wrong("replace", "malformed", "is true or false".to_owned());
            false
        }
    };
    let target = object.remove("target").and_then(|key| key.as_str().map(str::to_owned));
    if target.is_none() {
        let message = "is the key of a segment of the account; it is made where there is none".to_owned();
        wrong("target", "missing", message);
    }
    let name = match object.remove("target_name") {
        None | Some(Value::Null) => None,
        Some(Value::String(name)) => Some(name),
        Some(_) => {
            wrong("target_name", "malformed", "is a text".to_owned());
            None
        }
    };
    if let Some(unknown) = object.keys().next() {
        let message = "is not known; there are target, target_name, size, ttl_days, replace".to_owned();
        wrong(&unknown.replace('~', "~0").replace('/', "~1"), "malformed", message);
    }
    let seed = inner.control.read(|read| row_of(read, shape(), id, within))?;
    let Some(target) = target.filter(|_| errors.is_empty()) else { return Err(Problem::invalid(errors)) };
    if inner.editor.lock().is_sensitive(seed.id) {
        return Err(sensitive(&format!("segment {}", seed.id)));
    }
    let target = match segment_of_key(inner, seed.account, &target) {
        Some(found) => Some(checked(inner, &seed, &found)?),
        None => made(inner, &seed, target, name, who.clone(), dry)?,
    };
    Ok(Asked { dry, seed, target, size, ttl_days, replace, who })
}

fn shape() -> &'static Shape {
    Shape::of(Kind::Segment).expect("segments are resources")
}

fn target_error(code: &'static str, message: impl Into<String>) -> Problem {
    Problem::invalid(vec![FieldError::new("/target", code, message)])
}

fn sensitive(what: &str) -> Problem {
    let detail = format!(
        "{what} or one above it is sensitive: who is like its members would be taken to be so without having agreed, so \
         nobody is looked for"
    );
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "sensitive", detail)
}

fn segment_of_key(inner: &Inner, account: u32, key: &str) -> Option<Segment> {
    let editor = inner.editor.lock();
    editor
        .segments()
        .find(|(of, segment)| *of == account && segment.key == key)
        .map(|(_, found)| found.clone())
}

/// The row of a segment that may be filled.
fn checked(inner: &Inner, seed: &Row, found: &Segment) -> Result<Row, Problem> {
    let row = inner.control.read(|read| row_of(read, shape(), found.id.0, Some(seed.account)))?;
    let key = &found.key;
    if row.status != Status::Active {
        return Err(target_error(
            "conflict",
            format!("{key:?} is {}; activate it first", row.status.as_str()),
        ));
    }
    if found.source != Source::Listed {
        let message = format!("people come into {key:?} by what they do; name a segment without such a rule");
        return Err(target_error("conflict", message));
    }
    if inner.editor.lock().is_sensitive(row.id) {
        return Err(sensitive(&format!("the target {key:?}")));
    }
    let (taxonomy, _) = trees(inner, seed.account);
    if taxonomy.is_under(found.id, SegmentId(seed.id)) {
        let message = format!("{key:?} is the segment that is looked into, or below it; name another one");
        return Err(target_error("conflict", message));
    }
    Ok(row)
}

/// Makes the target; a trial makes none.
fn made(
    inner: &Arc<Inner>,
    seed: &Row,
    key: String,
    name: Option<String>,
    who: Who,
    dry: bool,
) -> Result<Option<Row>, Problem> {
    let name = name.unwrap_or_else(|| key.clone());
    let object = [("key".to_owned(), Value::from(key)), ("name".to_owned(), Value::from(name))];
    let op = Op::create(shape(), Some(seed.account), object.into_iter().collect())?;
    if dry {
        return Ok(None);
    }
    let made = inner.change(move |tx, puts| op.apply(tx, puts, &who).map(|applied| applied.row));
    let of_target = |error: FieldError| match error.pointer.as_str() {
        "/key" => FieldError { pointer: "/target".to_owned(), ..error },
        "/name" => FieldError { pointer: "/target_name".to_owned(), ..error },
        _ => error,
    };
    made.map(Some).map_err(|why| Problem { errors: why.errors.into_iter().map(of_target).collect(), ..why })
}

/// The trees of an account, and its segments in order.
fn trees(inner: &Inner, account: u32) -> (Taxonomy, Vec<SegmentId>) {
    let own: Vec<Segment> = {
        let editor = inner.editor.lock();
        editor.segments().filter(|(of, _)| *of == account).map(|(_, segment)| segment.clone()).collect()
    };
    let ids = own.iter().map(|segment| segment.id).collect();
    (Taxonomy::build(&own).expect("the editor holds forests only"), ids)
}

fn failed(reason: impl Into<String>) -> End {
    End { state: JobState::Failed, reason: Some(reason.into()) }
}

fn run(inner: &Inner, live: &Live, store: &Store, asked: &Asked) -> Result<(), End> {
    let (began_ns, now_s) = (inner.clock.mono_ns(), inner.clock.now().unix_s());
    let (taxonomy, own) = trees(inner, asked.seed.account);
    let target = asked.target.as_ref().map(|target| SegmentId(target.id));
    // It may have become so while the job waited.
    if target.is_some_and(|target| taxonomy.is_sensitive(target)) {
        return Err(failed(sensitive("the target").detail));
    }
    let expansion = Expansion {
        seed: SegmentId(asked.seed.id),
        target,
        among: Some(&own),
        size: usize::try_from(asked.size).unwrap_or(usize::MAX),
        now_s,
    };
    let found = store.index().similar(&taxonomy, &expansion, &|| live.is_to_end().is_some());
    let similar = match found {
        Ok(similar) => similar,
        Err(SimilarError::Ended) => return Err(live.is_to_end().unwrap_or_else(|| failed("it was ended"))),
        Err(why) => return Err(failed(why.to_string())),
    };
    let took_ms = inner.clock.mono_ns().saturating_sub(began_ns) / 1_000_000;
    let shown = shown(&similar, &taxonomy, took_ms);
    live.report(|report| report.more.insert("expansion".to_owned(), shown));
    let Some(target) = target.filter(|_| !asked.dry) else {
        live.report(|report| report.counts.rows = similar.users.len() as u64);
        return Ok(());
    };
    let days = i64::try_from(asked.ttl_days).unwrap_or(i64::MAX / 86_400);
    let membership = Membership {
        segment: target,
        expires_s: Some(now_s.saturating_add(days.saturating_mul(86_400))),
        explicit_consent: false,
        origin: Origin::Inferred,
    };
    let fill = Fill { store, live, taxonomy: &taxonomy, expansion, membership };
    let done = fill
        .all(&similar.users)
        .and_then(|()| if asked.replace { fill.leave_out(similar.users) } else { Ok(()) });
    // Whom it has put there before it was ended stays, so that is to be durable too.
    let synced = store.sync().map_err(|why| failed(unkept(&why).detail));
    inner.counts.forget();
    done.and(synced)
}

fn shown(similar: &Similar, taxonomy: &Taxonomy, took_ms: u64) -> Value {
    let rounded = |number: f64| (number * 1e4).round() / 1e4;
    let telling = |of: &Telling| {
        json!({
            "segment_id": of.segment.to_string(), "key": taxonomy.label(of.segment),
            "seed_share": rounded(of.seed_share), "other_share": rounded(of.other_share),
        })
    };
    let (low, high) = similar.lift_interval;
    json!({
        "seed": similar.seed, "held_back": similar.held_back, "found": similar.found,
        "population": similar.population, "chosen": similar.users.len(), "lift": rounded(similar.lift),
        "lift_low": rounded(low), "lift_high": rounded(high), "took_ms": took_ms,
        "telling": similar.telling.iter().map(telling).collect::<Vec<_>>(),
    })
}

/// The target while it is filled.
struct Fill<'f> {
    store: &'f Store,
    live: &'f Live,
    taxonomy: &'f Taxonomy,
    expansion: Expansion<'f>,
    membership: Membership,
}

impl Fill<'_> {
    fn all(&self, users: &[UserKey]) -> Result<(), End> {
        let mut unmerged = 0;
        for keys in users.chunks(CHUNK) {
            self.live.is_to_end().map_or(Ok(()), Err)?;
            self.take(keys).map_err(|why| failed(why.to_string()))?;
            unmerged += keys.len();
            if unmerged >= PER_MERGE {
                unmerged = 0;
                if let Err(why) = self.store.index().merge(self.expansion.now_s) {
                    tracing::warn!(%why, "the audience was not merged during an expansion; its overlay grows");
                }
            }
        }
        Ok(())
    }

    /// Puts some people into the target, each who is still there: nobody comes back who was erased since the search.
    fn take(&self, keys: &[UserKey]) -> Result<(), AudienceError> {
        let mut counts = Counts::default();
        let done = self.store.write(|writer| {
            for key in keys {
                let known = self.store.index().memberships(*key, self.expansion.now_s);
                if !known.iter().any(|of| self.expansion.counts(self.taxonomy, of)) {
                    continue;
                }
                let before = known.iter().find(|of| of.segment == self.membership.segment);
                counts.rows += 1;
                // Whoever was put there by somebody stays as they were put.
                if before.is_some_and(|before| before.origin != Origin::Inferred) {
                    counts.unchanged += 1;
                    continue;
                }
                let count = match (writer.set(*key, self.membership), before) {
                    (Ok(true), None) => &mut counts.added,
                    (Ok(true), Some(_)) => &mut counts.changed,
                    (Ok(false), _) => &mut counts.unchanged,
                    // In too many segments already.
                    (Err(AudienceError::TooManySegments), _) => continue,
                    (Err(why), _) => return Err(why),
                };
                *count += 1;
            }
            Ok(())
        });
        self.live.report(|report| {
            let all = &mut report.counts;
            all.rows += counts.rows;
            all.added += counts.added;
            all.changed += counts.changed;
            all.unchanged += counts.unchanged;
        });
        done
    }

    /// Takes out whom earlier searches have put there and this one did not find.
    fn leave_out(&self, mut users: Vec<UserKey>) -> Result<(), End> {
        users.sort_unstable();
        let (segment, mut gone) = (self.membership.segment, Vec::new());
        self.store.index().for_each_member(Some(&[segment]), self.expansion.now_s, |member| {
            let is_inferred = member.memberships.iter().all(|of| of.origin == Origin::Inferred);
            if is_inferred && users.binary_search(&member.key).is_err() {
                gone.push(member.key);
            }
        });
        for keys in gone.chunks(CHUNK) {
            self.live.is_to_end().map_or(Ok(()), Err)?;
            self.store.write(|writer| {
                for key in keys {
                    writer.remove(*key, segment);
                }
            });
            self.live.report(|report| report.counts.removed += keys.len() as u64);
        }
        Ok(())
    }
}

/// Records what was done; the people are in no record.
fn note(inner: &Inner, live: &Live, asked: &Asked) {
    let Some(target) = asked.target.as_ref().filter(|_| !asked.dry) else { return };
    let (counts, shown) = live.report(|report| (report.counts, report.more.get("expansion").cloned()));
    let shown = shown.unwrap_or_default();
    let done = json!({
        "seed_id": asked.seed.id.to_string(), "size": asked.size, "ttl_days": asked.ttl_days,
        "replace": asked.replace, "added": counts.added, "changed": counts.changed, "removed": counts.removed,
        "lift": shown["lift"], "job_id": live.id.to_string(),
    });
    let who = asked.who.clone();
    let about = audit::About {
        kind: "segment",
        id: target.id,
        account: target.account,
        version: Some(target.version),
    };
    let noted =
        inner.change_aside(false, move |tx| audit::record(tx, &who, "expand", &about, (&json!({}), &done)));
    if let Err(why) = noted {
        tracing::error!(%why, "an expansion was not recorded");
    }
}
