//! `POST /v1/segments/{id}/members:upload`: a list of people as one job.
//!
//! Rows are taken some at a time, so that events come in between, and each that was taken is seen by the next bid. A row
//! that is refused changes nothing and ends nothing. In the mode `replace` whoever the list does not name is taken out
//! at its end, and only there: a list that breaks off takes nobody out.

use super::line::{Column, Fault, Form, Line, Lines, NAMES};
use super::member::{Batch, Listed, ttl_days};
use super::{People, people, unkept};
use crate::admin::audit;
use crate::admin::call::{Call, Reply, Who};
use crate::admin::crud::row_of;
use crate::admin::jobs::{self, Counts, End, Live, ResultFile, UPLOAD};
use crate::admin::page::Parameters;
use crate::admin::problem::{FieldError, Problem};
use crate::admin::shape::Shape;
use crate::admin::sheets::{preferred_wait, promised, spooled, unwritten};
use crate::admin::state::Inner;
use crate::audience::{AudienceError, IdKind, Origin, Plan, Store, Writer};
use crate::model::ids::{AdvertiserId, SegmentId, UserKey};
use crate::store::control::audit::Source;
use crate::store::control::jobs::{JobState, NewJob};
use crate::store::control::{Kind, Row, Status};
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderMap};
use serde_json::json;
use std::collections::HashMap;
use std::fs::File;
use std::io::Seek;
use std::sync::Arc;

/// What an upload may be asked.
pub(super) const PARAMETERS: &[&str] =
    &["members_mode", "consent", "ttl_days", "advertiser_id", "validate_only"];

/// Rows that are written in one go: events wait for as long, well below a millisecond.
const CHUNK: usize = 256;
/// After so many rows what has changed is folded into the base: a changed user takes about 80 bytes, one of the base 36.
const ROWS_PER_MERGE: u64 = 1_000_000;

/// What an upload does with the people of its list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mode {
    Add,
    Remove,
    Replace,
}

/// What was asked for.
struct Asked {
    mode: Mode,
    dry: bool,
    form: Form,
    explicit_consent: bool,
    ttl_s: Option<i64>,
    advertiser: Option<AdvertiserId>,
    segment: Row,
    who: Who,
}

pub(super) fn start(inner: &Arc<Inner>, mut call: Call) -> Result<Reply, Problem> {
    let People { store, plan, .. } = people(inner)?;
    let wait = preferred_wait(&call.headers);
    let file = call.spool.take();
    let asked = asked(inner, &mut call)?;
    let file = match file {
        Some(file) => file,
        None => spooled(inner, &call.body)?,
    };
    let mode = match asked.mode {
        Mode::Add => "add",
        Mode::Remove => "remove",
        Mode::Replace => "replace",
    };
    let consent = if asked.explicit_consent { "explicit" } else { "given" };
    let options = json!({
        "validate_only": asked.dry, "mode": mode, "consent": consent, "segment_id": asked.segment.id.to_string(),
        "advertiser_id": asked.advertiser.map(|advertiser| advertiser.to_string()),
    });
    let new = NewJob {
        account: asked.segment.account,
        kind: UPLOAD,
        collection: "segments",
        options: options.to_string(),
        actor: asked.who.actor.name.clone(),
        request_id: asked.who.request_id.clone(),
        outcome: "{}".to_owned(),
    };
    let work = move |inner: &Arc<Inner>, live: &Arc<Live>| {
        let end = match Run::begin(inner, live, (&store, &plan), file, &asked) {
            Ok(run) => run.run(),
            Err(end) => end,
        };
        note(inner, live, &asked, (mode, consent));
        end
    };
    let live = inner.jobs.begin(inner.clock.now().unix_ms, new, Box::new(work))?;
    promised(inner, &live, wait)
}

fn asked(inner: &Arc<Inner>, call: &mut Call) -> Result<Asked, Problem> {
    let form = form(&call.headers)?;
    let (id, account, actor) = (call.id.unwrap_or(0), call.account, call.actor.clone());
    let who = Who { source: Source::Csv, ..call.who() };
    let parameters = &mut call.parameters;
    let dry = parameters.switch("validate_only")?;
    let mode = match parameters.take("mode").as_deref() {
        None | Some("add") => Mode::Add,
        Some("remove") => Mode::Remove,
        Some("replace") => Mode::Replace,
        Some(_) => return Err(Problem::parameter("mode", "is add, remove or replace")),
    };
    let explicit_consent = consent(parameters)?;
    let ttl_s = parameters.take("ttl_days").map(|text| {
        ttl_days(&text).ok_or_else(|| Problem::parameter("ttl_days", "is a whole number of 1 to 3650 days"))
    });
    let advertiser = parameters.take("advertiser_id").map(|text| {
        text.parse::<u32>().map_err(|_| Problem::parameter("advertiser_id", "is the id of an advertiser"))
    });
    let (ttl_s, advertiser) = (ttl_s.transpose()?, advertiser.transpose()?);
    let rest = std::mem::take(&mut call.parameters);
    rest.finish("mode, consent, ttl_days, advertiser_id, validate_only")?;
    let shape = Shape::of(Kind::Segment).expect("segments are resources");
    let segment = inner.control.read(|read| {
        let segment = row_of(read, shape, id, account)?;
        if let Some(advertiser) = advertiser {
            let theirs = read.get(Kind::Advertiser, advertiser)?;
            let is_seen = |row: &Row| {
                row.account == segment.account
                    && actor.advertisers.as_ref().is_none_or(|seen| seen.contains(&row.id))
            };
            if !theirs.is_some_and(|row| is_seen(&row)) {
                let message = format!("there is no advertiser {advertiser} in the account of the segment");
                return Err(invalid("?advertiser_id", "unknown_reference", message));
            }
        }
        Ok::<_, Problem>(segment)
    })?;
    if segment.status != Status::Active {
        let detail = format!("segment {id} is {}; activate it first", segment.status.as_str());
        return Err(Problem::new(StatusCode::CONFLICT, "not active", detail));
    }
    if mode != Mode::Remove && !explicit_consent && inner.editor.lock().is_sensitive(id) {
        let message = "the segment or one above it is sensitive: only people who have agreed to this very use come \
                       into it; send consent=explicit if they have";
        return Err(invalid("?consent", "conflict", message));
    }
    let advertiser = advertiser.map(AdvertiserId);
    Ok(Asked { mode, dry, form, explicit_consent, ttl_s, advertiser, segment, who })
}

fn invalid(pointer: &str, code: &'static str, message: impl Into<String>) -> Problem {
    Problem::invalid(vec![FieldError::new(pointer, code, message)])
}

/// Whether the people of the list have agreed explicitly.
fn consent(parameters: &mut Parameters) -> Result<bool, Problem> {
    match parameters.take("consent").as_deref() {
        Some("given") => Ok(false),
        Some("explicit") => Ok(true),
        Some("none") => Err(invalid(
            "?consent",
            "conflict",
            "nobody may be targeted who has not agreed; leave those people out and send consent=given for the others",
        )),
        _ => Err(Problem::parameter("consent", "is required: given or explicit, for all people of the list")),
    }
}

pub(super) fn form(headers: &HeaderMap) -> Result<Form, Problem> {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    if headers.contains_key("idempotency-key") {
        let detail = "an upload takes no Idempotency-Key: sending the same list again changes nothing";
        return Err(Problem::new(StatusCode::BAD_REQUEST, "not taken here", detail));
    }
    Form::of(given.split(';').next().unwrap_or("").trim()).ok_or_else(|| {
        let detail =
            format!("send `Content-Type: text/csv` or `application/x-ndjson` in UTF-8; this was {given:?}");
        Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content type", detail)
    })
}

/// Records what was done; the people are in no record.
fn note(inner: &Inner, live: &Live, asked: &Asked, (mode, consent): (&str, &str)) {
    inner.counts.forget();
    if asked.dry {
        return;
    }
    let Counts { rows, added, changed, removed, unchanged, refused, .. } =
        live.report(|report| report.counts);
    let done = json!({
        "mode": mode, "consent": consent, "rows": rows, "added": added, "changed": changed, "removed": removed,
        "unchanged": unchanged, "refused": refused, "job_id": live.id.to_string(),
    });
    let who = asked.who.clone();
    let Row { id, account, version, .. } = asked.segment;
    let about = audit::About { kind: "segment", id, account, version: Some(version) };
    let noted =
        inner.change_aside(false, move |tx| audit::record(tx, &who, "upload", &about, (&json!({}), &done)));
    if let Err(why) = noted {
        tracing::error!(%why, "an upload was not recorded");
    }
}

/// An upload under way.
struct Run<'a> {
    lines: Lines<File>,
    batch: Batch<'a>,
    store: &'a Store,
    live: &'a Live,
    result: ResultFile,
    mode: Mode,
    dry: bool,
    advertiser: Option<AdvertiserId>,
    plan: &'a Plan,
    /// What links and ties named before, in order.
    tied: Vec<UserKey>,
    /// Who the list names, of a list that replaces.
    named: Vec<u64>,
    /// Rows since the last merge.
    unmerged: u64,
}

/// Why nothing more can be done.
pub(super) fn failed(reason: impl Into<String>) -> End {
    End { state: JobState::Failed, reason: Some(reason.into()) }
}

impl<'a> Run<'a> {
    fn begin(
        inner: &Inner,
        live: &'a Live,
        (store, plan): (&'a Store, &'a Plan),
        mut file: File,
        asked: &Asked,
    ) -> Result<Run<'a>, End> {
        let unwritten = |why| failed(unwritten(&why).detail);
        file.rewind().map_err(unwritten)?;
        let mut result = ResultFile::create(inner.jobs.result_file(live.id)).map_err(unwritten)?;
        let lines = match Lines::begin(asked.form, &NAMES, file) {
            Ok(lines) => lines,
            Err(broken) => {
                let (code, message) = (broken.code, broken.message.as_str());
                let line = jobs::Line { line: 1, outcome: "refused", code, message, ..Default::default() };
                live.report(|report| report.error(&line));
                result.write(&line).and_then(|()| result.finish(true)).map_err(unwritten)?;
                return Err(failed(format!(
                    "the first line does not name columns of a customer list: {message}"
                )));
            }
        };
        const BOUGHT: [Column; 4] =
            [Column::Purchases, Column::Spend, Column::FirstPurchaseAt, Column::LastPurchaseAt];
        if asked.advertiser.is_none() && lines.has_any(&BOUGHT) {
            return Err(failed("the list says what was bought; send advertiser_id, to say where"));
        }
        let now_s = inner.clock.now().unix_s();
        let batch = Batch {
            id_key: store.id_key(),
            segment: SegmentId(asked.segment.id),
            segments: segments(inner, asked).map_err(|why| failed(why.detail))?,
            explicit_consent: asked.explicit_consent,
            expires_s: asked.ttl_s.map(|ttl_s| now_s + ttl_s),
            has_advertiser: asked.advertiser.is_some(),
            now_s,
        };
        Ok(Run {
            lines,
            batch,
            store,
            live,
            result,
            mode: asked.mode,
            dry: asked.dry,
            advertiser: asked.advertiser,
            plan,
            tied: store.index().tied_keys(),
            named: Vec::new(),
            unmerged: 0,
        })
    }

    fn run(mut self) -> End {
        let end = match self.all() {
            Ok(()) => self.leave_out(),
            Err(end) => Err(end),
        };
        // What was taken before it ended stays, so it is to be durable too.
        let end = end.and_then(|()| self.store.sync().map_err(|why| failed(unkept(&why).detail)));
        if end.is_err() {
            self.store.sync().unwrap_or_else(|why| drop(unkept(&why)));
        }
        if let Err(why) = self.result.finish(true) {
            tracing::warn!(%why, "the result of an upload is not complete");
        }
        end.err().unwrap_or(End { state: JobState::Succeeded, reason: None })
    }

    /// Takes all rows.
    fn all(&mut self) -> Result<(), End> {
        let mut chunk = Vec::with_capacity(CHUNK);
        loop {
            let more = self.read(&mut chunk)?;
            self.unmerged += chunk.len() as u64;
            self.take(&mut chunk)?;
            if let Some(stop) = self.live.is_to_end() {
                return Err(stop);
            }
            if self.unmerged >= ROWS_PER_MERGE && !self.dry {
                self.unmerged = 0;
                if let Err(why) = self.store.index().merge(self.batch.now_s) {
                    tracing::warn!(%why, "the audience was not merged during an upload; its overlay grows");
                }
            }
            if !more {
                return Ok(());
            }
        }
    }

    /// Reads some rows; whether there may be more. Refuses bad ones.
    fn read(&mut self, chunk: &mut Vec<(u64, u64, Listed)>) -> Result<bool, End> {
        for _ in 0..CHUNK {
            let Line { row, line, cells } = match self.lines.next() {
                Ok(Some(line)) => line,
                Ok(None) => return Ok(false),
                Err(broken) => {
                    let fault = Fault::new("", broken.code, broken.message.clone());
                    refuse(self.live, &mut self.result, (broken.row, broken.line), &fault)?;
                    return Err(failed(format!("row {}, line {}: {broken}", broken.row, broken.line)));
                }
            };
            let who = cells.and_then(|cells| self.batch.who(&cells).map(|who| (who, cells)));
            let listed = who.and_then(|(who, cells)| {
                // Who is named stays, also where the rest of the row is wrong.
                if self.mode == Mode::Replace {
                    self.named.push(who.0.0);
                }
                self.batch.read(who, &cells)
            });
            match listed {
                Ok(listed) => chunk.push((row, line, listed)),
                Err(fault) => refuse(self.live, &mut self.result, (row, line), &fault)?,
            }
        }
        Ok(true)
    }

    /// Does what some rows say.
    fn take(&mut self, chunk: &mut Vec<(u64, u64, Listed)>) -> Result<(), End> {
        let mut counts = Counts::default();
        let mut refused = Vec::new();
        let mut take = |mut writer: Option<&mut Writer<'_>>| {
            for (row, line, listed) in chunk.drain(..) {
                match self.one(writer.as_deref_mut(), &listed, &mut counts) {
                    Ok(()) => {}
                    Err(AudienceError::TooManySegments) => refused.push((row, line)),
                    Err(why) => {
                        tracing::warn!(%why, "a row of an upload was not taken");
                        refused.push((row, line));
                    }
                }
            }
        };
        if self.dry {
            take(None)
        } else {
            self.store.write(|writer| take(Some(writer)))
        }
        self.live.report(|report| {
            let all = &mut report.counts;
            all.rows += counts.rows;
            all.added += counts.added;
            all.changed += counts.changed;
            all.removed += counts.removed;
            all.unchanged += counts.unchanged;
            all.matched += counts.matched;
        });
        for place in refused {
            let fault = Fault::new("", "full", "this person is in too many segments");
            refuse(self.live, &mut self.result, place, &fault)?;
        }
        Ok(())
    }

    /// Does what a row says, or with no writer only says what it would do.
    fn one(
        &self,
        mut writer: Option<&mut Writer<'_>>,
        listed: &Listed,
        counts: &mut Counts,
    ) -> Result<(), AudienceError> {
        let now_s = self.batch.now_s;
        let known = self.store.index().memberships(listed.key, now_s);
        let is_member = known.iter().any(|membership| membership.segment == self.batch.segment);
        // By itself a hashed address reaches nobody.
        let is_matched = self.tied.binary_search(&listed.key).is_ok()
            || !matches!(listed.kind, IdKind::Email | IdKind::Phone)
                && (!known.is_empty() || self.store.index().is_known(listed.key, now_s));
        let mut changes = false;
        if self.mode == Mode::Remove {
            for membership in &listed.memberships {
                changes |= known.iter().any(|known| known.segment == membership.segment);
                if let Some(writer) = writer.as_deref_mut() {
                    writer.remove(listed.key, membership.segment);
                }
            }
        } else {
            for membership in &listed.memberships {
                changes |= match writer.as_deref_mut() {
                    Some(writer) => writer.set(listed.key, *membership)?,
                    None => !known.contains(&membership.rounded()),
                };
            }
            if let (Some(said), Some(advertiser), Some(writer)) = (&listed.purchases, self.advertiser, writer)
            {
                changes |= writer.know_customer(listed.key, advertiser, said, self.plan, now_s)?;
            }
        }
        counts.rows += 1;
        counts.matched += u64::from(is_matched);
        let count = match self.mode {
            _ if !changes => &mut counts.unchanged,
            Mode::Remove => &mut counts.removed,
            _ if is_member => &mut counts.changed,
            _ => &mut counts.added,
        };
        *count += 1;
        Ok(())
    }

    /// Takes out whom the list does not name, of those whom lists have put in.
    fn leave_out(&mut self) -> Result<(), End> {
        if self.mode != Mode::Replace {
            return Ok(());
        }
        let counts = self.live.report(|report| report.counts);
        if counts.refused > 0 && counts.refused == counts.rows {
            return Err(failed("every row was refused, so nobody was taken out of the segment"));
        }
        self.named.sort_unstable();
        let (segment, mut gone) = (self.batch.segment, Vec::new());
        self.store.index().for_each_member(Some(&[segment]), self.batch.now_s, |member| {
            let is_listed = member.memberships.iter().any(|of| of.origin == Origin::FirstParty);
            if is_listed && self.named.binary_search(&member.key.0).is_err() {
                gone.push(member.key);
            }
        });
        for keys in gone.chunks(CHUNK) {
            if let Some(stop) = self.live.is_to_end() {
                return Err(stop);
            }
            if !self.dry {
                self.store.write(|writer| {
                    for key in keys {
                        writer.remove(*key, segment);
                    }
                });
            }
            self.live.report(|report| report.counts.removed += keys.len() as u64);
        }
        Ok(())
    }
}

/// Notes a row that was not taken, and nothing of what it says.
pub(super) fn refuse(
    live: &Live,
    result: &mut ResultFile,
    (row, line): (u64, u64),
    fault: &Fault,
) -> Result<(), End> {
    let Fault { column, code, message } = fault;
    let line = jobs::Line { row, line, outcome: "refused", column, code, message, ..Default::default() };
    live.report(|report| {
        report.counts.rows += 1;
        report.counts.refused += 1;
        report.error(&line);
    });
    result.write(&line).map_err(|why| failed(unwritten(&why).detail))
}

/// The segments that rows may name.
fn segments(
    inner: &Inner,
    asked: &Asked,
) -> Result<HashMap<String, Result<SegmentId, &'static str>>, Problem> {
    let mut active = HashMap::new();
    inner.control.read(|read| {
        read.all(Kind::Segment, |row| {
            if row.account == asked.segment.account {
                active.insert(row.id, row.status == Status::Active);
            }
            Ok::<(), Problem>(())
        })
    })?;
    let editor = inner.editor.lock();
    let of_account = editor.segments().filter(|(tenant, _)| *tenant == asked.segment.account);
    Ok(of_account
        .map(|(_, segment)| {
            let is_refused = !asked.explicit_consent && editor.is_sensitive(segment.id.0);
            let usable = match active.get(&segment.id.0) {
                Some(true) if is_refused && asked.mode != Mode::Remove => {
                    Err("names a sensitive segment; that takes consent=explicit")
                }
                Some(true) => Ok(segment.id),
                _ => Err("names a segment that is not active"),
            };
            (segment.key.clone(), usable)
        })
        .collect())
}
