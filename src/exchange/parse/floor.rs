//! Floors, wherever they stand: prices, their currency, floors by duration. What cannot be read is told apart from
//! what is absent, because a floor that nobody can read cannot be met.

use super::Seen;
use crate::exchange::json::{Reader, Scalar, push};
use crate::exchange::scan::Read;
use crate::model::media::DurationFloor;
use crate::model::money::{Cpm, Currency};

/// A floor: a finite decimal from 0 up to the largest price, as a number or in a string; absent is 0. `None` =
/// unreadable.
pub(super) fn price(r: &mut Reader<'_>) -> Read<Option<Cpm>> {
    Ok(match r.scalar()? {
        Scalar::Null => Some(Cpm(0)),
        Scalar::Number(text) => Cpm::parse_decimal(text, true),
        Scalar::Text(text) => Cpm::parse_decimal(text.trim(), true),
        Scalar::Bool(_) | Scalar::Unreadable => None,
    })
}

/// The currency of a floor: absent is US dollar. `None` = unreadable.
pub(super) fn currency(r: &mut Reader<'_>) -> Read<Option<Currency>> {
    Ok(match r.scalar()? {
        Scalar::Null => Some(Currency::USD),
        Scalar::Text(code) => Currency::parse(code.trim()),
        _ => None,
    })
}

/// `durfloors`; `None` = one of them is unreadable.
pub(super) fn duration_floors<'a>(r: &mut Reader<'a>) -> Read<Option<&'a [DurationFloor]>> {
    if r.peek()? == b'n' {
        r.skip()?;
        return Ok(Some(&[]));
    }
    let Some(mut walk) = r.array()? else { return Ok(None) };
    let (mut floors, mut count, mut readable) = (r.vec(), 0, true);
    while r.next_item(&mut walk)? {
        count += 1;
        if r.peek()? == b'n' {
            r.skip()?;
            continue;
        }
        match duration_floor(r)? {
            Some(floor) if count <= r.limits.array => push(&mut floors, floor),
            Some(_) => {}
            None => readable = false,
        }
    }
    if count > r.limits.array {
        r.breach("array", r.limits.array)?;
        floors.clear();
    }
    Ok(readable.then(|| floors.into_bump_slice() as &[_]))
}

/// One of `durfloors`. A bound that cannot be read leaves open where the floor holds, so the floor is unreadable.
fn duration_floor(r: &mut Reader<'_>) -> Read<Option<DurationFloor>> {
    let Some(mut walk) = r.object()? else { return Ok(None) };
    let mut seen = Seen::default();
    let (mut min, mut max, mut floor) = (Ok(None), Ok(None), Some(Cpm(0)));
    while let Some(key) = r.next_key(&mut walk)? {
        match key {
            b"mindur" => {
                seen.once(r, 0, "durfloors.mindur")?;
                min = bound(r.scalar()?);
            }
            b"maxdur" => {
                seen.once(r, 1, "durfloors.maxdur")?;
                max = bound(r.scalar()?);
            }
            b"bidfloor" => {
                seen.once(r, 2, "durfloors.bidfloor")?;
                floor = price(r)?;
            }
            _ => r.skip()?,
        }
    }
    let (Ok(min), Ok(max), Some(floor)) = (min, max, floor) else { return Ok(None) };
    Ok(Some(DurationFloor { min_s: min.unwrap_or(0), max_s: max, floor }))
}

/// A bound of something else than whole seconds from 0 up.
struct BadBound;

/// Seconds; what is too large for the type counts as its maximum.
fn bound(scalar: Scalar<'_>) -> Result<Option<u32>, BadBound> {
    match (scalar, scalar.int()) {
        (Scalar::Null, _) => Ok(None),
        (_, Some(seconds @ 0..)) => Ok(Some(u32::try_from(seconds).unwrap_or(u32::MAX))),
        _ => Err(BadBound),
    }
}
