//! The shape of a day's traffic, learned from days that were observed.

/// Slots of a day, five minutes each.
pub const SLOTS: usize = 288;

/// Weight of the newest day in the average over days.
const NEWEST: f64 = 0.3;

/// How many days of its own outweigh the parent's shape by half.
const PARENT_DAYS: f64 = 2.0;

/// What there was to buy in each slot of a day, averaged over days of one kind: eligible requests by their worth. One
/// day is enough to be useful (Balseiro et al., *Robust Budget Pacing with a Single Sample*, ICML 2023).
#[derive(Clone, PartialEq, Debug)]
pub struct TrafficShape {
    today: Box<[f32; SLOTS]>,
    average: Box<[f32; SLOTS]>,
    days: u16,
}

impl Default for TrafficShape {
    fn default() -> TrafficShape {
        TrafficShape { today: Box::new([0.0; SLOTS]), average: Box::new([0.0; SLOTS]), days: 0 }
    }
}

impl TrafficShape {
    /// Adds what was there to buy in a slot of today; slots beyond the day count as its last.
    pub fn observe(&mut self, slot: usize, worth: f64) {
        if worth.is_finite() && worth > 0.0 {
            self.today[slot.min(SLOTS - 1)] += worth as f32;
        }
    }

    /// Closes today and begins the next day. A day on which nothing was seen counts for nothing.
    pub fn end_day(&mut self) {
        if self.today.iter().any(|worth| *worth > 0.0) {
            let newest = if self.days == 0 { 1.0 } else { NEWEST as f32 };
            for (average, today) in self.average.iter_mut().zip(self.today.iter()) {
                *average += newest * (today - *average);
            }
            self.days = self.days.saturating_add(1);
        }
        *self.today = [0.0; SLOTS];
    }

    /// Days that were closed.
    pub fn days(&self) -> u16 {
        self.days
    }

    /// The shape, drawn towards `parent`'s the more, the fewer days were seen: `(n·x + n₀·X) ÷ (n + n₀)` with n₀ of two
    /// days and the parent scaled to the same sum. The result sums to 1; without anything seen and without a parent it
    /// is even.
    pub fn shrunk(&self, parent: Option<&[f64; SLOTS]>) -> [f64; SLOTS] {
        let own: f64 = self.average.iter().map(|worth| f64::from(*worth)).sum();
        let above: f64 = parent.map_or(0.0, |parent| parent.iter().sum());
        let mut shape = [1.0 / SLOTS as f64; SLOTS];
        let days = if own > 0.0 { f64::from(self.days) } else { 0.0 };
        let pull = if above > 0.0 { PARENT_DAYS } else { 0.0 };
        if days + pull == 0.0 {
            return shape;
        }
        for (slot, shape) in shape.iter_mut().enumerate() {
            let own = if days > 0.0 { f64::from(self.average[slot]) / own } else { 0.0 };
            let above = if pull > 0.0 { parent.map_or(0.0, |parent| parent[slot] / above) } else { 0.0 };
            *shape = (days * own + pull * above) / (days + pull);
        }
        shape
    }

    /// What was seen of today so far ÷ what the average day has until then, between ½ and 2; 1 where nothing is known.
    /// Shown to people only: it cancels in every share, so no plan uses it (pricing.md 2a).
    pub fn drift(&self, slots_done: usize) -> f64 {
        let sum = |slots: &[f32]| slots.iter().take(slots_done).map(|worth| f64::from(*worth)).sum::<f64>();
        let (today, usual) = (sum(&*self.today), sum(&*self.average));
        if usual > 0.0 { (today / usual).clamp(0.5, 2.0) } else { 1.0 }
    }

    /// Days, the average and today, for [`super::bytes`].
    pub(super) fn parts(&self) -> (u16, &[f32; SLOTS], &[f32; SLOTS]) {
        (self.days, &self.average, &self.today)
    }

    /// The reverse of [`TrafficShape::parts`].
    pub(super) fn from_parts(days: u16, average: [f32; SLOTS], today: [f32; SLOTS]) -> TrafficShape {
        TrafficShape { today: Box::new(today), average: Box::new(average), days }
    }
}
