//! What was found wrong, by named rules: how often, and the first example of each.

use serde_json::{Value, json};
use std::collections::BTreeMap;

/// An example that is longer is cut.
const MAX_EXAMPLE: usize = 400;

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Findings {
    by_rule: BTreeMap<&'static str, (u64, String)>,
}

impl Findings {
    /// Notes that a rule was broken; the example is made for the first time only.
    pub(crate) fn note(&mut self, rule: &'static str, example: impl FnOnce() -> String) {
        let (count, kept) = self.by_rule.entry(rule).or_default();
        *count += 1;
        if *count == 1 {
            *kept = example().chars().take(MAX_EXAMPLE).collect();
        }
    }

    /// Rule, how often, example.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'static str, u64, &str)> {
        self.by_rule.iter().map(|(rule, (count, example))| (*rule, *count, example.as_str()))
    }

    /// How often a rule was broken.
    #[cfg(test)]
    pub(crate) fn count(&self, rule: &str) -> u64 {
        self.by_rule.get(rule).map_or(0, |(count, _)| *count)
    }

    /// Nothing was found.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_rule.is_empty()
    }

    /// `{rule: {count, example}}`.
    pub(crate) fn json(&self) -> Value {
        let rule = |(rule, count, example): (&str, u64, &str)| {
            (rule.to_owned(), json!({ "count": count, "example": example }))
        };
        Value::Object(self.iter().map(rule).collect())
    }
}
