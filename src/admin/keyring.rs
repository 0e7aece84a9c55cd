//! How a caller is recognised: by the key in `Authorization: Bearer`, which is that of the configuration or a stored one.
//!
//! Stored keys are found by the SHA-256 of what was shown. What was found is believed for [`FRESH_NS`], and forgotten at
//! once when this process changes a key or an account; a key that another process has revoked (`outbid keys`) is
//! refused within that time. Whether a key has expired, and from where it comes, is looked at each time.
//!
//! Deliberately absent: proxies. The address of a caller is that of its connection.

use super::auth::{Actor, Role, Scope, refused};
use super::problem::Problem;
use crate::config::Secret;
use crate::model::clock::Clock;
use crate::model::exchange::IpNet;
use crate::store::control::keys::KeyRow;
use crate::store::control::{Control, ControlError, Status};
use hyper::StatusCode;
use hyper::header::{AUTHORIZATION, HeaderMap};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How long a stored key is believed without a look into the store.
const FRESH_NS: u64 = 1_000_000_000;
/// Keys that are remembered; where there are more, all are looked up anew.
const REMEMBERED: usize = 4_096;
/// How often the uses of keys are noted in the store.
const NOTE_NS: u64 = 60_000_000_000;

type Hash = [u8; 32];

/// See the module.
#[derive(Default)]
pub(super) struct Keyring {
    known: Mutex<HashMap<Hash, (u64, Arc<Known>)>>,
    /// Grows when everything is forgotten, so that what was read before is not remembered after.
    era: AtomicU64,
    used: Mutex<HashMap<u32, i64>>,
    noted_ns: AtomicU64,
}

/// A stored key, and its account's status.
struct Known {
    row: KeyRow,
    account: Option<Status>,
}

impl Keyring {
    /// Whose the key is; `None` where nobody's.
    pub(super) fn recognise(
        &self,
        control: &Control,
        clock: &dyn Clock,
        bootstrap: Option<&Secret>,
        shown: &[u8],
        peer: SocketAddr,
    ) -> Result<Option<Actor>, Problem> {
        if bootstrap.is_some_and(|key| key.matches(shown)) {
            return Ok(Some(Actor {
                name: "bootstrap".to_owned(),
                key: None,
                person: None,
                account: None,
                role: Role::Owner,
                scopes: Vec::new(),
                advertisers: None,
            }));
        }
        let now = clock.now();
        let Some(known) = self.look_up(control, now.mono_ns, Sha256::digest(shown).into())? else {
            return Ok(None);
        };
        let actor = admit(&known, now.unix_ms, peer)?;
        self.used.lock().insert(known.row.id, now.unix_ms);
        Ok(Some(actor))
    }

    fn look_up(&self, control: &Control, now_ns: u64, hash: Hash) -> Result<Option<Arc<Known>>, Problem> {
        if let Some((read_ns, known)) = self.known.lock().get(&hash)
            && now_ns.saturating_sub(*read_ns) < FRESH_NS
        {
            return Ok(Some(Arc::clone(known)));
        }
        let era = self.era.load(Ordering::Acquire);
        let found = control.read(|read| {
            let Some(row) = read.key_by_hash(&hash)? else { return Ok::<_, ControlError>(None) };
            let account = match row.account {
                Some(id) => read.account(id)?.map(|account| account.status),
                None => Some(Status::Active),
            };
            Ok(Some(Arc::new(Known { row, account })))
        })?;
        if let Some(known) = &found {
            let mut remembered = self.known.lock();
            // Under the lock, which whoever forgets takes after it has begun the new era.
            if self.era.load(Ordering::Acquire) == era {
                if remembered.len() >= REMEMBERED {
                    remembered.clear();
                }
                remembered.insert(hash, (now_ns, Arc::clone(known)));
            }
        }
        Ok(found)
    }

    /// Forgets every key, after one was changed, or an account.
    pub(super) fn forget(&self) {
        self.era.fetch_add(1, Ordering::AcqRel);
        self.known.lock().clear();
    }

    /// When a key was used last, where that is not noted yet.
    pub(super) fn last_used_ms(&self, key: u32) -> Option<i64> {
        self.used.lock().get(&key).copied()
    }

    /// Whether it is time to note the uses; `true` for one caller.
    pub(super) fn is_due(&self, now_ns: u64) -> bool {
        let noted = self.noted_ns.load(Ordering::Relaxed);
        now_ns.saturating_sub(noted) >= NOTE_NS
            && self.noted_ns.compare_exchange(noted, now_ns, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Notes the uses in the store.
    pub(super) fn note(&self, control: &Control) {
        let used: Vec<(u32, i64)> = std::mem::take(&mut *self.used.lock()).into_iter().collect();
        if used.is_empty() {
            return;
        }
        if let Err(error) = control.write(move |tx| tx.keys_used(&used)) {
            // Only for people to look at: nothing rests on it.
            tracing::warn!(%error, "when API keys were used last could not be noted");
        }
    }
}

/// Who a stored key stands for, if it is good now and here.
fn admit(known: &Known, now_ms: i64, peer: SocketAddr) -> Result<Actor, Problem> {
    let row = &known.row;
    let shown = format!("the API key {} ({}…{})", row.id, row.prefix, row.last4);
    if row.revoked_ms.is_some() {
        return Err(unauthorized(format!("{shown} was revoked; use another one")));
    }
    if row.expires_ms.is_some_and(|expires| expires <= now_ms) {
        return Err(unauthorized(format!("{shown} has expired; use another one")));
    }
    let nets = || row.addresses.iter().filter_map(|net| IpNet::parse(net));
    if !row.addresses.is_empty() && !nets().any(|net| net.contains(peer.ip())) {
        let from = peer.ip().to_canonical();
        return Err(refused(format!("{shown} may not be used from the address {from}; see its `addresses`")));
    }
    if known.account != Some(Status::Active) {
        let account = row.account.unwrap_or_default();
        return Err(refused(format!("the account {account} of this API key is paused")));
    }
    let scopes: Option<Vec<Scope>> = row.scopes.iter().map(|scope| Scope::parse(scope)).collect();
    let (Some(role), Some(scopes)) = (Role::parse(&row.role), scopes) else {
        // A later version has written it; what it means is not known here, so that it means nothing.
        return Err(refused(format!("{shown} has a role or a scope that this version does not know")));
    };
    Ok(Actor {
        name: row.name.clone(),
        key: Some(row.id),
        person: None,
        account: row.account,
        role,
        scopes,
        advertisers: (role == Role::AdvertiserViewer).then(|| row.advertisers.clone()),
    })
}

/// The key that these headers show.
pub(super) fn shown(headers: &HeaderMap) -> Result<&[u8], Problem> {
    let shown = headers.get(AUTHORIZATION).map_or(&b""[..], |value| value.as_bytes());
    shown.strip_prefix(b"Bearer ").ok_or_else(|| {
        unauthorized("send `Authorization: Bearer KEY`, or log in; `outbid keys create` makes a key")
    })
}

/// 401 for a key that is nobody's.
pub(super) fn unknown() -> Problem {
    unauthorized("this API key is not known here; `outbid keys create` makes one")
}

fn unauthorized(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "no valid API key", detail)
}
