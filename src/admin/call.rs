//! A call of the API as the handlers see it, and what they answer.

use super::auth::Actor;
use super::page::Parameters;
use super::problem::{FieldError, Problem};
use crate::store::control::audit::Source;
use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, IF_MATCH};
use serde_json::{Map, Value};
use std::net::SocketAddr;

/// One call, its caller known.
pub(super) struct Call {
    pub(super) actor: Actor,
    /// The tenant that is worked in: the caller's own, or for the platform the one that `?account_id=` names; `None` is all
    /// of them.
    pub(super) account: Option<u32>,
    /// Of every record and log line that comes of it.
    pub(super) request_id: String,
    pub(super) parameters: Parameters,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// The body, where it was too long for memory.
    pub(super) spool: Option<std::fs::File>,
    /// The id in the path.
    pub(super) id: Option<u32>,
    pub(super) path: String,
    /// From where.
    pub(super) peer: SocketAddr,
}

/// Who did something, for the records.
#[derive(Clone, Debug)]
pub(super) struct Who {
    pub(super) actor: Actor,
    pub(super) request_id: String,
    /// By which way it came.
    pub(super) source: Source,
}

/// What is answered.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    /// `None` is an empty body.
    pub(super) body: Option<Value>,
    pub(super) headers: Vec<(HeaderName, String)>,
}

impl Reply {
    pub(super) fn new(status: StatusCode, body: Value) -> Reply {
        Reply { status, body: Some(body), headers: Vec::new() }
    }

    pub(super) fn with(mut self, name: HeaderName, value: impl Into<String>) -> Reply {
        self.headers.push((name, value.into()));
        self
    }
}

impl Call {
    pub(super) fn who(&self) -> Who {
        Who { actor: self.actor.clone(), request_id: self.request_id.clone(), source: Source::Api }
    }

    /// The body as a JSON object; `accepted` names the content types.
    pub(super) fn object(&self, accepted: &[&str]) -> Result<Map<String, Value>, Problem> {
        let given = self.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
        let media = given.split(';').next().unwrap_or("").trim();
        if !accepted.iter().any(|accepted| media.eq_ignore_ascii_case(accepted)) {
            let detail = format!("send `Content-Type: {}`; this was {given:?}", accepted.join("` or `"));
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content type", detail));
        }
        match serde_json::from_slice(&self.body) {
            Ok(Value::Object(object)) => Ok(object),
            Ok(_) => {
                let detail = "the body is JSON but no object";
                Err(Problem::new(StatusCode::BAD_REQUEST, "malformed JSON", detail))
            }
            Err(why) => {
                let detail = format!("the body is no JSON: {why}");
                Err(Problem::new(StatusCode::BAD_REQUEST, "malformed JSON", detail))
            }
        }
    }

    /// The version that `If-Match` names; `*` and its absence are `None` beside whether it was there.
    pub(super) fn if_match(&self) -> Result<(bool, Option<u64>), Problem> {
        let Some(given) = self.headers.get(IF_MATCH) else { return Ok((false, None)) };
        version_of(given.to_str().unwrap_or(""))
    }
}

/// The version that an entity tag names; `*` names none, beside that there was a tag.
pub(super) fn version_of(tag: &str) -> Result<(bool, Option<u64>), Problem> {
    let tag = tag.trim();
    if tag == "*" {
        return Ok((true, None));
    }
    let version = tag.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).and_then(|n| n.parse().ok());
    match version {
        Some(version) => Ok((true, Some(version))),
        None => {
            let detail = format!("If-Match is the `etag` of the resource, such as \"3\"; this was {tag:?}");
            let errors = vec![FieldError::new("If-Match", "malformed", detail.clone())];
            Err(Problem { errors, ..Problem::new(StatusCode::BAD_REQUEST, "malformed header", detail) })
        }
    }
}
