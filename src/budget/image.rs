//! An image of the books for checkpoints: all that the events up to it amount to, as protobuf.

use super::accounts::{AccountKey, Balance};
use super::books::{Books, LeaseBook};
use super::charge::Parts;
use super::days::BudgetDay;
use super::house::{ExchangeBook, HouseTotals, Stop};
use super::planted::{self, Bug};
use super::record::{self, Fund, Funding, RecordError};
use super::seen::{FactPage, Seen};
use super::traffic::Traffic;
use crate::model::ids::{AdvertiserId, CampaignId, ExchangeId, LeaseId, LineItemId};
use crate::model::money::Nanos;
use prost::Message;

#[derive(Clone, PartialEq, Message)]
struct Image {
    #[prost(uint32, tag = "1")]
    epoch: u32,
    #[prost(message, repeated, tag = "2")]
    funding: Vec<Fund>,
    #[prost(message, repeated, tag = "3")]
    accounts: Vec<Account>,
    #[prost(message, repeated, tag = "4")]
    leases: Vec<Lease>,
    #[prost(message, repeated, tag = "5")]
    days: Vec<record::Day>,
    #[prost(message, repeated, tag = "6")]
    charged: Vec<Charged>,
    #[prost(message, repeated, tag = "7")]
    horizons: Vec<record::Horizon>,
    #[prost(message, repeated, tag = "8")]
    house: Vec<House>,
    #[prost(message, repeated, tag = "9")]
    credits: Vec<Credit>,
    #[prost(message, repeated, tag = "10")]
    adjusted: Vec<Adjusted>,
    #[prost(message, repeated, tag = "11")]
    exchanges: Vec<Exchange>,
    #[prost(message, repeated, tag = "12")]
    stops: Vec<record::Stop>,
    #[prost(uint32, tag = "13")]
    max_hold_s: u32,
    #[prost(message, repeated, tag = "14")]
    traffic: Vec<record::Traffic>,
}

#[derive(Clone, PartialEq, Message)]
struct House {
    #[prost(uint32, tag = "1")]
    exchange: u32,
    #[prost(uint32, tag = "2")]
    advertiser: u32,
    #[prost(int64, tag = "3")]
    overdelivery: i64,
    #[prost(int64, tag = "4")]
    overprice: i64,
    #[prost(int64, tag = "5")]
    stale: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Credit {
    #[prost(uint32, tag = "1")]
    exchange: u32,
    #[prost(uint32, tag = "2")]
    advertiser: u32,
    #[prost(int64, tag = "3")]
    media: i64,
    #[prost(int64, tag = "4")]
    data: i64,
    #[prost(int64, tag = "5")]
    platform: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Adjusted {
    #[prost(uint32, tag = "1")]
    advertiser: u32,
    #[prost(int64, tag = "2")]
    amount: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Exchange {
    #[prost(uint32, tag = "1")]
    id: u32,
    #[prost(bool, tag = "2")]
    has_billed: bool,
    #[prost(int64, tag = "3")]
    trial: i64,
    #[prost(uint32, tag = "4")]
    day: u32,
    #[prost(int64, tag = "5")]
    spent: i64,
    #[prost(int64, tag = "6")]
    house: i64,
    #[prost(int64, tag = "7")]
    spent_before: i64,
    #[prost(int64, tag = "8")]
    pardoned: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Account {
    /// 1 wallet, 2 campaign total, 3 campaign day, 4 line item total, 5 line item day.
    #[prost(uint32, tag = "1")]
    kind: u32,
    #[prost(uint32, tag = "2")]
    id: u32,
    #[prost(uint32, tag = "3")]
    day: u32,
    #[prost(int64, optional, tag = "4")]
    budget: Option<i64>,
    #[prost(int64, tag = "5")]
    posted: i64,
    #[prost(int64, tag = "6")]
    leased: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Lease {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(uint32, tag = "2")]
    core: u32,
    #[prost(uint32, tag = "3")]
    line_item: u32,
    #[prost(uint32, tag = "4")]
    day: u32,
    #[prost(int64, tag = "5")]
    granted: i64,
    #[prost(int64, tag = "6")]
    returned: i64,
    #[prost(int64, tag = "7")]
    posted: i64,
}

/// Which bids of a page were charged: one bit each, in order.
#[derive(Clone, PartialEq, Message)]
struct Charged {
    #[prost(uint32, tag = "1")]
    epoch: u32,
    #[prost(uint32, tag = "2")]
    core: u32,
    #[prost(uint64, tag = "3")]
    page: u64,
    #[prost(uint32, tag = "4")]
    newest_s: u32,
    #[prost(bytes = "vec", tag = "5")]
    bits: Vec<u8>,
}

impl Books {
    /// The image as bytes; the same books always give the same bytes.
    pub fn image(&self) -> Vec<u8> {
        let day = |(advertiser, (day, zone)): (&AdvertiserId, &(BudgetDay, String))| record::Day {
            advertiser: advertiser.0,
            day: day.0,
            time_zone: zone.clone(),
        };
        let horizon = |(epoch, core, sequence)| record::Horizon { epoch, core: u32::from(core), sequence };
        let adjusted = |(id, amount): (&AdvertiserId, &i64)| Adjusted { advertiser: id.0, amount: *amount };
        let image = Image {
            epoch: self.epoch,
            funding: self.funding.all().values().map(Fund::from).collect(),
            accounts: self.balances().iter().map(|(key, balance)| account(*key, *balance)).collect(),
            leases: self.leases.iter().map(|(id, book)| lease(*id, book)).collect(),
            days: self.days.iter().map(day).collect(),
            charged: self.seen.pages_with(Seen::Posted).into_iter().map(charged).collect(),
            horizons: self.seen.horizons().into_iter().map(horizon).collect(),
            house: self.house.iter().map(house).collect(),
            credits: self.credits.iter().map(credit).collect(),
            adjusted: self.adjusted.iter().map(adjusted).collect(),
            exchanges: self.exchanges.iter().map(exchange).collect(),
            stops: self.stops.iter().map(|stop| stop.record(true)).collect(),
            max_hold_s: self.max_hold_s,
            traffic: self.traffic.values().flat_map(Traffic::records).collect(),
        };
        image.encode_to_vec()
    }

    /// The books of an image.
    pub fn from_image(bytes: &[u8]) -> Result<Books, RecordError> {
        let image = Image::decode(bytes)?;
        let mut books = Books { epoch: image.epoch, max_hold_s: image.max_hold_s, ..Books::default() };
        for fund in &image.funding {
            books.funding.insert(Funding::try_from(fund)?);
        }
        for account in &image.accounts {
            let balance = Balance {
                budget: account.budget.map(Nanos),
                posted: Nanos(account.posted),
                leased: Nanos(account.leased),
            };
            books.accounts.put(key(account)?, balance);
        }
        image.leases.iter().for_each(|lease| books.open_lease(LeaseId(lease.id), lease.into()));
        let day = |d: record::Day| (AdvertiserId(d.advertiser), (BudgetDay(d.day), d.time_zone));
        books.days = image.days.into_iter().map(day).collect();
        let horizons = if planted::is(Bug::NoHorizon) { &[] } else { &image.horizons[..] };
        for horizon in horizons {
            books.seen.forget_below(horizon.epoch, horizon.core as u16, horizon.sequence);
        }
        for page in image.charged {
            books.seen.restore_page(&page.into(), Seen::Posted);
        }
        for h in &image.house {
            let (overdelivery, overprice, stale) =
                (Nanos(h.overdelivery), Nanos(h.overprice), Nanos(h.stale));
            let parties = (ExchangeId(h.exchange as u16), AdvertiserId(h.advertiser));
            books.house.insert(parties, HouseTotals { overdelivery, overprice, stale });
        }
        for c in &image.credits {
            let parties = (ExchangeId(c.exchange as u16), AdvertiserId(c.advertiser));
            books.credits.insert(parties, Parts { media: c.media, data: c.data, platform: c.platform });
        }
        books.adjusted = image.adjusted.iter().map(|a| (AdvertiserId(a.advertiser), a.amount)).collect();
        books.exchanges = image.exchanges.iter().map(|e| (ExchangeId(e.id as u16), e.into())).collect();
        for part in &image.traffic {
            books.traffic.entry(ExchangeId(part.exchange as u16)).or_default().restore(part);
        }
        for stop in &image.stops {
            books.stops.insert(Stop::of(stop).ok_or(RecordError::Unknown)?);
        }
        Ok(books)
    }
}

impl From<&Lease> for LeaseBook {
    fn from(lease: &Lease) -> LeaseBook {
        LeaseBook {
            core: lease.core as u16,
            line_item: LineItemId(lease.line_item),
            day: BudgetDay(lease.day),
            granted: lease.granted,
            returned: lease.returned,
            posted: lease.posted,
        }
    }
}

impl From<Charged> for FactPage {
    fn from(page: Charged) -> FactPage {
        FactPage {
            epoch: page.epoch,
            core: page.core as u16,
            number: page.page,
            newest_s: page.newest_s,
            bits: page.bits,
        }
    }
}

fn charged(page: FactPage) -> Charged {
    let core = u32::from(page.core);
    Charged { epoch: page.epoch, core, page: page.number, newest_s: page.newest_s, bits: page.bits }
}

fn house(((exchange, advertiser), totals): (&(ExchangeId, AdvertiserId), &HouseTotals)) -> House {
    House {
        exchange: u32::from(exchange.0),
        advertiser: advertiser.0,
        overdelivery: totals.overdelivery.0,
        overprice: totals.overprice.0,
        stale: totals.stale.0,
    }
}

fn credit(((exchange, advertiser), parts): (&(ExchangeId, AdvertiserId), &Parts)) -> Credit {
    let Parts { media, data, platform } = *parts;
    Credit { exchange: u32::from(exchange.0), advertiser: advertiser.0, media, data, platform }
}

fn exchange((id, book): (&ExchangeId, &ExchangeBook)) -> Exchange {
    let ExchangeBook { has_billed, trial, day, spent, house, spent_before, pardoned } = *book;
    Exchange { id: u32::from(id.0), has_billed, trial, day, spent, house, spent_before, pardoned }
}

impl From<&Exchange> for ExchangeBook {
    fn from(e: &Exchange) -> ExchangeBook {
        let Exchange { has_billed, trial, day, spent, house, spent_before, pardoned, .. } = *e;
        ExchangeBook { has_billed, trial, day, spent, house, spent_before, pardoned }
    }
}

fn account(key: AccountKey, balance: Balance) -> Account {
    let (kind, id, day) = match key {
        AccountKey::Wallet(id) => (1, id.0, 0),
        AccountKey::CampaignTotal(id) => (2, id.0, 0),
        AccountKey::CampaignDay(id, day) => (3, id.0, day.0),
        AccountKey::LineItemTotal(id) => (4, id.0, 0),
        AccountKey::LineItemDay(id, day) => (5, id.0, day.0),
    };
    let Balance { budget, posted, leased } = balance;
    Account { kind, id, day, budget: budget.map(|b| b.0), posted: posted.0, leased: leased.0 }
}

fn key(account: &Account) -> Result<AccountKey, RecordError> {
    let day = BudgetDay(account.day);
    Ok(match account.kind {
        1 => AccountKey::Wallet(AdvertiserId(account.id)),
        2 => AccountKey::CampaignTotal(CampaignId(account.id)),
        3 => AccountKey::CampaignDay(CampaignId(account.id), day),
        4 => AccountKey::LineItemTotal(LineItemId(account.id)),
        5 => AccountKey::LineItemDay(LineItemId(account.id), day),
        _ => return Err(RecordError::Unknown),
    })
}

fn lease(id: LeaseId, book: &LeaseBook) -> Lease {
    Lease {
        id: id.0,
        core: u32::from(book.core),
        line_item: book.line_item.0,
        day: book.day.0,
        granted: book.granted,
        returned: book.returned,
        posted: book.posted,
    }
}
