//! What a line item pays for, and what that needs: JSON → model and back.

use super::dump::{name_of, quoted};
use super::known::{KnownAdvertiser, KnownCampaign};
use super::report::{Code, Report};
use super::values::Named;
use super::wire::BidWire;
use crate::model::line_item::{LineItem, PacingMode, PacingPeriod, Predicts, Strategy};
use crate::model::money::{Cpm, Nanos};

/// The most for a click, in whole units of the currency.
const MAX_CPC: i64 = 1_000;
/// The most for a conversion.
const MAX_CPA: i64 = 100_000;
/// The highest return that is asked for.
const MAX_ROAS: i64 = 1_000;
/// The lowest, in millionths.
const MIN_ROAS_PPM: i64 = 10_000;
const UNIT: i64 = 1_000_000_000;
/// Where no amount is given, `max` is bid for an impression that is clicked once in so many times…
const CLICKS_BEGIN_AT: i64 = 100;
/// … or that leads to a conversion once in so many times. Pacing finds the true level from there.
const CONVERSIONS_BEGIN_AT: i64 = 10_000;

/// How a price is found.
pub(super) struct Price {
    pub(super) strategy: Strategy,
    pub(super) bid: Cpm,
    pub(super) max_bid: Cpm,
    pub(super) min_bid: Cpm,
    pub(super) shading: bool,
}

/// Reads `bid`. The maximum is the amount itself where a price is given and no maximum is.
pub(super) fn price(report: &mut Report, wire: &BidWire) -> Price {
    let named: Option<Strategy> = report.named("strategy", wire.strategy.as_deref());
    // Of a strategy that is not known nothing else is asked than of one that takes everything.
    let unknown = if wire.strategy.is_some() { Strategy::MaxCpm } else { Strategy::default() };
    let strategy = named.unwrap_or(unknown);
    let amount = amount(report, strategy, wire);
    if amount == Some(Cpm(0)) {
        report.error_at("amount", Code::OutOfRange, "a bid of nothing never wins; give more than 0");
    }
    let max = report.price("max", wire.max.as_ref());
    match (strategy.predicts(), amount, max) {
        (Predicts::Nothing, Some(amount), Some(max)) if max < amount => {
            let message = format!("{max} is less than amount ({amount}); raise it or leave it out");
            report.error_at("max", Code::Conflict, message);
        }
        (Predicts::Clicks | Predicts::Conversions, _, None) if wire.max.is_none() => {
            let message = format!(
                "is missing; nothing else bounds what {} bids: give the most for a thousand impressions",
                strategy.name()
            );
            report.error_at("max", Code::Missing, message);
        }
        (Predicts::Clicks | Predicts::Conversions, _, Some(Cpm(0))) => {
            report.error_at("max", Code::OutOfRange, "a bid of nothing never wins; give more than 0");
        }
        _ => {}
    }
    let max_bid = max.or(amount).unwrap_or_default();
    let min_bid = report.price("min", wire.min.as_ref()).unwrap_or_default();
    if min_bid > max_bid && max_bid > Cpm(0) {
        let message = format!("{min_bid} is more than the most that is bid ({max_bid}); lower it");
        report.error_at("min", Code::Conflict, message);
    }
    if strategy == Strategy::FixedCpm && wire.shading.is_some() {
        let message = "a fixed price is bid as it is; leave this out, or use max_cpm";
        report.error_at("shading", Code::Conflict, message);
    }
    let bid = match strategy {
        Strategy::MaxClicks => Cpm(max_bid.0.saturating_mul(CLICKS_BEGIN_AT)),
        Strategy::MaxConversions => Cpm(max_bid.0.saturating_mul(CONVERSIONS_BEGIN_AT)),
        _ => amount.unwrap_or_default(),
    };
    let shading = strategy != Strategy::FixedCpm && wire.shading.unwrap_or(true);
    Price { strategy, bid, max_bid, min_bid, shading }
}

/// What is paid, in the unit of [`LineItem::bid`].
fn amount(report: &mut Report, strategy: Strategy, wire: &BidWire) -> Option<Cpm> {
    if strategy.spends_all() {
        if wire.amount.is_some() {
            let message = format!("{} buys what the budget is enough for; leave this out", strategy.name());
            report.error_at("amount", Code::Conflict, message);
        }
        return None;
    }
    let given = report.required("amount", wire.amount.as_ref());
    match strategy {
        Strategy::MaxCpc | Strategy::TargetCpc => {
            let amount = report.amount("amount", given)?;
            paid(report, amount, "click", MAX_CPC)
        }
        Strategy::TargetCpa => {
            let amount = report.amount("amount", given)?;
            paid(report, amount, "conversion", MAX_CPA)
        }
        Strategy::TargetRoas => {
            let ratio = report.factor("amount", given, MAX_ROAS)?;
            if ratio < MIN_ROAS_PPM {
                let message =
                    "is the revenue for each unit that is spent, such as \"4.0\"; give 0.01 to 1000";
                report.error_at("amount", Code::OutOfRange, message);
                return None;
            }
            Some(Cpm(ratio))
        }
        _ => report.price("amount", given),
    }
}

/// What is paid for an outcome: a nano of it is a CPM micro of impressions that all bring it.
fn paid(report: &mut Report, amount: Nanos, outcome: &str, most: i64) -> Option<Cpm> {
    if amount.0 > most * UNIT {
        let message = format!("{amount} for a {outcome} is too much; give at most {most}");
        report.error_at("amount", Code::OutOfRange, message);
        return None;
    }
    Some(Cpm(amount.0))
}

/// What the line item itself must say beside its bid.
pub(super) fn check(report: &mut Report, item: &LineItem, names_conversions: bool) {
    let name = item.strategy.name();
    if item.strategy.predicts() == Predicts::Conversions && !names_conversions {
        let message = format!("is empty; name the conversions that {name} works for");
        report.error_at("conversion_ids", Code::Missing, message);
    }
    if item.strategy.spends_all() && item.pacing.mode == PacingMode::Asap {
        let message = format!("{name} spreads its budget over time; give even or ahead");
        report.within("pacing", |report| report.error_at("mode", Code::Conflict, message));
    }
}

/// What it needs that may also stand above it, where it may change without being looked at again: told and not refused.
pub(super) fn look_above(
    report: &mut Report,
    item: &LineItem,
    campaign: &KnownCampaign,
    payer: &KnownAdvertiser,
) {
    if item.strategy.spends_all() {
        let (own, above) = (item.budget, campaign.budget);
        let (period, budget) = match item.pacing.period {
            PacingPeriod::Daily => ("daily", own.daily.or(above.daily)),
            PacingPeriod::Flight => ("lifetime", own.lifetime.or(above.lifetime)),
        };
        if budget.is_none() {
            let message = format!(
                "there is no {period} budget here or at the campaign, so that {} has nothing to spend as planned",
                item.strategy.name()
            );
            report.warn_at("budget", message);
        }
    }
    let is_capped = !item.frequency.is_empty() || campaign.is_capped || payer.is_capped;
    if item.strategy == Strategy::Reach && !is_capped {
        let message = "reach wants a cap here, at the campaign or the advertiser; without one the same people are shown it \
                       again and again";
        report.warn_at("frequency", message);
    }
}

/// The same as JSON.
pub(super) fn write(item: &LineItem) -> BidWire {
    let amount = match item.strategy {
        Strategy::MaxClicks | Strategy::MaxConversions => None,
        Strategy::MaxCpc | Strategy::TargetCpc | Strategy::TargetCpa => quoted(Nanos(item.bid.0)),
        // Of a return the millionths are those of a price.
        Strategy::FixedCpm | Strategy::MaxCpm | Strategy::Reach | Strategy::TargetRoas => quoted(item.bid),
    };
    BidWire {
        strategy: Some(name_of(item.strategy)),
        amount,
        max: quoted(item.max_bid),
        min: quoted(item.min_bid).filter(|_| item.min_bid > Cpm(0)),
        shading: (item.strategy != Strategy::FixedCpm).then_some(item.shading),
    }
}
