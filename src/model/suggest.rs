//! "Did you mean": the nearest known name to a mistyped one. Used for configuration keys and account fields alike.

/// The candidate nearest to `typed`, if one is near enough to be meant: at most about two of five letters differ,
/// counting a swap of neighbours as one (Damerau–Levenshtein). Case does not count.
pub fn closest<'c>(typed: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let typed = typed.to_ascii_lowercase();
    candidates
        .into_iter()
        .map(|name| (strsim::normalized_damerau_levenshtein(&typed, &name.to_ascii_lowercase()), name))
        .filter(|(likeness, _)| *likeness >= 0.6)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_name_and_a_stranger_none() {
        let names = ["include", "exclude", "time_zone"];
        for (typed, expected) in [
            ("inlcude", Some("include")),
            ("Exclude", Some("exclude")),
            ("timezone", Some("time_zone")),
            ("budget", None),
            ("", None),
        ] {
            assert_eq!(closest(typed, names), expected, "{typed}");
        }
    }
}
