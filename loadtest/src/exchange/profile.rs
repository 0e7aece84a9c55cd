//! How the exchange treats what it won and lost: which notices it sends, how late, and what goes wrong with them.
//!
//! Invariant: shares are per mille and drawn from the seed, so that a run can be repeated.

/// Named manners.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Manner {
    /// No notices at all. An exchange that never bills is soon held for deaf.
    None,
    /// Every notice once, soon, in its order.
    Ideal,
    /// Delays with a tail; few notices are lost, come twice or contradict each other.
    Usual,
    /// A lot goes wrong.
    Rough,
}

/// Options of the exchange's notices and prices.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct ProfileArgs {
    /// How the exchange sends its notices; the options below change one thing each.
    #[arg(long, value_enum, default_value_t = Manner::Usual, value_name = "MANNER")]
    pub(crate) notices: Manner,
    /// Billing notices that are never sent, of a thousand.
    #[arg(long, value_name = "PER_MILLE", value_parser = per_mille())]
    pub(crate) bills_lost: Option<u16>,
    /// Win, loss, impression and click notices that are never sent, of a thousand.
    #[arg(long, value_name = "PER_MILLE", value_parser = per_mille())]
    pub(crate) notices_lost: Option<u16>,
    /// Lost auctions that the exchange says so of, of a thousand.
    #[arg(long, value_name = "PER_MILLE", value_parser = per_mille())]
    pub(crate) losses_told: Option<u16>,
    /// Notices that are sent twice, of a thousand.
    #[arg(long, value_name = "PER_MILLE", value_parser = per_mille())]
    pub(crate) duplicated: Option<u16>,
    /// Bills that are sent once more with another price after they were answered, of a thousand.
    #[arg(long, value_name = "PER_MILLE", value_parser = per_mille())]
    pub(crate) repriced: Option<u16>,
    /// Wins of which a loss is told as well, before or after the bill, of a thousand.
    #[arg(long, value_name = "PER_MILLE", value_parser = per_mille())]
    pub(crate) contradicted: Option<u16>,
    /// Bills above the bid, of a thousand.
    #[arg(long, value_name = "PER_MILLE", value_parser = per_mille())]
    pub(crate) overpriced: Option<u16>,
    /// Bills in which the price's macro was left as it is, of a thousand.
    #[arg(long, value_name = "PER_MILLE", value_parser = per_mille())]
    pub(crate) unpriced: Option<u16>,
    /// Impressions that follow a bill, of a thousand.
    #[arg(long, value_name = "PER_MILLE", value_parser = per_mille())]
    pub(crate) shown: Option<u16>,
    /// Clicks that follow an impression, of a thousand.
    #[arg(long, value_name = "PER_MILLE", value_parser = per_mille())]
    pub(crate) clicked: Option<u16>,
    /// Median of the time from an answer to its bill, in milliseconds.
    #[arg(long, value_name = "MS")]
    pub(crate) bill_delay_ms: Option<u32>,
    /// Notices that come up to --tail-s late, of a thousand.
    #[arg(long, value_name = "PER_MILLE", value_parser = per_mille())]
    pub(crate) tail: Option<u16>,
    /// The longest delay in the tail, in seconds. Beyond the holds' lives bills are late, beyond a token's stale.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) tail_s: Option<u32>,
    /// Median of the best price of the other bidders, CPM in the currency of the exchange.
    #[arg(long, default_value = "3.50", value_name = "CPM", value_parser = cpm)]
    pub(crate) rivals: i64,
    /// Impressions on which nobody else bids, of a thousand.
    #[arg(long, default_value_t = 50, value_name = "PER_MILLE", value_parser = per_mille())]
    pub(crate) alone: u16,
}

fn per_mille() -> clap::builder::RangedI64ValueParser<u16> {
    clap::value_parser!(u16).range(0..=1_000)
}

fn cpm(text: &str) -> Result<i64, String> {
    let price = super::money::decimal(text, 6).filter(|price| *price > 0);
    price.ok_or_else(|| format!("{text:?} is no price above 0, such as 1.60"))
}

/// What was chosen. Shares are per mille.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Profile {
    /// Whether there are notices at all.
    pub(crate) sends: bool,
    pub(crate) bills_lost: u64,
    pub(crate) notices_lost: u64,
    pub(crate) losses_told: u64,
    pub(crate) duplicated: u64,
    pub(crate) repriced: u64,
    pub(crate) contradicted: u64,
    pub(crate) overpriced: u64,
    pub(crate) unpriced: u64,
    pub(crate) shown: u64,
    pub(crate) clicked: u64,
    pub(crate) bill_delay_ms: u64,
    /// Whether delays vary at all.
    pub(crate) spread: bool,
    pub(crate) tail: u64,
    pub(crate) tail_s: u64,
    /// CPM micros.
    pub(crate) rivals: i64,
    pub(crate) alone: u64,
}

const IDEAL: Profile = Profile {
    sends: true,
    bills_lost: 0,
    notices_lost: 0,
    losses_told: 1_000,
    duplicated: 0,
    repriced: 0,
    contradicted: 0,
    overpriced: 0,
    unpriced: 0,
    shown: 1_000,
    clicked: 10,
    bill_delay_ms: 20,
    spread: false,
    tail: 0,
    tail_s: 0,
    rivals: 0,
    alone: 0,
};

const USUAL: Profile = Profile {
    bills_lost: 3,
    notices_lost: 5,
    losses_told: 950,
    duplicated: 5,
    repriced: 1,
    contradicted: 1,
    overpriced: 1,
    shown: 980,
    bill_delay_ms: 400,
    spread: true,
    tail: 5,
    tail_s: 30,
    ..IDEAL
};

const ROUGH: Profile = Profile {
    bills_lost: 50,
    notices_lost: 100,
    losses_told: 700,
    duplicated: 100,
    repriced: 50,
    contradicted: 50,
    overpriced: 20,
    unpriced: 10,
    shown: 900,
    clicked: 30,
    bill_delay_ms: 1_000,
    tail: 50,
    tail_s: 60,
    ..USUAL
};

impl ProfileArgs {
    /// The manner with what was changed of it.
    pub(crate) fn profile(&self) -> Profile {
        let base = match self.notices {
            Manner::None => Profile { sends: false, ..IDEAL },
            Manner::Ideal => IDEAL,
            Manner::Usual => USUAL,
            Manner::Rough => ROUGH,
        };
        let or = |option: Option<u16>, base: u64| option.map_or(base, u64::from);
        Profile {
            sends: base.sends,
            bills_lost: or(self.bills_lost, base.bills_lost),
            notices_lost: or(self.notices_lost, base.notices_lost),
            losses_told: or(self.losses_told, base.losses_told),
            duplicated: or(self.duplicated, base.duplicated),
            repriced: or(self.repriced, base.repriced),
            contradicted: or(self.contradicted, base.contradicted),
            overpriced: or(self.overpriced, base.overpriced),
            unpriced: or(self.unpriced, base.unpriced),
            shown: or(self.shown, base.shown),
            clicked: or(self.clicked, base.clicked),
            bill_delay_ms: self.bill_delay_ms.map_or(base.bill_delay_ms, u64::from),
            spread: base.spread,
            tail: or(self.tail, base.tail),
            tail_s: self.tail_s.map_or(base.tail_s, u64::from),
            rivals: self.rivals,
            alone: u64::from(self.alone),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        profile: ProfileArgs,
    }

    /// The profile of a command line.
    pub(crate) fn profile(line: &str) -> Profile {
        let words = std::iter::once("test").chain(line.split_whitespace());
        Line::try_parse_from(words).unwrap().profile.profile()
    }

    #[test]
    fn a_manner_can_be_changed_one_thing_at_a_time() {
        let changed = profile("--notices ideal --bills-lost 7 --rivals 0.5 --tail-s 9");
        assert_eq!(changed, Profile { bills_lost: 7, rivals: 500_000, tail_s: 9, alone: 50, ..IDEAL });
        assert_eq!(profile("").tail, USUAL.tail);
        assert!(!profile("--notices none").sends && profile("--notices rough").sends);
    }

    #[test]
    fn shares_and_prices_out_of_range_are_refused() {
        for line in ["--shown 1001", "--rivals 0", "--rivals x", "--notices odd"] {
            assert!(Line::try_parse_from(["test"].into_iter().chain(line.split(' '))).is_err(), "{line}");
        }
    }
}
