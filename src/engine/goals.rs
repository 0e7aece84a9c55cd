//! The slow loops of line items that pay for outcomes on average: a target of a click's or a conversion's cost, or of the
//! return on what is spent. One for each such line item, whether or not its budget is spread.

use super::catalog::Catalog;
use super::steering::{Told, Won};
use crate::model::ids::LineItemId;
use crate::model::line_item::{LineItem, Strategy};
use crate::model::money::{Cpm, Nanos};
use crate::pricing::pacing::{GoalFacts, GoalLoop, StateError};
use std::collections::BTreeMap;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Goals(BTreeMap<LineItemId, Goal>);

#[derive(Debug)]
struct Goal {
    steered: GoalLoop,
    /// What was asked for when it was looked at last; `None` after a restart. What another target would have allowed is no
    /// news of the market.
    target: Option<(Strategy, Cpm)>,
}

const ENTRY: usize = 4 + GoalLoop::BYTES;

impl Goals {
    /// Takes up what matured, of every line item with a target that serves; forgets those that have none any more.
    pub(super) fn tick(&mut self, told: &Told<'_>) {
        let catalog = told.catalog;
        self.0.retain(|id, _| has_target(catalog, *id));
        let now_ms = told.now.unix_ms;
        let serving =
            catalog.line_items().iter().filter(|line| line.active && line.item.strategy.has_target());
        for item in serving.map(|line| &line.item) {
            let facts = facts(item, (told.won)(item.id));
            let goal = self
                .0
                .entry(item.id)
                .or_insert_with(|| Goal { steered: GoalLoop::new(now_ms), target: None });
            let target = Some((item.strategy, item.bid));
            if goal.target != target {
                goal.target = target;
                goal.steered.resume(&facts);
            }
            goal.steered.tick(now_ms, &facts);
        }
    }

    /// That of a line item.
    pub(super) fn of(&self, id: LineItemId) -> Option<&GoalLoop> {
        self.0.get(&id).map(|goal| &goal.steered)
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let entries = self
            .0
            .iter()
            .flat_map(|(id, goal)| id.0.to_le_bytes().into_iter().chain(goal.steered.to_bytes()));
        entries.collect()
    }

    /// Reads what [`Goals::to_bytes`] wrote.
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Goals, StateError> {
        let (entries, []) = bytes.as_chunks::<ENTRY>() else { return Err(StateError::Damaged) };
        let entry = |entry: &[u8; ENTRY]| {
            let (id, steered) = entry.split_first_chunk::<4>().ok_or(StateError::Damaged)?;
            let goal = Goal { steered: GoalLoop::from_bytes(steered)?, target: None };
            Ok((LineItemId(u32::from_le_bytes(*id)), goal))
        };
        entries.iter().map(entry).collect::<Result<_, _>>().map(Goals)
    }
}

fn has_target(catalog: &Catalog, id: LineItemId) -> bool {
    let line = catalog.line_item_ix(id).map(|ix| catalog.line_item(ix));
    line.is_some_and(|line| line.item.strategy.has_target())
}

fn facts(item: &LineItem, won: Won) -> GoalFacts {
    let outcome = match item.strategy {
        // What one brings is only known from those that came.
        Strategy::TargetRoas => {
            let outcomes = i64::try_from(won.goal_outcomes).unwrap_or(i64::MAX);
            won.goal_allowed.0.checked_div(outcomes).map(|each| Nanos(each.max(1)))
        }
        _ => Some(Nanos(item.bid.0)),
    };
    GoalFacts { spent: won.goal_spent, allowed: won.goal_allowed, outcome }
}
