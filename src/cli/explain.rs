//! `outbid explain REQUEST.json`: each line item's verdict on one request, with the values compared. The same decision
//! as when serving, on the account and audience of the data directory; it holds no money and signs nothing.

use super::boot;
use super::output::table;
use super::world::World;
use super::{Common, Failure};
use crate::admin::{Explained, ExplainedImp, ExplainedLineItem};
use crate::engine::{Explanation, ImpExplanation, LineItemVerdict, Request};
use crate::exchange::{self, Limits};
use crate::model::ids::SegmentId;
use crate::model::line_item::Predicts;
use crate::model::no_bid::NoBidReason;
use crate::pricing::{DIMENSIONS, Offer};
use anyhow::{Context, anyhow};
use bumpalo::Bump;
use serde_json::{Value, json};
use std::path::PathBuf;

/// What to explain.
#[derive(Debug, clap::Args)]
pub(super) struct ExplainArguments {
    /// A file with one OpenRTB request, or `-` for standard input.
    request: PathBuf,
    /// The exchange that would send it; default: the account's first.
    #[arg(long, value_name = "NAME")]
    exchange: Option<String>,
    /// Only this line item.
    #[arg(long, value_name = "ID")]
    line_item: Option<u32>,
    /// At most so many line items an impression.
    #[arg(long, value_name = "N", default_value_t = 40)]
    top: usize,
    /// Explain on the built-in demo world instead of a data directory.
    #[arg(long)]
    demo: bool,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(common: &Common, arguments: &ExplainArguments) -> Result<(), Failure> {
    let config = boot::configuration(common, Vec::new())?;
    let world = World::open(&config, arguments.demo)?;
    let body = read(&arguments.request)?;
    let arena = Bump::new();
    let auction = exchange::parse(&body, &Limits::default(), &arena).map_err(|error| {
        anyhow!("{}: refused with status {}: {error}", arguments.request.display(), error.status())
    })?;
    let profile = world.exchange(arguments.exchange.as_deref())?;
    let request = world.request(&auction, profile, &arena);
    let explanation = world.explain(&request);
    if arguments.json {
        println!("{:#}", as_json(&explanation, arguments));
    } else {
        print(&explanation, arguments, &request);
    }
    Ok(())
}

fn read(path: &PathBuf) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    if path.as_os_str() == "-" {
        std::io::Read::read_to_end(&mut std::io::stdin(), &mut body).context("cannot read standard input")?;
    } else {
        body = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    }
    Ok(body)
}

fn shown<'e>(
    verdicts: &'e [LineItemVerdict],
    arguments: &ExplainArguments,
) -> impl Iterator<Item = &'e LineItemVerdict> {
    let wanted = arguments.line_item;
    verdicts.iter().filter(move |v| wanted.is_none_or(|id| v.line_item.0 == id)).take(arguments.top)
}

fn print(explanation: &Explanation, arguments: &ExplainArguments, request: &Request<'_>) {
    let signal = explanation.restriction.map_or("segments may be used", |restriction| restriction.as_str());
    println!("privacy    {signal}");
    let taxonomy = request.catalog().taxonomy();
    let list = |ids: &[SegmentId]| ids.iter().map(|id| taxonomy.label(*id)).collect::<Vec<_>>().join(", ");
    let known = if explanation.user_known { "known" } else { "unknown" };
    println!("user       {known}; segments: {}", or_none(list(&explanation.segments)));
    if !explanation.provided.is_empty() {
        println!("said       {} (by the request, in user.data)", list(&explanation.provided));
    }
    if !explanation.refused.is_empty() {
        println!("refused    {} (sensitive, no explicit consent on record)", list(&explanation.refused));
    }
    let outcome =
        explanation.no_bid.map_or("bid".to_owned(), |reason| format!("no bid: {}", reason.as_str()));
    println!("request    {outcome}");
    for imp in &explanation.imps {
        println!("\nimpression {:?}: {} line items match", imp.id, imp.candidates.len());
        let rows: Vec<Vec<String>> = shown(&imp.verdicts, arguments).map(|v| row(v, request)).collect();
        print!("{}", table(&["line item", "name", "verdict", "price", "why"], &rows));
    }
}

fn or_none(text: String) -> String {
    if text.is_empty() { "none".to_owned() } else { text }
}

fn row(verdict: &LineItemVerdict, request: &Request<'_>) -> Vec<String> {
    let catalog = request.catalog();
    let ix = catalog.line_item_ix(verdict.line_item);
    let line = ix.map(|ix| catalog.line_item(ix));
    let mut price = verdict.priced.as_ref().map_or(String::new(), |priced| priced.offer.price.to_string());
    if let (Some(line), Some(priced)) = (line, &verdict.priced)
        && let Some(factors) = &priced.factors
    {
        let terms: Vec<String> = DIMENSIONS
            .iter()
            .zip(factors.by_dimension)
            .filter(|(_, ppm)| *ppm != 1_000_000)
            .map(|(dimension, ppm)| format!(" × {} {dimension}", ppm as f64 / 1e6))
            .collect();
        let paced = priced.offer.paced != priced.offer.valued;
        let paced = if paced { format!(", paced to {}", priced.offer.paced) } else { String::new() };
        let value = worth_of(&priced.offer, line.item.strategy.predicts());
        price = format!("{price} = {value}{}{paced}{}", terms.concat(), shaded(&priced.offer));
    }
    vec![
        verdict.line_item.to_string(),
        line.map_or(String::new(), |line| line.item.name.clone()),
        verdict.reason.map_or("bids", NoBidReason::as_str).to_owned(),
        price,
        verdict.detail.clone(),
    ]
}

/// The value before multipliers, with what it rests on.
fn worth_of(offer: &Offer, predicts: Predicts) -> String {
    let percent = |ppb: u32| format!("{:.4} %", f64::from(ppb) / 1e7);
    let click = percent(offer.predicted.click_ppb);
    match predicts {
        Predicts::Nothing => offer.base_value.to_string(),
        Predicts::Clicks => format!("{} (clicked {click})", offer.base_value),
        Predicts::Conversions => {
            let conversion = percent(offer.predicted.conversion_ppb);
            format!("{} (clicked {click}, then converted {conversion})", offer.base_value)
        }
    }
}

/// What was taken off the worth because less wins as well.
fn shaded(offer: &Offer) -> String {
    if offer.price >= offer.worth {
        return String::new();
    }
    let wins = if offer.win_ppm > 0 {
        format!(", wins {:.0} %", f64::from(offer.win_ppm) / 1e4)
    } else {
        String::new()
    };
    let tried = if offer.explored_ppm == 1_000_000 { "" } else { ", tried on purpose" };
    format!(", shaded from {}{wins}{tried}", offer.worth)
}

/// An explanation as the API tells it.
pub(super) fn told(explanation: &Explanation) -> Explained {
    let line_item = |verdict: &LineItemVerdict| ExplainedLineItem {
        line_item: verdict.line_item,
        reason: verdict.reason,
        aspect: verdict.aspect,
        detail: verdict.detail.clone(),
        priced: price_json(verdict),
    };
    let imp = |imp: &ImpExplanation| ExplainedImp {
        id: imp.id.clone(),
        no_bid: imp.no_bid,
        line_items: imp.verdicts.iter().map(line_item).collect(),
    };
    Explained { no_bid: explanation.no_bid, imps: explanation.imps.iter().map(imp).collect() }
}

/// A price term by term; null where there is none.
fn price_json(verdict: &LineItemVerdict) -> Value {
    let Some(priced) = &verdict.priced else { return Value::Null };
    let factors = priced.factors.map(|factors| {
        let by_dimension = DIMENSIONS.iter().zip(factors.by_dimension);
        by_dimension.map(|(name, ppm)| ((*name).to_owned(), json!(ppm))).collect::<serde_json::Map<_, _>>()
    });
    let offer = &priced.offer;
    json!({
        "deal": priced.deal, "valued": offer.valued.to_string(), "paced": offer.paced.to_string(),
        "capped": offer.capped.to_string(), "worth": offer.worth.to_string(), "floor": offer.floor.to_string(),
        "price": offer.price.to_string(), "factors_ppm": factors, "value": offer.base_value.to_string(),
        "click_ppb": offer.predicted.click_ppb, "conversion_ppb": offer.predicted.conversion_ppb,
        "win_ppm": offer.win_ppm, "explored_ppm": offer.explored_ppm,
        "exchange_cap": priced.exchange_cap.map(|cap| cap.to_string()),
    })
}

fn as_json(explanation: &Explanation, arguments: &ExplainArguments) -> Value {
    let verdict = |v: &LineItemVerdict| {
        json!({
            "line_item": v.line_item.to_string(), "reason": v.reason.map(NoBidReason::as_str),
            "detail": v.detail, "priced": price_json(v),
        })
    };
    let imps: Vec<Value> = explanation
        .imps
        .iter()
        .map(|imp| {
            json!({
                "id": imp.id, "no_bid": imp.no_bid.map(NoBidReason::as_str), "candidates": imp.candidates.len(),
                "line_items": shown(&imp.verdicts, arguments).map(verdict).collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({
        "restriction": explanation.restriction.map(|r| r.as_str()),
        "user_known": explanation.user_known,
        "segments": explanation.segments.iter().map(|s| s.0).collect::<Vec<_>>(),
        "provided": explanation.provided.iter().map(|s| s.0).collect::<Vec<_>>(),
        "refused": explanation.refused.iter().map(|s| s.0).collect::<Vec<_>>(),
        "no_bid": explanation.no_bid.map(NoBidReason::as_str),
        "imps": imps,
    })
}
