//! The directory that the journal lives in, on a real disk.
//!
//! Invariant: what [`StorageFile::sync`] and [`Storage::sync_dir`] returned `Ok` for is on the disk, as far as the
//! system tells the truth. An interrupted call is repeated here (by the standard library, and by this module where it
//! calls past it). Every error names the path. Deliberately absent: a lock, which is the data directory's.

use crate::model::storage::{Fill, Storage, StorageFile};
use rustix::fs::FallocateFlags;
use rustix::io::Errno;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

/// Readable for the owner and the group: the journal says what everybody spends.
const MODE: u32 = 0o640;

/// Zeros written at once, in bytes.
const ZEROS: usize = 64 << 10;
/// What is waited for before the next zeros where they are written beside other work.
const PAUSE: Duration = Duration::from_millis(10);
/// Few syncs, because each makes others wait, and none of much.
const PIECES_PER_SYNC: u32 = 16;

/// A directory on disk.
#[derive(Debug)]
pub struct FileStorage {
    dir: PathBuf,
    /// Held open, so that a sync of it does not fail for want of a descriptor.
    handle: File,
}

impl FileStorage {
    /// Uses an existing directory.
    pub fn open(dir: &Path) -> io::Result<FileStorage> {
        std::fs::read_dir(dir).map_err(at(dir))?;
        let handle = File::open(dir).map_err(at(dir))?;
        Ok(FileStorage { dir: dir.to_owned(), handle })
    }

    fn path(&self, name: &str) -> PathBuf {
        debug_assert!(!name.contains('/'), "a plain file name");
        self.dir.join(name)
    }
}

impl Storage for FileStorage {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.dir).map_err(at(&self.dir))? {
            // A name that is no text is none of ours.
            if let Ok(name) = entry.map_err(at(&self.dir))?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let path = self.path(name);
        std::fs::read(&path).map_err(at(&path))
    }

    fn size(&self, name: &str) -> io::Result<u64> {
        let path = self.path(name);
        std::fs::metadata(&path).map(|known| known.len()).map_err(at(&path))
    }

    fn create(&self, name: &str, reserve: u64) -> io::Result<Box<dyn StorageFile>> {
        let path = self.path(name);
        let mut options = OpenOptions::new();
        let file =
            options.write(true).create(true).truncate(true).mode(MODE).open(&path).map_err(at(&path))?;
        let reserved = if reserve == 0 { Ok(0) } else { set_aside(&file, reserve) };
        match reserved {
            Ok(unwritten) => Ok(Box::new(OpenFile { file, path, unwritten, filler: None })),
            Err(why) => {
                // What was set aside of it must not keep the space that there is too little of.
                let _ = std::fs::remove_file(&path);
                Err(at(&path)(why))
            }
        }
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        let path = self.path(name);
        let file = OpenOptions::new().write(true).open(&path).map_err(at(&path))?;
        Ok(Box::new(OpenFile { file, path, unwritten: 0, filler: None }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let to = self.path(to);
        std::fs::rename(self.path(from), &to).map_err(at(&to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let path = self.path(name);
        std::fs::remove_file(&path).map_err(at(&path))
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.handle.sync_all().map_err(at(&self.dir))
    }
}

/// Really allocates, unlike [`File::set_len`]: space that is only promised can be gone when it is written to. Returns
/// how many bytes were allocated without being written.
fn set_aside(file: &File, bytes: u64) -> io::Result<u64> {
    loop {
        match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, bytes) {
            Ok(()) => return Ok(bytes),
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
                return write_zeros(file, bytes, || true).map(|()| 0);
            }
            Err(Errno::INTR) => {}
            Err(why) => return Err(why.into()),
        }
    }
}

/// Writes zeros as long as `go_on` says so.
fn write_zeros(file: &File, bytes: u64, mut go_on: impl FnMut() -> bool) -> io::Result<()> {
    let zeros = vec![0; ZEROS];
    let mut at = 0;
    while at < bytes && go_on() {
        let part = (bytes - at).min(ZEROS as u64);
        file.write_all_at(&zeros[..part as usize], at)?;
        at += part;
    }
    Ok(())
}

/// Fills an allocated file with zeros while nobody needs it, slowly, so that the syncs of others hardly wait for it,
/// and ends before the file's first write; what it did not reach is as slow as it would have been.
#[derive(Debug)]
struct Filler {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Filler {
    /// `None` where no thread can be had: nothing depends on it.
    fn start(file: &File, bytes: u64) -> Option<Filler> {
        let stop = Arc::new(AtomicBool::new(false));
        let (file, stopped) = (file.try_clone().ok()?, Arc::clone(&stop));
        let fill = move || {
            // An error shows again, and is told, where content is written.
            let mut pieces = 0;
            let _ = write_zeros(&file, bytes, || {
                let synced = pieces % PIECES_PER_SYNC != 0 || file.sync_data().is_ok();
                pieces += 1;
                std::thread::park_timeout(PAUSE);
                synced && !stopped.load(Relaxed)
            });
        };
        let thread = std::thread::Builder::new().name("journal-spare".to_owned()).spawn(fill).ok()?;
        Some(Filler { stop, thread: Some(thread) })
    }
}

impl Drop for Filler {
    /// Waits for the piece that is being written.
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic there left zeros where zeros are.
            let _ = thread.join();
        }
    }
}

#[derive(Debug)]
struct OpenFile {
    file: File,
    path: PathBuf,
    /// How many bytes from the beginning are allocated, and were not written when the file was created. A block that
    /// was only allocated must be noted as written when its first content is synced, for which the sync waits for the
    /// file system's own journal: on a busy machine several times as long as for the disk.
    unwritten: u64,
    /// Until the first write.
    filler: Option<Filler>,
}

impl StorageFile for OpenFile {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.filler = None;
        self.file.write_all_at(bytes, offset).map_err(at(&self.path))
    }

    fn set_len(&mut self, length: u64) -> io::Result<()> {
        self.filler = None;
        self.file.set_len(length).map_err(at(&self.path))
    }

    fn sync(&mut self) -> io::Result<()> {
        // The size is synced with the data where it changed; times are not, and need not be.
        self.file.sync_data().map_err(at(&self.path))
    }

    fn fill(&mut self, when: Fill) -> io::Result<()> {
        let bytes = std::mem::take(&mut self.unwritten);
        match when {
            Fill::Now if bytes > 0 => write_zeros(&self.file, bytes, || true)
                .and_then(|()| self.file.sync_data())
                .map_err(at(&self.path)),
            Fill::Beside if bytes > 0 => {
                self.filler = Filler::start(&self.file, bytes);
                Ok(())
            }
            Fill::Now | Fill::Beside => Ok(()),
        }
    }
}

/// Adds the path to an error, keeping its kind.
fn at(path: &Path) -> impl Fn(io::Error) -> io::Error {
    let path = path.to_owned();
    move |why| io::Error::new(why.kind(), format!("{}: {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_never_come_over_what_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let storage = FileStorage::open(dir.path()).unwrap();
        for round in 0..20u64 {
            let mut file = storage.create("spare", 1 << 20).unwrap();
            file.fill(if round == 0 { Fill::Now } else { Fill::Beside }).unwrap();
            // Somewhere within the filling, whose pieces are 10 ms apart.
            std::thread::sleep(Duration::from_micros(1_700 * round));
            for at in 0..16u64 {
                file.write_at(at << 16, &[7; 100]).unwrap();
            }
            std::thread::sleep(Duration::from_millis(15));
            let content = storage.read("spare").unwrap();
            assert_eq!(content.len(), 1 << 20);
            for (at, byte) in content.iter().enumerate() {
                assert_eq!(*byte, if at % (1 << 16) < 100 { 7 } else { 0 }, "round {round}, byte {at}");
            }
        }
    }
}
