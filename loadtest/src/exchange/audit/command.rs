//! `outbid-load audit`: the books of a run against the ledger of a stopped data directory.

use super::file::File;
use super::ledger::{self, Tool};
use super::records::Records;
use super::verdict::{self, Difference};
use crate::exchange::account::{self, Account};
use crate::exchange::money::amount;
use anyhow::ensure;
use std::io::Write;
use std::path::PathBuf;

/// Differences that are printed.
const SHOWN: usize = 20;

/// Options of `audit`.
#[derive(Debug, clap::Args)]
pub(crate) struct AuditArgs {
    /// The data directory that was served; nothing may serve it now.
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// The books that the run wrote.
    #[arg(long, value_name = "FILE")]
    books: PathBuf,
    /// The program that reads the ledger; without it, `outbid` beside this one.
    #[arg(long, value_name = "PROGRAM")]
    server_cmd: Option<PathBuf>,
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
}

/// What an audit came to.
#[derive(Debug)]
pub(crate) struct Report {
    /// Bills in the books.
    pub(crate) bills: usize,
    /// Records of the ledger.
    pub(crate) records: u64,
    /// Charged to campaigns since the run began, in nanos.
    pub(crate) charged: i128,
    pub(crate) differences: Vec<Difference>,
}

impl Report {
    /// For programs.
    pub(crate) fn json(&self) -> serde_json::Value {
        let row = |one: &Difference| serde_json::json!({ "rule": one.rule, "what": one.what });
        serde_json::json!({
            "bills": self.bills, "records": self.records, "charged": amount(self.charged),
            "differences": self.differences.len(),
            "first": self.differences.iter().take(SHOWN).map(row).collect::<Vec<_>>(),
        })
    }
}

/// Runs the command; an error where the books differ.
pub(crate) fn run(args: &AuditArgs) -> anyhow::Result<()> {
    let file = File::read(&args.books)?;
    let tool =
        Tool { program: ledger::program(args.server_cmd.as_deref())?, data_dir: args.data_dir.clone() };
    let account = account::parse(&tool.account_text()?, &file.exchange)?;
    let report = audit(&tool, &account, &file)?;
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{}", report.json())?;
    } else {
        print(&report, &mut out)?;
    }
    let differences = report.differences.len();
    ensure!(differences == 0, "the ledger differs from the exchange's books in {differences} places");
    Ok(())
}

/// Prints a report for people.
pub(crate) fn print(report: &Report, out: &mut impl Write) -> anyhow::Result<()> {
    let Report { bills, records, charged, differences } = report;
    writeln!(out, "{bills} bills, {records} records, {} charged to campaigns", amount(*charged))?;
    for difference in differences.iter().take(SHOWN) {
        writeln!(out, "  {difference}")?;
    }
    match differences.len() {
        0 => writeln!(out, "the books are those of the exchange, to the nano")?,
        count if count > SHOWN => writeln!(out, "  and {} more", count - SHOWN)?,
        _ => {}
    }
    Ok(())
}

/// Holds the books of a run against the ledger of a data directory that nobody serves.
pub(crate) fn audit(tool: &Tool, account: &Account, file: &File) -> anyhow::Result<Report> {
    let shown = tool.show()?;
    let bounds = file.bounds();
    let mut differences = verdict::whole(account, &file.before, (&bounds, &bounds), &shown);
    let mut records = Records::new(account, &file.before, &file.bills);
    tool.export(|entry| records.add(&entry))?;
    let count = records.count;
    differences.extend(records.finish(&shown));
    let sum = |amounts: &std::collections::BTreeMap<u32, i64>| {
        amounts.values().map(|it| i128::from(*it)).sum::<i128>()
    };
    let charged = sum(&shown.posted("campaign")) - sum(&file.before.campaigns);
    Ok(Report { bills: file.bills.len(), records: count, charged, differences })
}
