//! Impressions, their media and their deals.

use super::{Node, Oracle, ParseError};
use crate::model::auction::{Banner, Deal, Imp, Size};
use crate::model::media::{Native, Stream};
use crate::model::money::{Cpm, Currency, PPM};
use crate::model::no_bid::NoBidReason;

impl<'a> Oracle<'a> {
    pub(super) fn imps(&self, node: &Node) -> Result<Vec<Imp<'a>>, ParseError> {
        let Node::Array(entries) = node else { return Ok(Vec::new()) };
        if entries.len() > self.limits.imps {
            return self.over_limit("array", self.limits.imps).map(|()| Vec::new());
        }
        let request_fault = self.fault.take();
        self.in_imp.set(true);
        let imps = entries.iter().map(|entry| self.imp(entry)).collect();
        self.in_imp.set(false);
        self.fault.set(request_fault);
        imps
    }

    fn imp(&self, node: &Node) -> Result<Imp<'a>, ParseError> {
        node.refuse_repeated(&["id", "bidfloor", "bidfloorcur"])?;
        let floor = node.all("bidfloor").last().map_or(Some(Cpm(0)), price);
        let (private_auction, deals) = node.read("pmp", |n| self.pmp(n))?;
        let mut imp = Imp {
            id: node.read("id", |n| self.text(n))?.unwrap_or(""),
            banner: node.read("banner", |n| self.banner(n))?,
            video: node.read("video", |n| self.has_mimes(n))?.then(Stream::default),
            audio: node.read("audio", |n| self.has_mimes(n))?.then(Stream::default),
            native: node.read("native", |n| self.native(n))?.then(Native::default),
            interstitial: self.is_set(node, "instl"),
            tag_id: node.read("tagid", |n| self.text(n))?,
            bid_floor: floor.unwrap_or(Cpm(0)),
            bid_floor_cur: node.all("bidfloorcur").last().map_or(Some(Currency::USD), currency),
            secure: node.read("secure", |n| Ok(self.flag(n)))?,
            exp_s: node.read("exp", |n| Ok(self.positive(n)))?,
            rewarded: self.is_set(node, "rwdd"),
            multiplier_ppm: node.all("qty").last().map_or(Some(PPM), multiplier),
            shown_at_ms: None,
            ssai: None,
            private_auction,
            deals,
            fault: None,
        };
        let has_medium = imp.media().next().is_some();
        let defects = [
            (imp.id.is_empty(), NoBidReason::InvalidRequest),
            (!has_medium, NoBidReason::NoUsableMedium),
            (floor.is_none(), NoBidReason::InvalidPrice),
        ];
        for (_, reason) in defects.into_iter().filter(|(found, _)| *found) {
            self.note(reason);
        }
        imp.fault = self.fault.take();
        Ok(imp)
    }

    fn banner(&self, node: &Node) -> Result<Option<Banner<'a>>, ParseError> {
        let Node::Object(_) = node else { return Ok(None) };
        let mut sizes = node.read("format", |n| self.formats(n))?;
        if sizes.is_empty() {
            sizes.extend(self.size(node));
        }
        Ok(Some(Banner {
            sizes: self.keep(sizes),
            btype: node.read("btype", |n| self.rule_ints(n))?,
            battr: node.read("battr", |n| self.rule_ints(n))?,
            mimes: self.keep(node.read("mimes", |n| self.texts(n))?),
            api: node.read("api", |n| self.ints(n))?,
            pos: node.read("pos", |n| Ok(self.int(n)))?,
            ..Banner::default()
        }))
    }

    fn formats(&self, node: &Node) -> Result<Vec<Size>, ParseError> {
        let Node::Array(entries) = node else { return Ok(Vec::new()) };
        if entries.len() > self.limits.array {
            self.over_limit("array", self.limits.array)?;
            return Ok(Vec::new());
        }
        Ok(entries.iter().filter_map(|entry| self.size(entry)).collect())
    }

    fn size(&self, node: &Node) -> Option<Size> {
        let side = |key| match self.int(node.all(key).last()?)? {
            pixels @ 1..=65_535 => Some(pixels as u16),
            _ => None,
        };
        Some(Size { w: side("w")?, h: side("h")? })
    }

    fn has_mimes(&self, node: &Node) -> Result<bool, ParseError> {
        Ok(!node.read("mimes", |n| self.texts(n))?.is_empty())
    }

    fn native(&self, node: &Node) -> Result<bool, ParseError> {
        node.read("request", |request| match request {
            Node::Object(_) => Ok(true),
            other => {
                let text = self.text_up_to(other, self.limits.native_request)?;
                Ok(text.unwrap_or("").trim().starts_with('{'))
            }
        })
    }

    fn pmp(&self, node: &Node) -> Result<(bool, &'a [Deal<'a>]), ParseError> {
        let deals = node.read("deals", |n| self.deals(n))?;
        Ok((self.is_set(node, "private_auction"), self.keep(deals)))
    }

    fn deals(&self, node: &Node) -> Result<Vec<Deal<'a>>, ParseError> {
        let Node::Array(entries) = node else { return Ok(Vec::new()) };
        let deals: Result<Vec<_>, _> = entries.iter().map(|entry| self.deal(entry)).collect();
        let deals = deals?;
        if entries.len() > self.limits.deals {
            self.over_limit("array", self.limits.deals)?;
            return Ok(Vec::new());
        }
        Ok(deals.into_iter().filter(|deal| !deal.id.is_empty()).collect())
    }

    fn deal(&self, node: &Node) -> Result<Deal<'a>, ParseError> {
        node.refuse_repeated(&["id", "bidfloor", "bidfloorcur", "at"])?;
        Ok(Deal {
            min_cpm_per_second: Cpm(0),
            duration_floors: &[],
            id: node.read("id", |n| self.text(n))?.unwrap_or(""),
            bid_floor: node.all("bidfloor").last().map_or(Some(Cpm(0)), price),
            bid_floor_cur: node.all("bidfloorcur").last().map_or(Some(Currency::USD), currency),
            at: node.read("at", |n| Ok(self.int(n)))?,
            wseat: self.keep(node.read("wseat", |n| self.rule_texts(n, self.limits.array))?),
            wadomain: self.keep(node.read("wadomain", |n| self.rule_texts(n, self.limits.array))?),
            guaranteed: self.is_set(node, "guar"),
        })
    }
}

fn price(node: &Node) -> Option<Cpm> {
    match node {
        Node::Null => Some(Cpm(0)),
        Node::Number(text) => Cpm::parse_decimal(text, true),
        Node::Text(Some(text)) => Cpm::parse_decimal(text.trim(), true),
        _ => None,
    }
}

fn currency(node: &Node) -> Option<Currency> {
    match node {
        Node::Null => Some(Currency::USD),
        Node::Text(Some(code)) => Currency::parse(code.trim()),
        _ => None,
    }
}

fn multiplier(node: &Node) -> Option<i64> {
    match node {
        Node::Null => Some(PPM),
        quantity => price(quantity.all("multiplier").last()?).map(|ppm| ppm.0).filter(|ppm| *ppm > 0),
    }
}
