//! The data directory: one lock, the places of everything that is kept, the keys and the boot epoch.
//!
//! Invariant: at most one process has a directory open; keys and epochs are on disk, synced, before anyone can use
//! them. A file that is damaged is never replaced by a fresh one, because a new key would orphan every token and every
//! user that the old one made; the error says so instead.

use super::durable;
use rand::TryRng as _;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// An open data directory. The lock lasts as long as the value.
#[derive(Debug)]
pub struct DataDir {
    root: PathBuf,
    _lock: Option<File>,
}

/// What can go wrong with a data directory.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// The operating system refused something.
    #[error("cannot {action} {}: {source}; check that the path is right and that this user may write there", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Another process has it open.
    #[error(
        "the data directory {} is in use by {holder}; stop it first, or choose another one with --set data.dir=PATH",
        path.display()
    )]
    Locked {
        /// The directory.
        path: PathBuf,
        /// `process 123`, or `another process` where it did not say.
        holder: String,
    },
    /// A file does not hold what it must.
    #[error("{} is damaged: {what}; restore it from a backup ({consequence})", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
        /// What deleting it instead would mean.
        consequence: &'static str,
    },
}

/// A key that signs notice tokens. Tokens carry its id.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenKey {
    /// Its id: the generation, modulo 256.
    pub id: u8,
    /// The key of the HMAC.
    pub secret: [u8; 32],
}

impl std::fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The keys that tokens may be signed with: new ones with `current`, old ones were with `previous`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenKeys {
    /// Signs, and verifies.
    pub current: TokenKey,
    /// Only verifies, while tokens of the time before the rotation may still come.
    pub previous: Option<TokenKey>,
}

impl DataDir {
    /// Opens a data directory, creating what is missing of it, and locks it.
    pub fn open(root: &Path) -> Result<DataDir, DataDirError> {
        let mut fresh = false;
        let open = ["", "audience", "frequency", "ledger", "events", "pacing", "learning", "funnel"]
            .map(|dir| (dir, 0o755));
        for (dir, mode) in open.into_iter().chain([("keys", 0o700), ("samples", 0o700)]) {
            let path = root.join(dir);
            fresh |= !path.exists();
            let made = std::fs::DirBuilder::new().recursive(true).mode(mode).create(&path);
            made.map_err(io_error("create", &path))?;
        }
        if fresh {
            durable::sync_dir(root).map_err(io_error("sync", root))?;
        }
        let lock = lock(root)?;
        Ok(DataDir { root: root.to_owned(), _lock: Some(lock) })
    }

    /// Opens a data directory to read from it beside a server that may hold its lock: nothing is created or locked.
    pub fn open_read_only(root: &Path) -> Result<DataDir, DataDirError> {
        std::fs::read_dir(root).map_err(io_error("read", root))?;
        Ok(DataDir { root: root.to_owned(), _lock: None })
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The declarative account, see [`super::account_file`].
    pub fn account_file(&self) -> PathBuf {
        self.root.join("account.json")
    }

    /// The control database, see [`super::control`].
    pub fn control_file(&self) -> PathBuf {
        self.root.join("control.db")
    }

    /// The directory of imported mappings between category taxonomies, see [`super::category_maps`].
    pub fn taxonomies(&self) -> PathBuf {
        self.root.join("taxonomies")
    }

    /// The directory of the audience store.
    pub fn audience(&self) -> PathBuf {
        self.root.join("audience")
    }

    /// The directory of what people were shown how often.
    pub fn frequency(&self) -> PathBuf {
        self.root.join("frequency")
    }

    /// The directory of what keeps spending on plan.
    pub fn pacing(&self) -> PathBuf {
        self.root.join("pacing")
    }

    /// The directory of the funnel.
    pub fn funnel(&self) -> PathBuf {
        self.root.join("funnel")
    }

    /// The directory of the sampled requests, readable for the owner alone.
    pub fn samples(&self) -> PathBuf {
        self.root.join("samples")
    }

    /// The directory of what was learned.
    pub fn learning(&self) -> PathBuf {
        self.root.join("learning")
    }

    /// The directory of the ledger's journal.
    pub fn ledger(&self) -> PathBuf {
        self.root.join("ledger")
    }

    /// The directory of secrets, readable for the owner alone.
    pub fn keys(&self) -> PathBuf {
        self.root.join("keys")
    }

    /// The directory of the event log.
    pub fn events(&self) -> PathBuf {
        self.root.join("events")
    }

    /// What a seeded world tells the load generator.
    pub fn world_file(&self) -> PathBuf {
        self.root.join("world.json")
    }

    /// Opens the next boot epoch: the larger of the last one plus one and `wall_s`, seconds since the Unix epoch. It
    /// is on disk before it is returned, so that no epoch is ever used twice, whatever the wall clock does.
    pub fn next_epoch(&self, wall_s: i64) -> Result<u32, DataDirError> {
        let path = self.ledger().join("epoch");
        let damaged = |what: String| DataDirError::Damaged {
            path: path.clone(),
            what,
            consequence: "without it bid ids could be used twice",
        };
        let last = match std::fs::read_to_string(&path) {
            Ok(text) => {
                let number = text.strip_suffix('\n').and_then(|line| line.parse::<u32>().ok());
                Some(number.ok_or_else(|| damaged(format!("{text:?} is no epoch")))?)
            }
            Err(why) if why.kind() == io::ErrorKind::NotFound => None,
            Err(why) => return Err(io_error("read", &path)(why)),
        };
        let after_last = match last {
            Some(last) => {
                last.checked_add(1).ok_or_else(|| damaged("no epoch is left after the last".to_owned()))?
            }
            None => 1,
        };
        let wall = u32::try_from(wall_s.max(0)).unwrap_or(u32::MAX - 1);
        let epoch = after_last.max(wall);
        durable::replace(&path, 0o644, |out| writeln!(out, "{epoch}")).map_err(io_error("write", &path))?;
        Ok(epoch)
    }

    /// The keys of notice tokens; the first is created when there is none. Where a server has run before, keys that are
    /// gone are an error: a new one would refuse the bills of bids that are still open, without a word.
    pub fn token_keys(&self) -> Result<TokenKeys, DataDirError> {
        if self.generations()?.is_empty() {
            if self.ledger().join("epoch").exists() {
                return Err(DataDirError::Damaged {
                    path: self.root.join("keys"),
                    what: "it has no key of notice tokens, and a server has used one here".to_owned(),
                    consequence: "or begin with a new one by `outbid keys rotate`, which refuses the bills of open bids",
                });
            }
            self.create_key(&self.token_key_file(1), 32)?;
        }
        let path = self.root.join("keys");
        self.stored_token_keys()?.ok_or_else(|| io_error("list", &path)(io::ErrorKind::NotFound.into()))
    }

    /// The keys of notice tokens as they are on disk; `None` where there is none. Creates nothing, so that it may be
    /// asked beside a running server.
    pub fn stored_token_keys(&self) -> Result<Option<TokenKeys>, DataDirError> {
        let generations = self.generations()?;
        let Some(current) = generations.last() else { return Ok(None) };
        let previous = generations.len().checked_sub(2).map(|index| self.token_key(generations[index]));
        Ok(Some(TokenKeys { current: self.token_key(*current)?, previous: previous.transpose()? }))
    }

    /// When the current token key was made, in seconds since the Unix epoch; `None` where there is none.
    pub fn token_key_made_s(&self) -> Result<Option<i64>, DataDirError> {
        let Some(newest) = self.generations()?.last().copied() else { return Ok(None) };
        let path = self.token_key_file(newest);
        let made = std::fs::metadata(&path).and_then(|about| about.modified());
        let made = made.map_err(io_error("look at", &path))?;
        let since = made.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Ok(Some(i64::try_from(since.as_secs()).unwrap_or(i64::MAX)))
    }

    /// Creates a new current key; the one that was current so far goes on verifying.
    pub fn rotate_token_key(&self) -> Result<TokenKeys, DataDirError> {
        let last = self.generations()?.last().copied().unwrap_or(0);
        self.create_key(&self.token_key_file(last + 1), 32)?;
        self.token_keys()
    }

    /// The key of the hash that stands for a user's identifier; created when there is none. It never changes, because
    /// every stored user is known only by this hash.
    pub fn user_key(&self) -> Result<[u8; 16], DataDirError> {
        let path = self.root.join("keys/user.key");
        if !path.exists() {
            self.create_key(&path, 16)?;
        }
        read_key(&path, "without it every known user becomes unknown")
    }

    /// The generations of token keys on disk, oldest first.
    fn generations(&self) -> Result<Vec<u32>, DataDirError> {
        let keys = self.root.join("keys");
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&keys).map_err(io_error("list", &keys))? {
            let name = entry.map_err(io_error("list", &keys))?.file_name();
            let generation = name.to_str().and_then(|n| n.strip_prefix("token-")?.strip_suffix(".key"));
            found.extend(generation.and_then(|n| n.parse::<u32>().ok()));
        }
        found.sort_unstable();
        Ok(found)
    }

    fn token_key_file(&self, generation: u32) -> PathBuf {
        self.root.join(format!("keys/token-{generation}.key"))
    }

    fn token_key(&self, generation: u32) -> Result<TokenKey, DataDirError> {
        let path = self.token_key_file(generation);
        let secret = read_key(&path, "without it the notices of bids signed with it are refused")?;
        Ok(TokenKey { id: generation as u8, secret })
    }

    fn create_key(&self, path: &Path, bytes: usize) -> Result<(), DataDirError> {
        let mut key = [0; 32];
        let key = &mut key[..bytes];
        let filled = rand::rngs::SysRng.try_fill_bytes(key).map_err(io::Error::other);
        filled.map_err(io_error("get random bytes for", path))?;
        durable::replace(path, 0o600, |out| out.write_all(key)).map_err(io_error("write", path))
    }
}

/// Takes the lock of the directory or says who has it. The operating system frees it when the process ends, however.
fn lock(root: &Path) -> Result<File, DataDirError> {
    let path = root.join("lock");
    let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
    let mut file = options.map_err(io_error("open", &path))?;
    match file.try_lock() {
        Ok(()) => {
            let written = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
            written.map_err(io_error("write", &path))?;
            Ok(file)
        }
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            let holder =
                match file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse::<u32>().ok()) {
                    Some(process) => format!("process {process}"),
                    None => "another process".to_owned(),
                };
            Err(DataDirError::Locked { path: root.to_owned(), holder })
        }
        Err(TryLockError::Error(why)) => Err(io_error("lock", &path)(why)),
    }
}

fn read_key<const N: usize>(path: &Path, consequence: &'static str) -> Result<[u8; N], DataDirError> {
    let bytes = std::fs::read(path).map_err(io_error("read", path))?;
    <[u8; N]>::try_from(bytes).map_err(|bytes| DataDirError::Damaged {
        path: path.to_owned(),
        what: format!("it has {} bytes and not {N}", bytes.len()),
        consequence,
    })
}

fn io_error<'p>(action: &'static str, path: &'p Path) -> impl Fn(io::Error) -> DataDirError + 'p {
    move |source| DataDirError::Io { action, path: path.to_owned(), source }
}
