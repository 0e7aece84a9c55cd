//! `GET /v1/line_items/{id}/funnel`, and the same of exchanges and deals: how far requests got, why they got no further, what came of
//! the bids, and what to do about it.
//!
//! What is counted is exact. Why the index did not find a line item is told by a sample: such a number says so, with the size
//! of the sample and an interval that holds in 95 of 100 cases (Wilson, *Probable Inference*, JASA 1927).

use super::call::{Call, Reply};
use super::crud;
use super::page::Parameters;
use super::problem::Problem;
use super::shape::{self, Shape};
use super::state::Inner;
use super::status::Look;
use super::tenants;
use crate::budget::Standing;
use crate::funnel::{Advice, Span, Step, Way, Whose, advice_on, loss_advice};
use crate::model::funnel::{After, Ends, ExchangeEnds};
use crate::model::ids::{DealId, ExchangeId, LineItemId};
use crate::model::no_bid::NoBidReason;
use crate::store::control::Kind;
use hyper::StatusCode;
use serde_json::{Value, json};
use std::sync::Arc;

/// What may be asked.
pub(super) const PARAMETERS: &[&str] = &["step", "from", "to", "compare_from", "compare_to"];
/// Spans of one answer.
const MOST_SPANS: i64 = 1_500;

/// The kinds of resources that have a funnel.
pub(super) const KINDS: [Kind; 3] = [Kind::LineItem, Kind::Exchange, Kind::Deal];

pub(super) fn show(inner: &Arc<Inner>, shape: &'static Shape, mut call: Call) -> Result<Reply, Problem> {
    let (id, account) = (call.id.unwrap_or(0), crud::scope(shape, call.account));
    let now_s = inner.clock.now().unix_s();
    let (step, [from_s, until_s]) = asked(&mut call.parameters, now_s)?;
    let other = compared(&mut call.parameters, now_s, [from_s, until_s])?;
    call.parameters.finish(&PARAMETERS.join(", "))?;
    let row = inner
        .control
        .read(|read| tenants::seen_by(&call.actor, read, crud::row_of(read, shape, id, account)?))?;
    let missing = || Problem::not_found(&format!("{} {id}", shape.noun()));
    let whose = match shape.kind {
        Kind::LineItem => Whose::LineItem(LineItemId(id)),
        Kind::Exchange => Whose::Exchange(ExchangeId(u16::try_from(id).map_err(|_| missing())?)),
        _ => Whose::Deal(DealId(id)),
    };
    let spans = |step, [from_s, until_s]: [i64; 2]| {
        let spans = inner.serving.funnel(step, (from_s, until_s), whose);
        spans.map_err(|error| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", error.to_string()))
    };
    let found = spans(step, [from_s, until_s])?;
    let (status, least) = {
        let editor = inner.editor.lock();
        let look = Look::at(inner, &editor, std::slice::from_ref(&row));
        (look.of(&row), look.least(id))
    };
    let standing = if shape.kind == Kind::LineItem { inner.serving.standing(LineItemId(id)) } else { None };
    let has_money =
        |standing: &Standing| standing.room.iter().all(|(_, room)| least.is_some_and(|least| *room >= least));
    let asked = Asked {
        whose,
        without_creative: status.as_ref().is_some_and(|(status, _)| *status == "no_creative"),
        has_money: standing.as_ref().is_some_and(has_money),
    };
    let total = sum(step, &found);
    let compared = |(step, time)| spans(step, time).map(|spans| (time, sum(step, &spans)));
    let compare = other.map(compared).transpose()?;
    let moment = |at_s: i64| shape::moment(at_s * 1_000);
    let mut headline =
        asked.headline(&total, status.as_ref().map(|(status, reasons)| (*status, reasons.as_slice())));
    let made_s = row.created_ms.div_euclid(1_000);
    if shape.kind == Kind::LineItem && made_s > from_s && total.requests().requests() > 0 {
        headline.push_str(&format!(
            "; requests from before it was made at {} count as not found",
            moment(made_s)
        ));
    }
    let view = json!({
        "id": id.to_string(), "from": moment(from_s), "to": moment(until_s), "step": step.as_str(), "as_of": moment(now_s),
        "effective_status": status.as_ref().map(|(status, _)| *status),
        "headline": headline,
        "total": asked.view(&total),
        "spans": found.iter().map(|span| {
            let mut row = asked.view(span);
            row["from"] = moment(span.start_s);
            row
        }).collect::<Vec<Value>>(),
        "compare": compare.map(|([from_s, until_s], total)| json!({
            "from": moment(from_s), "to": moment(until_s), "total": asked.view(&total),
        })),
    });
    Ok(Reply::new(StatusCode::OK, view))
}

/// The step and the time that are asked for: by default the last hour in minutes.
fn asked(parameters: &mut Parameters, now_s: i64) -> Result<(Step, [i64; 2]), Problem> {
    let named = parameters.take("step");
    let step = named.as_deref().map(|name| Step::ALL.into_iter().find(|step| step.as_str() == name));
    let step = match step {
        None => Step::Minute,
        Some(Some(step)) => step,
        Some(None) => return Err(Problem::parameter("step", "is one of minute, hour, day")),
    };
    let until_s = second(parameters, "to")?.unwrap_or(now_s + 1);
    let usual_s = match step {
        Step::Minute => 3_600,
        Step::Hour => 86_400,
        Step::Day => 30 * 86_400,
    };
    let from_s = second(parameters, "from")?.unwrap_or(until_s - usual_s);
    let (from_s, until_s) = step.whole(from_s, until_s);
    within(step, "from", [from_s, until_s])?;
    if from_s < now_s - step.kept_s() {
        let kept_h = step.kept_s() / 3_600;
        let message = format!(
            "is too long ago: {}s are kept for {kept_h} hours; ask for a coarser step",
            step.as_str()
        );
        return Err(Problem::parameter("from", message));
    }
    Ok((step, [from_s, until_s]))
}

/// The time to compare with; of the same length where only its beginning is said.
fn compared(
    parameters: &mut Parameters,
    now_s: i64,
    [from_s, until_s]: [i64; 2],
) -> Result<Option<(Step, [i64; 2])>, Problem> {
    let (from, until) = (second(parameters, "compare_from")?, second(parameters, "compare_to")?);
    match (from, until) {
        (None, None) => Ok(None),
        (None, Some(_)) => Err(Problem::parameter("compare_from", "is missing beside compare_to")),
        (Some(from), until) => {
            // As finely as is still known.
            let is_kept = |step: &Step| from >= now_s - step.kept_s();
            let step = Step::ALL.into_iter().find(is_kept).unwrap_or(Step::Day);
            let (from, until) = match until {
                Some(until) => step.whole(from, until),
                None => {
                    // As long as the time that is asked for, and before it rather than partly in it.
                    let (_, length_s) = step.whole(0, until_s - from_s);
                    let from = step.start_of(from);
                    let overlaps = from < until_s && from.saturating_add(length_s) > from_s;
                    let from = if overlaps { step.start_of(from_s - length_s) } else { from };
                    (from, from.saturating_add(length_s))
                }
            };
            within(Step::Day, "compare_from", [from, until])?;
            Ok(Some((step, [from, until])))
        }
    }
}

fn within(step: Step, name: &'static str, [from_s, until_s]: [i64; 2]) -> Result<(), Problem> {
    if from_s >= until_s {
        return Err(Problem::parameter(name, "is not before the end of the time; move one of them"));
    }
    let spans = (until_s - from_s) / step.seconds();
    if spans > MOST_SPANS {
        let message =
            format!("asks for {spans} spans of a {}; at most {MOST_SPANS} are answered", step.as_str());
        return Err(Problem::parameter(name, message));
    }
    Ok(())
}

fn second(parameters: &mut Parameters, name: &'static str) -> Result<Option<i64>, Problem> {
    let Some(text) = parameters.take(name) else { return Ok(None) };
    let moment = text.parse::<jiff::Timestamp>();
    let message = "is a moment with its offset such as 2026-03-01T00:00:00Z (RFC 3339)";
    moment.map(|moment| Some(moment.as_second())).map_err(|_| Problem::parameter(name, message))
}

fn sum(step: Step, spans: &[Span]) -> Span {
    let mut total = Span::new(step, spans.first().map_or(0, |span| span.start_s));
    spans.iter().for_each(|span| total.merge(span));
    total
}

/// Whose funnel it is, and what is known of it that its counts do not say.
struct Asked {
    whose: Whose,
    /// None of its creatives may be shown.
    without_creative: bool,
    /// Every budget has room for a bid at this moment.
    has_money: bool,
}

impl Asked {
    fn advice(&self, reason: NoBidReason) -> Advice {
        let aspect = match reason {
            NoBidReason::Format if self.without_creative => "no_creative",
            NoBidReason::Budget if self.has_money => "lease",
            _ => "",
        };
        advice_on(reason, aspect)
    }

    /// A span as people see it, of one line item, exchange or deal.
    fn view(&self, span: &Span) -> Value {
        match &self.whose {
            Whose::LineItem(id) => {
                let all = span.requests();
                let way = span.line_items.get(id).cloned().unwrap_or_default();
                let refused = refused(&all);
                let not_found = all.requests().saturating_sub(refused.sum()).saturating_sub(way.ends.sum());
                let mut row = json!({
                    "requests": all.requests(), "refused": self.reasons(&refused), "not_found": not_found,
                    "not_found_because": self.estimates(not_found, &way, span.samples),
                    "found": way.ends.sum(), "reasons": self.reasons(&way.ends), "bids": way.ends.bids(),
                    "conversions": way.after.conversions, "spend": way.after.spend.to_string(),
                });
                follow(&mut row, way.ends.bids(), &way.after);
                row
            }
            Whose::Exchange(id) => {
                let ends = span.exchanges.get(id).cloned().unwrap_or_default();
                let after = span.exchange_after.get(id).cloned().unwrap_or_default();
                let mut row = json!({
                    "requests": ends.requests(), "refused": self.reasons(&refused(&ends)),
                    "not_found": ends.whole.of(NoBidReason::NoMatch), "found": ends.found.sum(),
                    "reasons": self.reasons(&ends.found), "bids": ends.found.bids(),
                });
                follow(&mut row, ends.found.bids(), &after);
                row
            }
            Whose::Everybody => Value::Null,
            Whose::Deal(deal) => {
                let ends = span.deals.get(deal).cloned().unwrap_or_default();
                let after = span.deal_after.get(deal).cloned().unwrap_or_default();
                let mut row =
                    json!({ "requests": ends.sum(), "reasons": self.reasons(&ends), "bids": ends.bids() });
                follow(&mut row, ends.bids(), &after);
                row
            }
        }
    }

    /// The reasons of some requests, in the order of evaluation.
    fn reasons(&self, ends: &Ends) -> Vec<Value> {
        let view = |(reason, requests): (NoBidReason, u64)| {
            let advice = self.advice(reason);
            json!({
                "reason": reason.as_str(), "stage": advice.stage, "requests": requests, "title": advice.title,
                "advice": advice.advice, "field": advice.field,
            })
        };
        ends.reasons().map(view).collect()
    }

    /// Why a line item was not found, as the sample has it: the most frequent reason first.
    fn estimates(&self, not_found: u64, way: &Way, samples: u64) -> Value {
        let n = way.missed.sum();
        let mut rows: Vec<(NoBidReason, u64)> = way.missed.reasons().collect();
        rows.sort_by_key(|(_, hits)| std::cmp::Reverse(*hits));
        let view = |(reason, hits): (NoBidReason, u64)| {
            let (advice, (low, high)) = (self.advice(reason), wilson(hits, n));
            let scaled = |share: f64| (share * not_found as f64).round() as u64;
            json!({
                "reason": reason.as_str(), "stage": advice.stage, "requests": scaled(hits as f64 / n as f64),
                "low": scaled(low), "high": scaled(high), "title": advice.title, "advice": advice.advice,
                "field": advice.field,
            })
        };
        json!({ "n": n, "samples": samples, "reasons": rows.into_iter().map(view).collect::<Vec<_>>() })
    }

    /// The first line: what keeps it from bidding or winning most, and what to do.
    fn headline(&self, total: &Span, status: Option<(&str, &[String])>) -> String {
        if let Some((status, [why, ..])) = status.filter(|(status, _)| *status != "serving") {
            return format!("{status}: {why}");
        }
        let row = self.view(total);
        let number = |name: &str| row[name].as_u64().unwrap_or(0);
        let (requests, bids) = (number("requests"), number("bids"));
        if requests == 0 {
            return "no requests came in this time: see whether the exchange sends any, and to which address"
                .to_owned();
        }
        let mut largest: Option<(u64, &Value)> = None;
        let estimated = row["not_found_because"]["reasons"].as_array();
        let rows = [row["refused"].as_array(), estimated, row["reasons"].as_array()];
        for reason in rows.into_iter().flatten().flatten() {
            let count = reason["requests"].as_u64().unwrap_or(0);
            if largest.is_none_or(|(most, _)| count > most) {
                largest = Some((count, reason));
            }
        }
        let percent = |count: u64| format!("{:.1} %", count as f64 * 100.0 / requests as f64);
        let bid = format!("bids on {bids} of {requests} requests ({})", percent(bids));
        match largest.filter(|(count, _)| *count > bids) {
            Some((count, reason)) => format!(
                "{}: {} ({}); {bid}; {}",
                reason["reason"].as_str().unwrap_or_default(),
                reason["title"].as_str().unwrap_or_default(),
                percent(count),
                reason["advice"].as_str().unwrap_or_default(),
            ),
            None if number("not_found") > bids => {
                format!(
                    "{bid}; it is not found for {}, and no sample says why yet",
                    percent(number("not_found"))
                )
            }
            None => bid,
        }
    }
}

/// What came after the bids.
fn follow(row: &mut Value, bids: u64, after: &After) {
    let lost = after.lost.iter().map(|(why, losses)| {
        let told = loss_advice(*why);
        json!({
            "code": why.label(), "losses": losses, "title": told.title, "advice": told.advice, "field": told.field,
        })
    });
    row["wins"] = after.wins.into();
    row["losses"] = after.losses.into();
    row["losses_by_code"] = lost.collect();
    // An exchange may tell a bill and no win.
    row["unanswered"] = bids.saturating_sub(after.wins.max(after.billed)).saturating_sub(after.losses).into();
    row["billed"] = after.billed.into();
    row["impressions"] = after.impressions.into();
    row["clicks"] = after.clicks.into();
}

/// What was refused as a whole, whoever would have bid: nobody having been found is no refusal.
fn refused(ends: &ExchangeEnds) -> Ends {
    let mut refused = Ends::default();
    for (reason, requests) in ends.whole.reasons().filter(|(reason, _)| *reason != NoBidReason::NoMatch) {
        let exists = refused.add(Ends::cell(reason), requests);
        debug_assert!(exists, "it comes from a cell");
    }
    refused
}

/// The interval that a share lies in, in 95 of 100 cases, where it was seen `hits` times out of `n`.
fn wilson(hits: u64, n: u64) -> (f64, f64) {
    const Z: f64 = 1.959_964;
    if n == 0 {
        return (0.0, 1.0);
    }
    let (n, share) = (n as f64, hits as f64 / n as f64);
    let middle = share + Z * Z / (2.0 * n);
    let half = Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    let whole = 1.0 + Z * Z / n;
    (((middle - half) / whole).max(0.0), ((middle + half) / whole).min(1.0))
}

/// What is answered.
pub(super) fn schema() -> Value {
    let count = |said: &str| json!({ "type": "integer", "minimum": 0, "description": said });
    let text = |said: &str| json!({ "type": "string", "description": said });
    let time = |said: &str| json!({ "type": ["string", "null"], "format": "date-time", "description": said });
    let reason = json!({
        "type": "object",
        "properties": {
            "reason": text("The reason, as in metrics and events."), "stage": text("Its stage of the funnel."),
            "requests": count("Requests that it ended."), "low": count("Of an estimate: at least so many."),
            "high": count("Of an estimate: at most so many."), "title": text("What happened."),
            "advice": text("What to do."), "field": text("The member to look at; empty where none would help."),
        },
        "required": ["reason", "stage", "requests", "title", "advice", "field"],
        "additionalProperties": false,
    });
    let list = |said: &str| json!({ "type": "array", "items": reason, "description": said });
    let of = |said: &str, schema: &Value| {
        let mut schema = schema.clone();
        schema["description"] = said.into();
        schema
    };
    let lost = json!({
        "type": "object",
        "properties": {
            "code": text("The code (OpenRTB, loss reasons); none, exchange and unknown in place of one."),
            "losses": count("How many."), "title": text("What it means."), "advice": text("What to do."),
            "field": text("The member to look at; empty where none would help."),
        },
        "required": ["code", "losses", "title", "advice", "field"],
        "additionalProperties": false,
    });
    let numbers = json!({
        "type": "object",
        "properties": {
            "from": time("When the span begins."), "requests": count("All requests: refused, not found and found."),
            "refused": list("Requests that were refused as a whole."),
            "not_found": count("Requests that no rule let it be found for."),
            "not_found_because": {
                "type": "object",
                "description": "Why, as a sample has it.",
                "properties": {
                    "n": count("Requests of the sample that it was not found for."),
                    "samples": count("Requests of the sample."),
                    "reasons": list("Estimates, with an interval that holds in 95 of 100 cases."),
                },
                "required": ["n", "samples", "reasons"],
                "additionalProperties": false,
            },
            "found": count("Requests that it was found for: Σ of `reasons` and `bids`."),
            "reasons": list("Where it got furthest, in the order of evaluation."), "bids": count("Requests with a bid."),
            "wins": count("Wins that were told."), "losses": count("Losses that were told."),
            "losses_by_code": { "type": "array", "items": lost, "description": "The losses by their codes." },
            "unanswered": count("Bids that no win, bill or loss was told of yet: lost silently, late, or still open."),
            "billed": count("Bills."), "impressions": count("Impressions."), "clicks": count("Clicks."),
            "conversions": count("Conversions."), "spend": text("What was charged, in the advertiser's currency."),
        },
        "required": [
            "requests", "reasons", "bids", "wins", "losses", "losses_by_code", "unanswered", "billed", "impressions", "clicks",
        ],
        "additionalProperties": false,
    });
    let other = json!({
        "type": "object",
        "properties": {
            "from": time("The beginning."), "to": time("The end."), "total": of("All of it.", &numbers),
        },
        "required": ["from", "to", "total"],
        "additionalProperties": false,
    });
    json!({
        "type": "object",
        "properties": {
            "id": text("Whose funnel."), "from": time("The beginning."), "to": time("The end."),
            "step": { "type": "string", "enum": Step::ALL.map(Step::as_str), "description": "How long a span is." },
            "as_of": time("Everything until then is in it."),
            "effective_status": { "type": ["string", "null"], "description": "As of the resource itself." },
            "headline": text("What keeps it from bidding most, and what to do."),
            "total": of("All of it.", &numbers), "spans": { "type": "array", "items": numbers, "description": "In the order of time." },
            "compare": { "anyOf": [other, { "type": "null" }], "description": "Another time beside it." },
        },
        "required": [
            "id", "from", "to", "step", "as_of", "effective_status", "headline", "total", "spans", "compare",
        ],
        "additionalProperties": false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_holds_at_its_stated_rate() {
        // 2,000 samples of 200 each, of shares that are known: the interval misses in 2 to 8 of 100.
        let mut state = 7u64;
        let mut draw = || {
            state = crate::model::mix::splitmix64(state);
            state as f64 / u64::MAX as f64
        };
        for share in [0.02, 0.3, 0.9] {
            let trials = 2_000;
            let missed = (0..trials).filter(|_| {
                let hits = (0..200).filter(|_| draw() < share).count() as u64;
                let (low, high) = wilson(hits, 200);
                share < low || share > high
            });
            let missed = missed.count() as f64 / f64::from(trials);
            assert!((0.02..0.08).contains(&missed), "{missed} at {share}");
        }
    }
}
