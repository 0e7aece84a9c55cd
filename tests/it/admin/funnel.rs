//! Mistakes that people make, each in a line item of its own, beside traffic that all of them miss: the first line of the funnel
//! names the mistake and what to do.

use super::calls::{Calls, creative, line_item, request};
use super::site::{Site, run};
use crate::server::Client;
use outbid::model::clock::Clock;
use outbid::telemetry::clock::SystemClock;
use serde_json::{Value, json};

/// What is changed of a line item that bids 2.50 on everything, how the first line begins, and a part of its advice.
type Mistake = (&'static str, Value, &'static str, &'static str);

fn mistakes() -> Vec<Mistake> {
    let include = |name: &str, values: Value| json!({ "targeting": { name: { "include": values } } });
    let exclude = |name: &str, values: Value| json!({ "targeting": { name: { "exclude": values } } });
    let bid = |amount: &str| json!({ "bid": { "strategy": "fixed_cpm", "amount": amount, "max": amount } });
    // Open for an hour, three days away: whichever zone it is meant in, that is not now.
    let today = SystemClock::new().now().unix_s() / 86_400;
    let days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let far = days[(today + 3 + 3).rem_euclid(7) as usize];
    let open = json!({ "include": [{ "day": far, "start": 11, "end": 12 }] });
    let shows = |creative: &str| json!({ "creatives": [{ "creative": creative }] });
    vec![
        (
            "flight over",
            json!({ "flight": { "end_at": "2020-01-01T00:00:00Z" } }),
            "ended: ",
            "flight.end_at",
        ),
        (
            "flight to come",
            json!({ "flight": { "start_at": "2120-01-01T00:00:00Z" } }),
            "scheduled: ",
            "flight.start_at",
        ),
        ("paused", json!({ "status": "paused" }), "paused: ", "activate it"),
        (
            "campaign paused",
            json!({ "campaign_id": "2" }),
            "paused_parent: ",
            "campaign 2 is not active; activate it",
        ),
        ("no creative", json!({ "creatives": [] }), "no_creative: ", "assign one"),
        ("creative not approved", shows("2"), "no_creative: ", "set `approval` to approved"),
        (
            "wallet without money",
            json!({ "campaign_id": "3", "creatives": [{ "creative": "3" }] }),
            "no_budget: ",
            "wallet",
        ),
        ("wrong size", shows("4"), "size: ", "add a creative in a size that is offered"),
        ("another medium", include("formats", json!(["video"])), "format: ", "add the medium"),
        (
            "floor above the bid",
            json!({
                "bid": { "strategy": "fixed_cpm", "amount": "3.00", "max": "3.00" },
                "multipliers": { "countries": [{ "value": "US", "factor": "0.1" }, { "value": "DE", "factor": "0.1" }] },
            }),
            "below_floor: ",
            "raise the bid",
        ),
        ("the wrong country", include("countries", json!(["FRA"])), "geo: ", "widen the places"),
        ("the wrong region", include("regions", json!(["us-ca"])), "geo: ", "widen the places"),
        ("the wrong device", include("device_types", json!([3])), "device: ", "widen device types"),
        ("the wrong system", include("os", json!(["ios"])), "device: ", "widen device types"),
        ("the wrong site", include("domains", json!(["sports.example"])), "inventory: ", "widen the lists"),
        ("the site excluded", exclude("domains", json!(["news.example"])), "inventory: ", "widen the lists"),
        ("no such app", include("bundles", json!(["com.example.game"])), "inventory: ", "widen the lists"),
        ("the wrong keyword", include("keywords", json!(["shoes"])), "keyword: ", "widen the keywords"),
        ("the wrong language", include("languages", json!(["fr"])), "language: ", "widen the languages"),
        ("hours that are closed", json!({ "targeting": { "dayparts": open } }), "daypart: ", "time zone"),
        ("a deal's id with a typo", include("deals", json!(["PMP-4712"])), "deal: ", "letter by letter"),
        ("the wrong exchange", include("exchanges", json!(["south"])), "exchange: ", "add the exchange"),
        (
            "the wrong position",
            json!({ "targeting": { "placement": { "positions": { "include": [3] } } } }),
            "placement: ",
            "widen the placement rules",
        ),
        (
            "nobody in the segment",
            json!({ "targeting": { "audience": { "any_of": ["crm.buyers"] } } }),
            "no_audience: ",
            "",
        ),
        (
            "the parent node excluded",
            json!({ "targeting": { "audience": { "none_of": ["animals"] } } }),
            "audience: ",
            "exclude fewer",
        ),
        ("a blocked category", shows("5"), "blocked_category: ", "check the creative's categories"),
        ("a blocked domain", shows("6"), "blocked_advertiser: ", "check the creative's domain"),
        ("a blocked attribute", shows("7"), "blocked_attribute: ", "check the creative's attributes"),
        (
            "a factor of nothing",
            json!({ "multipliers": { "sizes": [{ "value": "300x250", "factor": "0" }] } }),
            "size: ",
            "offered",
        ),
        (
            "beaten from within",
            bid("2.40"),
            "lost_internal: ",
            "raise the bid, or narrow the other one where it is yours",
        ),
    ]
}

/// Of some of them the member that one explained request points to, and a part of what was compared.
const EXPLAINED: [(&str, &str, &str); 18] = [
    ("flight over", "flight", "until 2020-01-01T00:00:00Z; it is 2"),
    ("paused", "status", "the line item is not active"),
    ("campaign paused", "campaigns.status", "its campaign 2 is not active"),
    ("no creative", "creatives.approval", "it has no creative; assign one"),
    (
        "creative not approved",
        "creatives.approval",
        "none of its active creatives is approved (2 is pending)",
    ),
    ("another medium", "targeting.formats", "a creative of a targeted medium"),
    ("floor above the bid", "multipliers", "its multipliers make 0.30 of 3.00"),
    ("the wrong region", "targeting.regions", "wants one of us-ca"),
    ("the wrong system", "targeting.os", "wants one of ios, has "),
    ("no such app", "targeting.bundles", "has unknown"),
    ("hours that are closed", "targeting.dayparts", " 11–12 "),
    ("a deal's id with a typo", "deal_ids", "wants one of PMP-4712, has \"PMP-4711\""),
    ("the wrong position", "targeting.placement", "the position is 1"),
    ("a blocked category", "creatives.iab_categories", "`bcat` blocks IAB8-5"),
    ("a blocked domain", "creatives.adomain", "`badv` blocks rival.example, and its domain is rival.example"),
    ("a blocked attribute", "creatives.attributes", "`battr` blocks attribute 3"),
    ("a factor of nothing", "creatives", "a factor of 0 excludes its size 300x250"),
    ("beaten from within", "bid", "worth 2.40, another offered more"),
];

#[test]
fn the_first_line_names_the_mistake_and_the_fix() {
    let site = Site::fresh(&["engine.max_candidates=256"]);
    site.make_all();
    site.make("exchanges", &super::calls::exchange("south"));
    site.make("campaigns", &json!({ "name": "Asleep", "advertiser_id": "1", "status": "paused" }));
    site.make("advertisers", &super::calls::advertiser("Penniless"));
    site.make("campaigns", &json!({ "name": "Poor", "advertiser_id": "2", "status": "active" }));
    let changed = |name: &str, changes: Value| {
        let mut creative = creative(name);
        changes.as_object().unwrap().iter().for_each(|(member, value)| creative[member] = value.clone());
        site.make("creatives", &creative);
    };
    changed("Not seen yet", json!({ "approval": "pending" }));
    changed("Of the penniless", json!({ "advertiser_id": "2" }));
    changed("Leaderboard", json!({ "size": "728x90" }));
    changed("Beer", json!({ "iab_categories": ["IAB8-5"], "cattax": 1 }));
    changed(
        "Rival",
        json!({ "adomain": ["rival.example"], "landing_domains": ["rival.example"], "click_url": "https://rival.example/" }),
    );
    changed("Loud", json!({ "attributes": [3] }));
    let external = json!([{ "segtax": 600, "id": "dogs" }]);
    site.make("segments", &json!({ "key": "animals", "name": "Animals" }));
    site.make(
        "segments",
        &json!({ "key": "animals.dogs", "name": "Dogs", "parent": "animals", "external": external }),
    );
    let ids: Vec<(String, Mistake)> = mistakes()
        .into_iter()
        .map(|mistake| {
            let mut item = line_item(mistake.0);
            mistake.1.as_object().unwrap().iter().for_each(|(member, value)| item[member] = value.clone());
            (site.make("line_items", &item)["id"].as_str().unwrap().to_owned(), mistake)
        })
        .collect();
    let mut body = request();
    body["imp"][0]["banner"]["pos"] = 1.into();
    body["imp"][0]["banner"]["battr"] = json!([3]);
    body["imp"][0]["pmp"] = json!({ "deals": [{ "id": "PMP-4711", "bidfloor": 0.5 }] });
    body["bcat"] = json!(["IAB8-5"]);
    body["badv"] = json!(["rival.example"]);
    body["device"]["geo"]["country"] = "USA".into();
    body["device"]["devicetype"] = 2.into();
    body["device"]["language"] = "en".into();
    body["device"]["os"] = "Windows".into();
    body["site"]["keywords"] = "politics".into();
    body["user"] = json!({ "data": [{ "ext": { "segtax": 600 }, "segment": [{ "id": "dogs" }] }] });
    site.until("the first bid", |site| site.price() == Some(2.5));
    let (mut client, mut sent, mut bids) = (Client::connect(site.bid), 0, 0);
    let before = site.get("/v1/exchanges/1/funnel")["total"]["bids"].as_u64().unwrap();
    let funnel = |id: &str| site.get(&format!("/v1/line_items/{id}/funnel"));
    // A few of them are in the sample. Many more, or faster, and the exchange would owe too many bills to be trusted with bids.
    for nth in 0..700 {
        if nth % 100 == 99 {
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        body["id"] = format!("request-{sent}").into();
        let reply = client.bid("north", body.to_string().as_bytes()).unwrap();
        sent += 1;
        bids += u64::from(reply.status == 200);
    }
    // They are looked at one by one, a few a second.
    site.until("the sample", |_| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        funnel("1")["total"]["not_found_because"]["samples"].as_u64().unwrap() >= 1
    });
    for (id, (name, _, begins, advice)) in &ids {
        let shown = funnel(id);
        let headline = shown["headline"].as_str().unwrap();
        assert!(headline.starts_with(begins), "{name}: {headline}\n{shown:#}");
        assert!(headline.contains(advice), "{name}: {headline}");
        adds_up(&shown);
    }
    let best = funnel("1");
    adds_up(&best);
    assert!(best["headline"].as_str().unwrap().starts_with("bids on "), "{best}");
    let exchange = site.get("/v1/exchanges/1/funnel");
    // Every answer is a bid of one of them; while the best waits for its next lease another one takes its place.
    let counted = |shown: &Value| shown["total"]["bids"].as_u64().unwrap();
    assert_eq!(counted(&exchange), before + bids);
    assert_eq!(counted(&best) + ids.iter().map(|(id, _)| counted(&funnel(id))).sum::<u64>(), before + bids);
    let requests = exchange["total"]["requests"].as_u64().unwrap();
    assert!(requests >= sent && best["total"]["requests"] == requests, "{exchange:#}");
    let url = format!("http://{}", site.admin);
    // One request of them, explained: the dimension's own member, and the values that were compared.
    let explained = |id: &str| {
        let asked = json!({ "exchange": "north", "request": body }).to_string();
        let reply = site.call("POST", &format!("/v1/line_items/{id}:explain"), &[super::calls::JSON], &asked);
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()
    };
    for (name, field, detail) in EXPLAINED {
        let (id, _) = ids.iter().find(|(_, mistake)| mistake.0 == name).unwrap();
        let told = explained(id);
        let row = &told["imps"][0]["line_items"][0];
        assert_eq!(row["field"], field, "{name}: {row:#}");
        assert!(row["detail"].as_str().unwrap().contains(detail), "{name}: {row:#}");
        let headline = told["headline"].as_str().unwrap();
        let reason = row["reason"].as_str().unwrap();
        assert!(
            headline.starts_with(&format!("{reason}: ")) && headline.contains(detail),
            "{name}: {headline}"
        );
        assert!(headline.ends_with(row["advice"].as_str().unwrap()), "{name}: {headline}");
    }
    assert_eq!(explained("1")["headline"], "bids 2.50 on impression \"1\"");
    let picture = run(&["why", &ids[7].0, "--url", &url, "--key", super::calls::KEY]);
    assert!(picture.contains("\nsize: ") && picture.contains("█"), "{picture}");
}

/// Σ of all ends is the requests, in the total and in every span.
fn adds_up(shown: &Value) {
    let number = |value: &Value| value.as_u64().unwrap();
    let sum = |rows: &Value| rows.as_array().unwrap().iter().map(|row| number(&row["requests"])).sum::<u64>();
    let spans = shown["spans"].as_array().unwrap();
    for row in spans.iter().chain([&shown["total"]]) {
        let found = number(&row["found"]);
        assert_eq!(sum(&row["reasons"]) + number(&row["bids"]), found, "{row:#}");
        assert_eq!(
            sum(&row["refused"]) + number(&row["not_found"]) + found,
            number(&row["requests"]),
            "{row:#}"
        );
    }
    let of = |row: &Value| number(&row["requests"]);
    assert_eq!(spans.iter().map(of).sum::<u64>(), of(&shown["total"]), "{shown:#}");
}

#[test]
fn people_who_may_not_be_known_or_have_seen_enough_are_named() {
    let site = Site::fresh(&[]);
    site.make_all();
    site.make("exchanges", &super::calls::exchange("south"));
    site.make("segments", &json!({ "key": "animals", "name": "Animals" }));
    let headers = [("content-type", "text/csv"), ("prefer", "wait=60")];
    let list = "cookie\nsomebody-else\n";
    let loaded = site.call("POST", "/v1/segments/2/members:upload?consent=given", &headers, list);
    assert_eq!(loaded.status, 200, "{}", loaded.text());
    let made = |name: &str, changes: Value| {
        let mut item = line_item(name);
        changes.as_object().unwrap().iter().for_each(|(member, value)| item[member] = value.clone());
        site.make("line_items", &item)["id"].as_str().unwrap().to_owned()
    };
    let bid = json!({ "strategy": "fixed_cpm", "amount": "9.00", "max": "9.00" });
    let caps = json!({ "caps": [{ "max": 1, "per": { "unit": "day" } }] });
    let capped = made("Once a day", json!({ "frequency": caps, "bid": bid }));
    let exchanges = json!({ "include": ["south"] });
    let audience = json!({ "any_of": ["animals"] });
    let known = made("Animals", json!({ "targeting": { "exchanges": exchanges, "audience": audience } }));
    site.until("the first bid", |site| site.price().is_some());
    let mut client = Client::connect(site.bid);
    let mut ask = |exchange: &str, from: usize, to: usize, change: &dyn Fn(&mut Value)| {
        for nth in from..to {
            let mut body = request();
            body["id"] = format!("{exchange}-{nth}").into();
            change(&mut body);
            client.bid(exchange, body.to_string().as_bytes()).unwrap();
        }
    };
    ask("north", 0, 300, &|body| {
        body["device"]["geo"]["country"] = "USA".into();
        body["user"] = json!({ "buyeruid": "the-same-person" });
    });
    let funnel = |id: &str| site.get(&format!("/v1/line_items/{id}/funnel"));
    let shown = funnel(&capped);
    adds_up(&shown);
    assert!(shown["headline"].as_str().unwrap().starts_with("frequency: "), "{shown:#}");
    assert!(shown["headline"].as_str().unwrap().contains("raise the cap"), "{shown:#}");
    assert_eq!(shown["total"]["bids"], 1, "a bid that is open counts: {shown:#}");
    let mut asked = 0;
    site.until("the sample", |_| {
        if asked < 2_000 {
            ask("south", asked, asked + 500, &|body| body["regs"] = json!({ "gdpr": 1 }));
            asked += 500;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
        asked >= 1_500 && funnel(&known)["headline"].as_str().unwrap().starts_with("consent: ")
    });
    let shown = funnel(&known);
    adds_up(&shown);
    assert!(shown["headline"].as_str().unwrap().contains("nothing without consent"), "{shown:#}");
}

#[test]
fn a_posted_request_is_explained_to_its_owner() {
    let site = Site::fresh(&[]);
    site.make_all();
    let mut far = line_item("Far away");
    far["targeting"] = json!({ "countries": { "include": ["FRA"] } });
    site.make("line_items", &far);
    let mut chosen = line_item("Animals");
    chosen["targeting"] = json!({ "audience": { "any_of": ["crm.buyers"] } });
    site.make("line_items", &chosen);
    site.until("the first bid", |site| site.price() == Some(2.5));
    let asked = json!({ "exchange": "north", "request": request() }).to_string();
    let headers = [super::calls::JSON];
    let explain = |path: &str| {
        let reply = site.call("POST", path, &headers, &asked);
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()["imps"][0]["line_items"].as_array().unwrap().clone()
    };
    site.until("the last line item", |_| explain("/v1/advertisers/1:explain").len() == 3);
    let all = explain("/v1/advertisers/1:explain");
    let reasons: Vec<&Value> = all.iter().map(|verdict| &verdict["reason"]).collect();
    assert_eq!(reasons[0], &Value::Null, "who bids comes first: {all:?}");
    assert_eq!(all[0]["price"]["price"], "2.50");
    assert_eq!(reasons.len(), 3);
    let [one] = &explain("/v1/line_items/2:explain")[..] else { panic!("one line item was asked about") };
    assert_eq!((&one["reason"], &one["field"]), (&json!("geo"), &json!("targeting.countries")));
    let whole = site.call("POST", "/v1/advertisers/1:explain", &headers, &asked).json();
    let headline = whole["headline"].as_str().unwrap();
    assert_eq!(headline, "1 of 3 line items bid; line item 1: bids 2.50 on impression \"1\"");
    // No time is left of what the exchange gives.
    let mut late = request();
    late["tmax"] = 1.into();
    site.patch("/v1/exchanges/1", &json!({ "network_margin_ms": 20 }));
    let late = json!({ "exchange": "north", "request": late }).to_string();
    let told = |_: &Site| site.call("POST", "/v1/line_items/1:explain", &headers, &late).json();
    site.until("the margin", |site| told(site)["no_bid"] == "deadline");
    let said = told(&site);
    assert_eq!(said["imps"][0]["line_items"][0]["field"], "exchanges.network_margin_ms", "{said:#}");
    assert!(said["headline"].as_str().unwrap().contains("`tmax` leaves 0 ms"), "{said:#}");
    let detail = one["detail"].as_str().unwrap();
    assert!(detail.to_lowercase().contains("deu") || detail.contains("DE"), "{detail}");
    // What is known of a person is told to the platform, and to no tenant: anybody could post an id.
    let headers_of_list = [("content-type", "text/csv"), ("prefer", "wait=60")];
    let loaded =
        site.call("POST", "/v1/segments/1/members:upload?consent=given", &headers_of_list, "cookie\nada\n");
    assert_eq!(loaded.status, 200, "{}", loaded.text());
    let mut of_ada = request();
    of_ada["device"]["geo"]["country"] = "USA".into();
    of_ada["user"] = json!({ "buyeruid": "ada" });
    let asked = json!({ "exchange": "north", "request": of_ada }).to_string();
    let key = json!({ "name": "trader", "role": "trader", "account_id": "1" }).to_string();
    let made = site.call("POST", "/v1/api_keys", &headers, &key);
    assert_eq!(made.status, 201, "{}", made.text());
    let secret = made.json()["secret"].as_str().unwrap().to_owned();
    let verdict = |key: &str| {
        let bearer = format!("Bearer {key}");
        let headers = [("authorization", bearer.as_str()), super::calls::JSON];
        let mut client = Client::connect(site.admin);
        let reply = client.send("POST", "/v1/line_items/3:explain", &headers, asked.as_bytes()).unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()["imps"][0]["line_items"][0].clone()
    };
    assert_eq!(verdict(&secret)["reason"], "audience", "{}", verdict(&secret));
    assert_ne!(verdict(super::calls::KEY)["reason"], "audience", "{}", verdict(super::calls::KEY));
    for (body, pointer) in [
        (json!({ "exchange": "nowhere", "request": request() }), "/exchange"),
        (json!({ "exchange": "north", "request": { "id": 1 } }), "/request"),
        (json!({ "exchange": "north" }), "/request"),
        (json!({ "request": request() }), "/exchange"),
        (json!({ "exchange": "north", "request": request(), "more": 1 }), "/more"),
    ] {
        let refused = site.refused(422, "POST", "/v1/line_items/2:explain", &headers, &body.to_string());
        assert_eq!(refused["errors"][0]["pointer"], pointer, "{refused}");
    }
}

#[test]
fn sampled_requests_are_found_and_explained_to_everybody_as_far_as_it_is_theirs() {
    let mut site = Site::fresh(&["samples.per_second=64"]);
    site.make_all();
    site.until("the first bid", |site| site.price() == Some(2.5));
    // Asking for it that often made the sample a thin one; a start begins with everybody.
    site.restart();
    let headers = [super::calls::JSON];
    let mut of_ada = request();
    of_ada["id"] = "of ada".into();
    of_ada["user"] = json!({ "buyeruid": "ada's cookie" });
    of_ada["regs"] = json!({ "gdpr": 0 });
    of_ada["device"]["ip"] = "203.0.113.77".into();
    Client::connect(site.bid).bid("north", of_ada.to_string().as_bytes()).unwrap();
    let mut dear = request();
    dear["id"] = "dear".into();
    dear["imp"][0]["bidfloor"] = 900.into();
    Client::connect(site.bid).bid("north", dear.to_string().as_bytes()).unwrap();
    let get = |key: &str, path: &str| {
        let bearer = format!("Bearer {key}");
        Client::connect(site.admin).send("GET", path, &[("authorization", bearer.as_str())], b"").unwrap()
    };
    let platform = super::calls::KEY;
    let list = |key: &str, query: &str| {
        let reply = get(key, &format!("/v1/samples?{query}"));
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()["samples"].as_array().unwrap().clone()
    };
    site.until("the sample", |_| list(platform, "filter[request_id]=dear").len() == 1);
    let [sample] = &list(platform, "filter[request_id]=of%20ada&filter[exchange]=north")[..] else {
        panic!()
    };
    assert_eq!(sample["bids"], json!([{ "line_item_id": "1", "cpm": "2.50" }]), "{sample}");
    let [low] = &list(platform, "filter[outcome]=below_floor")[..] else { panic!() };
    assert_eq!((&low["request_id"], &low["no_bid"]), (&json!("dear"), &json!("below_floor")));
    assert!(list(platform, "filter[domain]=nowhere.example").is_empty());
    assert!(!list(platform, "filter[line_item_id]=1").is_empty());
    let first = get(platform, "/v1/samples?page_size=1").json();
    let next = format!("page_size=1&page_token={}", first["next_page_token"].as_str().unwrap());
    assert_ne!(list(platform, &next)[0]["key"], first["samples"][0]["key"]);
    // One alone has the request, and for the platform what was known of the person.
    let key = sample["key"].as_str().unwrap();
    let path = format!("/v1/samples/{key}");
    let whole = get(platform, &path).json();
    assert_eq!(whole["request"]["imp"], of_ada["imp"]);
    assert!(whole["person"]["hash"].is_string());
    assert!(
        !whole.to_string().contains("ada's cookie") && !whole.to_string().contains("203.0.113"),
        "{whole}"
    );
    // A tenant sees its own bids, and no reasons that would tell of others.
    let tenant = |account: &str| {
        let key = json!({ "name": "analyst", "role": "analyst", "account_id": account }).to_string();
        let made = site.call("POST", "/v1/api_keys", &headers, &key);
        assert_eq!(made.status, 201, "{}", made.text());
        made.json()["secret"].as_str().unwrap().to_owned()
    };
    site.make("accounts", &json!({ "name": "Another", "status": "active" }));
    let (own, other) = (tenant("1"), tenant("2"));
    assert_eq!(get(&own, &path).json()["bids"][0]["line_item_id"], "1");
    let foreign = get(&other, &path).json();
    assert_eq!(
        (&foreign["bids"], &foreign["person"], &foreign["no_bid"]),
        (&json!([]), &Value::Null, &Value::Null)
    );
    assert_eq!(foreign["request"], whole["request"]);
    assert_eq!(list(&own, "filter[request_id]=dear")[0]["no_bid"], Value::Null);
    // Which requests one line item was refused for a reason is decided again, for its owner too.
    for key in [platform, &own] {
        let found = get(key, "/v1/samples?filter[line_item_id]=1&filter[outcome]=below_floor").json();
        let [row] = &found["samples"].as_array().unwrap()[..] else { panic!("{found}") };
        assert_eq!(row["request_id"], "dear");
        assert!(row["detail"].as_str().unwrap().contains("900"), "{row}");
        assert!(found["looked_at"].as_u64().unwrap() >= 2 && found["looked_until"].is_string(), "{found}");
        assert_eq!(found["next_page_token"], Value::Null);
        assert!(list(key, "filter[line_item_id]=1&filter[outcome]=geo").is_empty());
    }
    assert!(!list(&own, "filter[line_item_id]=1&filter[outcome]=bid").is_empty());
    // Page by page: where a page ends, the next one begins.
    let (mut seen, mut token) = (Vec::new(), String::new());
    loop {
        let query = "filter[line_item_id]=1&filter[outcome]=below_floor&page_size=1";
        let page = get(&own, &format!("/v1/samples?{query}{token}")).json();
        seen.extend(page["samples"].as_array().unwrap().iter().map(|row| row["request_id"].clone()));
        let Some(next) = page["next_page_token"].as_str() else { break };
        token = format!("&page_token={next}");
    }
    assert_eq!(seen, ["dear"]);
    for (key, query) in [
        (&*own, "filter[outcome]=below_floor"),
        (&*own, "filter[outcome]=bid"),
        (&*other, "filter[line_item_id]=1&filter[outcome]=below_floor"),
        (&*other, "filter[line_item_id]=1"),
        (platform, "filter[outcome]=nothing"),
        (platform, "filter[exchange]=nowhere"),
        (platform, "page_token=x"),
        (platform, "from=yesterday"),
        (platform, "more=1"),
    ] {
        let reply = get(key, &format!("/v1/samples?{query}"));
        assert_eq!(reply.status, 400, "{query}: {}", reply.text());
    }
    assert_eq!([get(platform, "/v1/samples/1-1").status, get(platform, "/v1/samples/x").status], [404, 404]);
    // It is explained as it would be decided now.
    let explain = |body: Value| {
        let reply = site.call("POST", "/v1/line_items/1:explain", &headers, &body.to_string());
        assert_eq!(reply.status, 200, "{}", reply.text());
        let verdict = reply.json()["imps"][0]["line_items"][0].clone();
        assert_eq!(reply.json()["exchange"], "north");
        verdict
    };
    let posted = explain(json!({ "exchange": "north", "request": request() }));
    for asked in [
        json!({ "sample": key }),
        json!({ "request_id": "of ada" }),
        json!({ "request_id": "of ada", "exchange": "north" }),
    ] {
        let told = explain(asked);
        assert_eq!(
            (&told["bids"], &told["price"]["price"]),
            (&json!(true), &posted["price"]["price"]),
            "{told}"
        );
        assert!(told["budget"]["wallet"].is_string() && told["caps"].is_array(), "{told}");
    }
    assert_eq!(explain(json!({ "request_id": "dear" }))["reason"], "below_floor");
    // A curve has the prices that were asked for, to the letter, also where they are no round part of the configured one.
    let bid = json!({ "strategy": "fixed_cpm", "amount": "3.00", "max": "3.00" });
    let tried = json!({ "changes": { "bid": bid }, "bids": ["1", "2"] }).to_string();
    let reply = site.call("POST", "/v1/line_items/1:forecast", &headers, &tried);
    assert_eq!(reply.status, 200, "{}", reply.text());
    let forecast = reply.json();
    let prices: Vec<&Value> =
        forecast["curve"].as_array().unwrap().iter().map(|point| &point["bid"]).collect();
    assert_eq!(prices, ["1.00", "2.00"], "{forecast:#}");
    assert!(forecast["headline"].as_str().unwrap().contains(" impressions a day"), "{forecast:#}");
    for (body, pointer) in [
        (json!({ "sample": "1-1" }), "/sample"),
        (json!({ "sample": "x" }), "/sample"),
        (json!({ "sample": 7 }), "/sample"),
        (json!({ "request_id": "never came" }), "/request_id"),
        (json!({ "request_id": "dear", "exchange": "nowhere" }), "/exchange"),
        (json!({ "request_id": "dear", "sample": key }), ""),
    ] {
        let refused = site.refused(422, "POST", "/v1/line_items/1:explain", &headers, &body.to_string());
        assert_eq!(refused["errors"][0]["pointer"], pointer, "{refused}");
    }
    let refused = site.refused(
        422,
        "POST",
        "/v1/line_items/1:explain",
        &headers,
        &json!({ "request_id": "gone" }).to_string(),
    );
    assert!(refused.to_string().contains("sampled requests, which stand for about"), "{refused}");
}
