//! What the health of line items and exchanges is judged by: the last hour of the funnel and where budgets stand.

use super::state::Shared;
use crate::budget::Purse;
use crate::funnel::{FunnelError, Span, Step, Whose};
use crate::model::funnel::Progress;
use crate::model::no_bid::NoBidReason;
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
    /// What was counted in the part of it whose bids have had time to win: their holds have ended.
    pub ended: Span,
    /// Requests of all exchanges in the hour.
    pub requests: u64,
    /// What most of them were refused for as a whole, and how many.
    pub refused: Option<(NoBidReason, u64)>,
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
        let mut ended = Span::new(Step::Hour, now_s - HOUR_S);
        let ended_s = now_s - self.open_life_s();
        for span in &spans {
            hour.merge(span);
            if span.start_s + Step::Minute.seconds() > now_s - NOW_S {
                now.merge(span);
            }
            if span.start_s + Step::Minute.seconds() <= ended_s {
                ended.merge(span);
            }
        }
        let (all, progress) = (hour.requests(), self.progress());
        let whole = all.whole.reasons().filter(|(reason, _)| *reason != NoBidReason::NoMatch);
        let (requests, refused) = (all.requests(), whole.max_by_key(|(_, refused)| *refused));
        let made = Arc::new(Hour { as_of_s: now_s, hour, now, ended, requests, refused, progress });
        *known = Some(Arc::clone(&made));
        Ok(made)
    }

    /// How long a bid may be open on any exchange, in seconds; at most half of what is looked at, so that something is left of it.
    fn open_life_s(&self) -> i64 {
        let snapshot = self.snapshots.load();
        let lives = snapshot.catalog.exchanges().iter().map(|profile| {
            let lives = &profile.holds;
            let longest = [lives.web_banner_s, lives.app_banner_s, lives.app_interstitial_s, lives.video_s];
            i64::from(longest.into_iter().max().unwrap_or(0)) + i64::from(lives.grace_s)
        });
        lives.max().unwrap_or(0).min(HOUR_S / 2)
    }
}
