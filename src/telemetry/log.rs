//! The log: `tracing` to standard error, because standard output is for data.

use std::sync::OnceLock;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{fmt, reload};

/// The least important lines that are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogLevel {
    /// Something failed and nobody else will mend it.
    Error,
    /// Something is wrong but the service goes on as it was.
    Warn,
    /// Starts, stops, changes.
    Info,
    /// For whoever looks for a fault.
    Debug,
    /// Everything.
    Trace,
}

impl From<LogLevel> for LevelFilter {
    fn from(level: LogLevel) -> LevelFilter {
        match level {
            LogLevel::Error => LevelFilter::ERROR,
            LogLevel::Warn => LevelFilter::WARN,
            LogLevel::Info => LevelFilter::INFO,
            LogLevel::Debug => LevelFilter::DEBUG,
            LogLevel::Trace => LevelFilter::TRACE,
        }
    }
}

/// How a line looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("cannot start the log: another one is already installed in this process")]
pub struct LogError(#[from] tracing_subscriber::util::TryInitError);

/// Sets the level of the log that was started.
static LEVEL: OnceLock<Box<dyn Fn(LogLevel) + Send + Sync>> = OnceLock::new();

/// Starts the log of this process. Called once, before anything is worth logging.
pub fn init(level: LogLevel, format: LogFormat) -> Result<(), LogError> {
    // Colours only reach people: NO_COLOR and a redirected standard error get plain text.
    let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let (filter, handle) = reload::Layer::new(LevelFilter::from(level));
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(is_terminal && !no_color);
    let registry = tracing_subscriber::registry().with(filter);
    match format {
        LogFormat::Text => registry.with(lines).try_init()?,
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init()?,
    }
    let set = move |level: LogLevel| {
        // It fails when the log is gone, and then nobody reads it.
        drop(handle.reload(LevelFilter::from(level)));
    };
    drop(LEVEL.set(Box::new(set)));
    Ok(())
}

/// Writes lines of this level from now on, if the log was started.
pub fn set_level(level: LogLevel) {
    if let Some(set) = LEVEL.get() {
        set(level);
    }
}
