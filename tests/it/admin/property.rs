//! Whatever is written, what is served from memory is what a fresh start would read, and it compiles.

use super::calls::{ANY_VERSION, Bare, Calls, MERGE, advertiser, control, creative, exchange, line_item};
use crate::parse::differential::Seeded;
use outbid::engine::Catalog;
use outbid::exchange::compile_markup;
use serde_json::{Value, json};

/// Sequences, and writes of each.
const SEQUENCES: u64 = 24;
const WRITES: usize = 60;

/// Some number that exists most often.
fn some(dice: &mut Seeded) -> String {
    (1 + dice.below(4)).to_string()
}

fn pick(dice: &mut Seeded, values: Vec<Value>) -> Value {
    values[dice.below(values.len())].clone()
}

/// A body for a new resource; wrong now and then.
fn made(dice: &mut Seeded, collection: &str) -> Value {
    let name = format!("n{}", dice.below(6));
    let statuses = ["draft", "active", "active", "paused", "archived"];
    let status = statuses[dice.below(statuses.len())];
    let mut body = match collection {
        "exchanges" => exchange(&name),
        "advertisers" => advertiser(&name),
        "campaigns" => json!({ "name": name, "advertiser_id": some(dice) }),
        "creatives" => creative(&name),
        "segments" => json!({ "key": name }),
        _ => line_item(&name),
    };
    body["status"] = status.into();
    for (member, collections) in [("advertiser_id", "creatives"), ("campaign_id", "line_items")] {
        if collection == collections {
            body[member] = some(dice).into();
        }
    }
    let Value::Object(change) = changed(dice, collection) else { unreachable!("a change is an object") };
    body.as_object_mut().unwrap().extend(change);
    body
}

/// A change of a resource; wrong now and then.
fn changed(dice: &mut Seeded, collection: &str) -> Value {
    let (name, id) = (format!("n{}", dice.below(6)), some(dice));
    let budget = |amount: &str| json!({ "budget": { "lifetime": amount, "daily": null } });
    let choices = match collection {
        "exchanges" => vec![
            json!({ "max_cpm": "5.00" }),
            json!({ "currency": "EUR" }),
            json!({ "auth": { "type": "path", "secret": "Zm9vYmFyLWZvb2Jhcl8x" } }),
            json!({ "name": name }),
            json!({ "seat": "" }),
        ],
        "advertisers" => vec![
            json!({ "data_fee": "0.50" }),
            json!({ "currency": "EUR" }),
            json!({ "time_zone": "Atlantis/City" }),
            json!({ "platform_share": "0.1" }),
            json!({ "external_id": name }),
        ],
        "campaigns" => {
            vec![budget("5.00"), budget("x"), json!({ "advertiser_id": id }), json!({ "flight": null })]
        }
        "creatives" => vec![
            json!({ "markup": "<b>{{CLICK_URL}}</b>" }),
            json!({ "markup": null }),
            json!({ "approvals": [{ "exchange": name, "approval": "rejected" }] }),
            json!({ "advertiser_id": id }),
            json!({ "size": "728x90" }),
        ],
        "segments" => vec![
            json!({ "parent": name }),
            json!({ "parent": null }),
            json!({ "sensitive": true }),
            json!({ "key": name }),
        ],
        "rates" => vec![
            json!({ "others": [{ "currency": "EUR", "rate": "1.1" }] }),
            json!({ "others": null }),
            json!({ "base": "EUR" }),
        ],
        "safety" => {
            vec![json!({ "domains": ["bad.example"] }), json!({ "domains": null }), json!({ "domains": 1 })]
        }
        _ => vec![
            json!({ "creatives": [{ "creative": id }] }),
            json!({ "creatives": [{ "creative": id }, { "creative": "1" }] }),
            json!({ "creatives": null }),
            json!({ "bid": { "amount": "1.50" } }),
            json!({ "bid": { "max": "1.00" } }),
            json!({ "campaign_id": id }),
            json!({ "targeting": { "exchanges": { "include": [name] } } }),
            json!({ "targeting": { "audience": { "any_of": [name] } } }),
            json!({ "targeting": null }),
            json!({ "multipliers": { "segments": [{ "value": name, "factor": "1.5" }] } }),
            json!({ "multipliers": { "exchanges": [{ "value": name, "factor": "0.5" }] } }),
            budget("2.00"),
        ],
    };
    pick(dice, choices)
}

/// One random call; its status.
fn write(bare: &Bare, dice: &mut Seeded) -> u16 {
    let collections =
        ["exchanges", "advertisers", "campaigns", "creatives", "segments", "line_items", "rates", "safety"];
    let collection = collections[dice.below(collections.len())];
    let json = [("content-type", "application/json")];
    let dry = if dice.below(8) == 0 { "?validate_only=true" } else { "" };
    let one = format!("/v1/{collection}/{}", some(dice));
    let (method, path, body) = match (collection, dice.below(10)) {
        ("rates" | "safety", _) => ("PATCH", format!("/v1/{collection}"), changed(dice, collection)),
        (_, 0..4) => ("POST", format!("/v1/{collection}"), made(dice, collection)),
        (_, 4..7) => ("PATCH", one, changed(dice, collection)),
        (_, 7) => ("POST", format!("{one}:pause"), Value::Null),
        (_, 8) => ("POST", format!("{one}:activate"), Value::Null),
        _ if dice.below(3) > 0 => ("POST", format!("{one}:activate"), Value::Null),
        _ => ("DELETE", one, Value::Null),
    };
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let headers = if method == "PATCH" { &[MERGE, ANY_VERSION][..] } else { &json };
    let reply = bare.call(method, &format!("{path}{dry}"), headers, &body);
    assert!(reply.status < 500, "{method} {path}{dry} {body}: {}", reply.text());
    reply.status
}

#[test]
fn after_any_writes_the_account_compiles_and_is_what_a_fresh_start_reads() {
    let (mut taken, mut refused) = (0, 0);
    for seed in 0..SEQUENCES {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("control.db");
        let bare = Bare::open(control(&file));
        let mut dice = Seeded(seed);
        // Something that the rest can refer to, most often.
        bare.make_all();
        for number in 0..WRITES {
            match write(&bare, &mut dice) {
                200..300 => taken += 1,
                _ => refused += 1,
            }
            let compiled = Catalog::compile(bare.admin.account(), 1, &compile_markup);
            compiled.unwrap_or_else(|error| panic!("seed {seed}, write {number}: {error}"));
        }
        let served = bare.admin.account();
        drop(bare);
        let read = Bare::open(control(&file)).admin.account();
        assert!(served == read, "seed {seed}:\n{served:#?}\n{read:#?}");
    }
    eprintln!("{taken} writes were taken, {refused} refused");
    assert!(taken > refused / 4 && refused > taken / 4, "both are tried");
}
