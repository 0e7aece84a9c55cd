//! `outbid wal dump`: one line a record, and a line for each place that cannot be read.

use super::line::{Line, Value};
use super::verify::{Finding, Report};
use super::{Place, event};
use crate::budget::file_storage::FileStorage;
use crate::budget::journal::{self, Item};
use crate::cli::{Common, Failure};
use anyhow::Context;
use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;

/// So much of a record that cannot be understood is shown, in bytes.
const SHOWN: usize = 64;

/// What to show.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct DumpArguments {
    #[command(flatten)]
    place: Place,
    /// The first record to show.
    #[arg(long, value_name = "LSN", default_value_t = 0)]
    from: u64,
    /// The last record to show; default: all there are.
    #[arg(long, value_name = "LSN")]
    to: Option<u64>,
    /// As JSON, one object a line; amounts are strings of nanos.
    #[arg(long)]
    json: bool,
}

/// Shows the journal. Needs no lock; a server may write meanwhile.
pub(super) fn run(common: &Common, arguments: &DumpArguments) -> Result<(), Failure> {
    let ledger = arguments.place.root(common)?.join("ledger");
    let storage = FileStorage::open(&ledger).context("cannot look into the journal")?;
    let out = BufWriter::new(io::stdout().lock());
    let to = arguments.to.unwrap_or(u64::MAX);
    let mut dump = Dump { out, json: arguments.json, from: arguments.from, to, expected: None, odd: false };
    match dump.all(&storage) {
        // Whoever reads the lines may have seen enough of them.
        Err(Stopped::Output(why)) if why.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(Stopped::Output(why)) => Err(anyhow::Error::new(why).context("cannot write the lines").into()),
        Err(Stopped::Journal(why)) => {
            Err(anyhow::Error::new(why).context(format!("in {}", ledger.display())).into())
        }
        Ok(()) => Ok(()),
    }
}

/// Why a dump ended before its end.
enum Stopped {
    Output(io::Error),
    Journal(journal::JournalError),
}

impl From<io::Error> for Stopped {
    fn from(why: io::Error) -> Stopped {
        Stopped::Output(why)
    }
}

impl From<journal::JournalError> for Stopped {
    fn from(why: journal::JournalError) -> Stopped {
        Stopped::Journal(why)
    }
}

struct Dump<W: Write> {
    out: W,
    json: bool,
    from: u64,
    to: u64,
    /// The next record, where the one before it could be read.
    expected: Option<u64>,
    /// Something that was asked for cannot be read.
    odd: bool,
}

impl<W: Write> Dump<W> {
    fn all(&mut self, storage: &FileStorage) -> Result<(), Stopped> {
        for checkpoint in journal::checkpoints(storage)? {
            let content = match checkpoint.content {
                Ok(bytes) => ("bytes", Value::Number(bytes)),
                Err(why) => ("unreadable", Value::Text(why)),
            };
            let fields = vec![("file", Value::Text(checkpoint.file)), content];
            self.write(Line { lsn: checkpoint.lsn, kind: "checkpoint", fields })?;
        }
        let mut written = Ok(());
        journal::scan(storage, self.from, |item| {
            match self.item(item) {
                Ok(true) => return ControlFlow::Continue(()),
                Ok(false) => {}
                Err(why) => written = Err(why),
            }
            ControlFlow::Break(())
        })?;
        written?;
        if self.odd {
            self.judge(storage)?;
        }
        self.out.flush().map_err(Stopped::Output)
    }

    /// Shows an item; false: it is behind what was asked for.
    fn item(&mut self, item: Item<'_>) -> io::Result<bool> {
        match item {
            Item::Record { lsn, .. } | Item::Unreadable { lsn, .. } if lsn > self.to => return Ok(false),
            Item::Record { file, offset, lsn, payload } => {
                self.gap(lsn)?;
                self.expected = Some(lsn + 1);
                if lsn >= self.from {
                    self.write(record(file, offset, lsn, payload))?;
                }
            }
            Item::Unreadable { file, offset, lsn, bytes } => {
                // Which record comes next, nobody can say.
                self.expected = None;
                if lsn >= self.from {
                    self.odd = true;
                    let fields = vec![
                        ("file", Value::Text(file.to_owned())),
                        ("offset", Value::Number(offset)),
                        ("bytes", Value::Number(bytes)),
                    ];
                    self.write(Line { lsn, kind: "unreadable", fields })?;
                }
            }
        }
        Ok(true)
    }

    /// Says which records between the last one and `lsn` stand in no file.
    fn gap(&mut self, lsn: u64) -> io::Result<()> {
        match self.expected {
            Some(expected) if expected < lsn && lsn > self.from => {
                self.odd = true;
                let fields = vec![("to", Value::Number(lsn - 1))];
                self.write(Line { lsn: expected, kind: "missing", fields })
            }
            _ => Ok(()),
        }
    }

    /// What a start would say to the places that cannot be read.
    fn judge(&mut self, storage: &FileStorage) -> Result<(), Stopped> {
        let report = Report::of(storage)?;
        let (last_lsn, mut judged) = (report.last_lsn(), false);
        for Finding { kind, file, offset, lsn, what } in report.findings {
            if matches!(kind, "torn" | "damaged" | "newer") {
                judged = true;
                let fields = vec![
                    ("file", Value::Text(file)),
                    ("offset", Value::Number(offset)),
                    ("note", Value::Text(what)),
                ];
                self.write(Line { lsn, kind, fields })?;
            }
        }
        if !judged {
            let note = "a start would take the journal: what cannot be read above is in a checkpoint, was let go by \
                        one, or was just being written; `outbid wal verify` says which";
            let fields = vec![("note", Value::Text(note.to_owned()))];
            self.write(Line { lsn: last_lsn, kind: "opens", fields })?;
        }
        Ok(())
    }

    fn write(&mut self, line: Line) -> io::Result<()> {
        line.write(&mut self.out, self.json)
    }
}

/// The line of a record, also of one that this version does not understand.
fn record(file: &str, offset: u64, lsn: u64, payload: &[u8]) -> Line {
    match event::read(payload) {
        Ok(event) => event::line(lsn, &event),
        Err(why) => {
            let shown = &payload[..payload.len().min(SHOWN)];
            let fields = vec![
                ("file", Value::Text(file.to_owned())),
                ("offset", Value::Number(offset)),
                ("bytes", Value::Number(payload.len() as u64)),
                ("begins", Value::Text(shown.iter().map(|byte| format!("{byte:02x}")).collect())),
                ("why", Value::Text(why.to_string())),
            ];
            Line { lsn, kind: "not-known", fields }
        }
    }
}
