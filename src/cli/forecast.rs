//! `outbid forecast LINE_ITEM`: what a day of a line item of a running server would bring, as a picture.

use super::segment::Server;
use super::{Common, Failure};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Characters of the longest bar.
const WIDTH: f64 = 30.0;

/// Whose day.
#[derive(Debug, clap::Args)]
pub(super) struct ForecastArguments {
    /// The line item.
    #[arg(value_name = "LINE_ITEM")]
    line_item: u32,
    /// How many days of samples are looked at, from now back.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=7))]
    days: u32,
    /// A price of the curve, as the line item's bid has it; may be given several times.
    #[arg(long, value_name = "AMOUNT")]
    bid: Vec<String>,
    #[command(flatten)]
    server: Server,
}

pub(super) fn run(common: &Common, arguments: &ForecastArguments) -> Result<(), Failure> {
    let ForecastArguments { line_item, days, bid, server } = arguments;
    let remote = server.remote(common)?;
    let path = format!("/v1/line_items/{line_item}:forecast{}", server.account_and('?'));
    let mut asked = json!({ "days": days });
    if !bid.is_empty() {
        asked["bids"] = json!(bid);
    }
    let forecast = remote.call("POST", &path, Some(&asked.to_string()))?.ok()?;
    if server.json {
        println!("{forecast:#}");
    } else {
        print!("{}", picture(&forecast));
    }
    Ok(())
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn percent(value: &Value) -> String {
    value.as_f64().map_or_else(|| "-".to_owned(), |share| format!("{:.1} %", share * 100.0))
}

/// A forecast of the API, for a terminal.
fn picture(forecast: &Value) -> String {
    let mut out = format!(
        "line item {}, a day like {} to {}, from {} sampled requests\n{}\n\n",
        text(&forecast["line_item_id"]),
        text(&forecast["from"]),
        text(&forecast["to"]),
        text(&forecast["n"]),
        text(&forecast["headline"]),
    );
    let mut row = |name: &str, told: String| out.push_str(format!("  {name:<14}{told}\n").as_str());
    let between = |of: &Value| match of {
        Value::Null => "-".to_owned(),
        of => format!("{}   [{} to {}]", text(&of["expected"]), text(&of["low"]), text(&of["high"])),
    };
    row("requests", text(&forecast["requests"]));
    row("matched", text(&forecast["matched"]));
    row(
        "avails",
        match &forecast["at_most"] {
            Value::Null => text(&forecast["avails"]),
            most => format!("0, at most {most}"),
        },
    );
    row("bids", format!("{}   win {}", text(&forecast["bids"]), percent(&forecast["win_rate"])));
    row("impressions", between(&forecast["impressions"]));
    let currency = text(&forecast["currency"]);
    row("spend", format!("{} {currency}", between(&forecast["spend"])));
    if !forecast["budget"].is_null() {
        let limited = if forecast["limited"] == true {
            format!("; without it {}", text(&forecast["unlimited_spend"]))
        } else {
            String::new()
        };
        row("budget", format!("{} {currency} a day{limited}", text(&forecast["budget"])));
    }
    if !forecast["reach"].is_null() {
        let reach = &forecast["reach"];
        row("people", format!("≈ {}, shown to ≈ {}", text(&reach["people"]), text(&reach["shown"])));
    }
    for (name, reasons) in [("refused", &forecast["refused"]), ("no bid", &forecast["ended"])] {
        let mut name = name;
        for reason in list(reasons) {
            let told = format!("{}   {}", text(&reason["impressions"]), text(&reason["title"]));
            row(std::mem::take(&mut name), told);
        }
    }
    let curve = list(&forecast["curve"]);
    let most = curve.iter().filter_map(|point| point["impressions"].as_f64()).fold(1.0, f64::max);
    if !curve.is_empty() {
        out.push_str("\n  bid             win     impressions        spend\n");
    }
    for point in curve {
        let bid = if point["bid"].is_null() {
            format!("× {}", text(&point["times"]))
        } else {
            text(&point["bid"])
        };
        let cells = (point["impressions"].as_f64().unwrap_or(0.0) / most * WIDTH).round() as usize;
        let line = format!(
            "  {bid:<12}{:>8}{:>14}{:>14}  {}",
            percent(&point["win_rate"]),
            text(&point["impressions"]),
            text(&point["spend"]),
            "█".repeat(cells)
        );
        // Writing to a string cannot fail.
        let _infallible = writeln!(out, "{}", line.trim_end());
    }
    let relaxations = list(&forecast["relaxations"]);
    if !relaxations.is_empty() {
        out.push('\n');
    }
    for one in relaxations.iter().take(8) {
        let without: Vec<String> = list(&one["without"]).iter().map(text).collect();
        let times = match &one["times"] {
            Value::Null => format!("{} avails", text(&one["avails"])),
            times => format!("× {times}"),
        };
        let _infallible = writeln!(out, "  without {:<20}{times}", without.join(" and "));
    }
    for warning in list(&forecast["warnings"]) {
        let _infallible = writeln!(out, "\n  note: {}", text(warning));
    }
    out.push_str("\n  [ ] holds in 90 of 100 days like these; ≈ is approximate.\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_the_interval_the_curve_and_what_to_give_up() {
        let forecast = json!({
            "line_item_id": "17", "from": "2026-11-22T09:00:00Z", "to": "2026-11-23T09:00:00Z", "n": 4_000,
            "requests": 16_000, "matched": 900, "avails": 800, "bids": 700, "win_rate": 0.312, "at_most": null,
            "impressions": { "expected": 218, "low": 170, "high": 271 },
            "spend": { "expected": "0.44", "low": "0.33", "high": "0.55" }, "currency": "USD", "budget": "0.50",
            "limited": true, "unlimited_spend": "0.61", "reach": { "people": 410, "shown": 160, "approximate": true },
            "curve": [{ "times": 1.0, "bid": "2.00", "bids": 700, "win_rate": 0.312, "impressions": 218, "spend": "0.44" }],
            "headline": "about 218 impressions a day", "refused": [],
            "ended": [{ "reason": "below_floor", "title": "its price is under the floor", "impressions": 90 }],
            "relaxations": [{ "without": ["city"], "times": 3.1, "avails": 2_480, "n": 55 }],
            "warnings": ["it rests on few"],
        });
        let picture = picture(&forecast);
        for part in [
            "sampled requests\nabout 218 impressions a day\n",
            "no bid        90   its price is under the floor",
            "218   [170 to 271]",
            "0.44   [0.33 to 0.55] USD",
            "0.50 USD a day; without it 0.61",
            "≈ 410, shown to ≈ 160",
            "without city                × 3.1",
            "2.00          31.2 %",
            "note: it rests on few",
        ] {
            assert!(picture.contains(part), "{part} is not in\n{picture}");
        }
        let none = json!({ "avails": 0, "at_most": 24, "impressions": null, "spend": null, "reach": null, "budget": null });
        assert!(super::picture(&none).contains("0, at most 24"));
    }
}
