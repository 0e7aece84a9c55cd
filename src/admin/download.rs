//! Long answers: written piece by piece on a thread of their own, as fast as the caller takes them.
//!
//! Invariant: a few pieces of one answer are in memory, however long it is. An answer that could not be written to its end
//! breaks off its connection, so that nobody takes a part for the whole.

use super::call::Reply;
use super::problem::Problem;
use crate::serve::{ApiBody, PIECES};
use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Sender, channel};

/// Bytes of a piece.
const PIECE: usize = 64 << 10;
/// Answers that are written at once.
const AT_ONCE: usize = 4;
/// How long a caller may take none.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long to wait before a caller is looked at again.
const PAUSE: Duration = Duration::from_millis(2);

/// Writes a table to its end.
type WriteAll = Box<dyn FnOnce(&mut dyn Write) -> io::Result<()> + Send>;

/// A table for a caller.
pub(super) struct Download {
    /// As a browser names the file.
    pub(super) name: String,
    /// Its content type.
    pub(super) media: &'static str,
    pub(super) write: WriteAll,
}

/// The content type of tables.
pub(super) const CSV: &str = "text/csv; charset=utf-8";

/// What a route gives.
pub(super) enum Loaded {
    Reply(Reply),
    Download(Download),
}

impl Download {
    /// The head of the answer.
    pub(super) fn reply(&self) -> Reply {
        let named = format!("attachment; filename=\"{}\"", self.name);
        let reply = Reply { status: StatusCode::OK, body: None, headers: Vec::new() };
        reply.with(CONTENT_TYPE, self.media).with(CONTENT_DISPOSITION, named)
    }
}

/// Counts the answers that are being written.
#[derive(Clone, Default)]
pub(super) struct Downloads(Arc<AtomicUsize>);

impl Downloads {
    /// Begins to write one, or refuses where too many are written already.
    pub(super) fn begin(&self, download: Download) -> Result<ApiBody, Problem> {
        let place = Place::take(&self.0)?;
        let (sender, pieces) = channel(PIECES);
        let run = move || {
            let _place = place;
            // Bids come first; see the publisher.
            if let Err(error) = rustix::process::nice(10) {
                tracing::debug!(%error, "a download keeps its priority");
            }
            let mut out = BufWriter::with_capacity(PIECE, Pieces(sender));
            let done = (download.write)(&mut out).and_then(|()| out.flush());
            let Err(why) = done else { return };
            if why.kind() != io::ErrorKind::BrokenPipe {
                tracing::warn!(%why, file = download.name, "a download broke off");
            }
            let (out, _unsent) = out.into_parts();
            // Without it the caller would take what came for all.
            let _told = out.0.blocking_send(Err(why));
        };
        let started = std::thread::Builder::new().name("download".to_owned()).spawn(run);
        started.map_err(|why| {
            tracing::error!(%why, "no thread for a download");
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "the server has no thread for this")
        })?;
        Ok(ApiBody::Pieces(pieces))
    }
}

/// A place among those that are written, free again when it is dropped.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(count: &Arc<AtomicUsize>) -> Result<Place, Problem> {
        if count.fetch_add(1, Ordering::Relaxed) >= AT_ONCE {
            count.fetch_sub(1, Ordering::Relaxed);
            let detail = format!("{AT_ONCE} tables are being written already; come again when one is done");
            let busy = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail);
            return Err(Problem { retry_after_s: Some(2), ..busy });
        }
        Ok(Place(Arc::clone(count)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Hands pieces over, and waits while the caller has enough of them.
struct Pieces(Sender<io::Result<Bytes>>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut piece = Ok(Bytes::copy_from_slice(bytes));
        let mut waited = Duration::ZERO;
        loop {
            match self.0.try_send(piece) {
                Ok(()) => return Ok(bytes.len()),
                Err(TrySendError::Closed(_)) => return Err(io::ErrorKind::BrokenPipe.into()),
                Err(TrySendError::Full(_)) if waited >= PATIENCE => {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "the caller takes nothing"));
                }
                Err(TrySendError::Full(back)) => piece = back,
            }
            std::thread::sleep(PAUSE);
            waited += PAUSE;
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
