//! Who plays the exchange behind a run: what it needs before the server starts, and what it says when the server has
//! stopped.

use super::args::RunArgs;
use super::slo::Check;
use super::traffic::source::Source;
use crate::counterpart::Counterpart;
use crate::world::World;
use serde_json::Value;
use std::time::Duration;

/// An exchange with books.
pub(crate) trait Partner: Counterpart {
    /// Settings that a server which is started for the run needs for it, as `key=value`.
    fn settings(&self) -> Vec<String>;

    /// The last request was answered: what still waits is due at once.
    fn hurry(&mut self, now: Duration);

    /// The server has stopped, if it was started for the run: what was found.
    fn finish(&mut self) -> anyhow::Result<Findings>;
}

/// What a partner says after a run.
#[derive(Clone, Debug)]
pub(crate) struct Findings {
    /// Conditions beside those of the SLO; one that does not hold ends with the same exit code.
    pub(crate) checks: Vec<Check>,
    /// For the JSON object, under `exchange`.
    pub(crate) json: Value,
    /// For the reader.
    pub(crate) notes: Vec<String>,
}

/// The partner of a run; `None` where requests are only asked and answered. The server has not started yet.
#[allow(clippy::unnecessary_wraps, reason = "an exchange reads the server's account before it plays")]
pub(crate) fn partner(
    _args: &RunArgs,
    _world: &World,
    _source: &Source,
) -> anyhow::Result<Option<Box<dyn Partner>>> {
    Ok(None)
}
