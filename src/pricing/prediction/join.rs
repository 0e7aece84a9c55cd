//! What waits for something to happen to it, by bid: a queue in the order of arrival with an index, bounded. Who comes when
//! it is full pushes out the oldest, and the caller says what that means.

use super::bytes::{DamagedBytes, Reader, Writer};
use crate::model::ids::{BidId, CampaignId};
use std::collections::{HashMap, VecDeque};

/// What is known of a bid that waits.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Row {
    pub(super) bid: BidId,
    pub(super) at_ms: i64,
    pub(super) campaign: CampaignId,
    pub(super) state: State,
    pub(super) features: Box<[u32]>,
}

/// How far a row has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// It waits, and nothing came yet.
    Open,
    /// It waits, and what it waits for came.
    Joined,
    /// It was learned as a negative once and for all, as nothing came in time.
    Negative,
    /// It was learned as a positive.
    Done,
}

impl State {
    /// Whether it is still to be learned.
    pub(super) fn waits(self) -> bool {
        matches!(self, State::Open | State::Joined)
    }

    /// Whether what it waited for came.
    pub(super) fn came(self) -> bool {
        matches!(self, State::Joined | State::Done)
    }

    fn of(number: u8) -> Option<State> {
        [State::Open, State::Joined, State::Negative, State::Done]
            .into_iter()
            .find(|state| *state as u8 == number)
    }
}

/// Rows in the order of their arrival, each of which is due at one age or at several, one after the other.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    rows: VecDeque<Row>,
    /// Number of the first row.
    first: u64,
    /// For each of the ages: rows before this number have passed it.
    passed: Vec<u64>,
    by_bid: HashMap<BidId, u64, foldhash::fast::RandomState>,
    capacity: usize,
}

impl Queue {
    /// With room for so many rows, each due at so many ages.
    pub(super) fn new(capacity: usize, ages: usize) -> Queue {
        Queue {
            rows: VecDeque::new(),
            first: 0,
            passed: vec![0; ages],
            by_bid: HashMap::default(),
            capacity: capacity.max(1),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.rows.len() >= self.capacity
    }

    pub(super) fn contains(&self, bid: BidId) -> bool {
        self.by_bid.contains_key(&bid)
    }

    pub(super) fn get_mut(&mut self, bid: BidId) -> Option<&mut Row> {
        let number = self.by_bid.get(&bid)?;
        self.rows.get_mut((number - self.first) as usize)
    }

    /// Adds a row of a bid that is not there; the caller has made room.
    pub(super) fn push(&mut self, row: Row) {
        self.by_bid.insert(row.bid, self.first + self.rows.len() as u64);
        self.rows.push_back(row);
    }

    /// The oldest row.
    pub(super) fn front(&self) -> Option<&Row> {
        self.rows.front()
    }

    /// Takes the oldest row out; with it, how many of the ages it has passed.
    pub(super) fn pop(&mut self) -> Option<(Row, usize)> {
        let row = self.rows.pop_front()?;
        self.by_bid.remove(&row.bid);
        let passed = self.passed.iter().filter(|passed| **passed > self.first).count();
        self.first += 1;
        for passed in &mut self.passed {
            *passed = self.first.max(*passed);
        }
        Some((row, passed))
    }

    /// The oldest row that has not passed this age and still waits, if it came at `until_ms` or before. It has passed by
    /// that: the caller learns it.
    pub(super) fn next_due(&mut self, age: usize, until_ms: i64) -> Option<&mut Row> {
        loop {
            let at = (self.passed[age] - self.first) as usize;
            let row = self.rows.get(at)?;
            if row.at_ms > until_ms && row.state.waits() {
                return None;
            }
            self.passed[age] += 1;
            if row.state.waits() {
                return self.rows.get_mut(at);
            }
        }
    }

    pub(super) fn write(&self, out: &mut Writer) {
        self.passed.iter().for_each(|passed| out.u64(passed - self.first));
        out.u32(self.rows.len() as u32);
        for row in &self.rows {
            write_bid(out, row.bid);
            out.i64(row.at_ms);
            out.u32(row.campaign.0);
            out.u8(row.state as u8);
            out.u8(row.features.len() as u8);
            row.features.iter().for_each(|feature| out.u32(*feature));
        }
    }

    pub(super) fn read(mut self, input: &mut Reader<'_>) -> Result<Queue, DamagedBytes> {
        for passed in &mut self.passed {
            *passed = input.u64()?;
        }
        let count = input.count(28)?;
        if count > self.capacity || self.passed.iter().any(|passed| *passed > count as u64) {
            return Err(input.wrong("more rows than there is room for"));
        }
        for _ in 0..count {
            let (bid, at_ms, campaign) = (read_bid(input)?, input.i64()?, CampaignId(input.u32()?));
            let state = State::of(input.u8()?).ok_or(input.wrong("a state that is none"))?;
            let features = (0..input.u8()?).map(|_| input.u32()).collect::<Result<_, _>>()?;
            if self.contains(bid) {
                return Err(input.wrong("the same bid twice"));
            }
            self.push(Row { bid, at_ms, campaign, state, features });
        }
        Ok(self)
    }
}

pub(super) fn write_bid(out: &mut Writer, bid: BidId) {
    out.u32(bid.epoch);
    out.u32(u32::from(bid.core));
    out.u64(bid.sequence);
}

pub(super) fn read_bid(input: &mut Reader<'_>) -> Result<BidId, DamagedBytes> {
    let (epoch, core, sequence) = (input.u32()?, input.u32()?, input.u64()?);
    let core = u16::try_from(core).map_err(|_| input.wrong("a core that is none"))?;
    Ok(BidId { epoch, core, sequence })
}
