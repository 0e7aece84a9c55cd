//! The options of `outbid-load run`.

use super::schedule::Arrivals;
use super::slo::Slo;
use super::traffic::media::MediaMix;
use crate::exchange::profile::ProfileArgs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// What a run does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Mode {
    /// One rate.
    Rate,
    /// Higher and higher rates, then between the last that held the SLO and the first that missed it.
    Step,
    /// Calm at half of what the server can do, then more than it can, then calm again.
    Spike,
    /// One rate for long, watching memory, descriptors and drift.
    Soak,
    /// The requests of a corpus once, at the times at which they were recorded.
    Replay,
    /// Back to back on every connection: what the server can do, and no latency that an exchange would feel.
    Closed,
}

impl Mode {
    /// As it is written.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Mode::Rate => "rate",
            Mode::Step => "step",
            Mode::Spike => "spike",
            Mode::Soak => "soak",
            Mode::Replay => "replay",
            Mode::Closed => "closed",
        }
    }
}

/// How long generated bodies are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Sizes {
    /// Log-normal between 0.5 and 9 KB, 2.2 KB at the median.
    Varied,
    /// As the visit makes them, which is what `floor` sends.
    Plain,
}

/// Options of `outbid-load run`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct RunArgs {
    /// What to do.
    #[arg(long, value_enum, default_value = "rate")]
    pub(crate) mode: Mode,
    #[command(flatten)]
    pub(crate) target: TargetArgs,
    #[command(flatten)]
    pub(crate) load: LoadArgs,
    #[command(flatten)]
    pub(crate) traffic: TrafficArgs,
    #[command(flatten)]
    pub(crate) exchange: ExchangeArgs,
    #[command(flatten)]
    pub(crate) report: ReportArgs,
}

/// Who plays the exchange behind the requests.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ExchangeArgs {
    /// Play the exchange as well: hold auctions, send notices, judge answers, and hold what was billed against the ledger
    /// of the server when it has stopped.
    #[arg(long = "exchange", requires = "data_dir")]
    pub(crate) plays: bool,
    /// Answers that are judged, of a thousand.
    #[arg(long, value_name = "PER_MILLE", default_value_t = 100, value_parser = clap::value_parser!(u64).range(0..=1_000))]
    pub(crate) validate: u64,
    /// Write the exchange's books, for `outbid-load audit`.
    #[arg(long, value_name = "FILE", requires = "plays")]
    pub(crate) books: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) profile: ProfileArgs,
}

/// What is measured.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct TargetArgs {
    /// Data directory with a world that `outbid seed` wrote; a server is started on it, on one core.
    #[arg(long, value_name = "DIR", required_unless_present = "bid", conflicts_with = "bid")]
    pub(crate) data_dir: Option<PathBuf>,
    /// The bid listener of a server that runs already.
    #[arg(long, value_name = "ADDR", requires = "world")]
    pub(crate) bid: Option<SocketAddr>,
    /// Its tracking listener.
    #[arg(long, value_name = "ADDR", requires = "bid")]
    pub(crate) track: Option<SocketAddr>,
    /// Its operations listener: then its own figures are read.
    #[arg(long, value_name = "ADDR", requires = "bid")]
    pub(crate) ops: Option<SocketAddr>,
    /// Its process, where it runs on this machine: then CPU time and memory are measured.
    #[arg(long, value_name = "PID", requires = "bid")]
    pub(crate) server_pid: Option<u32>,
    /// The world of a server that runs already: its `world.json`, or the directory of it.
    #[arg(long, value_name = "FILE", requires = "bid")]
    pub(crate) world: Option<PathBuf>,
    /// A further setting of the started server, as `outbid serve --set` takes it.
    #[arg(long = "set", value_name = "KEY=VALUE", conflicts_with = "bid")]
    pub(crate) settings: Vec<String>,
    /// The server's program instead of the `outbid` beside this one.
    #[arg(long, hide = true)]
    pub(crate) server_cmd: Option<PathBuf>,
}

/// When and how requests are sent.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct LoadArgs {
    /// Requests a second; with step the first rate.
    #[arg(long, default_value_t = 1_000.0, value_parser = positive)]
    pub(crate) rate: f64,
    /// Seconds that are measured; of a spike each of its three parts, of steps each step.
    #[arg(long, default_value_t = 10.0, value_parser = positive)]
    pub(crate) secs: f64,
    /// Seconds before, which are not counted.
    #[arg(long, default_value_t = 2.0, value_parser = zero_or_more)]
    pub(crate) warm_up_secs: f64,
    /// How requests follow each other.
    #[arg(long, value_enum, default_value = "poisson")]
    pub(crate) arrivals: Arrivals,
    /// Keep-alive connections, one request in flight on each; 64, with spike 1,024.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub(crate) connections: Option<u32>,
    /// Keep-alive connections for notices.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1_024))]
    pub(crate) notice_connections: u32,
    /// What is not answered so many milliseconds after it was sent is an error.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub(crate) timeout_ms: u64,
    /// What finds no free connection so many milliseconds after it was due is not sent, which is an error too; the
    /// timeout, with spike 20: an exchange does not send what it would no longer hear in time.
    #[arg(long, value_parser = clap::value_parser!(u64).range(0..=60_000))]
    pub(crate) max_wait_ms: Option<u64>,
    /// What the run is for, as in `p99<1ms,err<0.1%,achieved>99.9%`; a miss ends with exit code 99.
    #[arg(long)]
    pub(crate) slo: Option<Slo>,
    /// With rate: ask a bare HTTP server and the real one in turn, so many times each for --secs; wants --data-dir.
    #[arg(long, value_name = "PAIRS", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=1_000))]
    pub(crate) beside_floor: u32,
    /// With spike: the rate of its middle part in units of what the server can do.
    #[arg(long, default_value_t = 2.0, value_parser = positive)]
    pub(crate) spike_factor: f64,
    /// With step: the highest rate is found to within this share of itself, in percent.
    #[arg(long, default_value_t = 5.0, value_parser = positive)]
    pub(crate) step_precision: f64,
    /// With step: stop at this rate even where it holds.
    #[arg(long, default_value_t = 1e6, value_parser = positive)]
    pub(crate) step_max: f64,
    /// With replay: so many times as fast as it was recorded.
    #[arg(long, default_value_t = 1.0, value_parser = positive)]
    pub(crate) speed: f64,
    /// A run is invalid where the generator used more of its core than this, in percent.
    #[arg(long, default_value_t = 70.0, value_parser = positive)]
    pub(crate) generator_cpu_limit: f64,
    /// A run is invalid where more sends than this were late by the generator's own fault, in percent.
    #[arg(long, default_value_t = 0.1, value_parser = zero_or_more)]
    pub(crate) late_limit: f64,
    /// Keep both cores from sleeping with threads of idle priority: on a virtual machine waking a core can cost
    /// milliseconds, which would be measured as the server's. Wants --data-dir and chrt.
    #[arg(long, requires = "data_dir")]
    pub(crate) keep_awake: bool,
}

/// What is sent.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct TrafficArgs {
    /// Seed of traffic and arrivals; the world's own seed where it is not given.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Generated bodies that are sent round and round.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=500_000))]
    pub(crate) bodies: u32,
    /// How long generated bodies are.
    #[arg(long, value_enum, default_value = "varied")]
    pub(crate) sizes: Sizes,
    /// Media of generated impressions by weight, as in `banner=850,video=80,native=50,audio=20`.
    #[arg(long, default_value = "banner=1")]
    pub(crate) media: MediaMix,
    /// Generated requests ask for second-price auctions.
    #[arg(long)]
    pub(crate) second_price: bool,
    /// So many in a thousand requests are protobuf.
    #[arg(long, value_name = "PER_MILLE", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=1_000))]
    pub(crate) protobuf: u64,
    /// So many in a thousand requests are compressed, and accept compressed answers.
    #[arg(long, value_name = "PER_MILLE", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=1_000))]
    pub(crate) gzip: u64,
    /// Send these recorded requests instead of generated ones: one JSON object a line, a bid request or
    /// {"request": …}; four in five get a cookie of the world. With `at_ms` or `ts` replay keeps their times.
    #[arg(long, value_name = "FILE")]
    pub(crate) corpus: Option<PathBuf>,
}

/// What is written.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ReportArgs {
    /// The result as one JSON object: into a file beside the table, without a file instead of it.
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    #[allow(clippy::option_option, reason = "absent, without a file, with a file")]
    pub(crate) json: Option<Option<PathBuf>>,
    /// The histogram of every interval in the format of HdrHistogram's log.
    #[arg(long, value_name = "FILE")]
    pub(crate) hlog: Option<PathBuf>,
    /// One page with plots.
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// The SLO's verdicts for a build server.
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    /// No view of the run while it runs.
    #[arg(long)]
    pub(crate) quiet: bool,
}

impl LoadArgs {
    pub(crate) fn length(&self) -> Duration {
        Duration::from_secs_f64(self.secs)
    }

    pub(crate) fn warm_up(&self) -> Duration {
        Duration::from_secs_f64(self.warm_up_secs)
    }
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value > 0.0 && value <= 1e9 => Ok(value),
        _ => Err("give a number above 0".to_owned()),
    }
}

fn zero_or_more(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.0..=1e9).contains(&value) => Ok(value),
        _ => Err("give 0 or a number above it".to_owned()),
    }
}
