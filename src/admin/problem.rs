//! What a refused call answers: RFC 9457 problem details, with every bad field by its JSON pointer.

use crate::store::account_file::Finding;
use crate::store::control::{ChangeError, ControlError, WriteError};
use hyper::StatusCode;
use serde_json::{Value, json};

/// One bad field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FieldError {
    /// RFC 6901, into the document that was sent; `?name` for a parameter of the query.
    pub(super) pointer: String,
    /// Stable, for machines.
    pub(super) code: &'static str,
    /// What is wrong and what to do.
    pub(super) message: String,
}

impl FieldError {
    pub(super) fn new(
        pointer: impl Into<String>,
        code: &'static str,
        message: impl Into<String>,
    ) -> FieldError {
        FieldError { pointer: pointer.into(), code, message: message.into() }
    }

    pub(super) fn of(finding: Finding) -> FieldError {
        FieldError { pointer: finding.pointer, code: finding.code.as_str(), message: finding.message }
    }

    pub(super) fn view(&self) -> Value {
        json!({ "pointer": self.pointer, "code": self.code, "message": self.message })
    }
}

/// Why a call was refused.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{detail}")]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    /// Short, the same for every problem of its kind.
    pub(super) title: &'static str,
    /// What happened here, and what to do.
    pub(super) detail: String,
    pub(super) errors: Vec<FieldError>,
    /// The version that a resource has, where the caller believed in another.
    pub(super) current_version: Option<u64>,
    /// Seconds after which to come again.
    pub(super) retry_after_s: Option<u64>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, title: &'static str, detail: impl Into<String>) -> Problem {
        Problem {
            status,
            title,
            detail: detail.into(),
            errors: Vec::new(),
            current_version: None,
            retry_after_s: None,
        }
    }

    pub(super) fn invalid(errors: Vec<FieldError>) -> Problem {
        let detail = match &errors[..] {
            [only] => format!("{}: {}", only.pointer, only.message),
            several => format!("{} fields are not accepted; nothing was changed", several.len()),
        };
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        Problem { errors, ..Problem::new(status, "invalid fields", detail) }
    }

    /// A parameter of the query that is not understood.
    pub(super) fn parameter(name: &str, message: impl Into<String>) -> Problem {
        let message = message.into();
        let detail = format!("the parameter {name} {message}");
        let errors = vec![FieldError::new(format!("?{name}"), "malformed", message)];
        Problem { errors, ..Problem::new(StatusCode::BAD_REQUEST, "bad parameter", detail) }
    }

    pub(super) fn not_found(what: &str) -> Problem {
        let detail = format!("there is no {what}, or it is not yours to see");
        Problem::new(StatusCode::NOT_FOUND, "not found", detail)
    }

    /// The body of the answer.
    pub(super) fn view(&self, request_id: &str, instance: &str) -> Value {
        let mut view = json!({
            "type": "about:blank", "title": self.title, "status": self.status.as_u16(), "detail": self.detail,
            "instance": instance, "request_id": request_id,
        });
        if !self.errors.is_empty() {
            view["errors"] = self.errors.iter().map(FieldError::view).collect();
        }
        view
    }
}

impl From<ControlError> for Problem {
    fn from(why: ControlError) -> Problem {
        if matches!(why, ControlError::ForeignCursor) {
            return Problem::parameter("page_token", "belongs to another list; begin again without it");
        }
        tracing::error!(%why, "the control store failed");
        let detail = "the control store failed; its log says more. Nothing was changed";
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the store failed", detail)
    }
}

impl From<ChangeError> for Problem {
    fn from(why: ChangeError) -> Problem {
        let detail = why.to_string();
        let conflict = |pointer: &str, code| {
            let errors = vec![FieldError::new(pointer, code, detail.clone())];
            Problem { errors, ..Problem::new(StatusCode::CONFLICT, "conflict", detail.clone()) }
        };
        match why {
            ChangeError::Store(why) => why.into(),
            ChangeError::Missing { kind, id } => Problem::not_found(&format!("{kind} {id}")),
            ChangeError::Conflict { current } => Problem {
                current_version: Some(current.version),
                ..Problem::new(StatusCode::PRECONDITION_FAILED, "changed meanwhile", detail)
            },
            ChangeError::ExternalIdTaken { .. } => conflict("/external_id", "duplicate"),
            ChangeError::NoParent { .. } => {
                Problem::invalid(vec![FieldError::new("", "unknown_reference", detail)])
            }
            ChangeError::Exists { .. }
            | ChangeError::NoAccount { .. }
            | ChangeError::ZeroId { .. }
            | ChangeError::NoIdLeft { .. } => conflict("/id", "conflict"),
        }
    }
}

impl From<WriteError<Problem>> for Problem {
    fn from(why: WriteError<Problem>) -> Problem {
        match why {
            WriteError::Refused(problem) => problem,
            WriteError::Store(why) => why.into(),
            WriteError::Busy { .. } => Problem {
                retry_after_s: Some(1),
                ..Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", why.to_string())
            },
            WriteError::Panicked { .. } => {
                tracing::error!(%why, "a write of the control store");
                let detail = "this is a fault of the server; nothing was changed";
                Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error", detail)
            }
        }
    }
}
