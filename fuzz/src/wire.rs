//! Readers of what comes over the wire or from the disk.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bumpalo::Bump;
use outbid::budget::journal::{Journal, JournalError, MemoryStorage, Options, dump, verify};
use outbid::budget::record::Event;
use outbid::exchange::price::{self, google};
use outbid::exchange::token::{self, TokenClass, TokenKey, TokenKeys};
use outbid::exchange::url::Notified;
use outbid::exchange::{Limits, parse, parse_protobuf as read_protobuf, parse_reference};
use outbid::model::exchange::{HmacPriceKeys, PriceCodec, PriceUnit};
use outbid::model::ids::{BidId, CreativeId, DealId, ExchangeId, LeaseId, LineItemId, UserKey};
use outbid::model::money::{Cpm, Currency};
use outbid::model::rates::Rate;
use outbid::model::secret::{BlowfishKey, Key256};
use outbid::model::storage::Storage;
use outbid::model::token::{Bucket, TokenClaims};

/// The fast reader and its oracle see the same auction, or refuse with the same status.
pub fn parse_bid_request(data: &[u8]) {
    let (arena, limits) = (Bump::new(), Limits::default());
    let fast = parse(data, &limits, &arena).map(|auction| format!("{auction:?}"));
    let plain = parse_reference(data, &limits, &arena).map(|auction| format!("{auction:?}"));
    assert_eq!(fast.map_err(|why| why.status()), plain.map_err(|why| why.status()));
}

/// A message is read the same twice and within the limits, or refused.
pub fn parse_protobuf(data: &[u8]) {
    let (arena, limits) = (Bump::new(), Limits::default());
    let once = read_protobuf(data, &limits, &arena);
    let twice = read_protobuf(data, &limits, &arena);
    assert_eq!(format!("{once:?}"), format!("{twice:?}"));
    match once {
        Ok(auction) => {
            assert!(!auction.id.is_empty() && !auction.imps.is_empty());
            assert!(auction.imps.len() <= limits.imps && auction.id.len() <= limits.string);
        }
        Err(why) => assert!((400..500).contains(&why.status()), "{why}"),
    }
}

/// A native request in a string never spoils the request around it, and is read as the oracle reads it, also where it
/// is no string.
pub fn native_request(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let string = serde_json::to_string(&text).expect("text is JSON");
    for request in [string.as_str(), &text] {
        parse_bid_request(
            format!(r#"{{"id":"r","imp":[{{"id":"1","native":{{"request":{request}}}}}]}}"#).as_bytes(),
        );
    }
    let body = format!(r#"{{"id":"r","imp":[{{"id":"1","native":{{"request":{string}}}}}]}}"#);
    if text.len() <= Limits::default().native_request && body.len() <= Limits::default().body {
        let arena = Bump::new();
        let read = parse(body.as_bytes(), &Limits::default(), &arena).expect("the request around it is good");
        assert!(read.imps[0].native.iter().all(|native| !native.assets.is_empty()));
    }
}

fn price_keys() -> HmacPriceKeys {
    HmacPriceKeys { encryption: Key256([7; 32]), integrity: Key256([9; 32]), max_age_s: None }
}

/// Codec and unit by the first byte, then the query's value. A price is one that can be charged, and in plain text
/// it is read back; what is sealed opens.
pub fn decode_price(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    let codec = match first & 3 {
        0 => PriceCodec::Plain,
        1 => PriceCodec::GoogleHmacSha1(price_keys()),
        2 => PriceCodec::OpenxCpi(price_keys()),
        _ => PriceCodec::BlowfishEcbHex(BlowfishKey::new(b"fuzzing").expect("7 bytes are a key")),
    };
    let unit = [PriceUnit::Cpm, PriceUnit::CpmMicros, PriceUnit::CpiMicros][usize::from(first >> 2) % 3];
    if let Ok(Notified::Value(found)) =
        price::read(&String::from_utf8_lossy(rest), &codec, unit, 1_790_000_000)
    {
        assert!((0..=Cpm::MAX.0).contains(&found.0), "{found:?}");
        let mut written = Vec::new();
        price::push(found, &mut written);
        let written = String::from_utf8(written).expect("digits");
        let again = price::read(&written, &PriceCodec::Plain, PriceUnit::Cpm, 0);
        assert_eq!(again, Ok(Notified::Value(found)), "{written}");
    }
    if let Some((iv, [micros @ .., _])) =
        rest.split_first_chunk::<16>().map(|(iv, rest)| (iv, rest.first_chunk::<9>().unwrap_or(&[0; 9])))
    {
        let micros = u64::from_le_bytes(*micros);
        let sealed = google::encrypt_price(micros, iv, &price_keys());
        let opened = price::read(&sealed, &PriceCodec::GoogleHmacSha1(price_keys()), PriceUnit::CpmMicros, 0);
        let value = i64::try_from(micros).map(Cpm).ok().filter(|price| *price <= Cpm::MAX);
        assert_eq!(opened.ok(), value.map(Notified::Value));
    }
}

fn token_keys() -> TokenKeys {
    let key = |id: u8| TokenKey { id, secret: [id; 32] };
    TokenKeys::new(&key(1), &[key(2)]).expect("two ids")
}

/// Claims made of any bytes.
fn claims(data: &[u8]) -> TokenClaims {
    let mut left = data.iter().copied().chain(std::iter::repeat(0));
    let mut next = || u64::from_le_bytes(std::array::from_fn(|_| left.next().unwrap_or_default()));
    TokenClaims {
        exchange: ExchangeId(next() as u16),
        bid: BidId { epoch: next() as u32, core: next() as u16, sequence: next() },
        lease: LeaseId(next()),
        bucket: Bucket { class: next() as u16, slot: next() as u32 },
        line_item: LineItemId(next() as u32),
        creative: CreativeId(next() as u32),
        issued_s: next() as u32,
        price: Cpm(next() as i64),
        currency: Currency::USD,
        rate: Rate(next() as i64),
        data_fee: Cpm(next() as i64),
        platform_ppm: next() as u32,
        multiplier_ppm: next() as i64,
        budget_day: next() as u32,
        test: next() & 1 == 1,
        user: UserKey(next()),
        deal: Some(DealId(next() as u32)).filter(|deal| deal.0 != 0),
    }
}

/// A text is a token only if it is the one that signing its claims gives. Claims come back as they were signed, and
/// no byte of a token can be exchanged for one of the input's.
pub fn decode_token(data: &[u8]) {
    let keys = token_keys();
    let text = String::from_utf8_lossy(data);
    if let Ok((read, class)) = token::verify(&text, &keys) {
        // A token of the older key is signed anew by the active one, so that only its claims can be compared.
        let raw = URL_SAFE_NO_PAD.decode(text.as_bytes()).expect("a token is base64");
        let again = token::encode(&read, &keys);
        let again = if class == TokenClass::Server { again.server } else { again.public };
        assert!(raw[1] != 1 || again.as_str() == text, "another text means the same token");
    }
    let signed = claims(data);
    let tokens = token::encode(&signed, &keys);
    for (token, class) in [(tokens.server, TokenClass::Server), (tokens.public, TokenClass::Public)] {
        assert_eq!(token::decode(token.as_str(), class, &keys), Ok(signed));
        let mut changed = token.as_str().as_bytes().to_vec();
        let (at, byte) = (data.len() * 7 % changed.len(), data.last().copied().unwrap_or(b'A') & 0x7f);
        if changed[at] != byte {
            changed[at] = byte;
            let changed = String::from_utf8(changed).expect("ASCII");
            assert!(token::verify(&changed, &keys).is_err(), "byte {at} of a token may be anything");
        }
    }
}

const OPTIONS: Options = Options { segment_bytes: 4_096, spare_segments: 0, emergency_bytes: 0 };

fn open(storage: &MemoryStorage) -> Result<Vec<(u64, Vec<u8>)>, JournalError> {
    Journal::open(Box::new(storage.clone()), OPTIONS).map(|(_, recovered)| recovered.records)
}

/// Even first byte: the rest is a segment as it lies on the disk. Odd: the rest is records, committed, of which one
/// byte is changed afterwards. A journal opens to a part of what was written, in its order, or not at all.
pub fn wal_scan(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    if first & 1 == 0 {
        raw_segment(rest)
    } else {
        changed_records(rest)
    }
    let _ = Event::read(rest).map(|event| {
        let (mut once, mut twice) = (Vec::new(), Vec::new());
        event.clone().write_to(&mut once);
        let again = Event::read(&once).expect("what was written can be read");
        again.write_to(&mut twice);
        assert_eq!(once, twice);
    });
}

fn raw_segment(bytes: &[u8]) {
    let storage = MemoryStorage::new();
    let mut file = storage.create("journal-00000000000000000001.wal", 0).expect("memory has room");
    file.write_at(0, bytes)
        .and_then(|()| file.sync())
        .and_then(|()| storage.sync_dir())
        .expect("memory does not fail");
    let mut seen = 0;
    dump(&storage, |_| seen += 1).expect("memory can be read");
    let verdict = verify(&storage).expect("memory can be read");
    let opened = open(&storage);
    assert_eq!(verdict.opens.is_ok(), opened.is_ok(), "{:?} but {opened:?}", verdict.opens);
    if let Ok(records) = opened {
        assert!(records.len() <= seen);
        assert_eq!(open(&storage).expect("it was mended"), records);
    }
}

fn changed_records(input: &[u8]) {
    let Some((change, input)) = input.split_last_chunk::<3>().map(|(input, change)| (change, input)) else {
        return;
    };
    let storage = MemoryStorage::new();
    let mut written = Vec::new();
    {
        let opened = Journal::open(Box::new(storage.clone()), OPTIONS);
        let (mut journal, _) = opened.expect("an empty directory is a journal");
        for (index, payload) in
            input.split(|byte| *byte == 0xff).filter(|payload| !payload.is_empty()).enumerate()
        {
            written.push((journal.append(payload), payload.to_vec()));
            if index % 3 == 2 {
                journal.commit().expect("memory does not fail");
            }
        }
        journal.commit().expect("memory does not fail");
    }
    assert_eq!(open(&storage).expect("nothing was changed yet"), written);
    let names = storage.list().expect("memory can be read");
    let name = names.iter().filter(|name| name.ends_with(".wal")).min().expect("a journal has a segment");
    storage.tamper(name, |bytes| {
        let at = usize::from(u16::from_le_bytes([change[0], change[1]])) % bytes.len();
        bytes[at] ^= change[2];
    });
    if let Ok(found) = open(&storage) {
        assert!(written.starts_with(&found), "{} of {} records, or changed ones", found.len(), written.len());
    }
}
