//! What a run is for, as text: `p99<1ms,err<0.1%,achieved>99.9%`.

use super::measure::Measured;
use std::fmt;
use std::str::FromStr;

/// What can be asked of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Figure {
    /// A percentile of the latency from the intended time, in 0..=100.
    Percentile(f64),
    /// The longest latency.
    Max,
    /// The mean latency.
    Mean,
    /// Errors of offered requests.
    Errors,
    /// Achieved over offered rate.
    Achieved,
    /// Bids of answers.
    Bids,
    /// Answers in the exchange's time, of offered requests.
    Good,
    /// Late sends of sends.
    Late,
    /// Answers a second.
    Rate,
}

/// In what a figure is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Time,
    Percent,
    PerSecond,
}

impl Figure {
    fn unit(self) -> Unit {
        match self {
            Figure::Percentile(_) | Figure::Max | Figure::Mean => Unit::Time,
            Figure::Rate => Unit::PerSecond,
            _ => Unit::Percent,
        }
    }

    fn of(self, measured: &Measured) -> f64 {
        match self {
            Figure::Percentile(percent) => measured.latency_us(percent / 100.0),
            Figure::Max => measured.latency_us(1.0),
            Figure::Mean => measured.latency_ns.mean() / 1_000.0,
            Figure::Errors => 100.0 * measured.error_rate(),
            Figure::Achieved => 100.0 * measured.achieved(),
            Figure::Bids => 100.0 * measured.bid_rate(),
            Figure::Good => 100.0 * super::measure::share(measured.good, measured.offered),
            Figure::Late => 100.0 * measured.late_share(),
            Figure::Rate => measured.achieved_rps(),
        }
    }
}

/// Names, beside percentiles.
const NAMES: [(&str, Figure); 8] = [
    ("max", Figure::Max),
    ("mean", Figure::Mean),
    ("err", Figure::Errors),
    ("achieved", Figure::Achieved),
    ("bids", Figure::Bids),
    ("good", Figure::Good),
    ("late", Figure::Late),
    ("rps", Figure::Rate),
];

/// One condition.
#[derive(Clone, Debug, PartialEq)]
struct Condition {
    text: String,
    figure: Figure,
    is_upper: bool,
    /// Microseconds, percent or a second.
    bound: f64,
}

/// Conditions that must all hold.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Slo {
    conditions: Vec<Condition>,
}

/// What became of a condition.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub(crate) struct Check {
    /// As it was written.
    pub(crate) condition: String,
    /// Whether it holds.
    pub(crate) holds: bool,
    /// What was measured, in words.
    pub(crate) measured: String,
}

impl Slo {
    /// Holds each condition against what was measured.
    pub(crate) fn check(&self, measured: &Measured) -> Vec<Check> {
        let check = |condition: &Condition| {
            let value = condition.figure.of(measured);
            let holds = if condition.is_upper { value < condition.bound } else { value > condition.bound };
            Check { condition: condition.text.clone(), holds, measured: show(value, condition.figure.unit()) }
        };
        self.conditions.iter().map(check).collect()
    }
}

impl fmt::Display for Slo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<&str> = self.conditions.iter().map(|condition| condition.text.as_str()).collect();
        f.write_str(&texts.join(","))
    }
}

fn show(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Time => show_us(value),
        Unit::Percent => format!("{value:.3} %"),
        Unit::PerSecond => format!("{value:.0} a second"),
    }
}

/// Microseconds in a unit that suits them.
pub(crate) fn show_us(us: f64) -> String {
    match us {
        ..1_000.0 => format!("{us:.1} µs"),
        1_000.0..1_000_000.0 => format!("{:.2} ms", us / 1e3),
        _ => format!("{:.2} s", us / 1e6),
    }
}

impl FromStr for Slo {
    type Err = String;

    fn from_str(text: &str) -> Result<Slo, String> {
        let (mut conditions, mut at) = (Vec::new(), 0);
        for part in text.split(',') {
            conditions.push(condition(part).map_err(|(within, what)| point(text, at + within, &what))?);
            at += part.len() + 1;
        }
        Ok(Slo { conditions })
    }
}

/// The message with the text and a mark under the place.
fn point(text: &str, at: usize, what: &str) -> String {
    let column = text[..at].chars().count();
    format!("{what}, at character {}\n  {text}\n  {}^", column + 1, " ".repeat(column))
}

/// An error says where in `part` it is.
fn condition(part: &str) -> Result<Condition, (usize, String)> {
    let Some(sign) = part.find(['<', '>']) else {
        return Err((0, format!("{part:?} is no condition: write as in p99<1ms")));
    };
    let name = part[..sign].trim();
    let figure = figure(name).ok_or_else(|| {
        let names: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
        (0, format!("{name:?} is not measured: use p50, p99.9 and the like, {}", names.join(", ")))
    })?;
    let value = &part[sign + 1..];
    let value_at = sign + 1 + (value.len() - value.trim_start().len());
    let bound = bound(value.trim(), figure.unit()).map_err(|what| (value_at, what))?;
    Ok(Condition { text: part.trim().to_owned(), figure, is_upper: part[sign..].starts_with('<'), bound })
}

fn figure(name: &str) -> Option<Figure> {
    if let Some(percent) = name.strip_prefix('p') {
        let percent = percent.parse::<f64>().ok()?;
        return (percent > 0.0 && percent <= 100.0).then_some(Figure::Percentile(percent));
    }
    NAMES.iter().find(|(own, _)| *own == name).map(|(_, figure)| *figure)
}

fn bound(text: &str, unit: Unit) -> Result<f64, String> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = (&text[..end], text[end..].trim());
    let number: f64 = number.parse().map_err(|_| format!("{text:?} does not begin with a number"))?;
    match (unit, suffix) {
        (Unit::Time, "us" | "µs") => Ok(number),
        (Unit::Time, "ms") => Ok(number * 1e3),
        (Unit::Time, "s") => Ok(number * 1e6),
        (Unit::Time, _) => Err(format!("{text:?} is no time: use us, ms or s")),
        (Unit::Percent, "%") => Ok(number),
        (Unit::Percent, _) => Err(format!("{text:?} is no share: use %")),
        (Unit::PerSecond, "") => Ok(number),
        (Unit::PerSecond, _) => Err(format!("{text:?} is no rate: use a bare number")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::measure::{Moments, Recorder, Verdict};
    use std::time::Duration;

    fn measured() -> Measured {
        let second = Duration::from_secs(1);
        let mut recorder = Recorder::new(Duration::ZERO, second, second, false);
        for number in 0..1_000u64 {
            let intended = number * 1_000_000;
            recorder.offered(intended);
            recorder.sent(intended, 0, intended, 100);
            let done = intended + if number < 990 { 200_000 } else { 2_000_000 };
            let verdict = if number % 4 == 0 { Verdict::NoBid } else { Verdict::Bid };
            recorder.answered(Moments { intended, sent: intended, done }, 200, 10, verdict, 1_000_000);
        }
        recorder.finish()
    }

    #[test]
    fn conditions_are_read_and_held_against_the_figures() {
        let measured = measured();
        let check = |text: &str, expected: bool| {
            let slo: Slo = text.parse().unwrap();
            let checks = slo.check(&measured);
            assert_eq!(checks.iter().all(|check| check.holds), expected, "{checks:?}");
            assert_eq!(slo.to_string(), text);
        };
        check("p50<201us", true);
        check("p50<200us", false);
        check("p99<0.3ms,p99.9<2.1ms,max<1s,mean<300µs", true);
        check("p99<0.3ms,p99.9<2ms", false);
        check("err<0.1%,bids>60%,achieved>99%", true);
        check("bids>75%", false);
        check("good>98.9%,late<1%,rps>990", true);
        check("good>99%", false);
    }

    #[test]
    fn a_mistake_is_pointed_at() {
        let check = |text: &str, column: usize, part: &str| {
            let error = text.parse::<Slo>().unwrap_err();
            assert!(error.contains(part) && error.contains(&format!("character {column}\n")), "{error}");
            let mark = error.lines().last().unwrap();
            assert_eq!(mark.find('^').unwrap(), column + 1, "{error}");
        };
        check("p99", 1, "no condition");
        check("p99<1ms,p101<1ms", 9, "not measured");
        check("p99<1ms,qps>3", 9, "not measured");
        check("p99<1ms,err<5ms", 13, "use %");
        check("p99<1%", 5, "us, ms or s");
        check("p99<1ms,", 9, "no condition");
        check("max<ms", 5, "begin with a number");
        check("rps>5%", 5, "bare number");
    }
}
