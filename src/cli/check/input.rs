//! Files of requests and answers → the cases in them.

use crate::cli::Failure;
use anyhow::Context;
use serde_json::value::RawValue;
use std::io::Read;
use std::path::Path;

/// An encoding of requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Format {
    /// JSON: one object, or one a line.
    Json,
    /// Protobuf: one request.
    Protobuf,
}

impl Format {
    /// The encoding that a file's ending says; JSON where it says none.
    pub(super) fn of(file: &Path) -> Format {
        let is_protobuf =
            file.extension().is_some_and(|ending| ["pb", "protobuf"].iter().any(|known| ending == *known));
        if is_protobuf { Format::Protobuf } else { Format::Json }
    }
}

/// A request, an answer, or both.
#[derive(Debug, PartialEq, Eq)]
pub struct Case {
    /// The line that it stands in, from 1.
    pub line: usize,
    /// The body of the request, as an exchange would send it.
    pub request: Option<Vec<u8>>,
    /// The body of the answer.
    pub response: Option<Vec<u8>>,
}

/// Reads a file whole; `-` is standard input.
pub(super) fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    if file.as_os_str() != "-" {
        return Ok(std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?);
    }
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes).context("cannot read standard input")?;
    Ok(bytes)
}

/// The cases of a file. A text that is one JSON value is one case; any other has a case in each line that is not empty.
pub fn cases(bytes: &[u8], format: Format) -> Vec<Case> {
    if format == Format::Protobuf {
        return vec![Case { line: 1, request: Some(bytes.to_vec()), response: None }];
    }
    if serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok() {
        return vec![case(1, bytes)];
    }
    let lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).enumerate();
    let filled: Vec<Case> =
        lines.filter(|(_, line)| !line.is_empty()).map(|(index, line)| case(index + 1, line)).collect();
    // A broken document of several lines is one broken document: hardly any of its lines is a JSON value.
    let whole = filled.iter().filter(|case| case.is_json()).count();
    if whole * 2 < filled.len() { vec![case(1, bytes)] } else { filled }
}

/// The keys by which records, requests and answers are told apart.
#[derive(serde::Deserialize)]
struct Keys<'a> {
    #[serde(borrow)]
    request: Option<&'a RawValue>,
    #[serde(borrow)]
    response: Option<&'a RawValue>,
    imp: Option<serde::de::IgnoredAny>,
    seatbid: Option<serde::de::IgnoredAny>,
    nbr: Option<serde::de::IgnoredAny>,
    bidid: Option<serde::de::IgnoredAny>,
}

fn case(line: usize, text: &[u8]) -> Case {
    let alone = |request, response| Case { line, request, response };
    let Ok(keys) = serde_json::from_slice::<Keys<'_>>(text) else {
        return alone(Some(text.to_vec()), None);
    };
    if keys.request.is_some() || keys.response.is_some() {
        return alone(keys.request.map(body), keys.response.map(body));
    }
    let answers = keys.seatbid.is_some() || keys.nbr.is_some() || keys.bidid.is_some();
    if answers && keys.imp.is_none() {
        alone(None, Some(text.to_vec()))
    } else {
        alone(Some(text.to_vec()), None)
    }
}

/// What was sent. Logs keep a body that was no JSON as a text.
fn body(kept: &RawValue) -> Vec<u8> {
    let text = serde_json::from_str::<String>(kept.get());
    text.unwrap_or_else(|_| kept.get().to_owned()).into_bytes()
}

impl Case {
    fn is_json(&self) -> bool {
        let mut bodies = [&self.request, &self.response].into_iter().flatten();
        bodies.all(|body| serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[(usize, Option<&str>, Option<&str>)]) {
        let bytes = |text: &str| text.as_bytes().to_vec();
        let expected: Vec<Case> = expected
            .iter()
            .map(|(line, request, response)| Case {
                line: *line,
                request: request.map(bytes),
                response: response.map(bytes),
            })
            .collect();
        assert_eq!(cases(text.as_bytes(), Format::Json), expected, "{text}");
    }

    #[test]
    fn a_file_is_one_value_or_a_case_in_each_line() {
        let (request, answer) = (r#"{"id":"1","imp":[]}"#, r#"{"id":"1","seatbid":[]}"#);
        check(request, &[(1, Some(request), None)]);
        check(answer, &[(1, None, Some(answer))]);
        check(&format!("{request}\n\n {answer}\n"), &[(1, Some(request), None), (3, None, Some(answer))]);
        check("{\n \"id\": 1\n}", &[(1, Some("{\n \"id\": 1\n}"), None)]);
        check("{\n \"id\": 1,\n}\n", &[(1, Some("{\n \"id\": 1,\n}\n"), None)]);
        check("", &[]);
    }

    #[test]
    fn a_record_may_hold_a_request_an_answer_or_both() {
        check(r#"{"request":{"id":1}}"#, &[(1, Some(r#"{"id":1}"#), None)]);
        check(r#"{"response":{"nbr":2},"at":5}"#, &[(1, None, Some(r#"{"nbr":2}"#))]);
        check(r#"{"request":{},"response":{}}"#, &[(1, Some("{}"), Some("{}"))]);
        check(r#"{"request":"{broken"}"#, &[(1, Some("{broken"), None)]);
    }

    #[test]
    fn the_ending_of_a_file_says_its_encoding() {
        assert_eq!(Format::of(Path::new("x/a.pb")), Format::Protobuf);
        assert_eq!(Format::of(Path::new("a.ndjson")), Format::Json);
        assert_eq!(Format::of(Path::new("-")), Format::Json);
    }
}
