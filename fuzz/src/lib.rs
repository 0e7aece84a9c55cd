//! Trial C2: what anybody may send to the readers and encoders, as functions that panic where something is wrong.
//!
//! Each takes any bytes. Most ask for more than that nothing panics: another reader must agree, what is read must be
//! written again as it was, a value must not leave its place. cargo-fuzz calls them (`fuzz_targets`), and so does
//! `cargo test fuzz::` on stable, with the kept corpus and seeded mutations of it.

mod media;
mod privacy;
mod wire;

pub use media::{expand_macros, vast_build};
pub use privacy::read_consent;
pub use wire::{decode_price, decode_token, native_request, parse_bid_request, parse_protobuf, wal_scan};

/// A target by name.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 9] = [
    ("parse_bid_request", parse_bid_request),
    ("parse_protobuf", parse_protobuf),
    ("native_request", native_request),
    ("vast_build", vast_build),
    ("expand_macros", expand_macros),
    ("decode_price", decode_price),
    ("decode_token", decode_token),
    ("read_consent", read_consent),
    ("wal_scan", wal_scan),
];

/// The `N` parts of an input, which a byte separates that UTF-8 does not have; missing ones are empty.
fn parts<const N: usize>(data: &[u8]) -> [String; N] {
    let mut given = data.splitn(N, |byte| *byte == 0xff);
    std::array::from_fn(|_| String::from_utf8_lossy(given.next().unwrap_or_default()).into_owned())
}
