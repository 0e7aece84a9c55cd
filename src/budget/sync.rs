//! The atomics and the lock that leases are made of. With the feature `loom` they are loom's, which tries every order
//! in which threads can meet; the lease above them is the same code.

#[cfg(not(feature = "loom"))]
pub(super) use parking_lot::Mutex;
#[cfg(not(feature = "loom"))]
pub(super) use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8};

#[cfg(feature = "loom")]
pub(super) use loom::sync::atomic::{AtomicBool, AtomicI64, AtomicU8};

/// loom's lock under the name and signature of the one that is used otherwise.
#[cfg(feature = "loom")]
#[derive(Debug, Default)]
pub(super) struct Mutex<T>(loom::sync::Mutex<T>);

#[cfg(feature = "loom")]
impl<T> Mutex<T> {
    pub(super) fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
        self.0.lock().expect("a model that panics is over")
    }
}
