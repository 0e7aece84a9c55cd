//! Bodies from a file of recorded requests, aimed at the users of a seeded world.

use crate::bodies::Bodies;
use crate::market::dice::Dice;
use anyhow::{Context, ensure};
use serde_json::{Map, Value};
use std::path::Path;

/// Lines per thousand that get a cookie of the world.
const KNOWN: u64 = 800;

/// Kind of the random stream.
const STREAM: u64 = u64::from_be_bytes(*b"recorded");

/// What a corpus gave.
#[derive(Debug)]
pub(crate) struct Corpus {
    /// One body a usable line.
    pub(crate) bodies: Vec<String>,
    /// When each was recorded, in nanoseconds; `None` where a line does not say.
    pub(crate) at_ns: Vec<Option<u64>>,
    /// Lines that hold no request with impressions.
    pub(crate) skipped: usize,
}

/// Reads newline-delimited JSON, each line a bid request or `{"request": …}` around one. Four in five get a known
/// cookie in `user.buyeruid`; the others stay as they are.
pub(crate) fn read(path: &Path, bodies: &Bodies, seed: u64) -> anyhow::Result<Corpus> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let corpus = parse(&text, bodies, seed);
    ensure!(!corpus.bodies.is_empty(), "{} holds no bid request with impressions", path.display());
    Ok(corpus)
}

fn parse(text: &str, bodies: &Bodies, seed: u64) -> Corpus {
    let mut corpus = Corpus { bodies: Vec::new(), at_ns: Vec::new(), skipped: 0 };
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        match request(line) {
            Some((mut request, at_ns)) => {
                corpus.at_ns.push(at_ns);
                let mut dice = Dice::new(seed, STREAM, number as u64);
                if dice.chance(KNOWN) {
                    set_cookie(&mut request, bodies.known_cookie(&mut dice));
                }
                corpus.bodies.push(Value::Object(request).to_string());
            }
            None => corpus.skipped += 1,
        }
    }
    corpus
}

/// The request of a line, if it is an object with at least one impression, and when it was recorded.
fn request(line: &str) -> Option<(Map<String, Value>, Option<u64>)> {
    let Value::Object(mut outer) = serde_json::from_str(line).ok()? else { return None };
    let at_ns = recorded_at_ns(&outer);
    let request = match outer.remove("request") {
        Some(Value::Object(inner)) => inner,
        Some(_) => return None,
        None => outer,
    };
    let has_impressions = request.get("imp")?.as_array().is_some_and(|imps| !imps.is_empty());
    has_impressions.then_some((request, at_ns))
}

/// `at_ms` in milliseconds, or `ts` in seconds or milliseconds since 1970: the year 5138 in seconds is the year 1973 in
/// milliseconds, so nobody means the other.
fn recorded_at_ns(line: &Map<String, Value>) -> Option<u64> {
    const SECONDS_END: f64 = 1e11;
    let number = |name: &str| line.get(name)?.as_f64().filter(|value| (0.0..1e16).contains(value));
    let ms = number("at_ms")
        .or_else(|| number("ts").map(|value| if value < SECONDS_END { value * 1_000.0 } else { value }))?;
    // Times since 1970 have no room for nanoseconds in a float.
    Some((ms * 1e3).round() as u64 * 1_000)
}

/// A `user` that is no object is replaced: the point is a user who can be looked up.
fn set_cookie(request: &mut Map<String, Value>, cookie: String) {
    let user = request.entry("user").or_insert_with(|| Value::Object(Map::new()));
    if !user.is_object() {
        *user = Value::Object(Map::new());
    }
    user["buyeruid"] = Value::String(cookie);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::dice::cookie;

    #[test]
    fn lines_give_requests_with_known_cookies_in_four_of_five() {
        let world =
            r#"{"version":1,"exchange":"load","seed":5,"users":3,"cookie":"splitmix64-hex","sites":20000}"#;
        let bodies = Bodies::new(&serde_json::from_str(world).unwrap(), 5);
        let known: Vec<String> = (0..3).map(|user| cookie(5, user)).collect();
        let bare = r#"{"id":"a","imp":[{"id":"1"}],"user":{"buyeruid":"old","yob":1}}"#;
        let wrapped = r#"{"source":"x","request":{"id":"b","imp":[{"id":"1"}],"user":null}}"#;
        let useless = ["7", "{", r#"{"request":"{}"}"#, r#"{"id":"c","imp":[]}"#, r#"{"id":"d"}"#].join("\n");
        let text = format!("{}\n\n{useless}\n", format!("{bare}\n{wrapped}\n").repeat(500));
        let corpus = parse(&text, &bodies, 1);
        assert_eq!((corpus.bodies.len(), corpus.skipped), (1_000, 5));
        let mut replaced = 0;
        for body in &corpus.bodies {
            let body: Value = serde_json::from_str(body).unwrap();
            match body["user"]["buyeruid"].as_str() {
                Some("old") | None => {}
                Some(other) => {
                    assert!(known.iter().any(|cookie| cookie == other), "{other}");
                    replaced += 1;
                }
            }
            assert!(body["id"] == "b" || body["user"]["yob"] == 1);
        }
        assert!((750..850).contains(&replaced), "{replaced} of 1,000");
    }

    #[test]
    fn the_time_of_a_line_is_read_in_either_unit() {
        let at = |line: &str| request(line).unwrap().1;
        let body = r#""imp":[{"id":"1"}]"#;
        assert_eq!(at(&format!("{{{body}}}")), None);
        assert_eq!(at(&format!(r#"{{"at_ms":1.5,{body}}}"#)), Some(1_500_000));
        assert_eq!(
            at(&format!(r#"{{"ts":1800000000.25,"request":{{{body}}}}}"#)),
            Some(1_800_000_000_250_000_000)
        );
        assert_eq!(at(&format!(r#"{{"ts":1800000000250,{body}}}"#)), Some(1_800_000_000_250_000_000));
        assert_eq!(at(&format!(r#"{{"ts":"noon",{body}}}"#)), None);
    }
}
