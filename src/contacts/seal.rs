//! Sealing one address under a key that seals nothing else.

use super::{Channel, ContactsError};
use crate::model::ids::UserKey;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce};
use rand::TryRng as _;

/// Bytes of a key.
pub(super) const KEY: usize = 32;

/// Whose address it is: what is sealed for one opens as nobody else's.
#[derive(Clone, Copy)]
pub(super) struct Whose {
    pub(super) account: u32,
    pub(super) channel: Channel,
    pub(super) person: UserKey,
}

impl Whose {
    fn bytes(self) -> [u8; 13] {
        let mut bytes = [0; 13];
        bytes[..4].copy_from_slice(&self.account.to_le_bytes());
        bytes[4] = self.channel as u8;
        bytes[5..].copy_from_slice(&self.person.0.to_le_bytes());
        bytes
    }
}

/// A new key, and the address under it.
pub(super) fn seal(whose: Whose, address: &str) -> Result<([u8; KEY], Vec<u8>), ContactsError> {
    let mut key = [0; KEY];
    let filled = rand::rngs::SysRng.try_fill_bytes(&mut key);
    filled.map_err(|why| ContactsError::Random(why.to_string()))?;
    let aad = whose.bytes();
    let payload = Payload { msg: address.as_bytes(), aad: &aad };
    // The key is used once, so one nonce does for all of them.
    let sealed = ChaCha20Poly1305::new(&Key::from(key)).encrypt(&Nonce::default(), payload);
    sealed.map(|sealed| (key, sealed)).map_err(|_| ContactsError::Sealed)
}

/// The address again.
pub(super) fn open(whose: Whose, key: &[u8], sealed: &[u8]) -> Result<String, ContactsError> {
    let key: [u8; KEY] = key.try_into().map_err(|_| ContactsError::Sealed)?;
    let aad = whose.bytes();
    let payload = Payload { msg: sealed, aad: &aad };
    let opened = ChaCha20Poly1305::new(&Key::from(key)).decrypt(&Nonce::default(), payload);
    opened.ok().and_then(|bytes| String::from_utf8(bytes).ok()).ok_or(ContactsError::Sealed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_opens_as_whose_it_is_and_as_nobody_elses() {
        let whose = Whose { account: 1, channel: Channel::Mail, person: UserKey(7) };
        let (key, sealed) = seal(whose, "someone@example.com").unwrap();
        assert_eq!(open(whose, &key, &sealed).unwrap(), "someone@example.com");
        assert!(!sealed.windows(4).any(|window| window == b"some"));
        let others = [
            Whose { account: 2, ..whose },
            Whose { channel: Channel::Call, ..whose },
            Whose { person: UserKey(8), ..whose },
        ];
        for other in others {
            assert!(open(other, &key, &sealed).is_err());
        }
        let mut broken = sealed.clone();
        broken[0] ^= 1;
        assert!(open(whose, &key, &broken).is_err());
        assert!(open(whose, &[0; KEY], &sealed).is_err() && open(whose, &key[1..], &sealed).is_err());
        assert_ne!(seal(whose, "someone@example.com").unwrap().0, key, "a key is used once");
    }
}
