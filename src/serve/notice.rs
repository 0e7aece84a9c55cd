//! Notices: win, billing, loss, impression, click, and what players report. Each token is verified before anything happens; the shared bid id
//! is the guard against counting or charging twice (money.md 2.4).
//!
//! What must never happen here: a notice of a test or an audit rendering that moves anything, a click that leads
//! elsewhere than its creative says, a log line with a whole token.

use super::billing::{self, Asked, Assessment};
use super::conversion;
use super::http::{Answer, Handler, empty};
use super::person::{People, PersonPath, pixel};
use super::record;
use super::state::{Phase, Shared};
use crate::budget::frequency::Show;
use crate::budget::{Posting, Resolution, Seen};
use crate::exchange::price;
use crate::exchange::{NoticeKind, NoticePath, NoticeQuery, Notified, TokenClass, TokenError, verify_token};
use crate::model::clock::Now;
use crate::model::creative::{Creative, StreamEvent};
use crate::model::event::NoticeEvent;
use crate::model::exchange::{BillingEvent, ExchangeAuth, ExchangeProfile};
use crate::model::funnel::{After, Loss};
use crate::model::ids::UserKey;
use crate::model::money::Nanos;
use crate::model::token::TokenClaims;
use crate::model::url::HttpUrl;
use crate::telemetry::catalogue;
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, HeaderName, HeaderValue, LOCATION, REFERRER_POLICY};
use hyper::{Method, Request, StatusCode};
use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// On loopback test profiles the answer says what became of the notice (money.md 2.9).
const CLASS_HEADER: HeaderName = HeaderName::from_static("x-outbid-notice");

/// A token from further ahead of our clock than this is no token of ours.
const MAX_AHEAD_S: i64 = 300;
/// Lines about odd bills are at least this far apart.
const LOG_EVERY_NS: u64 = 1_000_000_000;
/// How often the tracking listener shows that it lives.
const PULSE: Duration = Duration::from_millis(100);

/// What is known of a line item's delivery since the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Delivery {
    /// Win notices.
    pub wins: u64,
    /// Charged bills.
    pub billed: u64,
    /// What they charged, in the advertiser's currency.
    pub spend: Nanos,
    /// Impressions.
    pub impressions: u64,
    /// Clicks.
    pub clicks: u64,
    /// Loss notices.
    pub losses: u64,
    /// Conversions that are its success and follow from its ads.
    pub conversions: u64,
    /// What they brought, in the advertiser's currency.
    pub revenue: Nanos,
    /// Seconds from the ad to each of them, in all.
    pub conversion_delay_s: u64,
}

/// What became of a notice: the value of [`CLASS_HEADER`] and of the metric's label.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Class {
    Accepted,
    Duplicate,
    Late,
    House,
    Stale,
    Rejected,
    Test,
    Forged,
    /// HEAD or prefetch: nobody saw or clicked anything.
    Unseen,
    /// Nothing can be written now: 503, the exchange sends it again.
    Unavailable,
}

impl Class {
    fn as_str(self) -> &'static str {
        match self {
            Class::Accepted => "accepted",
            Class::Duplicate => "duplicate",
            Class::Late => "late",
            Class::House => "house",
            Class::Stale => "stale",
            Class::Rejected => "rejected",
            Class::Test => "test",
            Class::Forged => "forged",
            Class::Unseen => "unseen",
            Class::Unavailable => "unavailable",
        }
    }
}

/// Answers the tracking listener.
pub(super) struct NoticeHandler {
    shared: Arc<Shared>,
    people: People,
    /// No line about an odd bill before this.
    next_log_ns: Cell<u64>,
}

impl NoticeHandler {
    /// The handler, with the pulse that tells the ear clocks of the ledger that notices are heard. On the thread of
    /// the tracking listener, so that the pulse stops when that thread does.
    pub(super) fn new(shared: Arc<Shared>) -> NoticeHandler {
        let (listener, clock) = (Arc::downgrade(&shared), Arc::clone(&shared.clock));
        tokio::task::spawn_local(async move {
            while let Some(shared) = listener.upgrade().filter(|shared| shared.phase() < Phase::Closing) {
                shared.ledger.gates().hear(clock.now());
                drop(shared);
                tokio::time::sleep(PULSE).await;
            }
        });
        NoticeHandler { people: People::new(Arc::clone(&shared)), shared, next_log_ns: Cell::new(0) }
    }

    async fn notice(&self, request: &Request<Incoming>) -> Answer {
        let Some(path) = NoticePath::parse(request.uri().path()) else { return empty(StatusCode::NOT_FOUND) };
        if ![Method::GET, Method::POST, Method::HEAD].contains(request.method()) {
            return empty(StatusCode::METHOD_NOT_ALLOWED);
        }
        let (claims, signed_as) = match verify_token(path.token, &self.shared.token_keys.load()) {
            Ok(verified) => verified,
            Err(error) => return self.forged(path.kind, error),
        };
        let snapshot = self.shared.snapshots.load();
        let profile = snapshot.catalog.exchange_by_id(claims.exchange);
        if signed_as != profile.map_or(path.kind.class(), |profile| path.kind.class_in(profile)) {
            return self.forged(path.kind, TokenError::BadTag);
        }
        let query = NoticeQuery::parse(request.uri().query().unwrap_or_default());
        let unseen = request.method() == Method::HEAD || is_prefetch(request);
        let class = match profile {
            _ if unseen => Class::Unseen,
            Some(profile) => self.act(path.kind, profile, &claims, &query).await,
            None => self.orphan(path.kind, &claims),
        };
        if path.mangled || query.mangled {
            self.count(path.kind, "mangled");
        }
        self.count(path.kind, class.as_str());
        if path.kind == NoticeKind::Event {
            self.count_event(&query, class);
        }
        let mut answer = match path.kind {
            NoticeKind::Impression | NoticeKind::Event => pixel(),
            NoticeKind::Click => match snapshot.catalog.creative_by_id(claims.creative) {
                Some(entry) => redirect(&entry.creative),
                None => empty(StatusCode::NOT_FOUND),
            },
            _ if class == Class::Unavailable => empty(StatusCode::SERVICE_UNAVAILABLE),
            _ => empty(StatusCode::NO_CONTENT),
        };
        if profile.is_some_and(|profile| profile.auth == ExchangeAuth::LoopbackOnly) {
            answer.headers_mut().insert(CLASS_HEADER, HeaderValue::from_static(class.as_str()));
        }
        answer
    }

    /// A bad tag: 403 on a server route, the same pixel on a public one, nowhere to go for a click.
    fn forged(&self, kind: NoticeKind, error: TokenError) -> Answer {
        self.count(kind, Class::Forged.as_str());
        tracing::debug!(?kind, %error, "a notice did not verify");
        match kind {
            NoticeKind::Impression | NoticeKind::Event => pixel(),
            NoticeKind::Click => empty(StatusCode::NOT_FOUND),
            _ => empty(StatusCode::FORBIDDEN),
        }
    }

    async fn act(
        &self,
        kind: NoticeKind,
        profile: &ExchangeProfile,
        claims: &TokenClaims,
        query: &NoticeQuery<'_>,
    ) -> Class {
        let now = self.shared.clock.now();
        // A profile whose `burl` browsers fire was sent no `lurl`, so this one is not the exchange's.
        let loss_is_off = kind == NoticeKind::Loss && profile.burl_in_browser;
        if loss_is_off || i64::from(claims.issued_s) > now.unix_s() + MAX_AHEAD_S {
            return Class::Rejected;
        }
        let assessed = bills(kind, profile).then(|| billing::assess(profile, claims, query, now.unix_s()));
        let is_audit = match &assessed {
            Some(assessed) => assessed.asked == Asked::Audit,
            // A browser's word is not asked for.
            None => kind.class_in(profile) == TokenClass::Server && query.is_audit(),
        };
        if claims.test || is_audit {
            return Class::Test;
        }
        if kind == NoticeKind::Event {
            return self.play(claims, query).await;
        }
        let counted = self.witness(kind, claims);
        if counted {
            self.tell(kind, profile, claims, query).await;
        }
        match (kind, assessed) {
            (_, Some(assessed)) => {
                let class = self.bill(profile, claims, &assessed, now).await;
                if matches!(class, Class::Accepted | Class::Late | Class::House) {
                    self.show(claims, now);
                }
                class
            }
            (NoticeKind::Loss, None) => {
                self.shared.frequency.end(claims.user, claims.bid);
                if counted {
                    self.count_loss(profile, claims, Loss::of(query.loss.value()), now);
                }
                self.lose(claims).await
            }
            // A billing notice of a profile that bills by another event only counts.
            _ if counted => Class::Accepted,
            _ => Class::Duplicate,
        }
    }

    /// What a player reports: counted once per bid and event, and nothing is paid for it. A click that opened the page
    /// of somebody else is a click like any other.
    async fn play(&self, claims: &TokenClaims, query: &NoticeQuery<'_>) -> Class {
        let fact = match query.event.value() {
            Some(StreamEvent::Start) => 1,
            Some(StreamEvent::FirstQuartile) => 2,
            Some(StreamEvent::Midpoint) => 4,
            Some(StreamEvent::ThirdQuartile) => 8,
            Some(StreamEvent::Complete) => 16,
            Some(StreamEvent::Skip) => 32,
            Some(StreamEvent::Error) => 64,
            Some(StreamEvent::Click) => {
                if !self.witness(NoticeKind::Click, claims) {
                    return Class::Duplicate;
                }
                self.click(claims).await;
                return Class::Accepted;
            }
            // An impression may book money and has a URL of its own.
            Some(StreamEvent::Impression) | None => return Class::Rejected,
        };
        let new = {
            let mut played = self.shared.played.lock();
            !played.is_stale(claims.bid) && played.record_bit(claims.bid, claims.issued_s, fact)
        };
        if let (true, Some(event)) = (new, query.event.value()) {
            record::notice(&self.shared, NoticeEvent::Player(event), claims, None);
        }
        if new { Class::Accepted } else { Class::Duplicate }
    }

    /// Records an event that counted. Of a bill it is the ledger that records it, when it is charged.
    async fn tell(
        &self,
        kind: NoticeKind,
        profile: &ExchangeProfile,
        claims: &TokenClaims,
        query: &NoticeQuery<'_>,
    ) {
        let now_s = self.shared.clock.now().unix_s();
        let price = |raw: &str| {
            let price = price::read(raw, &profile.price_codec, profile.price_unit, now_s);
            price.ok().and_then(Notified::value)
        };
        let event = match kind {
            NoticeKind::Win => NoticeEvent::Win(price(query.price)),
            NoticeKind::Loss => NoticeEvent::Loss(query.loss.value()),
            NoticeKind::Impression => NoticeEvent::Impression,
            NoticeKind::Click => return self.click(claims).await,
            NoticeKind::Billing | NoticeKind::Event => return,
        };
        if kind == NoticeKind::Impression {
            conversion::touched(&self.shared, claims, false);
        }
        let told = matches!(kind, NoticeKind::Win | NoticeKind::Loss);
        let min_to_win = if told { price(query.min_to_win) } else { None };
        record::notice(&self.shared, event, claims, min_to_win.filter(|price| price.0 > 0));
    }

    async fn click(&self, claims: &TokenClaims) {
        conversion::touched(&self.shared, claims, true);
        record::click(&self.shared, claims).await;
    }

    /// Counts an event once per bid.
    fn witness(&self, kind: NoticeKind, claims: &TokenClaims) -> bool {
        let fact = match kind {
            NoticeKind::Win => Seen::Won,
            NoticeKind::Impression => Seen::Impressed,
            NoticeKind::Click => Seen::Clicked,
            NoticeKind::Loss => Seen::Lost,
            NoticeKind::Billing | NoticeKind::Event => return true,
        };
        let new = {
            let mut seen = self.shared.seen.lock();
            !seen.is_stale(claims.bid) && seen.record(claims.bid, claims.issued_s, fact)
        };
        if new {
            let mut after = After::default();
            match kind {
                NoticeKind::Win => after.wins = 1,
                NoticeKind::Impression => after.impressions = 1,
                NoticeKind::Click => after.clicks = 1,
                // Why is counted where it is read.
                NoticeKind::Loss => {
                    self.shared.delivery.entry(claims.line_item).or_default().losses += 1;
                    return true;
                }
                NoticeKind::Billing | NoticeKind::Event => {}
            }
            self.deliver(claims, &after);
        }
        new
    }

    async fn bill(
        &self,
        profile: &ExchangeProfile,
        claims: &TokenClaims,
        assessed: &Assessment,
        now: Now,
    ) -> Class {
        let Asked::Charge(bill) = assessed.asked else {
            self.flag(profile, claims, assessed, now);
            return Class::Rejected;
        };
        // The journal is kept and copied as the event log is, so it names nobody either.
        let user = self.shared.events.as_ref().map_or(UserKey(0), |events| events.cover(claims.user));
        let claims = &TokenClaims { user, ..*claims };
        let (sender, receiver) = oneshot::channel();
        let reply = Box::new(move |posting| {
            // The exchange may have hung up; its retry hears of it.
            let _gone = sender.send(posting);
        });
        self.shared.ledger.post_then(claims, bill, now, reply);
        let posting = receiver.await.unwrap_or(Posting::Unavailable);
        let (class, charged) = match posting {
            Posting::Accepted { charged } => (Class::Accepted, Some(charged)),
            Posting::Late { charged, house: Nanos(0) } => (Class::Late, Some(charged)),
            Posting::Late { .. } => (Class::House, None),
            Posting::Duplicate => (Class::Duplicate, None),
            Posting::Stale => (Class::Stale, None),
            Posting::Test => (Class::Test, None),
            Posting::Unavailable => (Class::Unavailable, None),
        };
        // Exchanges retry for a minute: one odd bill is one alarm.
        if ![Class::Duplicate, Class::Unavailable].contains(&class) {
            self.flag(profile, claims, assessed, now);
        }
        if let Some(charged) = charged {
            self.deliver(claims, &After { billed: 1, spend: charged, ..After::default() });
        }
        class
    }

    /// Counts the impression for the frequency caps that it falls under.
    fn show(&self, claims: &TokenClaims, now: Now) {
        if claims.user == UserKey(0) {
            return;
        }
        let snapshot = self.shared.snapshots.load();
        let show = Show {
            user: claims.user,
            bid: claims.bid,
            exchange: claims.exchange,
            issued_s: claims.issued_s,
            at_s: now.second(),
        };
        self.shared.frequency.count(&show, snapshot.catalog.capped_by(claims.line_item, claims.creative));
    }

    /// Counts what is odd about a bill and logs it, at most once a second: when units differ, every bill is odd.
    fn flag(&self, profile: &ExchangeProfile, claims: &TokenClaims, assessed: &Assessment, now: Now) {
        for flag in &assessed.flags {
            self.shared
                .metrics
                .counter(catalogue::BILLING_FLAGS, &[&profile.name, flag.as_str()])
                .increment(1);
        }
        if !assessed.flags.is_empty() && now.mono_ns >= self.next_log_ns.get() {
            self.next_log_ns.set(now.mono_ns + LOG_EVERY_NS);
            let (flags, asked) = (&assessed.flags, assessed.asked);
            let (exchange, bid, bid_price) = (&profile.name, claims.bid, claims.price);
            tracing::warn!(exchange, %bid, %bid_price, ?flags, ?asked, "a bill is odd");
        }
    }

    /// A notice of an exchange that is no longer in the account: nobody knows its codec, its units or its billing event,
    /// so nothing is booked, and somebody should look at it.
    fn orphan(&self, kind: NoticeKind, claims: &TokenClaims) -> Class {
        if matches!(kind, NoticeKind::Win | NoticeKind::Billing | NoticeKind::Impression) {
            let exchange = claims.exchange.to_string();
            self.shared.metrics.counter(catalogue::BILLING_FLAGS, &[&exchange, "no_profile"]).increment(1);
            let now_ns = self.shared.clock.mono_ns();
            if now_ns >= self.next_log_ns.get() {
                self.next_log_ns.set(now_ns + LOG_EVERY_NS);
                let (bid, bid_price) = (claims.bid, claims.price);
                tracing::warn!(exchange, %bid, %bid_price, ?kind, "a notice of an exchange that left the account");
            }
        }
        Class::Rejected
    }

    /// Counts why a bid was lost. Prices lose every day; a bid that was not taken for its own fault is for somebody to
    /// look at, and is logged, at most one a second.
    fn count_loss(&self, profile: &ExchangeProfile, claims: &TokenClaims, loss: Loss, now: Now) {
        let (exchange, label) = (&profile.name, loss.label());
        self.shared.metrics.counter(catalogue::LOSSES, &[exchange, &label]).increment(1);
        let mut after = After::default();
        after.lose(loss, 1);
        self.shared.funnels.follow(claims, &after);
        if loss.is_our_fault() && now.mono_ns >= self.next_log_ns.get() {
            self.next_log_ns.set(now.mono_ns + LOG_EVERY_NS);
            let (bid, creative) = (claims.bid, claims.creative);
            tracing::warn!(exchange, %bid, %creative, code = label, "a bid was lost by its own fault");
        }
    }

    async fn lose(&self, claims: &TokenClaims) -> Class {
        let (sender, receiver) = oneshot::channel();
        self.shared.ledger.void_then(claims, move |resolution| {
            let _gone = sender.send(resolution);
        });
        match receiver.await.unwrap_or(Resolution::Ignored) {
            Resolution::Voided => Class::Accepted,
            Resolution::Duplicate => Class::Duplicate,
            Resolution::Contradictory => Class::Rejected,
            Resolution::Ignored => Class::Stale,
        }
    }

    fn deliver(&self, claims: &TokenClaims, after: &After) {
        {
            let mut delivery = self.shared.delivery.entry(claims.line_item).or_default();
            delivery.wins += after.wins;
            delivery.billed += after.billed;
            delivery.spend.0 += after.spend.0;
            delivery.impressions += after.impressions;
            delivery.clicks += after.clicks;
        }
        self.shared.funnels.follow(claims, after);
    }

    fn count(&self, kind: NoticeKind, outcome: &str) {
        let kind = match kind {
            NoticeKind::Win => "win",
            NoticeKind::Billing => "billing",
            NoticeKind::Loss => "loss",
            NoticeKind::Impression => "impression",
            NoticeKind::Click => "click",
            NoticeKind::Event => "event",
        };
        self.shared.metrics.counter(catalogue::NOTICES, &[kind, outcome]).increment(1);
    }

    fn count_event(&self, query: &NoticeQuery<'_>, class: Class) {
        let known = query.event.value().filter(|event| *event != StreamEvent::Impression);
        let event = known.map_or("unknown", StreamEvent::name);
        self.shared.metrics.counter(catalogue::PLAYER_EVENTS, &[event, class.as_str()]).increment(1);
    }
}

impl Handler for NoticeHandler {
    type Body = http_body_util::Full<bytes::Bytes>;

    async fn handle(self: Rc<Self>, request: Request<Incoming>, _peer: SocketAddr) -> Answer {
        if let Some(asked) = PersonPath::parse(request.uri().path()) {
            return self.people.answer(asked, request).await;
        }
        let started_ns = self.shared.clock.mono_ns();
        let answer = self.notice(&request).await;
        self.shared
            .metrics
            .notice_latency()
            .record_ns(self.shared.clock.mono_ns().saturating_sub(started_ns));
        answer
    }
}

/// Whether a notice of this kind books the spend.
fn bills(kind: NoticeKind, profile: &ExchangeProfile) -> bool {
    match kind {
        NoticeKind::Win => profile.billing_event == BillingEvent::Nurl,
        NoticeKind::Billing => profile.billing_event == BillingEvent::Burl,
        NoticeKind::Impression => profile.billing_event == BillingEvent::Impression,
        NoticeKind::Loss | NoticeKind::Click | NoticeKind::Event => false,
    }
}

/// A browser that loads ahead shows nothing to anybody.
fn is_prefetch(request: &Request<Incoming>) -> bool {
    let named = |name: &str| {
        request.headers().get(name).is_some_and(|value| {
            value.to_str().is_ok_and(|text| text.contains("prefetch") || text.contains("prerender"))
        })
    };
    named("sec-purpose") || named("purpose") || named("x-moz")
}

/// To the creative's own landing page, whatever the request's query says. The host was checked when the account was
/// loaded; it is checked again because a redirect to anywhere else would lend our name to it.
fn redirect(creative: &Creative) -> Answer {
    let url = HttpUrl::parse(&creative.click_url).ok();
    let url = url.filter(|url| url.host_is_one_of(&creative.landing_domains));
    let location = url.and_then(|url| HeaderValue::from_str(url.as_str()).ok());
    let Some(location) = location else {
        tracing::error!(creative = %creative.id, "click_url is not within landing_domains; the click goes nowhere");
        return empty(StatusCode::NOT_FOUND);
    };
    let mut answer = empty(StatusCode::FOUND);
    let headers = answer.headers_mut();
    headers.insert(LOCATION, location);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer-when-downgrade"));
    answer
}
