//! `outbid`: a real-time bidding engine for demand-side platforms.
//!
//! A bid request goes one straight line, without an `.await` between parsing and answering:
//! [`serve`] reads it, [`exchange`] parses it into borrowed [`model::auction::Auction`] values, [`engine`] decides
//! (privacy → audience → targeting → budget → pricing → selection → hold), [`exchange`] writes the answer.
//! Notices come back through [`serve`] and [`exchange`] (token) into [`budget`].
//!
//! Who may import whom is listed in ARCHITECTURE.md and enforced by `tests/it/tidy.rs`. Everything from [`engine`]
//! down knows no tokio, no hyper, no serde_json and no store.

pub mod admin;
pub mod audience;
pub mod budget;
pub mod cli;
pub mod config;
pub mod contacts;
pub mod engine;
pub mod events;
pub mod exchange;
pub mod forecast;
pub mod funnel;
pub mod model;
pub mod pricing;
pub mod privacy;
pub mod samples;
pub mod serve;
pub mod sim;
pub mod store;
pub mod targeting;
pub mod telemetry;
