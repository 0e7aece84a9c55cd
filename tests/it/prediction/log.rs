//! A drawn log as the trainer sees it.
#![allow(clippy::unwrap_used)]

use outbid::pricing::prediction::{
    Context, ContextFacts, Crosses, LearnerOptions, OfferFacts, OfferKeys, Trainer, TrainerOptions,
};
use outbid::sim::clicks::{ClickLog, ClickLogOptions, LoggedImpression};

/// The features of an impression: the context's and the candidate's.
pub(super) fn features(row: &LoggedImpression) -> (Context, Crosses) {
    let (mut context, mut crosses) = (Context::default(), Crosses::default());
    context.fill(&ContextFacts {
        exchange: row.exchange,
        site: u64::from(row.site) + 1,
        slot: Some(&row.slot),
        size: Some(row.size),
        format: Some(row.format),
        position: Some(row.position),
        country: Some(row.country),
        region: Some(&row.region),
        hour_of_week: row.hour_of_week,
        device_type: Some(row.device_type),
        os: Some(row.os),
        browser: Some(row.browser),
        connection: Some(row.connection),
        segments: &row.segments,
    });
    let keys = OfferKeys::new(row.advertiser, row.campaign, row.line_item, row.creative);
    crosses.fill(&context, &OfferFacts { keys, frequency: Some(row.frequency), recency_s: Some(90) });
    (context, crosses)
}

pub(super) fn row_features(row: &LoggedImpression) -> Vec<u32> {
    let (context, crosses) = features(row);
    [context.features(), crosses.features()].concat()
}

/// A log in which three of a hundred are clicked or more.
pub(super) fn log(seed: u64, base_logit: f64) -> ClickLog {
    ClickLog::new(ClickLogOptions {
        seed,
        base_logit,
        rows_per_day: 10_000,
        sites: 100,
        campaigns: 20,
        ..ClickLogOptions::default()
    })
}

/// A trainer with small tables.
pub(super) fn options() -> TrainerOptions {
    let learner = LearnerOptions { bits: 14, ..LearnerOptions::default() };
    TrainerOptions {
        click: learner,
        conversion: LearnerOptions { bits: 12, ..learner },
        calibration_events: 20_000,
        guard_events: 5_000,
        ..TrainerOptions::default()
    }
}

/// What happens, in the order of time.
#[derive(Clone, Debug)]
pub(super) enum Happened {
    Impression(Box<LoggedImpression>),
    Click(LoggedImpression),
    Conversion(LoggedImpression),
}

/// Everything that follows from so many impressions.
pub(super) fn events(log: ClickLog, rows: usize) -> Vec<(i64, Happened)> {
    let mut events = Vec::new();
    for row in log.take(rows) {
        let mut at_ms = row.at_ms;
        events.push((at_ms, Happened::Impression(Box::new(row.clone()))));
        if let Some(after_ms) = row.clicked_after_ms {
            at_ms += after_ms;
            events.push((at_ms, Happened::Click(row.clone())));
            if let Some(after_ms) = row.converted_after_ms {
                events.push((at_ms + after_ms, Happened::Conversion(row)));
            }
        }
    }
    events.sort_by_key(|(at_ms, _)| *at_ms);
    events
}

/// Tells a trainer.
pub(super) fn tell(trainer: &mut Trainer, events: &[(i64, Happened)]) {
    for (at_ms, what) in events {
        match what {
            Happened::Impression(row) => {
                trainer.impression(row.bid, *at_ms, row.campaign, row_features(row));
            }
            Happened::Click(row) => trainer.click(row.bid, *at_ms),
            Happened::Conversion(row) => trainer.conversion(row.bid, *at_ms),
        }
    }
}
