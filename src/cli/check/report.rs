//! How findings are printed: in words, grouped by request, or one JSON object a request.

use super::finding::{Finding, Severity};
use super::outlook::Outlook;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Everything about one case.
pub(super) struct Report<'r> {
    pub(super) file: &'r str,
    pub(super) line: usize,
    /// What is there: `request`, `response` or `pair`.
    pub(super) kind: &'static str,
    /// The id of the request, or of the answer alone.
    pub(super) id: Option<String>,
    pub(super) request: Vec<Finding>,
    pub(super) response: Vec<Finding>,
    pub(super) outlook: Option<Outlook<'r>>,
}

impl Report<'_> {
    /// How many findings are this bad.
    pub(super) fn count(&self, severity: Severity) -> usize {
        self.findings().filter(|(_, finding)| finding.rule.severity == severity).count()
    }

    fn findings(&self) -> impl Iterator<Item = (&'static str, &Finding)> {
        let of = |name: &'static str| move |finding| (name, finding);
        self.request.iter().map(of("request")).chain(self.response.iter().map(of("response")))
    }

    /// In words; empty where there is nothing to say.
    pub(super) fn words(&self) -> String {
        let nothing = self.findings().next().is_none();
        if nothing && self.outlook.is_none() {
            return String::new();
        }
        let id = self.id.as_ref().map_or(String::new(), |id| format!(" {id:?}"));
        let mut out = format!("{}:{}: {}{id}", self.file, self.line, self.kind);
        out.push_str(if nothing { ": nothing found\n" } else { "\n" });
        for (of, finding) in self.findings() {
            let Finding { rule, path, what, section } = finding;
            let path = if path.is_empty() { of } else { path };
            let of = if self.kind == "pair" { format!(" in the {of}") } else { String::new() };
            let loss = rule.loss.map_or(String::new(), |code| format!(", loss code {code}"));
            // Writing to a string cannot fail.
            let _infallible = writeln!(
                out,
                "  {path}  {}{of}: {what} [{}]\n      {} {} ({section}{loss})",
                rule.severity.as_str(),
                rule.code,
                rule.why,
                rule.advice
            );
        }
        if let Some(outlook) = &self.outlook {
            out.push_str(&outlook.words());
        }
        out
    }

    /// The documented shape, see [`super::What::Openrtb`].
    pub(super) fn as_json(&self) -> Value {
        let finding = |(of, finding): (&str, &Finding)| {
            let Finding { rule, path, what, section } = finding;
            json!({
                "severity": rule.severity.as_str(), "code": rule.code, "of": of, "path": path, "what": what,
                "why": rule.why, "do": rule.advice, "section": section, "loss": rule.loss,
            })
        };
        json!({
            "file": self.file, "line": self.line, "kind": self.kind, "id": self.id,
            "errors": self.count(Severity::Error), "warnings": self.count(Severity::Warning),
            "findings": self.findings().map(finding).collect::<Vec<_>>(),
            "bidder": self.outlook.as_ref().map(Outlook::as_json),
        })
    }
}
