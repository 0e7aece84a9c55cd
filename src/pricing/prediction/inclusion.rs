//! Which features have been seen often enough to be learned: a count-min sketch (Cormode and Muthukrishnan, 2005) with
//! two rows of counters that end at 255. It counts too many where features collide in both rows, never too few. Features
//! that come once, the long tail, then cost no slot (McMahan et al. 2013, section 4.1).

/// Counters of features.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Sketch {
    /// Both rows, one after the other.
    counters: Vec<u8>,
    row_bits: u8,
}

impl Sketch {
    /// Two rows of 2^`row_bits` counters.
    pub(super) fn new(row_bits: u8) -> Sketch {
        Sketch { counters: vec![0; 2 << row_bits], row_bits }
    }

    /// The counters as they are kept.
    pub(super) fn counters(&self) -> &[u8] {
        &self.counters
    }

    pub(super) fn counters_mut(&mut self) -> &mut [u8] {
        &mut self.counters
    }

    /// Counts an occurrence; the occurrences so far with this one, at most 255.
    pub(super) fn count(&mut self, feature: u32) -> u8 {
        // Conservative update: only the smaller counter grows, so that collisions add less.
        let [a, b] = self.places(feature);
        let seen = self.counters[a].min(self.counters[b]).saturating_add(1);
        for place in [a, b] {
            self.counters[place] = self.counters[place].max(seen);
        }
        seen
    }

    fn places(&self, feature: u32) -> [usize; 2] {
        let shift = 64 - u32::from(self.row_bits);
        let place = |odd: u64| (u64::from(feature) + 1).wrapping_mul(odd) >> shift;
        let rows = [place(0x9e37_79b9_7f4a_7c15), place(0xd6e8_feb8_6659_fd93)];
        [rows[0] as usize, rows[1] as usize + (1 << self.row_bits)]
    }
}
