//! What browsers and advertisers' servers tell of people: events (`/e`), ids that exchanges know them by (`/sync`), and
//! that they want none of it (`/optout`). All of it on the tracking listener.
//!
//! Invariant: nothing is read of a person, written down or set in a browser without the proof that the privacy gate gives
//! for it ([`crate::privacy`]). A raw identifier lives as long as its request.

mod event;
mod said;
mod sync;
mod visitor;

use super::http::{Answer, answer, empty};
use super::state::Shared;
use crate::model::ids::PixelId;
use hyper::header::{CACHE_CONTROL, HeaderValue, SET_COOKIE};
use hyper::{Method, Request, StatusCode, body::Incoming};
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use visitor::Uids;

/// A transparent GIF of one pixel.
pub(super) const PIXEL: &[u8] =
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\x00\
\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;";

/// An answer that is a pixel and is asked for anew each time.
pub(super) fn pixel() -> Answer {
    let mut answer = answer(StatusCode::OK, "image/gif", PIXEL);
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// What is asked for. As with notices the last segments of a path count alone, so that a proxy may strip the public URL's
/// prefix or not. What players report comes to `/e/` as well, with a token, which is no number.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum PersonPath {
    Event(PixelId),
    Sync(String),
    OptOut,
}

impl PersonPath {
    /// Reads a request path without its query; `None` = none of these.
    pub(super) fn parse(path: &str) -> Option<PersonPath> {
        let mut segments = path.rsplit('/').filter(|segment| !segment.is_empty());
        match (segments.next()?, segments.next()) {
            ("optout", _) => Some(PersonPath::OptOut),
            (exchange, Some("sync")) => Some(PersonPath::Sync(exchange.to_owned())),
            (pixel, Some("e")) => pixel.parse().ok().map(|id| PersonPath::Event(PixelId(id))),
            _ => None,
        }
    }
}

/// Answers what is told of people. One a thread.
pub(super) struct People {
    shared: Arc<Shared>,
    uids: Uids,
    /// What each pixel may still take from browsers.
    buckets: RefCell<HashMap<PixelId, Bucket>>,
}

/// Events that a pixel may take: `left` of them at `at_ns`.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: f64,
    at_ns: u64,
}

impl People {
    pub(super) fn new(shared: Arc<Shared>) -> People {
        let uids = Uids::of(shared.id_key());
        People { shared, uids, buckets: RefCell::default() }
    }

    /// Answers a request for one of these.
    pub(super) async fn answer(&self, asked: PersonPath, request: Request<Incoming>) -> Answer {
        if let PersonPath::Event(pixel) = asked {
            return self.event(pixel, request).await;
        }
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            return empty(StatusCode::METHOD_NOT_ALLOWED);
        }
        match asked {
            PersonPath::Sync(exchange) => self.sync(&exchange, &request),
            PersonPath::Event(_) | PersonPath::OptOut => self.opt_out(&request).await,
        }
    }

    /// Ends everything: what is known of the cookie is erased, and a cookie says so to every later request.
    async fn opt_out(&self, request: &Request<Incoming>) -> Answer {
        if let Some(uid) = self.uids.read(request.headers()) {
            let (shared, key) = (Arc::clone(&self.shared), self.shared.id_key().cookie(&uid));
            // The disk may make its caller wait, and everybody else with it.
            let forgotten = tokio::task::spawn_blocking(move || shared.forget(&[key])).await;
            if !matches!(forgotten, Ok(Ok(_))) {
                tracing::error!(?forgotten, "somebody who opted out is not forgotten on the disk");
                return empty(StatusCode::SERVICE_UNAVAILABLE);
            }
        }
        let mut answer = answer(StatusCode::OK, "text/plain; charset=utf-8", visitor::OPTED_OUT);
        let headers = answer.headers_mut();
        headers.append(SET_COOKIE, HeaderValue::from_static(visitor::OPT_OUT_COOKIE));
        headers.append(SET_COOKIE, HeaderValue::from_static(visitor::NO_UID_COOKIE));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        answer
    }

    /// Takes one event off what a pixel may still take.
    fn may_take(&self, pixel: PixelId, per_second: u32) -> bool {
        let (limit, now_ns) = (f64::from(per_second), self.shared.clock.mono_ns());
        let mut buckets = self.buckets.borrow_mut();
        let bucket = buckets.entry(pixel).or_insert(Bucket { left: limit, at_ns: now_ns });
        let passed_s = now_ns.saturating_sub(bucket.at_ns) as f64 / 1e9;
        *bucket = Bucket { left: (bucket.left + passed_s * limit).min(limit), at_ns: now_ns };
        let takes = bucket.left >= 1.0;
        if takes {
            bucket.left -= 1.0;
        }
        takes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_from_their_end_and_tokens_are_left_to_notices() {
        for (path, expected) in [
            ("/e/7", Some(PersonPath::Event(PixelId(7)))),
            ("/prefix/of/a/proxy/e/7/", Some(PersonPath::Event(PixelId(7)))),
            ("/e/EAEAAWsDmDUAAAA", None),
            ("/e/4294967296", None),
            ("/sync/demo", Some(PersonPath::Sync("demo".to_owned()))),
            ("/p/sync/demo", Some(PersonPath::Sync("demo".to_owned()))),
            ("/optout", Some(PersonPath::OptOut)),
            ("/p/optout", Some(PersonPath::OptOut)),
            ("/c/optout/x", None),
            ("/", None),
        ] {
            assert_eq!(PersonPath::parse(path), expected, "{path}");
        }
    }
}
