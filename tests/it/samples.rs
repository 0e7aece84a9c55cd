//! The sample of requests: what is kept says what came, for as long and in as much room as it may, and nothing of who it was.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod clean;
mod kept;
mod rate;
