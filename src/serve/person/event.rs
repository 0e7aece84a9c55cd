//! `/e/{pixel}`: what people did, from an advertiser's pages and from its servers.
//!
//! Browsers send one event, by an image or a beacon, from the origins that the pixel lists, as whoever our cookie names.
//! Servers send up to [`MAX_EVENTS`] at once, signed with the pixel's secret, as whoever they name; only they say what
//! something is worth. Each event passes the privacy gate by itself.
//!
//! What was answered with 2xx counts in the next request. Of servers it is on the disk by then; of browsers it is there
//! within [`crate::audience::SYNC_EVERY_MS`].

use super::People;
use super::said::{self, Said};
use super::visitor::{has_opted_out, sections, signals};
use crate::audience::{AudienceError, IdKind, Seen};
use crate::engine::Catalog;
use crate::model::behaviour::{Action, Pixel};
use crate::model::exchange::GdprDefault;
use crate::model::ids::{ConversionId, PixelId, UserKey};
use crate::model::list::Conversion;
use crate::model::money::Nanos;
use crate::privacy::{Permissions, Rules, judge};
use crate::serve::body::{self, BodyError};
use crate::serve::conversion::converted;
use crate::serve::http::{Answer, answer, empty, last};
use crate::telemetry::catalogue;
use hmac::{Hmac, KeyInit, Mac};
use hyper::body::Incoming;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, HeaderMap, HeaderValue, ORIGIN, REFERER, RETRY_AFTER, SET_COOKIE, VARY,
};
use hyper::{Method, Request, StatusCode};
use serde::Deserialize;
use serde_json::json;
use sha2::Sha256;
use std::sync::Arc;
use std::time::Duration;

/// Events of one call of a server.
pub(super) const MAX_EVENTS: usize = 1_000;
/// How a server signs: `t=<Unix seconds>,v1=<hex of HMAC-SHA256 over "t.body">`, as webhooks usually are.
const SIGNATURE: &str = "outbid-signature";
/// How far a signature's time may be from ours.
const SIGNATURE_AGE_S: i64 = 300;
/// How old what a server reports may be, and how far ahead its clock.
const OLDEST_S: i64 = 7 * 86_400;
const AHEAD_S: i64 = 60;
/// A tie between a cookie and a hashed address ends so long after it was last said.
const TIE_LIFE_S: i64 = 180 * 86_400;
/// Refused events that an answer names.
const NAMED: usize = 20;

/// What a server posts.
#[derive(Deserialize)]
#[serde(untagged, bound(deserialize = "'de: 'a"))]
enum Posted<'a> {
    Many { events: Vec<Said<'a>> },
    One(Box<Said<'a>>),
}

/// Why an event was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Refusal {
    Nobody,
    Privacy,
    Duplicate,
    /// What is wrong.
    BadInput(&'static str),
    Full,
}

impl Refusal {
    /// As metrics say it.
    fn label(self) -> &'static str {
        match self {
            Refusal::Nobody => "nobody",
            Refusal::Privacy => "privacy",
            Refusal::Duplicate => "duplicate",
            Refusal::BadInput(_) => "bad_input",
            Refusal::Full => "full",
        }
    }

    /// As answers say it.
    fn message(self) -> &'static str {
        match self {
            Refusal::Nobody => "names nobody: give uid, ifa, eh or ph",
            Refusal::Privacy => "its privacy signals do not allow it",
            Refusal::Duplicate => "this order was taken before",
            Refusal::BadInput(what) => what,
            Refusal::Full => "this person is in too many segments",
        }
    }
}

/// Who an event is of.
#[derive(Clone, Copy, Default)]
struct Who {
    /// Our cookie, or what else names the person.
    key: Option<UserKey>,
    /// `key` is a cookie, which can be tied to a hashed address.
    is_cookie: bool,
}

impl People {
    pub(super) async fn event(&self, pixel: PixelId, request: Request<Incoming>) -> Answer {
        let catalog = Arc::clone(&self.shared.snapshots.load().catalog);
        let Some(pixel) = catalog.pixel(pixel).filter(|pixel| pixel.active) else {
            return empty(StatusCode::NOT_FOUND);
        };
        if request.method() == Method::POST && request.headers().contains_key(SIGNATURE) {
            return self.by_server(&catalog, pixel, request).await;
        }
        let Some(origin) = origin(pixel, request.headers()) else {
            self.count("none", "origin");
            return empty(StatusCode::FORBIDDEN);
        };
        let answer = match *request.method() {
            Method::OPTIONS => preflight(),
            Method::GET | Method::POST if !self.may_take(pixel.id, pixel.per_second) => {
                self.count("none", "rate");
                let mut answer = empty(StatusCode::TOO_MANY_REQUESTS);
                answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
                answer
            }
            Method::GET => {
                let said = Said::of_query(request.uri().query().unwrap_or_default());
                let (taken, cookie) = self.by_browser(&catalog, pixel, &said, request.headers());
                let answer = if taken { super::pixel() } else { empty(StatusCode::NO_CONTENT) };
                with_cookie(answer, cookie)
            }
            Method::POST => self.by_beacon(&catalog, pixel, request).await,
            _ => empty(StatusCode::METHOD_NOT_ALLOWED),
        };
        with_origin(answer, &origin)
    }

    /// A beacon: the same members as the image's query, there or as JSON. The query needs no preflight.
    async fn by_beacon(&self, catalog: &Catalog, pixel: &Pixel, request: Request<Incoming>) -> Answer {
        let (head, incoming) = request.into_parts();
        let body = match self.body(incoming).await {
            Ok(body) => body,
            Err(answer) => return answer,
        };
        let query = head.uri.query().unwrap_or_default();
        let said = if body.is_empty() { Ok(Said::of_query(query)) } else { serde_json::from_slice(&body) };
        let Ok(said) = said else {
            self.count("none", "bad_input");
            return empty(StatusCode::BAD_REQUEST);
        };
        let (_, cookie) = self.by_browser(catalog, pixel, &said, &head.headers);
        with_cookie(empty(StatusCode::NO_CONTENT), cookie)
    }

    /// Takes what a browser says. Answers whether it was taken, and a cookie to set.
    fn by_browser(
        &self,
        catalog: &Catalog,
        pixel: &Pixel,
        said: &Said<'_>,
        headers: &HeaderMap,
    ) -> (bool, Option<HeaderValue>) {
        let action = said::text(&said.action).and_then(Action::parse).map_or("none", Action::as_str);
        if has_opted_out(headers) {
            self.count(action, "opted_out");
            return (false, None);
        }
        let sections = sections(said);
        let permissions = self.judge(&signals(said, &sections, Some(headers)));
        let (Some(_), Some(store)) = (permissions.profile(), permissions.store()) else {
            self.count(action, "privacy");
            return (false, None);
        };
        let uid = self.uids.read(headers).unwrap_or_else(|| self.uids.make(store));
        let key = self.shared.id_key().cookie(&uid);
        let who = Who { key: Some(key), is_cookie: true };
        let now_s = self.shared.clock.now().unix_s();
        // A stranger could say anything that a page can: no value, no time, no other person.
        let outcome = self.take(catalog, pixel, said, who, None, now_s, &permissions);
        self.count(action, outcome.map_or_else(Refusal::label, |()| "taken"));
        (outcome.is_ok(), Some(self.uids.cookie(&uid, store)))
    }

    /// Takes what an advertiser's server says.
    async fn by_server(&self, catalog: &Catalog, pixel: &Pixel, request: Request<Incoming>) -> Answer {
        let (head, incoming) = request.into_parts();
        let body = match self.body(incoming).await {
            Ok(body) => body,
            Err(answer) => return answer,
        };
        let now_s = self.shared.clock.now().unix_s();
        if let Err(why) = verify(pixel, &head.headers, &body, now_s) {
            self.count("none", "unsigned");
            return problem(StatusCode::FORBIDDEN, why);
        }
        let events = match serde_json::from_slice::<Posted<'_>>(&body) {
            Ok(Posted::Many { events }) => events,
            Ok(Posted::One(said)) => vec![*said],
            Err(_) => {
                self.count("none", "bad_input");
                let why = "the body is neither an event nor {\"events\": [...]}; members are texts or whole numbers";
                return problem(StatusCode::BAD_REQUEST, why);
            }
        };
        if events.len() > MAX_EVENTS {
            return problem(StatusCode::PAYLOAD_TOO_LARGE, "at most 1000 events fit into one call");
        }
        let (mut taken, mut refused, mut named) = (0, 0, Vec::new());
        for (index, said) in events.iter().enumerate() {
            let action = said::text(&said.action).and_then(Action::parse).map_or("none", Action::as_str);
            match self.one_of_server(catalog, pixel, said, now_s) {
                Ok(()) => {
                    taken += 1;
                    self.count(action, "taken");
                }
                Err(refusal) => {
                    refused += 1;
                    self.count(action, refusal.label());
                    if named.len() < NAMED {
                        named.push(json!({"index": index, "message": refusal.message()}));
                    }
                }
            }
        }
        let shared = Arc::clone(&self.shared);
        // The disk may make its writer wait, and everybody else with it.
        let synced = tokio::task::spawn_blocking(move || shared.people().sync()).await;
        if !matches!(synced, Ok(Ok(()))) {
            return problem(StatusCode::SERVICE_UNAVAILABLE, "the disk refuses; send the same again later");
        }
        let text = json!({"taken": taken, "refused": refused, "errors": named}).to_string();
        answer(StatusCode::OK, "application/json", text)
    }

    fn one_of_server(
        &self,
        catalog: &Catalog,
        pixel: &Pixel,
        said: &Said<'_>,
        now_s: i64,
    ) -> Result<(), Refusal> {
        let sections = sections(said);
        let permissions = self.judge(&signals(said, &sections, None));
        let at_s = match said::text(&said.at).map(str::parse::<i64>) {
            None => now_s,
            Some(Ok(at)) if (now_s - OLDEST_S..=now_s + AHEAD_S).contains(&at) => at.min(now_s),
            Some(_) => return Err(Refusal::BadInput("at is no time in Unix seconds of the last 7 days")),
        };
        let key = self.shared.id_key();
        let hashed = |kind, text| digest(text).map(|digest| key.hashed(kind, &digest));
        let who = if let Some(uid) = said::text(&said.uid) {
            Who { key: Some(key.cookie(uid)), is_cookie: true }
        } else if let Some(device) = said::text(&said.device) {
            Who { key: Some(key.device(device)), is_cookie: true }
        } else if let Some(email) = said::text(&said.email) {
            Who { key: hashed(IdKind::Email, email), is_cookie: false }
        } else {
            Who {
                key: said::text(&said.phone).and_then(|phone| hashed(IdKind::Phone, phone)),
                is_cookie: false,
            }
        };
        let value = value_of(catalog, pixel, said)?;
        self.take(catalog, pixel, said, who, value, at_s, &permissions)
    }

    /// Takes one event of somebody, as far as it is allowed.
    #[allow(
        clippy::too_many_arguments,
        reason = "what differs between browsers and servers, and nothing else"
    )]
    fn take(
        &self,
        catalog: &Catalog,
        pixel: &Pixel,
        said: &Said<'_>,
        who: Who,
        value: Option<Nanos>,
        at_s: i64,
        permissions: &Permissions,
    ) -> Result<(), Refusal> {
        if said.too_long().is_some() {
            return Err(Refusal::BadInput("a member is longer than 4096 bytes"));
        }
        let action = said::text(&said.action).and_then(Action::parse);
        let action = action
            .ok_or(Refusal::BadInput("t is none of view, search, cart, purchase, conversion, custom"))?;
        let profile = permissions.profile().ok_or(Refusal::Privacy)?;
        let key = who.key.ok_or(Refusal::Nobody)?;
        let conversion = conversion_of(catalog, pixel, said, action)?;
        let lower = |text: Option<&str>| text.map(str::to_lowercase).unwrap_or_default();
        let (name, keywords) = (lower(said::text(&said.name)), lower(said::text(&said.keywords)));
        let plan = catalog.behaviour();
        let category = said::text(&said.category).and_then(|node| plan.category(pixel.advertiser, node));
        let seen = Seen {
            advertiser: pixel.advertiser,
            pixel: pixel.id,
            action,
            name: &name,
            keywords: &keywords,
            category,
            conversion: conversion.map(|definition| definition.id),
            value,
            at_s,
        };
        let ties = self.ties(said)?;
        self.shared.people().write(|writer| {
            let order = said::text(&said.order);
            if order.is_some_and(|order| !writer.is_new_order(pixel.advertiser, order)) {
                return Err(Refusal::Duplicate);
            }
            if who.is_cookie {
                let until_s = Some(at_s + TIE_LIFE_S);
                ties.into_iter().flatten().for_each(|hashed| writer.tie(key, hashed, until_s));
            }
            let moved = writer.observe(key, &seen, plan, profile);
            if let (Ok(_), Some(order)) = (&moved, order) {
                writer.note_order(pixel.advertiser, order, at_s);
            }
            moved.map(drop).map_err(|error| {
                if !matches!(error, AudienceError::TooManySegments) {
                    tracing::warn!(%error, pixel = %pixel.id, "an event was not taken up");
                }
                Refusal::Full
            })
        })?;
        if let (Some(definition), Some(_)) = (conversion, permissions.measure()) {
            converted(&self.shared, catalog, definition, key, value, at_s);
        }
        Ok(())
    }

    /// The keys of the hashed addresses that an event says the person has.
    fn ties(&self, said: &Said<'_>) -> Result<[Option<UserKey>; 2], Refusal> {
        let key = self.shared.id_key();
        let hashed = |kind, text: Option<&str>, wrong| match text.map(digest) {
            None => Ok(None),
            Some(Some(digest)) => Ok(Some(key.hashed(kind, &digest))),
            Some(None) => Err(Refusal::BadInput(wrong)),
        };
        Ok([
            hashed(
                IdKind::Email,
                said::text(&said.email),
                "eh is no SHA-256 in hex; raw addresses are not taken",
            )?,
            hashed(
                IdKind::Phone,
                said::text(&said.phone),
                "ph is no SHA-256 in hex; raw numbers are not taken",
            )?,
        ])
    }

    fn judge(&self, signals: &crate::privacy::Signals<'_>) -> Permissions {
        judge(signals, &Rules { gdpr_default: GdprDefault::Applies, policy: self.shared.settings.privacy })
    }

    async fn body(&self, incoming: Incoming) -> Result<bytes::Bytes, Answer> {
        let (limit, patience) =
            (self.shared.config.limits.body_bytes, self.shared.config.server.body_timeout_ms);
        let patience = Duration::from_millis(u64::from(patience));
        match body::read(incoming, limit, &self.shared.body_room, patience).await {
            Ok(body) => Ok(body),
            Err(BodyError::TooLarge) => Err(last(empty(StatusCode::PAYLOAD_TOO_LARGE))),
            Err(BodyError::NoRoom) => Err(last(empty(StatusCode::SERVICE_UNAVAILABLE))),
            Err(BodyError::Incomplete) => Err(last(empty(StatusCode::REQUEST_TIMEOUT))),
        }
    }

    fn count(&self, action: &str, outcome: &str) {
        self.shared.metrics.counter(catalogue::PERSON_EVENTS, &[action, outcome]).increment(1);
    }
}

/// The origin of the page that sent this, if the pixel lists it.
fn origin(pixel: &Pixel, headers: &HeaderMap) -> Option<String> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    // An image has no Origin, and its Referer says at least the origin.
    let said = text(ORIGIN).filter(|origin| *origin != "null").or_else(|| {
        let url = text(REFERER)?;
        let host_at = url.find("://")? + 3;
        let end = url[host_at..].find(['/', '?', '#']).map_or(url.len(), |end| host_at + end);
        Some(&url[..end])
    })?;
    let said = said.to_ascii_lowercase();
    pixel.origins.contains(&said).then_some(said)
}

fn with_origin(mut answer: Answer, origin: &str) -> Answer {
    let headers = answer.headers_mut();
    if let Ok(origin) = HeaderValue::from_str(origin) {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        headers.insert(VARY, HeaderValue::from_static("Origin"));
    }
    answer
}

fn with_cookie(mut answer: Answer, cookie: Option<HeaderValue>) -> Answer {
    if let Some(cookie) = cookie {
        answer.headers_mut().append(SET_COOKIE, cookie);
    }
    answer
}

fn preflight() -> Answer {
    let mut answer = empty(StatusCode::NO_CONTENT);
    let headers = answer.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("Content-Type"));
    answer
}

fn problem(status: StatusCode, message: &str) -> Answer {
    let body = json!({"status": status.as_u16(), "detail": message}).to_string();
    answer(status, "application/problem+json", body)
}

/// Whether the pixel's secret signed this body lately.
fn verify(pixel: &Pixel, headers: &HeaderMap, body: &[u8], now_s: i64) -> Result<(), &'static str> {
    let secret = pixel.secret.as_ref().ok_or("this pixel takes nothing from servers: it has no secret")?;
    let text = headers.get(SIGNATURE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let part = |name: &str| {
        text.split(',').find_map(|part| part.trim().split_once('=').filter(|(key, _)| *key == name))
    };
    let malformed = "Outbid-Signature is not t=<Unix seconds>,v1=<hex of HMAC-SHA256 over \"t.body\">";
    let (Some((_, time)), Some((_, tag))) = (part("t"), part("v1")) else { return Err(malformed) };
    let at: i64 = time.parse().map_err(|_| malformed)?;
    if (now_s - at).abs() > SIGNATURE_AGE_S {
        return Err("the signature's time is more than 5 minutes from ours");
    }
    let tag = bytes_of_hex::<32>(tag).ok_or(malformed)?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&secret.0).expect("HMAC takes a key of any length");
    mac.update(time.as_bytes());
    mac.update(b".");
    mac.update(body);
    mac.verify_slice(&tag).map_err(|_| "the signature is not that of this pixel's secret over this body")
}

/// A SHA-256 in hex.
fn digest(text: &str) -> Option<[u8; 32]> {
    bytes_of_hex(text)
}

fn bytes_of_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, at) in bytes.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
    }
    Some(bytes)
}

/// What an event is worth, in the advertiser's currency.
fn value_of(catalog: &Catalog, pixel: &Pixel, said: &Said<'_>) -> Result<Option<Nanos>, Refusal> {
    let Some(text) = said::text(&said.value) else { return Ok(None) };
    let value = Nanos::parse_decimal(text).filter(|value| value.0 >= 0);
    let value = value.ok_or(Refusal::BadInput("v is no exact decimal of at most nine places"))?;
    let currency = said::text(&said.currency);
    let advertiser = catalog.advertisers().iter().find(|advertiser| advertiser.id == pixel.advertiser);
    let agrees = |asked: &str| advertiser.is_some_and(|advertiser| advertiser.currency.as_str() == asked);
    if currency.is_some_and(|asked| !agrees(asked)) {
        return Err(Refusal::BadInput("cur is not the currency of the pixel's advertiser"));
    }
    Ok(Some(value))
}

/// The definition that an event names: one of the pixel's own advertiser that counts.
fn conversion_of<'c>(
    catalog: &'c Catalog,
    pixel: &Pixel,
    said: &Said<'_>,
    action: Action,
) -> Result<Option<&'c Conversion>, Refusal> {
    let wrong = Refusal::BadInput("conv is no active conversion of the pixel's advertiser");
    match said::text(&said.conversion) {
        None if action == Action::Conversion => Err(wrong),
        None => Ok(None),
        Some(text) => {
            let id = ConversionId(text.parse().map_err(|_| wrong)?);
            let known = catalog.conversion(id);
            let ours = known.filter(|known| known.active && known.advertiser == pixel.advertiser);
            ours.map(Some).ok_or(wrong)
        }
    }
}
