//! Every route as every role: who is let in, who is refused and how, and that a tenant's things do not exist for another
//! one. A route of the API's description without a row here fails, and so does a row without a route.

use super::people::{Browser, entered};
use super::world::{Answer, BOOTSTRAP, World};
use hyper::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The roles, lowest first.
const ROLES: [&str; 5] = ["advertiser_viewer", "analyst", "trader", "admin", "owner"];

/// Whose something is.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Of {
    /// Everybody who has the role may.
    Everybody,
    /// A tenant's.
    Tenant,
    /// The platform's: no tenant may.
    Platform,
    /// The platform's, and everybody may look.
    Shared,
    /// A person's who is logged in; a key has nothing of it.
    Own,
    /// Of who has yet to say who it is.
    Open,
}

/// method, path, the lowest role that may, whose it is, the scope that it needs.
type Row = (&'static str, &'static str, &'static str, Of, &'static str);

/// The routes that a tenant's collection has.
const fn rows(all: [&'static str; 6], reader: &'static str) -> [Row; 9] {
    let [all, one, activate, pause, export, import] = all;
    [
        ("GET", all, reader, Of::Tenant, "read"),
        ("POST", all, "trader", Of::Tenant, "write"),
        ("GET", one, reader, Of::Tenant, "read"),
        ("PATCH", one, "trader", Of::Tenant, "write"),
        ("DELETE", one, "trader", Of::Tenant, "write"),
        ("POST", activate, "trader", Of::Tenant, "write"),
        ("POST", pause, "trader", Of::Tenant, "write"),
        ("GET", export, reader, Of::Tenant, "read"),
        ("POST", import, "trader", Of::Tenant, "write"),
    ]
}

macro_rules! tenants {
    ($name:literal, $reader:literal) => {
        rows(
            [
                concat!("/v1/", $name),
                concat!("/v1/", $name, "/{id}"),
                concat!("/v1/", $name, "/{id}:activate"),
                concat!("/v1/", $name, "/{id}:pause"),
                concat!("/v1/exports/", $name, ".csv"),
                concat!("/v1/imports/", $name),
            ],
            $reader,
        )
    };
}

const OF_TENANTS: [[Row; 9]; 9] = [
    tenants!("advertisers", "advertiser_viewer"),
    tenants!("campaigns", "advertiser_viewer"),
    tenants!("line_items", "advertiser_viewer"),
    tenants!("creatives", "advertiser_viewer"),
    tenants!("segments", "analyst"),
    tenants!("lists", "analyst"),
    tenants!("deals", "analyst"),
    tenants!("conversions", "advertiser_viewer"),
    tenants!("pixels", "advertiser_viewer"),
];

const OTHERS: &[Row] = &[
    ("GET", "/v1/lists/{id}/items", "analyst", Of::Tenant, "read"),
    ("POST", "/v1/lists/{id}/items:upload", "trader", Of::Tenant, "write"),
    ("GET", "/v1/pixels/{id}/tag", "analyst", Of::Tenant, "read"),
    ("POST", "/v1/line_items/{id}:explain", "advertiser_viewer", Of::Tenant, "read"),
    ("POST", "/v1/advertisers/{id}:explain", "advertiser_viewer", Of::Tenant, "read"),
    ("POST", "/v1/line_items/{id}:forecast", "advertiser_viewer", Of::Tenant, "read"),
    ("POST", "/v1/line_items:forecast", "trader", Of::Tenant, "read"),
    ("GET", "/v1/line_items/{id}/funnel", "advertiser_viewer", Of::Tenant, "read"),
    ("GET", "/v1/exchanges/{id}/funnel", "analyst", Of::Shared, "read"),
    ("GET", "/v1/deals/{id}/funnel", "analyst", Of::Tenant, "read"),
    ("GET", "/v1/samples", "analyst", Of::Shared, "read"),
    ("GET", "/v1/samples/{key}", "analyst", Of::Shared, "read"),
    ("POST", "/v1/segments/{id}/members:upload", "trader", Of::Tenant, "write"),
    ("POST", "/v1/segments/{id}:expand", "trader", Of::Tenant, "write"),
    ("POST", "/v1/contacts:upload", "admin", Of::Tenant, "admin"),
    ("POST", "/v1/segments/{id}/contacts:export", "admin", Of::Tenant, "admin"),
    ("POST", "/v1/jobs/{id}/contacts:download", "admin", Of::Tenant, "admin"),
    ("GET", "/v1/segments/{id}/stats", "analyst", Of::Tenant, "read"),
    ("POST", "/v1/segments:overlap", "analyst", Of::Tenant, "read"),
    ("POST", "/v1/people:erase", "admin", Of::Platform, "admin"),
    ("POST", "/v1/people:export", "admin", Of::Platform, "admin"),
    ("GET", "/openapi.json", "advertiser_viewer", Of::Everybody, ""),
    ("GET", "/docs", "advertiser_viewer", Of::Open, ""),
    ("GET", "/v1/me", "advertiser_viewer", Of::Everybody, ""),
    ("GET", "/v1/audit", "analyst", Of::Tenant, "read"),
    ("GET", "/v1/alerts", "analyst", Of::Tenant, "read"),
    ("GET", "/v1/transactions", "analyst", Of::Tenant, "read"),
    ("POST", "/v1/transactions", "admin", Of::Tenant, "money"),
    ("POST", "/v1/bulk", "trader", Of::Tenant, "write"),
    ("POST", "/v1/apply", "trader", Of::Tenant, "write"),
    ("GET", "/v1/accounts", "analyst", Of::Tenant, "read"),
    ("POST", "/v1/accounts", "admin", Of::Platform, "admin"),
    ("GET", "/v1/accounts/{id}", "analyst", Of::Tenant, "read"),
    ("PATCH", "/v1/accounts/{id}", "admin", Of::Platform, "admin"),
    ("GET", "/v1/api_keys", "admin", Of::Tenant, "admin"),
    ("POST", "/v1/api_keys", "admin", Of::Tenant, "admin"),
    ("GET", "/v1/api_keys/{id}", "admin", Of::Tenant, "admin"),
    ("DELETE", "/v1/api_keys/{id}", "admin", Of::Tenant, "admin"),
    ("POST", "/v1/api_keys/{id}:rotate", "admin", Of::Tenant, "admin"),
    ("GET", "/v1/exchanges", "analyst", Of::Shared, "read"),
    ("POST", "/v1/exchanges", "admin", Of::Platform, "admin"),
    ("GET", "/v1/exchanges/{id}", "analyst", Of::Shared, "read"),
    ("PATCH", "/v1/exchanges/{id}", "admin", Of::Platform, "admin"),
    ("DELETE", "/v1/exchanges/{id}", "admin", Of::Platform, "admin"),
    ("POST", "/v1/exchanges/{id}:activate", "admin", Of::Platform, "admin"),
    ("POST", "/v1/exchanges/{id}:pause", "admin", Of::Platform, "admin"),
    ("GET", "/v1/exports/exchanges.csv", "analyst", Of::Shared, "read"),
    ("POST", "/v1/imports/exchanges", "admin", Of::Platform, "admin"),
    ("GET", "/v1/jobs", "analyst", Of::Tenant, "read"),
    ("GET", "/v1/jobs/{id}", "analyst", Of::Tenant, "read"),
    ("POST", "/v1/jobs/{id}:cancel", "trader", Of::Tenant, "write"),
    ("GET", "/v1/jobs/{id}/result", "analyst", Of::Tenant, "read"),
    ("GET", "/v1/rates", "analyst", Of::Shared, "read"),
    ("PATCH", "/v1/rates", "admin", Of::Platform, "admin"),
    ("GET", "/v1/safety", "analyst", Of::Shared, "read"),
    ("PATCH", "/v1/safety", "admin", Of::Platform, "admin"),
    ("GET", "/v1/users", "admin", Of::Tenant, "admin"),
    ("POST", "/v1/users/invite", "admin", Of::Tenant, "admin"),
    ("GET", "/v1/users/{id}", "admin", Of::Tenant, "admin"),
    ("PATCH", "/v1/users/{id}", "admin", Of::Tenant, "admin"),
    ("POST", "/v1/session", "advertiser_viewer", Of::Open, ""),
    ("POST", "/v1/invites:accept", "advertiser_viewer", Of::Open, ""),
    ("PATCH", "/v1/me", "advertiser_viewer", Of::Own, ""),
    ("POST", "/v1/me/password", "advertiser_viewer", Of::Own, ""),
    ("POST", "/v1/me/totp", "advertiser_viewer", Of::Own, ""),
    ("POST", "/v1/me/totp:confirm", "advertiser_viewer", Of::Own, ""),
    ("DELETE", "/v1/me/totp", "advertiser_viewer", Of::Own, ""),
    // The last one, because it is for good.
    ("DELETE", "/v1/session", "advertiser_viewer", Of::Own, ""),
];

fn all_rows() -> impl Iterator<Item = Row> {
    OF_TENANTS.iter().flatten().chain(OTHERS).copied()
}

/// Somebody who calls.
#[derive(Clone, Debug)]
struct Caller {
    name: String,
    key: Option<String>,
    /// Of a person, who has no key.
    session: Option<Browser>,
    /// `None` is nobody.
    role: Option<&'static str>,
    /// `None` is the platform.
    account: Option<u32>,
    /// The only scope of the key.
    scope: Option<&'static str>,
}

/// The things of account 1 that calls are about.
struct Things {
    advertiser: String,
    campaign: String,
    line_item: String,
    creative: String,
    conversion: String,
    pixel: String,
    job: String,
}

fn things(world: &World) -> Things {
    if ids(world, BOOTSTRAP, "exchanges", "&q=matrix").is_empty() {
        world.make("exchanges", json!({ "name": "matrix", "price_codec": "plain", "price_unit": "cpm" }));
    }
    let advertiser = world.make("advertisers", world.draft("advertisers", "", ""));
    let campaign = world.make("campaigns", world.draft("campaigns", &advertiser, ""));
    let line_item = world.make("line_items", world.draft("line_items", "", &campaign));
    let creative = world.make("creatives", world.draft("creatives", &advertiser, ""));
    let conversion = world.make("conversions", world.draft("conversions", &advertiser, ""));
    let pixel = world.make("pixels", world.draft("pixels", &advertiser, ""));
    let job = world.post(BOOTSTRAP, "/v1/imports/advertisers", "name\n".into()).expect(200);
    let job = job["id"].as_str().unwrap().to_owned();
    Things { advertiser, campaign, line_item, creative, conversion, pixel, job }
}

fn callers(world: &World, things: &Things) -> Vec<Caller> {
    let nobody = |name: &str, key: Option<&str>| Caller {
        name: name.to_owned(),
        key: key.map(str::to_owned),
        session: None,
        role: None,
        account: Some(1),
        scope: None,
    };
    let mut callers = vec![nobody("nobody", None), nobody("a wrong key", Some("outbid_live_of-no-key"))];
    let bootstrap = Some(BOOTSTRAP.to_owned());
    callers.push(Caller { key: bootstrap, role: Some("owner"), account: None, ..nobody("bootstrap", None) });
    let mut add = |name: String, role: &'static str, account: Option<u32>, scope: Option<&'static str>| {
        let mut body = json!({ "name": name, "role": role });
        match account {
            Some(account) => body["account_id"] = account.to_string().into(),
            None => body["platform"] = true.into(),
        }
        if role == "advertiser_viewer" {
            body["advertiser_ids"] = json!([things.advertiser]);
        }
        if let Some(scope) = scope {
            body["scopes"] = json!([scope]);
        }
        if scope.is_none() {
            let mut invitation = body.clone();
            invitation.as_object_mut().unwrap().remove("name");
            invitation["email"] = format!("{}@people.example", world.number()).into();
            let (name, session) = (format!("the person {name}"), Some(entered(world, invitation)));
            callers.push(Caller { name, key: None, session, role: Some(role), account, scope });
        }
        let key = Some(world.key(body));
        callers.push(Caller { name, key, session: None, role: Some(role), account, scope });
    };
    for role in ROLES {
        add(format!("{role} of account 1"), role, Some(1), None);
        if role != "advertiser_viewer" {
            add(format!("{role} of the platform"), role, None, None);
        }
    }
    for scope in ["read", "write", "money", "admin"] {
        add(format!("owner with scope {scope}"), "owner", Some(1), Some(scope));
    }
    add("owner of account 2".to_owned(), "owner", Some(2), None);
    callers
}

fn rank(role: &str) -> usize {
    ROLES.iter().position(|known| *known == role).unwrap()
}

/// What a caller must be answered.
fn expected(caller: &Caller, (method, path, needs, of, scope): Row) -> u16 {
    if of == Of::Open {
        return match path {
            "/docs" => 200,
            "/v1/session" => 401,
            _ => 404,
        };
    }
    let Some(role) = caller.role else { return 401 };
    let is_foreign = caller.account == Some(2);
    if rank(role) < rank(needs)
        || (of == Of::Platform && caller.account.is_some())
        || (!scope.is_empty() && caller.scope.is_some_and(|has| has != scope))
    {
        return 403;
    }
    if of == Of::Own {
        return match (&caller.session, method, path) {
            (Some(_), "POST", "/v1/me/totp") => 201,
            (Some(_), "PATCH", _) | (Some(_), "DELETE", "/v1/session") => 200,
            // What is shown is wrong, see `said`.
            _ => 403,
        };
    }
    // A scope admin is not enough to make keys that may more; of the things here that is a rotation.
    if caller.scope.is_some() && (method, path) == ("POST", "/v1/api_keys/{id}:rotate") {
        return 403;
    }
    let gives = ["/v1/api_keys", "/v1/users/invite"].contains(&path);
    if caller.scope.is_some() && method == "POST" && gives {
        return 403;
    }
    if of == Of::Tenant && is_foreign && path.contains("{id}") {
        return 404;
    }
    let has_parent = [
        "campaigns",
        "line_items",
        "creatives",
        "conversions",
        "pixels",
        "transactions",
        "segments:overlap",
        "line_items:forecast",
    ]
    .iter()
    .any(|name| path.strip_prefix("/v1/") == Some(name));
    if method == "POST" && is_foreign && has_parent {
        return 422;
    }
    // Nobody serves here, so nothing was sampled.
    if path.contains("{key}") {
        return 404;
    }
    if path.starts_with("/v1/imports/") {
        return 200;
    }
    let looks = [
        "/v1/line_items:forecast",
        "/v1/segments:overlap",
        "/v1/people:erase",
        "/v1/people:export",
        "/v1/contacts:upload",
    ];
    let makes = path != "/v1/jobs/{id}:cancel"
        && !looks.contains(&path)
        && method == "POST"
        && !["/v1/bulk", "/v1/apply"].contains(&path)
        && (!path.contains("{id}") || path.ends_with(":rotate"));
    if makes { 201 } else { 200 }
}

fn call(world: &World, caller: &Caller, row: Row, things: &Things) -> (Answer, String) {
    let (method, path, ..) = row;
    let collection = path.trim_start_matches("/v1/").split('/').next().unwrap();
    let id = match (method, collection) {
        _ if !path.contains("{id}") => String::new(),
        ("GET", "advertisers") => things.advertiser.clone(),
        ("POST", "advertisers") if path.ends_with(":explain") => things.advertiser.clone(),
        ("POST", "line_items") if path.ends_with(":explain") || path.ends_with(":forecast") => {
            things.line_item.clone()
        }
        ("GET", "campaigns") => things.campaign.clone(),
        ("GET", "line_items") => things.line_item.clone(),
        ("GET", "creatives") => things.creative.clone(),
        ("GET", "conversions") => things.conversion.clone(),
        ("GET", "pixels") => things.pixel.clone(),
        (_, "jobs") if path.ends_with("contacts:download") => list(world),
        (_, "jobs") => things.job.clone(),
        (_, "accounts") => "1".to_owned(),
        (_, "users") => world.make("users/invite", world.draft("users", "", "")),
        // A new one each time, because what is archived stays so.
        _ => world.make(collection, world.draft(collection, &things.advertiser, &things.campaign)),
    };
    let consent = if path.ends_with("members:upload") { "?consent=given" } else { "" };
    let target = path.replace("{id}", &id).replace("{key}", "1-1") + consent;
    let body = match method {
        _ if matches!(row.3, Of::Own | Of::Open) || path == "/v1/users/{id}" => said(world, method, path),
        "PATCH" => Some(json!({ "notes": "changed" })),
        "POST" if path.ends_with("members:upload") => Some("cookie\n".into()),
        "POST" if path.ends_with("items:upload") => Some(json!({ "values": ["a.example"] })),
        "POST" if path.ends_with("contacts:export") => Some(chosen()),
        "POST" if path == "/v1/contacts:upload" => Some("cookie\n".into()),
        "POST" if path.ends_with(":expand") => {
            Some(json!({ "target": format!("like-{}", world.number()), "size": 10 }))
        }
        "POST" if path.ends_with(":explain") => {
            Some(json!({ "exchange": "north", "request": { "id": "1" } }))
        }
        "POST" if path == "/v1/line_items:forecast" => {
            Some(json!({ "line_item": world.draft("line_items", &things.advertiser, &things.campaign) }))
        }
        "POST" if path.ends_with(":forecast") => Some(json!({})),
        // A table without a row is taken by every kind.
        "POST" if collection == "imports" => Some("name\n".into()),
        "POST" if !path.contains("{id}") => {
            Some(world.draft(collection, &things.advertiser, &things.campaign))
        }
        _ => None,
    };
    let method: Method = method.parse().unwrap();
    // Each from elsewhere, so that what is wrong in one call does not slow the next.
    let [_, a, b, c] = world.number().to_be_bytes();
    let peer = format!("10.{a}.{b}.{c}");
    let answer = match &caller.session {
        Some(Browser { cookie, csrf }) => {
            let headers = [("cookie", cookie.as_str()), ("x-csrf-token", csrf), ("if-match", "*")];
            world.send(&peer, &headers, &method, &target, body.as_ref())
        }
        None => world.call_from(&peer, caller.key.as_deref(), &method, &target, body.as_ref()),
    };
    (answer, id)
}

/// Whom to put on a list.
fn chosen() -> Value {
    json!({ "channel": "mail", "purpose": "a trial" })
}

/// A new job with a list of account 1.
fn list(world: &World) -> String {
    let segment = world.make("segments", world.draft("segments", "", ""));
    let job = world.post(BOOTSTRAP, &format!("/v1/segments/{segment}/contacts:export"), chosen()).expect(200);
    job["id"].as_str().unwrap().to_owned()
}

/// What is said about people. Passwords, tokens and codes are wrong.
fn said(world: &World, method: &str, path: &str) -> Option<Value> {
    let wrong = "wrong wrong wrong";
    Some(match (method, path) {
        ("POST", "/v1/session") => {
            json!({ "email": format!("{}@nowhere.example", world.number()), "password": wrong })
        }
        ("POST", "/v1/invites:accept") => json!({ "token": wrong, "name": "n", "password": wrong }),
        ("POST", "/v1/me/password") => json!({ "old_password": wrong, "new_password": "twelve letters" }),
        ("POST", "/v1/me/totp:confirm") => json!({ "code": wrong }),
        ("DELETE", "/v1/me/totp") => json!({ "password": wrong }),
        ("PATCH", _) => json!({ "name": "changed" }),
        _ => return None,
    })
}

/// What every answer is, whoever asked for whatever.
fn check_form(answer: &Answer, what: &str) {
    assert!(answer.status < 500, "{what}: {}", answer.body);
    assert!(!answer.header("x-request-id").is_empty(), "{what}");
    if answer.status < 400 {
        let media = match &answer.body {
            _ if what.contains("/docs") => "text/html; charset=utf-8",
            Value::String(_) => "text/csv; charset=utf-8",
            _ => "application/json",
        };
        assert_eq!(answer.header("content-type"), media, "{what}");
        return;
    }
    assert_eq!(answer.header("content-type"), "application/problem+json", "{what}");
    assert_eq!(answer.body["status"], answer.status, "{what}");
    assert_eq!(answer.body["request_id"], answer.header("x-request-id"), "{what}");
    for member in ["type", "title", "detail", "instance"] {
        assert!(answer.body[member].as_str().is_some_and(|text| !text.is_empty()), "{what}: {}", answer.body);
    }
    assert_eq!(answer.status == 401, !answer.header("www-authenticate").is_empty(), "{what}");
}

#[test]
fn every_route_lets_in_who_may_and_refuses_everybody_else() {
    let world = World::new();
    world.make("accounts", json!({ "name": "the other one" }));
    let things = things(&world);
    let callers = callers(&world, &things);
    let mut wrong = Vec::new();
    for caller in &callers {
        for row in all_rows() {
            let (answer, _) = call(&world, caller, row, &things);
            let what = format!("{} {} as {}", row.0, row.1, caller.name);
            check_form(&answer, &what);
            let expected = expected(caller, row);
            if answer.status != expected {
                wrong.push(format!("{what}: {} and not {expected}: {}", answer.status, answer.body));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of the matrix are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_matrix_has_a_row_for_every_route_and_says_of_it_what_the_description_says() {
    let world = World::new();
    let described = world.get(BOOTSTRAP, "/openapi.json").expect(200);
    let mut routes = BTreeSet::new();
    for (path, methods) in described["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let role = operation["x-role"].as_str().unwrap();
            let scope = operation["x-scope"].as_str().unwrap_or_default();
            let is_platforms = operation["x-platform-only"].as_bool().unwrap();
            routes.insert(format!("{} {path} {role} {scope} {is_platforms}", method.to_uppercase()));
        }
    }
    let rows: BTreeSet<String> = all_rows()
        .map(|(method, path, role, of, scope)| {
            format!("{method} {path} {role} {scope} {}", of == Of::Platform)
        })
        .collect();
    let missing: Vec<_> = routes.difference(&rows).collect();
    let surplus: Vec<_> = rows.difference(&routes).collect();
    assert!(
        missing.is_empty() && surplus.is_empty(),
        "routes without a row {missing:#?}, rows without {surplus:#?}"
    );
}

/// The ids on a list.
fn ids(world: &World, key: &str, collection: &str, query: &str) -> Vec<String> {
    let page = world.get(key, &format!("/v1/{collection}?page_size=1000{query}")).expect(200);
    page[collection].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_list_shows_what_is_the_callers_and_the_platform_may_look_into_one_account() {
    let world = World::new();
    let other = world.make("accounts", json!({ "name": "the other one" }));
    let key = |account: &str| world.key(json!({ "name": "k", "role": "owner", "account_id": account }));
    let (first, second) = (key("1"), key(&other));
    let things = things(&world);
    let of_accounts = ["segments", "lists", "deals"];
    let of_advertisers =
        ["advertisers", "campaigns", "line_items", "creatives", "conversions", "pixels", "api_keys"];
    for collection in of_advertisers.into_iter().chain(of_accounts) {
        let of_first = match collection {
            one if of_accounts.contains(&one) => vec![world.make(one, world.draft(one, "", ""))],
            _ => ids(&world, &first, collection, ""),
        };
        assert_eq!(of_first.len(), 1, "{collection}");
        let of_second = ids(&world, &second, collection, "");
        assert_eq!(of_second.len(), usize::from(collection == "api_keys"), "{collection}");
        assert_eq!(ids(&world, BOOTSTRAP, collection, "&account_id=1"), of_first, "{collection}");
        assert_eq!(ids(&world, BOOTSTRAP, collection, "&account_id=2"), of_second, "{collection}");
        let all = ids(&world, BOOTSTRAP, collection, "").len();
        assert_eq!(all, of_first.len() + of_second.len(), "{collection}");
        let elsewhere = world.get(&second, &format!("/v1/{collection}?account_id=1"));
        assert_eq!(elsewhere.status, 404, "{collection}: {}", elsewhere.body);
    }
    assert_eq!(ids(&world, BOOTSTRAP, "accounts", ""), ["1", "2"]);
    assert_eq!(ids(&world, &second, "accounts", ""), ["2"]);
    // References of every sort stay within the account too.
    let own = world.post(&second, "/v1/advertisers", world.draft("advertisers", "", "")).expect(201);
    assert_eq!(own["account_id"], "2");
    let own = own["id"].as_str().unwrap();
    let campaign = world.post(&second, "/v1/campaigns", world.draft("campaigns", own, "")).expect(201);
    let mut line = world.draft("line_items", "", campaign["id"].as_str().unwrap());
    line["creatives"] = json!([{ "creative": things.creative }]);
    let refused = world.post(&second, "/v1/line_items", line).expect(422);
    assert_eq!(refused["errors"][0]["code"], "unknown_reference", "{refused}");
}

#[test]
fn the_platform_makes_things_where_it_says_else_beside_the_parent_else_in_the_first_account() {
    let world = World::new();
    let other = world.make("accounts", json!({ "name": "the other one" }));
    let advertiser = |target: &str, member: Value| {
        let mut draft = world.draft("advertisers", "", "");
        draft["account_id"] = member;
        world.post(BOOTSTRAP, target, draft)
    };
    let account = |answer: Answer| answer.expect(201)["account_id"].as_str().unwrap().to_owned();
    assert_eq!(account(advertiser("/v1/advertisers", Value::Null)), "1");
    assert_eq!(account(advertiser("/v1/advertisers?account_id=2", Value::Null)), "2");
    assert_eq!(account(advertiser("/v1/advertisers", json!(other))), "2");
    for (target, member) in [
        ("/v1/advertisers", json!("77")),
        ("/v1/advertisers", json!("0")),
        ("/v1/advertisers", json!(2)),
        ("/v1/advertisers?account_id=1", json!("2")),
        ("/v1/advertisers?account_id=77", Value::Null),
    ] {
        let refused = advertiser(target, member).expect(422);
        assert_eq!(refused["errors"][0]["pointer"], "/account_id", "{refused}");
    }
    let parent = advertiser("/v1/advertisers?account_id=2", Value::Null).expect(201);
    let draft = world.draft("campaigns", parent["id"].as_str().unwrap(), "");
    assert_eq!(account(world.post(BOOTSTRAP, "/v1/campaigns", draft.clone())), "2");
    assert_eq!(world.post(BOOTSTRAP, "/v1/campaigns?account_id=1", draft).status, 422);
}

#[test]
fn a_viewer_sees_its_advertisers_without_the_fees() {
    let world = World::new();
    let (mine, not_mine) = (things(&world), things(&world));
    let body = json!({ "name": "v", "role": "advertiser_viewer", "advertiser_ids": [mine.advertiser] });
    let viewer = world.key(body);
    for (collection, seen, hidden) in [
        ("advertisers", &mine.advertiser, &not_mine.advertiser),
        ("campaigns", &mine.campaign, &not_mine.campaign),
        ("line_items", &mine.line_item, &not_mine.line_item),
        ("creatives", &mine.creative, &not_mine.creative),
    ] {
        assert_eq!(ids(&world, &viewer, collection, ""), [seen.as_str()], "{collection}");
        let total = world.get(&viewer, &format!("/v1/{collection}?total=true")).expect(200);
        assert_eq!(total["total"], 1, "{collection}");
        world.get(&viewer, &format!("/v1/{collection}/{seen}")).expect(200);
        world.get(&viewer, &format!("/v1/{collection}/{hidden}")).expect(404);
    }
    let below = format!("&filter[advertiser_id]={}", not_mine.advertiser);
    assert_eq!(ids(&world, &viewer, "campaigns", &below), [""; 0]);
    let path = format!("/v1/advertisers/{}", mine.advertiser);
    assert_eq!(world.get(BOOTSTRAP, &path).expect(200)["data_fee"]["amount"], "0.10");
    assert_eq!(world.get(&viewer, &path).expect(200).get("data_fee"), None);
    assert_eq!(world.get(&viewer, "/v1/advertisers").expect(200)["advertisers"][0].get("data_fee"), None);
}
