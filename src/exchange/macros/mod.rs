//! Markup macros: `{{CLICK_URL}}` and its like, compiled once when a creative is loaded and rendered at every bid.
//!
//! [`compile`] finds out for each macro in what kind of place it stands (text, quoted attribute, component of a URL,
//! string of a script) and refuses places that no encoding makes safe; [`render`] then writes each value with the
//! encoder of its place. OpenRTB's own `${…}` stay in the literals for the exchange to substitute.
//!
//! Invariant: a value never leaves its place, whatever it holds: page URLs and domains come from requests and are
//! hostile, and the exchange substitutes "without regard to syntax correctness". No value yields a `${…}`. Every
//! template fetches the impression pixel: where the markup does not, it is appended, because an ad that counts
//! nothing is shown for free. Deliberately absent: judging the author's own markup; approval is for people.

mod encode;
mod html;
mod openrtb;
mod script;

pub use encode::encode;
pub use openrtb::NAMES as OPENRTB_MACROS;

use super::text::{BidIdText, Sink, push_escaped};
use super::url::{NoticeKind, PublicUrl, UrlForm};
use crate::model::auction::{Channel, Size};
use crate::model::creative::{Encoding, Macro, StreamEvent, Template, TemplatePart};
use crate::model::ids::{BidId, CampaignId, CreativeId, LineItemId};
use html::{Kind, Scanner};

/// The macros by name.
const NAMES: [(&str, Macro); 10] = [
    ("CLICK_URL", Macro::ClickUrl),
    ("IMPRESSION_URL", Macro::ImpressionUrl),
    ("CACHEBUSTER", Macro::Cachebuster),
    ("CREATIVE_ID", Macro::CreativeId),
    ("LINE_ITEM_ID", Macro::LineItemId),
    ("CAMPAIGN_ID", Macro::CampaignId),
    ("WIDTH", Macro::Width),
    ("HEIGHT", Macro::Height),
    ("INVENTORY", Macro::Inventory),
    ("PAGE_URL", Macro::PageUrl),
];

/// Appended to markup that would not fetch the pixel by itself.
const PIXEL: &str = r#"<img src="{{IMPRESSION_URL}}" width="1" height="1" alt="" style="display:none">"#;

/// Longest text between braces that is taken for the name of a macro.
const MAX_NAME_BYTES: usize = 64;

/// Why markup cannot be served. Offsets count bytes of the markup.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MacroError {
    /// No such macro.
    #[error("unknown macro {{{{{name}}}}} at byte {offset}, did you mean {{{{{suggestion}}}}}?")]
    Unknown {
        /// As written.
        name: String,
        /// Where its braces begin.
        offset: usize,
        /// The most similar name.
        suggestion: &'static str,
    },
    /// No such macro of OpenRTB.
    #[error("unknown macro ${{{name}}} at byte {offset}, did you mean ${{{suggestion}}}?")]
    UnknownExchange {
        /// As written.
        name: String,
        /// Where it begins.
        offset: usize,
        /// The most similar name.
        suggestion: &'static str,
    },
    /// Two braces and a capital letter, but no macro.
    #[error(
        "{{{{ at byte {offset} begins a macro that no }}}} ends; where it is none, put a space between the braces"
    )]
    Unclosed {
        /// Where it begins.
        offset: usize,
    },
    /// A macro in a place that cannot be encoded safely.
    #[error("macro {{{{{name}}}}} at byte {offset} stands {place}")]
    Place {
        /// Which macro.
        name: &'static str,
        /// Where its braces begin.
        offset: usize,
        /// Where it stands and what to do.
        place: &'static str,
    },
    /// Markup that browsers read in different ways, or that nothing can be appended to.
    #[error("markup cannot be served: {what} (byte {offset})")]
    Markup {
        /// What is wrong.
        what: &'static str,
        /// Where.
        offset: usize,
    },
}

/// Compiles markup. Cost: one pass, for the time when a creative is loaded.
pub fn compile(markup: &str) -> Result<Template, MacroError> {
    let mut compiler = Compiler {
        scanner: Scanner::new(),
        template: Template::default(),
        fetches_pixel: false,
        open_dollar: false,
    };
    compiler.run(markup)?;
    let fault = |what| MacroError::Markup { what, offset: markup.len() };
    compiler.scanner.finish().map_err(fault)?;
    if !compiler.fetches_pixel {
        compiler.run(PIXEL)?;
    }
    Ok(finish(compiler.template.parts))
}

/// Compiles a URL of the author that stands in XML: its literals are escaped for text and quoted attributes, its
/// values are components of the URL.
pub(super) fn compile_url(url: &str) -> Result<Vec<TemplatePart>, MacroError> {
    let mut parts = Vec::new();
    let (mut at, mut literal_from) = (0, 0);
    while at < url.len() {
        if let Some((_, value, length)) = find_macro(url, at)? {
            parts.push(TemplatePart::Literal(escape_around_macros(&url[literal_from..at])?));
            parts.push(TemplatePart::Macro(value, Encoding::UrlComponent));
            at += length;
            literal_from = at;
        } else {
            at += url[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    parts.push(TemplatePart::Literal(escape_around_macros(&url[literal_from..])?));
    Ok(parts)
}

/// Text as XML; the exchange's macros stay as they are, because the exchange looks for them before anybody reads XML.
fn escape_around_macros(text: &str) -> Result<String, MacroError> {
    let mut xml = Vec::new();
    let mut from = 0;
    for (at, _) in text.match_indices("${") {
        if let Some(length) = openrtb::find(text, at)? {
            encode(Encoding::HtmlAttribute, &text[from..at], &mut xml);
            xml.extend_from_slice(&text.as_bytes()[at..at + length]);
            from = at + length;
        }
    }
    encode(Encoding::HtmlAttribute, &text[from..], &mut xml);
    Ok(String::from_utf8(xml).expect("encoders write ASCII"))
}

/// The template of these parts, neighbouring literals made one.
pub(super) fn finish(parts: Vec<TemplatePart>) -> Template {
    let mut template = Template::default();
    for part in parts {
        match (template.parts.last_mut(), part) {
            (_, TemplatePart::Literal(text)) if text.is_empty() => {}
            (Some(TemplatePart::Literal(before)), TemplatePart::Literal(text)) => before.push_str(&text),
            (_, part) => template.parts.push(part),
        }
    }
    template.json_literals = template.parts.iter().filter_map(json_literal).collect();
    template
}

fn json_literal(part: &TemplatePart) -> Option<String> {
    let TemplatePart::Literal(text) = part else { return None };
    let mut json = Vec::new();
    push_escaped(text, &mut json);
    Some(String::from_utf8(json).expect("JSON text of a string is UTF-8"))
}

/// Whether a template has a click URL of this bidder: without one its clicks cannot be counted.
pub fn counts_clicks(template: &Template) -> bool {
    template.parts.iter().any(|part| matches!(part, TemplatePart::Macro(Macro::ClickUrl, _)))
}

struct Compiler {
    scanner: Scanner,
    template: Template,
    fetches_pixel: bool,
    /// The literal before ended with `$`, and since then only values came that may be empty.
    open_dollar: bool,
}

impl Compiler {
    fn run(&mut self, markup: &str) -> Result<(), MacroError> {
        let mut literal_from = 0;
        let mut at = 0;
        while at < markup.len() {
            let Some((name, value, length)) = find_macro(markup, at)? else {
                openrtb::find(markup, at)?;
                let fault = |what| MacroError::Markup { what, offset: at };
                self.scanner.feed(markup.as_bytes()[at]).map_err(fault)?;
                at += 1;
                continue;
            };
            self.literal(&markup[literal_from..at], literal_from)?;
            let kind = kind_of(value);
            self.open_dollar &= kind == Kind::Hostile;
            let refused = |place| MacroError::Place { name, offset: at, place };
            let place = self.scanner.place(kind).map_err(refused)?;
            self.template.parts.push(TemplatePart::Macro(value, place.encoding));
            self.fetches_pixel |= place.fetched && value == Macro::ImpressionUrl;
            self.scanner.inserted(kind);
            at += length;
            literal_from = at;
        }
        self.literal(&markup[literal_from..], literal_from)
    }

    /// Refuses a `$` and a `{` that an empty value would join to a macro of the exchange.
    fn literal(&mut self, text: &str, offset: usize) -> Result<(), MacroError> {
        if self.open_dollar && text.starts_with('{') {
            let what = "a $ before and a { behind a value that may be empty read as a macro of the exchange";
            return Err(MacroError::Markup { what, offset });
        }
        if text.is_empty() {
            return Ok(());
        }
        self.open_dollar = text.ends_with('$');
        match self.template.parts.last_mut() {
            Some(TemplatePart::Literal(before)) => before.push_str(text),
            _ => self.template.parts.push(TemplatePart::Literal(text.to_owned())),
        }
        Ok(())
    }
}

fn kind_of(value: Macro) -> Kind {
    match value {
        Macro::ClickUrl | Macro::ImpressionUrl | Macro::EventUrl(_) => Kind::OwnUrl,
        Macro::Inventory | Macro::PageUrl => Kind::Hostile,
        Macro::BidId
        | Macro::Cachebuster
        | Macro::CreativeId
        | Macro::LineItemId
        | Macro::CampaignId
        | Macro::Width
        | Macro::Height => Kind::Number,
    }
}

/// The macro that begins at `at`, if one does: its name, itself, its length in bytes. Braces around anything that
/// does not look like a name are the author's: scripts have blocks within blocks.
fn find_macro(markup: &str, at: usize) -> Result<Option<(&'static str, Macro, usize)>, MacroError> {
    let bytes = &markup.as_bytes()[at..];
    let Some(rest) = bytes.strip_prefix(b"{{") else { return Ok(None) };
    let name_bytes = rest.iter().take(MAX_NAME_BYTES).take_while(|b| name_byte(**b)).count();
    if name_bytes == 0 || !rest[name_bytes..].starts_with(b"}}") {
        let looks_meant = rest.first().is_some_and(u8::is_ascii_uppercase);
        return if looks_meant { Err(MacroError::Unclosed { offset: at }) } else { Ok(None) };
    }
    let written = &markup[at + 2..at + 2 + name_bytes];
    let name = written.trim();
    match NAMES.iter().find(|(known, _)| *known == written) {
        Some((known, value)) => Ok(Some((known, *value, name_bytes + 4))),
        None if name.is_empty() => Ok(None),
        None => Err(MacroError::Unknown {
            name: written.to_owned(),
            offset: at,
            suggestion: nearest(NAMES.iter().map(|(known, _)| *known), &name.to_ascii_uppercase()),
        }),
    }
}

fn name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b' ' | b'-' | b'.')
}

/// The most similar of some names.
fn nearest(known: impl Iterator<Item = &'static str>, name: &str) -> &'static str {
    let similarity = |known: &str| strsim::jaro_winkler(known, name);
    known.max_by(|a, b| similarity(a).total_cmp(&similarity(b))).expect("there are macros")
}

/// What the request says of where the ad is shown. Hostile text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place<'a> {
    /// The domain of a site or the bundle of an app; empty when unknown.
    pub inventory: &'a str,
    /// The page's URL; empty when unknown.
    pub page: &'a str,
}

impl<'a> Place<'a> {
    /// Reads it from a request's channel.
    pub fn of(channel: &Channel<'a>) -> Place<'a> {
        let Some(inventory) = channel.inventory() else { return Place::default() };
        let name = match channel {
            Channel::App(_) => inventory.bundle.or(inventory.domain),
            _ => inventory.domain.or(inventory.bundle),
        };
        Place { inventory: name.unwrap_or_default(), page: inventory.page.unwrap_or_default() }
    }
}

/// The values of one bid.
#[derive(Clone, Copy, Debug)]
pub struct MarkupContext<'a> {
    /// Where click and pixel point.
    pub urls: &'a PublicUrl,
    /// What the exchange needs of their form.
    pub form: UrlForm,
    /// The bid's token of class [`super::token::TokenClass::Public`].
    pub public_token: &'a str,
    /// Differs from bid to bid.
    pub cachebuster: u64,
    /// The bid.
    pub bid: BidId,
    /// The creative.
    pub creative: CreativeId,
    /// The line item.
    pub line_item: LineItemId,
    /// The campaign.
    pub campaign: CampaignId,
    /// The creative's size.
    pub size: Size,
    /// Where it is shown.
    pub place: Place<'a>,
}

/// Writes the markup of one bid to `out`, a `Vec<u8>` or another [`Sink`]. Allocates nothing itself.
pub fn render(template: &Template, context: &MarkupContext<'_>, out: &mut impl Sink) {
    let mut prepared = template.json_literals.iter();
    for part in &template.parts {
        let (value, encoding) = match part {
            TemplatePart::Literal(text) => {
                match prepared.next() {
                    Some(json) => out.push_prepared(text, json),
                    None => out.push(text),
                }
                continue;
            }
            TemplatePart::Macro(value, encoding) => (*value, *encoding),
        };
        let number = |number: u64, out: &mut _| encode(encoding, itoa::Buffer::new().format(number), out);
        match value {
            Macro::ClickUrl => push_own_url(context.url(NoticeKind::Click), encoding, out),
            Macro::ImpressionUrl => push_own_url(context.url(NoticeKind::Impression), encoding, out),
            Macro::EventUrl(event) => push_own_url(context.event_url(event), encoding, out),
            Macro::Cachebuster => number(context.cachebuster, out),
            Macro::CreativeId => number(context.creative.0.into(), out),
            Macro::LineItemId => number(context.line_item.0.into(), out),
            Macro::CampaignId => number(context.campaign.0.into(), out),
            Macro::Width => number(context.size.w.into(), out),
            Macro::Height => number(context.size.h.into(), out),
            Macro::Inventory => encode(encoding, context.place.inventory, out),
            Macro::PageUrl => encode(encoding, context.place.page, out),
            Macro::BidId => encode(encoding, BidIdText::of(context.bid).as_str(), out),
        }
    }
}

impl<'a> MarkupContext<'a> {
    /// A notice URL of this bid in pieces.
    pub(super) fn url(&self, kind: NoticeKind) -> [&'a str; 6] {
        self.urls.pieces(kind, self.public_token, self.form)
    }

    /// The URL of an event of this bid in pieces.
    pub(super) fn event_url(&self, event: StreamEvent) -> [&'a str; 6] {
        self.urls.event_pieces(event, self.public_token, self.form)
    }
}

fn push_own_url(pieces: [&str; 6], encoding: Encoding, out: &mut impl Sink) {
    let [base, path, token, before, price, after] = pieces;
    encode(encoding, base, out);
    encode(encoding, path, out);
    if encode::keeps_tokens(encoding) {
        out.push_inert(token);
    } else {
        encode(encoding, token, out);
    }
    encode(encoding, before, out);
    // Who replaces the macro must recognise it in every place; what it puts there is base64 or a number.
    out.push_inert(price);
    encode(encoding, after, out);
}
