//! The account that the trials run on: three purses with one wallet each, and how much each of their bids costs.
//!
//! A purse has a cheap line item for load and a dear one, by which a budget can be run down within a minute. What a
//! bill costs is computed here from the terms that this file writes, in integers, and not by the engine's code.

use serde_json::{Value, json};

/// Name of the exchange.
pub(crate) const EXCHANGE: &str = "trial";
/// The key of `admin.bootstrap_key`.
pub(crate) const ADMIN_KEY: &str = "the key of the trials";
/// Nanos in a unit of money.
pub(crate) const UNIT: i64 = 1_000_000_000;
/// Data fee of every purse: nanos an impression, which is CPM micros.
const DATA_FEE: i64 = 150_000;
/// Platform's share of the media cost, millionths.
const PLATFORM_PPM: i64 = 50_000;

/// What one wallet pays for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purse {
    /// So much money that load never meets its end.
    Deep = 0,
    /// A wallet that is spent, held or in doubt all the time.
    Tight = 1,
    /// Money for a lifetime, and a day's budget that is met as soon.
    Daily = 2,
}

impl Purse {
    /// In the order of their numbers.
    pub(crate) const ALL: [Purse; 3] = [Purse::Deep, Purse::Tight, Purse::Daily];

    /// For people.
    pub(crate) fn name(self) -> &'static str {
        ["deep", "tight", "daily"][self as usize]
    }
}

/// A line item of the account.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    /// Its number.
    pub(crate) id: u32,
    /// Who pays.
    pub(crate) purse: Purse,
    /// The one banner size that it buys, and nobody else.
    pub(crate) size: (u16, u16),
    /// CPM micros, which is nanos an impression.
    pub(crate) bid: i64,
}

/// Cheap ones first, then the dear ones, each in the order of [`Purse::ALL`].
pub(crate) const LINES: [Line; 6] = [
    Line { id: 1, purse: Purse::Deep, size: (300, 250), bid: 500_000 },
    Line { id: 2, purse: Purse::Tight, size: (728, 90), bid: 1_000_000 },
    Line { id: 3, purse: Purse::Daily, size: (160, 600), bid: 1_000_000 },
    Line { id: 4, purse: Purse::Deep, size: (320, 50), bid: 900_000_000 },
    Line { id: 5, purse: Purse::Tight, size: (320, 100), bid: 500_000_000 },
    Line { id: 6, purse: Purse::Daily, size: (300, 600), bid: 500_000_000 },
];

impl Plan {
    fn lines(&self) -> &'static [Line] {
        if self.dear { &LINES } else { &LINES[..3] }
    }
}

impl Line {
    /// What a bill at `price` nanos an impression asks for: each part rounded down.
    pub(crate) fn asked(price: i64) -> i64 {
        price + DATA_FEE + price * PLATFORM_PPM / 1_000_000
    }

    /// What a bid holds: each part rounded up.
    pub(crate) fn hold(&self) -> i64 {
        self.bid + DATA_FEE + (self.bid * PLATFORM_PPM + 999_999) / 1_000_000
    }
}

/// How much money there is, and how long a hold lives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Budget of each purse in nanos: of its wallet, or of its day.
    pub(crate) budgets: [i64; 3],
    /// Whether the dear line items are there: each new lease of one begins with a grant that a crash puts in doubt.
    pub(crate) dear: bool,
    /// Seconds, the grace of one included; ≥ 2.
    pub(crate) hold_s: u32,
}

fn decimal(nanos: i64) -> String {
    format!("{}.{:09}", nanos / UNIT, nanos % UNIT)
}

/// CPM micros as a decimal, as a notice writes it.
pub(crate) fn cpm(micros: i64) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

/// The account file.
pub(crate) fn account(plan: &Plan) -> Value {
    let lives = plan.hold_s - 1;
    json!({
        "rates": { "base": "USD" },
        "exchanges": [{
            "id": "1", "name": EXCHANGE, "auth": { "type": "loopback_only" }, "seat": "outbid", "currency": "USD",
            "price_codec": { "type": "plain" }, "price_unit": "cpm", "billing_event": "burl", "missing_price": "reject",
            "default_at": 1, "default_tmax_ms": 1000, "max_tmax_ms": 1000, "network_margin_ms": 20,
            "holds": { "web_banner_s": lives, "app_banner_s": lives, "app_interstitial_s": lives, "video_s": lives,
                       "grace_s": 1, "max_s": plan.hold_s },
            "max_cpm": "1000.00", "house": { "trusted": true, "deaf_check": false }, "send_lurl": true,
        }],
        "advertisers": Purse::ALL.map(|purse| advertiser(purse, plan)),
        "campaigns": Purse::ALL.map(|purse| campaign(purse, plan)),
        "creatives": LINES.iter().map(creative).collect::<Vec<_>>(),
        "line_items": plan.lines().iter().map(|line| line_item(line, plan)).collect::<Vec<_>>(),
    })
}

fn number(purse: Purse) -> String {
    (purse as u32 + 1).to_string()
}

fn wallet(purse: Purse, plan: &Plan) -> i64 {
    let budget = plan.budgets[purse as usize];
    // What bounds the purse with a day's budget must be the day.
    if purse == Purse::Daily { budget.saturating_mul(10) } else { budget }
}

fn advertiser(purse: Purse, plan: &Plan) -> Value {
    json!({
        "id": number(purse), "name": purse.name(), "status": "active", "currency": "USD", "time_zone": "UTC",
        "wallet": decimal(wallet(purse, plan)), "data_fee": cpm(DATA_FEE), "platform_share": cpm(PLATFORM_PPM),
    })
}

fn campaign(purse: Purse, plan: &Plan) -> Value {
    let lifetime = decimal(wallet(purse, plan));
    let budget = match purse {
        Purse::Daily => json!({ "lifetime": lifetime, "daily": decimal(plan.budgets[purse as usize]) }),
        _ => json!({ "lifetime": lifetime }),
    };
    json!({
        "id": number(purse), "advertiser": number(purse), "name": purse.name(), "status": "active", "budget": budget,
        "flight": { "start_at": "2020-01-01T00:00:00Z" },
    })
}

fn creative(line: &Line) -> Value {
    let (w, h) = line.size;
    json!({
        "id": line.id.to_string(), "advertiser": number(line.purse), "name": format!("box {}", line.id), "format": "banner",
        "size": format!("{w}x{h}"), "markup": "<a href=\"{{CLICK_URL}}\">box</a>",
        "click_url": "https://brand.example/", "landing_domains": ["brand.example"], "adomain": ["brand.example"],
        "iab_categories": ["IAB3"], "cattax": 1, "secure": true, "approval": "approved",
    })
}

fn line_item(line: &Line, plan: &Plan) -> Value {
    let bid = cpm(line.bid);
    json!({
        "id": line.id.to_string(), "campaign": number(line.purse), "name": format!("line item {}", line.id),
        "status": "active", "bid": { "strategy": "fixed_cpm", "amount": bid, "max": bid },
        "budget": { "lifetime": decimal(wallet(line.purse, plan)) },
        "flight": { "start_at": "2020-01-01T00:00:00Z" },
        "creatives": [{ "creative": line.id.to_string(), "weight": 1 }],
    })
}

/// A bid request that only `line` can buy.
pub(crate) fn request(line: &Line, id: &str) -> String {
    let (w, h) = line.size;
    format!(
        r#"{{"id":"{id}","at":1,"tmax":1000,"cur":["USD"],"imp":[{{"id":"1","secure":0,"banner":{{"w":{w},"h":{h}}}}}],"site":{{"domain":"news.example","page":"https://news.example/"}},"device":{{"ua":"Mozilla/5.0","devicetype":2,"geo":{{"country":"USA"}}}},"user":{{"id":"u{id}"}}}}"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_charge_is_its_parts_rounded_down_and_a_hold_its_parts_rounded_up() {
        assert_eq!(Line::asked(1_000_000), 1_200_000);
        assert_eq!(Line::asked(999_999), 999_999 + 150_000 + 49_999);
        let line = Line { bid: 999_999, ..LINES[0] };
        assert_eq!(line.hold(), 999_999 + 150_000 + 50_000);
        assert_eq!(
            (cpm(1_234_567), decimal(5 * UNIT + 1)),
            ("1.234567".to_owned(), "5.000000001".to_owned())
        );
    }
}
