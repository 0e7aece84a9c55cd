//! Tables in and out.

mod figures;
mod waiting;

use super::calls::{Bare, Calls, KEY, control};
use super::site::{Site, run};
use super::world::{Answer, BOOTSTRAP, World};
use hyper::Method;
use outbid::store::control::jobs::{JobState, NewJob};
use serde_json::{Value, json};
use std::io::{Read, Write};

/// An import as the platform, waited for.
fn import(world: &World, collection: &str, query: &str, table: &str) -> Value {
    let answer = send(world, BOOTSTRAP, collection, query, table);
    answer.expect(200)
}

fn send(world: &World, key: &str, collection: &str, query: &str, table: &str) -> Answer {
    world.call(key, &Method::POST, &format!("/v1/imports/{collection}{query}"), Some(&table.into()))
}

fn export(world: &World, collection: &str, query: &str) -> String {
    let body = world.get(BOOTSTRAP, &format!("/v1/exports/{collection}.csv{query}")).expect(200);
    body.as_str().unwrap().to_owned()
}

/// The result of a job, its header away.
fn result(world: &World, job: &Value) -> Vec<Vec<String>> {
    let target = format!("/v1/jobs/{}/result", job["id"].as_str().unwrap());
    let body = world.get(BOOTSTRAP, &target).expect(200);
    rows(body.as_str().unwrap())
}

fn rows(table: &str) -> Vec<Vec<String>> {
    let mut reader = csv::Reader::from_reader(table.as_bytes());
    reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect()
}

/// What a job says it did.
#[track_caller]
fn counts(job: &Value, state: &str, [rows, created, changed, unchanged, refused]: [u64; 5]) {
    assert_eq!(job["state"], state, "{job:#}");
    let said = ["rows", "created", "changed", "unchanged", "refused"].map(|name| job[name].as_u64().unwrap());
    assert_eq!(said, [rows, created, changed, unchanged, refused], "{job:#}");
}

/// An advertiser with a campaign and two creatives, each with an external id.
fn world() -> World {
    let world = World::new();
    import(&world, "advertisers", "", "external_id,name,currency\nacme,Acme,USD\n");
    import(&world, "campaigns", "", "external_id,name,advertiser_id\nspring,Spring,ext:acme\n");
    let creative = "https://acme.example/,acme.example,300x250,<a href=\"\"{CLICK_URL}\"\">x</a>";
    let creative =
        creative.replace("<a href=\"\"{CLICK_URL}\"\">x</a>", "\"<a href=\"\"{CLICK_URL}\"\">x</a>\"");
    let table = format!(
        "external_id,name,advertiser_id,click_url,adomain,size,markup\nbox,Box,ext:acme,{creative}\nbar,Bar,ext:acme,{creative}\n"
    );
    counts(&import(&world, "creatives", "", &table), "succeeded", [2, 2, 0, 0, 0]);
    world
}

#[test]
fn rows_make_and_change_things_and_find_what_they_belong_to_by_its_external_id() {
    let world = world();
    let table = "external_id,campaign_id,name,bid.strategy,bid.amount,bid.max,creatives,targeting.countries.include\n\
                 a,ext:spring,Alpha,fixed_cpm,2.50,3,ext:box;ext:bar,DE; FR\n\
                 b,1,'=Beta,fixed_cpm,2,2,\"[{\"\"creative\"\":\"\"ext:bar\"\",\"\"weight\"\":3}]\",\n";
    counts(&import(&world, "line_items", "", table), "succeeded", [2, 2, 0, 0, 0]);
    let first = world.get(BOOTSTRAP, "/v1/line_items/1").expect(200);
    assert_eq!(first["bid"]["amount"], json!({ "amount": "2.50", "currency": "USD" }));
    assert_eq!(first["creatives"], json!([{ "creative": "1" }, { "creative": "2" }]));
    assert_eq!(first["targeting"]["countries"]["include"], json!(["DE", "FR"]));
    let second = world.get(BOOTSTRAP, "/v1/line_items/2").expect(200);
    assert_eq!(second["name"], "=Beta");
    assert_eq!(second["creatives"], json!([{ "creative": "2", "weight": 3 }]));
    // Only what a row says is changed; an external id finds what it made; nothing is not a change.
    let table = "id,external_id,name,targeting.countries.include,budget.daily\n\
                 ,a,,(clear),5\nid?,,,,\next:b,,Beta,,\n2,,,,\n,c,,,\n";
    let job = import(&world, "line_items", "?mode=partial", table);
    counts(&job, "succeeded", [5, 0, 2, 0, 3]);
    let codes: Vec<&str> =
        job["errors"].as_array().unwrap().iter().map(|error| error["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["malformed", "duplicate", "missing", "missing", "missing"], "{job:#}");
    let first = world.get(BOOTSTRAP, "/v1/line_items/1").expect(200);
    assert_eq!((first["version"].as_u64(), first["name"].as_str()), (Some(2), Some("Alpha")));
    assert_eq!(first["targeting"]["countries"], json!({}), "{first:#}");
    assert_eq!(first["budget"]["daily"]["amount"], "5");
    let same = import(&world, "line_items", "", "id,name\n1,Alpha\n");
    counts(&same, "succeeded", [1, 0, 0, 1, 0]);
    let records = world.get(BOOTSTRAP, "/v1/audit?filter[kind]=line_item").expect(200);
    let records = records["audit"].as_array().unwrap();
    assert_eq!(records.len(), 4, "{records:#?}");
    assert!(records.iter().all(|record| record["source"] == "csv"), "{records:#?}");
}

#[test]
fn every_error_of_a_row_names_its_column_and_all_or_none_means_so() {
    let world = world();
    let table = "external_id,campaign_id,name,bid.amount,bid.max,targeting.device_types.include,budget.daily,currency\n\
                 ok,ext:spring,Fine,1,1,,,USD\n\
                 x,ext:nobody,,1,1,phone;2,,EUR\n\
                 y,ext:spring,Cheap,one,1,,-5,USD\n\
                 z,99,Lost,1,1,,,\n\
                 ,ext:spring,Short\n\
                 ok2,ext:spring,Fine too,1,1,,,\n";
    let wrong = [
        ("2", "campaign_id", "unknown_reference"),
        ("2", "targeting.device_types.include", "malformed"),
        ("2", "name", "missing"),
        ("3", "bid.amount", "malformed"),
        ("3", "budget.daily", "malformed"),
        ("4", "campaign_id", "unknown_reference"),
        ("5", "", "ragged"),
    ];
    let check = |query: &str, state: &str, expected: [u64; 5], fine: &str| {
        let job = import(&world, "line_items", query, table);
        counts(&job, state, expected);
        let result = result(&world, &job);
        for (row, column, code) in wrong {
            let found = result
                .iter()
                .any(|line| line[0] == row && line[4] == "refused" && line[5] == column && line[6] == code);
            assert!(found, "{query}: no {row} {column} {code} in {result:#?}");
            let row: u64 = row.parse().unwrap();
            let errors = job["errors"].as_array().unwrap();
            let found = errors.iter().find(|e| e["row"] == row && e["column"] == column && e["code"] == code);
            assert_eq!(found.unwrap()["line"], row + 1);
        }
        let outcomes: Vec<&str> =
            result.iter().filter(|line| line[4] != "refused").map(|line| line[4].as_str()).collect();
        assert_eq!(outcomes, [fine; 2], "{query}");
        world.get(BOOTSTRAP, "/v1/line_items").expect(200)["line_items"].as_array().unwrap().len()
    };
    assert_eq!(check("?validate_only=true", "failed", [6, 2, 0, 0, 4], "created"), 0);
    assert_eq!(check("?validate_only=true&mode=partial", "succeeded", [6, 2, 0, 0, 4], "created"), 0);
    assert_eq!(check("", "failed", [6, 0, 0, 0, 4], "not_kept"), 0);
    let records = world.get(BOOTSTRAP, "/v1/audit?filter[kind]=line_item").expect(200);
    assert_eq!(records["audit"], json!([]), "a trial leaves no record");
    assert_eq!(check("?mode=partial", "succeeded", [6, 2, 0, 0, 4], "created"), 2);
    // What was not kept was not seen by anybody, and its ids are given to others.
    let made = world.get(BOOTSTRAP, "/v1/line_items").expect(200);
    assert_eq!(made["line_items"][0]["external_id"], "ok");
}

#[test]
fn a_row_of_another_version_is_refused_and_one_without_is_taken() {
    let world = world();
    import(&world, "line_items", "", "campaign_id,name,bid.amount,bid.max\n1,One,1,1\n");
    let table = export(&world, "line_items", "?fields=id,version,bid.amount");
    assert_eq!(table, "id,version,bid.amount\r\n1,1,1\r\n");
    counts(
        &import(&world, "line_items", "", &table.replace("1,1,1", "1,1,0.50")),
        "succeeded",
        [1, 0, 1, 0, 0],
    );
    let again = import(&world, "line_items", "", &table.replace("1,1,1", "1,1,0.75"));
    counts(&again, "failed", [1, 0, 0, 0, 1]);
    assert_eq!(
        (&again["errors"][0]["column"], &again["errors"][0]["code"]),
        (&json!("version"), &json!("changed"))
    );
    counts(
        &import(&world, "line_items", "", "id,etag,notes\n1,\"\"\"2\"\"\",x\n"),
        "succeeded",
        [1, 0, 1, 0, 0],
    );
    counts(&import(&world, "line_items", "", "id,bid.amount\n1,0.75\n"), "succeeded", [1, 0, 1, 0, 0]);
}

#[test]
fn files_that_are_no_table_of_the_kind_say_why() {
    let world = world();
    for (table, code, part) in [
        ("", "malformed", "empty"),
        ("\n\n", "malformed", "empty"),
        ("name,nmae\n", "unknown_column", "did you mean \"name\""),
        ("name,name\n", "duplicate", "twice"),
        ("name,\n", "missing", "has no name"),
        ("id;name\n1;x\n", "malformed", "commas"),
        ("id,wallet\n", "unknown_column", "wallet"),
        ("id,updated_at\n", "unknown_column", "updated_at"),
        ("name\n\"never closed\n", "malformed", "not closed"),
        ("name\nx\u{0}y\n", "malformed", "NUL"),
        ("name,currency\nx\n", "ragged", "has 1 cells"),
        ("name,currency\nx,USD,3\n", "ragged", "has 3 cells"),
        ("id,name\n1,a\n1,b\n", "duplicate", "earlier row"),
        ("id,name\n1,a\next:acme,b\n", "duplicate", "earlier row"),
        ("id,name\n0,a\n", "malformed", "is no id"),
        ("id,name\n-1,a\n", "malformed", "is no id"),
        ("id,name\n99999999999,a\n", "malformed", "is no id"),
        ("id,name\n7,a\n", "unknown_reference", "leave the cell empty"),
        ("id,version,name\n1,x,a\n", "malformed", "is no version"),
        ("id,labels\n1,5\n", "malformed", "JSON"),
        ("id,labels\n1,\"{\"\n", "malformed", "no JSON"),
        ("id,currency\n1,EUR\n", "conflict", "cannot change"),
        ("account_id,name,currency\n2,a,USD\n", "conflict", "account 1"),
        ("external_id,name,currency\nnew,(clear),USD\n", "missing", "is missing"),
    ] {
        let job = import(&world, "advertisers", "", table);
        assert_eq!(job["state"], "failed", "{table:?} {job:#}");
        let errors = job["errors"].as_array().unwrap();
        let found = errors
            .iter()
            .any(|error| error["code"] == code && error["message"].as_str().unwrap().contains(part));
        assert!(found, "{table:?}: {errors:#?}");
    }
    let advertisers = world.get(BOOTSTRAP, "/v1/advertisers").expect(200);
    assert_eq!(advertisers["advertisers"].as_array().unwrap().len(), 1);
    assert_eq!(advertisers["advertisers"][0]["version"], 1);
}

#[test]
fn what_is_no_table_at_all_is_refused_before_it_is_a_job() {
    let world = world();
    let refused = world.post(BOOTSTRAP, "/v1/imports/advertisers", json!({ "name": "x" }));
    assert_eq!(refused.status, 415, "{}", refused.body);
    let parameter = send(&world, BOOTSTRAP, "advertisers", "?mode=some", "name\n");
    assert_eq!(parameter.status, 400, "{}", parameter.body);
    let parameter = send(&world, BOOTSTRAP, "advertisers", "?colour=red", "name\n");
    assert_eq!(parameter.status, 400, "{}", parameter.body);
    let parameter = world.get(BOOTSTRAP, "/v1/exports/advertisers.csv?page_size=5");
    assert_eq!(parameter.status, 400, "{}", parameter.body);
    let parameter = world.get(BOOTSTRAP, "/v1/exports/advertisers.csv?fields=colour");
    assert_eq!(parameter.status, 400, "{}", parameter.body);
}

/// An export without what another server gives anew.
fn portable(world: &World, collection: &str) -> String {
    let whole = export(world, collection, "");
    let header = whole.lines().next().unwrap().trim_end();
    let fields: Vec<&str> = header.split(',').filter(|name| !["id", "version"].contains(name)).collect();
    export(world, collection, &format!("?fields={}", fields.join(",")))
}

#[test]
fn what_goes_out_comes_back_in_the_same_whatever_its_texts_are() {
    let nasty = [
        "=cmd|' /C calc'!A0",
        "+1",
        "-1.5",
        "-x",
        "@here",
        "'",
        "''",
        "(clear)",
        "a,b",
        "\"quoted\"",
        "; \\ ;",
        " led ",
        "[1",
        "{}",
        "ext:x",
        "\u{feff}mark",
        "\u{202e}right",
        "NULL",
        "true",
        "0",
        "00012",
        "1e9",
        "\u{1f600}",
    ];
    let from = World::new();
    let advertiser =
        from.make("advertisers", json!({ "name": "Acme", "currency": "USD", "data_fee": "0.10" }));
    for (number, text) in nasty.iter().enumerate() {
        let campaign = json!({
            "name": text, "advertiser_id": advertiser, "external_id": format!("{number}{text}"),
            "notes": format!("{text}\n\t{text}\r\n"), "labels": { *text: text, "": "" },
            "budget": { "daily": format!("{number}.5") }, "status": "paused",
        });
        let campaign = from.make("campaigns", campaign);
        let mut creative = from.draft("creatives", &advertiser, "");
        creative["name"] = (*text).into();
        let creative = from.make("creatives", creative);
        from.make(
            "segments",
            json!({ "key": format!("s{number}"), "name": text, "sensitive": number % 2 == 0 }),
        );
        let mut line = from.draft("line_items", "", &campaign);
        line["name"] = (*text).into();
        line["notes"] = "".into();
        line["creatives"] = match number % 3 {
            0 => json!([]),
            1 => json!([{ "creative": creative }]),
            _ => json!([{ "creative": creative, "weight": 2, "when": { "countries": ["DE"] } }]),
        };
        line["targeting"] = json!({
            "keywords": { "include": [text.trim(), "second; \\"], "exclude": ["=x"] },
            "device_types": { "include": [2, 1] }, "categories": { "include": [{ "cattax": 1, "id": "IAB1" }] },
        });
        from.make("line_items", line);
    }
    let to = World::new();
    for collection in ["advertisers", "campaigns", "creatives", "segments", "line_items"] {
        let table = portable(&from, collection);
        let job = import(&to, collection, "", &table);
        assert_eq!(job["state"], "succeeded", "{collection}: {job:#}");
        assert_eq!(export(&to, collection, ""), export(&from, collection, ""), "{collection}");
        for row in rows(&table) {
            for cell in row {
                let is_number = cell.parse::<f64>().is_ok();
                assert!(is_number || !cell.starts_with(['=', '+', '-', '@', '\t', '\r']), "{cell:?}");
            }
        }
        // And into the server that it comes from, where nothing differs.
        let same = import(&from, collection, "", &export(&from, collection, "?bom=true"));
        assert_eq!((&same["state"], &same["unchanged"]), (&json!("succeeded"), &same["rows"]), "{same:#}");
    }
}

#[test]
fn tables_show_and_change_what_is_the_callers_alone() {
    let world = world();
    world.make("accounts", json!({ "name": "the other one" }));
    let foreign = world.key(json!({ "name": "k", "role": "owner", "account_id": "2" }));
    let own = world.key(json!({ "name": "k", "role": "trader", "account_id": "1" }));
    let viewer =
        json!({ "name": "v", "role": "advertiser_viewer", "account_id": "1", "advertiser_ids": ["1"] });
    let viewer = world.key(viewer);
    import(&world, "advertisers", "", "name,currency,data_fee\nOther,USD,0.2\n");
    let seen = |key: &str, query: &str| {
        let body = world.get(key, &format!("/v1/exports/advertisers.csv{query}")).expect(200);
        rows(body.as_str().unwrap()).len()
    };
    assert_eq!([seen(&own, ""), seen(&foreign, ""), seen(&viewer, "")], [2, 0, 1]);
    assert_eq!(
        [seen(&own, "?filter[id]=2"), seen(&own, "?q=acm"), seen(&own, "?filter[status]=active")],
        [1, 1, 0]
    );
    let table = world.get(&viewer, "/v1/exports/advertisers.csv").expect(200);
    assert!(!table.as_str().unwrap().contains("data_fee"), "{table}");
    // What belongs to another account does not exist, by whatever name.
    for table in ["id,name\n1,Mine\n", "name,campaign_id\nx,ext:spring\n", "name,campaign_id\nx,1\n"] {
        let collection = if table.starts_with("id") { "advertisers" } else { "line_items" };
        let job = send(&world, &foreign, collection, "", table).expect(200);
        assert_eq!(
            (&job["state"], &job["errors"][0]["code"]),
            (&json!("failed"), &json!("unknown_reference")),
            "{job:#}"
        );
        let target = format!("/v1/jobs/{}", job["id"].as_str().unwrap());
        assert_eq!([world.get(&own, &target).status, world.get(&foreign, &target).status], [404, 200]);
    }
    let job =
        send(&world, &foreign, "advertisers", "", "external_id,name,currency\nacme,Mine,USD\n").expect(200);
    assert_eq!((&job["account_id"], &job["created"]), (&json!("2"), &json!(1)));
    assert_eq!(send(&world, &foreign, "advertisers", "?account_id=1", "name\n").status, 404);
    assert_eq!(world.get(BOOTSTRAP, "/v1/advertisers/1").expect(200)["name"], "Acme");
    let listed = world.get(&foreign, "/v1/jobs?page_size=2").expect(200);
    assert_eq!(listed["jobs"].as_array().unwrap().len(), 2);
    assert!(listed["next_page_token"].is_string());
}

#[test]
fn secrets_stay_as_they_are_under_what_stands_for_them() {
    let world = World::new();
    let exchange = json!({
        "name": "north", "price_unit": "cpm", "auth": { "type": "header", "name": "x-key", "secret": "known to two alone" },
        "price_codec": "plain",
    });
    world.make("exchanges", exchange);
    let table = export(&world, "exchanges", "?fields=id,name,auth,notes");
    assert!(table.contains("********") && !table.contains("known to two"), "{table}");
    let mut changed = table.trim_end().to_owned();
    changed.push_str("seen\r\n");
    counts(&import(&world, "exchanges", "", &changed), "succeeded", [1, 0, 1, 0, 0]);
    let kept =
        world.control.read(|read| read.get(outbid::store::control::Kind::Exchange, 1)).unwrap().unwrap();
    assert!(kept.doc.contains("known to two alone") && kept.doc.contains("seen"), "{}", kept.doc);
    let copied =
        import(&world, "exchanges", "", "name,auth.type,auth.name,auth.secret\nsouth,header,x,********\n");
    assert_eq!(copied["errors"][0]["column"], "auth.secret", "{copied:#}");
}

/// The job of an answer when it has ended.
fn ended(bare: &Bare, id: &str) -> Value {
    loop {
        let job = bare.get(&format!("/v1/jobs/{id}"));
        if !["queued", "running"].contains(&job["state"].as_str().unwrap()) {
            return job;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

fn begin(bare: &Bare, target: &str, table: &str, wait: &str) -> Value {
    let key = format!("Bearer {KEY}");
    let headers = [("authorization", key.as_str()), ("content-type", "text/csv"), ("prefer", wait)];
    let reply = bare.raw("POST", target, &headers, table.as_bytes()).unwrap();
    assert!(reply.status == 202 || reply.status == 200, "{}", reply.text());
    assert_eq!(
        reply.header("location"),
        Some(format!("/v1/jobs/{}", reply.json()["id"].as_str().unwrap()).as_str())
    );
    reply.json()
}

#[test]
fn a_job_that_is_cancelled_keeps_nothing_and_reads_are_answered_while_it_runs() {
    let dir = tempfile::tempdir().unwrap();
    let bare = Bare::open(control(&dir.path().join("control.db")));
    let table: String =
        ["key\n".to_owned()].into_iter().chain((0..200_000).map(|n| format!("k{n}\n"))).collect();
    let job = begin(&bare, "/v1/imports/segments", &table, "wait=0");
    let id = job["id"].as_str().unwrap().to_owned();
    while bare.get(&format!("/v1/jobs/{id}"))["rows"].as_u64().unwrap() < 10 {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    assert_eq!(bare.get("/v1/segments")["segments"], json!([]));
    let reply = bare.call("GET", &format!("/v1/jobs/{id}/result"), &[], "");
    assert_eq!(reply.status, 409, "{}", reply.text());
    let reply = bare.call("POST", &format!("/v1/jobs/{id}:cancel"), &[], "");
    assert_eq!(reply.status, 200, "{}", reply.text());
    let job = ended(&bare, &id);
    assert_eq!((&job["state"], &job["created"]), (&json!("cancelled"), &json!(0)), "{job:#}");
    assert!(job["rows"].as_u64().unwrap() < 200_000 && job["finished_at"].is_string());
    assert_eq!(bare.get("/v1/segments")["segments"], json!([]));
    // Cancelled, what is kept row by row stays; and what has ended is not ended again.
    let job = begin(&bare, "/v1/imports/segments?mode=partial", "key\nk1\nk2\n", "wait=60");
    let reply = bare.call("POST", &format!("/v1/jobs/{}:cancel", job["id"].as_str().unwrap()), &[], "");
    assert_eq!((&reply.json()["state"], &reply.json()["created"]), (&json!("succeeded"), &json!(2)));
}

#[test]
fn a_job_that_a_stop_has_cut_off_says_so_after_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let control = control(&dir.path().join("control.db"));
    // What every account has is there from the first start on.
    drop(Bare::open(control.clone()));
    let id = control.write(|tx| {
        let new = NewJob {
            account: 1,
            kind: "import",
            collection: "segments",
            options: "{}".to_owned(),
            actor: "somebody".to_owned(),
            request_id: "req".to_owned(),
            outcome: "{}".to_owned(),
        };
        let row = tx.insert_job(new)?;
        tx.update_job(row.id, JobState::Running, "{\"rows\": 200, \"created\": 200}")?;
        Ok::<_, outbid::store::control::ControlError>(row.id)
    });
    let bare = Bare::open(control);
    let job = bare.get(&format!("/v1/jobs/{}", id.unwrap()));
    assert_eq!((&job["state"], &job["created"]), (&json!("failed"), &json!(200)), "{job:#}");
    assert!(job["reason"].as_str().unwrap().contains("stopped"), "{job:#}");
}

#[test]
fn results_expire_and_their_files_go() {
    let world = World::new();
    let job = import(&world, "segments", "", "key\na\n");
    let id = job["id"].as_str().unwrap();
    assert_eq!(world.get(BOOTSTRAP, &format!("/v1/jobs/{id}/result")).status, 200);
    let week = std::time::Duration::from_secs(7 * 24 * 3_600 + 1);
    world.clock.advance_ms(week.as_millis() as u64);
    let later = import(&world, "segments", "", "key\nb\n");
    // The thread removes old files behind the job that it has ended.
    for _ in 0..1_000 {
        if world.get(BOOTSTRAP, &format!("/v1/jobs/{id}")).expect(200)["state"] == "expired" {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert_eq!(world.get(BOOTSTRAP, &format!("/v1/jobs/{id}/result")).status, 404);
    assert_eq!(result(&world, &later).len(), 1);
}

/// A whole answer as it comes over the wire.
fn raw(site: &Site, path: &str) -> String {
    let mut stream = std::net::TcpStream::connect(site.admin).unwrap();
    let head =
        format!("GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// A chunked body without the sizes of its chunks (RFC 9112 section 7.1).
fn joined(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        whole.push_str(&rest[..size]);
        body = rest[size..].strip_prefix("\r\n").unwrap();
    }
    whole
}

#[test]
fn a_long_table_goes_to_disk_and_one_that_is_too_long_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().to_path_buf();
    run(&["init", "--data-dir", root.to_str().unwrap()]);
    let site = Site::of(dir, &["admin.import_bytes=12000000"]);
    // Longer than a body in memory may be.
    let table: String = ["key,notes\n".to_owned()]
        .into_iter()
        .chain((0..1_000).map(|n| format!("k{n},{}\n", "x".repeat(9_000))))
        .collect();
    assert!(table.len() > 8 << 20);
    let headers = [("content-type", "text/csv"), ("prefer", "wait=60")];
    let reply = site.call("POST", "/v1/imports/segments", &headers, &table);
    assert_eq!((reply.status, &reply.json()["created"]), (200, &json!(1_000)), "{}", reply.text());
    let exported = raw(&site, "/v1/exports/segments.csv");
    let (head, body) = exported.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("transfer-encoding: chunked") && head.contains("text/csv"), "{head}");
    assert!(body.ends_with("\r\n0\r\n\r\n"), "the end of it is missing");
    assert_eq!(joined(body).matches(",active,").count(), 1_000);
    let reply = site.call("POST", "/v1/imports/segments", &headers, &table.repeat(2));
    assert_eq!(reply.status, 413, "{}", reply.text());
    let left: Vec<_> =
        std::fs::read_dir(root.join("jobs")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["1.csv"], "only the result is left");
}
