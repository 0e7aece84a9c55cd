//! Tables and learners as bytes, so that a restart shades as before: a mark, a version, little-endian fields, a
//! checksum over everything before it.

use super::axis::{Axis, BINS};
use super::estimate::{CELLS, Cells};
use super::landscape::{Bucket, Counts, Landscape, Sums};
use super::place::ROOT;
use super::table::{Cell, Row, ShadeTable};
use std::collections::HashSet;

const TABLE: &[u8; 4] = b"OBST";
const LEARNER: &[u8; 4] = b"OBSL";
const VERSION: u8 = 2;
/// No table has more rows.
const MOST_ROWS: usize = 1 << 24;

/// Why bytes are no table and no learner.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TableError {
    /// They begin otherwise.
    #[error("this is not shading data: it does not begin with {expected:?}")]
    Mark {
        /// How they should begin.
        expected: &'static str,
    },
    /// Another version wrote them.
    #[error("the shading data is of version {found}, this program reads version {VERSION}")]
    Version {
        /// The version that was found.
        found: u8,
    },
    /// They end too early, or go on after their end.
    #[error("the shading data has {found} bytes, which is not what its header says")]
    Length {
        /// How many there are.
        found: usize,
    },
    /// The checksum is another.
    #[error("the shading data is damaged: its checksum does not match")]
    Damaged,
    /// A number that no table and no learner has.
    #[error("the shading data holds {what} out of range")]
    Range {
        /// Which number.
        what: &'static str,
    },
}

/// Fields one after the other; all are there, because the length was checked against the header.
struct Reader<'b> {
    rest: &'b [u8],
    found: usize,
}

impl<'b> Reader<'b> {
    fn open(bytes: &'b [u8], mark: &'static [u8; 4]) -> Result<Reader<'b>, TableError> {
        let name = std::str::from_utf8(mark).unwrap_or_default();
        let rest = bytes.strip_prefix(mark).ok_or(TableError::Mark { expected: name })?;
        let found = bytes.len();
        let (version, _) = rest.split_first().ok_or(TableError::Length { found })?;
        if *version != VERSION {
            return Err(TableError::Version { found: *version });
        }
        let body = found.checked_sub(4).filter(|body| *body >= 5).ok_or(TableError::Length { found })?;
        let (body, sum) = bytes.split_at(body);
        if crc32c::crc32c(body).to_le_bytes() != sum {
            return Err(TableError::Damaged);
        }
        Ok(Reader { rest: &body[5..], found })
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], TableError> {
        let (taken, rest) =
            self.rest.split_first_chunk::<N>().ok_or(TableError::Length { found: self.found })?;
        self.rest = rest;
        Ok(*taken)
    }

    fn u32(&mut self) -> Result<u32, TableError> {
        Ok(u32::from_le_bytes(self.take()?))
    }

    fn u64(&mut self) -> Result<u64, TableError> {
        Ok(u64::from_le_bytes(self.take()?))
    }

    /// A number of entries, each of so many bytes at least.
    fn many(&mut self, each: usize) -> Result<usize, TableError> {
        let many = self.u32()? as usize;
        let fits = many <= MOST_ROWS && many <= self.rest.len() / each;
        fits.then_some(many).ok_or(TableError::Length { found: self.found })
    }

    fn axis(&mut self) -> Result<Axis, TableError> {
        let mut edges = Box::new([0i64; BINS + 1]);
        for edge in edges.iter_mut() {
            *edge = self.u64()? as i64;
        }
        Axis::from_edges(edges).ok_or(TableError::Range { what: "an axis" })
    }

    fn cells(&mut self) -> Result<Cells, TableError> {
        let mut cells: Cells = [0.0; CELLS];
        for cell in &mut cells {
            *cell = self.count()?;
        }
        Ok(cells)
    }

    fn count(&mut self) -> Result<f32, TableError> {
        let count = f32::from_le_bytes(self.take()?);
        let sound = count.is_finite() && count >= 0.0;
        sound.then_some(count).ok_or(TableError::Range { what: "a count" })
    }

    fn flag(&mut self) -> Result<bool, TableError> {
        match self.take()? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(TableError::Range { what: "a flag" }),
        }
    }

    fn end(&self) -> Result<(), TableError> {
        self.rest.is_empty().then_some(()).ok_or(TableError::Length { found: self.found })
    }
}

fn begun(mark: &[u8; 4], axis: &Axis) -> Vec<u8> {
    let mut out = mark.to_vec();
    out.push(VERSION);
    out.extend(axis.edges().iter().flat_map(|edge| edge.to_le_bytes()));
    out
}

fn sealed(mut out: Vec<u8>) -> Vec<u8> {
    let sum = crc32c::crc32c(&out);
    out.extend(sum.to_le_bytes());
    out
}

impl ShadeTable {
    /// The table as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = begun(TABLE, self.axis());
        let rows = self.keyed();
        out.extend((rows.len() as u32).to_le_bytes());
        for (key, row) in rows {
            out.extend(key.to_le_bytes());
            for cell in row.cells() {
                out.extend(cell.part.to_le_bytes());
                out.extend(cell.win_ppm.to_le_bytes());
            }
        }
        sealed(out)
    }

    /// Reads what [`ShadeTable::to_bytes`] wrote. What is read bids no less than a fifth of the value, no more than the
    /// value, and no less for more, as every table does.
    pub fn from_bytes(bytes: &[u8]) -> Result<ShadeTable, TableError> {
        let mut read = Reader::open(bytes, TABLE)?;
        let axis = read.axis()?;
        let many = read.many(8 + BINS * 8)?;
        let (mut rows, mut keys) = (Vec::with_capacity(many), HashSet::with_capacity(many));
        for _ in 0..many {
            let key = read.u64()?;
            if key == 0 || !keys.insert(key) {
                return Err(TableError::Range { what: "a key" });
            }
            let mut cells = [Cell { part: 0, win_ppm: 0 }; BINS];
            for cell in &mut cells {
                *cell = Cell { part: read.u32()?, win_ppm: read.u32()? };
            }
            let row = Row::from_cells(cells).sound(&axis).ok_or(TableError::Range { what: "a bid" })?;
            rows.push((key, row));
        }
        read.end()?;
        Ok(ShadeTable::build(axis, rows))
    }
}

impl Landscape {
    /// The learner as bytes, all of it: one that is read back builds the tables that this one would.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = begun(LEARNER, &self.axis);
        out.extend((self.most_buckets as u64).to_le_bytes());
        out.push(self.base_ms.is_some().into());
        out.extend(self.base_ms.unwrap_or(0).to_le_bytes());
        out.extend(self.refused.to_le_bytes());
        out.push(self.unsettled.into());
        out.extend((self.buckets.len() as u32).to_le_bytes());
        for bucket in &self.buckets {
            let Bucket { key, parent, level, counts, density, unheeded, settled } = bucket;
            out.extend(key.to_le_bytes());
            out.extend(parent.to_le_bytes());
            out.push(*level);
            out.push((*settled).into());
            let Counts { prices, told, won, lost, sums } = counts;
            // The sums too: added up again they would differ in their last bits.
            for number in [sums.told, sums.won, sums.lost, sums.losses_told, *unheeded] {
                out.extend(number.to_le_bytes());
            }
            for cells in [prices, told, won, lost, density] {
                out.extend(cells.iter().flat_map(|cell| cell.to_le_bytes()));
            }
        }
        sealed(out)
    }

    /// Reads what [`Landscape::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Landscape, TableError> {
        let mut read = Reader::open(bytes, LEARNER)?;
        let mut landscape = Landscape::new(read.axis()?, read.u64()? as usize);
        let has_base = read.flag()?;
        let base_ms = read.u64()? as i64;
        landscape.base_ms = has_base.then_some(base_ms);
        landscape.refused = read.u64()?;
        landscape.unsettled = read.flag()?;
        let many = read.many(14 + 5 * 4 + 5 * CELLS * 4)?;
        landscape.buckets.clear();
        landscape.by_key.clear();
        for at in 0..many {
            let (key, parent) = (read.u64()?, read.u32()?);
            let [level] = read.take()?;
            let settled = read.flag()?;
            let sums = Sums {
                told: read.count()?,
                won: read.count()?,
                lost: read.count()?,
                losses_told: read.count()?,
            };
            let unheeded = read.count()?;
            let [prices, told, won, lost, density] =
                [read.cells()?, read.cells()?, read.cells()?, read.cells()?, read.cells()?];
            let first = at == 0 && key == ROOT && parent == 0 && level == 0;
            let below = landscape.buckets.get(parent as usize).is_some_and(|above| above.level + 1 == level);
            if !(first || below) || landscape.by_key.insert(key, at as u32).is_some() {
                return Err(TableError::Range { what: "a place" });
            }
            let counts = Counts { prices, told, won, lost, sums };
            landscape.buckets.push(Bucket { key, parent, level, counts, density, unheeded, settled });
        }
        read.end()?;
        match landscape.buckets.is_empty() {
            true => Err(TableError::Range { what: "a number of places" }),
            false => Ok(landscape),
        }
    }
}
