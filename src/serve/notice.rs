//! Notices: win, billing, loss, impression, click. Each token is verified before anything happens; the shared bid id
//! is the guard against counting or charging twice (money.md 2.4).
//!
//! What must never happen here: a notice of a test or an audit rendering that moves anything, a click that leads
//! elsewhere than its creative says, a log line with a whole token.

use super::http::{Answer, Handler, answer, empty};
use super::state::Shared;
use crate::budget::{Bill, Posting, Resolution, Seen};
use crate::exchange::{NoticeKind, NoticePath, NoticeQuery, Notified, TokenError, decode_token, price};
use crate::model::exchange::{BillingEvent, ExchangeAuth, ExchangeProfile, MissingPrice};
use crate::model::ids::LineItemId;
use crate::model::money::{Cpm, Nanos};
use crate::model::token::TokenClaims;
use crate::telemetry::catalogue;
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, HeaderName, HeaderValue, LOCATION, REFERRER_POLICY};
use hyper::{Method, Request, StatusCode};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

/// A transparent GIF of one pixel.
const PIXEL: &[u8] =
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\x00\
\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;";
/// On loopback test profiles the answer says what became of the notice (money.md 2.9).
const CLASS_HEADER: HeaderName = HeaderName::from_static("x-outbid-notice");

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
        }
    }
}

/// Answers the tracking listener.
pub(super) struct NoticeHandler {
    shared: Arc<Shared>,
}

impl NoticeHandler {
    pub(super) fn new(shared: Arc<Shared>) -> NoticeHandler {
        NoticeHandler { shared }
    }

    fn notice(&self, request: &Request<Incoming>) -> Answer {
        let Some(path) = NoticePath::parse(request.uri().path()) else { return empty(StatusCode::NOT_FOUND) };
        if ![Method::GET, Method::POST, Method::HEAD].contains(request.method()) {
            return empty(StatusCode::METHOD_NOT_ALLOWED);
        }
        let claims = match decode_token(path.token, path.kind.class(), &self.shared.token_keys) {
            Ok(claims) => claims,
            Err(error) => return self.forged(path.kind, error),
        };
        let snapshot = self.shared.snapshots.load();
        let profile = snapshot.catalog.exchange_by_id(claims.exchange);
        let query = NoticeQuery::parse(request.uri().query().unwrap_or_default());
        let unseen = request.method() == Method::HEAD || is_prefetch(request);
        let class = match profile {
            _ if unseen => Class::Unseen,
            Some(profile) => self.act(path.kind, profile, &claims, &query),
            None => Class::Rejected,
        };
        if path.mangled || query.mangled {
            self.count(path.kind, "mangled");
        }
        self.count(path.kind, class.as_str());
        let mut answer = match path.kind {
            NoticeKind::Impression => pixel(),
            NoticeKind::Click => match snapshot.catalog.creative_by_id(claims.creative) {
                Some(entry) => redirect(&entry.creative.click_url),
                None => empty(StatusCode::NOT_FOUND),
            },
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
            NoticeKind::Impression => pixel(),
            NoticeKind::Click => empty(StatusCode::NOT_FOUND),
            _ => empty(StatusCode::FORBIDDEN),
        }
    }

    fn act(
        &self,
        kind: NoticeKind,
        profile: &ExchangeProfile,
        claims: &TokenClaims,
        query: &NoticeQuery<'_>,
    ) -> Class {
        let billing = match kind {
            NoticeKind::Win => profile.billing_event == BillingEvent::Nurl,
            NoticeKind::Billing => profile.billing_event == BillingEvent::Burl,
            NoticeKind::Impression => profile.billing_event == BillingEvent::Impression,
            NoticeKind::Loss | NoticeKind::Click => false,
        };
        // A browser could have rewritten a public URL's price, so there the token's stands (money.md 2.4).
        let price = match kind {
            NoticeKind::Impression => Notified::Value(claims.price),
            _ => price::read(query.price, profile.price_codec, profile.price_unit),
        };
        if claims.test || (price == Notified::Audit && kind != NoticeKind::Impression) {
            return Class::Test;
        }
        let counted = self.witness(kind, claims);
        if billing {
            return self.bill(profile, claims, query, price);
        }
        match kind {
            NoticeKind::Loss => self.lose(claims),
            // A billing notice of a profile that bills by another event only counts.
            _ if counted => Class::Accepted,
            _ => Class::Duplicate,
        }
    }

    /// Counts an event once per bid.
    fn witness(&self, kind: NoticeKind, claims: &TokenClaims) -> bool {
        let fact = match kind {
            NoticeKind::Win => Seen::Won,
            NoticeKind::Impression => Seen::Impressed,
            NoticeKind::Click => Seen::Clicked,
            NoticeKind::Loss => Seen::Lost,
            NoticeKind::Billing => return true,
        };
        let new = self.shared.ledger.witness(claims.bid, claims.issued_s, fact);
        if new {
            self.deliver(claims.line_item, |delivery| match kind {
                NoticeKind::Win => delivery.wins += 1,
                NoticeKind::Impression => delivery.impressions += 1,
                NoticeKind::Click => delivery.clicks += 1,
                NoticeKind::Loss => delivery.losses += 1,
                NoticeKind::Billing => {}
            });
        }
        new
    }

    fn bill(
        &self,
        profile: &ExchangeProfile,
        claims: &TokenClaims,
        query: &NoticeQuery<'_>,
        notified: Notified<Cpm>,
    ) -> Class {
        let other_currency = query.currency.value().is_some_and(|currency| currency != claims.currency);
        let price = match notified {
            Notified::Value(price) if !other_currency => price,
            _ if profile.missing_price == MissingPrice::Bid => claims.price,
            _ => return Class::Rejected,
        };
        let bill = Bill { price, multiplier_ppm: query.multiplier_ppm.value() };
        let posting = self.shared.ledger.post(claims, bill, self.shared.clock.now());
        let (class, charged) = match posting {
            Posting::Accepted { charged } => (Class::Accepted, Some(charged)),
            Posting::Late { charged, house: Nanos(0) } => (Class::Late, Some(charged)),
            Posting::Late { .. } => (Class::House, None),
            Posting::Duplicate => (Class::Duplicate, None),
            Posting::Stale => (Class::Stale, None),
            Posting::Test => (Class::Test, None),
        };
        if let Some(charged) = charged {
            self.deliver(claims.line_item, |delivery| {
                delivery.billed += 1;
                delivery.spend.0 += charged.0;
            });
        }
        class
    }

    fn lose(&self, claims: &TokenClaims) -> Class {
        match self.shared.ledger.void(claims) {
            Resolution::Voided => Class::Accepted,
            Resolution::Duplicate => Class::Duplicate,
            Resolution::Contradictory => Class::Rejected,
            Resolution::Ignored => Class::Stale,
        }
    }

    fn deliver(&self, line_item: LineItemId, change: impl FnOnce(&mut Delivery)) {
        change(&mut self.shared.delivery.entry(line_item).or_default());
    }

    fn count(&self, kind: NoticeKind, outcome: &str) {
        let kind = match kind {
            NoticeKind::Win => "win",
            NoticeKind::Billing => "billing",
            NoticeKind::Loss => "loss",
            NoticeKind::Impression => "impression",
            NoticeKind::Click => "click",
        };
        self.shared.metrics.counter(catalogue::NOTICES, &[kind, outcome]).increment(1);
    }
}

impl Handler for NoticeHandler {
    async fn handle(self: Rc<Self>, request: Request<Incoming>, _peer: SocketAddr) -> Answer {
        let started_ns = self.shared.clock.mono_ns();
        let answer = self.notice(&request);
        self.shared
            .metrics
            .notice_latency()
            .record_ns(self.shared.clock.mono_ns().saturating_sub(started_ns));
        answer
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

fn pixel() -> Answer {
    let mut answer = answer(StatusCode::OK, "image/gif", PIXEL);
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// To the creative's own landing page; its host was checked when the account was loaded.
fn redirect(click_url: &str) -> Answer {
    let Ok(location) = HeaderValue::from_str(click_url) else { return empty(StatusCode::NOT_FOUND) };
    let mut answer = empty(StatusCode::FOUND);
    let headers = answer.headers_mut();
    headers.insert(LOCATION, location);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer-when-downgrade"));
    answer
}
