//! Where in the markup a macro stands: a tokenizer after the HTML standard (section 13.2.5), reduced to what decides
//! how a value must be encoded.
//!
//! Invariant: the place that [`Scanner::place`] names is the place in which a browser finds the value. Constructs in
//! which browsers differ from each other or from this reduction (CDATA, `<plaintext>`, scripts with nested `<script`
//! comments, raw text inside SVG) are refused rather than guessed.

use super::script::ScriptLexer;
use crate::model::creative::Encoding;

/// Why markup cannot be scanned on.
pub(super) type Fault = &'static str;

/// The state of the scan, fed byte by byte.
#[derive(Debug)]
pub(super) struct Scanner {
    state: State,
    /// Bytes since the state was entered, where its rules ask for that.
    since: usize,
    /// The last bytes of the markup in lower case; a macro counts as one zero byte.
    recent: [u8; RECENT],
    /// Lower-case name of the tag being read.
    tag: Vec<u8>,
    /// It is an end tag.
    closing: bool,
    /// The last byte of the tag was a slash: `<br/>`.
    self_closing: bool,
    /// Lower-case name of the attribute being read.
    attribute: Vec<u8>,
    /// The attribute's value so far, with a stand-in for each macro; without tabs and line ends, which URLs lose.
    value: Vec<u8>,
    script: ScriptLexer,
    /// The script being read has had a `<!--`, after which `<script` changes where it ends.
    script_comment: bool,
    /// Depth of open `<svg>` and `<math>` elements, in which raw text is not raw.
    foreign: u32,
    /// Depth of open `<noscript>` elements.
    noscript: u32,
}

/// Longest text that is looked for: `</noscript`, with room.
const RECENT: usize = 16;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Text,
    TagOpen,
    EndTagOpen,
    TagName,
    BeforeAttribute,
    AttributeName,
    /// White space after a name: an equals sign may still follow.
    AfterName,
    BeforeValue,
    Quoted(u8),
    Unquoted,
    /// After `<!`: a comment, a doctype or nothing known.
    Declaration,
    /// A comment that the first `>` ends.
    Bogus,
    Comment,
    /// Text of an element that only its own end tag closes.
    Raw(Raw),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Raw {
    Script,
    Style,
    /// `textarea` and `title`: text with character references.
    Escapable(&'static str),
    /// Text without: an encoded value would show its escapes.
    Plain(&'static str),
}

impl Raw {
    fn of(tag: &[u8]) -> Option<Raw> {
        match tag {
            b"script" => Some(Raw::Script),
            b"style" => Some(Raw::Style),
            b"textarea" => Some(Raw::Escapable("textarea")),
            b"title" => Some(Raw::Escapable("title")),
            b"xmp" => Some(Raw::Plain("xmp")),
            b"iframe" => Some(Raw::Plain("iframe")),
            b"noembed" => Some(Raw::Plain("noembed")),
            b"noframes" => Some(Raw::Plain("noframes")),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Raw::Script => "script",
            Raw::Style => "style",
            Raw::Escapable(name) | Raw::Plain(name) => name,
        }
    }
}

/// Attributes whose value is a URL.
const URL_ATTRIBUTES: [&[u8]; 13] = [
    b"href",
    b"src",
    b"srcset",
    b"action",
    b"formaction",
    b"poster",
    b"data",
    b"cite",
    b"background",
    b"longdesc",
    b"icon",
    b"xlink:href",
    b"ping",
];

/// Attributes that are plain text to every browser: request data may stand in them.
const TEXT_ATTRIBUTES: [&[u8]; 7] =
    [b"alt", b"title", b"value", b"label", b"placeholder", b"summary", b"class"];

/// What a macro stands for, as far as its place matters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// A URL of this bidder.
    OwnUrl,
    /// Decimal digits.
    Number,
    /// Text of the request.
    Hostile,
}

/// Where a macro may stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    pub(super) encoding: Encoding,
    /// A pixel URL here is fetched whenever the ad is shown.
    pub(super) fetched: bool,
}

impl Scanner {
    pub(super) fn new() -> Scanner {
        Scanner {
            state: State::Text,
            since: 0,
            recent: [0; RECENT],
            tag: Vec::new(),
            closing: false,
            self_closing: false,
            attribute: Vec::new(),
            value: Vec::new(),
            script: ScriptLexer::new(),
            script_comment: false,
            foreign: 0,
            noscript: 0,
        }
    }

    /// Whether the markup may end here, and more be appended to it.
    pub(super) fn finish(&self) -> Result<(), Fault> {
        match self.state {
            State::Text => Ok(()),
            State::Comment | State::Declaration | State::Bogus => Err("the markup ends inside a comment"),
            State::Raw(Raw::Script) => Err("the markup ends inside a <script>"),
            State::Raw(_) => Err("the markup ends inside an element that is not closed"),
            _ => Err("the markup ends inside a tag"),
        }
    }

    /// How a macro that stands here is to be encoded, or why it cannot stand here.
    pub(super) fn place(&self, kind: Kind) -> Result<Place, &'static str> {
        let shown = self.noscript == 0;
        match self.state {
            State::Text | State::Raw(Raw::Escapable(_)) => {
                Ok(Place { encoding: Encoding::HtmlText, fetched: false })
            }
            State::Quoted(_) => self.place_in_attribute(kind, shown),
            State::Raw(Raw::Script) => {
                self.script.place(kind == Kind::Hostile)?;
                Ok(Place { encoding: Encoding::JsString, fetched: shown })
            }
            State::Raw(Raw::Style) => Err("in a style sheet"),
            State::Raw(Raw::Plain(_)) => Err("in an element whose text cannot be encoded"),
            State::Unquoted | State::BeforeValue => {
                Err("in an unquoted attribute; put quotes around the value")
            }
            State::BeforeAttribute | State::AttributeName | State::AfterName => {
                Err("in the name of an attribute")
            }
            State::TagOpen | State::EndTagOpen | State::TagName => Err("in the name of a tag"),
            State::Declaration | State::Bogus | State::Comment => Err("in a comment"),
        }
    }

    fn place_in_attribute(&self, kind: Kind, shown: bool) -> Result<Place, &'static str> {
        let name = self.attribute.as_slice();
        if self.closing {
            return Err("in an end tag");
        }
        if name.starts_with(b"on") {
            return Err(
                "in an event handler; move the code into a <script> and the value into a string there",
            );
        }
        if name == b"style" {
            return Err("in a style attribute");
        }
        if name == b"srcdoc" {
            return Err("in srcdoc, which is markup within an attribute");
        }
        let data = name.starts_with(b"data-") || name.starts_with(b"aria-");
        let fetched = shown && (name == b"src" && self.tag != b"input" || name.starts_with(b"data-"));
        if URL_ATTRIBUTES.contains(&name) {
            return Ok(Place { encoding: self.url_encoding(kind)?, fetched });
        }
        if kind == Kind::Hostile && !data && !TEXT_ATTRIBUTES.contains(&name) {
            return Err(
                "request data in an attribute that is not known to be plain text; use a data- attribute",
            );
        }
        Ok(Place { encoding: Encoding::HtmlAttribute, fetched })
    }

    /// Inside a URL: whole when it is ours and stands at the start, else a component. The text before it must leave
    /// no doubt that the URL is http, https or relative, and must have ended the host before request data comes.
    fn url_encoding(&self, kind: Kind) -> Result<Encoding, &'static str> {
        const SCHEME: &str =
            "in a URL that is not plainly http, https or relative: no other scheme, no & before the ?";
        let lower = self.value.to_ascii_lowercase();
        let value = lower.trim_ascii_start();
        if value.is_empty() {
            let whole = kind != Kind::Hostile;
            return Ok(if whole { Encoding::HtmlAttribute } else { Encoding::UrlComponent });
        }
        let head = value.split(|b| *b == b'?').next().unwrap_or_default();
        // A character reference could hide a colon or a slash.
        if head.contains(&b'&') || head.iter().any(u8::is_ascii_control) {
            return Err(SCHEME);
        }
        let after_scheme = [&b"https://"[..], b"http://", b"//"].iter().find_map(|s| value.strip_prefix(*s));
        let Some(authority) = after_scheme else {
            let first = value.split(|b| matches!(b, b'/' | b'?' | b'#')).next().unwrap_or_default();
            return if first.contains(&b':') { Err(SCHEME) } else { Ok(Encoding::UrlComponent) };
        };
        let host_ended = authority.iter().any(|b| matches!(b, b'/' | b'?' | b'#'));
        if kind == Kind::Hostile && !host_ended {
            return Err("request data in the host of a URL");
        }
        Ok(Encoding::UrlComponent)
    }

    /// Notes that a macro was put here, so that what follows it is judged rightly.
    pub(super) fn inserted(&mut self, kind: Kind) {
        if let State::Quoted(_) = self.state {
            let stand_in: &[u8] = match kind {
                Kind::OwnUrl if self.value.is_empty() => b"https://host/path",
                Kind::OwnUrl | Kind::Number | Kind::Hostile => b"0",
            };
            self.value.extend_from_slice(stand_in);
        }
        if let State::Raw(Raw::Script) = self.state {
            self.script.feed(b'0');
        }
        self.remember(0);
    }

    fn remember(&mut self, byte: u8) {
        self.recent.rotate_left(1);
        self.recent[RECENT - 1] = byte.to_ascii_lowercase();
        self.since += 1;
    }

    fn recent_is(&self, text: &[u8]) -> bool {
        self.recent.ends_with(text)
    }

    fn start(&mut self, state: State) {
        self.since = 0;
        self.state = state;
    }

    /// Takes the next byte of the markup.
    pub(super) fn feed(&mut self, byte: u8) -> Result<(), Fault> {
        let name_before = self.recent;
        self.remember(byte);
        if self.noscript > 0 && self.recent_is(b"</noscript") && self.state != State::TagName {
            return Err("a </noscript> inside a tag or comment, which browsers with scripts read as the end");
        }
        match self.state {
            State::Text if byte == b'<' => self.state = State::TagOpen,
            State::Text => {}
            State::TagOpen => self.tag_open(byte),
            State::EndTagOpen => match byte {
                b'>' => self.state = State::Text,
                _ if byte.is_ascii_alphabetic() => self.start_tag(byte, true),
                _ => self.start(State::Bogus),
            },
            State::Quoted(quote) if byte == quote => self.state = State::BeforeAttribute,
            State::Quoted(_) => match byte {
                b'\t' | b'\n' | b'\r' => {}
                // To browsers a backslash in a URL is a slash.
                b'\\' => self.value.push(b'/'),
                _ => self.value.push(byte),
            },
            State::Declaration => return self.declaration(byte),
            State::Bogus if byte == b'>' => self.state = State::Text,
            State::Bogus => {}
            State::Comment => {
                if self.recent_is(b"-->") || self.since >= 4 && self.recent_is(b"--!>") {
                    self.state = State::Text;
                }
            }
            State::Raw(raw) => return self.raw(byte, raw, &name_before),
            _ => return self.in_tag(byte),
        }
        Ok(())
    }

    fn tag_open(&mut self, byte: u8) {
        match byte {
            b'!' => self.start(State::Declaration),
            b'/' => self.state = State::EndTagOpen,
            b'?' => self.start(State::Bogus),
            b'<' => {}
            _ if byte.is_ascii_alphabetic() => self.start_tag(byte, false),
            _ => self.state = State::Text,
        }
    }

    fn start_tag(&mut self, byte: u8, closing: bool) {
        (self.closing, self.self_closing) = (closing, false);
        self.tag.clear();
        self.tag.push(byte.to_ascii_lowercase());
        self.state = State::TagName;
    }

    /// Between the name of a tag and its end, outside quotes.
    fn in_tag(&mut self, byte: u8) -> Result<(), Fault> {
        let space = byte.is_ascii_whitespace();
        let self_closing = std::mem::take(&mut self.self_closing);
        match self.state {
            State::BeforeValue if matches!(byte, b'"' | b'\'') => {
                self.value.clear();
                self.state = State::Quoted(byte);
            }
            State::BeforeValue if space => {}
            _ if byte == b'>' => return self.end_of_tag(self_closing),
            State::BeforeValue => self.state = State::Unquoted,
            State::Unquoted if space => self.state = State::BeforeAttribute,
            State::Unquoted => {}
            _ if byte == b'/' => (self.state, self.self_closing) = (State::BeforeAttribute, true),
            State::TagName if space => self.state = State::BeforeAttribute,
            State::TagName => self.tag.push(byte.to_ascii_lowercase()),
            State::AttributeName | State::AfterName if byte == b'=' => self.state = State::BeforeValue,
            State::AttributeName if space => self.state = State::AfterName,
            State::AttributeName => self.attribute.push(byte.to_ascii_lowercase()),
            _ if space => {}
            _ => {
                self.attribute.clear();
                self.attribute.push(byte.to_ascii_lowercase());
                self.state = State::AttributeName;
            }
        }
        Ok(())
    }

    fn end_of_tag(&mut self, self_closing: bool) -> Result<(), Fault> {
        self.state = State::Text;
        let tag = self.tag.as_slice();
        let (foreign, noscript) = (matches!(tag, b"svg" | b"math"), tag == b"noscript");
        if self.closing {
            self.foreign = self.foreign.saturating_sub(u32::from(foreign));
            self.noscript = self.noscript.saturating_sub(u32::from(noscript));
            return Ok(());
        }
        self.foreign += u32::from(foreign && !self_closing);
        self.noscript += u32::from(noscript);
        if tag == b"plaintext" {
            return Err("a <plaintext>, which nothing ends");
        }
        if let Some(raw) = Raw::of(tag) {
            if self_closing && self.foreign > 0 {
                return Err("a self-closing script, style or title inside SVG or MathML; write its end tag");
            }
            self.script = ScriptLexer::new();
            self.script_comment = false;
            self.start(State::Raw(raw));
        }
        Ok(())
    }

    /// After `<!`.
    fn declaration(&mut self, byte: u8) -> Result<(), Fault> {
        if byte == b'>' {
            self.state = State::Text;
        } else if self.since == 2 && self.recent_is(b"--") {
            self.start(State::Comment);
        } else if self.since == 7 && self.recent_is(b"[cdata[") {
            return Err("a CDATA section, which ends in different places in HTML and in XML");
        }
        Ok(())
    }

    /// In the text of a raw element; `before` is what preceded this byte.
    fn raw(&mut self, byte: u8, raw: Raw, before: &[u8; RECENT]) -> Result<(), Fault> {
        let name = raw.name().as_bytes();
        let after_name = byte.is_ascii_whitespace() || matches!(byte, b'/' | b'>');
        let end = |text: &[u8]| text.strip_suffix(name).is_some_and(|head| head.ends_with(b"</"));
        if after_name && end(before) {
            self.tag = name.to_vec();
            (self.closing, self.self_closing) = (true, byte == b'/');
            self.state = if byte == b'>' { State::Text } else { State::BeforeAttribute };
            return Ok(());
        }
        if self.foreign > 0 {
            self.raw_in_foreign(byte, raw, name)?;
        }
        if raw == Raw::Script {
            self.script_comment |= self.recent_is(b"<!--");
            if self.script_comment && self.recent_is(b"<script") {
                return Err("a <script inside a script after <!--, which changes where the script ends");
            }
            self.script.feed(byte);
        }
        Ok(())
    }

    /// Inside SVG and MathML the text of a script is parsed as markup: nothing in it may look like any.
    fn raw_in_foreign(&self, byte: u8, raw: Raw, name: &[u8]) -> Result<(), Fault> {
        let seen = &self.recent[RECENT - self.since.min(RECENT)..];
        let tag = seen.iter().rposition(|b| *b == b'<').map(|at| &seen[at..]);
        let may_be_end = |tag: &[u8]| {
            let (slash, rest) = (tag.get(1), tag.get(2..).unwrap_or_default());
            slash.is_none_or(|b| *b == b'/') && name.starts_with(rest)
        };
        let reference = byte == b'&' && matches!(raw, Raw::Script | Raw::Style);
        if reference || tag.is_some_and(|tag| !may_be_end(tag)) {
            return Err(
                "a < or & in a script, style or title inside SVG or MathML, where it is read as markup",
            );
        }
        Ok(())
    }
}
