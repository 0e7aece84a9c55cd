//! What each reason means to the people who asked why there is no bid, and what they can change.

use crate::model::no_bid::NoBidReason;

/// What people are told of a reason.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Advice {
    /// The stage of the funnel that it belongs to, in the order of [`STAGES`].
    pub stage: &'static str,
    /// What happened.
    pub title: &'static str,
    /// What to do.
    pub advice: &'static str,
    /// The member of the line item, or of what stands above it, to look at: a path in the API's documents; `""` = nothing of theirs.
    pub field: &'static str,
}

/// The stages in the order of evaluation; `request` is about the request, whoever would have bid.
pub const STAGES: [&str; 18] = [
    "request",
    "status",
    "flight",
    "daypart",
    "exchange_and_deal",
    "format_and_size",
    "geo",
    "device",
    "inventory",
    "blocks",
    "consent_and_audience",
    "frequency",
    "creative_approval",
    "budget",
    "pacing",
    "floor",
    "internal_auction",
    "deadline",
];

/// What a reason means.
pub fn advice(reason: NoBidReason) -> Advice {
    use NoBidReason::*;
    let (stage, title, advice, field) = match reason {
        InvalidRequest => {
            (0, "the request breaks OpenRTB", "tell the exchange; `outbid check openrtb` names the rule", "")
        }
        LimitExceeded => {
            (0, "a limit was passed", "raise the limit that `outbid explain` names, or lower the charge", "")
        }
        NoUsableMedium => (
            0,
            "no medium that can be filled is offered",
            "nothing: other requests of the exchange offer some",
            "",
        ),
        InvalidPrice => (0, "a price of the impression is no number", "tell the exchange", ""),
        Crawler => (0, "the user agent is a crawler's", "nothing: nobody would see the ad", ""),
        NonHuman => (0, "the device contradicts itself", "nothing: it is not believed to be a person's", ""),
        DataCentre => (
            0,
            "the address is on the account's own list of data centres, proxies and others",
            "take the range off the list if it is wrong",
            "safety.addresses",
        ),
        BlockedInventory => (
            0,
            "the publisher, domain or app is blocked for the whole account",
            "take it off the account's lists of domains, publishers or bundles if it is wrong",
            "safety.domains",
        ),
        AdsTxt => (
            0,
            "the place's ads.txt does not name this seller",
            "renew the ads.txt records, or allow unlisted sellers",
            "safety.ads_txt",
        ),
        SupplyChain => (
            0,
            "the supply chain is not complete",
            "ask the exchange for complete chains, or stop asking for them",
            "safety.complete_supply_chain",
        ),
        BlockedSeller => (
            0,
            "a seller in the supply chain is blocked",
            "take the seller off the account's block list",
            "safety.sellers",
        ),
        Currency => (
            0,
            "none of the allowed currencies has a rate",
            "add a rate for the currency, and keep rates.as_of fresh",
            "rates",
        ),
        Seat => (
            0,
            "our seat is not among those that may bid",
            "ask the exchange to allow the seat",
            "exchanges.seat",
        ),
        Multiplier => (
            0,
            "the impression multiplier is out of range",
            "raise the profile's largest multiplier",
            "exchanges.max_multiplier",
        ),
        HoldLife => (
            0,
            "money would have to be held for too long",
            "raise the profile's longest hold",
            "exchanges.holds.max_s",
        ),
        NoMatch => (0, "no line item matches", "see the reasons of each line item", ""),
        Inactive => (
            1,
            "it, its campaign or its advertiser is not active",
            "activate the one that is paused or archived",
            "status",
        ),
        Flight => {
            (2, "outside the flight", "move the start or the end of the line item or its campaign", "flight")
        }
        Daypart => (
            3,
            "outside the hours of the week",
            "widen the hours, and check the time zone that they are in",
            "targeting.dayparts",
        ),
        Exchange => (
            4,
            "the exchange is not targeted",
            "add the exchange, or leave the list empty for all",
            "targeting.exchanges",
        ),
        Deal => (
            4,
            "the deal is not offered, excluded or not open to our seat",
            "compare the deal's id letter by letter with what the exchange sends, and its seat",
            "deal_ids",
        ),
        Format => (
            5,
            "the medium is not targeted, or no creative is of it",
            "add the medium, or a creative of it",
            "targeting.formats",
        ),
        Size => (
            5,
            "no creative has an offered size",
            "add a creative in a size that is offered, or drop the sizes from the targeting",
            "creatives",
        ),
        Duration => {
            (5, "no creative has an allowed duration", "add a creative of an allowed length", "creatives")
        }
        Assets => (
            5,
            "no creative fills all required native assets",
            "add the missing assets to the creative",
            "creatives",
        ),
        Placement => {
            (5, "the kind of placement is not targeted", "widen the placement rules", "targeting.placement")
        }
        Geo => (
            6,
            "the place is not targeted",
            "widen the places, or see whether the exchange sends them at all",
            "targeting.countries",
        ),
        Device => (
            7,
            "the device is not targeted",
            "widen device types, systems, browsers or connections",
            "targeting.device_types",
        ),
        Inventory => (
            8,
            "the domain, app, publisher or category is not targeted or is excluded",
            "widen the lists",
            "targeting.domains",
        ),
        Keyword => {
            (8, "the keywords are not targeted or are excluded", "widen the keywords", "targeting.keywords")
        }
        Language => (
            8,
            "the language is not targeted or not accepted",
            "widen the languages, or set the creative's language right",
            "targeting.languages",
        ),
        BlockedCategory => (
            9,
            "the publisher blocks the creative's category",
            "check the creative's categories; where they are right, nothing",
            "creatives.iab_categories",
        ),
        BlockedAdvertiser => (
            9,
            "the publisher blocks the advertiser's domain",
            "check the creative's domain; where it is right, nothing",
            "creatives.adomain",
        ),
        BlockedApp => (
            9,
            "the publisher blocks the promoted app",
            "check the creative's bundle; where it is right, nothing",
            "creatives.bundle",
        ),
        BlockedAttribute => (
            9,
            "the publisher blocks an attribute or the type of the creative",
            "check the creative's attributes, or add one without them",
            "creatives.attributes",
        ),
        NotSecure => (
            9,
            "the impression wants https",
            "serve the creative, and track.public_url, over https",
            "creatives",
        ),
        Unsupported => (
            9,
            "the creative needs what the player or page does not support",
            "add a creative with fewer needs",
            "creatives",
        ),
        Consent => (
            10,
            "privacy signals do not allow what the line item needs",
            "nothing without consent; widen to people without segments",
            "targeting.audience",
        ),
        Audience => (
            10,
            "the user is not in the audience",
            "fill the segments, include nodes further up in the tree, or exclude fewer",
            "targeting.audience",
        ),
        Frequency => (11, "the frequency cap is reached", "raise the cap, or reach more people", "frequency"),
        CreativeApproval => (
            12,
            "no creative is approved",
            "wait for the approval, or mend what it was refused for",
            "creatives.approvals",
        ),
        Budget => (
            13,
            "a budget has not enough left",
            "where it is a small share, nothing: a core waits a moment for its next part; else pay in, or raise the budget of \
             the line item, its campaign or its day",
            "budget",
        ),
        Breaker => (
            13,
            "the exchange may not be sent this bid now",
            "see `GET /v1/ledger` for the exchange's gate: a kill switch, a tripped breaker, or a first trust that is used up",
            "exchanges.house",
        ),
        Pacing => (
            14,
            "pacing holds it back",
            "nothing if it spends on plan; else raise the budget or pace as soon as possible",
            "pacing.mode",
        ),
        BelowFloor => (
            15,
            "its price is under the floor",
            "raise the bid or the maximum, or turn to cheaper places",
            "bid",
        ),
        Pod => (16, "the pod has no room, or a like ad is in it already", "nothing: other pods have", ""),
        LostInternal => (
            16,
            "another line item offered more",
            "raise the bid, or narrow the other one where it is yours",
            "bid",
        ),
        Deadline => {
            (17, "the answer would have been late", "see the machine's load and the exchange's tmax", "")
        }
    };
    Advice { stage: STAGES[stage], title, advice, field }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_stand_in_the_order_of_the_reasons() {
        let stage = |reason| STAGES.iter().position(|stage| *stage == advice(reason).stage).unwrap();
        let stages: Vec<usize> = NoBidReason::ALL.into_iter().map(stage).collect();
        assert!(stages.is_sorted(), "{stages:?}");
        assert_eq!(stages.last(), Some(&(STAGES.len() - 1)));
    }
}
