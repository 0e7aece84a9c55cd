//! What a call may send, for those who begin. Every one is sent by a test to an account that has one of everything, and
//! taken.

use serde_json::{Value, json};

/// The example of a schema of what is sent.
pub(super) fn of(schema: &str) -> Option<Value> {
    Some(match schema {
        "account_new" => json!({ "name": "Northern desk" }),
        "advertiser_new" => json!({ "name": "Acme", "currency": "USD", "time_zone": "Europe/Berlin" }),
        "api_key_new" => json!({ "name": "Reports", "role": "analyst", "scopes": ["read"] }),
        "bulk" => json!({ "operations": [
            { "method": "POST", "path": "/v1/campaigns", "body": { "name": "Summer", "advertiser_id": "1" } },
            { "method": "POST", "path": "/v1/line_items", "body": {
                "name": "Everyone", "campaign_id": "$0", "bid": { "amount": { "amount": "1.80", "currency": "USD" } },
            } },
        ] }),
        "campaign_new" => json!({
            "name": "Spring", "advertiser_id": "1", "external_id": "io-4711",
            "budget": {
                "lifetime": { "amount": "5000.00", "currency": "USD" },
                "daily": { "amount": "250.00", "currency": "USD" },
            },
            "flight": { "start_at": "2026-03-01T00:00:00+01:00", "end_at": "2099-06-01T00:00:00+02:00" },
        }),
        "conversion_new" => json!({
            "name": "Order", "advertiser_id": "1", "click_window_h": 168, "counting": "one",
            "value": { "amount": "40.00", "currency": "USD" },
        }),
        "creative_new" => json!({
            "name": "Spring box", "advertiser_id": "1", "format": "banner", "size": "300x250",
            "markup": "<a href=\"{{CLICK_URL}}\"><img src=\"https://cdn.acme.example/spring.png\"></a>",
            "click_url": "https://acme.example/spring", "adomain": ["acme.example"],
        }),
        "deal_new" => json!({
            "name": "Front pages", "exchange": "north", "deal_id": "PMP-4711",
            "price": { "amount": "6.00", "currency": "USD" },
        }),
        "exchange_new" => json!({
            "name": "south", "seat": "4711", "price_codec": "plain", "price_unit": "cpm",
            "auth": { "type": "header", "name": "x-exchange-key", "secret": "9f86d081884c7d659a2feaa0c55ad015" },
        }),
        "line_item_new" => json!({
            "name": "Evenings in Germany", "campaign_id": "1",
            "bid": {
                "amount": { "amount": "2.50", "currency": "USD" }, "max": { "amount": "4.00", "currency": "USD" },
            },
            "budget": { "daily": { "amount": "100.00", "currency": "USD" } },
            "targeting": {
                "countries": { "include": ["DE"] }, "domains": { "exclude": ["bad.example"] },
                "dayparts": { "include": [{ "day": "fri", "start": 18, "end": 24 }] },
            },
            "multipliers": { "device_types": [{ "value": 4, "factor": "1.2" }] },
            "creatives": [{ "creative": "1", "weight": 2 }],
        }),
        "line_item_patch" => json!({
            "bid": { "amount": { "amount": "2.80", "currency": "USD" }, "max": null },
            "targeting": { "dayparts": null },
        }),
        "list_new" => json!({ "name": "Good neighbours", "type": "domain", "items": ["news.example"] }),
        "list_values" => json!({ "values": ["news.example", "weather.example"] }),
        "pixel_new" => json!({
            "name": "Shop", "advertiser_id": "1", "origins": ["https://shop.example"], "per_second": 500,
            "secret": "9f86d081884c7d659a2feaa0c55ad0159f86d081884c7d659a2feaa0c55ad015",
        }),
        "rates_patch" => json!({
            "as_of": "2026-03-01T16:00:00Z", "others": [{ "currency": "EUR", "rate": "1.0842" }],
        }),
        "safety_patch" => json!({ "domains": ["bad.example"], "crawlers": true }),
        "segment_new" => json!({ "key": "crm.visitors", "name": "Visitors", "parent": "crm.buyers" }),
        "transaction_new" => json!({
            "advertiser_id": "1", "kind": "top_up", "amount": { "amount": "1000.00", "currency": "USD" },
            "note": "invoice 2026-113",
        }),
        _ => return None,
    })
}
