//! The audit: the exchange's books against the server's, the account's budgets against both, in integers.
//!
//! Three readings that do not trust each other: what each account of the ledger came to (here), what its records add up
//! to ([`super::records`]), and what the exchange knows. A difference names what it was found at.

use super::books::Bounds;
use super::ledger::{Before, House, Shown};
use crate::exchange::account::Account;
use crate::exchange::money::amount;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Name of the rule.
    pub(crate) rule: &'static str,
    /// What was found where.
    pub(crate) what: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.what)
    }
}

/// The books of a running server, or those of a stopped one as a whole: `least` was read before `shown` was asked for,
/// `most` after it was answered.
pub(crate) fn whole(
    account: &Account,
    before: &Before,
    (least, most): (&BTreeMap<u32, Bounds>, &BTreeMap<u32, Bounds>),
    shown: &Shown,
) -> Vec<Difference> {
    let mut audit = Audit { account, before, differences: Vec::new() };
    audit.sums(least, most, shown);
    audit.budgets(shown);
    audit.tree(shown);
    audit.differences
}

/// An audit under way.
struct Audit<'a> {
    account: &'a Account,
    before: &'a Before,
    differences: Vec<Difference>,
}

impl Audit<'_> {
    fn note(&mut self, rule: &'static str, what: String) {
        self.differences.push(Difference { rule, what });
    }

    /// The inequality of money.md 2.9: what was answered for before `shown` was asked is booked, and nothing is booked
    /// that was not sent by now. Where everything is settled both are the same, and so this is an equality.
    pub(crate) fn sums(
        &mut self,
        least: &BTreeMap<u32, Bounds>,
        most: &BTreeMap<u32, Bounds>,
        shown: &Shown,
    ) {
        let posted = shown.posted("campaign");
        let mut by_advertiser: BTreeMap<u32, Bounds> = BTreeMap::new();
        let mut own: BTreeMap<u32, i128> = BTreeMap::new();
        let campaigns =
            least.keys().chain(most.keys()).chain(posted.keys()).chain(self.before.campaigns.keys());
        let campaigns: BTreeSet<u32> = campaigns.copied().collect();
        for campaign in campaigns {
            let low = least.get(&campaign).copied().unwrap_or_default();
            let high = most.get(&campaign).copied().unwrap_or_default();
            let bounds = Bounds::between(&low, &high);
            let now = posted.get(&campaign).copied().unwrap_or(0);
            let was = self.before.campaigns.get(&campaign).copied().unwrap_or(0);
            let spent = i128::from(now) - i128::from(was);
            if !bounds.charged.has(spent) {
                let range = bounds.charged;
                self.note(
                    "campaign",
                    format!("campaign {campaign} is charged {}, and {range} was billed", amount(spent)),
                );
            }
            let advertiser = self.account.campaigns.get(&campaign).map_or(0, |campaign| campaign.advertiser);
            by_advertiser.entry(advertiser).or_default().join(&bounds);
            *own.entry(advertiser).or_default() += spent;
        }
        let with_house = by_advertiser.keys().chain(shown.house.keys()).copied();
        for advertiser in with_house.collect::<BTreeSet<u32>>() {
            let bounds = by_advertiser.get(&advertiser).copied().unwrap_or_default();
            let spent = own.get(&advertiser).copied().unwrap_or(0);
            self.house(advertiser, &bounds, spent, shown);
        }
    }

    fn house(&mut self, advertiser: u32, bounds: &Bounds, spent: i128, shown: &Shown) {
        let now = shown.house.get(&advertiser).copied().unwrap_or_default();
        let was = self.before.house.get(&advertiser).copied().unwrap_or_default();
        let since = |of: fn(&House) -> i64| i128::from(of(&now)) - i128::from(of(&was));
        let overdelivery = since(|house| house.overdelivery);
        for (name, found, range) in [
            ("house overdelivery", overdelivery, bounds.overdelivery),
            ("house overprice", since(|house| house.overprice), bounds.overprice),
            ("house stale", since(|house| house.stale), bounds.stale),
            ("campaigns and house", spent + overdelivery, bounds.either),
        ] {
            if !range.has(found) {
                let found = amount(found);
                self.note(
                    "house",
                    format!("advertiser {advertiser}: {name}: {found} is booked, and {range} was billed"),
                );
            }
        }
    }

    /// P1: no account above its budget, by the ledger's own word and by the account's.
    fn budgets(&mut self, shown: &Shown) {
        for row in &shown.rows {
            let account = self.account;
            let line_item = || account.line_items.get(&row.id).map(|line_item| line_item.budget);
            let campaign = || account.campaigns.get(&row.id).map(|campaign| campaign.budget);
            let own = match row.kind.as_str() {
                "wallet" => account.advertisers.get(&row.id).map(|advertiser| advertiser.wallet),
                "campaign" => campaign().and_then(|budget| budget.lifetime),
                "campaign_day" => campaign().and_then(|budget| budget.daily),
                "line_item" => line_item().and_then(|budget| budget.lifetime),
                "line_item_day" => line_item().and_then(|budget| budget.daily),
                _ => None,
            };
            let day = row.day.as_deref().unwrap_or("");
            let name = format!("{} {} {day}", row.kind, row.id);
            for budget in [own, row.budget].into_iter().flatten() {
                if row.posted > budget {
                    let (posted, budget) = (amount(row.posted.into()), amount(budget.into()));
                    self.note("budget", format!("P1: {} is charged {posted} of {budget}", name.trim_end()));
                }
            }
            if row.posted < 0 || row.leased < 0 {
                self.note("negative", format!("{} has less than nothing", name.trim_end()));
            }
            if let Some(budget) = row.budget
                && i128::from(row.posted) + i128::from(row.leased) > i128::from(budget)
            {
                let both = amount(i128::from(row.posted) + i128::from(row.leased));
                let budget = amount(budget.into());
                self.note(
                    "leases",
                    format!("I1: {} has {both} charged and leased of {budget}", name.trim_end()),
                );
            }
        }
    }

    /// I4: a wallet's charges are those of its campaigns, a campaign's those of its line items.
    fn tree(&mut self, shown: &Shown) {
        let (campaigns, lines) = (shown.posted("campaign"), shown.posted("line_item"));
        let account = self.account;
        let of_advertiser = |id: &u32| account.campaigns.get(id).map(|campaign| campaign.advertiser);
        let of_campaign = |id: &u32| account.line_items.get(id).map(|line_item| line_item.campaign);
        self.level("wallet", &shown.posted("wallet"), &sums_by(&campaigns, of_advertiser));
        self.level("campaign", &campaigns, &sums_by(&lines, of_campaign));
    }

    fn level(&mut self, kind: &str, above: &BTreeMap<u32, i64>, below: &BTreeMap<u32, i128>) {
        for (id, posted) in above {
            let sum = below.get(id).copied().unwrap_or(0);
            if i128::from(*posted) != sum {
                let posted = amount((*posted).into());
                self.note(
                    "tree",
                    format!("I4: {kind} {id} is charged {posted}, what lies below it {}", amount(sum)),
                );
            }
        }
    }
}

/// Sums by whom each belongs to; what nobody knows is left out.
fn sums_by(amounts: &BTreeMap<u32, i64>, owner: impl Fn(&u32) -> Option<u32>) -> BTreeMap<u32, i128> {
    let mut sums = BTreeMap::new();
    for (id, amount) in amounts {
        if let Some(owner) = owner(id) {
            *sums.entry(owner).or_default() += i128::from(*amount);
        }
    }
    sums
}
