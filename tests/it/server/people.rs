//! From what people do to the bids that they get: events, hashed addresses, matched ids, opt-outs, over HTTP, at a time
//! that the test sets.

use super::{Client, Reply, Server, Setup, good_request, until};
use hmac::{Hmac, KeyInit, Mac};
use outbid::audience::Membership;
use outbid::model::behaviour::{Action, ActionFilter, Customers, Interest, Pixel, Rule, Source, Tier};
use outbid::model::clock::{Clock, FixedClock, Now};
use outbid::model::ids::{AdvertiserId, PixelId, SegmentId};
use outbid::model::money::Cpm;
use outbid::model::secret::Key256;
use outbid::model::targeting::SegmentRule;
use outbid::model::taxonomy::Segment;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::cell::RefCell;
use std::sync::Arc;

const START_MS: i64 = 1_800_000_000_000;
const SHOP: &str = "https://shop.example";
const SECRET: [u8; 32] = [0x42; 32];
/// Searched for toothpaste twice within an hour.
const TOOTHPASTE: SegmentId = SegmentId(900);
/// Interested in the mouth; a node with one below.
const MOUTH: SegmentId = SegmentId(901);
const BRUSHES: SegmentId = SegmentId(902);
pub(super) const LISTED: SegmentId = SegmentId(903);
pub(super) const ACTIVE: SegmentId = SegmentId(910);
const LAPSING: SegmentId = SegmentId(911);
const LOST: SegmentId = SegmentId(912);
const LOYAL: SegmentId = SegmentId(913);

/// A shop that bids 30.00 for whoever is in one segment, and the time.
pub(super) struct Shop {
    pub(super) server: Server,
    pub(super) clock: Arc<FixedClock>,
    /// `regs` of the requests.
    regs: RefCell<Value>,
}

impl Shop {
    pub(super) fn bidding_for(segment: SegmentId) -> Shop {
        Shop::of(Setup::demo(), segment)
    }

    pub(super) fn of(setup: Setup, segment: SegmentId) -> Shop {
        let clock = Arc::new(FixedClock::at(Now { mono_ns: 1_000_000_000_000, unix_ms: START_MS }));
        let setup = setup.clock(Arc::clone(&clock) as Arc<dyn Clock>).account(|account| {
            let advertisers = vec![AdvertiserId(1)];
            let rule = Rule {
                filter: ActionFilter {
                    advertisers: advertisers.clone(),
                    actions: vec![Action::Search],
                    keywords: vec!["toothpaste".to_owned(), "dental floss".to_owned()],
                    ..ActionFilter::default()
                },
                at_least: 2,
                within_s: 3_600,
            };
            let interest = Interest {
                advertisers,
                half_life_s: 3_600,
                threshold_milli: 2_000,
                weights_milli: Interest::WEIGHTS_MILLI,
            };
            let segment = |id: SegmentId, key: &str, parent: Option<SegmentId>, source: Source| Segment {
                id,
                key: key.to_owned(),
                name: key.to_owned(),
                parent,
                source,
                ..Segment::default()
            };
            let customers = |tier| {
                let advertiser = AdvertiserId(1);
                Source::Customers(Customers { advertiser, tier, recent_s: 90 * 86_400, lost_s: 365 * 86_400 })
            };
            account.segments.extend([
                segment(TOOTHPASTE, "searched.toothpaste", None, Source::Rule(rule)),
                segment(MOUTH, "mouth", None, Source::Interest(interest)),
                segment(BRUSHES, "mouth.brushes", Some(MOUTH), Source::Listed),
                segment(LISTED, "crm.buyers", None, Source::Listed),
                segment(ACTIVE, "customers.active", None, customers(Tier::Active)),
                segment(LAPSING, "customers.lapsing", None, customers(Tier::Lapsing)),
                segment(LOST, "customers.lost", None, customers(Tier::Lost)),
                segment(LOYAL, "customers.loyal", None, customers(Tier::Loyal)),
            ]);
            account.pixels.push(Pixel {
                id: PixelId(7),
                advertiser: AdvertiserId(1),
                name: "shop".to_owned(),
                origins: vec![SHOP.to_owned()],
                per_second: 50,
                secret: Some(Key256(SECRET)),
                active: true,
            });
        });
        let setup = setup.account(|account| {
            let line = &mut account.line_items[0];
            (line.bid, line.max_bid) = (Cpm(30_000_000), Cpm(60_000_000));
            line.targeting.segments = SegmentRule { any_of: vec![segment], ..SegmentRule::default() };
        });
        Shop { server: setup.start(), clock, regs: RefCell::new(json!({})) }
    }

    pub(super) fn at(&self) -> i64 {
        self.clock.now().unix_s()
    }

    pub(super) fn later(&self, seconds: u64) {
        self.clock.advance_ms(seconds * 1_000);
    }

    /// What the requests say of privacy from now on.
    fn ask_with(&self, regs: Value) {
        *self.regs.borrow_mut() = regs;
    }

    /// Whether the shop bids for the user with these members of `user`.
    pub(super) fn wants(&self, user: Value) -> bool {
        let mut request = good_request("people");
        request["user"] = user;
        request["regs"] = self.regs.borrow().clone();
        // When much time has passed at once, the ledger waits until it has heard of notices again; and on a busy machine
        // the line item may be late with money, so that the one for everybody bids. Five of those are no chance.
        let (mut wanted, mut others) = (false, 0);
        until("bids", || {
            let reply = self.server.bid("demo", &request);
            if reply.status == 200 {
                let price = reply.json()["seatbid"][0]["bid"][0]["price"].as_f64().unwrap();
                (wanted, others) = (price > 20.0, others + 1);
            }
            wanted || others == 5
        });
        wanted
    }

    pub(super) fn wants_uid(&self, uid: &str) -> bool {
        self.wants(json!({ "buyeruid": uid }))
    }

    /// What a page of the shop's sends for a browser with this cookie.
    pub(super) fn page(&self, query: &str, cookie: &str) -> Reply {
        let headers = [("referer", "https://shop.example/some/page"), ("cookie", cookie)];
        Client::connect(self.server.at.track).send("GET", &format!("/e/7?{query}"), &headers, b"").unwrap()
    }

    /// What the shop's server sends.
    pub(super) fn tell(&self, body: &Value) -> Reply {
        self.signed(body, self.at(), SECRET)
    }

    fn signed(&self, body: &Value, at: i64, secret: [u8; 32]) -> Reply {
        let body = body.to_string();
        let mut mac = Hmac::<Sha256>::new_from_slice(&secret).unwrap();
        mac.update(format!("{at}.{body}").as_bytes());
        let tag: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        let signature = format!("t={at},v1={tag}");
        let headers = [("outbid-signature", signature.as_str()), ("content-type", "application/json")];
        Client::connect(self.server.at.track).send("POST", "/e/7", &headers, body.as_bytes()).unwrap()
    }

    fn get(&self, path: &str, cookie: &str) -> Reply {
        Client::connect(self.server.at.track).send("GET", path, &[("cookie", cookie)], b"").unwrap()
    }
}

/// The cookie that an answer sets: as it is sent back, and the uid in it.
pub(super) fn cookie(reply: &Reply) -> (String, String) {
    let set = reply.header("set-cookie").expect("a cookie is set");
    assert!(set.contains("Secure") && set.contains("SameSite=None") && set.contains("HttpOnly"), "{set}");
    assert!(!set.contains("Partitioned") && !set.contains("Domain"), "{set}");
    let pair = set.split(';').next().unwrap().to_owned();
    let uid = pair.strip_prefix("__Host-uid=").unwrap().split('.').next().unwrap().to_owned();
    (pair, uid)
}

pub(super) fn sha256(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_second_search_is_in_the_very_next_bid_and_an_hour_later_in_none() {
    let shop = Shop::bidding_for(TOOTHPASTE);
    let first = shop.page("t=search&q=White+Toothpaste&gdpr=0", "");
    assert_eq!(first.status, 200);
    let (pair, uid) = cookie(&first);
    assert!(!shop.wants_uid(&uid), "once is not twice");
    shop.later(600);
    assert_eq!(shop.page("t=search&q=floss+dental&gdpr=0", &pair).status, 200);
    assert!(!shop.wants_uid(&uid), "the words of a phrase come in its order");
    assert_eq!(shop.page("t=view&q=toothpaste&gdpr=0", &pair).status, 200);
    assert!(!shop.wants_uid(&uid), "looking is not searching");
    let beacon = |path: &str, body: &str| {
        let headers = [("origin", SHOP), ("cookie", pair.as_str())];
        let reply =
            Client::connect(shop.server.at.track).send("POST", path, &headers, body.as_bytes()).unwrap();
        assert_eq!(reply.header("access-control-allow-origin"), Some(SHOP));
        reply.status
    };
    assert_eq!(beacon("/e/7?t=view&gdpr=0", ""), 204);
    assert_eq!(beacon("/e/7", "{\"t\": \"view\", \"unknown\": 1}"), 400);
    assert_eq!(beacon("/e/7", &json!({"t": "search", "q": "best dental floss", "gdpr": 0}).to_string()), 204);
    assert!(shop.wants_uid(&uid));
    shop.later(2_999);
    assert!(shop.wants_uid(&uid), "the first was not yet an hour ago");
    shop.later(2);
    assert!(!shop.wants_uid(&uid), "and now it was");
    assert_eq!(shop.server.metric(r#"outbid_person_events_total{action="search",outcome="taken"}"#), 3);
}

#[test]
fn an_interest_grows_with_events_under_its_node_and_decays() {
    let shop = Shop::bidding_for(MOUTH);
    let (pair, uid) = cookie(&shop.page("t=view&c=mouth.brushes&gdpr=0", ""));
    assert!(!shop.wants_uid(&uid), "a look is worth 1, and 2 are asked");
    shop.page("t=view&c=mouth.brushes&gdpr=0", &pair);
    shop.page("t=view&c=mouth&gdpr=0", &pair);
    assert!(shop.wants_uid(&uid), "3");
    shop.later(1_800);
    assert!(shop.wants_uid(&uid), "3 less a half-life's half is 2.12");
    shop.later(600);
    assert!(!shop.wants_uid(&uid), "1.89");
    shop.page("t=view&c=mouth&gdpr=0", &pair);
    assert!(shop.wants_uid(&uid), "what was left of it counts");
}

#[test]
fn what_only_a_server_may_say_a_page_says_in_vain() {
    let shop = Shop::bidding_for(ACTIVE);
    let (pair, uid) = cookie(&shop.page("t=view&gdpr=0", ""));
    let purchase =
        |order: &str| json!({"t": "purchase", "v": "19.90", "cur": "USD", "o": order, "uid": uid, "gdpr": 0});
    assert_eq!(shop.signed(&purchase("a"), shop.at(), [1; 32]).status, 403);
    assert_eq!(shop.signed(&purchase("a"), shop.at() - 301, SECRET).status, 403);
    assert!(!shop.wants_uid(&uid));
    let reply = shop.tell(&purchase("a"));
    assert_eq!((reply.status, reply.json()), (200, json!({"taken": 1, "refused": 0, "errors": []})));
    assert!(shop.wants_uid(&uid));
    assert_eq!(shop.tell(&purchase("a")).json()["errors"][0]["message"], "this order was taken before");
    let wrong = shop.tell(&json!({"events": [
        {"t": "purchase", "v": "1,5", "uid": uid, "gdpr": 0},
        {"t": "purchase", "v": "1", "cur": "EUR", "uid": uid, "gdpr": 0},
        {"t": "steal", "uid": uid, "gdpr": 0},
        {"t": "view", "gdpr": 0},
        {"t": "view", "uid": uid, "gdpr": 1},
        {"t": "view", "eh": "someone@example.com", "gdpr": 0},
        {"t": "view", "uid": uid, "gdpr": 0, "at": shop.at() - 8 * 86_400},
        {"t": "view", "uid": uid, "gdpr": 0, "at": shop.at() - 3_600},
    ]}));
    let refused: Vec<u64> =
        wrong.json()["errors"].as_array().unwrap().iter().map(|e| e["index"].as_u64().unwrap()).collect();
    assert_eq!((wrong.json()["taken"].as_u64(), refused), (Some(1), (0..7).collect()));
    // Nobody else's pages, no unknown pixel, not too many.
    let send = |headers: &[(&str, &str)], path: &str| {
        Client::connect(shop.server.at.track).send("GET", path, headers, b"").unwrap().status
    };
    assert_eq!(send(&[], "/e/7?t=view&gdpr=0"), 403);
    assert_eq!(send(&[("origin", "https://shop.example.evil.example")], "/e/7?t=view&gdpr=0"), 403);
    assert_eq!(send(&[("origin", SHOP)], "/e/8?t=view&gdpr=0"), 404);
    assert_eq!(send(&[("origin", SHOP)], "/a/prefix/e/7?t=view&gdpr=0"), 200);
    let many: Vec<u16> = (0..60).map(|_| shop.page("t=view&gdpr=0", &pair).status).collect();
    assert!(many.contains(&429) && many[0] == 200, "{many:?}");
    shop.later(2);
    assert_eq!(shop.page("t=view&gdpr=0", &pair).status, 200);
}

#[test]
fn no_event_passes_the_privacy_gate_unasked() {
    let shop = Shop::bidding_for(TOOTHPASTE);
    for no in
        ["", "gdpr=1", "gdpr=0&us_privacy=1YYN", "gdpr=0&coppa=1", "gdpr=1&gdpr_consent=nonsense", "gdpr=yes"]
    {
        let reply = shop.page(&format!("t=search&q=toothpaste&{no}"), "");
        assert_eq!((reply.status, reply.header("set-cookie")), (204, None), "{no}");
    }
    let gpc = Client::connect(shop.server.at.track)
        .send("GET", "/e/7?t=search&q=toothpaste&gdpr=0", &[("referer", SHOP), ("sec-gpc", "1")], b"")
        .unwrap();
    assert_eq!((gpc.status, gpc.header("set-cookie")), (204, None));
    assert_eq!(shop.server.metric(r#"outbid_person_events_total{action="search",outcome="privacy"}"#), 7);
    assert_eq!(shop.server.shared.people().index().stats().traced_users, 0);
}

#[test]
fn an_uploaded_address_is_targeted_from_the_login_on_until_somebody_opts_out() {
    let shop = Shop::bidding_for(LISTED);
    let people = shop.server.shared.people();
    let address = sha256("someone@example.com");
    let digest: Vec<u8> =
        (0..32).map(|i| u8::from_str_radix(&address[2 * i..2 * i + 2], 16).unwrap()).collect();
    let key = people.id_key().hashed(outbid::audience::IdKind::Email, &digest.try_into().unwrap());
    people.write(|writer| writer.add(key, Membership::of(LISTED))).unwrap();
    let (pair, uid) = cookie(&shop.page("t=view&gdpr=0", ""));
    assert!(!shop.wants_uid(&uid), "nobody knows whose browser this is");
    assert_eq!(shop.page(&format!("t=custom&n=login&eh={address}&gdpr=0"), &pair).status, 200);
    assert!(shop.wants_uid(&uid), "and now everybody who may");
    shop.ask_with(json!({ "gdpr": 1 }));
    assert!(!shop.wants_uid(&uid), "only with consent");
    shop.ask_with(json!({}));

    let reply = shop.get("/optout", &pair);
    assert_eq!(reply.status, 200);
    assert!(!shop.wants_uid(&uid));
    let out = format!("{pair}; __Host-optout=1");
    assert_eq!(shop.page(&format!("t=custom&n=login&eh={address}&gdpr=0"), &out).status, 204);
    assert!(!shop.wants_uid(&uid));
}

#[test]
fn ids_are_matched_in_both_directions_and_only_where_it_is_allowed() {
    let setup = Setup::demo().account(|account| {
        let profile = &mut account.exchanges[0];
        profile.match_user_id = true;
        profile.sync_url = Some("https://match.demo.example/in?dsp=12&uid=${UID}".to_owned());
        profile.sync_domains = vec!["x.demo.example".to_owned()];
    });
    let shop = Shop::of(setup, LISTED);
    // Theirs: our uid goes to them.
    let reply = shop.get("/sync/demo?gdpr=0", "");
    let (pair, uid) = cookie(&reply);
    assert_eq!(reply.status, 302);
    assert_eq!(
        reply.header("location"),
        Some(format!("https://match.demo.example/in?dsp=12&uid={uid}").as_str())
    );
    let people = shop.server.shared.people();
    people.write(|writer| writer.add(people.id_key().cookie(&uid), Membership::of(LISTED))).unwrap();
    assert!(shop.wants_uid(&uid));
    // Ours: their id comes to us.
    assert!(!shop.wants(json!({ "id": "their-77" })));
    let reply = shop.get("/sync/demo?gdpr=0&exchange_id=their-77", &pair);
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("image/gif")));
    assert!(shop.wants(json!({ "id": "their-77" })));
    let back =
        "/sync/demo?gdpr=0&exchange_id=their-77&redirect=https%3A%2F%2Fx.demo.example%2Fback%3Fu%3D%24UID";
    let reply = shop.get(back, &pair);
    assert_eq!(reply.header("location"), Some(format!("https://x.demo.example/back?u={uid}").as_str()));
    // Nowhere else, and not against anybody's will.
    for evil in ["https%3A%2F%2Fevil.example%2F", "http%3A%2F%2Fdemo.example%2F", "%2F%2Fdemo.example"] {
        assert_eq!(shop.get(&format!("/sync/demo?gdpr=0&redirect={evil}"), &pair).status, 400, "{evil}");
    }
    for no in ["gdpr=1", "us_privacy=1YYY&gdpr=0", ""] {
        let reply = shop.get(&format!("/sync/demo?{no}&exchange_id=their-88"), &pair);
        assert_eq!((reply.status, reply.header("set-cookie")), (204, None), "{no}");
    }
    assert!(!shop.wants(json!({ "id": "their-88" })));
    assert_eq!(shop.get("/sync/nobody?gdpr=0", "").status, 404);
    // Sixty days without a word.
    shop.later(60 * 86_400 + 900);
    assert!(!shop.wants(json!({ "id": "their-77" })) && shop.wants_uid(&uid));
}

#[test]
fn customers_move_through_their_tiers_with_time() {
    let tiers = [ACTIVE, LAPSING, LOST, LOYAL];
    let shop = Shop::bidding_for(ACTIVE);
    let people = shop.server.shared.people();
    let day = 86_400;
    let buy = |user: usize, amount: u32| {
        let event =
            json!({"t": "purchase", "v": amount.to_string(), "uid": format!("customer-{user}"), "gdpr": 0});
        assert_eq!(shop.tell(&event).json()["taken"], 1);
    };
    let of = |user: usize| -> Vec<SegmentId> {
        let snapshot = shop.server.shared.snapshots().load();
        people.sweep(snapshot.catalog.behaviour(), shop.at());
        let key = people.id_key().cookie(&format!("customer-{user}"));
        crate::audience::segments_of(people.index(), key, shop.at())
            .into_iter()
            .filter(|segment| tiers.contains(segment))
            .collect()
    };
    (0..10).for_each(|user| buy(user, 10 + user as u32));
    assert_eq!(of(3), [ACTIVE]);
    assert_eq!(of(9), [ACTIVE, LOYAL]);
    assert_eq!((0..10).filter(|user| of(*user).contains(&LOYAL)).count(), 2, "a fifth");
    shop.later(91 * day);
    buy(3, 500);
    assert_eq!(of(3), [ACTIVE, LOYAL], "who buys is back, and worth more");
    assert_eq!(of(4), [LAPSING]);
    shop.later(275 * day);
    assert_eq!(of(4), [LOST]);
    assert_eq!(of(3), [LAPSING, LOYAL]);
    buy(4, 1);
    assert_eq!(of(4)[0], ACTIVE);
}

#[test]
fn after_a_restart_all_is_as_it_was_and_no_raw_identifier_is_on_the_disk() {
    let home = tempfile::tempdir().unwrap();
    let shop = Shop::of(Setup::demo().home(home.path()), LISTED);
    let address = sha256("someone@example.com");
    let (pair, uid) = cookie(&shop.page("t=view&gdpr=0", ""));
    let listed = json!({"t": "custom", "n": "bought-in-the-shop", "eh": address, "gdpr": 0});
    assert_eq!(shop.tell(&listed).json()["taken"], 1);
    let people = shop.server.shared.people();
    let digest: Vec<u8> =
        (0..32).map(|i| u8::from_str_radix(&address[2 * i..2 * i + 2], 16).unwrap()).collect();
    let key = people.id_key().hashed(outbid::audience::IdKind::Email, &digest.clone().try_into().unwrap());
    people.write(|writer| writer.add(key, Membership::of(LISTED))).unwrap();
    shop.page(&format!("t=search&q=toothpaste&eh={address}&gdpr=0"), &pair);
    shop.get("/sync/demo?gdpr=0&exchange_id=their-secret-id", &pair);
    assert!(shop.wants_uid(&uid));
    people.sync().unwrap();
    drop(shop);
    let again = || Shop::of(Setup::demo().home(home.path()), LISTED);
    let shop = again();
    assert!(shop.wants_uid(&uid), "uploads, ties and all");
    shop.server.shared.people().save().unwrap();
    let mut files = 0;
    for file in std::fs::read_dir(home.path().join("audience")).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        files += 1;
        for raw in
            [uid.as_bytes(), address.as_bytes(), &digest, b"their-secret-id", b"toothpaste", b"someone"]
        {
            assert!(
                !bytes.windows(raw.len()).any(|window| window == raw),
                "{}",
                String::from_utf8_lossy(raw)
            );
        }
    }
    assert!(files >= 2, "a base and a log");
    // Erased by one of the ids, nowhere by any.
    let people = shop.server.shared.people();
    assert_eq!(
        people
            .forget(
                &[people.id_key().hashed(outbid::audience::IdKind::Email, &digest.try_into().unwrap())],
                shop.at()
            )
            .keys,
        3
    );
    people.sync().unwrap();
    assert!(!shop.wants_uid(&uid));
    drop(shop);
    let shop = again();
    assert!(!shop.wants_uid(&uid));
    let people = shop.server.shared.people();
    people.index().merge(shop.at()).unwrap();
    people.save().unwrap();
    assert!(!shop.wants_uid(&uid));
    let stats = people.index().stats();
    assert_eq!((stats.links, stats.traced_users, stats.base_users, stats.overlay_users), (0, 0, 0, 0));
}
