//! Reading a request body within its limits. Of a body that is too long the rest is thrown away as it comes, up to
//! the same length again: closing a socket while the peer still sends would reset it, and the peer would never read
//! why. What is longer still is not waited for.

use super::limits::{BodyPlace, BodyRoom};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use std::fs::File;
use std::io::{self, Write};
use std::time::Duration;

/// Why a body could not be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum BodyError {
    /// Longer than allowed.
    TooLarge,
    /// Not complete in time, or the connection broke.
    Incomplete,
    /// All bodies together take as much memory as they may.
    NoRoom,
}

/// Reads the whole body. A body that came in one piece is not copied, and needs no room.
pub(super) async fn read(
    body: Incoming,
    max_bytes: usize,
    room: &BodyRoom,
    timeout: Duration,
) -> Result<Bytes, BodyError> {
    let declared = body.size_hint().lower();
    if declared > 2 * max_bytes as u64 {
        return Err(BodyError::TooLarge);
    }
    let kept = if declared > max_bytes as u64 { 0 } else { max_bytes };
    let collected = tokio::time::timeout(timeout, collect(body, kept, max_bytes, room.place()));
    collected.await.unwrap_or(Err(BodyError::Incomplete))
}

/// Collects a body of at most `max_bytes`; of a longer one up to `discard_bytes` more are read and dropped.
async fn collect(
    mut body: Incoming,
    max_bytes: usize,
    discard_bytes: usize,
    mut place: BodyPlace<'_>,
) -> Result<Bytes, BodyError> {
    let declared = usize::try_from(body.size_hint().lower()).unwrap_or(max_bytes);
    let mut first = Bytes::new();
    let mut joined: Option<BytesMut> = None;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| BodyError::Incomplete)?.into_data() else { continue };
        let so_far = joined.as_ref().map_or(first.len(), BytesMut::len);
        if so_far + data.len() > max_bytes {
            discard(body, discard_bytes).await;
            return Err(BodyError::TooLarge);
        }
        if joined.is_none() && first.is_empty() {
            first = data;
            continue;
        }
        let joined = joined.get_or_insert_default();
        let needed = so_far + data.len();
        if joined.capacity() < needed {
            // At once what is announced; by doubling where nothing is.
            let capacity = declared.max(2 * needed).min(max_bytes.max(needed));
            if !place.grow(capacity) {
                discard(body, discard_bytes).await;
                return Err(BodyError::NoRoom);
            }
            let mut longer = BytesMut::with_capacity(capacity);
            longer.extend_from_slice(joined);
            *joined = longer;
        }
        joined.extend_from_slice(&std::mem::take(&mut first));
        joined.extend_from_slice(&data);
    }
    Ok(joined.map_or(first, BytesMut::freeze))
}

/// Bytes that are written to a file at once.
const WRITTEN_AT_ONCE: usize = 1 << 20;

/// Reads the whole body into a file, of which a piece at a time is in memory. `patience` is how long nothing may come;
/// the inner error is the disk's.
pub(super) async fn write(
    mut body: Incoming,
    mut file: File,
    max_bytes: u64,
    patience: Duration,
) -> Result<io::Result<File>, BodyError> {
    let discarded = usize::try_from(max_bytes.saturating_mul(2)).unwrap_or(usize::MAX);
    let declared = body.size_hint().lower();
    if declared > max_bytes {
        if declared <= max_bytes.saturating_mul(2) {
            // At the patience of one pause for all of it: it is read for the answer's sake alone.
            let _late = tokio::time::timeout(patience, discard(body, discarded)).await;
        }
        return Err(BodyError::TooLarge);
    }
    let mut length = 0;
    loop {
        let mut piece = BytesMut::with_capacity(WRITTEN_AT_ONCE);
        let mut is_end = false;
        while piece.len() < WRITTEN_AT_ONCE && !is_end {
            let frame = tokio::time::timeout(patience, body.frame()).await;
            match frame.map_err(|_| BodyError::Incomplete)? {
                Some(frame) => {
                    let Ok(data) = frame.map_err(|_| BodyError::Incomplete)?.into_data() else { continue };
                    piece.extend_from_slice(&data);
                }
                None => is_end = true,
            }
        }
        length += piece.len() as u64;
        if length > max_bytes {
            let _late = tokio::time::timeout(patience, discard(body, discarded)).await;
            return Err(BodyError::TooLarge);
        }
        // The disk may make its writer wait.
        let written = tokio::task::spawn_blocking(move || file.write_all(&piece).map(|()| file)).await;
        match written.map_err(io::Error::other).and_then(|written| written) {
            Ok(same) => file = same,
            Err(why) => return Ok(Err(why)),
        }
        if is_end {
            return Ok(Ok(file));
        }
    }
}

/// Reads on and keeps nothing.
pub(super) async fn discard(mut body: Incoming, max_bytes: usize) {
    let mut left = max_bytes;
    while let Some(Ok(frame)) = body.frame().await {
        match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}
