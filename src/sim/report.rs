//! What a run met, counted: a simulator that never meets trouble proves nothing.

/// Something that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
#[allow(missing_docs, reason = "the names that are printed say it: Count::name")]
pub enum Count {
    Requests,
    Bids,
    Unanswered,
    Deadlines,
    Bills,
    Accepted,
    Late,
    House,
    Duplicates,
    Stale,
    Tests,
    Refused,
    Unavailable,
    Losses,
    Contradictions,
    OddPrices,
    Overprice,
    Retries,
    Crashes,
    Kills,
    CleanStops,
    CrashesInside,
    CrashesRecovering,
    DiskErrors,
    Recoveries,
    TornWrites,
    LostRecords,
    Checkpoints,
    OldBills,
    Released,
    Horizons,
    Days,
    Moves,
    TripsDeaf,
    TripsHouse,
    TripsTrust,
    Pardons,
    Edits,
    Cuts,
    StaleEdits,
    RefusedEdits,
    KillSwitches,
    Corrections,
    Stops,
    Sleeps,
    ClockJumps,
    FullDisks,
    DeadListeners,
    BlackHoles,
    Recalls,
    Steps,
    Syncs,
    Seconds,
}

impl Count {
    /// Everything that is counted, in the order in which it is shown.
    pub const ALL: [Count; 53] = [
        Count::Requests,
        Count::Bids,
        Count::Unanswered,
        Count::Deadlines,
        Count::Bills,
        Count::Accepted,
        Count::Late,
        Count::House,
        Count::Duplicates,
        Count::Stale,
        Count::Tests,
        Count::Refused,
        Count::Unavailable,
        Count::Losses,
        Count::Contradictions,
        Count::OddPrices,
        Count::Overprice,
        Count::Retries,
        Count::Crashes,
        Count::Kills,
        Count::CleanStops,
        Count::CrashesInside,
        Count::CrashesRecovering,
        Count::DiskErrors,
        Count::Recoveries,
        Count::TornWrites,
        Count::LostRecords,
        Count::Checkpoints,
        Count::OldBills,
        Count::Released,
        Count::Horizons,
        Count::Days,
        Count::Moves,
        Count::TripsDeaf,
        Count::TripsHouse,
        Count::TripsTrust,
        Count::Pardons,
        Count::Edits,
        Count::Cuts,
        Count::StaleEdits,
        Count::RefusedEdits,
        Count::KillSwitches,
        Count::Corrections,
        Count::Stops,
        Count::Sleeps,
        Count::ClockJumps,
        Count::FullDisks,
        Count::DeadListeners,
        Count::BlackHoles,
        Count::Recalls,
        Count::Steps,
        Count::Syncs,
        Count::Seconds,
    ];

    /// The name for JSON.
    pub fn key(self) -> &'static str {
        self.names().0
    }

    /// The name for people.
    pub fn name(self) -> &'static str {
        self.names().1
    }

    fn names(self) -> (&'static str, &'static str) {
        match self {
            Count::Requests => ("requests", "bid requests"),
            Count::Bids => ("bids", "bids"),
            Count::Unanswered => ("unanswered", "bids that were decided and never sent"),
            Count::Deadlines => ("deadlines", "decisions past their deadline"),
            Count::Bills => ("bills", "bills that arrived"),
            Count::Accepted => ("accepted", "  charged to their hold"),
            Count::Late => ("late", "  late, charged"),
            Count::House => ("house", "  late, borne by the house"),
            Count::Duplicates => ("duplicates", "  duplicates"),
            Count::Stale => ("stale", "  stale"),
            Count::Tests => ("tests", "  of test bids and test renderings"),
            Count::Refused => ("refused", "  refused for their price"),
            Count::Unavailable => ("unavailable", "  answered with 503"),
            Count::Losses => ("losses", "losses that gave a hold back"),
            Count::Contradictions => ("contradictions", "losses of bids that were charged"),
            Count::OddPrices => ("odd_prices", "prices that make no sense"),
            Count::Overprice => ("overprice", "bills above their hold"),
            Count::Retries => ("retries", "notices sent again for want of a 2xx"),
            Count::Crashes => ("crashes", "power failures"),
            Count::Kills => ("kills", "processes killed"),
            Count::CleanStops => ("clean_stops", "processes ended cleanly"),
            Count::CrashesInside => ("crashes_inside", "crashes inside a commit"),
            Count::CrashesRecovering => ("crashes_recovering", "crashes inside a recovery"),
            Count::DiskErrors => ("disk_errors", "processes stopped by a failing disk"),
            Count::Recoveries => ("recoveries", "recoveries"),
            Count::TornWrites => ("torn_writes", "recoveries that kept a part of a commit"),
            Count::LostRecords => ("lost_records", "records that a crash forgot"),
            Count::Checkpoints => ("checkpoints", "checkpoints"),
            Count::OldBills => ("old_bills", "bills charged to what an earlier process held"),
            Count::Released => ("released", "leases in doubt that were released"),
            Count::Horizons => ("horizons", "horizons"),
            Count::Days => ("days", "day changes"),
            Count::Moves => ("moves", "moves to another time zone"),
            Count::TripsDeaf => ("trips_deaf", "breaker trips: deaf"),
            Count::TripsHouse => ("trips_house", "breaker trips: the house's costs"),
            Count::TripsTrust => ("trips_trust", "breaker trips: trust used up"),
            Count::Pardons => ("pardons", "pardons"),
            Count::Edits => ("edits", "edits of budgets"),
            Count::Cuts => ("cuts", "  cuts"),
            Count::StaleEdits => ("stale_edits", "  older than what is known"),
            Count::RefusedEdits => ("refused_edits", "  that money cannot follow"),
            Count::KillSwitches => ("kill_switches", "kill switches thrown"),
            Count::Corrections => ("corrections", "corrections by hand"),
            Count::Stops => ("stops", "processes stopped for seconds"),
            Count::Sleeps => ("sleeps", "processes stopped for hours"),
            Count::ClockJumps => ("clock_jumps", "clock jumps"),
            Count::FullDisks => ("full_disks", "full disks"),
            Count::DeadListeners => ("dead_listeners", "dead listeners"),
            Count::BlackHoles => ("black_holes", "exchanges whose notices went nowhere"),
            Count::Recalls => ("recalls", "returns of leases"),
            Count::Steps => ("steps", "steps"),
            Count::Syncs => ("syncs", "commits"),
            Count::Seconds => ("seconds", "seconds simulated"),
        }
    }
}

/// The counts of one run, or of several together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    counts: [u64; Count::ALL.len()],
}

impl Default for Report {
    fn default() -> Report {
        Report { counts: [0; Count::ALL.len()] }
    }
}

impl Report {
    /// How often it occurred.
    pub fn get(&self, count: Count) -> u64 {
        self.counts[count as usize]
    }

    pub(super) fn add(&mut self, count: Count, more: u64) {
        self.counts[count as usize] += more;
    }

    /// Adds another run's counts.
    pub fn merge(&mut self, other: &Report) {
        self.counts.iter_mut().zip(other.counts).for_each(|(sum, more)| *sum += more);
    }
}
