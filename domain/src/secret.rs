//! The key's secret, and what may be known of it.
//!
//! A full key reads `<prefix>_<43 base62 characters><6 base62 characters>`: 256 bits from the
//! generator, then the CRC-32 (IEEE 802.3) of everything before it, as GitHub's tokens have it,
//! so that a mistyped key is refused without a look-up and scanners can tell a key from noise.
//! Keys of an older kind, `<prefix>_<43 base64url characters>` without a checksum, are known too.

use std::fmt;

use rand::{CryptoRng, Rng};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// 62^43 is just above 2^256.
const RANDOM_CHARS: usize = 43;
/// 62^6 is above 2^32.
const CHECKSUM_CHARS: usize = 6;
const DISPLAYED_CHARS: usize = 8;

/// What every key begins with: 2 to 16 characters of `a-z0-9`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPrefix(String);

/// The text is not a [`KeyPrefix`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key prefix has 2 to 16 characters of a-z and 0-9")]
pub struct KeyPrefixError;

impl KeyPrefix {
    /// Parses a prefix, given without its underscore.
    ///
    /// # Errors
    /// [`KeyPrefixError`] for anything but 2 to 16 characters of `a-z0-9`.
    pub fn parse(text: &str) -> Result<Self, KeyPrefixError> {
        if is_prefix(text) { Ok(Self(text.to_owned())) } else { Err(KeyPrefixError) }
    }
}

fn is_prefix(text: &str) -> bool {
    (2..=16).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

/// A full key, as its owner sees it once. It cannot be cloned, stored or printed, and its memory
/// is wiped when it is dropped.
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Makes a new secret of 256 random bits.
    #[must_use]
    pub fn generate<R: CryptoRng + ?Sized>(prefix: &KeyPrefix, random: &mut R) -> Self {
        let capacity = prefix.0.len() + 1 + RANDOM_CHARS + CHECKSUM_CHARS;
        // Never grown past its capacity: a reallocation would leave a copy behind.
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

    /// What is stored in the secret's place.
    #[must_use]
    pub fn hash(&self) -> KeyHash {
        KeyHash::of(&self.0)
    }

    /// What people recognise the key by.
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

/// Appends this many uniform symbols. Of the 64 values of 6 bits, 62 are symbols; the other two
/// are drawn again, since folding them back would favour some symbols.
fn push_random_base62<R: Rng + ?Sized>(text: &mut String, symbols: usize, random: &mut R) {
    let mut missing = symbols;
    // One draw from the generator is nearly always enough, and a system call saved each.
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

/// The presented text has neither the form of a key nor a checksum that fits it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a key: its form or its checksum is wrong")]
pub struct UnrecognisedSecret;

/// The hash to look up for a key that someone presents, if it has the form of one.
///
/// Any prefix is accepted, since keys outlive a change of the configured one.
///
/// # Errors
/// [`UnrecognisedSecret`] for a text of another form or with a wrong checksum.
pub fn hash_presented(text: &str) -> Result<KeyHash, UnrecognisedSecret> {
    let (prefix, rest) = text.split_once('_').ok_or(UnrecognisedSecret)?;
    let known = is_prefix(prefix)
        && match rest.len() {
            RANDOM_CHARS => rest.bytes().all(is_base64url),
            length if length == RANDOM_CHARS + CHECKSUM_CHARS => {
                rest.bytes().all(|byte| byte.is_ascii_alphanumeric()) && has_its_checksum(text)
            }
            _ => false,
        };
    if known { Ok(KeyHash::of(text)) } else { Err(UnrecognisedSecret) }
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

/// The SHA-256 of a full key; its text form is lower-case hex. Hidden from `Debug`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyHash([u8; 32]);

/// The text or the bytes are not a SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key hash is 32 bytes, or 64 characters of lower-case hex")]
pub struct KeyHashError;

impl KeyHash {
    fn of(full_key: &str) -> Self {
        Self(Sha256::digest(full_key.as_bytes()).into())
    }

    /// The 32 bytes of the hash.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The lower-case hex form.
    #[must_use]
    pub fn to_hex(self) -> String {
        let mut hex = String::with_capacity(64);
        for byte in self.0 {
            for nibble in [byte >> 4, byte & 0x0f] {
                hex.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
            }
        }
        hex
    }

    /// Parses the lower-case hex form.
    ///
    /// # Errors
    /// [`KeyHashError`] for anything but 64 characters of `0-9a-f`.
    pub fn from_hex(hex: &str) -> Result<Self, KeyHashError> {
        let nibble = |symbol: u8| match symbol {
            b'0'..=b'9' => Ok(symbol - b'0'),
            b'a'..=b'f' => Ok(symbol - b'a' + 10),
            _ => Err(KeyHashError),
        };
        let (pairs, []) = hex.as_bytes().as_chunks::<2>() else {
            return Err(KeyHashError);
        };
        let bytes = pairs
            .iter()
            .map(|[high, low]| Ok(nibble(*high)? << 4 | nibble(*low)?))
            .collect::<Result<Vec<u8>, KeyHashError>>()?;
        Self::try_from(bytes.as_slice())
    }
}

impl TryFrom<&[u8]> for KeyHash {
    type Error = KeyHashError;

    fn try_from(bytes: &[u8]) -> Result<Self, Self::Error> {
        bytes.try_into().map(Self).map_err(|_| KeyHashError)
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash(..)")
    }
}

impl Serialize for KeyHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_hex())
    }
}

impl<'de> Deserialize<'de> for KeyHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let hex = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::from_hex(&hex).map_err(serde::de::Error::custom)
    }
}

/// The beginning of a key that people recognise it by: the prefix and 8 random characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DisplayPrefix(String);

/// The text is not a [`DisplayPrefix`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a display prefix has 1 to 32 visible ASCII characters")]
pub struct DisplayPrefixError;

impl DisplayPrefix {
    /// Parses a prefix from outside. Whatever its kind, it is too short for a whole key.
    ///
    /// # Errors
    /// [`DisplayPrefixError`] for anything but 1 to 32 visible ASCII characters.
    pub fn parse(text: &str) -> Result<Self, DisplayPrefixError> {
        let fits = (1..=32).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        if fits { Ok(Self(text.to_owned())) } else { Err(DisplayPrefixError) }
    }

    /// The prefix as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The prefix that a table of ours gives back.
    #[must_use]
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn secret(seed: u64) -> Secret {
        Secret::generate(&KeyPrefix::parse("orag").unwrap(), &mut StdRng::seed_from_u64(seed))
    }

    #[test]
    fn a_secret_has_its_prefix_43_random_characters_and_a_checksum() {
        let secret = secret(7);
        let text = secret.expose();
        assert_eq!(text.len(), "orag_".len() + 43 + 6);
        assert!(text.starts_with("orag_"));
        assert_eq!(secret.display_prefix().as_str(), &text[..13]);
        assert_eq!(hash_presented(text), Ok(secret.hash()));
    }

    #[test]
    fn the_checksum_is_the_crc_32_in_base62() {
        // CRC-32 of "123456789" is 0xCBF43926 (the check value of the CRC catalogue).
        assert_eq!(&checksum("123456789"), b"3jZRME");
        assert_eq!(&checksum(""), b"000000");
    }

    #[test]
    fn the_hash_is_the_sha_256_of_the_whole_text() {
        // FIPS 180-2, appendix B.1.
        let hash = KeyHash::of("abc");
        let hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hash.to_hex(), hex);
        assert_eq!(KeyHash::from_hex(hex), Ok(hash));
        for wrong in [&hex[1..], &hex.to_uppercase(), &format!("{hex}00"), ""] {
            assert_eq!(KeyHash::from_hex(wrong), Err(KeyHashError), "{wrong}");
        }
    }

    #[test]
    fn a_key_of_the_older_kind_is_recognised_without_a_checksum() {
        let text = "orag_AbCdEfGhIjKlMnOpQrStUvWxYz0123456789-_AbCdE";
        assert_eq!(text.len(), 48);
        assert_eq!(hash_presented(text), Ok(KeyHash::of(text)));
    }

    #[test]
    fn what_has_not_the_form_of_a_key_is_refused() {
        let good = secret(1).expose().to_owned();
        let wrong = [
            String::new(),
            "orag_".into(),
            "_".into(),
            good.replace("orag", "ORAG"),
            good.replace("orag", "o"),
            good.replace('_', "-"),
            format!("{good}x"),
            good[..good.len() - 1].to_owned(),
            format!("orag_{}", "é".repeat(43)),
            format!("orag_{}", "+".repeat(43)),
            "x".repeat(1_000_000),
        ];
        for text in wrong {
            assert_eq!(hash_presented(&text), Err(UnrecognisedSecret), "{text:.80}");
        }
    }

    #[test]
    fn neither_the_secret_nor_its_hash_can_be_debug_printed() {
        let secret = secret(1);
        assert_eq!(format!("{secret:?} {:?}", secret.hash()), "Secret(..) KeyHash(..)");
    }

    #[test]
    fn a_prefix_is_short_and_plain() {
        for text in ["ab", "live2", "abcdefghij012345"] {
            assert!(KeyPrefix::parse(text).is_ok(), "{text}");
        }
        for text in ["", "a", "Ab", "a_b", "a-b", "abcdefghij0123456", "éé"] {
            assert_eq!(KeyPrefix::parse(text), Err(KeyPrefixError), "{text}");
        }
    }

    #[test]
    fn every_symbol_occurs_about_equally_often() {
        let mut counts = std::collections::HashMap::new();
        let mut text = String::new();
        push_random_base62(&mut text, 62_000, &mut StdRng::seed_from_u64(42));
        for symbol in text.chars() {
            *counts.entry(symbol).or_insert(0_u32) += 1;
        }
        assert_eq!(counts.len(), 62);
        // 1,000 expected each, standard deviation 31.4: six of them to either side.
        assert!(counts.values().all(|count| (811..=1_189).contains(count)), "{counts:?}");
    }

    proptest! {
        #[test]
        fn secrets_verify_and_differ(seed in any::<u64>()) {
            let (one, other) = (secret(seed), secret(seed.wrapping_add(1)));
            prop_assert!(hash_presented(one.expose()).is_ok());
            prop_assert_ne!(one.expose(), other.expose());
        }

        #[test]
        fn one_wrong_character_never_verifies(
            seed in any::<u64>(), at in 5_usize..54, symbol in 0_usize..62
        ) {
            let good = secret(seed);
            let mut bytes = good.expose().as_bytes().to_vec();
            prop_assume!(bytes[at] != BASE62[symbol]);
            bytes[at] = BASE62[symbol];
            let typo = String::from_utf8(bytes).unwrap();
            prop_assert_eq!(hash_presented(&typo), Err(UnrecognisedSecret));
        }

        #[test]
        fn no_text_makes_recognition_panic(text in ".*") {
            let _ = hash_presented(&text);
        }

        #[test]
        fn a_hash_survives_its_hex_form(bytes in any::<[u8; 32]>()) {
            let hash = KeyHash(bytes);
            prop_assert_eq!(KeyHash::from_hex(&hash.to_hex()), Ok(hash));
        }
    }

    #[test]
    fn a_thousand_secrets_are_a_thousand_texts() {
        let mut random = StdRng::seed_from_u64(3);
        let prefix = KeyPrefix::parse("orag").unwrap();
        let texts: HashSet<String> = (0..1_000)
            .map(|_| Secret::generate(&prefix, &mut random).expose().to_owned())
            .collect();
        assert_eq!(texts.len(), 1_000);
    }
}
