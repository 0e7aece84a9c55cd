//! The admin listener, first form, behind `admin.bootstrap_key`: what was spent, the ledger ([`ledger_api`]), and taking
//! up the account anew ([`account_api`]).
//! Everything else of the admin API comes with its own issue and takes this listener over.

use super::account_api;
use super::body::{self, BodyError};
use super::http::{Answer, Handler, answer, last};
use super::ledger_api;
use super::limits::BodyRoom;
use super::ops::json;
use super::state::Shared;
use crate::budget::{AccountKey, Balance};
use crate::model::ids::{AdvertiserId, CampaignId};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{ALLOW, AUTHORIZATION, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode, Uri};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs::File;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc;

/// The API of the control plane, which stands above this module and is handed in.
pub trait Api: Send + Sync {
    /// Asked before a body is read: where it goes.
    fn receive(&self, head: ApiHead) -> Pin<Box<dyn Future<Output = Receive> + Send>>;

    /// Answers a call; `None` where the path is none of its own. `spool` has the body where [`Api::receive`] gave a file
    /// for it, read to its end.
    fn handle(
        &self,
        request: ApiRequest,
        spool: Option<File>,
    ) -> Pin<Box<dyn Future<Output = Option<ApiAnswer>> + Send>>;

    /// What somebody who sends these headers from there may do on the paths that the server answers itself.
    fn caller(&self, headers: HeaderMap, peer: SocketAddr) -> Pin<Box<dyn Future<Output = Caller> + Send>>;

    /// What was counted since the start.
    fn figures(&self) -> ApiFigures;
}

/// Somebody who calls a path that the server answers itself.
#[derive(Debug)]
pub enum Caller {
    /// Runs the platform.
    Operator,
    /// Is somebody else, who may see what these advertisers have spent; with the refusal of everything else.
    Reader(BTreeSet<AdvertiserId>, ApiAnswer),
    /// May do nothing here.
    Refused(ApiAnswer),
}

/// What an API counts of those who want to come in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ApiFigures {
    /// Logins that began a session.
    pub logins_accepted: u64,
    /// Logins with a wrong password or code.
    pub logins_refused: u64,
    /// Attempts that were not looked at, because too many had failed before.
    pub logins_slowed: u64,
    /// Attempts that were not looked at, because too many passwords were looked at already.
    pub logins_busy: u64,
    /// API keys that nobody has.
    pub keys_refused: u64,
    /// API keys that were not looked at, because too many had been wrong before.
    pub keys_slowed: u64,
    /// Hashes of passwords that were worked out.
    pub password_hashes: u64,
}

/// A call whose body has come in.
#[derive(Clone, Debug)]
pub struct ApiRequest {
    /// GET, POST and so on.
    pub method: Method,
    /// Path and query.
    pub uri: Uri,
    /// As they came.
    pub headers: HeaderMap,
    /// At most `admin.body_bytes`.
    pub body: Bytes,
    /// Who called.
    pub peer: SocketAddr,
}

/// A call whose body has not come in.
#[derive(Clone, Debug)]
pub struct ApiHead {
    /// GET, POST and so on.
    pub method: Method,
    /// Path and query.
    pub uri: Uri,
    /// As they came.
    pub headers: HeaderMap,
    /// Who called.
    pub peer: SocketAddr,
}

/// Where a long body goes.
#[derive(Debug)]
pub struct Spool {
    /// Empty.
    pub file: File,
    /// Longer ones are refused.
    pub max_bytes: u64,
}

/// Where the body of a call goes.
#[derive(Debug)]
pub enum Receive {
    /// Into memory, where it is not long.
    Memory,
    /// Into a file.
    Spool(Spool),
    /// Nowhere: the call is refused with its body unread.
    Refused(ApiAnswer),
}

/// What the API answers.
pub type ApiAnswer = Response<ApiBody>;

/// Pieces of a body that may wait for the caller.
pub const PIECES: usize = 4;

/// The body of an answer of the API.
#[derive(Debug)]
pub enum ApiBody {
    /// There as a whole.
    Whole(Full<Bytes>),
    /// Comes piece by piece; an error breaks it off.
    Pieces(mpsc::Receiver<io::Result<Bytes>>),
}

impl From<Bytes> for ApiBody {
    fn from(bytes: Bytes) -> ApiBody {
        ApiBody::Whole(Full::new(bytes))
    }
}

impl Body for ApiBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match self.get_mut() {
            ApiBody::Whole(whole) => Pin::new(whole).poll_frame(context).map_err(|never| match never {}),
            ApiBody::Pieces(pieces) => {
                pieces.poll_recv(context).map(|piece| piece.map(|piece| piece.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            ApiBody::Whole(whole) => whole.is_end_stream(),
            ApiBody::Pieces(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            ApiBody::Whole(whole) => whole.size_hint(),
            ApiBody::Pieces(_) => SizeHint::default(),
        }
    }
}

/// Longest body of a call, in bytes: a line item with a list of 100,000 domains has 3 MB.
const MAX_BODY: usize = 8 << 20;
/// How long a body may take.
const BODY_PATIENCE: Duration = Duration::from_secs(30);

/// Answers the admin listener.
pub(super) struct AdminHandler {
    shared: Arc<Shared>,
}

impl AdminHandler {
    pub(super) fn new(shared: Arc<Shared>) -> AdminHandler {
        AdminHandler { shared }
    }

    async fn caller(&self, headers: &HeaderMap, peer: SocketAddr) -> Caller {
        let shown = headers.get(AUTHORIZATION).map_or(&b""[..], |value| value.as_bytes());
        let shown = shown.strip_prefix(b"Bearer ");
        let key = self.shared.bootstrap_key.load();
        if key.as_ref().is_some_and(|key| shown.is_some_and(|shown| key.matches(shown))) {
            return Caller::Operator;
        }
        match self.shared.api() {
            Some(api) => api.caller(headers.clone(), peer).await,
            None => {
                let detail = "send `Authorization: Bearer KEY` with the key of admin.bootstrap_key";
                let refused = problem(StatusCode::UNAUTHORIZED, "no valid API key", detail);
                Caller::Refused(refused.map(ApiBody::Whole))
            }
        }
    }

    /// `GET /v1/balances`: every advertiser, campaign and line item with its budget, spend and delivery; for who may see
    /// some advertisers `only`, those, without what the house bears.
    fn balances(&self, only: Option<&BTreeSet<AdvertiserId>>) -> Value {
        let catalog = Arc::clone(&self.shared.snapshots.load().catalog);
        let ledger = &self.shared.ledger;
        let balances = ledger.balances();
        let balance = |key| balance(balances.get(&key).copied().unwrap_or_default());
        let is_seen = |id: AdvertiserId| only.is_none_or(|only| only.contains(&id));
        let own = catalog.campaigns().iter().filter(|campaign| is_seen(campaign.advertiser));
        let own: BTreeSet<CampaignId> = own.map(|campaign| campaign.id).collect();
        let advertisers: Vec<Value> = catalog
            .advertisers()
            .iter()
            .filter(|advertiser| is_seen(advertiser.id))
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
            .filter(|campaign| own.contains(&campaign.id))
            .map(|campaign| {
                let total = balance(AccountKey::CampaignTotal(campaign.id));
                json!({ "id": campaign.id.to_string(), "name": campaign.name, "lifetime": total })
            })
            .collect();
        let line_items: Vec<Value> = catalog
            .line_items()
            .iter()
            .filter(|line| own.contains(&line.item.campaign))
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
        let mut shown =
            json!({ "advertisers": advertisers, "campaigns": campaigns, "line_items": line_items });
        if only.is_none() {
            let house = ledger.house();
            shown["house"] = json!({
                "overdelivery": house.overdelivery.to_string(), "overprice": house.overprice.to_string(),
                "stale": house.stale.to_string(),
            });
        }
        shown
    }
}

fn balance(balance: Balance) -> Value {
    let budget = balance.budget.map(|budget| budget.to_string());
    json!({ "budget": budget, "spent": balance.posted.to_string(), "leased": balance.leased.to_string() })
}

/// Why a body was not taken.
fn refuse_body(why: BodyError, max_bytes: u64) -> ApiAnswer {
    let answer = match why {
        BodyError::TooLarge => {
            let detail = format!("the body is longer than {max_bytes} bytes");
            problem(StatusCode::PAYLOAD_TOO_LARGE, "too large", &detail)
        }
        BodyError::NoRoom => {
            let detail = "bodies take as much memory as they may (server.body_memory_bytes); try again";
            problem(StatusCode::SERVICE_UNAVAILABLE, "no room", detail)
        }
        BodyError::Incomplete => problem(StatusCode::REQUEST_TIMEOUT, "incomplete", "the body did not come"),
    };
    last(answer.map(ApiBody::Whole))
}

/// A call of the API, from its head to its answer.
async fn api_call(
    api: &Arc<dyn Api>,
    request: Request<Incoming>,
    peer: SocketAddr,
    room: &BodyRoom,
) -> ApiAnswer {
    let (head, body) = request.into_parts();
    let Parts { method, uri, headers, .. } = head;
    let path = uri.path().to_owned();
    let head = ApiHead { method: method.clone(), uri: uri.clone(), headers: headers.clone(), peer };
    let (body, spool) = match api.receive(head).await {
        Receive::Refused(refused) => {
            body::discard(body, MAX_BODY).await;
            return last(refused);
        }
        Receive::Memory => match body::read(body, MAX_BODY, room, BODY_PATIENCE).await {
            Ok(body) => (body, None),
            Err(why) => return refuse_body(why, MAX_BODY as u64),
        },
        Receive::Spool(Spool { file, max_bytes }) => {
            match body::write(body, file, max_bytes, BODY_PATIENCE).await {
                Ok(Ok(file)) => (Bytes::new(), Some(file)),
                Ok(Err(why)) => {
                    tracing::error!(%why, "a long body cannot be written");
                    let detail = "the server has no place for the body; its log says more";
                    let refused = problem(StatusCode::INSUFFICIENT_STORAGE, "no place", detail);
                    return last(refused.map(ApiBody::Whole));
                }
                Err(why) => return refuse_body(why, max_bytes),
            }
        }
    };
    let answered = api.handle(ApiRequest { method, uri, headers, body, peer }, spool).await;
    answered.unwrap_or_else(|| not_found(&format!("there is nothing at {path}")).map(ApiBody::Whole))
}

impl Handler for AdminHandler {
    type Body = ApiBody;

    async fn handle(self: Rc<Self>, request: Request<Incoming>, peer: SocketAddr) -> ApiAnswer {
        let path = request.uri().path();
        // What this module answers itself until the API has taken it over.
        let is_own = path == "/v1/balances" || path == "/v1/account/reload" || ledger_api::has(path);
        match self.shared.api() {
            Some(api) if !is_own => api_call(api, request, peer, &self.shared.body_room).await,
            _ => self.own(request, peer).await,
        }
    }
}

impl AdminHandler {
    /// What this module answers itself.
    async fn own(&self, request: Request<Incoming>, peer: SocketAddr) -> ApiAnswer {
        let is_balances = request.uri().path() == "/v1/balances";
        let only = match self.caller(request.headers(), peer).await {
            Caller::Operator => None,
            Caller::Reader(own, _) if is_balances => Some(own),
            Caller::Reader(_, refused) | Caller::Refused(refused) => return refused,
        };
        let answer = match *request.method() {
            Method::GET if is_balances => json(StatusCode::OK, &self.balances(only.as_ref())),
            _ if is_balances => method_not_allowed(&Method::GET),
            _ => self.operate(request).await,
        };
        answer.map(ApiBody::Whole)
    }

    /// What only the platform may.
    async fn operate(&self, request: Request<Incoming>) -> Answer {
        if request.uri().path() == "/v1/account/reload" {
            return match *request.method() {
                Method::POST => account_api::reload(&self.shared).await,
                _ => method_not_allowed(&Method::POST),
            };
        }
        let path = request.uri().path().to_owned();
        let answered = ledger_api::handle(&self.shared, request).await;
        answered.unwrap_or_else(|| not_found(&format!("there is nothing at {path}")))
    }
}

/// 404.
pub(super) fn not_found(detail: &str) -> Answer {
    problem(StatusCode::NOT_FOUND, "no such resource", detail)
}

/// 405, with the one method that is allowed.
pub(super) fn method_not_allowed(allowed: &Method) -> Answer {
    let detail = format!("this resource takes {allowed} only");
    let mut answer = problem(StatusCode::METHOD_NOT_ALLOWED, "method not allowed", &detail);
    let value = HeaderValue::from_str(allowed.as_str()).expect("a method is a token");
    answer.headers_mut().insert(ALLOW, value);
    answer
}

/// RFC 9457.
pub(super) fn problem(status: StatusCode, title: &str, detail: &str) -> Answer {
    problem_with(status, json!({ "title": title, "detail": detail }))
}

/// The same with members of its own beside `title` and `detail`.
pub(super) fn problem_with(status: StatusCode, mut body: Value) -> Answer {
    body["type"] = "about:blank".into();
    body["status"] = status.as_u16().into();
    answer(status, "application/problem+json", format!("{body}\n"))
}
