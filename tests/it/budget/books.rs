//! What the tests of the books share: funding, bids as notices name them, and the sums that must always agree.

use outbid::budget::{
    AccountKey, BudgetDay, CoreBudget, Funding, Granted, Hold, HoldRequest, HoldSource, Ledger, Terms,
    hold_for,
};
use outbid::model::clock::Now;
use outbid::model::ids::{
    AdvertiserId, BidId, CampaignId, CreativeId, ExchangeId, LeaseId, LineItemId, UserKey,
};
use outbid::model::line_item::Budget;
use outbid::model::money::{Cpm, Currency, Nanos};
use outbid::model::no_bid::NoBidReason;
use outbid::model::rates::Rate;
use outbid::model::token::{Bucket, HoldFormat, TokenClaims};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Wednesday 2026-05-06, 12:00 UTC.
pub(super) const NOON: Now = Now { mono_ns: 1_000_000_000_000, unix_ms: 1_778_068_800_000 };

/// A line item of campaign and advertiser 1 with nothing but a wallet.
pub(super) fn funding(line_item: u32, wallet: i64) -> Funding {
    Funding {
        line_item: LineItemId(line_item),
        line_item_budget: Budget::default(),
        campaign: CampaignId(1),
        campaign_budget: Budget::default(),
        advertiser: AdvertiserId(1),
        wallet: Nanos(wallet),
        time_zone: "UTC".to_owned(),
        currency: Currency::USD,
        version: 0,
    }
}

pub(super) fn later(now: Now, ms: u64) -> Now {
    Now { mono_ns: now.mono_ns + ms * 1_000_000, unix_ms: now.unix_ms + ms as i64 }
}

/// Books in memory, done at once.
pub(super) fn ledger_of(cores: u16, lines: impl IntoIterator<Item = Funding>) -> Arc<Ledger> {
    let ledger = Arc::new(Ledger::in_memory(9, cores, NOON));
    configure(&ledger, lines, NOON);
    ledger
}

/// Sets budgets; what a first grant is measured by is the smallest hold, so that nobody starts with much.
pub(super) fn configure(ledger: &Ledger, lines: impl IntoIterator<Item = Funding>, now: Now) {
    ledger.configure(lines.into_iter().map(|line| (line, Nanos(1))).collect(), now).unwrap();
}

/// The five accounts of a line item on a day.
pub(super) fn accounts(line: &Funding, day: BudgetDay) -> [AccountKey; 5] {
    [
        AccountKey::Wallet(line.advertiser),
        AccountKey::CampaignTotal(line.campaign),
        AccountKey::CampaignDay(line.campaign, day),
        AccountKey::LineItemTotal(line.line_item),
        AccountKey::LineItemDay(line.line_item, day),
    ]
}

/// Their budgets as configured.
pub(super) fn budgets(line: &Funding) -> [Option<Nanos>; 5] {
    let (campaign, own) = (line.campaign_budget, line.line_item_budget);
    [Some(line.wallet), campaign.lifetime, campaign.daily, own.lifetime, own.daily]
}

/// A serving core that bids: holds money and makes the claims that its notices will carry.
pub(super) struct Bidder {
    core: u16,
    budget: CoreBudget,
    sequence: u64,
}

/// A bid and the guard of its money.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) claims: TokenClaims,
    pub(super) hold: Hold,
}

/// What is asked for.
#[derive(Clone, Copy)]
pub(super) struct Ask {
    pub(super) line_item: u32,
    pub(super) price: i64,
    pub(super) fee: i64,
    pub(super) platform_ppm: u32,
    /// Seconds that the hold lives.
    pub(super) life_s: u32,
}

impl Ask {
    pub(super) fn of(line_item: u32, price: i64) -> Ask {
        Ask { line_item, price, fee: 0, platform_ppm: 0, life_s: 120 }
    }

    /// The full charge.
    pub(super) fn amount(&self) -> Nanos {
        hold_for(Cpm(self.price), &self.terms()).unwrap()
    }

    fn terms(&self) -> Terms {
        let platform_ppm = i64::from(self.platform_ppm);
        Terms { rate: Rate::ONE, data_fee: Cpm(self.fee), platform_ppm, multiplier_ppm: 1_000_000 }
    }
}

impl Bidder {
    pub(super) fn new(core: u16, ledger: &Arc<Ledger>) -> Bidder {
        Bidder { core, budget: CoreBudget::new(core, Arc::clone(ledger)), sequence: 0 }
    }

    pub(super) fn bid(&mut self, ask: Ask, now: Now) -> Result<Held, NoBidReason> {
        let granted = self.budget.try_hold(&HoldRequest {
            line_item: LineItemId(ask.line_item),
            amount: ask.amount(),
            unit_rate: Rate::ONE,
            exchange: ExchangeId(1),
            format: HoldFormat::WebBanner,
            life_s: ask.life_s,
            slot_s: 3,
            now,
        })?;
        let Granted { hold, lease, day, bucket } = granted;
        assert_eq!(hold.amount(), ask.amount());
        self.sequence += 1;
        let bid = BidId { epoch: 9, core: self.core, sequence: self.sequence };
        Ok(Held { claims: claims(ask, bid, lease, bucket, day, now), hold })
    }

    /// A bid whose answer goes out.
    pub(super) fn answer(&mut self, ask: Ask, now: Now) -> Result<TokenClaims, NoBidReason> {
        let held = self.bid(ask, now)?;
        held.hold.keep();
        Ok(held.claims)
    }
}

pub(super) fn claims(
    ask: Ask,
    bid: BidId,
    lease: LeaseId,
    bucket: Bucket,
    day: BudgetDay,
    now: Now,
) -> TokenClaims {
    TokenClaims {
        exchange: ExchangeId(1),
        bid,
        lease,
        bucket,
        line_item: LineItemId(ask.line_item),
        creative: CreativeId(1),
        issued_s: now.unix_s() as u32,
        price: Cpm(ask.price),
        currency: Currency::USD,
        rate: Rate::ONE,
        data_fee: Cpm(ask.fee),
        platform_ppm: ask.platform_ppm,
        multiplier_ppm: 1_000_000,
        budget_day: day.0,
        test: false,
        user: UserKey(0),
        deal: None,
    }
}

/// I2 and I3 from the public figures: each lease has what it was granted less what left it, and each account shows as
/// leased what its leases have. Returns what is held by account.
pub(super) fn conserved(ledger: &Ledger) -> BTreeMap<AccountKey, i64> {
    let mut outstanding: BTreeMap<AccountKey, i64> = BTreeMap::new();
    let mut held: BTreeMap<AccountKey, i64> = BTreeMap::new();
    for lease in ledger.audit() {
        let left = lease.granted.0 - lease.returned.0 - lease.posted.0;
        assert_eq!(left, lease.free.0 + lease.held.0 + lease.waiting.0, "{lease:?}");
        assert!(lease.free.0 >= 0 && lease.held.0 >= 0, "{lease:?}");
        for key in lease.accounts {
            *outstanding.entry(key).or_default() += left;
            *held.entry(key).or_default() += lease.held.0;
        }
    }
    for (key, balance) in ledger.balances() {
        assert_eq!(balance.leased.0, outstanding.remove(&key).unwrap_or(0), "{key:?}");
    }
    assert!(outstanding.is_empty(), "leases of unknown accounts: {outstanding:?}");
    held
}
