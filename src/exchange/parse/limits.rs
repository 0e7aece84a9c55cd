//! How much of everything a request may hold.

/// The limits of one request. They bind what is read: a field that the engine ignores may be of any length that
/// the body's own limit and the nesting allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the body as it is handed to the parser.
    pub body: usize,
    /// Bytes of a body once inflated, see [`Limits::inflated`].
    pub inflated_body: usize,
    /// Nested objects and arrays, the request itself included; more than [`Limits::MAX_DEPTH`] counts as that.
    pub depth: usize,
    /// Impressions of a request.
    pub imps: usize,
    /// Deals of an impression.
    pub deals: usize,
    /// Bytes of a string, escapes resolved.
    pub string: usize,
    /// Bytes of `native.request`, escapes resolved.
    pub native_request: usize,
    /// Entries of an array.
    pub array: usize,
    /// Entries of `badv`, `bapp` and `bcat`.
    pub block_list: usize,
}

impl Limits {
    /// The deepest nesting that the scanner can follow without a heap.
    pub const MAX_DEPTH: usize = 128;

    /// The same limits for a body that was inflated.
    pub fn inflated(self) -> Limits {
        Limits { body: self.inflated_body, ..self }
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            body: 256 << 10,
            inflated_body: 1 << 20,
            depth: 32,
            imps: 64,
            deals: 256,
            string: 16 << 10,
            native_request: 64 << 10,
            array: 1_024,
            block_list: 16_384,
        }
    }
}
