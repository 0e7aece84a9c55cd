//! `imp` and what it holds: banner, the other media as far as they are told apart, deals, the floor.
//!
//! Invariant: whatever is wrong in here is a fault of this impression alone; only broken JSON and a repeated key of
//! money or identity end the reading.

use super::Seen;
use crate::exchange::json::{Reader, Scalar, push};
use crate::exchange::scan::Read;
use crate::model::auction::{Banner, Deal, Imp, Size};
use crate::model::media::{Native, Stream};
use crate::model::money::{Cpm, Currency, PPM};
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
            b"video" => imp.video = has_mimes(r)?.then(Stream::default),
            b"audio" => imp.audio = has_mimes(r)?.then(Stream::default),
            b"native" => imp.native = native(r)?.then(Native::default),
            b"instl" => imp.interstitial = r.flag()? == Some(true),
            b"tagid" => imp.tag_id = r.text()?,
            b"secure" => imp.secure = r.flag()?,
            b"exp" => imp.exp_s = r.scalar()?.positive_u32(),
            b"rwdd" => imp.rewarded = r.flag()? == Some(true),
            b"qty" => imp.multiplier_ppm = multiplier(r)?,
            b"pmp" => (imp.private_auction, imp.deals) = pmp(r)?,
            _ => r.skip()?,
        }
    }
    Ok(imp)
}

/// A floor: a finite decimal from 0 up to the largest price, as a number or in a string; absent is 0. `None` =
/// unreadable.
fn price(r: &mut Reader<'_>) -> Read<Option<Cpm>> {
    Ok(match r.scalar()? {
        Scalar::Null => Some(Cpm(0)),
        Scalar::Number(text) => Cpm::parse_decimal(text, true),
        Scalar::Text(text) => Cpm::parse_decimal(text.trim(), true),
        Scalar::Bool(_) | Scalar::Unreadable => None,
    })
}

/// The currency of a floor: absent is US dollar. `None` = unreadable.
fn currency(r: &mut Reader<'_>) -> Read<Option<Currency>> {
    Ok(match r.scalar()? {
        Scalar::Null => Some(Currency::USD),
        Scalar::Text(code) => Currency::parse(code.trim()),
        _ => None,
    })
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

fn banner<'a>(r: &mut Reader<'a>) -> Read<Option<Banner<'a>>> {
    let Some(mut walk) = r.object()? else { return Ok(None) };
    let mut banner = Banner::default();
    let (mut w, mut h) = (None, None);
    while let Some(key) = r.next_key(&mut walk)? {
        match key {
            b"format" => banner.sizes = formats(r)?,
            b"w" => w = r.int()?,
            b"h" => h = r.int()?,
            b"btype" => banner.btype = r.rule_ints()?,
            b"battr" => banner.battr = r.rule_ints()?,
            b"mimes" => banner.mimes = r.texts()?,
            b"api" => banner.api = r.ints()?,
            b"pos" => banner.pos = r.int()?,
            _ => r.skip()?,
        }
    }
    if let (true, Some(only)) = (banner.sizes.is_empty(), size(w, h)) {
        let mut sizes = r.vec();
        sizes.push(only);
        banner.sizes = sizes.into_bump_slice();
    }
    Ok(Some(banner))
}

/// `banner.format`: the entries that name a size in pixels.
fn formats<'a>(r: &mut Reader<'a>) -> Read<&'a [Size]> {
    let mut sizes = r.vec();
    let mut count = 0;
    let Some(mut walk) = r.array()? else { return Ok(&[]) };
    while r.next_item(&mut walk)? {
        count += 1;
        let (mut w, mut h) = (None, None);
        let Some(mut entry) = r.object()? else { continue };
        while let Some(key) = r.next_key(&mut entry)? {
            match key {
                b"w" => w = r.int()?,
                b"h" => h = r.int()?,
                _ => r.skip()?,
            }
        }
        if let (true, Some(size)) = (count <= r.limits.array, size(w, h)) {
            push(&mut sizes, size);
        }
    }
    if count > r.limits.array {
        r.breach("array", r.limits.array)?;
        return Ok(&[]);
    }
    Ok(sizes.into_bump_slice())
}

fn size(w: Option<i64>, h: Option<i64>) -> Option<Size> {
    let side = |given: Option<i64>| given.and_then(|s| u16::try_from(s).ok()).filter(|s| *s > 0);
    Some(Size { w: side(w)?, h: side(h)? })
}

/// Video and audio: an object that names at least one content type, which both require.
fn has_mimes(r: &mut Reader<'_>) -> Read<bool> {
    let Some(mut walk) = r.object()? else { return Ok(false) };
    let mut usable = false;
    while let Some(key) = r.next_key(&mut walk)? {
        match key {
            b"mimes" => usable = !r.texts()?.is_empty(),
            _ => r.skip()?,
        }
    }
    Ok(usable)
}

/// Native: an object whose `request` is an object, or a string that looks like one. Its content is read by
/// whoever fills native, not here.
fn native(r: &mut Reader<'_>) -> Read<bool> {
    let Some(mut walk) = r.object()? else { return Ok(false) };
    let mut usable = false;
    while let Some(key) = r.next_key(&mut walk)? {
        match key {
            b"request" if r.peek()? == b'{' => {
                r.skip()?;
                usable = true;
            }
            b"request" => {
                let request = r.text_within(r.limits.native_request)?;
                usable = request.is_some_and(|text| text.trim_start().starts_with('{'));
            }
            _ => r.skip()?,
        }
    }
    Ok(usable)
}

/// `pmp`: whether only deals may be bid on, and the deals that have an id.
fn pmp<'a>(r: &mut Reader<'a>) -> Read<(bool, &'a [Deal<'a>])> {
    let Some(mut walk) = r.object()? else { return Ok((false, &[])) };
    let (mut private, mut deals): (bool, &[Deal<'_>]) = (false, &[]);
    while let Some(key) = r.next_key(&mut walk)? {
        match key {
            b"private_auction" => private = r.flag()? == Some(true),
            b"deals" => deals = read_deals(r)?,
            _ => r.skip()?,
        }
    }
    Ok((private, deals))
}

fn read_deals<'a>(r: &mut Reader<'a>) -> Read<&'a [Deal<'a>]> {
    let mut deals = r.vec();
    let mut count = 0;
    let Some(mut walk) = r.array()? else { return Ok(&[]) };
    while r.next_item(&mut walk)? {
        count += 1;
        let deal = deal(r)?;
        if count <= r.limits.deals {
            deals.extend(deal.filter(|deal| !deal.id.is_empty()));
        }
    }
    if count > r.limits.deals {
        r.breach("array", r.limits.deals)?;
        return Ok(&[]);
    }
    Ok(deals.into_bump_slice())
}

fn deal<'a>(r: &mut Reader<'a>) -> Read<Option<Deal<'a>>> {
    let Some(mut walk) = r.object()? else { return Ok(None) };
    let mut seen = Seen::default();
    let mut deal = Deal { bid_floor: Some(Cpm(0)), bid_floor_cur: Some(Currency::USD), ..Deal::default() };
    while let Some(key) = r.next_key(&mut walk)? {
        match key {
            b"id" => {
                seen.once(r, 0, "deal.id")?;
                deal.id = r.text()?.unwrap_or_default();
            }
            b"bidfloor" => {
                seen.once(r, 1, "deal.bidfloor")?;
                deal.bid_floor = price(r)?;
            }
            b"bidfloorcur" => {
                seen.once(r, 2, "deal.bidfloorcur")?;
                deal.bid_floor_cur = currency(r)?;
            }
            b"at" => {
                seen.once(r, 3, "deal.at")?;
                deal.at = r.int()?;
            }
            b"wseat" => deal.wseat = r.rule_texts(r.limits.array)?,
            b"wadomain" => deal.wadomain = r.rule_texts(r.limits.array)?,
            b"guar" => deal.guaranteed = r.flag()? == Some(true),
            _ => r.skip()?,
        }
    }
    Ok(Some(deal))
}
