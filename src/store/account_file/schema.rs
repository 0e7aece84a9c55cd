//! What the entries of an account file may say, as JSON Schema (2020-12), for the description of the API.
//!
//! Each form in [`super::wire`] says it member by member beside the member's type. Values that have names come from the
//! list that the reader searches, bounds from the reader's constants; `tests/it/admin/fuzzed.rs` makes documents from the
//! schemas and holds the readers to them.
//!
//! Invariant: what the readers take is of the schema, an empty list where none may stand aside. The reverse holds but for
//! what a schema cannot say: how members stand to one another, references, what is fixed since an entry was made.

use super::behaviour::SOURCES;
use super::creative::OF_MEDIA;
use super::editor::Part;
use super::values::{MAX_SIDE, Named};
use super::wire::{
    AdvertiserWire, CampaignWire, ConversionWire, CreativeWire, DealWire, ExchangeWire, LineItemWire,
    ListWire, PixelWire, Quoted, RatesWire, SafetyWire, SegmentWire,
};
use crate::model::line_item::{PacingMode, Predicts, Strategy};
use crate::model::list::ListKind;
use crate::model::targeting::MediaType;
use serde_json::{Map, Value, json};
use std::ops::RangeInclusive;

/// The schema of an entry as it stands in the account file. A form inside it has its name as `title`, an amount of money
/// `"format": "decimal"`, a reference `"x-refers-to": "collection.member"`, a secret `writeOnly`.
pub fn schema(part: Part) -> Value {
    let spec = match part {
        Part::Rates => RatesWire::spec(),
        Part::Safety => SafetyWire::spec(),
        Part::Exchange => ExchangeWire::spec(),
        Part::Segment => SegmentWire::spec().with("oneOf", by_source()),
        Part::Advertiser => AdvertiserWire::spec(),
        Part::Campaign => CampaignWire::spec(),
        Part::Creative => CreativeWire::spec().with("oneOf", by_medium()),
        Part::List => ListWire::spec(),
        Part::Deal => DealWire::spec(),
        Part::Conversion => ConversionWire::spec(),
        Part::Pixel => PixelWire::spec(),
        Part::LineItem => LineItemWire::spec().with("oneOf", by_strategy()),
    };
    spec.into()
}

/// What creatives of each medium have, must have, and have not.
fn by_medium() -> Vec<Value> {
    let of = |medium: MediaType, required: &[&str], not: &[&str], more: Value| {
        let mut members = json!({ "format": { "enum": [medium.name()] } });
        for (name, _, media) in OF_MEDIA {
            if !media.contains(&medium) || not.contains(&name) {
                members[name] = false.into();
            }
        }
        if let Value::Object(more) = more {
            more.into_iter().for_each(|(name, says)| members[name] = says);
        }
        let format = ["format"].into_iter().filter(|_| medium != MediaType::Banner);
        let required: Vec<&str> = format.chain(required.iter().copied()).collect();
        json!({ "title": medium.name(), "properties": members, "required": required })
    };
    let sized = json!([
        { "required": ["size"], "properties": { "w": false, "h": false } },
        { "required": ["w", "h"], "properties": { "size": false } },
    ]);
    let video = json!({ "properties": { "mime": { "examples": ["video/mp4"] } }, "oneOf": sized });
    let not_sized = json!({ "size": false, "w": false, "h": false, "mime": { "examples": ["audio/mp4"] } });
    let audio = json!({ "properties": not_sized });
    let files = |of: Value| json!({ "files": { "minItems": 1, "items": of } });
    let tag = json!({ "mimes": { "minItems": 1 } });
    let (own, wrapped) = (["duration_s", "files"], ["duration_s", "vast_tag", "mimes"]);
    let mut native = of(MediaType::Native, &[], &[], Value::Null);
    native["anyOf"] = ["titles", "images", "data", "video"].map(|name| json!({ "required": [name] })).into();
    vec![
        of(MediaType::Banner, &["size", "markup"], &[], Value::Null),
        of(MediaType::Video, &own, &["vast_tag", "mimes"], files(video)),
        of(MediaType::Video, &wrapped, &["files"], tag.clone()),
        of(MediaType::Audio, &own, &["vast_tag", "mimes"], files(audio)),
        of(MediaType::Audio, &wrapped, &["files"], tag),
        native,
    ]
}

/// What line items of each strategy must have and have not.
fn by_strategy() -> Vec<Value> {
    let of = |&(name, strategy): &(&str, Strategy)| {
        let (predicts, spends_all) = (strategy.predicts(), strategy.spends_all());
        let is_default = strategy == Strategy::default();
        let needed =
            [("strategy", !is_default), ("amount", !spends_all), ("max", predicts != Predicts::Nothing)];
        let needed: Vec<&str> = needed.iter().filter(|(_, is)| *is).map(|(name, _)| *name).collect();
        let mut bid = json!({ "strategy": { "enum": [name] } });
        if spends_all {
            bid["amount"] = false.into();
        }
        if is_default {
            bid["shading"] = false.into();
        }
        let mut members = json!({ "bid": { "properties": bid, "required": needed } });
        let mut required = vec!["bid"];
        if predicts == Predicts::Conversions {
            members["conversion_ids"] = json!({ "minItems": 1 });
            required.push("conversion_ids");
        }
        if spends_all {
            let modes = [PacingMode::Even, PacingMode::Ahead].map(Named::name);
            members["pacing"] = json!({ "properties": { "mode": { "enum": modes } }, "required": ["mode"] });
            required.push("pacing");
        }
        json!({ "title": name, "properties": members, "required": required })
    };
    Strategy::ALL.iter().map(of).collect()
}

/// What segments of each source have and have not.
fn by_source() -> Vec<Value> {
    let of = |own: Option<&str>| {
        let others = SOURCES.into_iter().filter(|name| Some(*name) != own);
        let mut members: Map<String, Value> = others.map(|name| (name.to_owned(), false.into())).collect();
        if own.is_some() {
            members.insert("sensitive".to_owned(), json!({ "enum": [false] }));
        }
        json!({ "title": own.unwrap_or("listed"), "properties": members, "required": own.into_iter().collect::<Vec<_>>() })
    };
    [None].into_iter().chain(SOURCES.map(Some)).map(of).collect()
}

/// What describes itself.
pub(super) trait Described {
    /// What one of it may be.
    fn spec() -> Spec;
}

impl Described for bool {
    fn spec() -> Spec {
        Spec::of(json!({ "type": "boolean" }))
    }
}

impl Described for String {
    fn spec() -> Spec {
        text()
    }
}

impl Described for Quoted {
    fn spec() -> Spec {
        id()
    }
}

impl<T: Described> Described for Option<T> {
    fn spec() -> Spec {
        T::spec()
    }
}

impl<T: Described> Described for Vec<T> {
    fn spec() -> Spec {
        list(T::spec())
    }
}

/// What a value may be.
#[derive(Clone, Debug)]
pub(super) struct Spec {
    rules: Map<String, Value>,
    required: bool,
}

impl From<Spec> for Value {
    fn from(spec: Spec) -> Value {
        Value::Object(spec.rules)
    }
}

impl Spec {
    pub(super) fn of(rules: Value) -> Spec {
        let Value::Object(rules) = rules else { unreachable!("rules are an object") };
        Spec { rules, required: false }
    }

    fn with(mut self, rule: &str, says: impl Into<Value>) -> Spec {
        self.rules.insert(rule.to_owned(), says.into());
        self
    }

    /// Any of these.
    pub(super) fn any_of<const N: usize>(schemas: [Value; N]) -> Spec {
        Spec::of(json!({ "anyOf": Vec::from(schemas) }))
    }

    /// It must be there.
    pub(super) fn required(self) -> Spec {
        Spec { required: true, ..self }
    }

    /// What it is where it is not there.
    pub(super) fn default(self, value: impl Into<Value>) -> Spec {
        self.with("default", value)
    }

    /// An example of a value.
    pub(super) fn such_as(self, example: impl Into<Value>) -> Spec {
        let example = example.into();
        self.with("examples", Value::Array(vec![example]))
    }

    /// An object of texts by any names.
    pub(super) fn texts(of: Spec) -> Spec {
        Spec::of(json!({ "type": "object", "additionalProperties": Value::from(of) }))
    }

    /// At most so many characters of a text.
    pub(super) fn at_most(self, chars: usize) -> Spec {
        self.with("maxLength", chars)
    }

    /// At least so many characters of a text.
    pub(super) fn at_least(self, chars: usize) -> Spec {
        self.with("minLength", chars)
    }

    /// At most so many entries of a list.
    pub(super) fn entries(self, most: usize) -> Spec {
        self.with("maxItems", most)
    }

    /// At least one entry of a list.
    pub(super) fn some(self) -> Spec {
        self.with("minItems", 1)
    }

    /// It goes in and never comes out.
    pub(super) fn secret(self) -> Spec {
        self.with("writeOnly", true)
    }
}

/// The members of a form.
pub(super) struct Form {
    members: Map<String, Value>,
    required: Vec<Value>,
}

impl Form {
    pub(super) fn new() -> Form {
        Form { members: Map::new(), required: Vec::new() }
    }

    /// A member; `said` is its comment as it stands in the source.
    pub(super) fn member(&mut self, name: &str, said: &str, spec: Spec) {
        let name = name.trim_start_matches("r#");
        if spec.required {
            self.required.push(name.into());
        }
        let mut rules = spec.rules;
        let said = said.trim();
        if !said.is_empty() {
            rules.insert("description".to_owned(), said.into());
        }
        self.members.insert(name.to_owned(), Value::Object(rules));
    }

    /// The form by the name that its type has.
    pub(super) fn named(self, name: &str) -> Spec {
        let spec = Spec::of(json!({
            "title": words(name), "type": "object", "properties": self.members, "additionalProperties": false,
        }));
        if self.required.is_empty() { spec } else { spec.with("required", self.required) }
    }
}

/// `AdsTxtWire` → `ads_txt`.
fn words(name: &str) -> String {
    let mut words = String::new();
    for letter in name.trim_end_matches("Wire").chars() {
        if letter.is_ascii_uppercase() && !words.is_empty() {
            words.push('_');
        }
        words.push(letter.to_ascii_lowercase());
    }
    words
}

/// Any text.
pub(super) fn text() -> Spec {
    Spec::of(json!({ "type": "string" }))
}

/// A text of a form, with examples of it.
pub(super) fn formed(pattern: &str, examples: &[&str]) -> Spec {
    text().with("pattern", pattern).with("examples", examples)
}

/// A name for people: 1 to 255 characters in one line.
pub(super) fn name() -> Spec {
    let line = r"[^\u0000-\u001f\u007f-\u009f]*";
    let ink = r"[^\s\u0000-\u001f\u007f-\u009f]";
    formed(&format!("^{line}{ink}{line}$"), &["Spring sale"]).at_least(1).at_most(255)
}

/// One of a few names.
pub(super) fn one_of<T: Named>() -> Spec {
    one_of_texts(T::ALL.iter().map(|(name, _)| *name))
}

/// The same, of any list.
pub(super) fn one_of_texts(names: impl IntoIterator<Item = &'static str>) -> Spec {
    Spec::of(json!({ "type": "string", "enum": names.into_iter().collect::<Vec<_>>() }))
}

/// One of a few names, or any number that stands for one.
pub(super) fn one_of_or_number(known: &'static [(&'static str, i64)], numbers: RangeInclusive<i64>) -> Spec {
    let names: Value = one_of_texts(known.iter().map(|(name, _)| *name)).into();
    Spec::of(json!({ "anyOf": [names, Value::from(whole(numbers))] }))
}

/// A whole number within bounds.
pub(super) fn whole(bounds: RangeInclusive<i64>) -> Spec {
    Spec::of(json!({ "type": "integer", "minimum": bounds.start(), "maximum": bounds.end() }))
}

/// An id: a whole number in quotes.
pub(super) fn id() -> Spec {
    formed("^(0|[1-9][0-9]{0,9})$", &["1"])
}

/// The id of something else.
pub(super) fn refers(target: &str) -> Spec {
    id().with("x-refers-to", target)
}

/// The name of an exchange.
pub(super) fn exchange() -> Spec {
    text().with("x-refers-to", "exchanges.name")
}

/// The key of a segment.
pub(super) fn segment() -> Spec {
    text().with("x-refers-to", "segments.key")
}

/// A decimal as exact numbers are written.
fn decimal(examples: &[&str]) -> Spec {
    formed(r"^-?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$", examples)
}

/// An amount of money, exact to the billionth.
pub(super) fn amount() -> Spec {
    decimal(&["250.00"]).with("format", "decimal")
}

/// A price per thousand impressions, exact to the millionth.
pub(super) fn price() -> Spec {
    decimal(&["2.50"]).with("format", "decimal")
}

/// A factor, exact to the millionth.
pub(super) fn factor() -> Spec {
    decimal(&["0.8"])
}

/// An exact decimal that is no money, or money of no one currency.
pub(super) fn number(example: &str) -> Spec {
    decimal(&[example])
}

/// A currency.
pub(super) fn currency() -> Spec {
    formed("^[A-Za-z]{3}$", &["USD"])
}

/// A moment with its offset.
pub(super) fn moment() -> Spec {
    text().with("format", "date-time").such_as("2026-03-01T00:00:00+01:00")
}

/// An IANA time zone.
pub(super) fn time_zone() -> Spec {
    text().with("examples", vec!["Europe/Berlin", "UTC"])
}

/// A size in pixels.
pub(super) fn size() -> Spec {
    formed("^0*[1-9][0-9]{0,4}x0*[1-9][0-9]{0,4}$", &["300x250"])
}

/// One side of a size.
pub(super) fn side() -> Spec {
    whole(1..=i64::from(MAX_SIDE))
}

/// A host name.
pub(super) fn domain() -> Spec {
    let label = "[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?";
    formed(&format!(r"^{label}(\.{label})*$"), &["news.example"]).at_most(253)
}

/// A URL that is fetched or opened.
pub(super) fn url() -> Spec {
    text().with("format", "uri").such_as("https://cdn.acme.example/a.png")
}

/// A content type.
pub(super) fn mime(example: &'static str) -> Spec {
    formed("^[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+$", &[example])
}

/// An ISO 3166 country.
pub(super) fn country() -> Spec {
    formed(r"^\s*[A-Za-z]{2,3}\s*$", &["DE", "USA"])
}

/// An ISO 3166-2 region.
pub(super) fn region() -> Spec {
    formed("^[A-Za-z]{2}-[A-Za-z0-9]*$", &["US-CA"])
}

/// An IP address or a network.
pub(super) fn address() -> Spec {
    text().with("examples", vec!["192.0.2.0/24", "2001:db8::/32"])
}

/// A text that is compared as a whole.
pub(super) fn word(example: &'static str) -> Spec {
    text().at_least(1).at_most(1_024).such_as(example)
}

/// A list.
pub(super) fn list(of: Spec) -> Spec {
    Spec::of(json!({ "type": "array", "items": Value::from(of) }))
}

/// Values that are wanted and values that are not.
pub(super) fn rule(of: Spec) -> Spec {
    Spec::of(json!({
        "type": "object",
        "properties": {
            "include": Value::from(list(of.clone()).with("description", "Any of these; none is all.")),
            "exclude": Value::from(list(of).with("description", "None of these.")),
        },
        "additionalProperties": false,
    }))
}

/// The same, of values that may stand on lists of a type.
pub(super) fn listed(of: Spec, kind: ListKind) -> Spec {
    let Value::Object(mut members) = rule(of).rules.remove("properties").unwrap_or_default() else {
        unreachable!("a rule has members")
    };
    let Value::Object(lists) = lists(kind).rules.remove("properties").unwrap_or_default() else {
        unreachable!("lists are members")
    };
    members.extend(lists);
    Spec::of(json!({ "type": "object", "properties": members, "additionalProperties": false }))
}

/// Lists of a type whose values are wanted, or not.
pub(super) fn lists(kind: ListKind) -> Spec {
    let ids = |said: &str| {
        Value::from(list(refers("lists.id").with("x-type", kind.name())).with("description", said))
    };
    Spec::of(json!({
        "type": "object",
        "properties": {
            "include_lists": ids("Ids of lists; what stands on any of them is wanted too."),
            "exclude_lists": ids("Ids of lists; what stands on any of them is refused."),
        },
        "additionalProperties": false,
    }))
}

/// Factors by value, each within `0..=most`.
pub(super) fn factors(of: Spec, most: i64) -> Spec {
    let said = format!("What the bid is multiplied by, from 0 to {most}, at most 6 decimals.");
    list(Spec::of(json!({
        "type": "object",
        "properties": { "value": Value::from(of.with("description", "What it is for.")), "factor": Value::from(factor().with("description", said)) },
        "required": ["value", "factor"],
        "additionalProperties": false,
    })))
}
