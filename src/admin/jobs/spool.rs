//! What jobs have on disk before they begin: long bodies, and a note of each job that waits.
//!
//! A note is durable before its job is promised. The one writer of the store may be busy for long with the job before, so
//! that a row cannot be had at once; it takes the note's place when the job begins.

use super::JobOptions;
use crate::admin::problem::Problem;
use crate::admin::state::StartError;
use crate::store::control::ControlError;
use crate::store::control::jobs::{JobRow, JobState};
use crate::store::durable;
use hyper::StatusCode;
use serde_json::{Value, json};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

const ENDING: &str = "spool";
const NOTE: &str = "waits";

/// Makes the directory of the jobs' files, and removes what a crash may have left there.
pub(super) fn open(dir: &Path) -> Result<(), StartError> {
    let failed =
        |action| move |source| StartError::Store(ControlError::Io { action, path: dir.to_owned(), source });
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed("create"))?;
    for entry in std::fs::read_dir(dir).map_err(failed("read"))? {
        let path = entry.map_err(failed("read"))?.path();
        if path.extension().is_some_and(|ending| ending == ENDING) {
            std::fs::remove_file(&path).map_err(failed("clear"))?;
        }
    }
    Ok(())
}

/// Notes a job that waits.
pub(super) fn note(options: &JobOptions, row: &JobRow) -> Result<(), Problem> {
    let JobRow { id, account, kind, collection, options: how, actor, request_id, created_ms, .. } = row;
    let note = json!({
        "id": id, "account": account, "kind": kind, "collection": collection, "options": how, "actor": actor,
        "request_id": request_id, "created_ms": created_ms,
    });
    let path = note_of(&options.dir, *id);
    durable::replace(&path, 0o600, |out| out.write_all(note.to_string().as_bytes())).map_err(
        |why: io::Error| {
            tracing::error!(%why, path = %path.display(), "a job cannot be noted");
            let detail = "the server has no place to note the job; its log says more";
            Problem::new(StatusCode::INSUFFICIENT_STORAGE, "no place", detail)
        },
    )
}

/// Takes the note of a job away that has its row.
pub(super) fn forget(options: &JobOptions, id: u32) {
    let path = note_of(&options.dir, id);
    if let Err(why) = std::fs::remove_file(&path) {
        // At the next start its row is there, and the note says nothing more.
        tracing::warn!(%why, path = %path.display(), "the note of a job stays");
    }
}

/// The jobs that were noted and never began.
pub(super) fn noted(dir: &Path) -> io::Result<Vec<JobRow>> {
    let mut rows = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_none_or(|ending| ending != NOTE) {
            continue;
        }
        let note: Value = serde_json::from_slice(&std::fs::read(&path)?).unwrap_or_default();
        let text = |name: &str| note[name].as_str().map(str::to_owned);
        let number = |name: &str| note[name].as_u64().and_then(|number| u32::try_from(number).ok());
        let row = || {
            Some(JobRow {
                id: number("id")?,
                account: number("account")?,
                kind: text("kind")?,
                collection: text("collection")?,
                options: text("options")?,
                actor: text("actor")?,
                request_id: text("request_id")?,
                state: JobState::Queued,
                created_ms: note["created_ms"].as_i64()?,
                finished_ms: None,
                outcome: "{}".to_owned(),
            })
        };
        match row() {
            Some(row) => rows.push(row),
            None => tracing::warn!(path = %path.display(), "this note of a job is none; it is passed over"),
        }
    }
    rows.sort_by_key(|row| row.id);
    Ok(rows)
}

fn note_of(dir: &Path, id: u32) -> PathBuf {
    dir.join(format!("{id}.{NOTE}"))
}

/// A file for a body. It has no name any more, so that it is gone with the last who has it open.
pub(in crate::admin) fn spool(options: &JobOptions) -> Result<File, Problem> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let path = options.dir.join(format!("{}-{number}.{ENDING}", std::process::id()));
    let made: io::Result<File> = (|| {
        let mut new = OpenOptions::new();
        let file = new.read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        std::fs::remove_file(&path)?;
        Ok(file)
    })();
    made.map_err(|why| {
        tracing::error!(%why, path = %path.display(), "a long body cannot be kept");
        let detail = "the server has no place for a body of this length; its log says more";
        Problem::new(StatusCode::INSUFFICIENT_STORAGE, "no place", detail)
    })
}
