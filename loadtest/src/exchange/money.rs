//! Money in integers: decimals as texts, and what a bill at a price comes to (money.md 2.1).
//!
//! Invariant: no amount passes through a float. It is written from the specification and not from the server's code,
//! so that the two can disagree.

/// Nanos in a unit of money; one CPM micro an impression is one nano.
pub(crate) const UNIT: i64 = 1_000_000_000;

/// Millionths in one.
pub(crate) const PPM: i64 = 1_000_000;

/// A decimal as it stands in JSON or a URL, in units of 10 to the power of −`places`; what is finer is cut off towards
/// zero. `None` for what is no plain decimal, or does not fit.
pub(crate) fn decimal(text: &str, places: u32) -> Option<i64> {
    let (text, sign) = text.strip_prefix('-').map_or((text, 1), |rest| (rest, -1));
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) || (text.ends_with('.')) {
        return None;
    }
    let scale = 10i64.checked_pow(places)?;
    let kept = &fraction[..fraction.len().min(places as usize)];
    let kept_scale = 10i64.pow(places - kept.len() as u32);
    let small = if kept.is_empty() { 0 } else { kept.parse::<i64>().ok()?.checked_mul(kept_scale)? };
    whole.parse::<i64>().ok()?.checked_mul(scale)?.checked_add(small)?.checked_mul(sign)
}

/// Units of 10⁻⁹ as a decimal, for people and files.
pub(crate) fn amount(nanos: i128) -> String {
    let (sign, nanos) = (if nanos < 0 { "-" } else { "" }, nanos.unsigned_abs());
    format!("{sign}{}.{:09}", nanos / UNIT as u128, nanos % UNIT as u128)
}

/// What a campaign's advertiser pays on top of media, and in what money.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    /// Nano-units of the wallet's currency for one unit of the bid's.
    pub(crate) rate: i64,
    /// Data fee in CPM micros of the wallet's currency.
    pub(crate) data_fee: i64,
    /// Share of the media cost, millionths.
    pub(crate) platform_ppm: i64,
}

/// What one bill comes to, in nanos of the wallet's currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Charge {
    /// What the campaign owes: what is asked, at most the hold.
    pub(crate) charge: i64,
    /// What the house bears because more was asked than was held.
    pub(crate) over: i64,
}

impl Terms {
    /// A bill at `price` for a bid of `bid`, both in CPM micros of the bid's currency, for `plays` millionths of an
    /// impression. `None` when no number holds it.
    pub(crate) fn bill(&self, bid: i64, price: i64, plays: i64) -> Option<Charge> {
        let hold = self.sum(bid, plays, |n, d| n.div_euclid(d) + i128::from(n.rem_euclid(d) != 0))?;
        let asked = self.sum(price, plays, i128::div_euclid)?;
        let charge = asked.min(hold);
        Some(Charge { charge, over: asked - charge })
    }

    /// Media, data fee and platform share, each rounded by `divide`.
    fn sum(&self, price: i64, plays: i64, divide: impl Fn(i128, i128) -> i128) -> Option<i64> {
        let (plays, ppm) = (i128::from(plays), i128::from(PPM));
        let scaled = i128::from(price).checked_mul(i128::from(self.rate))?.checked_mul(plays)?;
        let media = divide(scaled, i128::from(UNIT) * ppm);
        let data = divide(i128::from(self.data_fee).checked_mul(plays)?, ppm);
        let platform = divide(media.checked_mul(i128::from(self.platform_ppm))?, ppm);
        i64::try_from(media.checked_add(data)?.checked_add(platform)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact_and_what_is_none_is_refused() {
        for (text, places, expected) in [
            ("1.25", 6, Some(1_250_000)),
            ("0", 9, Some(0)),
            ("1.2345678", 6, Some(1_234_567)),
            ("-0.000000001", 9, Some(-1)),
            ("400000.00", 9, Some(400_000 * UNIT)),
            ("9223372036.854775807", 9, Some(i64::MAX)),
            ("9223372036.854775808", 9, None),
            ("1e3", 6, None),
            ("1.", 6, None),
            (".5", 6, None),
            ("", 6, None),
            ("NaN", 6, None),
        ] {
            assert_eq!(decimal(text, places), expected, "{text}");
        }
        assert_eq!(amount(-1_500_000_000), "-1.500000000");
    }

    #[test]
    fn a_bill_is_its_parts_rounded_down_and_at_most_the_hold_rounded_up() {
        let plain = Terms { rate: UNIT, data_fee: 250_000, platform_ppm: 100_000 };
        let check = |terms: Terms, bid, price, plays, charge, over| {
            assert_eq!(terms.bill(bid, price, plays), Some(Charge { charge, over }), "{bid} {price} {plays}");
        };
        check(plain, 2_000_000, 1_234_567, PPM, 1_234_567 + 250_000 + 123_456, 0);
        // The hold of the full price has its share rounded up.
        check(plain, 1_234_567, 1_234_567, PPM, 1_234_567 + 250_000 + 123_456, 0);
        check(plain, 1_234_567, 1_234_568, PPM, 1_234_567 + 250_000 + 123_457, 0);
        check(plain, 1_000_000, 2_000_000, PPM, 1_350_000, 1_100_000);
        check(plain, 2_000_000, 1_000_000, 4_200_000, 4_200_000 + 1_050_000 + 420_000, 0);
        let euro = Terms { rate: 1_080_000_001, data_fee: 0, platform_ppm: 0 };
        check(euro, 1_000_000, 999_999, PPM, 1_079_998, 0);
        assert_eq!(euro.bill(i64::MAX, i64::MAX, i64::MAX), None);
    }
}
