//! The configuration: one TOML file, environment variables and `--set`, read into one validated [`Config`].
//!
//! Invariant: a [`Config`] exists only when every value has its type, is within its bounds and goes together with the
//! others; no later code sees an unvalidated value. All errors of all sources are reported at once, each with its
//! place, what is wrong and what to do. One table (`options.rs`) drives everything, the generated `config/outbid.toml`
//! included. A raw struct under serde's `deny_unknown_fields` would be shorter, but it stops at the first error and
//! knows nothing of bounds and places, so the table has its own reader.
//!
//! Deliberately absent: reading the process's environment or the file itself (the caller injects both; only a
//! `file:` reference of a secret is opened here), and noticing that something changed.

mod error;
mod options;
mod render;
mod secret;
mod sources;
mod value;

pub use error::{ConfigError, ConfigErrors, Place, Problem};
pub use options::{
    Admin, Config, Data, Engine, Funnel, Ledger, Limits, Listen, Log, Privacy, Samples, Server, Track,
};
pub use render::default_file;
pub use secret::Secret;
pub use sources::Sources;
pub use value::{Acceptor, LegalBasis, OnRunaway, UnscopedGpp, YesNo};

use sources::Reader;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// Reads and validates a configuration; on failure, every error at once.
pub fn load<E>(sources: Sources<E>) -> Result<Config, ConfigErrors>
where
    E: Iterator<Item = (String, String)>,
{
    let env: BTreeMap<String, String> = sources.env.collect();
    let mut reader = Reader::new(sources.file.as_ref(), &env, &sources.sets);
    let config = Config::read(&mut reader);
    let mut errors = reader.into_errors();
    errors.extend(conflicts(&config));
    if errors.is_empty() {
        return Ok(config);
    }
    errors.sort_by(|a, b| a.place.cmp(&b.place));
    Err(ConfigErrors(errors))
}

impl Config {
    /// Whether an option was given by file, environment or `--set`, and is not just its default.
    pub fn is_given(&self, path: &str) -> bool {
        self.places.contains_key(path)
    }
}

/// Whether an option takes effect while the server runs.
pub fn is_hot(path: &str) -> bool {
    // What the account may hold and what the index was built for are settled at the start.
    const SETTLED: [&str; 3] = ["limits.line_items", "limits.segments", "limits.segments_per_user"];
    let is_limit = path.starts_with("limits.") && !SETTLED.contains(&path);
    is_limit || path.starts_with("admin.") || path == "log.level"
}

impl Config {
    /// The options whose values differ, in the order of the table.
    pub fn differences(&self, other: &Config) -> Vec<&'static str> {
        let paths = options::SECTIONS.iter().flat_map(|section| section.options).map(|option| option.path);
        let values = self.compared(other);
        paths.zip(values).filter(|(_, differs)| *differs).map(|(path, _)| path).collect()
    }

    /// Takes the values of another configuration for what takes effect while the server runs.
    pub fn take_hot(&mut self, other: &Config) {
        let Limits { line_items, segments, segments_per_user, .. } = self.limits;
        self.limits = Limits { line_items, segments, segments_per_user, ..other.limits.clone() };
        self.admin = other.admin.clone();
        self.log.level = other.log.level;
    }
}

/// The built-in defaults.
pub fn defaults() -> Config {
    Config::read(&mut Reader::new(None, &BTreeMap::new(), &[]))
}

/// Values that are good alone and bad together.
fn conflicts(config: &Config) -> Vec<ConfigError> {
    let mut found = Vec::new();
    let mut conflict = |key: &'static str, other: &'static str, reason: String| {
        let place = config.places.get(key).or_else(|| config.places.get(other)).unwrap_or(&Place::Default);
        found.push(ConfigError { place: place.clone(), problem: Problem::Conflict { key, reason } });
    };
    let listen = &config.listen;
    let listeners = [
        ("listen.bid", listen.bid),
        ("listen.track", listen.track),
        ("listen.admin", listen.admin),
        ("listen.ops", listen.ops),
    ];
    for (index, (key, address)) in listeners.iter().enumerate() {
        let same_host = |other: &SocketAddr| {
            other.ip() == address.ip() || other.ip().is_unspecified() || address.ip().is_unspecified()
        };
        let clash = listeners[..index]
            .iter()
            .find(|(_, other)| address.port() != 0 && other.port() == address.port() && same_host(other));
        if let Some((other, _)) = clash {
            conflict(key, other, format!("{address} is taken by {other}; give each listener its own port"));
        }
    }
    let server = &config.server;
    if server.drain_timeout_ms <= server.drain_grace_ms {
        conflict(
            "server.drain_timeout_ms",
            "server.drain_grace_ms",
            format!(
                "{} ms are over before the grace of {} ms (server.drain_grace_ms) is; give a larger value",
                server.drain_timeout_ms, server.drain_grace_ms
            ),
        );
    }
    if config.limits.inflated_bytes < config.limits.body_bytes {
        conflict(
            "limits.inflated_bytes",
            "limits.body_bytes",
            format!(
                "{} is less than limits.body_bytes ({}); give at least as much",
                config.limits.inflated_bytes, config.limits.body_bytes
            ),
        );
    }
    found
}
