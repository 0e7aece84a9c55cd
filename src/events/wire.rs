//! Records as bytes: [`Event`] ↔ `proto/events.proto`, each with its length before it.
//!
//! Bids and no-bids, nearly all records there are, go field by field between their plain values and the bytes (Protocol
//! Buffers, "Encoding"). [`message`] does the same by way of generated messages, for the other kinds and for whatever this
//! program does not write itself: fields that come twice or that it does not know, fields that are missing, damage.
//!
//! Invariants: both ways write the same bytes; what is read here reads `message` alike, and only what is not read here is
//! asked of it.

use super::fields::{Fields, Rest, with_length};
use super::message::{self, CHANNELS, MEDIA};
use crate::model::auction::Size;
use crate::model::country::Country;
use crate::model::event::{BidMade, Event, Evidence, Features, NoBid, Place, What};
use crate::model::ids::{BidId, CampaignId, CreativeId, ExchangeId, LineItemId, UserKey};
use crate::model::money::Currency;
use crate::model::no_bid::NoBidReason;

/// Longest record of those written here, without what stands before its own fields.
const LONGEST: usize = 512;
const _: () = assert!(LONGEST > 200 + Features::MAX * 4);
/// Longest head of a record: its length, its time, the kind and the length of what happened.
const LONGEST_HEAD: usize = 32;

mod event {
    use crate::events::fields::{LENGTH, VARINT, key};
    pub(super) const AT_MS: u32 = key(1, VARINT);
    pub(super) const BID: u32 = key(2, LENGTH);
    pub(super) const NO_BID: u32 = key(3, LENGTH);
}

mod bid_id {
    use crate::events::fields::{VARINT, key};
    pub(super) const EPOCH: u32 = key(1, VARINT);
    pub(super) const CORE: u32 = key(2, VARINT);
    pub(super) const SEQUENCE: u32 = key(3, VARINT);
}

mod bid {
    use crate::events::fields::{FIXED64, LENGTH, VARINT, key};
    pub(super) const ID: u32 = key(1, LENGTH);
    pub(super) const EXCHANGE: u32 = key(2, VARINT);
    pub(super) const CAMPAIGN: u32 = key(3, VARINT);
    pub(super) const LINE_ITEM: u32 = key(4, VARINT);
    pub(super) const CREATIVE: u32 = key(5, VARINT);
    pub(super) const PRICE_MICROS: u32 = key(6, VARINT);
    pub(super) const CURRENCY: u32 = key(7, LENGTH);
    pub(super) const MULTIPLIER_PPM: u32 = key(8, VARINT);
    pub(super) const USER: u32 = key(9, FIXED64);
    pub(super) const MEDIA_TYPE: u32 = key(10, VARINT);
    pub(super) const WIDTH: u32 = key(11, VARINT);
    pub(super) const HEIGHT: u32 = key(12, VARINT);
    pub(super) const DURATION_S: u32 = key(13, VARINT);
    pub(super) const DEAL: u32 = key(14, VARINT);
    pub(super) const TEST: u32 = key(15, VARINT);
    pub(super) const PLACE: u32 = key(16, LENGTH);
    pub(super) const WORTH_MICROS: u32 = key(17, VARINT);
    pub(super) const BASE_PRICE_MICROS: u32 = key(18, VARINT);
    pub(super) const FIRST_PRICE: u32 = key(19, VARINT);
    pub(super) const PROPENSITY_PPB: u32 = key(20, VARINT);
    pub(super) const MARKET: u32 = key(21, FIXED64);
    pub(super) const CLICK_PPB: u32 = key(22, VARINT);
    pub(super) const CONVERSION_PPB: u32 = key(23, VARINT);
    pub(super) const LIFE_S: u32 = key(24, VARINT);
    pub(super) const FEATURES: u32 = key(25, LENGTH);
}

mod place {
    use crate::events::fields::{FIXED64, LENGTH, VARINT, key};
    pub(super) const CHANNEL: u32 = key(1, VARINT);
    pub(super) const INVENTORY: u32 = key(2, FIXED64);
    pub(super) const COUNTRY: u32 = key(3, LENGTH);
    pub(super) const DEVICE_TYPE: u32 = key(4, VARINT);
}

mod no_bid {
    use crate::events::fields::{LENGTH, VARINT, key};
    pub(super) const EXCHANGE: u32 = key(1, VARINT);
    pub(super) const REASON: u32 = key(2, LENGTH);
    pub(super) const PLACE: u32 = key(3, LENGTH);
}

/// Appends a record of `user`, whom the event itself may name otherwise.
pub(super) fn write(event: &Event, user: UserKey, out: &mut Vec<u8>) {
    let mut fields = Fields::<LONGEST>::new();
    let kind = match &event.what {
        What::Bid(bid) => {
            write_bid(&mut fields, bid, user);
            event::BID
        }
        What::NoBid(no_bid) => {
            write_no_bid(&mut fields, no_bid);
            event::NO_BID
        }
        What::Notice(_) | What::Conversion(_) => return message::write(event, user, out),
    };
    let mut head = Fields::<LONGEST_HEAD>::new();
    head.number(event::AT_MS, event.at_ms as u64);
    head.key(kind);
    head.varint(fields.as_slice().len() as u64);
    let mut length = Fields::<LONGEST_HEAD>::new();
    length.varint((head.as_slice().len() + fields.as_slice().len()) as u64);
    out.extend_from_slice(length.as_slice());
    out.extend_from_slice(head.as_slice());
    out.extend_from_slice(fields.as_slice());
}

/// Reads the next record of a payload; `None` where the bytes are no record, inside `None` where it is of a kind that a
/// later version wrote.
pub(super) fn read(payload: &mut &[u8]) -> Option<Option<Event>> {
    let plain = with_length(payload).and_then(|(record, rest)| Some((read_event(record)?, rest)));
    let Some((event, rest)) = plain else { return message::read(payload) };
    *payload = rest;
    Some(Some(event))
}

fn write_bid(out: &mut Fields<LONGEST>, bid: &BidMade, user: UserKey) {
    let evidence = &bid.evidence;
    out.message(bid::ID, |out| {
        out.number(bid_id::EPOCH, bid.id.epoch.into());
        out.number(bid_id::CORE, bid.id.core.into());
        out.number(bid_id::SEQUENCE, bid.id.sequence);
    });
    out.number(bid::EXCHANGE, bid.exchange.0.into());
    out.number(bid::CAMPAIGN, bid.campaign.0.into());
    out.number(bid::LINE_ITEM, bid.line_item.0.into());
    out.number(bid::CREATIVE, bid.creative.0.into());
    out.number(bid::PRICE_MICROS, bid.price.0 as u64);
    out.letters(bid::CURRENCY, bid.currency.bytes());
    out.number(bid::MULTIPLIER_PPM, bid.multiplier_ppm as u64);
    if user.0 != 0 {
        out.fixed64(bid::USER, user.0);
    }
    out.number(bid::MEDIA_TYPE, bid.media as u64);
    if let Some(size) = bid.size {
        out.number(bid::WIDTH, size.w.into());
        out.number(bid::HEIGHT, size.h.into());
    }
    out.positive(bid::DURATION_S, bid.duration_s);
    out.number(bid::DEAL, bid.deal.into());
    out.number(bid::TEST, bid.test.into());
    out.message(bid::PLACE, |out| write_place(out, &bid.place));
    out.number(bid::WORTH_MICROS, evidence.worth.0 as u64);
    out.number(bid::BASE_PRICE_MICROS, evidence.base_price.0 as u64);
    out.number(bid::FIRST_PRICE, evidence.first_price.into());
    out.positive(bid::PROPENSITY_PPB, evidence.propensity_ppb);
    out.fixed64(bid::MARKET, evidence.market);
    out.positive(bid::CLICK_PPB, evidence.click_ppb);
    out.positive(bid::CONVERSION_PPB, evidence.conversion_ppb);
    out.positive(bid::LIFE_S, evidence.life_s);
    let features = evidence.features.as_slice();
    if !features.is_empty() {
        out.key(bid::FEATURES);
        out.varint(size_of_val(features) as u64);
        out.fixed32s(features);
    }
}

fn write_no_bid(out: &mut Fields<LONGEST>, no_bid: &NoBid) {
    out.number(no_bid::EXCHANGE, no_bid.exchange.0.into());
    out.text(no_bid::REASON, no_bid.reason.as_str());
    out.message(no_bid::PLACE, |out| write_place(out, &no_bid.place));
}

fn write_place(out: &mut Fields<LONGEST>, place: &Place) {
    if let Some(at) = place.channel.and_then(|kind| CHANNELS.iter().position(|known| *known == kind)) {
        out.number(place::CHANNEL, at as u64 + 1);
    }
    if place.inventory != 0 {
        out.fixed64(place::INVENTORY, place.inventory);
    }
    if let Some(country) = place.country {
        out.letters(place::COUNTRY, country.alpha2());
    }
    if let Some(device_type) = place.device_type {
        out.number(place::DEVICE_TYPE, device_type.into());
    }
}

fn read_event(bytes: &[u8]) -> Option<Event> {
    let mut rest = Rest(bytes);
    let at_ms = rest.number(event::AT_MS).unwrap_or(0) as i64;
    let what = match rest.bytes(event::BID) {
        Some(bid) => What::Bid(read_bid(bid)?),
        None => What::NoBid(read_no_bid(rest.bytes(event::NO_BID)?)?),
    };
    rest.is_read().then_some(Event { at_ms, what })
}

fn read_bid(bytes: &[u8]) -> Option<BidMade> {
    let mut rest = Rest(bytes);
    let id = read_id(rest.bytes(bid::ID)?)?;
    let exchange = ExchangeId(u16::try_from(rest.uint32(bid::EXCHANGE)?).ok()?);
    let campaign = CampaignId(rest.uint32(bid::CAMPAIGN)?);
    let line_item = LineItemId(rest.uint32(bid::LINE_ITEM)?);
    let creative = CreativeId(rest.uint32(bid::CREATIVE)?);
    let price = rest.cpm(bid::PRICE_MICROS)?;
    let currency = Currency::from_bytes(rest.bytes(bid::CURRENCY)?.try_into().ok()?)?;
    let multiplier_ppm = rest.number(bid::MULTIPLIER_PPM)? as i64;
    let user = UserKey(rest.fixed64(bid::USER).unwrap_or(0));
    let media = rest.uint32(bid::MEDIA_TYPE)?;
    let side = |pixels: u32| u16::try_from(pixels).ok();
    let (width, height) = (rest.uint32(bid::WIDTH), rest.uint32(bid::HEIGHT));
    let bid = BidMade {
        id,
        exchange,
        campaign,
        line_item,
        creative,
        price,
        currency,
        multiplier_ppm,
        user,
        media: MEDIA.into_iter().find(|known| *known as u32 == media)?,
        size: width.and_then(side).zip(height.and_then(side)).map(|(w, h)| Size { w, h }),
        duration_s: rest.uint32(bid::DURATION_S).unwrap_or(0),
        deal: rest.flag(bid::DEAL),
        test: rest.flag(bid::TEST),
        place: read_place(rest.bytes(bid::PLACE))?,
        evidence: Evidence {
            worth: rest.cpm(bid::WORTH_MICROS).unwrap_or_default(),
            base_price: rest.cpm(bid::BASE_PRICE_MICROS).unwrap_or_default(),
            first_price: rest.flag(bid::FIRST_PRICE),
            propensity_ppb: rest.uint32(bid::PROPENSITY_PPB).unwrap_or(0),
            market: rest.fixed64(bid::MARKET).unwrap_or(0),
            click_ppb: rest.uint32(bid::CLICK_PPB).unwrap_or(0),
            conversion_ppb: rest.uint32(bid::CONVERSION_PPB).unwrap_or(0),
            life_s: rest.uint32(bid::LIFE_S).unwrap_or(0),
            features: read_features(rest.bytes(bid::FEATURES))?,
        },
    };
    rest.is_read().then_some(bid)
}

fn read_id(bytes: &[u8]) -> Option<BidId> {
    let mut rest = Rest(bytes);
    let epoch = rest.uint32(bid_id::EPOCH)?;
    let core = u16::try_from(rest.uint32(bid_id::CORE)?).ok()?;
    let sequence = rest.number(bid_id::SEQUENCE)?;
    rest.is_read().then_some(BidId { epoch, core, sequence })
}

fn read_features(bytes: Option<&[u8]>) -> Option<Features> {
    let bytes = bytes.unwrap_or_default();
    bytes.len().is_multiple_of(size_of::<u32>()).then(|| Features::from_le_bytes(bytes))
}

fn read_place(bytes: Option<&[u8]>) -> Option<Place> {
    let mut rest = Rest(bytes.unwrap_or_default());
    let channel = |number: u32| CHANNELS.get((number as usize).checked_sub(1)?).copied();
    let place = Place {
        channel: rest.uint32(place::CHANNEL).and_then(channel),
        inventory: rest.fixed64(place::INVENTORY).unwrap_or(0),
        country: match rest.bytes(place::COUNTRY) {
            Some(code) => Some(Country::from_alpha2(code.try_into().ok()?)?),
            None => None,
        },
        device_type: rest.uint32(place::DEVICE_TYPE).and_then(|number| u8::try_from(number).ok()),
    };
    rest.is_read().then_some(place)
}

fn read_no_bid(bytes: &[u8]) -> Option<NoBid> {
    let mut rest = Rest(bytes);
    let exchange = ExchangeId(u16::try_from(rest.uint32(no_bid::EXCHANGE)?).ok()?);
    let reason = NoBidReason::named(std::str::from_utf8(rest.bytes(no_bid::REASON)?).ok()?)?;
    let place = read_place(rest.bytes(no_bid::PLACE))?;
    rest.is_read().then_some(NoBid { exchange, reason, place })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::fields::{FIXED64, VARINT, varint};
    use crate::model::event::{NoticeEvent, Noticed};
    use crate::model::line_item::ChannelKind;
    use crate::model::money::Cpm;
    use crate::model::targeting::MediaType;
    use proptest::prelude::*;

    /// Numbers of every length.
    fn number() -> impl Strategy<Value = u64> {
        (any::<u64>(), 0..=64u32).prop_map(|(number, bits)| number.checked_shr(bits).unwrap_or(0))
    }

    fn short() -> impl Strategy<Value = u32> {
        number().prop_map(|number| number as u32)
    }

    fn money() -> impl Strategy<Value = Cpm> {
        (number(), any::<bool>()).prop_map(|(number, is_negative)| {
            Cpm(if is_negative { (number as i64).wrapping_neg() } else { number as i64 })
        })
    }

    fn place() -> impl Strategy<Value = Place> {
        let channel = prop::sample::select(vec![
            None,
            Some(ChannelKind::Site),
            Some(ChannelKind::App),
            Some(ChannelKind::Dooh),
        ]);
        let country = prop::option::of(prop::sample::select(Country::all().collect::<Vec<_>>()));
        (channel, number(), country, any::<Option<u8>>()).prop_map(
            |(channel, inventory, country, device_type)| Place { channel, inventory, country, device_type },
        )
    }

    fn evidence() -> impl Strategy<Value = Evidence> {
        let numbers = (money(), money(), any::<bool>(), short(), number(), short(), short(), short());
        (numbers, prop::collection::vec(any::<u32>(), 0..=Features::MAX)).prop_map(|(numbers, features)| {
            let (worth, base_price, first_price, propensity_ppb, market, click_ppb, conversion_ppb, life_s) =
                numbers;
            let features = Features::new(features);
            Evidence {
                worth,
                base_price,
                first_price,
                propensity_ppb,
                market,
                click_ppb,
                conversion_ppb,
                life_s,
                features,
            }
        })
    }

    fn bid() -> impl Strategy<Value = BidMade> {
        let id = (short(), any::<u16>(), number()).prop_map(|(epoch, core, sequence)| BidId {
            epoch,
            core,
            sequence,
        });
        let media = prop::sample::select(MEDIA.to_vec());
        let size = prop::option::of(any::<(u16, u16)>());
        let currency = prop::sample::select(vec!["USD", "EUR", "JPY"]);
        let whose = (id, any::<u16>(), short(), short(), short(), number());
        let what = (media, size, short(), any::<(bool, bool)>());
        (whose, what, (money(), currency, money()), place(), evidence()).prop_map(
            |(whose, (media, size, duration_s, (deal, test)), money, place, evidence)| BidMade {
                id: whose.0,
                exchange: ExchangeId(whose.1),
                campaign: CampaignId(whose.2),
                line_item: LineItemId(whose.3),
                creative: CreativeId(whose.4),
                price: money.0,
                currency: Currency::parse(money.1).unwrap(),
                multiplier_ppm: money.2.0,
                user: UserKey(whose.5),
                media,
                size: size.map(|(w, h)| Size { w, h }),
                duration_s,
                deal,
                test,
                place,
                evidence,
            },
        )
    }

    fn event() -> impl Strategy<Value = Event> {
        let reason = prop::sample::select(NoBidReason::ALL.to_vec());
        let no_bid = (any::<u16>(), reason, place()).prop_map(|(exchange, reason, place)| {
            What::NoBid(NoBid { exchange: ExchangeId(exchange), reason, place })
        });
        (money(), prop_oneof![3 => bid().prop_map(What::Bid), 1 => no_bid])
            .prop_map(|(at_ms, what)| Event { at_ms: at_ms.0, what })
    }

    fn written(event: &Event) -> Vec<u8> {
        let mut bytes = Vec::new();
        write(event, event.what.user(), &mut bytes);
        bytes
    }

    /// What both ways read of a record, which is the same, and how much they leave.
    fn read_both_ways(record: &[u8]) -> Option<Option<Event>> {
        let (mut here, mut there) = (record, record);
        let (read_here, read_there) = (read(&mut here), message::read(&mut there));
        assert_eq!(read_here, read_there, "{record:02x?}");
        assert!(read_here.is_none() || here == there, "{record:02x?}");
        read_here
    }

    /// The fields of a message, each with its key.
    fn fields(mut bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        while let Some((key, value)) = varint(bytes) {
            let rest = match key as u32 & 7 {
                VARINT => varint(value).unwrap().1,
                FIXED64 => &value[8..],
                _ => with_length(value).unwrap().1,
            };
            all.push(bytes[..bytes.len() - rest.len()].to_vec());
            bytes = rest;
        }
        all
    }

    /// The bytes with their length in front, and a key before that.
    fn with_key(key: &[u8], bytes: &[u8]) -> Vec<u8> {
        let mut length = Fields::<LONGEST_HEAD>::new();
        length.varint(bytes.len() as u64);
        [key, length.as_slice(), bytes].concat()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

        #[test]
        fn both_ways_write_the_same_bytes_and_read_them(event in event(), user in number()) {
            let (mut here, mut there) = (vec![7], vec![7]);
            write(&event, UserKey(user), &mut here);
            message::write(&event, UserKey(user), &mut there);
            prop_assert_eq!(&here, &there);
            let record = written(&event);
            prop_assert_eq!(read_both_ways(&record), Some(Some(event)));
            let (fields, _) = with_length(&record).unwrap();
            prop_assert_eq!(read_event(fields), Some(event), "by hand");
        }

        #[test]
        fn fields_that_are_missing_or_twice_or_elsewhere_or_unknown_are_read_alike(
            event in event(),
            changes in prop::collection::vec((any::<prop::sample::Index>(), 0..4u8), 0..6),
        ) {
            let record = written(&event);
            let [at_ms, what] = &fields(with_length(&record).unwrap().0)[..] else { panic!("two fields") };
            let mut inner = fields(with_length(&what[1..]).unwrap().0);
            for (at, change) in changes {
                let at = at.index(inner.len().max(1));
                match change {
                    0 if inner.len() > 1 => drop(inner.remove(at)),
                    1 => inner.insert(at, inner[at].clone()),
                    2 => inner.swap(0, at),
                    _ => inner.insert(at, vec![0xf8, 0x07, 0x05]),
                }
            }
            let what = with_key(&what[..1], &inner.concat());
            read_both_ways(&with_key(&[], &[&at_ms[..], &what].concat()));
            read_both_ways(&with_key(&[], &[&what[..], at_ms].concat()));
            read_both_ways(&with_key(&[], &[&what[..], &what].concat()));
            read_both_ways(&with_key(&[], &what));
        }

        #[test]
        fn damage_is_read_alike(
            event in event(),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
            end in any::<prop::sample::Index>(),
        ) {
            let record = written(&event);
            read_both_ways(&record[..end.index(record.len())]);
            let mut changed = record;
            for (at, byte) in changes {
                let at = at.index(changed.len());
                changed[at] = byte;
            }
            read_both_ways(&changed);
        }

        #[test]
        fn any_bytes_are_read_alike(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            read_both_ways(&bytes);
            read_both_ways(&with_key(&[], &with_key(&[event::BID as u8], &bytes)));
        }
    }

    #[test]
    fn the_longest_record_has_room() {
        let place = Place {
            channel: Some(ChannelKind::Dooh),
            inventory: u64::MAX,
            country: Country::parse("DE"),
            device_type: Some(u8::MAX),
        };
        let bid = BidMade {
            id: BidId { epoch: u32::MAX, core: u16::MAX, sequence: u64::MAX },
            exchange: ExchangeId(u16::MAX),
            campaign: CampaignId(u32::MAX),
            line_item: LineItemId(u32::MAX),
            creative: CreativeId(u32::MAX),
            price: Cpm(-1),
            currency: Currency::USD,
            multiplier_ppm: -1,
            user: UserKey(u64::MAX),
            media: MediaType::Native,
            size: Some(Size { w: u16::MAX, h: u16::MAX }),
            duration_s: u32::MAX,
            deal: true,
            test: true,
            place,
            evidence: Evidence {
                worth: Cpm(-1),
                base_price: Cpm(-1),
                first_price: true,
                propensity_ppb: u32::MAX,
                market: u64::MAX,
                click_ppb: u32::MAX,
                conversion_ppb: u32::MAX,
                life_s: u32::MAX,
                features: Features::new([u32::MAX; Features::MAX]),
            },
        };
        let event = Event { at_ms: -1, what: What::Bid(bid) };
        assert_eq!(read_both_ways(&written(&event)), Some(Some(event)));
        let click = Noticed {
            kind: NoticeEvent::Click,
            bid: bid.id,
            exchange: bid.exchange,
            line_item: bid.line_item,
            creative: bid.creative,
            user: bid.user,
            after_s: 1,
            min_to_win: None,
        };
        let event = Event { at_ms: 1, what: What::Notice(click) };
        assert_eq!(read_both_ways(&written(&event)), Some(Some(event)), "other kinds take the other way");
    }
}
