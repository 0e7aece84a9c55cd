//! All that was learned as bytes, so that a restart goes on where the last one was.

use super::revenue::Revenues;
use super::waiting::{Heard, Queue, Waiting};
use super::{Learning, Outcomes};
use crate::model::ids::{AdvertiserId, BidId, CampaignId, LineItemId};
use crate::model::money::Cpm;
use crate::pricing::prediction::bytes::{Kind, Reader, Writer};
use crate::pricing::prediction::{DamagedBytes, Trainer, TrainerOptions};
use crate::pricing::shading::{LEVELS, Landscape, Place, ShadeTable, TableError};
use std::collections::BTreeMap;
use std::sync::Arc;

const KIND: Kind = Kind { magic: *b"outbidLE", what: "state of the learner", version: 2 };

/// Why a state cannot be gone on from.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The whole, or the state of the trainer in it.
    #[error(transparent)]
    Bytes(#[from] DamagedBytes),
    /// What was learned of prices.
    #[error("prices: {0}")]
    Prices(#[from] TableError),
}

impl Learning {
    /// Its whole state. One that goes on from it does as if it had never stopped.
    pub fn export(&self) -> Vec<u8> {
        let mut out = Writer::new(KIND);
        let prices = [self.landscape.to_bytes(), self.second.to_bytes(), self.table.to_bytes()];
        for part in [self.trainer.export()].into_iter().chain(prices) {
            out.u32(part.len() as u32);
            out.bytes(&part);
        }
        let waiting = self.waiting.in_order();
        out.u32(waiting.len() as u32);
        for (id, until_ms, bid) in waiting {
            out.u32(id.epoch);
            out.u32(id.core.into());
            out.u64(id.sequence);
            out.i64(until_ms);
            write_waiting(&mut out, bid);
        }
        write_sums(&mut out, self.revenues.by_line_item.iter().map(|(id, sum)| (id.0, *sum)));
        write_sums(&mut out, self.revenues.by_advertiser.iter().map(|(id, sum)| (id.0, *sum)));
        out.u32(self.shown.len() as u32);
        for (line_item, shown) in &self.shown {
            out.u32(line_item.0);
            out.u32(*shown);
        }
        let Outcomes { bids, left_out, won, won_told, lost, lost_told, silent, strangers } = self.outcomes;
        for count in [bids, left_out, won, won_told, lost, lost_told, silent, strangers] {
            out.u64(count);
        }
        out.u8(u8::from(self.news) | u8::from(self.second_news) << 1);
        out.finish()
    }

    /// Goes on from a state; the options are those that it was made with.
    ///
    /// # Errors
    /// Bytes that are not what was exported, or options that are others.
    pub fn import(
        options: TrainerOptions,
        most_waiting: usize,
        bytes: &[u8],
    ) -> Result<Learning, StateError> {
        let mut input = Reader::open(KIND, bytes)?;
        let trainer = Trainer::import(options, part(&mut input)?)?;
        let landscape = Landscape::from_bytes(part(&mut input)?)?;
        let second = Landscape::from_bytes(part(&mut input)?)?;
        let table = Arc::new(ShadeTable::from_bytes(part(&mut input)?)?);
        let mut waiting = Queue::new(most_waiting);
        for _ in 0..input.count(24)? {
            let (epoch, core, sequence) = (input.u32()?, input.u32()?, input.u64()?);
            let core = u16::try_from(core).map_err(|_| input.wrong("a core that is none"))?;
            let until_ms = input.i64()?;
            let bid = read_waiting(&mut input)?;
            // Where fewer may wait than did, the others are left out.
            waiting.push(BidId { epoch, core, sequence }, until_ms, || bid);
        }
        let revenues = Revenues {
            by_line_item: read_sums(&mut input)?.map(|(id, sum)| (LineItemId(id), sum)).collect(),
            by_advertiser: read_sums(&mut input)?.map(|(id, sum)| (AdvertiserId(id), sum)).collect(),
        };
        let mut shown = BTreeMap::new();
        for _ in 0..input.count(8)? {
            shown.insert(LineItemId(input.u32()?), input.u32()?);
        }
        let mut counts = [0; 8];
        for count in &mut counts {
            *count = input.u64()?;
        }
        let [bids, left_out, won, won_told, lost, lost_told, silent, strangers] = counts;
        let outcomes = Outcomes { bids, left_out, won, won_told, lost, lost_told, silent, strangers };
        let flags = input.u8()?;
        let (news, second_news) = (flags & 1 != 0, flags & 2 != 0);
        input.end()?;
        Ok(Learning {
            trainer,
            landscape,
            second,
            table,
            waiting,
            revenues,
            shown,
            outcomes,
            news,
            second_news,
        })
    }
}

fn part<'b>(input: &mut Reader<'b>) -> Result<&'b [u8], DamagedBytes> {
    let length = input.count(1)?;
    input.take(length)
}

fn write_waiting(out: &mut Writer, bid: &Waiting) {
    bid.place.keys().iter().for_each(|key| out.u64(*key));
    out.i64(bid.price.0);
    out.i64(bid.base_price.0);
    out.u8(u8::from(bid.first_price) | u8::from(bid.heard == Heard::Outcome) << 1);
    out.u32(bid.campaign.0);
    out.u8(bid.features.len() as u8);
    bid.features.iter().for_each(|feature| out.u32(*feature));
}

fn read_waiting(input: &mut Reader<'_>) -> Result<Waiting, DamagedBytes> {
    let mut keys = [0; LEVELS];
    for key in &mut keys {
        *key = input.u64()?;
    }
    let (price, base_price) = (Cpm(input.i64()?), Cpm(input.i64()?));
    let flags = input.u8()?;
    let campaign = CampaignId(input.u32()?);
    let features = (0..input.u8()?).map(|_| input.u32()).collect::<Result<_, _>>()?;
    Ok(Waiting {
        place: Place::from_keys(keys),
        price,
        base_price,
        first_price: flags & 1 != 0,
        heard: if flags & 2 != 0 { Heard::Outcome } else { Heard::Nothing },
        campaign,
        features,
    })
}

fn write_sums(out: &mut Writer, sums: impl ExactSizeIterator<Item = (u32, (i64, u64))>) {
    out.u32(sums.len() as u32);
    for (id, (sum, count)) in sums {
        out.u32(id);
        out.i64(sum);
        out.u64(count);
    }
}

fn read_sums(
    input: &mut Reader<'_>,
) -> Result<impl Iterator<Item = (u32, (i64, u64))> + use<>, DamagedBytes> {
    let mut sums = Vec::new();
    for _ in 0..input.count(20)? {
        sums.push((input.u32()?, (input.i64()?, input.u64()?)));
    }
    Ok(sums.into_iter())
}
