//! Where a click may lead: to the creative's own landing page and nowhere else (trials D7, D9).

use super::server::{LANDING, Server, send};
use crate::store::account_file::{minimal, parse, set};
use outbid::exchange::url::{NoticePath, NoticeQuery};
use outbid::model::url::HttpUrl;
use serde_json::json;
use std::collections::BTreeSet;

/// Ways that redirectors were talked into leading elsewhere: schemes, slashes that browsers add, user names, dots and
/// characters that only some readers see, header injection, addresses in disguise.
const PAYLOADS: &[&str] = &[
    "//evil.example",
    "///evil.example",
    "////evil.example",
    "/////evil.example/",
    "/\\evil.example",
    "\\/evil.example",
    "\\\\evil.example",
    "\\/\\/evil.example",
    "/\\/evil.example",
    "/evil.example",
    "//\\/evil.example",
    "https:evil.example",
    "http:evil.example",
    "https:/evil.example",
    "https:///evil.example",
    "https:////evil.example",
    "https:\\\\evil.example",
    "https:\\/\\/evil.example",
    "http:/\\evil.example",
    "hTTps://evil.example",
    "https://evil.example",
    "http://evil.example",
    "ftp://evil.example",
    "ws://evil.example",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "java\tscript:alert(1)",
    "java\nscript:alert(1)",
    " javascript:alert(1)",
    "\u{1}javascript:alert(1)",
    "javascript://www.acme.example/%0aalert(1)",
    "javascript:%0aalert(1)//https://www.acme.example",
    "javascript&colon;alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "data:text/html;base64,PHNjcmlwdD4=",
    "vbscript:msgbox(1)",
    "file:///etc/passwd",
    "blob:https://evil.example/1",
    "about:blank",
    "https://www.acme.example@evil.example",
    "https://www.acme.example:443@evil.example",
    "https://www.acme.example%40evil.example",
    "https://www.acme.example%2540evil.example",
    "https://user:secret@www.acme.example",
    "https://@evil.example",
    "//www.acme.example@evil.example",
    "https://evil.example#@www.acme.example",
    "https://evil.example?www.acme.example",
    "https://evil.example/www.acme.example",
    "https://evil.example\\@www.acme.example",
    "https://evil.example\\.www.acme.example",
    "https://www.acme.example\\@evil.example",
    "https://www.acme.example\\.evil.example",
    "https://www.acme.example.evil.example",
    "https://wwwXacme.example",
    "https://evilwww.acme.example",
    "https://www.acme.example.",
    "https://www.acme.example..",
    "https://.www.acme.example",
    "https://www.acme.example%2eevil.example",
    "https://www.acme.example%00.evil.example",
    "https://www.acme.example%0d%0aLocation:%20https://evil.example",
    "https://www.acme.example\r\nLocation: https://evil.example",
    "https://www.acme.example\nSet-Cookie: a=b",
    "%0d%0aLocation:%20https://evil.example",
    "%E5%98%8A%E5%98%8DLocation:%20https://evil.example",
    "https://evil.example\u{3002}",
    "https://www\u{3002}acme\u{3002}example",
    "https://evil\u{ff0e}example",
    "https://www.acme.example\u{ff0f}evil.example",
    "https://www.acme.example\u{2044}evil.example",
    "https://www.\u{430}cme.example",
    "https://www.xn--cme-8cd.example",
    "https://www.acme.ex\u{e4}mple",
    "https://www.acme.example\u{202e}elpmaxe.live",
    "https://www.\u{ad}acme.example",
    "https://\u{200b}evil.example",
    "https://2130706433",
    "https://0x7f000001",
    "https://127.1",
    "https://[::ffff:127.0.0.1]",
    "https://[www.acme.example]",
    "https://www.acme.example:0",
    "https://www.acme.example:65536",
    "https://www.acme.example:80:443",
    "https://www.acme.example:evil.example",
    "https://www.acme.example;evil.example",
    "https://www.acme.example,evil.example",
    "https://www.acme.example&evil.example",
    "https://www.acme.example evil.example",
    "https://www.acme.example\tevil.example",
    "https://evil.example\t.www.acme.example",
    "https://<evil.example>",
    "https://\"evil.example",
    "https://evil.example`.www.acme.example",
    "https://",
    "https:",
    "://evil.example",
    ":evil.example",
    "?u=https://evil.example",
    "#https://evil.example",
    "evil.example",
    "../../evil.example",
    "%2f%2fevil.example",
    "%5c%5cevil.example",
    "%68ttps://evil.example",
];

/// Names that other redirectors read a destination from.
const NAMES: [&str; 12] =
    ["u", "url", "dest", "oadest", "ct0", "r", "redirect", "next", "to", "goto", "return", "clickurl"];

/// Percent-encodes all but letters and digits, as a query must be on the wire.
fn escaped(text: &str) -> String {
    let keep = |b: u8| b.is_ascii_alphanumeric();
    text.bytes().map(|b| if keep(b) { (b as char).to_string() } else { format!("%{b:02X}") }).collect()
}

/// As much of a payload as HTTP lets through unescaped.
fn raw(text: &str) -> String {
    text.bytes()
        .map(|b| {
            if b.is_ascii_graphic() && !b"\"<>`#".contains(&b) {
                (b as char).to_string()
            } else {
                format!("%{b:02X}")
            }
        })
        .collect()
}

#[test]
fn d7_there_are_enough_payloads() {
    assert!(PAYLOADS.len() >= 80, "{}", PAYLOADS.len());
    assert_eq!(PAYLOADS.iter().collect::<BTreeSet<_>>().len(), PAYLOADS.len());
}

#[test]
fn d7_no_parameter_leads_a_click_elsewhere() {
    let server = Server::start(json!({}));
    let click = server.bid().raw("/c/");
    let check = |url: &str, headers: &[(&str, &str)]| {
        let answer = server.request("GET", url, headers);
        assert_eq!((answer.status, answer.all("location")), (302, vec![LANDING]), "{url} {headers:?}");
        assert_eq!(answer.all("set-cookie"), [""; 0], "{url}");
    };
    check(&click, &[]);
    for (index, payload) in PAYLOADS.iter().enumerate() {
        check(&format!("{click}?u={}", escaped(payload)), &[]);
        check(&format!("{click}?u={}", raw(payload)), &[]);
        let name = NAMES[index % NAMES.len()];
        check(&format!("{click}?x=1&amp;{name}={}", escaped(payload)), &[]);
    }
    for name in NAMES {
        check(&format!("{click}?{name}=https%3A%2F%2Fevil.example&{name}[]=//evil.example"), &[]);
    }
    for header in
        ["host", "x-forwarded-host", "x-original-url", "x-rewrite-url", "referer", "origin", "forwarded"]
    {
        check(&click, &[(header, "evil.example")]);
    }
}

/// What stands in the place of the token is a token or nothing.
#[test]
fn d7_no_path_leads_a_click_elsewhere() {
    let server = Server::start(json!({}));
    let token = server.bid().token("/c/");
    for payload in PAYLOADS {
        for path in [
            format!("/c/{}", escaped(payload)),
            format!("/c/{token}/{}", escaped(payload)),
            format!("/c/{token}{}", escaped(payload)),
        ] {
            let answer = server.fire(&path);
            assert_eq!(answer.all("location"), [""; 0], "{path}");
            assert!([400, 404, 405].contains(&answer.status), "{path}: {}", answer.status);
        }
    }
}

/// Where the destination does come from: an account with any of these as its landing page is not loaded, or leads where
/// it says.
#[test]
fn d7_no_creative_leads_off_its_landing_domains() {
    for payload in PAYLOADS {
        let mut account = minimal();
        set(&mut account, "/creatives/0/click_url", json!(payload));
        set(&mut account, "/creatives/0/landing_domains", json!(["www.acme.example"]));
        if let Ok(loaded) = parse(&account) {
            let url = HttpUrl::parse(&loaded.account.creatives[0].click_url).unwrap();
            assert_eq!(url.host(), "www.acme.example", "{payload:?}");
        }
    }
}

#[test]
fn a_redirect_is_neither_stored_nor_followed_by_the_token() {
    let server = Server::start(json!({}));
    let answer = server.fire(&server.bid().raw("/c/"));
    assert_eq!(answer.all("cache-control"), ["no-store"]);
    assert_eq!(answer.all("referrer-policy"), ["no-referrer-when-downgrade"]);
    assert!(!String::from_utf8_lossy(&answer.body).contains("http"), "{answer:?}");
}

#[test]
fn a_click_that_does_not_verify_goes_nowhere() {
    let server = Server::start(json!({}));
    let offer = server.bid();
    for token in [offer.token("nurl"), "A".repeat(148), "x".to_owned()] {
        let answer = server.fire(&format!("/c/{token}?u=https://evil.example"));
        assert_eq!((answer.status, answer.all("location")), (404, vec![]), "{token}");
    }
}

/// D9: what nobody saw or clicked, and what was mangled on its way, is counted apart.
#[test]
fn d9_head_prefetch_and_mangled_urls_are_counted_apart() {
    let server = Server::start(json!({}));
    let offer = server.bid();
    let (click, pixel) = (offer.raw("/c/"), offer.raw("/i/"));
    let count = |kind: &str, outcome: &str| {
        server.counter(&format!("outbid_notices_total{{kind=\"{kind}\",outcome=\"{outcome}\"}}"))
    };
    assert_eq!(server.request("HEAD", &click, &[]).class(), "unseen");
    for header in [("sec-purpose", "prefetch;prerender"), ("purpose", "prefetch"), ("x-moz", "prefetch")] {
        assert_eq!(server.request("GET", &click, &[header]).class(), "unseen", "{header:?}");
        assert_eq!(server.request("GET", &pixel, &[header]).class(), "unseen", "{header:?}");
    }
    assert_eq!((count("click", "unseen"), count("impression", "unseen")), (4, 3));
    assert_eq!((count("click", "accepted"), count("impression", "accepted")), (0, 0));

    let token = offer.token("/c/");
    for mangled in [format!("//c//{token}"), format!("/c/{token}/"), format!("/c/{token}?a=1&amp;b=2")] {
        assert_eq!(server.fire(&mangled).status, 302, "{mangled}");
    }
    assert_eq!(
        (count("click", "mangled"), count("click", "accepted"), count("click", "duplicate")),
        (3, 1, 2)
    );
    assert_eq!(server.fire(&offer.url("burl", "1").replace('&', "&amp;")).class(), "accepted");
    assert_eq!((count("billing", "mangled"), server.spent().0), (1, 1_000_000));
    // A page that was saved and loaded again fires the pixel once more.
    assert_eq!((server.fire(&pixel).class(), server.fire(&pixel).class()), ("accepted", "duplicate"));
}

#[test]
fn payloads_neither_parse_as_notices_nor_panic() {
    for payload in PAYLOADS {
        assert!(NoticePath::parse(payload).is_none_or(|path| path.token.len() != 148), "{payload:?}");
        let _ = NoticeQuery::parse(payload);
    }
}

/// Methods that carry no click.
#[test]
fn only_requests_that_a_browser_or_exchange_makes_are_answered() {
    let server = Server::start(json!({}));
    let path = server.bid().raw("/c/").replace("https://track.example", "");
    for method in ["PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "BREW"] {
        assert_eq!(send(server.track(), method, &path, &[], b"").status, 405, "{method}");
    }
}
