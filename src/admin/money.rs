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
use super::shape::{Shape, plain};
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
    /// That of the wallet, where it is not said.
    currency: Option<Currency>,
    note: String,
}

/// Largest amount, in whole units of its currency: what fits in nanos.
const LARGEST: i64 = i64::MAX / 1_000_000_000;

/// An amount in any of the ways in which one is written: its sum, and the currency if that is said; or what is wrong with
/// it, below its pointer.
fn amount_of(mut value: Value) -> Result<(Nanos, Option<Currency>), Vec<FieldError>> {
    let wrong = |member: &str, code, message: String| {
        vec![FieldError::new(format!("/amount{member}"), code, message)]
    };
    let currency = match value.get("currency") {
        None => None,
        Some(text) => Some(text.as_str().and_then(Currency::parse).ok_or_else(|| {
            wrong("/currency", "malformed", "give three letters such as \"USD\"".to_owned())
        })?),
    };
    let place = if value.is_object() { "/amount" } else { "" };
    plain(&mut value, None).map_err(|(code, message)| wrong("", code, message))?;
    let text = value.as_str().unwrap_or_default();
    match Nanos::parse_decimal(text) {
        Some(Nanos(0)) => Err(wrong(place, "out_of_range", "is 0, which moves nothing".to_owned())),
        Some(nanos) => Ok((nanos, currency)),
        None if text.parse::<f64>().is_ok_and(|amount| amount.abs() >= LARGEST as f64) => {
            Err(wrong(place, "out_of_range", format!("is too large; at most {LARGEST} is moved at once")))
        }
        None => {
            let message = "give an exact decimal in quotes such as \"100.00\", with at most 9 decimals";
            Err(wrong(place, "malformed", message.to_owned()))
        }
    }
}

impl Sent {
    fn read(mut object: Map<String, Value>) -> Result<Sent, Problem> {
        let (mut errors, sum) = match amount_of(object.remove("amount").unwrap_or(Value::Null)) {
            Ok(sum) => (Vec::new(), Some(sum)),
            Err(errors) => (errors, None),
        };
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
        if sum.is_some_and(|(nanos, _)| nanos.0 < 0) && kind != Some(TransactionKind::Adjustment) {
            fail("/amount", "out_of_range", "is negative; only an adjustment takes money out");
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
        match (advertiser, kind, sum) {
            (Some(advertiser), Some(kind), Some((amount, currency))) if errors.is_empty() => {
                Ok(Sent { advertiser, kind, amount, currency, note })
            }
            _ => Err(Problem::invalid(errors)),
        }
    }
}

/// `POST /v1/transactions`.
pub(super) fn transact(inner: &Arc<Inner>, mut call: Call) -> Result<Reply, Problem> {
    let dry = call.parameters.switch("validate_only")?;
    let once = idempotent::required(&call)?;
    let sent = Sent::read(call.object(&["application/json"])?)?;
    let (who, account, key) = (call.who(), call.account, once.key.clone());
    call.parameters.finish("validate_only")?;
    crud::change(inner, dry, Some(once), move |tx, puts| {
        let (row, currency) = advertiser_row(tx, puts, &sent, account)?;
        let Sent { advertiser, kind, amount, note, .. } = sent;
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
            return Err(Problem::invalid(vec![FieldError::new("/amount", "out_of_range", message)]));
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

/// The row of the advertiser whose wallet is meant and its currency, if the caller may see it and has named no other one.
fn advertiser_row(
    tx: &Write<'_>,
    puts: &Puts<'_>,
    sent: &Sent,
    account: Option<u32>,
) -> Result<(Row, Currency), Problem> {
    let id = sent.advertiser;
    let row =
        tx.get(Kind::Advertiser, id)?.filter(|row| account.is_none_or(|account| account == row.account));
    let Some(row) = row else {
        let message = format!("there is no advertiser {id}; make it or change this");
        return Err(Problem::invalid(vec![FieldError::new("/advertiser_id", "unknown_reference", message)]));
    };
    let own = puts.editor.advertiser(id).map(|advertiser| advertiser.currency);
    match (own, sent.currency) {
        (Some(own), Some(named)) if own != named => {
            let message = format!("is {named}, and the wallet is in {own}");
            Err(Problem::invalid(vec![FieldError::new("/amount/currency", "conflict", message)]))
        }
        (Some(currency), _) | (None, Some(currency)) => Ok((row, currency)),
        (None, None) => Ok((row, puts.editor.base())),
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
            Problem::invalid(vec![FieldError::new("/amount", "out_of_range", detail)])
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
