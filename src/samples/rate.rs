//! How many requests one of the sample stands for: as few as may be, so that about so many a second are kept.

/// The most that one may stand for.
const MOST: u32 = 1 << 16;
/// What came is judged over so many seconds …
const WINDOW_S: u32 = 16;
/// … and the sample grows after so many calm ones in a row.
const CALM_WINDOWS: u32 = 4;

/// See the module. Told every second what came, it answers by powers of two: up at once, down slowly.
#[derive(Clone, Debug)]
pub struct Rate {
    per_second: u64,
    least: u32,
    one_in: u32,
    second: u32,
    came: u64,
    calm: u32,
}

impl Rate {
    /// So many requests a second, of which none stands for less than `least`, rounded up to a power of two.
    pub fn new(per_second: u32, least: u32) -> Rate {
        let least = least.clamp(1, MOST).next_power_of_two();
        Rate { per_second: u64::from(per_second.max(1)), least, one_in: least, second: 0, came: 0, calm: 0 }
    }

    /// How many requests one stands for that is chosen now.
    pub fn one_in(&self) -> u32 {
        self.one_in
    }

    /// Takes up that in the last second `came` were chosen, of which for `overflowed` there was no room.
    pub fn tick(&mut self, came: u64, overflowed: u64) {
        self.came += came;
        self.second += 1;
        if overflowed > 0 || came > 4 * self.per_second + 8 {
            let times = came.div_ceil(2 * self.per_second).clamp(2, u64::from(MOST));
            self.raise((times as u32).next_power_of_two());
        } else if self.second == WINDOW_S {
            let wanted = self.per_second * u64::from(WINDOW_S);
            let (came, calm) = (self.came, self.calm);
            (self.second, self.came, self.calm) = (0, 0, 0);
            if came > wanted + wanted / 2 {
                self.raise(2);
            } else if came <= wanted / 2 {
                self.calm = calm + 1;
            }
            if self.calm == CALM_WINDOWS {
                self.calm = 0;
                self.one_in = (self.one_in / 2).max(self.least);
            }
        }
    }

    fn raise(&mut self, times: u32) {
        self.one_in = self.one_in.saturating_mul(times).min(MOST);
        (self.second, self.came, self.calm) = (0, 0, 0);
    }
}
