//! Long bodies on disk.

use super::JobOptions;
use crate::admin::problem::Problem;
use crate::admin::state::StartError;
use crate::store::control::ControlError;
use hyper::StatusCode;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

const ENDING: &str = "spool";

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
