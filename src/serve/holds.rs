//! A core's leases with their refusals counted: the bid path's own no-bid reasons tell only the first reason of an
//! impression, not that another line item won after the dearest one had found its lease empty.

use crate::budget::{CoreBudget, Granted, HoldRequest, HoldSource};
use crate::model::no_bid::NoBidReason;
use crate::telemetry::hot::CoreMetrics;
use std::sync::Arc;

/// See the module.
pub(super) struct CountedHolds {
    inner: CoreBudget,
    metrics: Arc<CoreMetrics>,
}

impl CountedHolds {
    /// The leases of a core, and where it counts.
    pub(super) fn new(inner: CoreBudget, metrics: Arc<CoreMetrics>) -> CountedHolds {
        CountedHolds { inner, metrics }
    }
}

impl HoldSource for CountedHolds {
    type Hold = <CoreBudget as HoldSource>::Hold;

    fn try_hold(&mut self, request: &HoldRequest) -> Result<Granted<Self::Hold>, NoBidReason> {
        let held = self.inner.try_hold(request);
        if matches!(held, Err(NoBidReason::Budget)) {
            self.metrics.refused_holds.inc();
        }
        held
    }
}
