//! The books: accounts, leases, and what notices do to them. One lock; a core takes it only when its lease runs dry.

use super::accounts::{AccountKey, Accounts, Balance};
use super::charge::{Terms, charge, hold_for};
use super::days::{BudgetDay, Days};
use super::lease::{Hold, HoldRequest, HoldSource, Lease};
use super::seen::{Seen, SeenBids};
use crate::model::clock::Now;
use crate::model::ids::{AdvertiserId, BidId, CampaignId, ExchangeId, LeaseId, LineItemId};
use crate::model::line_item::Budget;
use crate::model::money::{Cpm, Nanos};
use crate::model::no_bid::NoBidReason;
use crate::model::token::TokenClaims;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// How old a notice may be before it is stale (money.md 2.4: T_token), in seconds.
const TOKEN_LIFE_S: i64 = 4 * 3_600;
/// How long a core that was refused waits before it asks again.
const RETRY_NS: u64 = 20_000_000;
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
    /// What its accounts still allow together; `i64::MAX` = no limit.
    pub available: Nanos,
    /// What its leases have ready.
    pub free: Nanos,
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
    advertiser: AdvertiserId,
    keys: [AccountKey; 5],
    granted: i64,
    returned: i64,
    posted: i64,
}

impl LeaseBook {
    fn check(&self) {
        if self.granted < self.returned + self.posted {
            super::broken("I2 lease", &format!("{self:?}"));
        }
    }
}

impl Ledger {
    /// Empty books of boot `epoch`, to be shared by `cores` serving cores.
    pub fn new(epoch: u32, cores: u16) -> Ledger {
        Ledger { inner: Mutex::default(), epoch, cores: cores.max(1) }
    }

    /// Sets or changes budgets; what was leased and posted stays. A cut below what is spent only stops new grants.
    pub fn configure(&self, funding: impl IntoIterator<Item = Funding>) {
        let inner = &mut *self.inner.lock();
        for line in funding {
            let accounts = &mut inner.accounts;
            accounts.set_budget(AccountKey::Wallet(line.advertiser), Some(line.wallet));
            accounts.set_budget(AccountKey::CampaignTotal(line.campaign), line.campaign_budget.lifetime);
            accounts.set_budget(AccountKey::LineItemTotal(line.line_item), line.line_item_budget.lifetime);
            inner.days.set_zone(line.advertiser, &line.time_zone);
            inner.funding.insert(line.line_item, line);
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
        let free = inner.leases.values().filter(|book| book.keys == keys).map(|book| book.lease.free()).sum();
        Some(Standing { available: Nanos(inner.accounts.available(&keys)), free: Nanos(free) })
    }

    /// Charges a bill at `price` (in the bid's currency, as notified).
    pub fn post(&self, claims: &TokenClaims, price: Cpm, now: Now) -> Posting {
        if claims.test {
            return Posting::Test;
        }
        let inner = &mut *self.inner.lock();
        let terms = Terms::of(claims);
        let (Some(hold), Some(asked)) = (hold_for(claims.price, &terms), charge(price, &terms)) else {
            // Only a forged token could overflow, and a forged token does not verify.
            return Posting::Stale;
        };
        if inner.seen.is_stale(claims.bid) || now.unix_s() - i64::from(claims.issued_s) > TOKEN_LIFE_S {
            inner.house.stale.0 = inner.house.stale.0.saturating_add(asked.0.min(hold.0));
            return Posting::Stale;
        }
        let voided = inner.seen.has(claims.bid, Seen::Voided);
        if !inner.seen.record(claims.bid, claims.issued_s, Seen::Posted) {
            return Posting::Duplicate;
        }
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
            if book.lease.is_closed() {
                recall(book, accounts);
            }
            !(book.lease.is_closed() && book.lease.is_empty())
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
    fn open(&self, core: u16, line_item: LineItemId, now: Now) -> Option<Arc<Lease>> {
        let inner = &mut *self.inner.lock();
        let (keys, day) = inner.keys(line_item, now)?;
        let funding = &inner.funding[&line_item];
        inner.accounts.set_budget(keys[2], funding.campaign_budget.daily);
        inner.accounts.set_budget(keys[4], funding.line_item_budget.daily);
        inner.opened += 1;
        let id = LeaseId(u64::from(self.epoch) << 32 | u64::from(inner.opened));
        let lease = Arc::new(Lease::new(id, day));
        let advertiser = funding.advertiser;
        let book =
            LeaseBook { lease: Arc::clone(&lease), advertiser, keys, granted: 0, returned: 0, posted: 0 };
        inner.leases.insert(id, book);
        tracing::debug!(core, %line_item, lease = %id, "lease opened");
        Some(lease)
    }

    /// Tops a lease up so that it has at least `need`; false when the accounts do not allow it.
    fn top_up(&self, lease: &Lease, need: i64) -> bool {
        let inner = &mut *self.inner.lock();
        let Some(book) = inner.leases.get(&lease.id) else { return false };
        let (keys, advertiser) = (book.keys, book.advertiser);
        if inner.accounts.available(&keys) < need {
            // Others may have more than they use: everything free of this advertiser comes back first.
            for book in inner.leases.values_mut().filter(|book| book.advertiser == advertiser) {
                recall(book, &mut inner.accounts);
            }
        }
        let available = inner.accounts.available(&keys);
        let cap = available / (2 * i64::from(self.cores));
        let amount = need.saturating_mul(HOLDS_PER_GRANT).min(cap).max(need);
        let granted = inner.accounts.grant(&keys, Nanos(amount));
        if granted && let Some(book) = inner.leases.get_mut(&lease.id) {
            book.granted += amount;
            book.lease.add_free(amount);
        }
        granted
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

    fn keys_on(&self, line_item: LineItemId, day: BudgetDay) -> Option<[AccountKey; 5]> {
        let funding = self.funding.get(&line_item)?;
        Some([
            AccountKey::Wallet(funding.advertiser),
            AccountKey::CampaignTotal(funding.campaign),
            AccountKey::CampaignDay(funding.campaign, day),
            AccountKey::LineItemTotal(line_item),
            AccountKey::LineItemDay(line_item, day),
        ])
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
        let fits = self.keys_on(claims.line_item, BudgetDay(claims.budget_day)).is_some_and(|keys| {
            if self.accounts.available(&keys) < charged.0 {
                let advertiser = self.funding[&claims.line_item].advertiser;
                for book in self.leases.values_mut().filter(|book| book.advertiser == advertiser) {
                    recall(book, &mut self.accounts);
                }
            }
            let granted = self.accounts.grant(&keys, charged);
            if granted {
                self.accounts.post(&keys, charged);
            }
            granted
        });
        if fits {
            return Posting::Late { charged, house: Nanos(0) };
        }
        self.house.overdelivery.0 = self.house.overdelivery.0.saturating_add(charged.0);
        Posting::Late { charged: Nanos(0), house: charged }
    }
}

/// One core's leases: the [`HoldSource`] of a serving core.
#[derive(Debug)]
pub struct CoreBudget {
    core: u16,
    ledger: Arc<Ledger>,
    leases: HashMap<LineItemId, CoreLease, foldhash::fast::RandomState>,
}

#[derive(Debug)]
struct CoreLease {
    lease: Arc<Lease>,
    /// No new question to the ledger before this.
    retry_ns: u64,
    /// When the budget day was last looked at, in whole seconds.
    checked_s: i64,
}

impl CoreBudget {
    /// The leases of `core`, none yet.
    pub fn new(core: u16, ledger: Arc<Ledger>) -> CoreBudget {
        CoreBudget { core, ledger, leases: HashMap::default() }
    }

    /// The core's lease for a line item today; a lease of a past day is closed and replaced.
    fn lease(&mut self, line_item: LineItemId, now: Now) -> Option<&mut CoreLease> {
        let second = now.unix_s();
        let stale = match self.leases.get(&line_item) {
            None => true,
            Some(entry) if entry.checked_s == second => false,
            Some(entry) => {
                let day = self.ledger.inner.lock().keys(line_item, now).map(|(_, day)| day);
                day != Some(entry.lease.day)
            }
        };
        if stale {
            if let Some(old) = self.leases.remove(&line_item) {
                old.lease.close();
            }
            let lease = self.ledger.open(self.core, line_item, now)?;
            self.leases.insert(line_item, CoreLease { lease, retry_ns: 0, checked_s: second });
        }
        let entry = self.leases.get_mut(&line_item)?;
        entry.checked_s = second;
        Some(entry)
    }
}

impl HoldSource for CoreBudget {
    type Hold = Hold;

    fn try_hold(&mut self, request: &HoldRequest) -> Result<(Hold, LeaseId, BudgetDay), NoBidReason> {
        let amount = request.amount.0;
        let now = request.now;
        if amount < 1 {
            return Err(NoBidReason::Budget);
        }
        let ledger = Arc::clone(&self.ledger);
        let entry = self.lease(request.line_item, now).ok_or(NoBidReason::Budget)?;
        let mut hold = Hold::take(&entry.lease, amount, request.bucket);
        if hold.is_none() && now.mono_ns >= entry.retry_ns {
            if ledger.top_up(&entry.lease, amount) {
                hold = Hold::take(&entry.lease, amount, request.bucket);
            }
            if hold.is_none() {
                entry.retry_ns = now.mono_ns + RETRY_NS;
            }
        }
        hold.map(|hold| (hold, entry.lease.id, entry.lease.day)).ok_or(NoBidReason::Budget)
    }
}
