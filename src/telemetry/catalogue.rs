//! The catalogue: every metric that the server exports, with its type, labels and help. Names follow Prometheus:
//! base units, `_total` for counters, labels with few values only (never a line item or a user).
//!
//! Nothing can be exported that is not listed here ([`super::metrics::Metrics`] refuses it), so dashboards, alerts and
//! documentation have one list to be checked against.

/// What kind of metric it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MetricKind {
    /// Only grows, but for a restart.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Durations by bucket.
    Histogram,
    /// Quantiles with sum and count.
    Summary,
}

/// One metric.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MetricDef {
    /// Its name.
    pub name: &'static str,
    /// Its kind.
    pub kind: MetricKind,
    /// The names of its labels, in the order in which they are written.
    pub labels: &'static [&'static str],
    /// What it counts.
    pub help: &'static str,
}

macro_rules! catalogue {
    ($($constant:ident = $kind:ident $name:literal [$($label:literal),*] $help:literal;)+) => {
        $(
            #[doc = $help]
            pub const $constant: MetricDef = MetricDef {
                name: $name,
                kind: MetricKind::$kind,
                labels: &[$($label),*],
                help: $help,
            };
        )+

        /// Every metric.
        pub const CATALOGUE: &[MetricDef] = &[$($constant),+];
    };
}

catalogue! {
    BUILD_INFO = Gauge "outbid_build_info" ["version"] "Always 1; the label is the running version.";
    START_TIME = Gauge "outbid_start_time_seconds" [] "When the process started, in seconds since the Unix epoch.";
    SERVING_CORES = Gauge "outbid_serving_cores" [] "Threads that answer bid requests.";

    BID_REQUESTS = Counter "outbid_bid_requests_total" ["exchange", "outcome"]
        "Bid requests by exchange and answer: bid, no_bid, shed, deadline, bad_request, too_large, unauthorized, error.";
    BIDS = Counter "outbid_bids_total" ["exchange"] "Bids sent; a request may get several.";
    NO_BIDS = Counter "outbid_no_bids_total" ["reason"] "Impressions without a bid, by the first reason in rank order.";
    PARSE_ERRORS = Counter "outbid_parse_errors_total" ["exchange", "kind"]
        "Bid requests that could not be read: syntax, depth, utf8, shape, limit, encoding.";
    SHED = Counter "outbid_shed_total" ["reason"]
        "Bid requests answered 204 unread: queue, in_flight, qps, open_holds, draining.";
    PANICS = Counter "outbid_panics_total" [] "Panics that were caught on the bid path and answered 204; each is a bug.";
    DROPPED_EVENTS = Counter "outbid_dropped_events_total" [] "Bid and no-bid records dropped because a ring was full.";
    BID_LATENCY = Histogram "outbid_bid_latency_seconds" []
        "From the first byte of a bid request seen to its answer written.";
    DECISION_LATENCY = Histogram "outbid_decision_latency_seconds" [] "Parse, decide and respond, without the network.";

    SURVIVORS = Summary "outbid_survivors" [] "Line items that matched an impression and were active and in flight.";

    CONNECTIONS = Gauge "outbid_connections" ["listener"] "Open connections by listener: bid, track, admin, ops.";
    CONNECTIONS_REFUSED = Counter "outbid_connections_refused_total" ["listener", "reason"]
        "Connections closed unserved: total (too many), per_ip (too many of one peer), error.";
    HTTP_ERRORS = Counter "outbid_http_errors_total" ["listener", "kind"]
        "Requests that broke HTTP or its limits: header_timeout, body_timeout, too_large, protocol.";

    NOTICES = Counter "outbid_notices_total" ["kind", "outcome"]
        "Notices by kind (win, billing, loss, impression, click, view) and outcome (accepted, duplicate, late, \
         house, stale, test, rejected, forged, unseen, mangled).";
    BILLING_FLAGS = Counter "outbid_billing_flags_total" ["exchange", "flag"]
        "Billing notices that somebody should look at: overprice and multiplier (above the bid's: the house pays the rest), \
         band_high and band_low (so far from the bid that units must differ), currency, price_missing, price_bad_input, \
         price_signature, price_stale, price_out_of_range.";
    NOTICE_LATENCY = Histogram "outbid_notice_latency_seconds" [] "From a notice seen to its answer written.";

    LEDGER_GRANTED = Gauge "outbid_ledger_granted_nanos" ["currency"]
        "Money granted to the cores by leases and not returned, in billionths of the currency's unit.";
    LEDGER_HELD = Gauge "outbid_ledger_held_nanos" ["currency"]
        "Money held by open bids, in billionths of the currency's unit.";
    LEDGER_POSTED = Gauge "outbid_ledger_posted_nanos" ["currency"]
        "Money charged since the process started, in billionths of the currency's unit.";
    LEDGER_HOUSE = Gauge "outbid_ledger_house_nanos" ["account"]
        "What the house bears since the process started, in billionths of each wallet's unit: overdelivery, overprice, stale.";
    LEDGER_REFUSED_HOLDS = Counter "outbid_ledger_refused_holds_total" []
        "Holds refused because a budget had not enough left for the whole charge.";
    LEDGER_EXPIRED_HOLDS = Counter "outbid_ledger_expired_holds_total" []
        "Holds released because no notice came within their life.";

    AUDIENCE_USERS = Gauge "outbid_audience_users" [] "Users with at least one segment; one with recent changes counts in the base and in the overlay.";
    AUDIENCE_BYTES = Gauge "outbid_audience_bytes" ["part"] "Memory of the audience index by part: records, offsets, shards, overlay.";

    CATALOG_LINE_ITEMS = Gauge "outbid_catalog_line_items" ["state"] "Line items of the serving catalog: active, inactive.";
    CATALOG_BUILD = Gauge "outbid_catalog_build_seconds" [] "How long the last build of the catalog took.";
    CONFIG_RELOAD_SUCCESS = Gauge "outbid_config_last_reload_success" []
        "1 when the last load of the configuration succeeded, 0 when it was refused and the former one stands.";
    CONFIG_RELOAD_TIME = Gauge "outbid_config_last_reload_seconds" []
        "When the configuration was last loaded with success, in seconds since the Unix epoch.";
    READY = Gauge "outbid_ready" [] "1 when /readyz answers 200.";
}
