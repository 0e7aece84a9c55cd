//! What the health of line items and exchanges is judged by: the last hour of the funnel and where budgets stand.

use super::state::Shared;
use crate::budget::Purse;
use crate::funnel::{FunnelError, Span, Step, Whose};
use crate::model::funnel::Progress;
use std::collections::BTreeMap;
use std::sync::Arc;

/// It is put together at most this often, in seconds.
const FRESH_S: i64 = 5;
/// What is looked at, in seconds …
const HOUR_S: i64 = 3_600;
/// … and what is "now".
const NOW_S: i64 = 600;

/// Everything at one moment.
#[derive(Clone, Debug)]
pub struct Hour {
    /// The moment, in Unix seconds.
    pub as_of_s: i64,
    /// What was counted in the hour before it.
    pub hour: Span,
    /// What was counted in its last ten minutes.
    pub now: Span,
    /// Requests of all exchanges in the hour.
    pub requests: u64,
    /// How far the budgets that are spread are spent.
    pub progress: BTreeMap<Purse, Progress>,
}

impl Shared {
    /// What health is judged by, at most a few seconds old.
    ///
    /// # Errors
    /// The funnel cannot be written.
    pub fn health(&self) -> Result<Arc<Hour>, FunnelError> {
        let now_s = self.clock.now().unix_s();
        let known = &mut *self.funnels.health.lock();
        if let Some(hour) = known.as_ref().filter(|hour| (0..FRESH_S).contains(&(now_s - hour.as_of_s))) {
            return Ok(Arc::clone(hour));
        }
        let spans = self.funnel(Step::Minute, (now_s - HOUR_S, now_s + 1), Whose::Everybody)?;
        let (mut hour, mut now) =
            (Span::new(Step::Hour, now_s - HOUR_S), Span::new(Step::Minute, now_s - NOW_S));
        for span in &spans {
            hour.merge(span);
            if span.start_s + Step::Minute.seconds() > now_s - NOW_S {
                now.merge(span);
            }
        }
        let (requests, progress) = (hour.requests().requests(), self.progress());
        let made = Arc::new(Hour { as_of_s: now_s, hour, now, requests, progress });
        *known = Some(Arc::clone(&made));
        Ok(made)
    }
}
