//! Every route of the description, called with documents made from its own schemas, with those changed a little, and with
//! what nobody should send: no answer is a fault of the server, every one is JSON of the declared form and nothing else.

use super::calls::{Bare, Calls, KEY, problem};
use super::schema::{Judge, Maker};
use crate::parse::differential::Seeded;
use crate::server::Reply;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Calls of each route; and of a long trial, which makes a million of them.
const CALLS: usize = 200;
const MANY_CALLS: usize = 11_500;

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

/// What there is to refer to after [`world`].
fn known() -> BTreeMap<String, Vec<String>> {
    let mut known: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for collection in [
        "accounts",
        "advertisers",
        "campaigns",
        "creatives",
        "deals",
        "conversions",
        "pixels",
        "api_keys",
        "users",
    ] {
        known.insert(format!("{collection}.id"), vec!["1".to_owned()]);
    }
    known.insert("line_items.id".to_owned(), vec!["1".to_owned()]);
    known.insert("exchanges.name".to_owned(), vec!["north".to_owned()]);
    known.insert("segments.key".to_owned(), vec!["crm.buyers".to_owned()]);
    for (at, (name, _)) in LISTS.iter().enumerate() {
        known.insert(format!("lists.id:{name}"), vec![(at + 1).to_string()]);
    }
    known
}

/// Types of lists with a value of each.
const LISTS: [(&str, &str); 10] = [
    ("domain", "a.example"),
    ("bundle", "com.a"),
    ("publisher", "p"),
    ("region", "US-CA"),
    ("metro", "501"),
    ("city", "c"),
    ("zip", "1"),
    ("keyword", "k"),
    ("deal", "d"),
    ("address", "192.0.2.0/24"),
];

/// An account with one of everything, and a list of every type.
fn world() -> Bare {
    let bare = Bare::in_memory();
    bare.make_all();
    bare.make("segments", &json!({ "key": "crm.others", "name": "n" }));
    bare.make("deals", &json!({ "name": "n", "exchange": "north", "deal_id": "d" }));
    bare.make("conversions", &json!({ "name": "n", "advertiser_id": "1" }));
    bare.make("pixels", &json!({ "name": "n", "advertiser_id": "1", "origins": ["https://shop.example"] }));
    bare.make("api_keys", &json!({ "name": "n", "role": "analyst" }));
    let person = json!({ "email": "ada@agency.example", "role": "trader" }).to_string();
    assert_eq!(
        bare.call("POST", "/v1/users/invite", &[("content-type", "application/json")], &person).status,
        201
    );
    let headers = [("content-type", "text/csv"), ("prefer", "wait=60")];
    assert_eq!(bare.call("POST", "/v1/imports/advertisers", &headers, "name\n").status, 200);
    // The second job has a list to be taken.
    let headers = [("content-type", "application/json"), ("prefer", "wait=60")];
    let chosen = json!({ "channel": "mail", "purpose": "a trial" }).to_string();
    assert_eq!(bare.call("POST", "/v1/segments/1/contacts:export", &headers, &chosen).status, 200);
    for (name, value) in LISTS {
        bare.make("lists", &json!({ "name": name, "type": name, "items": [value] }));
    }
    bare
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

/// One route, and who makes calls of it.
struct Route<'d> {
    document: &'d Value,
    maker: Maker<'d>,
    path: &'d str,
    method: &'d str,
    operation: &'d Value,
}

/// A call as it is sent.
struct Call {
    uri: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    /// Whether all of it is as the description says.
    is_described: bool,
}

impl Route<'_> {
    fn call(&self, dice: &mut Seeded, number: usize) -> Call {
        let is_described = dice.below(2) == 0;
        let own = if self.path.ends_with("contacts:download") { "2" } else { "1" };
        let ids = if is_described { &[own][..] } else { &["1", "1", "2", "3", "7", "0", "4294967295"][..] };
        let mut uri = self.path.replace("{id}", ids[dice.below(ids.len())]).replace("{key}", "1-1");
        let query = self.query(dice, is_described);
        if !query.is_empty() {
            uri.push_str(&format!("?{query}"));
        }
        let mut headers = vec![("authorization", format!("Bearer {KEY}"))];
        if is_described || dice.below(4) > 0 {
            let tags = if is_described { &["*"][..] } else { &["*", "\"1\"", "\"x\"", "1"][..] };
            headers.push(("if-match", tags[dice.below(tags.len())].to_owned()));
        }
        let mut described = self.operation["parameters"].as_array().unwrap().iter();
        let takes_key = described.any(|parameter| parameter["name"] == "Idempotency-Key");
        if (is_described && takes_key) || (!is_described && dice.below(4) == 0) {
            let number = if is_described { number } else { dice.below(5) };
            headers.push(("idempotency-key", format!("{} {} {number}", self.method, self.path)));
        }
        let mut body = Vec::new();
        if let Some(content) = self.operation["requestBody"]["content"].as_object() {
            let at = dice.below(content.len());
            let (media, content) = content.iter().nth(at).unwrap();
            headers.push(("content-type", media.clone()));
            // What is not waited for fills the queue.
            headers.push(("prefer", "wait=60".to_owned()));
            body = match media.as_str() {
                "text/plain" => b"a.example\nb.example\n".to_vec(),
                // A table without a row is taken by every kind.
                "text/csv" if is_described => b"name\n".to_vec(),
                "text/csv" => table(dice),
                _ => self.body(dice, number, &content["schema"], is_described),
            };
        }
        Call { uri, headers, body, is_described }
    }

    /// A document of the schema; or that changed a little, or anything.
    fn body(&self, dice: &mut Seeded, number: usize, schema: &Value, is_described: bool) -> Vec<u8> {
        let mut value = self.maker.make(dice, schema);
        Judge::new(self.document).check("what was made", schema, &value);
        let is_new = self.method == "post";
        // Names by which others refer to something are there once.
        let once = ["key", "deal_id", "external_id"]
            .into_iter()
            .chain((self.path == "/v1/exchanges").then_some("name"));
        for name in once.filter(|_| is_new) {
            if let Some(own) = value.get_mut(name) {
                *own = format!("own-{number}").into();
            }
        }
        if is_described {
            return value.to_string().into_bytes();
        }
        match dice.below(10) {
            0 => value = anything(dice, 4),
            _ => (0..=dice.below(3)).for_each(|_| mutate(dice, &mut value)),
        }
        let mut bytes = value.to_string().into_bytes();
        if dice.below(12) == 0 && !bytes.is_empty() {
            let at = dice.below(bytes.len());
            bytes[at] = dice.below(256) as u8;
        }
        bytes
    }

    /// A query string of some of the described parameters, and where `is_described` is not so, of others.
    fn query(&self, dice: &mut Seeded, is_described: bool) -> String {
        let junk = ["", "1", "true", "active", "-updated_at", "0", "x", "\u{0}", "1,2", "99999999999", "'--"];
        let mut query = form_urlencoded::Serializer::new(String::new());
        for parameter in self.operation["parameters"].as_array().unwrap() {
            // A page token is what a list gave, and the half of the calls that are tried are enough.
            let name = parameter["name"].as_str().unwrap();
            let is_needed = is_described && parameter["required"] == true;
            let is_left_out = !is_needed && dice.below(4) > 0;
            if parameter["in"] != "query" || is_left_out || (is_described && name == "page_token") {
                continue;
            }
            let value = match self.maker.make(dice, &parameter["schema"]) {
                _ if !is_described && dice.below(2) == 0 => junk[dice.below(junk.len())].to_owned(),
                Value::String(text) => text,
                other => other.to_string(),
            };
            query.append_pair(name, &value);
        }
        if !is_described && dice.below(8) == 0 {
            query.append_pair("colour", "x");
        }
        query.finish()
    }

    /// What every answer has to be.
    fn check(&self, judge: &Judge<'_>, what: &str, uri: &str, reply: &Reply) {
        assert!(reply.status < 500, "{what}: {}", reply.text());
        assert!(reply.header("x-request-id").is_some_and(|id| !id.is_empty()), "{what}");
        match reply.status {
            304 => assert!(reply.body.is_empty(), "{what}"),
            400.. => {
                let schema = json!({ "$ref": "#/components/schemas/problem" });
                judge.check(what, &schema, &problem(reply));
            }
            status => {
                let said = &self.operation["responses"][status.to_string()]["content"];
                let said = said.as_object().unwrap_or_else(|| panic!("{what}: {status} is not described"));
                let is_this = |media: &&String| reply.header("content-type") == Some(media.as_str());
                let media = said.keys().find(is_this);
                let media = media.unwrap_or_else(|| panic!("{what}: {:?}", reply.header("content-type")));
                let content = &said[media];
                if media != "application/json" {
                    return;
                }
                let (schema, body) = (&content["schema"], reply.json());
                // Of some members only as many as were asked for.
                if uri.contains("fields=") {
                    judge.check_part(what, schema, &body);
                } else {
                    judge.check(what, schema, &body);
                }
            }
        }
    }
}

/// How many calls there were, and how many were taken.
#[derive(Default, Debug)]
struct Counts {
    calls: usize,
    taken: usize,
    described: usize,
    described_taken: usize,
}

/// Calls every route of the description so many times.
fn call_all(calls: usize) -> Counts {
    let document = world().get("/openapi.json");
    let judge = Judge::new(&document);
    let mut counts = Counts::default();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            // One for each route, because of what is archived not much can be done any more.
            let bare = world();
            let maker = Maker::new(&document, known());
            let route = Route { document: &document, maker, path, method, operation };
            let mut dice = Seeded(counts.calls as u64 + 1);
            let (before, described_before) = (counts.taken, counts.described_taken);
            for number in 0..calls {
                let Call { uri, headers, body, is_described } = route.call(&mut dice, number);
                let headers: Vec<(&str, &str)> =
                    headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
                let call = || bare.raw(&method.to_ascii_uppercase(), &uri, &headers, &body);
                let is_busy = |reply: &Reply| reply.status == 503 && reply.header("retry-after").is_some();
                let mut reply = call();
                // On a busy machine the threads of earlier downloads are still ending.
                while reply.as_ref().is_some_and(is_busy) {
                    std::thread::sleep(std::time::Duration::from_millis(1));
                    reply = call();
                }
                let what = format!("{method} {uri} {}", String::from_utf8_lossy(&body));
                counts.calls += 1;
                counts.described += usize::from(is_described);
                // An id that no resource can have is no path of the API.
                let Some(reply) = reply else {
                    assert!(uri.contains("/0"), "{what}");
                    continue;
                };
                route.check(&judge, &what, &uri, &reply);
                let is_taken = reply.status < 300;
                counts.taken += usize::from(is_taken);
                counts.described_taken += usize::from(is_taken && is_described);
                if is_described && !is_taken && std::env::var_os("OUTBID_SHOW").is_some() {
                    eprintln!("{what}\n    {}", reply.text());
                }
            }
            let (taken, described) = (counts.taken - before, counts.described_taken - described_before);
            if std::env::var_os("OUTBID_SHOW").is_some() {
                eprintln!("{taken} and {described} of {calls}: {method} {path}");
            }
            // These are for people, with what only they have.
            let is_personal = ["/v1/session", "/v1/invites:accept"].contains(&path.as_str())
                || path.starts_with("/v1/me/")
                || (path == "/v1/me" && method == "patch");
            // Nobody serves here, so nothing was sampled.
            let is_empty = path == "/v1/samples/{key}";
            assert!(described > 0 || is_personal || is_empty, "no call of {method} {path} was taken");
        }
    }
    eprintln!("{counts:?}");
    counts
}

fn check_counts(Counts { calls, taken, described, described_taken }: &Counts) {
    assert!(
        described_taken * 3 > described * 2,
        "{described_taken} of {described} that should be were taken"
    );
    assert!(taken * 2 > *calls && taken < calls, "{taken} of {calls} were taken");
}

#[test]
fn no_call_of_any_described_route_is_a_fault_of_the_server() {
    check_counts(&call_all(CALLS));
}

#[test]
#[ignore = "a million calls; some minutes"]
fn no_call_of_a_million_is_a_fault_of_the_server() {
    let counts = call_all(MANY_CALLS);
    assert!(counts.calls > 1_000_000, "{counts:?}");
    check_counts(&counts);
}
