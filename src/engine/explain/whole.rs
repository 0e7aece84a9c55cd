//! Why a whole request or impression may not be bid on, with the values that were compared.

use super::words::Told;
use crate::engine::context::{Core, Request};
use crate::engine::deadline::left_ms;
use crate::model::auction::Imp;
use crate::model::no_bid::NoBidReason;

/// What of the request meets `reason`.
pub(super) fn told(request: &Request<'_>, core: &Core, imp: &Imp<'_>, reason: NoBidReason) -> Told {
    match reason {
        NoBidReason::DataCentre
        | NoBidReason::BlockedInventory
        | NoBidReason::AdsTxt
        | NoBidReason::SupplyChain
        | NoBidReason::BlockedSeller => {
            request.catalog().safety().told(request.auction, request.profile, reason)
        }
        NoBidReason::Deadline => ("tmax", in_words(request, core, imp, reason)),
        _ => ("", in_words(request, core, imp, reason)),
    }
}

fn in_words(request: &Request<'_>, core: &Core, imp: &Imp<'_>, reason: NoBidReason) -> String {
    let (auction, profile) = (request.auction, request.profile);
    match reason {
        NoBidReason::InvalidRequest => invalid(request, imp),
        NoBidReason::LimitExceeded => {
            "a list, a text or a number of impressions in it is over the server's limits (`limits.*`)"
                .to_owned()
        }
        NoBidReason::NoUsableMedium => {
            let offered: Vec<String> = imp.media().map(|medium| medium.media_type().to_string()).collect();
            let offered = if offered.is_empty() { "nothing" } else { &offered.join(", ") };
            format!(
                "impression {:?} offers {offered} that can be read: a banner, a video or audio with `mimes`, or a native \
                 request",
                imp.id
            )
        }
        NoBidReason::InvalidPrice => {
            format!("`bidfloor` or a price of a deal of impression {:?} is no number from 0 up", imp.id)
        }
        NoBidReason::Crawler => format!("user agent {:?}", auction.device.ua.unwrap_or_default()),
        NoBidReason::NonHuman => format!(
            "device: type {}, system {:?}, make {:?}, user agent {:?}",
            auction.device.device_type.map_or("unknown".to_owned(), |kind| kind.to_string()),
            auction.device.os.unwrap_or_default(),
            auction.device.make.unwrap_or_default(),
            auction.device.ua.unwrap_or_default(),
        ),
        NoBidReason::Currency => currency(request),
        NoBidReason::Seat => {
            let seats = |list: &[&str]| list.join(", ");
            let seat = &profile.seat;
            match auction.bseat.contains(&seat.as_str()) {
                true => format!("our seat is {seat:?}; `bseat` blocks {}", seats(auction.bseat)),
                false => format!("our seat is {seat:?}; `wseat` allows only {}", seats(auction.wseat)),
            }
        }
        NoBidReason::Multiplier => format!(
            "`qty.multiplier` is {}; the exchange's `max_multiplier` is {}",
            imp.multiplier_ppm.map_or("no number".to_owned(), |ppm| (ppm as f64 / 1e6).to_string()),
            profile.max_multiplier_ppm as f64 / 1e6,
        ),
        NoBidReason::HoldLife => {
            let until_shown_s = (imp.shown_ms(request.now.unix_ms) - request.now.unix_ms + 999) / 1_000;
            format!(
                "`exp` is {} and it is shown in {until_shown_s} s; with `holds.grace_s` of {} that is longer than \
                 `holds.max_s` of {}",
                imp.exp_s.map_or("absent".to_owned(), |exp_s| format!("{exp_s} s")),
                profile.holds.grace_s,
                profile.holds.max_s,
            )
        }
        NoBidReason::Deadline => format!(
            "`tmax` leaves {} ms once the exchange's `network_margin_ms` of {} is taken off",
            left_ms(auction.tmax_ms, profile),
            profile.network_margin_ms,
        ),
        NoBidReason::Consent => {
            let restriction = core.last_permissions.and_then(|permissions| permissions.restriction());
            restriction.map_or("the law of the place forbids it".to_owned(), |why| why.as_str().to_owned())
        }
        _ => "the request or the impression cannot be bid on".to_owned(),
    }
}

fn invalid(request: &Request<'_>, imp: &Imp<'_>) -> String {
    let imps = request.auction.imps;
    let twice = imps
        .iter()
        .enumerate()
        .find(|(at, imp)| !imp.id.is_empty() && imps[..*at].iter().any(|other| other.id == imp.id));
    if let Some((_, imp)) = twice {
        return format!("two impressions have the id {:?}", imp.id);
    }
    if imp.fault == Some(NoBidReason::InvalidRequest) && imp.id.is_empty() {
        return "the impression has no id".to_owned();
    }
    "more than one of site, app and dooh is given, or a list that forbids something cannot be read; `outbid check openrtb` \
     names the rule"
        .to_owned()
}

fn currency(request: &Request<'_>) -> String {
    let (auction, rates) = (request.auction, &request.snapshot.rates);
    let allowed: Vec<String> = auction.cur.iter().map(|currency| currency.to_string()).collect();
    let allowed = match (allowed.is_empty(), auction.cur_given) {
        (false, _) => format!("`cur` allows {}", allowed.join(", ")),
        (true, true) => "`cur` names no currency that is known".to_owned(),
        (true, false) => "`cur` is absent, which means USD".to_owned(),
    };
    let known: Vec<String> = rates.iter().map(|(currency, _)| currency.to_string()).collect();
    format!("{allowed}; rates that are fresh enough are there for {}", known.join(", "))
}
