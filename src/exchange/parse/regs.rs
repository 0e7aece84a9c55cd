//! `regs` and `source`: OpenRTB 2.5 keeps most of them in `ext`. Both places are read; of two flags the stricter stands,
//! of two texts, lists or chains the one in the 2.6 place.

use crate::exchange::json::{Reader, push};
use crate::exchange::scan::Read;
use crate::model::auction::{Dsa, Regs, Source, SupplyNode};

pub(super) fn regs<'a>(r: &mut Reader<'a>) -> Read<Option<Regs<'a>>> {
    let Some(mut walk) = r.object()? else { return Ok(None) };
    let mut regs = Regs::default();
    let mut ext = Regs::default();
    while let Some(key) = r.next_key(&mut walk)? {
        match key {
            b"coppa" => regs.coppa = r.flag()?,
            b"gdpr" => regs.gdpr = r.flag()?,
            b"us_privacy" => regs.us_privacy = r.text()?,
            b"gpp" => regs.gpp = r.text()?,
            b"gpp_sid" => regs.gpp_sid = r.ints()?,
            b"ext" => ext = regs_ext(r)?,
            _ => r.skip()?,
        }
    }
    let gpp_sid = if regs.gpp_sid.is_empty() { ext.gpp_sid } else { regs.gpp_sid };
    Ok(Some(Regs {
        coppa: regs.coppa,
        // "Applies" is the stricter, and any answer is more than none: the order of Option<bool>.
        gdpr: regs.gdpr.max(ext.gdpr),
        us_privacy: regs.us_privacy.or(ext.us_privacy),
        gpp: regs.gpp.or(ext.gpp),
        gpp_sid,
        gpc: ext.gpc,
        dsa: ext.dsa,
    }))
}

fn regs_ext<'a>(r: &mut Reader<'a>) -> Read<Regs<'a>> {
    let mut ext = Regs::default();
    let Some(mut walk) = r.object()? else { return Ok(ext) };
    while let Some(key) = r.next_key(&mut walk)? {
        match key {
            b"gdpr" => ext.gdpr = r.flag()?,
            b"us_privacy" => ext.us_privacy = r.text()?,
            b"gpp" => ext.gpp = r.text()?,
            b"gpp_sid" => ext.gpp_sid = r.ints()?,
            b"gpc" => ext.gpc = r.flag()? == Some(true),
            b"dsa" => ext.dsa = dsa(r)?,
            _ => r.skip()?,
        }
    }
    Ok(ext)
}

fn dsa(r: &mut Reader<'_>) -> Read<Dsa> {
    let mut dsa = Dsa::default();
    let Some(mut walk) = r.object()? else { return Ok(dsa) };
    while let Some(key) = r.next_key(&mut walk)? {
        match key {
            b"dsarequired" => dsa.required = r.int()?,
            b"pubrender" => dsa.publisher_renders = r.int()?,
            b"datatopub" => dsa.data_to_publisher = r.int()?,
            _ => r.skip()?,
        }
    }
    Ok(dsa)
}

pub(super) fn source<'a>(r: &mut Reader<'a>) -> Read<Option<Source<'a>>> {
    let Some(mut walk) = r.object()? else { return Ok(None) };
    let mut source = Source::default();
    let (mut chain, mut ext_chain) = (None, None);
    while let Some(key) = r.next_key(&mut walk)? {
        match key {
            b"fd" => source.upstream_decides = r.flag()?,
            b"tid" => source.tid = r.text()?,
            b"pchain" => source.payment_chain = r.text()?,
            b"schain" => chain = supply_chain(r)?,
            b"ext" => ext_chain = source_ext(r)?,
            _ => r.skip()?,
        }
    }
    if let Some(chain) = chain.or(ext_chain) {
        source.schain_complete = Some(chain.complete);
        (source.schain_version, source.schain_nodes) = (chain.version, chain.nodes);
    }
    Ok(Some(source))
}

/// `schain`. A chain that does not say that it is complete is not.
#[derive(Default)]
struct Chain<'a> {
    complete: bool,
    version: Option<&'a str>,
    nodes: &'a [SupplyNode<'a>],
}

fn source_ext<'a>(r: &mut Reader<'a>) -> Read<Option<Chain<'a>>> {
    let Some(mut walk) = r.object()? else { return Ok(None) };
    let mut chain = None;
    while let Some(key) = r.next_key(&mut walk)? {
        match key {
            b"schain" => chain = supply_chain(r)?,
            _ => r.skip()?,
        }
    }
    Ok(chain)
}

fn supply_chain<'a>(r: &mut Reader<'a>) -> Read<Option<Chain<'a>>> {
    let Some(mut walk) = r.object()? else { return Ok(None) };
    let mut chain = Chain::default();
    while let Some(key) = r.next_key(&mut walk)? {
        match key {
            b"complete" => chain.complete = r.flag()? == Some(true),
            b"ver" => chain.version = r.text()?,
            b"nodes" => chain.nodes = supply_nodes(r)?,
            _ => r.skip()?,
        }
    }
    Ok(Some(chain))
}

/// Every entry counts as a node, also an unreadable one: a chain does not get shorter by being broken.
fn supply_nodes<'a>(r: &mut Reader<'a>) -> Read<&'a [SupplyNode<'a>]> {
    let mut nodes = r.vec();
    let Some(mut walk) = r.array()? else { return Ok(&[]) };
    while r.next_item(&mut walk)? {
        let mut node = SupplyNode::default();
        if let Some(mut entry) = r.object()? {
            while let Some(key) = r.next_key(&mut entry)? {
                match key {
                    b"asi" => node.asi = r.text()?.unwrap_or_default(),
                    b"sid" => node.sid = r.text()?.unwrap_or_default(),
                    b"hp" => node.pays = r.flag()?,
                    _ => r.skip()?,
                }
            }
        }
        push(&mut nodes, node);
    }
    if nodes.len() > r.limits.array {
        r.breach("array", r.limits.array)?;
    }
    Ok(nodes.into_bump_slice())
}
