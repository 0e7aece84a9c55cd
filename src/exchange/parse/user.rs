//! `user`, `regs` and `source`: the objects that OpenRTB 2.5 and 2.6 lay out differently. Both places are read. Of
//! two flags the stricter stands, of two texts or lists the one in the 2.6 place; identifiers are joined.

use super::context::Words;
use super::device::geo;
use crate::exchange::json::{Reader, push};
use crate::exchange::scan::Read;
use crate::model::auction::{Eid, Regs, Source, SupplyNode, User};

pub(super) fn user<'a>(r: &mut Reader<'a>) -> Read<Option<User<'a>>> {
    let Some(mut walk) = r.object()? else { return Ok(None) };
    let mut user = User::default();
    let mut words = Words::default();
    let (mut ext_eids, mut ext_consent): (&[Eid<'_>], _) = (&[], None);
    while let Some(key) = r.next_key(&mut walk)? {
        match key {
            b"id" => user.id = r.text()?,
            b"buyeruid" => user.buyeruid = r.text()?,
            b"eids" => user.eids = eids(r)?,
            b"consent" => user.consent = r.text()?,
            b"keywords" => words.keywords = r.texts()?,
            b"kwarray" => words.kwarray = r.texts()?,
            b"geo" => user.geo = geo(r)?,
            b"ext" => (ext_eids, ext_consent) = user_ext(r)?,
            _ => r.skip()?,
        }
    }
    user.eids = r.concat(&[user.eids, ext_eids]);
    user.consent = user.consent.or(ext_consent);
    user.keywords = words.joined();
    Ok(Some(user))
}

type UserExt<'a> = (&'a [Eid<'a>], Option<&'a str>);

fn user_ext<'a>(r: &mut Reader<'a>) -> Read<UserExt<'a>> {
    let (mut ids, mut consent): UserExt<'_> = (&[], None);
    let Some(mut walk) = r.object()? else { return Ok((ids, consent)) };
    while let Some(key) = r.next_key(&mut walk)? {
        match key {
            b"eids" => ids = eids(r)?,
            b"consent" => consent = r.text()?,
            _ => r.skip()?,
        }
    }
    Ok((ids, consent))
}

/// `eids`: one entry per `uids[]` that has an id, of the sources that have a name.
fn eids<'a>(r: &mut Reader<'a>) -> Read<&'a [Eid<'a>]> {
    let mut all = r.vec();
    let mut count = 0;
    let Some(mut walk) = r.array()? else { return Ok(&[]) };
    while r.next_item(&mut walk)? {
        count += 1;
        let Some(mut entry) = r.object()? else { continue };
        let (mut source, mut match_method, mut ids): (_, _, &[Uid<'_>]) = (None, None, &[]);
        while let Some(key) = r.next_key(&mut entry)? {
            match key {
                b"source" => source = r.text()?,
                b"mm" => match_method = r.int()?,
                b"uids" => ids = uids(r)?,
                _ => r.skip()?,
            }
        }
        let Some(source) = source else { continue };
        all.extend(ids.iter().map(|&(id, agent_type)| Eid { source, id, match_method, agent_type }));
    }
    if count > r.limits.array {
        r.breach("array", r.limits.array)?;
    }
    Ok(all.into_bump_slice())
}

/// `id` and `atype`.
type Uid<'a> = (&'a str, Option<i64>);

fn uids<'a>(r: &mut Reader<'a>) -> Read<&'a [Uid<'a>]> {
    let mut all = r.vec();
    let mut count = 0;
    let Some(mut walk) = r.array()? else { return Ok(&[]) };
    while r.next_item(&mut walk)? {
        count += 1;
        let Some(mut entry) = r.object()? else { continue };
        let (mut id, mut agent_type) = (None, None);
        while let Some(key) = r.next_key(&mut entry)? {
            match key {
                b"id" => id = r.text()?,
                b"atype" => agent_type = r.int()?,
                _ => r.skip()?,
            }
        }
        if let Some(id) = id {
            push(&mut all, (id, agent_type));
        }
    }
    if count > r.limits.array {
        r.breach("array", r.limits.array)?;
    }
    Ok(all.into_bump_slice())
}

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
        dsa_required: ext.dsa_required,
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
            b"dsa" => ext.dsa_required = dsa_required(r)?,
            _ => r.skip()?,
        }
    }
    Ok(ext)
}

fn dsa_required(r: &mut Reader<'_>) -> Read<Option<i64>> {
    let mut required = None;
    let Some(mut walk) = r.object()? else { return Ok(None) };
    while let Some(key) = r.next_key(&mut walk)? {
        match key {
            b"dsarequired" => required = r.int()?,
            _ => r.skip()?,
        }
    }
    Ok(required)
}

pub(super) fn source<'a>(r: &mut Reader<'a>) -> Read<Option<Source<'a>>> {
    let Some(mut walk) = r.object()? else { return Ok(None) };
    let (mut tid, mut chain, mut ext_chain) = (None, None, None);
    while let Some(key) = r.next_key(&mut walk)? {
        match key {
            b"tid" => tid = r.text()?,
            b"schain" => chain = supply_chain(r)?,
            b"ext" => ext_chain = source_ext(r)?,
            _ => r.skip()?,
        }
    }
    let (schain_complete, schain_nodes) = match chain.or(ext_chain) {
        Some((complete, nodes)) => (Some(complete), nodes),
        None => (None, &[] as &[_]),
    };
    Ok(Some(Source { tid, schain_complete, schain_nodes }))
}

/// Whether the chain is complete, and its nodes. A chain that does not say so is not.
type Chain<'a> = (bool, &'a [SupplyNode<'a>]);

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
    let (mut complete, mut nodes): Chain<'_> = (false, &[]);
    while let Some(key) = r.next_key(&mut walk)? {
        match key {
            b"complete" => complete = r.flag()? == Some(true),
            b"nodes" => nodes = supply_nodes(r)?,
            _ => r.skip()?,
        }
    }
    Ok(Some((complete, nodes)))
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
