//! Similar people as a job, over HTTP: from a list to the bid that somebody else gets.

use super::customers::{CSV, Desk, HEALTH};
use super::people::LISTED;
use outbid::model::ids::SegmentId;
use serde_json::{Value, json};

const RUNNING: SegmentId = SegmentId(920);
const CHESS: SegmentId = SegmentId(922);
const TARGET: SegmentId = SegmentId(930);

/// Two hundred buyers who run, a hundred others who do, and a thousand who play chess.
fn filled(desk: &Desk) {
    let rows = |name: &str, count: u32, segments: &str| -> String {
        let rows = (0..count).map(|n| format!("{name} {n},{segments}\n"));
        "cookie,segments\n".to_owned() + &rows.collect::<String>()
    };
    desk.upload(LISTED, "consent=given", CSV, &rows("buyer", 200, "hobby.running;hobby.trail"));
    desk.upload(RUNNING, "consent=given", CSV, &rows("runner", 100, "hobby.trail"));
    desk.upload(CHESS, "consent=given", CSV, &rows("player", 1_000, ""));
}

/// Looks for people like the buyers; the job as it ended.
fn expand(desk: &Desk, query: &str, body: &Value) -> Value {
    let path = format!("/v1/segments/{LISTED}:expand{query}");
    let reply = desk.call("POST", &path, "application/json", &body.to_string());
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

#[test]
fn people_like_the_buyers_are_in_the_next_bid_and_who_was_erased_is_not() {
    let desk = Desk::bidding_for(TARGET, None);
    filled(&desk);
    let gone = json!([{ "type": "cookie", "value": "runner 7" }]);
    desk.ask("erase", &gone);
    // 99 who run are left, and every buyer who was held back is like them.
    let asked = json!({ "target": "similar.buyers", "size": 150, "ttl_days": 10 });
    let tried = expand(&desk, "?validate_only=true", &asked);
    assert_eq!((&tried["state"], &tried["added"]), (&json!("succeeded"), &json!(0)), "{tried}");
    assert!(!desk.shop.wants_uid("runner 1"));
    let job = expand(&desk, "", &asked);
    assert_eq!((&job["state"], &job["kind"]), (&json!("succeeded"), &json!("expansion")), "{job}");
    assert!(desk.shop.wants_uid("runner 1"), "the very next bid");
    assert!(!desk.shop.wants_uid("player 1") && !desk.shop.wants_uid("runner 7"));
    let found = &job["expansion"];
    let number = |name: &str| found[name].as_f64().unwrap_or_else(|| panic!("{name}: {found}"));
    assert_eq!(number("seed"), 200.0);
    let held_back = number("held_back");
    assert!((20.0..60.0).contains(&held_back), "{found}");
    assert_eq!(number("found"), held_back.min(51.0), "{found}");
    assert_eq!(number("population"), 1_099.0 + held_back);
    assert!(number("lift_low") > 4.0 && number("lift_low") < number("lift"), "{found}");
    assert!(number("lift") <= number("lift_high"), "{found}");
    let telling: Vec<&str> =
        found["telling"].as_array().unwrap().iter().map(|of| of["key"].as_str().unwrap()).collect();
    assert_eq!(telling.len(), 3, "{telling:?}");
    assert!(telling[..2].iter().all(|key| key.starts_with("hobby.")), "{telling:?}");
    assert_eq!(job["added"], found["chosen"]);
    // It is told where jobs are, and has no table.
    let id = job["id"].as_str().unwrap();
    let again = desk.call("GET", &format!("/v1/jobs/{id}"), CSV, "").json();
    assert_eq!((&again["expansion"], &again["target_id"]), (found, &json!("930")));
    assert_eq!(desk.call("GET", &format!("/v1/jobs/{id}/result"), CSV, "").status, 404);
    let records = desk.call("GET", "/v1/audit?filter[action]=expand", CSV, "").json();
    assert_eq!(records["audit"][0]["after"]["seed_id"], LISTED.to_string(), "{records}");
    // Again it finds the same, and what a list says stays as the list says it.
    desk.upload(TARGET, "consent=given", CSV, "cookie\nplayer 5\n");
    let job = expand(&desk, "", &asked);
    assert_eq!((&job["added"], &job["unchanged"]), (&json!(0), &found["chosen"]), "{job}");
    // Whoever is erased after it is out, and stays out when it runs again.
    desk.ask("erase", &json!([{ "type": "cookie", "value": "runner 1" }]));
    assert!(!desk.shop.wants_uid("runner 1"));
    let smaller = json!({ "target": "similar.buyers", "size": 40, "ttl_days": 10, "replace": true });
    let job = expand(&desk, "", &smaller);
    let left = (job["unchanged"].as_u64().unwrap(), job["removed"].as_u64().unwrap());
    assert!(left.0 == 40 && left.1 > 50 && left.0 + left.1 + 1 == found["chosen"].as_u64().unwrap(), "{job}");
    assert!(!desk.shop.wants_uid("runner 1") && desk.shop.wants_uid("player 5"));
    let stats = desk.call("GET", &format!("/v1/segments/{TARGET}/stats"), CSV, "").json();
    assert_eq!((&stats["members"], &stats["listed"]), (&json!(41), &json!(1)), "{stats}");
    desk.shop.later(10 * 86_400 + 900);
    let stats = desk.call("GET", &format!("/v1/segments/{TARGET}/stats"), CSV, "").json();
    assert_eq!(stats["members"], 1, "who was found leaves after ten days: {stats}");
}

#[test]
fn nothing_sensitive_is_expanded_or_filled_and_a_target_is_another_segment_of_the_account() {
    let desk = Desk::bidding_for(TARGET, None);
    let refused = |segment: SegmentId, body: Value, status: u16, pointer: &str| {
        let path = format!("/v1/segments/{segment}:expand");
        let reply = desk.call("POST", &path, "application/json", &body.to_string());
        assert_eq!(reply.status, status, "{body}: {}", reply.text());
        let shown = reply.json();
        let at = shown["errors"][0]["pointer"].as_str().unwrap_or_default();
        assert_eq!(at, pointer, "{body}: {shown}");
    };
    let to = |target: &str| json!({ "target": target, "size": 10 });
    refused(HEALTH, to("similar.buyers"), 422, "");
    refused(SegmentId(906), to("similar.buyers"), 422, "");
    refused(LISTED, to("health"), 422, "");
    refused(LISTED, to("health.teeth"), 422, "");
    refused(SegmentId(4_711), to("similar.buyers"), 404, "");
    refused(LISTED, to("crm.buyers"), 422, "/target");
    refused(LISTED, to("crm.buyers.north"), 422, "/target");
    refused(LISTED, to("no key with blanks"), 422, "/target");
    refused(LISTED, json!({ "size": 10 }), 422, "/target");
    refused(LISTED, json!({ "target": "similar.buyers" }), 422, "/size");
    refused(LISTED, json!({ "target": "similar.buyers", "size": 0 }), 422, "/size");
    refused(LISTED, json!({ "target": "similar.buyers", "size": 1, "ttl_days": 4_000 }), 422, "/ttl_days");
    refused(LISTED, json!({ "target": "similar.buyers", "size": 1, "replace": 1 }), 422, "/replace");
    refused(LISTED, json!({ "target": "similar.buyers", "size": 1, "colour": 1 }), 422, "/colour");
    // Too few are no pattern; the target is made all the same, once.
    let job = expand(&desk, "", &json!({ "target": "like.nobody", "target_name": "New", "size": 10 }));
    assert!(job["reason"].as_str().unwrap().contains("has 0 members and needs 100"), "{job}");
    assert_eq!(job["state"], "failed");
    let made = desk.call("GET", "/v1/segments?q=New", CSV, "").json();
    assert_eq!(made["segments"][0]["id"], job["target_id"], "{made}");
    let again = expand(&desk, "", &json!({ "target": "like.nobody", "size": 10 }));
    assert_eq!(again["target_id"], job["target_id"]);
}
