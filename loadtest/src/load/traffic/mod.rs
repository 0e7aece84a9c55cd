//! Requests ready to be written, each with a place for its `id`.
//!
//! Invariant: no two requests of a run carry the same `id`, however often the bodies go round: the id is written over
//! in the prepared bytes just before they are sent, at the same length. In a compressed body the id stands in a block
//! that is stored, not deflated (RFC 1951 section 3.2.4), and the checksum behind it is put together from its parts.

pub(crate) mod media;
mod proto;
mod shape;
pub(crate) mod source;

use crate::market::dice::splitmix64;
use anyhow::ensure;
use std::io::Write;

/// Characters of an `id`: eight that name the run, sixteen that count.
pub(crate) const ID_LENGTH: usize = 24;

/// An `id` as it is written.
pub(crate) type Id = [u8; ID_LENGTH];

/// A body before it is prepared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Body {
    /// As it is before compression; JSON or protobuf.
    pub(crate) bytes: Vec<u8>,
    /// Where the `id` stands in it.
    pub(crate) id_at: usize,
    /// Whether it is protobuf.
    pub(crate) is_protobuf: bool,
    /// Whether it is sent compressed.
    pub(crate) is_gzip: bool,
    /// The exchange's time for it in milliseconds.
    pub(crate) tmax_ms: u32,
}

/// A request, ready to be written.
#[derive(Debug)]
struct Prepared {
    bytes: Box<[u8]>,
    id_at: usize,
    checksum: Option<Checksum>,
    is_protobuf: bool,
    tmax_ms: u32,
}

/// What it takes to correct the checksum of a compressed body after its id was changed.
#[derive(Debug)]
struct Checksum {
    /// What stands before the id in the uncompressed body.
    before: usize,
    /// Of everything behind the id.
    rest: flate2::Crc,
    /// Where it is written, little-endian.
    at: usize,
}

/// All requests of a run, which are sent round and round.
#[derive(Debug)]
pub(crate) struct Traffic {
    requests: Vec<Prepared>,
    /// Names the run in every id.
    run: u32,
    issued: u64,
}

/// What is known of a request when it is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Issued {
    /// Which body.
    pub(crate) body: u32,
    /// Its id.
    pub(crate) id: Id,
    /// Whether it is protobuf.
    pub(crate) is_protobuf: bool,
    /// The exchange's time for it.
    pub(crate) tmax_ns: u64,
}

impl Traffic {
    /// Requests for `path`; `run` must differ from that of other runs against the same server.
    pub(crate) fn new(path: &str, bodies: &[Body], run: u32) -> anyhow::Result<Traffic> {
        ensure!(!bodies.is_empty(), "there is nothing to send");
        let requests = bodies.iter().map(|body| Prepared::new(path, body)).collect();
        Ok(Traffic { requests, run, issued: 0 })
    }

    /// The next request with an id of its own.
    pub(crate) fn issue(&mut self) -> (Issued, &[u8]) {
        let body = (self.issued % self.requests.len() as u64) as usize;
        let id = id(self.run, self.issued);
        self.issued += 1;
        let request = &mut self.requests[body];
        request.set_id(&id);
        let issued = Issued {
            body: body as u32,
            id,
            is_protobuf: request.is_protobuf,
            tmax_ns: u64::from(request.tmax_ms) * 1_000_000,
        };
        (issued, &request.bytes)
    }

    /// The bytes of the request that was issued last; for whoever compares.
    #[cfg(test)]
    fn last(&self) -> &[u8] {
        &self.requests[((self.issued - 1) % self.requests.len() as u64) as usize].bytes
    }
}

/// The id of request `number` of a run. Mixed, because exchanges' ids do not count up; the mixing loses nothing.
fn id(run: u32, number: u64) -> Id {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    let mut id = [0; ID_LENGTH];
    let (head, tail) = id.split_at_mut(8);
    let mixed = splitmix64(number);
    head.iter_mut().enumerate().for_each(|(at, out)| *out = DIGITS[(run >> (28 - 4 * at)) as usize & 15]);
    tail.iter_mut().enumerate().for_each(|(at, out)| *out = DIGITS[(mixed >> (60 - 4 * at)) as usize & 15]);
    id
}

/// An id as text.
pub(crate) fn text(id: &Id) -> &str {
    std::str::from_utf8(id).unwrap_or_default()
}

impl Prepared {
    fn new(path: &str, body: &Body) -> Prepared {
        let (payload, id_at, rest) = if body.is_gzip {
            let (payload, id_at, rest) = gzip(body);
            (payload, id_at, Some(rest))
        } else {
            (body.bytes.clone(), body.id_at, None)
        };
        let kind = if body.is_protobuf { "application/x-protobuf" } else { "application/json" };
        let encoding = if body.is_gzip { "content-encoding: gzip\r\naccept-encoding: gzip\r\n" } else { "" };
        let mut bytes = format!(
            "POST {path} HTTP/1.1\r\nhost: bid.outbid.example\r\ncontent-type: {kind}\r\n\
             x-openrtb-version: 2.6\r\naccept: {kind}\r\n{encoding}content-length: {}\r\n\r\n",
            payload.len()
        )
        .into_bytes();
        let head = bytes.len();
        bytes.extend_from_slice(&payload);
        let at = bytes.len() - 8;
        Prepared {
            checksum: rest.map(|rest| Checksum { before: body.id_at, rest, at }),
            bytes: bytes.into(),
            id_at: head + id_at,
            is_protobuf: body.is_protobuf,
            tmax_ms: body.tmax_ms,
        }
    }

    fn set_id(&mut self, id: &Id) {
        self.bytes[self.id_at..self.id_at + ID_LENGTH].copy_from_slice(id);
        if let Some(checksum) = &self.checksum {
            let mut crc = flate2::Crc::new();
            crc.update(&self.bytes[self.id_at - checksum.before..self.id_at + ID_LENGTH]);
            crc.combine(&checksum.rest);
            self.bytes[checksum.at..checksum.at + 4].copy_from_slice(&crc.sum().to_le_bytes());
        }
    }
}

/// A gzip member (RFC 1952) with everything up to the end of the id in a stored block and the rest deflated, so that
/// nothing refers back to the id; where the id stands in it; the checksum of the rest.
fn gzip(body: &Body) -> (Vec<u8>, usize, flate2::Crc) {
    let (stored, rest) = body.bytes.split_at(body.id_at + ID_LENGTH);
    // Magic, deflate, no flags, no time, no hint, unknown system; then a stored block that is not the last.
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 0];
    let length = stored.len() as u16;
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&(!length).to_le_bytes());
    let id_at = out.len() + body.id_at;
    out.extend_from_slice(stored);
    let mut encoder = flate2::write::DeflateEncoder::new(&mut out, flate2::Compression::default());
    let written = encoder.write_all(rest).and_then(|()| encoder.finish().map(drop));
    debug_assert!(written.is_ok(), "a vector takes every byte");
    let mut crc = flate2::Crc::new();
    crc.update(rest);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&(body.bytes.len() as u32).to_le_bytes());
    (out, id_at, crc)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::io::Read;

    fn body(before: &str, is_gzip: bool) -> Body {
        let rest = format!(r#"","imp":[{{"id":"1"}}],"text":"{}"}}"#, "again and ".repeat(90));
        let bytes = format!("{before}{}{rest}", "0".repeat(ID_LENGTH)).into_bytes();
        Body { bytes, id_at: before.len(), is_protobuf: false, is_gzip, tmax_ms: 120 }
    }

    fn payload(request: &[u8]) -> &[u8] {
        let at = request.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
        let length = String::from_utf8_lossy(&request[..at]);
        let length = length.split("content-length: ").nth(1).unwrap().lines().next().unwrap();
        assert_eq!(length.parse::<usize>().unwrap(), request.len() - at);
        &request[at..]
    }

    #[test]
    fn ids_never_come_again_and_change_nothing_else() {
        let bodies = [body("{\"id\":\"", false), body("{\"at\":1,\"id\":\"", false)];
        let mut traffic = Traffic::new("/x", &bodies, 0xabcd_0123).unwrap();
        let mut ids = HashSet::new();
        for number in 0..1_000usize {
            let (issued, bytes) = traffic.issue();
            let sent: serde_json::Value = serde_json::from_slice(payload(bytes)).unwrap();
            assert_eq!(sent["id"], text(&issued.id));
            assert_eq!((issued.body as usize, sent["imp"][0]["id"].as_str()), (number % 2, Some("1")));
            assert!(text(&issued.id).starts_with("abcd0123"));
            assert!(ids.insert(issued.id));
        }
    }

    #[test]
    fn a_compressed_body_is_whole_after_its_id_was_changed() {
        let mut traffic =
            Traffic::new("/x", &[body("{\"id\":\"", true), body("{ \"id\":\"", true)], 7).unwrap();
        for _ in 0..6 {
            let issued = traffic.issue().0;
            let (mut text_of, bytes) = (String::new(), payload(traffic.last()));
            // It checks the checksum and the length.
            flate2::read::GzDecoder::new(bytes).read_to_string(&mut text_of).unwrap();
            let sent: serde_json::Value = serde_json::from_str(&text_of).unwrap();
            assert_eq!(sent["id"], text(&issued.id));
            assert_eq!(sent["text"].as_str().unwrap().len(), 900);
            assert!(bytes.len() < 300, "{}", bytes.len());
        }
    }
}
