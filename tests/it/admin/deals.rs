//! What came of the bids on a deal is told of that deal, and of nobody else's.

use super::calls::{Calls, creative, line_item, request};
use super::site::Site;
use crate::server::Client;
use serde_json::{Value, json};

/// The paths of the URLs of a bid.
struct Paths {
    deal: Option<String>,
    win: String,
    bill: String,
    loss: String,
    impression: String,
    click: String,
}

impl Paths {
    fn of(answer: &Value) -> Paths {
        let bid = &answer["seatbid"][0]["bid"][0];
        let text = |name: &str| bid[name].as_str().unwrap().replace("${AUCTION_PRICE}", "1.5");
        let markup = text("adm");
        let path = |text: &str, route: &str| {
            let path = &text[text.find(route).unwrap_or_else(|| panic!("no {route} in {text}"))..];
            path[..path.find(['"', '\'']).unwrap_or(path.len())].replace("&amp;", "&")
        };
        Paths {
            deal: bid["dealid"].as_str().map(str::to_owned),
            win: path(&text("nurl"), "/n/"),
            bill: path(&text("burl"), "/b/"),
            loss: path(&text("lurl").replace("${AUCTION_LOSS}", "102"), "/l/"),
            impression: path(&markup, "/i/"),
            click: path(&markup, "/c/"),
        }
    }
}

#[test]
fn what_came_of_bids_on_a_deal_is_in_its_funnel() {
    let mut site = Site::fresh(&[]);
    site.make_all();
    let mut tall = creative("Tall");
    tall["size"] = "160x600".into();
    site.make("creatives", &tall);
    for deal in ["front-page", "sports"] {
        site.make(
            "deals",
            &json!({ "name": deal, "status": "active", "exchange": "north", "deal_id": deal, "price": "2.00" }),
        );
    }
    let mut item = line_item("On the deals");
    item["creatives"] = json!([{ "creative": "2" }]);
    item["deal_ids"] = json!(["1", "2"]);
    site.make("line_items", &item);

    // Deals have places of one size, the open auction those of another.
    let asked = |id: String, deal: Option<&str>| {
        let mut body = request();
        body["id"] = id.into();
        if let Some(deal) = deal {
            body["imp"][0]["banner"]["format"] = json!([{ "w": 160, "h": 600 }]);
            body["imp"][0]["pmp"] =
                json!({ "private_auction": 1, "deals": [{ "id": deal, "bidfloor": 1.0 }] });
        }
        body
    };
    let bid = |site: &Site, body: &Value| {
        let mut answer = None;
        site.until("a bid", |site| {
            let reply = Client::connect(site.bid).bid("north", body.to_string().as_bytes()).unwrap();
            answer = (reply.status == 200).then(|| Paths::of(&reply.json()));
            answer.is_some()
        });
        answer.unwrap()
    };
    for (deal, bids, lost, clicked) in
        [(None, 6, 1, 2), (Some("front-page"), 9, 4, 3), (Some("sports"), 2, 2, 0)]
    {
        for nth in 0..bids {
            let paths = bid(&site, &asked(format!("{deal:?} {nth}"), deal));
            assert_eq!(paths.deal.as_deref(), deal);
            let tell = |path: &str, status: u16| {
                let reply = Client::connect(site.track).send("GET", path, &[], b"").unwrap();
                assert_eq!(reply.status, status, "{path}: {}", reply.text());
            };
            if nth < lost {
                tell(&paths.loss, 204);
                continue;
            }
            tell(&paths.win, 204);
            tell(&paths.bill, 204);
            tell(&paths.impression, 200);
            if nth < lost + clicked {
                tell(&paths.click, 302);
            }
        }
    }

    let after = |site: &Site, path: &str| {
        let row = site.get(&format!("/v1/{path}/funnel"))["total"].clone();
        let names = ["wins", "billed", "impressions", "losses", "clicks"];
        names.map(|name| row[name].as_u64().unwrap_or_else(|| panic!("no {name} in {row:#}")))
    };
    let expect = |site: &Site| {
        assert_eq!(after(site, "deals/1"), [5, 5, 5, 4, 3]);
        assert_eq!(after(site, "deals/2"), [0, 0, 0, 2, 0]);
        assert_eq!(after(site, "line_items/1"), [5, 5, 5, 1, 2]);
        assert_eq!(after(site, "line_items/2"), [5, 5, 5, 6, 3]);
        assert_eq!(after(site, "exchanges/1"), [10, 10, 10, 7, 5]);
    };
    expect(&site);
    let deal = site.get("/v1/deals/1/funnel")["total"].clone();
    assert_eq!((&deal["bids"], &deal["unanswered"]), (&json!(9), &json!(0)), "{deal:#}");
    assert_eq!(deal["losses_by_code"][0]["code"], "102", "{deal:#}");
    assert_eq!(deal.get("spend"), None, "its advertisers may have several currencies");
    // It is kept.
    site.restart();
    expect(&site);
}
