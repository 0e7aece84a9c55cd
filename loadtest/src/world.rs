//! `world.json`: what `outbid seed` says about the world that it wrote into a data directory.

use crate::market::facts;
use anyhow::{Context, ensure};
use std::path::Path;

/// The name of the file in a data directory.
const FILE: &str = "world.json";

/// The one version that is understood.
const VERSION: u32 = 1;

/// The one rule for cookies that is understood: [`crate::market::dice::cookie`].
const COOKIE: &str = "splitmix64-hex";

/// A seeded world.
#[derive(Clone, Debug, serde::Deserialize)]
pub(crate) struct World {
    version: u32,
    /// Name of the exchange to play.
    pub(crate) exchange: String,
    /// What cookies derive from.
    pub(crate) seed: u64,
    /// Users 0 to `users` − 1 have cookies and segments.
    pub(crate) users: u64,
    cookie: String,
    sites: u64,
}

impl World {
    /// Reads the world of a data directory.
    pub(crate) fn read(data_dir: &Path) -> anyhow::Result<World> {
        let path = data_dir.join(FILE);
        let text = std::fs::read_to_string(&path).with_context(|| {
            format!(
                "cannot read {}: make a world with `outbid seed --data-dir {}`",
                path.display(),
                data_dir.display()
            )
        })?;
        World::parse(&text).with_context(|| format!("{} is of no use", path.display()))
    }

    /// Reads the text of the file.
    pub(crate) fn parse(text: &str) -> anyhow::Result<World> {
        let world: World = serde_json::from_str(text)?;
        ensure!(world.version == VERSION, "version {} is not {VERSION}: seed the world again", world.version);
        ensure!(world.cookie == COOKIE, "cookie rule {:?} is not {COOKIE:?}", world.cookie);
        ensure!(world.users >= 1, "a world without users has no traffic");
        ensure!(world.sites == facts::SITES, "{} sites are not {}", world.sites, facts::SITES);
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        ensure!(world.exchange.chars().all(plain), "exchange {:?} does not fit a URL", world.exchange);
        Ok(world)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORLD: &str = r#"{
        "version": 1, "exchange": "load", "seed": 18446744073709551615, "users": 1000, "segments": 20000,
        "line_items": 10000, "cookie": "splitmix64-hex", "sites": 20000, "features": {"goals": false}
    }"#;

    fn check(from: &str, to: &str, expected: &str) {
        let error = World::parse(&WORLD.replace(from, to)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn a_world_is_read_and_a_strange_one_refused() {
        let world = World::parse(WORLD).unwrap();
        assert_eq!((world.exchange.as_str(), world.seed, world.users), ("load", u64::MAX, 1_000));
        check("\"version\": 1", "\"version\": 2", "version 2");
        check("splitmix64-hex", "md5", "md5");
        check("\"users\": 1000", "\"users\": 0", "without users");
        check("\"sites\": 20000", "\"sites\": 5", "5 sites");
        check("\"load\"", "\"../x\"", "does not fit");
    }
}
