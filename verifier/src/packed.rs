//! A record as bytes: few of them, since there may be millions of records.
//!
//! In this order: the hash (32 bytes), the key's id (16), the creation (8), then flags and the lengths
//! of three texts (2 each); the expiry (8) and the owner's UUID (16), if the flags say so; the email
//! address, the name, and the owner if that is no UUID. Numbers are little-endian. Bytes after that
//! mean nothing. All that has a fixed length is in whole words, as it is copied.

use keyledger_domain::{HashFunction, KeyHash, KeyId, Timestamp};
use uuid::Uuid;

use crate::record::{KeyRecord, Owner};

/// The offset of the flags, in bytes.
const FLAGS: usize = 32 + 16 + 8;
const HAS_EXPIRY: u8 = 1;
const HAS_UUID: u8 = 2;
/// The rest of the record is in pieces: see [`records`](crate::records).
const HAS_MORE: u8 = 4;
/// The hash is an HMAC.
const IS_HMAC: u8 = 8;

/// The longest text, in bytes, that [`pack`] takes.
const LONGEST_TEXT: usize = 0xFFFF;
/// The most bytes of a packed record, with three texts of the greatest length.
pub(super) const LONGEST: usize = FLAGS + 8 + 8 + 16 + 3 * LONGEST_TEXT;

/// The record as bytes; `None` if a text is longer than [`LONGEST_TEXT`].
pub(super) fn pack(of: &KeyRecord<'_>) -> Option<Vec<u8>> {
    let mut packed = Vec::with_capacity(256);
    packed.extend_from_slice(of.hash.as_bytes());
    packed.extend_from_slice(of.key_id.as_uuid().as_bytes());
    packed.extend_from_slice(&of.created_at.unix_micros().to_le_bytes());
    let (uuid, owner) = match of.owner {
        Owner::Uuid(uuid) => (Some(uuid), ""),
        Owner::Text(text) => (None, text),
    };
    let flag = |there: bool, flag| if there { flag } else { 0 };
    let flags = flag(of.expires_at.is_some(), HAS_EXPIRY)
        | flag(uuid.is_some(), HAS_UUID)
        | flag(!of.hash_function.is_sha256(), IS_HMAC);
    packed.extend([flags, 0]);
    let texts = [of.owner_email.unwrap_or_default(), of.name, owner];
    for text in texts {
        packed.extend(u16::try_from(text.len()).ok()?.to_le_bytes());
    }
    if let Some(at) = of.expires_at {
        packed.extend_from_slice(&at.unix_micros().to_le_bytes());
    }
    if let Some(uuid) = uuid {
        packed.extend_from_slice(uuid.as_bytes());
    }
    for text in texts {
        packed.extend_from_slice(text.as_bytes());
    }
    Some(packed)
}

/// The record that was packed; `None` if these bytes are not one.
pub(super) fn unpack(bytes: &[u8]) -> Option<KeyRecord<'_>> {
    let (hash, rest) = bytes.split_first_chunk::<32>()?;
    let (id, rest) = rest.split_first_chunk::<16>()?;
    let (created, rest) = rest.split_first_chunk::<8>()?;
    let (head, mut rest) = rest.split_first_chunk::<8>()?;
    let [flags, _, lengths @ ..] = *head;
    let time = |micros| Timestamp::saturating_from_unix_micros(i64::from_le_bytes(micros));
    let mut expires_at = None;
    if flags & HAS_EXPIRY != 0 {
        let (expires, after) = rest.split_first_chunk::<8>()?;
        (expires_at, rest) = (Some(time(*expires)), after);
    }
    let mut uuid = None;
    if flags & HAS_UUID != 0 {
        let (bytes, after) = rest.split_first_chunk::<16>()?;
        (uuid, rest) = (Some(Uuid::from_bytes(*bytes)), after);
    }
    let [a, b, c, d, e, f] = lengths;
    let [email, name, owner] =
        [[a, b], [c, d], [e, f]].map(|length| usize::from(u16::from_le_bytes(length)));
    let texts = str::from_utf8(rest.get(..email + name + owner)?).ok()?;
    let (email, texts) = texts.split_at_checked(email)?;
    let (name, owner) = texts.split_at_checked(name)?;
    let is_hmac = flags & IS_HMAC != 0;
    Some(KeyRecord {
        key_id: KeyId::from_uuid(Uuid::from_bytes(*id)),
        hash: KeyHash::try_from(hash.as_slice()).ok()?,
        hash_function: if is_hmac { HashFunction::HmacSha256 } else { HashFunction::Sha256 },
        owner: uuid.map_or(Owner::Text(owner), Owner::Uuid),
        owner_email: Some(email).filter(|email| !email.is_empty()),
        name,
        created_at: time(*created),
        expires_at,
    })
}

/// Sets the flag that the rest of the record is in pieces.
pub(super) fn set_has_more(packed: &mut [u8]) {
    if let Some(flags) = packed.get_mut(FLAGS) {
        *flags |= HAS_MORE;
    }
}

/// Whether the rest of the record is in pieces.
pub(super) fn has_more(packed: &[u8]) -> bool {
    packed.get(FLAGS).is_some_and(|flags| flags & HAS_MORE != 0)
}

/// The key's id, at the end of the first 48 bytes.
pub(super) fn key_id(first: &[[u8; 8]; 6]) -> Option<KeyId> {
    let id = first.as_flattened().last_chunk::<16>()?;
    Some(KeyId::from_uuid(Uuid::from_bytes(*id)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::INLINE;

    fn at(second: u32) -> Timestamp {
        Timestamp::UNIX_EPOCH.plus_seconds(second).unwrap()
    }

    fn key_record() -> KeyRecord<'static> {
        KeyRecord {
            key_id: KeyId::from_uuid(Uuid::from_u128(1)),
            hash: KeyHash::try_from([7; 32].as_slice()).unwrap(),
            hash_function: HashFunction::Sha256,
            owner: Owner::of("ann"),
            owner_email: None,
            name: "my key",
            created_at: at(1),
            expires_at: None,
        }
    }

    #[test]
    fn a_record_tells_what_was_put_in() {
        let [longest, one_byte, two_bytes] =
            [("ü", 255), ("x", 127), ("x", 128)].map(|(text, times)| text.repeat(times));
        let uuid = "0b9fbb4a-c5bc-56bf-bb7f-7456ac743748";
        for owner in ["ann", &longest, uuid, &one_byte, &two_bytes] {
            for owner_email in [None, Some("ann@example.com"), Some(longest.as_str())] {
                for expires_at in [None, Some(at(5)), Some(Timestamp::MAX)] {
                    let owner = Owner::of(owner);
                    for hash_function in [HashFunction::Sha256, HashFunction::HmacSha256] {
                        let of = KeyRecord {
                            owner,
                            owner_email,
                            expires_at,
                            hash_function,
                            ..key_record()
                        };
                        let packed = pack(&of).unwrap();
                        assert_eq!(unpack(&packed), Some(of));
                        let (words, _) = packed.as_chunks::<8>();
                        assert_eq!(key_id(words.first_chunk().unwrap()), Some(of.key_id));
                    }
                }
            }
        }
    }

    #[test]
    fn a_text_that_is_too_long_is_not_packed() {
        let name = "x".repeat(LONGEST_TEXT + 1);
        assert_eq!(pack(&KeyRecord { name: &name, ..key_record() }), None);
        let name = &name[..LONGEST_TEXT];
        let of =
            KeyRecord { name, owner: Owner::Text(name), owner_email: Some(name), ..key_record() };
        let packed = pack(&of).unwrap();
        assert_eq!(unpack(&packed), Some(of));
        assert!(packed.len() <= LONGEST);
    }

    #[test]
    fn a_record_of_a_usual_key_is_small() {
        let of = KeyRecord {
            owner: Owner::of("0b9fbb4a-c5bc-56bf-bb7f-7456ac743748"),
            owner_email: Some("ken.hopper6@example.com"),
            name: "staging server 1",
            ..key_record()
        };
        // It fits inline. The size of a cell is checked where the cell is defined.
        assert!(pack(&of).unwrap().len() <= INLINE);
        let name = "x".repeat(100);
        assert!(pack(&KeyRecord { name: &name, ..of }).unwrap().len() > INLINE);
    }
}
