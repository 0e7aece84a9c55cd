//! What a finding is. The catalogues of all rules stand in `request::rules` and `response::rules`; every finding
//! belongs to one of them, so that its code, its section and its advice are said once.

use super::read::Path;

/// How bad a finding is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// Odd, but tolerated.
    Warning,
    /// In a request: what is named there is not bid on. In an answer: an exchange may throw the bid away, or money or a
    /// notice is lost.
    Error,
}

impl Severity {
    /// Its name in JSON and in words.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }
}

/// A kind of finding.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its stable name, such as `imp-id-missing`.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// Where it is written down.
    pub section: &'static str,
    /// Why it matters: what comes of it.
    pub why: &'static str,
    /// What to do about it.
    pub advice: &'static str,
    /// In an answer: the loss code with which an exchange would refuse the bid.
    pub loss: Option<u16>,
}

/// One thing that is wrong or odd.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The rule.
    pub rule: &'static Rule,
    /// Where, as a JSON path from the request or answer: `imp[0].video.mimes`; empty = the whole.
    pub path: String,
    /// What is there, in a person's words; a sentence without its subject, which is the path.
    pub what: String,
    /// Where it is written down: of the object that it stands in, where the rule holds for many.
    pub section: &'static str,
}

/// The findings so far.
#[derive(Debug, Default)]
pub(super) struct Findings(pub(super) Vec<Finding>);

impl Findings {
    /// Notes what stands at a path.
    pub(super) fn add(&mut self, rule: &'static Rule, path: &Path<'_>, what: impl Into<String>) {
        self.0.push(Finding { rule, path: path.to_string(), what: what.into(), section: rule.section });
    }

    /// Notes what a condition says is wrong; the words are made only then.
    pub(super) fn add_if<W: Into<String>>(
        &mut self,
        condition: bool,
        rule: &'static Rule,
        path: &Path<'_>,
        what: impl FnOnce() -> W,
    ) {
        if condition {
            self.add(rule, path, what());
        }
    }

    /// Whether a rule was found broken, anywhere.
    pub(super) fn has(&self, rule: &'static Rule) -> bool {
        self.0.iter().any(|finding| finding.rule == rule)
    }

    /// Those in the order of their paths as they were found; of one path and rule the first.
    pub(super) fn finish(mut self) -> Vec<Finding> {
        let mut seen = std::collections::HashSet::new();
        self.0.retain(|finding| seen.insert((finding.rule.code, finding.path.clone())));
        self.0
    }
}

/// Writes a catalogue: `NAME: severity, "code", "section", "why", "advice";`, and before the semicolon, of answers,
/// `=> loss`.
macro_rules! catalogue {
    ($(
        $name:ident: $severity:ident, $code:literal, $section:expr, $why:literal, $advice:literal $(=> $loss:literal)?;
    )*) => {
        $(pub(in crate::cli::check) static $name: $crate::cli::check::finding::Rule =
            $crate::cli::check::finding::Rule {
                code: $code,
                severity: $crate::cli::check::finding::Severity::$severity,
                section: $section,
                why: $why,
                advice: $advice,
                loss: $crate::cli::check::finding::loss!($($loss)?),
            };)*
        /// Every rule of this catalogue.
        pub(in crate::cli::check) static ALL: &[&$crate::cli::check::finding::Rule] = &[$(&$name),*];
    };
}

/// An optional loss code.
macro_rules! loss {
    () => {
        None
    };
    ($code:literal) => {
        Some($code)
    };
}

pub(super) use {catalogue, loss};
