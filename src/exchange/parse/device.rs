//! `device` with its user agent hints, and `geo`.

use crate::exchange::json::Reader;
use crate::exchange::scan::Read;
use crate::model::auction::{Device, Geo};
use crate::model::country::Country;

pub(super) fn device<'a>(r: &mut Reader<'a>) -> Read<Option<Device<'a>>> {
    let Some(mut walk) = r.object()? else { return Ok(None) };
    let mut device = Device::default();
    let (mut language, mut langb) = (None, None);
    while let Some(key) = r.next_key(&mut walk)? {
        match key {
            b"ua" => device.ua = r.text()?,
            b"sua" => (device.sua_browser, device.sua_platform) = agent_hints(r)?,
            b"geo" => device.geo = geo(r)?,
            b"dnt" => device.dnt = r.flag()?,
            b"lmt" => device.lmt = r.flag()?,
            b"ip" => device.ip = r.text()?,
            b"ipv6" => device.ipv6 = r.text()?,
            b"devicetype" => device.device_type = r.int()?,
            b"make" => device.make = r.text()?,
            b"model" => device.model = r.text()?,
            b"os" => device.os = r.text()?,
            b"osv" => device.osv = r.text()?,
            b"language" => language = r.text()?,
            b"langb" => langb = r.text()?,
            b"carrier" => device.carrier = r.text()?,
            b"mccmnc" => device.mccmnc = r.text()?,
            b"connectiontype" => device.connection_type = r.int()?,
            b"ifa" => device.ifa = r.text()?.filter(|ifa| is_usable_ifa(ifa)),
            _ => r.skip()?,
        }
    }
    device.language = langb.or(language);
    Ok(Some(device))
}

/// `geo`; a value that is no object is an empty one.
pub(super) fn geo<'a>(r: &mut Reader<'a>) -> Read<Geo<'a>> {
    let mut geo = Geo::default();
    let Some(mut walk) = r.object()? else { return Ok(geo) };
    while let Some(key) = r.next_key(&mut walk)? {
        match key {
            b"country" => geo.country = r.text()?.and_then(Country::parse),
            b"region" => geo.region = r.text()?,
            b"metro" => geo.metro = r.text()?,
            b"city" => geo.city = r.text()?,
            b"zip" => geo.zip = r.text()?,
            b"lat" => geo.lat_micro = r.degrees(90.0)?,
            b"lon" => geo.lon_micro = r.degrees(180.0)?,
            b"type" => geo.kind = r.int()?,
            b"accuracy" => geo.accuracy_m = r.int()?,
            b"utcoffset" => geo.utc_offset_min = r.int()?.and_then(|min| i32::try_from(min).ok()),
            _ => r.skip()?,
        }
    }
    Ok(geo)
}

type Brand<'a> = Option<&'a str>;

/// `sua`: the first brand of `browsers` that is not a placeholder, and the platform's brand.
fn agent_hints<'a>(r: &mut Reader<'a>) -> Read<(Brand<'a>, Brand<'a>)> {
    let (mut browser, mut platform) = (None, None);
    let Some(mut walk) = r.object()? else { return Ok((None, None)) };
    while let Some(key) = r.next_key(&mut walk)? {
        match key {
            b"browsers" => browser = first_browser(r)?,
            b"platform" => platform = brand(r)?,
            _ => r.skip()?,
        }
    }
    Ok((browser, platform))
}

fn first_browser<'a>(r: &mut Reader<'a>) -> Read<Brand<'a>> {
    let mut first = None;
    let mut count = 0;
    let Some(mut walk) = r.array()? else { return Ok(None) };
    while r.next_item(&mut walk)? {
        count += 1;
        let brand = brand(r)?.filter(|brand| !is_placeholder(brand));
        first = first.or(brand);
    }
    if count > r.limits.array {
        r.breach("array", r.limits.array)?;
    }
    Ok(first)
}

fn brand<'a>(r: &mut Reader<'a>) -> Read<Brand<'a>> {
    let mut brand = None;
    let Some(mut walk) = r.object()? else { return Ok(None) };
    while let Some(key) = r.next_key(&mut walk)? {
        match key {
            b"brand" => brand = r.text()?,
            _ => r.skip()?,
        }
    }
    Ok(brand)
}

/// Whether an identifier is one: all zero is how systems say that there is none.
pub(in crate::exchange) fn is_usable_ifa(ifa: &str) -> bool {
    ifa.bytes().any(|b| !matches!(b, b'0' | b'-'))
}

/// Whether a brand is one that browsers add to keep parsers honest: `Not A;Brand` in ever new punctuation
/// (User-Agent Client Hints, section 6.2).
pub(in crate::exchange) fn is_placeholder(brand: &str) -> bool {
    let letters = brand.bytes().filter(u8::is_ascii_alphabetic).map(|b| b.to_ascii_lowercase());
    letters.eq(*b"notabrand")
}
