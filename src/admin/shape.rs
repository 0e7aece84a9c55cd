//! How a kind of resource looks from outside, and how that is stored: names of references, amounts of money, the members
//! that every resource has.
//!
//! Inside, a document is an entry of the account file without the members that have columns of their own. Outside,
//! references are called `advertiser_id`, and an amount is `{"amount": "12.50", "currency": "USD"}`; a plain
//! `"12.50"` and `{"micros": 12500000}` are taken too. The currency is never a choice: it is that of the advertiser or
//! the exchange, and another one is refused.

use super::problem::FieldError;
use crate::model::money::Currency;
use crate::store::account_file::Part;
use crate::store::control::{Kind, Row, Status};
use serde_json::{Map, Value, json};

/// One kind of resource.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) kind: Kind,
    pub(super) part: Part,
    /// Its collection, under `/v1/`.
    pub(super) collection: &'static str,
    /// (outside, inside) names of the reference to its parent.
    pub(super) parent: Option<(&'static str, &'static str)>,
    /// Where amounts of money stand.
    pub(super) money: &'static [&'static str],
    /// Whether the entry of the account file has the member `status`.
    pub(super) has_status: bool,
    /// Whether it belongs to the platform and not to a tenant.
    pub(super) is_shared: bool,
    /// Members that a change of needs `If-Match`.
    pub(super) guarded: &'static [&'static str],
}

pub(super) static SHAPES: [Shape; 12] = [
    Shape {
        kind: Kind::Advertiser,
        part: Part::Advertiser,
        collection: "advertisers",
        parent: None,
        money: &["/wallet", "/data_fee"],
        has_status: true,
        is_shared: false,
        guarded: &["status"],
    },
    Shape {
        kind: Kind::Campaign,
        part: Part::Campaign,
        collection: "campaigns",
        parent: Some(("advertiser_id", "advertiser")),
        money: &["/budget/lifetime", "/budget/daily"],
        has_status: true,
        is_shared: false,
        guarded: &["status", "budget"],
    },
    Shape {
        kind: Kind::LineItem,
        part: Part::LineItem,
        collection: "line_items",
        parent: Some(("campaign_id", "campaign")),
        money: &["/budget/lifetime", "/budget/daily", BID_AMOUNT, "/bid/max", "/bid/min"],
        has_status: true,
        is_shared: false,
        guarded: &["status", "budget", "bid"],
    },
    Shape {
        kind: Kind::Creative,
        part: Part::Creative,
        collection: "creatives",
        parent: Some(("advertiser_id", "advertiser")),
        money: &[],
        has_status: false,
        is_shared: false,
        guarded: &["status"],
    },
    Shape {
        kind: Kind::Segment,
        part: Part::Segment,
        collection: "segments",
        parent: None,
        money: &[],
        has_status: false,
        is_shared: false,
        guarded: &[],
    },
    Shape {
        kind: Kind::List,
        part: Part::List,
        collection: "lists",
        parent: None,
        money: &[],
        has_status: false,
        is_shared: false,
        guarded: &[],
    },
    Shape {
        kind: Kind::Deal,
        part: Part::Deal,
        collection: "deals",
        parent: None,
        money: &["/price"],
        has_status: true,
        is_shared: false,
        guarded: &["status"],
    },
    Shape {
        kind: Kind::Conversion,
        part: Part::Conversion,
        collection: "conversions",
        parent: Some(("advertiser_id", "advertiser")),
        money: &["/value"],
        has_status: true,
        is_shared: false,
        guarded: &["status"],
    },
    Shape {
        kind: Kind::Pixel,
        part: Part::Pixel,
        collection: "pixels",
        parent: Some(("advertiser_id", "advertiser")),
        money: &[],
        has_status: true,
        is_shared: false,
        guarded: &["status"],
    },
    Shape {
        kind: Kind::Exchange,
        part: Part::Exchange,
        collection: "exchanges",
        parent: None,
        money: &["/max_cpm", "/max_open_holds", "/house/first_trust", "/house/day_max"],
        has_status: false,
        is_shared: true,
        guarded: &["status"],
    },
    Shape {
        kind: Kind::Rates,
        part: Part::Rates,
        collection: "rates",
        parent: None,
        money: &[],
        has_status: false,
        is_shared: true,
        guarded: &[],
    },
    Shape {
        kind: Kind::Safety,
        part: Part::Safety,
        collection: "safety",
        parent: None,
        money: &[],
        has_status: false,
        is_shared: true,
        guarded: &[],
    },
];

/// Money of every strategy but one.
pub(super) const BID_AMOUNT: &str = "/bid/amount";

/// Members that the server alone writes.
pub(super) const READ_ONLY: [&str; 12] = [
    "id",
    "account_id",
    "effective_status",
    "status_reasons",
    "health",
    "alerts",
    "version",
    "etag",
    "created_at",
    "updated_at",
    "warnings",
    "item_count",
];

/// Bytes of an `external_id`.
pub(super) const MAX_EXTERNAL_ID: usize = 255;

/// Members that are for people and programs outside; the engine does not know them.
pub(super) const OUTSIDE: [&str; 2] = ["notes", "labels"];

/// A resource as it was sent, taken apart.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) name: String,
    pub(super) external_id: Option<String>,
    pub(super) status: Status,
    pub(super) parent: Option<u32>,
    /// The document to be stored.
    pub(super) doc: Map<String, Value>,
    /// What is wrong with the members above, of which some default stands there then.
    pub(super) errors: Vec<FieldError>,
}

impl Shape {
    pub(super) fn of(kind: Kind) -> Option<&'static Shape> {
        SHAPES.iter().find(|shape| shape.kind == kind)
    }

    /// The name of one of it, for people.
    pub(super) fn noun(&self) -> &'static str {
        self.kind.as_str()
    }

    /// Whether what is new and says nothing of it is active.
    pub(super) fn serves_at_once(&self) -> bool {
        matches!(self.kind, Kind::Segment | Kind::List) || self.is_shared
    }

    pub(super) fn is_singleton(&self) -> bool {
        self.kind.is_singleton()
    }

    /// Takes a document apart that was sent, or that a patch has made. Everything wrong with its common members is in
    /// the errors; the rest the editor reads.
    pub(super) fn read(&self, mut object: Map<String, Value>, default: Status) -> Draft {
        let mut errors = Vec::new();
        object.retain(|_, value| !value.is_null());
        object.values_mut().for_each(without_nulls);
        for name in READ_ONLY {
            object.remove(name);
        }
        let mut text = |object: &mut Map<String, Value>, name: &'static str| match object.remove(name) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text),
            Some(_) => {
                errors.push(FieldError::new(format!("/{name}"), "malformed", "give a text in quotes"));
                None
            }
        };
        // What there is one of has none of these; if they are there, they are unknown to the editor.
        let mut common = |object: &mut Map<String, Value>, name| match self.is_singleton() {
            true => None,
            false => text(object, name),
        };
        let (name, external_id) = (common(&mut object, "name"), common(&mut object, "external_id"));
        let status = common(&mut object, "status");
        let parent = self.parent.map(|(outside, _)| (outside, text(&mut object, outside)));
        let status = status.map_or(Ok(default), |text| {
            Status::parse(&text).ok_or_else(|| {
                let message = format!("{text:?} is not known; use one of draft, active, paused, archived");
                FieldError::new("/status", "malformed", message)
            })
        });
        let parent = parent.map(|(outside, text)| match text {
            None => Err(FieldError::new(format!("/{outside}"), "missing", "is missing; add it")),
            Some(text) => text.parse::<u32>().map_err(|_| {
                let message = format!("{text:?} is no id; give the `id` of the resource above");
                FieldError::new(format!("/{outside}"), "malformed", message)
            }),
        });
        if let Some(name) = &name
            && (name.trim().is_empty() || name.chars().count() > 255 || name.chars().any(char::is_control))
        {
            let message = "give a name of 1 to 255 characters in one line";
            errors.push(FieldError::new("/name", "malformed", message));
        }
        let needs_name = !self.is_singleton() && self.kind != Kind::Segment;
        if name.is_none() && needs_name && !errors.iter().any(|error| error.pointer == "/name") {
            errors.push(FieldError::new("/name", "missing", "is missing; add it"));
        }
        if external_id.as_ref().is_some_and(|id| id.is_empty() || id.len() > MAX_EXTERNAL_ID) {
            errors.push(FieldError::new(
                "/external_id",
                "malformed",
                format!("give 1 to {MAX_EXTERNAL_ID} bytes"),
            ));
        }
        if let Some((outside, inside)) = self.parent
            && object.contains_key(inside)
        {
            object.remove(inside);
            let message = format!("is not known; what it belongs to is called `{outside}`");
            errors.push(FieldError::new(format!("/{inside}"), "malformed", message));
        }
        check_outside(&object, &mut errors);
        let status = status.unwrap_or_else(|error| {
            errors.push(error);
            default
        });
        let parent = parent.transpose().unwrap_or_else(|error| {
            errors.push(error);
            None
        });
        let name = name.or_else(|| object.get("key").and_then(Value::as_str).map(str::to_owned));
        let name = name.unwrap_or_else(|| self.noun().to_owned());
        Draft { name, external_id, status, parent, doc: object, errors }
    }

    /// Makes plain decimals of a document's amounts.
    pub(super) fn plain_money(
        &self,
        doc: &mut Map<String, Value>,
        currency: Option<Currency>,
        errors: &mut Vec<FieldError>,
    ) {
        let mut whole = Value::Object(std::mem::take(doc));
        for pointer in self.money {
            let is_ratio = is_ratio(pointer, &whole);
            let Some(value) = whole.pointer_mut(pointer) else { continue };
            if is_ratio && value.is_object() {
                let message =
                    "is the revenue for each unit spent and no money; give a number such as \"4.0\"";
                errors.push(FieldError::new(*pointer, "malformed", message));
            } else if let Err((code, message)) = plain(value, currency) {
                errors.push(FieldError::new(*pointer, code, message));
            }
        }
        if let Value::Object(object) = whole {
            *doc = object;
        }
    }

    /// The entry of the account file that a stored row stands for.
    pub(super) fn entry(&self, row: &Row) -> Result<String, serde_json::Error> {
        let mut object: Map<String, Value> = serde_json::from_str(&row.doc)?;
        for name in OUTSIDE {
            object.remove(name);
        }
        if !self.is_singleton() {
            object.insert("id".to_owned(), row.id.to_string().into());
            object.insert("name".to_owned(), row.name.as_str().into());
        }
        if self.has_status {
            object.insert("status".to_owned(), row.status.as_str().into());
        }
        if let (Some((_, inside)), Some(parent)) = (self.parent, row.parent) {
            object.insert(inside.to_owned(), parent.to_string().into());
        }
        serde_json::to_string(&object)
    }

    /// Whether the editor's account shall hold it, see [`crate::store::account_file::Entry::serves`].
    pub(super) fn serves(&self, status: Status) -> bool {
        match self.kind {
            Kind::Creative | Kind::Exchange => status == Status::Active,
            _ => status != Status::Archived,
        }
    }

    /// The members of a row that can be written, as its document has them; amounts are plain decimals.
    pub(super) fn editable(&self, row: &Row) -> Map<String, Value> {
        let mut object: Map<String, Value> = serde_json::from_str(&row.doc).unwrap_or_default();
        object.insert("name".into(), row.name.as_str().into());
        object.insert("status".into(), row.status.as_str().into());
        if let Some(external_id) = &row.external_id {
            object.insert("external_id".into(), external_id.as_str().into());
        }
        if let (Some((outside, _)), Some(parent)) = (self.parent, row.parent) {
            object.insert(outside.into(), parent.to_string().into());
        }
        object
    }

    /// A row as the API shows it, without what is worked out.
    pub(super) fn view(&self, row: &Row, currency: Option<Currency>) -> Map<String, Value> {
        let mut view = Map::new();
        if !self.is_singleton() {
            view.insert("id".into(), row.id.to_string().into());
            view.insert("name".into(), row.name.as_str().into());
            view.insert("external_id".into(), row.external_id.as_deref().into());
            view.insert("status".into(), row.status.as_str().into());
        }
        if !self.is_shared {
            view.insert("account_id".into(), row.account.to_string().into());
        }
        if let (Some((outside, _)), Some(parent)) = (self.parent, row.parent) {
            view.insert(outside.into(), parent.to_string().into());
        }
        let doc: Map<String, Value> = serde_json::from_str(&row.doc).unwrap_or_default();
        let mut doc = Value::Object(doc);
        for pointer in self.money {
            if is_ratio(pointer, &doc) {
                continue;
            }
            if let (Some(value), Some(currency)) = (doc.pointer_mut(pointer), currency)
                && let Some(amount) = value.as_str()
            {
                *value = json!({ "amount": amount, "currency": currency.as_str() });
            }
        }
        if let Value::Object(doc) = doc {
            view.extend(doc);
        }
        view.insert("version".into(), row.version.into());
        view.insert("etag".into(), etag(row.version).into());
        view.insert("created_at".into(), moment(row.created_ms));
        view.insert("updated_at".into(), moment(row.updated_ms));
        view
    }

    /// The pointer of a finding about an entry, as the caller knows the place.
    pub(super) fn outside(&self, mut error: FieldError) -> FieldError {
        let Some((outside, inside)) = self.parent else { return error };
        if error.pointer == format!("/{inside}") {
            error.pointer = format!("/{outside}");
        }
        // What is suggested in the place of a name that is not known is as the caller would write it.
        if error.message.starts_with("unknown field") {
            error.message = error.message.replace(&format!("`{inside}`"), &format!("`{outside}`"));
            error.message =
                error.message.replace(&format!("mean \"{inside}\""), &format!("mean \"{outside}\""));
        }
        error
    }
}

/// Whether what stands at a pointer is no money in this document: a return on what is spent is a plain number.
fn is_ratio(pointer: &str, doc: &Value) -> bool {
    pointer == BID_AMOUNT && doc.pointer("/bid/strategy").is_some_and(|strategy| strategy == "target_roas")
}

/// Takes out members that are null: to say nothing and to say null are the same, in a patch and in what is new.
fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, value| !value.is_null());
            members.values_mut().for_each(without_nulls);
        }
        Value::Array(values) => values.iter_mut().for_each(without_nulls),
        _ => {}
    }
}

/// `notes` and `labels`.
pub(super) fn check_outside(object: &Map<String, Value>, errors: &mut Vec<FieldError>) {
    if object.get("notes").is_some_and(|notes| !notes.is_string()) {
        errors.push(FieldError::new("/notes", "malformed", "give a text in quotes"));
    }
    let Some(labels) = object.get("labels") else { return };
    let Some(labels) = labels.as_object() else {
        return errors.push(FieldError::new("/labels", "malformed", "give an object of texts"));
    };
    for name in labels.iter().filter(|(_, value)| !value.is_string()).map(|(name, _)| name) {
        let pointer = format!("/labels/{}", name.replace('~', "~0").replace('/', "~1"));
        errors.push(FieldError::new(pointer, "malformed", "give a text in quotes"));
    }
}

/// Makes a plain decimal of an amount, or says what is wrong with it; what is no amount at all the editor refuses.
pub(super) fn plain(value: &mut Value, currency: Option<Currency>) -> Result<(), (&'static str, String)> {
    let Value::Object(object) = &*value else { return Ok(()) };
    let unknown = object.keys().find(|key| !["amount", "currency", "micros"].contains(&key.as_str()));
    if let Some(unknown) = unknown {
        return Err(("malformed", format!("{unknown:?} is no part of an amount; give amount and currency")));
    }
    if let (Some(given), Some(currency)) = (object.get("currency"), currency)
        && given.as_str() != Some(currency.as_str())
    {
        return Err(("conflict", format!("is in {given}, and everything here is in {currency}")));
    }
    let amount = match (object.get("amount"), object.get("micros")) {
        (Some(Value::String(amount)), None) => amount.clone(),
        (None, Some(micros)) => {
            let micros = micros.as_i64().or_else(|| micros.as_str()?.parse().ok());
            let micros = micros.ok_or(("malformed", "micros is a whole number of millionths".to_owned()))?;
            let (sign, size) = (if micros < 0 { "-" } else { "" }, micros.unsigned_abs());
            format!("{sign}{}.{:06}", size / 1_000_000, size % 1_000_000)
        }
        _ => return Err(("malformed", "give {\"amount\": \"12.50\", \"currency\": \"USD\"}".to_owned())),
    };
    *value = Value::String(amount);
    Ok(())
}

/// A moment as RFC 3339.
pub(super) fn moment(ms: i64) -> Value {
    match jiff::Timestamp::from_millisecond(ms) {
        Ok(moment) => Value::String(moment.to_string()),
        Err(_) => Value::Null,
    }
}

/// The entity tag of a version.
pub(super) fn etag(version: u64) -> String {
    format!("\"{version}\"")
}
