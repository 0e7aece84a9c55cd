//! What a seed decides before anything happens: how large the world is, how fast it runs, and which kinds of trouble
//! it has. A seed has some kinds and not others, because a market in which everything fails at once never gets far.

use super::dice::Dice;

/// A moment worth being near, in milliseconds since the Unix epoch, with the zone whose clocks or dates do something
/// there.
const MOMENTS: [(&str, i64); 10] = [
    ("UTC", 1_790_035_200_000),
    // Midnight of the spring day in New York, which has 23 hours.
    ("America/New_York", 1_772_946_000_000),
    // The end of that day.
    ("America/New_York", 1_773_028_800_000),
    // Midnight at the end of the autumn day, which has 25.
    ("America/New_York", 1_793_595_600_000),
    ("Asia/Kathmandu", 1_790_014_500_000),
    // Lord Howe puts its clocks back by half an hour: midnight at the end of 2026-04-05.
    ("Australia/Lord_Howe", 1_775_395_800_000),
    // Apia skips a whole day: 2011-12-30.
    ("Pacific/Apia", 1_325_239_200_000),
    // São Paulo puts its clocks forward at midnight, which does not come.
    ("America/Sao_Paulo", 1_541_300_400_000),
    // Havana puts them back at one, so that midnight comes twice.
    ("America/Havana", 1_793_505_600_000),
    ("Europe/Berlin", 1_792_879_200_000),
];

/// A kind of trouble, on or off for a whole run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Trouble {
    /// The power fails, or the process is killed.
    Crash,
    /// The power fails at one of the next operations of the journal.
    CrashInside,
    /// An operation of the journal fails, and the process has to stop.
    BadDisk,
    /// The disk is full for a while.
    FullDisk,
    /// The process is stopped for seconds.
    Stop,
    /// The process is stopped for hours.
    Sleep,
    /// The civil clock jumps.
    Jump,
    /// The civil clock is never right to the second.
    Jitter,
    /// Budgets are cut and raised.
    Edit,
    /// Advertisers move to other time zones.
    Move,
    /// Kill switches.
    Kill,
    /// The tracking listener dies for a while.
    DeadListener,
    /// Notices of an exchange do not come through for ten minutes.
    BlackHole,
    /// The ledger is slow to read what waits.
    Lag,
    /// Corrections by hand.
    Adjust,
    /// Prices above the bid, of no sense, in other currencies.
    OddPrice,
    /// Bills hours later.
    SlowBill,
    /// Twice the same notice, and contradictory ones.
    Echo,
}

impl Trouble {
    pub(super) const ALL: [Trouble; 18] = [
        Trouble::Crash,
        Trouble::CrashInside,
        Trouble::BadDisk,
        Trouble::FullDisk,
        Trouble::Stop,
        Trouble::Sleep,
        Trouble::Jump,
        Trouble::Jitter,
        Trouble::Edit,
        Trouble::Move,
        Trouble::Kill,
        Trouble::DeadListener,
        Trouble::BlackHole,
        Trouble::Lag,
        Trouble::Adjust,
        Trouble::OddPrice,
        Trouble::SlowBill,
        Trouble::Echo,
    ];

    /// How many runs in a hundred have it.
    fn percent(self) -> u64 {
        match self {
            Trouble::Jump => 20,
            Trouble::Jitter | Trouble::Move | Trouble::BadDisk | Trouble::Adjust => 30,
            Trouble::Echo | Trouble::Crash | Trouble::Edit => 70,
            _ => 45,
        }
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) cores: u16,
    /// Civil time at the start, in milliseconds.
    pub(super) start_ms: i64,
    /// The zone that something happens in.
    pub(super) zone: &'static str,
    /// How long bids are asked for, in milliseconds of the process's own time.
    pub(super) open_ms: u64,
    /// Mean time between requests, in milliseconds.
    pub(super) request_ms: u64,
    /// Time between the ledger's ticks, in milliseconds.
    pub(super) tick_ms: u64,
    /// Mean time between two of the troubles that come at moments, in milliseconds.
    pub(super) trouble_ms: u64,
    /// The journal is replaced by an image when it has grown by so many bytes.
    pub(super) checkpoint_bytes: u64,
    pub(super) segment_bytes: u64,
    pub(super) spare_segments: usize,
    troubles: u32,
}

impl Plan {
    pub(super) fn new(seed: u64) -> Plan {
        let mut dice = Dice::new(seed, 1);
        let (zone, moment_ms) = dice.one(&MOMENTS);
        let troubles = Trouble::ALL
            .iter()
            .filter(|trouble| dice.percent(trouble.percent()))
            .fold(0, |set, trouble| set | 1 << (*trouble as u32));
        // Silence is noticed only where there is time and traffic enough.
        let silent = troubles & 1 << (Trouble::BlackHole as u32) != 0 && dice.percent(40);
        let open_ms = if silent { 240_000 } else { dice.one(&[20_000, 60_000, 90_000, 150_000, 240_000]) };
        Plan {
            seed,
            cores: dice.within(1, 4) as u16,
            start_ms: moment_ms - dice.below(open_ms * 5 / 4) as i64,
            zone,
            open_ms,
            request_ms: if silent { 60 } else { dice.one(&[60, 150, 150, 300]) },
            tick_ms: dice.one(&[50, 100, 100, 130]),
            trouble_ms: dice.one(&[2_000, 6_000, 12_000]),
            checkpoint_bytes: dice.one(&[2_000, 8_000, 30_000, 1 << 30]),
            segment_bytes: dice.one(&[2_048, 4_096, 16_384]),
            spare_segments: dice.below(3) as usize,
            troubles,
        }
    }

    pub(super) fn has(&self, trouble: Trouble) -> bool {
        self.troubles & 1 << (trouble as u32) != 0
    }

    /// The kinds of trouble of this run, for people.
    pub(super) fn troubles(&self) -> Vec<Trouble> {
        Trouble::ALL.into_iter().filter(|trouble| self.has(*trouble)).collect()
    }
}
