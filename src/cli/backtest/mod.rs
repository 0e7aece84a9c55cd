//! `outbid backtest`: the production pricing code played over logs, for people with logs of their own and for us. What a
//! backtest means is written in pricing.md 2h and docs/pricing.md: it learns only from what a bidder would have heard.

mod best;
pub mod ctr;
mod html;
mod log;
mod market;
mod pacing;
mod quality;
mod shading;
mod simple;
mod spend;
mod surplus;

use super::Failure;
use anyhow::Context;
use std::path::Path;

/// What to play.
#[derive(Debug, clap::Subcommand)]
pub(super) enum What {
    /// Spends a budget over a log and compares what it bought with the most it could have bought.
    Pacing(pacing::PacingArguments),
    /// Bids in first-price auctions of a log and compares the surplus with the most there was.
    Shading(shading::ShadingArguments),
    /// Learns clicks from one log in one pass, predicts those of another, and says how good that was.
    Ctr(ctr::CtrArguments),
    /// Writes a log of impressions and clicks, drawn from a seed, for `backtest ctr`.
    Clicks(ctr::ClicksArguments),
    /// Writes a synthetic log to try the others with.
    Market(market::MarketArguments),
    /// Measures the algorithms on the synthetic market and says whether they reach what they must.
    Quality(quality::QualityArguments),
}

pub(super) fn run(what: &What) -> Result<(), Failure> {
    match what {
        What::Pacing(arguments) => pacing::run(arguments),
        What::Shading(arguments) => shading::run(arguments),
        What::Ctr(arguments) => ctr::run(arguments),
        What::Clicks(arguments) => ctr::write_clicks(arguments),
        What::Market(arguments) => market::run(arguments),
        What::Quality(arguments) => quality::run(arguments),
    }
}

/// Prints names and values as a table of two columns.
fn print_table(table: &[(String, String)]) {
    let rows: Vec<Vec<String>> =
        table.iter().map(|(name, value)| vec![name.clone(), value.clone()]).collect();
    print!("{}", super::output::table(&["what", "how much"], &rows));
}

/// Writes a page, whose name must not be a mistake for a log's.
fn write_page(path: &Path, page: &str) -> Result<(), Failure> {
    std::fs::write(path, page).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(())
}
