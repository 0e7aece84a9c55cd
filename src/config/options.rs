//! The table of all options: the only list. From it come the structs of [`Config`], the reader's known keys, the
//! bounds, the messages and the generated `config/outbid.toml`. A default is written as TOML; `none` means that there
//! is none.

use super::error::Place;
use super::secret::Secret;
use super::sources::Reader;
use super::value::{Acceptor, LegalBasis, OnRunaway, Setting, UnscopedGpp, YesNo};
use crate::model::exchange::IpNet;
use crate::model::url::HttpUrl;
use crate::telemetry::log::{LogFormat, LogLevel};
use jiff::civil::Date;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

/// One section of the table.
pub(super) struct SectionSpec {
    /// Its name.
    pub(super) name: &'static str,
    /// What it is about, a line each.
    pub(super) docs: &'static [&'static str],
    /// Its options.
    pub(super) options: &'static [OptionSpec],
}

/// One option of the table.
pub(super) struct OptionSpec {
    /// `section.key`.
    pub(super) path: &'static str,
    /// The key inside its section.
    pub(super) key: &'static str,
    /// What it does, a line each.
    pub(super) docs: &'static [&'static str],
    /// The default as TOML, or `none`.
    pub(super) default: &'static str,
    /// What stands in the default file where there is no default.
    pub(super) example: &'static str,
    /// Smallest and largest number, or length of a secret.
    pub(super) bounds: Option<(u64, u64)>,
    /// What a good value is.
    pub(super) expects: fn(Option<(u64, u64)>) -> String,
}

macro_rules! bounds {
    () => {
        None
    };
    ($min:literal, $max:literal) => {
        Some(($min, $max))
    };
}

macro_rules! options {
    ($(
        $(#[doc = $about:literal])+
        $section:ident: $Section:ident {$(
            $(#[doc = $doc:literal])+
            $key:ident: $ty:ty = $default:tt $(in $min:literal ..= $max:literal)?;
        )+}
    )+) => {
        /// The table.
        pub(super) static SECTIONS: &[SectionSpec] = &[$(SectionSpec {
            name: stringify!($section),
            docs: &[$($about),+],
            options: &[$(OptionSpec {
                path: concat!(stringify!($section), ".", stringify!($key)),
                key: stringify!($key),
                docs: &[$($doc),+],
                default: stringify!($default),
                example: <$ty as Setting>::EXAMPLE,
                bounds: bounds!($($min, $max)?),
                expects: <$ty as Setting>::expects,
            }),+],
        }),+];

        $(
            $(#[doc = $about])+
            #[derive(Clone, Debug, PartialEq)]
            pub struct $Section {$(
                $(#[doc = $doc])+
                pub $key: $ty,
            )+}
        )+

        /// The validated configuration: every value has its type and is within its bounds.
        #[derive(Clone, Debug, PartialEq)]
        pub struct Config {
            $(
                $(#[doc = $about])+
                pub $section: $Section,
            )+
            /// Where each value that is not a default was given, by path.
            pub(super) places: BTreeMap<&'static str, Place>,
        }

        impl Config {
            /// Takes every option out of the reader, which collects the errors; a refused value becomes its default.
            pub(super) fn read(reader: &mut Reader<'_>) -> Config {
                Config {
                    $($section: $Section {$(
                        $key: reader.take::<$ty>(concat!(stringify!($section), ".", stringify!($key))),
                    )+},)+
                    places: reader.take_places(),
                }
            }

            /// By option, in the table's order, whether the values differ; secrets are compared as themselves.
            pub(super) fn compared(&self, other: &Config) -> Vec<bool> {
                vec![$($(self.$section.$key != other.$section.$key,)+)+]
            }

            /// Every value as TOML, in the table's order; `None` where an option has no value.
            pub(super) fn values(&self) -> Vec<Option<String>> {
                vec![$($(Setting::to_toml(&self.$section.$key),)+)+]
            }
        }
    };
}

options! {
    /// Where outbid listens. Each listener has its own threads, so that none can delay the bids.
    listen: Listen {
        /// Bid requests: POST /openrtb2/{exchange}. Beyond loopback only with authenticated exchanges.
        bid: SocketAddr = "127.0.0.1:8080";
        /// Notices, pixels, clicks, user sync: what browsers and exchanges call after a bid.
        track: SocketAddr = "127.0.0.1:8081";
        /// The admin API and the console.
        admin: SocketAddr = "127.0.0.1:8082";
        /// /healthz, /readyz, /metrics and drain.
        ops: SocketAddr = "127.0.0.1:8083";
    }
    /// How the tracking side is seen from outside.
    track: Track {
        /// The address that browsers and exchanges reach `listen.track` by; a path prefix is allowed. It begins every
        /// notice, pixel, click and sync URL. Where it is not https, impressions that ask for https are not bid on.
        public_url: HttpUrl = "http://127.0.0.1:8081";
        /// Proxies in front of `listen.track` whose X-Forwarded-For is believed; from anyone else it is ignored.
        trusted_proxies: Vec<IpNet> = [];
    }
    /// The admin API.
    admin: Admin {
        /// The key of the first administrator. Without it, and without stored keys, the admin API refuses everyone.
        bootstrap_key: Option<Secret> = none in 16..=4096;
        /// Calls of one API key a second, in the long run; further ones are answered 429.
        rate_per_s: u32 = 50 in 1..=1_000_000;
        /// Calls of one API key at once after a pause.
        burst: u32 = 200 in 1..=1_000_000;
        /// Longest table that is imported, in bytes.
        import_bytes: u64 = 268_435_456 in 1_024..=1_099_511_627_776;
    }
    /// What is kept on disk.
    data: Data {
        /// The data directory: account, audience, ledger, events, keys. One process at a time.
        dir: PathBuf = "./outbid-data";
    }
    /// The decision.
    engine: Engine {
        /// Longest time for one decision in microseconds; past it the answer is 204. The request's `tmax` less the
        /// exchange's network margin shortens it further.
        budget_us: u32 = 1_000 in 50..=1_000_000;
        /// Serving cores, one thread each. 0: all available ones, less one for tracking, learning and the ledger where
        /// there are four or more.
        cores: u32 = 0 in 0..=1_024;
        /// Line items that are scored exactly for one impression, those with the highest possible price first.
        max_candidates: usize = 256 in 1..=65_536;
        /// People of whom it is kept how often they were shown what, about 150 bytes each. Beyond that, line items with
        /// frequency caps do not bid on people who are not among them.
        frequency_users: u64 = 10_000_000 in 1_000..=1_000_000_000;
    }
    /// The HTTP edge of the bid and tracking listeners.
    server: Server {
        /// "reuseport": each core has its own listening socket. "balanced": one acceptor hands each connection to the
        /// core with the fewest, for exchanges that keep a handful of long connections.
        acceptor: Acceptor = "reuseport";
        /// A connection that has not sent a whole request head after this many milliseconds is closed.
        header_timeout_ms: u32 = 5_000 in 10..=600_000;
        /// A request body that is not complete after this many milliseconds is given up.
        body_timeout_ms: u32 = 1_000 in 10..=600_000;
        /// Longest request head in bytes.
        max_header_bytes: usize = 32_768 in 8_192..=1_048_576;
        /// Most header fields of a request; more are answered 431.
        max_headers: usize = 64 in 8..=1_024;
        /// Most open connections of one listener; further ones are closed at once. Where the system allows too few open
        /// files for it, it is less.
        max_connections: usize = 20_000 in 1..=1_000_000;
        /// Most open connections of one peer address; further ones are closed at once.
        max_connections_per_ip: usize = 4_096 in 1..=1_000_000;
        /// Most bid requests that are being read or answered at once; further ones are answered 204.
        max_in_flight: usize = 4_096 in 1..=1_000_000;
        /// Memory of all request bodies that are being read and came in more than one piece, in bytes; with more, bid
        /// requests are answered 204 and others 503.
        body_memory_bytes: usize = 268_435_456 in 1_048_576..=1_099_511_627_776;
        /// A request that waited longer than this before it was looked at, in milliseconds, is a sign of overload ...
        queue_shed_ms: u32 = 40 in 1..=10_000;
        /// ... and when all of them did for this many milliseconds, some are answered 204 until it is over: the later the
        /// more, all where they wait for twice queue_shed_ms.
        queue_shed_window_ms: u32 = 20 in 1..=60_000;
        /// Bid answers of at least this many bytes are compressed for exchanges that accept gzip. 0: never.
        gzip_min_bytes: usize = 1_400 in 0..=16_777_216;
        /// On SIGTERM /readyz says 503 for this many milliseconds before connections are closed, so that load
        /// balancers look elsewhere first.
        drain_grace_ms: u32 = 5_000 in 0..=600_000;
        /// Milliseconds from SIGTERM until what is still running is abandoned.
        drain_timeout_ms: u32 = 25_000 in 1..=3_600_000;
    }
    /// The ledger and the journal that it writes.
    ledger: Ledger {
        /// The size of a segment of the journal in bytes. Three of them and a reserve are set aside on disk.
        segment_bytes: u64 = 33_554_432 in 65_536..=4_294_967_296;
        /// Largest charge of one bid in millionths of the account's base currency; a larger one is not made.
        max_charge_micros: u64 = 10_000_000 in 1..=1_000_000_000_000;
        /// Never bid above this price, in millionths of the account's base currency per thousand impressions.
        max_cpm_micros: u64 = 1_000_000_000 in 1..=1_000_000_000_000;
        /// More than this many times a minute's share of the daily budgets, and 20 of the largest charges, charged to
        /// one advertiser within a minute, raises an alarm.
        runaway_factor: u64 = 10 in 1..=1_000_000;
        /// What such an alarm does besides: stop throws the advertiser's kill switch.
        on_runaway: OnRunaway = "alarm";
    }
    /// The event log: what happened, for learners, reports and explanations.
    events: Events {
        /// Bids and no-bids of one core that have room in memory until they are written, 50 times a second; beyond it
        /// they are dropped and counted.
        ring: usize = 16_384 in 16..=1_048_576;
        /// A segment is ended at this many bytes.
        segment_bytes: u64 = 67_108_864 in 65_536..=4_294_967_296;
        /// The oldest bids and no-bids go while all of them together take more than this many bytes ...
        bids_keep_bytes: u64 = 4_294_967_296 in 131_072..=1_099_511_627_776;
        /// ... or when they are older than this many hours.
        bids_keep_h: u32 = 72 in 1..=87_600;
        /// The oldest notices likewise ...
        notices_keep_bytes: u64 = 17_179_869_184 in 131_072..=1_099_511_627_776;
        /// ... or when they are older than this many hours.
        notices_keep_h: u32 = 2_160 in 1..=87_600;
    }
    /// Counting how far requests get with each line item.
    funnel: Funnel {
        /// "no": nothing is counted, and nobody can say why a line item does not bid.
        enabled: YesNo = "yes";
    }
    /// The sample of requests that is kept to look into for a day, and thinner for a week to forecast from.
    samples: Samples {
        /// About so many requests a second are kept. 0: none.
        per_second: u32 = 4 in 0..=64;
        /// A request of the sample stands for this many at least, rounded up to a power of two: more people are left
        /// out, of whom nothing is kept.
        min_one_in: u32 = 1 in 1..=65_536;
        /// The oldest hours go while all files of the sample together take more than this many bytes. One hour takes an
        /// eighth at most.
        keep_bytes: u64 = 536_870_912 in 1_048_576..=1_099_511_627_776;
    }
    /// Learning what wins and what is clicked from the event log, in the background.
    learning: Learning {
        /// "no": prices are not shaded, and nothing is predicted.
        enabled: YesNo = "yes";
        /// A table of probabilities has two to the power of this many slots, of 16 bytes where it is learned and 3 where it
        /// serves. More keep more features apart, and cost the decision more misses of the cache.
        bits: u32 = 20 in 16..=24;
        /// Bids that wait for their outcome, and impressions for their click, at most; about 400 bytes each. Beyond it
        /// further ones are left out and counted.
        remembered: usize = 200_000 in 1_000..=10_000_000;
        /// What was learned is kept on disk every so many seconds; a restart reads the event log from there on.
        save_every_s: u32 = 300 in 1..=86_400;
    }
    /// What strings of consent mean. Without a vendor id no TCF string grants anything: bids stay contextual under the
    /// GDPR.
    privacy: Privacy {
        /// Our id in IAB Europe's Global Vendor List. 0: none.
        tcf_vendor_id: u32 = 0 in 0..=65_535;
        /// The legal basis registered there for purpose 2, selecting ads by limited data: "consent",
        /// "legitimate_interest", "flexible_consent" (consent, unless a publisher asks for the other) or
        /// "flexible_legitimate_interest".
        tcf_select_ads: LegalBasis = "consent";
        /// The legal basis registered there for purpose 7, measuring ads: likewise.
        tcf_measure_ads: LegalBasis = "consent";
        /// TCF strings created on this day or later must say which vendors were disclosed, us among them (TCF 2.3).
        tcf_disclosed_vendors_from: Date = "2026-02-28";
        /// What a GPP string means that comes without the list of sections that apply: "contextual" or "ignore".
        gpp_without_sections: UnscopedGpp = "contextual";
        /// Under the GDPR, bids that look at the context alone need purpose 2 as well: "no" or "yes".
        contextual_needs_purpose_2: YesNo = "no";
    }
    /// Limits on what comes from outside. Passing one has a defined answer and a counter; a block list is never cut.
    limits: Limits {
        /// Longest bid request body in bytes, as sent; longer is answered 413.
        body_bytes: usize = 262_144 in 1_024..=16_777_216;
        /// Longest bid request body in bytes after gzip; longer is answered 413.
        inflated_bytes: usize = 1_048_576 in 1_024..=67_108_864;
        /// Deepest nesting of JSON; deeper is answered 400.
        depth: usize = 32 in 8..=128;
        /// Most impressions of a request; more are answered 400.
        imps: usize = 64 in 1..=1_024;
        /// Most deals of an impression; with more it is not bid on.
        deals: usize = 256 in 1..=16_384;
        /// Longest string that is read, in bytes.
        string_bytes: usize = 16_384 in 256..=1_048_576;
        /// Longest `native.request` in bytes.
        native_request_bytes: usize = 65_536 in 256..=1_048_576;
        /// Most entries of an array that is read.
        array_items: usize = 1_024 in 16..=65_536;
        /// Most entries of `badv`, `bapp` and `bcat`; with more the request gets no bid.
        block_list_items: usize = 16_384 in 16..=1_048_576;
        /// Most line items of the account.
        line_items: usize = 1_000_000 in 1..=4_000_000;
        /// Most audience segments of the account.
        segments: usize = 1_000_000 in 1..=16_777_216;
        /// Most segments of one user.
        segments_per_user: usize = 4_096 in 1..=65_535;
    }
    /// The log, on standard error.
    log: Log {
        /// "error", "warn", "info", "debug" or "trace".
        level: LogLevel = "info";
        /// "text" for people, "json" for machines.
        format: LogFormat = "text";
    }
}

impl Engine {
    /// How many serving cores to start on a machine that has `available` of them: see `engine.cores`.
    pub fn serving_cores(&self, available: usize) -> usize {
        match self.cores {
            0 if available >= 4 => available - 1,
            0 => available.max(1),
            cores => cores as usize,
        }
    }
}
