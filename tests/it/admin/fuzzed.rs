//! Every route of the description, called with what nobody should send: no answer is a fault of the server, every one
//! is JSON of the declared form.

use super::calls::{Bare, Calls, KEY, advertiser, creative, exchange, line_item, problem};
use crate::parse::differential::Seeded;
use crate::server::Reply;
use serde_json::{Map, Value, json};

/// Calls of each route.
const CALLS: usize = 300;

/// Any value at all.
fn anything(dice: &mut Seeded, depth: usize) -> Value {
    let texts = [
        "",
        "1",
        "x",
        "-1",
        "2.50",
        "ACTIVE",
        "USD",
        "\u{0}",
        "é\u{202e}",
        "9999999999999999999999",
        "{{CLICK_URL}}",
    ];
    match dice.below(if depth == 0 { 6 } else { 8 }) {
        0 => Value::Null,
        1 => (dice.below(2) == 0).into(),
        2 => (dice.below(1_000) as i64 - 500).into(),
        3 => [json!(1e308), json!(u64::MAX), json!(i64::MIN), json!(0.1)][dice.below(4)].clone(),
        4 => texts[dice.below(texts.len())].into(),
        5 => "a".repeat(dice.below(700)).into(),
        6 => (0..dice.below(4)).map(|_| anything(dice, depth - 1)).collect(),
        _ => {
            let names = ["include", "exclude", "amount", "currency", "micros", "id", "name", "a/b~c", ""];
            let count = dice.below(4);
            let members: Map<String, Value> = (0..count)
                .map(|_| (names[dice.below(names.len())].to_owned(), anything(dice, depth - 1)))
                .collect();
            Value::Object(members)
        }
    }
}

/// Replaces something somewhere in a value.
fn mutate(dice: &mut Seeded, value: &mut Value) {
    let deeper = dice.below(3) > 0;
    match value {
        Value::Object(members) if deeper && !members.is_empty() => {
            let at = dice.below(members.len());
            mutate(dice, members.values_mut().nth(at).unwrap());
        }
        Value::Object(members) if dice.below(2) == 0 => {
            let names = [
                "bid",
                "status",
                "targeting",
                "campaign_id",
                "advertiser_id",
                "labels",
                "multipliers",
                "zzz",
            ];
            members.insert(names[dice.below(names.len())].to_owned(), anything(dice, 3));
        }
        Value::Array(items) if deeper && !items.is_empty() => {
            let at = dice.below(items.len());
            mutate(dice, &mut items[at]);
        }
        _ => *value = anything(dice, 3),
    }
}

/// A body that would be taken, changed a little, or anything.
fn body(dice: &mut Seeded, collection: &str) -> Vec<u8> {
    let mut value = match collection {
        "exchanges" => exchange("north"),
        "advertisers" => advertiser("n"),
        "campaigns" => {
            json!({ "name": "n", "advertiser_id": "1", "budget": { "daily": "5.00" }, "status": "active" })
        }
        "creatives" => creative("n"),
        "segments" => json!({ "key": "k", "parent": "crm.buyers", "sensitive": true }),
        "line_items" => line_item("n"),
        "lists" if dice.below(2) == 0 => json!({ "values": ["a.example", "b.example"] }),
        "lists" => json!({ "name": "n", "type": "domain", "items": ["a.example"] }),
        "deals" => {
            json!({ "name": "n", "exchange": "north", "deal_id": dice.below(999).to_string(), "price": "2" })
        }
        "conversions" => json!({ "name": "n", "advertiser_id": "1", "value": "5", "counting": "one" }),
        "imports" => return table(dice),
        "rates" => json!({ "base": "USD", "others": [{ "currency": "EUR", "rate": "1.1" }] }),
        "users" => json!({ "email": "n@agency.example", "role": "trader" }),
        _ => json!({ "domains": ["bad.example"], "addresses": ["192.0.2.0/24"] }),
    };
    match dice.below(10) {
        0 => value = anything(dice, 4),
        _ => (0..dice.below(4)).for_each(|_| mutate(dice, &mut value)),
    }
    let mut bytes = value.to_string().into_bytes();
    if dice.below(12) == 0 && !bytes.is_empty() {
        let at = dice.below(bytes.len());
        bytes[at] = dice.below(256) as u8;
    }
    bytes
}

/// A table, or something that is none.
fn table(dice: &mut Seeded) -> Vec<u8> {
    let names =
        ["id", "external_id", "name", "currency", "advertiser_id", "labels", "version", "key", "status"];
    let cells =
        ["", "1", "ext:a", "x", "(clear)", "'=1", "\"a,\"\"b\"", "{}", "\"", "9999999999999", "\u{0}", "USD"];
    let row = |dice: &mut Seeded, of: &[&str]| {
        let count = 1 + dice.below(4);
        (0..count).map(|_| of[dice.below(of.len())]).collect::<Vec<_>>().join(",") + "\n"
    };
    let mut table = row(dice, &names);
    for _ in 0..dice.below(6) {
        table.push_str(&row(dice, &cells));
    }
    let mut bytes = table.into_bytes();
    if dice.below(8) == 0 {
        let at = dice.below(bytes.len());
        bytes[at] = dice.below(256) as u8;
    }
    bytes
}

/// A query string of some of the parameters that the description has, and of others.
fn query(dice: &mut Seeded, parameters: &[Value]) -> String {
    let names: Vec<&str> = parameters
        .iter()
        .filter(|parameter| parameter["in"] == "query")
        .map(|parameter| parameter["name"].as_str().unwrap())
        .chain(["colour"])
        .collect();
    let values = [
        "",
        "1",
        "true",
        "false",
        "active",
        "-updated_at",
        "name",
        "0",
        "x",
        "%00",
        "%ff",
        "1,2",
        "99999999999",
        "'--",
    ];
    let mut query = String::new();
    for _ in 0..dice.below(4) {
        let (name, value) = (names[dice.below(names.len())], values[dice.below(values.len())]);
        query.push_str(if query.is_empty() { "?" } else { "&" });
        query.push_str(&format!("{name}={value}"));
    }
    query
}

/// What every answer has to be.
fn check(what: &str, document: &Value, operation: &Value, reply: &Reply) {
    assert!(reply.status < 500, "{what}: {}", reply.text());
    assert!(reply.header("x-request-id").is_some_and(|id| !id.is_empty()), "{what}");
    match reply.status {
        304 => assert!(reply.body.is_empty(), "{what}"),
        400.. => {
            let body = problem(reply);
            conforms(what, document, &json!({ "$ref": "#/components/schemas/problem" }), &body);
        }
        status => {
            let said = operation["responses"].get(status.to_string().as_str());
            // A trial of what would be created is no creation.
            let said = said.or_else(|| operation["responses"].get("201").filter(|_| status == 200));
            let said = said.unwrap_or_else(|| panic!("{what}: {status} is not described"));
            let media = reply.header("content-type").unwrap();
            if said["content"]["text/csv"].is_object() {
                assert_eq!(media, "text/csv; charset=utf-8", "{what}");
                return assert!(reply.text().contains('\n'), "{what}");
            }
            assert_eq!(media, "application/json", "{what}");
            conforms(what, document, &said["content"]["application/json"]["schema"], &reply.json());
        }
    }
}

/// Whether a value is of a schema, as far as the description uses JSON Schema.
fn conforms(what: &str, document: &Value, schema: &Value, value: &Value) {
    let Value::Object(rules) = schema else { return };
    for (rule, says) in rules {
        let is_so = match rule.as_str() {
            "$ref" => {
                let target = document.pointer(says.as_str().unwrap().trim_start_matches('#'));
                conforms(what, document, target.unwrap_or_else(|| panic!("{what}: {says}")), value);
                true
            }
            "type" => {
                let is = |name: &Value| match name.as_str().unwrap() {
                    "string" => value.is_string(),
                    "integer" => value.is_i64() || value.is_u64(),
                    "number" => value.is_number(),
                    "boolean" => value.is_boolean(),
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "null" => value.is_null(),
                    other => panic!("{what}: the type {other}"),
                };
                says.as_array().map_or_else(|| is(says), |names| names.iter().any(is))
            }
            "enum" => says.as_array().unwrap().contains(value),
            // Of some fields only as many as were asked for.
            "required" if what.contains("fields=") => true,
            "required" => {
                says.as_array().unwrap().iter().all(|name| value.get(name.as_str().unwrap()).is_some())
            }
            "minimum" => value.as_f64() >= says.as_f64(),
            "minLength" => {
                value.as_str().is_some_and(|text| text.chars().count() as u64 >= says.as_u64().unwrap())
            }
            "maxLength" => {
                value.as_str().is_some_and(|text| text.chars().count() as u64 <= says.as_u64().unwrap())
            }
            // Of texts only, as JSON Schema has it: a moment may be null.
            "format" => value.as_str().is_none_or(|text| text.parse::<jiff::Timestamp>().is_ok()),
            "items" => {
                value.as_array().into_iter().flatten().for_each(|item| conforms(what, document, says, item));
                true
            }
            "properties" => {
                for (name, schema) in says.as_object().unwrap() {
                    if let Some(member) = value.get(name) {
                        conforms(&format!("{what} {name}"), document, schema, member);
                    }
                }
                true
            }
            "additionalProperties" => {
                let members = value.as_object().into_iter().flatten();
                members.for_each(|(_, member)| conforms(what, document, says, member));
                true
            }
            "readOnly" | "description" | "writeOnly" | "title" | "examples" => true,
            other => panic!("{what}: the rule {other} is not looked at here"),
        };
        assert!(is_so, "{what}: {rule} {says} against {value}");
    }
}

#[test]
fn no_call_of_any_described_route_is_a_fault_of_the_server() {
    let bare = Bare::in_memory();
    bare.make_all();
    let document = bare.get("/openapi.json");
    let (mut calls, mut taken) = (0, 0);
    for (path, methods) in document["paths"].as_object().unwrap() {
        let collection = path.split('/').nth(2).unwrap_or("").split(':').next().unwrap();
        for (method, operation) in methods.as_object().unwrap() {
            let mut dice = Seeded(calls + 1);
            for _ in 0..CALLS {
                let ids = ["1", "1", "2", "3", "7", "0", "4294967295"];
                let uri = path.replace("{id}", ids[dice.below(ids.len())]);
                let parameters = operation["parameters"].as_array().unwrap();
                let uri =
                    format!("{uri}{}", query(&mut dice, parameters).replace('[', "%5B").replace(']', "%5D"));
                let sent = if operation["requestBody"].is_object() {
                    body(&mut dice, collection)
                } else {
                    Vec::new()
                };
                let key = format!("Bearer {KEY}");
                let media = match (method.as_str(), collection) {
                    ("patch", _) => "application/merge-patch+json",
                    (_, "imports") => "text/csv",
                    _ => "application/json",
                };
                let matches = ["*", "\"1\"", "\"x\"", "1"][dice.below(4)];
                let mut headers = vec![("authorization", key.as_str()), ("content-type", media)];
                headers.extend((dice.below(4) > 0).then_some(("if-match", matches)));
                // Else more jobs than may wait would be refused as that.
                headers.extend((collection == "imports").then_some(("prefer", "wait=30")));
                let reply = bare.raw(&method.to_ascii_uppercase(), &uri, &headers, &sent);
                let what = format!("{method} {uri} {}", String::from_utf8_lossy(&sent));
                calls += 1;
                // An id that no resource can have is no path of the API.
                let Some(reply) = reply else {
                    assert!(uri.contains("/0"), "{what}");
                    continue;
                };
                check(&what, &document, operation, &reply);
                taken += u64::from(reply.status < 300);
            }
        }
    }
    eprintln!("{calls} calls, {taken} of them taken");
    // Those about oneself are for people, and refuse the key of all these calls.
    assert!(taken * 12 > calls && taken < calls);
    // And it still works.
    bare.make("segments", &json!({ "key": "after.all" }));
}
