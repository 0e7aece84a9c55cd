//! `outbid wal verify`: whether a start would take the journal, and everything that deserves a look.

use super::{Place, event};
use crate::budget::file_storage::FileStorage;
use crate::budget::journal::{self, Item, JournalError, Verdict};
use crate::budget::record::RecordError;
use crate::cli::{Common, Failure};
use crate::model::storage::Storage;
use anyhow::{Context, anyhow};
use serde_json::json;
use std::ops::ControlFlow;
use std::path::Path;

/// How often a journal is looked at until two looks agree: what a server is just writing looks torn, but not twice.
const LOOKS: usize = 4;

/// So many records that cannot be understood are named one by one.
const NAMED: u64 = 20;

/// What to verify.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct VerifyArguments {
    #[command(flatten)]
    place: Place,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// Something that deserves a look.
#[derive(Debug, serde::Serialize)]
pub(super) struct Finding {
    /// `torn`, `damaged`, `newer`, `unreadable`, `checkpoint` or `not-known`.
    pub(super) kind: &'static str,
    /// The file.
    pub(super) file: String,
    /// Where in it, in bytes.
    pub(super) offset: u64,
    /// The record.
    pub(super) lsn: u64,
    /// What is wrong, and what to do.
    pub(super) what: String,
}

/// What was found in a journal.
pub(super) struct Report {
    verdict: Verdict,
    first_lsn: Option<u64>,
    /// Records that this version cannot use.
    pub(super) not_known: u64,
    /// The worst first.
    pub(super) findings: Vec<Finding>,
}

/// Verifies the journal. Needs no lock; a server may write meanwhile.
pub(super) fn run(common: &Common, arguments: &VerifyArguments) -> Result<(), Failure> {
    let ledger = arguments.place.root(common)?.join("ledger");
    let storage = FileStorage::open(&ledger).context("cannot look into the journal")?;
    let report = Report::of(&storage).with_context(|| format!("in {}", ledger.display()))?;
    let bytes = report.segment_bytes(&ledger)?;
    if arguments.json {
        println!("{}", report.json(&ledger, bytes));
    } else {
        report.print(&ledger, bytes);
    }
    let found = report.findings.len();
    if found == 0 {
        return Ok(());
    }
    let findings = if found == 1 { "1 finding" } else { &format!("{found} findings") };
    Err(Failure::Failed(anyhow!("{findings} in {}", ledger.display())))
}

impl Report {
    /// Reads everything in a journal.
    pub(super) fn of(storage: &dyn Storage) -> Result<Report, JournalError> {
        let verdict = settled(storage)?;
        let mut report = Report { verdict, first_lsn: None, not_known: 0, findings: Vec::new() };
        report.add_verdict()?;
        report.add_checkpoints();
        journal::scan(storage, 0, |item| {
            report.add_item(item);
            ControlFlow::Continue(())
        })?;
        if let Some(more) = report.not_known.checked_sub(NAMED + 1)
            && let Some(last) = report.findings.iter_mut().rfind(|finding| finding.kind == "not-known")
        {
            last.what = format!("{} (and {} later records)", last.what, more + 1);
        }
        Ok(report)
    }

    /// The last record, as far as it is known.
    pub(super) fn last_lsn(&self) -> u64 {
        let read = self.verdict.segments.iter().map(|segment| segment.last_lsn).max().unwrap_or(0);
        self.verdict.opens.as_ref().map_or(read, |last| *last)
    }

    /// Whether a start would take the journal.
    pub(super) fn opens(&self) -> bool {
        self.verdict.opens.is_ok()
    }

    /// Says what opening would say. Neither damage nor a newer format: then it could not be looked at.
    fn add_verdict(&mut self) -> Result<(), JournalError> {
        if let Some(torn) = &self.verdict.torn {
            self.findings.push(Finding {
                kind: "torn",
                file: torn.file.clone(),
                offset: torn.offset,
                lsn: self.last_lsn() + 1,
                what: format!(
                    "a torn last write of {} bytes; it will be cut at the next start, nothing acknowledged is in it",
                    torn.bytes
                ),
            });
        }
        let refusal = match std::mem::replace(&mut self.verdict.opens, Ok(0)) {
            Ok(last) => {
                self.verdict.opens = Ok(last);
                return Ok(());
            }
            Err(refusal) => refusal,
        };
        let finding = match &refusal {
            JournalError::Damaged { file, offset, lsn, problem } => Finding {
                kind: "damaged",
                file: file.clone(),
                offset: *offset,
                lsn: *lsn,
                what: format!("a start is refused at record {lsn}: {problem}"),
            },
            JournalError::NewerFormat { file, found, known } => Finding {
                kind: "newer",
                file: file.clone(),
                offset: 0,
                lsn: 0,
                what: format!(
                    "a start is refused: this is format version {found}, and this program reads versions up to \
                     {known}; use the newer program"
                ),
            },
            _ => return Err(refusal),
        };
        self.findings.push(finding);
        self.verdict.opens = Err(refusal);
        Ok(())
    }

    fn add_checkpoints(&mut self) {
        // Where a start is refused, the refusal says what is the matter with them.
        let after = "a start does without it and loses nothing, and the next checkpoint takes its place";
        let unreadable = self.verdict.checkpoints.iter().filter(|_| self.verdict.opens.is_ok());
        self.findings.extend(unreadable.filter_map(|checkpoint| {
            let why = checkpoint.content.as_ref().err()?;
            Some(Finding {
                kind: "checkpoint",
                file: checkpoint.file.clone(),
                offset: 0,
                lsn: checkpoint.lsn,
                what: format!("the checkpoint cannot be read, because {why}; {after}; look at the disk"),
            })
        }));
    }

    fn add_item(&mut self, item: Item<'_>) {
        match item {
            Item::Record { file, offset, lsn, payload } => {
                self.first_lsn.get_or_insert(lsn);
                if let Err(why) = event::read(payload) {
                    self.not_known += 1;
                    if self.not_known <= NAMED {
                        let (kind, file) = ("not-known", file.to_owned());
                        self.findings.push(Finding { kind, file, offset, lsn, what: not_known(lsn, &why) });
                    }
                }
            }
            Item::Unreadable { file, offset, lsn, bytes } => {
                let known = self.findings.iter().any(|f| f.file == file && f.offset == offset);
                if known || !self.is_damage(lsn) {
                    return;
                }
                let mut what = format!("{bytes} bytes where record {lsn} should be cannot be read");
                if self.opens() {
                    what.push_str("; a checkpoint holds the record, and nothing is lost; look at the disk");
                }
                self.findings.push(Finding { kind: "unreadable", file: file.to_owned(), offset, lsn, what });
            }
        }
    }

    /// Whether what cannot be read at `lsn` is more than a torn tail, or a tail that is just being written: of a
    /// journal that opens, only what a checkpoint holds.
    fn is_damage(&self, lsn: u64) -> bool {
        let held = self.verdict.checkpoints.iter().find(|checkpoint| checkpoint.content.is_ok());
        !self.opens() || held.is_some_and(|checkpoint| lsn <= checkpoint.lsn)
    }

    /// The size of the segments on disk, in bytes, with what is set aside in them.
    fn segment_bytes(&self, ledger: &Path) -> Result<u64, Failure> {
        let mut bytes = 0;
        for segment in &self.verdict.segments {
            let path = ledger.join(&segment.file);
            match std::fs::metadata(&path) {
                Ok(metadata) => bytes += metadata.len(),
                // A running server lets segments go.
                Err(why) if why.kind() == std::io::ErrorKind::NotFound => {}
                Err(why) => {
                    let error = anyhow::Error::new(why).context(format!("cannot look at {}", path.display()));
                    return Err(error.into());
                }
            }
        }
        Ok(bytes)
    }

    fn records(&self) -> u64 {
        self.verdict.segments.iter().map(|segment| segment.records).sum()
    }

    fn print(&self, ledger: &Path, bytes: u64) {
        println!("journal     {}", ledger.display());
        let segments = &self.verdict.segments;
        if segments.is_empty() && self.verdict.checkpoints.is_empty() {
            println!("segments    none: the first start begins a journal here");
            return;
        }
        println!("segments    {} of {bytes} bytes on disk", segments.len());
        let last = segments.iter().map(|segment| segment.last_lsn).max().unwrap_or(0);
        match self.first_lsn {
            Some(first) => println!("records     {}, lsn {first} to {last}", self.records()),
            None => println!("records     none"),
        }
        for checkpoint in &self.verdict.checkpoints {
            let content = match &checkpoint.content {
                Ok(bytes) => format!("{bytes} bytes, reads"),
                Err(why) => format!("does not read: {why}"),
            };
            println!("checkpoint  at lsn {}, {content}", checkpoint.lsn);
        }
        if self.verdict.checkpoints.is_empty() {
            println!("checkpoint  none yet");
        }
        match &self.verdict.opens {
            Ok(last) => println!("next start  goes on after lsn {last}"),
            Err(_) => println!("next start  refused"),
        }
        self.print_findings(ledger);
    }

    /// One line a finding, as compilers write them: file, place, what.
    pub(super) fn print_findings(&self, ledger: &Path) {
        for Finding { file, offset, what, .. } in &self.findings {
            println!("{}:{offset}: {what}", ledger.join(file).display());
        }
    }

    fn json(&self, ledger: &Path, bytes: u64) -> serde_json::Value {
        let checkpoints = self.verdict.checkpoints.iter().map(|checkpoint| {
            let (bytes, why) = match &checkpoint.content {
                Ok(bytes) => (Some(bytes), None),
                Err(why) => (None, Some(why)),
            };
            json!({ "file": checkpoint.file, "lsn": checkpoint.lsn, "bytes": bytes, "unreadable": why })
        });
        json!({
            "journal": ledger.display().to_string(),
            "segments": self.verdict.segments.len(),
            "bytes": bytes,
            "records": self.records(),
            "first_lsn": self.first_lsn,
            "last_lsn": self.last_lsn(),
            "checkpoints": checkpoints.collect::<Vec<_>>(),
            "opens": self.opens(),
            "findings": self.findings,
        })
    }
}

fn not_known(lsn: u64, why: &RecordError) -> String {
    let todo = match why {
        // Says so itself.
        RecordError::Unknown => "",
        RecordError::Malformed(_) | RecordError::Currency(_) => {
            "; its checksum is right, so it was written like this: restore a backup, or use the version that wrote it"
        }
    };
    format!("record {lsn} is not understood: {why}{todo}")
}

/// What two looks in a row agree on.
pub(in crate::cli) fn settled(storage: &dyn Storage) -> Result<Verdict, JournalError> {
    let mut last = journal::verify(storage);
    for _ in 1..LOOKS {
        let Some(seen) = trouble(&last) else { break };
        last = journal::verify(storage);
        let confirmed = trouble(&last).is_some_and(|still| still == seen);
        if confirmed {
            break;
        }
    }
    last
}

/// What is wrong with a journal, in words.
fn trouble(look: &Result<Verdict, JournalError>) -> Option<String> {
    match look {
        Err(why) => Some(why.to_string()),
        Ok(verdict) => match (&verdict.opens, &verdict.torn) {
            (Err(refusal), _) => Some(refusal.to_string()),
            (Ok(_), Some(torn)) => Some(torn.to_string()),
            (Ok(_), None) => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::journal::{Journal, MemoryStorage, Options};
    use crate::budget::record::{Event, Release};
    use crate::model::storage::StorageFile;
    use std::io;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    /// A directory whose last segment is seen in the middle of a write, each time another one, for some reads.
    struct Busy {
        inner: MemoryStorage,
        reads: AtomicUsize,
        settles_after: usize,
    }

    impl Storage for Busy {
        fn list(&self) -> io::Result<Vec<String>> {
            self.inner.list()
        }
        fn read(&self, name: &str) -> io::Result<Vec<u8>> {
            let mut bytes = self.inner.read(name)?;
            let read = self.reads.fetch_add(1, Relaxed);
            if read < self.settles_after {
                let written = bytes.iter().rposition(|&byte| byte != 0).unwrap();
                bytes.truncate(written - read);
            }
            Ok(bytes)
        }
        fn create(&self, _: &str, _: u64) -> io::Result<Box<dyn StorageFile>> {
            unreachable!("only looked at")
        }
        fn open(&self, _: &str) -> io::Result<Box<dyn StorageFile>> {
            unreachable!("only looked at")
        }
        fn rename(&self, _: &str, _: &str) -> io::Result<()> {
            unreachable!("only looked at")
        }
        fn remove(&self, _: &str) -> io::Result<()> {
            unreachable!("only looked at")
        }
        fn sync_dir(&self) -> io::Result<()> {
            unreachable!("only looked at")
        }
    }

    #[test]
    fn what_a_second_look_does_not_confirm_is_no_finding() {
        let inner = MemoryStorage::new();
        let options = Options { segment_bytes: 4_096, spare_segments: 0, emergency_bytes: 0 };
        let (mut journal, _) = Journal::open(Box::new(inner.clone()), options).unwrap();
        let mut bytes = Vec::new();
        for lease in 1..=5 {
            Event::Release(Release { lease: lease << 32 | 1 }).write_to(&mut bytes);
            journal.append(&bytes);
            journal.commit().unwrap();
        }
        let check = |settles_after: usize, kinds: &[&str]| {
            let storage = Busy { inner: inner.clone(), reads: AtomicUsize::new(0), settles_after };
            let report = Report::of(&storage).unwrap();
            let found: Vec<&str> = report.findings.iter().map(|finding| finding.kind).collect();
            assert_eq!(found, kinds, "settles after {settles_after} reads");
        };
        check(0, &[]);
        // A look reads the segment twice.
        check(2, &[]);
        check(6, &[]);
        // Torn in every look.
        check(9, &["torn"]);
    }
}
