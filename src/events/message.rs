//! Records as bytes by way of generated messages: [`Event`] ↔ `proto/events.proto`, every kind in every form. What the other
//! way, [`wire`](super::wire), does is judged by this one.

#![allow(missing_docs, unreachable_pub, reason = "the fields are described in proto/events.proto")]

use crate::model::auction::Size;
use crate::model::country::Country;
use crate::model::creative::StreamEvent;
use crate::model::event::{
    BidMade, Converted, Credit, Event, Evidence, Features, NoBid, NoticeEvent, Noticed, Place, What,
};
use crate::model::ids::{
    AdvertiserId, BidId, CampaignId, ConversionId, CreativeId, ExchangeId, LineItemId, UserKey,
};
use crate::model::line_item::ChannelKind;
use crate::model::money::{Cpm, Currency, Nanos};
use crate::model::no_bid::NoBidReason;
use crate::model::targeting::MediaType;
use prost::Message;

mod generated {
    include!(concat!(env!("OUT_DIR"), "/outbid.events.rs"));
}

use generated::notice::Kind;

pub(super) const MEDIA: [MediaType; 4] =
    [MediaType::Banner, MediaType::Video, MediaType::Audio, MediaType::Native];
pub(super) const CHANNELS: [ChannelKind; 3] = [ChannelKind::Site, ChannelKind::App, ChannelKind::Dooh];

/// Appends a record of `user` with its length before it.
pub(super) fn write(event: &Event, user: UserKey, out: &mut Vec<u8>) {
    let what = match &event.what {
        What::Bid(bid) => generated::event::What::Bid(bid_message(bid, user)),
        What::NoBid(no_bid) => generated::event::What::NoBid(generated::NoBid {
            exchange: Some(no_bid.exchange.0.into()),
            reason: Some(no_bid.reason.as_str().to_owned()),
            place: Some(place_message(&no_bid.place)),
        }),
        What::Notice(noticed) => generated::event::What::Notice(notice_message(noticed, user)),
        What::Conversion(converted) => {
            generated::event::What::Conversion(conversion_message(converted, user))
        }
    };
    let event = generated::Event { at_ms: Some(event.at_ms), what: Some(what) };
    event.encode_length_delimited(out).expect("a vector grows");
}

/// Reads the next record of a payload; `None` where the bytes are no record, inside `None` where it is of a kind that a
/// later version wrote.
pub(super) fn read(payload: &mut &[u8]) -> Option<Option<Event>> {
    let event = generated::Event::decode_length_delimited(&mut *payload).ok()?;
    let what = match event.what {
        Some(generated::event::What::Bid(bid)) => bid_of(&bid).map(What::Bid),
        Some(generated::event::What::NoBid(no_bid)) => no_bid_of(&no_bid).map(What::NoBid),
        Some(generated::event::What::Notice(notice)) => notice_of(&notice).map(What::Notice),
        Some(generated::event::What::Conversion(conversion)) => {
            conversion_of(&conversion).map(What::Conversion)
        }
        None => None,
    };
    Some(what.map(|what| Event { at_ms: event.at_ms.unwrap_or(0), what }))
}

fn conversion_message(converted: &Converted, user: UserKey) -> generated::Conversion {
    generated::Conversion {
        conversion: Some(converted.conversion.0),
        advertiser: Some(converted.advertiser.0),
        user: known(user),
        value_nanos: converted.value.map(|value| value.0),
        credit: converted.credit.map(|credit| generated::Credit {
            bid: Some(id_message(credit.bid)),
            line_item: Some(credit.line_item.0),
            creative: Some(credit.creative.0),
            click: Some(credit.click),
            after_s: Some(credit.after_s),
        }),
    }
}

fn conversion_of(conversion: &generated::Conversion) -> Option<Converted> {
    let credit = |credit: &generated::Credit| {
        Some(Credit {
            bid: id_of(credit.bid.as_ref())?,
            line_item: LineItemId(credit.line_item?),
            creative: CreativeId(credit.creative?),
            click: credit.click.unwrap_or(false),
            after_s: credit.after_s.unwrap_or(0),
        })
    };
    Some(Converted {
        conversion: ConversionId(conversion.conversion?),
        advertiser: AdvertiserId(conversion.advertiser?),
        user: UserKey(conversion.user.unwrap_or(0)),
        value: conversion.value_nanos.map(Nanos),
        credit: match &conversion.credit {
            Some(message) => Some(credit(message)?),
            None => None,
        },
    })
}

fn id_message(id: BidId) -> generated::BidId {
    generated::BidId { epoch: Some(id.epoch), core: Some(id.core.into()), sequence: Some(id.sequence) }
}

fn id_of(id: Option<&generated::BidId>) -> Option<BidId> {
    let id = id?;
    Some(BidId { epoch: id.epoch?, core: u16::try_from(id.core?).ok()?, sequence: id.sequence? })
}

fn known(user: UserKey) -> Option<u64> {
    Some(user.0).filter(|key| *key != 0)
}

fn exchange_of(id: Option<u32>) -> Option<ExchangeId> {
    u16::try_from(id?).ok().map(ExchangeId)
}

fn bid_message(bid: &BidMade, user: UserKey) -> generated::Bid {
    let evidence = &bid.evidence;
    let given = |number: u32| Some(number).filter(|number| *number > 0);
    generated::Bid {
        id: Some(id_message(bid.id)),
        exchange: Some(bid.exchange.0.into()),
        campaign: Some(bid.campaign.0),
        line_item: Some(bid.line_item.0),
        creative: Some(bid.creative.0),
        price_micros: Some(bid.price.0),
        currency: Some(bid.currency.as_str().to_owned()),
        multiplier_ppm: Some(bid.multiplier_ppm),
        user: known(user),
        media_type: Some(bid.media as u32),
        width: bid.size.map(|size| size.w.into()),
        height: bid.size.map(|size| size.h.into()),
        duration_s: Some(bid.duration_s).filter(|seconds| *seconds > 0),
        deal: Some(bid.deal),
        test: Some(bid.test),
        place: Some(place_message(&bid.place)),
        worth_micros: Some(evidence.worth.0),
        base_price_micros: Some(evidence.base_price.0),
        first_price: Some(evidence.first_price),
        propensity_ppb: given(evidence.propensity_ppb),
        market: Some(evidence.market),
        click_ppb: given(evidence.click_ppb),
        conversion_ppb: given(evidence.conversion_ppb),
        life_s: given(evidence.life_s),
        features: evidence.features.as_slice().to_vec(),
    }
}

fn bid_of(bid: &generated::Bid) -> Option<BidMade> {
    let side = |pixels: u32| u16::try_from(pixels).ok();
    let size = bid.width.and_then(side).zip(bid.height.and_then(side)).map(|(w, h)| Size { w, h });
    Some(BidMade {
        id: id_of(bid.id.as_ref())?,
        exchange: exchange_of(bid.exchange)?,
        campaign: CampaignId(bid.campaign?),
        line_item: LineItemId(bid.line_item?),
        creative: CreativeId(bid.creative?),
        price: Cpm(bid.price_micros?),
        currency: Currency::parse(bid.currency.as_deref()?)?,
        multiplier_ppm: bid.multiplier_ppm?,
        user: UserKey(bid.user.unwrap_or(0)),
        media: MEDIA.into_iter().find(|media| *media as u32 == bid.media_type.unwrap_or(0))?,
        size,
        duration_s: bid.duration_s.unwrap_or(0),
        deal: bid.deal.unwrap_or(false),
        test: bid.test.unwrap_or(false),
        place: place_of(bid.place.as_ref()),
        evidence: Evidence {
            worth: Cpm(bid.worth_micros.unwrap_or(0)),
            base_price: Cpm(bid.base_price_micros.unwrap_or(0)),
            first_price: bid.first_price.unwrap_or(false),
            propensity_ppb: bid.propensity_ppb.unwrap_or(0),
            market: bid.market.unwrap_or(0),
            click_ppb: bid.click_ppb.unwrap_or(0),
            conversion_ppb: bid.conversion_ppb.unwrap_or(0),
            life_s: bid.life_s.unwrap_or(0),
            features: Features::new(bid.features.iter().copied()),
        },
    })
}

fn place_message(place: &Place) -> generated::Place {
    let channel = |kind| CHANNELS.iter().position(|known| *known == kind).map(|at| at as u32 + 1);
    generated::Place {
        channel: place.channel.and_then(channel),
        inventory: Some(place.inventory).filter(|hash| *hash != 0),
        country: place.country.map(|country| country.as_str().to_owned()),
        device_type: place.device_type.map(u32::from),
    }
}

fn place_of(place: Option<&generated::Place>) -> Place {
    let Some(place) = place else { return Place::default() };
    let channel = |number: u32| CHANNELS.get((number as usize).checked_sub(1)?).copied();
    Place {
        channel: place.channel.and_then(channel),
        inventory: place.inventory.unwrap_or(0),
        country: place.country.as_deref().and_then(Country::parse),
        device_type: place.device_type.and_then(|number| u8::try_from(number).ok()),
    }
}

fn no_bid_of(no_bid: &generated::NoBid) -> Option<NoBid> {
    let name = no_bid.reason.as_deref()?;
    Some(NoBid {
        exchange: exchange_of(no_bid.exchange)?,
        reason: NoBidReason::named(name)?,
        place: place_of(no_bid.place.as_ref()),
    })
}

fn notice_message(noticed: &Noticed, user: UserKey) -> generated::Notice {
    let mut notice = generated::Notice {
        bid: Some(id_message(noticed.bid)),
        exchange: Some(noticed.exchange.0.into()),
        line_item: Some(noticed.line_item.0),
        creative: Some(noticed.creative.0),
        user: known(user),
        after_s: Some(noticed.after_s),
        min_to_win_micros: noticed.min_to_win.map(|price| price.0),
        ..generated::Notice::default()
    };
    let kind = match noticed.kind {
        NoticeEvent::Win(price) => {
            notice.price_micros = price.map(|price| price.0);
            Kind::Win
        }
        NoticeEvent::Bill { charged, price, lsn } => {
            (notice.charged_nanos, notice.price_micros) = (Some(charged.0), Some(price.0));
            notice.journal_lsn = Some(lsn).filter(|lsn| *lsn > 0);
            Kind::Bill
        }
        NoticeEvent::Loss(code) => {
            notice.loss_code = code.map(u32::from);
            Kind::Loss
        }
        NoticeEvent::Impression => Kind::Impression,
        NoticeEvent::Click => Kind::Click,
        NoticeEvent::Player(event) => {
            notice.player_event = Some(event.name().to_owned());
            Kind::Player
        }
    };
    notice.set_kind(kind);
    notice
}

fn notice_of(notice: &generated::Notice) -> Option<Noticed> {
    let price = notice.price_micros.map(Cpm);
    let kind = match Kind::try_from(notice.kind?).ok()? {
        Kind::Win => NoticeEvent::Win(price),
        Kind::Bill => NoticeEvent::Bill {
            charged: Nanos(notice.charged_nanos?),
            price: price?,
            lsn: notice.journal_lsn.unwrap_or(0),
        },
        Kind::Loss => NoticeEvent::Loss(notice.loss_code.and_then(|code| u16::try_from(code).ok())),
        Kind::Impression => NoticeEvent::Impression,
        Kind::Click => NoticeEvent::Click,
        Kind::Player => NoticeEvent::Player(StreamEvent::named(notice.player_event.as_deref()?)?),
    };
    Some(Noticed {
        kind,
        bid: id_of(notice.bid.as_ref())?,
        exchange: exchange_of(notice.exchange)?,
        line_item: LineItemId(notice.line_item?),
        creative: CreativeId(notice.creative?),
        user: UserKey(notice.user.unwrap_or(0)),
        after_s: notice.after_s.unwrap_or(0),
        min_to_win: notice.min_to_win_micros.map(Cpm),
    })
}
