//! A look at the books, the gates and the kill switches in place of holds.

use crate::budget::{
    AccountKey, BudgetDay, GateState, Granted, HoldRequest, HoldSource, Ledger, Standing, Stop,
};
use crate::engine::catalog::Catalog;
use crate::model::ids::{LeaseId, LineItemId};
use crate::model::money::Nanos;
use crate::model::no_bid::NoBidReason;
use crate::model::token::Bucket;
use std::collections::{BTreeMap, BTreeSet};

/// What stands in the way of a hold: the aspect of its reason, and the values compared.
pub(super) type Refused = (&'static str, String);

/// It remembers what this one request would hold, so that two of its bids are not both explained with the same last money.
/// Probes of an exchange and its first trust are looked at and not used up.
pub(super) struct Peek<'l> {
    ledger: &'l Ledger,
    catalog: &'l Catalog,
    stops: Option<BTreeSet<Stop>>,
    taken: BTreeMap<AccountKey, i64>,
    taken_units: i64,
    refused: BTreeMap<LineItemId, Refused>,
}

impl<'l> Peek<'l> {
    pub(super) fn new(ledger: &'l Ledger, catalog: &'l Catalog) -> Peek<'l> {
        Peek {
            ledger,
            catalog,
            stops: None,
            taken: BTreeMap::new(),
            taken_units: 0,
            refused: BTreeMap::new(),
        }
    }

    /// Why a line item's money could not be held, the last time that it was asked for.
    pub(super) fn refused(&self, line_item: LineItemId) -> Option<&Refused> {
        self.refused.get(&line_item)
    }

    fn look(&mut self, request: &HoldRequest) -> Result<Standing, (NoBidReason, Refused)> {
        let none = || (NoBidReason::Budget, ("", "it has no budget that serves yet".to_owned()));
        let standing = self.ledger.standing(request.line_item, request.now).ok_or_else(none)?;
        self.stopped(request.line_item)?;
        self.gate(request)?;
        let left = |(key, room): &(AccountKey, Nanos)| {
            room.0.saturating_sub(self.taken.get(key).copied().unwrap_or(0))
        };
        let least = standing.room.iter().min_by_key(|place| left(place));
        match least.filter(|place| request.amount.0 < 1 || left(place) < request.amount.0) {
            None => Ok(standing),
            Some(place) => {
                let (aspect, whose) = whose(place.0);
                let detail =
                    format!("a bid takes {}, and {whose} has {} left", request.amount, Nanos(left(place)));
                Err((NoBidReason::Budget, (aspect, detail)))
            }
        }
    }

    /// Kill switches, which line items are told of by their leases.
    fn stopped(&mut self, line_item: LineItemId) -> Result<(), (NoBidReason, Refused)> {
        let catalog = self.catalog;
        let stops = self.stops();
        if stops.is_empty() {
            return Ok(());
        }
        let line = catalog.line_item_ix(line_item).map(|ix| catalog.line_item(ix));
        let advertiser = line.map(|line| catalog.advertisers()[line.advertiser].id);
        let scopes = [
            advertiser.map(|id| (Stop::Advertiser(id), format!("advertiser {id}"))),
            line.map(|line| (Stop::Campaign(line.campaign_id), format!("campaign {}", line.campaign_id))),
        ];
        let thrown = scopes.into_iter().flatten().find(|(stop, _)| stops.contains(stop));
        thrown.map_or(Ok(()), |(_, what)| {
            Err((NoBidReason::Inactive, ("stopped", format!("{what} is stopped by a kill switch"))))
        })
    }

    /// Looked at once.
    fn stops(&mut self) -> &BTreeSet<Stop> {
        let ledger = self.ledger;
        self.stops.get_or_insert_with(|| ledger.stops())
    }

    fn gate(&mut self, request: &HoldRequest) -> Result<(), (NoBidReason, Refused)> {
        let gate = self.ledger.gates().gate(request.exchange);
        let refused = |aspect, detail: String| Err((NoBidReason::Breaker, (aspect, detail)));
        match gate.state() {
            GateState::Stopped => {
                let all = self.stops().contains(&Stop::All);
                let what = if all { "everything" } else { "the exchange" };
                return refused("stopped", format!("{what} is stopped by a kill switch"));
            }
            GateState::Probing => {
                let detail = "the exchange's breaker has tripped: it gets one bid in a hundred, or one a second, until \
                              its notices come again";
                return refused("probing", detail.to_owned());
            }
            GateState::Open => {}
        }
        let units = request.units();
        match gate.trial_left().map(|left| left.saturating_sub(self.taken_units)) {
            Some(left) if left < units => refused(
                "trust",
                format!(
                    "the exchange has never billed; of what it is trusted with until then {} is left, and a bid takes {} \
                     of its currency",
                    Nanos(left),
                    Nanos(units)
                ),
            ),
            _ => Ok(()),
        }
    }
}

fn whose(key: AccountKey) -> (&'static str, String) {
    match key {
        AccountKey::Wallet(id) => ("wallet", format!("the wallet of advertiser {id}")),
        AccountKey::CampaignTotal(id) => ("campaign", format!("the lifetime budget of campaign {id}")),
        AccountKey::CampaignDay(id, _) => ("campaign_today", format!("today's budget of campaign {id}")),
        AccountKey::LineItemTotal(_) => ("line_item", "its lifetime budget".to_owned()),
        AccountKey::LineItemDay(..) => ("line_item_today", "its budget of today".to_owned()),
    }
}

impl HoldSource for Peek<'_> {
    type Hold = ();
    const MOVES: bool = false;

    fn try_hold(&mut self, request: &HoldRequest) -> Result<Granted<()>, NoBidReason> {
        let amount = request.amount.0;
        match self.look(request) {
            Ok(standing) => {
                standing.room.iter().for_each(|(key, _)| *self.taken.entry(*key).or_default() += amount);
                self.taken_units = self.taken_units.saturating_add(request.units());
                Ok(Granted { hold: (), lease: LeaseId(0), day: BudgetDay(0), bucket: Bucket::default() })
            }
            Err((reason, why)) => {
                self.refused.insert(request.line_item, why);
                Err(reason)
            }
        }
    }
}
