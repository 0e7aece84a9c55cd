//! How good predictions are, judged by what happened.

/// Predictions with their outcomes.
#[derive(Clone, Debug, Default)]
pub struct Scores {
    rows: Vec<(f64, bool)>,
}

/// A tenth of the rows, by rising prediction.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Decile {
    /// Mean prediction.
    pub predicted: f64,
    /// Share of clicks.
    pub actual: f64,
    /// Rows.
    pub rows: usize,
}

impl Decile {
    /// Σp ÷ Σy; `None` without clicks.
    pub fn calibration(&self) -> Option<f64> {
        (self.actual > 0.0).then(|| self.predicted / self.actual)
    }
}

impl Scores {
    /// Takes a prediction between 0 and 1 and its outcome.
    pub fn add(&mut self, p: f64, clicked: bool) {
        self.rows.push((p, clicked));
    }

    /// Predictions so far.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Outcomes that were clicks.
    pub fn clicks(&self) -> usize {
        self.rows.iter().filter(|row| row.1).count()
    }

    /// Mean −ln of the probability that was given to what happened; `None` without rows.
    pub fn logloss(&self) -> Option<f64> {
        let loss = |row: &(f64, bool)| loss(row.0, row.1);
        (!self.is_empty()).then(|| self.rows.iter().map(loss).sum::<f64>() / self.len() as f64)
    }

    /// Log loss ÷ that of predicting the mean rate for all (He et al. 2014); `None` unless there are clicks and others.
    pub fn normalised_entropy(&self) -> Option<f64> {
        let base = self.clicks() as f64 / self.len().max(1) as f64;
        let entropy = entropy(base);
        (entropy > 0.0).then(|| self.logloss().map(|loss| loss / entropy)).flatten()
    }

    /// Σp ÷ Σy; `None` without clicks.
    pub fn calibration(&self) -> Option<f64> {
        let clicks = self.clicks();
        (clicks > 0).then(|| self.rows.iter().map(|row| row.0).sum::<f64>() / clicks as f64)
    }

    /// Area under the receiver operating characteristic: how often a click has a higher prediction than another row,
    /// equal ones counted half (Mann and Whitney). `None` unless there are clicks and others.
    pub fn auc(&self) -> Option<f64> {
        let clicks = self.clicks();
        let others = self.len() - clicks;
        if clicks == 0 || others == 0 {
            return None;
        }
        let mut below = 0_usize;
        let mut pairs = 0.0;
        for equal in self.sorted().chunk_by(|a, b| a.0 == b.0) {
            let clicked = equal.iter().filter(|row| row.1).count();
            let not = equal.len() - clicked;
            pairs += clicked as f64 * (below as f64 + not as f64 / 2.0);
            below += not;
        }
        Some(pairs / (clicks as f64 * others as f64))
    }

    /// Tenths by rising prediction; fewer where there are fewer rows than ten.
    pub fn deciles(&self) -> Vec<Decile> {
        let sorted = self.sorted();
        let cut = |tenth: usize| sorted.len() * tenth / 10;
        let decile = |tenth: usize| {
            let rows = &sorted[cut(tenth)..cut(tenth + 1)];
            let count = rows.len().max(1) as f64;
            let predicted = rows.iter().map(|row| row.0).sum::<f64>() / count;
            let actual = rows.iter().filter(|row| row.1).count() as f64 / count;
            Decile { predicted, actual, rows: rows.len() }
        };
        (0..10).map(decile).filter(|decile| decile.rows > 0).collect()
    }

    fn sorted(&self) -> Vec<(f64, bool)> {
        let mut sorted = self.rows.clone();
        sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
        sorted
    }
}

/// −ln of the probability that was given to what happened.
pub(super) fn loss(p: f64, clicked: bool) -> f64 {
    let given = if clicked { p } else { 1.0 - p };
    -given.max(1e-15).ln()
}

/// Loss of a rate that is predicted for all.
pub(super) fn entropy(rate: f64) -> f64 {
    if rate <= 0.0 || rate >= 1.0 { 0.0 } else { -rate * rate.ln() - (1.0 - rate) * (1.0 - rate).ln() }
}
