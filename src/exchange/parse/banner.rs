//! `banner`, of an impression or as the companion of a video or audio ad.

use crate::exchange::json::{Reader, push};
use crate::exchange::scan::Read;
use crate::model::media::{Banner, FlexibleSize, Size};

pub(super) fn banner<'a>(r: &mut Reader<'a>) -> Read<Option<Banner<'a>>> {
    let Some(mut walk) = r.object()? else { return Ok(None) };
    let mut banner = Banner::default();
    let (mut w, mut h) = (None, None);
    while let Some(key) = r.next_key(&mut walk)? {
        match key {
            b"format" => (banner.sizes, banner.flexible) = formats(r)?,
            b"w" => w = r.int()?,
            b"h" => h = r.int()?,
            b"btype" => banner.btype = r.rule_ints()?,
            b"battr" => banner.battr = r.rule_ints()?,
            b"mimes" => banner.mimes = r.texts()?,
            b"api" => banner.api = r.ints()?,
            b"pos" => banner.pos = r.int()?,
            b"expdir" => banner.expdir = r.ints()?,
            b"vcm" => banner.vcm = r.int()?,
            b"id" => banner.id = r.text()?,
            _ => r.skip()?,
        }
    }
    let listed = !banner.sizes.is_empty() || !banner.flexible.is_empty();
    if let (false, Some(only)) = (listed, size(w, h)) {
        let mut sizes = r.vec();
        sizes.push(only);
        banner.sizes = sizes.into_bump_slice();
    }
    Ok(Some(banner))
}

/// The entries of an array of banners that are objects.
pub(super) fn banners<'a>(r: &mut Reader<'a>) -> Read<&'a [Banner<'a>]> {
    let (mut found, mut count) = (r.vec(), 0);
    let Some(mut walk) = r.array()? else { return Ok(&[]) };
    while r.next_item(&mut walk)? {
        count += 1;
        let entry = banner(r)?;
        if count <= r.limits.array {
            found.extend(entry);
        }
    }
    if count > r.limits.array {
        r.breach("array", r.limits.array)?;
        return Ok(&[]);
    }
    Ok(found.into_bump_slice())
}

/// `banner.format`: the entries that name a size in pixels, and those that name a ratio and no such size. A size that is
/// too large for the type stays one, which no ad has: without it the list could be none.
fn formats<'a>(r: &mut Reader<'a>) -> Read<(&'a [Size], &'a [FlexibleSize])> {
    let (mut sizes, mut flexible, mut count) = (r.vec(), r.vec(), 0);
    let Some(mut walk) = r.array()? else { return Ok((&[], &[])) };
    while r.next_item(&mut walk)? {
        count += 1;
        let Some(mut entry) = r.object()? else { continue };
        let (mut w, mut h, mut w_ratio, mut h_ratio, mut w_min) = (None, None, None, None, None);
        while let Some(key) = r.next_key(&mut entry)? {
            match key {
                b"w" => w = r.at_least()?,
                b"h" => h = r.at_least()?,
                b"wratio" => w_ratio = r.int()?,
                b"hratio" => h_ratio = r.int()?,
                b"wmin" => w_min = r.at_least()?,
                _ => r.skip()?,
            }
        }
        match (w.zip(h), size(w_ratio, h_ratio)) {
            _ if count > r.limits.array => {}
            (Some((w, h)), _) => push(&mut sizes, Size { w, h }),
            (None, Some(Size { w: w_ratio, h: h_ratio })) => {
                push(&mut flexible, FlexibleSize { w_ratio, h_ratio, w_min: w_min.unwrap_or(0) });
            }
            (None, None) => {}
        }
    }
    if count > r.limits.array {
        r.breach("array", r.limits.array)?;
        return Ok((&[], &[]));
    }
    Ok((sizes.into_bump_slice(), flexible.into_bump_slice()))
}

/// Two sides, both from 1 up.
fn size(w: Option<i64>, h: Option<i64>) -> Option<Size> {
    Some(Size { w: side(w)?, h: side(h)? })
}

/// A side in pixels, from 1 up; what is larger than any screen is none.
pub(in crate::exchange) fn side(given: Option<i64>) -> Option<u16> {
    given.and_then(|side| u16::try_from(side).ok()).filter(|side| *side > 0)
}
