//! What goes over the wire between the market and the process: signed tokens in notice URLs, prices in the exchange's
//! own form; and how the tracking listener reads them (money.md 2.4). What is charged is what came out here.

use super::world::World;
use crate::budget::Bill;
use crate::exchange::{
    NoticeKind, NoticePath, NoticeQuery, Notified, PublicUrl, UrlForm, price, token, verify_token,
};
use crate::model::exchange::{ExchangeProfile, MissingPrice, PriceUnit};
use crate::model::token::TokenClaims;

/// What an exchange writes in the place of a price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Price {
    /// CPM micros, written in the profile's unit.
    Micros(i64),
    /// Anything but a price.
    Text(&'static str),
}

/// What a billing notice says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Says {
    pub(super) price: Price,
    /// `${AUCTION_MULTIPLIER}` in millionths.
    pub(super) multiplier_ppm: Option<i64>,
    /// `${AUCTION_CURRENCY}` is another one than the bid's.
    pub(super) other_currency: bool,
}

impl Says {
    pub(super) fn price(micros: i64) -> Says {
        Says { price: Price::Micros(micros), multiplier_ppm: None, other_currency: false }
    }
}

/// What the tracking listener makes of a billing notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Post this.
    Charge(TokenClaims, Bill),
    /// Nothing can be charged.
    Refuse,
    /// A test rendering.
    Audit,
}

/// The notice's URL, from the signed token to the last macro.
pub(super) fn url(
    world: &World,
    profile: &ExchangeProfile,
    kind: NoticeKind,
    claims: &TokenClaims,
    says: &Says,
) -> String {
    let tokens = token::encode(claims, &world.keys);
    let text = match kind.class_in(profile) {
        token::TokenClass::Server => tokens.server,
        token::TokenClass::Public => tokens.public,
    };
    let base = PublicUrl::parse("https://track.example").expect("a URL");
    let template = base.pieces(kind, text.as_str(), UrlForm::of(profile)).concat();
    let currency = if says.other_currency { "CHF" } else { claims.currency.as_str() };
    let multiplier = says.multiplier_ppm.map_or_else(String::new, |ppm| decimal(ppm, 6));
    template
        .replace("${AUCTION_PRICE}", &written(&says.price, profile.price_unit))
        .replace("${AUCTION_CURRENCY}", currency)
        .replace("${AUCTION_MULTIPLIER}", &multiplier)
        .replace("${AUCTION_LOSS}", "102")
}

fn written(price: &Price, unit: PriceUnit) -> String {
    match (price, unit) {
        (Price::Text(text), _) => (*text).to_owned(),
        (Price::Micros(micros), PriceUnit::Cpm) => decimal(*micros, 6),
        (Price::Micros(micros), PriceUnit::CpmMicros) => micros.to_string(),
        (Price::Micros(micros), PriceUnit::CpiMicros) => decimal(*micros, 3),
    }
}

/// `value ÷ 10^places`, written out.
fn decimal(value: i64, places: u32) -> String {
    let unit = 10_i64.pow(places);
    format!("{}.{:0width$}", value / unit, value % unit, width = places as usize)
}

/// Reads a billing notice's URL; `None` where no token of ours is in it, or not one of its class.
pub(super) fn read(world: &World, url: &str, now_s: i64) -> Option<Heard> {
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let path = NoticePath::parse(path.strip_prefix("https://track.example")?)?;
    let (claims, class) = verify_token(path.token, &world.keys).ok()?;
    let profile = world.snapshot.catalog.exchange_by_id(claims.exchange)?;
    if class != path.kind.class_in(profile) {
        return None;
    }
    let query = NoticeQuery::parse(query);
    let at_bid = Bill::at(claims.price);
    if profile.bills_in_public() {
        return Some(Heard::Charge(claims, at_bid));
    }
    let other_currency = query.currency.value().is_some_and(|currency| currency != claims.currency);
    let notified = price::read(query.price, &profile.price_codec, profile.price_unit, now_s);
    Some(match notified {
        Ok(Notified::Audit) => Heard::Audit,
        Ok(Notified::Value(price)) if !other_currency => {
            let multiplier_ppm = query.multiplier_ppm.value();
            Heard::Charge(claims, Bill { multiplier_ppm, ..Bill::at(price) })
        }
        _ if profile.missing_price == MissingPrice::Bid => Heard::Charge(claims, at_bid),
        _ => Heard::Refuse,
    })
}

/// Reads the token of a notice of any kind.
pub(super) fn claims(world: &World, url: &str) -> Option<(NoticeKind, TokenClaims)> {
    let path = url.split('?').next()?.strip_prefix("https://track.example")?;
    let path = NoticePath::parse(path)?;
    let (claims, _) = verify_token(path.token, &world.keys).ok()?;
    Some((path.kind, claims))
}
