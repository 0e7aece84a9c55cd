//! Who calls, and what it may do: roles, scopes, tenants. How somebody is recognised is [`super::keyring`]'s.

use super::problem::Problem;
use super::routes::Route;
use hyper::StatusCode;

/// What somebody may do, each what the ones above it here may.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Role {
    /// Reads what belongs to some advertisers, without the fees.
    AdvertiserViewer,
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
    pub(super) const ALL: [Role; 5] =
        [Role::AdvertiserViewer, Role::Analyst, Role::Trader, Role::Admin, Role::Owner];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Role::AdvertiserViewer => "advertiser_viewer",
            Role::Analyst => "analyst",
            Role::Trader => "trader",
            Role::Admin => "admin",
            Role::Owner => "owner",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.as_str() == text)
    }
}

/// What a key may be used for, within its role.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Scope {
    /// Looking at things.
    Read,
    /// Changing what campaigns are made of.
    Write,
    /// Moving money.
    Money,
    /// Keys, users, accounts, what belongs to the platform.
    Admin,
}

impl Scope {
    pub(super) const ALL: [Scope; 4] = [Scope::Read, Scope::Write, Scope::Money, Scope::Admin];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Scope::Read => "read",
            Scope::Write => "write",
            Scope::Money => "money",
            Scope::Admin => "admin",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Scope> {
        Scope::ALL.into_iter().find(|scope| scope.as_str() == text)
    }
}

/// Somebody who was recognised.
#[derive(Clone, Debug)]
pub(super) struct Actor {
    /// As records name it.
    pub(super) name: String,
    /// The stored key that was shown; `None` is that of the configuration, or a person.
    pub(super) key: Option<u32>,
    /// The person who is logged in; `None` is a program.
    pub(super) person: Option<Person>,
    /// The tenant; `None` is the platform, which sees all of them.
    pub(super) account: Option<u32>,
    pub(super) role: Role,
    /// What its key is for; empty is everything that the role may.
    pub(super) scopes: Vec<Scope>,
    /// The only advertisers that it sees; `None` is all of its tenant.
    pub(super) advertisers: Option<Vec<u32>>,
}

/// Who is logged in.
#[derive(Clone, Debug)]
pub(super) struct Person {
    /// Among users.
    pub(super) id: u32,
    /// The hash of the session's token.
    pub(super) session: [u8; 32],
}

impl Actor {
    /// Somebody who has yet to say who it is, and may nothing but that.
    pub(super) fn nobody() -> Actor {
        Actor {
            name: "nobody".to_owned(),
            key: None,
            person: None,
            account: Some(super::tenants::PLATFORM),
            role: Role::AdvertiserViewer,
            scopes: Vec::new(),
            advertisers: Some(Vec::new()),
        }
    }

    /// Whose calls are counted together.
    pub(super) fn bucket(&self) -> u64 {
        match &self.person {
            Some(person) => u64::from(person.id) | 1 << 32,
            None => self.key.unwrap_or(0).into(),
        }
    }

    pub(super) fn has(&self, scope: Scope) -> bool {
        self.scopes.is_empty() || self.scopes.contains(&scope)
    }

    /// Whether it may give somebody else a key of this role and these scopes: never more than it has itself.
    pub(super) fn may_grant(&self, role: Role, scopes: &[Scope]) -> bool {
        let fits = self.scopes.is_empty()
            || (!scopes.is_empty() && scopes.iter().all(|scope| self.scopes.contains(scope)));
        role <= self.role && fits
    }
}

/// Refuses who may not.
pub(super) fn require(actor: &Actor, route: &Route) -> Result<(), Problem> {
    if actor.role < route.role {
        let (needed, has) = (route.role.as_str(), actor.role.as_str());
        return Err(refused(format!("this needs the role {needed}, and {} has {has}", actor.name)));
    }
    if route.is_platforms() && actor.account.is_some() {
        return Err(refused(
            "this belongs to the platform, and not to an account; ask who runs it".to_owned(),
        ));
    }
    match route.scope() {
        Some(scope) if !actor.has(scope) => {
            let (needed, name) = (scope.as_str(), &actor.name);
            Err(refused(format!("this needs the scope {needed}, and the key {name} is not for that")))
        }
        _ => Ok(()),
    }
}

/// Whether somebody runs the platform: what the server answers itself is for nobody else.
pub(super) fn is_operator(actor: &Actor) -> bool {
    actor.account.is_none() && actor.role >= Role::Admin && actor.has(Scope::Admin)
}

/// The refusal of everybody else.
pub(super) fn no_operator(actor: &Actor) -> Problem {
    let of = match actor.account {
        Some(account) => format!("of account {account}"),
        None => "of the platform".to_owned(),
    };
    let scopes = if actor.has(Scope::Admin) { "" } else { " without the scope admin" };
    refused(format!(
        "this needs the role admin of the platform with the scope admin, and {} has the role {} {of}{scopes}; what \
         its own advertisers have spent is at GET /v1/balances",
        actor.name,
        actor.role.as_str()
    ))
}

/// 403.
pub(super) fn refused(detail: String) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "not allowed", detail)
}
