//! The figures as text.

use super::Report;
use crate::load::slo::show_us;
use std::fmt::Write;

/// Everything that a reader of a terminal wants.
pub(super) fn table(report: &Report) -> String {
    let mut text = String::new();
    // Writing into a string does not fail.
    let _ = write(report, &mut text);
    text
}

fn write(report: &Report, out: &mut String) -> std::fmt::Result {
    let figures = &report.figures;
    writeln!(out, "{} for {} s", report.mode, figures.secs)?;
    for note in &report.notes {
        writeln!(out, "  {note}")?;
    }
    writeln!(out, "\n{:<34}{:>12}{:>12}", "requests", "count", "a second")?;
    writeln!(out, "{:<34}{:>12}{:>12.1}", "offered", figures.offered, figures.offered_rps)?;
    writeln!(
        out,
        "{:<34}{:>12}{:>12.1}   {:.3} % of offered",
        "achieved (answers)",
        figures.answers,
        figures.achieved_rps,
        100.0 * figures.achieved
    )?;
    writeln!(out, "{:<34}{:>12}   {:.1} % of answers", "bids", figures.bids, 100.0 * figures.bid_rate)?;
    writeln!(out, "{:<34}{:>12}", "no bids (204)", figures.no_bids)?;
    writeln!(out, "{:<34}{:>12}", "in the exchange's time", figures.good)?;
    writeln!(
        out,
        "{:<34}{:>12}   {:.4} % of sends, the latest by {}",
        "late sends (over 1 ms, our fault)",
        figures.late_sends,
        100.0 * figures.late_send_share,
        show_us(figures.latest_send_us)
    )?;
    let errors: u64 = figures.errors.values().sum();
    writeln!(out, "{:<34}{:>12}   {:.4} % of offered", "errors", errors, 100.0 * figures.error_rate)?;
    for (kind, count) in &figures.errors {
        writeln!(out, "  {kind:<32}{count:>12}")?;
    }
    for (status, count) in figures.statuses.iter().filter(|(status, _)| !matches!(status, 200 | 204)) {
        writeln!(out, "  status {status:<25}{count:>12}")?;
    }
    if figures.reopened_connections > 0 {
        writeln!(out, "{:<34}{:>12}", "connections opened again", figures.reopened_connections)?;
    }
    latencies(report, out)?;
    machine(report, out)?;
    verdicts(report, out)
}

fn latencies(report: &Report, out: &mut String) -> std::fmt::Result {
    let (intended, sent) = (&report.figures.latency_us, &report.figures.latency_from_send_us);
    writeln!(out, "\n{:<10}{:>22}{:>22}", "latency", "from the intended send", "from the actual send")?;
    let rows = [
        ("mean", intended.mean, sent.mean),
        ("p50", intended.p50, sent.p50),
        ("p90", intended.p90, sent.p90),
        ("p99", intended.p99, sent.p99),
        ("p99.9", intended.p999, sent.p999),
        ("p99.99", intended.p9999, sent.p9999),
        ("max", intended.max, sent.max),
    ];
    for (name, intended, sent) in rows {
        writeln!(out, "{name:<10}{:>22}{:>22}", show_us(intended), show_us(sent))?;
    }
    if let Some(notices) = &report.notices {
        writeln!(
            out,
            "notices: {} answered, {} not; p50 {}, p99 {}, max {} from their sending",
            notices.answered,
            notices.unanswered,
            show_us(notices.latency_us.p50),
            show_us(notices.latency_us.p99),
            show_us(notices.latency_us.max)
        )?;
    }
    for part in &report.parts {
        writeln!(
            out,
            "{}: {:.0} of {:.0} a second, p50 {}, p99 {}, errors {:.3} %",
            part.name,
            part.figures.achieved_rps,
            part.figures.offered_rps,
            show_us(part.figures.latency_us.p50),
            show_us(part.figures.latency_us.p99),
            100.0 * part.figures.error_rate
        )?;
    }
    Ok(())
}

fn machine(report: &Report, out: &mut String) -> std::fmt::Result {
    let (figures, settings, traffic) = (&report.figures, &report.settings, &report.traffic);
    writeln!(out)?;
    if let (Some(us), Some(share)) = (figures.server_cpu_us_per_answer, figures.server_cpu_share) {
        writeln!(out, "server     {us:.2} µs of CPU an answer, {:.0} % of one core", 100.0 * share)?;
    }
    if let Some(own) = &figures.server {
        let at_most = |us: Option<f64>| us.map_or_else(|| "more".to_owned(), show_us);
        writeln!(
            out,
            "           says of {} decisions: p50 ≤ {}, p99 ≤ {}, p99.9 ≤ {}; {} shed, {} past their time, {} panics",
            own.decisions,
            at_most(own.decision_p50_at_most_us),
            at_most(own.decision_p99_at_most_us),
            at_most(own.decision_p999_at_most_us),
            own.shed,
            own.deadline,
            own.panics
        )?;
    }
    writeln!(
        out,
        "generator  {:.2} µs of CPU a request, {:.0} % of its core; kept from it {:.1} % of the time",
        figures.generator_cpu_us_per_request,
        100.0 * figures.generator_cpu_share,
        100.0 * figures.generator_waited_share
    )?;
    writeln!(
        out,
        "traffic    {} bodies ({}), {:.0} bytes on average ({} to {}), {} arrivals, {} connections",
        traffic.bodies,
        traffic.source,
        traffic.body_bytes_mean,
        traffic.body_bytes_min,
        traffic.body_bytes_max,
        settings.arrivals,
        settings.connections
    )?;
    if traffic.skipped_lines > 0 {
        writeln!(out, "           {} lines of the corpus hold no bid request", traffic.skipped_lines)?;
    }
    writeln!(out, "machine    {}", serde_json::to_string(&report.environment).unwrap_or_default())
}

fn verdicts(report: &Report, out: &mut String) -> std::fmt::Result {
    if !report.checks.is_empty() {
        writeln!(out)?;
    }
    for check in &report.checks {
        let mark = if check.holds { '✓' } else { '✗' };
        writeln!(out, "{mark} {}: {}", check.condition, check.measured)?;
    }
    for reason in &report.invalid {
        writeln!(out, "INVALID: {reason}")?;
    }
    Ok(())
}
