//! What a billing notice asks for, after its profile's rules (money.md 2.4): the price and multiplier to post, or a
//! refusal, and what was odd about it. Pure; the ledger caps every charge at the hold whatever is asked here.
//!
//! Who could have written the query decides what of it counts. An exchange's server writes all of it. A browser may
//! rewrite a public URL, so of that only a price whose cipher proves its writer counts, and where there is none, the
//! bid's own price, whatever the parameter says. A browser that sends garbage first must not turn the price that the
//! exchange wrote into the bid's: on a public URL `missing_price` does not apply, and the notice is refused.

use crate::budget::Bill;
use crate::exchange::price::{self, PriceError};
use crate::exchange::{NoticeQuery, Notified};
use crate::model::exchange::{ExchangeProfile, MissingPrice};
use crate::model::money::Cpm;
use crate::model::token::TokenClaims;

/// A price at or above the bid times this is an error of units, most likely micros or a price for one impression.
const BAND_HIGH: i64 = 10;
/// A price at or below the bid divided by this likewise. Units differ by a thousand, and clearing that far below the
/// bid is rarer than a mistake.
const BAND_LOW: i64 = 200;

/// What to do with a billing notice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Asked {
    /// Post this.
    Charge(Bill),
    /// Charge nothing; a later notice with a good price still may.
    Refuse,
    /// A test rendering: nothing moves.
    Audit,
}

/// Something that somebody should look at; the label of a metric.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Flag {
    /// Above the bid: the campaign pays its hold, the house the rest.
    Overprice,
    /// The multiplier is above the token's: likewise.
    Multiplier,
    /// So far above the bid that the units must differ.
    BandHigh,
    /// So far below, zero included.
    BandLow,
    /// In another currency than the bid.
    Currency,
    /// Empty or not substituted.
    Missing,
    /// See the error.
    Unreadable(PriceError),
}

impl Flag {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Flag::Overprice => "overprice",
            Flag::Multiplier => "multiplier",
            Flag::BandHigh => "band_high",
            Flag::BandLow => "band_low",
            Flag::Currency => "currency",
            Flag::Missing => "price_missing",
            Flag::Unreadable(error) => error.as_str(),
        }
    }
}

/// What a billing notice asks for and what is odd about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Assessment {
    pub(super) asked: Asked,
    pub(super) flags: Vec<Flag>,
}

/// Reads the billing notice of a bid at `now_s`, seconds since the Unix epoch.
pub(super) fn assess(
    profile: &ExchangeProfile,
    claims: &TokenClaims,
    query: &NoticeQuery<'_>,
    now_s: i64,
) -> Assessment {
    let public = profile.bills_in_public();
    let at_bid = Bill::at(claims.price);
    if public && !profile.price_codec.is_authenticated() {
        return Assessment { asked: Asked::Charge(at_bid), flags: Vec::new() };
    }
    let other_currency = !public && query.currency.value().is_some_and(|c| c != claims.currency);
    let read = |raw: &str| price::read(raw, &profile.price_codec, profile.price_unit, now_s);
    let why = match read(query.price) {
        Ok(Notified::Audit) => return Assessment { asked: Asked::Audit, flags: Vec::new() },
        Ok(Notified::Value(_)) if other_currency => Flag::Currency,
        Ok(Notified::Value(price)) => {
            let multiplier_ppm = if public { None } else { query.multiplier_ppm.value() };
            let min_to_win = read(query.min_to_win).ok().and_then(Notified::value);
            let bill = Bill { price, multiplier_ppm, min_to_win: min_to_win.filter(|price| price.0 > 0) };
            return Assessment { asked: Asked::Charge(bill), flags: compare(&bill, claims) };
        }
        Ok(Notified::Empty | Notified::Unsubstituted | Notified::Invalid) => Flag::Missing,
        Err(error) => Flag::Unreadable(error),
    };
    let at_bid_allowed = !public && profile.missing_price == MissingPrice::Bid;
    Assessment { asked: if at_bid_allowed { Asked::Charge(at_bid) } else { Asked::Refuse }, flags: vec![why] }
}

/// What is odd about a bill beside its bid.
fn compare(bill: &Bill, claims: &TokenClaims) -> Vec<Flag> {
    let (Cpm(price), Cpm(bid)) = (bill.price, claims.price);
    [
        (price > bid, Flag::Overprice),
        (bill.multiplier_ppm.is_some_and(|ppm| ppm > claims.multiplier_ppm), Flag::Multiplier),
        (price >= bid.saturating_mul(BAND_HIGH), Flag::BandHigh),
        (price.saturating_mul(BAND_LOW) <= bid, Flag::BandLow),
    ]
    .into_iter()
    .filter_map(|(is_odd, flag)| is_odd.then_some(flag))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::exchange::*;
    use crate::model::ids::*;
    use crate::model::money::{Currency, PPM};
    use crate::model::rates::Rate;
    use crate::model::secret::Key256;
    use crate::model::token::Bucket;

    const NOW_S: i64 = 1_790_000_000;

    fn profile() -> ExchangeProfile {
        ExchangeProfile {
            id: ExchangeId(1),
            name: "x".to_owned(),
            auth: ExchangeAuth::LoopbackOnly,
            seat: "s".to_owned(),
            currency: Currency::USD,
            price_codec: PriceCodec::Plain,
            price_unit: PriceUnit::Cpm,
            billing_event: BillingEvent::Burl,
            burl_in_browser: false,
            missing_price: MissingPrice::Bid,
            default_at: 1,
            default_tmax_ms: 100,
            max_tmax_ms: 1_000,
            network_margin_ms: 0,
            holds: HoldLives::default(),
            max_multiplier_ppm: 100 * PPM,
            max_cpm: Cpm::MAX,
            max_qps: None,
            max_open_holds: None,
            house: HouseRules::default(),
            max_adm_bytes: 65_536,
            max_url_bytes: 2_048,
            send_nbr: false,
            send_lurl: true,
            seller_system: None,
            open_bids: 1,
            eid_sources: Vec::new(),
            match_user_id: false,
            gdpr_default: GdprDefault::Applies,
            sync_url: None,
            sync_domains: Vec::new(),
        }
    }

    /// A bid of 2.00 CPM that counts for 4.2 impressions.
    fn claims() -> TokenClaims {
        TokenClaims {
            exchange: ExchangeId(1),
            bid: BidId { epoch: 1, core: 0, sequence: 1 },
            lease: LeaseId(1),
            bucket: Bucket::default(),
            line_item: LineItemId(1),
            creative: CreativeId(1),
            issued_s: NOW_S as u32,
            price: Cpm(2_000_000),
            currency: Currency::USD,
            rate: Rate::ONE,
            data_fee: Cpm(0),
            platform_ppm: 0,
            multiplier_ppm: 4_200_000,
            budget_day: 0,
            test: false,
            user: UserKey(0),
            deal: None,
        }
    }

    fn hmac(max_age_s: Option<u32>) -> HmacPriceKeys {
        HmacPriceKeys { encryption: Key256([1; 32]), integrity: Key256([2; 32]), max_age_s }
    }

    fn charge(price: i64, multiplier_ppm: Option<i64>) -> Asked {
        Asked::Charge(Bill { multiplier_ppm, ..Bill::at(Cpm(price)) })
    }

    fn check(profile: &ExchangeProfile, query: &str, asked: Asked, flags: &[Flag]) {
        let found = assess(profile, &claims(), &NoticeQuery::parse(query), NOW_S);
        assert_eq!(found, Assessment { asked, flags: flags.to_vec() }, "{query}");
    }

    /// A6, D5 on a server's URL.
    #[test]
    fn a_server_s_price_counts_and_odd_ones_are_flagged() {
        let check = |query: &str, price: i64, multiplier, flags: &[Flag]| {
            check(&profile(), query, charge(price, multiplier), flags);
        };
        check("p=1.5&c=USD&m=4.2", 1_500_000, Some(4_200_000), &[]);
        check("p=2", 2_000_000, None, &[]);
        check("p=2.000001", 2_000_001, None, &[Flag::Overprice]);
        check("p=1&m=4.200001", 1_000_000, Some(4_200_001), &[Flag::Multiplier]);
        check("p=1&m=0.5", 1_000_000, Some(500_000), &[]);
        // A thousand times a price that cleared at 30 %, and a thousandth of the bid.
        check("p=600", 600_000_000, None, &[Flag::Overprice, Flag::BandHigh]);
        check("p=0.002", 2_000, None, &[Flag::BandLow]);
        check("p=0", 0, None, &[Flag::BandLow]);
        check("p=0.011", 11_000, None, &[]);
    }

    #[test]
    fn what_would_have_won_is_told_where_nobody_else_could_have_written_it() {
        let told = |profile: &ExchangeProfile, query: &str| match assess(
            profile,
            &claims(),
            &NoticeQuery::parse(query),
            NOW_S,
        )
        .asked
        {
            Asked::Charge(bill) => bill.min_to_win,
            other => panic!("{other:?}"),
        };
        assert_eq!(told(&profile(), "p=1.5&w=1.25"), Some(Cpm(1_250_000)));
        for nothing in ["p=1.5", "p=1.5&w=", "p=1.5&w=0", "p=1.5&w=${AUCTION_MIN_TO_WIN}", "p=1.5&w=-1"] {
            assert_eq!(told(&profile(), nothing), None, "{nothing}");
        }
        let burl = ExchangeProfile { burl_in_browser: true, ..profile() };
        assert_eq!(told(&burl, "p=1.5&w=1.25"), None);
    }

    /// A6: text that is no price.
    #[test]
    fn without_a_readable_price_the_profile_decides() {
        for (query, flag) in [
            ("", Flag::Missing),
            ("p=${AUCTION_PRICE}", Flag::Missing),
            ("p=-1", Flag::Unreadable(PriceError::BadInput)),
            ("p=NaN", Flag::Unreadable(PriceError::BadInput)),
            ("p=1&c=EUR", Flag::Currency),
        ] {
            check(&profile(), query, charge(2_000_000, None), &[flag]);
            let strict = ExchangeProfile { missing_price: MissingPrice::Reject, ..profile() };
            check(&strict, query, Asked::Refuse, &[flag]);
        }
        check(&profile(), "p=AUDIT", Asked::Audit, &[]);
    }

    /// A6: `p=0` on a public URL first.
    #[test]
    fn what_a_browser_could_have_written_is_ignored() {
        let pixel = ExchangeProfile { billing_event: BillingEvent::Impression, ..profile() };
        let burl = ExchangeProfile { burl_in_browser: true, ..profile() };
        for profile in [&pixel, &burl] {
            for query in ["", "p=0", "p=0.1&m=0.001&c=EUR", "p=99", "p=AUDIT", "p=NaN"] {
                check(profile, query, charge(2_000_000, None), &[]);
            }
        }
    }

    #[test]
    fn a_price_on_a_public_url_counts_only_with_its_signature() {
        let profile = ExchangeProfile {
            billing_event: BillingEvent::Impression,
            price_codec: PriceCodec::GoogleHmacSha1(hmac(Some(600))),
            price_unit: PriceUnit::CpmMicros,
            ..profile()
        };
        let at = |seconds: i64| {
            let mut iv = [7; 16];
            iv[..4].copy_from_slice(&(seconds as u32).to_be_bytes());
            price::google::encrypt_price(1_700_000, &iv, &hmac(None))
        };
        let good = at(NOW_S - 600);
        check(&profile, &format!("p={good}&m=0.001&c=EUR"), charge(1_700_000, None), &[]);
        let unreadable =
            |query: &str, error| check(&profile, query, Asked::Refuse, &[Flag::Unreadable(error)]);
        unreadable("p=0", PriceError::BadInput);
        unreadable(&format!("p={}", at(NOW_S - 601)), PriceError::Stale { age_s: 601 });
        unreadable(&format!("p={}", at(NOW_S + 601)), PriceError::Stale { age_s: -601 });
        let altered = good.replacen(&good[30..31], if &good[30..31] == "A" { "B" } else { "A" }, 1);
        unreadable(&format!("p={altered}"), PriceError::Signature);
        check(&profile, "", Asked::Refuse, &[Flag::Missing]);
        check(&profile, "p=AUDIT", Asked::Audit, &[]);
    }
}
