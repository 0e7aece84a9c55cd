//! Impressions with their media and deals.

use super::native::native;
use super::reader::{Read, Reader, positive};
use super::wire;
use crate::exchange::parse::side;
use crate::model::auction::{Deal, Imp, Refresh};
use crate::model::media::{Banner, DurationFloor, FlexibleSize, Pod, Size, Stream};
use crate::model::money::{Cpm, Currency, PPM};
use crate::model::no_bid::NoBidReason;

pub(super) fn imp<'a>(r: &mut Reader<'a>, m: &wire::Imp) -> Read<Imp<'a>> {
    let of_request = r.fault.take();
    r.in_imp = true;
    let mut imp = read(r, m)?;
    if imp.id.is_empty() {
        r.note(NoBidReason::InvalidRequest);
    }
    if imp.media().next().is_none() {
        r.note(NoBidReason::NoUsableMedium);
    }
    imp.fault = r.fault.take();
    r.in_imp = false;
    r.fault = of_request;
    Ok(imp)
}

fn read<'a>(r: &mut Reader<'a>, m: &wire::Imp) -> Read<Imp<'a>> {
    let pmp = m.pmp.as_ref();
    Ok(Imp {
        id: r.text(m.id.as_deref())?.unwrap_or_default(),
        banner: m.banner.as_ref().map(|m| banner(r, m)).transpose()?,
        video: m.video.as_ref().map(|m| video(r, m)).transpose()?.flatten(),
        audio: m.audio.as_ref().map(|m| audio(r, m)).transpose()?.flatten(),
        native: m.native.as_ref().map(|m| native(r, m)).transpose()?.flatten(),
        interstitial: m.instl == Some(true),
        tag_id: r.text(m.tagid.as_deref())?,
        bid_floor: floor_or_fault(r, m.bidfloor),
        bid_floor_cur: currency(m.bidfloorcur.as_deref()),
        secure: m.secure,
        exp_s: m.exp.and_then(positive),
        rewarded: m.rwdd == Some(true),
        multiplier_ppm: multiplier(r, m.qty.as_ref()),
        shown_at_ms: m.dt.filter(|ms| *ms < i64::MAX as f64).map(|ms| ms as i64).filter(|ms| *ms > 0),
        refresh: m.refresh.as_ref().map(|m| refresh(r, m)).transpose()?,
        ssai: m.ssai.map(i64::from),
        private_auction: pmp.is_some_and(|pmp| pmp.private_auction == Some(true)),
        deals: pmp.map_or(Ok(&[] as &[_]), |pmp| deals(r, &pmp.deals))?,
        fault: None,
    })
}

fn refresh(r: &mut Reader<'_>, m: &wire::Refresh) -> Read<Refresh> {
    r.is_short(&m.refsettings, r.limits.array)?;
    let intervals = m.refsettings.iter().filter_map(|setting| setting.minint.and_then(positive));
    Ok(Refresh {
        count: m.count.and_then(|count| u32::try_from(count).ok()),
        min_interval_s: intervals.min(),
    })
}

/// A floor, which is a fault when it is no price.
fn floor_or_fault(r: &mut Reader<'_>, floor: Option<f64>) -> Cpm {
    let price = r.price(floor);
    if price.is_none() {
        r.note(NoBidReason::InvalidPrice);
    }
    price.unwrap_or(Cpm(0))
}

fn currency(code: Option<&str>) -> Option<Currency> {
    code.map_or(Some(Currency::USD), |code| Currency::parse(code.trim()))
}

fn multiplier(r: &Reader<'_>, qty: Option<&wire::Qty>) -> Option<i64> {
    let Some(qty) = qty else { return Some(PPM) };
    r.price(qty.multiplier).map(|ppm| ppm.0).filter(|ppm| *ppm > 0)
}

pub(super) fn banner<'a>(r: &mut Reader<'a>, m: &wire::Banner) -> Read<Banner<'a>> {
    let size = |w: Option<i32>, h: Option<i32>| Some(Size { w: pixels(w)?, h: pixels(h)? });
    let formats = if r.is_short(&m.format, r.limits.array)? { &m.format[..] } else { &[] };
    // Too large for the type is a size all the same, which no ad has.
    let listed = |format: &wire::Format| Some(Size { w: at_least(format.w)?, h: at_least(format.h)? });
    let in_pixels = r.keep(formats.iter().filter_map(listed));
    let flexible = formats.iter().filter(|format| listed(format).is_none()).filter_map(|format| {
        let (w_ratio, h_ratio) = (pixels(format.wratio)?, pixels(format.hratio)?);
        Some(FlexibleSize { w_ratio, h_ratio, w_min: at_least(format.wmin).unwrap_or(0) })
    });
    let flexible = r.keep(flexible);
    let is_listed = !in_pixels.is_empty() || !flexible.is_empty();
    Ok(Banner {
        sizes: if is_listed { in_pixels } else { r.keep(size(m.w, m.h).into_iter()) },
        flexible,
        btype: r.rule_ints(&m.btype),
        battr: r.rule_ints(&m.battr),
        mimes: r.texts(&m.mimes)?,
        api: r.ints(&m.api)?,
        pos: m.pos.map(i64::from),
        expdir: r.ints(&m.expdir)?,
        vcm: m.vcm.map(i64::from),
        id: r.text(m.id.as_deref())?,
    })
}

/// A side in pixels.
fn pixels(given: Option<i32>) -> Option<u16> {
    side(given.map(i64::from))
}

/// A side in pixels that an ad is measured by; what is too large cannot be reached.
pub(super) fn at_least(given: Option<i32>) -> Option<u16> {
    given.and_then(positive).map(|pixels| u16::try_from(pixels).unwrap_or(u16::MAX))
}

fn video<'a>(r: &mut Reader<'a>, m: &wire::Video) -> Read<Option<Stream<'a>>> {
    let stream = Stream {
        mimes: r.texts(&m.mimes)?,
        min_duration_s: m.minduration.and_then(positive).unwrap_or(0),
        max_duration_s: m.maxduration.and_then(positive),
        exact_durations_s: r.rule_positives(&m.rqddurs),
        max_extended_s: m.maxextended.map(i64::from),
        protocols: r.ints(&m.protocols)?,
        w: pixels(m.w),
        h: pixels(m.h),
        start_delay: m.startdelay.map(i64::from),
        plcmt: m.plcmt.map(i64::from),
        linearity: m.linearity.map(i64::from),
        skip: m.skip,
        skip_min_s: m.skipmin.and_then(positive).unwrap_or(0),
        skip_after_s: m.skipafter.and_then(positive).unwrap_or(0),
        battr: r.rule_ints(&m.battr),
        min_bitrate: m.minbitrate.and_then(positive),
        max_bitrate: m.maxbitrate.and_then(positive),
        boxing: m.boxingallowed != Some(false),
        playback_methods: r.ints(&m.playbackmethod)?,
        playback_end: m.playbackend.map(i64::from),
        delivery: r.ints(&m.delivery)?,
        pos: m.pos.map(i64::from),
        companions: companions(r, &m.companionad)?,
        companion_types: r.ints(&m.companiontype)?,
        api: r.ints(&m.api)?,
        pod: Pod {
            id: r.text(m.podid.as_deref())?,
            sequence: m.podseq.map_or(0, i64::from),
            slot: m.slotinpod.map_or(0, i64::from),
            duration_s: m.poddur.and_then(positive),
            max_ads: m.maxseq.and_then(positive),
            dedupe: r.ints(&m.poddedupe)?,
        },
        min_cpm_per_second: floor_or_fault(r, m.mincpmpersec),
        duration_floors: floors_or_fault(r, &m.durfloors)?,
        ..Stream::default()
    };
    Ok(Some(stream).filter(|stream| !stream.mimes.is_empty()))
}

fn audio<'a>(r: &mut Reader<'a>, m: &wire::Audio) -> Read<Option<Stream<'a>>> {
    let stream = Stream {
        mimes: r.texts(&m.mimes)?,
        min_duration_s: m.minduration.and_then(positive).unwrap_or(0),
        max_duration_s: m.maxduration.and_then(positive),
        exact_durations_s: r.rule_positives(&m.rqddurs),
        max_extended_s: m.maxextended.map(i64::from),
        protocols: r.ints(&m.protocols)?,
        start_delay: m.startdelay.map(i64::from),
        battr: r.rule_ints(&m.battr),
        min_bitrate: m.minbitrate.and_then(positive),
        max_bitrate: m.maxbitrate.and_then(positive),
        boxing: true,
        delivery: r.ints(&m.delivery)?,
        companions: companions(r, &m.companionad)?,
        companion_types: r.ints(&m.companiontype)?,
        api: r.ints(&m.api)?,
        feed: m.feed.map(i64::from),
        stitched: m.stitched,
        volume_normalisation: m.nvol.map(i64::from),
        pod: Pod {
            id: r.text(m.podid.as_deref())?,
            sequence: m.podseq.map_or(0, i64::from),
            slot: m.slotinpod.map_or(0, i64::from),
            duration_s: m.poddur.and_then(positive),
            max_ads: m.maxseq.and_then(positive),
            dedupe: &[],
        },
        min_cpm_per_second: floor_or_fault(r, m.mincpmpersec),
        duration_floors: floors_or_fault(r, &m.durfloors)?,
        ..Stream::default()
    };
    Ok(Some(stream).filter(|stream| !stream.mimes.is_empty()))
}

fn companions<'a>(r: &mut Reader<'a>, messages: &[wire::Banner]) -> Read<&'a [Banner<'a>]> {
    let mut banners = r.vec(messages.len());
    for message in messages {
        banners.push(banner(r, message)?);
    }
    Ok(if r.is_short(messages, r.limits.array)? { banners.into_bump_slice() } else { &[] })
}

fn floors_or_fault<'a>(r: &mut Reader<'a>, floors: &[wire::DurFloors]) -> Read<&'a [DurationFloor]> {
    let floors = duration_floors(r, floors)?;
    if floors.is_none() {
        r.note(NoBidReason::InvalidPrice);
    }
    Ok(floors.unwrap_or_default())
}

/// `durfloors`; `None` = one of them is unreadable: a price that is none, or a time before zero.
fn duration_floors<'a>(
    r: &mut Reader<'a>,
    messages: &[wire::DurFloors],
) -> Read<Option<&'a [DurationFloor]>> {
    let mut floors = r.vec(messages.len());
    for m in messages {
        let bound = |given: Option<i32>| given.map(u32::try_from).transpose();
        match (bound(m.mindur), bound(m.maxdur), r.price(m.bidfloor)) {
            (Ok(min), Ok(max_s), Some(floor)) => {
                floors.push(DurationFloor { min_s: min.unwrap_or(0), max_s, floor });
            }
            _ => continue,
        }
    }
    let readable = floors.len() == messages.len();
    let floors = if r.is_short(messages, r.limits.array)? { floors.into_bump_slice() } else { &[] };
    Ok(readable.then_some(floors))
}

fn deals<'a>(r: &mut Reader<'a>, messages: &[wire::Deal]) -> Read<&'a [Deal<'a>]> {
    let mut deals = r.vec(messages.len());
    for m in messages {
        let deal = deal(r, m)?;
        if !deal.id.is_empty() {
            deals.push(deal);
        }
    }
    Ok(if r.is_short(messages, r.limits.deals)? { deals.into_bump_slice() } else { &[] })
}

fn deal<'a>(r: &mut Reader<'a>, m: &wire::Deal) -> Read<Deal<'a>> {
    let (per_second, by_duration) = (r.price(m.mincpmpersec), duration_floors(r, &m.durfloors)?);
    let readable = per_second.is_some() && by_duration.is_some();
    Ok(Deal {
        id: r.text(m.id.as_deref())?.unwrap_or_default(),
        bid_floor: r.price(m.bidfloor).filter(|_| readable),
        bid_floor_cur: currency(m.bidfloorcur.as_deref()),
        at: m.at.map(i64::from),
        wseat: r.rule_texts(&m.wseat, r.limits.array),
        wadomain: r.rule_texts(&m.wadomain, r.limits.array),
        guaranteed: m.guar == Some(1),
        min_cpm_per_second: per_second.unwrap_or(Cpm(0)),
        duration_floors: by_duration.unwrap_or_default(),
    })
}
