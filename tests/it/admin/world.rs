//! A control plane in memory with two accounts, and one of everything in each.

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, StatusCode};
use outbid::admin::{Admin, Forget, JobOptions, PeopleKept, PeopleSource, Rate, Setup};
use outbid::audience::{AudienceIndex, IdKey, Store};
use outbid::budget::frequency::FrequencyTable;
use outbid::config::Secret;
use outbid::contacts::Contacts;
use outbid::model::clock::{Clock, FixedClock, Now};
use outbid::model::ids::UserKey;
use outbid::serve::{Api, ApiRequest, ForgottenEverywhere};
use outbid::store::control::Control;
use serde_json::{Value, json};
use std::cell::Cell;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};
use tokio::runtime::Runtime;

pub(super) const BOOTSTRAP: &str = "a bootstrap key that only this test knows";
pub(super) const NOON_MS: i64 = 1_700_000_000_000;
const SECOND_NS: u64 = 1_000_000_000;

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Value,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The body of a call that must have this status.
    #[track_caller]
    pub(super) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        self.body
    }

    pub(super) fn detail(&self) -> &str {
        self.body["detail"].as_str().unwrap_or_default()
    }
}

/// Files of jobs in a directory of their own, below one that goes with the process.
pub(super) fn job_options() -> JobOptions {
    static ROOT: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().unwrap());
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    JobOptions { dir: ROOT.path().join(number.to_string()), import_bytes: 256 << 20 }
}

/// People who are kept in memory, nobody at the beginning.
pub(super) fn people() -> PeopleSource {
    let store = Arc::new(Store::in_memory(AudienceIndex::default(), IdKey([5; 16])));
    let forgetting = Arc::clone(&store);
    let contacts = Arc::new(Contacts::in_memory());
    let erasing = Arc::clone(&contacts);
    let frequency = Arc::new(FrequencyTable::in_memory(1_000));
    let forget: Forget = Arc::new(move |keys: &[UserKey]| {
        let contacts = erasing.erase(keys)?;
        Ok(ForgottenEverywhere { people: forgetting.forget(keys, 0), contacts })
    });
    let kept = PeopleKept { store, plan: Arc::default(), contacts, frequency, forget };
    Box::new(move || Some(kept.clone()))
}

pub(super) struct World {
    pub(super) admin: Admin,
    pub(super) control: Control,
    pub(super) clock: Arc<FixedClock>,
    runtime: Runtime,
    number: Cell<u32>,
}

impl World {
    /// One in which nobody calls too often.
    pub(super) fn new() -> World {
        World::with_rate(Rate { per_s: 1_000_000, burst: 1_000_000 })
    }

    pub(super) fn with_rate(rate: Rate) -> World {
        let clock = Arc::new(FixedClock::at(Now { mono_ns: SECOND_NS, unix_ms: NOON_MS }));
        let control = Control::in_memory(Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
        let setup = Setup {
            control: control.clone(),
            bootstrap_key: Some(Secret::new(BOOTSTRAP.to_owned())),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            published: Box::new(|| {}),
            serving: Box::new(()),
            people: people(),
            rate,
            bid_listener: ([127, 0, 0, 1], 0).into(),
            public_url: "https://t.example/dsp/".to_owned(),
            jobs: job_options(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        World { admin: Admin::new(setup).unwrap(), control, clock, runtime, number: Cell::new(0) }
    }

    /// Another number each time, for names.
    pub(super) fn number(&self) -> u32 {
        self.number.set(self.number.get() + 1);
        self.number.get()
    }

    pub(super) fn call_from(
        &self,
        peer: &str,
        key: Option<&str>,
        method: &Method,
        target: &str,
        body: Option<&Value>,
    ) -> Answer {
        let authorization = key.map(|key| format!("Bearer {key}"));
        let mut headers = vec![("if-match", "*")];
        headers.extend(authorization.as_deref().map(|key| (AUTHORIZATION.as_str(), key)));
        self.send(peer, &headers, method, target, body)
    }

    /// A call with these headers, beside those that every call of its kind needs.
    pub(super) fn send(
        &self,
        peer: &str,
        sent: &[(&str, &str)],
        method: &Method,
        target: &str,
        body: Option<&Value>,
    ) -> Answer {
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.insert(name, HeaderValue::from_str(value).unwrap());
        }
        if target.starts_with("/v1/transactions") {
            let key = HeaderValue::from_str(&format!("movement {}", self.number())).unwrap();
            headers.insert(HeaderName::from_static("idempotency-key"), key);
        }
        if let Some(body) = body {
            // A text is a table.
            let media = if body.is_string() { "text/csv" } else { "application/json" };
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(media));
            headers.insert(HeaderName::from_static("prefer"), HeaderValue::from_static("wait=60"));
        }
        let request = ApiRequest {
            method: method.clone(),
            uri: target.parse().unwrap(),
            headers,
            body: match body {
                None => Bytes::new(),
                Some(Value::String(table)) => Bytes::from(table.clone()),
                Some(body) => Bytes::from(body.to_string()),
            },
            peer: SocketAddr::new(peer.parse().unwrap(), 4711),
        };
        let answered = self.runtime.block_on(self.admin.handle(request, None));
        let (head, body) = answered.unwrap_or_else(|| panic!("nothing at {target}")).into_parts();
        let body = self.runtime.block_on(body.collect()).unwrap().to_bytes();
        let media = head.headers.get(CONTENT_TYPE).map_or(&b""[..], |media| media.as_bytes());
        let body = match body.is_empty() || media.starts_with(b"text/html") {
            true => Value::Null,
            false if media.starts_with(b"text/csv") => {
                Value::String(String::from_utf8(body.to_vec()).unwrap())
            }
            false => serde_json::from_slice(&body).unwrap(),
        };
        Answer { status: StatusCode::as_u16(&head.status), headers: head.headers, body }
    }

    pub(super) fn call(&self, key: &str, method: &Method, target: &str, body: Option<&Value>) -> Answer {
        self.call_from("127.0.0.1", Some(key), method, target, body)
    }

    pub(super) fn get(&self, key: &str, target: &str) -> Answer {
        self.call(key, &Method::GET, target, None)
    }

    pub(super) fn post(&self, key: &str, target: &str, body: Value) -> Answer {
        self.call(key, &Method::POST, target, Some(&body))
    }

    /// Makes something as the platform; its id.
    #[track_caller]
    pub(super) fn make(&self, collection: &str, body: Value) -> String {
        let made = self.post(BOOTSTRAP, &format!("/v1/{collection}"), body).expect(201);
        made["id"].as_str().unwrap().to_owned()
    }

    /// Makes a key; its secret.
    #[track_caller]
    pub(super) fn key(&self, body: Value) -> String {
        let made = self.post(BOOTSTRAP, "/v1/api_keys", body).expect(201);
        made["secret"].as_str().unwrap().to_owned()
    }

    /// What a new thing of a collection says, below an advertiser and a campaign.
    pub(super) fn draft(&self, collection: &str, advertiser: &str, campaign: &str) -> Value {
        let number = self.number();
        let name = format!("number {number}");
        match collection {
            "advertisers" => {
                json!({ "name": name, "currency": "USD", "data_fee": "0.10" })
            }
            "campaigns" => json!({ "name": name, "advertiser_id": advertiser }),
            "line_items" => json!({ "name": name, "campaign_id": campaign, "bid": { "amount": "2.50" } }),
            "creatives" => json!({
                "name": name, "advertiser_id": advertiser, "size": "300x250", "adomain": ["acme.example"],
                "markup": "<a href=\"{CLICK_URL}\"><img src=\"https://cdn.acme.example/b.png\"></a>",
                "click_url": "https://acme.example/spring",
            }),
            "segments" => json!({ "key": format!("segment-{number}"), "name": name }),
            "lists" => json!({ "name": name, "type": "domain" }),
            "deals" => json!({ "name": name, "exchange": "matrix", "deal_id": name }),
            "conversions" => json!({ "name": name, "advertiser_id": advertiser }),
            "pixels" => {
                json!({ "name": name, "advertiser_id": advertiser, "origins": ["https://shop.example"] })
            }
            "exchanges" => {
                json!({ "name": format!("exchange-{number}"), "price_codec": "plain", "price_unit": "cpm" })
            }
            "transactions" => json!({
                "advertiser_id": advertiser, "kind": "top_up", "amount": { "amount": "1", "currency": "USD" },
            }),
            "apply" => json!({}),
            "segments:overlap" => {
                let ids = [0, 1].map(|_| self.make("segments", self.draft("segments", "", "")));
                json!({ "segment_ids": ids })
            }
            "people:erase" | "people:export" => json!({ "ids": [{ "type": "cookie", "value": name }] }),
            "bulk" => json!({ "operations": [] }),
            "accounts" => json!({ "name": name }),
            "api_keys" => json!({ "name": name, "role": "analyst" }),
            "users" => json!({ "email": format!("{number}@agency.example"), "role": "analyst" }),
            other => panic!("what does a new thing of {other} say?"),
        }
    }
}
