//! `POST /v1/line_items/{id}:forecast` and `POST /v1/line_items:forecast`: what a day of a line item would bring, of one that there is,
//! with changes or without, or of a draft that is posted. Nothing is changed.
//!
//! A draft and changes go through the checks of a real one, in a transaction that is taken back. What is answered is the caller's own
//! line item and traffic; of others nothing is said but that they offer more.

use super::call::{Call, Reply, Who};
use super::crud::{self, Op};
use super::problem::{FieldError, Problem};
use super::shape::{self, Shape};
use super::state::Inner;
use super::tenants;
use crate::forecast::{Interval, Point};
use crate::funnel::advice;
use crate::model::account::Account;
use crate::model::ids::LineItemId;
use crate::model::line_item::{LineItem, Predicts, Strategy};
use crate::model::money::{Cpm, Nanos, PPM};
use crate::model::no_bid::NoBidReason;
use crate::serve::forecast::{Asked, NotForecast, Told};
use crate::store::control::Kind;
use hyper::StatusCode;
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// The kind of resources that are forecast.
pub(super) const KIND: Kind = Kind::LineItem;
/// Samples are kept for so many days.
const MOST_DAYS: u64 = 7;
/// Prices of a curve.
const MOST_BIDS: usize = 24;

/// One that there is.
pub(super) fn live(inner: &Arc<Inner>, shape: &'static Shape, call: Call) -> Result<Reply, Problem> {
    let mut object = if call.body.is_empty() { Map::new() } else { call.object(&["application/json"])? };
    let (id, account, who) = (call.id.unwrap_or(0), call.account, call.who());
    call.parameters.finish("")?;
    inner
        .control
        .read(|read| tenants::seen_by(&call.actor, read, crud::row_of(read, shape, id, account)?))?;
    let changes = match object.remove("changes") {
        None | Some(Value::Null) => None,
        Some(Value::Object(changes)) => Some(changes),
        Some(_) => {
            return Err(refused(
                "/changes",
                "malformed",
                "is an object: the merge patch that is to be tried",
            ));
        }
    };
    let (days, bids) = options(object, "`changes`")?;
    let (account, id) = match changes {
        None => {
            let account = inner.editor.lock().account_with(Some(id));
            (account, LineItemId(id))
        }
        Some(changes) => {
            let op = Op::patch(shape, Some(id), account, (true, None), changes)?;
            tried(inner, who, op).map_err(|problem| below(problem, "/changes"))?
        }
    };
    answer(inner, (account, id), days, &bids, true)
}

/// One that is posted.
pub(super) fn draft(inner: &Arc<Inner>, shape: &'static Shape, call: Call) -> Result<Reply, Problem> {
    let (mut object, who) = (call.object(&["application/json"])?, call.who());
    call.parameters.finish("")?;
    let Some(Value::Object(document)) = object.remove("line_item") else {
        let message = "is missing: give the line item as `POST /v1/line_items` takes it";
        return Err(refused("/line_item", "missing", message));
    };
    let (days, bids) = options(object, "`line_item`")?;
    let op = Op::create(shape, call.account, document)?;
    let (account, id) = tried(inner, who, op).map_err(|problem| below(problem, "/line_item"))?;
    answer(inner, (account, id), days, &bids, false)
}

fn refused(pointer: impl Into<String>, code: &'static str, message: impl Into<String>) -> Problem {
    Problem::invalid(vec![FieldError::new(pointer, code, message)])
}

/// The days to look at and the prices of the curve.
fn options(mut object: Map<String, Value>, also: &str) -> Result<(u32, Vec<String>), Problem> {
    let days = match object.remove("days") {
        None | Some(Value::Null) => 1,
        Some(value) => value.as_u64().filter(|days| (1..=MOST_DAYS).contains(days)).ok_or_else(|| {
            refused(
                "/days",
                "out_of_range",
                format!("is how many days of samples to look at, 1 to {MOST_DAYS}"),
            )
        })?,
    };
    let bids = match object.remove("bids") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(bids)) if bids.len() <= MOST_BIDS => {
            let text = |(at, bid): (usize, &Value)| {
                let message = "is an amount above 0 as the line item's bid has it, such as \"2.50\"";
                let given = bid.as_str().map(str::to_owned);
                given.ok_or_else(|| refused(format!("/bids/{at}"), "malformed", message))
            };
            bids.iter().enumerate().map(text).collect::<Result<Vec<_>, _>>()?
        }
        Some(_) => {
            return Err(refused("/bids", "malformed", format!("is a list of at most {MOST_BIDS} amounts")));
        }
    };
    if let Some(name) = object.keys().next() {
        let message = format!("is not known here; give `days`, `bids` and {also}");
        return Err(refused(format!("/{name}"), "unknown", message));
    }
    Ok((days as u32, bids))
}

/// The account as it would be after a change that is taken back.
fn tried(inner: &Arc<Inner>, who: Who, op: Op) -> Result<(Account, LineItemId), Problem> {
    let slot: Arc<Mutex<Option<(Account, LineItemId)>>> = Arc::default();
    let inside = Arc::clone(&slot);
    crud::change(inner, true, None, move |tx, puts| {
        let applied = op.apply(tx, puts, &who)?;
        let id = applied.row.id;
        *inside.lock() = Some((puts.editor.account_with(Some(id)), LineItemId(id)));
        Ok(Reply::new(StatusCode::OK, Value::Null))
    })?;
    let tried = slot.lock().take();
    tried.ok_or_else(|| Problem::not_found("such line item"))
}

/// What is wrong with a part of what was posted, by pointers into the whole.
fn below(mut problem: Problem, part: &str) -> Problem {
    for error in &mut problem.errors {
        error.pointer.insert_str(0, part);
    }
    problem
}

/// A thousand times what an amount of a strategy says, see [`LineItem::bid`].
fn worth(strategy: Strategy) -> i64 {
    match strategy {
        Strategy::TargetRoas => 1,
        _ if strategy.predicts() != Predicts::Nothing => 1_000,
        _ => 1,
    }
}

/// The prices of the curve as parts of the configured one, each with the amount that was asked for.
fn parts(line: &LineItem, bids: &[String]) -> Result<Vec<(i64, Cpm)>, Problem> {
    let mut parts = Vec::new();
    for (at, text) in bids.iter().enumerate() {
        let amount = Cpm::parse_decimal(text, false).filter(|amount| amount.0 > 0);
        let part = amount.map(|amount| {
            let bid = i128::from(amount.0) * i128::from(worth(line.strategy)) * i128::from(PPM);
            bid / i128::from(line.bid.0.max(1))
        });
        let part = part.filter(|part| (1..=1_000_000_000).contains(part)).ok_or_else(|| {
            let message = "is no amount above 0 and at most a thousand times the configured one";
            refused(format!("/bids/{at}"), "out_of_range", message)
        })?;
        parts.push((part as i64, amount.unwrap_or_default()));
    }
    parts.sort_unstable();
    parts.dedup_by_key(|(part, _)| *part);
    Ok(parts)
}

fn answer(
    inner: &Arc<Inner>,
    (account, line_item): (Account, LineItemId),
    days: u32,
    bids: &[String],
    exists: bool,
) -> Result<Reply, Problem> {
    let gone = || Problem::not_found(&format!("line item {line_item}"));
    let line = account.line_items.iter().find(|line| line.id == line_item).ok_or_else(gone)?;
    let asked = parts(line, bids)?;
    let grid_ppm = asked.iter().map(|(part, _)| *part).collect();
    let line = line.clone();
    let owner =
        account.campaigns.iter().find(|known| known.id == line.campaign).map(|known| known.advertiser);
    let currency =
        account.advertisers.iter().find(|known| Some(known.id) == owner).map(|known| known.currency);
    let currency = currency.ok_or_else(gone)?;
    let told = inner.serving.forecast(Asked { account, line_item, days, grid_ppm });
    let told = told.map_err(|why| match why {
        NotForecast::Busy => Problem::new(StatusCode::TOO_MANY_REQUESTS, "busy", why.to_string()),
        NotForecast::Account(_) => refused("", "refused", why.to_string()),
        NotForecast::Gone(_) => gone(),
    })?;
    let told = told.unwrap_or_else(|| Told::nothing(line, currency, inner.clock.now().unix_ms));
    Ok(Reply::new(StatusCode::OK, view(&told, &asked, exists)))
}

fn money(nanos: f64) -> String {
    Told::amount(nanos).to_string()
}

/// Counts are rounded: no digit more than a forecast has.
fn count(number: f64) -> u64 {
    number.round().max(0.0) as u64
}

fn share(part: f64) -> f64 {
    (part * 10_000.0).round() / 10_000.0
}

/// The first line: what a day brings, or what keeps it from bringing anything.
fn headline(told: &Told) -> String {
    let currency = told.currency.as_str();
    if let Some(numbers) = told.forecast.as_ref().filter(|numbers| count(numbers.bids) > 0) {
        let (shown, spend) = (&numbers.impressions, &numbers.spend);
        let limited = if numbers.limited { "; its budget does not last for more" } else { "" };
        return format!(
            "about {} impressions a day ({} to {} in 90 of 100) for {} {currency}{limited}",
            count(shown.expected),
            count(shown.low),
            count(shown.high),
            money(spend.expected),
        );
    }
    if told.requests == 0 {
        let why = told.warnings.first().map_or("there is no sampled request", String::as_str);
        return format!("nothing can be said: {why}");
    }
    let most = |ends: &[(NoBidReason, f64)]| ends.iter().max_by(|a, b| a.1.total_cmp(&b.1)).copied();
    // What meets the targeting and fails after it is nearest to a bid.
    if let Some((reason, all)) = most(&told.ended) {
        let advice = advice(reason);
        return format!("no bids: {} of {} impressions a day; {}", advice.title, count(all), advice.advice);
    }
    if let Some(one) = told.relaxations.first() {
        let names = Told::names(one.without).join(" and ");
        return format!(
            "no impressions meet its targeting; without {names} {} a day would",
            count(one.avails)
        );
    }
    match most(&told.refused) {
        Some((reason, all)) => {
            let advice = advice(reason);
            format!("no bids: {}, of {} impressions a day; {}", advice.title, count(all), advice.advice)
        }
        None if told.forecast.is_some() => {
            "no bids: every floor is above its price; raise the bid".to_owned()
        }
        None => "no impressions meet its targeting; see `dimensions`".to_owned(),
    }
}

fn view(told: &Told, asked: &[(i64, Cpm)], exists: bool) -> Value {
    let Told { forecast, line_item, .. } = told;
    let moment = |at_ms: i64| shape::moment(at_ms.div_euclid(1_000) * 1_000);
    let interval = |of: &Interval, print: &dyn Fn(f64) -> Value| json!({ "expected": print(of.expected), "low": print(of.low), "high": print(of.high) });
    let reasons = |ends: &[(NoBidReason, f64)]| {
        let one = |(why, all): &(NoBidReason, f64)| json!({ "reason": why.as_str(), "title": advice(*why).title, "impressions": count(*all) });
        ends.iter().map(one).collect::<Vec<_>>()
    };
    let numbers = forecast.as_ref();
    let point = |(part, point): (&i64, &Point)| {
        let configured = Cpm(line_item.bid.0 / worth(line_item.strategy));
        let named = asked.iter().find(|(known, _)| known == part).map(|(_, amount)| *amount);
        let bid = named.unwrap_or_else(|| configured.scale_ppm(*part));
        json!({
            "times": share(*part as f64 / PPM as f64),
            "bid": (!line_item.strategy.spends_all()).then(|| bid.to_string()),
            "bids": count(point.bids), "win_rate": share(point.win_rate),
            "impressions": count(point.impressions), "spend": money(point.spend),
        })
    };
    let curve =
        numbers.map(|numbers| told.grid_ppm.iter().zip(&numbers.curve).map(point).collect::<Vec<_>>());
    let relaxations = told.relaxations.iter().map(|one| {
        json!({
            "without": Told::names(one.without), "avails": count(one.avails),
            "times": one.times.map(|times| (times * 100.0).round() / 100.0), "n": one.sampled,
        })
    });
    let dimensions = told.removed.iter().map(|one| {
        json!({
            "dimension": Told::names(one.rule).first(), "removes": share(one.share), "fails": count(one.fails),
        })
    });
    json!({
        "headline": headline(told),
        "line_item_id": exists.then(|| line_item.id.0.to_string()), "currency": told.currency.as_str(),
        "from": moment(told.from_ms), "to": moment(told.until_ms), "n": told.requests,
        "requests": count(told.requests_a_day), "matched": count(told.matched),
        "avails": numbers.map(|n| count(n.avails)).unwrap_or(0), "bids": numbers.map(|n| count(n.bids)).unwrap_or(0),
        "win_rate": numbers.map(|n| share(n.win_rate)),
        "reach": numbers.map(|n| json!({
            "people": count(n.unique), "shown": count(n.reached), "approximate": true,
        })),
        "impressions": numbers.map(|n| interval(&n.impressions, &|x| count(x).into())),
        "spend": numbers.map(|n| interval(&n.spend, &|x| money(x).into())),
        "confidence": 0.9,
        "budget": told.budget_nanos.map(|nanos| Nanos(nanos).to_string()),
        "limited": numbers.is_some_and(|n| n.limited),
        "unlimited_spend": numbers.map(|n| money(n.unlimited_spend)),
        "at_most": if numbers.is_none() { told.at_most.map(|most| most.ceil() as u64) } else { None },
        "relaxations": relaxations.collect::<Vec<_>>(), "dimensions": dimensions.collect::<Vec<_>>(),
        "curve": curve.unwrap_or_default(), "refused": reasons(&told.refused), "ended": reasons(&told.ended),
        "warnings": told.warnings,
    })
}

/// What is posted of a line item that there is.
pub(super) fn asked_schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "days": days_schema(), "bids": bids_schema(),
            "changes": { "type": "object", "description": "A merge patch of the line item that is tried and not kept." },
        },
        "additionalProperties": false,
    })
}

/// What is posted of a draft.
pub(super) fn draft_schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "days": days_schema(), "bids": bids_schema(),
            "line_item": {
                "$ref": "#/components/schemas/line_item_new",
                "description": "The line item as `POST /v1/line_items` takes it.",
            },
        },
        "required": ["line_item"],
        "additionalProperties": false,
    })
}

fn days_schema() -> Value {
    let said = "How many days of samples are looked at, from now back; 1 if not given.";
    json!({ "type": "integer", "minimum": 1, "maximum": MOST_DAYS, "description": said })
}

fn bids_schema() -> Value {
    let said = "The prices of the curve, as the line item's bid has its amount; if not given, from a quarter to four times of it.";
    json!({ "type": "array", "maxItems": MOST_BIDS, "items": { "type": "string" }, "description": said })
}

/// What is answered.
pub(super) fn schema() -> Value {
    let count = |said: &str| json!({ "type": "integer", "minimum": 0, "description": said });
    let number = |said: &str| json!({ "type": "number", "minimum": 0, "description": said });
    let text = |said: &str| json!({ "type": "string", "description": said });
    let maybe = |said: &str| json!({ "type": ["string", "null"], "description": said });
    let list = |said: &str, of: &Value| json!({ "type": "array", "items": of, "description": said });
    let closed = |members: Value| {
        let required: Vec<String> =
            members.as_object().map(|all| all.keys().cloned().collect()).unwrap_or_default();
        json!({ "type": "object", "properties": members, "required": required, "additionalProperties": false })
    };
    let or_null = |said: &str, of: Value| json!({ "anyOf": [of, { "type": "null" }], "description": said });
    let interval = |of: &dyn Fn(&str) -> Value| {
        closed(json!({
            "expected": of("What is expected."), "low": of("The lower end of the interval."),
            "high": of("The upper end of the interval."),
        }))
    };
    let reason = closed(json!({
        "reason": text("The reason, as in metrics and events."), "title": text("What happens."),
        "impressions": count("Impressions a day."),
    }));
    let relaxation = closed(json!({
        "without": list("The dimensions of targeting to give up, all of them together.", &json!({ "type": "string" })),
        "avails": count("Impressions a day that would meet the rest."),
        "times": { "type": ["number", "null"], "description": "How many times as many as now; null where there are none now." },
        "n": count("Impressions of the sample that it rests on."),
    }));
    let dimension = closed(json!({
        "dimension": text("A dimension of targeting."),
        "removes": number("Of the impressions that meet everything else, the share that it removes."),
        "fails": count("Impressions a day that do not meet it, whatever else they meet."),
    }));
    let point = closed(json!({
        "times": number("The price as a multiple of the configured one."),
        "bid": maybe("The price as the line item's bid has it; null where it has none."),
        "bids": count("Bids a day."), "win_rate": number("The share of them that wins."),
        "impressions": count("Impressions a day, within caps and budget."),
        "spend": text("Spend a day, in the advertiser's currency."),
    }));
    let reach = closed(json!({
        "people": count("Unique people among the avails in the time of the samples."),
        "shown": count("Those who would be shown it at least once."),
        "approximate": { "type": "boolean", "description": "Always true: counted by a sketch and scaled." },
    }));
    closed(json!({
        "headline": text("What a day brings, or what keeps it from bringing anything."),
        "line_item_id": maybe("The line item; null of a draft."), "currency": text("The advertiser's currency."),
        "from": { "type": "string", "format": "date-time", "description": "The samples are from here." },
        "to": { "type": "string", "format": "date-time", "description": "They are until here." },
        "n": count("Sampled requests that were decided again."), "requests": count("Requests a day that they stand for."),
        "matched": count("Impressions a day that meet the targeting."),
        "avails": count("Those of them that could be bid on at some price."),
        "bids": count("Bids a day at the configured price."),
        "win_rate": { "type": ["number", "null"], "description": "The share of bids that wins." },
        "reach": or_null("Unique people; null without avails.", reach),
        "impressions": or_null("Impressions a day; null without avails.", interval(&count)),
        "spend": or_null("Spend a day in the advertiser's currency; null without avails.", interval(&text)),
        "confidence": number("The share of days that lie in the intervals."),
        "budget": maybe("What a day may cost; null where nothing bounds it."),
        "limited": { "type": "boolean", "description": "The budget ends what is bought." },
        "unlimited_spend": maybe("Spend a day if there were no budget."),
        "at_most": { "type": ["integer", "null"], "minimum": 0, "description": "Without avails in the sample: with a chance of 95 % there are at most so many a day." },
        "relaxations": list("What to give up, what brings the most first.", &relaxation),
        "dimensions": list("What each dimension costs, the dearest first.", &dimension),
        "curve": list("What other prices would bring, rising.", &point),
        "refused": list("Impressions that nobody may bid on.", &reason),
        "ended": list("Impressions that meet the targeting and get no bid at any price.", &reason),
        "warnings": list("What to keep in mind.", &json!({ "type": "string" })),
    }))
}
