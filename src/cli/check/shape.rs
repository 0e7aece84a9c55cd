//! The walk through a request or an answer along the schema: what each value's type should be, which fields nobody
//! knows, which are deprecated, which numbers are unknown. What values mean to each other is for the checks of the
//! objects, which the walk calls on its way.

use super::finding::{Findings, Rule};
use super::read::{self, At, Path, flag, int, number, shown};
use super::tables;
use crate::exchange::schema::{Field, Kind, MESSAGES, Message};
use crate::model::suggest;
use serde_json::Value;

/// A check of an object.
pub(super) type Check = fn(&At<'_>, &mut Findings);

/// The rules that the walk itself finds broken, and the checks on its way.
pub(super) struct Shape {
    /// A value of a type that is not specified but is read.
    pub(super) loose: &'static Rule,
    /// A value that cannot be read.
    pub(super) unreadable: &'static Rule,
    /// The same in a list that forbids or restricts.
    pub(super) unreadable_rule: &'static Rule,
    /// A field that the object does not have.
    pub(super) unknown_field: &'static Rule,
    /// A number that its list does not have.
    pub(super) unknown_value: &'static Rule,
    /// A field that should not be used any more.
    pub(super) deprecated: &'static Rule,
    /// `null`.
    pub(super) null: &'static Rule,
    /// The checks of an object, by its name.
    pub(super) checks: fn(&str) -> &'static [Check],
}

impl Shape {
    /// Walks through an object.
    pub(super) fn walk(&self, at: &At<'_>, findings: &mut Findings) {
        (self.checks)(at.message).iter().for_each(|check| check(at, findings));
        let message = Message::named(at.message).expect("walks begin at objects of the schema");
        for (key, value) in at.value.as_object().into_iter().flatten() {
            let path = at.path.key(key);
            match message.field(key) {
                _ if value.is_null() => findings.add(self.null, &path, "is null"),
                Some(field) => self.field(at, field, value, &path, findings),
                // Extensions are free.
                None if key == "ext" || at.message.ends_with(".Ext") => {}
                None => self.stranger(at, message, key, &path, findings),
            }
        }
    }

    fn note(&self, rule: &'static Rule, at: &At<'_>, path: &Path<'_>, what: String, findings: &mut Findings) {
        findings.add(rule, path, what);
        if let (Some(section), Some(last)) = (tables::section(at.message), findings.0.last_mut()) {
            last.section = section;
        }
    }

    fn stranger(&self, at: &At<'_>, message: &Message, key: &str, path: &Path<'_>, findings: &mut Findings) {
        if tables::has(tables::JSON_ONLY, at.message, key) {
            return;
        }
        if let Some(right) = tables::find(tables::SPELLINGS, at.message, key) {
            let what = format!("is spelt as in an example of the specification; its text says {right}");
            return self.note(self.deprecated, at, path, what, findings);
        }
        let near = suggest::closest(key, message.fields.iter().map(|field| field.name));
        let what = match near {
            Some(near) => format!("is no field of {}; {near} is", at.message),
            None => format!("is no field of {}", at.message),
        };
        self.note(self.unknown_field, at, path, what, findings);
    }

    fn field(&self, at: &At<'_>, field: &Field, value: &Value, path: &Path<'_>, findings: &mut Findings) {
        if let Some(instead) = tables::find(tables::DEPRECATED, at.message, field.name) {
            let what = format!("is deprecated in favour of {instead}");
            self.note(self.deprecated, at, path, what, findings);
        }
        let judged = !tables::has(tables::JUDGED_ELSEWHERE, at.message, field.name);
        match (field.repeated, value) {
            (true, Value::Array(entries)) => self.list(at, field, entries, path, judged, findings),
            (true, Value::String(_) | Value::Number(_)) if !matches!(field.kind, Kind::Message(_)) => {
                let what = format!("is {} and no list", shown(value));
                self.note(self.loose, at, path, what, findings);
                for entry in read::list(Some(value)) {
                    match (fit(field, &entry), judged) {
                        (Fit::Unreadable, true) => {
                            self.cannot_be_read(at, field, &entry, "a whole number", path, findings);
                        }
                        _ => self.number(at, field, &entry, path, findings),
                    }
                }
            }
            (true, _) if judged => self.cannot_be_read(at, field, value, "a list", path, findings),
            (true, _) => {}
            (false, value) => self.entry(at, field, value, path, judged, findings),
        }
    }

    /// A list. What holds for one of its texts or numbers mostly holds for all, and is said once.
    fn list(
        &self,
        at: &At<'_>,
        field: &Field,
        entries: &[Value],
        path: &Path<'_>,
        judged: bool,
        findings: &mut Findings,
    ) {
        let start = findings.0.len();
        for (index, entry) in entries.iter().enumerate() {
            let path = path.index(index);
            let before = findings.0.len();
            match entry {
                Value::Null => findings.add(self.null, &path, "is null"),
                entry => self.entry(at, field, entry, &path, judged, findings),
            }
            let said = |rule| findings.0[start..before].iter().any(|finding| finding.rule == rule);
            if !matches!(field.kind, Kind::Message(_))
                && findings.0[before..].iter().all(|new| said(new.rule))
            {
                findings.0.truncate(before);
            }
        }
    }

    /// A single value: a field's, or one of a list.
    fn entry(
        &self,
        at: &At<'_>,
        field: &Field,
        value: &Value,
        path: &Path<'_>,
        judged: bool,
        findings: &mut Findings,
    ) {
        let wanted = match field.kind {
            Kind::Message(inner) if value.is_object() => {
                let inner = At { message: MESSAGES[inner].name, value, path, outer: Some(at) };
                return self.walk(&inner, findings);
            }
            Kind::Message(_) => "an object",
            Kind::Text => "a text",
            Kind::Integer => "a whole number",
            Kind::Decimal => "a number",
            Kind::Flag => "0 or 1",
        };
        if !judged {
            return;
        }
        match fit(field, value) {
            Fit::Right => {}
            Fit::Loose => {
                let what = format!("is {} where {wanted} is specified", shown(value));
                self.note(self.loose, at, path, what, findings);
            }
            Fit::Unreadable => return self.cannot_be_read(at, field, value, wanted, path, findings),
        }
        self.number(at, field, value, path, findings);
    }

    fn cannot_be_read(
        &self,
        at: &At<'_>,
        field: &Field,
        value: &Value,
        wanted: &str,
        path: &Path<'_>,
        findings: &mut Findings,
    ) {
        // Of the video of a native asset the bidder reads only what the asset asks.
        let restricts = tables::has(tables::RESTRICTING, at.message, field.name)
            && at.outer.is_none_or(|outer| outer.message != "NativeRequest.Asset");
        let rule = if restricts { self.unreadable_rule } else { self.unreadable };
        self.note(rule, at, path, format!("is {} where {wanted} is specified", shown(value)), findings);
    }

    /// Whether a number is one of its list.
    fn number(&self, at: &At<'_>, field: &Field, value: &Value, path: &Path<'_>, findings: &mut Findings) {
        let given = int(Some(value));
        let known = tables::find(tables::NUMBERS, at.message, field.name);
        let flag_of_another_value = field.kind == Kind::Flag && flag(Some(value)).is_none();
        let unknown = given.is_some_and(|given| {
            flag_of_another_value
                || known.is_some_and(|known| !known.iter().any(|range| range.contains(&given)))
        });
        if unknown {
            self.note(
                self.unknown_value,
                at,
                path,
                format!("is {}, which nobody knows", shown(value)),
                findings,
            );
        }
    }
}

/// How a value fits a type.
enum Fit {
    Right,
    Loose,
    Unreadable,
}

fn fit(field: &Field, value: &Value) -> Fit {
    let (right, read) = match field.kind {
        Kind::Text => {
            (value.is_string(), value.is_number() || (field.name == "keywords" && value.is_array()))
        }
        Kind::Integer => (value.is_i64() || value.is_u64(), int(Some(value)).is_some()),
        Kind::Decimal => (value.is_number(), number(Some(value)).is_some()),
        Kind::Flag => (value.is_i64() || value.is_u64(), flag(Some(value)).is_some()),
        Kind::Message(_) => (false, false),
    };
    match (right, read) {
        (true, _) => Fit::Right,
        (false, true) => Fit::Loose,
        (false, false) => Fit::Unreadable,
    }
}
