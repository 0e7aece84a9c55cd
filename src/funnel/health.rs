//! Whether line items and exchanges do well: a class of pacing, and what is wrong, from what was counted in the last hour.
//!
//! The classes are those that buyers know from DV360's pacing health: under pacing is at most 99 % of what the plan asks for by now.
//! An alert needs more than that, so that nobody is woken by chance: how much stands with each.

use super::advice::advice;
use super::losses::loss_advice;
use super::span::{Span, Way};
use crate::model::funnel::{After, Ends, ExchangeEnds, Loss, Progress};
use crate::model::ids::ExchangeId;
use crate::model::line_item::Strategy;
use crate::model::money::Nanos;
use crate::model::no_bid::NoBidReason;

/// How a line item's spending goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PacingHealth {
    /// It does not serve.
    Inactive,
    /// It has no budget to pace, or the day has only begun.
    Unknown,
    /// At most 99 % of what its plan asks for by now is spent.
    UnderPacing,
    /// It spends, and pays more for an outcome than its target.
    Underperforming,
    /// It does what was asked.
    OnTrack,
}

impl PacingHealth {
    /// All of them.
    pub const ALL: [PacingHealth; 5] = [
        PacingHealth::Inactive,
        PacingHealth::Unknown,
        PacingHealth::UnderPacing,
        PacingHealth::Underperforming,
        PacingHealth::OnTrack,
    ];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            PacingHealth::Inactive => "inactive",
            PacingHealth::Unknown => "unknown",
            PacingHealth::UnderPacing => "under_pacing",
            PacingHealth::Underperforming => "underperforming",
            PacingHealth::OnTrack => "on_track",
        }
    }
}

/// What a line item is judged by.
#[derive(Clone, Copy, Debug)]
pub struct Vitals<'v> {
    /// Its effective status, and the first reason for it.
    pub status: (&'v str, Option<&'v str>),
    /// What it pays for.
    pub strategy: Strategy,
    /// Its price for an outcome or for a thousand impressions, in CPM micros as the account has it.
    pub price: Nanos,
    /// The budget that is behind its plan most, of its own and its campaign's; `None` = nothing is planned.
    pub progress: Option<Progress>,
    /// What was counted of it in the last hour, …
    pub way: &'v Way,
    /// … and the requests of all exchanges in it.
    pub requests: u64,
    /// What most of those were refused for as a whole, whoever would have bid, and how many; `None` = none were.
    pub refused: Option<(NoBidReason, u64)>,
    /// Its bids of the hour that have had time to win: their holds have ended.
    pub ended_bids: u64,
}

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// Nothing comes of it until somebody acts.
    Error,
    /// Less comes of it than could.
    Warning,
}

impl Severity {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }
}

/// Something that is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Alert {
    /// One of [`CODES`].
    pub code: &'static str,
    /// How bad.
    pub severity: Severity,
    /// What is wrong, with its figures.
    pub message: String,
    /// What to do.
    pub advice: String,
    /// The member to look at; `""` = nothing of theirs.
    pub field: &'static str,
}

/// Every code of an alert.
pub const CODES: [&str; 13] = [
    "not_serving",
    "under_delivering",
    "over_target",
    "no_bids",
    "no_wins",
    "creative_rejected",
    "own_fault",
    "not_billed",
    "timeouts",
    "no_traffic",
    "invalid_requests",
    "stopped",
    "breaker",
];

/// Under this share of its plan a budget is under pace: 99 %.
const UNDER_PACE_PERMILLE: i64 = 990;
/// Under this share of its plan somebody is told: 80 %.
const UNDER_DELIVERY_PERMILLE: i64 = 800;
/// Nobody is told before the plan asked for 5 % of the budget: until then a few bills decide.
const EARLY_PERMILLE: i64 = 50;
/// An hour with fewer requests says nothing of who did not bid.
const FEW_REQUESTS: u64 = 1_000;
/// Bids that a gate refused in ten minutes, which are told where they are most of those that would have been made.
const FEW_REFUSED: u64 = 50;
/// An hour with fewer bids says nothing of who did not win.
const FEW_BIDS: u64 = 200;
/// An hour with fewer wins says nothing of what was not billed.
const FEW_WINS: u64 = 50;
/// Losses by fault that are told: so many, …
const FEW_FAULTS: u64 = 3;
/// … and one of so many bids: 1 %.
const FAULTS_ONE_IN: u64 = 100;
/// Late answers that are told: one of so many requests: 0.5 %.
const LATE_ONE_IN: u64 = 200;
/// Requests that cannot be read, which are told: one of so many: 5 %.
const INVALID_ONE_IN: u64 = 20;
/// Outcomes that a price of an outcome is judged by.
const FEW_OUTCOMES: u64 = 20;
/// More than this part of its target, in parts of 1,000, is over it: 110 %.
const OVER_TARGET_PERMILLE: i128 = 1_100;

/// The class of a line item's pacing.
pub fn pacing_health(vitals: &Vitals<'_>) -> PacingHealth {
    if vitals.status.0 != "serving" {
        return PacingHealth::Inactive;
    }
    let paced = vitals.progress.filter(|progress| progress.planned.0 > 0);
    if paced.is_some_and(|progress| progress.of_plan_permille() <= UNDER_PACE_PERMILLE) {
        return PacingHealth::UnderPacing;
    }
    match (paced, over_target(vitals)) {
        (_, Some(_)) => PacingHealth::Underperforming,
        (Some(_), None) => PacingHealth::OnTrack,
        (None, None) => PacingHealth::Unknown,
    }
}

/// What an outcome cost in the hour and what it may, in nanos, where it costs more.
fn over_target(vitals: &Vitals<'_>) -> Option<(i64, i64)> {
    let outcomes = match vitals.strategy {
        Strategy::TargetCpc => vitals.way.after.clicks,
        Strategy::TargetCpa => vitals.way.after.conversions,
        _ => return None,
    };
    if outcomes < FEW_OUTCOMES {
        return None;
    }
    let spent = i128::from(vitals.way.after.spend.0);
    let allowed = i128::from(vitals.price.0) * i128::from(outcomes);
    let cost = i64::try_from(spent / i128::from(outcomes)).unwrap_or(i64::MAX);
    (spent * 1_000 > allowed * OVER_TARGET_PERMILLE).then_some((cost, vitals.price.0))
}

/// What is wrong with a line item, the worst first.
pub fn line_item_alerts(vitals: &Vitals<'_>) -> Vec<Alert> {
    let (status, why) = vitals.status;
    match status {
        "serving" => {}
        // Somebody wanted it so, or it is as it should be at this time.
        "draft" | "paused" | "archived" | "paused_parent" | "scheduled" | "ended" => return Vec::new(),
        _ => {
            let message = format!("it is active and does not serve: {}", why.unwrap_or(status));
            return vec![Alert {
                code: "not_serving",
                severity: Severity::Error,
                message,
                advice: "do what the message says".to_owned(),
                field: "status_reasons",
            }];
        }
    }
    let mut alerts = Vec::new();
    let (after, bids) = (&vitals.way.after, vitals.way.ends.bids());
    alerts.extend(no_bids(vitals));
    alerts.extend(after_bids(after, (bids, vitals.ended_bids)));
    if let Some(progress) = vitals.progress.filter(|progress| {
        progress.planned_permille() >= EARLY_PERMILLE && progress.of_plan_permille() < UNDER_DELIVERY_PERMILLE
    }) {
        let percent = progress.of_plan_permille() / 10;
        let message = format!(
            "it has spent {} of the {} that its plan asks for by now ({percent} %)",
            progress.spent, progress.planned
        );
        let advice = "see its funnel for what ends most requests; widen its targeting, raise its bid, or lower its budget";
        alerts.push(Alert {
            code: "under_delivering",
            severity: Severity::Warning,
            message,
            advice: advice.to_owned(),
            field: "budget.daily",
        });
    }
    if let Some((cost, target)) = over_target(vitals) {
        let message =
            format!("an outcome cost {} in the last hour; its target is {}", Nanos(cost), Nanos(target));
        let advice =
            "wait where it has just begun to learn; else see which places cost most, and exclude them";
        alerts.push(Alert {
            code: "over_target",
            severity: Severity::Warning,
            message,
            advice: advice.to_owned(),
            field: "bid",
        });
    }
    alerts.sort_by_key(|alert| alert.severity);
    alerts
}

/// It could have bid on a thousand requests and bid on none.
fn no_bids(vitals: &Vitals<'_>) -> Option<Alert> {
    let Way { ends, missed, .. } = vitals.way;
    if ends.bids() > 0 || vitals.requests < FEW_REQUESTS {
        return None;
    }
    let most = |ends: &Ends| ends.reasons().max_by_key(|(_, requests)| *requests).map(|(reason, _)| reason);
    // Where it was found for something, what it met then is nearest to a bid.
    let refused = vitals.refused.filter(|(_, refused)| refused.saturating_mul(2) > vitals.requests);
    if let Some((reason, refused)) = refused {
        let advice = advice(reason);
        return Some(Alert {
            code: "no_bids",
            severity: Severity::Error,
            message: format!(
                "it bid on none of {} requests in the last hour: {refused} were refused whoever would have bid; {}",
                vitals.requests, advice.title
            ),
            advice: advice.advice.to_owned(),
            field: advice.field,
        });
    }
    let (message, reason) = match most(ends).or_else(|| most(missed)) {
        Some(reason) => {
            let title = advice(reason).title;
            (
                format!("it bid on none of {} requests in the last hour; mostly: {title}", vitals.requests),
                Some(reason),
            )
        }
        None => (format!("it was not found for any of {} requests in the last hour", vitals.requests), None),
    };
    let advised =
        reason.map_or("see its funnel in some minutes: a sample says why", |reason| advice(reason).advice);
    Some(Alert {
        code: "no_bids",
        severity: Severity::Error,
        message,
        advice: advised.to_owned(),
        field: reason.map_or("targeting", |reason| advice(reason).field),
    })
}

/// A kind of loss by fault: its code, how bad it is, which losses are meant, and what is said of them.
type Fault = (&'static str, Severity, fn(Loss) -> bool, &'static str);

const FAULTS: [Fault; 2] = [
    ("own_fault", Severity::Error, Loss::is_our_bug, "bids were lost by their own fault"),
    (
        "creative_rejected",
        Severity::Warning,
        Loss::is_creative,
        "bids were lost because the creative was not taken",
    ),
];

/// What is wrong with what came of bids.
fn after_bids(after: &After, (bids, ended): (u64, u64)) -> Vec<Alert> {
    let mut alerts = Vec::new();
    let is_many = |faults: u64| faults >= FEW_FAULTS && faults.saturating_mul(FAULTS_ONE_IN) >= bids;
    for (code, severity, is_meant, what) in FAULTS {
        let lost = after.lost_by(is_meant);
        let meant = after.lost.iter().filter(|(why, _)| is_meant(*why));
        if let Some((why, _)) = meant.max_by_key(|(_, losses)| *losses).filter(|_| is_many(lost)) {
            let told = loss_advice(*why);
            let message = format!("{lost} of {bids} {what}; mostly {}: {}", why.label(), told.title);
            alerts.push(Alert { code, severity, message, advice: told.advice.to_owned(), field: told.field });
        }
    }
    let won = after.wins.max(after.billed);
    if ended >= FEW_BIDS && won == 0 {
        let mostly = after.lost.iter().max_by_key(|(_, losses)| *losses).map(|(why, _)| loss_advice(*why));
        let told = mostly.map_or_else(String::new, |told| format!("; mostly: {}", told.title));
        alerts.push(Alert {
            code: "no_wins",
            severity: Severity::Warning,
            message: format!(
                "none of {bids} bids of the last hour won, and {ended} of them were open for long enough{told}"
            ),
            advice: mostly
                .map_or("raise the bid, or see whether the exchange tells wins at all", |told| told.advice)
                .to_owned(),
            field: "bid",
        });
    }
    if after.wins >= FEW_WINS && after.billed == 0 {
        alerts.push(Alert {
            code: "not_billed",
            severity: Severity::Warning,
            message: format!("{} bids won in the last hour, and none was billed", after.wins),
            advice: "see whether the exchange sends billing notices, and to which address".to_owned(),
            field: "",
        });
    }
    alerts
}

/// What an exchange is judged by.
#[derive(Clone, Copy, Debug)]
pub struct ExchangeVitals<'v> {
    /// Whether it is stopped, by a breaker or by somebody.
    pub stopped: bool,
    /// What was counted of it in the last hour, …
    pub hour: &'v Span,
    /// … and in the last ten minutes of it, …
    pub now: &'v Span,
    /// … and in the part of it whose bids have had time to win.
    pub ended: &'v Span,
}

/// What is wrong with an exchange, the worst first.
pub fn exchange_alerts(exchange: ExchangeId, vitals: &ExchangeVitals<'_>) -> Vec<Alert> {
    let mut alerts = Vec::new();
    let none = ExchangeEnds::default();
    let ends_in = |span: &'_ Span| span.exchanges.get(&exchange).cloned().unwrap_or_else(|| none.clone());
    let (hour, now) = (ends_in(vitals.hour), ends_in(vitals.now));
    let after = vitals.hour.exchange_after.get(&exchange).cloned().unwrap_or_default();
    let (requests, bids) = (hour.requests(), hour.found.bids());
    let ended_bids = vitals.ended.exchanges.get(&exchange).map_or(0, |ends| ends.found.bids());
    let mut alert = |code, severity, message: String, advice: &str| {
        alerts.push(Alert { code, severity, message, advice: advice.to_owned(), field: "" });
    };
    if vitals.stopped {
        let advice =
            "see `GET /v1/kill_switches` and `GET /v1/ledger` for why; release it when that is mended";
        alert("stopped", Severity::Error, "nothing is bid on it: it is stopped".to_owned(), advice);
    }
    let gated = now.found.of(NoBidReason::Breaker) + now.whole.of(NoBidReason::Breaker);
    if !vitals.stopped && gated >= FEW_REFUSED && gated > now.found.bids() {
        let message = format!(
            "{gated} requests of the last ten minutes would have got a bid that its breaker or its first trust forbids; {} \
             did get one",
            now.found.bids()
        );
        let advice = "see `GET /v1/ledger` for its gate, and whether its billing notices arrive; what is trusted to an exchange \
                      that never billed is `house.first_trust`";
        alert("breaker", Severity::Error, message, advice);
    }
    if now.requests() == 0 && requests >= FEW_REQUESTS {
        let message = format!("no request came for ten minutes, after {requests} in the hour before");
        alert(
            "no_traffic",
            Severity::Error,
            message,
            "see whether this server is reached, and ask the exchange",
        );
    }
    let late = hour.whole.of(NoBidReason::Deadline) + hour.found.of(NoBidReason::Deadline);
    if requests >= FEW_REQUESTS && late.saturating_mul(LATE_ONE_IN) >= requests {
        let message = format!("{late} of {requests} requests of the last hour were decided too late");
        let advice = "give the server more cores, or ask the exchange for a longer `tmax`";
        alert("timeouts", Severity::Error, message, advice);
    }
    let told_late = after.lost_by(Loss::is_too_late);
    if told_late >= FEW_FAULTS && told_late.saturating_mul(FAULTS_ONE_IN) >= bids {
        let message = format!("the exchange says that {told_late} of {bids} bids came too late");
        let advice = "see the network between the two; the answer is counted as in time where it is written";
        alert("timeouts", Severity::Warning, message, advice);
    }
    let invalid = hour.whole.of(NoBidReason::InvalidRequest);
    if requests >= FEW_REQUESTS && invalid.saturating_mul(INVALID_ONE_IN) >= requests {
        let message = format!("{invalid} of {requests} requests of the last hour break OpenRTB");
        alert("invalid_requests", Severity::Warning, message, advice(NoBidReason::InvalidRequest).advice);
    }
    alerts.extend(after_bids(&after, (bids, ended_bids)));
    alerts.sort_by_key(|alert| alert.severity);
    alerts
}
