//! The description of the API: kept in `docs/openapi.json`, so that a change of it is seen in a review; its examples, its
//! page, and what may be named of it.

use super::calls::{Bare, Calls, JSON, KEY};
use super::schema::Judge;
use super::world::{BOOTSTRAP, World};
use outbid::funnel::{advice, advice_on, aspects, loss_advice};
use outbid::model::funnel::Loss;
use outbid::model::no_bid::NoBidReason;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Set `OUTBID_BLESS=1` to write the file anew after a change of the API.
#[test]
fn the_description_is_the_one_that_was_reviewed() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");
    let mut document = World::new().get(BOOTSTRAP, "/openapi.json").expect(200);
    // A release alone changes nothing of the API.
    document["info"]["version"] = "0".into();
    let expected = format!("{}\n", serde_json::to_string_pretty(&document).unwrap());
    if std::env::var_os("OUTBID_BLESS").is_some_and(|value| value == "1") {
        std::fs::write(path, &expected).unwrap();
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    let differs = found.lines().zip(expected.lines()).position(|(was, is)| was != is);
    let at = differs.map_or_else(|| "the end".to_owned(), |line| format!("line {}", line + 1));
    let message =
        "docs/openapi.json is out of date: run the tests once with OUTBID_BLESS=1 and look at the difference";
    assert!(found == expected, "{message}; the first is at {at}");
}

/// Every value of the document with its place.
fn walk<'d>(place: &str, value: &'d Value, visit: &mut impl FnMut(&str, &'d Value)) {
    visit(place, value);
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, inner)| walk(&format!("{place}/{name}"), inner, visit));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, inner)| walk(&format!("{place}/{at}"), inner, visit));
        }
        _ => {}
    }
}

#[test]
fn every_reference_leads_somewhere_and_every_member_says_what_it_is() {
    let document = World::new().get(BOOTSTRAP, "/openapi.json").expect(200);
    let mut wrong = Vec::new();
    walk("", &document, &mut |place, value| {
        if let Some(target) = value.get("$ref").and_then(Value::as_str)
            && document.pointer(target.trim_start_matches('#')).is_none()
        {
            wrong.push(format!("{place} refers to {target}"));
        }
        // What is in the account file an amount must be one with its currency here.
        if value.get("format").is_some_and(|format| format == "decimal") {
            wrong.push(format!("{place} is an amount without a currency"));
        }
        let is_member = place.starts_with("/components/schemas/")
            && place.rsplit('/').nth(1) == Some("properties")
            && !place.contains("/oneOf/");
        let is_said = ["description", "$ref"].iter().any(|rule| value.get(rule).is_some());
        if is_member && !is_said && value.is_object() {
            wrong.push(format!("{place} is not described"));
        }
    });
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        let is_open = name == "openapi" || schema["properties"].is_null();
        if !is_open && schema["additionalProperties"] != false {
            wrong.push(format!("{name} takes anything"));
        }
    }
    assert!(wrong.is_empty(), "{} faults:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_example_is_of_its_schema_and_is_taken() {
    let bare = Bare::in_memory();
    bare.make_all();
    let document = bare.get("/openapi.json");
    let judge = Judge::new(&document);
    let mut sent = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            for (media, content) in operation["requestBody"]["content"].as_object().into_iter().flatten() {
                let Some(example) = content.get("example") else { continue };
                let what = format!("{method} {path} {example}");
                judge.check(&what, &content["schema"], example);
                // A list that values are put on.
                let id = match path.ends_with("items:upload") {
                    true => bare.make("lists", &json!({ "name": "own", "type": "domain" }))["id"].clone(),
                    false => json!("1"),
                };
                let path = path.replace("{id}", id.as_str().unwrap());
                let own = format!("example {sent}");
                let mut headers = vec![("content-type", media.as_str()), ("if-match", "*")];
                let parameters = operation["parameters"].as_array();
                if parameters.into_iter().flatten().any(|described| described["name"] == "Idempotency-Key") {
                    headers.push(("idempotency-key", own.as_str()));
                }
                let reply = bare.call(&method.to_ascii_uppercase(), &path, &headers, &example.to_string());
                assert!(reply.status < 300, "{what}: {}", reply.text());
                sent += 1;
            }
        }
    }
    assert!(sent >= 17, "{sent} examples");
}

#[test]
fn defaults_are_what_the_reader_takes() {
    let bare = Bare::in_memory();
    bare.make_all();
    let document = bare.get("/openapi.json");
    let own = json!({ "name": "bare", "price_codec": "plain", "price_unit": "cpm" });
    bare.make("exchanges", &own);
    bare.make("conversions", &json!({ "name": "bare", "advertiser_id": "1" }));
    bare.make("pixels", &json!({ "name": "bare", "advertiser_id": "1", "origins": ["https://a.example"] }));
    let of_one = json!({ "advertiser_ids": ["1"], "threshold": "1" });
    bare.make("segments", &json!({ "key": "a", "rule": { "advertiser_ids": ["1"] } }));
    bare.make("segments", &json!({ "key": "b", "interest": of_one }));
    bare.make("segments", &json!({ "key": "c", "customers": { "advertiser_id": "1", "tier": "new" } }));
    let account = bare.admin.account();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("account.json");
    outbid::store::account_file::write(&account, &file).unwrap();
    let written: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    let schemas = &document["components"]["schemas"];
    let mut compared = 0;
    let mut compare = |schema: &Value, entry: &Value, what: &str| {
        for (name, says) in schema["properties"].as_object().unwrap() {
            // A draft does not serve; the file knows only whether something does.
            let (Some(default), true) = (says.get("default"), name != "status") else { continue };
            assert_eq!(&entry[name], default, "{what} {name}");
            compared += 1;
        }
    };
    let exchange = written["exchanges"].as_array().unwrap().last().unwrap();
    compare(&schemas["exchange_new"], exchange, "exchange");
    compare(&schemas["holds"], &exchange["holds"], "holds");
    compare(&schemas["auth"], &exchange["auth"], "auth");
    compare(&schemas["conversion_new"], &written["conversions"][0], "conversion");
    compare(&schemas["pixel_new"], &written["pixels"][0], "pixel");
    let segments = &written["segments"];
    compare(&schemas["segment_rule"], &segments[1]["rule"], "rule");
    compare(&schemas["segment_interest"], &segments[2]["interest"], "interest");
    compare(&schemas["interest_weights"], &segments[2]["interest"]["weights"], "weights");
    compare(&schemas["segment_customers"], &segments[3]["customers"], "customers");
    compare(&schemas["assignment"], &written["line_items"][0]["creatives"][0], "assignment");
    assert!(compared >= 41, "{compared} defaults");
}

#[test]
fn fields_and_masks_name_members_or_are_refused() {
    let bare = Bare::in_memory();
    bare.make_all();
    let refused = |method: &str, path: &str, body: &str, near: &str| {
        let problem = bare.refused(400, method, path, &[JSON, ("if-match", "*")], body);
        assert!(problem["detail"].as_str().unwrap().contains(near), "{path}: {problem}");
    };
    refused("GET", "/v1/line_items?fields=id,nam", "", "did you mean \"name\"?");
    refused("GET", "/v1/line_items/1?fields=bids", "", "did you mean \"bid\"?");
    refused("GET", "/v1/accounts/1?fields=colour", "", "there are ");
    refused("GET", "/v1/rates?fields=", "", "there are ");
    refused("PATCH", "/v1/line_items/1?update_mask=bid,nmae", "{}", "did you mean \"name\"?");
    // What nobody may change nobody may name.
    refused("PATCH", "/v1/line_items/1?update_mask=version", "{}", "\"version\"");
    let shown = bare.get("/v1/line_items/1?fields=id,bid");
    assert_eq!(shown.as_object().unwrap().keys().collect::<Vec<_>>(), ["bid", "id"]);
    let changed = bare.patch("/v1/line_items/1?update_mask=name", &json!({ "name": "n", "notes": "left" }));
    assert_eq!((&changed["name"], changed.get("notes")), (&json!("n"), None));
}

#[test]
fn amounts_of_what_names_no_currency_are_in_the_one_that_it_gets() {
    let bare = Bare::in_memory();
    let exchange = |amount: Value| {
        json!({ "name": "south", "price_codec": "plain", "price_unit": "cpm", "max_cpm": amount }).to_string()
    };
    let foreign = exchange(json!({ "amount": "5", "currency": "EUR" }));
    let problem = bare.refused(422, "POST", "/v1/exchanges", &[JSON], &foreign);
    assert_eq!(problem["errors"][0]["pointer"], "/max_cpm", "{problem}");
    let own = exchange(json!({ "micros": 5_000_000 }));
    let made: Value = serde_json::from_str(bare.call("POST", "/v1/exchanges", &[JSON], &own).text()).unwrap();
    assert_eq!(made["max_cpm"], json!({ "amount": "5.000000", "currency": "USD" }));
    let made = bare.make("advertisers", &json!({ "name": "n", "data_fee": "0.10" }));
    assert_eq!(made["data_fee"], json!({ "amount": "0.10", "currency": "USD" }));
}

#[test]
fn null_says_nothing_wherever_it_stands() {
    let bare = Bare::in_memory();
    bare.make_all();
    let made = bare.make(
        "line_items",
        &json!({
            "name": "n", "campaign_id": "1", "notes": null, "bid": { "amount": "2", "max": null },
            "creatives": [{ "creative": "1", "weight": null }], "targeting": { "placement": null },
        }),
    );
    let text = made.to_string();
    assert!(!text.replace("\"external_id\":null", "").contains("null"), "{text}");
}

#[test]
fn the_page_has_every_route_and_every_member_and_runs_nothing() {
    let bare = Bare::in_memory();
    let document = bare.get("/openapi.json");
    let reply = bare.raw("GET", "/docs", &[], b"").unwrap();
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(reply.header("x-request-id").is_some());
    let policy = reply.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    let etag = reply.header("etag").unwrap();
    let again = bare.raw("GET", "/docs", &[("if-none-match", etag)], b"").unwrap();
    assert_eq!((again.status, again.body.len()), (304, 0));
    assert_eq!(bare.raw("POST", "/docs", &[], b"").unwrap().status, 405);
    let page = reply.text();
    let safe = |text: &str| {
        let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        text.replace('"', "&quot;").replace('\'', "&#39;")
    };
    let mut count = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            let heading = format!("<b>{}</b>{path}</a></h3>", method.to_ascii_uppercase());
            assert!(
                page.contains(&format!("<h3 id=\"{id}\">")) && page.contains(&heading),
                "{method} {path}"
            );
            for parameter in operation["parameters"].as_array().unwrap() {
                let name = parameter["name"].as_str().unwrap();
                assert!(page.contains(&format!("<td><code>{name}</code>")), "{path} {name}");
            }
            count += 1;
        }
    }
    assert!(count > 80, "{count} routes");
    let mut members = 0;
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        let at =
            page.find(&format!("<h3 id=\"schema-{name}\">")).unwrap_or_else(|| panic!("{name} is missing"));
        let section = &page[at..];
        let section = &section[..section[4..].find("<h3 ").map_or(section.len(), |end| end + 4)];
        for (member, says) in schema["properties"].as_object().into_iter().flatten() {
            assert!(section.contains(&format!("<td><code>{member}</code>")), "{name} {member}");
            let said = safe(says["description"].as_str().unwrap_or_default());
            assert!(section.contains(&said), "{name} {member}: {said}");
            members += 1;
        }
    }
    assert!(members > 300, "{members} members");
    // The markup is the page's own, and every anchor leads somewhere.
    let tags: BTreeSet<&str> = page
        .match_indices('<')
        .map(|(at, _)| page[at + 1..].split(['>', ' ']).next().unwrap().trim_start_matches('/'))
        .collect();
    let known = [
        "!doctype", "html", "head", "meta", "title", "style", "body", "nav", "main", "ul", "li", "p", "a",
        "b", "h1", "h2", "h3", "table", "tr", "th", "td", "div", "code", "pre", "span",
    ];
    assert!(tags.iter().all(|tag| known.contains(tag)), "{tags:?}");
    let ids: BTreeSet<&str> = attribute(page, "id");
    for link in attribute(page, "href") {
        assert!(link.strip_prefix('#').is_some_and(|id| ids.contains(id)), "{link} leads nowhere");
    }
    assert!(attribute(page, "src").is_empty() && attribute(page, "onclick").is_empty());
    assert!(!page.contains(KEY));
}

fn attribute<'p>(page: &'p str, name: &str) -> BTreeSet<&'p str> {
    let begin = format!(" {name}=\"");
    page.match_indices(&begin).map(|(at, _)| page[at + begin.len()..].split('"').next().unwrap()).collect()
}

/// The schema of a member, through references and lists.
fn member<'d>(document: &'d Value, of: &'d Value, name: &str) -> Option<&'d Value> {
    let mut at = of;
    loop {
        if let Some(target) = at.get("$ref").and_then(Value::as_str) {
            at = document.pointer(target.trim_start_matches('#'))?;
        } else if let Some(items) = at.get("items") {
            at = items;
        } else if let Some(either) = at.get("anyOf").or_else(|| at.get("oneOf")).and_then(Value::as_array) {
            at = either.iter().find(|one| one["type"] != "null")?;
        } else {
            return at.get("properties")?.get(name);
        }
    }
}

/// Whether a field that people are sent to is a member of a line item, or of one of the resources of a collection.
fn is_described(document: &Value, field: &str) -> bool {
    let parts: Vec<&str> = field.split('.').collect();
    let schema = |name: &str| &document["components"]["schemas"][name];
    let leads = |of: &Value, path: &[&str]| {
        let mut at = Some(of.clone());
        for name in path {
            at = at.and_then(|of| member(document, &of, name).cloned());
        }
        at.is_some()
    };
    let kind = match parts[0] {
        known @ ("safety" | "rates") => known,
        collection => collection.strip_suffix('s').unwrap_or(collection),
    };
    field.is_empty()
        || leads(schema("line_item"), &parts)
        || (schema(kind).is_object() && leads(schema(kind), &parts[1..]))
}

#[test]
fn every_field_that_people_are_sent_to_is_a_member_of_a_resource() {
    let document = World::new().get(BOOTSTRAP, "/openapi.json").expect(200);
    let reasons = NoBidReason::ALL.into_iter().map(|reason| advice(reason).field);
    let aspects = aspects().map(|(reason, aspect)| advice_on(reason, aspect).field);
    let losses = (0..600).map(|code| loss_advice(Loss::of(Some(code))).field);
    let untold = [loss_advice(Loss::UNTOLD).field, "status_reasons", "budget.daily", "bid", "targeting"];
    let all: BTreeSet<&str> = reasons.chain(aspects).chain(losses).chain(untold).collect();
    let wrong: Vec<&str> = all.into_iter().filter(|field| !is_described(&document, field)).collect();
    assert!(wrong.is_empty(), "no resource has {wrong:?}");
    for made_up in ["safety.blocked", "creatives.categories", "ledger", "targeting.weather"] {
        assert!(!is_described(&document, made_up), "{made_up}");
    }
}
