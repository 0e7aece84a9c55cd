//! Impressions, their floors and their deals.

use super::{Node, Oracle, ParseError};
use crate::model::auction::{Deal, Imp, Refresh};
use crate::model::media::DurationFloor;
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
            video: node.read("video", |n| self.video(n))?,
            audio: node.read("audio", |n| self.audio(n))?,
            native: node.read("native", |n| self.native(n))?,
            interstitial: self.is_set(node, "instl"),
            tag_id: node.read("tagid", |n| self.text(n))?,
            bid_floor: floor.unwrap_or(Cpm(0)),
            bid_floor_cur: node.all("bidfloorcur").last().map_or(Some(Currency::USD), currency),
            secure: node.read("secure", |n| Ok(self.flag(n)))?,
            exp_s: node.read("exp", |n| Ok(self.positive(n)))?,
            rewarded: self.is_set(node, "rwdd"),
            multiplier_ppm: node.all("qty").last().map_or(Some(PPM), multiplier),
            shown_at_ms: self.int_field(node, "dt").filter(|ms| ms.is_positive()),
            refresh: node.read("refresh", |n| self.refresh(n))?,
            ssai: self.int_field(node, "ssai"),
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

    fn refresh(&self, node: &Node) -> Result<Option<Refresh>, ParseError> {
        let Node::Object(_) = node else { return Ok(None) };
        let intervals = node.read("refsettings", |settings| {
            Ok(self
                .objects(settings)?
                .iter()
                .filter_map(|entry| self.count_field(entry, "minint"))
                .collect::<Vec<_>>())
        })?;
        let count = self.int_field(node, "count").and_then(|count| u32::try_from(count).ok());
        Ok(Some(Refresh { count, min_interval_s: intervals.into_iter().min() }))
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
        node.refuse_repeated(&["id", "bidfloor", "bidfloorcur", "at", "mincpmpersec", "durfloors"])?;
        let bid_floor = node.all("bidfloor").last().map_or(Some(Cpm(0)), price);
        let (per_second, by_duration) = self.time_floors(node)?;
        Ok(Deal {
            min_cpm_per_second: per_second.unwrap_or(Cpm(0)),
            duration_floors: by_duration.unwrap_or(&[]),
            id: node.read("id", |n| self.text(n))?.unwrap_or(""),
            bid_floor: if per_second.is_none() || by_duration.is_none() { None } else { bid_floor },
            bid_floor_cur: node.all("bidfloorcur").last().map_or(Some(Currency::USD), currency),
            at: node.read("at", |n| Ok(self.int(n)))?,
            wseat: self.keep(node.read("wseat", |n| self.rule_texts(n, self.limits.array))?),
            wadomain: self.keep(node.read("wadomain", |n| self.rule_texts(n, self.limits.array))?),
            guaranteed: self.is_set(node, "guar"),
        })
    }

    /// `mincpmpersec` and `durfloors` of an object; each is `None` where it is unreadable.
    pub(super) fn time_floors(&self, object: &Node) -> Result<TimeFloors<'a>, ParseError> {
        object.refuse_repeated(&["mincpmpersec", "durfloors"])?;
        let per_second = object.all("mincpmpersec").last().map_or(Some(Cpm(0)), price);
        let entries = match object.all("durfloors").last() {
            None | Some(Node::Null) => return Ok((per_second, Some(&[]))),
            Some(Node::Array(entries)) => entries,
            Some(_) => return Ok((per_second, None)),
        };
        let given = entries.iter().filter(|entry| !matches!(entry, Node::Null));
        let floors: Vec<_> = given.map(|entry| self.duration_floor(entry)).collect::<Result<_, _>>()?;
        let readable: Option<Vec<DurationFloor>> = floors.into_iter().collect();
        if entries.len() > self.limits.array {
            self.over_limit("array", self.limits.array)?;
            return Ok((per_second, readable.map(|_| &[] as &[_])));
        }
        Ok((per_second, readable.map(|floors| self.keep(floors))))
    }

    fn duration_floor(&self, node: &Node) -> Result<Option<DurationFloor>, ParseError> {
        node.refuse_repeated(&["mindur", "maxdur", "bidfloor"])?;
        if !matches!(node, Node::Object(_)) {
            return Ok(None);
        }
        let seconds = |key| match node.all(key).last() {
            None | Some(Node::Null) => Some(None),
            Some(given) => self.int(given).filter(|s| *s >= 0).map(|s| Some(s.min(u32::MAX.into()) as u32)),
        };
        let floor = node.all("bidfloor").last().map_or(Some(Cpm(0)), price);
        Ok(match (seconds("mindur"), seconds("maxdur"), floor) {
            (Some(min), Some(max_s), Some(floor)) => {
                Some(DurationFloor { min_s: min.unwrap_or_default(), max_s, floor })
            }
            _ => None,
        })
    }
}

/// A floor a second and the floors by duration.
type TimeFloors<'a> = (Option<Cpm>, Option<&'a [DurationFloor]>);

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
