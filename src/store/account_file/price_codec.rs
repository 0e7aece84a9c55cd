//! How an exchange writes prices: `"plain"`, or an object that names the codec and its keys.
//!
//! ```json
//! {"type": "google_hmac_sha1", "encryption_key": "skU7…5o=", "integrity_key": "arO2…Fxo=", "max_age_s": 600}
//! {"type": "openx_cpi", "encryption_key": "…", "integrity_key": "…"}
//! {"type": "blowfish_ecb_hex", "key": "as the exchange gave it"}
//! ```
//!
//! The HMAC keys are 32 bytes in web-safe base64, Blowfish's is text. No message repeats a key.

use super::report::{Code, Report};
use super::schema::{Described, Spec};
use crate::model::exchange::{HmacPriceKeys, PriceCodec, PriceUnit};
use crate::model::secret::{BlowfishKey, Key256};
use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};
use std::fmt;

/// Web-safe, padded or not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The object; nothing is required, see `wire`.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Fields {
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encryption_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    integrity_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_age_s: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

/// A name alone, or the object.
pub(super) enum CodecWire {
    Name(String),
    Fields(Fields),
}

impl fmt::Debug for CodecWire {
    /// The keys stay out of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            CodecWire::Name(name) => Some(name),
            CodecWire::Fields(fields) => fields.r#type.as_ref(),
        };
        f.debug_tuple("CodecWire").field(&name).finish()
    }
}

impl Serialize for CodecWire {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            CodecWire::Name(name) => serializer.serialize_str(name),
            CodecWire::Fields(fields) => fields.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for CodecWire {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<CodecWire, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = CodecWire;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"plain\" or an object with the codec's type and keys")
            }

            fn visit_str<E>(self, name: &str) -> Result<CodecWire, E> {
                Ok(CodecWire::Name(name.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<CodecWire, A::Error> {
                Fields::deserialize(MapAccessDeserializer::new(map)).map(CodecWire::Fields)
            }
        }
        // Not `untagged`: that would say neither which field is unknown nor where.
        deserializer.deserialize_any(Reader)
    }
}

/// The names that a codec's type can have.
const NAMES: [&str; 4] = ["plain", "google_hmac_sha1", "openx_cpi", "blowfish_ecb_hex"];

impl Described for CodecWire {
    fn spec() -> Spec {
        let of_type = |names: &[&str], keys: Value| {
            let mut schema = json!({
                "type": "object", "properties": {
                    "type": { "type": "string", "enum": names, "description": "How the price is enciphered." },
                },
                "required": ["type"], "additionalProperties": false,
            });
            let Value::Object(keys) = keys else { unreachable!("keys are members") };
            for (name, mut key) in keys {
                if key["type"] == "string" {
                    key["writeOnly"] = true.into();
                    if let Some(required) = schema["required"].as_array_mut() {
                        required.push(name.as_str().into());
                    }
                }
                schema["properties"][name] = key;
            }
            schema
        };
        let [plain, hmac @ .., blowfish] = NAMES;
        let key = |example: &str| {
            json!({
                "type": "string", "examples": [example], "pattern": "^[A-Za-z0-9_-]{43}=?$",
                "description": "32 bytes in web-safe base64; the two keys differ.",
            })
        };
        Spec::any_of([
            json!({ "type": "string", "enum": [plain] }),
            of_type(&[plain], json!({})),
            of_type(
                &hmac,
                json!({
                    "encryption_key": key("b3V0YmlkIGV4YW1wbGUgZW5jcnlwdGlvbiBrZXkgMDE="),
                    "integrity_key": key("b3V0YmlkIGV4YW1wbGUgaW50ZWdyaXR5IGtleSAwMDI="),
                    "max_age_s": {
                        "type": "integer", "minimum": 1, "maximum": u32::MAX,
                        "description": "Seconds for which a price counts; without it always.",
                    },
                }),
            ),
            of_type(
                &[blowfish],
                json!({ "key": {
                    "type": "string", "minLength": 4, "maxLength": 56, "examples": ["as the exchange gave it"],
                    "description": "4 to 56 bytes.",
                } }),
            ),
        ])
    }
}

/// Reads the codec of a profile at the current place.
pub(super) fn read(report: &mut Report, wire: Option<CodecWire>) -> Option<PriceCodec> {
    let wire = report.required("price_codec", wire)?;
    report.within("price_codec", |report| match wire {
        CodecWire::Name(name) => read_name(report, &name),
        CodecWire::Fields(fields) => read_fields(report, fields),
    })
}

fn read_name(report: &mut Report, name: &str) -> Option<PriceCodec> {
    let example = match name {
        "plain" => return Some(PriceCodec::Plain),
        "google_hmac_sha1" | "openx_cpi" => "\"encryption_key\": \"…\", \"integrity_key\": \"…\"",
        "blowfish_ecb_hex" => "\"key\": \"…\"",
        _ => {
            report.error(Code::Malformed, format!("{name:?} is not known; use one of {}", NAMES.join(", ")));
            return None;
        }
    };
    let message = format!("{name} needs its keys; write {{\"type\": {name:?}, {example}}}");
    report.error(Code::Missing, message);
    None
}

fn read_fields(report: &mut Report, fields: Fields) -> Option<PriceCodec> {
    let kind = report.required("type", fields.r#type.as_deref())?;
    let (has_hmac_keys, has_key) = match kind {
        "plain" => (false, false),
        "google_hmac_sha1" | "openx_cpi" => (true, false),
        "blowfish_ecb_hex" => (false, true),
        _ => {
            report.error_at(
                "type",
                Code::Malformed,
                format!("{kind:?} is not known; use one of {}", NAMES.join(", ")),
            );
            return None;
        }
    };
    for (key, is_given, belongs) in [
        ("encryption_key", fields.encryption_key.is_some(), has_hmac_keys),
        ("integrity_key", fields.integrity_key.is_some(), has_hmac_keys),
        ("max_age_s", fields.max_age_s.is_some(), has_hmac_keys),
        ("key", fields.key.is_some(), has_key),
    ] {
        if is_given && !belongs {
            report.error_at(key, Code::Conflict, format!("{kind:?} has no such key; remove it"));
        }
    }
    match kind {
        "google_hmac_sha1" => hmac_keys(report, &fields).map(PriceCodec::GoogleHmacSha1),
        "openx_cpi" => hmac_keys(report, &fields).map(PriceCodec::OpenxCpi),
        "blowfish_ecb_hex" => blowfish_key(report, fields.key.as_deref()).map(PriceCodec::BlowfishEcbHex),
        _ => Some(PriceCodec::Plain),
    }
}

fn hmac_keys(report: &mut Report, fields: &Fields) -> Option<HmacPriceKeys> {
    let encryption = key256(report, "encryption_key", fields.encryption_key.as_deref());
    let integrity = key256(report, "integrity_key", fields.integrity_key.as_deref());
    let max_age_s = report.whole("max_age_s", fields.max_age_s, 1..=i64::from(u32::MAX));
    let (encryption, integrity) = (encryption?, integrity?);
    if encryption == integrity {
        report.error_at("integrity_key", Code::Duplicate, "is the encryption key again; give the other one");
    }
    Some(HmacPriceKeys { encryption, integrity, max_age_s })
}

fn blowfish_key(report: &mut Report, text: Option<&str>) -> Option<BlowfishKey> {
    let text = report.required("key", text)?;
    let key = BlowfishKey::new(text.as_bytes());
    if key.is_none() {
        let message = format!("has {} bytes; Blowfish takes 4 to 56", text.len());
        report.error_at("key", Code::OutOfRange, message);
    }
    key
}

fn key256(report: &mut Report, key: &'static str, text: Option<&str>) -> Option<Key256> {
    let text = report.required(key, text)?;
    let Ok(bytes) = BASE64.decode(text.as_bytes()) else {
        report.error_at(key, Code::Malformed, "is no web-safe base64; give the key as the exchange shows it");
        return None;
    };
    let length = bytes.len();
    let read = <[u8; 32]>::try_from(bytes).ok().map(Key256);
    if read.is_none() {
        let twice = "where the exchange encodes its keys twice, decode them once";
        report.error_at(key, Code::OutOfRange, format!("has {length} bytes and needs 32; {twice}"));
    }
    read
}

/// Units that cannot be what the codec's numbers count.
pub(super) fn check_unit(report: &mut Report, codec: &PriceCodec, unit: PriceUnit) {
    let message = match (codec, unit) {
        (PriceCodec::OpenxCpi(_), PriceUnit::Cpm | PriceUnit::CpmMicros) => {
            "openx_cpi counts micros per impression; write \"cpi_micros\""
        }
        (PriceCodec::GoogleHmacSha1(_), PriceUnit::Cpm) => {
            "google_hmac_sha1 carries a whole number; write \"cpm_micros\" or \"cpi_micros\""
        }
        _ => return,
    };
    report.error_at("price_unit", Code::Conflict, message);
}

/// The inverse of [`read`].
pub(super) fn dump(codec: &PriceCodec) -> CodecWire {
    let hmac = |kind: &str, keys: &HmacPriceKeys| {
        CodecWire::Fields(Fields {
            r#type: Some(kind.to_owned()),
            encryption_key: Some(BASE64.encode(keys.encryption.0)),
            integrity_key: Some(BASE64.encode(keys.integrity.0)),
            max_age_s: keys.max_age_s.map(i64::from),
            key: None,
        })
    };
    match codec {
        PriceCodec::Plain => CodecWire::Name("plain".to_owned()),
        PriceCodec::GoogleHmacSha1(keys) => hmac("google_hmac_sha1", keys),
        PriceCodec::OpenxCpi(keys) => hmac("openx_cpi", keys),
        PriceCodec::BlowfishEcbHex(key) => CodecWire::Fields(Fields {
            r#type: Some("blowfish_ecb_hex".to_owned()),
            key: Some(String::from_utf8_lossy(key.expose()).into_owned()),
            ..Fields::default()
        }),
    }
}
