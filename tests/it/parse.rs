//! The request reader: equal to its oracle on real, mutated and generated bodies, lenient where traffic is odd,
//! strict where money is concerned, and free of allocation once warm.

mod context;
pub(crate) mod differential;
mod fields;
mod limits;
mod media;
mod native;

use bumpalo::Bump;
use outbid::exchange::{Limits, ParseError, parse, parse_reference};
use outbid::model::auction::Auction;

/// Reads a body with the default limits and looks at the result; the oracle must see the same.
fn read<R>(body: &str, look: impl FnOnce(Result<Auction<'_>, ParseError>) -> R) -> R {
    differential::assert_agree(body.as_bytes(), &Limits::default());
    let arena = Bump::new();
    look(parse(body.as_bytes(), &Limits::default(), &arena))
}

/// A request around the fields of its top level.
fn request(fields: &str) -> String {
    format!(r#"{{"id":"r","imp":[{{"id":"1","banner":{{"w":300,"h":250}}}}]{fields}}}"#)
}

/// A request around the fields of its only impression.
fn request_with_imp(fields: &str) -> String {
    format!(r#"{{"id":"r","imp":[{{"id":"1","banner":{{"w":300,"h":250}}{fields}}}]}}"#)
}
