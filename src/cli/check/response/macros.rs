//! The macros in markup and notices. An exchange replaces those that it knows, as they are written; a slip in a name
//! stays in the URL, and what it stands for never arrives.

use super::bid::Bid;
use super::rules;
use crate::cli::check::finding::{Findings, Rule};
use crate::exchange::macros::OPENRTB_MACROS;
use crate::model::suggest;

/// Macros of the privacy frameworks, which exchanges and players replace as well; a vendor's id may follow.
const PRIVACY: [&str; 8] =
    ["GDPR", "GDPR_CONSENT", "ADDTL_CONSENT", "GPP", "GPP_STRING", "GPP_SID", "US_PRIVACY", "GDPR_PD"];

pub(super) fn check(bid: &Bid<'_>, findings: &mut Findings) {
    for name in ["nurl", "burl", "lurl", "iurl", "adm"] {
        let Some(text) = bid.text(name) else { continue };
        for (rule, what) in judge(&text) {
            findings.add(rule, &bid.path.key(name), what);
        }
    }
}

type Judged = (&'static Rule, String);

/// Everything in a text that is meant as a macro and is none.
fn judge(text: &str) -> Vec<Judged> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("${") {
        let rest = &text[at + 2..];
        let end = rest.find(['}', '"', '\'', '<', '&', '\n']).filter(|end| rest[*end..].starts_with('}'));
        found.extend(match end {
            Some(end) => macro_between(&rest[..end]),
            None => unclosed(rest),
        });
    }
    found.extend(encoded(text));
    found.extend(in_other_braces(text));
    found
}

/// What stands between `${` and `}`.
fn macro_between(inside: &str) -> Option<Judged> {
    let (name, codec) = inside.split_once(':').unwrap_or((inside, ""));
    let is_word = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let trimmed = name.trim();
    let unknown = |what: String| Some((&rules::MACRO_UNKNOWN, what));
    if OPENRTB_MACROS.contains(&name) {
        return if is_word(codec) {
            None
        } else {
            unknown(format!("has ${{{inside}}}, whose codec is {codec:?}"))
        };
    }
    if OPENRTB_MACROS.contains(&trimmed) {
        return unknown(format!("has ${{{inside}}} with a space in it"));
    }
    if !is_word(name) || name.is_empty() {
        // A script's own expression.
        return None;
    }
    let vendorless = name.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('_');
    if PRIVACY.contains(&name) || PRIVACY.contains(&vendorless) {
        return None;
    }
    match meant(name) {
        Some(meant) => unknown(format!("has ${{{name}}}; ${{{meant}}} is meant")),
        None if name.bytes().any(|b| b.is_ascii_lowercase()) => None,
        None => Some((&rules::MACRO_ODD, format!("has ${{{name}}}"))),
    }
}

/// The macro that a mistyped name is nearest to.
fn meant(name: &str) -> Option<&'static str> {
    let upper = name.to_ascii_uppercase();
    // Earlier drafts had some without the prefix; in lower case such a word is a script's own.
    if let Some(known) = OPENRTB_MACROS.iter().find(|known| known.strip_prefix("AUCTION_") == Some(name)) {
        return Some(known);
    }
    let near = OPENRTB_MACROS.iter().find(|known| strsim::osa_distance(known, &upper) <= 2);
    let prefixed =
        || upper.starts_with("AUCTION").then(|| suggest::closest(&upper, OPENRTB_MACROS)).flatten();
    near.copied().or_else(prefixed)
}

fn unclosed(rest: &str) -> Option<Judged> {
    let known = OPENRTB_MACROS.iter().find(|name| rest.starts_with(**name))?;
    Some((&rules::MACRO_UNKNOWN, format!("has ${{{known} without its closing brace")))
}

/// `%24%7BAUCTION_PRICE%7D`: exchanges look for the plain form.
fn encoded(text: &str) -> Option<Judged> {
    let upper = text.to_ascii_uppercase();
    let at = upper.find("%24%7BAUCTION_")?;
    let name: String =
        upper[at + "%24%7B".len()..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    Some((&rules::MACRO_UNKNOWN, format!("has ${{{name}}} percent-encoded")))
}

/// `{AUCTION_PRICE}`, `[AUCTION_PRICE]`, `%%AUCTION_PRICE%%` and the like.
fn in_other_braces(text: &str) -> Option<Judged> {
    let before = |at: usize| text[..at].chars().next_back();
    OPENRTB_MACROS.iter().find_map(|name| {
        let (at, _) = text.match_indices(name).find(|(at, _)| {
            matches!(before(*at), Some('{' | '[' | '%' | '$')) && !text[..*at].ends_with("${")
        })?;
        // `%7B` ends in no percent sign, but `%24%7BAUCTION_PRICE` would be told by its own words.
        Some((&rules::MACRO_UNKNOWN, format!("has {}{name}, which is not in ${{…}}", before(at)?)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<(&str, &str)>) {
        let found = judge(text);
        let found: Vec<(&str, &str)> = found.iter().map(|(rule, what)| (rule.code, what.as_str())).collect();
        assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "{text}");
    }

    #[test]
    fn macros_are_known_by_their_exact_names() {
        for name in OPENRTB_MACROS {
            check(&format!("https://t.example/?v=${{{name}}}&w=${{{name}:B64}}"), None);
        }
        for fine in [
            "https://t.example/?g=${GDPR}&c=${GDPR_CONSENT_755}&p=${GPP_STRING_755}",
            "https://t.example/?s=${GPP_SID}&u=${US_PRIVACY}",
            "<script>`${price}${a + b}${ }`</script>",
            "https://t.example/?AUCTION_PRICE=${AUCTION_PRICE}",
            "no macro",
            "${",
        ] {
            check(fine, None);
        }
    }

    #[test]
    fn a_slip_is_told_with_what_is_meant() {
        let slip = |what| Some(("macro-unknown", what));
        check("${AUCTION_PRICES}", slip("has ${AUCTION_PRICES}; ${AUCTION_PRICE} is meant"));
        check("${auction_price}", slip("has ${auction_price}; ${AUCTION_PRICE} is meant"));
        check("${AUCTOIN_PRICE}", slip("has ${AUCTOIN_PRICE}; ${AUCTION_PRICE} is meant"));
        check("${MULTIPLIER}", slip("has ${MULTIPLIER}; ${AUCTION_MULTIPLIER} is meant"));
        check("${IMP_TS}", slip("has ${IMP_TS}; ${AUCTION_IMP_TS} is meant"));
        check("${AUCTION_PRICE: B64}", slip("has ${AUCTION_PRICE: B64}, whose codec is \" B64\""));
        check("${ AUCTION_PRICE }", slip("has ${ AUCTION_PRICE } with a space in it"));
        check("${AUCTION_PRICE\"", slip("has ${AUCTION_PRICE without its closing brace"));
        check("%24%7bAUCTION_PRICE%7d", slip("has ${AUCTION_PRICE} percent-encoded"));
        check("{AUCTION_PRICE}", slip("has {AUCTION_PRICE, which is not in ${…}"));
        check("%%AUCTION_PRICE%%", slip("has %AUCTION_PRICE, which is not in ${…}"));
        check("${CAMPAIGN}", Some(("macro-odd", "has ${CAMPAIGN}")));
    }
}
