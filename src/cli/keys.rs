//! `outbid keys`: the API keys ([`api_keys`]), and `outbid keys rotate`: a new key for notice tokens, which a running
//! server takes up by itself.
//!
//! Two keys verify, so a key that is made while tokens of the one before the last are still out would orphan their
//! bills. That is refused unless somebody says that a key has leaked and must go.

use super::api_keys;
use super::boot;
use super::wal::Place;
use super::{Common, Failure};
use crate::budget::TOKEN_LIFE_S;
use crate::model::clock::Clock;
use crate::serve::{Phase, Shared};
use crate::store::data_dir::{DataDir, TokenKeys};
use crate::telemetry::clock::SystemClock;
use anyhow::{Context, anyhow};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How often a server looks whether there is a new key.
const LOOK: Duration = Duration::from_secs(1);
/// A token lives at least so many times as long as the longest hold (money.md 2.4).
const LIVES_PER_TOKEN: u32 = 4;

/// What to do with the keys.
#[derive(Debug, clap::Subcommand)]
pub(super) enum What {
    /// Makes an API key, and shows its secret once.
    Create(api_keys::CreateArguments),
    /// Lists the API keys, without their secrets.
    List(api_keys::ListArguments),
    /// Revokes an API key.
    Revoke(api_keys::RevokeArguments),
    /// Makes a new key of notice tokens that signs from now on; the last one goes on verifying, those before it do not. A running
    /// server uses it within seconds.
    Rotate(RotateArguments),
}

/// Which keys.
#[derive(Debug, clap::Args)]
pub(super) struct RotateArguments {
    #[command(flatten)]
    place: Place,
    /// Also where tokens of the key before the last may still be billed: those bills are refused from now on.
    #[arg(long)]
    drop_open_tokens: bool,
}

pub(super) fn run(common: &Common, what: &What) -> Result<(), Failure> {
    match what {
        What::Create(arguments) => api_keys::create(common, arguments),
        What::List(arguments) => api_keys::list(common, arguments),
        What::Revoke(arguments) => api_keys::revoke(common, arguments),
        What::Rotate(arguments) => rotate(common, arguments),
    }
}

fn rotate(common: &Common, arguments: &RotateArguments) -> Result<(), Failure> {
    let root = arguments.place.root(common)?;
    let data = DataDir::open_read_only(&root).map_err(|error| Failure::Failed(error.into()))?;
    let damaged = |error: crate::store::data_dir::DataDirError| Failure::Damaged(error.into());
    let now_s = SystemClock::new().now().unix_s();
    let stored = data.stored_token_keys().map_err(damaged)?;
    let open = stored.is_some_and(|stored| stored.previous.is_some());
    let age_s = data.token_key_made_s().map_err(damaged)?.map_or(i64::MAX, |made_s| now_s - made_s);
    let life_s = token_life_s(common, &data)?;
    if open && age_s < i64::from(life_s) && !arguments.drop_open_tokens {
        return Err(Failure::Failed(anyhow!(
            "the current key is {age_s} s old, and tokens of the one before it may be billed for {} s more; wait, or \
             say --drop-open-tokens where a key has leaked: their bills are refused then, and nobody is charged for them",
            i64::from(life_s) - age_s
        )));
    }
    let keys = data.rotate_token_key().map_err(damaged)?;
    println!("key {} signs from now on; {}", keys.current.id, previous(&keys));
    Ok(())
}

fn previous(keys: &TokenKeys) -> String {
    keys.previous
        .as_ref()
        .map_or_else(|| "no other verifies".to_owned(), |key| format!("key {} verifies", key.id))
}

/// How long a token of this directory's exchanges may be billed, in seconds.
fn token_life_s(common: &Common, data: &DataDir) -> Result<u32, Failure> {
    let config = boot::configuration(common, Vec::new())?;
    let account = boot::stored_account(data, &config)?;
    let longest = account.exchanges.iter().map(|profile| profile.holds.max_s).max().unwrap_or(0);
    Ok(TOKEN_LIFE_S.max(longest.saturating_mul(LIVES_PER_TOKEN)))
}

/// Takes up new keys of a data directory until the server closes, on a thread of its own.
pub(super) fn watch(shared: &Arc<Shared>, root: &Path) -> anyhow::Result<()> {
    let (shared, data) = (Arc::clone(shared), DataDir::open_read_only(root)?);
    // The first look publishes what the start has read, or what was made since.
    let mut known: Option<TokenKeys> = None;
    let look = move || {
        while shared.phase() < Phase::Closing {
            std::thread::sleep(LOOK);
            let found = match data.stored_token_keys() {
                Ok(found) if found == known => continue,
                Ok(Some(found)) => found,
                // What is gone or damaged is a matter of the next start.
                Ok(None) | Err(_) => continue,
            };
            match boot::token_ring(&found) {
                Ok(ring) => {
                    shared.publish_token_keys(ring);
                    if known.is_some() {
                        tracing::warn!(
                            key = found.current.id,
                            "a new key signs tokens; {}",
                            previous(&found)
                        );
                    }
                }
                Err(error) => tracing::error!(%error, "the new keys of tokens cannot be used"),
            }
            known = Some(found);
        }
    };
    std::thread::Builder::new().name("keys".to_owned()).spawn(look).context("thread for keys")?;
    Ok(())
}
