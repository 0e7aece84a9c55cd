//! The verdicts in the XML that build servers read: one test case for each condition, and one for the run's validity.

use super::Report;

/// The text of the file.
pub(super) fn suite(report: &Report) -> String {
    let failed = report.checks.iter().filter(|check| !check.holds).count();
    let errors = usize::from(!report.valid);
    let name = format!("outbid-load {}", report.mode);
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"{}\" tests=\"{}\" failures=\"{failed}\" errors=\"{errors}\" time=\"{}\">\n",
        escaped(&name),
        report.checks.len() + 1,
        report.figures.secs,
    );
    text.push_str(&case(
        &name,
        "the generator kept up",
        "error",
        (!report.valid).then(|| report.invalid.join("; ")),
    ));
    for check in &report.checks {
        let missed = (!check.holds).then(|| format!("measured {}", check.measured));
        text.push_str(&case(&name, &check.condition, "failure", missed));
    }
    text.push_str("</testsuite>\n");
    text
}

fn case(class: &str, name: &str, kind: &str, problem: Option<String>) -> String {
    let start = format!("  <testcase classname=\"{}\" name=\"{}\"", escaped(class), escaped(name));
    match problem {
        None => format!("{start}/>\n"),
        Some(text) => format!("{start}>\n    <{kind} message=\"{}\"/>\n  </testcase>\n", escaped(&text)),
    }
}

/// For XML and HTML, in text and in attributes.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}
