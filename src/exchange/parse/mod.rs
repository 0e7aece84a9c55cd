//! Bid requests in JSON: one pass over the body, straight into [`Auction`].
//!
//! Invariants:
//! - The whole body is checked against RFC 8259, also where it is ignored; nesting is counted; nothing recurses
//!   over the input's nesting (the calls below follow the fixed shape of a request).
//! - Strings are borrowed from the body; the arena takes lists and strings with escapes. With a warm arena the heap
//!   is not touched.
//! - A list that forbids or restricts is read in full or the request (the impression) has a fault: never in part.
//! - OpenRTB 2.5 and 2.6 locations are joined here; nobody else knows that there were two.
//!
//! How single values are read is said in the `json` module, what is an error and what a fault in [`ParseError`]
//! and below. Deliberately absent: any decision, any default that depends on the exchange, OpenRTB 3.

mod banner;
mod context;
mod deal;
mod device;
mod error;
mod floor;
mod imp;
mod limits;
mod native;
mod regs;
mod stream;
mod user;

pub use error::ParseError;
pub use limits::Limits;

pub(super) use banner::side;
pub(super) use context::{host, taxonomy_of};
pub(super) use device::{is_placeholder, is_usable_ifa};
pub(super) use native::read_native_text;

use super::json::{Reader, Walk};
use super::scan::Read;
use crate::model::auction::{Auction, Channel, Imp, Inventory};
use crate::model::money::Currency;
use crate::model::no_bid::NoBidReason;
use bumpalo::Bump;

/// Reads one bid request (OpenRTB 2.5 and 2.6 in JSON).
///
/// The auction borrows from `body` and `arena`; reset the arena only when the auction is gone. An error is
/// answered with [`ParseError::status`]; what OpenRTB answers with 204 comes back as `fault` of the auction or of
/// an impression.
///
/// A key of money or identity given twice in its object (`id`, `imp`, `at`, `cur`; of an impression `id`,
/// `bidfloor`, `bidfloorcur`; of a deal these and `at`; `mincpmpersec` and `durfloors` wherever they stand, and
/// everything in the latter) is an error, because two readers could take two different ones. Of any other key the
/// last occurrence stands.
///
/// Cost: one pass, about a nanosecond a byte (`cargo bench --bench parse`), no allocation with a warm arena.
pub fn parse<'a>(body: &'a [u8], limits: &Limits, arena: &'a Bump) -> Result<Auction<'a>, ParseError> {
    if body.len() > limits.body {
        return Err(ParseError::TooLarge { bytes: body.len(), limit: limits.body });
    }
    let text = std::str::from_utf8(body)
        .map_err(|e| ParseError::Malformed { offset: e.valid_up_to(), what: "not utf-8" })?;
    let mut reader = Reader::new(text, limits, arena);
    request(&mut reader).map_err(|stop| reader.error(stop))
}

fn request<'a>(r: &mut Reader<'a>) -> Read<Auction<'a>> {
    if matches!(r.peek()?, b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n') {
        r.skip()?;
        r.end()?;
        return Err(r.fail(ParseError::NotAnObject));
    }
    let Some(walk) = r.object()? else { return Err(r.fail(ParseError::NotAnObject)) };
    let mut draft = Draft { auction: Auction { cattax: 1, ..Auction::default() }, ..Draft::default() };
    draft.read(r, walk)?;
    r.end()?;
    draft.finish(r)
}

/// Which of the keys that may come only once have come.
#[derive(Default)]
struct Seen(u8);

impl Seen {
    /// Refuses the second occurrence of the key that has this bit.
    fn once(&mut self, r: &mut Reader<'_>, bit: u8, field: &'static str) -> Read<()> {
        if self.0 & (1 << bit) != 0 {
            return Err(r.fail(ParseError::DuplicateKey { field }));
        }
        self.0 |= 1 << bit;
        Ok(())
    }
}

/// A request of which not every key has been read.
#[derive(Default)]
struct Draft<'a> {
    auction: Auction<'a>,
    seen: Seen,
    wlang: &'a [&'a str],
    wlangb: &'a [&'a str],
    site: Option<Inventory<'a>>,
    app: Option<Inventory<'a>>,
    dooh: Option<Inventory<'a>>,
    openrtb3: bool,
}

impl<'a> Draft<'a> {
    fn read(&mut self, r: &mut Reader<'a>, mut walk: Walk) -> Read<()> {
        while let Some(key) = r.next_key(&mut walk)? {
            let auction = &mut self.auction;
            match key {
                b"id" => {
                    self.seen.once(r, 0, "id")?;
                    auction.id = r.section("id").text()?.unwrap_or_default();
                }
                b"imp" => {
                    self.seen.once(r, 1, "imp")?;
                    auction.imps = imps(r.section("imp"))?;
                }
                b"at" => {
                    self.seen.once(r, 2, "at")?;
                    auction.at = r.int()?;
                }
                b"cur" => {
                    self.seen.once(r, 3, "cur")?;
                    let (codes, given) = r.section("cur").texts_given()?;
                    (auction.cur, auction.cur_given) = (currencies(r, codes), given);
                }
                b"tmax" => auction.tmax_ms = r.positive()?,
                b"test" => auction.test = r.flag()? == Some(true),
                b"allimps" => auction.all_imps = r.flag()? == Some(true),
                b"site" => self.site = context::inventory(r.section("site"))?,
                b"app" => self.app = context::inventory(r.section("app"))?,
                b"dooh" => self.dooh = context::inventory(r.section("dooh"))?,
                b"device" => auction.device = device::device(r.section("device"))?.unwrap_or_default(),
                b"user" => auction.user = user::user(r.section("user"))?.unwrap_or_default(),
                b"regs" => auction.regs = regs::regs(r.section("regs"))?.unwrap_or_default(),
                b"source" => auction.source = regs::source(r.section("source"))?.unwrap_or_default(),
                b"openrtb" => {
                    self.openrtb3 = r.peek()? == b'{';
                    r.skip()?;
                }
                _ => self.read_rule(r, key)?,
            }
        }
        Ok(())
    }

    /// The lists that forbid or restrict, and the taxonomy that they are written in.
    fn read_rule(&mut self, r: &mut Reader<'a>, key: &[u8]) -> Read<()> {
        let auction = &mut self.auction;
        let (array, block_list) = (r.limits.array, r.limits.block_list);
        match key {
            b"wseat" => auction.wseat = r.rule_texts(array)?,
            b"bseat" => auction.bseat = r.rule_texts(array)?,
            b"wlang" => self.wlang = r.rule_texts(array)?,
            b"wlangb" => self.wlangb = r.rule_texts(array)?,
            b"acat" => auction.acat = r.rule_texts(array)?,
            b"bcat" => auction.bcat = r.rule_texts(block_list)?,
            b"badv" => auction.badv = r.rule_texts(block_list)?,
            b"bapp" => auction.bapp = r.rule_texts(block_list)?,
            b"cattax" => auction.cattax = context::taxonomy(r)?,
            _ => r.skip()?,
        }
        Ok(())
    }

    fn finish(self, r: &mut Reader<'a>) -> Read<Auction<'a>> {
        let mut auction = self.auction;
        if self.openrtb3 && (auction.id.is_empty() || auction.imps.is_empty()) {
            return Err(r.fail(ParseError::NotOpenRtb2));
        }
        if auction.id.is_empty() {
            return Err(r.fail(ParseError::MissingId));
        }
        if auction.imps.is_empty() {
            return Err(r.fail(ParseError::MissingImp));
        }
        let contexts = [&self.site, &self.app, &self.dooh];
        if contexts.into_iter().flatten().count() > 1 || has_duplicate_ids(auction.imps) {
            r.note(NoBidReason::InvalidRequest);
        }
        auction.channel = match (self.site, self.app, self.dooh) {
            (Some(site), _, _) => Channel::Site(site),
            (_, Some(app), _) => Channel::App(app),
            (_, _, Some(dooh)) => Channel::Dooh(dooh),
            _ => Channel::Unknown,
        };
        auction.wlang = r.concat(&[self.wlang, self.wlangb]);
        auction.fault = r.fault;
        Ok(auction)
    }
}

/// `imp`: every entry is an impression, also one that is unreadable, so that none is silently lost.
fn imps<'a>(r: &mut Reader<'a>) -> Read<&'a [Imp<'a>]> {
    let mut imps = r.vec();
    let Some(mut walk) = r.array()? else { return Ok(&[]) };
    while r.next_item(&mut walk)? {
        if imps.len() == r.limits.imps {
            let limit = r.limits.imps;
            return Err(r.fail(ParseError::LimitExceeded { field: "imp", what: "array", limit }));
        }
        imps.push(imp::imp(r)?);
    }
    Ok(imps.into_bump_slice())
}

fn currencies<'a>(r: &Reader<'a>, codes: &[&str]) -> &'a [Currency] {
    let mut known = r.vec();
    known.extend(codes.iter().filter_map(|code| Currency::parse(code.trim())));
    known.into_bump_slice()
}

/// Whether two impressions have one id. There are few: a comparison of all pairs needs no memory.
pub(super) fn has_duplicate_ids(imps: &[Imp<'_>]) -> bool {
    imps.iter().enumerate().any(|(at, imp)| !imp.id.is_empty() && imps[..at].iter().any(|o| o.id == imp.id))
}
