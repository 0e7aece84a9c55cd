//! What is known of a job: counts, the first errors, and the file that says of every row what became of it.

use super::End;
use crate::admin::shape::moment;
use crate::store::control::jobs::{JobRow, JobState};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

/// Errors that the job itself shows; all of them are in its result.
const SHOWN: usize = 100;

/// Rows so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::admin) struct Counts {
    pub(in crate::admin) rows: u64,
    pub(in crate::admin) created: u64,
    pub(in crate::admin) changed: u64,
    pub(in crate::admin) unchanged: u64,
    pub(in crate::admin) refused: u64,
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
            },
            errors: said["errors"].as_array().cloned().unwrap_or_default(),
            reason: said["reason"].as_str().map(str::to_owned),
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
        let Counts { rows, created, changed, unchanged, refused } = self.counts;
        json!({
            "rows": rows, "created": created, "changed": changed, "unchanged": unchanged, "refused": refused,
            "errors": self.errors, "reason": self.reason,
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

    /// Ends it. Where nothing was kept, what would have been done reads `not_kept`.
    pub(in crate::admin) fn finish(mut self, is_kept: bool) -> io::Result<()> {
        self.out.flush()?;
        if is_kept {
            return Ok(());
        }
        let new = self.path.with_extension("new");
        let mut out = writer(&new)?;
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_path(&self.path)?;
        let mut record = csv::StringRecord::new();
        while reader.read_record(&mut record)? {
            let was = record.get(4).unwrap_or_default();
            let is_undone = ["created", "changed", "unchanged"].contains(&was);
            let is_new = was == "created";
            let cells = record.iter().enumerate().map(|(at, cell)| match at {
                2 if is_new => "",
                4 if is_undone => "not_kept",
                _ => cell,
            });
            out.write_record(cells)?;
        }
        out.flush()?;
        drop(out);
        std::fs::rename(&new, &self.path)
    }
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
