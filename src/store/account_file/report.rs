//! Findings: what is wrong, or odd, with an account file, each with the JSON pointer of its place.

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use std::fmt;

/// What kind of finding it is; stable, for machines.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Code {
    /// A field that must be there is not.
    Missing,
    /// A value that cannot be read as what it should be.
    Malformed,
    /// A value outside its bounds, or more entries than allowed.
    OutOfRange,
    /// An id or name that something else of its kind has already.
    Duplicate,
    /// A reference to something that does not exist, or belongs to somebody else.
    UnknownReference,
    /// Values that do not go together.
    Conflict,
    /// Something that exists elsewhere but is not built yet.
    NotSupported,
    /// Allowed, and probably not meant.
    Suspicious,
}

impl Code {
    /// The code as JSON and logs write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Code::Missing => "missing",
            Code::Malformed => "malformed",
            Code::OutOfRange => "out_of_range",
            Code::Duplicate => "duplicate",
            Code::UnknownReference => "unknown_reference",
            Code::Conflict => "conflict",
            Code::NotSupported => "not_supported",
            Code::Suspicious => "suspicious",
        }
    }
}

/// One error or warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// JSON pointer (RFC 6901) of the value, such as `/line_items/3/bid/max`.
    pub pointer: String,
    /// The kind.
    pub code: Code,
    /// What is wrong and what to do.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.pointer, self.message)
    }
}

/// A list of findings as people read it: the first ones, and how many there are.
pub(super) struct Listing<'f>(pub(super) &'f [Finding]);

impl fmt::Display for Listing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 100;
        self.0.iter().take(SHOWN).try_for_each(|finding| write!(f, "\n  {finding}"))?;
        match self.0.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, "\n  … and {more} more"),
        }
    }
}

/// One step of a path. Pointers are only put together for findings, because a good file of 100,000 line items has
/// millions of values.
#[derive(Clone, Copy)]
pub(super) enum Step {
    Key(&'static str),
    Index(usize),
}

impl From<&'static str> for Step {
    fn from(key: &'static str) -> Step {
        Step::Key(key)
    }
}

impl From<usize> for Step {
    fn from(index: usize) -> Step {
        Step::Index(index)
    }
}

/// Where the reader is, and what it has found so far.
#[derive(Default)]
pub(super) struct Report {
    path: Vec<Step>,
    pub(super) errors: Vec<Finding>,
    pub(super) warnings: Vec<Finding>,
    /// The address of the first entry that is not JSON of its form, and what is wrong with it: then nothing else counts.
    pub(super) unreadable: Option<(usize, serde_json::Error)>,
}

impl Report {
    /// Reads the JSON of one entry.
    pub(super) fn json<W: Default + DeserializeOwned>(&mut self, text: &RawValue) -> W {
        if self.unreadable.is_some() {
            return W::default();
        }
        serde_json::from_str(text.get()).unwrap_or_else(|why| {
            self.unreadable = Some((text.get().as_ptr().addr(), why));
            W::default()
        })
    }

    /// Reads something below the current place.
    pub(super) fn within<T>(&mut self, step: impl Into<Step>, read: impl FnOnce(&mut Report) -> T) -> T {
        self.path.push(step.into());
        let result = read(self);
        self.path.pop();
        result
    }

    /// Reads every element of a list below the current place.
    pub(super) fn each<W, T>(
        &mut self,
        key: &'static str,
        items: impl IntoIterator<Item = W>,
        mut read: impl FnMut(&mut Report, W) -> T,
    ) -> Vec<T> {
        self.within(key, |report| {
            let items = items.into_iter().enumerate();
            items.map(|(index, item)| report.within(index, |report| read(report, item))).collect()
        })
    }

    /// Reads a list below the current place, without the elements that could not be read.
    pub(super) fn list<W, T>(
        &mut self,
        key: &'static str,
        items: Vec<W>,
        read: impl FnMut(&mut Report, W) -> Option<T>,
    ) -> Vec<T> {
        self.each(key, items, read).into_iter().flatten().collect()
    }

    /// An error at the current place.
    pub(super) fn error(&mut self, code: Code, message: impl Into<String>) {
        let pointer = self.pointer(None);
        self.errors.push(Finding { pointer, code, message: message.into() });
    }

    /// An error at a field of the current place.
    pub(super) fn error_at(&mut self, key: &'static str, code: Code, message: impl Into<String>) {
        let pointer = self.pointer(Some(key));
        self.errors.push(Finding { pointer, code, message: message.into() });
    }

    /// A warning at a field of the current place.
    pub(super) fn warn_at(&mut self, key: &'static str, message: impl Into<String>) {
        let pointer = self.pointer(Some(key));
        self.warnings.push(Finding { pointer, code: Code::Suspicious, message: message.into() });
    }

    /// The pointer of the current place, or of a field of it.
    pub(super) fn pointer(&self, key: Option<&'static str>) -> String {
        let mut pointer = String::new();
        for step in self.path.iter().copied().chain(key.map(Step::Key)) {
            pointer.push('/');
            match step {
                Step::Key(key) => pointer.push_str(key),
                Step::Index(index) => pointer.push_str(&index.to_string()),
            }
        }
        pointer
    }
}
