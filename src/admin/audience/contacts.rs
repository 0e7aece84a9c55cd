//! `POST /v1/contacts:upload`: how people can be reached outside of ads, and whether they agree to it, as one job.
//!
//! Here alone addresses come in as they are. The body stays in memory until its rows are sealed ([`crate::contacts`]), so it is
//! no longer than a call's may be; neither the job, nor its result, nor a record or log line repeats what a row says.

use super::line::{Cells, Fault, Form, Line, Lines, NAMES};
use super::member::{moment, ttl_days, who};
use super::upload::{failed, form, refuse};
use super::{People, people, unkept};
use crate::admin::audit;
use crate::admin::call::{Call, Reply, Who};
use crate::admin::jobs::{self, CONTACTS, Counts, End, Live, ResultFile};
use crate::admin::problem::Problem;
use crate::admin::sheets::{preferred_wait, promised, unwritten};
use crate::admin::state::Inner;
use crate::admin::tenants;
use crate::audience::IdKey;
use crate::contacts::{Channel, Consent, Noted, Said};
use crate::model::ids::UserKey;
use crate::store::control::audit::Source;
use crate::store::control::jobs::{JobState, NewJob};
use bytes::Bytes;
use serde_json::json;
use std::collections::{HashMap, HashSet};
use std::io::Cursor;
use std::sync::Arc;

/// What an upload may be asked.
pub(super) const PARAMETERS: &[&str] = &["contacts_ttl_days", "validate_only", "account_id"];

/// The columns of a list of contacts; identifiers are those of customer lists.
const COLUMNS: [&str; 12] = [
    NAMES[0],
    NAMES[1],
    NAMES[2],
    NAMES[3],
    NAMES[4],
    NAMES[5],
    "channel",
    "address",
    "consent",
    "consent_at",
    "ttl_days",
    "expires_at",
];
const CHANNEL: usize = 6;
const ADDRESS: usize = 7;
const CONSENT: usize = 8;
const CONSENT_AT: usize = 9;
const TTL_DAYS: usize = 10;
const EXPIRES_AT: usize = 11;

/// Rows that are one transaction.
const CHUNK: usize = 256;
/// Longest address, in bytes; of mail as RFC 5321 has it (4.5.3.1.3, without the brackets).
const MAX_ADDRESS: usize = 512;
const MAX_MAIL: usize = 254;
/// How far clocks may differ, in seconds.
const SKEW_S: i64 = 300;

/// What was asked for.
struct Asked {
    dry: bool,
    form: Form,
    account: u32,
    ttl_s: Option<i64>,
    who: Who,
}

pub(super) fn start(inner: &Arc<Inner>, mut call: Call) -> Result<Reply, Problem> {
    let kept = people(inner)?;
    let wait = preferred_wait(&call.headers);
    let form = form(&call.headers)?;
    let dry = call.parameters.switch("validate_only")?;
    let ttl_s = call.parameters.take("ttl_days").map(|text| {
        ttl_days(&text).ok_or_else(|| Problem::parameter("ttl_days", "is a whole number of 1 to 3650 days"))
    });
    let ttl_s = ttl_s.transpose()?;
    let account = call.account.unwrap_or(tenants::DEFAULT);
    let who = Who { source: Source::Csv, ..call.who() };
    call.parameters.finish("ttl_days, validate_only, account_id")?;
    if inner.control.read(|read| read.account(account))?.is_none() {
        return Err(Problem::not_found(&format!("account {account}")));
    }
    let asked = Asked { dry, form, account, ttl_s, who };
    let new = NewJob {
        account,
        kind: CONTACTS,
        collection: "contacts",
        options: json!({ "validate_only": dry }).to_string(),
        actor: asked.who.actor.name.clone(),
        request_id: asked.who.request_id.clone(),
        outcome: "{}".to_owned(),
    };
    let body = call.body;
    let work = move |inner: &Arc<Inner>, live: &Arc<Live>| {
        let end = Run::begin(inner, live, &kept, &asked, body).and_then(|run| run.all());
        note(inner, live, &asked);
        end.err().unwrap_or(End { state: JobState::Succeeded, reason: None })
    };
    let live = inner.jobs.begin(inner.clock.now().unix_ms, new, Box::new(work))?;
    promised(inner, &live, wait)
}

/// Somebody of a list.
struct Row {
    place: (u64, u64),
    person: UserKey,
    channel: Channel,
    /// `None` = withdrawn.
    address: Option<String>,
    at_s: i64,
    expires_s: Option<i64>,
}

/// An upload under way.
struct Run<'a> {
    lines: Lines<Cursor<Bytes>>,
    kept: &'a People,
    live: &'a Live,
    asked: &'a Asked,
    result: ResultFile,
    now_s: i64,
}

impl<'a> Run<'a> {
    fn begin(
        inner: &Inner,
        live: &'a Live,
        kept: &'a People,
        asked: &'a Asked,
        body: Bytes,
    ) -> Result<Run<'a>, End> {
        let unwritten = |why| failed(unwritten(&why).detail);
        let mut result = ResultFile::create(inner.jobs.result_file(live.id)).map_err(unwritten)?;
        let lines = match Lines::begin(asked.form, &COLUMNS, Cursor::new(body)) {
            Ok(lines) => lines,
            Err(broken) => {
                let (code, message) = (broken.code, broken.message.as_str());
                let line = jobs::Line { line: 1, outcome: "refused", code, message, ..Default::default() };
                live.report(|report| report.error(&line));
                result.write(&line).and_then(|()| result.finish(true)).map_err(unwritten)?;
                return Err(failed(format!("the first line does not name columns of contacts: {message}")));
            }
        };
        Ok(Run { lines, kept, live, asked, result, now_s: inner.clock.now().unix_s() })
    }

    fn all(mut self) -> Result<(), End> {
        let done = self.every();
        if let Err(why) = self.result.finish(true) {
            tracing::warn!(%why, "the result of an upload of contacts is not complete");
        }
        done
    }

    fn every(&mut self) -> Result<(), End> {
        let mut chunk = Vec::with_capacity(CHUNK);
        loop {
            let more = self.read(&mut chunk)?;
            self.take(&mut chunk)?;
            self.live.is_to_end().map_or(Ok(()), Err)?;
            if !more {
                return Ok(());
            }
        }
    }

    /// Reads some rows; whether there may be more. Refuses bad ones.
    fn read(&mut self, chunk: &mut Vec<Row>) -> Result<bool, End> {
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
            let rules =
                Rules { id_key: self.kept.store.id_key(), ttl_s: self.asked.ttl_s, now_s: self.now_s };
            match cells.and_then(|cells| rules.read((row, line), &cells)) {
                Ok(row) => chunk.push(row),
                Err(fault) => refuse(self.live, &mut self.result, (row, line), &fault)?,
            }
        }
        Ok(true)
    }

    /// Seals some rows.
    fn take(&mut self, chunk: &mut Vec<Row>) -> Result<(), End> {
        let erased = self.erased(chunk);
        let (mut rows, mut late) = (Vec::with_capacity(chunk.len()), Vec::new());
        for row in chunk.drain(..) {
            let is_late =
                row.address.is_some() && erased.get(&row.person).is_some_and(|at_s| *at_s >= row.at_s);
            if is_late { late.push(row.place) } else { rows.push(row) }
        }
        let said: Vec<Said<'_>> = rows
            .iter()
            .map(|row| Said {
                person: row.person,
                channel: row.channel,
                consent: row.address.as_deref().map_or(Consent::Withdrawn, Consent::Given),
                at_s: row.at_s,
                expires_s: row.expires_s,
            })
            .collect();
        let noted = self.kept.contacts.note(self.asked.account, &said, self.now_s, self.asked.dry);
        let noted = noted.map_err(|why| failed(unkept(&why).detail))?;
        self.stay_away(&rows)?;
        self.live.report(|report| {
            let counts = &mut report.counts;
            for noted in noted {
                counts.rows += 1;
                let count = match noted {
                    Noted::Added => &mut counts.added,
                    Noted::Changed => &mut counts.changed,
                    Noted::Withdrawn => &mut counts.removed,
                    Noted::Unchanged => &mut counts.unchanged,
                };
                *count += 1;
            }
        });
        for place in late {
            let message = "is older than what is known of this person, who has to be asked again";
            refuse(self.live, &mut self.result, place, &Fault::new("consent_at", "conflict", message))?;
        }
        Ok(())
    }

    /// Erases those again who were erased while their rows were noted.
    fn stay_away(&self, rows: &[Row]) -> Result<(), End> {
        let erased = self.erased(rows);
        let is_gone = |row: &&Row| erased.get(&row.person).is_some_and(|at_s| *at_s >= row.at_s);
        let given = rows.iter().filter(|row| row.address.is_some());
        let gone: Vec<UserKey> = given.filter(is_gone).map(|row| row.person).collect();
        let done = if gone.is_empty() || self.asked.dry { Ok(0) } else { self.kept.contacts.erase(&gone) };
        done.map(drop).map_err(|why| failed(unkept(&why).detail))
    }

    /// When those of some rows were erased who were: what they agreed to before that counts no more.
    fn erased(&self, chunk: &[Row]) -> HashMap<UserKey, i64> {
        let wanted: HashSet<UserKey> = chunk.iter().map(|row| row.person).collect();
        let mut erased = self.kept.store.erased();
        erased.retain(|(person, _)| wanted.contains(person));
        // Of several times the last one stands.
        erased.into_iter().collect()
    }
}

/// What rows are held to.
struct Rules<'r> {
    id_key: &'r IdKey,
    ttl_s: Option<i64>,
    now_s: i64,
}

impl Rules<'_> {
    fn read(&self, place: (u64, u64), cells: &Cells<'_>) -> Result<Row, Fault> {
        let (person, _) = who(self.id_key, cells)?;
        let channel = Channel::parse(&cells[CHANNEL]).ok_or_else(|| {
            Fault::new("channel", "malformed", "is one of mail, message, call, direct_mail")
        })?;
        let at = Some(&*cells[CONSENT_AT]).filter(|at| !at.is_empty());
        let at_s = at.map(|at| moment("consent_at", at)).transpose()?;
        if at_s.is_some_and(|at_s| at_s > self.now_s + SKEW_S || at_s < 1) {
            return Err(Fault::new("consent_at", "out_of_range", "is to come, or before 1970"));
        }
        let address = &*cells[ADDRESS];
        match &*cells[CONSENT] {
            "given" => {
                let message = "is when this was agreed to, such as 2026-03-01T00:00:00Z (RFC 3339)";
                let at_s = at_s.ok_or_else(|| Fault::new("consent_at", "missing", message))?;
                let address = Some(read_address(channel, address)?);
                let expires_s = self.expiry(at_s, cells)?;
                Ok(Row { place, person, channel, address, at_s, expires_s })
            }
            "withdrawn" if !address.is_empty() => {
                Err(Fault::new("address", "conflict", "is not needed to withdraw; leave it empty"))
            }
            "withdrawn" => {
                let at_s = at_s.unwrap_or(self.now_s);
                Ok(Row { place, person, channel, address: None, at_s, expires_s: None })
            }
            _ => Err(Fault::new("consent", "malformed", "is given or withdrawn")),
        }
    }

    /// When a consent of this second ends.
    fn expiry(&self, at_s: i64, cells: &Cells<'_>) -> Result<Option<i64>, Fault> {
        let (days, at) = (&*cells[TTL_DAYS], &*cells[EXPIRES_AT]);
        let expires_s = match (days.is_empty(), at.is_empty()) {
            (true, true) => self.ttl_s.map(|ttl_s| at_s + ttl_s),
            (false, false) => {
                return Err(Fault::new("expires_at", "conflict", "stands beside ttl_days; give one of them"));
            }
            (false, true) => {
                let message = "is no whole number of 1 to 3650 days";
                let days = ttl_days(days).ok_or_else(|| Fault::new("ttl_days", "out_of_range", message))?;
                Some(at_s + days)
            }
            (true, false) => Some(moment("expires_at", at)?),
        };
        if expires_s.is_some_and(|expires_s| expires_s <= self.now_s) {
            return Err(Fault::new("expires_at", "out_of_range", "is over; leave the row out"));
        }
        Ok(expires_s)
    }
}

/// An address as its channel has it.
fn read_address(channel: Channel, address: &str) -> Result<String, Fault> {
    let refuse = |message: &'static str| Err(Fault::new("address", "malformed", message));
    if address.is_empty() {
        return Err(Fault::new("address", "missing", "is where to reach this person"));
    }
    if address.len() > MAX_ADDRESS || address.chars().any(char::is_control) {
        return refuse("has more than 512 bytes or a line break");
    }
    match channel {
        Channel::Mail => {
            let is_whole = address.len() <= MAX_MAIL
                && !address.contains(char::is_whitespace)
                && address.split_once('@').is_some_and(|(local, domain)| {
                    !local.is_empty() && !domain.is_empty() && !domain.contains('@')
                });
            // No program that opens the list takes it for a formula.
            if !is_whole || address.starts_with(['=', '+', '-', '"']) {
                return refuse("is no e-mail address");
            }
        }
        Channel::Message | Channel::Call => {
            let digits = address.strip_prefix('+').unwrap_or_default();
            let is_whole = (7..=15).contains(&digits.len())
                && digits.bytes().all(|byte| byte.is_ascii_digit())
                && !digits.starts_with('0');
            if !is_whole {
                return refuse("is no telephone number in E.164, such as +491701234567");
            }
        }
        Channel::DirectMail if address.starts_with(['=', '+', '-', '@']) => {
            return refuse("begins with a sign that programs take for a formula");
        }
        Channel::DirectMail => {}
    }
    Ok(address.to_owned())
}

/// Records what was done; the people are in no record.
fn note(inner: &Inner, live: &Live, asked: &Asked) {
    if asked.dry {
        return;
    }
    let Counts { rows, added, changed, removed, unchanged, refused, .. } =
        live.report(|report| report.counts);
    let done = json!({
        "rows": rows, "added": added, "changed": changed, "withdrawn": removed, "unchanged": unchanged,
        "refused": refused, "job_id": live.id.to_string(),
    });
    let who = asked.who.clone();
    let about = audit::About { kind: "person", id: 0, account: asked.account, version: None };
    let noted = inner.change_aside(false, move |tx| {
        audit::record(tx, &who, "upload_contacts", &about, (&json!({}), &done))
    });
    if let Err(why) = noted {
        tracing::error!(%why, "an upload of contacts was not recorded");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;

    const KEY: IdKey = IdKey([6; 16]);
    const NOW: i64 = 1_800_000_000;

    /// Channel, address, consent, when it was given, days; then column and code of what is wrong, or the end.
    fn check(said: [&str; 5], expected: Result<Option<i64>, (&str, &str)>) {
        let mut cells = Cells::default();
        cells[0] = Cow::Borrowed("q2bX");
        for (at, text) in (CHANNEL..).zip(said) {
            cells[at] = Cow::Borrowed(text);
        }
        let rules = Rules { id_key: &KEY, ttl_s: Some(864_000_000), now_s: NOW };
        match (rules.read((1, 2), &cells), expected) {
            (Ok(row), Ok(expires_s)) => {
                assert_eq!((row.person, row.expires_s), (KEY.cookie("q2bX"), expires_s), "{said:?}");
                assert_eq!(row.address.as_deref().unwrap_or_default(), said[1]);
            }
            (Err(fault), Err(expected)) => {
                assert_eq!((fault.column, fault.code), expected, "{said:?}");
                assert!(said[1].len() < 4 || !fault.message.contains(said[1]), "{fault:?}");
            }
            (found, _) => panic!("{said:?}: {}", found.is_ok()),
        }
    }

    #[test]
    fn a_row_says_where_and_since_when_somebody_agrees_or_is_refused_without_being_repeated() {
        let at = "2027-01-14T08:00:00Z";
        let at_s = NOW - 86_400;
        let default = Ok(Some(at_s + 864_000_000));
        check(["mail", "someone@example.com", "given", at, ""], default);
        check(["mail", "someone@example.com", "given", at, "2"], Ok(Some(at_s + 172_800)));
        check(["message", "+491701234567", "given", at, ""], default);
        check(["direct_mail", "Someone, Street 1, 10115 Berlin", "given", at, ""], default);
        check(["call", "", "withdrawn", "", ""], Ok(None));
        check(["mail", "someone@example.com", "given", "", ""], Err(("consent_at", "missing")));
        check(["mail", "someone@example.com", "given", at, "1"], Err(("expires_at", "out_of_range")));
        check(
            ["mail", "someone@example.com", "given", "2027-01-16T08:00:00Z", ""],
            Err(("consent_at", "out_of_range")),
        );
        check(["mail", "someone@example.com", "perhaps", at, ""], Err(("consent", "malformed")));
        check(["mail", "someone@example.com", "withdrawn", at, ""], Err(("address", "conflict")));
        check(["pigeon", "someone@example.com", "given", at, ""], Err(("channel", "malformed")));
        for mail in ["someone", "@example.com", "a@b@c", "a b@example.com", "=cmd@example.com"] {
            check(["mail", mail, "given", at, ""], Err(("address", "malformed")));
        }
        for number in ["01701234567", "+49 170 1234567", "+0170123456", "+123456", "+1234567890123456"] {
            check(["call", number, "given", at, ""], Err(("address", "malformed")));
        }
        check(["mail", "", "given", at, ""], Err(("address", "missing")));
        check(["direct_mail", "a\nb", "given", at, ""], Err(("address", "malformed")));
        check(["direct_mail", "=1+1", "given", at, ""], Err(("address", "malformed")));
    }
}
