//! `outbid ledger show`: the books at a glance, and how a running server's breakers stand.

use super::remote::At;
use super::replay::{self, Blind};
use super::{names, storage};
use crate::budget::{AccountKey, Books, BudgetDay, ExchangeBook, HouseTotals, Stop};
use crate::cli::output::table;
use crate::cli::wal::Place;
use crate::cli::{Common, Failure};
use crate::model::ids::{AdvertiserId, ExchangeId};
use crate::model::money::Nanos;
use crate::serve::ledger_view::{self, Names, Owners, account_kind, date, decimal};
use serde_json::Value;
use std::path::Path;

/// What to show.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ShowArguments {
    #[command(flatten)]
    place: Place,
    /// What only a process knows: gates, breakers, the house's bound, open holds.
    #[command(flatten)]
    at: At,
    /// As JSON, with the accounts of every day; the form of `GET /v1/ledger`. With --url, the server's own answer.
    #[arg(long)]
    json: bool,
}

/// Shows the books. Needs no lock; a server may write meanwhile.
pub(super) fn run(common: &Common, arguments: &ShowArguments) -> Result<(), Failure> {
    let live = if arguments.at.is_given() { Some(arguments.at.ask(common)?.shown) } else { None };
    if let (true, Some(live)) = (arguments.json, &live) {
        println!("{live}");
        return Ok(());
    }
    let root = arguments.place.root(common)?;
    let storage = storage(&root)?;
    let (plan, books) = replay::replay(&storage, None, &mut Blind)?;
    let names = names(&root);
    if arguments.json {
        let mut shown = ledger_view::books(&books, &names);
        shown.insert("lsn".to_owned(), plan.last.into());
        let exchanges: Vec<_> = ledger_view::exchange_books(&books, &names).into_values().collect();
        shown.insert("exchanges".to_owned(), exchanges.into());
        println!("{}", serde_json::Value::from(shown));
    } else {
        print(&root, plan.last, &books, &names);
        live.iter().for_each(print_live);
    }
    Ok(())
}

/// How the server's exchanges stand.
fn print_live(live: &Value) {
    let text = |value: &Value| match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(is) => if *is { "yes" } else { "no" }.to_owned(),
        other => other.to_string(),
    };
    let rows = live["exchanges"].as_array().into_iter().flatten().filter(|row| !row["state"].is_null());
    let rows = rows.map(|row| LIVE.iter().map(|(_, field)| text(&row[*field])).collect()).collect();
    section("exchanges now, in their own currency", &LIVE.map(|(title, _)| title), rows);
    for (title, field) in
        [("runaways", "runaways"), ("clock step", "pending_clock_step_ms"), ("journal full", "full")]
    {
        println!("{title:<13} {}", text(&live[field]));
    }
}

/// Title and field of `GET /v1/ledger`.
const LIVE: [(&str, &str); 10] = [
    ("exchange", "exchange"),
    ("gate", "state"),
    ("deaf", "deaf"),
    ("over its limit", "over_house_limit"),
    ("trust left", "trial_left"),
    ("borne today", "house_today"),
    ("limit", "house_limit"),
    ("bound", "bound"),
    ("open holds", "open_holds"),
    ("trips", "trips"),
];

fn print(root: &Path, last: u64, books: &Books, names: &Names) {
    println!("ledger        {}", root.join("ledger").display());
    println!("as of         record {last}, boot epoch {}", books.epoch());
    let leased = books.leases().values().filter(|lease| lease.outstanding() > 0).count();
    println!("leases        {leased} with money, {} ever", books.leases().len());
    let sums = books.sums();
    for (currency, sums) in &sums {
        let (posted, leased, in_doubt) = (decimal(sums.posted), decimal(sums.leased), decimal(sums.in_doubt));
        println!(
            "{:<12}  {posted} spent, {leased} leased (in doubt where no server runs), {in_doubt} of it from earlier boots",
            currency.as_str()
        );
    }
    let stops: Vec<String> = books.stops().iter().map(|stop| stop_text(*stop)).collect();
    println!("kill switches {}", if stops.is_empty() { "none".to_owned() } else { stops.join(", ") });
    section("accounts, with the current budget day", &ACCOUNTS, accounts(books, names));
    section("house, in the wallet's currency", &HOUSE, house(books, names));
    section("exchanges, in their own currency", &EXCHANGES, exchanges(books, names));
}

fn section(title: &str, header: &[&str], rows: Vec<Vec<String>>) {
    if rows.is_empty() {
        println!("\n{title}: nothing");
    } else {
        print!("\n{title}\n{}", table(header, &rows));
    }
}

fn stop_text(stop: Stop) -> String {
    match ledger_view::scope(stop) {
        (scope, Some(id)) => format!("{scope} {id}"),
        (scope, None) => scope.to_owned(),
    }
}

const ACCOUNTS: [&str; 9] =
    ["account", "id", "name", "day", "budget", "spent", "leased", "available", "currency"];

/// Wallets, campaigns and line items, each with its total and its current day.
fn accounts(books: &Books, names: &Names) -> Vec<Vec<String>> {
    let owners = Owners::of(books);
    let balances = books.balances().into_iter();
    let rows = balances.filter_map(|(key, balance)| {
        let advertiser = owners.advertiser(books, key);
        let (_, id, day) = account_kind(key);
        if day.is_some() && day != advertiser.and_then(|advertiser| books.day_of(advertiser)) {
            return None;
        }
        let kind = match key {
            AccountKey::Wallet(_) => "wallet",
            AccountKey::CampaignTotal(_) | AccountKey::CampaignDay(..) => "campaign",
            AccountKey::LineItemTotal(_) | AccountKey::LineItemDay(..) => "line item",
        };
        let currency = advertiser.and_then(|advertiser| owners.currency(advertiser));
        Some(vec![
            kind.to_owned(),
            id.to_string(),
            names.account(key).to_owned(),
            day.map_or_else(|| "total".to_owned(), date),
            balance.budget.map_or_else(|| "none".to_owned(), |budget| budget.to_string()),
            balance.posted.to_string(),
            balance.leased.to_string(),
            balance.available().map_or_else(|| "no limit".to_owned(), decimal),
            currency.map(|currency| currency.to_string()).unwrap_or_default(),
        ])
    });
    rows.collect()
}

const HOUSE: [&str; 6] = ["exchange", "advertiser", "overdelivery", "overprice", "stale", "currency"];

fn house(books: &Books, names: &Names) -> Vec<Vec<String>> {
    let currencies = books.currencies();
    let row = |((exchange, advertiser), totals): (&(ExchangeId, AdvertiserId), &HouseTotals)| {
        let currency = currencies.get(advertiser).map(|currency| currency.to_string());
        vec![
            if exchange.0 == 0 { "by hand".to_owned() } else { names.exchange(*exchange) },
            if advertiser.0 == 0 { "unknown".to_owned() } else { names.advertiser(*advertiser) },
            totals.overdelivery.to_string(),
            totals.overprice.to_string(),
            totals.stale.to_string(),
            currency.unwrap_or_else(|| "unknown".to_owned()),
        ]
    };
    books.house_by().iter().map(row).collect()
}

const EXCHANGES: [&str; 7] =
    ["exchange", "billed", "trusted with", "day (UTC)", "spent", "borne by the house", "pardoned"];

fn exchanges(books: &Books, names: &Names) -> Vec<Vec<String>> {
    let row = |(id, book): (&ExchangeId, &ExchangeBook)| {
        vec![
            names.exchange(*id),
            if book.has_billed { "yes" } else { "not yet" }.to_owned(),
            Nanos(book.trial).to_string(),
            date(BudgetDay(book.day)),
            Nanos(book.spent).to_string(),
            Nanos(book.house).to_string(),
            Nanos(book.pardoned).to_string(),
        ]
    };
    books.exchanges().iter().map(row).collect()
}
