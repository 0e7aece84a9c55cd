//! Passwords as the store has them: Argon2id with a salt of its own each, written with its parameters (PHC string format).
//!
//! Invariant: at most [`AT_ONCE`] are worked out at the same time, each in [`MEMORY_KIB`], and few wait for their turn;
//! whoever comes beyond that is told to come again. So logins never take the memory or the cores of those who serve.
//! Every comparison works one hash out, also for somebody who has no password, so that the time tells nothing.

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use parking_lot::{Condvar, Mutex};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use subtle::ConstantTimeEq;

/// OWASP's advice of 2024 for Argon2id (Password Storage Cheat Sheet): 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;

/// Hashes that are worked out at the same time, and callers that wait for that.
const AT_ONCE: usize = 2;
const WAITING: usize = 32;
/// How long one waits.
const PATIENCE: Duration = Duration::from_secs(2);

/// More than this is stored by nobody: what a damaged store asks for must not take all memory.
const MAX_MEMORY_KIB: u32 = 1 << 18;
const MAX_PASSES: u32 = 16;

/// See the module.
#[derive(Default)]
pub(in crate::admin) struct Hasher {
    gate: Mutex<Gate>,
    freed: Condvar,
    worked_out: AtomicU64,
}

#[derive(Default)]
struct Gate {
    working: usize,
    waiting: usize,
}

/// Too many passwords are looked at already.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Busy;

/// What a password is beside a stored hash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    Wrong,
    Right,
    /// Right, and stored with other parameters than today's: it is to be stored anew.
    Outdated,
}

/// A stored hash, read.
struct Stored {
    params: Params,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

impl Hasher {
    /// What the store shall have of a password.
    pub(super) fn hash(&self, password: &str) -> Result<String, Busy> {
        let salt: [u8; SALT_BYTES] = rand::random();
        let hash = self.work_out(password, &today(), &salt)?;
        let (salt, hash) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(hash));
        Ok(format!("$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}${salt}${hash}"))
    }

    /// Whether a password is the stored one. `None` is nobody's: wrong, and not sooner.
    pub(super) fn compare(&self, password: &str, stored: Option<&str>) -> Result<Verdict, Busy> {
        let read = stored.and_then(read);
        if stored.is_some() && read.is_none() {
            tracing::error!("the store has a password's hash that cannot be read; set a new password");
        }
        let Some(Stored { params, salt, hash }) = read else {
            self.work_out(password, &today(), &[0; SALT_BYTES])?;
            return Ok(Verdict::Wrong);
        };
        let found = self.work_out(password, &params, &salt)?;
        if !bool::from(found[..].ct_eq(&hash)) {
            return Ok(Verdict::Wrong);
        }
        let is_todays = (params.m_cost(), params.t_cost(), params.p_cost()) == (MEMORY_KIB, PASSES, LANES);
        Ok(if is_todays { Verdict::Right } else { Verdict::Outdated })
    }

    /// How many hashes were worked out so far.
    pub(in crate::admin) fn worked_out(&self) -> u64 {
        self.worked_out.load(Ordering::Relaxed)
    }

    fn work_out(&self, password: &str, params: &Params, salt: &[u8]) -> Result<[u8; HASH_BYTES], Busy> {
        let _turn = self.turn()?;
        self.worked_out.fetch_add(1, Ordering::Relaxed);
        let mut hash = [0; HASH_BYTES];
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
        // Lengths were checked by whoever made `params` and `salt`, so that only memory can be missing.
        argon2.hash_password_into(password.as_bytes(), salt, &mut hash).map_err(|error| {
            tracing::error!(%error, "a password's hash could not be worked out");
            Busy
        })?;
        Ok(hash)
    }

    fn turn(&self) -> Result<Turn<'_>, Busy> {
        let mut gate = self.gate.lock();
        if gate.working >= AT_ONCE {
            if gate.waiting >= WAITING {
                return Err(Busy);
            }
            gate.waiting += 1;
            let all_work = |gate: &mut Gate| gate.working >= AT_ONCE;
            let is_late = self.freed.wait_while_for(&mut gate, all_work, PATIENCE).timed_out();
            gate.waiting -= 1;
            if is_late && gate.working >= AT_ONCE {
                return Err(Busy);
            }
        }
        gate.working += 1;
        Ok(Turn(self))
    }
}

/// One of the places; given back at its end.
struct Turn<'h>(&'h Hasher);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.gate.lock().working -= 1;
        self.0.freed.notify_one();
    }
}

fn today() -> Params {
    Params::new(MEMORY_KIB, PASSES, LANES, Some(HASH_BYTES)).expect("the constants are in range")
}

/// `$argon2id$v=19$m=…,t=…,p=…$salt$hash`.
fn read(stored: &str) -> Option<Stored> {
    let mut parts = stored.strip_prefix("$argon2id$v=19$")?.split('$');
    let mut numbers = parts.next()?.split(',');
    let mut number = |name: &str| numbers.next()?.strip_prefix(name)?.parse::<u32>().ok();
    let (memory, passes, lanes) = (number("m=")?, number("t=")?, number("p=")?);
    let salt = STANDARD_NO_PAD.decode(parts.next()?).ok()?;
    let hash = STANDARD_NO_PAD.decode(parts.next()?).ok()?;
    let fits = memory <= MAX_MEMORY_KIB && passes <= MAX_PASSES && hash.len() == HASH_BYTES;
    if !fits || salt.len() < 8 || parts.next().is_some() {
        return None;
    }
    let params = Params::new(memory, passes, lanes, Some(HASH_BYTES)).ok()?;
    Some(Stored { params, salt, hash })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_says_how_it_was_made_and_older_ones_are_still_understood() {
        let hasher = Hasher::default();
        let stored = hasher.hash("correct horse").unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert_ne!(hasher.hash("correct horse").unwrap(), stored, "each has a salt of its own");
        // Made by the reference implementation: echo -n password | argon2 somesalt -id -t 2 -k 65536 -p 1 -e
        let older = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        let check = |password: &str, stored: Option<&str>, expected| {
            assert_eq!(hasher.compare(password, stored), Ok(expected), "{password} {stored:?}");
        };
        check("correct horse", Some(&stored), Verdict::Right);
        check("correct horsf", Some(&stored), Verdict::Wrong);
        check("password", Some(older), Verdict::Outdated);
        check("Password", Some(older), Verdict::Wrong);
        check("password", Some("$argon2id$v=19$m=4294967295,t=2,p=1$c29tc2FsdA$CTFh"), Verdict::Wrong);
        check("", Some("plain"), Verdict::Wrong);
        check("", None, Verdict::Wrong);
        assert_eq!(hasher.worked_out(), 9, "one for every question, whoever is asked about");
    }

    #[test]
    fn a_crowd_is_sent_away_and_the_places_come_back() {
        let hasher = Hasher::default();
        let held: Vec<Turn<'_>> = (0..AT_ONCE).map(|_| hasher.turn().unwrap()).collect();
        hasher.gate.lock().waiting = WAITING;
        assert_eq!(hasher.compare("p", None), Err(Busy));
        hasher.gate.lock().waiting = 0;
        drop(held);
        assert_eq!(hasher.compare("p", None), Ok(Verdict::Wrong));
        assert_eq!(hasher.gate.lock().working, 0);
    }
}
