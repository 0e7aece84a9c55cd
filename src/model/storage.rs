//! Durable storage as a value, so that a test can forget what was not synced, fail the n-th operation or tear the last
//! write. One directory of files; names are plain file names.
//!
//! Contract: what [`StorageFile::sync`] returned `Ok` for survives a crash; a name created, renamed or removed survives
//! after [`Storage::sync_dir`]. After a failed sync nothing is known of the file's content since the last good one, so
//! it is never retried.

use std::io;

/// A directory.
pub trait Storage: Send {
    /// The names in it, in any order.
    fn list(&self) -> io::Result<Vec<String>>;

    /// The whole content of a file.
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;

    /// How many bytes a file has.
    fn size(&self, name: &str) -> io::Result<u64> {
        self.read(name).map(|bytes| bytes.len() as u64)
    }

    /// Creates an empty file, or truncates an existing one, with `reserve` bytes set aside for it (read as zeros).
    fn create(&self, name: &str, reserve: u64) -> io::Result<Box<dyn StorageFile>>;

    /// Opens an existing file for writing.
    fn open(&self, name: &str) -> io::Result<Box<dyn StorageFile>>;

    /// Renames a file over another.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes names durable.
    fn sync_dir(&self) -> io::Result<()>;
}

/// Writes a whole file durably in the place of the one with this name: under the name of a draft first, so that a crash or a
/// full disk leaves the one that was there.
pub fn replace(storage: &dyn Storage, draft: &str, name: &str, bytes: &[u8]) -> io::Result<()> {
    let mut file = storage.create(draft, 0)?;
    file.write_at(0, bytes)?;
    file.sync()?;
    storage.rename(draft, name)?;
    storage.sync_dir()
}

/// A file of a [`Storage`].
pub trait StorageFile: Send {
    /// Writes all of `bytes` at `offset`; a short write is an error.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Cuts the file to `length` bytes, or extends it by zeros.
    fn set_len(&mut self, length: u64) -> io::Result<()>;

    /// Makes the content durable.
    fn sync(&mut self) -> io::Result<()>;

    /// Writes zeros over all the space that was set aside, before anything else is written. Nothing but the speed of
    /// later syncs depends on it, and where it makes none it does nothing.
    fn fill(&mut self, _when: Fill) -> io::Result<()> {
        Ok(())
    }
}

/// When [`StorageFile::fill`] does its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// Before it returns, durably.
    Now,
    /// Beside other work and slowly, until the file's first write.
    Beside,
}
