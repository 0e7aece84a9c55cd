//! `outbid backtest ctr`: learns clicks from a log in one pass and predicts those of another, with the learner, the
//! calibration and the table that serve.
//!
//! Each row of the training log is predicted before it is learned; nothing of the test log is learned at all. The table
//! that predicts the test is the exported form, two bytes a weight.

mod quality;
mod rows;
mod show;
mod synthetic;

pub(super) use quality::rows as quality_rows;
pub use rows::RowError;
pub use synthetic::ClicksArguments;
pub(super) use synthetic::write as write_clicks;

use crate::cli::Failure;
use crate::model::clock::Clock;
use crate::pricing::prediction::{
    Calibration, Calibrator, Learner, LearnerOptions, Level, Model, OptionsError, Probability, Scores,
};
use crate::telemetry::clock::SystemClock;
use anyhow::{Context as _, anyhow};
use rows::Row;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

/// Rows of the end of the training log whose predictions are calibrated on and shown.
const RECENT: usize = 200_000;

/// Options of `outbid backtest ctr`.
#[derive(Debug, clap::Args)]
pub struct CtrArguments {
    /// The log to learn from: a row a line, {"y":0|1,"x":["field=value",…]}, in the order of time.
    #[arg(long, value_name = "FILE", required_unless_present = "model", conflicts_with = "model")]
    train: Option<PathBuf>,
    /// A model from `--save`, instead of learning one.
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// The log to predict, which nothing is learned from.
    #[arg(long, value_name = "FILE")]
    test: PathBuf,
    /// Writes the model that predicted the test.
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// α: size of a learning step.
    #[arg(long, default_value_t = 0.1)]
    alpha: f64,
    /// β: what the first steps are made smaller by.
    #[arg(long, default_value_t = 1.0)]
    beta: f64,
    /// L1: larger ones leave fewer weights.
    #[arg(long, default_value_t = 0.0)]
    l1: f64,
    /// L2: pulls weights towards 0.
    #[arg(long, default_value_t = 1.0)]
    l2: f64,
    /// The table has 2^BITS slots, 8 to 24.
    #[arg(long, default_value_t = 22)]
    bits: u8,
    /// Learn a value from this occurrence on.
    #[arg(long, default_value_t = 1)]
    min_count: u8,
    /// Calibrate with the isotonic part as well.
    #[arg(long)]
    isotonic: bool,
    /// Predict without any calibration.
    #[arg(long, conflicts_with = "isotonic")]
    uncalibrated: bool,
    /// The figures as JSON.
    #[arg(long)]
    json: bool,
    /// Writes a page with the figures and plots of the calibration.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// How what was learned is calibrated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Calibrate {
    /// Not at all.
    No,
    /// Intercept, slope, and intercepts of campaigns.
    Line,
    /// These and the isotonic part.
    Isotonic,
}

/// What learning came to.
#[derive(Clone, Debug)]
pub struct Trained {
    /// The table.
    pub model: Model,
    /// Rows.
    pub rows: u64,
    /// The last predictions, each made before its row was learned.
    pub progressive: Scores,
    /// Coordinates with a weight.
    pub non_zeros: usize,
}

/// How good predictions of a test log are.
#[derive(Clone, Debug, Default)]
pub struct Tested {
    /// Predictions with their outcomes.
    pub scores: Scores,
    /// Where each row says the probability that it was drawn from.
    pub against_truth: Option<AgainstTruth>,
}

/// A comparison with the truth, without the chance of single clicks.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct AgainstTruth {
    /// Expected log loss ÷ that of the truth, less 1: as the entropy of the mean rate is the same for both, the gap of
    /// the normalised entropies.
    pub entropy_gap: f64,
    /// Area under the curve of the truth itself.
    pub auc: f64,
}

/// Learns a log in one pass.
pub fn train(
    options: LearnerOptions,
    calibrate: Calibrate,
    file: &str,
    input: impl BufRead,
) -> Result<Trained, TrainError> {
    let mut learner = Learner::new(options)?;
    let mut calibrator = Calibrator::new(RECENT, calibrate == Calibrate::Isotonic);
    let mut level = Level::default();
    let mut progressive = std::collections::VecDeque::new();
    let rows = rows::read(file, input, |row: Row| {
        let Row { clicked, values, .. } = row;
        let logit = learner.learn(&values.features, clicked, 1.0);
        let clicks = f64::from(u8::from(clicked));
        calibrator.add(0, values.campaign, logit, clicks, 1.0);
        if calibrate != Calibrate::No {
            level.add(&values.features, values.campaign, clicks, 1.0);
        }
        if progressive.len() == RECENT {
            progressive.pop_front();
        }
        progressive.push_back((Probability::from_logit(logit as f32).as_f64(), clicked));
    })?;
    let calibration = match calibrate {
        Calibrate::No => Calibration::default(),
        Calibrate::Line | Calibrate::Isotonic => calibrator.fit(0),
    };
    let mut scores = Scores::default();
    // The first half was predicted by who knew little.
    let late = progressive.len() / 2;
    progressive.iter().skip(late).for_each(|(p, clicked)| scores.add(*p, *clicked));
    let model = learner.snapshot(calibration, &level, 0);
    Ok(Trained { model, rows, progressive: scores, non_zeros: learner.non_zeros() })
}

/// Why nothing was learned.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A parameter cannot be.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// The log cannot be read.
    #[error(transparent)]
    Rows(#[from] RowError),
}

/// Predicts a log.
pub fn test(model: &Model, file: &str, input: impl BufRead) -> Result<Tested, RowError> {
    let mut tested = Tested::default();
    let mut truth = Scores::default();
    let (mut loss, mut least_loss) = (0.0, 0.0);
    let cross = |truth: f64, p: f64| -truth * p.ln() - (1.0 - truth) * (1.0 - p).ln();
    let rows = rows::read(file, input, |row: Row| {
        let p = model.predict_row(&row.values.features, row.values.campaign).as_f64();
        tested.scores.add(p, row.clicked);
        if let Some(known) = row.truth {
            truth.add(known, row.clicked);
            loss += cross(known, p);
            least_loss += cross(known, known);
        }
    })?;
    tested.against_truth = (truth.len() as u64 == rows)
        .then(|| truth.auc().map(|auc| AgainstTruth { entropy_gap: loss / least_loss - 1.0, auc }))
        .flatten();
    Ok(tested)
}

/// Figures of one run, as they are shown.
struct Figures {
    trained: Option<Trained>,
    tested: Tested,
    /// Of the rows that were learned, or predicted where none were.
    rows_per_s: f64,
}

/// Runs the command.
pub(super) fn run(arguments: &CtrArguments) -> Result<(), Failure> {
    let clock = SystemClock::new();
    let seconds_since = |start_ns: u64| (clock.mono_ns() - start_ns) as f64 / 1e9;
    let start_ns = clock.mono_ns();
    let (trained, model, mut rows_per_s) = match (&arguments.train, &arguments.model) {
        (Some(file), _) => {
            let trained = train_file(arguments, file)?;
            let rows_per_s = trained.rows as f64 / seconds_since(start_ns);
            (Some(trained.clone()), trained.model, Some(rows_per_s))
        }
        (None, Some(file)) => (None, import(file)?, None),
        (None, None) => return Err(Failure::Usage("give --train FILE or --model FILE".to_owned())),
    };
    let start_ns = clock.mono_ns();
    let name = arguments.test.display().to_string();
    let tested = test(&model, &name, open(&arguments.test)?).map_err(anyhow::Error::from)?;
    let rows_per_s = *rows_per_s.get_or_insert_with(|| tested.scores.len() as f64 / seconds_since(start_ns));
    if let Some(file) = &arguments.save {
        write_file(file, &model.export())?;
    }
    let figures = Figures { trained, tested, rows_per_s };
    if let Some(file) = &arguments.html {
        write_file(file, show::page(&figures).as_bytes())?;
    }
    show::print(&figures, arguments.json);
    Ok(())
}

fn train_file(arguments: &CtrArguments, file: &Path) -> Result<Trained, Failure> {
    let CtrArguments { alpha, beta, l1, l2, bits, min_count, .. } = *arguments;
    let options = LearnerOptions { alpha, beta, l1, l2, bits, min_count };
    let calibrate = match (arguments.uncalibrated, arguments.isotonic) {
        (true, _) => Calibrate::No,
        (false, true) => Calibrate::Isotonic,
        (false, false) => Calibrate::Line,
    };
    let trained = train(options, calibrate, &file.display().to_string(), open(file)?);
    trained.map_err(|error| match error {
        TrainError::Options(why) => Failure::Usage(format!("--{why}")),
        TrainError::Rows(why) => Failure::Failed(anyhow!(why)),
    })
}

fn import(file: &Path) -> Result<Model, Failure> {
    let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    Model::import(&bytes).map_err(|why| Failure::Damaged(anyhow!(why).context(file.display().to_string())))
}

fn open(file: &Path) -> anyhow::Result<BufReader<File>> {
    let opened = File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(BufReader::with_capacity(1 << 20, opened))
}

fn write_file(file: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    std::fs::write(file, bytes).with_context(|| format!("cannot write {}", file.display()))
}
