//! Reading a request body within its limits. Of a body that is too long the rest is thrown away as it comes, up to
//! the same length again: closing a socket while the peer still sends would reset it, and the peer would never read
//! why. What is longer still is not waited for.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use std::time::Duration;

/// Why a body could not be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum BodyError {
    /// Longer than allowed.
    TooLarge,
    /// Not complete in time, or the connection broke.
    Incomplete,
}

/// Reads the whole body. A body that came in one piece is not copied.
pub(super) async fn read(body: Incoming, max_bytes: usize, timeout: Duration) -> Result<Bytes, BodyError> {
    let declared = body.size_hint().lower();
    if declared > 2 * max_bytes as u64 {
        return Err(BodyError::TooLarge);
    }
    let kept = if declared > max_bytes as u64 { 0 } else { max_bytes };
    tokio::time::timeout(timeout, collect(body, kept, max_bytes)).await.unwrap_or(Err(BodyError::Incomplete))
}

/// Collects a body of at most `max_bytes`; of a longer one up to `discard_bytes` more are read and dropped.
async fn collect(mut body: Incoming, max_bytes: usize, discard_bytes: usize) -> Result<Bytes, BodyError> {
    let mut first = Bytes::new();
    let mut joined: Option<BytesMut> = None;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| BodyError::Incomplete)?.into_data() else { continue };
        let so_far = joined.as_ref().map_or(first.len(), BytesMut::len);
        if so_far + data.len() > max_bytes {
            discard(body, discard_bytes).await;
            return Err(BodyError::TooLarge);
        }
        match &mut joined {
            Some(joined) => joined.extend_from_slice(&data),
            None if first.is_empty() => first = data,
            None => {
                let mut both = BytesMut::with_capacity((first.len() + data.len()) * 2);
                both.extend_from_slice(&first);
                both.extend_from_slice(&data);
                joined = Some(both);
            }
        }
    }
    Ok(joined.map_or(first, BytesMut::freeze))
}

async fn discard(mut body: Incoming, max_bytes: usize) {
    let mut left = max_bytes;
    while let Some(Ok(frame)) = body.frame().await {
        match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}
