//! The only place that knows wire formats: bid requests in, answers out, notices back.
//!
//! Invariant: nothing of a wire format leaves this module; the rest of the engine sees `model` values. Deliberately
//! absent: deciding anything, and sockets.

mod entries;
mod inflate;
mod json;
pub mod macros;
mod markup;
mod native;
mod parse;
pub mod price;
mod proto;
mod reference;
pub mod respond;
mod sanitise;
mod scan;
pub mod schema;
pub mod text;
pub mod token;
pub mod url;
mod vast;

use crate::model::auction::Auction;
use bumpalo::Bump;

pub use inflate::{InflateError, Inflater, deflate, inflate};
pub use macros::Place;
pub use markup::compile as compile_markup;
pub use parse::{Limits, ParseError, parse};
pub use proto::{encode_answer, parse_protobuf, protobuf_as_json};
pub use reference::parse_reference;
pub use sanitise::sanitise;
pub use token::{
    TokenClass, TokenError, TokenKey, TokenKeys, decode as decode_token, verify as verify_token,
};
pub use url::{NoticeKind, NoticePath, NoticeQuery, Notified, PublicUrl, UrlForm};

/// Reads a body in the encoding that it came in.
///
/// # Errors
/// Those of [`parse`] and of [`parse_protobuf`].
pub fn parse_either<'a>(
    body: &'a [u8],
    protobuf: bool,
    limits: &Limits,
    arena: &'a Bump,
) -> Result<Auction<'a>, ParseError> {
    if protobuf { parse_protobuf(body, limits, arena) } else { parse(body, limits, arena) }
}
