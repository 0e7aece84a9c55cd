//! The URLs that an answer carries: those of its notices, those that stand in its markup, and the macros in them
//! (OpenRTB 2.6 section 4.4).
//!
//! In markup, whatever its kind, a link of the bidder is what begins like its notices do; which event it is for is said
//! by its path. Deliberately absent: a browser. What a script would put together is not found.

use super::account::PriceUnit;
use std::borrow::Cow;
use std::fmt::Write;

/// What a link in markup reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tracker {
    Impression,
    Click,
    /// What players report: the start, the quartiles and so on.
    Event,
}

/// Scheme and host of a URL, and the rest of it from the slash on; `None` for what is no URL with a path.
pub(crate) fn split(url: &str) -> Option<(&str, &str)> {
    let host = url.find("://")? + 3;
    let path = host + url[host..].find('/')?;
    Some((&url[..path], &url[path..]))
}

/// Links that begin with `origin` in a text of markup, each once: what they report, and path and query.
pub(crate) fn trackers(text: &str, origin: &str) -> Vec<(Tracker, String)> {
    let mut found: Vec<(Tracker, String)> = Vec::new();
    for (at, _) in text.match_indices(origin) {
        let rest = &text[at + origin.len()..];
        let ends = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | ')' | '\\');
        let end = rest.find(ends).unwrap_or(rest.len());
        let whole = unescape(&rest[..end]).replace("[ERRORCODE]", "400");
        let link = whole.split("]]").next().filter(|link| link.starts_with('/')).unwrap_or_default();
        let mut parts = link.split('?').next().unwrap_or_default().rsplit('/');
        let tracker = match (parts.next(), parts.next()) {
            (Some(_), Some("i")) => Tracker::Impression,
            (Some(_), Some("c")) => Tracker::Click,
            (Some(_), Some("e")) => Tracker::Event,
            _ => continue,
        };
        let link = (tracker, link.to_owned());
        if !found.contains(&link) {
            found.push(link);
        }
    }
    found
}

/// Undoes the references to characters that HTML and XML know by number, and `&amp;`; others stay.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let name = from[1..].split(';').next().unwrap_or_default();
        let number = name.strip_prefix('#').and_then(|digits| match digits.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok(),
            None => digits.parse().ok(),
        });
        let character = if name == "amp" { Some('&') } else { number.and_then(char::from_u32) };
        match character.filter(|_| from.len() > name.len() + 1) {
            Some(character) => out.push(character),
            None => out.push_str(&from[..=name.len()]),
        }
        rest = &from[name.len() + 1 + usize::from(character.is_some()).min(from.len() - name.len() - 1)..];
    }
    out.push_str(rest);
    out
}

/// What the exchange puts in place of macros.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Macros<'m> {
    pub(crate) auction: &'m str,
    pub(crate) bidid: &'m str,
    pub(crate) imp: &'m str,
    pub(crate) seat: &'m str,
    pub(crate) creative: &'m str,
    pub(crate) currency: &'m str,
    pub(crate) unit: PriceUnit,
    /// CPM micros; `None`: the macro stays as it is, as of an exchange that does not know it.
    pub(crate) price: Option<i64>,
    /// The bid's own price.
    pub(crate) bid: i64,
    /// The lowest price that would have won; `None`: not told.
    pub(crate) min_to_win: Option<i64>,
    /// The reason of a loss; 0 for a win (OpenRTB's list of loss reasons).
    pub(crate) loss: u32,
    /// Millionths of an impression that are billed.
    pub(crate) plays: i64,
    /// Milliseconds since the start of the run.
    pub(crate) at_ms: u128,
}

/// A price as the exchange writes it.
pub(crate) fn price(micros: i64, unit: PriceUnit) -> String {
    match unit {
        PriceUnit::Cpm => format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000),
        PriceUnit::CpmMicros => micros.to_string(),
        PriceUnit::CpiMicros => format!("{}.{:03}", micros / 1_000, micros % 1_000),
    }
}

impl Macros<'_> {
    /// A URL with its macros filled in; one that is not known becomes empty.
    pub(crate) fn fill(&self, url: &str) -> String {
        let mut out = String::with_capacity(url.len() + 16);
        let mut rest = url;
        while let Some(at) = rest.find("${") {
            let Some(length) = rest[at..].find('}') else { break };
            out.push_str(&rest[..at]);
            let whole = &rest[at..=at + length];
            match self.value(&whole[2..whole.len() - 1]) {
                Some(value) => encode(&value, &mut out),
                None => out.push_str(whole),
            }
            rest = &rest[at + length + 1..];
        }
        out.push_str(rest);
        out
    }

    /// The value of a macro; `None` when it stays.
    fn value(&self, name: &str) -> Option<Cow<'_, str>> {
        let name = name.split(':').next().unwrap_or_default();
        Some(match name {
            "AUCTION_ID" => self.auction.into(),
            "AUCTION_BID_ID" => self.bidid.into(),
            "AUCTION_IMP_ID" => self.imp.into(),
            "AUCTION_SEAT_ID" => self.seat.into(),
            "AUCTION_AD_ID" => self.creative.into(),
            "AUCTION_CURRENCY" => self.currency.into(),
            "AUCTION_PRICE" => price(self.price?, self.unit).into(),
            "AUCTION_MIN_TO_WIN" => {
                self.min_to_win.map_or(String::new(), |least| price(least, self.unit)).into()
            }
            "AUCTION_LOSS" => self.loss.to_string().into(),
            "AUCTION_MULTIPLIER" => millionths(self.plays).into(),
            "AUCTION_MBR" => {
                let ratio =
                    self.price.map_or(0, |price| i128::from(price) * 1_000_000 / i128::from(self.bid.max(1)));
                millionths(ratio as i64).into()
            }
            "AUCTION_IMP_TS" => self.at_ms.to_string().into(),
            _ => "".into(),
        })
    }
}

fn millionths(value: i64) -> String {
    format!("{}.{:06}", value / 1_000_000, value % 1_000_000)
}

/// Appends a value as a component of a URL (RFC 3986 section 2.1).
fn encode(value: &str, out: &mut String) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("a string grows");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: &str = "https://track.example";

    fn macros() -> Macros<'static> {
        Macros {
            auction: "a/1",
            bidid: "1-0-a",
            imp: "1",
            seat: "s",
            creative: "7",
            currency: "USD",
            unit: PriceUnit::Cpm,
            price: Some(1_250_000),
            bid: 2_000_000,
            min_to_win: Some(900_000),
            loss: 102,
            plays: 4_200_000,
            at_ms: 17,
        }
    }

    #[test]
    fn macros_are_filled_in_by_their_names() {
        let fill = |url: &str| macros().fill(url);
        assert_eq!(
            fill("/b/T?p=${AUCTION_PRICE}&c=${AUCTION_CURRENCY}&m=${AUCTION_MULTIPLIER}"),
            "/b/T?p=1.250000&c=USD&m=4.200000"
        );
        assert_eq!(
            fill("/l?i=${AUCTION_ID}&r=${AUCTION_LOSS}&w=${AUCTION_MIN_TO_WIN}&b=${AUCTION_MBR}"),
            "/l?i=a%2F1&r=102&w=0.900000&b=0.625000"
        );
        assert_eq!(fill("/x${NEW}y$${AUCTION_IMP_TS}${"), "/xy$17${");
        assert_eq!(Macros { price: None, ..macros() }.fill("p=${AUCTION_PRICE}"), "p=${AUCTION_PRICE}");
        assert_eq!(price(1_250_001, PriceUnit::CpmMicros), "1250001");
        assert_eq!(price(1_250_001, PriceUnit::CpiMicros), "1250.001");
    }

    #[test]
    fn links_are_found_in_every_kind_of_markup() {
        use Tracker::*;
        let check = |text: &str, expected: &[(Tracker, &str)]| {
            let found = trackers(text, ORIGIN);
            let found: Vec<(Tracker, &str)> =
                found.iter().map(|(tracker, link)| (*tracker, link.as_str())).collect();
            assert_eq!(found, expected, "{text}");
        };
        check(
            r#"<a href="https://track.example/c/T"><img src='https://track.example/i/T.gif?p=${AUCTION_PRICE}&amp;x=1'>
               <img src="https://cdn.example/i/x.gif">"#,
            &[(Click, "/c/T"), (Impression, "/i/T.gif?p=${AUCTION_PRICE}&x=1")],
        );
        check(
            "<Impression><![CDATA[https://track.example/i/T.gif]]></Impression><Error><![CDATA[\
             https://track.example/e/T?e=error&c=[ERRORCODE]]]></Error><Tracking event=\"start\">\
             https://track.example/e/T?e=start</Tracking>",
            &[(Impression, "/i/T.gif"), (Event, "/e/T?e=error&c=400"), (Event, "/e/T?e=start")],
        );
        check(
            r#"{"native":{"link":{"url":"https://track.example/c/T"},"imptrackers":["https://track.example/i/T.gif"]}}"#,
            &[(Click, "/c/T"), (Impression, "/i/T.gif")],
        );
        check(
            "<Tracking event=\"start\">https://track.example/e/T&#x3F;e&#61;start</Tracking>",
            &[(Event, "/e/T?e=start")],
        );
        check("https://track.example.evil/i/T https://track.example/other", &[]);
    }

    #[test]
    fn characters_by_number_are_undone_and_what_is_none_stays() {
        for (text, expected) in [
            ("a&#x3F;b&#61;c&amp;d", "a?b=c&d"),
            ("a&b=1&c", "a&b=1&c"),
            ("&#x110000;&;&#;&amp", "&#x110000;&;&#;&amp"),
        ] {
            assert_eq!(unescape(text), expected);
        }
    }

    #[test]
    fn a_url_is_split_behind_its_host() {
        assert_eq!(split("https://t.example:80/b/T?p=1"), Some(("https://t.example:80", "/b/T?p=1")));
        assert_eq!((split("t.example/b"), split("https://t.example")), (None, None));
    }
}
