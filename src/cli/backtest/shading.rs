//! `outbid backtest shading`.

use super::super::Failure;
use super::html::{self, Plot, Series};
use super::pacing::ratio;
use super::spend::Feedback;
use super::surplus::{self, Bid, Game};
use super::{log, print_table, write_page};
use crate::model::money::{Cpm, PPM};
use crate::pricing::shading::{Landscape, Place};
use crate::sim::auctions::{Auction, Coverage};
use std::path::PathBuf;

/// Options of `outbid backtest shading`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ShadingArguments {
    /// The log: CSV of ts_ms,market_price_cpm,pctr,click, optionally with place as a/b/c/d from wide to narrow.
    #[arg(long, value_name = "FILE")]
    log: PathBuf,
    /// A log of before, to learn values and prices from.
    #[arg(long, value_name = "FILE")]
    train: Option<PathBuf>,
    /// What is heard of auctions: the price of each, or whether it was won.
    #[arg(long, value_enum, default_value = "open")]
    feedback: Feedback,
    /// How many of a hundred losses are told with their price, where feedback is open.
    #[arg(long, value_name = "PERCENT", default_value_t = 100, value_parser = clap::value_parser!(u64).range(0..=100))]
    loss_coverage: u64,
    /// CPM for one unit of pCTR; without it, what breaks even in the log of before, or in what was seen so far.
    #[arg(long, value_name = "X")]
    value_scale: Option<f64>,
    /// Decides what is drawn.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Writes a page with plots.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// What a game comes to, in CPM prices.
pub(super) struct Score {
    pub(super) surplus: f64,
    pub(super) oracle: f64,
    pub(super) win_rate: f64,
    /// The best constant part of the value, known afterwards, and its surplus.
    pub(super) best_factor: f64,
    pub(super) factor_surplus: f64,
}

impl Score {
    pub(super) fn of(log: &[Auction], bids: &[Bid]) -> Score {
        let values: Vec<Cpm> = bids.iter().map(|bid| bid.value).collect();
        let (factor_ppm, factor_surplus) = surplus::best_factor(log, &values);
        let won = bids.iter().filter(|bid| bid.won).count();
        Score {
            surplus: surplus::surplus(bids) as f64 / 1e6,
            oracle: surplus::oracle(log, &values) as f64 / 1e6,
            win_rate: ratio(won as f64, bids.len() as f64),
            best_factor: factor_ppm as f64 / PPM as f64,
            factor_surplus: factor_surplus as f64 / 1e6,
        }
    }

    pub(super) fn ratio(&self) -> f64 {
        ratio(self.surplus, self.oracle)
    }
}

pub(super) fn run(arguments: &ShadingArguments) -> Result<(), Failure> {
    if let Some(scale) = arguments.value_scale.filter(|scale| !(*scale > 0.0 && *scale <= 1e9)) {
        let message = format!("--value-scale is {scale}; it must be above 0, in CPM for a pCTR of 1");
        return Err(Failure::Usage(message));
    }
    let rows = log::read(&arguments.log)?;
    let train = arguments.train.as_deref().map(log::read).transpose()?;
    let game = Game {
        log: &rows,
        train: train.as_deref(),
        value_scale: arguments.value_scale,
        feedback: arguments.feedback,
        coverage: Coverage { percent: arguments.loss_coverage, seed: arguments.seed },
        seed: arguments.seed,
    };
    let played = surplus::play(&game);
    let score = Score::of(&rows, &played.bids);
    let table = table(&score);
    if let Some(path) = &arguments.html {
        let (rows, feedback) = (rows.len(), arguments.feedback);
        let shown = arguments.log.display();
        let intro = format!("{rows} first-price auctions of {shown}, {feedback:?} feedback.");
        let plots = [win_rate(game.log, &played.landscape), bids(&played.bids)];
        write_page(path, &html::page("Backtest of shading", &intro, &table, &plots))?;
    }
    if arguments.json {
        let json = serde_json::json!({
            "surplus": score.surplus,
            "oracle_surplus": score.oracle,
            "surplus_ratio": score.ratio(),
            "win_rate": score.win_rate,
            "unshaded_surplus": 0.0,
            "best_factor": score.best_factor,
            "best_factor_surplus": score.factor_surplus,
            "best_factor_ratio": ratio(score.factor_surplus, score.oracle),
        });
        println!("{json}");
    } else {
        print_table(&table);
    }
    Ok(())
}

fn table(score: &Score) -> Vec<(String, String)> {
    let row = |name: &str, value: String| (name.to_owned(), value);
    vec![
        row("surplus (Σ value − bid, CPM)", format!("{:.2}", score.surplus)),
        row("oracle surplus (Σ value − price)", format!("{:.2}", score.oracle)),
        row("surplus ÷ oracle", format!("{:.4}", score.ratio())),
        row("auctions won", format!("{:.1} %", 100.0 * score.win_rate)),
        row("without shading ÷ oracle", "0.0000".to_owned()),
        row(
            "best constant factor, known afterwards ÷ oracle",
            format!("{:.4} (at {:.2})", ratio(score.factor_surplus, score.oracle), score.best_factor),
        ),
    ]
}

/// How likely a bid is to win, as learned for the place with most auctions, and as the log says of that place.
pub(super) fn win_rate(log: &[Auction], landscape: &Landscape) -> Plot {
    let mut counts = std::collections::BTreeMap::new();
    log.iter().for_each(|auction| *counts.entry(auction.place).or_insert(0u32) += 1);
    let place = counts.iter().max_by_key(|(_, count)| **count).map_or([0; 4], |(place, _)| *place);
    let mut prices: Vec<i64> =
        log.iter().filter(|auction| auction.place == place).map(|auction| auction.price.0).collect();
    prices.sort_unstable();
    let top = prices.get(prices.len() * 99 / 100).copied().unwrap_or(1).max(1);
    let at = |point: i64| Cpm(top * point / 80);
    let cpm = |price: Cpm| price.0 as f64 / 1e6;
    let learned = (0..=100).map(|point| {
        let bid = at(point);
        (cpm(bid), landscape.win_probability(&Place::new(place), bid))
    });
    let true_rate = (0..=100).map(|point| {
        let bid = at(point);
        let below = prices.partition_point(|price| *price <= bid.0);
        (cpm(bid), ratio(below as f64, prices.len() as f64))
    });
    let series = |name: &str, points, dots| Series { name: name.to_owned(), points, dots };
    Plot {
        title: "Win rate of the place with most auctions".to_owned(),
        x_label: "bid (CPM)".to_owned(),
        y_label: "probability to win".to_owned(),
        series: vec![
            series("in the log", true_rate.collect(), true),
            series("learned", learned.collect(), false),
        ],
    }
}

/// Bids by value, of some auctions.
fn bids(bids: &[Bid]) -> Plot {
    let step = (bids.len() / 800).max(1);
    let mut values: Vec<i64> = bids.iter().map(|bid| bid.value.0).collect();
    values.sort_unstable();
    let most = values.get(values.len() * 95 / 100).copied().unwrap_or(0);
    let some = || bids.iter().step_by(step).filter(|bid| bid.value.0 <= most);
    let points = |won: bool| {
        let chosen = some().filter(|bid| bid.won == won);
        chosen.map(|bid| (bid.value.0 as f64 / 1e6, bid.bid.0 as f64 / 1e6)).collect()
    };
    let series = |name: &str, points| Series { name: name.to_owned(), points, dots: true };
    Plot {
        title: "Bids by value".to_owned(),
        x_label: "value (CPM)".to_owned(),
        y_label: "bid (CPM)".to_owned(),
        series: vec![series("lost", points(false)), series("won", points(true))],
    }
}
