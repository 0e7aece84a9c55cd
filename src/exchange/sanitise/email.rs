//! E-mail addresses in texts that stay: paths of URLs, titles, keywords.
//!
//! An address is `local@domain.tld`, also with its `@` written `%40` or `%2540`. The local part is what stands before it
//! without a break, the domain has a dot and ends with at least two letters (RFC 5321, section 4.1.2, less quoted
//! local parts and literal addresses, which nobody has in URLs). What only looks like one goes as well: `icon@2x.png`.

use std::borrow::Cow;

/// What stands in place of an address.
const MASK: &str = "***";

/// How an `@` is written. The longest first: one is the end of no other.
const SIGNS: [&str; 3] = ["%2540", "%40", "@"];

/// Whether a text could hold an address: it has a sign of one.
pub(super) fn may_hold(text: &str) -> bool {
    next_sign(text, 0).is_some()
}

/// The text with each e-mail address replaced by `***`; borrowed where it has none.
pub(super) fn masked(text: &str) -> Cow<'_, str> {
    let (mut out, mut done, mut at) = (String::new(), 0, 0);
    while let Some((sign_at, sign)) = next_sign(text, at) {
        at = sign_at + sign.len();
        let local = text[done..sign_at].trim_end_matches(is_local).len() + done;
        let domain = domain_len(&text[at..]);
        if local < sign_at && domain > 0 {
            out.push_str(&text[done..local]);
            out.push_str(MASK);
            done = at + domain;
            at = done;
        }
    }
    if done == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[done..]);
    Cow::Owned(out)
}

fn next_sign(text: &str, from: usize) -> Option<(usize, &'static str)> {
    memchr::memchr2_iter(b'@', b'%', &text.as_bytes()[from..])
        .map(|at| from + at)
        .find_map(|at| SIGNS.into_iter().find(|sign| text[at..].starts_with(sign)).map(|sign| (at, sign)))
}

/// Letters of any script (RFC 6531) and the marks of an atom that do not part a URL or a list.
fn is_local(letter: char) -> bool {
    letter.is_alphanumeric() || "._+-~!$^`%".contains(letter)
}

/// Length of the domain that a text begins with, in bytes; 0 = it begins with none.
fn domain_len(text: &str) -> usize {
    let end = text.find(|letter: char| !(letter.is_alphanumeric() || ".-".contains(letter)));
    let mut domain = &text[..end.unwrap_or(text.len())];
    // The dot or dash of a sentence ends it, and so does a label that is no name, such as a number.
    loop {
        domain = domain.trim_end_matches(['.', '-']);
        let Some((before, last)) = domain.rsplit_once('.') else { return 0 };
        if last.chars().count() >= 2 && last.contains(char::is_alphabetic) {
            return if before.trim_matches(['.', '-']).is_empty() { 0 } else { domain.len() };
        }
        domain = before;
    }
}

#[cfg(test)]
mod tests {
    use super::masked;
    use proptest::prelude::*;

    #[test]
    fn an_address_is_masked_wherever_it_stands_and_however_its_sign_is_written() {
        for (given, expected) in [
            ("https://shop.example/leave/ann.b+news@mail.example/now", "https://shop.example/leave/***/now"),
            ("https://shop.example/leave/ann%40mail.example", "https://shop.example/leave/***"),
            ("/u/ann%2540mail.co.example;v=1", "/u/***;v=1"),
            ("write to ann@mail.example, or bob@mail.example.", "write to ***, or ***."),
            ("ann@mail.example@bob@mail.example", "***@***"),
            ("jörg@müller.example", "***"),
            ("/profile=ann@mail.example", "/profile=***"),
            ("/lib/lodash@4.17.21/x.js", "/lib/lodash@4.17.21/x.js"),
            ("https://news.example/@ann", "https://news.example/@ann"),
            ("https://news.example/@ann.example", "https://news.example/@ann.example"),
            ("ann@localhost and ann@.example and a@b.c", "ann@localhost and ann@.example and a@b.c"),
            ("100%", "100%"),
            ("%", "%"),
            ("", ""),
        ] {
            assert_eq!(masked(given), expected, "{given}");
        }
    }

    proptest! {
        #[test]
        fn no_address_is_left_and_the_rest_stays(
            before in "([a-z/ ä%@]{0,8}[/ ,=])?", local in "[a-z0-9ö][a-z0-9.+-]{0,6}[a-z0-9]",
            sign in "@|%40|%2540", domain in "[a-z0-9]{1,6}\\.(example|de|test)", after in "([/,; ?][a-z/ ä%@]{0,8})?",
        ) {
            let text = format!("{before}{local}{sign}{domain}{after}");
            let clean = masked(&text).into_owned();
            prop_assert_eq!(&clean, &format!("{before}***{after}"));
            prop_assert_eq!(masked(&clean), clean.as_str());
        }

        #[test]
        fn any_text_is_taken_and_once_is_enough(text in "[a@%420.5xä* /-]{0,24}") {
            let clean = masked(&text).into_owned();
            prop_assert_eq!(masked(&clean), clean.as_str());
        }
    }
}
