//! What a server's ledger says: its books whole (`outbid ledger show --json`, `GET /v1/ledger`) and its records one by
//! one (`outbid ledger export --format json`). Amounts in nanos.

use crate::exchange::money::decimal;
use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What the house bears for an advertiser.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct House {
    pub(crate) overdelivery: i64,
    pub(crate) overprice: i64,
    pub(crate) stale: i64,
}

/// The account of a wallet, a campaign or a line item, or of a day of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// wallet, campaign, campaign_day, line_item, line_item_day.
    pub(crate) kind: String,
    pub(crate) id: u32,
    pub(crate) day: Option<String>,
    pub(crate) budget: Option<i64>,
    pub(crate) posted: i64,
    pub(crate) leased: i64,
}

/// The books whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shown {
    /// The last record.
    pub(crate) lsn: u64,
    pub(crate) rows: Vec<Row>,
    /// By advertiser.
    pub(crate) house: BTreeMap<u32, House>,
}

/// What of the books was there before a run, so that the run's part can be told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Before {
    pub(crate) lsn: u64,
    /// Charged, by campaign.
    pub(crate) campaigns: BTreeMap<u32, i64>,
    pub(crate) house: BTreeMap<u32, House>,
}

impl Shown {
    /// Reads the JSON of both sources.
    pub(crate) fn read(books: &Value) -> anyhow::Result<Shown> {
        let list = |name: &str| books[name].as_array().with_context(|| format!("the ledger shows no {name}"));
        let mut shown =
            Shown { lsn: books["lsn"].as_u64().context("the ledger shows no lsn")?, ..Shown::default() };
        for row in list("accounts")? {
            shown.rows.push(Row {
                kind: row["account"].as_str().context("an account without a kind")?.to_owned(),
                id: id(&row["id"])?,
                day: row["day"].as_str().map(str::to_owned),
                budget: if row["budget"].is_null() { None } else { Some(amount(&row["budget"])?) },
                posted: amount(&row["posted"])?,
                leased: amount(&row["leased"])?,
            });
        }
        for row in list("house")? {
            let advertiser = if row["advertiser"].is_null() { 0 } else { id(&row["advertiser"])? };
            let house = shown.house.entry(advertiser).or_default();
            house.overdelivery += amount(&row["overdelivery"])?;
            house.overprice += amount(&row["overprice"])?;
            house.stale += amount(&row["stale"])?;
        }
        Ok(shown)
    }

    /// Charged by id, of accounts of a kind without days.
    pub(crate) fn posted(&self, kind: &str) -> BTreeMap<u32, i64> {
        self.rows.iter().filter(|row| row.kind == kind).map(|row| (row.id, row.posted)).collect()
    }

    /// What is there now, for a run that begins.
    pub(crate) fn before(&self) -> Before {
        Before { lsn: self.lsn, campaigns: self.posted("campaign"), house: self.house.clone() }
    }
}

/// A record that moved money for good.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) lsn: u64,
    /// charge, late, stale, adjustment, or opening: the sum of records that are gone.
    pub(crate) kind: String,
    pub(crate) bid: String,
    pub(crate) campaign: Option<u32>,
    pub(crate) line_item: Option<u32>,
    pub(crate) day: Option<String>,
    /// Media, data fee, platform share.
    pub(crate) parts: [i64; 3],
    pub(crate) charge: i64,
    pub(crate) house: House,
}

impl Entry {
    /// Reads a line of the export.
    pub(crate) fn read(line: &str) -> anyhow::Result<Entry> {
        let row: Value = serde_json::from_str(line)?;
        let text = |name: &str| row[name].as_str().map(str::to_owned);
        let money = |name: &str| if row[name].is_null() { Ok(0) } else { amount(&row[name]) };
        let number = |name: &str| if row[name].is_null() { Ok(None) } else { id(&row[name]).map(Some) };
        Ok(Entry {
            lsn: row["lsn"].as_u64().context("no lsn")?,
            kind: text("kind").context("no kind")?,
            bid: text("bid").unwrap_or_default(),
            campaign: number("campaign")?,
            line_item: number("line_item")?,
            day: text("budget_day"),
            parts: [money("media")?, money("data_fee")?, money("platform_share")?],
            charge: money("charge")?,
            house: House {
                overdelivery: money("overdelivery")?,
                overprice: money("overprice")?,
                stale: money("stale")?,
            },
        })
    }
}

/// An amount of money as the ledger writes it.
pub(crate) fn amount(value: &Value) -> anyhow::Result<i64> {
    value.as_str().and_then(|text| decimal(text, 9)).with_context(|| format!("{value} is no amount of money"))
}

fn id(value: &Value) -> anyhow::Result<u32> {
    value.as_str().and_then(|text| text.parse().ok()).with_context(|| format!("{value} is no id"))
}

/// `outbid` with its data directory.
#[derive(Clone, Debug)]
pub(crate) struct Tool {
    pub(crate) program: PathBuf,
    pub(crate) data_dir: PathBuf,
}

impl Tool {
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(words).arg("--data").arg(&self.data_dir).stdin(Stdio::null());
        command
    }

    /// The books whole.
    pub(crate) fn show(&self) -> anyhow::Result<Shown> {
        let output = self.command(&["ledger", "show", "--json"]).output();
        let output = output.with_context(|| format!("cannot start {}", self.program.display()))?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "`outbid ledger show` ends with {}: {}", output.status, said.trim());
        Shown::read(&serde_json::from_slice(&output.stdout)?)
    }

    /// Every record that moved money, in its order.
    pub(crate) fn export(&self, mut each: impl FnMut(Entry)) -> anyhow::Result<()> {
        let mut command = self.command(&["ledger", "export", "--format", "json"]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = child.with_context(|| format!("cannot start {}", self.program.display()))?;
        let out = child.stdout.take().context("no output")?;
        for line in BufReader::new(out).lines() {
            let line = line?;
            each(Entry::read(&line).with_context(|| format!("the export has a line {line}"))?);
        }
        let mut said = String::new();
        // What it says is short, so it never waits for a reader.
        child.stderr.take().context("no errors")?.read_to_string(&mut said)?;
        let status = child.wait()?;
        ensure!(status.success(), "`outbid ledger export` ends with {status}: {}", said.trim());
        Ok(())
    }

    /// An account file of the directory: what `outbid export` writes where there is a control store.
    pub(crate) fn account_text(&self) -> anyhow::Result<String> {
        let file = self.data_dir.join("account.json");
        if !self.data_dir.join("control.db").exists() {
            return std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()));
        }
        let mut command = Command::new(&self.program);
        command.arg("export").arg("--data-dir").arg(&self.data_dir).arg("-").stdin(Stdio::null());
        let output = command.output().with_context(|| format!("cannot start {}", self.program.display()))?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "`outbid export` ends with {}: {}", output.status, said.trim());
        String::from_utf8(output.stdout).context("`outbid export` writes no text")
    }
}

/// `outbid` beside this program, unless another one is named.
pub(crate) fn program(named: Option<&Path>) -> anyhow::Result<PathBuf> {
    named.map_or_else(|| crate::servers::beside_this("outbid"), |path| Ok(path.to_owned()))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_books_are_read_as_the_ledger_shows_them() {
        let row = |kind: &str, day: Value, budget: Value, posted: &str| {
            json!({"account": kind, "id": "3", "name": "", "day": day, "currency": "USD", "budget": budget,
                "posted": posted, "leased": "1.00", "available": null})
        };
        let books = json!({
            "lsn": 7, "accounts": [row("campaign", json!(null), json!("5.00"), "0.000000001"),
                row("campaign_day", json!("2026-01-02"), json!(null), "2.50")],
            "house": [{"exchange": "a", "advertiser": "1", "overdelivery": "1.00", "overprice": "0.50", "stale": "0.00"},
                {"exchange": "b", "advertiser": "1", "overdelivery": "1.00", "overprice": "0.00", "stale": "2.00"}],
        });
        let shown = Shown::read(&books).unwrap();
        assert_eq!(shown.posted("campaign"), BTreeMap::from([(3, 1)]));
        assert_eq!((shown.rows[1].day.as_deref(), shown.rows[1].budget), (Some("2026-01-02"), None));
        let house = House { overdelivery: 2_000_000_000, overprice: 500_000_000, stale: 2_000_000_000 };
        assert_eq!(
            shown.before(),
            Before { lsn: 7, campaigns: BTreeMap::from([(3, 1)]), house: [(1, house)].into() }
        );
        assert!(Shown::read(&json!({"lsn": 7, "accounts": [{}], "house": []})).is_err());
        assert!(Shown::read(&json!({"accounts": [], "house": []})).is_err());
    }

    #[test]
    fn a_record_is_read_as_the_export_writes_it() {
        let line = r#"{"lsn":9,"kind":"charge","bid":"a-0-1","campaign":"4","line_item":"5","budget_day":"2026-01-02",
            "media":"1.00","data_fee":"0.25","platform_share":"0.10","charge":"1.35","overprice":"0.00","currency":"USD"}"#;
        let entry = Entry::read(line).unwrap();
        assert_eq!((entry.lsn, entry.bid.as_str(), entry.campaign), (9, "a-0-1", Some(4)));
        assert_eq!((entry.parts, entry.charge), ([1_000_000_000, 250_000_000, 100_000_000], 1_350_000_000));
        assert!(Entry::read(r#"{"lsn":9}"#).is_err() && Entry::read("").is_err());
        assert!(Entry::read(r#"{"lsn":9,"kind":"charge","charge":1.5}"#).is_err());
    }
}
