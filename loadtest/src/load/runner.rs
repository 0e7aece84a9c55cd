//! Runs segments and looks on: CPU time, memory, the live view.

use super::driver::{Driver, Segment, Watcher};
use super::measure::{Measured, share};
use super::own::{Own, Reading};
use super::report::live::Live;
use super::site::{Footprint, Site, Usage, Used};
use crate::client::now;
use std::time::{Duration, Instant};

/// How often memory is looked at, and whether descriptors are counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sampling {
    pub(crate) every: Duration,
    pub(crate) descriptors: bool,
}

impl Sampling {
    /// What any run affords.
    pub(crate) const USUAL: Sampling = Sampling { every: Duration::from_secs(1), descriptors: false };
}

/// A segment that was run.
#[derive(Clone, Debug)]
pub(crate) struct Stretch {
    pub(crate) measured: Measured,
    /// From the end of the warm-up to the time of the last request.
    pub(crate) used: Used,
    /// Behind the warm-up.
    pub(crate) footprints: Vec<Footprint>,
    /// What the server says of itself, where it was asked.
    pub(crate) own: Option<Own>,
    /// Whether requests were sent by a schedule.
    pub(crate) is_open: bool,
}

/// What makes a run invalid.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Of the generator's core, 0..=1.
    pub(crate) generator_cpu: f64,
    /// Of sends, 0..=1.
    pub(crate) late: f64,
}

impl Stretch {
    /// Several stretches of the same kind as one; the server's own figures are those of the last. `None` of none.
    pub(crate) fn sum(stretches: Vec<Stretch>) -> Option<Stretch> {
        stretches.into_iter().reduce(|mut sum, next| {
            sum.measured.append(&next.measured);
            sum.used = sum.used.plus(&next.used);
            sum.footprints.extend(next.footprints);
            Stretch { own: next.own, ..sum }
        })
    }

    /// Share of its core that the generator used.
    pub(crate) fn generator_share(&self) -> f64 {
        share(self.used.generator_ns, self.used.elapsed_ns)
    }

    /// Why the figures count for nothing; empty where they count.
    pub(crate) fn faults(&self, limits: Limits) -> Vec<String> {
        let mut faults = Vec::new();
        let (busy, late) = (self.generator_share(), self.measured.late_share());
        if busy > limits.generator_cpu {
            faults.push(format!(
                "the generator used {:.0} % of its core, more than {:.0} %",
                100.0 * busy,
                100.0 * limits.generator_cpu
            ));
        }
        if self.is_open && late > limits.late {
            faults.push(format!(
                "{} of {} sends ({:.3} %, more than {:.3} %) were over 1 ms late although a connection was free",
                self.measured.late_sends,
                self.measured.sent,
                100.0 * late,
                100.0 * limits.late
            ));
        }
        if self.measured.offered == 0 {
            faults.push("no request was due after the warm-up".to_owned());
        }
        faults
    }
}

/// Drives and looks on.
pub(crate) struct Runner<'r> {
    pub(crate) driver: Driver<'r>,
    watch: Watch,
}

struct Watch {
    site: Site,
    live: Live,
    sampling: Sampling,
    next_sample: Duration,
    begun: Option<(Instant, Usage)>,
    used: Used,
    footprints: Vec<Footprint>,
}

impl<'r> Runner<'r> {
    pub(crate) fn new(driver: Driver<'r>, site: Site, live: Live) -> Runner<'r> {
        let watch = Watch {
            site,
            live,
            sampling: Sampling::USUAL,
            next_sample: Duration::ZERO,
            begun: None,
            used: Used::default(),
            footprints: Vec::new(),
        };
        Runner { driver, watch }
    }

    pub(crate) fn site(&self) -> &Site {
        &self.watch.site
    }

    /// A line for whoever looks on.
    pub(crate) fn say(&mut self, line: &str) {
        self.watch.live.say(line);
    }

    /// Runs a segment under a name.
    pub(crate) async fn stretch(
        &mut self,
        name: &str,
        segment: Segment,
        sampling: Sampling,
    ) -> anyhow::Result<Stretch> {
        let is_open = matches!(segment.pacing, super::driver::Pacing::Open(_));
        let watch = &mut self.watch;
        watch.live.begin(name, segment.warm_up, segment.length);
        (watch.sampling, watch.next_sample, watch.begun) = (sampling, segment.warm_up, None);
        watch.footprints.clear();
        let before = Reading::take(self.watch.site.ops).await;
        let result = self.driver.run(segment, &mut self.watch).await;
        self.watch.live.end();
        let measured = result?;
        self.watch.site.check_alive()?;
        let after = Reading::take(self.watch.site.ops).await;
        let own = before.zip(after).map(|(before, after)| after.since(&before));
        let footprints = std::mem::take(&mut self.watch.footprints);
        Ok(Stretch { measured, used: self.watch.used, footprints, own, is_open })
    }
}

impl Watcher for Watch {
    fn begin(&mut self) -> anyhow::Result<()> {
        self.begun = Some((now(), self.site.usage()?));
        Ok(())
    }

    fn tick(&mut self, at: Duration, so_far: &Measured, in_flight: usize) -> anyhow::Result<()> {
        if at >= self.next_sample && self.begun.is_some() {
            self.site.check_alive()?;
            self.next_sample = at + self.sampling.every;
            self.footprints.extend(self.site.footprint(at, self.sampling.descriptors)?);
        }
        self.live.show(at, so_far, in_flight);
        Ok(())
    }

    fn end(&mut self) -> anyhow::Result<()> {
        if let Some((start, before)) = &self.begun {
            self.used = self.site.usage()?.since(before, start.elapsed());
        }
        Ok(())
    }
}
