//! What the codes of lost auctions mean to the people whose bids lost, and what they can change.

use super::advice::Advice;
use crate::model::funnel::Loss;

/// What people are told of a loss; its stage is `lost`. Titles follow OpenRTB 3.0, "Loss Reason Codes".
pub fn loss_advice(why: Loss) -> Advice {
    const OURS: &str = "tell who runs this server: it should not happen; `outbid check openrtb` names what is wrong with an answer";
    const ASK: &str = "ask the exchange what its review says, and submit the creative there";
    let (title, advice, field) = match why.number() {
        0 => ("the exchange names no loss", "nothing: the code of a win came with a loss", ""),
        1 => ("the exchange failed", "nothing, unless it stays: then ask the exchange", ""),
        2 => (
            "the answer came too late",
            "tell who runs this server: see the exchange's `tmax` and the way to it",
            "",
        ),
        3 => ("the exchange could not read the answer", OURS, ""),
        4 => (
            "the exchange does not know the deal",
            "compare the deal's id with the exchange's, letter by letter",
            "deal_ids",
        ),
        5 => ("the exchange does not know the auction", OURS, ""),
        6 => (
            "the advertiser's domain is malformed",
            "give a plain domain such as shop.example",
            "creatives.adomain",
        ),
        7 => ("the exchange misses the ad's markup", OURS, ""),
        8 => ("the exchange misses the creative's id", OURS, ""),
        9 => ("the exchange misses the price", OURS, ""),
        10 => ("the exchange misses what it approves creatives by", ASK, "creatives"),
        100 => ("under the floor of the auction", "raise the bid", "bid"),
        101 => ("under the floor of the deal", "raise the bid to the deal's floor", "bid"),
        102 => ("another bid was higher", "raise the bid, or turn shading off, where more is wanted", "bid"),
        103 => {
            ("a bid on a deal was preferred", "target a deal, or exchanges without such deals", "deal_ids")
        }
        104 => ("the exchange blocks the seat", "ask the exchange why it blocks it", ""),
        201 => (
            "the exchange has not looked at the creative yet",
            "wait; if it stays, ask the exchange",
            "creatives",
        ),
        202 => ("the exchange does not allow the creative", ASK, "creatives"),
        203 => (
            "the creative's size is not allowed",
            "give the creative a size that is offered",
            "creatives.size",
        ),
        204 => (
            "the creative has the wrong format",
            "give a creative of the format that is offered",
            "creatives",
        ),
        205 => ("the publisher excludes the advertiser", "target other sites", "targeting.domains"),
        206 => {
            ("the publisher excludes the app", "target other apps, or promote another", "targeting.bundles")
        }
        207 => ("the creative is not secure", "use https in the whole creative", "creatives"),
        208 => (
            "the creative's language is excluded",
            "target a language that the creative has",
            "targeting.languages",
        ),
        209 => (
            "the creative's category is excluded",
            "see the categories of the creative and of the advertiser",
            "creatives.iab_categories",
        ),
        210 => (
            "an attribute of the creative is excluded",
            "see the attributes of the creative, such as sound or expansion",
            "creatives.attributes",
        ),
        211 => ("the kind of ad is excluded", "give a creative of another kind", "creatives"),
        212 => ("the animation is too long", "shorten it", "creatives"),
        213 => {
            ("the creative is not allowed on the deal", "ask the exchange what the deal allows", "deal_ids")
        }
        200..=215 => ("the exchange filtered the creative", ASK, "creatives"),
        500 => ("lost for a reason of the exchange's own", "ask the exchange what its code means", ""),
        499 => ("lost for a code that no list has", "ask the exchange what its code means", ""),
        _ => ("lost, and the exchange does not say why", "nothing: it tells only that", ""),
    };
    Advice { stage: "lost", title, advice, field }
}
