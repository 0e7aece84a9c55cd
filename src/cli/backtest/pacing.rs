//! `outbid backtest pacing`.

use super::super::Failure;
use super::best::{self, AuctionKind};
use super::html::{self, Plot, Series};
use super::spend::{self, Feedback, Game, Played, Strategy};
use super::{log, print_table, write_page};
use crate::model::money::Nanos;
use crate::sim::auctions::{Auction, draw};
use anyhow::Context;
use std::io::Write;
use std::path::{Path, PathBuf};

const HOUR_MS: i64 = 3_600_000;
/// How often clicks are drawn again for their interval.
const RESAMPLES: usize = 400;

/// Options of `outbid backtest pacing`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct PacingArguments {
    /// The log: CSV of ts_ms,market_price_cpm,pctr,click, optionally with place as a/b/c/d from wide to narrow.
    #[arg(long, value_name = "FILE")]
    log: PathBuf,
    /// The budget, as a part of what all auctions of the log would cost.
    #[arg(long, value_name = "PART")]
    budget_fraction: f64,
    /// What the winner pays.
    #[arg(long, value_enum, default_value = "second")]
    auction: AuctionKind,
    /// How bids are made.
    #[arg(long, value_enum, default_value = "outbid")]
    strategy: Strategy,
    /// A log of before, to learn values, prices and the shape of the day from.
    #[arg(long, value_name = "FILE")]
    train: Option<PathBuf>,
    /// What is heard of auctions: the price of each, or whether it was won.
    #[arg(long, value_enum, default_value = "open")]
    feedback: Feedback,
    /// Makes the forecast of the shape wrong: this much more at the end of the period and less at its start.
    #[arg(long, value_name = "X", default_value_t = 0.0, allow_negative_numbers = true)]
    plan_tilt: f64,
    /// Makes the forecast of the level wrong by this part.
    #[arg(long, value_name = "Y", default_value_t = 0.0, allow_negative_numbers = true)]
    level_error: f64,
    /// Bids the value where the winner pays its bid.
    #[arg(long)]
    no_shading: bool,
    /// Decides what is drawn.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Writes what was done about each row: ts_ms,bid_cpm,won,paid_cpm.
    #[arg(long, value_name = "FILE")]
    decisions: Option<PathBuf>,
    /// Writes a page with plots.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// What a game comes to. Money is in CPM prices: a thousandth of it is in currency.
pub(super) struct Score {
    pub(super) value: f64,
    pub(super) clairvoyant: f64,
    pub(super) spend: f64,
    pub(super) budget: f64,
    pub(super) clicks: u64,
    /// Between which 95 % of resampled logs lie.
    pub(super) clicks_interval: [u64; 2],
    pub(super) hourly_rms: f64,
}

impl Score {
    pub(super) fn of(game: &Game<'_>, played: &Played) -> Score {
        let pairs = || game.log.iter().zip(&played.decisions).filter(|(_, decision)| decision.won);
        let spend: i64 = pairs().map(|(_, decision)| decision.paid.0).sum();
        let clicks: Vec<bool> = pairs().map(|(auction, _)| auction.click).collect();
        Score {
            value: pairs().map(|(auction, _)| auction.pctr).sum(),
            clairvoyant: best::clairvoyant(game.log, game.budget),
            spend: spend as f64 / 1e6,
            budget: game.budget.0 as f64 / 1e6,
            clicks: clicks.iter().filter(|click| **click).count() as u64,
            clicks_interval: interval(&clicks, game.seed),
            hourly_rms: hourly_rms(game, played),
        }
    }

    pub(super) fn value_ratio(&self) -> f64 {
        ratio(self.value, self.clairvoyant)
    }

    pub(super) fn unspent_ratio(&self) -> f64 {
        if self.budget > 0.0 { (1.0 - self.spend / self.budget).max(0.0) } else { 0.0 }
    }
}

/// `part ÷ whole`, 1 where there was nothing to have.
pub(super) fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 1.0 }
}

/// The middle 95 % of clicks over resampled wins (Efron's percentile bootstrap). A win is drawn as often as a Poisson
/// number of mean 1 says, and only clicked ones count.
fn interval(clicks: &[bool], seed: u64) -> [u64; 2] {
    let clicked = clicks.iter().filter(|click| **click).count();
    let poisson = |at: usize, round: usize| {
        let uniform = (draw(seed, at * RESAMPLES + round, 7) >> 11) as f64 / (1u64 << 53) as f64;
        let (mut sum, mut term, mut count) = ((-1f64).exp(), (-1f64).exp(), 0u64);
        while uniform > sum && count < 20 {
            count += 1;
            term /= count as f64;
            sum += term;
        }
        count
    };
    // Beyond this many, the interval is a narrow one whichever way it is found.
    let (most, scale) = (clicked.min(2_000), clicked.max(1) as f64 / clicked.clamp(1, 2_000) as f64);
    let mut sums: Vec<u64> = (0..RESAMPLES)
        .map(|round| (0..most).map(|at| poisson(at, round)).sum::<u64>())
        .map(|sum| (clicked as f64 + (sum as f64 - most as f64) * scale.sqrt()).max(0.0) as u64)
        .collect();
    sums.sort_unstable();
    [sums[RESAMPLES / 40], sums[RESAMPLES - 1 - RESAMPLES / 40]]
}

/// What was spent and what was planned in each hour of the period.
fn by_hour(game: &Game<'_>, played: &Played) -> Vec<(f64, f64)> {
    let period = played.plan.period();
    let hours = ((period.ends_ms - period.starts_ms + HOUR_MS - 1) / HOUR_MS).max(1);
    let start = |hour: i64| period.starts_ms + hour * HOUR_MS;
    let planned = |hour: i64| {
        let to = start(hour + 1).min(period.ends_ms);
        game.budget.0 as f64 * (played.plan.done(to) - played.plan.done(start(hour)))
    };
    let mut hours: Vec<(f64, f64)> = (0..hours).map(|hour| (0.0, planned(hour))).collect();
    for (auction, decision) in game.log.iter().zip(&played.decisions) {
        hours[((auction.at_ms - period.starts_ms) / HOUR_MS) as usize].0 += decision.paid.0 as f64;
    }
    hours
}

/// The root of the mean square of hourly spend − plan, ÷ mean hourly spend.
fn hourly_rms(game: &Game<'_>, played: &Played) -> f64 {
    let hours = by_hour(game, played);
    let count = hours.len() as f64;
    let mean = hours.iter().map(|hour| hour.0).sum::<f64>() / count;
    let square = hours.iter().map(|hour| (hour.0 - hour.1).powi(2)).sum::<f64>() / count;
    if mean > 0.0 { square.sqrt() / mean } else { 0.0 }
}

pub(super) fn run(arguments: &PacingArguments) -> Result<(), Failure> {
    let fraction = arguments.budget_fraction;
    if !(fraction > 0.0 && fraction <= 1000.0) {
        let message = format!("--budget-fraction is {fraction}; it must be above 0, such as 0.0625");
        return Err(Failure::Usage(message));
    }
    for (name, value) in [("--plan-tilt", arguments.plan_tilt), ("--level-error", arguments.level_error)] {
        if !(-0.99..=100.0).contains(&value) {
            return Err(Failure::Usage(format!("{name} is {value}; it must be between -0.99 and 100")));
        }
    }
    let rows = log::read(&arguments.log)?;
    let train = arguments.train.as_deref().map(log::read).transpose()?;
    let part = |log: &[Auction]| Nanos((best::cost_of_all(log).0 as f64 * fraction) as i64);
    let game = Game {
        log: &rows,
        train: train.as_deref(),
        budget: part(&rows),
        train_budget: train.as_deref().map_or(Nanos(0), part),
        kind: arguments.auction,
        strategy: arguments.strategy,
        feedback: arguments.feedback,
        plan_tilt: arguments.plan_tilt,
        level_error: arguments.level_error,
        shades: !arguments.no_shading,
        seed: arguments.seed,
    };
    let played = spend::play(&game);
    let score = Score::of(&game, &played);
    if let Some(path) = &arguments.decisions {
        write_decisions(path, &game, &played)?;
    }
    let table = table(&score);
    if let Some(path) = &arguments.html {
        let title = "Backtest of pacing";
        let intro = format!(
            "{} auctions of {}, a budget of {fraction} of their cost, {:?} price, strategy {:?}.",
            rows.len(),
            arguments.log.display(),
            arguments.auction,
            arguments.strategy
        );
        write_page(path, &html::page(title, &intro, &table, &plots(&game, &played)))?;
    }
    if arguments.json {
        println!("{}", json(&score));
    } else {
        print_table(&table);
    }
    Ok(())
}

fn json(score: &Score) -> serde_json::Value {
    serde_json::json!({
        "value": score.value,
        "clairvoyant_value": score.clairvoyant,
        "value_ratio": score.value_ratio(),
        "spend": score.spend,
        "budget": score.budget,
        "unspent_ratio": score.unspent_ratio(),
        "clicks": score.clicks,
        "clicks_interval": score.clicks_interval,
        "hourly_rms": score.hourly_rms,
    })
}

fn table(score: &Score) -> Vec<(String, String)> {
    let [low, high] = score.clicks_interval;
    let row = |name: &str, value: String| (name.to_owned(), value);
    vec![
        row("value (Σ pCTR won)", format!("{:.4}", score.value)),
        row("clairvoyant value", format!("{:.4}", score.clairvoyant)),
        row("value ÷ clairvoyant", format!("{:.4}", score.value_ratio())),
        row("spend (Σ CPM)", format!("{:.2}", score.spend)),
        row("budget (Σ CPM)", format!("{:.2}", score.budget)),
        row("unspent", format!("{:.2} %", 100.0 * score.unspent_ratio())),
        row("clicks (95 % between)", format!("{} ({low} to {high})", score.clicks)),
        row("hourly spend off plan, RMS ÷ mean", format!("{:.3}", score.hourly_rms)),
    ]
}

fn write_decisions(path: &Path, game: &Game<'_>, played: &Played) -> Result<(), Failure> {
    let write = || -> std::io::Result<()> {
        let mut out = std::io::BufWriter::new(std::fs::File::create(path)?);
        writeln!(out, "ts_ms,bid_cpm,won,paid_cpm")?;
        for (auction, decision) in game.log.iter().zip(&played.decisions) {
            let paid = crate::model::money::Cpm(decision.paid.0);
            writeln!(out, "{},{},{},{paid}", auction.at_ms, decision.bid, u8::from(decision.won))?;
        }
        out.flush()
    };
    Ok(write().with_context(|| format!("cannot write {}", path.display()))?)
}

fn plots(game: &Game<'_>, played: &Played) -> Vec<Plot> {
    let period = played.plan.period();
    let hour = |at_ms: i64| (at_ms - period.starts_ms) as f64 / HOUR_MS as f64;
    let step = (game.log.len() / 500).max(1);
    let mut sum = 0.0;
    let mut spent = Vec::new();
    for (row, (auction, decision)) in game.log.iter().zip(&played.decisions).enumerate() {
        sum += decision.paid.0 as f64 / 1e6;
        if row % step == 0 || row + 1 == game.log.len() {
            spent.push((hour(auction.at_ms), sum));
        }
    }
    let budget = game.budget.0 as f64 / 1e6;
    let planned = spent.iter().map(|(at, _)| {
        let at_ms = period.starts_ms + (at * HOUR_MS as f64) as i64;
        (*at, budget * played.plan.done(at_ms))
    });
    let planned = planned.collect();
    let series = |name: &str, points| Series { name: name.to_owned(), points, dots: false };
    let hours = by_hour(game, played);
    let hourly = |pick: fn(&(f64, f64)) -> f64| {
        hours.iter().enumerate().map(|(at, hour)| (at as f64, pick(hour) / 1e6)).collect::<Vec<_>>()
    };
    let plot = |title: &str, y_label: &str, series| Plot {
        title: title.to_owned(),
        x_label: "hours since the start".to_owned(),
        y_label: y_label.to_owned(),
        series,
    };
    let mut plots = vec![
        plot("Spend against plan", "Σ CPM", vec![series("plan", planned), series("spend", spent)]),
        plot(
            "Spend by hour",
            "Σ CPM in the hour",
            vec![series("plan", hourly(|hour| hour.1)), series("spend", hourly(|hour| hour.0))],
        ),
    ];
    if !played.levels.is_empty() {
        let levels = played.levels.iter().map(|(at_ms, kappa)| (hour(*at_ms), *kappa)).collect();
        plots.push(plot("The multiplier κ", "κ", vec![series("κ", levels)]));
    }
    plots.extend(played.landscape.as_ref().map(|landscape| super::shading::win_rate(game.log, landscape)));
    plots
}
