//! Where a run's bodies come from: generated for a world, or recorded.

use super::shape::Shape;
use super::{Body, ID_LENGTH};
use crate::bodies::Bodies;
use crate::corpus;
use crate::load::args::{Sizes, TrafficArgs};
use crate::market::dice::Dice;
use crate::world::World;
use anyhow::Context;
use serde_json::{Map, Value};

/// Kinds of the random streams.
const PROTOBUF: u64 = u64::from_be_bytes(*b"protobuf");
const GZIP: u64 = u64::from_be_bytes(*b"gzipped\0");

/// The time of a request that names none, in milliseconds: what exchanges commonly give.
const USUAL_TMAX_MS: u32 = 300;

/// Everything that can be sent.
#[derive(Debug)]
pub(crate) struct Source {
    /// As JSON, whatever they are sent as: for whoever plays the exchange.
    pub(crate) json: Vec<String>,
    /// As they are sent, in the same order.
    pub(crate) bodies: Vec<Body>,
    /// When they were recorded, in nanoseconds from the first; empty where they were not, or not all.
    pub(crate) times_ns: Vec<u64>,
    /// Lines of a corpus that hold no request.
    pub(crate) skipped: usize,
}

impl Source {
    /// Makes or reads them.
    pub(crate) fn new(args: &TrafficArgs, world: &World) -> anyhow::Result<Source> {
        let seed = args.seed.unwrap_or(world.seed);
        let generator = Bodies::new(world, seed);
        let (json, mut at_ns, skipped) = match &args.corpus {
            Some(path) => {
                let corpus = corpus::read(path, &generator, seed)?;
                let bodies: anyhow::Result<Vec<String>> =
                    corpus.bodies.iter().map(|body| with_id_first(body)).collect();
                (bodies?, corpus.at_ns, corpus.skipped)
            }
            None => {
                let shape = Shape { is_varied: args.sizes == Sizes::Varied, media: args.media.clone(), seed };
                let at = if args.second_price { "\"at\":2," } else { "\"at\":1," };
                let bodies = (0..u64::from(args.bodies))
                    .map(|n| shape.body(&generator, n).replacen("\"at\":1,", at, 1));
                (bodies.collect(), Vec::new(), 0)
            }
        };
        let mut json: Vec<String> = json;
        let mut times_ns = Vec::new();
        if !at_ns.is_empty() && at_ns.iter().all(Option::is_some) {
            // Recorders write in the order of answers; what is sent goes by the order of requests.
            let mut order: Vec<usize> = (0..json.len()).collect();
            order.sort_by_key(|at| at_ns[*at]);
            json = order.iter().map(|at| std::mem::take(&mut json[*at])).collect();
            at_ns = order.iter().map(|at| at_ns[*at]).collect();
            let first = at_ns[0].unwrap_or(0);
            times_ns = at_ns.iter().flatten().map(|at| at - first).collect();
        }
        let prepare = |(n, text): (usize, &String)| {
            let mut dice = Dice::new(seed, GZIP, n as u64);
            let is_gzip = dice.chance(args.gzip);
            let is_protobuf = Dice::new(seed, PROTOBUF, n as u64).chance(args.protobuf);
            body(text, is_protobuf, is_gzip).with_context(|| format!("request {n} cannot be sent"))
        };
        let bodies: anyhow::Result<Vec<Body>> = json.iter().enumerate().map(prepare).collect();
        Ok(Source { bodies: bodies?, json, times_ns, skipped })
    }

    /// Least, mean and most bytes of a body before compression.
    pub(crate) fn lengths(&self) -> (usize, f64, usize) {
        let lengths = || self.bodies.iter().map(|body| body.bytes.len());
        let mean = lengths().sum::<usize>() as f64 / self.bodies.len().max(1) as f64;
        (lengths().min().unwrap_or(0), mean, lengths().max().unwrap_or(0))
    }
}

/// What every body begins with, up to its id.
const BEGINNING: &str = "{\"id\":\"";

/// A recorded request with a placeholder for its id in front.
fn with_id_first(body: &str) -> anyhow::Result<String> {
    let mut request: Map<String, Value> = serde_json::from_str(body)?;
    request.remove("id");
    let rest = Value::Object(request).to_string();
    Ok(format!("{BEGINNING}{}\",{}", "0".repeat(ID_LENGTH), &rest[1..]))
}

#[derive(serde::Deserialize)]
struct Times {
    tmax: Option<f64>,
}

/// A JSON text that begins with an id of the right length, as it is sent.
fn body(text: &str, is_protobuf: bool, is_gzip: bool) -> anyhow::Result<Body> {
    let has_place = text.strip_prefix(BEGINNING).is_some_and(|rest| rest.find('"') == Some(ID_LENGTH));
    anyhow::ensure!(has_place, "it does not begin with an id of {ID_LENGTH} characters");
    // A recorded request may be broken on purpose; it is sent all the same.
    let tmax = serde_json::from_str::<Times>(text).ok().and_then(|times| times.tmax);
    let tmax_ms = tmax.filter(|tmax| *tmax >= 1.0).map_or(USUAL_TMAX_MS, |tmax| tmax as u32);
    let (bytes, id_at) = match is_protobuf {
        true => super::proto::encode(text)?,
        false => (text.as_bytes().to_vec(), BEGINNING.len()),
    };
    Ok(Body { bytes, id_at, is_protobuf, is_gzip, tmax_ms })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recorded_request_keeps_everything_but_its_id() {
        let text = with_id_first(r#"{"at":1,"id":7,"imp":[{"id":"1"}],"tmax":80}"#).unwrap();
        let body = body(&text, false, false).unwrap();
        assert_eq!((body.id_at, body.tmax_ms), (7, 80));
        let value: Value = serde_json::from_slice(&body.bytes).unwrap();
        assert_eq!(value["id"], "0".repeat(ID_LENGTH));
        assert_eq!((&value["at"], &value["imp"][0]["id"]), (&Value::from(1), &Value::from("1")));
        assert!(super::body(r#"{"at":1}"#, false, false).is_err());
    }
}
