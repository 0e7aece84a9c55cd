//! A second judge from outside: `rtblint` with its snapshot of OpenRTB 2.6-202606.

use rtblint_core::{
    OpenRtbVersion, Severity, ValidationResult, validate_bid_request_for_version,
    validate_bid_response_against_request,
};
use serde_json::Value;

/// The errors that rtblint finds in the response, or in the response as an answer to this request. Faults of the
/// request itself stay out: the linter is shown the request with its ids, seats and currencies as the texts that
/// they should have been, because it does not see `"id": 5` at all and would blame the answer.
pub(crate) fn lint_pair(request_text: &str, response_text: &str) -> Vec<String> {
    let Ok(mut request) = serde_json::from_str::<Value>(request_text) else {
        return vec!["request: is not JSON, there is nothing to answer".to_owned()];
    };
    texts_for_numbers(&mut request);
    let result = validate_bid_response_against_request(
        OpenRtbVersion::V2_6_202606,
        &request.to_string(),
        response_text,
    );
    errors(&result)
}

/// The errors that rtblint finds in a request.
pub(crate) fn lint_request(request: &str) -> Vec<String> {
    errors(&validate_bid_request_for_version(OpenRtbVersion::V2_6_202606, request))
}

fn errors(result: &ValidationResult) -> Vec<String> {
    let errors = result.issues.iter().filter(|issue| issue.severity == Severity::Error);
    errors
        .map(|issue| format!("{}: {} ({})", issue.id, issue.message, issue.path.as_deref().unwrap_or("-")))
        .collect()
}

fn texts_for_numbers(request: &mut Value) {
    textify(request.get_mut("id"));
    for name in ["wseat", "bseat", "cur"] {
        let Some(list) = request.get_mut(name).filter(|list| !list.is_null()) else { continue };
        if !list.is_array() {
            *list = Value::Array(vec![list.take()]);
        }
        for item in list.as_array_mut().into_iter().flatten() {
            textify(Some(item));
        }
        if name == "cur" {
            for code in list.as_array_mut().into_iter().flatten() {
                *code = Value::from(code.as_str().unwrap_or_default().to_ascii_uppercase());
            }
        }
    }
    for imp in request.get_mut("imp").and_then(Value::as_array_mut).into_iter().flatten() {
        textify(imp.get_mut("id"));
        for deal in imp.pointer_mut("/pmp/deals").and_then(Value::as_array_mut).into_iter().flatten() {
            textify(deal.get_mut("id"));
        }
    }
}

fn textify(value: Option<&mut Value>) {
    if let Some(value) = value
        && let Value::Number(number) = value
    {
        *value = Value::from(number.to_string());
    }
}
