//! Customer lists by the command line, on the real program.

use super::calls::{Calls, KEY, request};
use super::site::{Site, run};
use crate::server::Client;
use serde_json::json;

fn bids(site: &Site, cookie: &str) -> bool {
    let mut request = request();
    request["user"] = json!({ "buyeruid": cookie });
    request["device"]["geo"]["country"] = "USA".into();
    request["regs"] = json!({ "gdpr": 0 });
    Client::connect(site.bid).bid("north", request.to_string().as_bytes()).unwrap().status == 200
}

#[test]
fn a_list_that_is_loaded_by_the_command_line_is_bid_on_and_outlives_a_restart() {
    let mut site = Site::fresh(&[]);
    site.make_all();
    let buyers = json!({ "targeting": { "audience": { "any_of": ["crm.buyers"] } } });
    site.until("the first bid", |site| bids(site, "a buyer"));
    site.patch("/v1/line_items/1", &buyers);
    site.until("buyers only", |site| !bids(site, "a buyer"));
    let file = site.path().join("buyers.ndjson");
    // Longer than a body in memory may be.
    let padding = " ".repeat(100_000);
    let rows = (0..90).map(|n| format!("{{\"cookie\": \"buyer {n}\"{padding}}}\n"));
    let list = rows.chain(["{\"cookie\": \"a buyer\"}\n{\"cookie\": \"a@b.example\"}\n".to_owned()]);
    std::fs::write(&file, list.collect::<String>()).unwrap();
    let command = |site: &Site, rest: &[&str]| {
        let url = format!("http://{}", site.admin);
        let own = ["--segment", "crm.buyers", "--url", &url, "--key", KEY];
        run(&[&["segment"], rest, &own[..]].concat())
    };
    let said = command(&site, &["load", file.to_str().unwrap(), "--consent", "given", "--ttl-days", "30"]);
    assert!(said.contains("92 rows: 91 added, 0 changed") && said.contains("1 refused"), "{said}");
    assert!(said.contains("! line 92: cookie is an e-mail address") && !said.contains("a@b"), "{said}");
    assert!(bids(&site, "a buyer") && bids(&site, "buyer 89") && !bids(&site, "a stranger"));
    assert!(command(&site, &["stat"]).starts_with("91 members at "));
    // People like them: nothing else is known of anybody here, so nobody is, and the command says from how many it looked.
    let more: String = (0..60).map(|n| format!("{{\"cookie\": \"more {n}\"}}\n")).collect();
    std::fs::write(&file, more).unwrap();
    command(&site, &["load", file.to_str().unwrap(), "--consent", "given"]);
    let said = command(&site, &["similar", "--target", "like.buyers", "--size", "10"]);
    assert!(said.starts_with("0 people like the 151 found among "), "{said}");
    assert!(said.ends_with("like.buyers: 0 added, 0 changed, 0 removed\n"), "{said}");
    site.restart();
    assert!(bids(&site, "a buyer") && !bids(&site, "a stranger"));
    let spooled = std::fs::read_dir(site.path().join("jobs")).unwrap().map(|file| file.unwrap().file_name());
    assert!(spooled.into_iter().all(|name| !name.to_str().unwrap().contains("spool")), "nothing is left");
}
