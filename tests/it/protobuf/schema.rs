//! A second reading of `proto/openrtb.proto`, and an encoder and decoder that follow it alone: neither prost nor the
//! types that are generated from the same file have a part in it.

use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// A field of a message.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) number: u64,
    /// As the schema writes it: a scalar, or the name of a message from where it stands.
    pub(crate) kind: String,
    pub(crate) repeated: bool,
    pub(crate) packed: bool,
}

/// The messages of the schema by their full name, such as `NativeRequest.Asset`.
pub(crate) struct Schema(pub(crate) HashMap<String, Vec<Field>>);

impl Schema {
    pub(crate) fn load() -> Schema {
        let text = include_str!("../../../proto/openrtb.proto");
        let mut messages: HashMap<String, Vec<Field>> = HashMap::new();
        let mut open: Vec<String> = Vec::new();
        for line in text.lines().map(|line| line.split("//").next().unwrap().trim()) {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                ["message", name, "{"] => {
                    open.push((*name).to_owned());
                    messages.insert(open.join("."), Vec::new());
                }
                ["}"] => {
                    open.pop();
                }
                [label @ ("optional" | "repeated"), kind, name, "=", rest @ ..] => {
                    let number = rest[0].trim_end_matches(';').parse().unwrap();
                    let field = Field {
                        name: (*name).to_owned(),
                        number,
                        kind: (*kind).to_owned(),
                        repeated: *label == "repeated",
                        packed: rest.len() > 1,
                    };
                    messages.get_mut(&open.join(".")).unwrap().push(field);
                }
                [] | ["syntax", ..] | ["package", ..] => {}
                other => panic!("{other:?} is no line of a schema as it is written here"),
            }
        }
        Schema(messages)
    }

    /// The message that a field of `within` names, looked up from the inside out.
    fn resolve(&self, within: &str, kind: &str) -> Option<String> {
        let mut scope = within.to_owned();
        loop {
            let name = if scope.is_empty() { kind.to_owned() } else { format!("{scope}.{kind}") };
            if self.0.contains_key(&name) {
                return Some(name);
            }
            if scope.is_empty() {
                return None;
            }
            scope = scope.rsplit_once('.').map_or(String::new(), |(outer, _)| outer.to_owned());
        }
    }

    /// Appends an object as a message, and gives what of it the message can say: the same in JSON. Values of another
    /// kind are converted where OpenRTB's readers take them for the same, else left out of both.
    pub(crate) fn encode(&self, message: &str, object: &Value, out: &mut Vec<u8>) -> Value {
        let mut said = Map::new();
        for (key, value) in object.as_object().into_iter().flatten() {
            // The object form of a native request is a message of its own.
            let moved = message == "Native" && key == "request" && value.is_object();
            let name = if moved { "request_native" } else { key };
            let Some(field) = self.0[message].iter().find(|field| field.name == name) else { continue };
            if let Some(value) = self.encode_field(message, field, value, out) {
                said.insert(name.to_owned(), value);
            }
        }
        said.into()
    }

    fn encode_field(&self, within: &str, field: &Field, value: &Value, out: &mut Vec<u8>) -> Option<Value> {
        if let Some(message) = self.resolve(within, &field.kind) {
            let objects: Vec<&Value> = match (field.repeated, value) {
                (true, Value::Array(entries)) => entries.iter().filter(|entry| entry.is_object()).collect(),
                (false, object @ Value::Object(_)) => vec![object],
                _ => return None,
            };
            let said: Vec<Value> =
                objects.iter().map(|object| self.encode_one(&message, field, object, out)).collect();
            return if field.repeated { Some(said.into()) } else { said.into_iter().next() };
        }
        if !field.repeated {
            let said = scalar(&field.kind, value)?;
            write_scalar(&field.kind, field.number, &said, out);
            return Some(said);
        }
        let entries: Vec<Value> = match value {
            Value::Array(entries) => entries.clone(),
            Value::String(text) => {
                text.split(',').map(|piece| json!(piece.trim())).filter(|p| p != "").collect()
            }
            number @ Value::Number(_) => vec![number.clone()],
            _ => return None,
        };
        let said: Vec<Value> = entries.iter().filter_map(|entry| scalar(&field.kind, entry)).collect();
        if field.packed && !said.is_empty() {
            let mut body = Vec::new();
            said.iter().for_each(|int| write_varint(int.as_i64().unwrap() as u64, &mut body));
            write_bytes(field.number, &body, out);
        } else {
            said.iter().for_each(|one| write_scalar(&field.kind, field.number, one, out));
        }
        Some(said.into())
    }

    fn encode_one(&self, message: &str, field: &Field, object: &Value, out: &mut Vec<u8>) -> Value {
        let mut body = Vec::new();
        let said = self.encode(message, object, &mut body);
        write_bytes(field.number, &body, out);
        said
    }

    /// Reads a message back, as the JSON that says the same.
    pub(crate) fn decode(&self, message: &str, mut bytes: &[u8]) -> Value {
        let mut found = Map::new();
        while !bytes.is_empty() {
            let key = read_varint(&mut bytes);
            let field = self.0[message].iter().find(|field| field.number == key >> 3).expect("a known field");
            let value = match key & 7 {
                0 => {
                    let int = read_varint(&mut bytes) as i64;
                    if field.kind == "bool" { json!(int == 1) } else { json!(int) }
                }
                1 => {
                    let (double, rest) = bytes.split_first_chunk::<8>().expect("eight bytes");
                    bytes = rest;
                    json!(f64::from_le_bytes(*double))
                }
                2 => {
                    let length = read_varint(&mut bytes) as usize;
                    let (body, rest) = bytes.split_at(length);
                    bytes = rest;
                    self.decode_bytes(message, field, body)
                }
                other => panic!("wire type {other}"),
            };
            match (field.repeated, value) {
                (true, Value::Array(packed)) if field.packed => {
                    found.insert(field.name.clone(), packed.into());
                }
                (true, value) => {
                    let entries = found.entry(&field.name).or_insert(json!([]));
                    entries.as_array_mut().unwrap().push(value);
                }
                (false, value) => {
                    found.insert(field.name.clone(), value);
                }
            }
        }
        found.into()
    }

    fn decode_bytes(&self, within: &str, field: &Field, mut body: &[u8]) -> Value {
        if let Some(message) = self.resolve(within, &field.kind) {
            return self.decode(&message, body);
        }
        if field.kind == "string" {
            return std::str::from_utf8(body).expect("a string is UTF-8").into();
        }
        let mut packed = Vec::new();
        while !body.is_empty() {
            packed.push(json!(read_varint(&mut body) as i64));
        }
        packed.into()
    }
}

/// A value as a scalar of the schema, where it can be one.
fn scalar(kind: &str, value: &Value) -> Option<Value> {
    let number = || match value {
        Value::Bool(flag) => Some(f64::from(u8::from(*flag))),
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok().filter(|n: &f64| n.is_finite()),
        _ => None,
    };
    match kind {
        "string" => match value {
            Value::String(text) => Some(text.clone().into()),
            Value::Number(number) => Some(number.to_string().into()),
            _ => None,
        },
        "bool" => match value {
            Value::String(text) if text.trim().eq_ignore_ascii_case("true") => Some(json!(true)),
            Value::String(text) if text.trim().eq_ignore_ascii_case("false") => Some(json!(0)),
            _ => match number()?.trunc() {
                0.0 => Some(json!(0)),
                1.0 => Some(json!(1)),
                _ => None,
            },
        },
        "int32" => {
            let int = number()?.trunc();
            (int >= f64::from(i32::MIN) && int <= f64::from(i32::MAX)).then(|| json!(int as i64))
        }
        "double" => match value {
            Value::Bool(_) => None,
            _ => Some(json!(number()?)),
        },
        other => panic!("{other} is no scalar of the schema"),
    }
}

fn write_scalar(kind: &str, number: u64, value: &Value, out: &mut Vec<u8>) {
    match kind {
        "string" => write_bytes(number, value.as_str().unwrap().as_bytes(), out),
        "double" => {
            write_varint(number << 3 | 1, out);
            out.extend(value.as_f64().unwrap().to_le_bytes());
        }
        _ => {
            write_varint(number << 3, out);
            let int = value.as_i64().unwrap_or_else(|| i64::from(value.as_bool().unwrap()));
            write_varint(int as u64, out);
        }
    }
}

fn write_bytes(number: u64, body: &[u8], out: &mut Vec<u8>) {
    write_varint(number << 3 | 2, out);
    write_varint(body.len() as u64, out);
    out.extend(body);
}

fn write_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn read_varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for at in 0.. {
        let (first, rest) = bytes.split_first().expect("a number has an end");
        *bytes = rest;
        value |= u64::from(first & 0x7f) << (7 * at);
        if first & 0x80 == 0 {
            break;
        }
    }
    value
}
