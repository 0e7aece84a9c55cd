//! One page with everything: nothing in it comes from elsewhere, so it can be mailed and kept.

use super::Report;
use super::junit::escaped;
use super::plot::{Line, Plot, Scale};
use crate::load::slo::show_us;
use std::fmt::Write;

const STYLE: &str = "
:root{color-scheme:light dark;--line:#8884;--ok:#2a7d2a;--bad:#c0392b}
body{font:15px/1.5 system-ui,sans-serif;max-width:900px;margin:2em auto;padding:0 1em}
h1{font-size:1.4em}h2{font-size:1.1em;margin-top:2em;border-bottom:1px solid var(--line)}
table{border-collapse:collapse}td,th{padding:.2em .9em .2em 0;text-align:left;vertical-align:top}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
svg{width:100%;height:auto;font:11px system-ui,sans-serif}svg text{fill:currentColor}
svg text.y{text-anchor:end}svg text.x{text-anchor:middle}svg .grid{stroke:var(--line)}
.ok{color:var(--ok)}.bad{color:var(--bad);font-weight:600}.legend{font-size:.85em;margin:.2em 0}
pre{overflow:auto;font-size:.85em}";

const COLOURS: [&str; 4] = ["#3b78c2", "#d98032", "#b23a3a", "#5a9d5a"];

/// The text of the page.
pub(super) fn page(report: &Report) -> anyhow::Result<String> {
    let mut out = String::new();
    let title = format!("outbid-load {}", report.mode);
    write!(
        out,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title}</title><style>{STYLE}</style></head>\n<body><h1>{title}</h1>\n"
    )?;
    verdicts(report, &mut out)?;
    figures(report, &mut out)?;
    plots(report, &mut out)?;
    parts(report, &mut out)?;
    writeln!(out, "<h2>Configuration</h2>\n<table>")?;
    for (name, value) in [
        ("environment", serde_json::to_value(&report.environment)?),
        ("settings", serde_json::to_value(&report.settings)?),
        ("traffic", serde_json::to_value(&report.traffic)?),
    ] {
        for (key, value) in value.as_object().into_iter().flatten() {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            writeln!(out, "<tr><td>{name}</td><td>{}</td><td>{}</td></tr>", escaped(key), escaped(&text))?;
        }
    }
    writeln!(out, "</table>\n</body></html>")?;
    Ok(out)
}

fn verdicts(report: &Report, out: &mut String) -> std::fmt::Result {
    for reason in &report.invalid {
        writeln!(out, "<p class=\"bad\">Invalid: {}</p>", escaped(reason))?;
    }
    for note in &report.notes {
        writeln!(out, "<p>{}</p>", escaped(note))?;
    }
    if report.checks.is_empty() {
        return Ok(());
    }
    writeln!(out, "<h2>Conditions</h2>\n<table><tr><th></th><th>condition</th><th>measured</th></tr>")?;
    for check in &report.checks {
        let (class, mark) = if check.holds { ("ok", "✓") } else { ("bad", "✗") };
        writeln!(
            out,
            "<tr class=\"{class}\"><td>{mark}</td><td>{}</td><td>{}</td></tr>",
            escaped(&check.condition),
            escaped(&check.measured)
        )?;
    }
    writeln!(out, "</table>")
}

fn figures(report: &Report, out: &mut String) -> std::fmt::Result {
    let figures = &report.figures;
    let percent = |share: f64| format!("{:.3} %", 100.0 * share);
    writeln!(out, "<h2>Figures</h2>\n<table>")?;
    let errors: Vec<String> = figures.errors.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
    let rows = [
        ("offered a second", format!("{:.1}", figures.offered_rps)),
        ("achieved a second", format!("{:.1} ({})", figures.achieved_rps, percent(figures.achieved))),
        ("bids of answers", percent(figures.bid_rate)),
        ("errors of offered", format!("{} {}", percent(figures.error_rate), errors.join(", "))),
        ("late sends", format!("{} ({})", figures.late_sends, percent(figures.late_send_share))),
        ("generator, of its core", percent(figures.generator_cpu_share)),
        (
            "server, CPU an answer",
            figures.server_cpu_us_per_answer.map_or_else(|| "unknown".to_owned(), |us| format!("{us:.2} µs")),
        ),
    ];
    for (name, value) in rows {
        writeln!(out, "<tr><td>{name}</td><td class=\"n\">{}</td></tr>", escaped(&value))?;
    }
    writeln!(
        out,
        "</table>\n<table><tr><th>latency</th><th class=\"n\">from the intended send</th><th class=\"n\">from the actual send</th></tr>"
    )?;
    let (intended, sent) = (&figures.latency_us, &figures.latency_from_send_us);
    for (name, intended, sent) in [
        ("p50", intended.p50, sent.p50),
        ("p90", intended.p90, sent.p90),
        ("p99", intended.p99, sent.p99),
        ("p99.9", intended.p999, sent.p999),
        ("p99.99", intended.p9999, sent.p9999),
        ("max", intended.max, sent.max),
    ] {
        let (intended, sent) = (show_us(intended), show_us(sent));
        writeln!(out, "<tr><td>{name}</td><td class=\"n\">{intended}</td><td class=\"n\">{sent}</td></tr>")?;
    }
    writeln!(out, "</table>")
}

fn plots(report: &Report, out: &mut String) -> std::fmt::Result {
    let over_time = |of: &dyn Fn(&super::IntervalRow) -> f64| {
        report.intervals.iter().map(|row| (row.at_s, of(row))).collect::<Vec<_>>()
    };
    let line = |name, colour: usize, points| Line { name, colour: COLOURS[colour], points };
    let per_second = |count: u64| count as f64 / report.interval_s;
    let nines = ["0", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %", "99.9999 %"];
    let all = [
        Plot {
            title: "Latency over time",
            x_name: "seconds",
            x_marks: Vec::new(),
            y_scale: Scale::Logarithmic,
            y_unit: "",
            lines: vec![
                line("p50", 0, over_time(&|row| row.p50_us)),
                line("p99", 1, over_time(&|row| row.p99_us)),
                line("max", 2, over_time(&|row| row.max_us)),
            ],
        },
        Plot {
            title: "Latency by percentile",
            x_name: "percentile",
            x_marks: nines.iter().enumerate().map(|(at, name)| (at as f64, (*name).to_owned())).collect(),
            y_scale: Scale::Logarithmic,
            y_unit: "",
            lines: vec![
                line(
                    "from the intended send",
                    0,
                    report.curve.iter().map(|point| (point.0, point.1)).collect(),
                ),
                line(
                    "from the actual send",
                    1,
                    report.curve.iter().map(|point| (point.0, point.2)).collect(),
                ),
            ],
        },
        Plot {
            title: "Requests a second",
            x_name: "seconds",
            x_marks: Vec::new(),
            y_scale: Scale::Linear,
            y_unit: "",
            lines: vec![
                line("offered", 1, over_time(&|row| per_second(row.offered))),
                line("answered", 0, over_time(&|row| per_second(row.answers))),
                line("bids", 3, over_time(&|row| per_second(row.bids))),
            ],
        },
        Plot {
            title: "Errors a second",
            x_name: "seconds",
            x_marks: Vec::new(),
            y_scale: Scale::Linear,
            y_unit: "",
            lines: vec![line("errors", 2, over_time(&|row| per_second(row.errors)))],
        },
    ];
    for plot in &all {
        writeln!(out, "<h2>{}</h2>\n{}", plot.title, plot.svg())?;
    }
    Ok(())
}

fn parts(report: &Report, out: &mut String) -> std::fmt::Result {
    if report.parts.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "<h2>Parts</h2>\n<table><tr><th>part</th><th class=\"n\">offered/s</th><th class=\"n\">answered/s</th>\
         <th class=\"n\">p50</th><th class=\"n\">p99</th><th class=\"n\">errors</th></tr>"
    )?;
    for part in &report.parts {
        let figures = &part.figures;
        writeln!(
            out,
            "<tr><td>{}</td><td class=\"n\">{:.0}</td><td class=\"n\">{:.0}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{:.3} %</td></tr>",
            escaped(&part.name),
            figures.offered_rps,
            figures.achieved_rps,
            show_us(figures.latency_us.p50),
            show_us(figures.latency_us.p99),
            100.0 * figures.error_rate
        )?;
    }
    writeln!(out, "</table>")
}
