//! The event log: what is written is read, whatever happens to the files, and what happens is written.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod bills;
mod crashes;
mod log;
mod served;

pub(crate) use served::event_log;

use outbid::events::{EventReader, Item, Retention};
use outbid::model::auction::Size;
use outbid::model::country::Country;
use outbid::model::creative::StreamEvent;
use outbid::model::event::{BidMade, Event, Evidence, Features, NoBid, NoticeEvent, Noticed, Place, What};
use outbid::model::ids::{BidId, CampaignId, CreativeId, ExchangeId, LineItemId, UserKey};
use outbid::model::line_item::ChannelKind;
use outbid::model::money::{Cpm, Currency, Nanos};
use outbid::model::no_bid::NoBidReason;
use outbid::model::targeting::MediaType;
use proptest::prelude::*;
use std::path::Path;

/// Segments of 64 KiB, all of them kept.
const KEEP_ALL: Retention = Retention { segment_bytes: 65_536, keep_bytes: u64::MAX, keep_ms: i64::MAX };

/// A short record, told apart by its number.
fn click(number: u64) -> Event {
    let kind = NoticeEvent::Click;
    Event { at_ms: number as i64, what: What::Notice(noticed(kind, number)) }
}

fn noticed(kind: NoticeEvent, sequence: u64) -> Noticed {
    Noticed {
        kind,
        bid: BidId { epoch: 3, core: 1, sequence },
        exchange: ExchangeId(7),
        line_item: LineItemId(8),
        creative: CreativeId(9),
        user: UserKey(sequence % 2),
        after_s: 4,
        min_to_win: None,
    }
}

/// Everything that is there now.
fn read(dir: &Path, from: u64) -> Vec<Item> {
    let mut reader = EventReader::open(dir, from);
    std::iter::from_fn(|| reader.next().unwrap()).collect()
}

/// The numbers of the records that are there, which must be those of [`click`].
fn numbers(dir: &Path) -> Vec<u64> {
    let number = |item: Item| match item {
        Item::Event(number, event) => {
            assert_eq!(event, click(number));
            Some(number)
        }
        Item::Gap(..) | Item::Damaged { .. } => None,
    };
    read(dir, 1).into_iter().filter_map(number).collect()
}

fn place() -> impl Strategy<Value = Place> {
    let channel = prop_oneof![
        Just(None),
        Just(Some(ChannelKind::Site)),
        Just(Some(ChannelKind::App)),
        Just(Some(ChannelKind::Dooh))
    ];
    let country = prop::option::of(prop::sample::select(Country::all().collect::<Vec<_>>()));
    (channel, any::<u64>(), country, any::<Option<u8>>()).prop_map(
        |(channel, inventory, country, device_type)| Place { channel, inventory, country, device_type },
    )
}

fn bid_id() -> impl Strategy<Value = BidId> {
    (any::<u32>(), any::<u16>(), any::<u64>()).prop_map(|(epoch, core, sequence)| BidId {
        epoch,
        core,
        sequence,
    })
}

fn bid() -> impl Strategy<Value = What> {
    let media =
        prop::sample::select(vec![MediaType::Banner, MediaType::Video, MediaType::Audio, MediaType::Native]);
    let size = prop::option::of((any::<u16>(), any::<u16>()).prop_map(|(w, h)| Size { w, h }));
    let ids = (any::<u16>(), any::<u32>(), any::<u32>(), any::<u32>());
    let money = (any::<i64>(), prop::sample::select(vec!["USD", "EUR"]), any::<i64>());
    let user = (any::<u64>(), evidence());
    (bid_id(), ids, money, user, (media, size, any::<u32>()), any::<(bool, bool)>(), place()).prop_map(
        |(id, ids, money, (user, evidence), (media, size, duration_s), (deal, test), place)| {
            What::Bid(BidMade {
                id,
                exchange: ExchangeId(ids.0),
                campaign: CampaignId(ids.1),
                line_item: LineItemId(ids.2),
                creative: CreativeId(ids.3),
                price: Cpm(money.0),
                currency: Currency::parse(money.1).unwrap(),
                multiplier_ppm: money.2,
                user: UserKey(user),
                media,
                size,
                duration_s,
                deal,
                test,
                place,
                evidence,
            })
        },
    )
}

fn evidence() -> impl Strategy<Value = Evidence> {
    let numbers = any::<(i64, i64, bool, u32, u64, u32, u32, u32)>();
    let features = prop::collection::vec(any::<u32>(), 0..=Features::MAX);
    (numbers, features).prop_map(|(numbers, features)| {
        let (worth, base_price, first_price, propensity_ppb, market, click_ppb, conversion_ppb, life_s) =
            numbers;
        Evidence {
            worth: Cpm(worth),
            base_price: Cpm(base_price),
            first_price,
            propensity_ppb,
            market,
            click_ppb,
            conversion_ppb,
            life_s,
            features: Features::new(features),
        }
    })
}

fn notice() -> impl Strategy<Value = What> {
    let kind = prop_oneof![
        any::<Option<i64>>().prop_map(|price| NoticeEvent::Win(price.map(Cpm))),
        any::<(i64, i64, u64)>().prop_map(|(charged, price, lsn)| NoticeEvent::Bill {
            charged: Nanos(charged),
            price: Cpm(price),
            lsn
        }),
        any::<Option<u16>>().prop_map(NoticeEvent::Loss),
        Just(NoticeEvent::Impression),
        Just(NoticeEvent::Click),
        prop::sample::select(StreamEvent::ALL.to_vec()).prop_map(NoticeEvent::Player),
    ];
    (kind, any::<u64>(), any::<Option<i64>>()).prop_map(|(kind, sequence, price)| {
        What::Notice(Noticed { min_to_win: price.map(Cpm), ..noticed(kind, sequence) })
    })
}

/// Any record.
fn event() -> impl Strategy<Value = Event> {
    let reason = prop::sample::select(NoBidReason::ALL.to_vec());
    let no_bid = (any::<u16>(), reason, place()).prop_map(|(exchange, reason, place)| {
        What::NoBid(NoBid { exchange: ExchangeId(exchange), reason, place })
    });
    (any::<i64>(), prop_oneof![bid(), no_bid, notice()]).prop_map(|(at_ms, what)| Event { at_ms, what })
}
