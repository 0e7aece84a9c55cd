//! `outbid check config` and `outbid check openrtb FILE`.

use super::boot;
use super::{Common, Failure};
use crate::exchange::{self, Limits};
use anyhow::{Context, anyhow};
use bumpalo::Bump;
use std::path::PathBuf;

/// What to check.
#[derive(Debug, clap::Subcommand)]
pub(super) enum What {
    /// Reads the configuration as `serve` would and prints the effective one, secrets masked.
    Config,
    /// Reads OpenRTB requests, one JSON object or one a line, and says which could not be bid on at all.
    Openrtb {
        /// A .json file with one request, or a file with one request a line.
        file: PathBuf,
        /// As JSON, one object a request.
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(common: &Common, what: &What) -> Result<(), Failure> {
    match what {
        What::Config => {
            print!("{}", boot::configuration(common, Vec::new())?.effective_toml());
            Ok(())
        }
        What::Openrtb { file, json } => openrtb(file, *json),
    }
}

fn openrtb(file: &PathBuf, json: bool) -> Result<(), Failure> {
    let text = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let whole = serde_json::from_slice::<serde::de::IgnoredAny>(&text).is_ok();
    let requests: Vec<(usize, &[u8])> = if whole {
        vec![(1, &text[..])]
    } else {
        let lines = text.split(|byte| *byte == b'\n').enumerate().map(|(index, line)| (index + 1, line));
        lines.filter(|(_, line)| !line.trim_ascii().is_empty()).collect()
    };
    let mut refused = 0;
    let mut arena = Bump::new();
    for (line, request) in &requests {
        let findings = lint(request, &arena);
        arena.reset();
        refused += usize::from(!findings.is_empty());
        if json {
            println!(
                "{}",
                serde_json::json!({ "line": line, "ok": findings.is_empty(), "findings": findings })
            );
        } else {
            findings.iter().for_each(|finding| println!("{}:{line}: {finding}", file.display()));
        }
    }
    if refused > 0 {
        return Err(Failure::Failed(anyhow!("{refused} of {} requests have findings", requests.len())));
    }
    if !json {
        println!("{}: {} requests, nothing found", file.display(), requests.len());
    }
    Ok(())
}

/// A record with a request in it.
#[derive(serde::Deserialize)]
struct Wrapped<'a> {
    #[serde(borrow)]
    request: &'a serde_json::value::RawValue,
}

/// What is wrong with a request, in words; empty when nothing is.
fn lint(request: &[u8], arena: &Bump) -> Vec<String> {
    // Logs and corpora often wrap the request in a record of their own.
    let wrapped = serde_json::from_slice::<Wrapped<'_>>(request).ok();
    let request = wrapped.map_or(request, |wrapped| wrapped.request.get().as_bytes());
    let auction = match exchange::parse(request, &Limits::default(), arena) {
        Ok(auction) => auction,
        Err(error) => return vec![format!("refused with status {}: {error}", error.status())],
    };
    let whole = auction.fault.map(|reason| format!("no bid on the whole request: {}", reason.as_str()));
    let each = auction.imps.iter().filter_map(|imp| {
        imp.fault.map(|reason| format!("no bid on impression {:?}: {}", imp.id, reason.as_str()))
    });
    whole.into_iter().chain(each).collect()
}
