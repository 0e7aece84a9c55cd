//! `outbid serve`: answers until SIGTERM or SIGINT, then drains. SIGHUP takes up the account file and the configuration
//! anew.

use super::{Common, Failure};
use super::{boot, config_watch, keys, reload};
use crate::serve::{self, Running, Shared};
use crate::store::data_dir::DataDir;
use anyhow::Context;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};

pub(super) fn run(common: &Common) -> Result<(), Failure> {
    let file = boot::configuration_file(common);
    let config = boot::configuration(common, Vec::new())?;
    boot::start_log(&config)?;
    boot::require_account(&config.data.dir)?;
    let data = DataDir::open(&config.data.dir).map_err(|error| Failure::Failed(error.into()))?;
    let booted = boot::shared(config, &data)?;
    keys::watch(&booted.shared, data.root())?;
    reload::watch(&booted, &data, true).context("publisher")?;
    config_watch::watch(common, file, &booted)?;
    let served = until_signal(&booted.shared, |running| {
        let at = running.addresses;
        tracing::info!(bid = %at.bid, track = %at.track, admin = %at.admin, ops = %at.ops, "serving");
        Ok(true)
    });
    booted.close();
    served
}

/// Starts serving, calls `then` with the running server, and serves until a signal if it says so. The first SIGTERM
/// or SIGINT drains, a second one ends the process at once.
pub(super) fn until_signal(
    shared: &Arc<Shared>,
    then: impl FnOnce(&Running) -> Result<bool, Failure>,
) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("runtime")?;
    runtime.block_on(async {
        let (mut term, mut int) = (
            signal(SignalKind::terminate()).context("SIGTERM")?,
            signal(SignalKind::interrupt()).context("SIGINT")?,
        );
        let running = serve::start(Arc::clone(shared)).map_err(|error| Failure::Failed(error.into()))?;
        let background = Arc::clone(shared);
        let maintenance = std::thread::Builder::new().name("maintenance".to_owned());
        let maintenance =
            maintenance.spawn(move || serve::maintain(&background)).context("maintenance thread")?;
        let outcome = then(&running);
        if !matches!(outcome, Ok(true)) {
            running.close(std::time::Duration::from_secs(5)).await;
            return outcome.map(|_| ());
        }
        tokio::select! { _ = term.recv() => (), _ = int.recv() => () }
        tracing::info!("draining; a second signal ends the process at once");
        let abandoned = tokio::select! {
            abandoned = running.drain() => abandoned,
            _ = term.recv() => return Err(Failure::Failed(anyhow::anyhow!("ended by a second signal"))),
            _ = int.recv() => return Err(Failure::Failed(anyhow::anyhow!("ended by a second signal"))),
        };
        // It ends by itself now, within a second; what it kept is on disk after that.
        if maintenance.join().is_err() {
            tracing::error!("the thread of maintenance broke");
        }
        tracing::info!(abandoned, "stopped");
        Ok(())
    })
}
