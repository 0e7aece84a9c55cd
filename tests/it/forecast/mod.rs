//! What is forecast, against what then happens.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails as loudly as the test")]

mod draws;
mod market;
mod rules;
mod served;
mod statistics;
