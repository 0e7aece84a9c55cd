//! `outbid ledger verify`: whether the books add up.
//!
//! Four questions, each answered from the journal alone: does every record go with those before it; do the books add
//! up as a whole; does each checkpoint hold what the records below it come to; and does a running server have the same
//! books in memory.

use super::remote::{self, Remote};
use super::replay::{self, Observer};
use super::{names, storage};
use crate::budget::journal;
use crate::budget::record::Event;
use crate::budget::{AccountKey, Balance, Books};
use crate::cli::wal::Place;
use crate::cli::{Common, Failure};
use crate::model::storage::Storage;
use crate::serve::ledger_view::{self, Names, account_kind, date};
use anyhow::anyhow;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

/// How often a server is asked anew that wrote two checkpoints between its answer and the look at its files.
const ATTEMPTS: usize = 4;

/// What to verify.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct VerifyArguments {
    #[command(flatten)]
    place: Place,
    /// The server that runs on this directory: its memory must equal the journal.
    #[command(flatten)]
    at: remote::At,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// Verifies the books. Needs no lock; a server may write meanwhile.
pub(super) fn run(common: &Common, arguments: &VerifyArguments) -> Result<(), Failure> {
    let root = arguments.place.root(common)?;
    let storage = storage(&root)?;
    let report = report(common, arguments, &storage)?;
    if arguments.json {
        println!("{}", report.json(&root));
    } else {
        report.print(&root);
    }
    report.judge(&root, &names(&root))
}

fn report(common: &Common, arguments: &VerifyArguments, storage: &dyn Storage) -> Result<Report, Failure> {
    if !arguments.at.is_given() {
        return Report::of(storage, None);
    }
    for _ in 1..ATTEMPTS {
        let report = Report::of(storage, Some(arguments.at.ask(common)?))?;
        if report.remote.as_ref().is_none_or(|remote| remote.lsn >= report.base) {
            return Ok(report);
        }
    }
    Report::of(storage, Some(arguments.at.ask(common)?))
}

/// A checkpoint that was compared.
struct Compared {
    lsn: u64,
    /// Where it differs from the replay; `None` where it does not.
    difference: Option<String>,
}

/// What was found.
struct Report {
    base: u64,
    last: u64,
    books: Books,
    compared: Vec<Compared>,
    /// The first record after which the books do not add up, and why.
    violation: Option<(u64, String)>,
    remote: Option<Remote>,
    /// The replayed books at the server's record; `None` where the journal does not have it.
    at_remote: Option<Books>,
}

impl Report {
    fn of(storage: &dyn Storage, remote: Option<Remote>) -> Result<Report, Failure> {
        let mut verifier = Verifier {
            storage,
            checkpoints: journal::checkpoints(storage)
                .map_err(replay::ReplayError::from)?
                .into_iter()
                .map(|checkpoint| checkpoint.lsn)
                .collect(),
            compared: Vec::new(),
            remote_lsn: remote.as_ref().map(|remote| remote.lsn),
            at_remote: None,
        };
        let (plan, books) = replay::replay(storage, None, &mut verifier)?;
        let Verifier { compared, at_remote, .. } = verifier;
        let violation = match books.check() {
            Ok(()) => None,
            Err(violation) => {
                let first = replay::first_violation(storage, plan.base, plan.last)?;
                Some(
                    first.map_or((plan.last, violation.to_string()), |(lsn, first)| (lsn, first.to_string())),
                )
            }
        };
        Ok(Report { base: plan.base, last: plan.last, books, compared, violation, remote, at_remote })
    }

    fn equals_memory(&self) -> Option<bool> {
        let remote = self.remote.as_ref()?;
        Some(self.at_remote.as_ref().is_some_and(|books| hash(books) == remote.sha256))
    }

    fn print(&self, root: &Path) {
        println!("journal     {}", root.join("ledger").display());
        let begin = match self.base {
            0 => "from the empty state".to_owned(),
            lsn => format!(
                "from the checkpoint at lsn {lsn}, because records below it were let go or cannot be read (`outbid wal \
                 verify` says which)"
            ),
        };
        println!(
            "replayed    {} records, lsn {} to {}, {begin}",
            self.last - self.base,
            self.base + 1,
            self.last
        );
        let (accounts, leases) = (self.books.balances().len(), self.books.leases().len());
        match &self.violation {
            None => println!("invariants  hold over {accounts} accounts and {leases} leases"),
            Some((lsn, violation)) => println!("invariants  broken from record {lsn} on: {violation}"),
        }
        for Compared { lsn, difference } in &self.compared {
            match difference {
                None => println!("checkpoint  at lsn {lsn} equals the replay"),
                Some(difference) => {
                    println!("checkpoint  at lsn {lsn} differs from the replay: {difference}")
                }
            }
        }
        if self.compared.is_empty() {
            println!("checkpoint  none has its records below it still there");
        }
        match (self.equals_memory(), &self.remote) {
            (Some(true), Some(remote)) => {
                println!("memory      equals the journal at lsn {} (sha256 {})", remote.lsn, remote.sha256);
            }
            (Some(false), Some(remote)) => {
                println!("memory      differs from the journal at lsn {}", remote.lsn)
            }
            _ => {}
        }
    }

    fn json(&self, root: &Path) -> Value {
        let compared = self.compared.iter().map(|Compared { lsn, difference }| {
            json!({ "lsn": lsn, "equals": difference.is_none(), "difference": difference })
        });
        let violation = self.violation.as_ref().map(|(lsn, what)| json!({ "lsn": lsn, "what": what }));
        json!({
            "journal": root.join("ledger").display().to_string(),
            "base_lsn": self.base, "last_lsn": self.last, "sha256": hash(&self.books),
            "violation": violation,
            "checkpoints": compared.collect::<Vec<_>>(),
            "memory": self.remote.as_ref().map(|remote| json!({
                "lsn": remote.lsn, "sha256": remote.sha256, "equals": self.equals_memory(),
            })),
        })
    }

    /// The exit code, and what to do.
    fn judge(&self, root: &Path, names: &Names) -> Result<(), Failure> {
        let journal = root.join("ledger");
        let journal = journal.display();
        if let Some((lsn, violation)) = &self.violation {
            return Err(Failure::Damaged(anyhow!(
                "the books in {journal} do not add up from record {lsn} on: {violation}; do not serve on them, restore \
                 a backup, or look with `outbid wal dump --from {lsn} --to {lsn}`"
            )));
        }
        if let Some(Compared { lsn, difference: Some(difference) }) =
            self.compared.iter().find(|compared| compared.difference.is_some())
        {
            return Err(Failure::Damaged(anyhow!(
                "the checkpoint at lsn {lsn} in {journal} is not what the records below it come to: {difference}; one \
                 of the two was changed after it was written. Do not serve on them; restore a backup"
            )));
        }
        match (self.equals_memory(), &self.remote) {
            (Some(false), Some(remote)) => {
                let what = match &self.at_remote {
                    Some(books) => unlike(books, &remote.shown, names),
                    None => format!("the journal has records {} to {} only", self.base, self.last),
                };
                Err(Failure::Failed(anyhow!(
                    "the server's books at lsn {} are not those of {journal}: {what}; if it does serve from this \
                     directory, stop it: what it has decided since cannot be trusted",
                    remote.lsn
                )))
            }
            _ => Ok(()),
        }
    }
}

fn hash(books: &Books) -> String {
    Sha256::digest(books.image()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Compares on the way.
struct Verifier<'s> {
    storage: &'s dyn Storage,
    checkpoints: Vec<u64>,
    compared: Vec<Compared>,
    remote_lsn: Option<u64>,
    at_remote: Option<Books>,
}

impl Observer for Verifier<'_> {
    fn begin(&mut self, base: u64, books: &Books) -> anyhow::Result<()> {
        self.compared.clear();
        self.at_remote = (self.remote_lsn == Some(base)).then(|| books.clone());
        Ok(())
    }

    fn record(&mut self, lsn: u64, _event: &Event, books: &Books) -> anyhow::Result<ControlFlow<()>> {
        if self.remote_lsn == Some(lsn) {
            self.at_remote = Some(books.clone());
        }
        // One that has gone meanwhile, or that cannot be read, is not compared: `wal verify` speaks of those.
        if self.checkpoints.contains(&lsn)
            && let Some(image) = journal::checkpoint_payload(self.storage, lsn)?
        {
            let difference = match Books::from_image(&image) {
                Ok(held) => (held.image() != books.image()).then(|| difference(&held, books)),
                Err(error) => Some(error.to_string()),
            };
            self.compared.push(Compared { lsn, difference });
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// The first thing that differs between a checkpoint and the replay.
fn difference(held: &Books, replayed: &Books) -> String {
    let (theirs, ours) = (held.balances(), replayed.balances());
    let keys = theirs.keys().chain(ours.keys());
    let of =
        |map: &BTreeMap<AccountKey, Balance>, key: &AccountKey| map.get(key).copied().unwrap_or_default();
    if let Some(key) = keys.into_iter().find(|key| of(&theirs, key) != of(&ours, key)) {
        let (theirs, ours) = (of(&theirs, key), of(&ours, key));
        return format!(
            "{} shows {} posted and {} leased, the records {} and {}",
            account_name(*key),
            theirs.posted,
            theirs.leased,
            ours.posted,
            ours.leased
        );
    }
    let parts = [
        ("a lease", held.leases() != replayed.leases()),
        ("the house", held.house_by() != replayed.house_by()),
        ("where charges went", held.credits() != replayed.credits()),
        ("an adjustment", held.adjusted() != replayed.adjusted()),
        ("an exchange's book", held.exchanges() != replayed.exchanges()),
        ("a kill switch", held.stops() != replayed.stops()),
        ("a funding", held.funding() != replayed.funding()),
    ];
    let part = parts.iter().find(|(_, differs)| *differs).map_or("which bids were charged", |(name, _)| name);
    format!("{part} differs")
}

fn account_name(key: AccountKey) -> String {
    let (kind, id, day) = account_kind(key);
    let day = day.map(|day| format!(" of {}", date(day))).unwrap_or_default();
    format!("{} {id}{day}", kind.replace('_', " "))
}

/// The first account that a server shows otherwise.
fn unlike(books: &Books, shown: &Value, names: &Names) -> String {
    let ours = ledger_view::books(books, names);
    let of = |rows: &Value| -> BTreeMap<[String; 3], [String; 3]> {
        let text = |row: &Value, field: &str| row[field].as_str().unwrap_or_default().to_owned();
        let rows = rows.as_array().map(Vec::as_slice).unwrap_or_default();
        let key = |row: &Value| ["account", "id", "day"].map(|field| text(row, field));
        rows.iter()
            .map(|row| (key(row), ["budget", "posted", "leased"].map(|field| text(row, field))))
            .collect()
    };
    let (ours, theirs) = (of(&ours["accounts"]), of(&shown["accounts"]));
    let differs = ours.keys().chain(theirs.keys()).find(|key| ours.get(*key) != theirs.get(*key));
    let Some(key) = differs else {
        let (ours, theirs) = (books.epoch(), &shown["epoch"]);
        return format!("every account is alike; the journal's boot epoch is {ours}, the server's {theirs}");
    };
    let show = |row: Option<&[String; 3]>| match row {
        Some([_, posted, leased]) => format!("{posted} posted and {leased} leased"),
        None => "no such account".to_owned(),
    };
    format!(
        "{} has {} in the journal, {} in the server",
        key.join(" ").trim_end(),
        show(ours.get(key)),
        show(theirs.get(key))
    )
}
