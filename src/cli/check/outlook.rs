//! What the bidder would do with a request: the same decision as when serving, on an account without its money.

use super::input::Format;
use super::words;
use crate::cli::Failure;
use crate::cli::world::World;
use crate::engine::{Catalog, ExplainedBid, Explanation, ImpExplanation, LineItemVerdict};
use crate::exchange::{self, Limits};
use crate::model::no_bid::NoBidReason;
use bumpalo::Bump;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// An account, and the exchange that would send the requests.
pub(super) struct Bidder {
    pub(super) world: World,
    exchange: String,
    top: usize,
}

/// What would be done with one request.
pub(super) struct Outlook<'b> {
    bidder: &'b Bidder,
    explanation: Explanation,
}

impl Bidder {
    /// `exchange`: the account's first where none is named. `top`: line items that are shown of each impression.
    pub(super) fn new(world: World, exchange: Option<&str>, top: usize) -> Result<Bidder, Failure> {
        let exchange = world.exchange(exchange)?.name.clone();
        Ok(Bidder { world, exchange, top })
    }

    /// Decides a request; nothing where it cannot be read, which a finding has said.
    pub(super) fn outlook(
        &self,
        body: &[u8],
        format: Format,
        arena: &Bump,
    ) -> Result<Option<Outlook<'_>>, Failure> {
        let limits = Limits::default();
        let auction = match format {
            Format::Json => exchange::parse(body, &limits, arena),
            Format::Protobuf => exchange::parse_protobuf(body, &limits, arena),
        };
        let Ok(auction) = auction else { return Ok(None) };
        let profile = self.world.exchange(Some(&self.exchange))?;
        let explanation = self.world.explain(&self.world.request(&auction, profile, arena));
        Ok(Some(Outlook { bidder: self, explanation }))
    }

    fn catalog(&self) -> &Catalog {
        &self.world.snapshot.catalog
    }

    /// A line item by number and name.
    fn name(&self, id: crate::model::ids::LineItemId) -> String {
        let found = self.catalog().line_item_ix(id).map(|ix| &self.catalog().line_item(ix).item.name);
        found.map_or_else(|| id.to_string(), |name| format!("{id} {name:?}"))
    }
}

impl Outlook<'_> {
    /// In words, each line indented.
    pub(super) fn words(&self) -> String {
        let mut out = format!("  on exchange {:?} the bidder\n", self.bidder.exchange);
        // Writing to a string cannot fail.
        let mut line = |text: String| {
            let _infallible = writeln!(out, "    {text}");
        };
        if let Some(restriction) = self.explanation.restriction {
            line(format!("knows nothing of the person: {}", restriction.as_str()));
        }
        for (position, imp) in self.explanation.imps.iter().enumerate() {
            for bid in self.bids(position) {
                line(self.bid_in_words(imp, bid));
            }
            if self.bids(position).next().is_none() {
                let reason = imp.no_bid.or(self.explanation.no_bid);
                let why = reason.map_or("nothing was decided", subject);
                line(format!("does not bid on impression {:?}: {why}", imp.id));
            }
            self.refusals(imp).into_iter().for_each(&mut line);
        }
        out
    }

    fn bids(&self, imp: usize) -> impl Iterator<Item = &ExplainedBid> {
        self.explanation.bids.iter().filter(move |bid| bid.imp == imp)
    }

    fn bid_in_words(&self, imp: &ImpExplanation, bid: &ExplainedBid) -> String {
        let ExplainedBid { price, currency, creative, .. } = bid;
        let size = bid.size.map_or(String::new(), |size| format!(" of {size}"));
        let seconds = bid.duration_s.map_or(String::new(), |seconds| format!(" of {seconds} s"));
        let deal = bid.deal.as_ref().map_or(String::new(), |deal| format!(" under deal {deal:?}"));
        format!(
            "would bid {price} {currency} CPM on impression {:?} with {} creative {creative}{size}{seconds} \
             of line item {}{deal}",
            imp.id,
            bid.medium,
            self.bidder.name(bid.line_item)
        )
    }

    /// Line items that do not bid: how many for each reason, and the first ones with what was compared.
    fn refusals(&self, imp: &ImpExplanation) -> Vec<String> {
        let counts = counts(imp);
        if counts.is_empty() {
            return Vec::new();
        }
        let by_reason: Vec<String> =
            counts.iter().map(|(reason, count)| format!("{count} {}", reason.as_str())).collect();
        let mut lines = vec![format!("  line items that do not: {}", by_reason.join(", "))];
        for (reason, verdict) in refused(imp).take(self.bidder.top) {
            let name = self.bidder.name(verdict.line_item);
            lines.push(format!("    {name} {} ({}: {})", words::of(reason), reason.as_str(), verdict.detail));
        }
        let hidden = refused(imp).count().saturating_sub(self.bidder.top);
        if hidden > 0 {
            lines.push(format!("    and {hidden} more; --top shows more of them"));
        }
        lines
    }

    pub(super) fn as_json(&self) -> Value {
        let name = |reason: NoBidReason| reason.as_str();
        let bid = |bid: &ExplainedBid| {
            json!({
                "line_item": bid.line_item.to_string(), "creative": bid.creative.to_string(),
                "medium": bid.medium.to_string(), "price": bid.price.to_string(),
                "currency": bid.currency.to_string(), "deal": bid.deal,
                "size": bid.size.map(|size| size.to_string()), "duration_s": bid.duration_s,
            })
        };
        let refusal = |(reason, verdict): (NoBidReason, &LineItemVerdict)| {
            json!({
                "line_item": verdict.line_item.to_string(), "reason": name(reason), "detail": verdict.detail,
            })
        };
        let imps: Vec<Value> = self
            .explanation
            .imps
            .iter()
            .enumerate()
            .map(|(position, imp)| {
                let counts: serde_json::Map<String, Value> = counts(imp)
                    .into_iter()
                    .map(|(reason, count)| (name(reason).to_owned(), json!(count)))
                    .collect();
                json!({
                    "id": imp.id,
                    "bids": self.bids(position).map(bid).collect::<Vec<_>>(),
                    "no_bid": imp.no_bid.map(name),
                    "reasons": counts,
                    "line_items": refused(imp).take(self.bidder.top).map(refusal).collect::<Vec<_>>(),
                })
            })
            .collect();
        json!({
            "exchange": self.bidder.exchange,
            "restriction": self.explanation.restriction.map(|restriction| restriction.as_str()),
            "no_bid": self.explanation.no_bid.map(name),
            "imps": imps,
        })
    }
}

/// A reason as that of a whole impression: what rules it out by itself is a sentence already.
fn subject(reason: NoBidReason) -> &'static str {
    if reason <= NoBidReason::NoMatch { words::of(reason) } else { "no line item does" }
}

/// The line items that do not bid, those that got furthest first.
fn refused(imp: &ImpExplanation) -> impl Iterator<Item = (NoBidReason, &LineItemVerdict)> {
    imp.verdicts.iter().filter_map(|verdict| Some((verdict.reason?, verdict)))
}

fn counts(imp: &ImpExplanation) -> BTreeMap<NoBidReason, usize> {
    let mut counts = BTreeMap::new();
    for (reason, _) in refused(imp) {
        *counts.entry(reason).or_default() += 1;
    }
    counts
}
