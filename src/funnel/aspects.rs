//! What a reason means where it is known what of it was met: which dimension of targeting, whose budget, which cap.

use super::advice::{Advice, advice};
use crate::model::no_bid::NoBidReason::{self, *};

/// A reason, what of it, what happened, what to do, and the member to look at.
type Row = (NoBidReason, &'static str, &'static str, &'static str, &'static str);

const WIDEN: &str = "widen it, or see whether the exchange sends it at all";

const ROWS: [Row; 49] = [
    (
        BlockedInventory,
        "bundle",
        "the app is blocked for the whole account",
        "take it off the list if it is wrong",
        "safety.bundles",
    ),
    (
        BlockedInventory,
        "publisher",
        "the publisher is blocked for the whole account",
        "take it off the list if it is wrong",
        "safety.publishers",
    ),
    (
        BlockedInventory,
        "domain",
        "the domain is blocked for the whole account",
        "take it off the list if it is wrong",
        "safety.domains",
    ),
    (
        LimitExceeded,
        "max_charge",
        "one bid would hold more than the server allows",
        "lower the bid, or raise `ledger.max_charge_micros` in the server's configuration",
        "bid.max",
    ),
    (Inactive, "campaign", "its campaign is not active", "activate the campaign", "campaigns.status"),
    (
        Inactive,
        "advertiser",
        "its advertiser is not active",
        "activate the advertiser; of a paused account the platform has to activate the account",
        "advertisers.status",
    ),
    (
        Inactive,
        "stopped",
        "a kill switch stops it",
        "see `GET /v1/kill_switches`; release the switch when what it was thrown for is mended",
        "",
    ),
    (
        Flight,
        "campaign",
        "outside the flight of its campaign",
        "move the start or the end of the campaign's flight",
        "campaigns.flight",
    ),
    (
        Deal,
        "deal",
        "none of its deals is offered, or one that it excludes is",
        "compare the deal's id letter by letter with what the exchange sends",
        "deal_ids",
    ),
    (
        Deal,
        "private_auction",
        "only bids on deals are taken here, and it has none",
        "agree on a deal with the exchange and target it; else nothing",
        "deal_ids",
    ),
    (
        Deal,
        "seat",
        "the deal is not open to our seat",
        "ask the exchange to add our seat to the deal",
        "deal_ids",
    ),
    (
        Format,
        "format",
        "none of its targeted media is offered",
        "add the medium, and a creative of it",
        "targeting.formats",
    ),
    (
        Format,
        "no_creative",
        "none of its creatives is active and approved",
        "activate and approve one of its creatives, or assign another",
        "creatives.approval",
    ),
    (Geo, "country", "the country is not targeted", WIDEN, "targeting.countries"),
    (Geo, "region", "the region is not targeted", WIDEN, "targeting.regions"),
    (Geo, "metro", "the metro area is not targeted", WIDEN, "targeting.metros"),
    (Geo, "city", "the city is not targeted", WIDEN, "targeting.cities"),
    (Geo, "zip", "the postal code is not targeted", WIDEN, "targeting.zips"),
    (Geo, "address", "the address is not targeted, or is excluded", WIDEN, "targeting.addresses"),
    (Device, "device_type", "the type of device is not targeted", WIDEN, "targeting.device_types"),
    (Device, "os", "the operating system is not targeted", WIDEN, "targeting.os"),
    (Device, "browser", "the browser is not targeted", WIDEN, "targeting.browsers"),
    (Device, "connection", "the kind of connection is not targeted", WIDEN, "targeting.connections"),
    (Device, "carrier", "the carrier is not targeted", WIDEN, "targeting.carriers"),
    (Inventory, "domain", "the domain is not targeted, or is excluded", WIDEN, "targeting.domains"),
    (Inventory, "bundle", "the app is not targeted, or is excluded", WIDEN, "targeting.bundles"),
    (Inventory, "publisher", "the publisher is not targeted, or is excluded", WIDEN, "targeting.publishers"),
    (Inventory, "category", "the category is not targeted, or is excluded", WIDEN, "targeting.categories"),
    (
        Budget,
        "wallet",
        "the advertiser's wallet has not enough left",
        "pay in by POST /v1/transactions",
        "advertisers.wallet",
    ),
    (
        Budget,
        "campaign",
        "the campaign's lifetime budget has not enough left",
        "raise it",
        "campaigns.budget.lifetime",
    ),
    (
        Budget,
        "campaign_today",
        "the campaign's budget of the day has not enough left",
        "raise it, or wait for the next day",
        "campaigns.budget.daily",
    ),
    (Budget, "line_item", "its lifetime budget has not enough left", "raise it", "budget.lifetime"),
    (
        Budget,
        "line_item_today",
        "its budget of the day has not enough left",
        "raise it, or wait for the next day",
        "budget.daily",
    ),
    (
        Budget,
        "lease",
        "its money was not at hand for a moment",
        "nothing where it is a small share: every budget has room now; a core waited for its next part, or one was used up \
         earlier",
        "",
    ),
    (
        Breaker,
        "stopped",
        "the exchange is stopped",
        "see `GET /v1/ledger` for why; release the kill switch, or pardon it by POST /v1/exchanges/{name}:pardon",
        "",
    ),
    (
        Breaker,
        "probing",
        "the exchange's breaker has tripped",
        "see `GET /v1/ledger`; it opens by itself once the exchange's notices come again",
        "",
    ),
    (
        Breaker,
        "trust",
        "the exchange has used up its first trust and not billed yet",
        "see whether its billing notices arrive; or raise its first trust, or mark it as trusted",
        "exchanges.house.first_trust",
    ),
    (
        BelowFloor,
        "exchange_cap",
        "the exchange's own maximum is under the floor",
        "raise the exchange's `max_cpm`; a higher bid changes nothing",
        "exchanges.max_cpm",
    ),
    (
        BelowFloor,
        "server_cap",
        "the server's maximum is under the floor",
        "raise `ledger.max_cpm_micros` in the server's configuration; a higher bid changes nothing",
        "",
    ),
    (
        BelowFloor,
        "max_bid",
        "its maximum keeps its price under the floor",
        "raise the maximum, or turn to cheaper places",
        "bid.max",
    ),
    (
        BelowFloor,
        "paced",
        "pacing keeps its price under the floor",
        "nothing if it spends on plan; else raise the budget, or pace as soon as possible",
        "pacing.mode",
    ),
    (
        BelowFloor,
        "factors",
        "its multipliers keep its price under the floor",
        "raise the bid or the factor, or turn to cheaper places",
        "multipliers",
    ),
    (
        BelowFloor,
        "floor_currency",
        "the floor's currency has no rate",
        "add a rate for the floor's currency; a higher bid changes nothing",
        "rates.others",
    ),
    (
        BelowFloor,
        "floor_unreadable",
        "the floor cannot be read",
        "tell the exchange; a higher bid changes nothing",
        "",
    ),
    (
        Deadline,
        "tmax",
        "the exchange leaves no time",
        "ask it for a longer `tmax`, or lower its `network_margin_ms`",
        "exchanges.network_margin_ms",
    ),
    (Size, "multipliers", "a factor of 0 excludes it", "raise the factor, or drop it", "multipliers.sizes"),
    (
        Geo,
        "multipliers",
        "a factor of 0 excludes it",
        "raise the factor, or drop it",
        "multipliers.countries",
    ),
    (
        Device,
        "multipliers",
        "a factor of 0 excludes it",
        "raise the factor, or drop it",
        "multipliers.device_types",
    ),
    (
        Placement,
        "multipliers",
        "a factor of 0 excludes it",
        "raise the factor, or drop it",
        "multipliers.positions",
    ),
];

/// What a reason means where this of it was met; what it means at all where nothing more is known of that.
pub fn advice_on(reason: NoBidReason, aspect: &str) -> Advice {
    let general = advice(reason);
    let row = ROWS.iter().find(|(of, name, ..)| *of == reason && *name == aspect);
    match row {
        Some((_, _, title, advice, field)) => Advice { title, advice, field, ..general },
        None => general,
    }
}

/// Every reason with what of it is told apart.
pub fn aspects() -> impl Iterator<Item = (NoBidReason, &'static str)> {
    ROWS.iter().map(|(reason, aspect, ..)| (*reason, *aspect))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_aspect_is_told_once_and_in_the_stage_of_its_reason() {
        let all: BTreeSet<(NoBidReason, &str)> = aspects().collect();
        assert_eq!(all.len(), ROWS.len());
        for (reason, aspect) in all {
            let told = advice_on(reason, aspect);
            assert_eq!(told.stage, advice(reason).stage);
            assert_ne!(told.title, advice(reason).title, "{aspect}");
        }
        assert_eq!(advice_on(Geo, "weather"), advice(Geo));
    }
}
