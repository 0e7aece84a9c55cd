//! The books of a run as a file, so that they can be audited when the server is long stopped.

use super::books::{Books, Bounds, Outcome, bounds};
use super::ledger::Before;
use crate::exchange::money::Charge;
use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{BufReader, BufWriter, Write};
use std::path::Path;

/// The one version that is understood.
const VERSION: u32 = 1;

/// A bill: the bid, the campaign, the charge and what is above the hold in nanos, and what was answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(Box<str>, u32, i64, i64, Outcome)", into = "(Box<str>, u32, i64, i64, Outcome)")]
pub(crate) struct Billed {
    pub(crate) bid: Box<str>,
    pub(crate) campaign: u32,
    pub(crate) amount: Charge,
    pub(crate) outcome: Outcome,
}

impl From<(Box<str>, u32, i64, i64, Outcome)> for Billed {
    fn from((bid, campaign, charge, over, outcome): (Box<str>, u32, i64, i64, Outcome)) -> Billed {
        Billed { bid, campaign, amount: Charge { charge, over }, outcome }
    }
}

impl From<Billed> for (Box<str>, u32, i64, i64, Outcome) {
    fn from(bill: Billed) -> (Box<str>, u32, i64, i64, Outcome) {
        (bill.bid, bill.campaign, bill.amount.charge, bill.amount.over, bill.outcome)
    }
}

/// The file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct File {
    version: u32,
    /// Name of the exchange that was played.
    pub(crate) exchange: String,
    /// What the ledger said before the run.
    pub(crate) before: Before,
    pub(crate) bills: Vec<Billed>,
}

impl File {
    /// The books of a run.
    pub(crate) fn of(exchange: &str, before: &Before, books: &Books) -> File {
        let bill = |bill: &super::books::Bill| Billed {
            bid: bill.bid.clone(),
            campaign: bill.campaign,
            amount: bill.amount,
            outcome: bill.outcome,
        };
        let bills = books.bills().iter().map(bill).collect();
        File { version: VERSION, exchange: exchange.to_owned(), before: before.clone(), bills }
    }

    /// Writes it.
    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let shown = path.display();
        let file = std::fs::File::create(path).with_context(|| format!("cannot create {shown}"))?;
        let mut out = BufWriter::new(file);
        serde_json::to_writer(&mut out, self).with_context(|| format!("cannot write {shown}"))?;
        out.flush().with_context(|| format!("cannot write {shown}"))
    }

    /// Reads it back.
    pub(crate) fn read(path: &Path) -> anyhow::Result<File> {
        let shown = path.display();
        let file = std::fs::File::open(path).with_context(|| format!("cannot read {shown}"))?;
        let file: File = serde_json::from_reader(BufReader::new(file))
            .with_context(|| format!("{shown} is no file of books"))?;
        ensure!(
            file.version == VERSION,
            "{shown} has version {}, this program reads {VERSION}",
            file.version
        );
        Ok(file)
    }

    /// By campaign, what the server's books must lie between.
    pub(crate) fn bounds(&self) -> BTreeMap<u32, Bounds> {
        bounds(self.bills.iter().map(|bill| (bill.campaign, bill.amount, bill.outcome)))
    }
}
