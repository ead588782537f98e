//! The key's secret, and what may be stored and shown of it.
//!
//! A full key reads `<prefix>_<43 base62 characters><6 base62 characters>`: 256 random bits, then
//! the CRC-32 (IEEE 802.3) of everything before it, as in GitHub's tokens. The checksum lets a
//! mistyped key be refused without a look-up, and lets scanners tell a key from other text. Keys of
//! an older kind, `<prefix>_<43 base64url characters>` without a checksum, are accepted too. Keys that were
//! imported have the forms of the services that made them.

mod former;
mod hash;
mod prefix;

use std::fmt;

use rand::{CryptoRng, Rng};
use zeroize::Zeroizing;

pub use former::{HmacSecret, HmacSecretError, may_be_imported};
pub use hash::{HashFunction, KeyHash, KeyHashError};
use prefix::is_prefix;
pub use prefix::{DisplayPrefix, DisplayPrefixError, KeyPrefix, KeyPrefixError};

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// 62^43 is just above 2^256.
const RANDOM_CHARS: usize = 43;
/// 62^6 is above 2^32.
const CHECKSUM_CHARS: usize = 6;
const DISPLAYED_CHARS: usize = 8;

/// A full key, which its owner sees once. It cannot be cloned, serialized or printed, and its
/// memory is overwritten when it is dropped.
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Generates a secret of 256 random bits.
    #[must_use]
    pub fn generate<R: CryptoRng + ?Sized>(prefix: &KeyPrefix, random: &mut R) -> Self {
        let capacity = prefix.0.len() + 1 + RANDOM_CHARS + CHECKSUM_CHARS;
        // The text never grows past its capacity: a reallocation would leave a copy in memory.
        let mut text = Zeroizing::new(String::with_capacity(capacity));
        text.push_str(&prefix.0);
        text.push('_');
        push_random_base62(&mut text, RANDOM_CHARS, random);
        for symbol in checksum(&text) {
            text.push(char::from(symbol));
        }
        Self(text)
    }

    /// The full text, for the one answer that shows it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The hash, which is stored in place of the secret.
    #[must_use]
    pub fn hash(&self) -> KeyHash {
        KeyHash::of(&self.0)
    }

    /// The beginning of the secret, by which people recognise the key.
    #[must_use]
    pub fn display_prefix(&self) -> DisplayPrefix {
        let prefix_chars = self.0.find('_').map_or(0, |at| at + 1);
        DisplayPrefix(self.0.chars().take(prefix_chars + DISPLAYED_CHARS).collect())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Appends this many symbols, each equally likely. Of the 64 values of 6 bits, 62 stand for a
/// symbol; the other two are drawn again, because mapping them to symbols would make those more
/// likely.
fn push_random_base62<R: Rng + ?Sized>(text: &mut String, symbols: usize, random: &mut R) {
    let mut missing = symbols;
    // 64 bytes are nearly always enough, so that most keys take one call of the generator.
    let mut bytes = Zeroizing::new([0_u8; 64]);
    while missing > 0 {
        random.fill_bytes(bytes.as_mut_slice());
        let drawn = bytes.iter().filter_map(|byte| BASE62.get(usize::from(byte >> 2)));
        for &symbol in drawn.take(missing) {
            text.push(char::from(symbol));
            missing -= 1;
        }
    }
}

/// The CRC-32 of the text in base62, most significant symbol first, padded with zeros.
fn checksum(text: &str) -> [u8; CHECKSUM_CHARS] {
    let mut rest = crc32fast::hash(text.as_bytes());
    let mut symbols = [b'0'; CHECKSUM_CHARS];
    for symbol in symbols.iter_mut().rev() {
        let index = usize::try_from(rest % 62).unwrap_or(0);
        *symbol = BASE62.get(index).copied().unwrap_or(b'0');
        rest /= 62;
    }
    symbols
}

/// The presented text does not have the form of a key, or its checksum is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a key: its form or its checksum is wrong")]
pub struct UnrecognisedSecret;

/// The hash by which to look up a presented key.
///
/// Every prefix is accepted: keys stay valid when the configured prefix changes.
///
/// # Errors
/// [`UnrecognisedSecret`] for a text of another form or with a wrong checksum.
pub fn hash_presented(text: &str) -> Result<KeyHash, UnrecognisedSecret> {
    let (prefix, rest) = text.split_once('_').ok_or(UnrecognisedSecret)?;
    let has_form = is_prefix(prefix)
        && match rest.len() {
            RANDOM_CHARS => rest.bytes().all(is_base64url),
            length if length == RANDOM_CHARS + CHECKSUM_CHARS => {
                rest.bytes().all(|byte| byte.is_ascii_alphanumeric()) && has_its_checksum(text)
            }
            _ => false,
        };
    if has_form { Ok(KeyHash::of(text)) } else { Err(UnrecognisedSecret) }
}

fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

fn has_its_checksum(text: &str) -> bool {
    text.len()
        .checked_sub(CHECKSUM_CHARS)
        .and_then(|at| text.split_at_checked(at))
        .is_some_and(|(body, sum)| sum.as_bytes() == checksum(body))
}

#[cfg(test)]
mod tests;
