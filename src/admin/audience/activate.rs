//! Audiences for use elsewhere: `POST /v1/segments/{id}/contacts:export` chooses, as a job, who of a segment agrees to be
//! reached in a channel, and `POST /v1/jobs/{id}/contacts:download` hands the list over, once.
//!
//! Nothing of a list lies on the disk but who was chosen, as keyed hashes: addresses are opened while they go out, of those
//! whose consent is in force then. Whoever takes one is on record before the first address is.
//!
//! A contact belongs to a member of the segment by itself, or by a tie between its hashed address and a browser or device. Where
//! such ties lead from one member to the contacts of several people, nobody knows whose it is, and none is taken.

use super::rights::{seconds, unread};
use super::{People, people, unkept};
use crate::admin::audit;
use crate::admin::call::{Call, Reply, Who};
use crate::admin::crud::row_of;
use crate::admin::download::{CSV, Download};
use crate::admin::jobs::{self, ACTIVATION, End, Live};
use crate::admin::problem::{FieldError, Problem};
use crate::admin::shape::Shape;
use crate::admin::sheets::{preferred_wait, promised};
use crate::admin::state::Inner;
use crate::audience::AudienceIndex;
use crate::contacts::{Channel, Contacts, Exported, Held, NotTaken, Taken};
use crate::model::ids::{SegmentId, UserKey};
use crate::model::taxonomy::{Segment, Taxonomy};
use crate::store::control::jobs::{JobState, NewJob};
use crate::store::control::{Kind, Row};
use hyper::StatusCode;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::sync::Arc;

/// How long a list can be taken, in seconds.
pub(super) const LISTED_S: i64 = 86_400;
/// Longest purpose, in characters.
pub(super) const MAX_PURPOSE: usize = 255;
/// Forms of a list.
pub(super) const FORMATS: [&str; 2] = ["csv", "ndjson"];
/// The content type of a list of JSON objects.
pub(super) const NDJSON: &str = "application/x-ndjson";
/// Addresses that are opened at once.
const PAGE: usize = 500;
/// Members between two questions whether to go on.
const PATIENCE: u32 = 4_096;

/// What was asked for.
struct Asked {
    segment: Row,
    channel: Channel,
    format: &'static str,
    purpose: String,
    who: Who,
}

pub(super) fn start(inner: &Arc<Inner>, call: Call) -> Result<Reply, Problem> {
    let People { store, contacts, .. } = people(inner)?;
    let wait = preferred_wait(&call.headers);
    let asked = asked(inner, call)?;
    let options = json!({
        "segment_id": asked.segment.id.to_string(), "channel": asked.channel.as_str(), "format": asked.format,
        "purpose": asked.purpose,
    });
    let new = NewJob {
        account: asked.segment.account,
        kind: ACTIVATION,
        collection: "segments",
        options: options.to_string(),
        actor: asked.who.actor.name.clone(),
        request_id: asked.who.request_id.clone(),
        outcome: "{}".to_owned(),
    };
    let work = move |inner: &Arc<Inner>, live: &Arc<Live>| {
        let end = run(inner, live, (store.index(), &contacts), &asked).err();
        end.unwrap_or(End { state: JobState::Succeeded, reason: None })
    };
    let live = inner.jobs.begin(inner.clock.now().unix_ms, new, Box::new(work))?;
    promised(inner, &live, wait)
}

fn asked(inner: &Inner, call: Call) -> Result<Asked, Problem> {
    let mut object = call.object(&["application/json"])?;
    let (id, within, who) = (call.id.unwrap_or(0), call.account, call.who());
    call.parameters.finish("account_id")?;
    let mut errors = Vec::new();
    let mut wrong = |name: &str, code, message: String| {
        errors.push(FieldError::new(format!("/{name}"), code, message));
    };
    let channel = object.remove("channel").and_then(|channel| Channel::parse(channel.as_str()?));
    if channel.is_none() {
        wrong("channel", "malformed", "is one of mail, message, call, direct_mail".to_owned());
    }
    let format = match object.remove("format") {
        None | Some(Value::Null) => FORMATS[0],
        Some(given) => FORMATS.into_iter().find(|format| given == *format).unwrap_or_else(|| {
            wrong("format", "malformed", "is csv or ndjson".to_owned());
            FORMATS[0]
        }),
    };
    let purpose = object.remove("purpose").and_then(|purpose| Some(purpose.as_str()?.trim().to_owned()));
    let purpose = purpose.unwrap_or_default();
    let is_said =
        (1..=MAX_PURPOSE).contains(&purpose.chars().count()) && !purpose.chars().any(char::is_control);
    if !is_said {
        let message = "says what for, in 1 to 255 characters on one line; it goes into the record".to_owned();
        wrong("purpose", "missing", message);
    } else if purpose.contains('@') {
        wrong("purpose", "raw_data", "has an address in it, and nobody's belongs into a record".to_owned());
    }
    if let Some(unknown) = object.keys().next() {
        let message = "is not known; there are channel, format, purpose".to_owned();
        wrong(&unknown.replace('~', "~0").replace('/', "~1"), "malformed", message);
    }
    let shape = Shape::of(Kind::Segment).expect("segments are resources");
    let segment = inner.control.read(|read| row_of(read, shape, id, within))?;
    let Some(channel) = channel.filter(|_| errors.is_empty()) else { return Err(Problem::invalid(errors)) };
    if inner.editor.lock().is_sensitive(segment.id) {
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "sensitive", SENSITIVE));
    }
    Ok(Asked { segment, channel, format, purpose, who })
}

const SENSITIVE: &str = "the segment or one above it is sensitive: who is in it is told to nobody outside, whatever they \
                         have agreed to";

fn failed(reason: impl Into<String>) -> End {
    End { state: JobState::Failed, reason: Some(reason.into()) }
}

fn run(
    inner: &Inner,
    live: &Live,
    (index, contacts): (&AudienceIndex, &Contacts),
    asked: &Asked,
) -> Result<(), End> {
    let now_s = inner.clock.now().unix_s();
    let (segment, account) = (SegmentId(asked.segment.id), asked.segment.account);
    // It may have become so while the job waited.
    let nodes = nodes(inner, account, segment).ok_or_else(|| failed(SENSITIVE))?;
    let members = members(index, live, &nodes, now_s)?;
    let held = contacts.held(account, asked.channel, now_s).map_err(|why| failed(unread(&why).detail))?;
    let reached = Reached::of(&members, &held, &index.ties(now_s));
    let count = |of: Held| reached.held.iter().filter(|(_, held)| *held == of).count();
    let chosen: Vec<UserKey> =
        reached.held.iter().filter(|(_, held)| *held == Held::Given).map(|(person, _)| *person).collect();
    let until_s = now_s + LISTED_S;
    let kept = contacts.choose(live.id, (account, asked.channel), &chosen, until_s);
    kept.map_err(|why| failed(unkept(&why).detail))?;
    let list = json!({
        "members": members.len(), "contacts": chosen.len(), "no_contact": reached.no_contact,
        "withdrawn": count(Held::Withdrawn), "consent_ended": count(Held::Ended), "ambiguous": reached.ambiguous,
        "until": seconds(until_s),
    });
    record(
        inner,
        &asked.who,
        "export_contacts",
        &asked.segment,
        &json!({
            "channel": asked.channel.as_str(), "format": asked.format, "purpose": asked.purpose,
            "members": members.len(), "contacts": chosen.len(), "job_id": live.id.to_string(),
        }),
    )
    .map_err(|why| failed(why.detail))?;
    live.report(|report| {
        report.counts.rows = members.len() as u64;
        report.more.insert("list".to_owned(), list);
    });
    Ok(())
}

/// A segment and what is below it, without what is sensitive; `None` where it is so itself.
fn nodes(inner: &Inner, account: u32, segment: SegmentId) -> Option<Vec<SegmentId>> {
    let own: Vec<Segment> = {
        let editor = inner.editor.lock();
        editor.segments().filter(|(of, _)| *of == account).map(|(_, segment)| segment.clone()).collect()
    };
    let taxonomy = Taxonomy::build(&own).expect("the editor holds forests only");
    let below = taxonomy.descendants(segment).iter().copied();
    let nodes: Vec<SegmentId> = below.filter(|node| !taxonomy.is_sensitive(*node)).collect();
    nodes.contains(&segment).then_some(nodes)
}

/// Everybody in these segments, in order.
fn members(index: &AudienceIndex, live: &Live, nodes: &[SegmentId], now_s: i64) -> Result<Vec<UserKey>, End> {
    let (mut members, mut seen, mut end) = (Vec::new(), 0_u32, None);
    index.while_each_member(Some(nodes), now_s, |member| {
        members.push(member.key);
        seen = seen.wrapping_add(1);
        if seen.is_multiple_of(PATIENCE) {
            end = live.is_to_end();
        }
        end.is_none()
    });
    members.sort_unstable();
    end.map_or(Ok(members), Err)
}

/// Whose contacts belong to members.
struct Reached {
    held: Vec<(UserKey, Held)>,
    /// Members to whom none belongs.
    no_contact: usize,
    /// Members whose ties lead to those of several people.
    ambiguous: usize,
}

impl Reached {
    /// `members` and `held` are in order.
    fn of(members: &[UserKey], held: &[(UserKey, Held)], ties: &[(UserKey, UserKey)]) -> Reached {
        let is_member = |key: &UserKey| members.binary_search(key).is_ok();
        let place = |key: &UserKey| held.binary_search_by_key(key, |(person, _)| *person).ok();
        let mut reached: BTreeSet<usize> = BTreeSet::new();
        let mut no_contact = members.len();
        for member in members {
            if let Some(at) = place(member) {
                reached.insert(at);
                no_contact -= 1;
            }
        }
        let mut tied: BTreeMap<UserKey, BTreeSet<usize>> = BTreeMap::new();
        let both_ways = ties.iter().flat_map(|(device, address)| [(device, address), (address, device)]);
        for (member, other) in both_ways {
            if is_member(member)
                && place(member).is_none()
                && let Some(at) = place(other)
            {
                tied.entry(*member).or_default().insert(at);
            }
        }
        let ambiguous = tied.values().filter(|people| people.len() > 1).count();
        for people in tied.values().filter(|people| people.len() == 1) {
            reached.extend(people);
            no_contact -= 1;
        }
        let held = reached.into_iter().map(|at| held[at]).collect();
        Reached { held, no_contact: no_contact - ambiguous, ambiguous }
    }
}

fn record(
    inner: &Inner,
    who: &Who,
    action: &'static str,
    segment: &Row,
    what: &Value,
) -> Result<(), Problem> {
    let about = audit::About {
        kind: "segment",
        id: segment.id,
        account: segment.account,
        version: Some(segment.version),
    };
    let (who, what) = (who.clone(), what.clone());
    inner.change_aside(false, move |tx| audit::record(tx, &who, action, &about, (&json!({}), &what)))
}

/// `POST /v1/jobs/{id}/contacts:download`.
pub(super) fn take(inner: &Arc<Inner>, call: Call) -> Result<Download, Problem> {
    let People { contacts, .. } = people(inner)?;
    let job = jobs::row_of(inner, &call)?;
    let who = call.who();
    call.parameters.finish("account_id")?;
    let id = job.id;
    if job.kind != ACTIVATION {
        return Err(Problem::not_found(&format!("list of contacts of job {id}")));
    }
    if !job.state.has_ended() {
        let detail = format!("job {id} has not ended; its list comes then");
        let early = Problem::new(StatusCode::CONFLICT, "not finished", detail);
        return Err(Problem { retry_after_s: Some(1), ..early });
    }
    if [JobState::Failed, JobState::Cancelled].contains(&job.state) {
        let detail = format!("job {id} is {} and has no list; begin another one", job.state.as_str());
        return Err(Problem::new(StatusCode::GONE, "gone", detail));
    }
    let options: Value = serde_json::from_str(&job.options).unwrap_or_default();
    let segment = options["segment_id"].as_str().and_then(|id| id.parse().ok()).unwrap_or(0);
    let shape = Shape::of(Kind::Segment).expect("segments are resources");
    let segment = inner.control.read(|read| row_of(read, shape, segment, Some(job.account)))?;
    if inner.editor.lock().is_sensitive(segment.id) {
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "sensitive", SENSITIVE));
    }
    let taken = contacts.take(id, inner.clock.now().unix_s()).map_err(|why| unread(&why))?;
    let taken = taken.map_err(|why| {
        let why = match why {
            NotTaken::Before(at_s) => format!("was taken at {}", seconds(at_s).as_str().unwrap_or_default()),
            NotTaken::Gone => "is not there, or not any more".to_owned(),
        };
        let detail = format!(
            "the list of job {id} {why}; a list is handed over once and within a day: begin another one"
        );
        Problem::new(StatusCode::GONE, "gone", detail)
    })?;
    // On record first: what has gone out cannot be called back.
    record(
        inner,
        &who,
        "download_contacts",
        &segment,
        &json!({
            "channel": options["channel"], "purpose": options["purpose"], "contacts": taken.count,
            "job_id": id.to_string(),
        }),
    )?;
    let is_json = options["format"] == FORMATS[1];
    let write = move |out: &mut dyn Write| {
        let done = write_list(&contacts, &taken, is_json, out);
        // Whoever comes again is told so, and the list itself is over however far it came.
        if let Err(why) = contacts.forget_list(&taken) {
            tracing::warn!(%why, "who was on a list stays until its time is over");
        }
        done
    };
    let (ending, media) = if is_json { ("ndjson", NDJSON) } else { ("csv", CSV) };
    Ok(Download { name: format!("job-{id}-contacts.{ending}"), media, write: Box::new(write) })
}

fn write_list(contacts: &Contacts, taken: &Taken, is_json: bool, out: &mut dyn Write) -> io::Result<()> {
    if !is_json {
        row(out, ["address", "consent_at", "consent_until"])?;
    }
    let mut after = None;
    loop {
        let (page, next) = contacts.page(taken, after, PAGE).map_err(io::Error::other)?;
        for Exported { address, at_s, expires_s, .. } in &page {
            let (given, ends) = (seconds(*at_s), expires_s.map(seconds));
            if is_json {
                let line = json!({ "address": address, "consent_at": given, "consent_until": ends });
                writeln!(out, "{line}")?;
            } else {
                let ends = ends.as_ref().and_then(Value::as_str).unwrap_or_default();
                row(out, [address, given.as_str().unwrap_or_default(), ends])?;
            }
        }
        match next {
            Some(next) => after = Some(next),
            None => return Ok(()),
        }
    }
}

fn row(out: &mut dyn Write, cells: [&str; 3]) -> io::Result<()> {
    let mut table = csv::WriterBuilder::new().buffer_capacity(1 << 10).from_writer(out);
    table.write_record(cells)?;
    table.into_inner().map(drop).map_err(|why| io::Error::other(why.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contact_belongs_to_a_member_by_itself_or_by_a_tie_that_leads_to_nobody_else() {
        let keys = |numbers: &[u64]| -> Vec<UserKey> { numbers.iter().copied().map(UserKey).collect() };
        let held: Vec<(UserKey, Held)> = [
            (10, Held::Given),
            (11, Held::Withdrawn),
            (12, Held::Given),
            (13, Held::Given),
            (3, Held::Given),
        ]
        .map(|(key, held)| (UserKey(key), held))
        .to_vec();
        let mut held = held;
        held.sort_unstable_by_key(|(person, _)| *person);
        let tie = |device: u64, address: u64| (UserKey(device), UserKey(address));
        // 1 is tied to 10; 2 is shared by 12 and 13; the address 20 is tied to 3; 4 to nobody; 11 is a member itself.
        let ties = [tie(1, 10), tie(2, 12), tie(2, 13), tie(3, 20), tie(5, 13)];
        let reached = Reached::of(&keys(&[1, 2, 4, 11, 20]), &held, &ties);
        let people: Vec<u64> = reached.held.iter().map(|(person, _)| person.0).collect();
        assert_eq!((people, reached.no_contact, reached.ambiguous), (vec![3, 10, 11], 1, 1));
    }
}
