//! What stops bids is what the status says: each stop is made, the bids end, and the status names it and the way back.

use super::calls::Calls;
use super::site::Site;
use serde_json::{Value, json};

const ITEM: &str = "/v1/line_items/1";
const CAMPAIGN: &str = "/v1/campaigns/1";
const CREATIVE: &str = "/v1/creatives/1";

/// Something that stops the line item, how it is taken back, and what is said of it.
struct Stop {
    path: &'static str,
    make: Value,
    back: Value,
    effective: &'static str,
    why: &'static str,
}

fn stop(path: &'static str, [make, back]: [Value; 2], effective: &'static str, why: &'static str) -> Stop {
    Stop { path, make, back, effective, why }
}

fn stops() -> Vec<Stop> {
    let lifetime = |amount: &str| [json!({ "budget": { "lifetime": amount } }), json!({ "budget": null })];
    let daily = |amount: &str| [json!({ "budget": { "daily": amount } }), json!({ "budget": null })];
    let approval = |name: &str| [json!({ "approval": name }), json!({ "approval": "approved" })];
    let targeting = |targeting: Value| [json!({ "targeting": targeting }), json!({ "targeting": null })];
    let week: Vec<Value> = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
        .iter()
        .map(|day| json!({ "day": day, "start": 0, "end": 24 }))
        .collect();
    vec![
        stop(ITEM, daily("0"), "no_budget", "its daily budget is 0; raise `budget.daily`"),
        stop(CAMPAIGN, daily("0"), "no_budget", "its campaign's daily budget is 0; raise `budget.daily`"),
        stop(ITEM, daily("0.002"), "no_budget", "less than one bid takes (0.0025)"),
        stop(
            ITEM,
            lifetime("0.001"),
            "no_budget",
            "less than one bid takes (0.0025); raise `budget.lifetime`",
        ),
        // What was bid until here holds it.
        stop(ITEM, lifetime("0.003"), "no_budget", "its lifetime budget of 0.003 is held by open bids ("),
        stop(CAMPAIGN, lifetime("0.003"), "no_budget", "is held by open bids"),
        stop(CREATIVE, approval("rejected"), "no_creative", "approved (1 is rejected); set `approval`"),
        stop(CREATIVE, approval("pending"), "no_creative", "approved (1 is pending); set `approval`"),
        stop(
            CREATIVE,
            [
                json!({ "approvals": [{ "exchange": "north", "approval": "rejected" }] }),
                json!({ "approvals": [] }),
            ],
            "no_creative",
            "approved (1 is rejected on north); mend what the exchange rejected it for",
        ),
        stop(
            ITEM,
            targeting(json!({ "dayparts": { "exclude": week } })),
            "error",
            "leaves no hour of the week",
        ),
        stop(
            ITEM,
            targeting(json!({ "domains": { "include_lists": ["1"] } })),
            "error",
            "empty (1); put values",
        ),
        stop(
            ITEM,
            targeting(json!({ "exchanges": { "exclude": ["north"] } })),
            "error",
            "leaves no exchange",
        ),
        stop(ITEM, [json!({ "deal_ids": ["1"] }), json!({ "deal_ids": null })], "error", "none of its deals"),
        stop(
            ITEM,
            targeting(json!({ "audience": { "any_of": ["crm.buyers"] } })),
            "no_audience",
            "no user is in any",
        ),
    ]
}

fn status(site: &Site, path: &str) -> (String, String) {
    let shown = site.get(&format!("{path}?fields=effective_status,status_reasons"));
    let reasons = shown["status_reasons"].as_array().unwrap();
    let reasons: Vec<&str> = reasons.iter().map(|reason| reason.as_str().unwrap()).collect();
    (shown["effective_status"].as_str().unwrap().to_owned(), reasons.join(" | "))
}

#[test]
fn every_stop_that_configuration_or_books_show_is_named_with_the_way_back() {
    let site = Site::fresh(&[]);
    site.make_all();
    site.make("lists", &json!({ "name": "Empty", "type": "domain" }));
    site.make("deals", &json!({ "name": "D", "exchange": "north", "deal_id": "d", "status": "paused" }));
    let serves = |what: &str| {
        site.until(what, |site| site.price() == Some(2.5));
        assert_eq!(status(&site, ITEM), ("serving".to_owned(), String::new()), "{what}");
    };
    serves("the first bid");
    for Stop { path, make, back, effective, why } in stops() {
        let what = format!("{path} {make}");
        site.patch(path, &make);
        site.until(&what, |site| site.price().is_none());
        let (is, reasons) = status(&site, ITEM);
        assert!(is == effective && reasons.contains(why), "{what}: {is} because {reasons}");
        if path == CREATIVE && make.get("approval").is_some() {
            let (is, reasons) = status(&site, path);
            assert!(is == "not_approved" && reasons.contains("set `approval`"), "{what}: {is} {reasons}");
        }
        if path == CAMPAIGN && why.contains("is 0") {
            assert_eq!(status(&site, path).0, effective, "{what}");
        }
        site.patch(path, &back);
        serves(&format!("{what} is taken back"));
    }
    // Requests themselves may say who somebody is.
    site.patch("/v1/segments/1", &json!({ "external": [{ "segtax": 600, "id": "buyers" }] }));
    let warned = site.patch(ITEM, &json!({ "targeting": { "audience": { "any_of": ["crm.buyers"] } } }));
    assert!(warned["warnings"].as_array().is_none_or(Vec::is_empty), "{warned}");
    assert_eq!(status(&site, ITEM), ("serving".to_owned(), String::new()));
    site.patch(ITEM, &json!({ "targeting": null }));
    serves("anybody");
    // An hour that is not named is no restriction, and neither is one that names none.
    site.patch(ITEM, &json!({ "targeting": { "dayparts": { "include": [] } } }));
    serves("no hours");
    site.verb("/v1/exchanges/1:pause");
    site.until("the exchange pauses", |site| site.price().is_none());
    let (is, reasons) = status(&site, ITEM);
    assert!(is == "error" && reasons.contains("no exchange is active (north)"), "{is} {reasons}");
    site.verb("/v1/exchanges/1:activate");
    serves("the exchange is active");
    assert_eq!(site.call("DELETE", CREATIVE, &[], "").status, 200);
    let (is, reasons) = status(&site, ITEM);
    assert!(is == "no_creative" && reasons.contains("or assign another"), "{is} {reasons}");
}

#[test]
fn a_wallet_without_money_says_how_to_pay_in() {
    let site = Site::fresh(&[]);
    site.make("advertisers", &super::calls::advertiser("Harbour"));
    let (is, reasons) = status(&site, "/v1/advertisers/1");
    assert_eq!(
        (is.as_str(), reasons.as_str()),
        ("no_budget", "the advertiser's wallet is 0; pay in by POST /v1/transactions")
    );
}
