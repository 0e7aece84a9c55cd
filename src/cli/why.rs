//! `outbid why LINE_ITEM`: how far requests got with a line item of a running server, as a picture: every row is what is left of all
//! requests, or what ended them, with what to do about it.

use super::segment::Server;
use super::{Common, Failure};
use serde_json::Value;
use std::fmt::Write as _;

/// Characters of the longest bar.
const WIDTH: u64 = 30;

/// Whose requests, and when.
#[derive(Debug, clap::Args)]
pub(super) struct WhyArguments {
    /// The line item.
    #[arg(value_name = "LINE_ITEM")]
    line_item: u32,
    /// How finely time is told apart; minutes look at the last hour, hours at a day, days at thirty.
    #[arg(long, default_value = "minute", value_parser = ["minute", "hour", "day"])]
    step: String,
    /// From this moment on, such as 2026-03-01T00:00:00Z.
    #[arg(long, value_name = "MOMENT")]
    from: Option<String>,
    /// Until before this moment.
    #[arg(long, value_name = "MOMENT")]
    to: Option<String>,
    #[command(flatten)]
    server: Server,
}

pub(super) fn run(common: &Common, arguments: &WhyArguments) -> Result<(), Failure> {
    let WhyArguments { line_item, step, from, to, server } = arguments;
    let remote = server.remote(common)?;
    let mut path = format!("/v1/line_items/{line_item}/funnel?step={step}{}", server.account_and('&'));
    for (name, moment) in [("from", from), ("to", to)] {
        if let Some(moment) = moment {
            let quoted: String = form_urlencoded::byte_serialize(moment.as_bytes()).collect();
            // Writing to a string cannot fail.
            let _infallible = write!(path, "&{name}={quoted}");
        }
    }
    let funnel = remote.call("GET", &path, None)?.ok()?;
    if server.json {
        println!("{funnel:#}");
    } else {
        print!("{}", picture(&funnel));
    }
    Ok(())
}

/// The funnel of an answer of the API, for a terminal.
fn picture(funnel: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let total = &funnel["total"];
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let requests = number(&total["requests"]);
    let mut out = format!(
        "line item {}, {} to {}\n{}\n\n",
        text(&funnel["id"]),
        text(&funnel["from"]),
        text(&funnel["to"]),
        text(&funnel["headline"]),
    );
    let mut row = |name: &str, count: u64, about: &str| {
        let cells = (count * WIDTH).checked_div(requests).unwrap_or(0).min(WIDTH);
        let bar = match (count, cells) {
            (0, _) => String::new(),
            (_, 0) => "▏".to_owned(),
            (_, cells) => "█".repeat(cells as usize),
        };
        let line = format!("  {name:<24}{count:>12}  {bar:<30}  {about}");
        out.push_str(line.trim_end());
        out.push('\n');
    };
    let told = |reason: &Value| format!("{}: {}", text(&reason["title"]), text(&reason["advice"]));
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    row("requests", requests, "");
    for reason in list(&total["refused"]) {
        row(&format!("- {}", text(&reason["reason"])), number(&reason["requests"]), &told(&reason));
    }
    let because = &total["not_found_because"];
    row("- not found", number(&total["not_found"]), "");
    for reason in list(&because["reasons"]) {
        let between = format!("{} to {}, ", number(&reason["low"]), number(&reason["high"]));
        let name = format!("    ≈ {}", text(&reason["reason"]));
        row(&name, number(&reason["requests"]), &format!("{between}{}", told(&reason)));
    }
    row("found", number(&total["found"]), "");
    for reason in list(&total["reasons"]) {
        row(&format!("- {}", text(&reason["reason"])), number(&reason["requests"]), &told(&reason));
    }
    for name in ["bids", "wins", "losses", "billed", "impressions", "clicks", "conversions"] {
        let about = match name {
            "billed" => format!("spend {}", text(&total["spend"])),
            _ => String::new(),
        };
        row(name, number(&total[name]), &about);
        if name == "losses" {
            for lost in list(&total["losses_by_code"]) {
                row(&format!("    {}", text(&lost["code"])), number(&lost["losses"]), &told(&lost));
            }
            if number(&total["unanswered"]) > 0 {
                row("  no word", number(&total["unanswered"]), "lost silently, late, or still open");
            }
        }
    }
    if number(&total["not_found"]) > 0 {
        let n = number(&because["n"]);
        out.push_str(&format!(
            "\n  ≈ is estimated from {n} requests of a sample, with what holds in 95 of 100 cases.\n"
        ));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_picture_names_every_end_with_what_to_do() {
        let reason = |name: &str, requests: u64| {
            json!({
                "reason": name, "requests": requests, "low": requests / 2, "high": requests * 2,
                "title": "it is so", "advice": "do this",
            })
        };
        let funnel = json!({
            "id": "7", "from": "2026-03-01T00:00:00Z", "to": "2026-03-01T01:00:00Z", "headline": "geo: it is so",
            "total": {
                "requests": 1_000, "refused": [reason("crawler", 10)], "not_found": 600,
                "not_found_because": { "n": 50, "reasons": [reason("geo", 600)] },
                "found": 390, "reasons": [reason("below_floor", 290)], "bids": 100, "wins": 1, "losses": 0,
                "billed": 1, "impressions": 0, "clicks": 0, "conversions": 0, "spend": "0.002",
            },
        });
        let picture = picture(&funnel);
        for line in [
            "line item 7, 2026-03-01T00:00:00Z to 2026-03-01T01:00:00Z\ngeo: it is so\n",
            "  requests                        1000  ██████████████████████████████\n",
            "  - crawler                         10  ▏                               it is so: do this\n",
            "      ≈ geo                        600  ██████████████████              300 to 1200, it is so: do this\n",
            "  - below_floor                    290  ████████                        it is so: do this\n",
            "  bids                             100  ███\n",
            "  billed                             1  ▏                               spend 0.002\n",
            "estimated from 50 requests",
        ] {
            assert!(picture.contains(line), "{line:?} in\n{picture}");
        }
    }
}
