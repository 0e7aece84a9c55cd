//! Of JSON: a table of what stays. Values that stay are copied byte for byte, so that a price is read again as it was; but
//! texts with an e-mail address in them.

use super::email::{masked, may_hold};
use super::{block, coarse, cut};
use crate::exchange::entries::Entries;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// What becomes of the value of a member.
enum Rule {
    /// Stays as it is: what the request is found again by.
    Id,
    /// Stays where it is a text, a number or a flag, or a list of these.
    Plain,
    /// Stays with everything in it but members called `ext`, at any depth.
    Whole,
    /// An object, or a list of objects, of which these members stay.
    Members(&'static [(&'static str, Rule)]),
    /// A URL, which is cut.
    Url,
    /// A coordinate, which is made coarse.
    Degrees,
    /// An address, of which the block stays, or nothing.
    Address,
}

use Rule::{Address, Degrees, Id, Members, Plain, Url, Whole};

const REQUEST: &[(&str, Rule)] = &[
    ("id", Id),
    ("imp", Whole),
    ("site", Members(PLACE)),
    ("app", Members(PLACE)),
    ("dooh", Members(PLACE)),
    ("device", Members(DEVICE)),
    ("user", Members(USER)),
    ("at", Plain),
    ("tmax", Plain),
    ("test", Plain),
    ("allimps", Plain),
    ("cur", Plain),
    ("wseat", Plain),
    ("bseat", Plain),
    ("wlang", Plain),
    ("wlangb", Plain),
    ("acat", Plain),
    ("bcat", Plain),
    ("cattax", Plain),
    ("badv", Plain),
    ("bapp", Plain),
    ("regs", Members(REGS)),
    ("source", Members(SOURCE)),
];

/// Of site, app and dooh; not `search`, which is what somebody looked for.
const PLACE: &[(&str, Rule)] = &[
    ("id", Plain),
    ("name", Plain),
    ("domain", Url),
    ("bundle", Plain),
    ("page", Url),
    ("ref", Url),
    ("ver", Plain),
    ("paid", Plain),
    ("mobile", Plain),
    ("amp", Plain),
    ("privacypolicy", Plain),
    ("publisher", Whole),
    ("content", Members(CONTENT)),
    ("inventorypartnerdomain", Plain),
    ("cat", Plain),
    ("sectioncat", Plain),
    ("pagecat", Plain),
    ("cattax", Plain),
    ("keywords", Plain),
    ("kwarray", Plain),
    ("venuetype", Plain),
    ("venuetypeid", Plain),
    ("venuetypetax", Plain),
    ("venuetax", Plain),
    ("fixed", Plain),
];

const CONTENT: &[(&str, Rule)] = &[
    ("id", Plain),
    ("episode", Plain),
    ("title", Plain),
    ("series", Plain),
    ("season", Plain),
    ("artist", Plain),
    ("genre", Plain),
    ("genres", Plain),
    ("gtax", Plain),
    ("album", Plain),
    ("isrc", Plain),
    ("producer", Whole),
    ("url", Url),
    ("cat", Plain),
    ("cattax", Plain),
    ("prodq", Plain),
    ("context", Plain),
    ("contentrating", Plain),
    ("userrating", Plain),
    ("qagmediarating", Plain),
    ("keywords", Plain),
    ("kwarray", Plain),
    ("livestream", Plain),
    ("sourcerelationship", Plain),
    ("len", Plain),
    ("language", Plain),
    ("langb", Plain),
    ("embeddable", Plain),
    ("data", Members(DATA)),
    ("network", Whole),
    ("channel", Whole),
];

const DEVICE: &[(&str, Rule)] = &[
    ("ua", Plain),
    ("sua", Members(AGENT)),
    ("geo", Members(GEO)),
    ("ip", Address),
    ("ipv6", Address),
    ("dnt", Plain),
    ("lmt", Plain),
    ("devicetype", Plain),
    ("make", Plain),
    ("model", Plain),
    ("os", Plain),
    ("osv", Plain),
    ("hwv", Plain),
    ("w", Plain),
    ("h", Plain),
    ("ppi", Plain),
    ("pxratio", Plain),
    ("js", Plain),
    ("geofetch", Plain),
    ("language", Plain),
    ("langb", Plain),
    ("carrier", Plain),
    ("mccmnc", Plain),
    ("connectiontype", Plain),
];

const AGENT: &[(&str, Rule)] = &[
    ("browsers", Members(BRAND)),
    ("platform", Members(BRAND)),
    ("mobile", Plain),
    ("architecture", Plain),
    ("bitness", Plain),
    ("model", Plain),
    ("source", Plain),
];

const BRAND: &[(&str, Rule)] = &[("brand", Plain), ("version", Plain)];

const GEO: &[(&str, Rule)] = &[
    ("country", Plain),
    ("region", Plain),
    ("regionfips104", Plain),
    ("metro", Plain),
    ("city", Plain),
    ("zip", Plain),
    ("utcoffset", Plain),
    ("type", Plain),
    ("lat", Degrees),
    ("lon", Degrees),
];

const USER: &[(&str, Rule)] = &[("keywords", Plain), ("kwarray", Plain), ("data", Members(DATA))];

const DATA: &[(&str, Rule)] = &[
    ("id", Plain),
    ("name", Plain),
    ("segment", Members(&[("id", Plain), ("name", Plain)])),
    ("ext", Members(&[("segtax", Plain)])),
];

const REGS: &[(&str, Rule)] = &[
    ("coppa", Plain),
    ("gdpr", Plain),
    ("gpp_sid", Plain),
    ("ext", Members(&[("gdpr", Plain), ("gpc", Plain), ("gpp_sid", Plain), ("dsa", Members(DSA))])),
];

const DSA: &[(&str, Rule)] = &[("dsarequired", Plain), ("pubrender", Plain), ("datatopub", Plain)];

const SOURCE: &[(&str, Rule)] =
    &[("fd", Plain), ("pchain", Plain), ("schain", Whole), ("ext", Members(&[("schain", Whole)]))];

pub(super) fn sanitise(body: &[u8], keeps_blocks: bool) -> Option<Vec<u8>> {
    let request: &RawValue = serde_json::from_slice(body).ok()?;
    let mut writer = Writer { out: Vec::with_capacity(body.len()), keeps_blocks };
    writer.value(request.get(), &Members(REQUEST)).then_some(writer.out)
}

struct Writer {
    out: Vec<u8>,
    keeps_blocks: bool,
}

impl Writer {
    /// Writes what stays of a value. Where nothing does it says so, and may leave a part behind that the caller takes back.
    fn value(&mut self, json: &str, rule: &Rule) -> bool {
        let json = json.trim_ascii();
        let first = json.as_bytes().first().copied().unwrap_or_default();
        match (rule, first) {
            (Whole, b'{') => self.object(json, |name| (name != "ext").then_some(&Whole)),
            (Members(members), b'{') => {
                let rule_of = |name: &str| members.iter().find(|(known, _)| *known == name);
                self.object(json, |name| rule_of(name).map(|(_, rule)| rule))
            }
            (Id | Plain | Url | Degrees | Address, b'{') => false,
            (_, b'[') => self.list(json, rule),
            (Id, _) => self.copy(json),
            (Plain | Whole, _) => self.silent(json),
            // A text where an object belongs is read as none; it could hold anything.
            (Members(_), _) => false,
            (Url, _) => text(json).is_some_and(|url| self.text(&cut(&url))),
            (Degrees, _) => {
                let number = text(json).unwrap_or_else(|| json.to_owned());
                let degrees = number.trim().parse::<f64>().ok().filter(|degrees| degrees.is_finite());
                degrees.is_some_and(|degrees| self.copy(&coarse(degrees).to_string()))
            }
            (Address, _) => {
                let given = text(json).filter(|_| self.keeps_blocks);
                given.and_then(|given| block(&given)).is_some_and(|block| self.text(&block))
            }
        }
    }

    fn object<'r>(&mut self, json: &str, rule_of: impl Fn(&str) -> Option<&'r Rule>) -> bool {
        let Ok(Entries(entries)) = serde_json::from_str(json) else { return false };
        self.out.push(b'{');
        let mut is_first = true;
        for (key, value) in entries {
            let Some(name) = text(key.get()).filter(|name| matches!(masked(name), Cow::Borrowed(_))) else {
                continue;
            };
            let Some(rule) = rule_of(&name) else { continue };
            let before = self.out.len();
            if !is_first {
                self.out.push(b',');
            }
            self.copy(key.get());
            self.out.push(b':');
            if self.value(value.get(), rule) {
                is_first = false;
            } else {
                self.out.truncate(before);
            }
        }
        self.out.push(b'}');
        true
    }

    /// Entries of which nothing stays leave `null` behind: how many there are can matter.
    fn list(&mut self, json: &str, rule: &Rule) -> bool {
        let Ok(entries) = serde_json::from_str::<Vec<&RawValue>>(json) else { return false };
        self.out.push(b'[');
        for (at, entry) in entries.iter().enumerate() {
            if at > 0 {
                self.out.push(b',');
            }
            let before = self.out.len();
            // A list in a list is one of objects, or it is nothing.
            let is_nested = entry.get().trim_ascii().starts_with('[') && !matches!(rule, Whole);
            if is_nested || !self.value(entry.get(), rule) {
                self.out.truncate(before);
                self.copy("null");
            }
        }
        self.out.push(b']');
        true
    }

    /// Copies a text, a number or a flag; a text less the e-mail addresses in it.
    fn silent(&mut self, json: &str) -> bool {
        let may_hold = json.starts_with('"') && (may_hold(json) || json.contains("\\u00"));
        let text = may_hold.then(|| text(json)).flatten();
        match text.as_deref().map(masked) {
            Some(Cow::Owned(clean)) => self.text(&clean),
            _ => self.copy(json),
        }
    }

    fn copy(&mut self, json: &str) -> bool {
        self.out.extend_from_slice(json.as_bytes());
        true
    }

    fn text(&mut self, text: &str) -> bool {
        serde_json::to_writer(&mut self.out, text).is_ok()
    }
}

/// What a text says, if it is one that has a form in UTF-8.
fn text(json: &str) -> Option<String> {
    serde_json::from_str(json).ok()
}
