//! `outbid check config`, and `outbid check openrtb FILE`: what is wrong with requests and answers, and what the bidder
//! would do with the requests.
//!
//! What can be found stands as data in two catalogues ([`rules`]); the checks walk along the schema and name a rule and
//! a path. Invariant: whatever the engine refuses of a request has an error among its findings. Nothing here holds
//! money, signs anything or writes a file.

mod finding;
mod input;
mod outlook;
mod read;
mod report;
mod request;
mod response;
mod shape;
mod tables;
mod words;

pub use finding::{Finding, Rule, Severity};
pub use input::{Case, Format, cases};

use super::world::World;
use super::{Common, Failure, boot};
use crate::exchange::Limits;
use anyhow::anyhow;
use bumpalo::Bump;
use outlook::Bidder;
use report::Report;
use response::Against;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// What to check.
#[derive(Debug, clap::Subcommand)]
pub(super) enum What {
    /// Reads the configuration as `serve` would and prints the effective one, secrets masked.
    Config,
    /// Explains what is wrong with OpenRTB requests and answers, and what the bidder would do with the requests.
    #[command(after_long_help = SHAPE)]
    Openrtb(OpenrtbArguments),
}

/// What `--help` says beside the options, the shape of `--json` included, which a test holds.
const SHAPE: &str = r#"FILE holds one JSON object or one a line, each a request, an answer, or a record
{"request": …, "response": …} of both; or, with the ending .pb, one request in protobuf.

An error in a request means that the bidder refuses what is named there; an error in an answer,
that an exchange may throw the bid away (with the loss code that is given) or that a notice is
lost. Everything else is a warning.
Exit status: 0 without errors, 1 with an error (with --strict, also with a warning).

With --json, each case is one object on one line:
  {"file", "line", "kind": "request"|"response"|"pair", "id", "errors", "warnings",
   "findings": [{"severity": "error"|"warning", "code", "of": "request"|"response", "path",
                 "what", "why", "do", "section", "loss": number|null}],
   "bidder": null | {"exchange", "restriction", "no_bid",
                     "imps": [{"id", "no_bid", "reasons": {reason: count},
                               "bids": [{"line_item", "creative", "medium", "price", "currency",
                                         "deal", "size", "duration_s"}],
                               "line_items": [{"line_item", "reason", "detail"}]}]}}

Examples:
  outbid check openrtb request.json
  outbid check openrtb pairs.ndjson --json --strict
  outbid check openrtb request.json --demo
  outbid check openrtb request.pb --exchange demo --set data.dir=DIR"#;

/// Options of `outbid check openrtb`.
#[derive(Debug, clap::Args)]
pub(super) struct OpenrtbArguments {
    /// A file of requests, answers, or records of both; `-` for standard input.
    file: PathBuf,
    /// How requests are encoded; default: by the file's ending.
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<Format>,
    /// Says also what the bidder would do with requests of this exchange, on the account of the data directory.
    #[arg(long, value_name = "NAME")]
    exchange: Option<String>,
    /// Says also what the bidder would do, on the built-in demo world.
    #[arg(long)]
    demo: bool,
    /// At most so many line items an impression with their reasons for not bidding.
    #[arg(long, value_name = "N", default_value_t = 5)]
    top: usize,
    /// Warnings fail as well.
    #[arg(long)]
    strict: bool,
    /// As JSON, one object a line; --help says the shape.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(common: &Common, what: &What) -> Result<(), Failure> {
    match what {
        What::Config => {
            print!("{}", boot::configuration(common, Vec::new())?.effective_toml());
            Ok(())
        }
        What::Openrtb(arguments) => openrtb(common, arguments),
    }
}

/// Every rule that a request or an answer may break, for documents and tests.
pub fn rules() -> impl Iterator<Item = &'static Rule> {
    request::rules::ALL.iter().chain(response::rules::ALL).copied()
}

/// What is wrong with a body that is sent as a request.
pub fn check_request(body: &[u8], format: Format) -> Vec<Finding> {
    request::check(body, format, &Limits::default(), &Bump::new()).findings
}

/// What is wrong with an answer in JSON; against the request that it answers, where that is given.
pub fn check_response(body: &[u8], request: Option<&Value>) -> Vec<Finding> {
    response::check(body, Against { request, rates: None }).0
}

fn openrtb(common: &Common, arguments: &OpenrtbArguments) -> Result<(), Failure> {
    let bidder = bidder(common, arguments)?;
    let format = arguments.format.unwrap_or_else(|| Format::of(&arguments.file));
    let cases = cases(&input::read(&arguments.file)?, format);
    let mut arena = Bump::new();
    let (mut with_errors, mut with_warnings) = (0, 0);
    for case in &cases {
        let report = judge(case, &arguments.file, format, bidder.as_ref(), &arena)?;
        let (errors, warnings) = (report.count(Severity::Error), report.count(Severity::Warning));
        with_errors += usize::from(errors > 0);
        with_warnings += usize::from(warnings > 0);
        if arguments.json {
            println!("{}", report.as_json());
        } else {
            print!("{}", report.words());
        }
        drop(report);
        arena.reset();
    }
    let file = arguments.file.display();
    if cases.is_empty() {
        return Err(Failure::Failed(anyhow!("{file} holds nothing to check")));
    }
    let all = cases.len();
    if !arguments.json {
        println!("{file}: {all} checked, {with_errors} with errors, {with_warnings} with warnings");
    }
    match (with_errors, with_warnings) {
        (1.., _) => Err(Failure::Failed(anyhow!("{with_errors} of {all} have errors"))),
        (0, 1..) if arguments.strict => {
            Err(Failure::Failed(anyhow!("{with_warnings} of {all} have warnings, which --strict forbids")))
        }
        _ => Ok(()),
    }
}

/// The account that is asked for, if one is.
fn bidder(common: &Common, arguments: &OpenrtbArguments) -> Result<Option<Bidder>, Failure> {
    if !arguments.demo && arguments.exchange.is_none() {
        return Ok(None);
    }
    let config = boot::configuration(common, Vec::new())?;
    let world = World::open(&config, arguments.demo)?;
    Bidder::new(world, arguments.exchange.as_deref(), arguments.top).map(Some)
}

fn judge<'r>(
    case: &Case,
    file: &'r Path,
    format: Format,
    bidder: Option<&'r Bidder>,
    arena: &Bump,
) -> Result<Report<'r>, Failure> {
    let request = case.request.as_ref().map(|body| request::check(body, format, &Limits::default(), arena));
    let asked = request.as_ref().and_then(|checked| checked.request.as_ref());
    let rates = bidder.map(|bidder| &*bidder.world.snapshot.rates);
    let against = Against { request: asked, rates };
    let response = case.response.as_ref().map(|body| response::check(body, against));
    let outlook = match (bidder, &case.request) {
        (Some(bidder), Some(body)) => bidder.outlook(body, format, arena)?,
        _ => None,
    };
    let answer = response.as_ref().and_then(|(_, answer)| answer.as_ref());
    Ok(Report {
        file: file.to_str().unwrap_or_default(),
        line: case.line,
        kind: match (&case.request, &case.response) {
            (Some(_), Some(_)) => "pair",
            (None, Some(_)) => "response",
            _ => "request",
        },
        id: asked.or(answer).and_then(|value| read::text(value.get("id"))),
        request: request.map(|checked| checked.findings).unwrap_or_default(),
        response: response.map(|(findings, _)| findings).unwrap_or_default(),
        outlook,
    })
}
