//! Bytes that must not reach a log.

use std::fmt;

/// What stands in the place of a secret wherever it would be printed.
pub const MASK: &str = "********";

/// A key of 256 bits. `Debug` prints a mask. Comparing two of them takes no constant time: that is for configurations,
/// never for what a stranger sends.
#[derive(Clone, PartialEq, Eq)]
pub struct Key256(pub [u8; 32]);

impl fmt::Debug for Key256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// A key of Blowfish, 4 to 56 bytes. `Debug` prints a mask.
#[derive(Clone, PartialEq, Eq)]
pub struct BlowfishKey(Vec<u8>);

impl BlowfishKey {
    /// Takes a key; `None` when Blowfish cannot have one of that length.
    pub fn new(key: &[u8]) -> Option<BlowfishKey> {
        (4..=56).contains(&key.len()).then(|| BlowfishKey(key.to_vec()))
    }

    /// The bytes, for the cipher and the account file.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for BlowfishKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}
