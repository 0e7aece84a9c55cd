//! The books: accounts, leases, and what notices do to them. One lock; a core takes it only when its lease runs dry.

use super::accounts::{AccountKey, Accounts, Balance};
use super::charge::{Bill, Terms, hold_for};
use super::days::{BudgetDay, Days};
use super::lease::{Hold, HoldRequest, Lease};
use super::seen::{Seen, SeenBids};
use crate::model::clock::Now;
use crate::model::ids::{AdvertiserId, BidId, CampaignId, ExchangeId, LeaseId, LineItemId};
use crate::model::line_item::Budget;
use crate::model::money::Nanos;
use crate::model::token::TokenClaims;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// How old a notice may be before it is stale (money.md 2.4: T_token), in seconds.
const TOKEN_LIFE_S: i64 = 4 * 3_600;
/// A lease is topped up by at least this many holds, if the accounts allow.
const HOLDS_PER_GRANT: i64 = 64;

/// Where a line item's money comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Funding {
    /// The line item.
    pub line_item: LineItemId,
    /// Its budget.
    pub line_item_budget: Budget,
    /// Its campaign.
    pub campaign: CampaignId,
    /// The campaign's budget.
    pub campaign_budget: Budget,
    /// Its advertiser.
    pub advertiser: AdvertiserId,
    /// The money in the wallet.
    pub wallet: Nanos,
    /// The advertiser's time zone.
    pub time_zone: String,
}

/// What a billing notice did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Posting {
    /// Charged; what the hold had more went back.
    Accepted {
        /// The charge.
        charged: Nanos,
    },
    /// The hold was gone: charged if every account had room, else borne by the house.
    Late {
        /// The charge to the campaign.
        charged: Nanos,
        /// What the house bears.
        house: Nanos,
    },
    /// This bid was charged before; nothing moved.
    Duplicate,
    /// Older than a token may be; nothing moved but a memo of the house.
    Stale,
    /// A test bid; nothing moved.
    Test,
}

/// What a loss notice did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Resolution {
    /// The hold went back.
    Voided,
    /// Told before, or expired before; nothing moved.
    Duplicate,
    /// The bid was charged already: contradictory, nothing moved.
    Contradictory,
    /// A test bid or a stale one; nothing moved.
    Ignored,
}

/// What the house bears, in nanos of each wallet's own currency.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct HouseTotals {
    /// Bills that no account had room for.
    pub overdelivery: Nanos,
    /// What exceeded the hold.
    pub overprice: Nanos,
    /// Bills that came too late to be charged.
    pub stale: Nanos,
}

/// Whether a line item could set money aside, without moving any.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Standing {
    /// Each of its accounts with what a bid could still hold of it: the budget less what is posted and what open bids
    /// hold, wherever the rest is leased to. `i64::MAX` = no limit at this level; negative only after a cut.
    pub room: [(AccountKey, Nanos); 5],
}

/// One lease as the books and its own counters show it. While no core holds or releases at the same moment,
/// `granted − returned − posted = free + held` (I2), and over all leases of an account that sum is what the account
/// shows as leased (I3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LeaseAudit {
    /// The lease.
    pub lease: LeaseId,
    /// Wallet, campaign total and day, line item total and day.
    pub accounts: [AccountKey; 5],
    /// Moved out of the accounts into the lease.
    pub granted: Nanos,
    /// Moved back.
    pub returned: Nanos,
    /// Charged out of the lease.
    pub posted: Nanos,
    /// Ready for the next bid.
    pub free: Nanos,
    /// Held by open bids.
    pub held: Nanos,
}

/// See the module.
#[derive(Debug)]
pub struct Ledger {
    inner: Mutex<Inner>,
    epoch: u32,
    cores: u16,
}

#[derive(Debug, Default)]
struct Inner {
    accounts: Accounts,
    funding: HashMap<LineItemId, Funding>,
    leases: BTreeMap<LeaseId, LeaseBook>,
    days: Days,
    seen: SeenBids,
    house: HouseTotals,
    opened: u32,
}

/// The ledger's side of a lease. I2: granted ≥ returned + posted.
#[derive(Debug)]
struct LeaseBook {
    lease: Arc<Lease>,
    line_item: LineItemId,
    keys: [AccountKey; 5],
    granted: i64,
    returned: i64,
    posted: i64,
}

impl LeaseBook {
    fn check(&self) {
        if self.outstanding() < 0 {
            super::broken("I2 lease", &format!("{self:?}"));
        }
    }

    /// Neither returned nor posted: free or held.
    fn outstanding(&self) -> i64 {
        self.granted - self.returned - self.posted
    }
}

impl Ledger {
    /// Empty books of boot `epoch`, to be shared by `cores` serving cores.
    pub fn new(epoch: u32, cores: u16) -> Ledger {
        Ledger { inner: Mutex::default(), epoch, cores: cores.max(1) }
    }

    /// Sets or changes budgets, those of the days under way included; what is posted and held stays. After a cut
    /// everything that leases of the account have ready comes back at once, so that no core bids on out of the old
    /// budget; a cut below what is spent and held only stops new grants.
    pub fn configure(&self, funding: impl IntoIterator<Item = Funding>) {
        let inner = &mut *self.inner.lock();
        let mut cut: HashSet<AccountKey> = HashSet::new();
        for line in funding {
            let totals = [
                (AccountKey::Wallet(line.advertiser), Some(line.wallet)),
                (AccountKey::CampaignTotal(line.campaign), line.campaign_budget.lifetime),
                (AccountKey::LineItemTotal(line.line_item), line.line_item_budget.lifetime),
            ];
            let accounts = &mut inner.accounts;
            cut.extend(totals.into_iter().filter_map(|(key, b)| accounts.set_budget(key, b).then_some(key)));
            inner.days.set_zone(line.advertiser, &line.time_zone);
            inner.funding.insert(line.line_item, line);
        }
        for book in inner.leases.values() {
            let Some(funding) = inner.funding.get(&book.line_item) else { continue };
            let (accounts, day) = (&mut inner.accounts, book.lease.day);
            let days = [
                (AccountKey::CampaignDay(funding.campaign, day), funding.campaign_budget.daily),
                (AccountKey::LineItemDay(book.line_item, day), funding.line_item_budget.daily),
            ];
            cut.extend(days.into_iter().filter_map(|(key, b)| accounts.set_budget(key, b).then_some(key)));
        }
        let accounts = &mut inner.accounts;
        let is_cut = |book: &LeaseBook| book.keys.iter().any(|key| cut.contains(key));
        for book in inner.leases.values_mut().filter(|book| is_cut(book)) {
            book.lease.suspend(true);
            recall(book, accounts);
        }
        // What is held above a budget may still be charged, but what of it comes back is gone (money.md 2.7).
        for book in inner.leases.values().filter(|book| is_cut(book)) {
            book.lease.suspend(accounts.available(&book.keys) < 0);
        }
    }

    /// The boot epoch that new leases and bids carry.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Every account with a budget or a movement.
    pub fn balances(&self) -> Vec<(AccountKey, Balance)> {
        let mut all: Vec<_> = self.inner.lock().accounts.all().collect();
        all.sort_by_key(|(key, _)| *key);
        all
    }

    /// One account.
    pub fn balance(&self, key: AccountKey) -> Balance {
        self.inner.lock().accounts.balance(key)
    }

    /// What the house bears.
    pub fn house(&self) -> HouseTotals {
        self.inner.lock().house
    }

    /// What a line item could still set aside; `None` when it has no funding.
    pub fn standing(&self, line_item: LineItemId, now: Now) -> Option<Standing> {
        let inner = &mut *self.inner.lock();
        let (keys, _) = inner.keys(line_item, now)?;
        let free = inner.free(&keys);
        let room = std::array::from_fn(|at| {
            let available = inner.accounts.balance(keys[at]).available();
            let room = available.map_or(i128::from(i64::MAX), |available| available + free[at]);
            (keys[at], Nanos(room.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64))
        });
        Some(Standing { room })
    }

    /// Every lease, for audits and tests.
    pub fn audit(&self) -> Vec<LeaseAudit> {
        let audit = |book: &LeaseBook| LeaseAudit {
            lease: book.lease.id,
            accounts: book.keys,
            granted: Nanos(book.granted),
            returned: Nanos(book.returned),
            posted: Nanos(book.posted),
            free: Nanos(book.lease.free()),
            held: Nanos(book.lease.held()),
        };
        self.inner.lock().leases.values().map(audit).collect()
    }

    /// Charges a bill, at most the hold.
    pub fn post(&self, claims: &TokenClaims, bill: Bill, now: Now) -> Posting {
        if claims.test {
            return Posting::Test;
        }
        let inner = &mut *self.inner.lock();
        let terms = Terms::of(claims);
        let Some(hold) = hold_for(claims.price, &terms) else {
            // Only a forged token could overflow, and a forged token does not verify.
            return Posting::Stale;
        };
        if inner.seen.has(claims.bid, Seen::Posted) {
            return Posting::Duplicate;
        }
        let asked = bill.asked(&terms);
        if inner.seen.is_stale(claims.bid) || now.unix_s() - i64::from(claims.issued_s) > TOKEN_LIFE_S {
            inner.house.stale.0 = inner.house.stale.0.saturating_add(asked.0.min(hold.0));
            return Posting::Stale;
        }
        let voided = inner.seen.has(claims.bid, Seen::Voided);
        inner.seen.record(claims.bid, claims.issued_s, Seen::Posted);
        let charged = Nanos(asked.0.min(hold.0));
        inner.house.overprice.0 = inner.house.overprice.0.saturating_add(asked.0 - charged.0);
        if !voided && inner.post_from_lease(claims, hold, charged) {
            return Posting::Accepted { charged };
        }
        inner.post_late(claims, charged)
    }

    /// Gives back the hold of a bid that lost.
    pub fn void(&self, claims: &TokenClaims) -> Resolution {
        let inner = &mut *self.inner.lock();
        if claims.test || inner.seen.is_stale(claims.bid) {
            return Resolution::Ignored;
        }
        if inner.seen.has(claims.bid, Seen::Posted) {
            return Resolution::Contradictory;
        }
        if !inner.seen.record(claims.bid, claims.issued_s, Seen::Voided) {
            return Resolution::Duplicate;
        }
        let Some(hold) = hold_for(claims.price, &Terms::of(claims)) else { return Resolution::Ignored };
        match inner.leases.get(&claims.lease) {
            Some(book) if book.lease.take_held(hold.0, claims.bucket) => {
                book.lease.add_free(hold.0);
                Resolution::Voided
            }
            _ => Resolution::Duplicate,
        }
    }

    /// Records that an event of the bid was seen; returns whether it is new and may count.
    pub fn witness(&self, bid: BidId, issued_s: u32, fact: Seen) -> bool {
        let inner = &mut *self.inner.lock();
        !inner.seen.is_stale(bid) && inner.seen.record(bid, issued_s, fact)
    }

    /// The periodic work: expires holds, empties leases of past days, forgets bids older than a token may be.
    /// Returns how many slots with money in them expired.
    pub fn tick(&self, now: Now) -> u64 {
        let inner = &mut *self.inner.lock();
        let now_s = (now.mono_ns / 1_000_000_000) as u32;
        let expired = inner.leases.values().map(|book| book.lease.expire(now_s)).sum();
        let accounts = &mut inner.accounts;
        inner.leases.retain(|_, book| {
            if book.lease.is_closed() || book.lease.is_suspended() {
                recall(book, accounts);
            }
            !(book.lease.is_closed() && book.outstanding() == 0)
        });
        let oldest = (now.unix_s() - TOKEN_LIFE_S).clamp(0, i64::from(u32::MAX)) as u32;
        inner.seen.drop_before(oldest);
        expired
    }

    /// What open bids hold, by exchange.
    pub fn held_by_exchange(&self) -> BTreeMap<ExchangeId, Nanos> {
        let mut sums: BTreeMap<ExchangeId, Nanos> = BTreeMap::new();
        for book in self.inner.lock().leases.values() {
            book.lease.held_by_bucket(|bucket, held| sums.entry(bucket.exchange()).or_default().0 += held);
        }
        sums
    }

    /// Opens a lease of today for one core, or finds that the line item has no funding.
    pub(super) fn open(&self, core: u16, line_item: LineItemId, now: Now) -> Option<Arc<Lease>> {
        let inner = &mut *self.inner.lock();
        let (keys, day) = inner.keys(line_item, now)?;
        inner.opened += 1;
        let id = LeaseId(u64::from(self.epoch) << 32 | u64::from(inner.opened));
        let lease = Arc::new(Lease::new(id, day));
        let kept = Arc::clone(&lease);
        let book = LeaseBook { lease: kept, line_item, keys, granted: 0, returned: 0, posted: 0 };
        inner.leases.insert(id, book);
        tracing::debug!(core, %line_item, lease = %id, "lease opened");
        Some(lease)
    }

    /// The line item's budget day at `now`; `None` when it has no funding.
    pub(super) fn day(&self, line_item: LineItemId, now: Now) -> Option<BudgetDay> {
        let inner = &mut *self.inner.lock();
        inner.keys(line_item, now).map(|(_, day)| day)
    }

    /// Holds `request.amount` out of the accounts and tops the lease up beyond it; `None` when they do not allow it.
    pub(super) fn grant(&self, lease: &Arc<Lease>, request: &HoldRequest) -> Option<Hold> {
        let inner = &mut *self.inner.lock();
        let need = request.amount.0;
        let book = inner.leases.get_mut(&lease.id)?;
        let keys = book.keys;
        if lease.is_suspended() {
            recall(book, &mut inner.accounts);
        }
        if !inner.make_room(&keys, need) {
            return None;
        }
        lease.suspend(false);
        let cap = inner.accounts.available(&keys) / (2 * i64::from(self.cores));
        let amount = need.saturating_mul(HOLDS_PER_GRANT).min(cap).max(need);
        if !inner.accounts.grant(&keys, Nanos(amount)) {
            return None;
        }
        let book = inner.leases.get_mut(&lease.id)?;
        book.granted += amount;
        lease.add_free(amount - need);
        Some(Hold::granted(lease, need, request.bucket))
    }
}

/// Takes back what is free of a lease.
fn recall(book: &mut LeaseBook, accounts: &mut Accounts) {
    let free = book.lease.take_free();
    book.returned += free;
    accounts.give_back(&book.keys, Nanos(free));
    book.check();
}

impl Inner {
    /// The five accounts of a line item today.
    fn keys(&mut self, line_item: LineItemId, now: Now) -> Option<([AccountKey; 5], BudgetDay)> {
        let advertiser = self.funding.get(&line_item)?.advertiser;
        let day = self.days.day(advertiser, now);
        Some((self.keys_on(line_item, day)?, day))
    }

    /// The five accounts of a line item on a day, with the daily budgets in force: also a day that no lease of this
    /// process was opened on has its limit.
    fn keys_on(&mut self, line_item: LineItemId, day: BudgetDay) -> Option<[AccountKey; 5]> {
        let funding = self.funding.get(&line_item)?;
        let keys = [
            AccountKey::Wallet(funding.advertiser),
            AccountKey::CampaignTotal(funding.campaign),
            AccountKey::CampaignDay(funding.campaign, day),
            AccountKey::LineItemTotal(line_item),
            AccountKey::LineItemDay(line_item, day),
        ];
        self.accounts.set_budget(keys[2], funding.campaign_budget.daily);
        self.accounts.set_budget(keys[4], funding.line_item_budget.daily);
        Some(keys)
    }

    /// What the leases of each account have ready.
    fn free(&self, keys: &[AccountKey; 5]) -> [i128; 5] {
        let mut free = [0; 5];
        // The accounts are one branch of the tree under the wallet.
        for book in self.leases.values().filter(|book| book.keys[0] == keys[0]) {
            let ready = i128::from(book.lease.free());
            for (sum, key) in free.iter_mut().zip(keys) {
                *sum += if book.keys.contains(key) { ready } else { 0 };
            }
        }
        free
    }

    /// Sees to it that the accounts have `need` available, if need be by taking back what others have more than they
    /// use; takes nothing back where that would not be enough (money.md 2.2).
    fn make_room(&mut self, keys: &[AccountKey; 5], need: i64) -> bool {
        if self.accounts.available(keys) >= need {
            return true;
        }
        let free = self.free(keys);
        let available = keys.map(|key| self.accounts.balance(key).available());
        let lacks = |available: Option<i128>| available.is_some_and(|a| a < i128::from(need));
        if available.iter().zip(free).any(|(a, free)| lacks(a.map(|a| a + free))) {
            return false;
        }
        let is_tight = |key: &AccountKey| keys.iter().zip(available).any(|(k, a)| k == key && lacks(a));
        for book in self.leases.values_mut().filter(|book| book.keys.iter().any(is_tight)) {
            recall(book, &mut self.accounts);
        }
        self.accounts.available(keys) >= need
    }

    /// Charges out of the hold, if it is still there; what the hold had more is free again.
    fn post_from_lease(&mut self, claims: &TokenClaims, hold: Nanos, charged: Nanos) -> bool {
        let Some(book) = self.leases.get_mut(&claims.lease) else { return false };
        if !book.lease.take_held(hold.0, claims.bucket) {
            return false;
        }
        book.posted += charged.0;
        self.accounts.post(&book.keys, charged);
        book.lease.add_free(hold.0 - charged.0);
        book.check();
        true
    }

    /// Charges a bill whose hold is gone, if every account has room.
    fn post_late(&mut self, claims: &TokenClaims, charged: Nanos) -> Posting {
        let keys = self.keys_on(claims.line_item, BudgetDay(claims.budget_day));
        if let Some(keys) = keys
            && self.make_room(&keys, charged.0)
            && self.accounts.grant(&keys, charged)
        {
            self.accounts.post(&keys, charged);
            return Posting::Late { charged, house: Nanos(0) };
        }
        self.house.overdelivery.0 = self.house.overdelivery.0.saturating_add(charged.0);
        Posting::Late { charged: Nanos(0), house: charged }
    }
}
