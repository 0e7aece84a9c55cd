//! `outbid backtest market`: a synthetic log as a file.

use super::super::Failure;
use super::log;
use crate::sim::auctions::{Kind, Market};
use anyhow::Context;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

/// Options of `outbid backtest market`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct MarketArguments {
    /// Where the log is written; without it, to standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// What kind of market.
    #[arg(long, default_value = "skewed", value_parser = ["skewed", "flat", "drift", "noisy", "surge"])]
    kind: String,
    /// Decides every row.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Decides the places and their prices: logs of one world are days of one market.
    #[arg(long, default_value_t = 1)]
    world: u64,
    /// How many auctions.
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u32).range(1..=50_000_000))]
    rows: u32,
    /// How many days they take.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=31))]
    days: u32,
    /// How many days after the first day of the market, 2026-01-01 UTC.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=3_650))]
    day: u32,
}

/// 2026-01-01 UTC.
const FIRST_DAY_MS: i64 = 1_767_225_600_000;
const DAY_MS: i64 = 86_400_000;

/// The start of a day of the market.
pub(super) fn day_ms(day: u32) -> i64 {
    FIRST_DAY_MS + i64::from(day) * DAY_MS
}

pub(super) fn run(arguments: &MarketArguments) -> Result<(), Failure> {
    let MarketArguments { out, kind, seed, world, rows, days, day } = arguments;
    let kind = Kind::ALL.into_iter().find(|known| known.as_str() == kind).unwrap_or(Kind::Skewed);
    let starts_ms = day_ms(*day);
    let market = Market { seed: *seed, world: *world, kind, starts_ms, days: *days, rows: *rows as usize };
    let written = match out {
        Some(path) => std::fs::File::create(path)
            .and_then(|file| write(&market, file))
            .with_context(|| format!("cannot write {}", path.display())),
        None => write(&market, std::io::stdout().lock()).context("cannot write the log"),
    };
    Ok(written?)
}

fn write(market: &Market, out: impl Write) -> std::io::Result<()> {
    let mut out = BufWriter::new(out);
    log::write(&market.auctions(), &mut out)?;
    out.flush()
}
