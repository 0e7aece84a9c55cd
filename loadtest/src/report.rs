//! The figures of `floor`, as a table and as JSON.

use crate::client::Tally;
use crate::process::Cores;
use anyhow::ensure;
use serde::Serialize;
use std::io::Write;
use std::time::Duration;

/// One round against one server.
#[derive(Clone, Debug)]
pub(crate) struct Round {
    /// What came back.
    pub(crate) tally: Tally,
    /// CPU time of the whole server during the round.
    pub(crate) server_cpu_ns: u64,
    /// CPU time of this program during the round.
    pub(crate) generator_cpu_ns: u64,
}

impl Round {
    fn cpu_us(&self) -> f64 {
        self.server_cpu_ns as f64 / 1_000.0 / self.tally.answers() as f64
    }

    fn rps(&self) -> f64 {
        self.tally.answers() as f64 / self.tally.elapsed.as_secs_f64()
    }

    fn share_of(&self, cpu_ns: u64) -> f64 {
        Duration::from_nanos(cpu_ns).as_secs_f64() / self.tally.elapsed.as_secs_f64()
    }
}

/// Under which conditions it was measured.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    /// Cores, when the two sides have their own.
    pub(crate) cores: Option<Cores>,
    /// Connections.
    pub(crate) connections: u32,
    /// Length of a round.
    pub(crate) round_secs: u64,
    /// Where the bodies come from.
    pub(crate) bodies: String,
    /// Lines of the corpus that were no request.
    pub(crate) skipped_lines: usize,
    /// What the server is compared with: "bare", or the settings of another one.
    pub(crate) baseline: String,
    /// Mean length of the requests' bodies.
    pub(crate) body_bytes_mean: f64,
    /// Mean length of the real server's answers, which the bare one repeats.
    pub(crate) response_bytes: u64,
}

/// The figures of one server over all rounds.
#[derive(Clone, Debug)]
struct Side {
    cpu_us: f64,
    rps: f64,
    server_share: f64,
    generator_share: f64,
    total: Tally,
}

impl Side {
    fn new(rounds: &[&Round]) -> Side {
        let of = |value: &dyn Fn(&Round) -> f64| median(rounds.iter().map(|round| value(round)).collect());
        let mut total = rounds[0].tally.clone();
        rounds[1..].iter().for_each(|round| total.add(&round.tally));
        Side {
            cpu_us: of(&Round::cpu_us),
            rps: of(&Round::rps),
            server_share: of(&|round| round.share_of(round.server_cpu_ns)),
            generator_share: of(&|round| round.share_of(round.generator_cpu_ns)),
            total,
        }
    }

    fn latency_us(&self, quantile: f64) -> f64 {
        self.total.latency_ns.value_at_quantile(quantile) as f64 / 1_000.0
    }
}

/// Everything that was found.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    setup: Setup,
    pairs: usize,
    floor: Side,
    server: Side,
    /// Server over floor: median, least and most of the pairs.
    ratio: [f64; 3],
    survivors: [Option<f64>; 2],
}

/// The JSON form. Times in microseconds, latencies from the generator's side.
#[derive(Serialize)]
struct Figures {
    floor_cpu_us: f64,
    server_cpu_us: f64,
    cpu_ratio: f64,
    cpu_ratio_min: f64,
    cpu_ratio_max: f64,
    floor_rps: f64,
    server_rps: f64,
    bid_rate: f64,
    body_bytes_mean: f64,
    response_bytes_mean: u64,
    survivors_p50: Option<f64>,
    survivors_p99: Option<f64>,
    floor_latency_p50_us: f64,
    floor_latency_p99_us: f64,
    server_latency_p50_us: f64,
    server_latency_p99_us: f64,
    floor_generator_cpu_share: f64,
    server_generator_cpu_share: f64,
    server_bids: u64,
    server_no_bids: u64,
    server_other_answers: u64,
    server_bills: u64,
    baseline: String,
    pairs: usize,
    round_secs: u64,
    connections: u32,
    pinned: bool,
}

impl Report {
    /// From pairs of a round against the bare server and one against the real server, at least one pair.
    pub(crate) fn new(
        setup: Setup,
        pairs: Vec<(Round, Round)>,
        survivors: [Option<f64>; 2],
    ) -> anyhow::Result<Report> {
        ensure!(!pairs.is_empty(), "no rounds, no figures");
        let mut ratios: Vec<f64> =
            pairs.iter().map(|(floor, server)| server.cpu_us() / floor.cpu_us()).collect();
        ratios.sort_by(f64::total_cmp);
        Ok(Report {
            setup,
            pairs: pairs.len(),
            floor: Side::new(&pairs.iter().map(|pair| &pair.0).collect::<Vec<_>>()),
            server: Side::new(&pairs.iter().map(|pair| &pair.1).collect::<Vec<_>>()),
            ratio: [median(ratios.clone()), ratios[0], ratios[ratios.len() - 1]],
            survivors,
        })
    }

    /// Whether every answer counts: 200 answers are JSON; and unless the bodies are recorded ones, some of which may be
    /// broken on purpose, there are no statuses but 200 and 204.
    pub(crate) fn is_clean(&self, recorded: bool) -> bool {
        let side = |side: &Side| side.total.unreadable == 0 && (recorded || side.total.others.is_empty());
        side(&self.floor) && side(&self.server) && self.server.total.refused_bills == 0
    }

    /// Writes to standard output.
    pub(crate) fn print(&self, json: bool) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        if json {
            serde_json::to_writer(&mut out, &self.figures())?;
            writeln!(out)?;
        } else {
            write!(out, "{}", self.table())?;
        }
        Ok(())
    }

    fn bid_rate(&self) -> f64 {
        self.server.total.bids as f64 / self.server.total.answers() as f64
    }

    fn figures(&self) -> Figures {
        let other_answers = self.server.total.answers() - self.server.total.bids - self.server.total.no_bids;
        Figures {
            floor_cpu_us: rounded(self.floor.cpu_us),
            server_cpu_us: rounded(self.server.cpu_us),
            cpu_ratio: rounded(self.ratio[0]),
            cpu_ratio_min: rounded(self.ratio[1]),
            cpu_ratio_max: rounded(self.ratio[2]),
            floor_rps: rounded(self.floor.rps),
            server_rps: rounded(self.server.rps),
            bid_rate: rounded(self.bid_rate()),
            body_bytes_mean: rounded(self.setup.body_bytes_mean),
            response_bytes_mean: self.setup.response_bytes,
            survivors_p50: self.survivors[0],
            survivors_p99: self.survivors[1],
            floor_latency_p50_us: rounded(self.floor.latency_us(0.5)),
            floor_latency_p99_us: rounded(self.floor.latency_us(0.99)),
            server_latency_p50_us: rounded(self.server.latency_us(0.5)),
            server_latency_p99_us: rounded(self.server.latency_us(0.99)),
            floor_generator_cpu_share: rounded(self.floor.generator_share),
            server_generator_cpu_share: rounded(self.server.generator_share),
            server_bids: self.server.total.bids,
            server_no_bids: self.server.total.no_bids,
            server_other_answers: other_answers,
            server_bills: self.server.total.bills,
            baseline: self.setup.baseline.clone(),
            pairs: self.pairs,
            round_secs: self.setup.round_secs,
            connections: self.setup.connections,
            pinned: self.setup.cores.is_some(),
        }
    }

    fn table(&self) -> String {
        let (floor, server, setup) = (&self.floor, &self.server, &self.setup);
        let is_bare = setup.baseline == "bare";
        let mut text =
            format!("{:<34}{:>12}{:>12}\n", "", if is_bare { "bare" } else { "against" }, "outbid");
        if !is_bare {
            text.insert_str(0, &format!("against the same server with {}\n", setup.baseline));
        }
        let mut row = |name: &str, bare: f64, real: f64, decimals: usize| {
            text.push_str(&format!("{name:<34}{bare:>12.decimals$}{real:>12.decimals$}\n"));
        };
        row("CPU µs per answered bid request", floor.cpu_us, server.cpu_us, 2);
        row("answered bid requests a second", floor.rps, server.rps, 0);
        row("latency p50 µs (closed loop)", floor.latency_us(0.5), server.latency_us(0.5), 1);
        row("latency p99 µs (closed loop)", floor.latency_us(0.99), server.latency_us(0.99), 1);
        row("server busy, % of one core", 100.0 * floor.server_share, 100.0 * server.server_share, 0);
        row(
            "generator busy, % of one core",
            100.0 * floor.generator_share,
            100.0 * server.generator_share,
            0,
        );
        let [ratio, least, most] = self.ratio;
        text.push_str(&format!("CPU ratio {ratio:.3} ({least:.3} to {most:.3} over {} pairs)\n", self.pairs));
        text.push_str(&format!(
            "bid rate {:.3}: {} with bids, {} without; request bodies {:.0} bytes, answers {} bytes on average\n",
            self.bid_rate(),
            server.total.bids,
            server.total.no_bids,
            setup.body_bytes_mean,
            setup.response_bytes
        ));
        if server.total.bills > 0 {
            let share = 100.0 * server.total.bills as f64 / server.total.bids.max(1) as f64;
            text.push_str(&format!("{} bills beside them, {share:.1} % of the bids\n", server.total.bills));
        }
        let survivors =
            self.survivors.map(|value| value.map_or("unknown".to_owned(), |value| value.to_string()));
        text.push_str(&format!(
            "surviving candidates per impression p50 {} p99 {}\n",
            survivors[0], survivors[1]
        ));
        text.push_str(&self.conditions());
        text
    }

    fn conditions(&self) -> String {
        let setup = &self.setup;
        let placed = match setup.cores {
            Some(Cores { server, generator }) => {
                format!("servers on core {server}, generator on core {generator}")
            }
            None => "NOT PINNED: server and generator may share a core".to_owned(),
        };
        let mut text = format!(
            "rounds of {} s, {} connections on loopback, bodies {}; {placed}\n",
            setup.round_secs, setup.connections, setup.bodies
        );
        if setup.skipped_lines > 0 {
            text.push_str(&format!("{} lines of the corpus hold no bid request\n", setup.skipped_lines));
        }
        for (name, side) in [("bare", &self.floor), ("outbid", &self.server)] {
            if side.total.unreadable > 0 {
                text.push_str(&format!("{name}: {} answers are no JSON\n", side.total.unreadable));
            }
            if side.total.refused_bills > 0 {
                text.push_str(&format!("{name}: {} bills were refused\n", side.total.refused_bills));
            }
            for (status, count) in &side.total.others {
                text.push_str(&format!("{name}: {count} answers with status {status}\n"));
            }
        }
        text
    }
}

/// The middle value, or the mean of the two in the middle; of at least one value.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    if values.len().is_multiple_of(2) { (values[half - 1] + values[half]) / 2.0 } else { values[half] }
}

/// To the thousandth: more digits would pretend.
fn rounded(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 3.0, 2.0]), 2.5);
        assert_eq!(median(vec![7.0]), 7.0);
    }
}
