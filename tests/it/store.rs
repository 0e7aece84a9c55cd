//! The account file and the data directory, through their public faces.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

pub(crate) mod account_file;
mod behaviour;
mod creatives;
mod data_dir;
mod goals;
mod profile;
