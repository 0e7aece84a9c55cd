//! `user`: identifiers, consent, and the segments that others provide. OpenRTB 2.5 keeps identifiers and consent in
//! `ext`; identifiers of both places are joined, of two consents that in the 2.6 place stands.

use super::context::Words;
use super::device::geo;
use crate::exchange::json::{Reader, push};
use crate::exchange::scan::Read;
use crate::model::auction::{Eid, ProvidedSegment, User};

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
            b"data" => user.segments = provided_segments(r)?,
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

/// `data`: one entry a segment that has an id, under the name of its provider.
fn provided_segments<'a>(r: &mut Reader<'a>) -> Read<&'a [ProvidedSegment<'a>]> {
    let (mut all, mut count) = (r.vec(), 0);
    let Some(mut walk) = r.array()? else { return Ok(&[]) };
    while r.next_item(&mut walk)? {
        count += 1;
        let Some(mut entry) = r.object()? else { continue };
        let (mut provider, mut ids): (ProvidedSegment<'_>, &[&str]) = (ProvidedSegment::default(), &[]);
        while let Some(key) = r.next_key(&mut entry)? {
            match key {
                b"id" => provider.provider_id = r.text()?,
                b"name" => provider.provider_name = r.text()?,
                b"segment" => ids = segment_ids(r)?,
                b"ext" => provider.taxonomy = segment_taxonomy(r)?,
                _ => r.skip()?,
            }
        }
        all.extend(ids.iter().map(|id| ProvidedSegment { id, ..provider }));
    }
    if count > r.limits.array {
        r.breach("array", r.limits.array)?;
    }
    Ok(all.into_bump_slice())
}

fn segment_ids<'a>(r: &mut Reader<'a>) -> Read<&'a [&'a str]> {
    let (mut ids, mut count) = (r.vec(), 0);
    let Some(mut walk) = r.array()? else { return Ok(&[]) };
    while r.next_item(&mut walk)? {
        count += 1;
        let Some(mut entry) = r.object()? else { continue };
        let mut id = None;
        while let Some(key) = r.next_key(&mut entry)? {
            match key {
                b"id" => id = r.text()?,
                _ => r.skip()?,
            }
        }
        if let Some(id) = id {
            push(&mut ids, id);
        }
    }
    if count > r.limits.array {
        r.breach("array", r.limits.array)?;
    }
    Ok(ids.into_bump_slice())
}

fn segment_taxonomy(r: &mut Reader<'_>) -> Read<Option<i64>> {
    let mut taxonomy = None;
    let Some(mut walk) = r.object()? else { return Ok(None) };
    while let Some(key) = r.next_key(&mut walk)? {
        match key {
            b"segtax" => taxonomy = r.int()?,
            _ => r.skip()?,
        }
    }
    Ok(taxonomy)
}
