//! `native`: its request is JSON in a string here as well, or a message of its own.

use super::imp::at_least;
use super::reader::{Read, Reader, positive};
use super::wire::{self, native_request as ask};
use crate::exchange::parse::read_native_text;
use crate::model::media::{EventTracker, Native, NativeAsset, NativeAssetKind};

pub(super) fn native<'a>(r: &mut Reader<'a>, m: &wire::Native) -> Read<Option<Native<'a>>> {
    let text = r.text_within(m.request.as_deref(), r.limits.native_request)?;
    let (in_text, fault) = text.map(|text| read_native_text(text, &r.limits, r.arena)).unwrap_or_default();
    if let Some(reason) = fault {
        r.note(reason);
    }
    let in_message = m.request_native.as_ref().map(|m| request(r, m)).transpose()?.flatten();
    let ver = r.text(m.ver.as_deref())?;
    let (api, battr) = (r.ints(&m.api)?, r.rule_ints(&m.battr));
    let found = in_text.or(in_message);
    Ok(found.map(|native| Native { ver: native.ver.or(ver), api, battr, ..native }))
}

fn request<'a>(r: &mut Reader<'a>, m: &wire::NativeRequest) -> Read<Option<Native<'a>>> {
    let native = Native {
        ver: r.text(m.ver.as_deref())?,
        wrapped: false,
        assets: assets(r, &m.assets)?,
        trackers: trackers(r, &m.eventtrackers)?,
        context: m.context.map(i64::from),
        context_subtype: m.contextsubtype.map(i64::from),
        placement_type: m.plcmttype.map(i64::from),
        placement_count: m.plcmtcnt.and_then(positive).unwrap_or(1),
        privacy: m.privacy == Some(true),
        api: &[],
        battr: &[],
    };
    Ok(Some(native).filter(Native::is_answerable))
}

fn assets<'a>(r: &mut Reader<'a>, messages: &[ask::Asset]) -> Read<&'a [NativeAsset<'a>]> {
    let mut assets = r.vec(messages.len());
    for m in messages {
        let kind = kind(r, m)?;
        let required = m.required == Some(true);
        match m.id {
            Some(id) => assets.push(NativeAsset { id: id.into(), required, kind }),
            None if required => {
                assets.push(NativeAsset { id: 0, required, kind: NativeAssetKind::Unknown });
            }
            None => {}
        }
    }
    Ok(if r.is_short(messages, r.limits.array)? { assets.into_bump_slice() } else { &[] })
}

/// The kind of an asset. All are read, for their limits; the first that is whole stands.
fn kind<'a>(r: &mut Reader<'a>, m: &ask::Asset) -> Read<NativeAssetKind<'a>> {
    let title = m
        .title
        .as_ref()
        .map(|m| NativeAssetKind::Title { len: m.len.and_then(positive).unwrap_or(u32::MAX) });
    let image = m.img.as_ref().map(|m| image(r, m)).transpose()?;
    let video = m.video.as_ref().map(|m| video(r, m)).transpose()?.flatten();
    let data = m.data.as_ref().and_then(|m| {
        let kind = m.r#type?.into();
        Some(NativeAssetKind::Data { kind, len: m.len.and_then(positive) })
    });
    Ok(title.or(image).or(video).or(data).unwrap_or(NativeAssetKind::Unknown))
}

fn image<'a>(r: &mut Reader<'a>, m: &ask::Image) -> Read<NativeAssetKind<'a>> {
    Ok(NativeAssetKind::Image {
        kind: m.r#type.map(i64::from),
        w: at_least(m.w),
        h: at_least(m.h),
        w_min: at_least(m.wmin),
        h_min: at_least(m.hmin),
        mimes: r.texts(&m.mimes)?,
    })
}

fn video<'a>(r: &mut Reader<'a>, m: &wire::Video) -> Read<Option<NativeAssetKind<'a>>> {
    let mimes = r.texts(&m.mimes)?;
    let video = NativeAssetKind::Video {
        mimes,
        min_duration_s: m.minduration.and_then(positive).unwrap_or(0),
        max_duration_s: m.maxduration.and_then(positive),
        protocols: r.ints(&m.protocols)?,
    };
    Ok(Some(video).filter(|_| !mimes.is_empty()))
}

fn trackers<'a>(r: &mut Reader<'a>, messages: &[ask::EventTrackers]) -> Read<&'a [EventTracker]> {
    let mut pairs = r.vec(messages.len());
    for m in messages {
        let methods = r.ints(&m.methods)?;
        if let Some(event) = m.event {
            pairs.extend(methods.iter().map(|&method| EventTracker { event: event.into(), method }));
        }
    }
    Ok(if r.is_short(messages, r.limits.array)? { pairs.into_bump_slice() } else { &[] })
}
