//! A running server follows its configuration file: limits, keys and the log level at once, the rest after a restart.
//!
//! Invariant: what is served by is always a whole configuration that was valid. A file that is invalid, half-written or
//! gone changes nothing; the log names what is wrong with file, line and key, and a gauge falls to 0.
//!
//! The file is looked at every second, and at SIGHUP; it counts when it was the same twice, so that an editor that
//! writes in pieces is not caught in the middle. Everything is read anew each time, the files that `file:` secrets
//! stand in as well.

use super::boot::Booted;
use super::{Common, Failure, boot};
use crate::config::{Config, is_hot};
use crate::serve::{Phase, Shared};
use crate::telemetry::catalogue;
use crate::telemetry::log;
use anyhow::Context;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How often the file is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How long a file has to stay as it is after SIGHUP.
const SETTLE: Duration = Duration::from_millis(100);

/// Follows the configuration file of `common` until the server closes, on a thread of its own.
pub(super) fn watch(common: &Common, file: Option<PathBuf>, booted: &Booted) -> anyhow::Result<()> {
    let (shared, admin) = (Arc::clone(&booted.shared), booted.admin.clone());
    gauge(&shared, Ok(0));
    let Some(file) = file else { return Ok(()) };
    // A file that was there at the start is not forgotten when it goes.
    let common = Common { config: Some(file.clone()), ..common.clone() };
    let running = shared.config().clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("runtime")?;
    let hangup = {
        let _inside = runtime.enter();
        signal(SignalKind::hangup()).context("SIGHUP")?
    };
    let take_up = Box::new(move |config: &Config| {
        if let Some(admin) = &admin {
            admin.take_up(config);
        }
    });
    let watch = Watch { common, shared, running: running.clone(), latest: running, complaint: None, take_up };
    std::thread::Builder::new()
        .name("configuration".to_owned())
        .spawn(move || runtime.block_on(watch.run(&file, hangup)))
        .context("thread for the configuration")?;
    Ok(())
}

struct Watch {
    common: Common,
    shared: Arc<Shared>,
    /// What the server was started with, and what has been taken up since.
    running: Config,
    /// What the file said last.
    latest: Config,
    /// What was wrong with it last, so that it is said once.
    complaint: Option<String>,
    take_up: Box<dyn Fn(&Config) + Send>,
}

impl Watch {
    async fn run(mut self, file: &Path, mut hangup: Signal) {
        let mut seen = std::fs::read(file).ok();
        while self.shared.phase() < Phase::Closing {
            let asked = tokio::select! {
                _ = hangup.recv() => true,
                () = tokio::time::sleep(LOOK) => false,
            };
            if asked {
                seen = std::fs::read(file).ok();
                tokio::time::sleep(SETTLE).await;
                self.complaint = None;
            }
            let now = std::fs::read(file).ok();
            let is_settled = now == seen;
            seen = now;
            if is_settled {
                self.look(asked);
            }
        }
    }

    fn look(&mut self, asked: bool) {
        match boot::configuration(&self.common, Vec::new()) {
            Ok(config) if config == self.latest && self.complaint.is_none() && !asked => {}
            Ok(config) => self.follow(config),
            Err(failure) => {
                let errors = match failure {
                    Failure::Config(errors) | Failure::Usage(errors) => errors,
                    Failure::Failed(error) | Failure::Damaged(error) => format!("{error:#}"),
                };
                gauge(&self.shared, Err(()));
                if self.complaint.as_ref() != Some(&errors) {
                    tracing::error!("the configuration stays as it was: {errors}");
                    self.complaint = Some(errors);
                }
            }
        }
    }

    fn follow(&mut self, config: Config) {
        let differs = self.running.differences(&config);
        let (now, later): (Vec<&str>, Vec<&str>) = differs.into_iter().partition(|path| is_hot(path));
        if !now.is_empty() {
            self.shared.take_up(&config);
            (self.take_up)(&config);
            log::set_level(config.log.level);
            self.running.take_hot(&config);
        }
        if config != self.latest || self.complaint.is_some() {
            let (changed, restart_needed) = (now.join(", "), later.join(", "));
            tracing::warn!(changed, restart_needed, "the configuration was read again");
        }
        self.latest = config;
        self.complaint = None;
        gauge(&self.shared, Ok(later.len()));
    }
}

/// Says how the last look went: how many options wait for a restart, or that the file is refused.
fn gauge(shared: &Shared, outcome: Result<usize, ()>) {
    let metrics = shared.metrics();
    metrics.gauge(catalogue::CONFIG_RELOAD_SUCCESS, &[]).set(if outcome.is_ok() { 1.0 } else { 0.0 });
    if let Ok(waiting) = outcome {
        metrics.gauge(catalogue::CONFIG_RESTART_NEEDED, &[]).set(waiting as f64);
        let now_s = shared.clock().now().unix_ms / 1_000;
        metrics.gauge(catalogue::CONFIG_RELOAD_TIME, &[]).set(now_s as f64);
    }
}
