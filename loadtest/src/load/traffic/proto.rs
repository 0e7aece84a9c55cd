//! A bid request in protobuf, from its JSON.
//!
//! What field has which number is read from the schema that lies beside the program, so that no table can be out of date.
//! The reader knows what that one file is made of (messages, optional and repeated fields, packed numbers) and no more.

use super::ID_LENGTH;
use anyhow::{Context, ensure};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// The schema of requests and answers.
const SCHEMA: &str = include_str!("../../../../proto/openrtb.proto");

/// What a request is.
const ROOT: &str = "BidRequest";

/// Under this number, which nobody has, goes the request's `ext`: private extensions are sent, and passed over.
const UNKNOWN_FIELD: u64 = 1_000;

/// (number, kind, whether it is repeated) by name.
type Message = BTreeMap<u64, Field>;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Field {
    name: String,
    kind: Kind,
    is_repeated: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    /// Varint: numbers and flags.
    Whole,
    Double,
    /// By the message's path, as in `Imp` and `User.Ext`.
    Message(String),
}

/// The bytes, and where the id stands in them.
pub(crate) fn encode(text: &str) -> anyhow::Result<(Vec<u8>, usize)> {
    let value: Value = serde_json::from_str(text)?;
    let schema = schema()?;
    let mut out = Vec::with_capacity(text.len() / 2);
    encode_message(schema, ROOT, &value, &mut out)?;
    if let Some(ext) = value.get("ext") {
        key(UNKNOWN_FIELD, 2, &mut out);
        bytes(ext.to_string().as_bytes(), &mut out);
    }
    // The first field is number 1, the id: its key, its length, itself.
    ensure!(out.starts_with(&[0x0a, ID_LENGTH as u8]), "the id is not {ID_LENGTH} characters long");
    Ok((out, 2))
}

fn schema() -> anyhow::Result<&'static BTreeMap<String, Message>> {
    static READ: OnceLock<BTreeMap<String, Message>> = OnceLock::new();
    match READ.get() {
        Some(schema) => Ok(schema),
        None => {
            let schema = parse(SCHEMA)?;
            Ok(READ.get_or_init(|| schema))
        }
    }
}

fn parse(text: &str) -> anyhow::Result<BTreeMap<String, Message>> {
    let (mut messages, mut path) = (BTreeMap::<String, Message>::new(), Vec::<String>::new());
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default().trim());
    for line in lines.filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split([' ', ';']).filter(|word| !word.is_empty()).collect();
        match words[..] {
            ["message", name, "{"] => {
                path.push(name.to_owned());
                messages.insert(path.join("."), Message::new());
            }
            ["}"] => drop(path.pop()),
            ["syntax" | "package", ..] => {}
            [label @ ("optional" | "repeated"), kind, name, "=", number, ..] => {
                let number = number.parse().with_context(|| format!("no number in {line:?}"))?;
                let kind = match kind {
                    "string" => Kind::Text,
                    "int32" | "bool" => Kind::Whole,
                    "double" => Kind::Double,
                    other => Kind::Message(other.to_owned()),
                };
                let field = Field { name: name.to_owned(), kind, is_repeated: label == "repeated" };
                messages.entry(path.join(".")).or_default().insert(number, field);
            }
            _ => anyhow::bail!("the schema has a line that is not understood: {line:?}"),
        }
    }
    Ok(messages)
}

fn encode_message(
    schema: &BTreeMap<String, Message>,
    path: &str,
    value: &Value,
    out: &mut Vec<u8>,
) -> anyhow::Result<()> {
    let message = schema.get(path).with_context(|| format!("the schema has no message {path}"))?;
    for (number, field) in message {
        let Some(value) = value.get(&field.name) else { continue };
        match (value, field.is_repeated) {
            (Value::Null, _) => {}
            (Value::Array(values), true) if matches!(field.kind, Kind::Whole) => {
                let mut packed = Vec::new();
                values.iter().filter_map(whole).for_each(|value| varint(value, &mut packed));
                key(*number, 2, out);
                bytes(&packed, out);
            }
            (Value::Array(values), true) => {
                for value in values {
                    encode_field(schema, path, (*number, field), value, out)?;
                }
            }
            (value, _) => encode_field(schema, path, (*number, field), value, out)?,
        }
    }
    Ok(())
}

/// A value of another type than the schema's is left out: protobuf has no place for it.
fn encode_field(
    schema: &BTreeMap<String, Message>,
    path: &str,
    (number, field): (u64, &Field),
    value: &Value,
    out: &mut Vec<u8>,
) -> anyhow::Result<()> {
    match &field.kind {
        Kind::Text => {
            if let Some(text) = value.as_str() {
                key(number, 2, out);
                bytes(text.as_bytes(), out);
            }
        }
        Kind::Whole => {
            if let Some(value) = whole(value) {
                key(number, 0, out);
                varint(value, out);
            }
        }
        Kind::Double => {
            if let Some(value) = value.as_f64() {
                key(number, 1, out);
                out.extend_from_slice(&value.to_le_bytes());
            }
        }
        Kind::Message(name) => {
            if value.is_object() {
                let nested = format!("{path}.{name}");
                let path = if schema.contains_key(&nested) { &nested } else { name };
                let mut inner = Vec::new();
                encode_message(schema, path, value, &mut inner)?;
                key(number, 2, out);
                bytes(&inner, out);
            }
        }
    }
    Ok(())
}

/// Negative numbers take ten bytes, as `int32` does.
fn whole(value: &Value) -> Option<u64> {
    match value {
        Value::Bool(flag) => Some(u64::from(*flag)),
        value => value.as_i64().map(|value| value as u64),
    }
}

fn key(number: u64, wire_type: u64, out: &mut Vec<u8>) {
    varint(number << 3 | wire_type, out);
}

fn bytes(bytes: &[u8], out: &mut Vec<u8>) {
    varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_is_read_whole() {
        let schema = schema().unwrap();
        assert_eq!(schema[ROOT][&1].name, "id");
        assert_eq!(schema["User.Ext"][&2].kind, Kind::Message("EID".to_owned()));
        assert!(schema["Banner"][&6].is_repeated);
        assert!(schema.len() > 40, "{}", schema.len());
    }

    #[test]
    fn a_request_has_the_bytes_that_the_encoding_specifies() {
        let id = "0123456789abcdef01234567";
        let text = format!(
            r#"{{"id":"{id}","imp":[{{"id":"1","banner":{{"w":300,"battr":[1,300]}},"bidfloor":0.5,"secure":1}}],
                "at":-1,"device":{{"lmt":"yes"}},"test":null,"ext":{{"a":1}}}}"#
        );
        let (encoded, id_at) = encode(&text).unwrap();
        let mut expected = vec![0x0a, 24];
        expected.extend_from_slice(id.as_bytes());
        let banner = [0x08, 0xac, 0x02, 0x32, 3, 1, 0xac, 0x02];
        let mut imp = vec![0x0a, 1, b'1', 0x12, banner.len() as u8];
        imp.extend_from_slice(&banner);
        imp.push(0x41);
        imp.extend_from_slice(&0.5_f64.to_le_bytes());
        imp.extend_from_slice(&[0x60, 1]);
        expected.extend_from_slice(&[0x12, imp.len() as u8]);
        expected.extend_from_slice(&imp);
        expected.extend_from_slice(&[0x2a, 0]);
        expected.push(0x38);
        expected.extend_from_slice(&[0xff; 9]);
        expected.push(1);
        expected.extend_from_slice(&[0xc2, 0x3e, 7]);
        expected.extend_from_slice(br#"{"a":1}"#);
        assert_eq!(encoded, expected);
        assert_eq!(&encoded[id_at..id_at + ID_LENGTH], id.as_bytes());
        assert!(encode(r#"{"id":"short"}"#).is_err());
    }
}
