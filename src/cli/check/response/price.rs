//! The price against the floor that counts (implementation guide section 7.11): the deal's own, in its own currency;
//! else that of the medium's seconds; else the impression's.

use super::bid::Bid;
use super::rules;
use crate::cli::check::finding::Findings;
use crate::cli::check::read::{self, field, int, objects, positive, shown, text};
use crate::model::money::{Cpm, Currency};
use crate::model::rates::Round;
use serde_json::Value;

/// A floor as the request says it.
struct Floor {
    price: Cpm,
    currency: Option<Currency>,
    of_deal: bool,
}

pub(super) fn check(bid: &Bid<'_>, findings: &mut Findings) {
    let path = bid.path.key("price");
    let Some(given) = bid.field("price") else {
        return findings.add(&rules::PRICE_MISSING, &path, "is missing");
    };
    let exact = given.as_number().map(serde_json::Number::to_string);
    let price = exact.as_deref().and_then(|text| Cpm::parse_decimal(text, false));
    let Some(price) = price.filter(|_| given.as_f64().is_some_and(|price| price > 0.0)) else {
        return findings.add(&rules::PRICE_ODD, &path, format!("is {}", shown(given)));
    };
    let rounded_up = exact.as_deref().and_then(|text| Cpm::parse_decimal(text, true));
    findings.add_if(rounded_up != Some(price), &rules::PRICE_FINE, &path, || format!("is {}", shown(given)));
    let Some(floor) = floor(bid).filter(|floor| floor.price > Cpm(0)) else { return };
    let Some(cur) = bid.cur else { return };
    let from = floor.currency.map_or_else(|| "an unknown currency".to_owned(), |code| code.to_string());
    let rates = bid.against.rates;
    let converted = match floor.currency {
        Some(same) if same == cur => Some(floor.price),
        Some(other) => rates.and_then(|rates| rates.convert(floor.price, other, cur, Round::Up)),
        None => None,
    };
    let Some(least) = converted else {
        let what = format!("is {price} {cur}, the floor {} {from}", floor.price);
        return findings.add(&rules::FLOOR_NOT_COMPARED, &path, what);
    };
    let rule = if floor.of_deal { &rules::BELOW_DEAL_FLOOR } else { &rules::BELOW_FLOOR };
    let what = || match floor.currency == Some(cur) {
        true => format!("is {price} {cur}, the floor {least}"),
        false => format!("is {price} {cur}, the floor {} {from} or {least} {cur}", floor.price),
    };
    let fixed = bid.deal.is_some_and(|deal| int(field(deal, "at")) == Some(3));
    findings.add_if(!fixed && price < least, rule, &path, what);
    findings.add_if(fixed && price != least, &rules::NOT_THE_DEAL_PRICE, &path, || {
        format!("is {price} {cur}, the agreed price {least}")
    });
}

fn floor(bid: &Bid<'_>) -> Option<Floor> {
    let imp = bid.imp?;
    let streams = ["video", "audio"].iter().any(|name| bid.medium == Some(*name));
    let seconds = bid.seconds().filter(|_| streams);
    if let Some(deal) = bid.deal {
        let price = timed(deal, seconds).or_else(|| plain(deal));
        if let Some(price) = price.filter(|price| *price > Cpm(0)) {
            return Some(Floor { price, currency: currency(deal), of_deal: true });
        }
    }
    let of_medium = bid.offer().and_then(|offer| timed(offer, seconds));
    let price = of_medium.or_else(|| plain(imp))?;
    Some(Floor { price, currency: currency(imp), of_deal: false })
}

fn plain(value: &Value) -> Option<Cpm> {
    read::price(field(value, "bidfloor"))?.ok()
}

/// USD where none is given; a deal inherits nothing.
fn currency(value: &Value) -> Option<Currency> {
    match field(value, "bidfloorcur") {
        None => Some(Currency::USD),
        given => text(given).and_then(|code| Currency::parse(code.trim())),
    }
}

/// The floor of an ad of so many seconds, where there is one for it.
fn timed(value: &Value, seconds: Option<u32>) -> Option<Cpm> {
    let seconds = seconds?;
    let a_second =
        read::price(field(value, "mincpmpersec")).and_then(Result::ok).filter(|price| *price > Cpm(0));
    if let Some(Cpm(micros)) = a_second {
        return micros.checked_mul(i64::from(seconds)).map(Cpm);
    }
    let here = |range: &&Value| {
        let (least, most) = (int(field(range, "mindur")), positive(field(range, "maxdur")));
        least.is_none_or(|least| i64::from(seconds) >= least) && most.is_none_or(|most| seconds <= most)
    };
    let range = objects(field(value, "durfloors")).map(|(_, range)| range).find(here)?;
    plain(range).or(Some(Cpm(0)))
}
