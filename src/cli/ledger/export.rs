//! `outbid ledger export`: what an accountant adds up. One row for each charge, late charge, stale memo and adjustment,
//! and, where the first records were let go, opening rows with what they came to: the sums over all rows are the
//! books' sums.

use super::replay::{self, Observer};
use super::{names, storage};
use crate::budget::record::{Bid, Event, Source};
use crate::budget::{Books, BudgetDay, HouseTotals};
use crate::cli::wal::Place;
use crate::cli::{Common, Failure};
use crate::model::ids::{AdvertiserId, ExchangeId, LeaseId, LineItemId};
use crate::model::money::{Currency, Nanos};
use crate::serve::ledger_view::{Names, date};
use anyhow::Context;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;

/// The columns, in both formats.
const COLUMNS: [&str; 18] = [
    "lsn",
    "kind",
    "time",
    "exchange",
    "advertiser",
    "campaign",
    "line_item",
    "bid",
    "budget_day",
    "media",
    "data_fee",
    "platform_share",
    "charge",
    "overprice",
    "overdelivery",
    "stale",
    "currency",
    "note",
];

/// What to export.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ExportArguments {
    #[command(flatten)]
    place: Place,
    /// How rows are written; amounts are exact decimals in the currency of their row.
    #[arg(long, value_enum, default_value_t = Format::Csv)]
    format: Format,
}

/// How rows are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
enum Format {
    /// RFC 4180, with a header.
    Csv,
    /// One object a line; amounts are strings, what does not apply is left out.
    Json,
}

/// Exports the journal. Needs no lock; a server may write meanwhile.
pub(super) fn run(common: &Common, arguments: &ExportArguments) -> Result<(), Failure> {
    let root = arguments.place.root(common)?;
    let storage = storage(&root)?;
    let out = BufWriter::new(io::stdout().lock());
    let mut export = Export { out, format: arguments.format, names: names(&root), begun: false };
    let done = replay::replay(&storage, None, &mut export);
    let flushed = export.out.flush().context("cannot write the rows");
    match done.map(|_| ()).and(flushed.map_err(Failure::from)) {
        // Whoever reads the rows may have seen enough of them.
        Err(Failure::Failed(error)) if is_broken_pipe(&error) => Ok(()),
        done => done,
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let broken = |cause: &io::Error| cause.kind() == io::ErrorKind::BrokenPipe;
    error.chain().any(|cause| cause.downcast_ref::<io::Error>().is_some_and(broken))
}

/// A row; what is absent does not apply.
#[derive(Default)]
struct Row {
    lsn: u64,
    kind: &'static str,
    at_s: Option<u32>,
    exchange: ExchangeId,
    line_item: Option<LineItemId>,
    advertiser: AdvertiserId,
    bid: Option<Bid>,
    day: Option<BudgetDay>,
    data: i64,
    platform: i64,
    charge: i64,
    house: HouseTotals,
    currency: Option<Currency>,
    note: &'static str,
}

struct Export<W: Write> {
    out: W,
    format: Format,
    names: Names,
    begun: bool,
}

impl<W: Write> Observer for Export<W> {
    fn begin(&mut self, base: u64, books: &Books) -> anyhow::Result<()> {
        self.begun = true;
        if self.format == Format::Csv {
            writeln!(self.out, "{}", COLUMNS.join(","))?;
        }
        opening(base, books).into_iter().try_for_each(|row| self.write(&row, books))
    }

    fn record(&mut self, lsn: u64, event: &Event, books: &Books) -> anyhow::Result<ControlFlow<()>> {
        if let Some(row) = row(lsn, event, books) {
            self.write(&row, books)?;
        }
        Ok(ControlFlow::Continue(()))
    }

    fn may_begin_anew(&self) -> bool {
        !self.begun
    }
}

impl<W: Write> Export<W> {
    fn write(&mut self, row: &Row, books: &Books) -> anyhow::Result<()> {
        let cells = self.cells(row, books);
        match self.format {
            Format::Csv => {
                let line = cells.map(|cell| csv(&cell));
                writeln!(self.out, "{}", line.join(","))?;
            }
            Format::Json => {
                let filled = COLUMNS.iter().zip(&cells).filter(|(_, cell)| !cell.is_empty());
                // An lsn is a count, far from where JSON's readers round.
                let value = |name: &str, cell: &String| match name {
                    "lsn" => row.lsn.into(),
                    _ => serde_json::Value::from(cell.as_str()),
                };
                let object: serde_json::Map<_, _> =
                    filled.map(|(name, cell)| ((*name).to_owned(), value(name, cell))).collect();
                serde_json::to_writer(&mut self.out, &object)?;
                writeln!(self.out)?;
            }
        }
        Ok(())
    }

    fn cells(&self, row: &Row, books: &Books) -> [String; COLUMNS.len()] {
        let funding = row.line_item.and_then(|line_item| books.funding().get(&line_item));
        let advertiser = funding.map_or(row.advertiser, |funding| funding.advertiser);
        let currency = funding.map(|funding| funding.currency).or(row.currency);
        let text = |value: Option<String>| value.unwrap_or_default();
        let money = |nanos: i64| Nanos(nanos).to_string();
        [
            row.lsn.to_string(),
            row.kind.to_owned(),
            text(row.at_s.and_then(|at_s| Timestamp::from_second(at_s.into()).ok()).map(|at| at.to_string())),
            text((row.exchange.0 > 0).then(|| self.names.exchange(row.exchange))),
            text((advertiser.0 > 0).then(|| advertiser.to_string())),
            text(funding.map(|funding| funding.campaign.to_string())),
            text(row.line_item.map(|line_item| line_item.to_string())),
            text(row.bid.map(|bid| bid.id().to_string())),
            text(row.day.map(date)),
            money(row.charge - row.data - row.platform),
            money(row.data),
            money(row.platform),
            money(row.charge),
            money(row.house.overprice.0),
            money(row.house.overdelivery.0),
            money(row.house.stale.0),
            text(currency.map(|currency| currency.to_string())),
            row.note.to_owned(),
        ]
    }
}

/// A cell as RFC 4180 wants it. Names are the only text that may need it.
fn csv(cell: &str) -> String {
    if cell.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}

/// The row of a record; `None` of one that moves no money for good.
fn row(lsn: u64, event: &Event, books: &Books) -> Option<Row> {
    let from = |bid: Bid, source: &Source| Row {
        lsn,
        at_s: Some(source.at_s),
        exchange: ExchangeId(source.exchange as u16),
        bid: Some(bid),
        data: source.data,
        platform: source.platform,
        ..Row::default()
    };
    Some(match event {
        Event::Post(post) => {
            let lease = books.leases().get(&LeaseId(post.lease));
            let house = HouseTotals { overprice: Nanos(post.overprice), ..HouseTotals::default() };
            Row {
                kind: "charge",
                line_item: lease.map(|lease| lease.line_item),
                day: lease.map(|lease| lease.day),
                charge: post.charge,
                house,
                ..from(post.bid, &post.source)
            }
        }
        Event::Late(late) => Row {
            kind: "late",
            line_item: Some(LineItemId(late.line_item)),
            day: Some(BudgetDay(late.day)),
            charge: late.charge,
            house: HouseTotals {
                overprice: Nanos(late.overprice),
                overdelivery: Nanos(late.overdelivery),
                stale: Nanos(0),
            },
            ..from(late.bid, &late.source)
        },
        // Its parts are those of a charge that was never made.
        Event::Stale(stale) => Row {
            kind: "stale",
            line_item: Some(LineItemId(stale.line_item)),
            house: HouseTotals { stale: Nanos(stale.amount), ..HouseTotals::default() },
            data: 0,
            platform: 0,
            ..from(stale.bid, &stale.source)
        },
        Event::Adjust(adjust) => Row {
            lsn,
            kind: "adjustment",
            line_item: Some(LineItemId(adjust.line_item)),
            charge: adjust.amount,
            house: HouseTotals { overdelivery: Nanos(adjust.overdelivery), ..HouseTotals::default() },
            note: "by hand; not split into parts",
            ..Row::default()
        },
        _ => return None,
    })
}

/// What the records up to `base` came to, by exchange and advertiser.
fn opening(base: u64, books: &Books) -> Vec<Row> {
    let currencies = books.currencies();
    let begin = |exchange: ExchangeId, advertiser: AdvertiserId| Row {
        lsn: base,
        kind: "opening",
        exchange,
        advertiser,
        currency: currencies.get(&advertiser).copied(),
        note: "sum of the records that a checkpoint replaced",
        ..Row::default()
    };
    let mut rows: BTreeMap<(ExchangeId, AdvertiserId), Row> = BTreeMap::new();
    for ((exchange, advertiser), parts) in books.credits() {
        let row = rows.entry((*exchange, *advertiser)).or_insert_with(|| begin(*exchange, *advertiser));
        (row.data, row.platform) = (parts.data, parts.platform);
        row.charge = parts.media + parts.data + parts.platform;
    }
    for ((exchange, advertiser), totals) in books.house_by() {
        rows.entry((*exchange, *advertiser)).or_insert_with(|| begin(*exchange, *advertiser)).house = *totals;
    }
    for (advertiser, amount) in books.adjusted() {
        let by = (ExchangeId(0), *advertiser);
        rows.entry(by).or_insert_with(|| begin(ExchangeId(0), *advertiser)).charge += amount;
    }
    rows.into_values().collect()
}
