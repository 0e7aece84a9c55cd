//! `step`: the highest rate that holds the SLO. It grows by half until it is missed, then the gap is halved until it is
//! narrow. A step that misses is taken once more, since a machine that does other things misses one now and then.

use super::{Outcome, Plan, check};
use crate::load::report::figures::Figures;
use crate::load::runner::{Runner, Sampling, Stretch};
use crate::load::slo::Slo;
use anyhow::Context;
use serde_json::{Value, json};

/// Where none is given.
const SLO: &str = "p99<10ms,err<0.1%,achieved>99%";
/// From one step to the next, until one misses.
const GROWTH: f64 = 1.5;

/// What a step said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Holds,
    Misses,
    /// The generator could not keep up.
    Unknown,
}

pub(super) async fn run(runner: &mut Runner<'_>, plan: &Plan<'_>) -> anyhow::Result<Outcome> {
    let load = &plan.args.load;
    let slo: Slo = match &load.slo {
        Some(slo) => slo.clone(),
        None => SLO.parse().map_err(|error| anyhow::anyhow!("the usual SLO: {error}"))?,
    };
    let mut steps = Steps { runner, plan, slo, taken: Vec::new(), best: None, last: None };
    let (mut low, mut high, mut unknown) = (0.0, None, false);
    let mut rate = load.rate;
    loop {
        match steps.take(rate).await? {
            Verdict::Holds => low = rate,
            Verdict::Misses => high = Some(rate),
            Verdict::Unknown => {
                unknown = true;
                break;
            }
        }
        let narrow = 1.0 + load.step_precision / 100.0;
        rate = match high {
            Some(high) if low == 0.0 || high <= low * narrow => break,
            Some(high) => (low + high) / 2.0,
            None if low >= load.step_max => break,
            None => (low * GROWTH).min(load.step_max),
        };
    }
    steps.outcome(low, high, unknown)
}

struct Steps<'s, 'r, 'p> {
    runner: &'s mut Runner<'r>,
    plan: &'s Plan<'p>,
    slo: Slo,
    taken: Vec<(f64, Verdict, Figures)>,
    best: Option<Stretch>,
    last: Option<Stretch>,
}

impl Steps<'_, '_, '_> {
    async fn take(&mut self, rate: f64) -> anyhow::Result<Verdict> {
        let mut verdict = self.once(rate).await?;
        if verdict != Verdict::Holds {
            verdict = self.once(rate).await?;
        }
        Ok(verdict)
    }

    async fn once(&mut self, rate: f64) -> anyhow::Result<Verdict> {
        let seed = self.plan.seed.wrapping_add(self.taken.len() as u64);
        let name = format!("step {} at {rate:.0}/s", self.taken.len() + 1);
        let segment = self.plan.at_rate(rate, seed);
        let stretch = self.runner.stretch(&name, segment, Sampling::USUAL).await?;
        let faults = stretch.faults(self.plan.limits());
        let missed: Vec<String> = self
            .slo
            .check(&stretch.measured)
            .into_iter()
            .filter(|check| !check.holds)
            .map(|check| format!("{} is {}", check.condition, check.measured))
            .collect();
        let (verdict, why) = match (faults.is_empty(), missed.is_empty()) {
            (true, true) => {
                (Verdict::Holds, format!("holds, p99 {:.0} µs", stretch.measured.latency_us(0.99)))
            }
            (false, _) => (Verdict::Unknown, faults.join("; ")),
            (true, false) => (Verdict::Misses, format!("misses: {}", missed.join(", "))),
        };
        self.runner.say(&format!("{name}: {why}"));
        self.taken.push((rate, verdict, Figures::new(&stretch)));
        if verdict == Verdict::Holds
            && self.best.as_ref().is_none_or(|best| best.measured.offered < stretch.measured.offered)
        {
            self.best = Some(stretch);
        } else {
            self.last = Some(stretch);
        }
        Ok(verdict)
    }

    fn outcome(self, low: f64, high: Option<f64>, unknown: bool) -> anyhow::Result<Outcome> {
        let invalid = match (unknown, low > 0.0) {
            (false, _) => Vec::new(),
            (true, true) => vec![format!(
                "the generator, not the server, is what does not go beyond {low:.0} requests a second"
            )],
            (true, false) => vec!["the generator cannot vouch for the first rate".to_owned()],
        };
        let found = match high {
            Some(high) if low > 0.0 => format!("{low:.0} requests a second hold, {high:.0} do not"),
            Some(high) => format!("not even {high:.0} requests a second hold"),
            None => format!("{low:.0} requests a second hold, more was not tried"),
        };
        let steps: Vec<Value> = self
            .taken
            .iter()
            .map(|(rate, verdict, figures)| {
                json!({"rate": rate, "holds": *verdict == Verdict::Holds, "p99_us": figures.latency_us.p99})
            })
            .collect();
        let parts = self.taken.into_iter().enumerate();
        Ok(Outcome {
            main: self.best.or(self.last).context("no step was taken")?,
            parts: parts
                .map(|(at, (rate, _, figures))| (format!("step {} at {rate:.0}/s", at + 1), figures))
                .collect(),
            checks: vec![check(format!("{} at some rate", self.slo), low > 0.0, found.clone())],
            invalid,
            extra: serde_json::Map::from_iter([(
                "step".to_owned(),
                json!({"highest_rate_that_holds": low, "lowest_rate_that_misses": high, "slo": self.slo.to_string(),
                    "steps": steps}),
            )]),
            notes: vec![found],
        })
    }
}
