//! OpenRTB in protobuf: requests in, answers out.
//!
//! Invariant: a request means the same in both encodings. What a message can say is read by the rules of the JSON
//! reader (the `json` and `parse` modules): the same limits, faults, defaults and 2.5 locations; a property test holds
//! the two to equal auctions. What a message cannot say never differs: a number has one type, a key comes once.
//!
//! Strings are copied into the arena and the message is dropped: it owns its strings, so that decoding allocates once a
//! string, unlike the JSON reader. What the published schema has no field for is absent here: `ext.gpp` and
//! `ext.gpp_sid` of `regs`, `ext.segtax` of the user's data, the 2.5 spellings of a screen's place.

mod answer;
mod as_json;
mod context;
mod imp;
mod native;
mod reader;
pub(super) mod wire;

pub use answer::encode_answer;
pub use as_json::protobuf_as_json;

use super::parse::{Limits, ParseError, has_duplicate_ids, taxonomy_of};
use crate::model::auction::{Auction, Channel, Imp};
use crate::model::money::Currency;
use crate::model::no_bid::NoBidReason;
use bumpalo::Bump;
use prost::Message;
use reader::{Read, Reader};

/// Reads one bid request in protobuf as [`parse`](super::parse()) reads one in JSON; the auction borrows from `arena`
/// alone.
pub fn parse_protobuf<'a>(body: &[u8], limits: &Limits, arena: &'a Bump) -> Result<Auction<'a>, ParseError> {
    if body.len() > limits.body {
        return Err(ParseError::TooLarge { bytes: body.len(), limit: limits.body });
    }
    let message = wire::BidRequest::decode(body).map_err(|_| ParseError::MalformedProtobuf)?;
    request(&mut Reader::new(limits, arena), &message)
}

fn request<'a>(r: &mut Reader<'a>, m: &wire::BidRequest) -> Read<Auction<'a>> {
    let imps = imps(r, &m.imp)?;
    let id = r.section("id").text(m.id.as_deref())?.unwrap_or_default();
    let codes = r.section("cur").texts(&m.cur)?;
    let (array, block_list) = (r.limits.array, r.limits.block_list);
    let wlang = [r.rule_texts(&m.wlang, array), r.rule_texts(&m.wlangb, array)];
    let mut auction = Auction {
        id,
        imps,
        at: m.at.map(i64::from),
        tmax_ms: m.tmax.and_then(reader::positive),
        test: m.test == Some(true),
        all_imps: m.allimps == Some(true),
        cur: r.keep(codes.iter().filter_map(|code| Currency::parse(code.trim()))),
        cur_given: !m.cur.is_empty(),
        wseat: r.rule_texts(&m.wseat, array),
        bseat: r.rule_texts(&m.bseat, array),
        wlang: r.concat(&wlang),
        acat: r.rule_texts(&m.acat, array),
        bcat: r.rule_texts(&m.bcat, block_list),
        cattax: taxonomy_of(m.cattax.map(i64::from)),
        badv: r.rule_texts(&m.badv, block_list),
        bapp: r.rule_texts(&m.bapp, block_list),
        channel: channel(r, m)?,
        device: context::device(r.section("device"), m.device.as_ref())?,
        user: context::user(r.section("user"), m.user.as_ref())?,
        regs: context::regs(r.section("regs"), m.regs.as_ref())?,
        source: context::source(r.section("source"), m.source.as_ref())?,
        fault: None,
    };
    if auction.id.is_empty() {
        return Err(ParseError::MissingId);
    }
    if auction.imps.is_empty() {
        return Err(ParseError::MissingImp);
    }
    if has_duplicate_ids(auction.imps) {
        r.note(NoBidReason::InvalidRequest);
    }
    auction.fault = r.fault;
    Ok(auction)
}

/// Where the impressions are shown; more than one place is a fault.
fn channel<'a>(r: &mut Reader<'a>, m: &wire::BidRequest) -> Read<Channel<'a>> {
    let site = m.site.as_ref().map(|site| context::inventory(r.section("site"), &site.into())).transpose()?;
    let app = m.app.as_ref().map(|app| context::inventory(r.section("app"), &app.into())).transpose()?;
    let dooh = m.dooh.as_ref().map(|dooh| context::inventory(r.section("dooh"), &dooh.into())).transpose()?;
    if [&site, &app, &dooh].into_iter().flatten().count() > 1 {
        r.note(NoBidReason::InvalidRequest);
    }
    Ok(match (site, app, dooh) {
        (Some(site), _, _) => Channel::Site(site),
        (_, Some(app), _) => Channel::App(app),
        (_, _, Some(dooh)) => Channel::Dooh(dooh),
        _ => Channel::Unknown,
    })
}

fn imps<'a>(r: &mut Reader<'a>, messages: &[wire::Imp]) -> Read<&'a [Imp<'a>]> {
    let limit = r.limits.imps;
    if messages.len() > limit {
        return Err(ParseError::LimitExceeded { field: "imp", what: "array", limit });
    }
    let mut imps = r.vec(messages.len());
    for message in messages {
        imps.push(imp::imp(r, message)?);
    }
    Ok(imps.into_bump_slice())
}
