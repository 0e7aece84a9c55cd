//! Customer lists, counts and requests for one's data, over HTTP, with a control plane beside the server.

use super::people::{ACTIVE, LISTED, Shop, cookie, sha256};
use super::{ADMIN_KEY, Client, Reply, Setup};
use outbid::admin::{self, Admin, JobOptions, PeopleKept, Rate};
use outbid::config::Secret;
use outbid::model::clock::Clock;
use outbid::model::ids::SegmentId;
use outbid::model::taxonomy::Segment;
use outbid::store::control::Control;
use outbid::telemetry::clock::SystemClock;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;

pub(super) const HEALTH: SegmentId = SegmentId(904);
const THIRTIES: SegmentId = SegmentId(905);
pub(super) const CSV: &str = "text/csv";

/// Segments that trials of their own use, in the account of the desk and where the shop bids.
const MORE: [(u32, &str); 5] = [
    (920, "hobby.running"),
    (921, "hobby.trail"),
    (922, "hobby.chess"),
    (930, "similar.buyers"),
    (931, "crm.buyers.north"),
];

/// A shop that bids for one segment, and its control plane.
pub(super) struct Desk {
    pub(super) shop: Shop,
    admin: Admin,
    _jobs: tempfile::TempDir,
}

impl Desk {
    pub(super) fn bidding_for(segment: SegmentId, home: Option<&Path>) -> Desk {
        let setup = Setup::demo().account(|account| {
            let of = |id, key: &str, sensitive| Segment {
                id,
                key: key.to_owned(),
                name: key.to_owned(),
                sensitive,
                ..Segment::default()
            };
            account.segments.extend([of(HEALTH, "health", true), of(THIRTIES, "age.30s", false)]);
            account.segments.extend(MORE.map(|(id, key)| of(SegmentId(id), key, false)));
        });
        let setup = match home {
            Some(home) => setup.home(home),
            None => setup,
        };
        let shop = Shop::of(setup, segment);
        let clock = Arc::clone(&shop.clock) as Arc<dyn Clock>;
        let control = Control::in_memory(Arc::clone(&clock)).unwrap();
        let mut account = json!({
            "rates": { "base": "USD" },
            "advertisers": [{ "id": "1", "name": "shop", "currency": "USD", "wallet": "10.00" }],
            "segments": [
                { "id": LISTED.to_string(), "key": "crm.buyers", "name": "Buyers" },
                { "id": HEALTH.to_string(), "key": "health", "name": "Health", "sensitive": true },
                { "id": THIRTIES.to_string(), "key": "age.30s", "name": "30 to 39" },
                { "id": "906", "key": "health.teeth", "name": "Teeth", "parent": "health" },
            ],
        });
        for (id, key) in MORE {
            let segments = account["segments"].as_array_mut().unwrap();
            segments.push(json!({ "id": id.to_string(), "key": key, "name": key }));
        }
        account["segments"].as_array_mut().unwrap().last_mut().unwrap()["parent"] = "crm.buyers".into();
        admin::import(&control, &account.to_string()).unwrap();
        let (jobs, kept) = (tempfile::tempdir().unwrap(), Arc::downgrade(&shop.server.shared));
        let setup = admin::Setup {
            control,
            bootstrap_key: Some(Secret::new(ADMIN_KEY.to_owned())),
            clock,
            published: Box::new(|| {}),
            serving: Box::new(()),
            public_url: "https://t.example/dsp/".to_owned(),
            people: Box::new(move || {
                let shared = kept.upgrade()?;
                let plan = Arc::clone(shared.snapshots().load().catalog.behaviour());
                let (store, forgetting) = (shared.people_kept(), Arc::clone(&shared));
                let (contacts, frequency) = (shared.contacts(), shared.frequency_kept());
                Some(PeopleKept {
                    store,
                    plan,
                    contacts,
                    frequency,
                    forget: Arc::new(move |keys| forgetting.forget(keys)),
                })
            }),
            rate: Rate { per_s: 1_000_000, burst: 1_000_000 },
            bid_listener: ([127, 0, 0, 1], 0).into(),
            jobs: JobOptions { dir: jobs.path().to_owned(), import_bytes: 1 << 30 },
        };
        let admin = Admin::new(setup).unwrap();
        shop.server.shared.offer_api(Arc::new(admin.clone()));
        Desk { shop, admin, _jobs: jobs }
    }

    pub(super) fn call(&self, method: &str, path: &str, media: &str, body: &str) -> Reply {
        let key = format!("Bearer {ADMIN_KEY}");
        let headers = [("authorization", key.as_str()), ("content-type", media), ("prefer", "wait=60")];
        Client::connect(self.shop.server.at.admin).send(method, path, &headers, body.as_bytes()).unwrap()
    }

    /// Uploads a list; the job as it ended.
    pub(super) fn upload(&self, segment: SegmentId, query: &str, media: &str, list: &str) -> Value {
        let reply = self.call("POST", &format!("/v1/segments/{segment}/members:upload?{query}"), media, list);
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()
    }

    pub(super) fn counts(&self, job: &Value) -> [u64; 7] {
        assert_eq!(job["state"], "succeeded", "{job}");
        ["rows", "added", "changed", "removed", "unchanged", "refused", "matched"]
            .map(|name| job[name].as_u64().unwrap_or_else(|| panic!("{name}: {job}")))
    }

    fn result(&self, job: &Value) -> String {
        let path = format!("/v1/jobs/{}/result", job["id"].as_str().unwrap());
        let key = format!("Bearer {ADMIN_KEY}");
        let mut client = Client::connect(self.shop.server.at.admin);
        let head =
            format!("GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: {key}\r\nconnection: close\r\n\r\n");
        client.raw(head.as_bytes()).unwrap();
        String::from_utf8_lossy(&client.rest()).into_owned()
    }

    pub(super) fn ask(&self, what: &str, ids: &Value) -> Value {
        let body = json!({ "ids": ids }).to_string();
        let reply = self.call("POST", &format!("/v1/people:{what}"), "application/json", &body);
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.admin.close();
    }
}

#[test]
fn a_hashed_address_of_a_list_is_targeted_from_the_login_on_and_no_more_when_the_list_leaves_it_out() {
    let desk = Desk::bidding_for(LISTED, None);
    let address = sha256("someone@example.com");
    let (pair, uid) = cookie(&desk.shop.page("t=view&gdpr=0", ""));
    let list = format!("email_sha256,ttl_days\n{address},30\n");
    let wall = SystemClock::new();
    // A trial changes nothing.
    let tried = desk.upload(LISTED, "consent=given&validate_only=true", CSV, &list);
    assert_eq!(desk.counts(&tried), [1, 1, 0, 0, 0, 0, 0]);
    desk.shop.page(&format!("t=custom&n=login&eh={address}&gdpr=0"), &pair);
    assert!(!desk.shop.wants_uid(&uid));
    let job = desk.upload(LISTED, "consent=given", CSV, &list);
    let ended_ns = wall.mono_ns();
    assert!(desk.shop.wants_uid(&uid), "the very next bid");
    let after_ms = (wall.mono_ns() - ended_ns) as f64 / 1e6;
    eprintln!("targeted {after_ms:.1} ms after the job's end");
    assert!(after_ms < 1_000.0);
    assert_eq!((desk.counts(&job), &job["match_rate"]), ([1, 1, 0, 0, 0, 0, 1], &json!(1.0)));
    assert_eq!((&job["consent"], &job["mode"], job.get("created")), (&json!("given"), &json!("add"), None));
    // Again, removed, and back by a line of JSON with an attribute.
    assert_eq!(desk.counts(&desk.upload(LISTED, "consent=given", CSV, &list)), [1, 0, 0, 0, 1, 0, 1]);
    assert_eq!(
        desk.counts(&desk.upload(LISTED, "consent=given&mode=remove", CSV, &list)),
        [1, 0, 0, 1, 0, 0, 1]
    );
    assert!(!desk.shop.wants_uid(&uid));
    let line = json!({ "email_sha256": address.to_uppercase(), "segments": ["age.30s"] }).to_string();
    let job = desk.upload(LISTED, "consent=given&ttl_days=10", "application/x-ndjson", &line);
    assert_eq!(desk.counts(&job), [1, 1, 0, 0, 0, 0, 1]);
    assert!(desk.shop.wants_uid(&uid));
    // Another list takes its place.
    let other = "cookie\nsomebody else\n";
    let replace = "consent=given&mode=replace";
    let job = desk.upload(LISTED, &format!("{replace}&validate_only=true"), CSV, other);
    assert_eq!(desk.counts(&job)[3], 1);
    assert!(desk.shop.wants_uid(&uid));
    assert_eq!(desk.counts(&desk.upload(LISTED, replace, CSV, other)), [1, 1, 0, 1, 0, 0, 0]);
    assert!(!desk.shop.wants_uid(&uid) && desk.shop.wants_uid("somebody else"));
    // Who is named stays, however wrong the rest of the row is; and a list of nothing but errors takes nobody out.
    let wrong = "cookie,ttl_days\nsomebody else,x\n";
    let job = desk.upload(LISTED, replace, CSV, wrong);
    assert_eq!((&job["state"], &job["removed"]), (&json!("failed"), &json!(0)), "{job}");
    assert!(desk.shop.wants_uid("somebody else"));
    let ended = "consent=given&ttl_days=1";
    desk.upload(LISTED, ended, CSV, "cookie\nfor a day\n");
    assert!(desk.shop.wants_uid("for a day"));
    desk.shop.later(86_400 + 900);
    assert!(!desk.shop.wants_uid("for a day") && desk.shop.wants_uid("somebody else"));
}

#[test]
fn raw_addresses_and_people_who_have_not_agreed_are_refused_and_no_row_is_repeated() {
    let desk = Desk::bidding_for(HEALTH, None);
    let refused = |segment: SegmentId, query: &str, media: &str, status: u16| {
        let path = format!("/v1/segments/{segment}/members:upload?{query}");
        let reply = desk.call("POST", &path, media, "cookie\nx\n");
        assert_eq!(reply.status, status, "{path}: {}", reply.text());
        reply.json()
    };
    for (query, status) in [
        ("", 400),
        ("consent=none", 422),
        ("consent=perhaps", 400),
        ("consent=given&mode=all", 400),
        ("consent=given&ttl_days=0", 400),
        ("consent=given&advertiser_id=77", 422),
        ("consent=given&colour=red", 400),
    ] {
        refused(LISTED, query, CSV, status);
    }
    refused(LISTED, "consent=given", "application/json", 415);
    refused(SegmentId(4_711), "consent=given", CSV, 404);
    let sensitive = refused(HEALTH, "consent=given", CSV, 422);
    assert!(sensitive["detail"].as_str().unwrap().contains("consent=explicit"), "{sensitive}");
    refused(SegmentId(906), "consent=given", CSV, 422);
    desk.upload(HEALTH, "consent=explicit", CSV, "cookie\nwho agreed\n");
    assert!(desk.shop.wants_uid("who agreed"));

    let hash = sha256("x");
    let list = format!(
        "cookie,email_sha256,phone_sha256,segments\n,someone@example.com,,\n,,+491701234567,\n,abc,,\nc,{hash},,\n\
         ,{hash},,health\n,{hash},,nowhere\n,,,\n,{hash},,age.30s\n"
    );
    let job = desk.upload(LISTED, "consent=given", CSV, &list);
    assert_eq!(desk.counts(&job), [8, 1, 0, 0, 0, 7, 0]);
    let codes: Vec<&str> =
        job["errors"].as_array().unwrap().iter().map(|error| error["code"].as_str().unwrap()).collect();
    let expected =
        ["raw_data", "raw_data", "malformed", "identifier", "conflict", "unknown_reference", "identifier"];
    assert_eq!(codes, expected);
    let result = desk.result(&job);
    assert!(result.contains("raw_data"), "{result}");
    for secret in ["someone", "example.com", "1701234567", hash.as_str()] {
        assert!(!job.to_string().contains(secret) && !result.contains(secret), "{secret}");
    }
    let broken = desk.upload(LISTED, "consent=given", CSV, "someone@example.com\nx\n");
    assert_eq!(broken["state"], "failed");
    assert!(!broken.to_string().contains("someone"), "{broken}");
    let bought = desk.upload(LISTED, "consent=given", CSV, "cookie,spend\nx,9.90\n");
    assert!(bought["reason"].as_str().unwrap().contains("advertiser_id"), "{bought}");
}

#[test]
fn what_a_list_says_was_bought_puts_customers_into_their_tier_at_once() {
    let desk = Desk::bidding_for(ACTIVE, None);
    let yesterday = jiff::Timestamp::from_second(desk.shop.at() - 86_400).unwrap();
    let list = format!("cookie,purchases,spend,last_purchase_at\nbuyer,3,129.90,{yesterday}\n");
    let job = desk.upload(LISTED, "consent=given&advertiser_id=1", CSV, &list);
    assert_eq!(desk.counts(&job), [1, 1, 0, 0, 0, 0, 0]);
    assert!(desk.shop.wants_uid("buyer"));
    let shown = desk.ask("export", &json!([{ "type": "cookie", "value": "buyer" }]));
    let customer = &shown["customers"][0];
    assert_eq!((&customer["purchases"], &customer["spend"]), (&json!(3), &json!("129.90")), "{shown}");
    assert_eq!(customer["last_purchase_at"], customer["first_purchase_at"]);
    desk.shop.later(91 * 86_400);
    assert!(!desk.shop.wants_uid("buyer"));
}

#[test]
fn counts_and_overlaps_are_those_of_the_lists() {
    let desk = Desk::bidding_for(LISTED, None);
    let people = |from: u32, to: u32| -> String {
        "cookie\n".to_owned() + &(from..to).map(|n| format!("person {n}\n")).collect::<String>()
    };
    desk.upload(LISTED, "consent=given", CSV, &people(0, 600));
    desk.shop.server.shared.people().index().merge(desk.shop.at()).unwrap();
    desk.upload(LISTED, "consent=given", CSV, &people(600, 700));
    desk.upload(THIRTIES, "consent=explicit", CSV, &people(500, 900));
    let stats =
        |segment: SegmentId| desk.call("GET", &format!("/v1/segments/{segment}/stats"), CSV, "").json();
    let shown = stats(LISTED);
    let of = |name: &str| shown[name].as_u64();
    assert_eq!(
        (of("members"), of("listed"), of("explicit_consent")),
        (Some(700), Some(700), Some(0)),
        "{shown}"
    );
    // Whoever is in the second list too has changed since the merge; another one may have begun.
    assert_eq!(of("in_base").zip(of("in_overlay")).map(|(base, changed)| base + changed), Some(700));
    assert!(of("in_base") >= Some(500), "{shown}");
    assert_eq!(stats(THIRTIES)["explicit_consent"], 400);
    assert_eq!(stats(HEALTH)["members"], 0);
    assert_eq!(of("members_with_below"), Some(700));
    desk.upload(SegmentId(931), "consent=given", CSV, &people(650, 760));
    let both = stats(LISTED);
    assert_eq!((&both["members"], &both["members_with_below"]), (&json!(700), &json!(760)), "{both}");
    let asked = json!({ "segment_ids": [LISTED.to_string(), THIRTIES.to_string(), HEALTH.to_string()] });
    let reply = desk.call("POST", "/v1/segments:overlap", "application/json", &asked.to_string());
    let shown = reply.json();
    let members = |list: &str| -> Vec<u64> {
        shown[list].as_array().unwrap().iter().map(|of| of["members"].as_u64().unwrap()).collect()
    };
    assert_eq!((members("sizes"), members("overlaps")), (vec![700, 400, 0], vec![200, 0, 0]), "{shown}");
    assert_eq!((&shown["in_any"], &shown["in_all"]), (&json!(900), &json!(0)));
}

#[test]
fn who_is_erased_by_an_address_is_found_by_nothing_also_after_a_restart() {
    let home = tempfile::tempdir().unwrap();
    let desk = Desk::bidding_for(LISTED, Some(home.path()));
    let address = sha256("someone@example.com");
    let by_address = json!([{ "type": "email_sha256", "value": address }]);
    let (pair, uid) = cookie(&desk.shop.page("t=search&q=toothpaste&gdpr=0", ""));
    desk.shop.page(&format!("t=custom&n=login&eh={address}&gdpr=0"), &pair);
    desk.shop.tell(&json!({ "t": "purchase", "v": "5", "uid": uid, "gdpr": 0 }));
    let list = format!("email_sha256,expires_at\n{address},2031-01-01T00:00:00Z\n");
    desk.upload(LISTED, "consent=explicit", CSV, &list);
    assert!(desk.shop.wants_uid(&uid));

    let shown = desk.ask("export", &by_address);
    let listed = &shown["segments"].as_array().unwrap().iter().find(|of| of["key"] == "crm.buyers").unwrap();
    assert_eq!((&listed["origin"], &listed["explicit_consent"]), (&json!("first_party"), &json!(true)));
    assert_eq!(listed["expires_at"], "2031-01-01T00:00:00Z");
    assert_eq!(shown["customers"][0]["spend"], "5.00");
    assert_eq!(shown["counts"].as_array().unwrap().len(), 1, "{shown}");
    let links =
        json!([{ "kind": "hashed_address", "count": 1 }, { "kind": "browser_or_device", "count": 1 }]);
    assert_eq!(shown["links"], links);
    assert!(!shown.to_string().contains(&uid) && !shown.to_string().contains(&address));
    // An older copy.
    desk.shop.server.shared.people().save().unwrap();
    let copy = tempfile::tempdir().unwrap();
    copy_folder(&home.path().join("audience"), copy.path());

    let receipt = desk.ask("erase", &by_address);
    assert_eq!((&receipt["keys"], &receipt["traces"]), (&json!(2), &json!(1)), "{receipt}");
    assert!(receipt["memberships"].as_u64().unwrap() >= 2, "{receipt}");
    let nothing = |desk: &Desk| {
        assert!(!desk.shop.wants_uid(&uid));
        for ids in [&by_address, &json!([{ "type": "cookie", "value": uid }])] {
            let shown = desk.ask("export", ids);
            for list in ["segments", "interests", "counts", "customers", "touches", "links"] {
                assert_eq!(shown[list], json!([]), "{list}");
            }
        }
    };
    nothing(&desk);
    let records = desk.call("GET", "/v1/audit?filter[kind]=person", CSV, "");
    let said = records.text();
    assert!(said.contains("\"erase\"") && said.contains(receipt["id"].as_str().unwrap()), "{said}");
    assert!(!said.contains(&uid) && !said.contains(&address));
    for (body, pointer) in [
        (json!({ "ids": [] }), "/ids"),
        (json!({ "ids": [{ "type": "email_sha256", "value": "a@b.example" }] }), "/ids/0/value"),
        (json!({ "ids": [{ "type": "name", "value": "x" }] }), "/ids/0/type"),
        (json!({ "ids": [{ "type": "eid", "value": "x" }] }), "/ids/0/source"),
        (json!({ "ids": [{ "type": "exchange", "value": "x", "exchange": "none" }] }), "/ids/0/exchange"),
    ] {
        let reply = desk.call("POST", "/v1/people:erase", "application/json", &body.to_string());
        assert_eq!((reply.status, &reply.json()["errors"][0]["pointer"]), (422, &json!(pointer)));
        assert!(!reply.text().contains("a@b.example"));
    }
    drop(desk);
    let again = || Desk::bidding_for(LISTED, Some(home.path()));
    nothing(&again());
    // The older copy in the place of what is there.
    std::fs::remove_dir_all(home.path().join("audience")).unwrap();
    copy_folder(copy.path(), &home.path().join("audience"));
    let desk = again();
    nothing(&desk);
    // Who comes back afterwards is a new person.
    let (_, new) = cookie(&desk.shop.page(&format!("t=view&eh={address}&gdpr=0"), &pair));
    desk.upload(LISTED, "consent=given", CSV, &list);
    assert!(desk.shop.wants_uid(&new));
    drop(desk);
    assert!(again().shop.wants_uid(&new), "and stays");
}

pub(super) fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

/// Figures: `cargo test --test it -- --ignored --nocapture million_rows`.
#[test]
#[ignore = "a million rows; measures"]
fn a_million_rows_and_what_they_cost() {
    let home = tempfile::tempdir().unwrap();
    let desk = Desk::bidding_for(LISTED, Some(home.path()));
    let rows: u32 = std::env::var("OUTBID_ROWS").map_or(1_000_000, |rows| rows.parse().unwrap());
    let mut list = "cookie,ttl_days\n".to_owned();
    (0..rows).for_each(|n| list.push_str(&format!("q2bXw0rT{n:014},30\n")));
    let rss = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let of = |name: &str| -> u64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.split_whitespace().next().unwrap().parse::<u64>().unwrap() / 1_024
        };
        (of("VmRSS:"), of("VmHWM:"))
    };
    let wall = SystemClock::new();
    for (what, query) in [("new", "consent=given"), ("replaced by itself", "consent=given&mode=replace")] {
        let (before, began_ns) = (rss().0, wall.mono_ns());
        let path = format!("/v1/segments/{LISTED}/members:upload?{query}");
        let mut job = desk.call("POST", &path, CSV, &list).json();
        while !["succeeded", "failed"].contains(&job["state"].as_str().unwrap()) {
            std::thread::sleep(std::time::Duration::from_millis(50));
            job = desk.call("GET", &format!("/v1/jobs/{}", job["id"].as_str().unwrap()), CSV, "").json();
        }
        let s = (wall.mono_ns() - began_ns) as f64 / 1e9;
        let (now, most) = rss();
        let per_s = f64::from(rows) / s;
        eprintln!("{what}: {rows} rows in {s:.2} s, {per_s:.0} rows/s; {before} → {now} MiB, at most {most}");
        assert_eq!(desk.counts(&job)[0], u64::from(rows));
    }
    let began_ns = wall.mono_ns();
    let shown = desk.call("GET", &format!("/v1/segments/{LISTED}/stats"), CSV, "").json();
    let ms = (wall.mono_ns() - began_ns) as f64 / 1e6;
    eprintln!("counted {} in {ms:.0} ms; {:?}", shown["members"], desk.shop.server.shared.people().index());
}
