//! The checks of a request: the body as the engine reads it, then each object along the schema.
//!
//! Invariant: whatever the engine refuses of a request has an error among the findings, because its own reader is asked
//! as well; a test holds errors to what it refuses.

mod context;
mod deal;
mod imp;
mod media;
mod native;
pub(super) mod rules;
mod whole;

use super::finding::{Finding, Findings, Rule, Severity};
use super::input::Format;
use super::read::{At, Path};
use super::shape::{Check, Shape};
use crate::exchange::{self, Limits, ParseError};
use crate::model::auction::Auction;
use bumpalo::Bump;
use serde_json::Value;

/// What was found in a body, and the request in it where there is one.
pub(super) struct Checked {
    pub(super) findings: Vec<Finding>,
    pub(super) request: Option<Value>,
}

/// Checks the body of a request.
pub(super) fn check(body: &[u8], format: Format, limits: &Limits, arena: &Bump) -> Checked {
    let engine = match format {
        Format::Json => exchange::parse(body, limits, arena),
        Format::Protobuf => exchange::parse_protobuf(body, limits, arena),
    };
    let request = match format {
        Format::Json => serde_json::from_slice::<Value>(body).ok(),
        Format::Protobuf => exchange::protobuf_as_json(body, limits).ok(),
    };
    let mut findings = Findings::default();
    match &request {
        Some(request @ Value::Object(_)) => walk(request, &mut findings),
        None if engine.is_ok() => {
            findings.add(&rules::NOT_SEEN, &Path::Root, "holds a value that JSON libraries refuse");
        }
        _ => {}
    }
    match &engine {
        Err(error) => refused(error, &mut findings),
        Ok(auction) => faults(auction, &mut findings),
    }
    Checked { findings: findings.finish(), request }
}

/// Checks every object of a request.
fn walk(request: &Value, findings: &mut Findings) {
    SHAPE.walk(&At { message: "BidRequest", value: request, path: &Path::Root, outer: None }, findings);
}

static SHAPE: Shape = Shape {
    loose: &rules::TYPE_LOOSE,
    unreadable: &rules::TYPE_WRONG,
    unreadable_rule: &rules::LIST_UNREADABLE,
    unknown_field: &rules::FIELD_UNKNOWN,
    unknown_value: &rules::VALUE_UNKNOWN,
    deprecated: &rules::DEPRECATED,
    null: &rules::NULL,
    checks,
};

/// The checks of an object.
fn checks(message: &str) -> &'static [Check] {
    match message {
        "BidRequest" => whole::CHECKS,
        "Imp" => imp::CHECKS,
        "Banner" => media::BANNER,
        "Video" | "Audio" => media::STREAM,
        "DurFloors" => &[media::duration_range],
        "Native" => native::CHECKS,
        "NativeRequest" => native::REQUEST,
        "NativeRequest.Asset" => native::ASSET,
        "Pmp" => &[deal::private],
        "Deal" => deal::DEAL,
        "Site" | "App" => &[context::keywords],
        "DOOH" => &[context::keywords, context::screen],
        "Content" => &[context::keywords, context::language],
        "Device" => context::DEVICE,
        "Geo" => context::GEO,
        "User" => context::USER,
        "Regs" => context::REGS,
        "Source" => &[context::source],
        "SupplyChain" => &[context::chain],
        "SupplyChainNode" => &[context::chain_node],
        "EID" => &[context::identifiers],
        "Segment" => &[context::segment],
        _ => &[],
    }
}

/// What the engine refuses as a whole, where the checks have not said so in better words.
fn refused(error: &ParseError, findings: &mut Findings) {
    let rule: &'static Rule = match error {
        ParseError::Malformed { .. } | ParseError::MalformedProtobuf | ParseError::NotAnObject => {
            &rules::UNREADABLE
        }
        ParseError::MissingId => &rules::ID_MISSING,
        ParseError::MissingImp => &rules::IMPS_MISSING,
        ParseError::NotOpenRtb2 => &rules::OPENRTB_3,
        ParseError::TooDeep { .. }
        | ParseError::TooLarge { .. }
        | ParseError::LimitExceeded { .. }
        | ParseError::DuplicateKey { .. } => &rules::REFUSED,
    };
    if !findings.has(rule) {
        findings.add(rule, &Path::Root, format!("is answered with status {}: {error}", error.status()));
    }
}

/// What the engine will not bid on, where no check has said why.
fn faults(auction: &Auction<'_>, findings: &mut Findings) {
    let said = |findings: &Findings, of: Option<usize>| {
        let errors = findings.0.iter().filter(|finding| finding.rule.severity == Severity::Error);
        errors.map(impression_of).any(|impression| impression == of)
    };
    if let Some(reason) = auction.fault.filter(|_| !said(findings, None)) {
        findings.add(&rules::REFUSED, &Path::Root, format!("gets no bid: {}", reason.as_str()));
    }
    for (index, imp) in auction.imps.iter().enumerate() {
        if let Some(reason) = imp.fault.filter(|_| !said(findings, Some(index))) {
            let list = Path::Key(&Path::Root, "imp");
            findings.add(&rules::REFUSED, &list.index(index), format!("gets no bid: {}", reason.as_str()));
        }
    }
}

/// The impression that an error refuses; `None` = the request as a whole.
fn impression_of(finding: &Finding) -> Option<usize> {
    if finding.rule == &rules::IMP_ID_TWICE {
        return None;
    }
    finding.path.strip_prefix("imp[")?.split_once(']')?.0.parse().ok()
}
