//! The books as people and programs read them: the same JSON from a running server (`GET /v1/ledger`) and from the
//! files of a data directory (`outbid ledger show --json`).
//!
//! Amounts are decimal strings and exact. Money of the books is in the wallet's currency; an exchange's own figures
//! (its house costs, its trust) are in the exchange's.

use crate::budget::{AccountKey, Balance, Books, BudgetDay, ExchangeReport, HouseTotals, Stop};
use crate::engine::Catalog;
use crate::model::account::Account;
use crate::model::ids::{AdvertiserId, CampaignId, ExchangeId, LineItemId};
use crate::model::money::{Currency, Nanos};
use crate::model::token::HoldFormat;
use jiff::{Span, civil};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What things are called. The books know numbers only.
#[derive(Debug, Default)]
pub(crate) struct Names {
    exchanges: BTreeMap<ExchangeId, String>,
    advertisers: BTreeMap<AdvertiserId, String>,
    campaigns: BTreeMap<CampaignId, String>,
    line_items: BTreeMap<LineItemId, String>,
}

impl Names {
    /// The names of a serving catalog.
    pub(crate) fn of_catalog(catalog: &Catalog) -> Names {
        Names {
            exchanges: catalog.exchanges().iter().map(|it| (it.id, it.name.clone())).collect(),
            advertisers: catalog.advertisers().iter().map(|it| (it.id, it.name.clone())).collect(),
            campaigns: catalog.campaigns().iter().map(|it| (it.id, it.name.clone())).collect(),
            line_items: catalog.line_items().iter().map(|it| (it.item.id, it.item.name.clone())).collect(),
        }
    }

    /// The names of an account file.
    pub(crate) fn of_account(account: &Account) -> Names {
        Names {
            exchanges: account.exchanges.iter().map(|it| (it.id, it.name.clone())).collect(),
            advertisers: account.advertisers.iter().map(|it| (it.id, it.name.clone())).collect(),
            campaigns: account.campaigns.iter().map(|it| (it.id, it.name.clone())).collect(),
            line_items: account.line_items.iter().map(|it| (it.id, it.name.clone())).collect(),
        }
    }

    /// The name of an exchange; its number where it has none.
    pub(crate) fn exchange(&self, id: ExchangeId) -> String {
        self.exchanges.get(&id).cloned().unwrap_or_else(|| id.to_string())
    }

    /// The name of an advertiser; its number where it has none.
    pub(crate) fn advertiser(&self, id: AdvertiserId) -> String {
        self.advertisers.get(&id).cloned().unwrap_or_else(|| id.to_string())
    }

    /// Whom an account belongs to; nothing where it has no name.
    pub(crate) fn account(&self, key: AccountKey) -> &str {
        let name = match key {
            AccountKey::Wallet(id) => self.advertisers.get(&id),
            AccountKey::CampaignTotal(id) | AccountKey::CampaignDay(id, _) => self.campaigns.get(&id),
            AccountKey::LineItemTotal(id) | AccountKey::LineItemDay(id, _) => self.line_items.get(&id),
        };
        name.map_or("", String::as_str)
    }

    /// What a kill switch stops; nothing where it has no name.
    fn stop(&self, stop: Stop) -> &str {
        let name = match stop {
            Stop::All => None,
            Stop::Exchange(id) => self.exchanges.get(&id),
            Stop::Advertiser(id) => self.advertisers.get(&id),
            Stop::Campaign(id) => self.campaigns.get(&id),
        };
        name.map_or("", String::as_str)
    }
}

/// An amount that may be a sum of many.
pub(crate) fn decimal(nanos: i128) -> String {
    match i64::try_from(nanos) {
        Ok(nanos) => Nanos(nanos).to_string(),
        Err(_) => {
            let (sign, magnitude) = (if nanos < 0 { "-" } else { "" }, nanos.unsigned_abs());
            format!("{sign}{}.{:09}", magnitude / 1_000_000_000, magnitude % 1_000_000_000)
        }
    }
}

/// A budget day as a date.
pub(crate) fn date(day: BudgetDay) -> String {
    let since = Span::new().try_days(day.0);
    match since.and_then(|since| civil::date(1970, 1, 1).checked_add(since)) {
        Ok(date) => date.to_string(),
        Err(_) => format!("day-{}", day.0),
    }
}

/// What an account is called: its kind, whose it is, and its day.
pub(crate) fn account_kind(key: AccountKey) -> (&'static str, u32, Option<BudgetDay>) {
    match key {
        AccountKey::Wallet(id) => ("wallet", id.0, None),
        AccountKey::CampaignTotal(id) => ("campaign", id.0, None),
        AccountKey::CampaignDay(id, day) => ("campaign_day", id.0, Some(day)),
        AccountKey::LineItemTotal(id) => ("line_item", id.0, None),
        AccountKey::LineItemDay(id, day) => ("line_item_day", id.0, Some(day)),
    }
}

/// Whose money an account counts; `None` where nothing was ever funded under it.
pub(crate) struct Owners {
    campaigns: std::collections::HashMap<CampaignId, AdvertiserId>,
    currencies: BTreeMap<AdvertiserId, Currency>,
}

impl Owners {
    /// The owners of all accounts.
    pub(crate) fn of(books: &Books) -> Owners {
        Owners { campaigns: books.campaigns(), currencies: books.currencies() }
    }

    /// The advertiser who pays.
    pub(crate) fn advertiser(&self, books: &Books, key: AccountKey) -> Option<AdvertiserId> {
        match key {
            AccountKey::Wallet(id) => Some(id),
            AccountKey::CampaignTotal(id) | AccountKey::CampaignDay(id, _) => {
                self.campaigns.get(&id).copied()
            }
            AccountKey::LineItemTotal(id) | AccountKey::LineItemDay(id, _) => {
                books.funding().get(&id).map(|funding| funding.advertiser)
            }
        }
    }

    /// The currency of an advertiser's wallet.
    pub(crate) fn currency(&self, advertiser: AdvertiserId) -> Option<Currency> {
        self.currencies.get(&advertiser).copied()
    }
}

/// Everything that the books hold.
pub(crate) fn books(books: &Books, names: &Names) -> Map<String, Value> {
    let owners = Owners::of(books);
    let sums = books.sums().into_iter().map(|(currency, sums)| {
        let (posted, leased) = (decimal(sums.posted), decimal(sums.leased));
        let sums = json!({ "posted": posted, "leased": leased, "in_doubt": decimal(sums.in_doubt) });
        (currency.to_string(), sums)
    });
    let accounts = books.balances().into_iter().map(|(key, balance)| {
        let currency = owners.advertiser(books, key).and_then(|advertiser| owners.currency(advertiser));
        account(key, balance, currency, names)
    });
    let leased = books.leases().values().filter(|lease| lease.outstanding() > 0).count();
    let fields = [
        ("epoch", json!(books.epoch())),
        ("currencies", sums.collect::<Map<_, _>>().into()),
        ("accounts", accounts.collect::<Vec<_>>().into()),
        ("leases", json!({ "ever": books.leases().len(), "with_money": leased })),
        ("house", house(books, names, &owners)),
        ("credits", credits(books, names, &owners)),
        ("kill_switches", kill_switches(books.stops(), names)),
    ];
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn account(key: AccountKey, balance: Balance, currency: Option<Currency>, names: &Names) -> Value {
    let (kind, id, day) = account_kind(key);
    json!({
        "account": kind, "id": id.to_string(), "name": names.account(key), "day": day.map(date),
        "currency": currency.map(|currency| currency.to_string()),
        "budget": balance.budget.map(|budget| budget.to_string()),
        "posted": balance.posted.to_string(), "leased": balance.leased.to_string(),
        "available": balance.available().map(decimal),
    })
}

/// The parties of an amount: exchange 0 is none, advertiser 0 is unknown.
fn parties((exchange, advertiser): (ExchangeId, AdvertiserId), names: &Names, owners: &Owners) -> Value {
    json!({
        "exchange": (exchange.0 > 0).then(|| names.exchange(exchange)),
        "advertiser": (advertiser.0 > 0).then(|| advertiser.to_string()),
        "currency": owners.currency(advertiser).map(|currency| currency.to_string()),
    })
}

fn house(books: &Books, names: &Names, owners: &Owners) -> Value {
    let row = |(by, totals): (&_, &HouseTotals)| {
        let mut row = parties(*by, names, owners);
        row["overdelivery"] = totals.overdelivery.to_string().into();
        row["overprice"] = totals.overprice.to_string().into();
        row["stale"] = totals.stale.to_string().into();
        row
    };
    books.house_by().iter().map(row).collect::<Vec<_>>().into()
}

fn credits(books: &Books, names: &Names, owners: &Owners) -> Value {
    let row = |(by, parts): (&_, &crate::budget::Parts)| {
        let mut row = parties(*by, names, owners);
        row["media"] = Nanos(parts.media).to_string().into();
        row["data"] = Nanos(parts.data).to_string().into();
        row["platform"] = Nanos(parts.platform).to_string().into();
        row
    };
    let adjusted = books.adjusted().iter().map(|(advertiser, amount)| {
        let mut row = parties((ExchangeId(0), *advertiser), names, owners);
        row["adjusted"] = Nanos(*amount).to_string().into();
        row
    });
    books.credits().iter().map(row).chain(adjusted).collect::<Vec<_>>().into()
}

/// The kill switches that are thrown.
pub(crate) fn kill_switches(stops: &BTreeSet<Stop>, names: &Names) -> Value {
    stops.iter().map(|stop| kill_switch(*stop, true, names)).collect::<Vec<_>>().into()
}

/// One kill switch.
pub(crate) fn kill_switch(stop: Stop, stopped: bool, names: &Names) -> Value {
    let (scope, id) = scope(stop);
    json!({ "scope": scope, "id": id.map(|id| id.to_string()), "name": names.stop(stop), "stopped": stopped })
}

/// What a kill switch stops: the kind, and which one.
pub(crate) fn scope(stop: Stop) -> (&'static str, Option<u32>) {
    match stop {
        Stop::All => ("all", None),
        Stop::Exchange(id) => ("exchange", Some(u32::from(id.0))),
        Stop::Advertiser(id) => ("advertiser", Some(id.0)),
        Stop::Campaign(id) => ("campaign", Some(id.0)),
    }
}

/// What the books say of every exchange that ever billed or was trusted. In its own currency; `spent` and `house` are
/// those of `day`, the UTC day of its last bill.
pub(crate) fn exchange_books(books: &Books, names: &Names) -> BTreeMap<ExchangeId, Value> {
    let row = |(id, book): (&ExchangeId, &crate::budget::ExchangeBook)| {
        let row = json!({
            "id": id.to_string(), "exchange": names.exchange(*id), "has_billed": book.has_billed,
            "trial": Nanos(book.trial).to_string(), "day": date(BudgetDay(book.day)),
            "spent": Nanos(book.spent).to_string(), "spent_before": Nanos(book.spent_before).to_string(),
            "house": Nanos(book.house).to_string(), "pardoned": Nanos(book.pardoned).to_string(),
        });
        (*id, row)
    };
    books.exchanges().iter().map(row).collect()
}

/// How an exchange stands in a running process.
pub(crate) fn exchange_report(report: &ExchangeReport, open_holds: Nanos, names: &Names) -> Value {
    let delay = |format: HoldFormat| report.bill_delay_s[format as usize];
    json!({
        "id": report.exchange.to_string(), "exchange": names.exchange(report.exchange),
        "state": report.state.as_str(), "deaf": report.is_deaf, "over_house_limit": report.is_over_house_limit,
        "trial_left": report.trial_left.map(|left| left.to_string()),
        "house_today": report.house_today.to_string(), "house_limit": report.house_limit.to_string(),
        "bound": report.bound.to_string(), "open_holds": open_holds.to_string(),
        "ear_s": report.ear_s, "trips": report.trips,
        "bill_delay_s": {
            "web_banner": delay(HoldFormat::WebBanner), "app_banner": delay(HoldFormat::AppBanner),
            "app_interstitial": delay(HoldFormat::AppInterstitial), "stream": delay(HoldFormat::Stream),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_beyond_an_account_are_still_exact() {
        assert_eq!(decimal(1_500_000_000), "1.50");
        assert_eq!(decimal(-1), "-0.000000001");
        assert_eq!(decimal(i128::from(i64::MAX) + 1), "9223372036.854775808");
        assert_eq!(decimal(-2 * i128::from(i64::MAX)), "-18446744073.709551614");
    }

    #[test]
    fn a_budget_day_is_a_date() {
        assert_eq!(date(BudgetDay(20_717)), "2026-09-21");
        assert_eq!(date(BudgetDay(u32::MAX)), "day-4294967295");
    }
}
