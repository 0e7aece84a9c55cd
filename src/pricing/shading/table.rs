//! The best bid for every value, worked out in advance.

use super::axis::{Axis, BINS};
use super::estimate::{self, Cells};
use super::place::{LEVELS, Place, ROOT};
use crate::model::mix::splitmix64;
use crate::model::money::{Cpm, PPM};

/// From one table to the next no bid changes by more than this part of itself.
const MOST_CHANGE: f64 = 0.1;
/// The whole value in the units of a row: parts are shifted back by this many bits.
const PART_BITS: u32 = 31;
const ONE: f64 = (1u32 << PART_BITS) as f64;

/// A bid below value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shaded {
    /// What to bid: never above the value.
    pub bid: Cpm,
    /// How likely it is to win, in ppm; 0 also where nothing is known.
    pub win_ppm: u32,
}

/// The best bids of one place: for the value at each edge of the axis, the bid and its probability.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    cells: [Cell; BINS],
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cell {
    /// Bid ÷ value, times 2³¹.
    pub(super) part: u32,
    pub(super) win_ppm: u32,
}

impl Row {
    /// A row from parts of the value and probabilities, for the value at each edge but the last.
    pub(super) fn new(axis: &Axis, best: &[(f64, f64); BINS]) -> Row {
        let mut cells = best.map(|(part, win)| Cell::new(part, win));
        // Rounding must not give more value a lower bid, not by a micro.
        let mut least = 0;
        for (cell, value) in cells.iter_mut().zip(axis.edges()) {
            if cell.bid(*value) < least {
                let up = ((i128::from(least) << PART_BITS) + i128::from(*value) - 1) / i128::from(*value);
                cell.part = up.clamp(0, 1 << PART_BITS) as u32;
            }
            least = cell.bid(*value);
        }
        Row { cells }
    }

    /// The same, each bid not more than a tenth away from the row before: bids of both rise with the value, so these
    /// do. Also whether that changed nothing.
    pub(super) fn near(axis: &Axis, best: &[(f64, f64); BINS], density: &Cells, before: &Row) -> (Row, bool) {
        let mut near = *best;
        let mut settled = true;
        for (at, (part, win)) in near.iter_mut().enumerate() {
            let old = f64::from(before.cells[at].part) / ONE;
            let kept = part.clamp(old * (1.0 - MOST_CHANGE), (old * (1.0 + MOST_CHANGE)).min(1.0));
            if kept != *part {
                (*part, settled) = (kept, false);
                let (bin, within) = axis.place(Cpm((axis.edges()[at] as f64 * kept) as i64));
                *win = estimate::below(density, bin, within);
            }
        }
        (Row::new(axis, &near), settled)
    }

    pub(super) fn from_cells(cells: [Cell; BINS]) -> Row {
        Row { cells }
    }

    /// The row if it keeps what every table keeps.
    pub(super) fn sound(self, axis: &Axis) -> Option<Row> {
        let bids = || self.cells.iter().zip(axis.edges()).map(|(cell, value)| cell.bid(*value));
        let bounded = self
            .cells
            .iter()
            .all(|cell| (1..=1 << PART_BITS).contains(&cell.part) && i64::from(cell.win_ppm) <= PPM);
        (bounded && bids().is_sorted()).then_some(self)
    }

    pub(super) fn cells(&self) -> &[Cell; BINS] {
        &self.cells
    }
}

impl Cell {
    fn new(part: f64, win: f64) -> Cell {
        Cell { part: (part * ONE) as u32, win_ppm: (win.clamp(0.0, 1.0) * PPM as f64) as u32 }
    }

    /// The bid for `value`, rounded down.
    fn bid(self, value: i64) -> i64 {
        ((i128::from(value) * i128::from(self.part)) >> PART_BITS) as i64
    }
}

/// Rows by place, with a way to them that hashes nothing but integers. Immutable: a new one is published in its place.
#[derive(Clone, Debug, PartialEq)]
pub struct ShadeTable {
    axis: Axis,
    /// Open addressing over a power of two: key, or 0, and the number of its row.
    slots: Box<[(u64, u32)]>,
    rows: Box<[Row]>,
}

impl ShadeTable {
    /// A table that knows nothing and bids the value.
    pub fn unshaded(axis: Axis) -> ShadeTable {
        ShadeTable::build(axis, Vec::new())
    }

    pub(super) fn build(axis: Axis, rows: Vec<(u64, Row)>) -> ShadeTable {
        let mut slots = vec![(0u64, 0u32); (rows.len() * 2).next_power_of_two().max(2)];
        for (number, (key, _)) in rows.iter().enumerate() {
            let mut at = splitmix64(*key) as usize & (slots.len() - 1);
            while slots[at].0 != 0 {
                at = (at + 1) & (slots.len() - 1);
            }
            slots[at] = (*key, number as u32);
        }
        let rows = rows.into_iter().map(|(_, row)| row).collect();
        ShadeTable { axis, slots: slots.into(), rows }
    }

    /// The price axis.
    pub fn axis(&self) -> &Axis {
        &self.axis
    }

    /// How many places have bids of their own, the whole market included.
    pub fn places(&self) -> usize {
        self.rows.len()
    }

    /// The row of a key.
    pub(super) fn row_of(&self, key: u64) -> Option<&Row> {
        let mut at = splitmix64(key) as usize & (self.slots.len() - 1);
        loop {
            match self.slots[at] {
                (0, _) => return None,
                (found, number) if found == key => return self.rows.get(number as usize),
                _ => at = (at + 1) & (self.slots.len() - 1),
            }
        }
    }

    /// Keys and rows, by row.
    pub(super) fn keyed(&self) -> Vec<(u64, &Row)> {
        let mut keys = vec![0; self.rows.len()];
        self.slots.iter().filter(|slot| slot.0 != 0).for_each(|(key, number)| keys[*number as usize] = *key);
        keys.into_iter().zip(&self.rows).collect()
    }

    /// The bids of the narrowest place around an impression that has some; once for an impression, whatever line items
    /// look at it. `None` while nothing is known at all: bid the value.
    pub fn find(&self, place: &Place) -> Option<&Row> {
        let keys = (0..LEVELS).rev().map(|level| place.keys[level]).chain([ROOT]);
        keys.into_iter().find_map(|key| self.row_of(key))
    }

    /// The best bid for `value` by a row of this table: interpolated between the values of the axis, rounded down.
    pub fn bid(&self, row: &Row, value: Cpm) -> Shaded {
        let (cells, edges) = (&row.cells, self.axis.edges());
        let value = value.0.max(0);
        if value <= edges[0] {
            return Shaded { bid: Cpm(cells[0].bid(value)), win_ppm: cells[0].win_ppm };
        }
        let bin = self.axis.bin(Cpm(value)).min(BINS - 1);
        let (from, cell) = (edges[bin], cells[bin]);
        let Some(next) = cells.get(bin + 1) else {
            // Above the axis a higher value buys nothing more.
            return Shaded { bid: Cpm(cell.bid(from)), win_ppm: cell.win_ppm };
        };
        let (low, high) = (cell.bid(from), next.bid(edges[bin + 1]));
        // How far into the bin, times 65,536: prices are at most 2⁴¹, so nothing here leaves 64 bits.
        let within = ((value - from) << 16) / (edges[bin + 1] - from);
        let bid = low + (((high - low) * within) >> 16);
        let more = i64::from(next.win_ppm) - i64::from(cell.win_ppm);
        let win = i64::from(cell.win_ppm) + ((more * within) >> 16);
        Shaded { bid: Cpm(bid.min(value)), win_ppm: win as u32 }
    }

    /// Both in one: the bid in a place, which is the value where nothing is known.
    pub fn shade(&self, place: &Place, value: Cpm) -> Shaded {
        match self.find(place) {
            Some(row) => self.bid(row, value),
            None => Shaded { bid: value, win_ppm: 0 },
        }
    }
}
