//! Markup macros: where they may stand, what is refused, and that no value ever leaves its place.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails as loudly as the test")]

use outbid::exchange::macros::{self, MacroError, MarkupContext, Place, compile, counts_clicks, encode};
use outbid::exchange::url::{PublicUrl, UrlForm};
use outbid::model::auction::{Channel, Inventory, Size};
use outbid::model::creative::{Encoding, Macro, Template, TemplatePart};
use outbid::model::ids::{BidId, CampaignId, CreativeId, LineItemId};
use proptest::prelude::*;

const ENCODINGS: [Encoding; 4] =
    [Encoding::HtmlText, Encoding::HtmlAttribute, Encoding::UrlComponent, Encoding::JsString];

/// The encodings of the macros that the author wrote, in order; the appended pixel left out.
fn places(markup: &str) -> Result<Vec<Encoding>, MacroError> {
    let template = compile(markup)?;
    let of = |part: &TemplatePart| match part {
        TemplatePart::Literal(_) => None,
        TemplatePart::Macro(_, encoding) => Some(*encoding),
    };
    let mut places: Vec<Encoding> = template.parts.iter().filter_map(of).collect();
    places.truncate(markup.matches("{{").count() - markup.matches("{{b").count());
    Ok(places)
}

#[test]
fn each_place_gets_its_encoding() {
    use Encoding::{HtmlAttribute, HtmlText, JsString, UrlComponent};
    let check = |markup: &str, expected: &[Encoding]| {
        assert_eq!(places(markup).as_deref(), Ok(expected), "{markup}");
    };
    check("<p>{{INVENTORY}}</p>", &[HtmlText]);
    check("a < b {{INVENTORY}}", &[HtmlText]);
    check("<title>{{PAGE_URL}}</title>", &[HtmlText]);
    check(r#"<a href="{{CLICK_URL}}">x</a>"#, &[HtmlAttribute]);
    check("<a href = '{{CLICK_URL}}'>x</a>", &[HtmlAttribute]);
    check(r#"<A HREF="{{CLICK_URL}}">x</A>"#, &[HtmlAttribute]);
    check(r#"<a href="{{CLICK_URL}}?u={{PAGE_URL}}">x</a>"#, &[HtmlAttribute, UrlComponent]);
    check(r#"<a href="https://a.example/?r={{CLICK_URL}}">x</a>"#, &[UrlComponent]);
    check(r#"<img src="//a.example/{{CACHEBUSTER}}.gif?p={{PAGE_URL}}">"#, &[UrlComponent; 2]);
    check(r#"<img src="p.gif?w={{WIDTH}}&h={{HEIGHT}}&d={{INVENTORY}}">"#, &[UrlComponent; 3]);
    check(r#"<img src="/p/{{INVENTORY}}"><img src="{{PAGE_URL}}">"#, &[UrlComponent; 2]);
    check(r#"<img alt="{{PAGE_URL}}" title='{{INVENTORY}}' data-w="{{WIDTH}}">"#, &[HtmlAttribute; 3]);
    check(r#"<iframe width="{{WIDTH}}" src="x"></iframe>"#, &[HtmlAttribute]);
    check(r#"<script>var a = "{{PAGE_URL}}", b = '{{CACHEBUSTER}}';</script>"#, &[JsString; 2]);
    check("<script>f(x / 2 / y, '{{CLICK_URL}}')</script>", &[JsString]);
    check("<script>x = /[/']\\/'/g; f('{{CLICK_URL}}')</script>", &[JsString]);
    check("<script>// it's\n/* it's */ f('{{CLICK_URL}}')</script>", &[JsString]);
    check("<script>f('it\\'s', `it's`, '{{CLICK_URL}}')</script>", &[JsString]);
    check("<script>/* a /*/ f('{{CLICK_URL}}')</script>", &[JsString]);
    check("<script>f('<img src=\"{{IMPRESSION_URL}}\">')</script>", &[JsString]);
    check("<script>if(a){{b()}}</script>{{WIDTH}}", &[HtmlText]);
    check("<!-- it's \"--><p title=\"{{WIDTH}}\">", &[HtmlAttribute]);
    check("<!doctype html><p title='>' lang='{{WIDTH}}'>", &[HtmlAttribute]);
    check("<svg><title>a &amp; b</title></svg><p>{{INVENTORY}}</p>", &[HtmlText]);
}

#[test]
fn a_place_that_cannot_be_encoded_is_refused_with_its_reason() {
    let check = |markup: &str, reason: &str| match compile(markup) {
        Err(MacroError::Place { name, offset, place }) => {
            assert!(place.contains(reason), "{markup}: {place}");
            assert!(markup[offset..].starts_with(&format!("{{{{{name}}}}}")), "{markup}: {name} {offset}");
        }
        other => panic!("{markup}: {other:?}"),
    };
    check("<p title={{INVENTORY}}>", "unquoted");
    check("<p title=a{{WIDTH}}>", "unquoted");
    check("<{{WIDTH}}>", "name of a tag");
    check("<p{{WIDTH}}>", "name of a tag");
    check("</{{WIDTH}}>", "name of a tag");
    check("<p {{WIDTH}}>", "name of an attribute");
    check("<p a{{WIDTH}}='1'>", "name of an attribute");
    check("<p a='1'{{WIDTH}}>", "name of an attribute");
    check("</p title='{{WIDTH}}'>", "end tag");
    check("<p onclick=\"f('{{CLICK_URL}}')\">", "event handler");
    check("<p OnClick=\"f('{{CLICK_URL}}')\">", "event handler");
    check("<p style=\"width:{{WIDTH}}px\">", "style");
    check("<style>p{width:{{WIDTH}}px}</style>", "style");
    check("<iframe srcdoc='<p>{{WIDTH}}</p>'></iframe>", "srcdoc");
    check("<iframe>{{WIDTH}}</iframe>", "cannot be encoded");
    check("<!-- {{WIDTH}} -->", "comment");
    check("<!doctype {{WIDTH}}>", "comment");
    check("<?xml {{WIDTH}}?>", "comment");
    check("<script>var a = {{WIDTH}};</script>", "outside a string");
    check("<script>var a = `{{WIDTH}}`;</script>", "template literal");
    check("<script>// '{{WIDTH}}'\n</script>", "comment");
    check("<script>/* '{{WIDTH}}' */</script>", "comment");
    check("<script>a = /'{{WIDTH}}'/</script>", "regular expression");
    check("<script>a = '\\{{WIDTH}}'</script>", "backslash");
    check("<script>if (a) /'/.test(b); c = '{{WIDTH}}'</script>", "may divide");
    check("<script>return /'/.test(b); c = '{{WIDTH}}'</script>", "may divide");
    check("<script>i++ / '{{WIDTH}}'</script>", "may divide");
    check("<script>a = `${b}`; c = '{{WIDTH}}'</script>", "template literal");
    check("<script><!--\n a = '{{WIDTH}}'\n--></script>", "<!--");
    check("<script>a = 'x\n'; b = '{{WIDTH}}'</script>", "does not close");
    check("<script>document.write('<p title=\"{{PAGE_URL}}\">')</script>", "markup that a script writes");
    check("<a href='javascript:f({{WIDTH}})'>", "not plainly");
    check("<a href=' JaVa\nScript:f(\"{{CLICK_URL}}\")'>", "not plainly");
    check("<a href='java&#115;cript:f({{WIDTH}})'>", "not plainly");
    check("<a href='data:text/html,{{WIDTH}}'>", "not plainly");
    check("<a href='https:{{INVENTORY}}'>", "not plainly");
    check("<a href='{{CLICK_URL}}&u={{PAGE_URL}}'>", "not plainly");
    check("<script src='https://{{INVENTORY}}/a.js'></script>", "host");
    check("<script src='\\\\cdn.{{INVENTORY}}'></script>", "host");
    check("<meta http-equiv=refresh content='0;url={{PAGE_URL}}'>", "not known to be plain text");
    check("<p id='{{INVENTORY}}'>", "not known to be plain text");
}

#[test]
fn markup_that_browsers_read_differently_is_refused() {
    let check = |markup: &str, reason: &str| match compile(markup) {
        Err(MacroError::Markup { what, .. }) => assert!(what.contains(reason), "{markup}: {what}"),
        other => panic!("{markup}: {other:?}"),
    };
    check("<p title=\"", "inside a tag");
    check("<p", "inside a tag");
    check("<!-- x", "inside a comment");
    check("<script>x", "inside a <script>");
    check("<title>x", "not closed");
    check("<![CDATA[ x ]]>", "CDATA");
    check("<plaintext>", "plaintext");
    check("<script><!-- <script></script>", "<script inside a script");
    check("<svg><script>a&quot;b</script></svg>", "SVG");
    check("<svg><style>a<b</style></svg>", "SVG");
    check("<svg><script/></svg>", "self-closing");
    check("<noscript><img alt='</noscript>'></noscript>", "noscript");
}

#[test]
fn an_empty_value_joins_nothing_to_a_macro_of_the_exchange() {
    let refused = |markup: &str| matches!(compile(markup), Err(MacroError::Markup { what, .. }) if what.contains("a $ before"));
    assert!(refused("<p>${{INVENTORY}}{AUCTION_PRICE}</p>"));
    assert!(refused("<p>${{INVENTORY}}{{PAGE_URL}}{AUCTION_PRICE}</p>"));
    for markup in ["<p>${{WIDTH}}{AUCTION_PRICE}</p>", "<p>${{INVENTORY}} {AUCTION_PRICE}</p>"] {
        assert!(!show(&compile(markup).unwrap(), "").contains("${"), "{markup}");
    }
}

#[test]
fn an_unknown_macro_is_named_with_the_nearest_known() {
    let check = |markup: &str, message: &str| assert_eq!(compile(markup).unwrap_err().to_string(), message);
    check("ab{{CLICKURL}}", "unknown macro {{CLICKURL}} at byte 2, did you mean {{CLICK_URL}}?");
    check("{{click_url}}", "unknown macro {{click_url}} at byte 0, did you mean {{CLICK_URL}}?");
    check("é{{ WIDTH }}", "unknown macro {{ WIDTH }} at byte 2, did you mean {{WIDTH}}?");
    check("{{CACHE_BUSTER}}", "unknown macro {{CACHE_BUSTER}} at byte 0, did you mean {{CACHEBUSTER}}?");
    check(
        "x{{CLICK_URL}",
        "{{ at byte 1 begins a macro that no }} ends; where it is none, put a space between the braces",
    );
}

#[test]
fn an_openrtb_macro_is_left_to_the_exchange() {
    let markup = "<img src=\"https://a.example/?p=${AUCTION_PRICE}&i={{CREATIVE_ID}}\">";
    assert!(show(&compile(markup).unwrap(), "").contains("?p=${AUCTION_PRICE}&i=9"));
}

#[test]
fn markup_that_does_not_fetch_the_pixel_gets_one() {
    let pixel = format!(
        "<img src=\"https://t.example/i/{}.gif\" width=\"1\" height=\"1\" alt=\"\" style=\"display:none\">",
        token()
    );
    let check = |markup: &str, appended: bool| {
        let shown = show(&compile(markup).unwrap(), "");
        assert_eq!(shown.ends_with(&pixel), appended, "{shown}");
        assert!(shown.contains("/i/") || shown.contains("u002Fi\\u002F"), "{shown}");
    };
    check("<p>x</p>", true);
    check("", true);
    check("<img src=\"{{IMPRESSION_URL}}\">", false);
    check("<img data-src='{{IMPRESSION_URL}}'>", false);
    check("<script>f('{{IMPRESSION_URL}}')</script>", false);
    // None of these is fetched when the ad is shown.
    check("<a href=\"{{IMPRESSION_URL}}\">x</a>", true);
    check("<p>{{IMPRESSION_URL}}</p>", true);
    check("<noscript><img src=\"{{IMPRESSION_URL}}\"></noscript>", true);
    check("<noscript></noscript><img src=\"{{IMPRESSION_URL}}\">", false);
}

#[test]
fn every_macro_has_its_value() {
    let markup = "{{CACHEBUSTER}},{{CREATIVE_ID}},{{LINE_ITEM_ID}},{{CAMPAIGN_ID}},{{WIDTH}},{{HEIGHT}},\
                  {{INVENTORY}},{{PAGE_URL}},{{CLICK_URL}},{{IMPRESSION_URL}}";
    let shown = show(&compile(markup).unwrap(), "a.example");
    let expected = format!(
        "77,9,8,7,300,250,a.example,a.example,https://t.example/c/{0},https://t.example/i/{0}.gif",
        token()
    );
    assert!(shown.starts_with(&expected), "{shown}");
    assert!(counts_clicks(&compile(markup).unwrap()));
    assert!(!counts_clicks(&compile("{{WIDTH}}").unwrap()));
    let Template { parts, .. } = compile("{{WIDTH}}").unwrap();
    assert_eq!(parts[0], TemplatePart::Macro(Macro::Width, Encoding::HtmlText));
}

#[test]
fn the_exchange_s_own_macros_stay_and_a_mistyped_one_is_refused() {
    let names = [
        "AUCTION_ID",
        "AUCTION_BID_ID",
        "AUCTION_IMP_ID",
        "AUCTION_SEAT_ID",
        "AUCTION_AD_ID",
        "AUCTION_PRICE",
        "AUCTION_CURRENCY",
        "AUCTION_MBR",
        "AUCTION_LOSS",
        "AUCTION_MIN_TO_WIN",
        "AUCTION_MULTIPLIER",
        "AUCTION_IMP_TS",
        "AUCTION_DISCOUNT_PCT",
        "AUCTION_DISCOUNT_CPM",
    ];
    for name in names {
        let markup = format!("<img src=\"https://t.example/?a=${{{name}}}&b=${{{name}:B64}}\">");
        assert!(show(&compile(&markup).unwrap(), "x").contains(&markup), "{name}");
    }
    let check = |markup: &str, expected: Option<(&str, usize, &str)>| {
        let found = match compile(markup) {
            Err(MacroError::UnknownExchange { name, offset, suggestion }) => Some((name, offset, suggestion)),
            Ok(_) => None,
            other => panic!("{markup}: {other:?}"),
        };
        let found = found.as_ref().map(|(name, offset, suggestion)| (name.as_str(), *offset, *suggestion));
        assert_eq!(found, expected, "{markup}");
    };
    check("a ${AUCTION_PRIZE}", Some(("AUCTION_PRIZE", 2, "AUCTION_PRICE")));
    check("${auction_price}", Some(("auction_price", 0, "AUCTION_PRICE")));
    check("${AUCTION_PRIC:B64}", Some(("AUCTION_PRIC", 0, "AUCTION_PRICE")));
    check("<script>a('${AUCTION_IMPID}')</script>", Some(("AUCTION_IMPID", 11, "AUCTION_IMP_ID")));
    // Not shaped like a macro: a script's own business.
    for markup in
        ["${price}", "${GDPR}", "${GDPR_CONSENT_28}", "${AUCTION_PRICE", "$AUCTION_X", "${AUCTION_A + b}"]
    {
        check(markup, None);
    }
}

#[test]
fn the_place_is_read_from_the_request() {
    let inventory = Inventory {
        domain: Some("d.example"),
        bundle: Some("com.b"),
        page: Some("https://d.example/p"),
        ..Inventory::default()
    };
    let check = |channel: Channel<'_>, expected: (&str, &str)| {
        let place = Place::of(&channel);
        assert_eq!((place.inventory, place.page), expected);
    };
    check(Channel::Site(inventory.clone()), ("d.example", "https://d.example/p"));
    check(Channel::App(inventory), ("com.b", "https://d.example/p"));
    check(Channel::Unknown, ("", ""));
}

fn token() -> String {
    "Aa0-_".repeat(30)[..148].to_owned()
}

fn show(template: &Template, hostile: &str) -> String {
    let context = MarkupContext {
        form: UrlForm::PLAIN,
        urls: &PublicUrl::parse("https://t.example").unwrap(),
        public_token: &token(),
        cachebuster: 77,
        bid: BidId { epoch: 0x10, core: 2, sequence: 0xabc },
        creative: CreativeId(9),
        line_item: LineItemId(8),
        campaign: CampaignId(7),
        size: Size { w: 300, h: 250 },
        place: Place { inventory: hostile, page: hostile },
    };
    let mut out: Vec<u8> = Vec::new();
    macros::render(template, &context, &mut out);
    String::from_utf8(out).unwrap()
}

fn encoded(encoding: Encoding, value: &str) -> String {
    let mut out: Vec<u8> = Vec::new();
    encode(encoding, value, &mut out);
    String::from_utf8(out).unwrap()
}

/// Reads an encoded value back, by the rules of HTML, URLs and JavaScript rather than by the encoder's tables.
fn decoded(encoding: Encoding, text: &str) -> String {
    let mut units: Vec<u16> = Vec::new();
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let (value, width) = match (encoding, c) {
            (Encoding::HtmlText | Encoding::HtmlAttribute, '&') => {
                let end = rest.find(';').unwrap();
                let code = u32::from_str_radix(rest[..end].strip_prefix("&#x").unwrap(), 16).unwrap();
                (char::from_u32(code).unwrap().to_string(), end + 1)
            }
            (Encoding::UrlComponent, '%') => {
                bytes.push(u8::from_str_radix(&rest[1..3], 16).unwrap());
                (String::new(), 3)
            }
            (Encoding::JsString, '\\') => {
                units.push(u16::from_str_radix(rest[1..6].strip_prefix('u').unwrap(), 16).unwrap());
                (String::new(), 6)
            }
            _ => (c.to_string(), c.len_utf8()),
        };
        bytes.extend_from_slice(value.as_bytes());
        units.extend(value.encode_utf16());
        rest = &rest[width..];
    }
    match encoding {
        Encoding::JsString => String::from_utf16(&units).unwrap(),
        _ => String::from_utf8(bytes).unwrap(),
    }
}

/// Text that attackers like, mixed with anything.
fn hostile() -> impl Strategy<Value = String> {
    let pieces = prop_oneof![
        Just("\"".to_owned()),
        Just("'".to_owned()),
        Just("`".to_owned()),
        Just("</script>".to_owned()),
        Just("--><script>".to_owned()),
        Just("${AUCTION_PRICE}".to_owned()),
        Just("{AUCTION_PRICE}".to_owned()),
        Just("%24%7BAUCTION_PRICE%7D".to_owned()),
        Just("&quot;&#34;".to_owned()),
        Just("\\u0022\\".to_owned()),
        Just("javascript:alert(1)".to_owned()),
        Just("\u{2028}\r\n\t\0".to_owned()),
        Just("{{CLICK_URL}}".to_owned()),
        any::<char>().prop_map(String::from),
        "[ -~]{0,8}",
    ];
    proptest::collection::vec(pieces, 0..8).prop_map(|pieces| pieces.concat())
}

/// All places at once; literals end and begin with what could combine with a value.
const EVERYWHERE: &str = "<p>a${{PAGE_URL}}b}</p><img alt=\"${{INVENTORY}}\" title='&{{PAGE_URL}}'>\
    <a href=\"{{PAGE_URL}}\">x</a><a href='https://a.example/%{{PAGE_URL}}?${{INVENTORY}}'>x</a>\
    <script>f('{{PAGE_URL}}', \"$ {{INVENTORY}}\", 'a{{PAGE_URL}}/script>')</script><title>{{PAGE_URL}}</title>";

/// What gives markup its structure, in order.
pub(super) fn skeleton(markup: &str) -> String {
    markup.chars().filter(|c| "<>\"'`{}()\n\r".contains(*c)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn an_encoded_value_is_inert_and_reads_back(value in hostile()) {
        for encoding in ENCODINGS {
            let text = encoded(encoding, &value);
            prop_assert!(text.is_ascii());
            let forbidden: &[char] = match encoding {
                Encoding::HtmlText | Encoding::HtmlAttribute => &['<', '>', '"', '\'', '`', '=', '$', '{', '}', '%'],
                Encoding::UrlComponent => &['<', '>', '"', '\'', '`', '&', '$', '{', '}', ':', '/', '\\', '?', '#', ' '],
                Encoding::JsString => &['<', '>', '"', '\'', '`', '&', '$', '{', '}', '/', '-', '%', '\n', '\r'],
            };
            prop_assert!(!text.contains(forbidden), "{encoding:?}: {text}");
            let html = matches!(encoding, Encoding::HtmlText | Encoding::HtmlAttribute);
            let expected: String = if html {
                value.chars().map(|c| if c.is_control() || "\u{fffe}\u{ffff}".contains(c) { '\u{fffd}' } else { c }).collect()
            } else {
                value.clone()
            };
            prop_assert_eq!(decoded(encoding, &text), expected);
        }
    }

    #[test]
    fn no_value_changes_the_structure_of_the_markup(value in hostile()) {
        let template = compile(EVERYWHERE).unwrap();
        let shown = show(&template, &value);
        prop_assert_eq!(skeleton(&shown), skeleton(&show(&template, "x")));
        prop_assert!(!shown.contains("${"), "{}", shown);
    }

    /// Whatever is accepted must hold the structure; what is refused must not panic.
    #[test]
    fn accepted_markup_holds_any_value(
        pieces in proptest::collection::vec(
            proptest::sample::select(vec![
                "<a ", "href=", "\"", "'", ">", "<script>", "</script>", "{{PAGE_URL}}", "{{CLICK_URL}}", "x", " ", "/",
                "<!--", "-->", "alt=", "<p>", "`", "\\", "\n", "=", "<svg>", "</svg>", "https://h/", "title='", "//", "/*",
                "*/", "(", ")", "<style>", "</style>", "é", "${AUCTION_ID}", "{{", "<noscript>", "</noscript>",
            ]),
            0..14,
        ),
        value in hostile(),
    ) {
        if let Ok(template) = compile(&pieces.concat()) {
            let (plain, shown) = (show(&template, "x"), show(&template, &value));
            prop_assert_eq!(skeleton(&shown), skeleton(&plain));
            prop_assert_eq!(shown.matches("${").count(), plain.matches("${").count());
        }
    }
}
