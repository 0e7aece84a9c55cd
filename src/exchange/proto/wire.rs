//! The messages of `proto/openrtb.proto`, as prost makes them.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::len_without_is_empty,
    reason = "generated; the schema says what they are"
)]

include!(concat!(env!("OUT_DIR"), "/outbid.openrtb.rs"));
