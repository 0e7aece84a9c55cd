//! What an account refuses as a whole (openrtb.md 1.8, 1.9, 1.11, 1.15).

use super::request::plain;
use super::run::Server;
use super::world::World;
use outbid::model::category::CategoryMap;
use outbid::model::exchange::IpNet;
use outbid::model::no_bid::NoBidReason;
use outbid::model::safety::{AuthorizedSellers, Safety, Seller};
use serde_json::{Value, json};

fn seller(system: &str, account: Option<&str>) -> Seller {
    Seller { system: system.to_owned(), account: account.map(str::to_owned) }
}

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

fn check(safety: &Safety, request: Value, expected: Result<(), NoBidReason>) {
    let world = World::small(|account| {
        account.safety = safety.clone();
        account.exchanges[0].seller_system = Some("exchange.example".to_owned());
    });
    let body = plain(|plain| {
        for (key, value) in request.as_object().unwrap() {
            plain[key] = value.clone();
        }
    });
    let found = Server::new(&world).bids(&world, &body).map(|_| ());
    assert_eq!(found, expected, "{request} with {safety:?}");
}

#[test]
fn row_1_8_blocked_publishers_domains_and_apps() {
    let blocked = Err(NoBidReason::BlockedInventory);
    let safety = Safety {
        domains: texts(&["bad.example"]),
        bundles: texts(&["com.bad"]),
        publishers: texts(&["pub-1"]),
        ..Safety::default()
    };
    check(&safety, json!({}), Ok(()));
    check(&safety, json!({"site": {"domain": "bad.example"}}), blocked);
    check(&safety, json!({"site": {"domain": "News.BAD.example."}}), blocked);
    check(&safety, json!({"site": {"domain": "notbad.example"}}), Ok(()));
    check(&safety, json!({"site": {"page": "https://bad.example/a"}}), blocked);
    check(&safety, json!({"site": {"publisher": {"domain": "bad.example"}}}), blocked);
    check(&safety, json!({"site": {"publisher": {"id": "PUB-1"}}}), blocked);
    let app = |bundle: &str| json!({"site": null, "app": {"bundle": bundle}});
    check(&safety, app("com.Bad"), blocked);
    check(&safety, app("com.good"), Ok(()));
}

#[test]
fn row_1_9_crawlers_data_centres_and_impossible_devices() {
    let agent = |ua: &str| json!({"device": {"ua": ua, "geo": {"country": "USA"}}});
    let crawler = agent("Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)");
    check(&Safety::default(), crawler.clone(), Ok(()));
    check(&Safety { crawlers: true, ..Safety::default() }, crawler, Err(NoBidReason::Crawler));
    let strict = Safety { impossible_devices: true, ..Safety::default() };
    check(&strict, json!({"device": {"os": "iOS", "devicetype": 2}}), Err(NoBidReason::NonHuman));
    check(&strict, json!({"device": {"os": "iOS", "devicetype": 4}}), Ok(()));
    let addresses = ["192.0.2.0/24", "2001:db8::/32"].map(|block| IpNet::parse(block).unwrap()).to_vec();
    let listed = Safety { addresses, ..Safety::default() };
    let refused = Err(NoBidReason::DataCentre);
    check(&listed, json!({"device": {"ip": "192.0.2.7"}}), refused);
    check(&listed, json!({"device": {"ip": "192.0.3.7"}}), Ok(()));
    check(&listed, json!({"device": {"ipv6": "2001:db8::1"}}), refused);
    check(&listed, json!({"device": {"ip": "::ffff:192.0.2.7"}}), refused);
    check(&listed, json!({"device": {"ip": "192.0.2"}}), Ok(()));
    // The server that stitches the ad in may stand where it likes.
    let stitched = json!({"imp": [{"id": "1", "ssai": 3, "banner": {"w": 300, "h": 250}}], "device": {"ip": "192.0.2.7"}});
    check(&listed, stitched, Ok(()));
}

#[test]
fn row_1_11_supply_chains_and_who_may_sell() {
    let chain = |complete: Value, nodes: Value| json!({"source": {"schain": {"complete": complete, "nodes": nodes, "ver": "1.0"}}});
    let node = |asi: &str, sid: &str| json!({"asi": asi, "sid": sid, "hp": 1});
    let complete = Safety { complete_supply_chain: true, ..Safety::default() };
    check(&complete, json!({}), Err(NoBidReason::SupplyChain));
    check(&complete, chain(json!(0), json!([node("a.example", "1")])), Err(NoBidReason::SupplyChain));
    check(&complete, chain(json!(1), json!([])), Err(NoBidReason::SupplyChain));
    check(&complete, chain(json!(1), json!([node("a.example", "1")])), Ok(()));
    let in_ext = json!({"source": {"ext": {"schain": {"complete": 1, "nodes": [node("a.example", "1")]}}}});
    check(&complete, in_ext, Ok(()));
    let denied = Safety {
        sellers: vec![seller("bad.example", None), seller("mixed.example", Some("7"))],
        ..Safety::default()
    };
    let blocked = Err(NoBidReason::BlockedSeller);
    check(&denied, chain(json!(1), json!([node("a.example", "1"), node("BAD.example", "x")])), blocked);
    check(&denied, chain(json!(1), json!([node("mixed.example", "7")])), blocked);
    check(&denied, chain(json!(1), json!([node("mixed.example", "8")])), Ok(()));

    let file = AuthorizedSellers {
        domain: "news.example".to_owned(),
        sellers: vec![seller("exchange.example", Some("pub-1")), seller("other.example", Some("pub-2"))],
    };
    let listed = Safety { authorized_sellers: vec![file], ..Safety::default() };
    let site =
        |domain: &str, publisher: &str| json!({"site": {"domain": domain, "publisher": {"id": publisher}}});
    check(&listed, site("www.news.example", "PUB-1"), Ok(()));
    check(&listed, site("news.example", "pub-2"), Err(NoBidReason::AdsTxt));
    check(&listed, site("blog.example", "pub-2"), Ok(()));
    check(&listed, json!({"site": {"domain": "news.example"}}), Ok(()));
}

#[test]
fn row_1_1_blocked_categories_of_another_taxonomy_are_compared_where_a_mapping_knows_them() {
    let check = |categories: &[&str], mapped: bool, list: Value, expected: Result<(), NoBidReason>| {
        let world = World::small(|account| {
            account.creatives[0].categories = texts(categories);
            let pair = |one: &str, other: &str| (one.to_owned(), other.to_owned());
            let pairs = vec![pair("IAB13-6", "1200"), pair("IAB1-2", "1419")];
            if mapped {
                account.category_maps = vec![CategoryMap { from: 1, to: 8, pairs }];
            }
        });
        let body = plain(|plain| {
            for (key, value) in list.as_object().unwrap() {
                plain[key] = value.clone();
            }
        });
        let found = Server::new(&world).bids(&world, &body).map(|_| ());
        assert_eq!(found, expected, "{categories:?} {mapped} {list}");
    };
    let blocked = Err(NoBidReason::BlockedCategory);
    let bcat = |id: &str| json!({"cattax": 8, "bcat": [id]});
    check(&["IAB13-6"], false, bcat("1419"), blocked);
    check(&["IAB13-6"], true, bcat("1419"), Ok(()));
    check(&["IAB13-6"], true, bcat("1200"), blocked);
    check(&["IAB9"], true, bcat("1419"), blocked);
    check(&["IAB13-6"], true, json!({"cattax": 8, "acat": ["1200"]}), Ok(()));
    check(&["IAB13-6"], true, json!({"cattax": 8, "acat": ["1419"]}), blocked);
    check(&["IAB13-6"], true, json!({"cattax": 7, "bcat": ["1"]}), blocked);
}
