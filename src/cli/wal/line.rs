//! One line of output: the same fields as text for people and as JSON for programs.

use crate::model::money::Nanos;
use jiff::{Span, Timestamp, civil};
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::fmt;

/// A line. The number comes first, so that lines sort and align.
#[derive(Debug)]
pub(super) struct Line {
    /// The record that the line is about.
    pub(super) lsn: u64,
    /// What it says.
    pub(super) kind: &'static str,
    /// The rest, in order.
    pub(super) fields: Vec<(&'static str, Value)>,
}

/// A field's value.
#[derive(Debug)]
pub(super) enum Value {
    /// A number that JSON can hold exactly.
    Number(u64),
    /// Anything else.
    Text(String),
    /// Yes or no.
    Flag(bool),
    /// An amount: a decimal as text, a string of nanos in JSON, under a name that says so.
    Money(i64),
    /// A budget; none is no limit.
    Limit(Option<i64>),
    /// A moment, in milliseconds since the Unix epoch.
    Moment(i64),
    /// A budget day, in days since 1970-01-01.
    Day(u32),
}

impl Line {
    /// Writes the line, as JSON or as text.
    pub(super) fn write(&self, out: &mut dyn std::io::Write, json: bool) -> std::io::Result<()> {
        if json {
            serde_json::to_writer(&mut *out, self)?;
            writeln!(out)
        } else {
            writeln!(out, "{self}")
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>10}  {:<11}", self.lsn, self.kind)?;
        self.fields.iter().try_for_each(|(name, value)| write!(f, " {name}={value}"))
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Number(number) => write!(f, "{number}"),
            Value::Text(text) if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()) => {
                f.write_str(text)
            }
            Value::Text(text) => write!(f, "{text:?}"),
            Value::Flag(flag) => f.write_str(if *flag { "yes" } else { "no" }),
            Value::Money(nanos) | Value::Limit(Some(nanos)) => write!(f, "{}", Nanos(*nanos)),
            Value::Limit(None) => f.write_str("none"),
            Value::Moment(unix_ms) => match Timestamp::from_millisecond(*unix_ms) {
                Ok(moment) => write!(f, "{moment}"),
                Err(_) => write!(f, "{unix_ms}ms"),
            },
            Value::Day(day) => {
                let since = Span::new().try_days(*day);
                match since.and_then(|since| civil::date(1970, 1, 1).checked_add(since)) {
                    Ok(date) => write!(f, "{date}"),
                    Err(_) => write!(f, "day-{day}"),
                }
            }
        }
    }
}

impl Serialize for Line {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("lsn", &self.lsn)?;
        map.serialize_entry("kind", self.kind)?;
        for (name, value) in &self.fields {
            match value {
                Value::Number(number) => map.serialize_entry(name, number)?,
                Value::Flag(flag) => map.serialize_entry(name, flag)?,
                Value::Text(text) => map.serialize_entry(name, text)?,
                Value::Money(nanos) => {
                    map.serialize_entry(&format!("{name}_nanos"), &nanos.to_string())?;
                }
                Value::Limit(nanos) => {
                    map.serialize_entry(&format!("{name}_nanos"), &nanos.map(|n| n.to_string()))?;
                }
                Value::Moment(_) | Value::Day(_) => map.serialize_entry(name, &value.to_string())?,
            }
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: Value, text: &str, json: &str) {
        let line = Line { lsn: 3, kind: "post", fields: vec![("it", value)] };
        assert_eq!(line.to_string(), format!("{:>10}  post        it={text}", 3));
        let mut written = Vec::new();
        line.write(&mut written, true).unwrap();
        assert_eq!(String::from_utf8(written).unwrap(), format!("{{\"lsn\":3,\"kind\":\"post\",{json}}}\n"));
    }

    #[test]
    fn a_value_reads_as_people_and_as_programs_need_it() {
        check(Value::Number(7), "7", r#""it":7"#);
        check(Value::Flag(true), "yes", r#""it":true"#);
        check(Value::Money(-1), "-0.000000001", r#""it_nanos":"-1""#);
        check(Value::Money(i64::MAX), "9223372036.854775807", r#""it_nanos":"9223372036854775807""#);
        check(Value::Limit(Some(1_500_000_000)), "1.50", r#""it_nanos":"1500000000""#);
        check(Value::Limit(None), "none", r#""it_nanos":null"#);
        check(
            Value::Moment(1_790_000_000_250),
            "2026-09-21T14:13:20.25Z",
            r#""it":"2026-09-21T14:13:20.25Z""#,
        );
        check(Value::Moment(i64::MAX), "9223372036854775807ms", r#""it":"9223372036854775807ms""#);
        check(Value::Day(20_717), "2026-09-21", r#""it":"2026-09-21""#);
        check(Value::Day(u32::MAX), "day-4294967295", r#""it":"day-4294967295""#);
        check(Value::Text("Asia/Tokyo".to_owned()), "Asia/Tokyo", r#""it":"Asia/Tokyo""#);
        check(Value::Text("a\n\u{1b}[2J".to_owned()), r#""a\n\u{1b}[2J""#, r#""it":"a\n\u001b[2J""#);
        check(Value::Text(String::new()), r#""""#, r#""it":"""#);
    }
}
