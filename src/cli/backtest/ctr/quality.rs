//! Prediction in the table of quality: the production trainer on a drawn log whose truth is known, judged as it would
//! serve. Every impression of the last fifth is predicted by the model that was published last before it, then learned;
//! clicks and conversions come to the trainer when they happen.
//!
//! The row of pricing.md section 3 with a public log needs data that is not part of this repository. Who has such a log
//! prints it with `outbid backtest ctr --train F --test F`.

use super::super::quality::Row;
use crate::model::ids::BidId;
use crate::pricing::prediction::{
    Context, ContextFacts, Crosses, LearnerOptions, OfferFacts, OfferKeys, Scores, Trainer, TrainerOptions,
};
use crate::sim::clicks::{ClickLog, ClickLogOptions, LoggedImpression};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Impressions that are drawn.
const ROWS: usize = 1_500_000;
/// Impressions between two publications.
const PUBLISH_EVERY: usize = 5_000;

/// What serving models predicted, beside the truth.
struct Served {
    scores: Scores,
    truth: Scores,
    /// Prediction and truth.
    pairs: Vec<(f64, f64)>,
    /// Share of the clicks that found their impression.
    join_rate: f64,
}

/// The rows of prediction.
pub(in super::super) fn rows(seed: u64) -> Vec<Row> {
    let served = serve(seed, ROWS);
    let gap = entropy_gap(&served.pairs);
    let overall = served.scores.calibration().unwrap_or(0.0);
    let tenths = tenths(&served.pairs);
    let worst =
        tenths.iter().copied().max_by(|a, b| (a - 1.0).abs().total_cmp(&(b - 1.0).abs())).unwrap_or(0.0);
    let auc = served.scores.auc().unwrap_or(0.0);
    let lost = served.truth.auc().unwrap_or(1.0) - auc;
    let row = |quantity: &str, must: &str, aim: &str, measured: f64, shown: String, holds: bool| Row {
        quantity: quantity.to_owned(),
        must: must.to_owned(),
        aim: aim.to_owned(),
        measured,
        shown,
        holds,
    };
    let between = |x: f64, low: f64, high: f64| x >= low && x <= high;
    vec![
        row(
            "Calibration of clicks, Σp ÷ Σy, overall",
            "0.98–1.02",
            "0.99–1.01",
            overall,
            format!("{overall:.4}"),
            between(overall, 0.98, 1.02),
        ),
        row(
            "Calibration of clicks by tenths of the prediction, Σp ÷ Σ truth, the worst",
            "0.9–1.1",
            "0.9–1.1",
            worst,
            format!("{worst:.3}"),
            between(worst, 0.9, 1.1),
        ),
        row(
            "Normalised entropy above the known truth's",
            "≤ 2 %",
            "≤ 1 %",
            gap,
            format!("{:.2} %", gap * 100.0),
            gap <= 0.02,
        ),
        row(
            "AUC below the known truth's",
            "≤ 0.03",
            "≤ 0.02",
            lost,
            format!("{lost:.4} ({auc:.4})"),
            lost <= 0.03,
        ),
        row(
            "Clicks that find their impression",
            "≥ 99 %",
            "≥ 99.9 %",
            served.join_rate,
            format!("{:.2} %", served.join_rate * 100.0),
            served.join_rate >= 0.99,
        ),
    ]
}

/// Something that happens after its impression.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Later {
    Click(BidId),
    Conversion(BidId),
}

/// Plays a log to a trainer and predicts the last fifth with what it has published.
fn serve(seed: u64, rows: usize) -> Served {
    let options = TrainerOptions {
        click: LearnerOptions { bits: 20, ..TrainerOptions::default().click },
        conversion: LearnerOptions { bits: 16, ..TrainerOptions::default().conversion },
        ..TrainerOptions::default()
    };
    let mut trainer = Trainer::new(options).expect("parameters within their ranges");
    let log =
        ClickLog::new(ClickLogOptions { seed, base_logit: -3.0, rows_per_day: 90_000, ..Default::default() });
    let (mut context, mut crosses) = (Context::default(), Crosses::default());
    let mut later: BinaryHeap<Reverse<(i64, Later)>> = BinaryHeap::new();
    let (mut scores, mut truth, mut pairs) = (Scores::default(), Scores::default(), Vec::new());
    for (number, row) in log.take(rows).enumerate() {
        while let Some(Reverse((at_ms, what))) = later.peek().copied().filter(|next| next.0.0 <= row.at_ms) {
            later.pop();
            match what {
                Later::Click(bid) => trainer.click(bid, at_ms),
                Later::Conversion(bid) => trainer.conversion(bid, at_ms),
            }
        }
        if number % PUBLISH_EVERY == 0 && number >= rows / 2 {
            trainer.publish();
        }
        features(&row, &mut context, &mut crosses);
        if let Some(model) = trainer.models().click.filter(|_| number >= rows / 5 * 4) {
            let sum = model.context_sum(&context);
            let p = model.predict(sum, &crosses, row.campaign).as_f64();
            let clicked = row.clicked_after_ms.is_some();
            scores.add(p, clicked);
            truth.add(row.click_truth, clicked);
            pairs.push((p, row.click_truth));
        }
        let both = context.features().iter().chain(crosses.features()).copied();
        trainer.impression(row.bid, row.at_ms, row.campaign, both);
        if let Some(after_ms) = row.clicked_after_ms {
            let at_ms = row.at_ms + after_ms;
            later.push(Reverse((at_ms, Later::Click(row.bid))));
            if let Some(after_ms) = row.converted_after_ms {
                later.push(Reverse((at_ms + after_ms, Later::Conversion(row.bid))));
            }
        }
    }
    Served { scores, truth, pairs, join_rate: trainer.joined().join_rate().unwrap_or(0.0) }
}

fn features(row: &LoggedImpression, context: &mut Context, crosses: &mut Crosses) {
    context.fill(&ContextFacts {
        exchange: row.exchange,
        site: u64::from(row.site) + 1,
        slot: Some(&row.slot),
        size: Some(row.size),
        format: Some(row.format),
        position: Some(row.position),
        country: Some(row.country),
        region: Some(&row.region),
        hour_of_week: row.hour_of_week,
        device_type: Some(row.device_type),
        os: Some(row.os),
        browser: Some(row.browser),
        connection: Some(row.connection),
        segments: &row.segments,
    });
    let keys = OfferKeys::new(row.advertiser, row.campaign, row.line_item, row.creative);
    crosses.fill(context, &OfferFacts { keys, frequency: Some(row.frequency), recency_s: None });
}

/// Expected log loss of the predictions ÷ that of the truth, less 1.
fn entropy_gap(pairs: &[(f64, f64)]) -> f64 {
    let cross = |truth: f64, p: f64| -truth * p.ln() - (1.0 - truth) * (1.0 - p).ln();
    let loss: f64 = pairs.iter().map(|(p, truth)| cross(*truth, *p)).sum();
    let least: f64 = pairs.iter().map(|(_, truth)| cross(*truth, *truth)).sum();
    loss / least - 1.0
}

/// Σp ÷ Σ truth of each tenth by rising prediction: with single clicks the lowest tenth would be judged by chance.
fn tenths(pairs: &[(f64, f64)]) -> Vec<f64> {
    let mut sorted = pairs.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let ratio = |rows: &[(f64, f64)]| {
        rows.iter().map(|row| row.0).sum::<f64>() / rows.iter().map(|row| row.1).sum::<f64>()
    };
    sorted.chunks(sorted.len().div_ceil(10).max(1)).map(ratio).collect()
}
