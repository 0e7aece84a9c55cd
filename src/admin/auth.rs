//! Who calls: a key in `Authorization: Bearer`, and what its role may do.

use super::problem::Problem;
use super::routes::Route;
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
pub(super) fn require(actor: &Actor, route: &Route) -> Result<(), Problem> {
    let refuse = |detail| Err(Problem::new(StatusCode::FORBIDDEN, "not allowed", detail));
    if actor.role < route.role {
        let (needed, has) = (route.role.as_str(), actor.role.as_str());
        return refuse(format!("this needs the role {needed}, and {} has {has}", actor.name));
    }
    if route.is_platforms() && actor.account.is_some() {
        return refuse("this belongs to the platform, and not to an account; ask who runs it".to_owned());
    }
    Ok(())
}
