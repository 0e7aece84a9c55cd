//! Which fields of the specification a request has, by the table of all of them.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// (object, field).
pub(super) type Field = (String, String);

/// Fields of the table that no request has, and why.
pub(super) const ELSEWHERE: [(&str, &str, &str); 13] = [
    ("Banner", "wmax", "removed in 2.6"),
    ("Banner", "hmax", "removed in 2.6"),
    ("Banner", "wmin", "removed in 2.6"),
    ("Banner", "hmin", "removed in 2.6"),
    ("Video", "protocol", "removed in 2.6"),
    ("Content", "videoquality", "removed in 2.6"),
    ("Native", "request_native", "the form that a native request has in protobuf alone"),
    ("Video", "vasttag", "of a native answer"),
    ("Asset", "link", "of a native answer"),
    ("Title", "text", "of a native answer"),
    ("Image", "url", "of a native answer"),
    ("Data", "label", "of a native answer"),
    ("Data", "value", "of a native answer"),
];

/// The table: the type of each field as the schema of protobuf names it; empty where the schema has none.
pub(super) struct Fields(BTreeMap<Field, String>);

impl Fields {
    /// `None`, said aloud, where the table is not there.
    pub(super) fn load() -> Option<Fields> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/openrtb/fields.tsv");
        let Ok(table) = std::fs::read_to_string(&path) else {
            eprintln!(
                "SKIPPED: no table of fields at {}; what is produced was compared with nothing",
                path.display()
            );
            return None;
        };
        let row = |row: &str| {
            let columns: Vec<&str> = row.split('\t').collect();
            ((columns[0].to_owned(), columns[1].to_owned()), columns[7].to_owned())
        };
        Some(Fields(table.lines().skip(1).map(row).collect()))
    }

    /// The fields that a request can have.
    pub(super) fn of_requests(&self) -> BTreeSet<Field> {
        let mut found = BTreeSet::new();
        let mut open = vec!["BidRequest".to_owned()];
        while let Some(object) = open.pop() {
            for ((_, name), _) in self.0.iter().filter(|((owner, _), _)| *owner == object) {
                let is_elsewhere =
                    ELSEWHERE.iter().any(|(owner, field, _)| object == *owner && name == field);
                if !is_elsewhere && found.insert((object.clone(), name.clone())) {
                    open.extend(self.object_in(&object, name));
                }
            }
        }
        found
    }

    /// The object that a field holds, one or several.
    fn object_in(&self, object: &str, name: &str) -> Option<String> {
        match (object, name, self.0.get(&(object.to_owned(), name.to_owned()))?.as_str()) {
            ("Native", "request", _) => Some("NativeRequest".to_owned()),
            (_, "ext", _) => Some(format!("{object}.Ext")),
            (_, _, "Dooh") => Some("DOOH".to_owned()),
            (_, _, kind) => kind.starts_with(char::is_uppercase).then(|| kind.to_owned()),
        }
    }

    /// Notes the fields of a value that is an object of this name. A field that the table has not is a fault of who
    /// made it, except in `ext`.
    pub(super) fn note(&self, object: &str, value: &Value, seen: &mut BTreeSet<Field>) {
        for (name, value) in value.as_object().unwrap_or_else(|| panic!("{value} is no {object}")) {
            let field = (object.to_owned(), name.clone());
            if !self.0.contains_key(&field) {
                assert!(object.ends_with(".Ext"), "{object} has no {name}");
                continue;
            }
            if let Some(inner) = self.object_in(object, name) {
                match value {
                    Value::Array(entries) => entries.iter().for_each(|entry| self.note(&inner, entry, seen)),
                    Value::String(text) => self.note(&inner, &unwrapped(text), seen),
                    value => self.note(&inner, value, seen),
                }
            }
            seen.insert(field);
        }
    }
}

/// The native request in a text, with or without the wrapper of 1.0.
fn unwrapped(text: &str) -> Value {
    let request: Value = serde_json::from_str(text).expect("a native request is JSON");
    request.get("native").cloned().unwrap_or(request)
}
