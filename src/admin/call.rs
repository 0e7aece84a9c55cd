//! A call of the API as the handlers see it, and what they answer.

use super::auth::Actor;
use super::json;
use super::page::Parameters;
use super::problem::{FieldError, Problem};
use super::shape::etag;
use crate::store::control::audit::Source;
use bytes::Bytes;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, IF_MATCH, IF_NONE_MATCH};
use hyper::{Method, StatusCode};
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
    pub(super) method: Method,
    pub(super) path: String,
    /// What stands behind the question mark, as it was sent.
    pub(super) query: String,
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
        media(&self.headers, accepted)?;
        match json::read(&self.body) {
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

/// Which of the content types a body has; none of them, not UTF-8 or compressed, it is refused.
pub(super) fn media<'a>(headers: &HeaderMap, accepted: &[&'a str]) -> Result<&'a str, Problem> {
    let text = |name: HeaderName| headers.get(name).map_or("", |value| value.to_str().unwrap_or("?"));
    let refuse = |detail: String| Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content type", detail);
    let (given, encoding) = (text(CONTENT_TYPE), text(CONTENT_ENCODING));
    let mut parts = given.split(';').map(str::trim);
    let media = parts.next().unwrap_or("");
    let found = accepted.iter().find(|accepted| media.eq_ignore_ascii_case(accepted));
    let found = found.ok_or_else(|| {
        refuse(format!("send `Content-Type: {}`; this was {given:?}", accepted.join("` or `")))
    })?;
    let is_utf8 = |part: &str| match part.to_ascii_lowercase().strip_prefix("charset=") {
        Some(charset) => matches!(charset.trim_matches('"'), "utf-8" | "utf8" | "us-ascii"),
        None => true,
    };
    if !parts.all(is_utf8) {
        return Err(refuse(format!("send the body in UTF-8; this was {given:?}")));
    }
    if !encoding.is_empty() && !encoding.eq_ignore_ascii_case("identity") {
        return Err(refuse(format!("send the body as it is; `Content-Encoding: {encoding}` is not read")));
    }
    Ok(found)
}

/// Whether one of the entity tags of `If-None-Match` is a version's. They are compared weakly (RFC 9110, 13.1.2).
pub(super) fn is_known(headers: &HeaderMap, version: u64) -> bool {
    let current = etag(version);
    let lists = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    lists
        .flat_map(|list| list.split(','))
        .map(str::trim)
        .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == current)
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
