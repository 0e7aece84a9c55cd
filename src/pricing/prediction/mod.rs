//! How likely an impression is to be clicked, and a click to convert: logistic regression over hashed features, learned
//! online with FTRL-proximal (pricing.md 2c, `docs/prediction.md`).
//!
//! Two halves that meet in one immutable table. In the background a [`Trainer`] takes what happened in time order, joins
//! clicks with their impressions, learns, calibrates and publishes a [`Model`], which the [`Guard`] refuses where it
//! predicts worse than the one that serves. In the request a [`Context`] is built and summed once, and each candidate
//! adds its [`Crosses`]: reads and additions of integers and one exponential, nothing that allocates.
//!
//! Invariants: the same events in the same order give the same tables, bit for bit; whatever is predicted for measuring is
//! predicted before its label is learned; probabilities leave as integers ([`Probability`]). Deliberately absent: threads,
//! files, and any use of floats in money.

pub(super) mod bytes;
mod calibration;
mod delay;
mod features;
mod ftrl;
mod guard;
mod inclusion;
mod join;
mod level;
mod measure;
mod model;
mod options;
mod target;
mod trainer;

pub use bytes::DamagedBytes;
pub use calibration::{Calibration, Calibrator};
pub use delay::{Delays, MATURITIES_MS};
pub use features::{
    CONTEXT_MAX, CROSSES_MAX, Context, ContextFacts, Crosses, Field, OfferFacts, OfferKeys, numeric_bin,
    text_feature,
};
pub use ftrl::Learner;
pub use guard::{Guard, Verdict};
pub use level::Level;
pub use measure::{Decile, Scores};
pub use model::{ContextSum, Model, Probability};
pub use options::{LearnerOptions, OptionsError, TrainerOptions};
pub use trainer::{Joined, Models, Publication, Trainer};
