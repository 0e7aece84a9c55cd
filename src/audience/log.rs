//! The log of single writes since the last save, `<dir>/audience/changes-<generation>.v1`: what makes a change of the
//! index survive a crash.
//!
//! ```text
//! file    : "OUTBIDAL" · version u32 · check of the identity key u64 · generation u64 · crc32c of these u32
//! batch   : length u32 · crc32c of the payload u32 · payload
//! payload : change after change, see [`Change`]
//! ```
//! Every start and every save begins a file with the next generation; a file is never appended to again, so that only
//! the newest can end in a torn batch. The saved index names the first generation that it does not include. A change
//! says what is true afterwards, not what was done, so that one which the save includes as well does no harm.
//!
//! Invariant: what [`Log::take_to_sync`] and then a sync of its file returned `Ok` for is read back by [`replay`] in the
//! order in which it was appended. A failed write is never retried: from then on the log refuses, until a save begins
//! another file.

use super::AudienceError;
use super::IdKey;
use super::behaviour::Words;
use super::erased;
use super::index::AudienceIndex;
use super::overlay::Link;
use super::record::Record;
use crate::model::ids::{SegmentId, UserKey};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const MAGIC: &[u8; 8] = b"OUTBIDAL";
const VERSION: u32 = 1;
const HEADER: usize = 8 + 4 + 8 + 8 + 4;
const FRAME: usize = 8;
/// Readable for the owner and the group.
const MODE: u32 = 0o640;
/// A batch is handed to the system when it passes this many bytes, or when somebody asks for it.
const BATCH: usize = 64 << 10;

/// What is true from now on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Change {
    /// The user has this membership.
    Has(UserKey, Record),
    /// The user is not in the segment.
    HasNot(UserKey, SegmentId),
    /// Nothing is known of the user.
    Erased(UserKey),
    /// The exchange's id stands for this cookie.
    Linked(UserKey, Link),
    /// The cookie is tied to this hashed address.
    Tied(UserKey, Link),
    /// This is kept of the user's behaviour.
    Did(UserKey, Words),
    /// The order was reported at this second.
    Ordered(UserKey, u32),
}

impl Change {
    /// Makes it true.
    pub(super) fn apply(self, index: &AudienceIndex) -> Result<bool, AudienceError> {
        match self {
            Change::Has(key, record) => index.put(key, record),
            Change::HasNot(key, segment) => Ok(index.remove(key, segment)),
            Change::Erased(key) => Ok(index.erase(key) != Default::default()),
            Change::Linked(matched, link) => {
                index.links.insert(matched, link);
                Ok(true)
            }
            Change::Tied(cookie, tie) => {
                index.overlay.tie(cookie, tie);
                Ok(true)
            }
            Change::Did(key, words) => {
                index.put_traces(key, words);
                Ok(true)
            }
            Change::Ordered(order, at) => Ok(index.orders.insert(order, at) != Some(at)),
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let mut begin = |kind: u8, key: UserKey| {
            out.push(kind);
            out.extend_from_slice(&key.0.to_le_bytes());
        };
        match self {
            Change::Has(key, record) => {
                begin(1, *key);
                out.extend_from_slice(&record.bits().to_le_bytes());
            }
            Change::HasNot(key, segment) => {
                begin(2, *key);
                out.extend_from_slice(&segment.0.to_le_bytes());
            }
            Change::Erased(key) => begin(3, *key),
            Change::Linked(key, link) | Change::Tied(key, link) => {
                begin(if matches!(self, Change::Linked(..)) { 4 } else { 5 }, *key);
                out.extend_from_slice(&link.to.0.to_le_bytes());
                out.extend_from_slice(&link.expiry.to_le_bytes());
            }
            Change::Did(key, words) => {
                begin(6, *key);
                out.extend_from_slice(&(words.len() as u32).to_le_bytes());
                words.iter().for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
            }
            Change::Ordered(order, at) => {
                begin(7, *order);
                out.extend_from_slice(&at.to_le_bytes());
            }
        }
    }

    /// Takes one off the front; `None` where no change looks like this.
    fn decode(bytes: &mut &[u8]) -> Option<Change> {
        let [kind] = *take::<1>(bytes)?;
        let key = UserKey(u64::from_le_bytes(*take(bytes)?));
        Some(match kind {
            1 => Change::Has(key, Record::from_bits(u64::from_le_bytes(*take(bytes)?))?),
            2 => Change::HasNot(key, SegmentId(u32::from_le_bytes(*take(bytes)?))),
            3 => Change::Erased(key),
            4 | 5 => {
                let to = UserKey(u64::from_le_bytes(*take(bytes)?));
                let link = Link { to, expiry: u32::from_le_bytes(*take(bytes)?) };
                if kind == 4 { Change::Linked(key, link) } else { Change::Tied(key, link) }
            }
            6 => {
                let count = u32::from_le_bytes(*take(bytes)?) as usize;
                let (words, rest) = bytes.split_at_checked(count.checked_mul(size_of::<u32>())?)?;
                *bytes = rest;
                Change::Did(key, words.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word)).collect())
            }
            7 => Change::Ordered(key, u32::from_le_bytes(*take(bytes)?)),
            _ => return None,
        })
    }
}

fn take<'b, const N: usize>(bytes: &mut &'b [u8]) -> Option<&'b [u8; N]> {
    let (head, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(head)
}

/// The writing end. One caller at a time.
#[derive(Debug)]
pub(super) struct Log {
    file: Arc<File>,
    path: PathBuf,
    generation: u64,
    /// Changes that wait, behind the place for their frame.
    batch: Vec<u8>,
    /// Bytes that the system has, and those of them that are known to be on the disk.
    written: u64,
    synced: u64,
    failed: bool,
    /// The log before this one could not be synced, and no save includes it yet.
    distrusted: bool,
}

impl Log {
    /// Begins the file of a generation.
    pub(super) fn begin(folder: &Path, generation: u64, key: &IdKey) -> Result<Log, AudienceError> {
        let path = path_of(folder, generation);
        let on = |action, path: &Path| {
            let path = path.to_path_buf();
            move |source| AudienceError::Io { action, path, source }
        };
        fs::create_dir_all(folder).map_err(on("create", folder))?;
        let mut file = OpenOptions::new()
            .create_new(true)
            .write(true)
            .mode(MODE)
            .open(&path)
            .map_err(on("create", &path))?;
        file.write_all(&header(generation, key)).map_err(on("write", &path))?;
        file.sync_all().map_err(on("flush", &path))?;
        File::open(folder).and_then(|f| f.sync_all()).map_err(on("flush", folder))?;
        let batch = vec![0; FRAME];
        Ok(Log {
            file: Arc::new(file),
            path,
            generation,
            batch,
            written: 0,
            synced: 0,
            failed: false,
            distrusted: false,
        })
    }

    /// The generation of the file.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Bytes of the file, waiting ones included.
    pub(super) fn bytes(&self) -> u64 {
        self.written + self.batch.len() as u64
    }

    /// Hands over what waits; answers the file where it has bytes that are not known to be on the disk, to be synced
    /// without holding anybody up, and how many bytes those are in all.
    ///
    /// # Errors
    /// As [`Log::flush`], and where the log before this one is not on the disk either.
    pub(super) fn take_to_sync(&mut self) -> Result<Option<(Arc<File>, u64)>, AudienceError> {
        self.flush()?;
        if self.distrusted {
            let source = io::Error::other("what came before is not on the disk until the audience is saved");
            return Err(AudienceError::Io { action: "flush", path: self.path.clone(), source });
        }
        Ok((self.written > self.synced).then(|| (Arc::clone(&self.file), self.written)))
    }

    /// So many bytes are on the disk.
    pub(super) fn note_synced(&mut self, written: u64) {
        self.synced = self.synced.max(written);
    }

    /// Whether everything is on the disk after this, which holds up every writer.
    pub(super) fn end(&mut self) -> bool {
        match self.take_to_sync() {
            Ok(Some((file, _))) => file.sync_data().is_ok(),
            Ok(None) => true,
            Err(_) => false,
        }
    }

    /// Promises nothing until [`Log::trust`]: the log before this one may be lost.
    pub(super) fn distrust(&mut self) {
        self.distrusted = true;
    }

    /// A save includes everything that came before.
    pub(super) fn trust(&mut self) {
        self.distrusted = false;
    }

    /// Where it lies.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a change to the batch that waits.
    pub(super) fn append(&mut self, change: &Change) {
        if !self.failed {
            change.encode(&mut self.batch);
        }
    }

    /// Hands the batch to the system, if it is a large one.
    pub(super) fn flush_if_large(&mut self) {
        if self.batch.len() >= BATCH {
            // Whoever needs to know asks again, and is told.
            let _told_by_flush = self.flush();
        }
    }

    /// Hands what waits to the system.
    ///
    /// # Errors
    /// The system refused, now or before.
    pub(super) fn flush(&mut self) -> Result<(), AudienceError> {
        let refused =
            |path: &Path, source| AudienceError::Io { action: "write", path: path.to_path_buf(), source };
        if self.failed {
            return Err(refused(&self.path, io::Error::other("an earlier write or flush failed")));
        }
        if self.batch.len() == FRAME {
            return Ok(());
        }
        let payload = self.batch.len() - FRAME;
        let checksum = crc32c::crc32c(&self.batch[FRAME..]);
        self.batch[..4].copy_from_slice(&(payload as u32).to_le_bytes());
        self.batch[4..FRAME].copy_from_slice(&checksum.to_le_bytes());
        let written = (&*self.file).write_all(&self.batch);
        self.written += self.batch.len() as u64;
        self.batch.truncate(FRAME);
        written.map_err(|source| {
            self.failed = true;
            refused(&self.path, source)
        })
    }

    /// Nothing that is written from now on counts.
    pub(super) fn fail(&mut self) {
        self.failed = true;
    }
}

fn header(generation: u64, key: &IdKey) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..8].copy_from_slice(MAGIC);
    header[8..12].copy_from_slice(&VERSION.to_le_bytes());
    header[12..20].copy_from_slice(&key.check().to_le_bytes());
    header[20..28].copy_from_slice(&generation.to_le_bytes());
    let checksum = crc32c::crc32c(&header[..28]);
    header[28..].copy_from_slice(&checksum.to_le_bytes());
    header
}

fn path_of(folder: &Path, generation: u64) -> PathBuf {
    folder.join(format!("changes-{generation:020}.v1"))
}

/// The generations of the files in a folder, ascending.
pub(super) fn generations(folder: &Path) -> Result<Vec<u64>, AudienceError> {
    let on = |source| AudienceError::Io { action: "list", path: folder.to_path_buf(), source };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(on(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry.map_err(on)?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("changes-")?.strip_suffix(".v1"));
        found.extend(number.and_then(|number| number.parse::<u64>().ok()));
    }
    found.sort_unstable();
    Ok(found)
}

/// Removes the file of a generation.
pub(super) fn remove(folder: &Path, generation: u64) -> Result<(), AudienceError> {
    let path = path_of(folder, generation);
    fs::remove_file(&path).map_err(|source| AudienceError::Io { action: "remove", path, source })
}

/// What was read of one file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Replayed {
    /// Changes that were made true again.
    pub(super) changes: u64,
    /// Bytes of a torn end.
    pub(super) torn: u64,
}

/// What to do with a batch that is not whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Torn {
    /// Cut it off: a crash may leave one in the newest file.
    Cut,
    /// Pass it over: somebody may be writing it.
    Leave,
    /// Refuse the file: no crash explains it.
    Refuse,
}

/// Makes everything true that the file of a generation says, in its order.
pub(super) fn replay(
    folder: &Path,
    generation: u64,
    key: &IdKey,
    torn: Torn,
    index: &AudienceIndex,
    erased: &mut erased::Replayed,
) -> Result<Replayed, AudienceError> {
    let path = path_of(folder, generation);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(source) => return Err(AudienceError::Io { action: "read", path, source }),
    };
    let damaged = |what: String| AudienceError::Damaged { path: path.clone(), what };
    let mut replayed = Replayed::default();
    let Some((head, mut rest)) = bytes.split_at_checked(HEADER) else {
        // A crash before its first sync: nobody was told that anything is in it.
        match torn {
            Torn::Cut => remove(folder, generation)?,
            Torn::Leave => {}
            Torn::Refuse => return Err(damaged("it is shorter than its header".to_owned())),
        }
        return Ok(Replayed { torn: bytes.len() as u64, ..replayed });
    };
    let ours = header(generation, key);
    if head != ours {
        if head[..8] == ours[..8] && head[12..20] != ours[12..20] && head[20..28] == ours[20..28] {
            return Err(AudienceError::OtherKey { path });
        }
        return Err(damaged("its header is not what was written".to_owned()));
    }
    while !rest.is_empty() {
        let at = bytes.len() - rest.len();
        let Some(payload) = next_batch(&mut rest) else {
            match torn {
                Torn::Cut => cut(&path, at as u64)?,
                Torn::Leave => {}
                Torn::Refuse => return Err(damaged(format!("the batch at byte {at} is not whole"))),
            }
            replayed.torn = (bytes.len() - at) as u64;
            break;
        };
        let mut payload = payload;
        while !payload.is_empty() {
            let change = Change::decode(&mut payload);
            let change =
                change.ok_or_else(|| damaged(format!("the batch at byte {at} has no known change")))?;
            if let Change::Erased(key) = change {
                *erased.entry((key, generation)).or_default() += 1;
            }
            change.apply(index)?;
            replayed.changes += 1;
        }
    }
    Ok(replayed)
}

/// Cuts a file, durably: it is not the newest any more when the next one has begun.
fn cut(path: &Path, length: u64) -> Result<(), AudienceError> {
    let cut = OpenOptions::new().write(true).open(path).and_then(|file| {
        file.set_len(length)?;
        file.sync_all()
    });
    cut.map_err(|source| AudienceError::Io { action: "cut", path: path.to_path_buf(), source })
}

fn next_batch<'b>(rest: &mut &'b [u8]) -> Option<&'b [u8]> {
    let mut bytes = *rest;
    let length = u32::from_le_bytes(*take(&mut bytes)?) as usize;
    let checksum = u32::from_le_bytes(*take(&mut bytes)?);
    let (payload, behind) = bytes.split_at_checked(length)?;
    if payload.is_empty() || crc32c::crc32c(payload) != checksum {
        return None;
    }
    *rest = behind;
    Some(payload)
}
