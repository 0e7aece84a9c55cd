//! Whether something that is active really serves, and what to do where it does not.

use super::state::Inner;
use crate::model::line_item::Flight;
use crate::model::money::Nanos;
use crate::store::account_file::Editor;
use crate::store::control::{Kind, Row, Status};

/// Every effective status.
pub(super) const EFFECTIVE: [&str; 9] = [
    "serving",
    "draft",
    "paused",
    "archived",
    "paused_parent",
    "scheduled",
    "ended",
    "no_budget",
    "no_creative",
];

/// Whether what is of this kind has an effective status.
pub(super) fn has_any(kind: Kind) -> bool {
    matches!(kind, Kind::Advertiser | Kind::Campaign | Kind::LineItem | Kind::Creative)
}

/// The effective status and the reasons behind it, each naming the fix; `None` where the kind has none.
pub(super) fn of(inner: &Inner, editor: &Editor, row: &Row) -> Option<(&'static str, Vec<String>)> {
    if !has_any(row.kind) {
        return None;
    }
    let mut found = Found::default();
    match row.status {
        Status::Active => {}
        Status::Draft => found.note("draft", "it is a draft; activate it".to_owned()),
        Status::Paused => found.note("paused", "it is paused; activate it".to_owned()),
        Status::Archived => found.note("archived", "it is archived for good; make a new one".to_owned()),
    }
    match row.kind {
        Kind::Advertiser => {
            if editor.is_stopped(row.id) {
                found.note("paused_parent", "the account is paused; the platform can activate it".to_owned());
            }
            wallet(inner, editor, row.id, &mut found);
        }
        Kind::Campaign => campaign(inner, editor, row.id, false, &mut found),
        Kind::LineItem => line_item(inner, editor, row.id, &mut found),
        _ => {}
    }
    Some((found.status.unwrap_or("serving"), found.reasons))
}

#[derive(Default)]
struct Found {
    /// The first that was met.
    status: Option<&'static str>,
    reasons: Vec<String>,
}

impl Found {
    fn note(&mut self, status: &'static str, reason: String) {
        self.status.get_or_insert(status);
        self.reasons.push(reason);
    }
}

fn line_item(inner: &Inner, editor: &Editor, id: u32, found: &mut Found) {
    let Some(item) = editor.line_item(id) else { return };
    campaign(inner, editor, item.campaign.0, true, found);
    flight(inner, item.flight, "its flight", found);
    spent(inner, Kind::LineItem, id, item.budget.lifetime, "its lifetime budget", found);
    let usable = item
        .creatives
        .iter()
        .filter(|assigned| editor.creative(assigned.creative.0).is_some_and(|(_, serves)| serves));
    if item.creatives.is_empty() {
        found.note("no_creative", "it has no creative; assign one in `creatives`".to_owned());
    } else if usable.count() == 0 {
        found.note("no_creative", "none of its creatives is active; activate one".to_owned());
    }
}

fn campaign(inner: &Inner, editor: &Editor, id: u32, as_parent: bool, found: &mut Found) {
    let Some(campaign) = editor.campaign(id) else { return };
    if as_parent && !campaign.active {
        found.note("paused_parent", format!("campaign {id} is not active; activate it"));
    }
    let owner = campaign.advertiser.0;
    if editor.advertiser(owner).is_some_and(|advertiser| !advertiser.active) {
        found.note("paused_parent", format!("advertiser {owner} is not active; activate it"));
    }
    if editor.is_stopped(owner) {
        found.note("paused_parent", "the account is paused; the platform can activate it".to_owned());
    }
    flight(inner, campaign.flight, if as_parent { "its campaign's flight" } else { "its flight" }, found);
    let what = if as_parent { "its campaign's lifetime budget" } else { "its lifetime budget" };
    spent(inner, Kind::Campaign, id, campaign.budget.lifetime, what, found);
    wallet(inner, editor, owner, found);
}

fn wallet(inner: &Inner, editor: &Editor, id: u32, found: &mut Found) {
    let wallet = editor.advertiser(id).map(|advertiser| advertiser.wallet);
    spent(inner, Kind::Advertiser, id, wallet, "the advertiser's wallet", found);
}

fn flight(inner: &Inner, flight: Flight, what: &str, found: &mut Found) {
    let now_ms = inner.clock.now().unix_ms;
    if flight.end_ms.is_some_and(|end| end <= now_ms) {
        found.note("ended", format!("{what} is over; set a later `flight.end_at`"));
    } else if flight.start_ms.is_some_and(|start| start > now_ms) {
        found
            .note("scheduled", format!("{what} begins later; set an earlier `flight.start_at` to serve now"));
    }
}

fn spent(inner: &Inner, kind: Kind, id: u32, budget: Option<Nanos>, what: &str, found: &mut Found) {
    let Some(budget) = budget else { return };
    let posted = (inner.balances)(kind, id).map_or(Nanos(0), |balance| balance.posted);
    if posted >= budget {
        found.note("no_budget", format!("{what} of {budget} is spent ({posted}); raise it"));
    }
}
