//! A record in the product's words. Every structure is taken apart whole, so that a new field cannot be left unsaid.

use super::line::{Line, Value};
use crate::budget::record::{
    Adjust, Bid, Boot, Day, Event, Fund, Funding, Grant, Horizon, Late, Pardon, Post, Reach, RecordError,
    Release, Return, Shown, Source, Stale, Stop, Traffic, Trial,
};
use crate::model::ids::LeaseId;
use crate::model::money::Cpm;
use Value::{Flag, Limit, Moment, Money, Number, Text};

type Fields = Vec<(&'static str, Value)>;

/// Reads a record as the ledger would: what it cannot use is no record.
pub(super) fn read(payload: &[u8]) -> Result<Event, RecordError> {
    let event = Event::read(payload)?;
    if let Event::Fund(fund) = &event {
        Funding::try_from(fund)?;
    }
    Ok(event)
}

/// The line of a record.
pub(super) fn line(lsn: u64, event: &Event) -> Line {
    Line { lsn, kind: kind(event), fields: fields(event) }
}

/// What a record is called.
pub(in crate::cli) fn kind(event: &Event) -> &'static str {
    match event {
        Event::Boot(_) => "boot",
        Event::Fund(_) => "fund",
        Event::Grant(_) => "grant",
        Event::Return(_) => "return",
        Event::Post(_) => "post",
        Event::Late(_) => "late",
        Event::Stale(_) => "stale",
        Event::Release(_) => "release",
        Event::Horizon(_) => "horizon",
        Event::Day(_) => "day",
        Event::Adjust(_) => "adjust",
        Event::Stop(_) => "stop",
        Event::Trial(_) => "trial",
        Event::Pardon(_) => "pardon",
        Event::Reach(_) => "reach",
        Event::Traffic(_) => "traffic",
    }
}

fn fields(event: &Event) -> Fields {
    match event {
        Event::Boot(boot) => {
            let Boot { epoch, unix_ms } = *boot;
            vec![("epoch", id(epoch)), ("at", Moment(unix_ms))]
        }
        Event::Fund(fund) => fund_fields(fund),
        Event::Grant(grant) => {
            let Grant { lease, core, line_item, day, amount } = *grant;
            vec![
                ("lease", lease_id(lease)),
                ("core", id(core)),
                ("line_item", id(line_item)),
                ("day", Value::Day(day)),
                ("amount", Money(amount)),
            ]
        }
        Event::Return(back) => {
            let Return { lease, amount } = *back;
            vec![("lease", lease_id(lease)), ("amount", Money(amount))]
        }
        Event::Post(post) => post_fields(post),
        Event::Late(late) => late_fields(late),
        Event::Stale(stale) => {
            let Stale { bid, amount, line_item, source } = *stale;
            let own = vec![("line_item", id(line_item)), ("amount", Money(amount))];
            [bid_fields(bid), own, source_fields(source)].into_iter().flatten().collect()
        }
        Event::Release(release) => {
            let Release { lease } = *release;
            vec![("lease", lease_id(lease))]
        }
        Event::Horizon(horizon) => {
            let Horizon { epoch, core, sequence } = *horizon;
            vec![("epoch", id(epoch)), ("core", id(core)), ("sequence", Number(sequence))]
        }
        Event::Day(begun) => {
            let Day { advertiser, day, time_zone } = begun;
            vec![
                ("advertiser", id(*advertiser)),
                ("day", Value::Day(*day)),
                ("time_zone", Text(time_zone.clone())),
            ]
        }
        Event::Adjust(adjust) => {
            let Adjust { line_item, amount, overdelivery } = *adjust;
            vec![
                ("line_item", id(line_item)),
                ("amount", Money(amount)),
                ("overdelivery", Money(overdelivery)),
            ]
        }
        Event::Stop(stop) => {
            let Stop { scope, id: of, stopped } = *stop;
            vec![("scope", Text(scope_name(scope))), ("id", id(of)), ("stopped", Flag(stopped))]
        }
        Event::Trial(trial) => {
            let Trial { exchange, units } = *trial;
            vec![("exchange", id(exchange)), ("units", Money(units))]
        }
        Event::Pardon(pardon) => {
            let Pardon { exchange } = *pardon;
            vec![("exchange", id(exchange))]
        }
        Event::Traffic(traffic) => {
            let Traffic { exchange, at_s, units, bids, bills, silent } = *traffic;
            vec![
                ("exchange", id(exchange)),
                ("at", seconds(at_s)),
                ("units", Money(units)),
                ("bids", Number(bids)),
                ("bills", Number(bills)),
                ("silent", Number(silent)),
            ]
        }
        Event::Reach(reach) => {
            let Reach { hold_s } = *reach;
            vec![("hold_s", Number(u64::from(hold_s)))]
        }
    }
}

fn fund_fields(fund: &Fund) -> Fields {
    let Fund {
        line_item,
        campaign,
        advertiser,
        wallet,
        campaign_lifetime,
        campaign_daily,
        line_item_lifetime,
        line_item_daily,
        time_zone,
        currency,
        version,
    } = fund;
    vec![
        ("line_item", id(*line_item)),
        ("campaign", id(*campaign)),
        ("advertiser", id(*advertiser)),
        ("wallet", Money(*wallet)),
        ("campaign_lifetime", Limit(*campaign_lifetime)),
        ("campaign_daily", Limit(*campaign_daily)),
        ("line_item_lifetime", Limit(*line_item_lifetime)),
        ("line_item_daily", Limit(*line_item_daily)),
        ("currency", Text(currency.clone())),
        ("time_zone", Text(time_zone.clone())),
        ("version", Number(*version)),
    ]
}

fn post_fields(post: &Post) -> Fields {
    let Post { bid, lease, charge, released, overprice, source, shown } = *post;
    let own = vec![
        ("lease", lease_id(lease)),
        ("charge", Money(charge)),
        ("released", Money(released)),
        ("overprice", Money(overprice)),
    ];
    [bid_fields(bid), own, source_fields(source), shown_fields(shown)].into_iter().flatten().collect()
}

fn late_fields(late: &Late) -> Fields {
    let Late { bid, line_item, day, charge, overdelivery, overprice, source, shown } = *late;
    let own = vec![
        ("line_item", id(line_item)),
        ("day", Value::Day(day)),
        ("charge", Money(charge)),
        ("overdelivery", Money(overdelivery)),
        ("overprice", Money(overprice)),
    ];
    [bid_fields(bid), own, source_fields(source), shown_fields(shown)].into_iter().flatten().collect()
}

/// What the event log says of a bill. A person's hash is nothing to print.
fn shown_fields(shown: Option<Shown>) -> Fields {
    let Some(shown) = shown else { return Vec::new() };
    let Shown { line_item: _, creative, user: _, price, at_ms: _, min_to_win } = shown;
    let cpm = |micros| Text(Cpm(micros).to_string());
    let told = min_to_win.map(|micros| ("min_to_win_cpm", cpm(micros)));
    [("creative", id(creative)), ("price_cpm", cpm(price))].into_iter().chain(told).collect()
}

fn bid_fields(bid: Bid) -> Fields {
    vec![("bid", Text(bid.id().to_string())), ("issued", seconds(bid.issued_s))]
}

fn source_fields(source: Source) -> Fields {
    let Source { exchange, at_s, data, platform, units, house_units } = source;
    vec![
        ("exchange", id(exchange)),
        ("billed", seconds(at_s)),
        ("data", Money(data)),
        ("platform", Money(platform)),
        ("units", Money(units)),
        ("house_units", Money(house_units)),
    ]
}

fn scope_name(scope: u32) -> String {
    match scope {
        1 => "everything".to_owned(),
        2 => "exchange".to_owned(),
        3 => "advertiser".to_owned(),
        4 => "campaign".to_owned(),
        other => other.to_string(),
    }
}

fn id(number: u32) -> Value {
    Number(u64::from(number))
}

/// As text, because its upper half makes it larger than what JSON's readers hold exactly.
fn lease_id(lease: u64) -> Value {
    Text(LeaseId(lease).to_string())
}

fn seconds(unix_s: u32) -> Value {
    Moment(i64::from(unix_s) * 1_000)
}
