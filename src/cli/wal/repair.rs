//! `outbid wal repair`: makes a damaged journal open again. It is rehearsed first, so that what is asked of the
//! operator is what will happen.

use super::rehearsal::Rehearsal;
use super::verify::Report;
use super::{Place, event};
use crate::budget::file_storage::FileStorage;
use crate::budget::journal::{self, Item, JournalError, Repair};
use crate::cli::{Common, Failure};
use crate::model::storage::Storage;
use crate::store::data_dir::DataDir;
use anyhow::{Context, anyhow};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

/// What to repair.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct RepairArguments {
    #[command(flatten)]
    place: Place,
    /// Really does it; without it, only says what would be done.
    #[arg(long)]
    yes: bool,
}

/// Repairs the journal, under the data directory's lock.
pub(super) fn run(common: &Common, arguments: &RepairArguments) -> Result<(), Failure> {
    let root = arguments.place.root(common)?;
    let data = DataDir::open(&root).map_err(|error| Failure::Failed(error.into()))?;
    let ledger = data.ledger();
    let open = || FileStorage::open(&ledger).context("cannot look into the journal");
    let storage = open()?;
    let Some(plan) = journal::repair(&Rehearsal::new(open()?)).map_err(|why| beyond(&ledger, why))? else {
        return nothing_to_repair(&storage, &ledger);
    };
    // Looked at before anything is cut away.
    let lost = Lost::behind(plan.last_lsn, &storage).with_context(|| format!("in {}", ledger.display()))?;
    if !arguments.yes {
        print(&plan, &lost, &ledger, false);
        return Err(Failure::Usage(format!(
            "nothing was changed; `outbid wal dump --from {}` shows what would be lost; restore a backup if there is \
             one, else run this again with --yes",
            lost.first
        )));
    }
    let done = journal::repair(&storage).map_err(|why| {
        let error = anyhow::Error::new(why);
        error.context("the repair stopped halfway; nothing was deleted, so remove the cause and run it again")
    })?;
    let done = done.context("the damage went away by itself; look at the disk")?;
    print(&done, &lost, &ledger, true);
    Ok(())
}

fn beyond(ledger: &Path, why: JournalError) -> Failure {
    let damaged = matches!(why, JournalError::Damaged { .. });
    let error = anyhow::Error::new(why)
        .context(format!("the journal in {} cannot be repaired, and nothing was changed", ledger.display()));
    if damaged { Failure::Damaged(error) } else { Failure::Failed(error) }
}

/// The journal opens as it is; says so, and what else there is to know of it.
fn nothing_to_repair(storage: &dyn Storage, ledger: &Path) -> Result<(), Failure> {
    let report = Report::of(storage).with_context(|| format!("in {}", ledger.display()))?;
    println!("{}: nothing to repair, a start goes on after record {}", ledger.display(), report.last_lsn());
    report.print_findings(ledger);
    match report.not_known {
        0 => Ok(()),
        n => Err(Failure::Failed(anyhow!(
            "{n} records are whole but not understood, which no repair mends; use the version that wrote them, or \
             restore a backup"
        ))),
    }
}

/// What the journal said behind the last record that is kept.
struct Lost {
    first: u64,
    /// The last record that anything shows to have been there.
    last: u64,
    /// How many of them can still be read, by kind.
    readable: BTreeMap<&'static str, u64>,
}

impl Lost {
    fn behind(kept: u64, storage: &dyn Storage) -> Result<Lost, JournalError> {
        // A checkpoint's name shows that its records were there.
        let named = journal::checkpoints(storage)?.iter().map(|checkpoint| checkpoint.lsn).max();
        let mut lost = Lost { first: kept + 1, last: named.unwrap_or(0), readable: BTreeMap::new() };
        journal::scan(storage, lost.first, |item| {
            let (Item::Record { lsn, .. } | Item::Unreadable { lsn, .. }) = item;
            lost.last = lost.last.max(lsn);
            if let Item::Record { payload, .. } = item
                && lsn > kept
            {
                let kind = event::read(payload).map_or("not-known", |event| event::kind(&event));
                *lost.readable.entry(kind).or_default() += 1;
            }
            ControlFlow::Continue(())
        })?;
        Ok(lost)
    }
}

fn print(repair: &Repair, lost: &Lost, ledger: &Path, done: bool) {
    println!("journal    {}", ledger.display());
    repair.damage.iter().for_each(|damage| println!("damage     {damage}"));
    let aside = if done { "set aside " } else { "would move" };
    for part in &repair.aside {
        let journal::Aside { file, offset, bytes, moved_to } = part;
        println!("{aside} {bytes} bytes of {file} from offset {offset} to {moved_to}");
    }
    if repair.aside.is_empty() {
        println!("{aside} nothing: a header whose records are sound is written anew");
    }
    let kept = if done { "kept      " } else { "would keep" };
    println!("{kept} every record up to lsn {}", repair.last_lsn);
    if lost.first > lost.last {
        println!("lost       no record");
        return;
    }
    let bytes: u64 = repair.aside.iter().map(|part| part.bytes).sum();
    println!(
        "lost       lsn {} to {}, as far as there are traces of them, in {bytes} bytes",
        lost.first, lost.last
    );
    let readable: Vec<String> = lost.readable.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    if !readable.is_empty() {
        println!("           of these can still be read: {}", readable.join(", "));
    }
    println!(
        "\nWhat that means:\n\
         - Money charged in the lost records is forgotten: it shows as unspent, and may be charged again by late \
         bills. The house bears it.\n\
         - Bills for leases granted in the lost records come late: they are charged where all five accounts have \
         room, else to the house.\n\
         - Budgets that were edited in the lost records may read as before; check them.\n\
         - The next start opens a new boot epoch, so that no bid id and no lease is used twice."
    );
    if done {
        println!("- What was set aside is not read any more. Keep it until the accounts are settled.");
    }
}
