//! JSON Schema as far as the description of the API uses it: whether a value is of a schema, and values made from one.

use crate::parse::differential::Seeded;
use outbid::model::url::HttpUrl;
use regex_lite::Regex;
use serde_json::{Map, Value, json};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};

/// Says whether values are of schemas of a document.
pub(super) struct Judge<'d> {
    document: &'d Value,
    patterns: RefCell<HashMap<String, Regex>>,
}

impl<'d> Judge<'d> {
    pub(super) fn new(document: &'d Value) -> Judge<'d> {
        Judge { document, patterns: RefCell::default() }
    }

    /// Fails where the value is not of the schema.
    #[track_caller]
    pub(super) fn check(&self, what: &str, schema: &Value, value: &Value) {
        if let Err(fault) = self.fault(schema, value, "", true) {
            panic!("{what}: {fault}");
        }
    }

    /// The same for what shows only some members.
    #[track_caller]
    pub(super) fn check_part(&self, what: &str, schema: &Value, value: &Value) {
        if let Err(fault) = self.fault(schema, value, "", false) {
            panic!("{what}: {fault}");
        }
    }

    fn resolve(&self, target: &Value) -> &'d Value {
        let target = target.as_str().unwrap().trim_start_matches('#');
        self.document.pointer(target).unwrap_or_else(|| panic!("{target} is not there"))
    }

    fn matches(&self, pattern: &str, text: &str) -> bool {
        let mut patterns = self.patterns.borrow_mut();
        // As ECMAScript writes it.
        let make =
            || Regex::new(&pattern.replace(r"\u00", r"\x")).unwrap_or_else(|why| panic!("{pattern}: {why}"));
        patterns.entry(pattern.to_owned()).or_insert_with(make).is_match(text)
    }

    /// What is wrong with a value, if anything; `whole` is whether what is required must be there.
    fn fault(&self, schema: &Value, value: &Value, place: &str, whole: bool) -> Result<(), String> {
        let rules = match schema {
            Value::Bool(true) => return Ok(()),
            Value::Object(rules) => rules,
            _ => return Err(format!("{place} {value} must not be there")),
        };
        for (rule, says) in rules {
            let number = || says.as_u64().unwrap();
            let is_so = match rule.as_str() {
                "$ref" => return self.fault(self.resolve(says), value, place, whole),
                "type" => types(says).iter().any(|name| is_of(name, value)),
                "enum" => says.as_array().unwrap().contains(value),
                "const" => says == value,
                "anyOf" | "oneOf" => {
                    let fits = |choice: &&Value| self.fault(choice, value, place, whole).is_ok();
                    let count = says.as_array().unwrap().iter().filter(fits).count();
                    if rule == "oneOf" { count == 1 } else { count > 0 }
                }
                "required" => {
                    !whole
                        || says
                            .as_array()
                            .unwrap()
                            .iter()
                            .all(|name| value.get(name.as_str().unwrap()).is_some())
                }
                "minimum" => value.as_f64().is_none_or(|value| value >= says.as_f64().unwrap()),
                "maximum" => value.as_f64().is_none_or(|value| value <= says.as_f64().unwrap()),
                "minLength" => value.as_str().is_none_or(|text| text.chars().count() as u64 >= number()),
                "maxLength" => value.as_str().is_none_or(|text| text.chars().count() as u64 <= number()),
                "minItems" => value.as_array().is_none_or(|items| items.len() as u64 >= number()),
                "maxItems" => value.as_array().is_none_or(|items| items.len() as u64 <= number()),
                "pattern" => value.as_str().is_none_or(|text| self.matches(says.as_str().unwrap(), text)),
                "format" => value.as_str().is_none_or(|text| match says.as_str().unwrap() {
                    "date-time" => text.parse::<jiff::Timestamp>().is_ok(),
                    "email" => text.contains('@'),
                    "uri" => HttpUrl::parse(text).is_ok(),
                    other => panic!("the format {other}"),
                }),
                "items" => {
                    for (at, item) in value.as_array().into_iter().flatten().enumerate() {
                        self.fault(says, item, &format!("{place}/{at}"), whole)?;
                    }
                    true
                }
                "properties" => {
                    for (name, schema) in says.as_object().unwrap() {
                        if let Some(member) = value.get(name) {
                            self.fault(schema, member, &format!("{place}/{name}"), whole)?;
                        }
                    }
                    true
                }
                "additionalProperties" => {
                    let known =
                        |name: &String| rules.get("properties").is_some_and(|own| own.get(name).is_some());
                    let others = value.as_object().into_iter().flatten().filter(|(name, _)| !known(name));
                    for (name, member) in others {
                        self.fault(says, member, &format!("{place}/{name}"), whole)?;
                    }
                    true
                }
                "description" | "title" | "examples" | "default" | "writeOnly" | "readOnly"
                | "x-refers-to" | "x-type" => true,
                other => panic!("the rule {other} is not looked at here"),
            };
            if !is_so {
                return Err(format!("{place} {value} is not of {rule} {says}"));
            }
        }
        Ok(())
    }
}

fn types(says: &Value) -> Vec<&str> {
    match says {
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        only => only.as_str().into_iter().collect(),
    }
}

fn is_of(name: &str, value: &Value) -> bool {
    match name {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "object" => value.is_object(),
        "array" => value.is_array(),
        "null" => value.is_null(),
        other => panic!("the type {other}"),
    }
}

/// Makes values of schemas.
pub(super) struct Maker<'d> {
    document: &'d Value,
    /// What there is to refer to, by `collection.member`, lists by that and their type.
    known: BTreeMap<String, Vec<String>>,
}

impl<'d> Maker<'d> {
    pub(super) fn new(document: &'d Value, known: BTreeMap<String, Vec<String>>) -> Maker<'d> {
        Maker { document, known }
    }

    /// A value of a schema. What a schema cannot say it may break.
    pub(super) fn make(&self, dice: &mut Seeded, schema: &Value) -> Value {
        let schema = self.chosen(dice, schema.clone());
        if let Some(target) = schema["x-refers-to"].as_str() {
            let of_type = schema["x-type"].as_str().map_or_else(String::new, |name| format!(":{name}"));
            let known = self.known.get(&format!("{target}{of_type}"));
            let known = known.unwrap_or_else(|| panic!("what is there to be {target}{of_type}?"));
            return known[dice.below(known.len())].as_str().into();
        }
        for rule in ["enum", "examples"] {
            if let Some(choices) = schema[rule].as_array() {
                return choices[dice.below(choices.len())].clone();
            }
        }
        let names = types(&schema["type"]);
        match names.get(dice.below(names.len().max(1))).copied().unwrap_or("object") {
            "null" => Value::Null,
            "boolean" => (dice.below(2) == 0).into(),
            "integer" => {
                let least = schema["minimum"].as_i64().unwrap_or(-5);
                let most = schema["maximum"].as_i64().unwrap_or(least.saturating_add(1_000));
                let some = least + dice.below((most - least).clamp(0, 100) as usize + 1) as i64;
                [least, most, some, some][dice.below(4)].into()
            }
            "string" if schema["format"] == "date-time" => "2031-05-04T03:02:01Z".into(),
            "string" => {
                assert!(schema["pattern"].is_null(), "no example of {schema}");
                let texts = ["a", "a.example", "é Zürich", "2.50", "x y z"];
                texts[dice.below(texts.len())].into()
            }
            "array" => {
                let least = schema["minItems"].as_u64().unwrap_or(0);
                let most = schema["maxItems"].as_u64().unwrap_or(2).min(2).max(least);
                let count = least + dice.below((most - least) as usize + 1) as u64;
                let mut items: Vec<Value> = Vec::new();
                for _ in 0..count {
                    let item = self.make(dice, &schema["items"]);
                    if !items.contains(&item) {
                        items.push(item);
                    }
                }
                items.into()
            }
            _ => self.object(dice, &schema),
        }
    }

    fn object(&self, dice: &mut Seeded, schema: &Value) -> Value {
        let mut made = Map::new();
        let required = schema["required"].as_array().map_or(&[][..], Vec::as_slice);
        for (name, member) in schema["properties"].as_object().into_iter().flatten() {
            let is_required = required.iter().any(|required| required == name);
            if *member != false && (is_required || dice.below(4) == 0) {
                made.insert(name.clone(), self.make(dice, member));
            }
        }
        let others = &schema["additionalProperties"];
        if others.is_object() && dice.below(2) == 0 {
            made.insert("a label".to_owned(), self.make(dice, others));
        }
        // Schemas compare no members: an hour ends after it begins.
        if let (Some(start), Some(end)) = (made.get("start").and_then(Value::as_i64), made.get("end")) {
            let end = end.as_i64().unwrap_or(24).max(start + 1);
            made.insert("end".to_owned(), end.into());
        }
        Value::Object(made)
    }

    /// The schema with its references followed and its choices made.
    fn chosen(&self, dice: &mut Seeded, mut schema: Value) -> Value {
        loop {
            let Value::Object(rules) = &mut schema else { return schema };
            if let Some(target) = rules.remove("$ref") {
                let target = target.as_str().unwrap().trim_start_matches('#');
                let beside = std::mem::replace(&mut schema, self.document.pointer(target).unwrap().clone());
                merge(&mut schema, &beside);
            } else if let Some(choices) = rules.remove("oneOf").or_else(|| rules.remove("anyOf")) {
                let choices = choices.as_array().unwrap();
                merge(&mut schema, &choices[dice.below(choices.len())]);
            } else {
                return schema;
            }
        }
    }
}

/// Makes one schema of two that both must hold.
fn merge(schema: &mut Value, other: &Value) {
    let (Value::Object(rules), Value::Object(others)) = (&mut *schema, other) else {
        *schema = other.clone();
        return;
    };
    for (rule, says) in others {
        match (rule.as_str(), rules.get_mut(rule)) {
            ("required", Some(Value::Array(names))) => names.extend(says.as_array().unwrap().iter().cloned()),
            ("properties", Some(Value::Object(members))) => {
                for (name, says) in says.as_object().unwrap() {
                    merge(members.entry(name.as_str()).or_insert_with(|| json!({})), says);
                }
            }
            ("items", Some(items)) => merge(items, says),
            _ => drop(rules.insert(rule.clone(), says.clone())),
        }
    }
}
