//! The books: no account above its budget whatever comes in which order, and no money lost or left lying.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails as loudly as the test")]

mod books;
mod days;
mod hostile;
mod interleavings;
mod rules;
mod threads;
mod trials;
