//! `Idempotency-Key`: a call that comes again with its key has no second effect and gets the first answer.
//!
//! The key is taken, the work done and the answer kept in one transaction, so there is no moment in which a call has
//! worked and its key is not known. A call that was refused had no effect and keeps no key: it may come again, mended,
//! with the same one.

use super::auth::Actor;
use super::call::Reply;
use super::problem::Problem;
use crate::store::control::Write;
use crate::store::control::idempotency::{Answer, Begun};
use hyper::StatusCode;
use hyper::header::{ETAG, HeaderMap, HeaderName};
use serde_json::Value;
use sha2::{Digest, Sha256};

const HEADER: &str = "idempotency-key";

/// A call that shall work once.
#[derive(Clone, Debug)]
pub(super) struct Once {
    scope: String,
    pub(super) key: String,
    hash: [u8; 32],
}

/// The key of a call, if it brought one.
pub(super) fn of(
    actor: &Actor,
    headers: &HeaderMap,
    path: &str,
    body: &[u8],
) -> Result<Option<Once>, Problem> {
    let Some(key) = headers.get(HEADER) else { return Ok(None) };
    let key = key.to_str().ok().filter(|key| (1..=255).contains(&key.len()));
    let key = key.ok_or_else(|| {
        let detail = "Idempotency-Key is 1 to 255 visible ASCII characters";
        Problem::new(StatusCode::BAD_REQUEST, "malformed header", detail)
    })?;
    let hash = Sha256::new().chain_update(path).chain_update([0]).chain_update(body).finalize();
    // Keys of different clients never meet.
    let scope = match actor.account {
        Some(account) => format!("account {account}"),
        None => "platform".to_owned(),
    };
    Ok(Some(Once { scope, key: key.to_owned(), hash: hash.into() }))
}

/// The same where there must be one.
pub(super) fn required(actor: &Actor, headers: &HeaderMap, path: &str, body: &[u8]) -> Result<Once, Problem> {
    of(actor, headers, path, body)?.ok_or_else(|| {
        let detail = "send `Idempotency-Key` with a text of your own for this very movement, so that sending it again \
                      after a broken connection does not move the money twice";
        Problem::new(StatusCode::BAD_REQUEST, "idempotency key required", detail)
    })
}

impl Once {
    /// Takes the key; the answer of before, if there was one.
    pub(super) fn begin(&self, tx: &mut Write<'_>) -> Result<Option<Reply>, Problem> {
        match tx.begin_idempotent(&self.scope, &self.key, &self.hash)? {
            Begun::New => Ok(None),
            Begun::Replay(Answer { status, body }) => Ok(Some(replayed(status, &body))),
            Begun::InFlight => {
                let detail = "a call with this key is being worked on; come again";
                let problem = Problem::new(StatusCode::CONFLICT, "in flight", detail);
                Err(Problem { retry_after_s: Some(1), ..problem })
            }
            Begun::Mismatch => {
                let detail = "this Idempotency-Key came with another call before; a key stands for one call";
                Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "key used before", detail))
            }
        }
    }

    /// Keeps the answer.
    pub(super) fn finish(&self, tx: &mut Write<'_>, reply: &Reply) -> Result<(), Problem> {
        let body = reply.body.as_ref().map_or_else(Vec::new, |body| body.to_string().into_bytes());
        let answer = Answer { status: reply.status.as_u16(), body };
        tx.finish_idempotent(&self.scope, &self.key, &answer)?;
        Ok(())
    }
}

fn replayed(status: u16, body: &[u8]) -> Reply {
    let body: Option<Value> = serde_json::from_slice(body).ok();
    let etag = body.as_ref().and_then(|body| body["etag"].as_str()).map(str::to_owned);
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    let reply = Reply { status, body, headers: Vec::new() };
    let reply = reply.with(HeaderName::from_static("idempotent-replayed"), "true");
    match etag {
        Some(etag) => reply.with(ETAG, etag),
        None => reply,
    }
}
