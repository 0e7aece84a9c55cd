//! `pmp` and its deals. A deal's floors are its own: none of them comes from the impression (implementation guide
//! section 7.11).

use super::Seen;
use super::floor::{currency, duration_floors, price};
use crate::exchange::json::Reader;
use crate::exchange::scan::Read;
use crate::model::auction::Deal;
use crate::model::money::{Cpm, Currency};

/// `pmp`: whether only deals may be bid on, and the deals that have an id.
pub(super) fn pmp<'a>(r: &mut Reader<'a>) -> Read<(bool, &'a [Deal<'a>])> {
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
    let (mut seen, mut readable) = (Seen::default(), true);
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
            b"mincpmpersec" => {
                seen.once(r, 4, "deal.mincpmpersec")?;
                match price(r)? {
                    Some(floor) => deal.min_cpm_per_second = floor,
                    None => readable = false,
                }
            }
            b"durfloors" => {
                seen.once(r, 5, "deal.durfloors")?;
                match duration_floors(r)? {
                    Some(floors) => deal.duration_floors = floors,
                    None => readable = false,
                }
            }
            b"wseat" => deal.wseat = r.rule_texts(r.limits.array)?,
            b"wadomain" => deal.wadomain = r.rule_texts(r.limits.array)?,
            b"guar" => deal.guaranteed = r.flag()? == Some(true),
            _ => r.skip()?,
        }
    }
    deal.bid_floor = deal.bid_floor.filter(|_| readable);
    Ok(Some(deal))
}
