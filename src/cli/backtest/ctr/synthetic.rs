//! `outbid backtest clicks`: a log whose truth is known, for who has none at hand.

use crate::cli::Failure;
use crate::sim::clicks::{ClickLog, ClickLogOptions, LoggedImpression};
use anyhow::Context as _;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Options of `outbid backtest clicks`.
#[derive(Debug, clap::Args)]
pub struct ClicksArguments {
    /// The seed: the same one draws the same log.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Rows of the log.
    #[arg(long, default_value_t = 300_000)]
    rows: usize,
    /// Rows of the same market that are passed over first: those of a training log, to draw the test that follows it.
    #[arg(long, default_value_t = 0)]
    skip: usize,
    /// Log-odds of a click where nothing speaks for it or against it; −4 makes two of a hundred.
    #[arg(long, default_value_t = -4.0, allow_negative_numbers = true)]
    base_logit: f64,
    /// The file; without it, standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Writes the log.
pub(in super::super) fn write(arguments: &ClicksArguments) -> Result<(), Failure> {
    let options =
        ClickLogOptions { seed: arguments.seed, base_logit: arguments.base_logit, ..Default::default() };
    let rows = ClickLog::new(options).skip(arguments.skip).take(arguments.rows);
    match &arguments.out {
        Some(file) => write_file(file, rows).with_context(|| format!("cannot write {}", file.display()))?,
        None => write_to(io::stdout().lock(), rows).context("cannot write to standard output")?,
    }
    Ok(())
}

fn write_file(file: &Path, rows: impl Iterator<Item = LoggedImpression>) -> io::Result<()> {
    write_to(File::create(file)?, rows)
}

fn write_to(out: impl Write, rows: impl Iterator<Item = LoggedImpression>) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, out);
    for row in rows {
        let clicked = u8::from(row.clicked_after_ms.is_some());
        let line = serde_json::json!({
            "y": clicked, "x": row.fields(), "p": row.click_truth, "ts_ms": row.at_ms,
        });
        serde_json::to_writer(&mut out, &line)?;
        out.write_all(b"\n")?;
    }
    out.flush()
}
