//! `Idempotency-Key`: a call that comes again with its key has no second effect and gets the first answer.
//!
//! The key is taken, the work done and the answer kept in one transaction, so there is no moment in which a call has
//! worked and its key is not known. A call that was refused had no effect and keeps no key: it may come again, mended,
//! with the same one. A key stands for one call as a whole: method, path, parameters and body.
//!
//! Where an answer holds a secret, nothing of it may be kept, so those calls refuse a key instead of ignoring it: what
//! they make is listed without its secret, and can be revoked or made again.

use super::call::{Call, Reply};
use super::problem::Problem;
use super::routes::{self, Action, Found, Route};
use crate::store::control::Write;
use crate::store::control::idempotency::{Answer, Begun};
use hyper::header::{ETAG, HeaderMap, HeaderName, LOCATION};
use hyper::{Method, StatusCode};
use serde_json::Value;
use sha2::{Digest, Sha256};

const HEADER: &str = "idempotency-key";

/// A call that shall work once.
#[derive(Clone, Debug)]
pub(super) struct Once {
    scope: String,
    pub(super) key: String,
    hash: [u8; 32],
    path: String,
}

/// Whether a call may bring a key. Methods other than POST may be sent again as they are.
pub(super) fn is_taken(route: &Route) -> bool {
    use Action::{Apply, Bulk, Create, CreateAccount, SetStatus, Transact, UploadItems};
    let is_kept =
        matches!(route.action, Apply | Bulk | Create | CreateAccount | SetStatus(_) | Transact | UploadItems);
    is_kept && route.method == Method::POST
}

/// Refuses a key where it would be ignored.
pub(super) fn refuse_where_not_taken(route: &Route, headers: &HeaderMap) -> Result<(), Problem> {
    if route.method != Method::POST || is_taken(route) || !headers.contains_key(HEADER) {
        return Ok(());
    }
    let detail = match route.action {
        Action::Import => {
            "an import takes no Idempotency-Key; give rows an external_id, so that sending them again changes what they \
             have made"
        }
        Action::CancelJob => "this may be sent again as it is; leave the Idempotency-Key out",
        _ => {
            "this call takes no Idempotency-Key, because nothing of an answer with a secret is kept; leave it out, and \
             look what there is before you send it again"
        }
    };
    Err(Problem::new(StatusCode::BAD_REQUEST, "not taken here", detail))
}

/// The key of a call, if it brought one.
pub(super) fn of(call: &Call) -> Result<Option<Once>, Problem> {
    let Some(key) = call.headers.get(HEADER) else { return Ok(None) };
    let key = key.to_str().ok().filter(|key| (1..=255).contains(&key.len()));
    let key = key.ok_or_else(|| {
        let detail = "Idempotency-Key is 1 to 255 visible ASCII characters";
        Problem::new(StatusCode::BAD_REQUEST, "malformed header", detail)
    })?;
    let target = format!("{} {}?{}\0", call.method, call.path, call.query);
    let hash = Sha256::new().chain_update(target).chain_update(&call.body).finalize();
    // Keys of different clients never meet.
    let scope = match call.actor.account {
        Some(account) => format!("account {account}"),
        None => "platform".to_owned(),
    };
    Ok(Some(Once { scope, key: key.to_owned(), hash: hash.into(), path: call.path.clone() }))
}

/// The same where there must be one.
pub(super) fn required(call: &Call) -> Result<Once, Problem> {
    of(call)?.ok_or_else(|| {
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
            Begun::Replay(Answer { status, body }) => Ok(Some(self.replayed(status, &body))),
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

    fn replayed(&self, status: u16, body: &[u8]) -> Reply {
        let body: Option<Value> = serde_json::from_slice(body).ok();
        let text = |name: &str| body.as_ref().and_then(|body| body[name].as_str()).map(str::to_owned);
        let (etag, id) = (text("etag"), text("id"));
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
        let mut reply = Reply { status, body, headers: Vec::new() };
        reply = reply.with(HeaderName::from_static("idempotent-replayed"), "true");
        if let Some(etag) = etag {
            reply = reply.with(ETAG, etag);
        }
        // What was made is found where it was then.
        match id.map(|id| format!("{}/{id}", self.path)) {
            Some(made) if matches!(routes::find(&Method::GET, &made), Found::Route(..)) => {
                reply.with(LOCATION, made)
            }
            _ => reply,
        }
    }
}
