//! Why line items do not bid, over time: what the engine counts of every request, in minutes, hours and days, with what came of the
//! bids, and what each reason means to people.
//!
//! ```text
//! engine::funnel ──Counted──▶ Funnel ─ the minute at hand, in memory ─▶ a file a minute ─▶ one an hour ─▶ one a day
//! notices ───────After──────▶        └──────────────── spans of a time ◀──────────────────────────┘
//! ```
//!
//! Invariants: a request is in one span of each step, whatever restarts; what is asked for is complete up to the last call of
//! [`Funnel::count`]; a file is written whole or not at all. A crash costs what was counted since the last [`Funnel::save`].

mod advice;
mod aspects;
mod health;
mod losses;
mod span;
mod store;

pub use advice::{Advice, STAGES, advice};
pub use aspects::{advice_on, aspects};
pub use health::{
    Alert, CODES, ExchangeVitals, PacingHealth, Severity, Vitals, exchange_alerts, line_item_alerts,
    pacing_health,
};
pub use losses::loss_advice;
pub use span::{Span, SpanError, Step, Way, Whose};
pub use store::{Funnel, FunnelError, joined};
