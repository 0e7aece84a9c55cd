//! The admin listener, first form: what was spent, read-only, behind `admin.bootstrap_key`. Everything else of the
//! admin API comes with its own issue and takes this listener over.

use super::http::{Answer, Handler, answer};
use super::ops::json;
use super::state::Shared;
use crate::budget::{AccountKey, Balance};
use hyper::body::Incoming;
use hyper::header::AUTHORIZATION;
use hyper::{Method, Request, StatusCode};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// Answers the admin listener.
pub(super) struct AdminHandler {
    shared: Arc<Shared>,
}

impl AdminHandler {
    pub(super) fn new(shared: Arc<Shared>) -> AdminHandler {
        AdminHandler { shared }
    }

    fn is_admin(&self, request: &Request<Incoming>) -> bool {
        let Some(key) = &self.shared.config.admin.bootstrap_key else { return false };
        let shown = request.headers().get(AUTHORIZATION).map_or(&b""[..], |value| value.as_bytes());
        shown.strip_prefix(b"Bearer ").is_some_and(|shown| shown.ct_eq(key.expose().as_bytes()).into())
    }

    /// `GET /v1/balances`: every advertiser, campaign and line item with its budget, spend and delivery.
    fn balances(&self) -> Value {
        let catalog = Arc::clone(&self.shared.snapshots.load().catalog);
        let ledger = &self.shared.ledger;
        let balances = ledger.balances();
        let balance = |key| balance(balances.get(&key).copied().unwrap_or_default());
        let advertisers: Vec<Value> = catalog
            .advertisers()
            .iter()
            .map(|advertiser| {
                let wallet = balance(AccountKey::Wallet(advertiser.id));
                json!({
                    "id": advertiser.id.to_string(), "name": advertiser.name,
                    "currency": advertiser.currency.as_str(), "wallet": wallet,
                })
            })
            .collect();
        let campaigns: Vec<Value> = catalog
            .campaigns()
            .iter()
            .map(|campaign| {
                let total = balance(AccountKey::CampaignTotal(campaign.id));
                json!({ "id": campaign.id.to_string(), "name": campaign.name, "lifetime": total })
            })
            .collect();
        let line_items: Vec<Value> = catalog
            .line_items()
            .iter()
            .map(|line| {
                let total = balance(AccountKey::LineItemTotal(line.item.id));
                let delivery = self.shared.delivery.get(&line.item.id).map(|d| *d).unwrap_or_default();
                json!({
                    "id": line.item.id.to_string(), "name": line.item.name, "lifetime": total,
                    "wins": delivery.wins, "billed": delivery.billed, "impressions": delivery.impressions,
                    "clicks": delivery.clicks, "losses": delivery.losses,
                })
            })
            .collect();
        let house = ledger.house();
        json!({
            "advertisers": advertisers, "campaigns": campaigns, "line_items": line_items,
            "house": {
                "overdelivery": house.overdelivery.to_string(), "overprice": house.overprice.to_string(),
                "stale": house.stale.to_string(),
            },
        })
    }
}

fn balance(balance: Balance) -> Value {
    let budget = balance.budget.map(|budget| budget.to_string());
    json!({ "budget": budget, "spent": balance.posted.to_string(), "leased": balance.leased.to_string() })
}

impl Handler for AdminHandler {
    async fn handle(self: Rc<Self>, request: Request<Incoming>, _peer: SocketAddr) -> Answer {
        if !self.is_admin(&request) {
            let detail = "send `Authorization: Bearer KEY` with the key of admin.bootstrap_key; without one in the \
                          configuration nobody is let in";
            return problem(StatusCode::UNAUTHORIZED, "no valid API key", detail);
        }
        match (request.method(), request.uri().path()) {
            (&Method::GET, "/v1/balances") => json(StatusCode::OK, &self.balances()),
            (_, "/v1/balances") => problem(
                StatusCode::METHOD_NOT_ALLOWED,
                "method not allowed",
                "this resource is read with GET",
            ),
            (_, path) => {
                problem(StatusCode::NOT_FOUND, "no such resource", &format!("there is nothing at {path}"))
            }
        }
    }
}

/// RFC 9457.
fn problem(status: StatusCode, title: &str, detail: &str) -> Answer {
    let body = json!({ "type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail });
    answer(status, "application/problem+json", format!("{body}\n"))
}
