//! Whether something that is active really serves, and what to do where it does not.
//!
//! It says what configuration and books show: statuses, flights, what budgets have left for one bid, creatives that may
//! be shown, exchanges that may be bid on, targeting that nothing can meet. All rows of an answer are looked at together,
//! with one question to the books.
//!
//! Deliberately absent: what only requests show, such as floors above the bid or a segment without users among others
//! that have some: nothing counts the users of one segment.

use super::explain::Explained;
use super::state::Inner;
use crate::budget::{Purse, Spending, Standing, Stop, Terms, hold_for};
use crate::funnel::{
    Alert, FunnelError, PacingHealth, Span, Step, Vitals, Way, Whose, line_item_alerts, pacing_health,
};
use crate::model::creative::{Approval, Approvals, Creative};
use crate::model::exchange::ExchangeProfile;
use crate::model::ids::{AdvertiserId, CampaignId, LineItemId};
use crate::model::line_item::{Advertiser, Budget, Flight, LineItem, Multipliers, Predicts};
use crate::model::list::{ListKind, ListUse};
use crate::model::money::{Cpm, Nanos, PPM};
use crate::model::rates::Rate;
use crate::model::sample::SampledRequest;
use crate::model::targeting::{HourMask, Targeting};
use crate::samples::{self, Query};
use crate::serve::forecast::{Asked, NotForecast, Told};
use crate::serve::{Hour, NotExplained};
use crate::store::account_file::Editor;
use crate::store::control::{Kind, Row, Status};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Every effective status.
pub(super) const EFFECTIVE: [&str; 12] = [
    "serving",
    "draft",
    "paused",
    "archived",
    "paused_parent",
    "scheduled",
    "ended",
    "no_budget",
    "no_creative",
    "not_approved",
    "no_audience",
    "error",
];

/// Exchanges, lists or creatives that one reason names.
const NAMED: usize = 5;

/// What serves, as far as the status looks at it.
pub trait Serving: Send + Sync {
    /// What became of accounts' money, in the order of `asked`; `None` where nobody serves.
    fn spending(&self, asked: Vec<(AdvertiserId, Purse)>) -> Option<Vec<Spending>>;

    /// The kill switches that are thrown.
    fn stops(&self) -> BTreeSet<Stop>;

    /// Whether any user is in any segment; `None` where that is not known.
    fn has_audience(&self) -> Option<bool>;

    /// What would become of a request of the exchange with this name, or why that cannot be said; nothing where nobody serves. See [`crate::serve::Shared::explain`].
    fn explain(
        &self,
        _exchange: &str,
        _request: &[u8],
        _knows_people: bool,
        _wanted: &dyn Fn(LineItemId) -> bool,
    ) -> Result<Explained, NotExplained> {
        Ok(Explained::default())
    }

    /// The same of a request of the sample, see [`crate::serve::Shared::explain_sampled`].
    fn explain_sampled(
        &self,
        _sampled: &SampledRequest,
        _knows_people: bool,
        _wanted: &dyn Fn(LineItemId) -> bool,
    ) -> Result<Explained, NotExplained> {
        Ok(Explained::default())
    }

    /// The sampled requests that are looked for; none where nobody serves.
    fn samples(&self, _query: &Query) -> samples::Found {
        samples::Found::default()
    }

    /// What is left of the budgets that a line item spends from; `None` where nobody serves, or it has none.
    fn standing(&self, _line_item: LineItemId) -> Option<Standing> {
        None
    }

    /// What a day of a line item would bring, see [`crate::serve::Shared::forecast`]; `None` where nobody serves.
    fn forecast(&self, _asked: Asked) -> Result<Option<Told>, NotForecast> {
        Ok(None)
    }

    /// How far requests got, in spans of a time, see [`crate::serve::Shared::funnel`]; none where nobody serves.
    fn funnel(&self, _step: Step, _time: (i64, i64), _whose: Whose) -> Result<Vec<Span>, FunnelError> {
        Ok(Vec::new())
    }

    /// What health is judged by, see [`crate::serve::Shared::health`]; `None` where nobody serves.
    fn health(&self) -> Option<Arc<Hour>> {
        None
    }
}

/// Nobody.
impl Serving for () {
    fn spending(&self, _: Vec<(AdvertiserId, Purse)>) -> Option<Vec<Spending>> {
        None
    }

    fn stops(&self) -> BTreeSet<Stop> {
        BTreeSet::new()
    }

    fn has_audience(&self) -> Option<bool> {
        None
    }
}

/// Whether what is of this kind has an effective status.
pub(super) fn has_any(kind: Kind) -> bool {
    matches!(kind, Kind::Advertiser | Kind::Campaign | Kind::LineItem | Kind::Creative)
}

/// Everything that the statuses of some rows rest on, at one moment.
pub(super) struct Look<'e> {
    editor: &'e Editor,
    now_ms: i64,
    spending: BTreeMap<(AdvertiserId, Purse), Spending>,
    stops: BTreeSet<Stop>,
    has_audience: Option<bool>,
    /// Where a line item is looked at.
    hour: Option<Arc<Hour>>,
}

impl<'e> Look<'e> {
    pub(super) fn at(inner: &Inner, editor: &'e Editor, rows: &[Row]) -> Look<'e> {
        let mut asked = BTreeSet::new();
        let (mut wants_audience, mut wants_health) = (false, false);
        for row in rows {
            match row.kind {
                Kind::Advertiser => drop(asked.insert((AdvertiserId(row.id), Purse::Wallet))),
                Kind::Campaign => ask(editor, row.id, &mut asked),
                Kind::LineItem => {
                    let Some(item) = editor.line_item(row.id) else { continue };
                    ask(editor, item.campaign.0, &mut asked);
                    if let Some(campaign) = editor.campaign(item.campaign.0) {
                        let own = [Purse::LineItem(item.id), Purse::LineItemToday(item.id)];
                        asked.extend(own.map(|purse| (campaign.advertiser, purse)));
                    }
                    wants_audience |= item.targeting.segments.needs_user();
                    wants_health = true;
                }
                _ => {}
            }
        }
        let asked: Vec<(AdvertiserId, Purse)> = asked.into_iter().collect();
        let is_asked = !asked.is_empty();
        let known = if is_asked { inner.serving.spending(asked.clone()) } else { None };
        Look {
            editor,
            now_ms: inner.clock.now().unix_ms,
            spending: asked.into_iter().zip(known.into_iter().flatten()).collect(),
            stops: if is_asked { inner.serving.stops() } else { BTreeSet::new() },
            has_audience: if wants_audience { inner.serving.has_audience() } else { None },
            hour: if wants_health { inner.serving.health() } else { None },
        }
    }

    /// How a line item does, and what is wrong with it; `status` is what [`Look::of`] says.
    pub(super) fn health(
        &self,
        id: u32,
        status: &(&'static str, Vec<String>),
    ) -> Option<(PacingHealth, Vec<Alert>)> {
        let item = self.editor.line_item(id)?;
        let (hour, none) = (self.hour.as_ref(), Way::default());
        let purses = [
            Purse::LineItem(item.id),
            Purse::LineItemToday(item.id),
            Purse::Campaign(item.campaign),
            Purse::CampaignToday(item.campaign),
        ];
        let known = purses.iter().filter_map(|purse| hour?.progress.get(purse)).copied();
        let planned = known.filter(|progress| progress.planned.0 > 0);
        let vitals = Vitals {
            status: (status.0, status.1.first().map(String::as_str)),
            strategy: item.strategy,
            price: Nanos(item.bid.0),
            progress: planned.min_by_key(|progress| progress.of_plan_permille()),
            way: hour.and_then(|hour| hour.hour.line_items.get(&item.id)).unwrap_or(&none),
            requests: hour.map_or(0, |hour| hour.requests),
            refused: hour.and_then(|hour| hour.refused),
            ended_bids: hour
                .and_then(|hour| hour.ended.line_items.get(&item.id))
                .map_or(0, |way| way.ends.bids()),
        };
        Some((pacing_health(&vitals), line_item_alerts(&vitals)))
    }

    /// The effective status and the reasons behind it, each naming the fix; `None` where the kind has none.
    pub(super) fn of(&self, row: &Row) -> Option<(&'static str, Vec<String>)> {
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
                self.owner(AdvertiserId(row.id), &mut found);
                self.wallet(AdvertiserId(row.id), Nanos(1), &mut found);
            }
            Kind::Campaign => self.campaign(row.id, None, &mut found),
            Kind::LineItem => self.line_item(row.id, &mut found),
            Kind::Creative => {
                let creative = self.editor.creative(row.id);
                if let Some((creative, _)) = creative.filter(|(creative, _)| !creative.approvals.any()) {
                    let state = name_of(creative.approvals.everywhere);
                    let message = format!("its approval is {state}; {}", approval_fix(&[creative]));
                    found.note("not_approved", message);
                }
            }
            _ => {}
        }
        Some((found.status.unwrap_or("serving"), found.reasons))
    }

    fn line_item(&self, id: u32, found: &mut Found) {
        let Some(item) = self.editor.line_item(id) else { return };
        let Some(campaign) = self.editor.campaign(item.campaign.0) else { return };
        let Some(owner) = self.editor.advertiser(campaign.advertiser.0) else { return };
        let least = one_bid(item, owner);
        self.campaign(item.campaign.0, Some(least), found);
        self.flight(item.flight, "its flight", found);
        let purses = (Purse::LineItem(LineItemId(id)), Purse::LineItemToday(LineItemId(id)));
        self.budget(owner, purses, item.budget, ("its", least), found);
        let exchanges = self.exchanges(item, found);
        self.creatives(item, &exchanges, found);
        self.targeting(item, found);
    }

    /// `least` is what one bid of the line item takes that is looked at.
    fn campaign(&self, id: u32, least: Option<Nanos>, found: &mut Found) {
        let Some(campaign) = self.editor.campaign(id) else { return };
        if least.is_some() && !campaign.active {
            found.note("paused_parent", format!("campaign {id} is not active; activate it"));
        }
        if self.stops.contains(&Stop::Campaign(CampaignId(id))) {
            found.note("paused_parent", format!("campaign {id} is stopped by its kill switch; release that"));
        }
        let Some(owner) = self.editor.advertiser(campaign.advertiser.0) else { return };
        if !owner.active {
            found.note("paused_parent", format!("advertiser {} is not active; activate it", owner.id));
        }
        self.owner(owner.id, found);
        let (whose, what) = match least {
            Some(_) => ("its campaign's", "its campaign's flight"),
            None => ("its", "its flight"),
        };
        let least = least.unwrap_or(Nanos(1));
        self.flight(campaign.flight, what, found);
        let purses = (Purse::Campaign(campaign.id), Purse::CampaignToday(campaign.id));
        self.budget(owner, purses, campaign.budget, (whose, least), found);
        self.wallet(owner.id, least, found);
    }

    /// What stops an advertiser as a whole.
    fn owner(&self, id: AdvertiserId, found: &mut Found) {
        if self.editor.is_stopped(id.0) {
            found.note("paused_parent", "the account is paused; the platform can activate it".to_owned());
        }
        if self.stops.contains(&Stop::Advertiser(id)) {
            found.note(
                "paused_parent",
                format!("advertiser {id} is stopped by its kill switch; release that"),
            );
        }
        if self.stops.contains(&Stop::All) {
            let message = "everything is stopped by the platform's kill switch; it can release that";
            found.note("paused_parent", message.to_owned());
        }
    }

    fn wallet(&self, id: AdvertiserId, least: Nanos, found: &mut Found) {
        let Some(advertiser) = self.editor.advertiser(id.0) else { return };
        let (what, fix) = ("the advertiser's wallet", "pay in by POST /v1/transactions");
        self.purse((id, Purse::Wallet), advertiser.wallet, (what, fix, least), found);
    }

    fn budget(
        &self,
        owner: &Advertiser,
        (whole, today): (Purse, Purse),
        Budget { lifetime, daily }: Budget,
        (whose, least): (&str, Nanos),
        found: &mut Found,
    ) {
        if let Some(budget) = lifetime {
            let what = format!("{whose} lifetime budget");
            self.purse((owner.id, whole), budget, (&what, "raise `budget.lifetime`", least), found);
        }
        if let Some(budget) = daily {
            let what = format!("{whose} daily budget");
            let fix =
                format!("raise `budget.daily`, or wait for the next day in {}", owner.time_zone.as_str());
            self.purse((owner.id, today), budget, (&what, &fix, least), found);
        }
    }

    fn purse(
        &self,
        key: (AdvertiserId, Purse),
        budget: Nanos,
        (what, fix, least): (&str, &str, Nanos),
        found: &mut Found,
    ) {
        let Spending { posted, held } = self.spending.get(&key).copied().unwrap_or_default();
        let rest = budget.0.saturating_sub(posted.0);
        if rest.saturating_sub(held.0) >= least.0 {
            return;
        }
        let message = if budget.0 <= 0 {
            format!("{what} is 0; {fix}")
        } else if rest <= 0 {
            format!("{what} of {budget} is spent ({posted}); {fix}")
        } else if rest < least.0 {
            format!("{what} of {budget} has {} left, less than one bid takes ({least}); {fix}", Nanos(rest))
        } else {
            format!(
                "{what} of {budget} is held by open bids ({held}) until they are answered or end; or {fix}"
            )
        };
        found.note("no_budget", message);
    }

    fn flight(&self, flight: Flight, what: &str, found: &mut Found) {
        if flight.end_ms.is_some_and(|end| end <= self.now_ms) {
            found.note("ended", format!("{what} is over; set a later `flight.end_at`"));
        } else if flight.start_ms.is_some_and(|start| start > self.now_ms) {
            let message = format!("{what} begins later; set an earlier `flight.start_at` to serve now");
            found.note("scheduled", message);
        }
    }

    /// The exchanges on which a line item may bid.
    fn exchanges(&self, item: &LineItem, found: &mut Found) -> Vec<&'e ExchangeProfile> {
        let wanted: Vec<(&ExchangeProfile, bool)> = self
            .editor
            .exchanges()
            .filter(|(profile, _)| item.targeting.exchanges.accepts(&profile.id))
            .collect();
        let is_open = |profile: &ExchangeProfile| !self.stops.contains(&Stop::Exchange(profile.id));
        let open: Vec<&ExchangeProfile> = wanted
            .iter()
            .filter(|(profile, serves)| *serves && is_open(profile))
            .map(|(open, _)| *open)
            .collect();
        if open.is_empty() {
            let names = named(wanted.iter().map(|(profile, _)| profile.name.clone()));
            let message = match (wanted.is_empty(), item.targeting.exchanges.is_empty()) {
                (true, true) => "there is no exchange; the platform has to make one".to_owned(),
                (true, false) => "`targeting.exchanges` leaves no exchange; include another one".to_owned(),
                (false, true) => format!("no exchange is active ({names}); the platform can activate one"),
                (false, false) => {
                    format!("no exchange that it targets is active ({names}); activate one, or target others")
                }
            };
            found.note("error", message);
        }
        open
    }

    fn creatives(&self, item: &LineItem, exchanges: &[&ExchangeProfile], found: &mut Found) {
        if item.creatives.is_empty() {
            return found.note("no_creative", "it has no creative; assign one in `creatives`".to_owned());
        }
        let all = item.creatives.iter().filter_map(|assigned| self.editor.creative(assigned.creative.0));
        let active: Vec<&Creative> =
            all.filter(|(_, serves)| *serves).map(|(creative, _)| creative).collect();
        if active.is_empty() {
            let message = "none of its creatives is active; activate one, or assign another in `creatives`";
            return found.note("no_creative", message.to_owned());
        }
        // Where no exchange is left anyway, that alone is said.
        let is_shown = |creative: &&Creative| match exchanges {
            [] => creative.approvals.any(),
            _ => exchanges.iter().any(|exchange| creative.approvals.at(exchange.id)),
        };
        if !active.iter().any(is_shown) {
            let names = named(active.iter().map(|creative| approval(creative, exchanges)));
            let message =
                format!("none of its active creatives is approved ({names}); {}", approval_fix(&active));
            found.note("no_creative", message);
        }
    }

    /// Why nothing of a line item may be shown, where that is so.
    pub(super) fn without_creative(&self, id: u32) -> Option<String> {
        let mut found = Found::default();
        let item = self.editor.line_item(id)?;
        let exchanges = self.exchanges(item, &mut Found::default());
        self.creatives(item, &exchanges, &mut found);
        found.reasons.pop()
    }

    /// What one bid of a line item takes at least.
    pub(super) fn least(&self, id: u32) -> Option<Nanos> {
        let item = self.editor.line_item(id)?;
        let campaign = self.editor.campaign(item.campaign.0)?;
        Some(one_bid(item, self.editor.advertiser(campaign.advertiser.0)?))
    }

    /// What nothing can meet.
    fn targeting(&self, item: &LineItem, found: &mut Found) {
        let targeting = &item.targeting;
        if targeting.daypart.as_ref().is_some_and(|daypart| daypart.hours == HourMask::NONE) {
            let message = "`targeting.dayparts` leaves no hour of the week; include some, or exclude fewer";
            found.note("error", message.to_owned());
        }
        for (kind, own) in OWN {
            let lists: Vec<&ListUse> =
                targeting.lists.iter().filter(|used| used.list.kind == kind && !used.excluded).collect();
            let can_be_met =
                |used: &&ListUse| self.editor.newest(used).is_some_and(|list| !list.values.is_empty());
            if lists.is_empty() || own(targeting) || lists.iter().any(can_be_met) {
                continue;
            }
            let names = named(lists.iter().map(|used| used.list.id.to_string()));
            let message = match kind {
                ListKind::Deal => format!("none of its deals is active ({names}); activate one in /v1/deals"),
                _ => format!("the lists that it includes are empty ({names}); put values on them"),
            };
            found.note("error", message);
        }
        let segments = &targeting.segments;
        if segments.needs_user()
            && self.has_audience == Some(false)
            && !self.editor.is_named_outside(&segments.wanted())
        {
            let message = "it targets segments, and no user is in any; load some by `outbid segment load`, or give them the \
                           names by which requests say them (`external`)";
            found.note("no_audience", message.to_owned());
        }
    }
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

/// Whether a line item includes values of its own, by the kinds of lists that stand beside those.
type Own = fn(&Targeting) -> bool;

const OWN: [(ListKind, Own); 10] = [
    (ListKind::Domain, |targeting| !targeting.domains.include.is_empty()),
    (ListKind::Bundle, |targeting| !targeting.bundles.include.is_empty()),
    (ListKind::Publisher, |targeting| !targeting.publishers.include.is_empty()),
    (ListKind::Region, |targeting| !targeting.regions.include.is_empty()),
    (ListKind::Metro, |targeting| !targeting.metros.include.is_empty()),
    (ListKind::City, |targeting| !targeting.cities.include.is_empty()),
    (ListKind::Zip, |targeting| !targeting.zips.include.is_empty()),
    (ListKind::Keyword, |targeting| !targeting.keywords.include.is_empty()),
    (ListKind::Deal, |targeting| !targeting.deals.include.is_empty()),
    (ListKind::Address, |_| false),
];

/// What the accounts of a campaign and its advertiser are asked for.
fn ask(editor: &Editor, campaign: u32, asked: &mut BTreeSet<(AdvertiserId, Purse)>) {
    let Some(campaign) = editor.campaign(campaign) else { return };
    let purses = [Purse::Wallet, Purse::Campaign(campaign.id), Purse::CampaignToday(campaign.id)];
    asked.extend(purses.map(|purse| (campaign.advertiser, purse)));
}

/// The least that one bid holds: at the smallest price that its multipliers can lead to, without a data fee. On a deal
/// the price may be any, and where an outcome is paid for any that is not below its minimum.
pub(super) fn one_bid(item: &LineItem, owner: &Advertiser) -> Nanos {
    /// What the product of multipliers never falls below.
    const SMALLEST: i64 = PPM / 20;
    if item.targeting.wants_deals() {
        return Nanos(1);
    }
    let factor = if item.multipliers == Multipliers::default() { PPM } else { SMALLEST };
    let price = match item.strategy.predicts() {
        Predicts::Nothing => item.bid.scale_ppm(factor).min(item.max_bid),
        // An outcome may be as unlikely as it likes.
        Predicts::Clicks | Predicts::Conversions => item.min_bid,
    };
    let terms =
        Terms { rate: Rate::ONE, data_fee: Cpm(0), platform_ppm: owner.platform_ppm, multiplier_ppm: PPM };
    hold_for(price, &terms).unwrap_or(Nanos(1)).max(Nanos(1))
}

fn name_of(approval: Approval) -> &'static str {
    match approval {
        Approval::Rejected => "rejected",
        Approval::Pending => "pending",
        Approval::Approved => "approved",
    }
}

/// What was decided about a creative that may not be shown, and on which of the exchanges where not everywhere.
fn approval(creative: &Creative, exchanges: &[&ExchangeProfile]) -> String {
    let Approvals { everywhere, exceptions } = &creative.approvals;
    let own = exceptions.iter().filter(|(_, approval)| *approval != Approval::Approved);
    let own = own.filter_map(|(id, approval)| {
        let exchange = exchanges.iter().find(|exchange| exchange.id == *id)?;
        Some(format!("{} on {}", name_of(*approval), exchange.name))
    });
    let own: Vec<String> = own.collect();
    match (own.is_empty(), everywhere) {
        (false, Approval::Approved) => format!("{} is {}", creative.id, own.join(" and ")),
        _ => format!("{} is {}", creative.id, name_of(*everywhere)),
    }
}

/// What makes one of these creatives fit to be shown.
fn approval_fix(creatives: &[&Creative]) -> &'static str {
    match creatives.iter().all(|creative| creative.approvals.everywhere == Approval::Approved) {
        true => {
            "mend what the exchange rejected it for and submit it there again, then set its entry in `approvals` to approved"
        }
        false => "set `approval` to approved",
    }
}

/// The first names, and how many more there are.
fn named(names: impl ExactSizeIterator<Item = String>) -> String {
    let more = names.len().saturating_sub(NAMED);
    let first: Vec<String> = names.take(NAMED).collect();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", first.join(", "))
}
