//! Answers: what `respond` wrote in JSON, written again in protobuf.
//!
//! Invariant: an answer says the same in both encodings, because there is one place that decides what it says. The
//! detour costs the reading of a text that was just written, and saves a second author of every field of every medium.

use super::wire;
use crate::exchange::json::{Reader, Scalar};
use crate::exchange::parse::Limits;
use crate::exchange::scan::Read;
use bumpalo::Bump;
use prost::Message;

/// Appends to `out` the protobuf form of an answer in JSON, as `respond` writes it: with bids, or with `nbr` alone. The
/// arena takes what has to be unescaped.
///
/// Panics when `json` is no such answer.
pub fn encode_answer(json: &[u8], arena: &Bump, out: &mut Vec<u8>) {
    let text = std::str::from_utf8(json).expect("an answer is text");
    // What the engine wrote is within the limits of its own.
    let limits = Limits { string: usize::MAX, array: usize::MAX, ..Limits::default() };
    let mut reader = Reader::new(text, &limits, arena);
    let message = response(&mut reader).map_err(|stop| reader.error(stop)).expect("an answer is JSON");
    out.reserve(message.encoded_len());
    message.encode(out).expect("a vector grows");
}

fn response(r: &mut Reader<'_>) -> Read<wire::BidResponse> {
    let mut m = wire::BidResponse::default();
    let Some(mut walk) = r.object()? else { return Ok(m) };
    while let Some(key) = r.next_key(&mut walk)? {
        match key {
            b"id" => m.id = string(r)?,
            b"seatbid" => m.seatbid = each(r, seat_bid)?,
            b"bidid" => m.bidid = string(r)?,
            b"cur" => m.cur = string(r)?,
            b"customdata" => m.customdata = string(r)?,
            b"nbr" => m.nbr = int(r)?,
            _ => r.skip()?,
        }
    }
    Ok(m)
}

fn seat_bid(r: &mut Reader<'_>) -> Read<wire::SeatBid> {
    let mut m = wire::SeatBid::default();
    let Some(mut walk) = r.object()? else { return Ok(m) };
    while let Some(key) = r.next_key(&mut walk)? {
        match key {
            b"bid" => m.bid = each(r, bid)?,
            b"seat" => m.seat = string(r)?,
            b"group" => m.group = r.flag()?,
            _ => r.skip()?,
        }
    }
    Ok(m)
}

fn bid(r: &mut Reader<'_>) -> Read<wire::Bid> {
    let mut m = wire::Bid::default();
    let Some(mut walk) = r.object()? else { return Ok(m) };
    while let Some(key) = r.next_key(&mut walk)? {
        match key {
            b"id" => m.id = string(r)?,
            b"impid" => m.impid = string(r)?,
            b"price" => m.price = number(r)?,
            b"nurl" => m.nurl = string(r)?,
            b"burl" => m.burl = string(r)?,
            b"lurl" => m.lurl = string(r)?,
            b"adm" => m.adm = string(r)?,
            b"adid" => m.adid = string(r)?,
            b"adomain" => m.adomain = strings(r)?,
            b"bundle" => m.bundle = string(r)?,
            b"iurl" => m.iurl = string(r)?,
            b"cid" => m.cid = string(r)?,
            b"crid" => m.crid = string(r)?,
            b"tactic" => m.tactic = string(r)?,
            b"cattax" => m.cattax = int(r)?,
            b"cat" => m.cat = strings(r)?,
            b"attr" => m.attr = ints(r)?,
            b"apis" => m.apis = ints(r)?,
            b"api" => m.api = int(r)?,
            b"protocol" => m.protocol = int(r)?,
            b"qagmediarating" => m.qagmediarating = int(r)?,
            b"language" => m.language = string(r)?,
            b"langb" => m.langb = string(r)?,
            b"dealid" => m.dealid = string(r)?,
            b"w" => m.w = int(r)?,
            b"h" => m.h = int(r)?,
            b"wratio" => m.wratio = int(r)?,
            b"hratio" => m.hratio = int(r)?,
            b"exp" => m.exp = int(r)?,
            b"dur" => m.dur = int(r)?,
            b"mtype" => m.mtype = int(r)?,
            b"slotinpod" => m.slotinpod = int(r)?,
            b"ext" => m.ext = Some(wire::bid::Ext { dsa: transparency(r)? }),
            _ => r.skip()?,
        }
    }
    Ok(m)
}

/// `bid.ext.dsa`.
fn transparency(r: &mut Reader<'_>) -> Read<Option<wire::DsaResponse>> {
    let mut found = None;
    let Some(mut ext) = r.object()? else { return Ok(None) };
    while let Some(key) = r.next_key(&mut ext)? {
        match (key, r.peek()?) {
            (b"dsa", b'{') => found = Some(dsa(r)?),
            _ => r.skip()?,
        }
    }
    Ok(found)
}

fn dsa(r: &mut Reader<'_>) -> Read<wire::DsaResponse> {
    let mut m = wire::DsaResponse::default();
    let Some(mut walk) = r.object()? else { return Ok(m) };
    while let Some(key) = r.next_key(&mut walk)? {
        match key {
            b"behalf" => m.behalf = string(r)?,
            b"paid" => m.paid = string(r)?,
            b"transparency" => m.transparency = each(r, user_parameters)?,
            b"adrender" => m.adrender = r.flag()?,
            _ => r.skip()?,
        }
    }
    Ok(m)
}

fn user_parameters(r: &mut Reader<'_>) -> Read<wire::Transparency> {
    let mut m = wire::Transparency::default();
    let Some(mut walk) = r.object()? else { return Ok(m) };
    while let Some(key) = r.next_key(&mut walk)? {
        match key {
            b"domain" => m.domain = string(r)?,
            b"dsaparams" => m.dsaparams = ints(r)?,
            _ => r.skip()?,
        }
    }
    Ok(m)
}

/// The messages of an array of objects.
fn each<'a, T>(r: &mut Reader<'a>, read: fn(&mut Reader<'a>) -> Read<T>) -> Read<Vec<T>> {
    let mut all = Vec::new();
    let Some(mut walk) = r.array()? else { return Ok(all) };
    while r.next_item(&mut walk)? {
        all.push(read(r)?);
    }
    Ok(all)
}

fn string(r: &mut Reader<'_>) -> Read<Option<String>> {
    Ok(r.text()?.map(str::to_owned))
}

fn strings(r: &mut Reader<'_>) -> Read<Vec<String>> {
    Ok(r.texts()?.iter().map(|text| (*text).to_owned()).collect())
}

fn int(r: &mut Reader<'_>) -> Read<Option<i32>> {
    Ok(r.int()?.and_then(|int| i32::try_from(int).ok()))
}

fn ints(r: &mut Reader<'_>) -> Read<Vec<i32>> {
    Ok(r.ints()?.iter().filter_map(|int| i32::try_from(*int).ok()).collect())
}

/// A price: the double that is nearest to the decimal.
fn number(r: &mut Reader<'_>) -> Read<Option<f64>> {
    Ok(match r.scalar()? {
        Scalar::Number(text) => text.parse().ok(),
        _ => None,
    })
}
