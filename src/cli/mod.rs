//! (in work)

pub mod seed;
