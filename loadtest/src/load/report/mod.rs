//! What a run leaves: a table, one JSON object, an interval log, a page, and a file for build servers.

pub(crate) mod compare;
pub(crate) mod figures;
mod hlog;
mod html;
mod junit;
pub(crate) mod live;
mod plot;
mod table;

use super::args::{ReportArgs, RunArgs};
use super::measure::Measured;
use super::modes::Outcome;
use super::site::Machine;
use super::slo::Check;
use super::traffic::source::Source;
use anyhow::Context;
use figures::{Figures, Latency, rounded};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer, V2DeflateSerializer};
use serde::Serialize;
use serde_json::{Map, Value};
use std::io::Write;
use std::path::Path;
use std::time::SystemTime;

/// Names what the JSON object is made of; another number when a key changes its meaning.
pub(crate) const SCHEMA: &str = "outbid-load/1";

/// Everything that is known of a run, in the order of the JSON object.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) schema: &'static str,
    pub(crate) mode: &'static str,
    /// Seconds since 1970.
    pub(crate) started_s: u64,
    pub(crate) valid: bool,
    /// Why not.
    pub(crate) invalid: Vec<String>,
    pub(crate) checks: Vec<Check>,
    pub(crate) figures: Figures,
    pub(crate) notices: Option<Notices>,
    pub(crate) environment: Machine,
    pub(crate) settings: Settings,
    pub(crate) traffic: Bodies,
    /// What only the mode has.
    #[serde(flatten)]
    pub(crate) extra: Map<String, Value>,
    /// Segments beside the one that `figures` is of.
    pub(crate) parts: Vec<Part>,
    pub(crate) interval_s: f64,
    pub(crate) intervals: Vec<IntervalRow>,
    /// HdrHistogram V2, deflated, in base64; nanoseconds.
    pub(crate) histogram: String,
    pub(crate) histogram_from_send: String,
    #[serde(skip)]
    pub(crate) notes: Vec<String>,
    #[serde(skip)]
    pub(crate) curve: Vec<(f64, f64, f64)>,
}

/// Notices that were sent for the exchange.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Notices {
    pub(crate) answered: u64,
    pub(crate) unanswered: u64,
    /// From the moment of sending.
    pub(crate) latency_us: Latency,
}

/// How the run was set up.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Settings {
    pub(crate) rate: f64,
    pub(crate) secs: f64,
    pub(crate) warm_up_secs: f64,
    pub(crate) arrivals: String,
    pub(crate) connections: usize,
    pub(crate) notice_connections: u32,
    pub(crate) timeout_ms: u64,
    pub(crate) max_wait_ms: u64,
    pub(crate) slo: Option<String>,
    pub(crate) generator_cpu_limit_percent: f64,
    pub(crate) late_limit_percent: f64,
    pub(crate) keep_awake: bool,
    pub(crate) seed: u64,
    pub(crate) server_settings: Vec<String>,
}

/// What was sent.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Bodies {
    pub(crate) source: String,
    pub(crate) bodies: usize,
    pub(crate) body_bytes_min: usize,
    pub(crate) body_bytes_mean: f64,
    pub(crate) body_bytes_max: usize,
    pub(crate) protobuf_share: f64,
    pub(crate) gzip_share: f64,
    pub(crate) media: String,
    pub(crate) skipped_lines: usize,
    /// With what every id of the run begins.
    pub(crate) run: String,
}

/// A segment beside the main one.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) figures: Figures,
}

/// What happened in an interval.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct IntervalRow {
    /// Its start, from the end of the warm-up.
    pub(crate) at_s: f64,
    pub(crate) offered: u64,
    pub(crate) answers: u64,
    pub(crate) bids: u64,
    pub(crate) good: u64,
    pub(crate) errors: u64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p999_us: f64,
    pub(crate) max_us: f64,
}

impl Bodies {
    /// Of what was prepared.
    pub(crate) fn new(args: &RunArgs, source: &Source, run: u32) -> Bodies {
        let (min, mean, max) = source.lengths();
        let count = source.bodies.len();
        let of = |number: usize| number as f64 / count as f64;
        let corpus = args.traffic.corpus.as_ref();
        Bodies {
            source: corpus.map_or_else(|| "generated".to_owned(), |path| path.display().to_string()),
            bodies: count,
            body_bytes_min: min,
            body_bytes_mean: rounded(mean),
            body_bytes_max: max,
            protobuf_share: of(source.bodies.iter().filter(|body| body.is_protobuf).count()),
            gzip_share: of(source.bodies.iter().filter(|body| body.is_gzip).count()),
            media: if corpus.is_some() { "recorded".to_owned() } else { args.traffic.media.to_string() },
            skipped_lines: source.skipped,
            run: format!("{run:08x}"),
        }
    }
}

/// The parts of a report that no mode knows.
pub(crate) struct Frame {
    pub(crate) mode: &'static str,
    pub(crate) started_s: u64,
    pub(crate) notices: Option<Notices>,
    pub(crate) environment: Machine,
    pub(crate) settings: Settings,
    pub(crate) traffic: Bodies,
}

impl Report {
    /// Puts everything together.
    pub(crate) fn new(outcome: &Outcome, frame: Frame) -> anyhow::Result<Report> {
        let measured = &outcome.main.measured;
        Ok(Report {
            schema: SCHEMA,
            mode: frame.mode,
            started_s: frame.started_s,
            valid: outcome.invalid.is_empty(),
            invalid: outcome.invalid.clone(),
            checks: outcome.checks.clone(),
            figures: Figures::new(&outcome.main),
            notices: frame.notices,
            environment: frame.environment,
            settings: frame.settings,
            traffic: frame.traffic,
            extra: outcome.extra.clone(),
            parts: outcome
                .parts
                .iter()
                .map(|(name, figures)| Part { name: name.clone(), figures: figures.clone() })
                .collect(),
            interval_s: measured.interval_ns as f64 / 1e9,
            intervals: rows(measured),
            histogram: encoded(&measured.latency_ns)?,
            histogram_from_send: encoded(&measured.from_send_ns)?,
            notes: outcome.notes.clone(),
            curve: plot::percentiles(&measured.latency_ns, &measured.from_send_ns),
        })
    }

    /// Writes everything that was asked for, and the table or the JSON object to standard output.
    pub(crate) fn write(&self, args: &ReportArgs, measured: &Measured) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        match &args.json {
            Some(None) => writeln!(out, "{}", serde_json::to_string(self)?)?,
            to_file => {
                write!(out, "{}", table::table(self))?;
                if let Some(Some(path)) = to_file {
                    write_file(path, format!("{}\n", serde_json::to_string_pretty(self)?).as_bytes())?;
                }
            }
        }
        if let Some(path) = &args.hlog {
            write_file(path, &hlog::log(measured, self.started_s, &self.traffic.run)?)?;
        }
        if let Some(path) = &args.html {
            write_file(path, html::page(self)?.as_bytes())?;
        }
        if let Some(path) = &args.junit {
            write_file(path, junit::suite(self).as_bytes())?;
        }
        Ok(())
    }

    /// Whether every condition holds.
    pub(crate) fn holds(&self) -> bool {
        self.checks.iter().all(|check| check.holds)
    }
}

fn rows(measured: &Measured) -> Vec<IntervalRow> {
    let step = measured.interval_ns as f64 / 1e9;
    let row = |(at, interval): (usize, &super::measure::Interval)| IntervalRow {
        at_s: rounded(at as f64 * step),
        offered: interval.offered,
        answers: interval.answers,
        bids: interval.bids,
        good: interval.good,
        errors: interval.errors,
        p50_us: rounded(interval.latency_us[0]),
        p99_us: rounded(interval.latency_us[1]),
        p999_us: rounded(interval.latency_us[2]),
        max_us: rounded(interval.latency_us[3]),
    };
    measured.intervals.iter().enumerate().map(row).collect()
}

fn encoded(histogram: &Histogram<u64>) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    V2DeflateSerializer::new()
        .serialize(histogram, &mut bytes)
        .map_err(|error| anyhow::anyhow!("a histogram cannot be written: {error:?}"))?;
    Ok(base64(&bytes))
}

/// RFC 4648 section 4.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let bits =
            chunk.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for at in 0..4 {
            let digit = ALPHABET[(bits >> (18 - 6 * at)) as usize & 63];
            text.push(if at <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

/// Seconds since 1970. The one reading of the calendar: a result says when it was taken.
#[allow(clippy::disallowed_methods, reason = "a result says when it was taken")]
pub(crate) fn unix_time() -> std::time::Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

fn write_file(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    std::fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_standard() {
        for (text, expected) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(text.as_bytes()), expected);
        }
    }
}
