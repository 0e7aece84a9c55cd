//! The parameters of a route: in its path, its query and its headers.

use super::schemas::id_of;
use crate::admin::auth::Role;
use crate::admin::idempotent;
use crate::admin::page::{MAX_PAGE, PAGE};
use crate::admin::routes::{Action, Route};
use crate::admin::{alerts, apply, audience, audit, funnel, jobs, lists, money, people, samples, sheets};
use crate::funnel::Step;
use crate::store::control::Status;
use serde_json::{Value, json};

/// All of them.
pub(super) fn of(route: &Route) -> Vec<Value> {
    let mut parameters = Vec::new();
    if route.path.contains("{id}") {
        let schema = json!({ "type": "string", "pattern": "^[1-9][0-9]{0,9}$" });
        parameters.push(json!({ "name": "id", "in": "path", "required": true, "schema": schema }));
    }
    if route.path.contains("{key}") {
        let schema = json!({ "type": "string", "pattern": "^[0-9]+-[0-9]+$" });
        parameters.push(json!({ "name": "key", "in": "path", "required": true, "schema": schema }));
    }
    let queries: &[&str] = match route.action {
        Action::List => &[
            "page_size",
            "page_token",
            "sort",
            "q",
            "total",
            "fields",
            "filter[status]",
            "filter[id]",
            "filter[external_id]",
        ],
        Action::Get | Action::GetAccount | Action::GetKey => &["fields"],
        Action::ListAccounts | Action::ListKeys => &["page_size", "page_token"],
        Action::Create
        | Action::SetStatus(_)
        | Action::CreateAccount
        | Action::PatchAccount
        | Action::CreateKey
        | Action::RevokeKey
        | Action::RotateKey
        | Action::Transact
        | Action::Bulk => &["validate_only"],
        Action::Patch => &["validate_only", "update_mask"],
        Action::Audit => audit::PARAMETERS,
        Action::Funnel => funnel::PARAMETERS,
        Action::Alerts => alerts::PARAMETERS,
        Action::Samples => samples::PARAMETERS,
        Action::Transactions => money::PARAMETERS,
        Action::Items => lists::ITEMS_PARAMETERS,
        Action::UploadItems => lists::UPLOAD_PARAMETERS,
        Action::ListJobs => jobs::PARAMETERS,
        Action::Export => sheets::EXPORT_PARAMETERS,
        Action::Import => sheets::IMPORT_PARAMETERS,
        Action::Apply => apply::PARAMETERS,
        Action::People(task) => people::documented(task).3,
        Action::Audience(task) => audience::documented(task).3,
        Action::Sample | Action::PixelTag | Action::GetJob | Action::CancelJob | Action::JobResult => &[],
        Action::Me | Action::OpenApi | Action::Docs | Action::Explain => &[],
        Action::Forecast | Action::ForecastDraft => &[],
    };
    parameters.extend(queries.iter().map(|name| match (route.action, *name) {
        (Action::Import, "mode") => query("import_mode"),
        (Action::People(_), "filter[status]") => query("user_status"),
        (_, name) => query(name),
    }));
    if let (Action::List | Action::Export, Some((outside, _))) =
        (route.action, route.shape.and_then(|shape| shape.parent))
    {
        parameters.push(query(&format!("filter[{outside}]")));
    }
    if route.shape.is_some_and(|shape| !shape.is_shared) {
        parameters.push(query("account_id"));
    }
    let mut header = |name: &str, is_required: bool, said: &str, example: &str| {
        parameters.push(json!({
            "name": name, "in": "header", "required": is_required, "description": said,
            "schema": { "type": "string", "examples": [example] },
        }));
    };
    if idempotent::is_taken(route) {
        let said = "A text of your own for this very call, so that sending it again does it once.";
        header("Idempotency-Key", matches!(route.action, Action::Transact), said, "7f3a");
    }
    if matches!(
        route.action,
        Action::Patch | Action::SetStatus(_) | Action::PatchAccount | Action::UploadItems
    ) {
        let said =
            "The `etag` of the version that you have seen; needed by changes of budget, bid or status.";
        header("If-Match", false, said, "\"3\"");
    }
    if route.begins_job() {
        let said = "`wait=N` waits so many seconds for the end of the job.";
        header("Prefer", false, said, "wait=30");
    }
    if matches!(route.action, Action::Get | Action::Docs) {
        header(
            "If-None-Match",
            false,
            "The `etag` that you have; the answer is 304 if it is the newest.",
            "\"3\"",
        );
    }
    parameters
}

fn query(name: &str) -> Value {
    let text =
        |said: &str, example: &str| json!({ "type": "string", "examples": [example], "description": said });
    let mut schema = match name {
        "page_size" => json!({
            "type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": PAGE, "description": "Entries of a page.",
        }),
        "validate_only" | "total" => {
            let said =
                if name == "total" { "Count all of them too." } else { "The same answer, and no effect." };
            json!({ "type": "boolean", "default": false, "description": said })
        }
        "sort" => {
            let by = ["created_at", "updated_at", "name", "id"].map(str::to_owned);
            let back = by.clone().map(|by| format!("-{by}"));
            let orders = [by, back].concat();
            json!({ "type": "string", "enum": orders, "description": "A minus is the last one first." })
        }
        "mode" => json!({
            "type": "string", "enum": ["add", "remove", "replace"], "default": "add",
            "description": "What is done with the values.",
        }),
        "consent" => json!({
            "type": "string", "enum": ["given", "explicit"], "examples": ["given"],
            "description": "What all people of the list have agreed to; needed. Sensitive segments take `explicit`.",
        }),
        "ttl_days" => json!({
            "type": "integer", "minimum": 1, "maximum": 3_650,
            "description": "After how many days memberships end, where a row says nothing; without it never.",
        }),
        "contacts_ttl_days" => json!({
            "type": "integer", "minimum": 1, "maximum": 3_650,
            "description": "After how many days a consent ends, where a row says nothing; without it never.",
        }),
        "members_mode" => json!({
            "type": "string", "enum": ["add", "remove", "replace"], "default": "add",
            "description": "What is done with the people; `replace` takes out whom the list does not name.",
        }),
        "advertiser_id" => id_of("advertisers.id", "Whose customers these are, for what was bought."),
        "import_mode" => json!({
            "type": "string", "enum": ["atomic", "partial"], "default": "atomic",
            "description": "All rows or none, or every good one.",
        }),
        "user_status" => {
            json!({ "type": "string", "enum": ["invited", "active", "disabled"], "description": "Of these." })
        }
        "filter[role]" => {
            let roles = Role::ALL.map(Role::as_str);
            json!({ "type": "string", "enum": roles, "description": "Who may this." })
        }
        "filter[email]" => text("The whole address.", "ada@agency.example"),
        "bom" | "prune" => {
            let said = match name {
                "bom" => "Begin with the mark that Excel wants.",
                _ => "Archive what the file does not have.",
            };
            json!({ "type": "boolean", "default": false, "description": said })
        }
        "plan" => {
            json!({ "type": "string", "description": "The plan that was shown; another one is refused." })
        }
        "page_token" => {
            json!({ "type": "string", "description": "The `next_page_token` of the page before." })
        }
        "q" => text("A part of the name.", "spring"),
        "fields" => text("Members that are shown, with commas.", "id,name"),
        "update_mask" => text("Members of the patch that count, with commas; the others are left.", "name"),
        "step" => json!({
            "type": "string", "enum": Step::ALL.map(Step::as_str), "default": "minute",
            "description": "How finely time is told apart: minutes of the last hour, hours of a day, days of thirty.",
        }),
        "compare_from" | "compare_to" => json!({
            "type": "string", "format": "date-time", "examples": ["2026-03-01T00:00:00Z"],
            "description": match name {
                "compare_from" => "Beside it the sum of another time, which begins here …",
                _ => "… and ends before this moment; without it, it is as long as the first.",
            },
        }),
        "from" | "to" => json!({
            "type": "string", "format": "date-time", "examples": ["2026-03-01T00:00:00Z"],
            "description": if name == "from" { "Not before this moment." } else { "Before this moment." },
        }),
        "filter[status]" => {
            let all: Vec<&str> = Status::ALL.iter().map(|status| status.as_str()).collect();
            let any = all.join("|");
            json!({
                "type": "string", "pattern": format!("^({any})(,({any}))*$"), "examples": [all[0], "active,paused"],
                "description": "One status or several with commas.",
            })
        }
        "filter[severity]" => {
            json!({ "type": "string", "enum": ["error", "warning"], "description": "Only so bad ones." })
        }
        "filter[code]" => {
            json!({ "type": "string", "enum": crate::funnel::CODES, "description": "Only these." })
        }
        "filter[id]" => text("Ids with commas.", "1,2"),
        "account_id" => id_of("accounts.id", "For the platform: the account that is worked in."),
        "filter[resource_id]" => text("The id of one thing.", "1"),
        "filter[kind]" => text("A sort of thing.", "line_item"),
        "filter[action]" => text("What was done.", "update"),
        "filter[exchange]" => text("The name of an exchange.", "north"),
        "filter[request_id]" => text("The `id` of a request.", "8f1c"),
        "filter[domain]" => text("A domain with what is below it, or the bundle of an app.", "news.example"),
        "filter[outcome]" => {
            let said = "`bid`, or a reason for no bid; beside `filter[line_item_id]` that of this line item, decided again.";
            text(said, "geo")
        }
        "filter[external_id]" => text("What it is called elsewhere.", "io-4711"),
        _ => {
            let of = name.trim_start_matches("filter[").trim_end_matches("_id]");
            id_of(&format!("{of}s.id"), "Those of this one.")
        }
    };
    let said = schema.as_object_mut().and_then(|rules| rules.remove("description"));
    let name = match name {
        "import_mode" | "members_mode" => "mode",
        "user_status" => "filter[status]",
        "contacts_ttl_days" => "ttl_days",
        name => name,
    };
    json!({ "name": name, "in": "query", "required": name == "consent", "description": said, "schema": schema })
}
