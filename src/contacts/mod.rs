//! How people can be reached outside of ads: addresses for mail, messages, calls and letters, each with the consent to use it
//! for that, of each account for itself.
//!
//! A contact is one person's, known by the same keyed hash as in the audience, in one channel of one account. Its address is
//! sealed (ChaCha20-Poly1305, RFC 8439) under a key of its own, which seals nothing else ever and lies in another file:
//! `contacts.db` has the sealed addresses, `keys/contacts.db` the keys. Who changes an address, withdraws a consent or is
//! erased has the key destroyed, and with it every copy of the address, in backups of `contacts.db` too.
//!
//! Two SQLite files and not a log of changes: a contact is looked for by its person, replaced and removed for good one by one,
//! and read only for a list that somebody downloads, so it need not be in memory; and one transaction over both files is what
//! keeps a key and what it seals together.
//!
//! Invariant: an address is never outside of a sealed row but in the memory of who brings it or takes it; what [`Contacts`]
//! answered `Ok` for is on the disk; a consent that is older than what is known changes nothing.
//!
//! Deliberately absent: sending anything, and who is in which segment.

mod exports;
mod files;
mod seal;
mod store;

pub use exports::{Exported, Held, NotTaken, Taken};
pub use store::{Consent, Contacts, Noted, Opened, Said, Shown};

use std::path::PathBuf;

/// A way to reach somebody.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
#[repr(u8)]
pub enum Channel {
    /// E-mail.
    Mail = 1,
    /// Messages to a telephone.
    Message = 2,
    /// Telephone calls.
    Call = 3,
    /// Letters.
    DirectMail = 4,
}

impl Channel {
    /// All of them.
    pub const ALL: [Channel; 4] = [Channel::Mail, Channel::Message, Channel::Call, Channel::DirectMail];

    /// As lists and calls name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Channel::Mail => "mail",
            Channel::Message => "message",
            Channel::Call => "call",
            Channel::DirectMail => "direct_mail",
        }
    }

    /// The reverse.
    pub fn parse(text: &str) -> Option<Channel> {
        Channel::ALL.into_iter().find(|channel| channel.as_str() == text)
    }

    fn of(number: u8) -> Option<Channel> {
        Channel::ALL.into_iter().find(|channel| *channel as u8 == number)
    }
}

/// Why contacts cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ContactsError {
    /// A file could not be made.
    #[error("cannot create {}: {source}; check that this user may write there", path.display())]
    Create {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// One of the two files is not there.
    #[error(
        "{} is missing, without which {} is of no use; put it back from a backup, or remove the other one too, which gives up \
         all contacts",
        missing.display(), there.display()
    )]
    Missing {
        /// The file that is not there.
        missing: PathBuf,
        /// The file that is.
        there: PathBuf,
    },
    /// The two files are of different pairs.
    #[error(
        "{} and {} do not belong together: put back those that were made together",
        contacts.display(), keys.display()
    )]
    OtherKeys {
        /// The file with what is sealed.
        contacts: PathBuf,
        /// The file with keys.
        keys: PathBuf,
    },
    /// The files are of a version that this program does not read.
    #[error("{} has format version {found}, this program reads version {supported}", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// The version in the file.
        found: i64,
        /// The version that can be read.
        supported: i64,
    },
    /// The database refused.
    #[error("cannot {action} in the contacts: {source}; if a file is damaged, put both back from a backup")]
    Database {
        /// What was tried.
        action: &'static str,
        /// Why not.
        source: rusqlite::Error,
    },
    /// What is sealed cannot be opened with its key.
    #[error("a contact is damaged: it cannot be opened with its key; put both files back from a backup")]
    Sealed,
    /// The system has no random bytes.
    #[error("cannot get random bytes for a key: {0}")]
    Random(String),
}

fn database(action: &'static str) -> impl Fn(rusqlite::Error) -> ContactsError {
    move |source| ContactsError::Database { action, source }
}
