//! The outer line of a bid request, readable from top to bottom: recognise, read, parse, decide, respond, record.

use super::auth::{Credentials, is_authentic};
use super::body::{self, BodyError};
use super::holds::CountedHolds;
use super::http::{Answer, Handler, answer, empty, last};
use super::limits::{InFlight, Overload, RateCap};
use super::record::Recorder;
use super::state::Shared;
use crate::budget::CoreBudget;
use crate::budget::frequency::Pending;
use crate::config::YesNo;
use crate::engine::funnel::{Tally, Writer};
use crate::engine::{self, BidIds, Core, Deadline, Request, Snapshot, Times};
use crate::exchange::respond::{self, Response};
use crate::exchange::{self, InflateError, Inflater, Limits, ParseError, Place};
use crate::model::auction::Auction;
use crate::model::exchange::ExchangeProfile;
use crate::model::ids::ExchangeId;
use crate::model::no_bid::NoBidReason;
use crate::telemetry::hot::{CoreMetrics, ExchangeSlot, Outcome, ParseError as ParseErrorKind, Shed};
use arc_swap::{ArcSwap, Cache};
use bumpalo::Bump;
use bytes::Bytes;
use hyper::Method;
use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Every answer says which version it follows (OpenRTB 2.6 section 2.5).
const OPENRTB_VERSION: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-openrtb-version"), HeaderValue::from_static("2.6"));
/// Content types of protobuf (OpenRTB 2.6 section 2.3, and what a large exchange sends instead).
const PROTOBUF: [&str; 2] = ["application/x-protobuf", "application/octet-stream"];
/// Memory that a core's arena keeps between requests; what a rare giant took beyond it is given back.
const ARENA_KEEP_BYTES: usize = 4 << 20;

/// Answers the bid requests of one core.
pub(super) struct BidHandler {
    shared: Arc<Shared>,
    metrics: Arc<CoreMetrics>,
    overload: Rc<Overload>,
    core: RefCell<BidCore>,
}

/// What a core reuses from request to request.
struct BidCore {
    snapshots: Cache<Arc<ArcSwap<Snapshot>>, Arc<Snapshot>>,
    engine: Core,
    budget: CountedHolds,
    arena: Bump,
    inflater: Inflater,
    inflated: Vec<u8>,
    /// The answer, and room to write it again in another encoding.
    written: Vec<u8>,
    encoded: Vec<u8>,
    exchanges: ExchangeRows,
    recorder: Recorder,
    counter: Counter,
}

/// Counts for the funnel how far line items get.
struct Counter {
    core: usize,
    tally: Tally,
    writer: Option<Writer>,
}

impl Counter {
    fn count(
        &mut self,
        shared: &Shared,
        snapshot: &Snapshot,
        offered: (usize, &Auction<'_>),
        refused: Option<NoBidReason>,
        whole: bool,
    ) {
        self.leave(snapshot.catalog.version);
        let writer = self.writer.get_or_insert_with(|| {
            shared.funnels.writer(&snapshot.catalog, self.core, shared.metrics.cores())
        });
        self.tally.commit(writer, offered, refused, whole);
    }

    /// Writes what waits, also where no request comes.
    fn flush(&mut self) {
        if let Some(writer) = &self.writer {
            writer.flush(&mut self.tally);
        }
    }

    /// Lets go of the table of another catalog than this one.
    fn leave(&mut self, version: u64) {
        if let Some(writer) = self.writer.take_if(|writer| writer.version() != version) {
            writer.flush(&mut self.tally);
        }
    }
}

/// How a request is written, and so its answer.
#[derive(Clone, Copy)]
enum Format {
    Json,
    /// With the content type that was received.
    Protobuf(&'static str),
}

/// A request whose body is read.
struct Received<'b> {
    headers: &'b HeaderMap,
    body: &'b [u8],
    format: Format,
}

/// Per exchange of the current catalog, by its position: where it is counted, and its requests a second here.
#[derive(Default)]
struct ExchangeRows {
    catalog_version: Option<u64>,
    rows: Vec<(ExchangeSlot, RateCap)>,
    ids: Vec<ExchangeId>,
}

/// What is known of a request before its body is read.
struct Recognised<'s> {
    snapshot: &'s Snapshot,
    profile: &'s ExchangeProfile,
    position: usize,
    slot: ExchangeSlot,
    arrived_ns: u64,
}

/// What the straight line came to.
enum Outcome200 {
    /// 200 with what was written.
    Written(Outcome),
    /// 204.
    Nothing(NoBidReason),
    /// 400 or 413.
    Refused(StatusCode, ParseErrorKind),
}

impl BidHandler {
    /// The handler of serving core `core`.
    pub(super) fn new(shared: Arc<Shared>, core: u16, overload: Rc<Overload>) -> BidHandler {
        let metrics = shared.metrics.core(usize::from(core));
        let counts = shared.config.funnel.enabled == YesNo::Yes;
        let tally = if counts { Tally::default() } else { Tally::off() };
        let bid_core = BidCore {
            snapshots: shared.snapshots.reader(),
            engine: Core::new(BidIds::new(shared.ledger.epoch(), core)),
            budget: CountedHolds::new(
                CoreBudget::new(core, Arc::clone(&shared.ledger)),
                Arc::clone(&metrics),
            ),
            arena: Bump::new(),
            inflater: Inflater::new(),
            inflated: Vec::new(),
            written: Vec::new(),
            encoded: Vec::new(),
            exchanges: ExchangeRows::default(),
            recorder: Recorder::new(&shared, core, Arc::clone(&metrics)),
            counter: Counter { core: usize::from(core), tally, writer: None },
        };
        BidHandler { shared, metrics, overload, core: RefCell::new(bid_core) }
    }

    /// Lets go of a snapshot and of audience shards that are no longer the newest, also where no request comes.
    pub(super) fn look_for_news(&self) {
        let mut core = self.core.borrow_mut();
        let version = core.snapshots.load().catalog.version;
        core.counter.flush();
        core.counter.leave(version);
        core.engine.lets_go(self.shared.audience());
    }

    /// Finds the exchange behind the path and checks that the request comes from it.
    fn recognise<'s>(
        &self,
        snapshot: &'s Snapshot,
        head: &hyper::http::request::Parts,
        peer: SocketAddr,
        arrived_ns: u64,
    ) -> Result<Recognised<'s>, StatusCode> {
        let mut segments = head.uri.path().trim_start_matches('/').split('/');
        let (prefix, name, path_secret) = (segments.next(), segments.next(), segments.next());
        let found = name.and_then(|name| snapshot.catalog.exchange_position(name));
        let position = found.filter(|_| prefix == Some("openrtb2")).ok_or(StatusCode::NOT_FOUND)?;
        let profile = &snapshot.catalog.exchanges()[position];
        let shown = Credentials { headers: &head.headers, path_secret, peer: peer.ip() };
        if !is_authentic(profile, &shown) {
            return Err(StatusCode::UNAUTHORIZED);
        }
        // OpenRTB knows POST only (section 2.1), and 404 is the one of its answers that fits another method.
        if head.method != Method::POST || segments.next().is_some() {
            return Err(StatusCode::NOT_FOUND);
        }
        let slot = self.core.borrow_mut().exchanges.of(snapshot, position, &self.shared).0;
        Ok(Recognised { snapshot, profile, position, slot, arrived_ns })
    }

    /// Why the request must be answered 204 unread, if it must.
    fn must_shed(&self, known: &Recognised<'_>, has_place: bool) -> Option<Shed> {
        if !has_place {
            return Some(Shed::InFlight);
        }
        if self.overload.sheds() {
            return Some(Shed::Queue);
        }
        if self.shared.over_open_holds.load().contains(&known.profile.id) {
            return Some(Shed::OpenHolds);
        }
        let per_second = u64::from(known.profile.max_qps?);
        let cores = self.shared.metrics.cores() as u64;
        let core = &mut *self.core.borrow_mut();
        let cap = &mut core.exchanges.of(known.snapshot, known.position, &self.shared).1;
        (!cap.allow(known.arrived_ns, per_second.div_ceil(cores))).then_some(Shed::Qps)
    }

    fn count(&self, slot: ExchangeSlot, outcome: Outcome) {
        self.metrics.exchange(slot).outcome(outcome).inc();
    }

    fn refuse(&self, slot: ExchangeSlot, outcome: Outcome, status: StatusCode) -> Answer {
        self.count(slot, outcome);
        empty(status)
    }

    /// Parse, decide, respond, record: no `.await` from here to the answer.
    fn answer(&self, known: &Recognised<'_>, received: &Received<'_>) -> Answer {
        let core = &mut *self.core.borrow_mut();
        core.written.clear();
        let started_ns = self.shared.clock.mono_ns();
        // A panic in parsing or markup costs one answer, not the process; holds release themselves on unwind.
        let line = catch_unwind(AssertUnwindSafe(|| {
            let outcome = self.straight_line(known, received, core);
            received.format.apply(&core.arena, &mut core.written, &mut core.encoded);
            outcome
        }));
        core.arena.reset();
        if core.arena.allocated_bytes() > ARENA_KEEP_BYTES {
            core.arena = Bump::new();
        }
        self.metrics.decision_latency.record_ns(self.shared.clock.mono_ns().saturating_sub(started_ns));
        match line {
            Ok(Outcome200::Written(outcome)) => {
                self.count(known.slot, outcome);
                written(&core.written, received, self.shared.config.server.gzip_min_bytes)
            }
            Ok(Outcome200::Nothing(reason)) => {
                let late = reason == NoBidReason::Deadline;
                self.count(known.slot, if late { Outcome::Deadline } else { Outcome::NoBid });
                empty(StatusCode::NO_CONTENT)
            }
            Ok(Outcome200::Refused(status, kind)) => {
                self.metrics.exchange(known.slot).parse_error(kind).inc();
                let large = status == StatusCode::PAYLOAD_TOO_LARGE;
                self.refuse(known.slot, if large { Outcome::TooLarge } else { Outcome::BadRequest }, status)
            }
            Err(_) => {
                self.metrics.panics.inc();
                self.refuse(known.slot, Outcome::Error, StatusCode::NO_CONTENT)
            }
        }
    }

    /// The body as it is parsed, and the limits that hold for it.
    fn plain<'b>(
        &self,
        received: &Received<'b>,
        inflater: &mut Inflater,
        inflated: &'b mut Vec<u8>,
    ) -> Result<(&'b [u8], Limits), InflateError> {
        let limits = **self.shared.limits.load();
        if !is_gzip(received.headers) {
            return Ok((received.body, limits));
        }
        inflated.clear();
        inflater.inflate(received.body, limits.inflated_body, inflated)?;
        Ok((inflated, limits.inflated()))
    }

    fn straight_line(
        &self,
        known: &Recognised<'_>,
        received: &Received<'_>,
        core: &mut BidCore,
    ) -> Outcome200 {
        let shared = &*self.shared;
        let (body, limits) = match self.plain(received, &mut core.inflater, &mut core.inflated) {
            Ok(plain) => plain,
            Err(error) => return Outcome200::Refused(status(error.status()), ParseErrorKind::Encoding),
        };
        let protobuf = matches!(received.format, Format::Protobuf(_));
        let auction = match exchange::parse_either(body, protobuf, &limits, &core.arena) {
            Ok(auction) => auction,
            Err(error) => return Outcome200::Refused(status(error.status()), kind_of(&error)),
        };
        let request = Request {
            auction: &auction,
            profile: known.profile,
            snapshot: known.snapshot,
            audience: shared.audience(),
            remembered: None,
            frequency: Some(&shared.frequency),
            id_key: shared.id_key(),
            settings: &shared.settings,
            now: shared.clock.now(),
            arena: &core.arena,
        };
        let budget_us = shared.config.engine.budget_us;
        let times = Times { arrived_ns: known.arrived_ns, waited_ns: self.overload.waited_ns() };
        let deadline = Deadline::new(&*shared.clock, times, auction.tmax_ms, known.profile, budget_us);
        if !core.counter.tally.is_off() {
            shared.funnels.offer(auction.id, (body, protobuf), known.profile.id, request.now);
        }
        let watch = &mut core.counter.tally.watch();
        let decided = engine::decide(&request, &mut core.engine, &mut core.budget, &deadline, watch);
        shared.samples.offer(core.engine.person(), &auction, (body, protobuf), known.profile.id, request.now);
        let offered = (known.position, &auction);
        for survivors in &core.engine.last_survivors {
            self.metrics.survivors.count(*survivors);
        }
        if let Some(permissions) = core.engine.last_permissions {
            self.metrics.restriction(permissions.restriction()).inc();
            self.metrics.us_privacy_ignored.add(u64::from(permissions.us_privacy_ignored()));
        }
        let decision = match decided {
            Ok(decision) => decision,
            Err(reason) => {
                core.counter.count(shared, known.snapshot, offered, Some(reason), false);
                core.recorder.no_bid(&auction, known.profile.id, reason, request.now.unix_ms);
                return self.no_bid(known, &auction, reason, &mut core.written);
            }
        };
        let keys = shared.token_keys.load();
        let response = Response {
            request_id: auction.id,
            bids: &decision.bids,
            profile: known.profile,
            keys: &keys,
            urls: &shared.public_url,
            place: Place::of(&auction.channel),
        };
        let done = respond::write(&response, &mut core.written);
        for skipped in &done.skipped {
            let bid = &decision.bids[skipped.bid];
            if let Some(ix) = known.snapshot.catalog.line_item_ix(bid.claims.line_item) {
                core.counter.tally.unwritten(bid.imp_index, ix);
            }
        }
        for skipped in &done.skipped {
            tracing::warn!(exchange = %known.profile.name, why = %skipped.why, "a bid cannot be written");
        }
        if done.bids == 0 || deadline.passed() {
            core.written.clear();
            let reason = if done.bids == 0 { NoBidReason::LimitExceeded } else { NoBidReason::Deadline };
            core.counter.count(shared, known.snapshot, offered, Some(reason), done.bids > 0);
            core.recorder.no_bid(&auction, known.profile.id, reason, request.now.unix_ms);
            return self.no_bid(known, &auction, reason, &mut core.written);
        }
        let is_written = |index: usize| done.skipped.iter().all(|skipped| skipped.bid != index);
        let sent =
            decision.bids.iter().enumerate().filter(|(index, _)| is_written(*index)).map(|(_, bid)| bid);
        core.counter.count(shared, known.snapshot, offered, None, false);
        core.recorder.bids(&auction, sent, request.now.unix_ms);
        // From here on the answer goes out: what it promises stays held. A test moves no money.
        for (index, (hold, show)) in decision.holds.into_iter().zip(decision.shows).enumerate() {
            if !auction.test && is_written(index) {
                hold.keep();
                show.into_iter().for_each(Pending::keep);
            }
        }
        self.metrics.exchange(known.slot).bids.add(done.bids as u64);
        Outcome200::Written(Outcome::Bid)
    }

    /// 204, or 200 with `nbr` where the profile asks for it and OpenRTB has a code.
    fn no_bid(
        &self,
        known: &Recognised<'_>,
        auction: &Auction<'_>,
        reason: NoBidReason,
        out: &mut Vec<u8>,
    ) -> Outcome200 {
        self.metrics.no_bid(reason).inc();
        match reason.nbr().filter(|_| known.profile.send_nbr && reason != NoBidReason::Deadline) {
            Some(nbr) => {
                respond::write_no_bid(auction.id, nbr, out);
                Outcome200::Written(Outcome::NoBid)
            }
            None => Outcome200::Nothing(reason),
        }
    }
}

impl Handler for BidHandler {
    type Body = http_body_util::Full<bytes::Bytes>;

    async fn handle(self: Rc<Self>, request: hyper::Request<Incoming>, peer: SocketAddr) -> Answer {
        let arrived_ns = self.shared.clock.mono_ns();
        let (head, body) = request.into_parts();
        let snapshot = Arc::clone(self.core.borrow_mut().snapshots.load());
        let known = match self.recognise(&snapshot, &head, peer, arrived_ns) {
            Ok(known) => known,
            // A stranger's body is not read.
            Err(status) => return last(self.refuse(ExchangeSlot::default(), Outcome::Unauthorized, status)),
        };
        let place = InFlight::enter(&self.shared.in_flight, self.shared.config.server.max_in_flight);
        let shed = self.must_shed(&known, place.is_some());
        let timeout = Duration::from_millis(u64::from(self.shared.config.server.body_timeout_ms));
        // The body is read in any case, or the connection could not be used again.
        let (limit, room) = (self.shared.limits.load().body, &self.shared.body_room);
        let body = body::read(body, limit, room, timeout).await;
        let is_whole = body.is_ok();
        let answer = match (body, shed) {
            (_, Some(reason)) => {
                self.metrics.shed(reason).inc();
                self.refuse(known.slot, Outcome::Shed, StatusCode::NO_CONTENT)
            }
            (Ok(body), None) => match Format::of(&head.headers) {
                Some(format) => {
                    self.answer(&known, &Received { headers: &head.headers, body: &body, format })
                }
                None => {
                    self.metrics.exchange(known.slot).parse_error(ParseErrorKind::Encoding).inc();
                    self.refuse(known.slot, Outcome::BadRequest, StatusCode::UNSUPPORTED_MEDIA_TYPE)
                }
            },
            (Err(BodyError::TooLarge), None) => {
                self.metrics.exchange(known.slot).parse_error(ParseErrorKind::Limit).inc();
                self.refuse(known.slot, Outcome::TooLarge, StatusCode::PAYLOAD_TOO_LARGE)
            }
            (Err(BodyError::NoRoom), None) => {
                self.metrics.shed(Shed::BodyMemory).inc();
                self.refuse(known.slot, Outcome::Shed, StatusCode::NO_CONTENT)
            }
            (Err(BodyError::Incomplete), None) => {
                self.refuse(known.slot, Outcome::BadRequest, StatusCode::BAD_REQUEST)
            }
        };
        self.metrics.bid_latency.record_ns(self.shared.clock.mono_ns().saturating_sub(arrived_ns));
        if is_whole { answer } else { last(answer) }
    }
}

impl ExchangeRows {
    fn of(&mut self, snapshot: &Snapshot, position: usize, shared: &Shared) -> &mut (ExchangeSlot, RateCap) {
        if self.catalog_version != Some(snapshot.catalog.version) {
            self.catalog_version = Some(snapshot.catalog.version);
            let slot = |profile: &ExchangeProfile| shared.metrics.exchange_slot(&profile.name);
            let known = std::mem::take(&mut self.ids).into_iter().zip(std::mem::take(&mut self.rows));
            let mut caps: BTreeMap<ExchangeId, RateCap> = known.map(|(id, (_, cap))| (id, cap)).collect();
            for profile in snapshot.catalog.exchanges() {
                // A catalog that is new gives nobody another burst.
                self.rows.push((slot(profile), caps.remove(&profile.id).unwrap_or_default()));
                self.ids.push(profile.id);
            }
        }
        &mut self.rows[position]
    }
}

fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::BAD_REQUEST)
}

fn kind_of(error: &ParseError) -> ParseErrorKind {
    match error {
        ParseError::TooDeep { .. } => ParseErrorKind::Depth,
        ParseError::Malformed { .. } | ParseError::MalformedProtobuf => ParseErrorKind::Syntax,
        ParseError::TooLarge { .. } | ParseError::LimitExceeded { .. } => ParseErrorKind::Limit,
        _ => ParseErrorKind::Shape,
    }
}

impl Format {
    /// Protobuf, or JSON, or nothing said, which is JSON (OpenRTB 2.6 section 2.3), whatever the parameters; a body as it
    /// is, or gzip. `None` = nothing that is read here.
    fn of(headers: &HeaderMap) -> Option<Format> {
        let encoding = headers.get(CONTENT_ENCODING).map_or("", |value| value.to_str().unwrap_or("?")).trim();
        if !["", "identity", "gzip", "x-gzip"].iter().any(|known| encoding.eq_ignore_ascii_case(known)) {
            return None;
        }
        let media = headers.get(CONTENT_TYPE).map_or("", |value| value.to_str().unwrap_or("?"));
        let media = media.split(';').next().unwrap_or_default().trim();
        let is = |known: &&str| media.eq_ignore_ascii_case(known);
        if ["", "application/json", "text/json", "text/plain"].iter().any(is) {
            return Some(Format::Json);
        }
        PROTOBUF.into_iter().find(is).map(Format::Protobuf)
    }

    fn content_type(self) -> &'static str {
        match self {
            Format::Json => "application/json",
            Format::Protobuf(received) => received,
        }
    }

    /// Turns an answer, which is always written in JSON first, into what the request was written in; an empty one, which
    /// is none, stays as it is.
    fn apply(self, arena: &Bump, written: &mut Vec<u8>, spare: &mut Vec<u8>) {
        if let (Format::Protobuf(_), false) = (self, written.is_empty()) {
            spare.clear();
            exchange::encode_answer(written, arena, spare);
            std::mem::swap(written, spare);
        }
    }
}

fn is_gzip(headers: &HeaderMap) -> bool {
    let encoding = headers.get(CONTENT_ENCODING).map_or(&b""[..], |value| value.as_bytes()).trim_ascii();
    encoding.eq_ignore_ascii_case(b"gzip") || encoding.eq_ignore_ascii_case(b"x-gzip")
}

/// Whether `accept-encoding` names gzip with a weight above zero (RFC 9110 section 12.5.3).
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let listed = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    listed.flat_map(|value| value.split(',')).any(|coding| {
        let (name, parameters) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = parameters.trim().strip_prefix("q=").map_or(1.0, |q| q.parse::<f32>().unwrap_or(0.0));
        name.trim().eq_ignore_ascii_case("gzip") && weight > 0.0
    })
}

/// 200 with the written body, compressed where the exchange takes it and it is long enough to gain.
fn written(body: &[u8], received: &Received<'_>, gzip_min_bytes: usize) -> Answer {
    let compress = gzip_min_bytes > 0 && body.len() >= gzip_min_bytes && accepts_gzip(received.headers);
    let payload = if compress { exchange::deflate(body).into() } else { Bytes::copy_from_slice(body) };
    let mut answer = answer(StatusCode::OK, received.format.content_type(), payload);
    answer.headers_mut().insert(OPENRTB_VERSION.0, OPENRTB_VERSION.1);
    if compress {
        answer.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    answer
}
