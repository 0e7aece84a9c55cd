//! `native` and the request inside it (OpenRTB Native 1.0 to 1.2), which comes as a JSON text in a string, or as an
//! object.
//!
//! The string is read by a second [`Reader`] over the unescaped text, with a nesting limit of its own; it holds no
//! such string in turn, so that nothing recurses. A native request that cannot be read, or that asks for nothing, is
//! not offered; it never costs the impression its other media.

use super::Limits;
use crate::exchange::json::{Reader, push};
use crate::exchange::scan::Read;
use crate::model::media::{EventTracker, Native, NativeAsset, NativeAssetKind};
use crate::model::no_bid::NoBidReason;
use bumpalo::Bump;

pub(super) fn native<'a>(r: &mut Reader<'a>) -> Read<Option<Native<'a>>> {
    let Some(mut walk) = r.object()? else { return Ok(None) };
    let (mut request, mut request_native) = (None, None);
    let (mut ver, mut api, mut battr) = (None, &[] as &[_], &[] as &[_]);
    while let Some(key) = r.next_key(&mut walk)? {
        match key {
            b"request" => request = embedded(r)?,
            b"request_native" => request_native = embedded(r)?,
            b"ver" => ver = r.text()?,
            b"api" => api = r.ints()?,
            b"battr" => battr = r.rule_ints()?,
            _ => r.skip()?,
        }
    }
    let found = request.or(request_native);
    Ok(found.map(|native| Native { ver: native.ver.or(ver), api, battr, ..native }))
}

/// The request, as an object or in a string; `None` when it is neither, broken, or cannot be answered.
fn embedded<'a>(r: &mut Reader<'a>) -> Read<Option<Native<'a>>> {
    if r.peek()? == b'{' {
        return request(r);
    }
    let Some(text) = r.text_within(r.limits.native_request)? else { return Ok(None) };
    let (found, fault) = read_text(r.inside(text));
    if let Some(reason) = fault {
        r.note(reason);
    }
    Ok(found)
}

/// A request, and what is to be noted of the impression that it belongs to.
type Found<'a> = (Option<Native<'a>>, Option<NoBidReason>);

/// Reads a native request that stands in a text of its own.
pub(in crate::exchange) fn read_native_text<'a>(
    text: &'a str,
    limits: &Limits,
    arena: &'a Bump,
) -> Found<'a> {
    read_text(Reader::inside_imp(text, limits, arena))
}

fn read_text(mut r: Reader<'_>) -> Found<'_> {
    match request(&mut r).and_then(|found| r.end().map(|()| found)) {
        Ok(found) => (found, r.fault),
        // What was noted of a text that turns out to be broken was noted of nothing.
        Err(_) => (None, None),
    }
}

/// The request with or without the wrapper of 1.0; where both are there, what is wrapped stands.
fn request<'a>(r: &mut Reader<'a>) -> Read<Option<Native<'a>>> {
    let Some(mut walk) = r.object()? else { return Ok(None) };
    let mut bare = Native { placement_count: 1, ..Native::default() };
    let mut wrapped = None;
    while let Some(key) = r.next_key(&mut walk)? {
        match key {
            b"native" => wrapped = wrapped_request(r)?,
            other => field(r, other, &mut bare)?,
        }
    }
    Ok(Some(wrapped.unwrap_or(bare)).filter(Native::is_answerable))
}

fn wrapped_request<'a>(r: &mut Reader<'a>) -> Read<Option<Native<'a>>> {
    let Some(mut walk) = r.object()? else { return Ok(None) };
    let mut native = Native { placement_count: 1, wrapped: true, ..Native::default() };
    while let Some(key) = r.next_key(&mut walk)? {
        field(r, key, &mut native)?;
    }
    Ok(Some(native))
}

fn field<'a>(r: &mut Reader<'a>, key: &[u8], native: &mut Native<'a>) -> Read<()> {
    match key {
        b"ver" => native.ver = r.text()?,
        b"assets" => native.assets = assets(r)?,
        b"eventtrackers" => native.trackers = trackers(r)?,
        b"context" => native.context = r.int()?,
        b"contextsubtype" => native.context_subtype = r.int()?,
        b"plcmttype" => native.placement_type = r.int()?,
        b"plcmtcnt" => native.placement_count = r.positive()?.unwrap_or(1),
        b"privacy" => native.privacy = r.flag()? == Some(true),
        _ => r.skip()?,
    }
    Ok(())
}

fn assets<'a>(r: &mut Reader<'a>) -> Read<&'a [NativeAsset<'a>]> {
    let (mut assets, mut count) = (r.vec(), 0);
    let Some(mut walk) = r.array()? else { return Ok(&[]) };
    while r.next_item(&mut walk)? {
        count += 1;
        if let (Some(asset), true) = (asset(r)?, count <= r.limits.array) {
            push(&mut assets, asset);
        }
    }
    if count > r.limits.array {
        r.breach("array", r.limits.array)?;
        return Ok(&[]);
    }
    Ok(assets.into_bump_slice())
}

/// One asset. Without a readable id it could not be answered: it is left out, or, where it is required, nothing that
/// is known.
fn asset<'a>(r: &mut Reader<'a>) -> Read<Option<NativeAsset<'a>>> {
    let Some(mut walk) = r.object()? else { return Ok(None) };
    let (mut id, mut required) = (None, false);
    let (mut title, mut image, mut video, mut data) = (None, None, None, None);
    while let Some(key) = r.next_key(&mut walk)? {
        match key {
            b"id" => id = r.int()?,
            b"required" => required = r.flag()? == Some(true),
            b"title" => title = self::title(r)?,
            b"img" => image = self::image(r)?,
            b"video" => video = self::video(r)?,
            b"data" => data = self::data(r)?,
            _ => r.skip()?,
        }
    }
    let kind = title.or(image).or(video).or(data).unwrap_or(NativeAssetKind::Unknown);
    Ok(match id {
        Some(id) => Some(NativeAsset { id, required, kind }),
        None => required.then_some(NativeAsset { id: 0, required, kind: NativeAssetKind::Unknown }),
    })
}

type Kind<'a> = Option<NativeAssetKind<'a>>;

/// `title`; without a readable length any title fits.
fn title<'a>(r: &mut Reader<'a>) -> Read<Kind<'a>> {
    let Some(mut walk) = r.object()? else { return Ok(None) };
    let mut len = None;
    while let Some(key) = r.next_key(&mut walk)? {
        match key {
            b"len" => len = r.positive()?,
            _ => r.skip()?,
        }
    }
    Ok(Some(NativeAssetKind::Title { len: len.unwrap_or(u32::MAX) }))
}

/// `img`; a size that is too large for any image counts as the largest, because without it any would do.
fn image<'a>(r: &mut Reader<'a>) -> Read<Kind<'a>> {
    let Some(mut walk) = r.object()? else { return Ok(None) };
    let (mut kind, mut mimes) = (None, &[] as &[_]);
    let (mut w, mut h, mut w_min, mut h_min) = (None, None, None, None);
    while let Some(key) = r.next_key(&mut walk)? {
        match key {
            b"type" => kind = r.int()?,
            b"w" => w = r.at_least()?,
            b"h" => h = r.at_least()?,
            b"wmin" => w_min = r.at_least()?,
            b"hmin" => h_min = r.at_least()?,
            b"mimes" => mimes = r.texts()?,
            _ => r.skip()?,
        }
    }
    Ok(Some(NativeAssetKind::Image { kind, w, h, w_min, h_min, mimes }))
}

/// `video`; like the impression's, it must name its content types.
fn video<'a>(r: &mut Reader<'a>) -> Read<Kind<'a>> {
    let Some(mut walk) = r.object()? else { return Ok(None) };
    let (mut mimes, mut protocols) = (&[] as &[_], &[] as &[_]);
    let (mut min_duration_s, mut max_duration_s) = (0, None);
    while let Some(key) = r.next_key(&mut walk)? {
        match key {
            b"mimes" => mimes = r.texts()?,
            b"minduration" => min_duration_s = r.positive()?.unwrap_or(0),
            b"maxduration" => max_duration_s = r.positive()?,
            b"protocols" => protocols = r.ints()?,
            _ => r.skip()?,
        }
    }
    let video = NativeAssetKind::Video { mimes, min_duration_s, max_duration_s, protocols };
    Ok(Some(video).filter(|_| !mimes.is_empty()))
}

/// `data`; it must say which.
fn data<'a>(r: &mut Reader<'a>) -> Read<Kind<'a>> {
    let Some(mut walk) = r.object()? else { return Ok(None) };
    let (mut kind, mut len) = (None, None);
    while let Some(key) = r.next_key(&mut walk)? {
        match key {
            b"type" => kind = r.int()?,
            b"len" => len = r.positive()?,
            _ => r.skip()?,
        }
    }
    Ok(kind.map(|kind| NativeAssetKind::Data { kind, len }))
}

/// `eventtrackers`: one entry a pair of an event and a method.
fn trackers<'a>(r: &mut Reader<'a>) -> Read<&'a [EventTracker]> {
    let (mut pairs, mut count) = (r.vec(), 0);
    let Some(mut walk) = r.array()? else { return Ok(&[]) };
    while r.next_item(&mut walk)? {
        count += 1;
        let Some(mut entry) = r.object()? else { continue };
        let (mut event, mut methods) = (None, &[] as &[_]);
        while let Some(key) = r.next_key(&mut entry)? {
            match key {
                b"event" => event = r.int()?,
                b"methods" => methods = r.ints()?,
                _ => r.skip()?,
            }
        }
        if let Some(event) = event {
            pairs.extend(methods.iter().map(|&method| EventTracker { event, method }));
        }
    }
    if count > r.limits.array {
        r.breach("array", r.limits.array)?;
        return Ok(&[]);
    }
    Ok(pairs.into_bump_slice())
}
