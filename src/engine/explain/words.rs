//! Why one line item may not be bid for in one place, in words, with the values that were compared.

use super::peek::Peek;
use super::{Try, not_found::moment};
use crate::engine::catalog::CatalogLineItem;
use crate::engine::context::{Core, Request};
use crate::engine::creative::{self, Audience, Draw};
use crate::engine::decide::bid_currency;
use crate::model::auction::{Deal, Imp};
use crate::model::line_item::Flight;
use crate::model::money::{Cpm, PPM};
use crate::model::no_bid::NoBidReason;
use crate::pricing::{DIMENSIONS, FloorInputs, Offer};
use crate::targeting::LineItemIx;

/// What was compared, and what of the reason it was: a dimension, a level, whose budget; `""` = the reason says it all.
pub(super) type Told = (&'static str, String);

/// What a line item is looked at with after the decision.
pub(super) struct Scene<'s, 'r> {
    pub(super) request: &'s Request<'r>,
    pub(super) core: &'s Core,
    pub(super) imp: &'r Imp<'r>,
    pub(super) peek: &'s Peek<'s>,
}

impl<'r> Scene<'_, 'r> {
    /// The same for a line item that was asked in a place.
    pub(super) fn told(&self, ix: LineItemIx, place: &Try) -> Told {
        let (request, peek) = (self.request, self.peek);
        let line = request.catalog().line_item(ix);
        let Some(reason) = place.reason else { return ("", "bids".to_owned()) };
        let refused = || peek.refused(line.id).cloned();
        match (reason, &place.offer) {
            (NoBidReason::BelowFloor, Some(offer)) if offer.worth < offer.floor => {
                below_floor(request, line, offer, place.exchange_cap)
            }
            (NoBidReason::BelowFloor, Some(_)) => ("", "its price is nothing".to_owned()),
            (NoBidReason::BelowFloor, None) => self.no_floor(place.deal.as_deref()),
            (NoBidReason::Budget | NoBidReason::Breaker, Some(offer)) => {
                let (aspect, why) = refused().unwrap_or_default();
                (aspect, format!("no room for price {}: {why}", offer.price))
            }
            (NoBidReason::LostInternal, Some(offer)) => {
                ("", format!("worth {}, another offered more", offer.worth))
            }
            (NoBidReason::LostInternal, None) => ("", "more line items match than are priced".to_owned()),
            (NoBidReason::Pacing, _) => {
                let pass_ppm = request.catalog().levels().get(ix).pass_ppm;
                let percent = f64::from(pass_ppm) / PPM as f64 * 100.0;
                ("", format!("pacing lets it look at {percent:.2} % of requests, and not at this one"))
            }
            (NoBidReason::Frequency, _) => ("", self.capped(line)),
            (NoBidReason::LimitExceeded, Some(offer)) => (
                "max_charge",
                format!("a bid of {} would hold more than `ledger.max_charge_micros`", offer.price),
            ),
            (NoBidReason::Inactive, Some(_)) => refused().unwrap_or_default(),
            (NoBidReason::Inactive, None) => inactive(request, line),
            (NoBidReason::Flight, _) => flight(request, line, self.imp.shown_ms(request.now.unix_ms)),
            (NoBidReason::Deal, _) if self.has_closed_deal(place.deal.as_deref()) => {
                ("seat", self.closed_deal(place.deal.as_deref()))
            }
            _ => self.no_creative(line, place.deal.as_deref(), reason),
        }
    }

    fn deal(&self, id: Option<&str>) -> Option<&'r Deal<'r>> {
        id.and_then(|id| self.imp.deals.iter().find(|deal| deal.id == id))
    }

    fn has_closed_deal(&self, id: Option<&str>) -> bool {
        self.deal(id).is_some_and(|deal| {
            let seat = self.request.profile.seat.as_str();
            let listed = self.imp.deals.iter().filter(|other| other.id == deal.id).count();
            listed != 1 || !(deal.wseat.is_empty() || deal.wseat.contains(&seat))
        })
    }

    fn closed_deal(&self, id: Option<&str>) -> String {
        let Some(deal) = self.deal(id) else { return "the deal is not open to this seat".to_owned() };
        if deal.wseat.is_empty() || deal.wseat.contains(&self.request.profile.seat.as_str()) {
            return format!("the request lists deal {:?} twice, so that its terms are not certain", deal.id);
        }
        format!(
            "deal {:?} is not open to this seat: its `wseat` allows {}, and our seat is {:?}",
            deal.id,
            deal.wseat.join(", "),
            self.request.profile.seat
        )
    }

    /// Why no floor is there to be met.
    fn no_floor(&self, deal: Option<&str>) -> Told {
        let (request, imp) = (self.request, self.imp);
        let Some(currency) = bid_currency(request) else { return ("", "no currency to bid in".to_owned()) };
        let deal = self.deal(deal);
        let rates = &request.snapshot.rates;
        let inputs = FloorInputs { imp, deal, stream: None, bid_currency: currency, rates };
        let error = inputs.floor().err().map(|error| error.to_string());
        let given = match deal.map_or(imp.bid_floor_cur, |deal| deal.bid_floor_cur) {
            Some(from) => {
                if rates.cross(from, currency).is_none() {
                    let detail =
                        format!("the floor is in {from}, and there is no rate from {from} to {currency}");
                    return ("floor_currency", detail);
                }
                format!("the floor is in {from}")
            }
            None => "`bidfloorcur` cannot be read".to_owned(),
        };
        ("floor_unreadable", format!("{given}: {}", error.unwrap_or_else(|| "no bid meets it".to_owned())))
    }

    /// Which cap is reached, and how often the person was shown it.
    fn capped(&self, line: &CatalogLineItem) -> String {
        let catalog = self.request.catalog();
        let seen = &self.core.seen;
        let of_creatives =
            line.creatives.iter().filter_map(|one| catalog.creatives()[one.position].frequency.as_ref());
        let mut all = line.frequency.iter().chain(of_creatives);
        let reached = all.clone().find_map(|rules| seen.reached(rules));
        let Some(cap) = reached else {
            return match all.any(|rules| !seen.allows(rules)) {
                true => "nobody can tell who the person is, and `frequency.unknown_users` is skip".to_owned(),
                false => "a factor of 0 excludes it (`multipliers.frequencies`), or others bid on the same person in \
                          this request"
                    .to_owned(),
            };
        };
        let (level, id) = cap.scope.parts();
        let window = match cap.within_s {
            Some(within_s) => format!(" in {}", seconds(within_s)),
            None => String::new(),
        };
        let open = match cap.open {
            0 => String::new(),
            open => format!(", and {open} open bids count"),
        };
        let level = level.replace('_', " ");
        format!(
            "{level} {id} may be shown {} times{window}; the person was shown it {} times{open}",
            cap.max, cap.shown
        )
    }

    /// Which creatives failed for the reason, or that a factor did.
    fn no_creative(&self, line: &'r CatalogLineItem, deal: Option<&str>, reason: NoBidReason) -> Told {
        let geo = &self.request.auction.device.geo;
        let audience = Audience {
            segment_entries: &self.core.segment_entries,
            geo,
            hour: self.core.hours.get(line.zone),
        };
        let draw = Draw { audience, seed: 0, passed_over: 0 };
        let failing = creative::failing(line, self.request, self.imp, self.deal(deal), &draw);
        let meant: Vec<String> = failing
            .iter()
            .filter(|(_, why, _)| *why == reason)
            .map(|(id, _, told)| format!("creative {id}: {told}"))
            .collect();
        match meant.as_slice() {
            [] => {
                let dimensions: Vec<&str> =
                    DIMENSIONS.into_iter().filter(|name| excludes(name, reason)).collect();
                let names = dimensions.join(" or ");
                ("multipliers", format!("no creative passes, or a factor of 0 excludes it ({names})"))
            }
            [one] => ("", format!("no creative passes; {one}")),
            [first, more @ ..] => {
                ("", format!("no creative passes; {first}; and {} more for the same reason", more.len()))
            }
        }
    }
}

/// Whether a factor of 0 in a dimension has this reason.
fn excludes(dimension: &str, reason: NoBidReason) -> bool {
    matches!(
        (dimension, reason),
        ("audience" | "value_tier", NoBidReason::Audience)
            | ("exchange", NoBidReason::Exchange)
            | ("country", NoBidReason::Geo)
            | ("device_type", NoBidReason::Device)
            | ("channel", NoBidReason::Inventory)
            | ("size", NoBidReason::Size)
            | ("deal", NoBidReason::Deal)
            | ("hour", NoBidReason::Daypart)
            | ("position", NoBidReason::Placement)
    )
}

/// Which term keeps it under the floor.
fn below_floor(request: &Request<'_>, line: &CatalogLineItem, offer: &Offer, cap: Option<Cpm>) -> Told {
    let short = format!("worth {} < floor {}", offer.worth, offer.floor);
    if let Some(cap) = cap.filter(|cap| *cap < offer.floor) {
        let (rates, profile) = (&request.snapshot.rates, request.profile);
        let everywhere = rates.convert_capped(request.settings.max_cpm, rates.base(), profile.currency);
        return match everywhere.is_some_and(|everywhere| everywhere < profile.max_cpm) {
            true => ("server_cap", format!("{short}: `ledger.max_cpm_micros` caps every bid at {cap}")),
            false => {
                ("exchange_cap", format!("{short}: `max_cpm` of exchange {} caps it at {cap}", profile.name))
            }
        };
    }
    if offer.capped < offer.paced {
        let told = format!("{short}: its `bid.max` of {} caps {}", line.pricer.max_bid, offer.paced);
        return ("max_bid", told);
    }
    if offer.paced < offer.valued {
        return ("paced", format!("{short}: pacing lowers its {} to {}", offer.valued, offer.paced));
    }
    if offer.valued < offer.base_value {
        return (
            "factors",
            format!("{short}: its multipliers make {} of {}", offer.valued, offer.base_value),
        );
    }
    ("", short)
}

/// Which of the three is not active.
pub(super) fn inactive(request: &Request<'_>, line: &CatalogLineItem) -> Told {
    let catalog = request.catalog();
    let (campaign, advertiser) =
        (&catalog.campaigns()[line.campaign], &catalog.advertisers()[line.advertiser]);
    if !line.item.active {
        ("", "the line item is not active".to_owned())
    } else if !campaign.active {
        ("campaign", format!("its campaign {} is not active", campaign.id))
    } else if !advertiser.active {
        ("advertiser", format!("its advertiser {}, or the account, is not active", advertiser.id))
    } else {
        ("", "the line item, its campaign or its advertiser is not active".to_owned())
    }
}

/// Whose flight it is, from when to when, and the time that was compared.
pub(super) fn flight(request: &Request<'_>, line: &CatalogLineItem, at_ms: i64) -> Told {
    let campaign = &request.catalog().campaigns()[line.campaign];
    let now_ms = request.now.unix_ms;
    let out = |flight: &Flight| !flight.contains(at_ms) || !flight.contains(now_ms);
    let (aspect, whose, flight) = match out(&line.item.flight) {
        true => ("", "the flight of the line item".to_owned(), line.item.flight),
        false => ("campaign", format!("the flight of campaign {}", campaign.id), campaign.flight),
    };
    let from = flight.start_ms.map_or("ever".to_owned(), moment);
    let until = flight.end_ms.map_or("for ever".to_owned(), moment);
    let at = if flight.contains(now_ms) { at_ms } else { now_ms };
    let when = if at == now_ms { "it is" } else { "the ad would be shown at" };
    (aspect, format!("outside {whose}, from {from} until {until}; {when} {}", moment(at)))
}

/// A window for people.
fn seconds(all: u32) -> String {
    let units = [(604_800, "weeks"), (86_400, "days"), (3_600, "hours"), (60, "minutes")];
    let whole = units.into_iter().find(|(unit, _)| all.is_multiple_of(*unit) && all >= *unit);
    whole.map_or_else(|| format!("{all} seconds"), |(unit, name)| format!("{} {name}", all / unit))
}
