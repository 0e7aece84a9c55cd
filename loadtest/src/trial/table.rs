//! The table that a group of trials prints: a row for each claim, with the figure, its limit and the verdict. A trial
//! that fails does not keep the next ones from being run.

use anyhow::bail;

/// What a figure says of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Within its limit.
    Pass,
    /// Beyond its limit by less than two calm stretches differ: this machine cannot tell.
    Noise,
    /// Beyond its limit.
    Fail,
}

impl Verdict {
    /// Pass or fail.
    pub(crate) fn of(good: bool) -> Verdict {
        if good { Verdict::Pass } else { Verdict::Fail }
    }

    fn name(self) -> &'static str {
        match self {
            Verdict::Pass => "pass",
            Verdict::Noise => "**cannot tell**",
            Verdict::Fail => "**FAIL**",
        }
    }
}

/// How a figure beside a fault compares with the figure of calm stretches, both above 0.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moved {
    /// In percent of the calm one.
    pub(crate) percent: f64,
    /// How far two halves of the calm stretches lie apart, in percent.
    pub(crate) noise: f64,
    /// What follows.
    pub(crate) verdict: Verdict,
}

impl Moved {
    /// Of all calm stretches and their halves, with the most that it may move in percent.
    pub(crate) fn of(calm: f64, halves: [f64; 2], beside: f64, most: f64) -> Moved {
        let percent = 100.0 * (beside / calm - 1.0);
        let noise = 100.0 * (halves[0].max(halves[1]) / halves[0].min(halves[1]) - 1.0);
        let verdict = match percent {
            percent if percent <= most => Verdict::Pass,
            percent if percent <= noise => Verdict::Noise,
            _ => Verdict::Fail,
        };
        Moved { percent, noise, verdict }
    }
}

/// One line of the table.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// Its id in the specification, such as `E3`.
    pub(crate) trial: &'static str,
    /// What is claimed or done.
    pub(crate) what: String,
    /// What was measured.
    pub(crate) figure: String,
    /// What it may be.
    pub(crate) limit: String,
    /// What follows.
    pub(crate) verdict: Verdict,
}

/// Prints rows as they come and keeps what failed.
pub(crate) struct Table<'s> {
    say: &'s mut dyn FnMut(String),
    failed: Vec<String>,
}

impl<'s> Table<'s> {
    /// Prints the head.
    pub(crate) fn new(say: &'s mut dyn FnMut(String)) -> Table<'s> {
        say("| trial | what | figure | limit | |\n|---|---|---|---|---|".to_owned());
        Table { say, failed: Vec::new() }
    }

    /// Prints a row.
    pub(crate) fn row(&mut self, row: Row) {
        let Row { trial, what, figure, limit, verdict } = row;
        (self.say)(format!("| {trial} | {what} | {figure} | {limit} | {} |", verdict.name()));
        if verdict == Verdict::Fail {
            self.failed.push(format!("{trial} {what}: {figure}, limit {limit}"));
        }
    }

    /// A row whose verdict is pass or fail.
    pub(crate) fn check(
        &mut self,
        trial: &'static str,
        what: impl Into<String>,
        figure: impl Into<String>,
        limit: impl Into<String>,
        good: bool,
    ) {
        let (what, figure, limit) = (what.into(), figure.into(), limit.into());
        self.row(Row { trial, what, figure, limit, verdict: Verdict::of(good) });
    }

    /// A trial that could not be carried through is a failure of its own.
    pub(crate) fn carried(&mut self, trial: &'static str, outcome: anyhow::Result<()>) {
        if let Err(error) = outcome {
            self.check(trial, "carried through", format!("{error:#}"), "", false);
        }
    }

    /// An error that names what failed.
    pub(crate) fn end(self) -> anyhow::Result<()> {
        if self.failed.is_empty() {
            return Ok(());
        }
        bail!("{} of the claims do not hold:\n  {}", self.failed.len(), self.failed.join("\n  "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_row_that_fails_fails_the_table_and_noise_does_not() {
        let mut lines = Vec::new();
        let mut say = |line| lines.push(line);
        let mut table = Table::new(&mut say);
        table.check("E1", "sockets", "5 s", "≤ 6 s", true);
        let (what, figure, limit) = ("p99".to_owned(), "+20 %".to_owned(), "+10 %".to_owned());
        table.row(Row { trial: "E1", what, figure, limit, verdict: Verdict::Noise });
        table.carried("E2", Ok(()));
        assert!(Table { failed: table.failed.clone(), say: &mut |_| () }.end().is_ok());
        table.carried("E2", Err(anyhow::anyhow!("no server")));
        let error = table.end().unwrap_err().to_string();
        assert!(error.contains("no server") && !error.contains("p99"), "{error}");
        assert!(lines[1].ends_with("| pass |") && lines[2].contains("cannot tell"), "{lines:?}");
    }
}
