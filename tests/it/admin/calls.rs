//! Calls of the API, whoever answers them, and the resources that trials are made of.

use crate::server::Reply;
use outbid::admin::{Admin, Rate, Setup};
use outbid::config::{self, Sources};
use outbid::model::clock::Clock;
use outbid::model::money::Nanos;
use outbid::serve::{Api, ApiRequest};
use outbid::store::control::Control;
use outbid::telemetry::clock::SystemClock;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;

/// The key of every server here.
pub(super) const KEY: &str = "the first administrator's key";

pub(super) const JSON: (&str, &str) = ("content-type", "application/json");
pub(super) const MERGE: (&str, &str) = ("content-type", "application/merge-patch+json");
pub(super) const ANY_VERSION: (&str, &str) = ("if-match", "*");

/// Somebody who answers.
pub(super) trait Calls {
    /// A call with the administrator's key.
    fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply;

    fn get(&self, path: &str) -> Value {
        expect(200, self.call("GET", path, &[], ""))
    }

    /// Makes something.
    fn make(&self, collection: &str, body: &Value) -> Value {
        expect(201, self.call("POST", &format!("/v1/{collection}"), &[JSON], &body.to_string()))
    }

    /// Changes something, whatever version it has.
    fn patch(&self, path: &str, body: &Value) -> Value {
        expect(200, self.call("PATCH", path, &[MERGE, ANY_VERSION], &body.to_string()))
    }

    /// `POST /v1/…:activate` and the like.
    fn verb(&self, path: &str) -> Value {
        expect(200, self.call("POST", path, &[], ""))
    }

    /// A call that is refused: the pointers of its errors. That it is told by the book is looked at here.
    fn refused(&self, status: u16, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Value {
        let reply = self.call(method, path, headers, body);
        assert_eq!(reply.status, status, "{method} {path} {body}: {}", reply.text());
        problem(&reply)
    }

    /// An exchange, an advertiser with money, a campaign, a creative, a segment and a line item that bids 2.50 on any
    /// banner of 300×250. All of them are number 1 in an empty directory.
    fn make_all(&self) {
        self.make("exchanges", &exchange("north"));
        self.make("advertisers", &advertiser("Harbour"));
        self.fund(1, "100.00");
        self.make("campaigns", &json!({ "name": "Spring", "advertiser_id": "1", "status": "active" }));
        self.make("creatives", &creative("Box"));
        self.make("segments", &json!({ "key": "crm.buyers", "name": "Buyers" }));
        self.make("line_items", &line_item("Everyone"));
    }

    /// Gives an advertiser so much to spend in all.
    fn fund(&self, advertiser: u32, amount: &str) {
        let shown = self.get(&format!("/v1/advertisers/{advertiser}"));
        let nanos = |text: &str| Nanos::parse_decimal(text).unwrap();
        let more = nanos(amount).0 - nanos(shown["wallet"]["amount"].as_str().unwrap()).0;
        let moved = json!({
            "advertiser_id": advertiser.to_string(), "kind": "adjustment",
            "amount": { "amount": Nanos(more).to_string(), "currency": shown["currency"] },
        });
        let key = format!("fund {advertiser} at {}", shown["version"]);
        let headers = [JSON, ("idempotency-key", key.as_str())];
        expect(201, self.call("POST", "/v1/transactions", &headers, &moved.to_string()));
    }
}

fn expect(status: u16, reply: Reply) -> Value {
    assert_eq!(reply.status, status, "{}", reply.text());
    let body = reply.json();
    if let Some(version) = body.get("version") {
        assert_eq!(reply.header("etag").unwrap(), format!("\"{version}\""), "{body}");
        assert_eq!(body["etag"], reply.header("etag").unwrap());
    }
    body
}

/// The body of a refusal, which has to be RFC 9457 with its declared members.
pub(super) fn problem(reply: &Reply) -> Value {
    let text = reply.text();
    assert_eq!(reply.header("content-type"), Some("application/problem+json"), "{text}");
    let body = reply.json();
    assert_eq!(body["status"], reply.status, "{text}");
    for member in ["type", "title", "detail"] {
        assert!(body[member].as_str().is_some_and(|text| !text.is_empty()), "{member}: {text}");
    }
    for error in body["errors"].as_array().into_iter().flatten() {
        assert!(["pointer", "code", "message"].iter().all(|member| error[*member].is_string()), "{text}");
    }
    body
}

pub(super) fn exchange(name: &str) -> Value {
    json!({
        "name": name, "seat": "harbour", "currency": "USD", "auth": { "type": "loopback_only" },
        "price_codec": { "type": "plain" }, "price_unit": "cpm", "default_tmax_ms": 60_000, "max_tmax_ms": 60_000,
    })
}

pub(super) fn advertiser(name: &str) -> Value {
    json!({
        "name": name, "status": "active", "currency": "USD", "time_zone": "Europe/Berlin",
    })
}

pub(super) fn creative(name: &str) -> Value {
    json!({
        "name": name, "advertiser_id": "1", "status": "active", "format": "banner", "size": "300x250",
        "markup": "<a href=\"{{CLICK_URL}}\"><img src=\"https://cdn.harbour.example/box.png\"></a>",
        "click_url": "https://harbour.example/", "landing_domains": ["harbour.example"],
        "adomain": ["harbour.example"], "approval": "approved",
    })
}

pub(super) fn line_item(name: &str) -> Value {
    json!({
        "name": name, "campaign_id": "1", "status": "active",
        "bid": { "strategy": "fixed_cpm", "amount": "2.50", "max": "2.50" },
        "creatives": [{ "creative": "1" }],
    })
}

/// A request that [`line_item`] bids on.
pub(super) fn request() -> Value {
    json!({
        "id": "r", "at": 1, "cur": ["USD"],
        "imp": [{ "id": "1", "bidfloor": 0.5, "banner": { "format": [{ "w": 300, "h": 250 }] } }],
        "site": { "domain": "news.example", "page": "https://news.example/a" },
        "device": { "ua": "Mozilla/5.0", "geo": { "country": "DEU" } },
    })
}

/// The API alone, without listeners and without anybody who serves what it publishes.
pub(super) struct Bare {
    pub(super) admin: Admin,
    runtime: tokio::runtime::Runtime,
}

/// Opens a control database.
pub(super) fn control(file: &Path) -> Control {
    Control::open(file, Arc::new(SystemClock::new()) as Arc<dyn Clock>).unwrap()
}

impl Bare {
    pub(super) fn open(control: Control) -> Bare {
        let sets = vec![format!("admin.bootstrap_key={KEY}")];
        let config = config::load(Sources { file: None, env: std::iter::empty(), sets }).unwrap();
        let setup = Setup {
            control,
            bootstrap_key: config.admin.bootstrap_key,
            clock: Arc::new(SystemClock::new()),
            published: Box::new(|| {}),
            serving: Box::new(()),
            people: super::world::people(),
            rate: Rate { per_s: 1_000_000, burst: 1_000_000 },
            bid_listener: ([127, 0, 0, 1], 0).into(),
            public_url: "https://t.example/dsp/".to_owned(),
            jobs: super::world::job_options(),
        };
        let admin = Admin::new(setup).unwrap();
        Bare { admin, runtime: tokio::runtime::Builder::new_current_thread().build().unwrap() }
    }

    pub(super) fn in_memory() -> Bare {
        Bare::open(Control::in_memory(Arc::new(SystemClock::new()) as Arc<dyn Clock>).unwrap())
    }

    /// A call as it is, with no key but the one in `headers`; `None` where the path is none of the API's.
    pub(super) fn raw(
        &self,
        method: &str,
        uri: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Option<Reply> {
        let mut sent = hyper::HeaderMap::new();
        for (name, value) in headers {
            let name = hyper::header::HeaderName::from_bytes(name.as_bytes()).unwrap();
            sent.insert(name, hyper::header::HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let request = ApiRequest {
            method: method.parse().unwrap(),
            uri: uri.parse().unwrap_or_else(|error| panic!("{uri}: {error}")),
            headers: sent,
            body: bytes::Bytes::copy_from_slice(body),
            peer: ([127, 0, 0, 1], 1).into(),
        };
        self.runtime.block_on(async {
            let answer = self.admin.handle(request, None).await?;
            let (head, body) = answer.into_parts();
            let body = http_body_util::BodyExt::collect(body).await.unwrap().to_bytes();
            let text = |value: &hyper::header::HeaderValue| value.to_str().unwrap().to_owned();
            let headers = head.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
            Some(Reply { status: head.status.as_u16(), headers, body: body.to_vec() })
        })
    }
}

impl Calls for Bare {
    fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let key = format!("Bearer {KEY}");
        let headers: Vec<(&str, &str)> =
            headers.iter().copied().chain([("authorization", key.as_str())]).collect();
        let reply = self.raw(method, path, &headers, body.as_bytes());
        reply.unwrap_or_else(|| panic!("{path} is nothing of the API's"))
    }
}
