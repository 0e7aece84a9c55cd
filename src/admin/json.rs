//! The JSON of a call, in which no object has a member twice: which of them counts, senders and readers see differently.

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::fmt;

/// Reads a document.
pub(super) fn read(bytes: &[u8]) -> Result<Value, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Strict.deserialize(&mut reader)?;
    reader.end()?;
    Ok(value)
}

#[derive(Clone, Copy)]
struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(entry) = entries.next_element_seed(self)? {
            list.push(entry);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if object.contains_key(&name) {
                return Err(A::Error::custom(format_args!("member {name:?} is there twice; keep one")));
            }
            let value = members.next_value_seed(self)?;
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, &str>) {
        let read = read(text.as_bytes());
        match expected {
            Ok(same) => assert_eq!(read.unwrap(), serde_json::from_str::<Value>(same).unwrap(), "{text}"),
            Err(part) => {
                let why = read.unwrap_err().to_string();
                assert!(why.contains(part), "{text}: {why}");
            }
        }
    }

    #[test]
    fn a_member_that_is_there_twice_is_refused_at_every_depth() {
        for same in ["null", "true", "-3", "4.5", "18446744073709551615", "\"x\\u00e9\"", "[]", "{}"] {
            check(same, Ok(same));
        }
        check(r#"{"a": [1, {"b": {"c": null}}], "d": "e"}"#, Ok(r#"{"a":[1,{"b":{"c":null}}],"d":"e"}"#));
        check(r#"{"a": 1, "a": 1}"#, Err("member \"a\" is there twice"));
        check(r#"{"a": [{"b": 1, "c": 2, "b": 3}]}"#, Err("member \"b\" is there twice"));
        check(r#"{"a": 1} 2"#, Err("trailing"));
        check("{\"a\": 1", Err("EOF"));
    }
}
