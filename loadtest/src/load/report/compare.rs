//! `outbid-load compare A.json B.json`: what changed from one result to another, as ratios.

use super::SCHEMA;
use anyhow::{Context, ensure};
use serde_json::Value;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Options of `outbid-load compare`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct CompareArgs {
    /// The earlier result, as `run --json FILE` wrote it.
    before: PathBuf,
    /// The later one.
    after: PathBuf,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

/// What is compared, by its place in the result.
const KEYS: [&str; 17] = [
    "/figures/offered_rps",
    "/figures/achieved_rps",
    "/figures/achieved",
    "/figures/bid_rate",
    "/figures/error_rate",
    "/figures/late_send_share",
    "/figures/latency_us/p50",
    "/figures/latency_us/p90",
    "/figures/latency_us/p99",
    "/figures/latency_us/p999",
    "/figures/latency_us/max",
    "/figures/latency_from_send_us/p99",
    "/figures/server_cpu_us_per_answer",
    "/figures/server_rss_bytes",
    "/figures/generator_cpu_us_per_request",
    "/step/highest_rate_that_holds",
    "/spike/goodput_ratio",
];

/// What must be alike for the ratios to mean something.
const ALIKE: [&str; 8] = [
    "/mode",
    "/environment/cpu",
    "/environment/kernel",
    "/settings/arrivals",
    "/settings/connections",
    "/traffic/source",
    "/traffic/body_bytes_mean",
    "/traffic/media",
];

/// Prints the ratios.
pub(crate) fn run(args: &CompareArgs) -> anyhow::Result<()> {
    let (before, after) = (read(&args.before)?, read(&args.after)?);
    let mut out = std::io::stdout().lock();
    if args.json {
        let ratios = rows(&before, &after).into_iter().map(|(name, before, after, ratio)| {
            (name, serde_json::json!({"before": before, "after": after, "ratio": ratio}))
        });
        let object: serde_json::Map<String, Value> = ratios.collect();
        writeln!(out, "{}", Value::Object(object))?;
    } else {
        out.write_all(table(&before, &after).as_bytes())?;
    }
    Ok(())
}

fn read(path: &Path) -> anyhow::Result<Value> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let value: Value =
        serde_json::from_str(&text).with_context(|| format!("{} is no JSON", path.display()))?;
    let schema = value["schema"].as_str().unwrap_or("none");
    ensure!(schema == SCHEMA, "{} has the schema {schema:?}, not {SCHEMA:?}", path.display());
    Ok(value)
}

/// Name, before, after, and after over before where before is not 0.
fn rows(before: &Value, after: &Value) -> Vec<(String, f64, f64, Option<f64>)> {
    let row = |key: &str| {
        let (then, now) = (before.pointer(key)?.as_f64()?, after.pointer(key)?.as_f64()?);
        let ratio = (then != 0.0).then(|| super::rounded(now / then));
        Some((key[1..].replace('/', "."), then, now, ratio))
    };
    KEYS.iter().filter_map(|key| row(key)).collect()
}

fn table(before: &Value, after: &Value) -> String {
    let mut out = format!("{:<40}{:>16}{:>16}{:>10}\n", "", "before", "after", "ratio");
    for (name, then, now, ratio) in rows(before, after) {
        let ratio = ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.3}"));
        // Writing into a string does not fail.
        let _ = writeln!(out, "{name:<40}{then:>16.3}{now:>16.3}{ratio:>10}");
    }
    for (name, value) in [("before", before), ("after", after)] {
        if value["valid"] == Value::Bool(false) {
            let _ = writeln!(out, "{name} is INVALID: {}", value["invalid"]);
        }
    }
    for key in ALIKE {
        let (then, now) = (before.pointer(key), after.pointer(key));
        if then != now {
            let show = |value: Option<&Value>| value.map_or_else(|| "none".to_owned(), Value::to_string);
            let _ = writeln!(out, "not alike: {} was {}, is {}", &key[1..], show(then), show(now));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ratios_are_after_over_before_and_what_differs_is_said() {
        let result = |p99: f64, connections: u32, valid: bool| {
            json!({"mode": "rate", "valid": valid, "invalid": ["late"], "settings": {"connections": connections},
                "figures": {"latency_us": {"p99": p99}, "error_rate": 0.0}})
        };
        let text = table(&result(200.0, 8, true), &result(300.0, 16, false));
        let p99 = text.lines().find(|line| line.contains("latency_us.p99")).unwrap();
        assert!(p99.ends_with("1.500"), "{p99}");
        assert!(text.lines().any(|line| line.contains("error_rate") && line.ends_with('-')));
        assert!(
            text.contains("after is INVALID: [\"late\"]")
                && text.contains("settings/connections was 8, is 16")
        );
    }
}
