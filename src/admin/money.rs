//! What is paid into wallets: movements that are only ever added, and the wallet as their sum.
//!
//! A movement and the new sum in the advertiser's row are one transaction. The ledger hears of the sum with the next
//! published account; it is absolute, so hearing it twice is hearing it once.

use super::audit;
use super::call::{Call, Reply};
use super::crud::{self, masked};
use super::idempotent;
use super::page::{cut, page_size, page_token};
use super::problem::{FieldError, Problem};
use super::shape::Shape;
use super::state::{Inner, Puts};
use crate::model::money::{Currency, Nanos};
use crate::store::control::money::{
    NewTransaction, Transaction, TransactionError, TransactionKind, TransactionQuery,
};
use crate::store::control::{Change, Kind, Row, Write};
use hyper::StatusCode;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// What a list may be asked.
pub(super) const PARAMETERS: &[&str] = &["page_size", "page_token", "filter[advertiser_id]"];

/// Books what an imported advertiser's wallet holds, so that the wallet is the sum of its movements.
pub(super) fn book_import(tx: &mut Write<'_>, row: &Row) -> Result<(), String> {
    let doc: Map<String, Value> = serde_json::from_str(&row.doc).map_err(|why| why.to_string())?;
    let text = |name: &str| doc.get(name).and_then(Value::as_str);
    // What is missing or malformed the editor refuses.
    let Some(amount) = text("wallet").and_then(Nanos::parse_decimal).filter(|amount| amount.0 > 0) else {
        return Ok(());
    };
    let currency = text("currency").and_then(Currency::parse).unwrap_or(Currency::USD);
    let booked = tx.transact(NewTransaction {
        account: row.account,
        advertiser: row.id,
        kind: TransactionKind::TopUp,
        amount,
        currency,
        note: "as imported".to_owned(),
        actor: "import".to_owned(),
        idempotency_key: None,
    });
    booked.map(drop).map_err(|why| why.to_string())
}

/// A movement as it was sent.
struct Sent {
    advertiser: u32,
    kind: TransactionKind,
    amount: Nanos,
    currency: Currency,
    note: String,
}

impl Sent {
    fn read(mut object: Map<String, Value>) -> Result<Sent, Problem> {
        let mut errors = Vec::new();
        let mut fail =
            |pointer: &str, code, message: &str| errors.push(FieldError::new(pointer, code, message));
        let text = |value: Option<Value>| value.and_then(|value| value.as_str().map(str::to_owned));
        let advertiser = text(object.remove("advertiser_id")).and_then(|id| id.parse().ok());
        if advertiser.is_none() {
            fail("/advertiser_id", "malformed", "give the `id` of the advertiser, in quotes");
        }
        let kind = text(object.remove("kind")).and_then(|kind| TransactionKind::parse(&kind));
        if kind.is_none() {
            fail("/kind", "malformed", "give one of top_up, credit, adjustment");
        }
        let amount = object.remove("amount").unwrap_or(Value::Null);
        let nanos = amount["amount"].as_str().and_then(Nanos::parse_decimal).filter(|amount| amount.0 != 0);
        if nanos.is_none() {
            fail("/amount/amount", "malformed", "give an exact decimal in quotes such as \"100.00\", not 0");
        }
        if nanos.is_some_and(|nanos| nanos.0 < 0) && kind != Some(TransactionKind::Adjustment) {
            fail("/amount/amount", "out_of_range", "is negative; only an adjustment takes money out");
        }
        let currency = amount["currency"].as_str().and_then(Currency::parse);
        if currency.is_none() {
            fail("/amount/currency", "malformed", "give three letters such as \"USD\"");
        }
        let note = match object.remove("note") {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(note)) if note.len() <= 1_000 => note,
            Some(_) => {
                fail("/note", "malformed", "give a text of at most 1,000 bytes");
                String::new()
            }
        };
        for name in object.keys() {
            let message = "is not known; there are advertiser_id, kind, amount, note";
            fail(&format!("/{name}"), "malformed", message);
        }
        match (advertiser, kind, nanos, currency) {
            (Some(advertiser), Some(kind), Some(amount), Some(currency)) if errors.is_empty() => {
                Ok(Sent { advertiser, kind, amount, currency, note })
            }
            _ => Err(Problem::invalid(errors)),
        }
    }
}

/// `POST /v1/transactions`.
pub(super) fn transact(inner: &Arc<Inner>, mut call: Call) -> Result<Reply, Problem> {
    let dry = call.parameters.switch("validate_only")?;
    let once = idempotent::required(&call.actor, &call.headers, &call.path, &call.body)?;
    let sent = Sent::read(call.object(&["application/json"])?)?;
    let (who, account, key) = (call.who(), call.account, once.key.clone());
    call.parameters.finish("validate_only")?;
    crud::change(inner, dry, Some(once), move |tx, puts| {
        let row = advertiser_row(tx, puts, &sent, account)?;
        let Sent { advertiser, kind, amount, currency, note } = sent;
        let moved = tx.transact(NewTransaction {
            account: row.account,
            advertiser,
            kind,
            amount,
            currency,
            note,
            actor: who.actor.name.clone(),
            idempotency_key: Some(key),
        });
        let moved = moved.map_err(refusal)?;
        let sum = tx.balance(advertiser)?.map_or(Nanos(0), |balance| balance.amount);
        if sum.0 < 0 {
            let message = format!("the wallet would hold {sum}; take out less");
            return Err(Problem::invalid(vec![FieldError::new("/amount/amount", "out_of_range", message)]));
        }
        let mut doc: Map<String, Value> = serde_json::from_str(&row.doc).unwrap_or_default();
        doc.insert("wallet".to_owned(), sum.to_string().into());
        let change = Change { doc: Some(Value::Object(doc).to_string()), ..Change::default() };
        let after = tx.update(Kind::Advertiser, advertiser, Some(row.version), change)?;
        let shape = Shape::of(Kind::Advertiser).expect("advertisers are resources");
        puts.put(shape, &after)?;
        audit::note(tx, &who, kind.as_str(), Some(&row), &after, |row| masked(shape, row))?;
        let mut view = view(&moved);
        view["balance"] = amount_view(sum, currency);
        Ok(Reply::new(if dry { StatusCode::OK } else { StatusCode::CREATED }, view))
    })
}

/// The row of the advertiser whose wallet is meant, if the caller may see it and the currency is its own.
fn advertiser_row(
    tx: &Write<'_>,
    puts: &Puts<'_>,
    sent: &Sent,
    account: Option<u32>,
) -> Result<Row, Problem> {
    let id = sent.advertiser;
    let row =
        tx.get(Kind::Advertiser, id)?.filter(|row| account.is_none_or(|account| account == row.account));
    let Some(row) = row else {
        let message = format!("there is no advertiser {id}; make it or change this");
        return Err(Problem::invalid(vec![FieldError::new("/advertiser_id", "unknown_reference", message)]));
    };
    match puts.editor.advertiser(id).map(|advertiser| advertiser.currency) {
        Some(own) if own != sent.currency => {
            let message = format!("is {}, and the wallet is in {own}", sent.currency);
            Err(Problem::invalid(vec![FieldError::new("/amount/currency", "conflict", message)]))
        }
        _ => Ok(row),
    }
}

fn refusal(why: TransactionError) -> Problem {
    let detail = why.to_string();
    match why {
        TransactionError::Store(why) => why.into(),
        TransactionError::NoAdvertiser { .. } => Problem::not_found("such advertiser"),
        TransactionError::Currency { .. } => {
            Problem::invalid(vec![FieldError::new("/amount/currency", "conflict", detail)])
        }
        TransactionError::TooMuch { .. } => {
            Problem::invalid(vec![FieldError::new("/amount/amount", "out_of_range", detail)])
        }
        TransactionError::KeyUsed { .. } => Problem::new(StatusCode::CONFLICT, "key used before", detail),
    }
}

/// `GET /v1/transactions`.
pub(super) fn list(inner: &Arc<Inner>, mut call: Call) -> Result<Reply, Problem> {
    let parameters = &mut call.parameters;
    let size = page_size(parameters)?;
    let name = "filter[advertiser_id]";
    let advertiser = parameters.take(name);
    let advertiser =
        advertiser.map(|id| id.parse().map_err(|_| Problem::parameter(name, "is an id"))).transpose()?;
    let after = page_token(parameters)?;
    let query = TransactionQuery { account: call.account, advertiser, after, limit: size + 1 };
    call.parameters.finish(&PARAMETERS.join(", "))?;
    let mut moved = inner.control.read(|read| read.transactions(&query).map_err(Problem::from))?;
    let next = cut(&mut moved, size, |last| query.cursor(last));
    let items: Vec<Value> = moved.iter().map(view).collect();
    Ok(Reply::new(StatusCode::OK, json!({ "transactions": items, "next_page_token": next })))
}

fn view(Transaction { id, at_ms, moved }: &Transaction) -> Value {
    json!({
        "id": id.to_string(), "at": super::shape::moment(*at_ms), "advertiser_id": moved.advertiser.to_string(),
        "kind": moved.kind.as_str(), "amount": amount_view(moved.amount, moved.currency), "note": moved.note,
        "actor": moved.actor,
    })
}

fn amount_view(amount: Nanos, currency: Currency) -> Value {
    json!({ "amount": amount.to_string(), "currency": currency.as_str() })
}
