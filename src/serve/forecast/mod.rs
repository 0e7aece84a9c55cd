//! What a line item may expect of a day: the sampled requests decided again, and statistics of what came of them.
//!
//! The account that is asked about is a copy with the line item on; it is compiled beside the one that serves and let go of after.
//! One forecast at a time, bounded in samples and in time, on the thread of who asks, which is never a serving core.

mod taker;

pub use taker::{Steps, Taken, Taker, spread};

use super::state::Shared;
use crate::budget::AccountKey;
use crate::engine::Dimensions;
use crate::engine::Level;
use crate::engine::{Catalog, CatalogLineItem, Snapshot};
use crate::exchange::compile_markup;
use crate::forecast::{Forecast, Relaxation, Removed, Spread, forecast, upper_bound};
use crate::model::account::Account;
use crate::model::frequency::{Frequency, UnknownUsers};
use crate::model::ids::LineItemId;
use crate::model::line_item::{Budget, Flight, LineItem, PacingMode};
use crate::model::money::{Currency, Nanos, PPM};
use crate::model::no_bid::NoBidReason;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

const DAY_MS: i64 = 86_400_000;
/// Requests that are looked at.
pub const MOST_SAMPLES: usize = 20_000;
/// How long that may take, in nanoseconds.
const PATIENCE_NS: u64 = 10_000_000_000;
/// Fewer people are few.
const FEW_PEOPLE: usize = 30;
/// Fewer outcomes say little of prices.
const FEW_OUTCOMES: f64 = 50.0;
/// Steps of the curve on each side of the configured price, three to a doubling.
const SIDE: i32 = 6;

/// What is asked.
pub struct Asked {
    /// The account with the line item in it, whether it is on or not.
    pub account: Account,
    /// The line item.
    pub line_item: LineItemId,
    /// How many days of samples are looked at, from now back.
    pub days: u32,
    /// Prices of the curve as parts of the configured one, in ppm and ascending; empty = the usual ones.
    pub grid_ppm: Vec<i64>,
}

/// What is answered.
pub struct Told {
    /// The line item as it was asked about.
    pub line_item: LineItem,
    /// Its advertiser's currency.
    pub currency: Currency,
    /// The samples are from here, in Unix milliseconds…
    pub from_ms: i64,
    /// … until here.
    pub until_ms: i64,
    /// Requests that were looked at.
    pub requests: usize,
    /// Requests a day that they stand for.
    pub requests_a_day: f64,
    /// The numbers; `None` where no sample could be bought.
    pub forecast: Option<Forecast>,
    /// Where none could: with a chance of 95 % there are no more avails a day than this. `None` = there is no sample at all.
    pub at_most: Option<f64>,
    /// What a day may cost, in nanos of the wallet.
    pub budget_nanos: Option<i64>,
    /// Prices of the curve as parts of the configured one, in ppm.
    pub grid_ppm: Vec<i64>,
    /// Impressions a day that meet the targeting.
    pub matched: f64,
    /// Impressions a day that nobody may bid on, by why.
    pub refused: Vec<(NoBidReason, f64)>,
    /// Impressions a day that meet the targeting and get no bid at any price, by why.
    pub ended: Vec<(NoBidReason, f64)>,
    /// Which rules to give up first; avails are a day's.
    pub relaxations: Vec<Relaxation>,
    /// What each rule removes; impressions are a day's.
    pub removed: Vec<Removed>,
    /// What to keep in mind, for people.
    pub warnings: Vec<String>,
}

/// Why nothing is said.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotForecast {
    /// Another one is being made.
    #[error("another forecast is being made; ask again in some seconds")]
    Busy,
    /// The account cannot be compiled with it.
    #[error("the account cannot be compiled with the line item: {0}")]
    Account(String),
    /// It is not in the account.
    #[error("there is no line item {0}")]
    Gone(LineItemId),
}

/// The usual curve: from a quarter of the configured price to four times as much.
fn usual_grid() -> Vec<i64> {
    (-SIDE..=SIDE).map(|at| (PPM as f64 * 2f64.powf(f64::from(at) / 3.0)).round() as i64).collect()
}

/// The account as if a line item were on, with what is above it; from now on and for ever.
fn switched_on(account: &mut Account, id: LineItemId) -> Option<LineItem> {
    let line = account.line_items.iter_mut().find(|line| line.id == id)?;
    let asked = line.clone();
    (line.active, line.flight) = (true, Flight::default());
    let campaign = account.campaigns.iter_mut().find(|campaign| campaign.id == asked.campaign)?;
    (campaign.active, campaign.flight) = (true, Flight::default());
    let advertiser = account.advertisers.iter_mut().find(|owner| owner.id == campaign.advertiser)?;
    advertiser.active = true;
    Some(asked)
}

impl Shared {
    /// What a line item may expect of a day. Blocks for some seconds.
    ///
    /// # Errors
    /// Another forecast is being made, or the account cannot be compiled.
    pub fn forecast(&self, asked: Asked) -> Result<Told, NotForecast> {
        let Some(_only) = self.forecasting.try_lock() else { return Err(NotForecast::Busy) };
        let Asked { mut account, line_item: id, days, grid_ppm } = asked;
        let flights: BTreeMap<_, _> =
            account.campaigns.iter().map(|known| (known.id, known.flight)).collect();
        let line_item = switched_on(&mut account, id).ok_or(NotForecast::Gone(id))?;
        let flight = flights.get(&line_item.campaign).copied().unwrap_or_default();
        let serving = self.snapshots.load();
        account.category_maps = serving.catalog.category_maps().to_vec();
        let catalog = serving.catalog.rebuild(account, &compile_markup);
        let catalog = catalog.map_err(|error| NotForecast::Account(error.to_string()))?;
        let ix = catalog.line_item_ix(id).ok_or(NotForecast::Gone(id))?;
        // What pacing says at this moment is no part of what a day brings.
        catalog.levels().set(ix, Level { kappa_ppm: PPM, pass_ppm: PPM as u32 });
        let snapshot = Snapshot { catalog: Arc::new(catalog), ..(*serving).clone() };
        let line = snapshot.catalog.line_item(ix);
        let spread = spread(line_item.strategy, line_item.pacing.mode);
        let grid_ppm = if grid_ppm.is_empty() { usual_grid() } else { grid_ppm };
        let steps = Steps::new(&grid_ppm, line_item.strategy, spread);
        let markets = self.learner.markets(self.clock.now().unix_ms);
        let pays = |other: LineItemId| self.has_money(&serving.catalog, other);
        let limits = **self.limits.load();
        let mut taker =
            Taker::new((&snapshot, &self.settings), &markets, limits, &pays, (ix, steps, MOST_SAMPLES));
        let now_ms = self.clock.now().unix_ms;
        let (reached_ms, in_time) = self.feed(&mut taker, (now_ms - i64::from(days) * DAY_MS, now_ms));
        let (taken, steps) = taker.finish();
        let from_ms = taken.oldest_ms.filter(|oldest| !in_time || *oldest > reached_ms).unwrap_or(reached_ms);
        let budget = self.daily_nanos(&snapshot.catalog, line, (&line_item, flight), now_ms);
        let frequency = frequencies(&snapshot.catalog, line);
        let window = (from_ms, now_ms);
        let question = taken.question(&steps, window, &frequency, (budget, spread), u64::from(id.0));
        let numbers = (!taken.avails.is_empty()).then(|| forecast(&question));
        let a_day = DAY_MS as f64 / (now_ms - from_ms).max(1) as f64;
        let scaled =
            |ends: &BTreeMap<NoBidReason, f64>| ends.iter().map(|(why, all)| (*why, all * a_day)).collect();
        let mut warnings = warnings(&taken, numbers.as_ref(), &frequency, (&line_item, spread));
        if !in_time {
            warnings.push(format!(
                "the time for it was over after {} samples; they are the newest",
                taken.requests
            ));
        }
        if now_ms - from_ms < DAY_MS * 95 / 100 {
            let hours = (now_ms - from_ms) as f64 / 3_600_000.0;
            warnings.push(format!(
                "the samples cover {hours:.1} hours, not a whole day; the hours of a day differ"
            ));
        }
        let told = Told {
            currency: line.pricer.currency,
            from_ms,
            until_ms: now_ms,
            requests: taken.requests,
            requests_a_day: taken.weight * a_day,
            at_most: (taken.requests > 0).then(|| upper_bound(taken.heaviest, from_ms, now_ms)),
            budget_nanos: budget,
            grid_ppm,
            matched: taken.rules.avails() * a_day,
            refused: scaled(&taken.refused),
            ended: scaled(&taken.ended),
            relaxations: taken
                .rules
                .relaxations()
                .into_iter()
                .map(|one| Relaxation { avails: one.avails * a_day, ..one })
                .collect(),
            removed: taken
                .rules
                .removed()
                .into_iter()
                .map(|one| Removed { fails: one.fails * a_day, ..one })
                .collect(),
            forecast: numbers,
            line_item,
            warnings,
        };
        Ok(told)
    }

    /// Gives the samples of a time to `taker`; returns from when on they are, and whether that was all of them.
    fn feed(&self, taker: &mut Taker<'_>, (from_ms, until_ms): (i64, i64)) -> (i64, bool) {
        let ends_ns = self.clock.mono_ns().saturating_add(PATIENCE_NS);
        let (mut reached_ms, mut in_time, mut looked_at) = (until_ms, true, 0usize);
        self.sampled(from_ms, until_ms, &mut |sample| {
            looked_at += 1;
            if looked_at.is_multiple_of(64) && self.clock.mono_ns() >= ends_ns {
                in_time = false;
                return ControlFlow::Break(());
            }
            reached_ms = reached_ms.min(sample.at_ms);
            taker.take(&sample);
            ControlFlow::Continue(())
        });
        (if in_time && looked_at == 0 { from_ms } else { reached_ms }, in_time)
    }

    /// Whether another line item could pay for anything: of money that comes back at midnight it is assumed that it does.
    fn has_money(&self, catalog: &Catalog, id: LineItemId) -> bool {
        if catalog.line_item_ix(id).is_none() {
            return true;
        }
        let Some(standing) = self.ledger.standing(id, self.clock.now()) else { return false };
        standing.room.iter().all(|(key, room)| key.day().is_some() || room.0 > 0)
    }

    /// What a day may cost: the least of the day's budgets, of what is left of the longer ones, and of the wallet. What is left of a
    /// longer one is for all the days that are left, unless the line item spends as soon as possible: then it may go in one.
    fn daily_nanos(
        &self,
        catalog: &Catalog,
        line: &CatalogLineItem,
        (asked, campaign_flight): (&LineItem, Flight),
        now_ms: i64,
    ) -> Option<i64> {
        let campaign = &catalog.campaigns()[line.campaign];
        let is_spread = asked.pacing.mode != PacingMode::Asap;
        let days_left = |ends: Option<i64>| match ends.filter(|_| is_spread) {
            Some(ends_ms) => ((ends_ms - now_ms) as f64 / DAY_MS as f64).max(1.0),
            None => 1.0,
        };
        let of_day = |budget: Budget| budget.daily.map(|daily| daily.0);
        let of_life = |budget: Budget, key: AccountKey, ends: Option<i64>| {
            let left = budget.lifetime?.0.saturating_sub(self.ledger.balance(key).posted.0).max(0);
            Some((left as f64 / days_left(ends)) as i64)
        };
        let line_ends = [asked.flight.end_ms, campaign_flight.end_ms].into_iter().flatten().min();
        let wallet = AccountKey::Wallet(catalog.advertisers()[line.advertiser].id);
        let wallet = self.ledger.balance(wallet);
        let all = [
            of_day(asked.budget),
            of_day(campaign.budget),
            of_life(asked.budget, AccountKey::LineItemTotal(asked.id), line_ends),
            of_life(campaign.budget, AccountKey::CampaignTotal(campaign.id), campaign_flight.end_ms),
            wallet.budget.map(|budget| budget.0.saturating_sub(wallet.posted.0).max(0)),
        ];
        all.into_iter().flatten().min()
    }
}

/// What holds for each person, of every level.
fn frequencies(catalog: &Catalog, line: &CatalogLineItem) -> Vec<Frequency> {
    let (campaign, owner) = (&catalog.campaigns()[line.campaign], &catalog.advertisers()[line.advertiser]);
    vec![line.item.frequency.clone(), campaign.frequency.clone(), owner.frequency.clone()]
}

fn warnings(
    taken: &Taken,
    forecast: Option<&Forecast>,
    frequency: &[Frequency],
    (line, spread): (&LineItem, Spread),
) -> Vec<String> {
    let mut warnings = Vec::new();
    if taken.requests == 0 {
        warnings.push("there is no sampled request in this time: see whether exchanges send any".to_owned());
    }
    if taken.unread > 0 {
        warnings.push(format!("{} samples are of exchanges that are gone, or cannot be read", taken.unread));
    }
    if line.creatives.is_empty() {
        warnings.push("it has no creative that serves: nothing fits any impression".to_owned());
    }
    let Some(forecast) = forecast else { return warnings };
    if forecast.people < FEW_PEOPLE {
        let message = format!("it rests on {} people in the sample, which is few", forecast.people);
        warnings.push(message);
    }
    if forecast.evidence < FEW_OUTCOMES {
        let message =
            "little was heard of prices in these places so far: the share that wins is a guess".to_owned();
        warnings.push(message);
    }
    let capped = frequency.iter().filter(|frequency| !frequency.is_empty());
    let long =
        |frequency: &Frequency| frequency.caps.iter().any(|cap| cap.within_s.is_none_or(|s| s > 86_400));
    if capped.clone().any(long) {
        warnings.push("caps that last longer than the samples hold back more later on".to_owned());
    }
    if capped.clone().any(|frequency| frequency.unknown_users == UnknownUsers::Skip) {
        warnings.push("who cannot be told apart is not bid on, because of the frequency caps".to_owned());
    }
    if frequency.iter().skip(1).any(|frequency| !frequency.is_empty()) {
        let message =
            "caps of the campaign or the advertiser are forecast as if nothing else counted for them";
        warnings.push(message.to_owned());
    }
    if forecast.limited && spread == Spread::Thin {
        warnings.push("the budget ends before the day does, at the configured price".to_owned());
    }
    warnings
}

impl Told {
    /// What is said where nobody serves: nothing is known.
    pub fn nothing(line_item: LineItem, currency: Currency, now_ms: i64) -> Told {
        Told {
            line_item,
            currency,
            from_ms: now_ms,
            until_ms: now_ms,
            requests: 0,
            requests_a_day: 0.0,
            forecast: None,
            at_most: None,
            budget_nanos: None,
            grid_ppm: Vec::new(),
            matched: 0.0,
            refused: Vec::new(),
            ended: Vec::new(),
            relaxations: Vec::new(),
            removed: Vec::new(),
            warnings: vec![
                "nobody serves, so that there are no samples; ask the process that does".to_owned(),
            ],
        }
    }

    /// The names of rules.
    pub fn names(rules: u32) -> Vec<&'static str> {
        Dimensions::of_bits(rules).names().collect()
    }

    /// An amount of the wallet, rounded to a hundredth of a unit.
    pub fn amount(nanos: f64) -> Nanos {
        const CENT: f64 = 10_000_000.0;
        Nanos(((nanos / CENT).round() * CENT) as i64)
    }
}
