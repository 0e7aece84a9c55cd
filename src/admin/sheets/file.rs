//! The records of a CSV file (RFC 4180), with their numbers, and what is wrong with a file as a whole.
//!
//! Invariant: one record is in memory at a time, and none is longer than [`MAX_RECORD`]; so a quote that is never closed
//! costs no more than that.

use csv::{ByteRecord, ReaderBuilder};
use std::io::{self, Read};

/// Longest record in bytes: what one call of the API may have.
pub(in crate::admin) const MAX_RECORD: usize = 8 << 20;

/// Most columns; many times what any kind has.
const MAX_COLUMNS: usize = 1_000;

/// A file that is read.
pub(in crate::admin) struct Table<R: Read> {
    reader: csv::Reader<Guard<R>>,
    record: ByteRecord,
    /// Records so far, without the header.
    rows: u64,
}

/// What a file cannot be.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub(in crate::admin) struct Broken {
    /// Where it begins to be so.
    pub(in crate::admin) row: u64,
    pub(in crate::admin) line: u64,
    pub(in crate::admin) code: &'static str,
    pub(in crate::admin) message: String,
}

/// One record.
pub(in crate::admin) struct Record<'t> {
    /// 1 is the first one below the header.
    pub(in crate::admin) row: u64,
    /// In which line of the file it begins; the header is in line 1.
    pub(in crate::admin) line: u64,
    pub(in crate::admin) cells: &'t ByteRecord,
}

impl<R: Read> Table<R> {
    pub(in crate::admin) fn new(inner: R) -> Table<R> {
        let guard = Guard {
            inner,
            place: Place::Start,
            length: 0,
            buffered: Vec::new(),
            is_first: true,
            has_return: false,
            ends_line: false,
            is_at_end: false,
        };
        let reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(guard);
        Table { reader, record: ByteRecord::new(), rows: 0 }
    }

    /// The names of the columns. To be read first.
    pub(in crate::admin) fn header(&mut self) -> Result<Vec<String>, Broken> {
        let broken = |code, message: String| Broken { row: 0, line: 1, code, message };
        match self.reader.read_byte_record(&mut self.record) {
            Ok(true) => {}
            Ok(false) => {
                let message = "the file is empty; its first line names the columns";
                return Err(broken("malformed", message.to_owned()));
            }
            Err(why) => return Err(self.failed(why)),
        }
        let bytes = self.record.as_slice();
        if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") || bytes.contains(&0) {
            let message = "the file is UTF-16 or no text at all; save it as CSV in UTF-8";
            return Err(broken("encoding", message.to_owned()));
        }
        if self.record.len() > MAX_COLUMNS {
            let message = format!("{} columns; at most {MAX_COLUMNS} are taken", self.record.len());
            return Err(broken("out_of_range", message));
        }
        let names =
            self.record.iter().map(|cell| std::str::from_utf8(cell).map(|name| name.trim().to_owned()));
        let names: Vec<String> = names.collect::<Result<_, _>>().map_err(|_| {
            broken("encoding", "the names of the columns are not UTF-8; save the file as UTF-8".to_owned())
        })?;
        if let [only] = &names[..]
            && only.contains([';', '\t'])
        {
            let message = "the columns are not separated by commas; export the table as CSV with commas";
            return Err(broken("malformed", message.to_owned()));
        }
        Ok(names)
    }

    /// The next record; `None` at the end.
    pub(in crate::admin) fn next(&mut self) -> Result<Option<Record<'_>>, Broken> {
        match self.reader.read_byte_record(&mut self.record) {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(why) => return Err(self.failed(why)),
        }
        self.rows += 1;
        let guard = self.reader.get_ref();
        // The record's position would be that of empty lines before it.
        let within = self.record.as_slice().iter().filter(|byte| **byte == b'\n').count() as u64;
        let is_open = guard.is_at_end && !guard.ends_line;
        let line = self.reader.position().line() - within - u64::from(!is_open);
        // At the end of the file within quotes: everything from there on is one cell.
        if guard.is_at_end && guard.place == Place::Quoted {
            let message = "a quote is opened here and not closed until the end of the file";
            return Err(Broken { row: self.rows, line, code: "malformed", message: message.to_owned() });
        }
        Ok(Some(Record { row: self.rows, line, cells: &self.record }))
    }

    fn failed(&self, why: csv::Error) -> Broken {
        let line = self.reader.position().line();
        let message = match why.kind() {
            csv::ErrorKind::Io(why) => why.to_string(),
            _ => why.to_string(),
        };
        Broken { row: self.rows + 1, line, code: "malformed", message }
    }
}

/// Where in a record a byte stands.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    /// At the beginning of a cell.
    Start,
    Plain,
    Quoted,
    /// Behind a quote within quotes: it closes them, or is the first of two that stand for one.
    Closing,
}

/// Looks at what is read, as the reader of the records does, and refuses to give more than one record may have. Lines end
/// with one byte behind it, however they ended before it.
struct Guard<R> {
    inner: R,
    place: Place,
    length: usize,
    /// What was read beyond a byte order mark that is not there.
    buffered: Vec<u8>,
    is_first: bool,
    /// Whether the last byte was a carriage return outside quotes, which makes one end of a line with what follows.
    has_return: bool,
    /// Whether the last byte ended a line.
    ends_line: bool,
    /// Whether there is nothing more.
    is_at_end: bool,
}

impl<R: Read> Guard<R> {
    /// Takes a byte order mark off the beginning.
    fn begin(&mut self) -> io::Result<()> {
        const MARK: [u8; 3] = [0xef, 0xbb, 0xbf];
        let mut first = Vec::with_capacity(MARK.len());
        Read::by_ref(&mut self.inner).take(MARK.len() as u64).read_to_end(&mut first)?;
        if first != MARK {
            self.buffered = first;
        }
        Ok(())
    }
}

impl<R> Guard<R> {
    fn look_at(&mut self, byte: u8) -> io::Result<()> {
        self.length += 1;
        self.place = match (self.place, byte) {
            (Place::Quoted, b'"') => Place::Closing,
            (Place::Quoted, _) => Place::Quoted,
            (Place::Start | Place::Closing, b'"') => Place::Quoted,
            (_, b',') => Place::Start,
            (_, b'\n') => {
                self.length = 0;
                Place::Start
            }
            _ => Place::Plain,
        };
        self.ends_line = byte == b'\n' && self.place == Place::Start;
        if self.length <= MAX_RECORD {
            return Ok(());
        }
        let message = match self.place {
            Place::Quoted => "a quote is opened and not closed within 8 MiB",
            _ => "a row is longer than 8 MiB",
        };
        Err(io::Error::new(io::ErrorKind::InvalidData, message))
    }
}

impl<R: Read> Read for Guard<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if std::mem::take(&mut self.is_first) {
            self.begin()?;
        }
        let count = match self.buffered.len() {
            0 => self.inner.read(out)?,
            waiting => {
                let count = waiting.min(out.len());
                out[..count].copy_from_slice(&self.buffered[..count]);
                self.buffered.drain(..count);
                count
            }
        };
        self.is_at_end = count == 0;
        let mut kept = 0;
        for at in 0..count {
            let mut byte = out[at];
            let follows_return = std::mem::take(&mut self.has_return);
            if byte == b'\n' && follows_return {
                continue;
            }
            if byte == b'\r' && self.place != Place::Quoted {
                (byte, self.has_return) = (b'\n', true);
            }
            self.look_at(byte)?;
            out[kept] = byte;
            kept += 1;
        }
        // Nothing at all would be the end of the file.
        if kept == 0 && count > 0 { self.read(out) } else { Ok(kept) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows of a file with their lines, or why it is broken.
    fn check(text: &[u8], expected: Result<&[(u64, &[&str])], &str>) {
        let mut table = Table::new(text);
        let mut rows = Vec::new();
        let outcome = table.header().map(drop).and_then(|()| {
            while let Some(record) = table.next()? {
                let cells = record.cells.iter().map(|cell| String::from_utf8_lossy(cell).into_owned());
                rows.push((record.line, cells.collect::<Vec<_>>()));
            }
            Ok(())
        });
        let shown = String::from_utf8_lossy(&text[..text.len().min(40)]);
        match expected {
            Ok(expected) => {
                assert_eq!(outcome, Ok(()), "{shown}");
                let expected: Vec<(u64, Vec<String>)> = expected
                    .iter()
                    .map(|(line, cells)| (*line, cells.iter().map(|cell| (*cell).to_owned()).collect()))
                    .collect();
                assert_eq!(rows, expected, "{shown}");
            }
            Err(part) => {
                let broken = outcome.unwrap_err();
                assert!(broken.message.contains(part), "{shown}: {broken:?}");
            }
        }
    }

    #[test]
    fn records_come_with_their_lines_and_what_is_no_table_is_refused() {
        check(b"a,b\n1,2\n", Ok(&[(2, &["1", "2"])]));
        check(b"\xef\xbb\xbfa,b\r\n1,2\r\n3,4", Ok(&[(2, &["1", "2"]), (3, &["3", "4"])]));
        check(b"a,b\n\"x\ny\",2\n\n3,4\n", Ok(&[(2, &["x\ny", "2"]), (5, &["3", "4"])]));
        check(b"a\n\"say \"\"hello\"\"\"\n", Ok(&[(2, &["say \"hello\""])]));
        check(b"a,b\n1\n1,2,3\n", Ok(&[(2, &["1"]), (3, &["1", "2", "3"])]));
        check(b"a\n5\" pipe\nx\n", Ok(&[(2, &["5\" pipe"]), (3, &["x"])]));
        check(b"", Err("empty"));
        check(b"\xef\xbb\xbf", Err("empty"));
        check(b"a,b\n1,\"2\n3,4\n", Err("not closed"));
        check(b"a,b\n1,\"", Err("not closed"));
        check(b"\xff\xfea\0,\0", Err("UTF-16"));
        check(b"a\xff,b\n", Err("not UTF-8"));
        check(b"a;b;c\n1;2;3\n", Err("commas"));
        check(format!("a\n\"{}", "x".repeat(MAX_RECORD)).as_bytes(), Err("not closed within"));
        check(format!("a\n{}", "x".repeat(MAX_RECORD + 1)).as_bytes(), Err("longer than"));
        check("a,".repeat(MAX_COLUMNS + 1).as_bytes(), Err("columns"));
    }
}
