//! Rows of a log of clicks: NDJSON, `{"y":0|1,"x":["field=value",…]}`, in the order of time.
//!
//! A row may say the probability that its click was drawn from, as `p`, where the truth is known. Other members are passed
//! over. A value that is a whole number from 256 to 9,999,999 has its bin as a second feature
//! ([`numeric_bin`]): smaller ones come often enough as they are, and longer ones are rather names.

use crate::model::ids::CampaignId;
use crate::pricing::prediction::{numeric_bin, text_feature};
use serde::de::{Deserialize, Deserializer, Error as _, SeqAccess, Visitor};
use std::fmt;
use std::io::{self, BufRead, Read as _};

/// Most bytes of a line.
const MAX_LINE: u64 = 1 << 20;
/// Most values of a row.
const MAX_VALUES: usize = 4_096;
/// The field whose values are calibrated one by one.
const CAMPAIGN: &str = "campaign";
const EXPECTED: &str = r#"a line is {"y":0 or 1,"x":["field=value",…]}"#;

/// A row as learners see it.
#[derive(Clone, PartialEq, Debug, serde::Deserialize)]
pub(super) struct Row {
    #[serde(rename = "y", deserialize_with = "label")]
    pub(super) clicked: bool,
    #[serde(rename = "x")]
    pub(super) values: Values,
    /// The probability that `clicked` was drawn from.
    #[serde(rename = "p", default, deserialize_with = "truth")]
    pub(super) truth: Option<f64>,
}

/// The values of a row.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Values {
    pub(super) features: Vec<u32>,
    /// That of `campaign=…`, as a number; 0 = there is none.
    pub(super) campaign: CampaignId,
}

/// A log that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RowError {
    /// A line is no row.
    #[error("{file}, line {line}, column {column}: {problem}; {EXPECTED}")]
    Malformed {
        /// The file.
        file: String,
        /// The line, from 1.
        line: u64,
        /// The column in bytes, from 1; 0 = the line as a whole.
        column: usize,
        /// What is wrong.
        problem: String,
    },
    /// There are no rows at all.
    #[error("{0} holds no rows; {EXPECTED}")]
    Empty(String),
    /// The file does not let itself be read.
    #[error("cannot read {file}, line {line}: {source}")]
    Unreadable {
        /// The file.
        file: String,
        /// The line, from 1.
        line: u64,
        /// Why.
        source: io::Error,
    },
}

/// Gives every row to `take`, in order; answers how many there were. Empty lines are passed over.
pub(super) fn read(file: &str, mut input: impl BufRead, mut take: impl FnMut(Row)) -> Result<u64, RowError> {
    let (mut text, mut line, mut rows) = (Vec::new(), 0, 0);
    loop {
        text.clear();
        line += 1;
        let taken = input.by_ref().take(MAX_LINE + 1).read_until(b'\n', &mut text);
        let taken = taken.map_err(|source| RowError::Unreadable { file: file.to_owned(), line, source })?;
        let malformed =
            |column, problem: String| RowError::Malformed { file: file.to_owned(), line, column, problem };
        if taken == 0 {
            return if rows > 0 { Ok(rows) } else { Err(RowError::Empty(file.to_owned())) };
        }
        if taken as u64 > MAX_LINE {
            return Err(malformed(0, format!("it is longer than {MAX_LINE} bytes")));
        }
        if text.trim_ascii().is_empty() {
            continue;
        }
        let row = serde_json::from_slice(&text).map_err(|error| {
            // The line is the reader's own count, which begins anew with each row.
            let said = error.to_string();
            let problem = said.rsplit_once(" at line ").map_or(said.as_str(), |(problem, _)| problem);
            malformed(error.column(), problem.to_owned())
        })?;
        take(row);
        rows += 1;
    }
}

fn label<'de, D: Deserializer<'de>>(input: D) -> Result<bool, D::Error> {
    match u64::deserialize(input)? {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(D::Error::custom(format!("y is {other}; it must be 0 or 1"))),
    }
}

fn truth<'de, D: Deserializer<'de>>(input: D) -> Result<Option<f64>, D::Error> {
    let p = f64::deserialize(input)?;
    if p > 0.0 && p < 1.0 {
        return Ok(Some(p));
    }
    Err(D::Error::custom(format!("p is {p}; it must lie between 0 and 1")))
}

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Values, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Values;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of \"field=value\"")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut input: A) -> Result<Values, A::Error> {
                let mut values = Values::default();
                let mut count = 0;
                while let Some(Value { feature, bin, is_campaign }) = input.next_element()? {
                    count += 1;
                    if count > MAX_VALUES {
                        return Err(A::Error::custom(format!("x has more than {MAX_VALUES} values")));
                    }
                    values.features.push(feature);
                    values.features.extend(bin);
                    if is_campaign {
                        values.campaign = CampaignId(feature.max(1));
                    }
                }
                Ok(values)
            }
        }
        input.deserialize_seq(Each)
    }
}

/// One value, hashed where it stands.
struct Value {
    feature: u32,
    bin: Option<u32>,
    is_campaign: bool,
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Value, D::Error> {
        struct One;
        impl Visitor<'_> for One {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string \"field=value\"")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Value, E> {
                let parts = text.split_once('=').filter(|(field, _)| !field.is_empty());
                let Some((field, value)) = parts else {
                    let shown: String = text.chars().take(40).collect();
                    return Err(E::custom(format!("{shown:?} is no \"field=value\"")));
                };
                let bin = large_number(value).map(|x| text_feature(&format!("{field}~{}", numeric_bin(x))));
                Ok(Value { feature: text_feature(text), bin, is_campaign: field == CAMPAIGN })
            }
        }
        input.deserialize_str(One)
    }
}

/// A whole number from 256 to 9,999,999.
fn large_number(value: &str) -> Option<f64> {
    let digits = (3..=7).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_digit());
    let number: u32 = digits.then(|| value.parse().ok()).flatten()?;
    (number >= 256).then(|| f64::from(number))
}
