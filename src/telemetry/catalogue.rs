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
    PRIVACY = Counter "outbid_privacy_requests_total" ["restriction"]
        "Bid requests that reached the privacy gate, by the first signal that closed the user's data; none where segments \
         may be used.";
    PRIVACY_IGNORED = Counter "outbid_privacy_ignored_total" ["signal"]
        "Signals that say nothing in their own terms and count for nothing: us_privacy.";
    PARSE_ERRORS = Counter "outbid_parse_errors_total" ["exchange", "kind"]
        "Bid requests that could not be read: syntax, depth, utf8, shape, limit, encoding.";
    SHED = Counter "outbid_shed_total" ["reason"]
        "Bid requests answered 204 unread: queue, in_flight, qps, open_holds, body_memory, draining.";
    PANICS = Counter "outbid_panics_total" [] "Panics that were caught on the bid path and answered 204; each is a bug.";
    DROPPED_EVENTS = Counter "outbid_dropped_events_total" [] "Bid and no-bid records dropped because a ring was full.";
    EVENTS = Counter "outbid_events_total" ["kind"]
        "Records of the event log: bid, no_bid, win, bill, loss, impression, click, player.";
    EVENTS_BYTES = Gauge "outbid_events_bytes" ["log"] "Size of the event log on disk: bids, notices.";
    EVENTS_SEGMENTS = Gauge "outbid_events_segments" ["log"] "Segments of the event log.";
    EVENTS_LOST = Counter "outbid_events_lost_total" ["kind"]
        "Records that came and were not written, because a log had failed or its disk was full for too long. Bills among \
         them are written from the ledger's journal at the next start.";
    EVENTS_OVERTAKEN = Counter "outbid_events_overtaken_total" []
        "Checkpoints of the ledger's journal that waited no longer for the bills before them: some may have no record.";
    EVENTS_FAILED = Gauge "outbid_events_failed" [] "1 when a log keeps nothing more, or no more bills, until a restart.";
    EVENTS_UNCONFIRMED = Counter "outbid_events_unconfirmed_total" ["kind"]
        "Notices that were answered although their record was not known to be durable.";
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
        "Notices by kind (win, billing, loss, impression, click, event) and outcome (accepted, duplicate, late, \
         house, stale, test, rejected, forged, unseen, mangled).";
    LOSSES = Counter "outbid_losses_total" ["exchange", "code"]
        "Lost bids by the exchange's reason: a code of OpenRTB's list, exchange (500 and above), unknown, none (not said). \
         3 to 10 and 200 to 215 are faults of the bid itself.";
    PLAYER_EVENTS = Counter "outbid_player_events_total" ["event", "outcome"]
        "What players report of video and audio, by event (start, first_quartile, midpoint, third_quartile, complete, \
         skip, click, error, unknown) and outcome as of notices.";
    BILLING_FLAGS = Counter "outbid_billing_flags_total" ["exchange", "flag"]
        "Billing notices that somebody should look at: overprice and multiplier (above the bid's: the house pays the rest), \
         band_high and band_low (so far from the bid that units must differ), currency, price_missing, price_bad_input, \
         price_signature, price_stale, price_out_of_range; no_profile, under the number of an exchange that left the \
         account.";
    NOTICE_LATENCY = Histogram "outbid_notice_latency_seconds" [] "From a notice seen to its answer written.";

    LEDGER_GRANTED = Gauge "outbid_ledger_granted_nanos" ["currency"]
        "Money granted to the cores by leases and not returned, in billionths of the currency's unit.";
    LEDGER_HELD = Gauge "outbid_ledger_held_nanos" ["currency"]
        "Money held by open bids, in billionths of the currency's unit.";
    LEDGER_POSTED = Gauge "outbid_ledger_posted_nanos" ["currency"]
        "Money charged to the wallets, in billionths of the currency's unit.";
    LEDGER_IN_DOUBT = Gauge "outbid_ledger_in_doubt_nanos" ["currency"]
        "Money of bids before a crash that may still be billed; it returns by itself. In billionths of the currency's unit.";
    LEDGER_HOUSE = Gauge "outbid_ledger_house_nanos" ["account", "currency"]
        "What the house bears, in billionths of the wallet's unit: overdelivery, overprice, stale. The currency is \
         unknown where the line item is.";
    LEDGER_REFUSED_HOLDS = Counter "outbid_ledger_refused_holds_total" []
        "Holds refused because the core had no lease with enough left for the whole charge.";
    LEDGER_EXPIRED_HOLDS = Counter "outbid_ledger_expired_holds_total" []
        "Holds released because no notice came within their life.";
    LEDGER_RUNAWAYS = Counter "outbid_ledger_runaways_total" []
        "Times that an advertiser's spending of a minute ran away from its plan.";
    LEDGER_JOURNAL_FULL = Gauge "outbid_ledger_journal_full" []
        "1 while the journal has no space: nothing is leased, bills are refused.";
    LEDGER_KILL_SWITCHES = Gauge "outbid_ledger_kill_switches" ["scope"]
        "Kill switches that are thrown: all, exchange, advertiser, campaign.";
    LEDGER_LSN = Gauge "outbid_ledger_lsn" [] "The last record of the journal that is durable.";

    EXCHANGE_GATE = Gauge "outbid_exchange_gate" ["exchange", "state"]
        "1 for what an exchange may be sent: open (bids), probing (a few, because a breaker tripped), stopped (none).";
    EXCHANGE_DEAF = Gauge "outbid_exchange_deaf" ["exchange"]
        "1 while an exchange's billing notices do not come through.";
    EXCHANGE_ON_TRIAL = Gauge "outbid_exchange_on_trial" ["exchange"] "1 until an exchange's first verified bill.";
    EXCHANGE_TRIAL_LEFT = Gauge "outbid_exchange_trial_left_nanos" ["exchange", "currency"]
        "What may still be held for an exchange on trial, in billionths of its currency's unit; 0 once it billed.";
    EXCHANGE_HOUSE_TODAY = Gauge "outbid_exchange_house_today_nanos" ["exchange", "currency"]
        "What the house bears of an exchange today (UTC), pardoned costs left out, in billionths of its currency's unit.";
    EXCHANGE_HOUSE_LIMIT = Gauge "outbid_exchange_house_limit_nanos" ["exchange", "currency"]
        "At this much of outbid_exchange_house_today_nanos the exchange is only probed.";
    EXCHANGE_HOUSE_BOUND = Gauge "outbid_exchange_house_bound_nanos" ["exchange", "currency"]
        "The most that the house may still bear of an exchange: the limit, and all that is held within a token's life.";
    EXCHANGE_TRIPS = Counter "outbid_exchange_breaker_trips_total" ["exchange"]
        "Times that a breaker of an exchange tripped: deaf, or over the house's limit.";
    EXCHANGE_EAR = Counter "outbid_exchange_ear_seconds_total" ["exchange"]
        "Seconds in which an exchange's notices could be heard; holds expire by this clock alone.";

    CLOCK_PENDING_STEP = Gauge "outbid_clock_pending_step_seconds" []
        "The step of the wall clock that waits to be adopted; 0 = none.";

    PERSON_EVENTS = Counter "outbid_person_events_total" ["action", "outcome"]
        "Events of behaviour by action (view, search, cart, purchase, conversion, custom, none) and outcome: taken, nobody (no \
         identifier), privacy, opted_out, origin, rate, duplicate, bad_input, full.";
    SYNCS = Counter "outbid_syncs_total" ["exchange", "outcome"]
        "Visits to match ids: matched (the exchange's id), known and new (our uid was sent), privacy, opted_out, \
         bad_input, bad_redirect.";
    AUDIENCE_LOG_FAILURES = Counter "outbid_audience_log_failures_total" []
        "Times that changes of the audience could not be made durable; they are when it is saved as a whole.";
    PACING_CONTROLLERS = Gauge "outbid_pacing_controllers" ["state"]
        "Budgets that are spread over their time: paced, and throttled, those of them that leave requests out.";
    LEARNING_OUTCOMES = Counter "outbid_learning_outcomes_total" ["outcome"]
        "What became of bids, as prices are learned from it: won, lost (by its price), silent (nothing was heard), left_out (too \
         many wait), stranger (impressions of bids that nobody waits for).";
    LEARNING_ROWS = Counter "outbid_learning_rows_total" ["target"]
        "Impressions and clicks that the models of click and of conversion have learned.";
    LEARNING_MODELS = Counter "outbid_learning_models_total" ["target", "outcome"]
        "Models by target (click, conversion) and outcome: published, refused (worse than what serves).";
    LEARNING_WAITING = Gauge "outbid_learning_waiting_bids" [] "Bids whose outcome is waited for.";
    LEARNING_PLACES = Gauge "outbid_learning_places" [] "Places with best bids of their own, the whole market included.";
    LEARNING_JOIN_RATIO = Gauge "outbid_learning_join_ratio" [] "Share of the clicks that found their impression.";
    FREQUENCY_USERS = Gauge "outbid_frequency_users" [] "People of whom it is kept how often they were shown what.";
    FREQUENCY_LATE = Counter "outbid_frequency_late_total" []
        "Impressions over a frequency cap, billed after their bid was taken for lost.";
    FREQUENCY_FULL = Counter "outbid_frequency_full_total" []
        "Bids not made because of as many people as may be it is kept how often they were shown what.";
    FREQUENCY_LOG_FAILURES = Counter "outbid_frequency_log_failures_total" []
        "Times that counted impressions could not be made durable; they are when the whole is saved.";
    FUNNEL_FAILURES = Counter "outbid_funnel_failures_total" []
        "Times that what the funnel counts could not be written to disk; it is kept in memory until it can.";
    SAMPLES_KEPT = Counter "outbid_samples_kept_total" [] "Requests that were taken into the sample.";
    SAMPLES_LEFT_OUT = Counter "outbid_samples_left_out_total" ["reason"]
        "Requests that were chosen for the sample and not kept: too_long, no_buffer (more came than wait), \
         unreadable (or another request without what names the person), no_room (their hour has its share of the \
         room, or the disk refused).";
    SAMPLES_BYTES = Gauge "outbid_samples_bytes" [] "What the files of the sampled requests take.";
    SAMPLES_DAMAGED = Gauge "outbid_samples_damaged" []
        "Stretches of the files of the sampled requests that could not be read when they were last looked at.";
    SAMPLES_ONE_IN = Gauge "outbid_samples_one_in" [] "One of so many people is chosen for the sample, and requests of nobody likewise.";
    AUDIENCE_USERS = Gauge "outbid_audience_users" [] "Users with at least one segment; one with recent changes counts in the base and in the overlay.";
    AUDIENCE_BYTES = Gauge "outbid_audience_bytes" ["part"] "Memory of the audience index by part: records, offsets, shards, overlay, filter, links.";

    CATALOG_LINE_ITEMS = Gauge "outbid_catalog_line_items" ["state"] "Line items of the serving catalog: active, inactive.";
    CATALOG_BUILD = Gauge "outbid_catalog_build_seconds" [] "How long the last build of the catalog took.";
    CONFIG_RELOAD_SUCCESS = Gauge "outbid_config_last_reload_success" []
        "1 when the configuration file was good when it was last looked at, 0 when it was refused and the former one stands.";
    CONFIG_RELOAD_TIME = Gauge "outbid_config_last_reload_seconds" []
        "When the configuration was last read with success and was another one, in seconds since the Unix epoch.";
    CONFIG_RESTART_NEEDED = Gauge "outbid_config_restart_needed" []
        "Options of the configuration file whose values take effect after a restart only.";
    ACCOUNT_RELOAD_SUCCESS = Gauge "outbid_account_last_reload_success" []
        "1 when the last load of the account succeeded, 0 when it was refused and the former one stands.";
    ACCOUNT_RELOAD_TIME = Gauge "outbid_account_last_reload_seconds" []
        "When the account was last loaded with success, in seconds since the Unix epoch.";
    ACCOUNT_RELOADS = Counter "outbid_account_reloads_total" ["outcome"]
        "Reloads of the account while the server runs: published, unchanged, refused.";
    ADMIN_LOGINS = Counter "outbid_admin_logins_total" ["outcome"]
        "Attempts to log in or to show a password: accepted, refused, slowed (too many failed), busy (too many at once).";
    ADMIN_WRONG_KEYS = Counter "outbid_admin_wrong_keys_total" ["outcome"]
        "API keys that nobody has: refused, and slowed (not looked at, because too many from there were wrong).";
    ADMIN_PASSWORD_HASHES = Counter "outbid_admin_password_hashes_total" []
        "Hashes of passwords that were worked out, one for every attempt that was not slowed.";
    READY = Gauge "outbid_ready" [] "1 when /readyz answers 200.";
}
