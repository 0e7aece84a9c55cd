//! What is known of a job: counts, the first errors, and the file that says of every row what became of it.

use super::End;
use crate::admin::shape::moment;
use crate::store::control::jobs::{JobRow, JobState};
use serde_json::{Map, Value, json};
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Errors that the job itself shows; all of them are in its result.
const SHOWN: usize = 100;

/// The kind of the jobs that put people into segments.
pub(in crate::admin) const UPLOAD: &str = "upload";
/// The kind of those that find similar people.
pub(in crate::admin) const EXPANSION: &str = "expansion";
/// The kind of those that say how people can be reached.
pub(in crate::admin) const CONTACTS: &str = "contacts";
/// The kind of those that choose whom to reach.
pub(in crate::admin) const ACTIVATION: &str = "activation";

/// Which counts a job of a kind has none of.
fn without(kind: &str) -> &'static [&'static str] {
    match kind {
        UPLOAD => &["created"],
        EXPANSION => &["created", "refused", "matched"],
        CONTACTS => &["created", "matched"],
        ACTIVATION => &["created", "changed", "unchanged", "refused", "added", "removed", "matched"],
        _ => &["added", "removed", "matched"],
    }
}

/// Rows so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::admin) struct Counts {
    pub(in crate::admin) rows: u64,
    pub(in crate::admin) created: u64,
    pub(in crate::admin) changed: u64,
    pub(in crate::admin) unchanged: u64,
    pub(in crate::admin) refused: u64,
    /// These are of uploads only, as `created` is of imports.
    pub(in crate::admin) added: u64,
    pub(in crate::admin) removed: u64,
    pub(in crate::admin) matched: u64,
}

impl Counts {
    /// Nothing was kept after all.
    pub(in crate::admin) fn undo(&mut self) {
        *self = Counts { rows: self.rows, refused: self.refused, ..Counts::default() };
    }
}

/// What is known of a job.
#[derive(Clone, Debug)]
pub(in crate::admin) struct Report {
    pub(in crate::admin) state: JobState,
    pub(in crate::admin) counts: Counts,
    errors: Vec<Value>,
    reason: Option<String>,
    /// What jobs of its kind say besides, by its name.
    pub(in crate::admin) more: Map<String, Value>,
}

impl Report {
    /// As its row has it.
    pub(in crate::admin) fn of(row: &JobRow) -> Report {
        let said: Value = serde_json::from_str(&row.outcome).unwrap_or_default();
        let count = |name: &str| said[name].as_u64().unwrap_or(0);
        Report {
            state: row.state,
            counts: Counts {
                rows: count("rows"),
                created: count("created"),
                changed: count("changed"),
                unchanged: count("unchanged"),
                refused: count("refused"),
                added: count("added"),
                removed: count("removed"),
                matched: count("matched"),
            },
            errors: said["errors"].as_array().cloned().unwrap_or_default(),
            reason: said["reason"].as_str().map(str::to_owned),
            more: said["more"].as_object().cloned().unwrap_or_default(),
        }
    }

    /// Another error, if there is room.
    pub(in crate::admin) fn error(&mut self, line: &Line<'_>) {
        if self.errors.len() < SHOWN {
            self.errors.push(json!({
                "row": line.row, "line": line.line, "column": line.column, "code": line.code,
                "message": line.message,
            }));
        }
    }

    pub(super) fn end(&mut self, end: End) {
        (self.state, self.reason) = (end.state, end.reason);
    }

    /// The same with another end, as its row will have it.
    pub(in crate::admin) fn ended(&self, end: End) -> String {
        let mut ended = self.clone();
        ended.end(end);
        ended.outcome()
    }

    /// As its row has it.
    pub(in crate::admin) fn outcome(&self) -> String {
        let Counts { rows, created, changed, unchanged, refused, added, removed, matched } = self.counts;
        json!({
            "rows": rows, "created": created, "changed": changed, "unchanged": unchanged, "refused": refused,
            "added": added, "removed": removed, "matched": matched,
            "errors": self.errors, "reason": self.reason, "more": self.more,
        })
        .to_string()
    }

    /// As the API shows it.
    pub(super) fn view(&self, row: &JobRow) -> Value {
        let options: Value = serde_json::from_str(&row.options).unwrap_or_default();
        let outcome: Value = serde_json::from_str(&self.outcome()).unwrap_or_default();
        let mut view = json!({
            "id": row.id.to_string(), "account_id": row.account.to_string(), "kind": row.kind,
            "collection": row.collection, "state": self.state.as_str(), "created_by": row.actor,
            "request_id": row.request_id, "created_at": moment(row.created_ms),
            "finished_at": row.finished_ms.map(moment),
        });
        for part in [options, outcome] {
            if let (Value::Object(view), Value::Object(part)) = (&mut view, part) {
                view.extend(part);
            }
        }
        let Some(members) = view.as_object_mut() else { return view };
        if let Some(Value::Object(more)) = members.remove("more") {
            members.extend(more);
        }
        if row.kind == UPLOAD {
            let Counts { rows, refused, matched, .. } = self.counts;
            let taken = rows.saturating_sub(refused);
            let rate = (taken > 0).then(|| (matched as f64 / taken as f64 * 1e4).round() / 1e4);
            members.insert("match_rate".to_owned(), json!(rate));
        }
        without(&row.kind).iter().for_each(|name| drop(members.remove(*name)));
        view
    }
}

/// A line of a result.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::admin) struct Line<'l> {
    pub(in crate::admin) row: u64,
    pub(in crate::admin) line: u64,
    pub(in crate::admin) id: &'l str,
    pub(in crate::admin) external_id: &'l str,
    pub(in crate::admin) outcome: &'l str,
    pub(in crate::admin) column: &'l str,
    pub(in crate::admin) code: &'l str,
    pub(in crate::admin) message: &'l str,
}

/// The file that says what became of each row: one line for it, or one for each of its errors.
pub(in crate::admin) struct ResultFile {
    path: PathBuf,
    out: csv::Writer<BufWriter<File>>,
}

const HEADER: [&str; 8] = ["row", "line", "id", "external_id", "outcome", "column", "code", "message"];

impl ResultFile {
    pub(in crate::admin) fn create(path: PathBuf) -> io::Result<ResultFile> {
        let mut out = writer(&path)?;
        out.write_record(HEADER)?;
        Ok(ResultFile { path, out })
    }

    pub(in crate::admin) fn write(&mut self, line: &Line<'_>) -> io::Result<()> {
        let Line { row, line, id, external_id, outcome, column, code, message } = *line;
        let (row, line) = (row.to_string(), line.to_string());
        let (external_id, message) = (plain(external_id), plain(message));
        let cells = [&row, &line, id, &external_id, outcome, column, code, &message];
        Ok(self.out.write_record(cells)?)
    }

    /// Lets everything that was written reach the file. To be done before what it tells of is committed: then a crash
    /// leaves no row that was kept and is not told.
    pub(in crate::admin) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// Ends it. Where nothing was kept, what would have been done reads `not_kept`.
    pub(in crate::admin) fn finish(mut self, is_kept: bool) -> io::Result<()> {
        self.out.flush()?;
        if is_kept { Ok(()) } else { ResultFile::mend(&self.path, None, "") }
    }

    /// Ends it behind the last row that was kept, and says why nothing follows.
    pub(in crate::admin) fn finish_behind(mut self, row: u64, why: &str) -> io::Result<()> {
        self.out.flush()?;
        ResultFile::mend(&self.path, Some(row), why)
    }

    /// Makes a file tell what was kept: up to a row, behind which it says `why`; or nothing, so that what would have been
    /// done reads `not_kept`. A line that a crash has torn goes, and a file that is not there stays away.
    pub(super) fn mend(path: &Path, kept: Option<u64>, why: &str) -> io::Result<()> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(why) => return Err(why),
        };
        let is_torn = !ends_line(&file)?;
        let new = path.with_extension("new");
        let mut out = writer(&new)?;
        let mut reader =
            csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(io::BufReader::new(file));
        let (mut record, mut next) = (csv::StringRecord::new(), csv::StringRecord::new());
        let mut is_there = reader.read_record(&mut record).unwrap_or(false);
        while is_there {
            let follows = reader.read_record(&mut next).unwrap_or(false);
            let is_whole = record.len() == HEADER.len() && (follows || !is_torn);
            let row = record.get(0).and_then(|row| row.parse::<u64>().ok());
            if is_whole && kept.is_none_or(|kept| row.is_none_or(|row| row <= kept)) {
                write_kept(&mut out, &record, kept.is_some())?;
            }
            std::mem::swap(&mut record, &mut next);
            is_there = follows;
        }
        if let Some(kept) = kept {
            let message = format!("this row and those after it were not kept: {why}");
            let row = (kept + 1).to_string();
            out.write_record([&row, "", "", "", "not_kept", "", "", &message])?;
        }
        out.flush()?;
        drop(out);
        std::fs::rename(&new, path)
    }
}

/// Writes a line of a result again; where nothing was kept, as what was not.
fn write_kept(
    out: &mut csv::Writer<BufWriter<File>>,
    record: &csv::StringRecord,
    is_kept: bool,
) -> io::Result<()> {
    let was = record.get(4).unwrap_or_default();
    let is_undone = !is_kept && ["created", "changed", "unchanged"].contains(&was);
    let is_new = was == "created";
    let cells = record.iter().enumerate().map(|(at, cell)| match at {
        2 if is_undone && is_new => "",
        4 if is_undone => "not_kept",
        _ => cell,
    });
    Ok(out.write_record(cells)?)
}

/// Whether a file ends with the end of a line.
fn ends_line(mut file: &File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(true);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    file.rewind()?;
    Ok(last == *b"\n")
}

fn writer(path: &Path) -> io::Result<csv::Writer<BufWriter<File>>> {
    use std::os::unix::fs::OpenOptionsExt;
    let file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    Ok(csv::Writer::from_writer(BufWriter::new(file)))
}

/// A text that no program takes for a formula. It is for reading only.
fn plain(text: &str) -> std::borrow::Cow<'_, str> {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}").into() } else { text.into() }
}
