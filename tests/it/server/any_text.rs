//! Trial C7: any text in any string of a valid request, over HTTP: the answer is 204 or valid OpenRTB at a price
//! within the caps, and bids alone charge nobody.

use super::{Known, Server, Setup};
use outbid::budget::AccountKey;
use outbid::model::ids::AdvertiserId;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use std::cell::Cell;

/// The cap of the exchange's profile, in units of CPM.
const MAX_CPM: f64 = 50.0;

/// Texts that have broken bidders before, among any others.
fn any_text() -> impl Strategy<Value = String> {
    let odd = proptest::sample::select(vec![
        "",
        " ",
        "\0",
        "\u{7f}",
        "\u{202e}\u{200b}\u{feff}",
        "\"><script>alert(1)</script>",
        "'-alert(1)-'",
        "</script><svg onload=alert(1)>",
        "${AUCTION_PRICE}",
        "{{CLICK_URL}}",
        "{{PAGE_URL}}",
        "\\u0022\\",
        "\u{2028}\u{2029}",
        "javascript:alert(1)",
        "https://a.example/?a=1&b=2#c%00%zz",
        "IAB13",
        "harbour",
        "harbour-mutual.example",
        "USD",
        "text/html",
        "en",
        "1",
        "\u{10ffff}\u{1f600}",
    ])
    .prop_map(str::to_owned);
    prop_oneof![3 => odd, 3 => any::<String>(), 2 => "[a-z0-9.-]{1,20}", 1 => "\\PC{200,3000}"]
}

/// A request with other texts in some of its strings, in few more often than in many, so that requests that can be
/// bid on are common.
fn any_request() -> impl Strategy<Value = Value> {
    let paths = paths(&template());
    let all = paths.len();
    let some = prop_oneof![5 => 0..=4usize, 2 => 0..=all];
    let chosen = some.prop_flat_map(move |count| proptest::sample::subsequence(paths.clone(), count));
    (chosen, proptest::collection::vec(any_text(), all)).prop_map(|(paths, texts)| {
        let mut request = template();
        for (path, text) in paths.iter().zip(texts) {
            *request.pointer_mut(path).unwrap() = Value::from(text);
        }
        request
    })
}

/// Every kind of string, each with a value that is bid on.
fn template() -> Value {
    json!({
        "id": "auction", "at": 1, "cur": ["USD"],
        "imp": [{
            "id": "1", "tagid": "top", "secure": 1, "bidfloor": 0.5, "bidfloorcur": "USD", "displaymanager": "sdk",
            "banner": { "format": [{ "w": 300, "h": 250 }], "mimes": ["text/html"], "id": "b" },
            "pmp": { "deals": [{ "id": "d-1", "bidfloor": 1, "bidfloorcur": "USD", "wseat": ["harbour"],
                "wadomain": ["harbour-mutual.example"] }] },
        }],
        "site": {
            "id": "s", "name": "News", "domain": "news.example", "page": "https://news.example/", "ref": "https://r.example/",
            "cat": ["IAB1"], "keywords": "a,b", "publisher": { "id": "p", "name": "P", "domain": "p.example" },
            "content": { "id": "c", "title": "T", "language": "en" },
        },
        "device": {
            "ua": "Mozilla/5.0", "ip": "192.0.2.1", "make": "m", "model": "m", "os": "Android", "osv": "1",
            "language": "en", "carrier": "c", "mccmnc": "310-005", "ifa": "i",
            "geo": { "country": "USA", "region": "NY", "city": "New York", "zip": "10001" },
        },
        "user": { "id": "u", "buyeruid": "cookie", "keywords": "k",
            "eids": [{ "source": "harbour-mutual.example", "uids": [{ "id": "e" }] }] },
        "badv": ["rival.example"], "bcat": ["IAB25"], "bapp": ["com.rival"], "bseat": ["rival"], "wseat": ["harbour"],
    })
}

/// Where the strings of a value are, as JSON pointers.
fn paths(value: &Value) -> Vec<String> {
    let below =
        |name: &str, value: &Value| paths(value).into_iter().map(|path| format!("/{name}{path}")).collect();
    match value {
        Value::String(_) => vec![String::new()],
        Value::Array(entries) => {
            let each = entries.iter().enumerate().map(|(at, entry)| below(&at.to_string(), entry));
            each.collect::<Vec<Vec<String>>>().concat()
        }
        Value::Object(fields) => {
            fields.iter().map(|(name, field)| below(name, field)).collect::<Vec<Vec<String>>>().concat()
        }
        _ => Vec::new(),
    }
}

/// Posts one request and says how it was answered, or what is wrong with the answer.
fn try_one(server: &Server, known: &Known, exchange: &str, request: &Value) -> Result<u16, String> {
    let body = request.to_string();
    let reply = server.exchange().bid(exchange, body.as_bytes()).map_err(|error| error.to_string())?;
    match reply.status {
        200 => {
            let faults = known.faults(&body, reply.text());
            let prices = reply.json()["seatbid"][0]["bid"].as_array().cloned().unwrap_or_default();
            let over = prices.iter().filter_map(|bid| bid["price"].as_f64()).any(|price| price > MAX_CPM);
            if faults.is_empty() && !over { Ok(200) } else { Err(format!("{faults:?} in {}", reply.text())) }
        }
        204 => Ok(204),
        // The one text that may not be empty.
        400 if request["id"] == "" => Ok(400),
        status => Err(format!("status {status}")),
    }
}

#[test]
fn any_text_anywhere_gets_a_valid_answer_and_charges_nobody() {
    let server = Setup::demo().start();
    let known = server.known();
    assert_eq!(try_one(&server, &known, "demo", &template()), Ok(200), "the template itself");
    let (bids, all) = (Cell::new(0), Cell::new(0));
    let config = ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() };
    TestRunner::new(config)
        .run(&(any_request(), any::<bool>()), |(request, first)| {
            let exchange = if first { "demo" } else { "demo2" };
            match try_one(&server, &known, exchange, &request) {
                Ok(status) => {
                    all.set(all.get() + 1);
                    bids.set(bids.get() + u32::from(status == 200));
                    Ok(())
                }
                Err(what) => Err(TestCaseError::fail(format!("{what}\non {request}"))),
            }
        })
        .unwrap_or_else(|error| panic!("{error}"));
    for (key, balance) in server.shared.ledger().balances() {
        assert_eq!(balance.posted.0, 0, "{key:?}");
        let budget = balance.budget.map_or(i64::MAX, |budget| budget.0);
        assert!((0..=budget).contains(&balance.leased.0), "{key:?} {balance:?}");
    }
    let leased = server.shared.ledger().balance(AccountKey::Wallet(AdvertiserId(1))).leased;
    assert!(leased.0 > 0, "bids hold money");
    assert_eq!(server.metric("outbid_panics_total"), 0);
    let (bids, all) = (bids.get(), all.get());
    assert!(bids * 4 > all, "only {bids} of {all} were bid on: the trial tries too little");
    eprintln!("{all} requests of any text: {bids} with bids, all valid");
}
