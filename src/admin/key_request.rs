//! A key that somebody asks for, by the API or the command line: what it must say, and its secret.

use super::auth::{Role, Scope};
use super::problem::FieldError;
use super::tenants::is_name;
use crate::model::exchange::IpNet;
use crate::store::control::keys::{KeyRow, NewKey};
use crate::store::control::{Control, ControlError, Kind, Read, WriteError};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// What every secret begins with, for people and for scanners of what was published by mistake.
const BEGINNING: &str = "outbid_live_";
/// Networks that a key may be limited to.
pub(super) const MAX_ADDRESSES: usize = 100;
/// Advertisers that a key may be limited to.
pub(super) const MAX_ADVERTISERS: usize = 1_000;

/// A key to be made.
#[derive(Clone, Debug, Default)]
pub struct KeyRequest {
    /// Its account; `None` is the platform, which sees all of them.
    pub account: Option<u32>,
    /// For people.
    pub name: String,
    /// owner, admin, trader, analyst or advertiser_viewer.
    pub role: String,
    /// Of read, write, money and admin; none is all that the role allows.
    pub scopes: Vec<String>,
    /// Addresses and networks that it may be used from; none is everywhere.
    pub addresses: Vec<String>,
    /// What an advertiser_viewer sees.
    pub advertisers: Vec<u32>,
    /// Until when, in milliseconds since the Unix epoch.
    pub expires_ms: Option<i64>,
}

/// Why a key was not made.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// Something in the request is wrong.
    #[error("{0}")]
    Invalid(String),
    /// The store failed.
    #[error("{0}")]
    Store(String),
}

impl From<ControlError> for IssueError {
    fn from(why: ControlError) -> IssueError {
        IssueError::Store(why.to_string())
    }
}

/// Makes a key; its row and its secret, which nobody can ask for again.
pub fn issue_key(control: &Control, request: KeyRequest) -> Result<(KeyRow, String), IssueError> {
    let made = control.write(move |tx| {
        request.check(tx, tx.now_ms()).map_err(|errors| {
            let words: Vec<String> =
                errors.iter().map(|error| format!("{}: {}", error.pointer, error.message)).collect();
            IssueError::Invalid(words.join("; "))
        })?;
        let (secret, new) = request.new_key();
        Ok((tx.insert_key(new)?, secret))
    });
    made.map_err(|why: WriteError<IssueError>| match why {
        WriteError::Refused(why) => why,
        other => IssueError::Store(other.to_string()),
    })
}

impl KeyRequest {
    /// Everything that is wrong with it.
    pub(super) fn check(&self, read: &Read<'_>, now_ms: i64) -> Result<(), Vec<FieldError>> {
        let mut errors = Vec::new();
        let mut note = |pointer: String, code, message: String| {
            errors.push(FieldError::new(pointer, code, message));
        };
        let unread = |why: ControlError| vec![FieldError::new("", "conflict", why.to_string())];
        if !is_name(&self.name) {
            note("/name".into(), "malformed", "give a name of 1 to 255 characters in one line".into());
        }
        let role = Role::parse(&self.role);
        if role.is_none() {
            let known = Role::ALL.map(Role::as_str).join(", ");
            note("/role".into(), "malformed", format!("{:?} is none of {known}", self.role));
        }
        for (at, scope) in self.scopes.iter().enumerate().filter(|(_, scope)| Scope::parse(scope).is_none()) {
            let known = Scope::ALL.map(Scope::as_str).join(", ");
            note(format!("/scopes/{at}"), "malformed", format!("{scope:?} is none of {known}"));
        }
        for (at, net) in self.addresses.iter().enumerate().filter(|(_, net)| IpNet::parse(net).is_none()) {
            let message = format!("{net:?} is no address and no network such as 10.0.0.0/8");
            note(format!("/addresses/{at}"), "malformed", message);
        }
        if self.addresses.len() > MAX_ADDRESSES {
            note("/addresses".into(), "out_of_range", format!("give at most {MAX_ADDRESSES}"));
        }
        if self.expires_ms.is_some_and(|expires| expires <= now_ms) {
            note("/expires_at".into(), "out_of_range", "is over already; give a later moment".into());
        }
        if let Some(account) = self.account
            && read.account(account).map_err(unread)?.is_none()
        {
            let message = format!("there is no account {account}; make it or change this");
            note("/account_id".into(), "unknown_reference", message);
        }
        let is_viewer = role == Some(Role::AdvertiserViewer);
        let wants = "goes with the role advertiser_viewer, which has an account and sees 1 to 1000 of its advertisers";
        if is_viewer == self.advertisers.is_empty()
            || (is_viewer && self.account.is_none())
            || self.advertisers.len() > MAX_ADVERTISERS
        {
            note("/advertiser_ids".into(), "conflict", wants.into());
            return Err(errors);
        }
        for (at, id) in self.advertisers.iter().enumerate() {
            let row = read.get(Kind::Advertiser, *id).map_err(unread)?;
            if row.is_none_or(|row| Some(row.account) != self.account) {
                let message = format!("there is no advertiser {id} in the account; change this");
                note(format!("/advertiser_ids/{at}"), "unknown_reference", message);
            }
        }
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    /// A new secret, and the key that has it.
    pub(super) fn new_key(self) -> (String, NewKey) {
        let secret = secret();
        let KeyRequest { account, name, role, scopes, addresses, advertisers, expires_ms } = self;
        let (prefix, last4, hash) = (secret.prefix(), secret.last4(), secret.hash());
        let new = NewKey {
            account,
            name,
            prefix,
            last4,
            hash,
            role,
            scopes,
            addresses,
            advertisers,
            expires_ms,
            replaces: None,
        };
        (secret.0, new)
    }
}

/// What proves to have a key.
pub(super) struct KeySecret(pub(super) String);

/// A secret of 256 random bits.
pub(super) fn secret() -> KeySecret {
    let bits: [u8; 32] = rand::random();
    KeySecret(format!("{BEGINNING}{}", URL_SAFE_NO_PAD.encode(bits)))
}

impl KeySecret {
    /// The beginning, for people.
    pub(super) fn prefix(&self) -> String {
        self.0[..BEGINNING.len() + 4].to_owned()
    }

    /// The end, for people.
    pub(super) fn last4(&self) -> String {
        self.0[self.0.len() - 4..].to_owned()
    }

    /// What the store has of it.
    pub(super) fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }
}
