//! Logs of auctions as CSV: `ts_ms,market_price_cpm,pctr,click`, optionally with `place` as a fifth column.

use super::super::Failure;
use crate::model::money::Cpm;
use crate::sim::auctions::Auction;
use anyhow::{Context, anyhow};
use std::io::{BufReader, Write};
use std::path::Path;

const COLUMNS: [&str; 5] = ["ts_ms", "market_price_cpm", "pctr", "click", "place"];
/// A log with more rows than this does not fit into memory beside what is made of it.
const MOST_ROWS: usize = 50_000_000;

/// Reads a whole log.
pub(super) fn read(path: &Path) -> Result<Vec<Auction>, Failure> {
    let shown = path.display();
    let file = std::fs::File::open(path).with_context(|| format!("cannot read {shown}"))?;
    let log = rows(BufReader::new(file)).map_err(|error| anyhow!("{shown}: {error}"))?;
    if log.is_empty() {
        return Err(anyhow!("{shown} has no rows; it needs at least one auction").into());
    }
    Ok(log)
}

/// Reads rows; an error names the line.
fn rows(input: impl std::io::Read) -> Result<Vec<Auction>, String> {
    // A record's own position is that of the empty lines before it. The reader's is right where every line ends alike.
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .terminator(csv::Terminator::Any(b'\n'))
        .from_reader(input.chain(&b"\n"[..]));
    let mut record = csv::StringRecord::new();
    let mut columns = 0;
    let mut log: Vec<Auction> = Vec::new();
    loop {
        match reader.read_record(&mut record) {
            Ok(false) => break,
            Ok(true) => {}
            Err(error) => {
                let line = error.position().map_or(0, csv::Position::line);
                return Err(format!("line {line}: {error}"));
            }
        }
        let line = reader.position().line() - 1;
        if columns == 0 {
            columns = header(&record).map_err(|error| format!("line {line}: {error}"))?;
            continue;
        }
        if record.len() != columns {
            let found = record.len();
            return Err(format!("line {line}: {found} fields where the header has {columns}"));
        }
        let auction = row(&record).map_err(|error| format!("line {line}: {error}"))?;
        if let Some(before) = log.last().filter(|before| before.at_ms > auction.at_ms) {
            let (before, now) = (before.at_ms, auction.at_ms);
            return Err(format!(
                "line {line}: ts_ms goes back from {before} to {now}; sort the log by time, so that nothing is learned \
                 before it happened"
            ));
        }
        if log.len() == MOST_ROWS {
            return Err(format!("line {line}: more than {MOST_ROWS} rows; cut the log into parts"));
        }
        log.push(auction);
    }
    Ok(log)
}

/// How many columns there are.
fn header(record: &csv::StringRecord) -> Result<usize, String> {
    let names: Vec<&str> = record.iter().map(|name| name.trim_start_matches('\u{feff}').trim()).collect();
    match names.len() {
        4 | 5 if names[..] == COLUMNS[..names.len()] => Ok(names.len()),
        _ => Err(format!(
            "the header is {:?}; it must be {:?}, optionally with \",place\"",
            names.join(","),
            COLUMNS[..4].join(",")
        )),
    }
}

fn row(record: &csv::StringRecord) -> Result<Auction, String> {
    let field = |at: usize| record.get(at).unwrap_or_default().trim();
    let wrong =
        |at: usize, wanted: &str| format!("{} is {:?} where {wanted} is expected", COLUMNS[at], field(at));
    let at_ms: i64 = field(0).parse().map_err(|_| wrong(0, "a whole number of milliseconds"))?;
    if !(0..=253_402_300_799_999).contains(&at_ms) {
        return Err(wrong(0, "Unix time in milliseconds, at most of the year 9999,"));
    }
    // Rounded up: a bid must not win below what the price was.
    let price =
        Cpm::parse_decimal(field(1), true).ok_or_else(|| wrong(1, "a price from 0 to 1,000,000 CPM"))?;
    let pctr: f64 = field(2).parse().map_err(|_| wrong(2, "a probability from 0 to 1"))?;
    if !(0.0..=1.0).contains(&pctr) {
        return Err(wrong(2, "a probability from 0 to 1"));
    }
    let click = match field(3) {
        "0" => false,
        "1" => true,
        _ => return Err(wrong(3, "0 or 1")),
    };
    Ok(Auction { at_ms, price, pctr, click, place: place(field(4)) })
}

/// Up to four names from wide to narrow, separated by `/`; what follows the fourth belongs to it.
fn place(text: &str) -> [u64; 4] {
    let mut levels = [0; 4];
    for (level, name) in levels.iter_mut().zip(text.splitn(4, '/')) {
        // FNV-1a, whose zero is the empty name's.
        let hash = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        *level = name.bytes().fold(0xcbf2_9ce4_8422_2325, hash) ^ 0xcbf2_9ce4_8422_2325;
    }
    levels
}

/// Writes a log that [`read`] reads.
pub(super) fn write(log: &[Auction], out: &mut dyn Write) -> std::io::Result<()> {
    writeln!(out, "{}", COLUMNS.join(","))?;
    for Auction { at_ms, price, pctr, click, place: [exchange, size, site, slot] } in log {
        let click = u8::from(*click);
        writeln!(out, "{at_ms},{price},{pctr:.9},{click},x{exchange}/{size}/site{site}/{slot}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str, part: &str) {
        let error = rows(text.as_bytes()).unwrap_err();
        assert!(error.contains(part), "{text:?}: {error}");
    }

    #[test]
    fn malformed_rows_are_refused_by_line() {
        let head = "ts_ms,market_price_cpm,pctr,click\n";
        assert_eq!(rows(format!("{head}5,1.25,0.001,1\n5,0,1e-4,0\n").as_bytes()).unwrap().len(), 2);
        assert!(rows("".as_bytes()).unwrap().is_empty());
        refused("ts,price,pctr,click\n", "line 1: the header is");
        refused(&format!("{head}1,1,0.1\n"), "line 2: 3 fields where the header has 4");
        refused(&format!("{head}1,1,0.1,0\n\n2,x,0.1,0\n"), "line 4: market_price_cpm is \"x\"");
        refused(&format!("{head}1,-1,0.1,0\n"), "market_price_cpm");
        refused(&format!("{head}1,1,1.1,0\n"), "line 2: pctr is \"1.1\" where a probability");
        refused(&format!("{head}1,1,NaN,0\n"), "pctr");
        refused(&format!("{head}1,1,0.1,2\n"), "click is \"2\" where 0 or 1");
        refused(&format!("{head}1.5,1,0.1,0\n"), "ts_ms is \"1.5\"");
        refused(&format!("{head}9,1,0.1,0\n8,1,0.1,0\n"), "line 3: ts_ms goes back from 9 to 8");
    }

    #[test]
    fn what_is_written_is_read_back() {
        use crate::sim::auctions::{Kind, Market};
        let market = Market { seed: 3, world: 1, kind: Kind::Skewed, starts_ms: 0, days: 1, rows: 50 };
        let mut text = Vec::new();
        write(&market.auctions(), &mut text).unwrap();
        let read = rows(&text[..]).unwrap();
        let pairs = read.iter().zip(market.auctions());
        assert!(pairs.clone().all(|(a, b)| (a.at_ms, a.price, a.click) == (b.at_ms, b.price, b.click)));
        assert!(pairs.clone().all(|(a, b)| (a.pctr - b.pctr).abs() < 1e-9));
        assert!(read[0].place.iter().all(|level| *level != 0));
    }
}
