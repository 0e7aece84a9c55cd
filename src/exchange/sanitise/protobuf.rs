//! Of protobuf: messages are built anew from what stays. Fields that the schema does not declare never came this far.

use super::email::masked;
use super::{block, coarse, cut};
use crate::exchange::proto::wire;
use prost::Message;

pub(super) fn sanitise(body: &[u8], keeps_blocks: bool) -> Option<Vec<u8>> {
    let mut request = wire::BidRequest::decode(body).ok()?;
    request.device = request.device.map(|device| self::device(device, keeps_blocks));
    request.user = request.user.map(user);
    request.regs = request.regs.map(regs);
    if let Some(source) = &mut request.source {
        source.tid = None;
    }
    if let Some(site) = &mut request.site {
        site.search = None;
        [&mut site.page, &mut site.r#ref, &mut site.domain].into_iter().for_each(shorten);
        mask([&mut site.name, &mut site.keywords], &mut site.kwarray);
        site.content.as_mut().into_iter().for_each(content);
    }
    if let Some(app) = &mut request.app {
        app.storeurl = None;
        shorten(&mut app.domain);
        mask([&mut app.name, &mut app.keywords], &mut app.kwarray);
        app.content.as_mut().into_iter().for_each(content);
    }
    if let Some(dooh) = &mut request.dooh {
        shorten(&mut dooh.domain);
        mask([&mut dooh.name], &mut []);
        dooh.content.as_mut().into_iter().for_each(content);
    }
    Some(request.encode_to_vec())
}

fn shorten(url: &mut Option<String>) {
    *url = url.take().map(|url| cut(&url));
}

/// Takes e-mail addresses out of texts that people write.
fn mask<const N: usize>(texts: [&mut Option<String>; N], lists: &mut [String]) {
    texts.into_iter().flatten().chain(lists).for_each(|text| *text = masked(text).into_owned());
}

fn content(content: &mut wire::Content) {
    shorten(&mut content.url);
    mask([&mut content.title, &mut content.series, &mut content.keywords], &mut content.kwarray);
    content.data.iter_mut().for_each(data);
}

/// A segment's value may be anything.
fn data(data: &mut wire::Data) {
    data.segment.iter_mut().for_each(|segment| segment.value = None);
}

fn user(mut user: wire::User) -> wire::User {
    user.data.iter_mut().for_each(data);
    mask([&mut user.keywords], &mut user.kwarray);
    wire::User { keywords: user.keywords, kwarray: user.kwarray, data: user.data, ..wire::User::default() }
}

fn device(mut device: wire::Device, keeps_blocks: bool) -> wire::Device {
    mask([&mut device.ua], &mut []);
    let block = |address: Option<String>| address.filter(|_| keeps_blocks).and_then(|given| block(&given));
    wire::Device {
        ip: block(device.ip),
        ipv6: block(device.ipv6),
        ua: device.ua,
        sua: device.sua,
        geo: device.geo.map(geo),
        dnt: device.dnt,
        lmt: device.lmt,
        devicetype: device.devicetype,
        make: device.make,
        model: device.model,
        os: device.os,
        osv: device.osv,
        hwv: device.hwv,
        w: device.w,
        h: device.h,
        ppi: device.ppi,
        pxratio: device.pxratio,
        js: device.js,
        geofetch: device.geofetch,
        language: device.language,
        langb: device.langb,
        carrier: device.carrier,
        mccmnc: device.mccmnc,
        connectiontype: device.connectiontype,
        ..wire::Device::default()
    }
}

fn geo(geo: wire::Geo) -> wire::Geo {
    wire::Geo {
        lat: geo.lat.map(coarse),
        lon: geo.lon.map(coarse),
        accuracy: None,
        lastfix: None,
        ipservice: None,
        ..geo
    }
}

fn regs(regs: wire::Regs) -> wire::Regs {
    let ext = regs.ext.map(|ext| wire::regs::Ext {
        us_privacy: None,
        dsa: ext.dsa.map(|dsa| wire::DsaRequest { transparency: Vec::new(), ..dsa }),
        ..ext
    });
    wire::Regs { us_privacy: None, gpp: None, ext, ..regs }
}
