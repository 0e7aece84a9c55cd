//! Lists, page by page.

use super::calls::{Bare, Calls, line_item};
use serde_json::Value;

fn filled(count: usize) -> Bare {
    let bare = Bare::in_memory();
    bare.make_all();
    for n in 1..count {
        bare.make("line_items", &line_item(&format!("Item {n}")));
    }
    bare
}

fn ids(page: &Value) -> Vec<u32> {
    let items = page["line_items"].as_array().unwrap();
    items.iter().map(|item| item["id"].as_str().unwrap().parse().unwrap()).collect()
}

#[test]
fn pages_show_each_once_while_others_are_made_and_changed() {
    let bare = filled(25);
    for (sort, meanwhile) in [("created_at", true), ("-created_at", true), ("id", true), ("name", false)] {
        let (mut seen, mut token, before) =
            (Vec::new(), None, ids(&bare.get("/v1/line_items?page_size=1000")));
        loop {
            let after = token.map_or_else(String::new, |token: String| format!("&page_token={token}"));
            let page = bare.get(&format!("/v1/line_items?page_size=10&sort={sort}{after}"));
            seen.extend(ids(&page));
            let Some(next) = page["next_page_token"].as_str() else { break };
            token = Some(next.to_owned());
            if meanwhile && seen.len() == 10 {
                bare.make("line_items", &line_item("Made meanwhile"));
                bare.patch(&format!("/v1/line_items/{}", seen[3]), &serde_json::json!({ "notes": sort }));
            }
        }
        let mut once = seen.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), seen.len(), "{sort}: nothing comes twice");
        assert!(before.iter().all(|id| seen.contains(id)), "{sort}: nothing is left out");
    }
}

#[test]
fn a_token_leads_on_in_its_own_list_only() {
    let bare = filled(12);
    let page = bare.get("/v1/line_items?page_size=5&total=true");
    assert_eq!((ids(&page), &page["total"]), (vec![1, 2, 3, 4, 5], &12.into()));
    let token = page["next_page_token"].as_str().unwrap();
    for path in ["/v1/creatives?", "/v1/line_items?sort=name&", "/v1/line_items?sort=-created_at&"] {
        let refused = bare.refused(400, "GET", &format!("{path}page_token={token}"), &[], "");
        assert_eq!(refused["errors"][0]["pointer"], "?page_token", "{path}");
    }
    let cut = &token[..token.len() - 1];
    bare.refused(400, "GET", &format!("/v1/line_items?page_token={cut}"), &[], "");
    // The next page is where the header says, too, with everything that was asked for.
    let reply = bare.call("GET", "/v1/line_items?page_size=5&filter[status]=active&fields=id", &[], "");
    let link = reply.header("link").unwrap();
    let next = link.strip_prefix('<').unwrap().split_once('>').unwrap().0;
    let page = bare.get(next);
    assert_eq!(ids(&page), [6, 7, 8, 9, 10], "{link}");
    assert_eq!(page["line_items"][0].as_object().unwrap().len(), 1, "{link}");
}

#[test]
fn filters_and_fields_give_what_is_asked_for() {
    let bare = filled(6);
    bare.verb("/v1/line_items/2:pause");
    bare.patch("/v1/line_items/3", &serde_json::json!({ "external_id": "crm-3" }));
    for (query, expected) in [
        ("filter[status]=paused", vec![2]),
        ("filter[status]=paused,active&filter[id]=2,3", vec![2, 3]),
        ("filter[external_id]=crm-3", vec![3]),
        ("filter[campaign_id]=1&sort=-id&page_size=2", vec![6, 5]),
        ("filter[campaign_id]=2", vec![]),
        ("q=Item%204", vec![5]),
    ] {
        assert_eq!(ids(&bare.get(&format!("/v1/line_items?{query}"))), expected, "{query}");
    }
    let seen = bare.get("/v1/line_items/1?fields=id,name");
    assert_eq!(seen, serde_json::json!({ "id": "1", "name": "Everyone" }));
    let reply = bare.call("GET", "/v1/line_items/1", &[("if-none-match", "\"1\"")], "");
    assert_eq!((reply.status, reply.body.len()), (304, 0));
}
