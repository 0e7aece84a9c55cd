//! The figures of a run: a table, JSON, a page.

use super::super::html::{self, Plot, Series};
use super::Figures;
use crate::cli::output;
use crate::pricing::prediction::{Decile, Scores};
use serde_json::{Value, json};

pub(super) fn print(figures: &Figures, as_json: bool) {
    if as_json {
        println!("{}", as_value(figures));
        return;
    }
    let rows: Vec<Vec<String>> = lines(figures).into_iter().map(|(name, value)| vec![name, value]).collect();
    print!("{}", output::table(&["what", "value"], &rows));
    let deciles: Vec<Vec<String>> = figures.tested.scores.deciles().iter().enumerate().map(decile).collect();
    println!();
    print!("{}", output::table(&["tenth", "rows", "predicted", "clicked", "Σp ÷ Σy"], &deciles));
}

fn decile((at, decile): (usize, &Decile)) -> Vec<String> {
    let ratio = decile.calibration().map_or("no clicks".to_owned(), |ratio| format!("{ratio:.3}"));
    let rate = |rate: f64| format!("{rate:.5}");
    vec![(at + 1).to_string(), decile.rows.to_string(), rate(decile.predicted), rate(decile.actual), ratio]
}

fn as_value(figures: &Figures) -> Value {
    let Figures { trained, tested, rows_per_s } = figures;
    let scores = &tested.scores;
    let deciles: Vec<Value> = scores
        .deciles()
        .iter()
        .map(|d| json!({ "rows": d.rows, "predicted": d.predicted, "clicked": d.actual }))
        .collect();
    let mut value = json!({
        "auc": scores.auc(),
        "logloss": scores.logloss(),
        "normalised_entropy": scores.normalised_entropy(),
        "calibration": scores.calibration(),
        "rows_per_s": rows_per_s.round(),
        "rows": scores.len(),
        "clicks": scores.clicks(),
        "deciles": deciles,
    });
    if let Some(trained) = trained {
        value["train_rows"] = json!(trained.rows);
        value["non_zeros"] = json!(trained.non_zeros);
        value["progressive_normalised_entropy"] = json!(trained.progressive.normalised_entropy());
        value["progressive_auc"] = json!(trained.progressive.auc());
    }
    if let Some(truth) = &tested.against_truth {
        value["normalised_entropy_gap"] = json!(truth.entropy_gap);
        value["truth_auc"] = json!(truth.auc);
    }
    value
}

/// What is said of the run, in the order of interest.
fn lines(figures: &Figures) -> Vec<(String, String)> {
    let Figures { trained, tested, rows_per_s } = figures;
    let scores = &tested.scores;
    let number =
        |value: Option<f64>| value.map_or("needs clicks and others".to_owned(), |v| format!("{v:.5}"));
    let mut lines = vec![
        ("AUC".to_owned(), number(scores.auc())),
        ("log loss".to_owned(), number(scores.logloss())),
        ("normalised entropy".to_owned(), number(scores.normalised_entropy())),
        ("calibration, Σp ÷ Σy".to_owned(), number(scores.calibration())),
        ("rows of the test".to_owned(), scores.len().to_string()),
        ("clicks among them".to_owned(), scores.clicks().to_string()),
    ];
    if let Some(trained) = trained {
        let before = |value: fn(&Scores) -> Option<f64>| number(value(&trained.progressive));
        lines.push(("rows learned".to_owned(), trained.rows.to_string()));
        lines.push(("weights".to_owned(), trained.non_zeros.to_string()));
        lines.push(("normalised entropy while learning".to_owned(), before(Scores::normalised_entropy)));
        lines.push(("AUC while learning".to_owned(), before(Scores::auc)));
    }
    if let Some(truth) = &tested.against_truth {
        lines.push((
            "normalised entropy above the truth's".to_owned(),
            format!("{:.3} %", truth.entropy_gap * 100.0),
        ));
        lines.push(("AUC of the truth".to_owned(), format!("{:.5}", truth.auc)));
    }
    lines.push(("rows a second".to_owned(), format!("{rows_per_s:.0}")));
    lines
}

/// The figures with plots of the calibration.
pub(super) fn page(figures: &Figures) -> String {
    let deciles = figures.tested.scores.deciles();
    let points: Vec<(f64, f64)> = deciles.iter().map(|decile| (decile.predicted, decile.actual)).collect();
    let most = points.iter().fold(0.0, |most: f64, point| most.max(point.0).max(point.1));
    let series = |name: &str, points, dots| Series { name: name.to_owned(), points, dots };
    let ratios = deciles.iter().enumerate().filter_map(|(at, d)| Some(((at + 1) as f64, d.calibration()?)));
    let plots = [
        Plot {
            title: "Clicks against predictions".to_owned(),
            x_label: "mean prediction of a tenth".to_owned(),
            y_label: "share of clicks".to_owned(),
            series: vec![
                series("as it should be", vec![(0.0, 0.0), (most, most)], false),
                series("tenths of the test", points.clone(), false),
                series("tenths", points, true),
            ],
        },
        Plot {
            title: "Calibration by tenths".to_owned(),
            x_label: "tenth of the test, by rising prediction".to_owned(),
            y_label: "Σp ÷ Σy".to_owned(),
            series: vec![
                series("as it should be", vec![(1.0, 1.0), (10.0, 1.0)], false),
                series("measured", ratios.collect(), true),
            ],
        },
    ];
    let intro =
        "Each row of the training log was predicted before it was learned; nothing of the test was learned.";
    html::page("Predicting clicks", intro, &lines(figures), &plots)
}
