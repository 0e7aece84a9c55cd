//! The control plane as its users have it: over HTTP, on the real program, and beside it on the bare API where thousands
//! of calls are made.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod alerts;
mod apply;
mod calls;
mod configuration;
mod contacts;
mod csv;
mod deals;
mod described;
mod errors;
mod figures;
mod forecast;
mod funnel;
mod fuzzed;
mod goals;
mod guide;
mod journey;
mod keys;
mod lists;
mod matrix;
mod money;
mod pages;
mod people;
mod pixels;
mod property;
mod reference;
mod refusals;
mod rough;
mod schema;
mod segments;
mod site;
mod stops;
mod taxonomies;
mod world;
