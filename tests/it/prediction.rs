//! Predictions of clicks and conversions: the learner against a naive one, what is kept and read back, calibration, joins,
//! delays, the guard, and `outbid backtest ctr`.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod backtest;
mod calibrated;
mod joined;
mod kept;
mod learned;
mod log;
