//! `POST /v1/account/reload`: the account is read anew and taken up; answers when it is served.

use super::admin::{problem, problem_with};
use super::http::Answer;
use super::ops::json;
use super::publish::{Published, Reason, Refused};
use super::state::Shared;
use hyper::StatusCode;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// How long an answer waits. Minutes are a full disk, or a machine without a moment for anything but bids.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) async fn reload(shared: &Arc<Shared>) -> Answer {
    let Some(publisher) = shared.publisher() else {
        let detail = "this server has its account from elsewhere than a file";
        return problem(StatusCode::CONFLICT, "nothing to reload", detail);
    };
    match tokio::time::timeout(PATIENCE, publisher.publish()).await {
        Ok(Some(Ok(published))) => json(StatusCode::OK, &view(&published)),
        Ok(Some(Err(refused))) => problem_with(StatusCode::UNPROCESSABLE_ENTITY, refusal(&refused)),
        Ok(None) => {
            let detail = "too many reloads wait already, or the server closes";
            problem(StatusCode::SERVICE_UNAVAILABLE, "not taken up", detail)
        }
        Err(_) => {
            let why = if shared.ledger.is_full() { "the journal has no space" } else { "it takes long" };
            let detail = format!(
                "the account is not published yet ({why}), but will be; outbid_account_reloads_total counts it then"
            );
            problem(StatusCode::SERVICE_UNAVAILABLE, "not published yet", &detail)
        }
    }
}

fn view(published: &Published) -> Value {
    let Published { version, catalog, rates, line_items, steps_ms: [read, compile, ledger], total_ms } =
        published;
    json!({
        "version": version,
        "published": { "catalog": catalog, "rates": rates },
        "line_items": {
            "added": line_items.added, "changed": line_items.changed,
            "removed": line_items.removed, "unchanged": line_items.unchanged,
        },
        "milliseconds": total_ms,
        "steps": { "read": read, "compile": compile, "ledger": ledger },
    })
}

fn refusal(refused: &Refused) -> Value {
    let error = |Reason { pointer, code, message }: &Reason| json!({ "pointer": pointer, "code": code, "message": message });
    let errors: Vec<Value> = refused.errors.iter().map(error).collect();
    let detail = format!("{} errors; what was served before is served on", errors.len());
    json!({ "title": "the account was not taken up", "detail": detail, "errors": errors })
}
