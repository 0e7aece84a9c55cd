//! Notice URLs there and back, and the prices in them.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails as loudly as the test")]

use outbid::exchange::price;
use outbid::exchange::token::{DEAL_TOKEN_CHARS, TokenClass};
use outbid::exchange::url::{
    NoticeKind, NoticePath, NoticeQuery, Notified, PublicUrl, PublicUrlError, UrlForm,
};
use outbid::model::creative::StreamEvent;
use outbid::model::exchange::{PriceCodec, PriceUnit};
use outbid::model::money::{Cpm, Currency};
use proptest::prelude::*;

fn written(base: &str, kind: NoticeKind, token: &str) -> String {
    PublicUrl::parse(base).unwrap().pieces(kind, token, UrlForm::PLAIN).concat()
}

/// A plain price; what cannot be read is `Invalid`.
fn read_plain(raw: &str, unit: PriceUnit) -> Notified<Cpm> {
    price::read(raw, &PriceCodec::Plain, unit, 0).unwrap_or(Notified::Invalid)
}

#[test]
fn notice_urls_are_the_documented_ones() {
    let check = |kind, expected: &str| assert_eq!(written("https://t.example/x/", kind, "TOKEN"), expected);
    check(
        NoticeKind::Win,
        "https://t.example/x/n/TOKEN?p=${AUCTION_PRICE}&c=${AUCTION_CURRENCY}&m=${AUCTION_MULTIPLIER}\
         &b=${AUCTION_MBR}&w=${AUCTION_MIN_TO_WIN}",
    );
    check(
        NoticeKind::Billing,
        "https://t.example/x/b/TOKEN?p=${AUCTION_PRICE}&c=${AUCTION_CURRENCY}&m=${AUCTION_MULTIPLIER}",
    );
    check(
        NoticeKind::Loss,
        "https://t.example/x/l/TOKEN?r=${AUCTION_LOSS}&p=${AUCTION_PRICE}&c=${AUCTION_CURRENCY}\
         &w=${AUCTION_MIN_TO_WIN}",
    );
    check(NoticeKind::Impression, "https://t.example/x/i/TOKEN.gif");
    check(NoticeKind::Click, "https://t.example/x/c/TOKEN");
    let urls = PublicUrl::parse("https://t.example/x/").unwrap();
    let check = |event, expected: &str| {
        let url = urls.event_pieces(event, "TOKEN", UrlForm::PLAIN).concat();
        assert_eq!(url, format!("https://t.example/x/{expected}"));
    };
    check(StreamEvent::Impression, "i/TOKEN.gif");
    check(StreamEvent::Error, "e/TOKEN?e=error&c=[ERRORCODE]");
    for event in StreamEvent::ALL {
        if ![StreamEvent::Impression, StreamEvent::Error].contains(&event) {
            check(event, &format!("e/TOKEN?e={}", event.name()));
        }
    }
}

#[test]
fn a_notice_url_has_the_length_that_is_announced() {
    let urls = PublicUrl::parse("https://t.example").unwrap();
    let token = "T".repeat(DEAL_TOKEN_CHARS);
    for kind in NoticeKind::ALL.into_iter().filter(|kind| *kind != NoticeKind::Event) {
        let url = urls.pieces(kind, &token, UrlForm::PLAIN).concat();
        assert_eq!(url.len(), urls.notice_bytes(kind, UrlForm::PLAIN), "{kind:?}");
    }
    let events =
        StreamEvent::ALL.map(|event| urls.event_pieces(event, &token, UrlForm::PLAIN).concat().len());
    assert_eq!(events.into_iter().max(), Some(urls.notice_bytes(NoticeKind::Event, UrlForm::PLAIN)));
}

#[test]
fn only_a_plain_base_is_a_public_url() {
    let check = |text: &str, secure: Option<bool>| {
        assert_eq!(PublicUrl::parse(text).ok().map(|url| url.is_secure()), secure, "{text}");
    };
    check("https://track.example", Some(true));
    check("https://track.example/dsp/", Some(true));
    check("http://127.0.0.1:8081", Some(false));
    check("http://[::1]:8081", Some(false));
    for odd in ["", "track.example", "ftp://a", "//a", "https://", "https:///x", "https://:80"] {
        check(odd, None);
    }
    for odd in
        ["https://a?x=1", "https://a#x", "https://u@a", "https://a b", "https://a\"", "https://ä.example"]
    {
        assert!(matches!(PublicUrl::parse(odd), Err(PublicUrlError::Character { .. })), "{odd}");
    }
    assert_eq!(PublicUrl::parse("https://a//").unwrap().as_str(), "https://a");
}

#[test]
fn a_path_is_read_back_however_it_was_mangled() {
    let check = |path: &str, expected: Option<(NoticeKind, &str, bool)>| {
        let read = NoticePath::parse(path).map(|path| (path.kind, path.token, path.mangled));
        assert_eq!(read, expected, "{path}");
    };
    for (path, kind) in [
        ("/n/T", NoticeKind::Win),
        ("/b/T", NoticeKind::Billing),
        ("/l/T", NoticeKind::Loss),
        ("/i/T.gif", NoticeKind::Impression),
        ("/i/T", NoticeKind::Impression),
        ("/c/T", NoticeKind::Click),
        ("/e/T", NoticeKind::Event),
        ("/prefix/of/proxy/n/T", NoticeKind::Win),
    ] {
        check(path, Some((kind, "T", false)));
    }
    check("//n//T", Some((NoticeKind::Win, "T", true)));
    check("/n/T/", Some((NoticeKind::Win, "T", true)));
    check("/b/T.gif", Some((NoticeKind::Billing, "T.gif", false)));
    for odd in ["", "/", "/n", "/n/", "/x/T", "/N/T", "/nn/T", "T"] {
        check(odd, None);
    }
    assert_eq!(NoticeKind::Billing.class(), TokenClass::Server);
    assert_eq!(NoticeKind::Impression.class(), TokenClass::Public);
}

#[test]
fn each_state_of_a_price_macro_is_told_apart() {
    let check = |raw: &str, expected: Notified<i64>| {
        let read = match read_plain(raw, PriceUnit::Cpm) {
            Notified::Value(cpm) => Notified::Value(cpm.0),
            Notified::Empty => Notified::Empty,
            Notified::Audit => Notified::Audit,
            Notified::Unsubstituted => Notified::Unsubstituted,
            Notified::Invalid => Notified::Invalid,
        };
        assert_eq!(read, expected, "{raw}");
    };
    check("1.25", Notified::Value(1_250_000));
    check("0", Notified::Value(0));
    check("1.2345678", Notified::Value(1_234_567));
    check("3e-1", Notified::Value(300_000));
    check("+1.25+", Notified::Value(1_250_000));
    check("1%2E25", Notified::Value(1_250_000));
    check("", Notified::Empty);
    check("%20", Notified::Empty);
    check("AUDIT", Notified::Audit);
    check("audit", Notified::Audit);
    for raw in [
        "${AUCTION_PRICE}",
        "%24%7BAUCTION_PRICE%7D",
        "%24%7bAUCTION_PRICE%7d",
        "$%7BAUCTION_PRICE%7D",
        "%2524%257BAUCTION_PRICE%257D",
        "${AUCTION_PRICE:B64}",
    ] {
        check(raw, Notified::Unsubstituted);
    }
    for raw in ["NaN", "inf", "-1", "1,25", "0x10", "1e400", "1000001", "abc", "%FF", "%2", "1 2"] {
        check(raw, Notified::Invalid);
    }
    check(&"0".repeat(300), Notified::Invalid);
}

#[test]
fn a_price_in_micros_is_read_in_its_unit() {
    let check = |raw: &str, expected: Notified<Cpm>| {
        assert_eq!(read_plain(raw, PriceUnit::CpmMicros), expected, "{raw}");
    };
    check("1250000", Notified::Value(Cpm(1_250_000)));
    check("1250000.9", Notified::Value(Cpm(1_250_000)));
    check("1000000000000", Notified::Value(Cpm::MAX));
    check("1000000000001", Notified::Invalid);
    check("-1", Notified::Invalid);
    check("AUDIT", Notified::Audit);
}

#[test]
fn a_query_is_read_back_however_it_was_mangled() {
    let plain = NoticeQuery::parse("p=1.5&c=EUR&m=2.5&b=0.8&w=1.6&r=102&other=x");
    assert_eq!((plain.price, plain.min_to_win, plain.mangled), ("1.5", "1.6", false));
    assert_eq!(plain.currency, Notified::Value(Currency::parse("EUR").unwrap()));
    assert_eq!(plain.multiplier_ppm, Notified::Value(2_500_000));
    assert_eq!(plain.mbr_ppm, Notified::Value(800_000));
    assert_eq!(plain.loss, Notified::Value(102));

    let mangled = NoticeQuery::parse("p=1.5&amp;c=EUR&amp;amp;m=2.5&amp;b=0.8&amp;w=1.6&amp;r=102");
    assert_eq!(mangled, NoticeQuery { mangled: true, ..plain });

    let empty = NoticeQuery::parse("");
    assert_eq!((empty.price, empty.currency, empty.loss), ("", Notified::Empty, Notified::Empty));
    let audit = NoticeQuery::parse("p=AUDIT&c=AUDIT&m=AUDIT&r=AUDIT");
    assert_eq!(
        (audit.currency, audit.multiplier_ppm, audit.loss),
        (Notified::Audit, Notified::Audit, Notified::Audit)
    );
    let raw = NoticeQuery::parse("p=${AUCTION_PRICE}&c=${AUCTION_CURRENCY}&m=%24%7BAUCTION_MULTIPLIER%7D");
    assert_eq!((raw.currency, raw.multiplier_ppm), (Notified::Unsubstituted, Notified::Unsubstituted));
    let odd = NoticeQuery::parse("c=EURO&m=0&r=-1&b=x&&=&p");
    assert_eq!(
        (odd.currency, odd.multiplier_ppm, odd.loss),
        (Notified::Invalid, Notified::Invalid, Notified::Invalid)
    );
    assert_eq!(NoticeQuery::parse("p=1&p=2").price, "1");
    for event in StreamEvent::ALL {
        let query = format!("e={}&c=402", event.name());
        assert_eq!(NoticeQuery::parse(&query).event, Notified::Value(event));
    }
    let event = |query| NoticeQuery::parse(query).event;
    assert_eq!(
        [event(""), event("e=play"), event("e=Start")],
        [Notified::Empty, Notified::Invalid, Notified::Invalid]
    );
}

/// Section 4.4: a test rendering says so in every macro, and it is one whichever of them a notice reads.
#[test]
fn a_test_rendering_shows_in_any_macro() {
    for name in ["p", "c", "m", "r", "b", "w"] {
        assert!(NoticeQuery::parse(&format!("{name}=AUDIT")).is_audit(), "{name}");
        for other in ["1", "", "${AUCTION_PRICE}", "%2524%257BAUCTION_PRICE%257D", "AUDITED"] {
            assert!(!NoticeQuery::parse(&format!("{name}={other}")).is_audit(), "{name}={other}");
        }
    }
    assert!(!NoticeQuery::parse("e=AUDIT&x=AUDIT").is_audit());
}

/// Each macro's value unknown, a test, not replaced, and encoded once or twice.
#[test]
fn every_macro_of_our_urls_is_told_apart() {
    let check = |raw: &str, expected: Notified<()>| {
        let query = format!("c={raw}&m={raw}&r={raw}&b={raw}&p={raw}&w={raw}");
        let query = NoticeQuery::parse(&query);
        fn state<T>(read: Notified<T>) -> Notified<()> {
            match read {
                Notified::Value(_) => Notified::Value(()),
                Notified::Empty => Notified::Empty,
                Notified::Audit => Notified::Audit,
                Notified::Unsubstituted => Notified::Unsubstituted,
                Notified::Invalid => Notified::Invalid,
            }
        }
        let read =
            [state(query.currency), state(query.multiplier_ppm), state(query.loss), state(query.mbr_ppm)];
        assert_eq!(read, [expected; 4], "{raw}");
        for raw in [query.price, query.min_to_win] {
            assert_eq!(state(read_plain(raw, PriceUnit::Cpm)), expected, "{raw}");
        }
    };
    check("", Notified::Empty);
    check("+", Notified::Empty);
    check("AUDIT", Notified::Audit);
    check("%41UDIT", Notified::Audit);
    check("${AUCTION_ANY}", Notified::Unsubstituted);
    check("%24%7BAUCTION_ANY%7D", Notified::Unsubstituted);
    check("%2524%257BAUCTION_ANY%257D", Notified::Unsubstituted);
    check("x!", Notified::Invalid);
}

/// What an exchange does: plain text for plain text (OpenRTB 2.6 section 4.4).
fn substitute(url: &str, values: &[(&str, &str)]) -> String {
    values.iter().fold(url.to_owned(), |url, (name, value)| url.replace(&format!("${{{name}}}"), value))
}

#[test]
fn a_substituted_url_reads_back() {
    let url = written("https://t.example", NoticeKind::Billing, "TOKEN");
    let url = substitute(
        &url,
        &[("AUCTION_PRICE", "0.75"), ("AUCTION_CURRENCY", "USD"), ("AUCTION_MULTIPLIER", "1")],
    );
    let (path, query) = url.strip_prefix("https://t.example").unwrap().split_once('?').unwrap();
    assert_eq!(NoticePath::parse(path).unwrap().token, "TOKEN");
    let query = NoticeQuery::parse(query);
    assert_eq!(read_plain(query.price, PriceUnit::Cpm), Notified::Value(Cpm(750_000)));
    assert_eq!(query.currency.value(), Some(Currency::USD));
    assert_eq!(query.multiplier_ppm.value(), Some(1_000_000));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_written_price_reads_back_exactly(micros in 0..=Cpm::MAX.0) {
        let mut text = Vec::new();
        price::push(Cpm(micros), &mut text);
        let text = String::from_utf8(text).unwrap();
        prop_assert_eq!(text.split_once('.').map(|(_, fraction)| fraction.len()), Some(6));
        prop_assert_eq!(
            read_plain(&text, PriceUnit::Cpm),
            Notified::Value(Cpm(micros))
        );
        let float: f64 = serde_json::from_str(&text).unwrap();
        prop_assert_eq!((float * 1e6).round() as i64, micros);
    }

    #[test]
    fn no_path_and_no_query_panics(path in "\\PC{0,60}", query in "[pcmrbw=&;%+.0-9a-z$\\{\\}é]{0,80}") {
        let _ = NoticePath::parse(&path);
        let query = NoticeQuery::parse(&query);
        let _ = read_plain(query.price, PriceUnit::Cpm);
    }
}
