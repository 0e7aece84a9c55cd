//! Protobuf written as the JSON that says the same, for people and for tools that read JSON: by the schema's table
//! alone, so that it shows every field and not only those that decisions use.
//!
//! What the schema does not declare is left out. A flag is 0 or 1, as in OpenRTB's JSON; a number that JSON has no form
//! for (NaN, the infinities) is its name as a text.

use crate::exchange::parse::{Limits, ParseError};
use crate::exchange::schema::{Field, Kind, MESSAGES, Message};
use prost::encoding::{WireType, decode_key, decode_varint};
use serde_json::{Map, Number, Value, json};

/// Reads a bid request as JSON. An error says that it is no message at all, or nested too deeply.
pub fn protobuf_as_json(body: &[u8], limits: &Limits) -> Result<Value, ParseError> {
    if body.len() > limits.body {
        return Err(ParseError::TooLarge { bytes: body.len(), limit: limits.body });
    }
    let request = Message::named("BidRequest").expect("the schema has requests");
    let mut object = Map::new();
    read(request, body, limits.depth, &mut object)?;
    Ok(object.into())
}

/// Adds the fields of a message to an object; a message in parts is one object, as protobuf wants it.
fn read(
    message: &Message,
    mut body: &[u8],
    depth: usize,
    object: &mut Map<String, Value>,
) -> Result<(), ParseError> {
    let depth = depth.checked_sub(1).ok_or(ParseError::MalformedProtobuf)?;
    while !body.is_empty() {
        let (number, wire) = decode_key(&mut body).map_err(|_| ParseError::MalformedProtobuf)?;
        let value = Wire::take(wire, &mut body)?;
        let Some(field) = message.fields.iter().find(|field| field.number == u64::from(number)) else {
            continue;
        };
        add(field, value, depth, object)?;
    }
    Ok(())
}

fn add(
    field: &Field,
    value: Wire<'_>,
    depth: usize,
    object: &mut Map<String, Value>,
) -> Result<(), ParseError> {
    let slot = object.entry(field.name);
    match (field.kind, value) {
        (Kind::Message(at), Wire::Bytes(body)) if field.repeated => {
            let mut entry = Map::new();
            read(&MESSAGES[at], body, depth, &mut entry)?;
            push(slot.or_insert_with(|| json!([])), entry.into());
        }
        (Kind::Message(at), Wire::Bytes(body)) => {
            let nested = slot.or_insert_with(|| json!({})).as_object_mut().expect("messages are objects");
            read(&MESSAGES[at], body, depth, nested)?;
        }
        (Kind::Text, Wire::Bytes(text)) => {
            let text = std::str::from_utf8(text).map_err(|_| ParseError::MalformedProtobuf)?;
            place(field, slot, text.into());
        }
        // Numbers packed into one field.
        (kind, Wire::Bytes(mut packed)) if field.repeated => {
            let list = slot.or_insert_with(|| json!([]));
            while !packed.is_empty() {
                let wire = if kind == Kind::Decimal { WireType::SixtyFourBit } else { WireType::Varint };
                push(list, scalar(kind, &Wire::take(wire, &mut packed)?)?);
            }
        }
        (kind, value) => {
            let value = scalar(kind, &value)?;
            place(field, slot, value);
        }
    }
    Ok(())
}

fn place(field: &Field, slot: serde_json::map::Entry<'_>, value: Value) {
    if field.repeated {
        push(slot.or_insert_with(|| json!([])), value);
    } else {
        // The last one stands.
        *slot.or_insert(Value::Null) = value;
    }
}

fn push(list: &mut Value, value: Value) {
    list.as_array_mut().expect("a repeated field is a list").push(value);
}

fn scalar(kind: Kind, value: &Wire<'_>) -> Result<Value, ParseError> {
    match (kind, value) {
        // A negative int32 comes as ten bytes of an int64.
        (Kind::Integer, Wire::Varint(int)) => Ok(json!(*int as i32)),
        (Kind::Flag, Wire::Varint(int)) => Ok(json!(i32::from(*int != 0))),
        (Kind::Decimal, Wire::Double(double)) => {
            Ok(Number::from_f64(*double).map_or_else(|| double.to_string().into(), Value::Number))
        }
        _ => Err(ParseError::MalformedProtobuf),
    }
}

/// A value as it stands on the wire.
enum Wire<'b> {
    Varint(u64),
    Double(f64),
    Bytes(&'b [u8]),
    /// Of a type that the schema has nowhere.
    Other,
}

impl<'b> Wire<'b> {
    fn take(wire: WireType, body: &mut &'b [u8]) -> Result<Wire<'b>, ParseError> {
        let malformed = ParseError::MalformedProtobuf;
        match wire {
            WireType::Varint => decode_varint(body).map(Wire::Varint).map_err(|_| malformed),
            WireType::SixtyFourBit => {
                let (bytes, rest) = body.split_first_chunk::<8>().ok_or(malformed)?;
                *body = rest;
                Ok(Wire::Double(f64::from_le_bytes(*bytes)))
            }
            WireType::ThirtyTwoBit => {
                *body = body.split_first_chunk::<4>().ok_or(malformed)?.1;
                Ok(Wire::Other)
            }
            WireType::LengthDelimited => {
                let length = decode_varint(body).map_err(|_| malformed)?;
                let length = usize::try_from(length).map_err(|_| malformed)?;
                let (bytes, rest) = body.split_at_checked(length).ok_or(malformed)?;
                *body = rest;
                Ok(Wire::Bytes(bytes))
            }
            WireType::StartGroup | WireType::EndGroup => Err(malformed),
        }
    }
}
