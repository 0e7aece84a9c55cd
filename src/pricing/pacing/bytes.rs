//! State as bytes, to be kept in a journal or a snapshot and read back: a version, little-endian fields, a checksum.

use super::goal::GoalLoop;
use super::pacer::{Pacer, Window};
use super::shape::{SLOTS, TrafficShape};

const PACER: u8 = 1;
const SHAPE: u8 = 1;
const PACER_BYTES: usize = 1 + 8 * 4 + 3 + 8 * 4 + 1 + 8 * 4 + 4;
const SHAPE_BYTES: usize = 1 + 2 + 2 * 4 * SLOTS + 4;

/// Why bytes are no state.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StateError {
    /// Too short or too long.
    #[error("the state has {found} bytes where {expected} are expected")]
    Length {
        /// How many there should be.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// Another version wrote them.
    #[error("the state is of version {found}, this program reads version {expected}")]
    Version {
        /// The version that is read.
        expected: u8,
        /// The version that was found.
        found: u8,
    },
    /// The checksum is another.
    #[error("the state is damaged: its checksum does not match")]
    Damaged,
    /// A number that no controller has.
    #[error("the state holds a number out of range")]
    Range,
}

/// Fields one after the other.
struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    /// Checks length, version and checksum.
    fn open(bytes: &'b [u8], expected: usize, version: u8) -> Result<Reader<'b>, StateError> {
        if let Some(found) = bytes.first().copied().filter(|found| *found != version) {
            return Err(StateError::Version { expected: version, found });
        }
        if bytes.len() != expected {
            return Err(StateError::Length { expected, found: bytes.len() });
        }
        let (body, sum) = bytes.split_at(expected - 4);
        if crc32c::crc32c(body).to_le_bytes() != sum {
            return Err(StateError::Damaged);
        }
        Ok(Reader(&body[1..]))
    }

    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (taken, rest) = self.0.split_first_chunk::<N>().expect("the length was checked");
        self.0 = rest;
        *taken
    }

    fn real(&mut self, low: f64, high: f64) -> Result<f64, StateError> {
        let value = f64::from_le_bytes(self.take());
        (low..=high).contains(&value).then_some(value).ok_or(StateError::Range)
    }

    fn int(&mut self) -> i64 {
        i64::from_le_bytes(self.take())
    }

    fn slots(&mut self) -> Result<[f32; SLOTS], StateError> {
        let mut slots = [0.0; SLOTS];
        for slot in &mut slots {
            *slot = f32::from_le_bytes(self.take());
            if !(slot.is_finite() && *slot >= 0.0) {
                return Err(StateError::Range);
            }
        }
        Ok(slots)
    }
}

fn sealed(mut out: Vec<u8>) -> Vec<u8> {
    let sum = crc32c::crc32c(&out);
    out.extend(sum.to_le_bytes());
    out
}

impl Pacer {
    /// The state as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(PACER_BYTES);
        out.push(PACER);
        for real in [self.ln_kappa, self.pass, self.step, self.boost] {
            out.extend(real.to_le_bytes());
        }
        out.extend([self.signs, self.steps, self.clipped.to_le_bytes()[0]]);
        let Window { since_ms, committed, left } = self.window;
        for int in [self.slow_until_ms, since_ms, committed, left] {
            out.extend(int.to_le_bytes());
        }
        out.push(self.goal.is_some().into());
        let goal = self.goal.unwrap_or(GoalLoop::new(0));
        out.extend(goal.ln_m.to_le_bytes());
        for int in [goal.stepped_ms, goal.spent, goal.allowed] {
            out.extend(int.to_le_bytes());
        }
        sealed(out)
    }

    /// Reads what [`Pacer::to_bytes`] wrote. Call [`Pacer::resume`] before the next tick.
    pub fn from_bytes(bytes: &[u8]) -> Result<Pacer, StateError> {
        let mut read = Reader::open(bytes, PACER_BYTES, PACER)?;
        let (ln_kappa, pass) = (read.real(-14.0, 14.0)?, read.real(0.0, 1.0)?);
        let (step, boost) = (read.real(0.0, 1.0)?, read.real(1.0, 16.0)?);
        let [signs, steps, clipped] = read.take();
        let slow_until_ms = read.int();
        let window = Window { since_ms: read.int(), committed: read.int(), left: read.int() };
        let [has_goal] = read.take();
        let ln_m = read.real(-14.0, 14.0)?;
        let goal = GoalLoop { ln_m, stepped_ms: read.int(), spent: read.int(), allowed: read.int() };
        let clipped = i8::from_le_bytes([clipped]);
        let goal = (has_goal != 0).then_some(goal);
        Ok(Pacer { ln_kappa, pass, step, boost, signs, steps, clipped, slow_until_ms, window, goal })
    }
}

impl GoalLoop {
    /// How many bytes [`GoalLoop::to_bytes`] gives.
    pub const BYTES: usize = 16;

    /// The multiplier and when it moved last. What was counted is not in it, because counters begin anew with a process;
    /// whoever keeps many of these puts a checksum around them.
    pub fn to_bytes(&self) -> [u8; GoalLoop::BYTES] {
        let mut out = [0; GoalLoop::BYTES];
        let (multiplier, moved) = out.split_at_mut(8);
        multiplier.copy_from_slice(&self.ln_m.to_le_bytes());
        moved.copy_from_slice(&self.stepped_ms.to_le_bytes());
        out
    }

    /// Reads what [`GoalLoop::to_bytes`] wrote. Call [`GoalLoop::resume`] before the next tick.
    ///
    /// # Errors
    /// Another length, or a number that no loop has.
    pub fn from_bytes(bytes: &[u8]) -> Result<GoalLoop, StateError> {
        if bytes.len() != GoalLoop::BYTES {
            return Err(StateError::Length { expected: GoalLoop::BYTES, found: bytes.len() });
        }
        let mut read = Reader(bytes);
        let ln_m = read.real(-14.0, 14.0)?;
        Ok(GoalLoop { ln_m, ..GoalLoop::new(read.int()) })
    }
}

impl TrafficShape {
    /// The shape as bytes, today's part included.
    pub fn to_bytes(&self) -> Vec<u8> {
        let (days, average, today) = self.parts();
        let mut out = Vec::with_capacity(SHAPE_BYTES);
        out.push(SHAPE);
        out.extend(days.to_le_bytes());
        for slot in average.iter().chain(today) {
            out.extend(slot.to_le_bytes());
        }
        sealed(out)
    }

    /// Reads what [`TrafficShape::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<TrafficShape, StateError> {
        let mut read = Reader::open(bytes, SHAPE_BYTES, SHAPE)?;
        let days = u16::from_le_bytes(read.take());
        let average = read.slots()?;
        Ok(TrafficShape::from_parts(days, average, read.slots()?))
    }
}
