//! What money costs a bid: `cargo bench --bench ledger`. The target is 200 ns for a hold and its release.

use divan::Bencher;
use outbid::budget::{
    Bill, BudgetDay, CoreBudget, Funding, Granted, Hold, HoldRequest, HoldSource, Ledger, Posting,
};
use outbid::model::clock::Now;
use outbid::model::ids::{
    AdvertiserId, BidId, CampaignId, CreativeId, ExchangeId, LeaseId, LineItemId, UserKey,
};
use outbid::model::line_item::Budget;
use outbid::model::money::{Cpm, Currency, Nanos};
use outbid::model::rates::Rate;
use outbid::model::token::{Bucket, HoldFormat, TokenClaims};
use std::sync::Arc;

fn main() {
    divan::main();
}

const NOW: Now = Now { mono_ns: 1_000_000_000_000, unix_ms: 1_778_068_800_000 };
const PRICE: i64 = 2_000_000;

/// A thousand line items of one rich advertiser.
fn ledger() -> Arc<Ledger> {
    let funding = |line: u32| Funding {
        line_item: LineItemId(line),
        line_item_budget: Budget { lifetime: Some(Nanos(i64::MAX / 4)), daily: Some(Nanos(i64::MAX / 4)) },
        campaign: CampaignId(line / 10),
        campaign_budget: Budget::default(),
        advertiser: AdvertiserId(1),
        wallet: Nanos(i64::MAX / 2),
        time_zone: "UTC".to_owned(),
        currency: Currency::USD,
        version: 0,
    };
    let ledger = Ledger::in_memory(1, 1, NOW);
    let lines = (1..=1_000).map(|line| (funding(line), Nanos(1_000_000_000_000))).collect();
    ledger.configure(lines, NOW).expect("nothing moved yet");
    Arc::new(ledger)
}

fn request(line: u32) -> HoldRequest {
    HoldRequest {
        line_item: LineItemId(line),
        amount: Nanos(PRICE),
        unit_rate: Rate::ONE,
        exchange: ExchangeId(1),
        format: HoldFormat::WebBanner,
        life_s: 130,
        slot_s: 4,
        now: NOW,
    }
}

fn hold(core: &mut CoreBudget, line: u32) -> Granted<Hold> {
    core.try_hold(&request(line)).expect("there is more than enough")
}

/// The bid path's part: set the charge aside, and give it back because the answer did not go out.
#[divan::bench(sample_count = 200, sample_size = 2_000)]
fn hold_and_release(bencher: Bencher<'_, '_>) {
    let mut core = CoreBudget::new(0, ledger());
    let mut line = 0;
    bencher.bench_local(|| {
        line = line % 1_000 + 1;
        drop(hold(&mut core, line));
    });
}

/// Set aside, answered, lost: the money is free again by the loss notice.
#[divan::bench(sample_count = 200, sample_size = 2_000)]
fn hold_keep_and_void(bencher: Bencher<'_, '_>) {
    let ledger = ledger();
    let mut core = CoreBudget::new(0, Arc::clone(&ledger));
    let mut sequence = 0;
    bencher.bench_local(|| {
        sequence += 1;
        let line = (sequence % 1_000) as u32 + 1;
        let granted = hold(&mut core, line);
        let claims = claims(line, sequence, granted.lease, granted.bucket, granted.day);
        granted.hold.keep();
        ledger.void(&claims)
    });
}

/// Set aside, answered, billed: what the ledger's thread does for a bill, the disk left out.
#[divan::bench(sample_count = 200, sample_size = 2_000)]
fn hold_keep_and_post(bencher: Bencher<'_, '_>) {
    let ledger = ledger();
    let mut core = CoreBudget::new(0, Arc::clone(&ledger));
    let mut sequence = 0;
    bencher.bench_local(|| {
        sequence += 1;
        let line = (sequence % 1_000) as u32 + 1;
        let granted = hold(&mut core, line);
        let claims = claims(line, sequence, granted.lease, granted.bucket, granted.day);
        granted.hold.keep();
        let posted = ledger.post(&claims, Bill::at(Cpm(PRICE)), NOW);
        assert!(matches!(posted, Posting::Accepted { .. }), "{posted:?}");
    });
}

fn claims(line: u32, sequence: u64, lease: LeaseId, bucket: Bucket, day: BudgetDay) -> TokenClaims {
    TokenClaims {
        exchange: ExchangeId(1),
        bid: BidId { epoch: 1, core: 0, sequence },
        lease,
        bucket,
        line_item: LineItemId(line),
        creative: CreativeId(1),
        issued_s: NOW.unix_s() as u32,
        price: Cpm(PRICE),
        currency: Currency::USD,
        rate: Rate::ONE,
        data_fee: Cpm(0),
        platform_ppm: 0,
        multiplier_ppm: 1_000_000,
        budget_day: day.0,
        test: false,
        user: UserKey(0),
        deal: None,
    }
}
