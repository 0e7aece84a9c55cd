//! `imp`: the impression's own fields; what it holds is read in the modules of the media, `deal` and `floor`.
//!
//! Invariant: whatever is wrong in here is a fault of this impression alone; only broken JSON and a repeated key of
//! money or identity end the reading.

use super::Seen;
use super::banner::banner;
use super::deal::pmp;
use super::floor::{currency, price};
use super::native::native;
use super::stream::{Kind, stream};
use crate::exchange::json::Reader;
use crate::exchange::scan::Read;
use crate::model::auction::{Imp, Refresh};
use crate::model::money::{Currency, PPM};
use crate::model::no_bid::NoBidReason;

/// Reads one entry of `imp`. One that is no object has no id, which is a fault.
pub(super) fn imp<'a>(r: &mut Reader<'a>) -> Read<Imp<'a>> {
    let of_request = r.fault.take();
    r.in_imp = true;
    let imp = Imp { bid_floor_cur: Some(Currency::USD), multiplier_ppm: Some(PPM), ..Imp::default() };
    let mut imp = read(r, imp)?;
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

fn read<'a>(r: &mut Reader<'a>, mut imp: Imp<'a>) -> Read<Imp<'a>> {
    let mut seen = Seen::default();
    let Some(mut walk) = r.object()? else { return Ok(imp) };
    while let Some(key) = r.next_key(&mut walk)? {
        match key {
            b"id" => {
                seen.once(r, 0, "imp.id")?;
                imp.id = r.text()?.unwrap_or_default();
            }
            b"bidfloor" => {
                seen.once(r, 1, "imp.bidfloor")?;
                match price(r)? {
                    Some(floor) => imp.bid_floor = floor,
                    None => r.note(NoBidReason::InvalidPrice),
                }
            }
            b"bidfloorcur" => {
                seen.once(r, 2, "imp.bidfloorcur")?;
                imp.bid_floor_cur = currency(r)?;
            }
            b"banner" => imp.banner = banner(r)?,
            b"video" => imp.video = stream(r, Kind::Video)?,
            b"audio" => imp.audio = stream(r, Kind::Audio)?,
            b"native" => imp.native = native(r)?,
            b"instl" => imp.interstitial = r.flag()? == Some(true),
            b"tagid" => imp.tag_id = r.text()?,
            b"secure" => imp.secure = r.flag()?,
            b"exp" => imp.exp_s = r.positive()?,
            b"rwdd" => imp.rewarded = r.flag()? == Some(true),
            b"qty" => imp.multiplier_ppm = multiplier(r)?,
            b"dt" => imp.shown_at_ms = r.int()?.filter(|ms| *ms > 0),
            b"refresh" => imp.refresh = refresh(r)?,
            b"ssai" => imp.ssai = r.int()?,
            b"pmp" => (imp.private_auction, imp.deals) = pmp(r)?,
            _ => r.skip()?,
        }
    }
    Ok(imp)
}

/// `qty.multiplier` in millionths, rounded up so that a hold is never too small. A `qty` without a readable
/// multiplier says that the quantity is not one and not what it is: `None`.
fn multiplier(r: &mut Reader<'_>) -> Read<Option<i64>> {
    if r.peek()? == b'n' {
        r.skip()?;
        return Ok(Some(PPM));
    }
    let Some(mut walk) = r.object()? else { return Ok(None) };
    let mut found = None;
    while let Some(key) = r.next_key(&mut walk)? {
        match key {
            // Millionths of a factor and of a price are read alike, with the same upper bound.
            b"multiplier" => found = price(r)?.map(|ppm| ppm.0).filter(|ppm| *ppm > 0),
            _ => r.skip()?,
        }
    }
    Ok(found)
}

fn refresh(r: &mut Reader<'_>) -> Read<Option<Refresh>> {
    let Some(mut walk) = r.object()? else { return Ok(None) };
    let mut refresh = Refresh::default();
    while let Some(key) = r.next_key(&mut walk)? {
        match key {
            b"count" => refresh.count = r.int()?.and_then(|count| u32::try_from(count).ok()),
            b"refsettings" => refresh.min_interval_s = least_interval(r)?,
            _ => r.skip()?,
        }
    }
    Ok(Some(refresh))
}

fn least_interval(r: &mut Reader<'_>) -> Read<Option<u32>> {
    let (mut least, mut count) = (None, 0);
    let Some(mut walk) = r.array()? else { return Ok(None) };
    while r.next_item(&mut walk)? {
        count += 1;
        let Some(mut entry) = r.object()? else { continue };
        let mut interval = None;
        while let Some(key) = r.next_key(&mut entry)? {
            match key {
                b"minint" => interval = r.positive()?,
                _ => r.skip()?,
            }
        }
        least = [least, interval].into_iter().flatten().min();
    }
    if count > r.limits.array {
        r.breach("array", r.limits.array)?;
    }
    Ok(least)
}
