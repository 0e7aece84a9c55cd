//! Predictions of clicks and conversions: the learner against a naive one, what is kept and read back, calibration, joins,
//! delays, the guard, and `outbid backtest ctr`.

mod backtest;
mod calibrated;
mod joined;
mod kept;
mod learned;
mod log;
