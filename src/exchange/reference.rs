//! The same reading of a request once more, written for plainness: the oracle that the fast reader is tested and
//! measured against. Nothing on the bid path calls it.
//!
//! The grammar is serde_json's: its `RawValue` checks a whole body without building anything. It is used instead
//! of `serde_json::Value` because that would judge differently by design: it refuses numbers such as `1e400` and
//! lone surrogates also in fields that nobody reads, drops all but the last of repeated keys, and turns prices
//! into floats. A [`Node`] keeps the text of numbers and every occurrence of a key, and knows a string that has no
//! UTF-8 form as unreadable.
//!
//! Fields are looked up by name, one after the other, in a tree. The rules for values are those of the `json`
//! module, said a second time on purpose: share no code with it.

mod context;
mod imp;
mod media;
mod native;
mod node;

use super::parse::{Limits, ParseError};
use crate::model::auction::{Auction, Channel};
use crate::model::money::Currency;
use crate::model::no_bid::NoBidReason;
use bumpalo::Bump;
use node::{Node, Oracle};
use std::collections::HashSet;

/// Reads a bid request as [`parse`](super::parse()) must: accepts and refuses the same bodies and gives the same
/// auction. Of a body with several errors it may report another one.
pub fn parse_reference<'a>(
    body: &'a [u8],
    limits: &Limits,
    arena: &'a Bump,
) -> Result<Auction<'a>, ParseError> {
    if body.len() > limits.body {
        return Err(ParseError::TooLarge { bytes: body.len(), limit: limits.body });
    }
    let request = Node::parse(body, limits)?;
    if !matches!(request, Node::Object(_)) {
        return Err(ParseError::NotAnObject);
    }
    request.refuse_repeated(&["id", "imp", "at", "cur"])?;
    Oracle::new(limits, arena).request(&request)
}

impl<'a> Oracle<'a> {
    fn request(&self, request: &Node) -> Result<Auction<'a>, ParseError> {
        let array = self.limits.array;
        let imps = request.read("imp", |n| self.imps(n))?;
        let (cur, cur_given) = request.read("cur", |n| self.currencies(n))?;
        let mut auction = Auction {
            id: request.read("id", |n| self.text(n))?.unwrap_or(""),
            imps: self.keep(imps),
            at: request.read("at", |n| Ok(self.int(n)))?,
            tmax_ms: request.read("tmax", |n| Ok(self.positive(n)))?,
            test: self.is_set(request, "test"),
            all_imps: self.is_set(request, "allimps"),
            cur,
            cur_given,
            wseat: self.keep(request.read("wseat", |n| self.rule_texts(n, array))?),
            bseat: self.keep(request.read("bseat", |n| self.rule_texts(n, array))?),
            wlang: self.keep(self.joined_rules(request, &["wlang", "wlangb"])?),
            acat: self.keep(request.read("acat", |n| self.rule_texts(n, array))?),
            bcat: self.keep(request.read("bcat", |n| self.rule_texts(n, self.limits.block_list))?),
            cattax: self.taxonomy(request),
            badv: self.keep(request.read("badv", |n| self.rule_texts(n, self.limits.block_list))?),
            bapp: self.keep(request.read("bapp", |n| self.rule_texts(n, self.limits.block_list))?),
            channel: self.channel(request)?,
            device: request.read("device", |n| self.device(n))?,
            user: request.read("user", |n| self.user(n))?,
            regs: request.read("regs", |n| self.regs(n))?,
            source: request.read("source", |n| self.source(n))?,
            fault: None,
        };
        if auction.id.is_empty() || auction.imps.is_empty() {
            return Err(match request.all("openrtb").last() {
                Some(Node::Object(_)) => ParseError::NotOpenRtb2,
                _ if auction.id.is_empty() => ParseError::MissingId,
                _ => ParseError::MissingImp,
            });
        }
        let ids: Vec<&str> = auction.imps.iter().map(|imp| imp.id).filter(|id| !id.is_empty()).collect();
        if ids.iter().collect::<HashSet<_>>().len() < ids.len() {
            self.note(NoBidReason::InvalidRequest);
        }
        auction.fault = self.fault.get();
        Ok(auction)
    }

    fn currencies(&self, node: &Node) -> Result<(&'a [Currency], bool), ParseError> {
        let given = match node {
            Node::Null => false,
            Node::Array(entries) => !entries.is_empty(),
            Node::Text(Some(text)) => text.split(',').any(|code| !code.trim().is_empty()),
            _ => true,
        };
        let codes = self.texts(node)?;
        Ok((self.keep(codes.iter().filter_map(|code| Currency::parse(code.trim())).collect()), given))
    }

    fn joined_rules(&self, object: &Node, keys: &[&str]) -> Result<Vec<&'a str>, ParseError> {
        let mut all = Vec::new();
        for key in keys {
            all.extend(object.read(key, |n| self.rule_texts(n, self.limits.array))?);
        }
        Ok(all)
    }

    fn channel(&self, request: &Node) -> Result<Channel<'a>, ParseError> {
        let site = request.read("site", |n| self.inventory(n))?.map(Channel::Site);
        let app = request.read("app", |n| self.inventory(n))?.map(Channel::App);
        let dooh = request.read("dooh", |n| self.inventory(n))?.map(Channel::Dooh);
        let mut given: Vec<Channel<'a>> = [site, app, dooh].into_iter().flatten().collect();
        if given.len() > 1 {
            self.note(NoBidReason::InvalidRequest);
        }
        Ok(if given.is_empty() { Channel::Unknown } else { given.swap_remove(0) })
    }
}
