//! Who calls: a key in `Authorization: Bearer`, and what its role may do.

use super::problem::Problem;
use crate::config::Secret;
use hyper::StatusCode;
use hyper::header::{AUTHORIZATION, HeaderMap};

/// What somebody may do, each what the ones below it may.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Role {
    /// Reads.
    Analyst,
    /// Changes what campaigns are made of.
    Trader,
    /// Manages users and keys.
    Admin,
    /// Everything.
    Owner,
}

impl Role {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Role::Analyst => "analyst",
            Role::Trader => "trader",
            Role::Admin => "admin",
            Role::Owner => "owner",
        }
    }
}

/// Somebody who was recognised.
#[derive(Clone, Debug)]
pub(super) struct Actor {
    /// As records name it.
    pub(super) name: String,
    /// The tenant; `None` is the platform, which sees all of them.
    pub(super) account: Option<u32>,
    pub(super) role: Role,
}

/// The key of the configuration.
pub(super) fn bootstrap(key: Option<&Secret>, headers: &HeaderMap) -> Result<Actor, Problem> {
    let shown = headers.get(AUTHORIZATION).map_or(&b""[..], |value| value.as_bytes());
    let shown = shown.strip_prefix(b"Bearer ");
    if key.is_some_and(|key| shown.is_some_and(|shown| key.matches(shown))) {
        return Ok(Actor { name: "bootstrap".to_owned(), account: None, role: Role::Owner });
    }
    let detail = "send `Authorization: Bearer KEY` with the key of admin.bootstrap_key; without one in the \
                  configuration nobody is let in";
    Err(Problem::new(StatusCode::UNAUTHORIZED, "no valid API key", detail))
}

/// Refuses who may not.
pub(super) fn require(actor: &Actor, needed: Role) -> Result<(), Problem> {
    if actor.role >= needed {
        return Ok(());
    }
    let detail =
        format!("this needs the role {}, and {} has {}", needed.as_str(), actor.name, actor.role.as_str());
    Err(Problem::new(StatusCode::FORBIDDEN, "not allowed", detail))
}
