//! A directory that can be written to without changing it, so that a repair says what it would do by doing it.
//!
//! Invariant: nothing on disk changes. Only what is written is held in memory; renamed files stay where they are.

use crate::budget::file_storage::FileStorage;
use crate::model::storage::{Storage, StorageFile};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

/// See the module.
pub(super) struct Rehearsal {
    disk: FileStorage,
    /// The names that are not as they are on disk.
    changed: Mutex<BTreeMap<String, Content>>,
}

/// What stands under a changed name.
enum Content {
    /// Nothing any more.
    Gone,
    /// A file that has this name on disk.
    OnDisk(String),
    InMemory(Bytes),
}

type Bytes = Arc<Mutex<Vec<u8>>>;

impl Rehearsal {
    pub(super) fn new(disk: FileStorage) -> Rehearsal {
        Rehearsal { disk, changed: Mutex::default() }
    }

    fn set(&self, name: &str, content: Content) {
        self.changed.lock().insert(name.to_owned(), content);
    }
}

impl Storage for Rehearsal {
    fn list(&self) -> io::Result<Vec<String>> {
        let changed = self.changed.lock();
        let mut names = self.disk.list()?;
        names.retain(|name| !changed.contains_key(name));
        let there = changed.iter().filter(|(_, content)| !matches!(content, Content::Gone));
        names.extend(there.map(|(name, _)| name.clone()));
        Ok(names)
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        match self.changed.lock().get(name) {
            None => self.disk.read(name),
            Some(Content::OnDisk(other)) => self.disk.read(other),
            Some(Content::InMemory(bytes)) => Ok(bytes.lock().clone()),
            Some(Content::Gone) => Err(io::Error::new(io::ErrorKind::NotFound, name.to_owned())),
        }
    }

    fn create(&self, name: &str, reserve: u64) -> io::Result<Box<dyn StorageFile>> {
        let bytes = Bytes::new(Mutex::new(vec![0; reserve as usize]));
        self.set(name, Content::InMemory(Arc::clone(&bytes)));
        Ok(Box::new(Open(bytes)))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        if let Some(Content::InMemory(bytes)) = self.changed.lock().get(name) {
            return Ok(Box::new(Open(Arc::clone(bytes))));
        }
        let bytes = Bytes::new(Mutex::new(self.read(name)?));
        self.set(name, Content::InMemory(Arc::clone(&bytes)));
        Ok(Box::new(Open(bytes)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let moved = match self.changed.lock().remove(from) {
            None => Content::OnDisk(from.to_owned()),
            Some(content) => content,
        };
        self.set(from, Content::Gone);
        self.set(to, moved);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.set(name, Content::Gone);
        Ok(())
    }

    fn sync_dir(&self) -> io::Result<()> {
        Ok(())
    }
}

struct Open(Bytes);

impl StorageFile for Open {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut content = self.0.lock();
        let (start, end) = (offset as usize, offset as usize + bytes.len());
        if content.len() < end {
            content.resize(end, 0);
        }
        content[start..end].copy_from_slice(bytes);
        Ok(())
    }

    fn set_len(&mut self, length: u64) -> io::Result<()> {
        self.0.lock().resize(length as usize, 0);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}
