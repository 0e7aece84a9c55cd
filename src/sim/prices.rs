//! What moves prices while the money is audited: levels of pacing that jump about, and the production learner, which hears of bids
//! and notices and publishes best bids and models. No rule is judged here: whatever is learned, the ledger must hold.

use super::dice::Dice;
use super::plan::Plan;
use super::world::World;
use crate::engine::{Catalog, Snapshot};
use crate::exchange::NoticeKind;
use crate::model::event::{BidMade, Event, NoticeEvent, Noticed, What};
use crate::model::money::{Cpm, Nanos, PPM};
use crate::model::token::TokenClaims;
use crate::pricing::learning::Learning;
use crate::pricing::pacing::Level;
use crate::pricing::prediction::{LearnerOptions, TrainerOptions};
use crate::targeting::LineItemIx;
use std::sync::Arc;

/// Bids that wait for their outcome: few, so that some are left out.
const REMEMBERED: usize = 200;

/// See the module.
pub(super) struct Prices {
    dice: Dice,
    learning: Learning,
    /// What the process serves with.
    pub(super) snapshot: Arc<Snapshot>,
}

fn options() -> TrainerOptions {
    let small = LearnerOptions { bits: 8, min_count: 1, ..LearnerOptions::default() };
    TrainerOptions {
        click: small,
        conversion: small,
        wait_ms: 600_000,
        max_impressions: REMEMBERED,
        max_clicks: REMEMBERED,
        guard_events: 50,
        calibration_events: 1_000,
        ..TrainerOptions::default()
    }
}

fn fresh() -> Learning {
    Learning::new(options(), REMEMBERED).expect("the options are within their ranges")
}

impl Prices {
    pub(super) fn new(plan: &Plan, world: &World) -> Prices {
        Prices {
            dice: Dice::new(plan.seed, 5),
            learning: fresh(),
            snapshot: Arc::new(world.snapshot.clone()),
        }
    }

    /// A bid was answered.
    pub(super) fn bid(&mut self, bid: BidMade, at_ms: i64) {
        self.take(at_ms, What::Bid(bid));
    }

    /// A notice reached the process; once in a while who was shown an ad clicks on it.
    pub(super) fn notice(&mut self, kind: NoticeKind, claims: &TokenClaims, at_ms: i64) {
        let told = self.dice.percent(50).then(|| Cpm(claims.price.0 / 2 + 1));
        let kind = match kind {
            NoticeKind::Win => NoticeEvent::Win(Some(claims.price)),
            NoticeKind::Billing => NoticeEvent::Bill { charged: Nanos(1), price: claims.price, lsn: 1 },
            NoticeKind::Loss => NoticeEvent::Loss(self.dice.one(&[None, Some(102), Some(204)])),
            NoticeKind::Impression => NoticeEvent::Impression,
            NoticeKind::Click | NoticeKind::Event => return,
        };
        let clicks = kind == NoticeEvent::Impression || matches!(kind, NoticeEvent::Bill { .. });
        let noticed = |kind| Noticed::of(kind, claims, 0, told);
        self.take(at_ms, What::Notice(noticed(kind)));
        if clicks && self.dice.percent(30) {
            self.take(at_ms, What::Notice(noticed(NoticeEvent::Click)));
        }
    }

    fn take(&mut self, at_ms: i64, what: What) {
        self.learning.take(&Event { at_ms, what }, |_, _| true);
    }

    /// Publishes what was learned, now and then, and moves levels of pacing.
    pub(super) fn tick(&mut self, now_ms: i64) {
        if self.dice.once_in(3) {
            self.learning.advance(now_ms);
            self.learning.reprice(now_ms);
            self.learning.publish_models();
            self.publish();
        }
        let catalog: &Catalog = &self.snapshot.catalog;
        let lines = catalog.line_items().len() as u64;
        if self.dice.once_in(2) {
            let ix = LineItemIx(self.dice.below(lines) as u32);
            let kappa_ppm = self.dice.one(&[1, 50_000, 700_000, PPM, PPM, 2 * PPM, 100 * PPM]);
            let pass_ppm = self.dice.one(&[10_000, 500_000, PPM as u32, PPM as u32]);
            catalog.levels().set(ix, Level { kappa_ppm, pass_ppm });
        }
    }

    fn publish(&mut self) {
        let learned = Arc::new(self.learning.tables());
        self.snapshot = Arc::new(Snapshot { learned, ..(*self.snapshot).clone() });
    }

    /// The process starts again, with what it kept or with nothing.
    pub(super) fn restart(&mut self) {
        let kept = self.learning.export();
        self.learning = match self.dice.percent(70) {
            true => Learning::import(options(), REMEMBERED, &kept).expect("it is what was exported"),
            false => fresh(),
        };
        self.learning.forgive_silence();
        self.publish();
    }
}
