//! Why a body is refused. What is answered 204 instead is not an error: it is a `fault` in the auction.

/// A body that is no readable OpenRTB 2.x request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Not JSON (RFC 8259), or not UTF-8.
    #[error("malformed json at byte {offset}: {what}")]
    Malformed {
        /// Where, in bytes from the start of the body.
        offset: usize,
        /// What is wrong there.
        what: &'static str,
    },
    /// Not a message of `proto/openrtb.proto`: cut short, or not protobuf at all.
    #[error("malformed protobuf")]
    MalformedProtobuf,
    /// Objects and arrays are nested deeper than allowed.
    #[error("nested deeper than {limit} at byte {offset}")]
    TooDeep {
        /// Where, in bytes from the start of the body.
        offset: usize,
        /// The deepest nesting that is read.
        limit: usize,
    },
    /// The body is longer than allowed.
    #[error("body of {bytes} bytes is over the limit of {limit}")]
    TooLarge {
        /// Its length.
        bytes: usize,
        /// The longest that is read.
        limit: usize,
    },
    /// The body is a JSON value other than an object.
    #[error("the request is not a json object")]
    NotAnObject,
    /// `id` is missing, empty or unreadable.
    #[error("the request has no id")]
    MissingId,
    /// `imp` is missing, empty or not an array.
    #[error("the request has no array of impressions with at least one entry")]
    MissingImp,
    /// A request of another family, such as OpenRTB 3.0.
    #[error("not an openrtb 2.x request: found the top-level key openrtb")]
    NotOpenRtb2,
    /// A limit was passed outside the impressions.
    #[error("{field}: {what} over the limit of {limit}")]
    LimitExceeded {
        /// The top-level field.
        field: &'static str,
        /// `string` (bytes) or `array` (entries).
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// A key that names money or an identity is given twice in one object.
    #[error("the key {field} is given twice")]
    DuplicateKey {
        /// The key, with its object's name where that is not the request.
        field: &'static str,
    },
}

impl ParseError {
    /// The status that answers it: 413 when the body is too long, 400 otherwise.
    pub fn status(&self) -> u16 {
        match self {
            ParseError::TooLarge { .. } => 413,
            _ => 400,
        }
    }
}
