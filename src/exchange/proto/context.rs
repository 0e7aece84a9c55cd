//! Site, app and dooh, device, user, regs and source.

use super::reader::{Read, Reader};
use super::wire;
use crate::exchange::json::{flag_of_text, micro_degrees};
use crate::exchange::parse::{host, is_placeholder, is_usable_ifa, taxonomy_of};
use crate::model::auction::{
    Device, Dsa, Eid, Geo, Inventory, ProvidedSegment, Regs, Source, SupplyNode, User,
};
use crate::model::country::Country;

/// What site, app and dooh have in common; what one of them lacks is absent.
#[derive(Default)]
pub(super) struct Place<'m> {
    id: Option<&'m str>,
    name: Option<&'m str>,
    domain: Option<&'m str>,
    bundle: Option<&'m str>,
    page: Option<&'m str>,
    publisher: Option<&'m wire::Publisher>,
    inventory_partner_domain: Option<&'m str>,
    cat: [&'m [String]; 3],
    cattax: Option<i32>,
    keywords: Option<&'m str>,
    kwarray: &'m [String],
    content: Option<&'m wire::Content>,
    venue_types: &'m [String],
    venue_taxonomy: Option<i32>,
}

impl<'m> From<&'m wire::Site> for Place<'m> {
    fn from(m: &'m wire::Site) -> Place<'m> {
        Place {
            id: m.id.as_deref(),
            name: m.name.as_deref(),
            domain: m.domain.as_deref(),
            page: m.page.as_deref(),
            publisher: m.publisher.as_ref(),
            inventory_partner_domain: m.inventorypartnerdomain.as_deref(),
            cat: [&m.cat, &m.sectioncat, &m.pagecat],
            cattax: m.cattax,
            keywords: m.keywords.as_deref(),
            kwarray: &m.kwarray,
            content: m.content.as_ref(),
            ..Place::default()
        }
    }
}

impl<'m> From<&'m wire::App> for Place<'m> {
    fn from(m: &'m wire::App) -> Place<'m> {
        Place {
            id: m.id.as_deref(),
            name: m.name.as_deref(),
            domain: m.domain.as_deref(),
            bundle: m.bundle.as_deref(),
            publisher: m.publisher.as_ref(),
            inventory_partner_domain: m.inventorypartnerdomain.as_deref(),
            cat: [&m.cat, &m.sectioncat, &m.pagecat],
            cattax: m.cattax,
            keywords: m.keywords.as_deref(),
            kwarray: &m.kwarray,
            content: m.content.as_ref(),
            ..Place::default()
        }
    }
}

impl<'m> From<&'m wire::Dooh> for Place<'m> {
    fn from(m: &'m wire::Dooh) -> Place<'m> {
        Place {
            id: m.id.as_deref(),
            name: m.name.as_deref(),
            domain: m.domain.as_deref(),
            publisher: m.publisher.as_ref(),
            keywords: m.keywords.as_deref(),
            content: m.content.as_ref(),
            venue_types: &m.venuetype,
            venue_taxonomy: m.venuetypetax,
            ..Place::default()
        }
    }
}

pub(super) fn inventory<'a>(r: &mut Reader<'a>, m: &Place<'_>) -> Read<Inventory<'a>> {
    let page = r.text(m.page)?;
    let [cat, sectioncat, pagecat] = m.cat;
    let mut cats = [r.texts(cat)?, r.texts(sectioncat)?, r.texts(pagecat)?, &[]];
    let mut keywords = [keywords(r, m.keywords, m.kwarray)?, &[]];
    let mut content_language = None;
    if let Some(content) = m.content {
        cats[3] = r.texts(&content.cat)?;
        keywords[1] = self::keywords(r, content.keywords.as_deref(), &content.kwarray)?;
        let (language, langb) = (r.text(content.language.as_deref())?, r.text(content.langb.as_deref())?);
        content_language = language.or(langb);
    }
    Ok(Inventory {
        id: r.text(m.id)?,
        name: r.text(m.name)?,
        domain: r.text(m.domain)?.or_else(|| page.and_then(host)),
        bundle: r.text(m.bundle)?,
        page,
        publisher_id: r.text(m.publisher.and_then(|publisher| publisher.id.as_deref()))?,
        publisher_domain: r.text(m.publisher.and_then(|publisher| publisher.domain.as_deref()))?,
        inventory_partner_domain: r.text(m.inventory_partner_domain)?,
        cat: r.concat(&cats),
        cattax: taxonomy_of(m.cattax.map(i64::from)),
        keywords: r.concat(&keywords),
        content_language,
        venue_types: r.texts(m.venue_types)?,
        venue_taxonomy: m.venue_taxonomy.map_or(1, i64::from),
    })
}

/// `keywords`, or `kwarray` where that has none.
fn keywords<'a>(r: &mut Reader<'a>, keywords: Option<&str>, kwarray: &[String]) -> Read<&'a [&'a str]> {
    let (keywords, kwarray) = (r.words(keywords)?, r.texts(kwarray)?);
    Ok(if keywords.is_empty() { kwarray } else { keywords })
}

pub(super) fn device<'a>(r: &mut Reader<'a>, m: Option<&wire::Device>) -> Read<Device<'a>> {
    let Some(m) = m else { return Ok(Device::default()) };
    let (mut sua_browser, mut sua_platform) = (None, None);
    if let Some(sua) = &m.sua {
        for browser in &sua.browsers {
            let brand = r.text(browser.brand.as_deref())?.filter(|brand| !is_placeholder(brand));
            sua_browser = sua_browser.or(brand);
        }
        r.is_short(&sua.browsers, r.limits.array)?;
        sua_platform = r.text(sua.platform.as_ref().and_then(|platform| platform.brand.as_deref()))?;
    }
    let (language, langb) = (r.text(m.language.as_deref())?, r.text(m.langb.as_deref())?);
    Ok(Device {
        ua: r.text(m.ua.as_deref())?,
        sua_browser,
        sua_platform,
        geo: geo(r, m.geo.as_ref())?,
        dnt: m.dnt,
        lmt: m.lmt,
        ip: r.text(m.ip.as_deref())?,
        ipv6: r.text(m.ipv6.as_deref())?,
        device_type: m.devicetype.map(i64::from),
        make: r.text(m.make.as_deref())?,
        model: r.text(m.model.as_deref())?,
        os: r.text(m.os.as_deref())?,
        osv: r.text(m.osv.as_deref())?,
        language: langb.or(language),
        carrier: r.text(m.carrier.as_deref())?,
        mccmnc: r.text(m.mccmnc.as_deref())?,
        connection_type: m.connectiontype.map(i64::from),
        ifa: r.text(m.ifa.as_deref())?.filter(|ifa| is_usable_ifa(ifa)),
    })
}

fn geo<'a>(r: &mut Reader<'a>, m: Option<&wire::Geo>) -> Read<Geo<'a>> {
    let Some(m) = m else { return Ok(Geo::default()) };
    Ok(Geo {
        country: r.text(m.country.as_deref())?.and_then(Country::parse),
        region: r.text(m.region.as_deref())?,
        metro: r.text(m.metro.as_deref())?,
        city: r.text(m.city.as_deref())?,
        zip: r.text(m.zip.as_deref())?,
        utc_offset_min: m.utcoffset,
        lat_micro: m.lat.and_then(|lat| micro_degrees(lat, 90.0)),
        lon_micro: m.lon.and_then(|lon| micro_degrees(lon, 180.0)),
        kind: m.r#type.map(i64::from),
        accuracy_m: m.accuracy.map(i64::from),
    })
}

pub(super) fn user<'a>(r: &mut Reader<'a>, m: Option<&wire::User>) -> Read<User<'a>> {
    let Some(m) = m else { return Ok(User::default()) };
    let (new_eids, consent) = (eids(r, &m.eids)?, r.text(m.consent.as_deref())?);
    let (mut old_eids, mut old_consent): (&[Eid<'_>], _) = (&[], None);
    if let Some(ext) = &m.ext {
        (old_eids, old_consent) = (eids(r, &ext.eids)?, r.text(ext.consent.as_deref())?);
    }
    Ok(User {
        id: r.text(m.id.as_deref())?,
        buyeruid: r.text(m.buyeruid.as_deref())?,
        eids: r.concat(&[new_eids, old_eids]),
        consent: consent.or(old_consent),
        keywords: keywords(r, m.keywords.as_deref(), &m.kwarray)?,
        geo: geo(r, m.geo.as_ref())?,
        segments: segments(r, &m.data)?,
    })
}

fn eids<'a>(r: &mut Reader<'a>, messages: &[wire::Eid]) -> Read<&'a [Eid<'a>]> {
    let mut all = r.vec(messages.len());
    for m in messages {
        let source = r.text(m.source.as_deref())?;
        for uid in &m.uids {
            let id = r.text(uid.id.as_deref())?;
            if let (Some(source), Some(id)) = (source, id) {
                let (match_method, agent_type) = (m.mm.map(i64::from), uid.atype.map(i64::from));
                all.push(Eid { source, id, match_method, agent_type });
            }
        }
        r.is_short(&m.uids, r.limits.array)?;
    }
    r.is_short(messages, r.limits.array)?;
    Ok(all.into_bump_slice())
}

fn segments<'a>(r: &mut Reader<'a>, messages: &[wire::Data]) -> Read<&'a [ProvidedSegment<'a>]> {
    let mut all = r.vec(messages.len());
    for m in messages {
        let (provider_id, provider_name) = (r.text(m.id.as_deref())?, r.text(m.name.as_deref())?);
        for segment in &m.segment {
            if let Some(id) = r.text(segment.id.as_deref())? {
                all.push(ProvidedSegment { provider_id, provider_name, taxonomy: None, id });
            }
        }
        r.is_short(&m.segment, r.limits.array)?;
    }
    r.is_short(messages, r.limits.array)?;
    Ok(all.into_bump_slice())
}

pub(super) fn regs<'a>(r: &mut Reader<'a>, m: Option<&wire::Regs>) -> Read<Regs<'a>> {
    let Some(m) = m else { return Ok(Regs::default()) };
    let mut regs = Regs {
        coppa: m.coppa,
        gdpr: m.gdpr,
        us_privacy: r.text(m.us_privacy.as_deref())?,
        gpp: r.text(m.gpp.as_deref())?,
        gpp_sid: r.ints(&m.gpp_sid)?,
        ..Regs::default()
    };
    if let Some(ext) = &m.ext {
        regs.gdpr = regs.gdpr.max(ext.gdpr);
        regs.us_privacy = regs.us_privacy.or(r.text(ext.us_privacy.as_deref())?);
        regs.gpc = ext.gpc.as_deref().and_then(flag_of_text) == Some(true);
        if let Some(dsa) = &ext.dsa {
            regs.dsa = Dsa {
                required: dsa.dsarequired.map(i64::from),
                publisher_renders: dsa.pubrender.map(i64::from),
                data_to_publisher: dsa.datatopub.map(i64::from),
            };
        }
    }
    Ok(regs)
}

pub(super) fn source<'a>(r: &mut Reader<'a>, m: Option<&wire::Source>) -> Read<Source<'a>> {
    let Some(m) = m else { return Ok(Source::default()) };
    let old = m.ext.as_ref().and_then(|ext| ext.schain.as_ref()).map(|m| chain(r, m)).transpose()?;
    let new = m.schain.as_ref().map(|m| chain(r, m)).transpose()?;
    Ok(Source {
        upstream_decides: m.fd,
        tid: r.text(m.tid.as_deref())?,
        payment_chain: r.text(m.pchain.as_deref())?,
        ..new.or(old).unwrap_or_default()
    })
}

/// A chain, as the part of a source that it is.
fn chain<'a>(r: &mut Reader<'a>, m: &wire::SupplyChain) -> Read<Source<'a>> {
    let mut nodes = r.vec(m.nodes.len());
    for node in &m.nodes {
        nodes.push(SupplyNode {
            asi: r.text(node.asi.as_deref())?.unwrap_or_default(),
            sid: r.text(node.sid.as_deref())?.unwrap_or_default(),
            pays: node.hp,
        });
    }
    r.is_short(&m.nodes, r.limits.array)?;
    Ok(Source {
        schain_complete: Some(m.complete == Some(true)),
        schain_version: r.text(m.ver.as_deref())?,
        schain_nodes: nodes.into_bump_slice(),
        ..Source::default()
    })
}
