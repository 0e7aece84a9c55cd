//! Exact money. Two integer units, never a float on a path that decides or charges:
//! [`Nanos`], a billionth of a currency unit, for what is held and charged, and [`Cpm`], a millionth of a currency
//! unit per thousand impressions, for prices. One CPM micro is one nano per impression, so that a price becomes a
//! charge without a division.

use std::fmt;

/// An amount in billionths of a currency unit (1 USD = 1_000_000_000).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Nanos(pub i64);

/// A price in CPM micros: millionths of a currency unit per thousand impressions (1.00 CPM = 1_000_000).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Cpm(pub i64);

/// Parts per million, the unit of multipliers and fees (1.0 = 1_000_000).
pub const PPM: i64 = 1_000_000;

/// An ISO-4217 alphabetic currency code in upper case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

impl Currency {
    /// US dollar, OpenRTB's default everywhere (OpenRTB 2.6 section 3.2.4, 3.2.12, 4.2.1).
    pub const USD: Currency = Currency(*b"USD");

    /// Reads a three-letter code in any case; `None` for anything else.
    pub fn parse(code: &str) -> Option<Currency> {
        Currency::from_bytes(code.as_bytes().try_into().ok()?)
    }

    /// The same of its three bytes.
    pub fn from_bytes(bytes: [u8; 3]) -> Option<Currency> {
        bytes.iter().all(u8::is_ascii_alphabetic).then(|| Currency(bytes.map(|b| b.to_ascii_uppercase())))
    }

    /// The code as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("a currency holds three ASCII letters")
    }

    /// The three bytes, as a token stores them.
    pub fn bytes(self) -> [u8; 3] {
        self.0
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Cpm {
    /// The largest price that any part of the engine handles: 1,000,000 units CPM.
    pub const MAX: Cpm = Cpm(1_000_000 * 1_000_000);

    /// Reads a decimal such as `1.25`, `0`, `3e-2`: finite, not negative, at most [`Cpm::MAX`]. More than six
    /// decimals are rounded up when `round_up`, else down, so that a floor never shrinks and a bid never grows.
    pub fn parse_decimal(text: &str, round_up: bool) -> Option<Cpm> {
        let micros = parse_scaled(text, 6, round_up)?;
        (0..=Cpm::MAX.0 as i128).contains(&micros).then_some(Cpm(micros as i64))
    }

    /// Reads a decimal that already counts CPM micros, as some exchanges notify it; bounds and rounding as in
    /// [`Cpm::parse_decimal`].
    pub fn parse_micros(text: &str, round_up: bool) -> Option<Cpm> {
        let micros = parse_scaled(text, 0, round_up)?;
        (0..=Cpm::MAX.0 as i128).contains(&micros).then_some(Cpm(micros as i64))
    }

    /// Reads a decimal that counts micros per impression, a thousand times a CPM micro; bounds and rounding as in
    /// [`Cpm::parse_decimal`].
    pub fn parse_cpi_micros(text: &str, round_up: bool) -> Option<Cpm> {
        let micros = parse_scaled(text, 3, round_up)?;
        (0..=Cpm::MAX.0 as i128).contains(&micros).then_some(Cpm(micros as i64))
    }

    /// What one impression at this price costs, before multipliers and fees (exact, see the module's units).
    pub fn per_impression(self) -> Nanos {
        Nanos(self.0)
    }

    /// `self × ppm ÷ 1_000_000`, rounded down; saturates at [`Cpm::MAX`].
    pub fn scale_ppm(self, ppm: i64) -> Cpm {
        // Prices of every day need no division of 128 bits, which costs many times as much.
        if let Some(product) = self.0.checked_mul(ppm) {
            return Cpm((product / PPM).clamp(0, Cpm::MAX.0));
        }
        let scaled = i128::from(self.0) * i128::from(ppm) / i128::from(PPM);
        Cpm(scaled.clamp(0, i128::from(Cpm::MAX.0)) as i64)
    }
}

impl fmt::Display for Cpm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt_scaled(f, self.0, 6, 2)
    }
}

impl Nanos {
    /// Reads a decimal amount exactly (at most nine decimals); `None` when it is malformed, finer, or too large.
    pub fn parse_decimal(text: &str) -> Option<Nanos> {
        let down = parse_scaled(text, 9, false)?;
        let up = parse_scaled(text, 9, true)?;
        (down == up).then_some(())?;
        i64::try_from(down).ok().map(Nanos)
    }
}

impl fmt::Display for Nanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt_scaled(f, self.0, 9, 2)
    }
}

/// Writes `value / 10^scale` with at least `min_decimals` decimals and no trailing zeros beyond them.
fn fmt_scaled(f: &mut fmt::Formatter<'_>, value: i64, scale: u32, min_decimals: usize) -> fmt::Result {
    let unit = 10u64.pow(scale);
    let magnitude = value.unsigned_abs();
    let sign = if value < 0 { "-" } else { "" };
    let fraction = format!("{:0width$}", magnitude % unit, width = scale as usize);
    let kept = fraction.trim_end_matches('0').len().max(min_decimals);
    f.pad(&format!("{sign}{}.{}", magnitude / unit, &fraction[..kept]))
}

/// Reads a JSON-style decimal (`-12.5e-3`) times `10^scale`; excess digits are rounded away from or toward zero.
/// Returns `None` when it is not a finite decimal or when it leaves the range of `i128` arithmetic used here.
fn parse_scaled(text: &str, scale: i32, round_up: bool) -> Option<i128> {
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = match rest.find(['e', 'E']) {
        Some(at) => {
            (&rest[..at], rest[at + 1..].strip_prefix('+').unwrap_or(&rest[at + 1..]).parse::<i32>().ok()?)
        }
        None => (rest, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut value: i128 = 0;
    let mut inexact = false;
    // Position of the digit relative to the wanted unit: digits at >= 0 count, digits below only round.
    let mut position = (whole.len() as i32).checked_add(exponent)?.checked_add(scale)?;
    for digit in whole.bytes().chain(fraction.bytes()) {
        if !digit.is_ascii_digit() {
            return None;
        }
        position -= 1;
        if position >= 0 {
            value = value.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
        } else {
            inexact |= digit != b'0';
        }
    }
    if value != 0 {
        for _ in 0..position.max(0) {
            value = value.checked_mul(10)?;
        }
    }
    if inexact && round_up {
        value += 1;
    }
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<i64>) {
        assert_eq!(Cpm::parse_decimal(text, false).map(|c| c.0), expected, "{text}");
    }

    #[test]
    fn decimals_are_read_exactly() {
        check("1.25", Some(1_250_000));
        check("0", Some(0));
        check("-0", Some(0));
        check("3e-2", Some(30_000));
        check("1E+2", Some(100_000_000));
        check("0.0000019", Some(1));
        check("1e400", None);
        check("0e400", Some(0));
        check("-1", None);
        check("1e-400", Some(0));
        check("", None);
        check(".", None);
        check("1.2.3", None);
        check("NaN", None);
        check("0x10", None);
        assert_eq!(Cpm::parse_decimal("0.0000011", true), Some(Cpm(2)));
        assert_eq!(Nanos::parse_decimal("0.0000000001"), None);
        assert_eq!(Nanos::parse_decimal("12.5"), Some(Nanos(12_500_000_000)));
    }

    #[test]
    fn amounts_print_without_noise() {
        assert_eq!(Cpm(1_250_000).to_string(), "1.25");
        assert_eq!(Cpm(1).to_string(), "0.000001");
        assert_eq!(Nanos(-1_500_000_000).to_string(), "-1.50");
    }
}
