//! The ledger's part of the admin API (money.md 2.6, 2.7): looking at it whole, kill switches, pardons, and the wall
//! clock's step.
//!
//! Invariant: what changes something is durable before it is answered with 200. Where the journal has no space it is
//! in effect all the same, and the answer says 503 and that it is not durable yet.

use super::admin::{method_not_allowed, not_found, problem};
use super::body;
use super::figures::Whole;
use super::http::Answer;
use super::ledger_view::{self, Names};
use super::ops::json;
use super::state::Shared;
use crate::budget::{Books, LedgerWriter, Stop, Violation};
use crate::engine::Catalog;
use crate::model::ids::{AdvertiserId, CampaignId, ExchangeId};
use crate::model::money::Nanos;
use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::time::Duration;

/// How long an answer waits for the journal. A commit takes milliseconds; only a full disk takes longer.
const PATIENCE: Duration = Duration::from_secs(3);
/// A kill switch's body is `{"stopped": true}`.
const MAX_BODY: usize = 1_024;
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// Whether a path is one of the ledger's API.
pub(super) fn has(path: &str) -> bool {
    let is_pardon = || path.strip_prefix("/v1/exchanges/").is_some_and(|rest| rest.ends_with(":pardon"));
    path == "/v1/clock:adopt_step"
        || ["/v1/ledger", "/v1/kill_switches"].iter().any(|begin| {
            path.strip_prefix(begin).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
        || is_pardon()
}

/// Answers a request of the ledger's API; `None` when its path is none of them.
pub(super) async fn handle(shared: &Arc<Shared>, request: Request<Incoming>) -> Option<Answer> {
    let path = request.uri().path().to_owned();
    let method = request.method().clone();
    let only = |allowed: Method| (method != allowed).then(|| method_not_allowed(&allowed));
    let answer = match path.as_str() {
        "/v1/ledger" => match only(Method::GET) {
            Some(refused) => refused,
            None => whole(shared).await,
        },
        "/v1/kill_switches" => match only(Method::GET) {
            Some(refused) => refused,
            None => kill_switches(shared),
        },
        "/v1/clock:adopt_step" => match only(Method::POST) {
            Some(refused) => refused,
            None => adopt_step(shared),
        },
        path => {
            if let Some(what) = path.strip_prefix("/v1/kill_switches/") {
                match only(Method::PUT) {
                    Some(refused) => refused,
                    None => throw(shared, what, request.into_body()).await,
                }
            } else {
                let name = path.strip_prefix("/v1/exchanges/")?.strip_suffix(":pardon")?;
                match only(Method::POST) {
                    Some(refused) => refused,
                    None => pardon(shared, name).await,
                }
            }
        }
    };
    Some(answer)
}

/// Does something on the writer and shows what came of it once it is durable; `None` when that takes too long. Waits
/// without a thread of its own, because a full disk may take hours.
async fn durably<T: Send + 'static>(
    shared: &Shared,
    decide: impl FnOnce(&mut LedgerWriter) -> Result<(), Violation> + Send + 'static,
    look: impl FnOnce(&LedgerWriter) -> T + Send + 'static,
) -> Option<T> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let queued = shared.ledger.attempt(move |writer| {
        decide(writer)?;
        writer.look_later(Box::new(move |writer| {
            // Whoever asked may have gone.
            let _gone = sender.send(look(writer));
        }));
        Ok(())
    });
    queued.ok().flatten()?;
    tokio::time::timeout(PATIENCE, receiver).await.ok()?.ok()
}

/// `GET /v1/ledger`: the books at the last durable record, with the hash of their image, and how every exchange
/// stands.
async fn whole(shared: &Arc<Shared>) -> Answer {
    let now = shared.clock.now();
    let (shown, durable) = match durably(shared, |_| Ok(()), move |writer| Whole::of(writer, now)).await {
        Some(shown) => (Some(shown), true),
        // Without space the books are ahead of the journal: they are shown, but no record has their image.
        None => (shared.ledger.attempt(move |writer| Ok(Whole::of(writer, now))).ok().flatten(), false),
    };
    let Some(shown) = shown else { return stopped() };
    let names = Names::of_catalog(&shared.snapshots.load().catalog);
    let books = match Books::from_image(&shown.image) {
        Ok(books) => books,
        Err(error) => {
            return problem(StatusCode::INTERNAL_SERVER_ERROR, "the image is unreadable", &error.to_string());
        }
    };
    let mut answer: Map<String, Value> = ledger_view::books(&books, &names);
    answer.insert("lsn".to_owned(), shown.lsn.into());
    answer.insert("sha256".to_owned(), durable.then(|| hex(&Sha256::digest(&shown.image))).into());
    answer.insert("full".to_owned(), shown.full.into());
    answer.insert("runaways".to_owned(), shown.runaways.into());
    let pending = shared.wall.as_ref().and_then(|wall| wall.pending_step_ms());
    answer.insert("pending_clock_step_ms".to_owned(), pending.into());
    for (currency, held) in &shown.held {
        answer["currencies"][currency.as_str()]["held"] = ledger_view::decimal(*held).into();
    }
    let mut rows = ledger_view::exchange_books(&books, &names);
    for report in &shown.exchanges {
        let open_holds = shown.held_by_exchange.get(&report.exchange).copied().unwrap_or_default();
        let live = ledger_view::exchange_report(report, open_holds, &names);
        let row = rows.entry(report.exchange).or_insert_with(|| json!({}));
        if let (Some(row), Value::Object(live)) = (row.as_object_mut(), live) {
            row.extend(live);
        }
    }
    answer.insert("exchanges".to_owned(), rows.into_values().collect::<Vec<_>>().into());
    json(StatusCode::OK, &answer.into())
}

/// `GET /v1/kill_switches`: those that are thrown.
fn kill_switches(shared: &Shared) -> Answer {
    let names = Names::of_catalog(&shared.snapshots.load().catalog);
    json(
        StatusCode::OK,
        &json!({ "kill_switches": ledger_view::kill_switches(&shared.ledger.stops(), &names) }),
    )
}

/// `PUT /v1/kill_switches/{scope}[/{id}]` with `{"stopped": true}` or false.
async fn throw(shared: &Arc<Shared>, what: &str, body: Incoming) -> Answer {
    let catalog = Arc::clone(&shared.snapshots.load().catalog);
    let stop = match parse_stop(what, &catalog) {
        Ok(stop) => stop,
        Err(detail) => return not_found(&detail),
    };
    // What is stopped can be let go even after it has left the catalog.
    if !is_known(stop, &catalog) && !shared.ledger.stops().contains(&stop) {
        let (scope, _) = ledger_view::scope(stop);
        return not_found(&format!("there is no {scope} {:?}", what.rsplit('/').next().unwrap_or(what)));
    }
    let read = body::read(body, MAX_BODY, &shared.body_room, BODY_TIMEOUT).await.ok();
    let asked = read.and_then(|body| serde_json::from_slice::<Value>(&body).ok());
    let Some(stopped) = asked.as_ref().and_then(|asked| asked["stopped"].as_bool()) else {
        let detail = "send {\"stopped\": true} to stop it, {\"stopped\": false} to let it go on";
        return problem(StatusCode::BAD_REQUEST, "not a kill switch's state", detail);
    };
    let names = Names::of_catalog(&catalog);
    let shown = ledger_view::kill_switch(stop, stopped, &names);
    let done = durably(shared, move |writer| writer.stop(stop, stopped), |_| ()).await;
    tracing::warn!(switch = %shown, "an operator set a kill switch");
    match done {
        Some(()) => json(StatusCode::OK, &shown),
        None => not_durable(shared, "the kill switch"),
    }
}

/// `POST /v1/exchanges/{name}:pardon`: lets an exchange go on after its house costs had stopped it.
async fn pardon(shared: &Arc<Shared>, name: &str) -> Answer {
    let catalog = Arc::clone(&shared.snapshots.load().catalog);
    let Some(exchange) = exchange_id(name, &catalog) else {
        return not_found(&format!("there is no exchange {name:?}"));
    };
    let now = shared.clock.now();
    let look = move |writer: &LedgerWriter| {
        let report = writer.exchange_reports(now).into_iter().find(|report| report.exchange == exchange);
        (report, writer.held_by_exchange().get(&exchange).copied().unwrap_or_default())
    };
    let done = durably(shared, move |writer| writer.pardon(exchange, now), look).await;
    tracing::warn!(exchange = name, "an operator pardoned an exchange");
    match done {
        Some((Some(report), open_holds)) => {
            let names = Names::of_catalog(&catalog);
            json(StatusCode::OK, &ledger_view::exchange_report(&report, open_holds, &names))
        }
        Some((None, Nanos(_))) => not_found(&format!("the ledger has no contract with exchange {name:?}")),
        None => not_durable(shared, "the pardon"),
    }
}

/// `POST /v1/clock:adopt_step`: the wall clock is right, and civil time follows it at once.
fn adopt_step(shared: &Shared) -> Answer {
    match shared.wall.as_ref().and_then(|wall| wall.adopt_step()) {
        Some(step_ms) => json(StatusCode::OK, &json!({ "adopted_step_ms": step_ms })),
        None => problem(
            StatusCode::CONFLICT,
            "no step is pending",
            "civil time and the wall clock agree within a minute; there is nothing to adopt",
        ),
    }
}

/// The switch that `all`, `exchange/{name or id}`, `advertiser/{id}` or `campaign/{id}` names.
fn parse_stop(what: &str, catalog: &Catalog) -> Result<Stop, String> {
    let (scope, id) = what.split_once('/').map_or((what, None), |(scope, id)| (scope, Some(id)));
    let number = |id: &str| id.parse::<u32>().map_err(|_| format!("{scope} {id:?} is no number"));
    match (scope, id) {
        ("all", None) => Ok(Stop::All),
        ("exchange", Some(id)) => {
            let by_number = || id.parse().ok().map(ExchangeId);
            let found = exchange_id(id, catalog).or_else(by_number);
            found.map(Stop::Exchange).ok_or_else(|| format!("there is no exchange {id:?}"))
        }
        ("advertiser", Some(id)) => Ok(Stop::Advertiser(AdvertiserId(number(id)?))),
        ("campaign", Some(id)) => Ok(Stop::Campaign(CampaignId(number(id)?))),
        _ => Err(format!(
            "there is no kill switch {what:?}; there are all, exchange/{{name}}, advertiser/{{id}}, campaign/{{id}}"
        )),
    }
}

fn exchange_id(name: &str, catalog: &Catalog) -> Option<ExchangeId> {
    let by_id = || catalog.exchange_by_id(ExchangeId(name.parse().ok()?));
    catalog.exchange(name).or_else(by_id).map(|profile| profile.id)
}

fn is_known(stop: Stop, catalog: &Catalog) -> bool {
    match stop {
        Stop::All => true,
        Stop::Exchange(id) => catalog.exchange_by_id(id).is_some(),
        Stop::Advertiser(id) => catalog.advertisers().iter().any(|advertiser| advertiser.id == id),
        Stop::Campaign(id) => catalog.campaigns().iter().any(|campaign| campaign.id == id),
    }
}

fn not_durable(shared: &Shared, what: &str) -> Answer {
    let why = if shared.ledger.is_full() { "it has no space; free some" } else { "the disk does not answer" };
    let detail = format!(
        "{what} is in effect in this process, but not yet in the journal: {why}. It is written as soon as that is \
         possible; a crash before then forgets it"
    );
    problem(StatusCode::SERVICE_UNAVAILABLE, "not durable yet", &detail)
}

fn stopped() -> Answer {
    problem(
        StatusCode::SERVICE_UNAVAILABLE,
        "the ledger has stopped",
        "the process is ending; ask its successor",
    )
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
