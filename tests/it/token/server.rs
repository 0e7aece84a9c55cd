//! A server on loopback with an exchange of the test's choice, and a client that says everything about an answer.

use outbid::audience::{AudienceIndex, IdKey, Store};
use outbid::budget::frequency::FrequencyTable;
use outbid::budget::{AccountKey, Ledger};
use outbid::config::{self, Sources};
use outbid::engine::{Catalog, Settings, Snapshot, SnapshotCell};
use outbid::exchange::{PublicUrl, TokenKey, TokenKeys, compile_markup, token};
use outbid::model::clock::{Clock, FixedClock, Now};
use outbid::model::ids::{AdvertiserId, BidId};
use outbid::model::money::{Cpm, Nanos};
use outbid::model::token::TokenClaims;
use outbid::serve::{Running, Shared, SharedParts, start};
use outbid::store::account_file;
use outbid::telemetry::metrics::Metrics;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// What every URL of these servers begins with.
const PUBLIC_URL: &str = "https://track.example";
/// Where a click of the only creative lands.
pub(super) const LANDING: &str = "https://www.acme.example/spring?a=1&b=2";
/// The wall clock at the start.
pub(super) const START_S: i64 = 1_790_000_000;

/// A running server.
pub(super) struct Server {
    running: Option<Running>,
    pub(super) shared: Arc<Shared>,
    keys: TokenKeys,
    clock: Arc<FixedClock>,
}

/// A key of the ring.
pub(super) fn key(id: u8) -> TokenKey {
    TokenKey { id, secret: [id; 32] }
}

/// Lets a test move the clock that the server reads.
struct Shown(Arc<FixedClock>);

impl Clock for Shown {
    fn now(&self) -> Now {
        self.0.now()
    }
}

impl Server {
    /// Serves one advertiser with 1,000.00 who bids 2.00 CPM for everything; `profile` changes the exchange.
    pub(super) fn start(profile: Value) -> Server {
        Server::with_keys(profile, TokenKeys::new(&key(1), &[]).unwrap())
    }

    pub(super) fn with_keys(profile: Value, keys: TokenKeys) -> Server {
        let listeners = ["bid", "track", "admin", "ops"].map(|name| format!("listen.{name}=127.0.0.1:0"));
        let options = ["engine.cores=1", "engine.budget_us=1000000"].map(str::to_owned);
        let sets = listeners.into_iter().chain(options).collect();
        let config = config::load(Sources { file: None, env: std::iter::empty(), sets }).unwrap();
        let account = account_file::parse(&account(profile).to_string(), "account").unwrap().account;
        let rates = Arc::new(account.rates.clone());
        let catalog = Arc::new(Catalog::compile(account, 1, &compile_markup).unwrap());
        let now = Now { mono_ns: 1_000_000_000_000, unix_ms: START_S * 1_000 };
        let clock = Arc::new(FixedClock::at(now));
        let ledger = Arc::new(Ledger::in_memory(START_S as u32, 1, now));
        ledger.configure(catalog.funding().collect(), now).unwrap();
        let shared = Arc::new(Shared::new(SharedParts {
            config,
            snapshots: SnapshotCell::new(Snapshot { catalog, rates, learned: Default::default() }),
            audience: Store::in_memory(AudienceIndex::default(), IdKey([3; 16])),
            frequency: Arc::new(FrequencyTable::in_memory(1_000)),
            contacts: outbid::contacts::Contacts::in_memory(),
            pacing: Default::default(),
            funnels: Default::default(),
            samples: Default::default(),
            learner: Default::default(),
            ledger,
            events: None,
            token_keys: keys.clone(),
            public_url: PublicUrl::parse(PUBLIC_URL).unwrap(),
            clock: Arc::new(Shown(Arc::clone(&clock))),
            wall: None,
            metrics: Metrics::new(1, "test", START_S),
            settings: Settings {
                seed: 1,
                tracking_is_https: true,
                max_candidates: 16,
                max_charge: Nanos(i64::MAX),
                max_cpm: Cpm::MAX,
                privacy: outbid::privacy::Policy::default(),
            },
        }));
        let running = Some(start(Arc::clone(&shared)).unwrap());
        Server { running, shared, keys, clock }
    }

    fn addresses(&self) -> outbid::serve::Addresses {
        self.running.as_ref().unwrap().addresses
    }

    /// Moves the server's clock.
    pub(super) fn advance_s(&self, seconds: u64) {
        self.clock.advance_ms(seconds * 1_000);
    }

    /// Asks for a bid and returns it.
    pub(super) fn bid(&self) -> Offer {
        let body = json!({
            "id": "r", "at": 1, "tmax": 1_000, "cur": ["USD"],
            "imp": [{"id": "1", "banner": {"w": 300, "h": 250}, "secure": 1}],
            "site": {"domain": "news.example", "page": "https://news.example/"},
            "device": {"ua": "x", "ip": "192.0.2.1", "geo": {"country": "USA"}},
        });
        let answer = send(self.addresses().bid, "POST", "/openrtb2/x", &[], body.to_string().as_bytes());
        assert_eq!(answer.status, 200, "{answer:?}");
        let response: Value = serde_json::from_slice(&answer.body).unwrap();
        Offer(response["seatbid"][0]["bid"][0].clone())
    }

    /// Fires a URL of a bid, as it stands.
    pub(super) fn fire(&self, url: &str) -> Answer {
        self.request("GET", url, &[])
    }

    /// Sends any request for a URL of a bid.
    pub(super) fn request(&self, method: &str, url: &str, headers: &[(&str, &str)]) -> Answer {
        send(self.addresses().track, method, url.strip_prefix(PUBLIC_URL).unwrap_or(url), headers, b"")
    }

    /// The address that notices go to.
    pub(super) fn track(&self) -> SocketAddr {
        self.addresses().track
    }

    /// Signs claims as the server does: server token and public token.
    pub(super) fn sign(&self, claims: &TokenClaims) -> [String; 2] {
        let tokens = token::encode(claims, &self.keys);
        [tokens.server.as_str().to_owned(), tokens.public.as_str().to_owned()]
    }

    /// What the token of an offer says.
    pub(super) fn claims(&self, offer: &Offer) -> TokenClaims {
        token::verify(&offer.token("nurl"), &self.keys).unwrap().0
    }

    /// What the wallet was charged.
    pub(super) fn spent(&self) -> Nanos {
        self.shared.ledger().balance(AccountKey::Wallet(AdvertiserId(1))).posted
    }

    /// What the house bears above holds.
    pub(super) fn overprice(&self) -> Nanos {
        self.shared.ledger().house().overprice
    }

    /// A counter, 0 while nothing was counted.
    pub(super) fn counter(&self, series: &str) -> u64 {
        let answer = send(self.addresses().ops, "GET", "/metrics", &[], b"");
        let text = String::from_utf8(answer.body).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map_or(0, |value| value.parse().unwrap())
    }

    /// How many bills were flagged so.
    pub(super) fn flagged(&self, flag: &str) -> u64 {
        self.counter(&format!("outbid_billing_flags_total{{exchange=\"x\",flag=\"{flag}\"}}"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let running = self.running.take().expect("only dropped once");
        runtime.block_on(running.close(Duration::from_secs(2)));
    }
}

/// The account of [`Server::start`].
fn account(profile: Value) -> Value {
    let mut exchange =
        json!({"id": "1", "name": "x", "price_codec": "plain", "price_unit": "cpm", "default_at": 1});
    for (key, value) in profile.as_object().unwrap() {
        exchange[key] = value.clone();
    }
    json!({
        "exchanges": [exchange],
        "advertisers": [{"id": "1", "name": "Acme", "wallet": "1000.00"}],
        "campaigns": [{"id": "10", "advertiser": "1", "name": "Spring"}],
        "creatives": [{
            "id": "1000", "advertiser": "1", "name": "Banner", "size": "300x250",
            "markup": "<a href=\"{{CLICK_URL}}\">spring</a><img src=\"{{IMPRESSION_URL}}\">",
            "click_url": LANDING, "landing_domains": ["www.acme.example"], "adomain": ["acme.example"]
        }],
        "line_items": [{
            "id": "100", "campaign": "10", "name": "All", "bid": {"amount": "2.00"},
            "creatives": [{"creative": "1000"}]
        }]
    })
}

/// A bid as the exchange got it.
pub(super) struct Offer(pub(super) Value);

impl Offer {
    /// A URL with every macro replaced: the price by `price`, the others by nothing.
    pub(super) fn url(&self, field: &str, price: &str) -> String {
        self.with(field, &[("PRICE", price)])
    }

    /// A URL with macros replaced by their short names, the others by nothing.
    pub(super) fn with(&self, field: &str, values: &[(&str, &str)]) -> String {
        let mut url = self.raw(field);
        for (name, value) in values {
            url = url.replace(&format!("${{AUCTION_{name}}}"), value);
        }
        while let Some(start) = url.find("${") {
            let end = start + url[start..].find('}').expect("a macro ends");
            url.replace_range(start..=end, "");
        }
        url
    }

    /// A URL as it was sent: `nurl`, `burl`, `lurl`, or `/i/` and `/c/` from the markup.
    pub(super) fn raw(&self, field: &str) -> String {
        if !field.starts_with('/') {
            return self.0[field].as_str().unwrap_or_else(|| panic!("no {field}")).to_owned();
        }
        let markup = self.0["adm"].as_str().unwrap();
        let start = markup.find(&format!("{PUBLIC_URL}{field}")).unwrap();
        // A browser reads references in an attribute; these two are all that a URL of ours needs.
        markup[start..].split('"').next().unwrap().replace("&#x3F;", "?").replace("&#x3D;", "=")
    }

    /// The token in a URL.
    pub(super) fn token(&self, field: &str) -> String {
        let url = self.raw(field);
        let rest = url.rsplit('/').next().unwrap();
        rest.split(['?', '.']).next().unwrap().to_owned()
    }
}

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// All values of a header.
    pub(super) fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
    }

    /// What the server says became of the notice.
    pub(super) fn class(&self) -> &str {
        self.all("x-outbid-notice").first().copied().unwrap_or("")
    }
}

/// One request on a connection of its own.
pub(super) fn send(
    to: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut head =
        format!("{method} {path} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
    if !headers.iter().any(|(name, _)| *name == "host") {
        head.push_str("host: track.example\r\n");
    }
    headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
    stream.write_all(&[head.as_bytes(), b"\r\n", body].concat()).unwrap();
    let mut raw = Vec::new();
    stream.read_to_end(&mut raw).unwrap();
    let split = raw.windows(4).position(|window| window == b"\r\n\r\n").expect("an answer has a head");
    let head = std::str::from_utf8(&raw[..split]).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let lines = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    let headers = lines.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
    Answer { status, headers, body: raw[split + 4..].to_vec() }
}

/// Claims of a bid that this server never made.
pub(super) fn foreign(claims: &TokenClaims, sequence: u64) -> TokenClaims {
    TokenClaims { bid: BidId { sequence, ..claims.bid }, ..*claims }
}
