//! How soon a change is served at a size that customers have. Prints, and asserts the promise of a second:
//! `cargo test --test it admin::figures -- --ignored --nocapture`.

use super::calls::Calls;
use super::site::{Site, run};
use serde_json::{Value, json};

const LINE_ITEMS: u32 = 10_000;
const CHANGES: usize = 20;

#[test]
#[ignore = "measures; some ten seconds"]
fn a_change_among_ten_thousand_line_items_is_served_within_a_second() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().to_str().unwrap();
    run(&["seed", "--data-dir", root, "--users", "1000", "--line-items", &LINE_ITEMS.to_string()]);
    run(&["init", "--data-dir", root]);
    let site = Site::of(dir, &[]);
    let path = made(&site);
    let mut took = Vec::new();
    for n in 0..CHANGES {
        let price = (9_000.0 + 10.0 * n as f64) / 100.0;
        let amount = format!("{price:.2}");
        site.patch(&path, &json!({ "bid": { "amount": amount, "max": amount } }));
        took.push(site.until("the price", |site| site.price() == Some(price)).as_secs_f64() * 1e3);
    }
    took.sort_by(f64::total_cmp);
    let (median, most) = (took[CHANGES / 2], took[CHANGES - 1]);
    eprintln!(
        "{LINE_ITEMS} line items: from the answer to the bid {median:.0} ms at the median, {most:.0} ms at most"
    );
    // What is asked for while nothing has changed shows what reading the account takes, of every change's time.
    let reply = site.call("POST", "/v1/account/reload", &[], "");
    eprintln!("reading alone: {}", reply.text().trim_end());
    assert!(most < 1_000.0, "{took:?}");
}

/// A line item of its own beside those of the world, above all others in price, and an exchange of its own.
fn made(site: &Site) -> String {
    let mut exchange = super::calls::exchange("north");
    // Nobody bills the bids by which it is seen what is served.
    exchange["house"] = json!({ "trusted": true, "deaf_check": false });
    site.make("exchanges", &exchange);
    let id = |made: &Value| made["id"].as_str().unwrap().to_owned();
    let advertiser = id(&site.make("advertisers", &super::calls::advertiser("Harbour")));
    site.fund(advertiser.parse().unwrap(), "100000.00");
    let campaign = json!({ "name": "Spring", "advertiser_id": advertiser, "status": "active" });
    let campaign = id(&site.make("campaigns", &campaign));
    let mut creative = super::calls::creative("Box");
    creative["advertiser_id"] = advertiser.into();
    let creative = id(&site.make("creatives", &creative));
    let mut item = super::calls::line_item("Everyone");
    item["campaign_id"] = campaign.into();
    item["creatives"] = json!([{ "creative": creative }]);
    item["bid"] = json!({ "strategy": "fixed_cpm", "amount": "80.00", "max": "80.00" });
    let path = format!("/v1/line_items/{}", id(&site.make("line_items", &item)));
    site.until("the first bid", |site| site.price() == Some(80.0));
    path
}
