//! An account file becomes what there is: the plan first, then all of it or nothing.

use super::calls::{ANY_VERSION, Bare, Calls, JSON, KEY, MERGE, control};
use super::site::{Site, program, run};
use serde_json::{Value, json};
use std::process::Command;

fn bare() -> (Bare, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let bare = Bare::open(control(&dir.path().join("control.db")));
    bare.make_all();
    bare.make("lists", &json!({ "name": "Good", "type": "domain", "items": ["a.example", "b.example"] }));
    (bare, dir)
}

/// What `outbid export` writes of what a server has.
fn exported(dir: &tempfile::TempDir) -> Value {
    let account = outbid::admin::read_account(&control(&dir.path().join("control.db"))).unwrap();
    let file = dir.path().join("exported.json");
    outbid::store::account_file::write(&account, &file).unwrap();
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

fn apply(bare: &Bare, query: &str, file: &Value) -> Value {
    let reply = bare.call("POST", &format!("/v1/apply{query}"), &[JSON], &file.to_string());
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

fn summary(plan: &Value) -> [u64; 4] {
    ["create", "update", "archive", "unchanged"].map(|name| plan["summary"][name].as_u64().unwrap())
}

#[test]
fn what_was_exported_changes_nothing_and_an_edit_changes_what_it_says() {
    let (bare, dir) = bare();
    bare.patch("/v1/campaigns/1", &json!({ "notes": "ours", "labels": { "team": "north" } }));
    let before = bare.get("/v1/line_items/1");
    let mut file = exported(&dir);
    let plan = apply(&bare, "", &file);
    assert_eq!(summary(&plan), [0, 0, 0, 8], "{plan:#}");
    assert_eq!(bare.get("/v1/line_items/1"), before, "it has no new version");

    file["line_items"][0]["bid"] = json!({ "amount": "3.25", "max": "4" });
    file["line_items"][0]["targeting"]["domains"] = json!({ "include_lists": ["1"] });
    file["lists"][0]["items"] = json!(["b.example", "c.example"]);
    file["campaigns"]
        .as_array_mut()
        .unwrap()
        .push(json!({ "id": "40", "advertiser": "1", "name": "Autumn" }));
    let planned = apply(&bare, "?validate_only=true", &file);
    assert_eq!(summary(&planned), [1, 2, 0, 6], "{planned:#}");
    assert_eq!((&planned["applied"], bare.get("/v1/line_items/1")), (&json!(false), before));
    let plan = planned["plan"].as_str().unwrap();
    let done = apply(&bare, &format!("?plan={plan}"), &file);
    assert_eq!(
        (&done["applied"], &done["plan"], &done["steps"]),
        (&json!(true), &planned["plan"], &planned["steps"])
    );
    let step = |kind: &str| {
        let steps = done["steps"].as_array().unwrap();
        steps.iter().find(|step| step["kind"] == kind).unwrap_or_else(|| panic!("{kind}: {done:#}"))
    };
    let item = step("line_item");
    assert_eq!(item["before"]["bid"], json!({ "amount": "2.50", "max": "2.50" }), "{item:#}");
    assert_eq!(item["after"]["bid"], json!({ "amount": "3.25", "max": "4.00" }));
    assert_eq!(item["after"]["targeting"]["domains"]["include_lists"], json!(["1"]));
    assert_eq!(step("list")["after"]["items"], json!(["b.example", "c.example"]));
    assert_eq!(step("campaign")["id"], "40");
    assert_eq!(bare.get("/v1/campaigns/40")["status"], "active");
    assert_eq!(bare.get("/v1/campaigns/1")["labels"], json!({ "team": "north" }));
    assert_eq!(bare.get("/v1/lists/1/items")["items"], json!(["b.example", "c.example"]));
    assert_eq!(summary(&apply(&bare, "", &file)), [0, 0, 0, 9]);
}

#[test]
fn a_plan_that_is_old_is_not_applied_and_a_file_with_errors_changes_nothing() {
    let (bare, dir) = bare();
    let mut file = exported(&dir);
    file["line_items"][0]["name"] = "Renamed".into();
    let plan = apply(&bare, "?validate_only=true", &file)["plan"].as_str().unwrap().to_owned();
    bare.patch("/v1/line_items/1", &json!({ "notes": "somebody was faster" }));
    let path = format!("/v1/apply?plan={plan}");
    bare.refused(409, "POST", &path, &[JSON], &file.to_string());
    assert_eq!(bare.get("/v1/line_items/1")["name"], "Everyone");

    file["line_items"][0]["bid"]["amount"] = "x".into();
    file["line_items"][0]["campaign"] = "77".into();
    file["campaigns"][0]["flight"] = json!({ "end_at": "soon" });
    file["creatives"][0]["id"] = "x".into();
    let segment = file["segments"][0].clone();
    file["segments"].as_array_mut().unwrap().push(segment);
    let problem = bare.refused(422, "POST", "/v1/apply", &[JSON], &file.to_string());
    let errors = problem["errors"].as_array().unwrap();
    let mut pointers: Vec<&str> = errors.iter().map(|error| error["pointer"].as_str().unwrap()).collect();
    pointers.sort_unstable();
    let expected = [
        "/campaigns/0/flight/end_at",
        "/creatives/0/id",
        "/line_items/0/bid/amount",
        "/line_items/0/campaign",
        "/segments/1/id",
    ];
    assert_eq!(pointers, expected, "{problem:#}");
    let problem = bare.refused(422, "POST", "/v1/apply", &[JSON], r#"{ "lineitems": [], "rates": [] }"#);
    assert_eq!(problem["errors"].as_array().unwrap().len(), 2, "{problem}");
}

#[test]
fn what_the_file_does_not_have_stays_unless_it_is_pruned() {
    let (bare, dir) = bare();
    bare.make("campaigns", &json!({ "name": "Autumn", "advertiser_id": "1" }));
    let mut file = exported(&dir);
    let campaigns = file["campaigns"].as_array_mut().unwrap();
    campaigns.retain(|campaign| campaign["id"] == "1");
    assert_eq!(summary(&apply(&bare, "", &file)), [0, 0, 0, 8]);
    assert_eq!(bare.get("/v1/campaigns/2")["status"], "draft");
    assert_eq!(summary(&apply(&bare, "?prune=true", &file)), [0, 0, 1, 8]);
    assert_eq!(bare.get("/v1/campaigns/2")["status"], "archived");
    // A collection that the file does not have is none that it has emptied.
    let part = json!({ "campaigns": file["campaigns"] });
    assert_eq!(summary(&apply(&bare, "?prune=true", &part)), [0, 0, 0, 1]);
    // A file that says paused of what is archived leaves it so.
    let archived = json!({ "campaigns": exported(&dir)["campaigns"] });
    assert_eq!(summary(&apply(&bare, "", &archived)), [0, 0, 0, 2]);
}

#[test]
fn money_is_not_moved_by_files_but_an_import_brings_its_wallets() {
    let (bare, dir) = bare();
    let mut file = exported(&dir);
    file["advertisers"][0]["wallet"] = "999".into();
    let done = apply(&bare, "", &file);
    assert_eq!(summary(&done), [0, 0, 0, 8]);
    assert_eq!(done["warnings"][0]["pointer"], "/advertisers/0/wallet", "{done}");
    assert_eq!(bare.get("/v1/advertisers/1")["wallet"]["amount"], "100.00");

    let empty = Bare::in_memory();
    let done = apply(&empty, "", &file);
    assert_eq!(done["summary"]["create"], 7, "{done:#}");
    assert_eq!(empty.get("/v1/advertisers/1")["wallet"]["amount"], "999");
    let moved = empty.get("/v1/transactions");
    assert_eq!(moved["transactions"][0]["amount"]["amount"], "999.00", "{moved}");
    // Whoever may not move money makes an advertiser without any.
    let key = empty.make("api_keys", &json!({ "name": "trader", "role": "trader", "account_id": "1" }));
    let bearer = format!("Bearer {}", key["secret"].as_str().unwrap());
    let part = json!({ "advertisers": [{ "id": "2", "name": "B", "currency": "USD", "wallet": "5" }] });
    let headers = [("authorization", bearer.as_str()), JSON];
    let reply = empty.raw("POST", "/v1/apply", &headers, part.to_string().as_bytes()).unwrap();
    assert_eq!(reply.json()["warnings"][0]["pointer"], "/advertisers/0/wallet", "{}", reply.text());
    assert_eq!(empty.get("/v1/advertisers/2")["wallet"]["amount"], "0");
    // What belongs to the platform is none of a tenant's.
    let part = json!({ "exchanges": [] });
    let reply = empty.raw("POST", "/v1/apply", &headers, part.to_string().as_bytes()).unwrap();
    assert_eq!(reply.status, 403, "{}", reply.text());
}

#[test]
fn ids_of_another_account_are_not_taken_over() {
    let (bare, dir) = bare();
    let other = bare.make("accounts", &json!({ "name": "the other one" }));
    let file = json!({ "advertisers": exported(&dir)["advertisers"] });
    let path = format!("/v1/apply?account_id={}", other["id"].as_str().unwrap());
    let problem = bare.refused(422, "POST", &path, &[JSON], &file.to_string());
    assert_eq!(problem["errors"][0]["pointer"], "/advertisers/0/id", "{problem}");
    let said = problem["errors"][0]["message"].as_str().unwrap();
    assert!(said.starts_with("is taken") && !said.contains("belongs"), "{said}");
}

#[test]
fn ids_that_a_tenant_names_are_the_only_ones_that_it_takes() {
    let bare = Bare::in_memory();
    let key = bare.make("api_keys", &json!({ "name": "trader", "role": "trader", "account_id": "1" }));
    let bearer = format!("Bearer {}", key["secret"].as_str().unwrap());
    let headers = [("authorization", bearer.as_str()), JSON];
    let last = u32::MAX.to_string();
    let file = json!({
        "advertisers": [{ "id": last, "name": "A", "currency": "USD" }, { "id": "2", "name": "B" }],
        "campaigns": [{ "id": last, "name": "A", "advertiser": last }],
        "lists": [{ "id": last, "name": "A", "type": "domain" }],
        "segments": [{ "id": "16777215", "key": "a", "name": "A" }],
    });
    let reply = bare.raw("POST", "/v1/apply", &headers, file.to_string().as_bytes()).unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text());
    let made = |collection: &str, body: Value| bare.make(collection, &body)["id"].clone();
    let advertiser = || json!({ "name": "next", "currency": "USD" });
    assert_eq!(
        (made("advertisers", advertiser()), made("advertisers", advertiser())),
        ("1".into(), "3".into())
    );
    assert_eq!(made("campaigns", json!({ "name": "next", "advertiser_id": "1" })), "1");
    assert_eq!(made("lists", json!({ "name": "next", "type": "domain" })), "1");
    assert_eq!(made("segments", json!({ "key": "next", "name": "next" })), "1");
    // What the platform brings back from an export may have had more once.
    let file = json!({ "segments": [{ "id": "70", "key": "b", "name": "B" }] });
    apply(&bare, "", &file);
    assert_eq!(made("segments", json!({ "key": "after", "name": "after" })), "71");
}

#[test]
fn an_export_is_of_one_account_and_says_so_where_there_are_several() {
    let (bare, dir) = bare();
    let root = dir.path().to_str().unwrap();
    let export = |more: &[&str]| {
        let done = Command::new(program()).args(["export", "--data-dir", root]).args(more).output().unwrap();
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (done.status.code().unwrap(), said(&done.stdout), said(&done.stderr))
    };
    let names = |file: &str| -> Vec<String> {
        let file: Value = serde_json::from_str(file).unwrap();
        let advertisers = file["advertisers"].as_array().unwrap().iter();
        advertisers.map(|advertiser| advertiser["name"].as_str().unwrap().to_owned()).collect()
    };
    let (code, said, wrong) = export(&["-"]);
    assert_eq!((code, names(&said)), (0, vec!["Harbour".to_owned()]), "{wrong}");
    let other = bare.make("accounts", &json!({ "name": "the other one" }));
    assert_eq!(export(&["-"]).0, 0, "nothing is its");
    let own = json!({ "name": "Theirs", "currency": "USD", "account_id": other["id"] });
    bare.make("advertisers", &own);
    let (code, _, why) = export(&["-"]);
    assert!(code == 2 && why.contains("2 (\"the other one\")") && why.contains("--account"), "{why}");
    let (code, said, wrong) = export(&["--account", "2", "-"]);
    assert_eq!((code, names(&said)), (0, vec!["Theirs".to_owned()]), "{wrong}");
    let theirs: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(summary(&apply(&bare, "?account_id=2", &theirs))[..3], [0, 0, 0], "it is what there is");
    let (code, said, _) = export(&["--account", "1", "-"]);
    assert_eq!((code, names(&said)), (0, vec!["Harbour".to_owned()]));
    assert_eq!(export(&["--account", "7", "-"]).0, 2);
}

#[test]
fn the_command_shows_the_plan_and_applies_it_when_it_is_told_to() {
    let site = Site::fresh(&[]);
    site.make_all();
    site.until("the first bid", |site| site.price() == Some(2.5));
    let file = site.path().join("account.exported");
    let (file, url) = (file.to_str().unwrap(), format!("http://{}", site.admin));
    run(&["export", "--data-dir", site.path().to_str().unwrap(), file]);
    let command = |more: &[&str]| {
        let mut command = Command::new(program());
        command.args(["apply", file, "--url", &url]).args(more).env("OUTBID_KEY", KEY);
        let done = command.stdin(std::process::Stdio::null()).output().unwrap();
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (done.status.code().unwrap(), said(&done.stdout), said(&done.stderr))
    };
    assert_eq!(
        command(&[]),
        (0, "0 to create, 0 to change, 0 to archive, 7 as they are\n".into(), String::new())
    );
    let text = std::fs::read_to_string(file).unwrap();
    let mut account: Value = serde_json::from_str(&text).unwrap();
    account["line_items"][0]["bid"] = json!({ "amount": "3.00", "max": "3.00" });
    std::fs::write(file, account.to_string()).unwrap();
    let plan = "~ line_item 1 \"Everyone\"\n    bid.amount: \"2.50\" → \"3.00\"\n    bid.max: \"2.50\" → \"3.00\"\n\
                0 to create, 1 to change, 0 to archive, 6 as they are\n";
    assert_eq!(command(&["--plan"]), (0, plan.to_owned(), String::new()));
    let (code, said, why) = command(&[]);
    assert_eq!((code, said.as_str()), (2, plan));
    assert!(why.contains("--yes"), "{why}");
    assert_eq!(site.price(), Some(2.5));
    assert_eq!(command(&["--yes"]), (0, format!("{plan}applied\n"), String::new()));
    site.until("the price of the file", |site| site.price() == Some(3.0));
    account["line_items"][0]["bid"]["amount"] = "x".into();
    std::fs::write(file, account.to_string()).unwrap();
    let (code, _, why) = command(&["--yes"]);
    assert!(code == 1 && why.contains("/line_items/0/bid/amount"), "{why}");
    // And by hand it goes on from there.
    let body = json!({ "bid": { "amount": "2" } }).to_string();
    assert_eq!(site.call("PATCH", "/v1/line_items/1", &[MERGE, ANY_VERSION], &body).status, 200);
}
