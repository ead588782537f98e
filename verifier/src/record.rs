//! What is kept of a key: few bytes, since there may be millions, and those next to each other.

use std::fmt;

use keyledger_domain::key::KeyStatus;
use keyledger_domain::{KeyHash, KeyId, Revision, Timestamp};
use serde::{Serialize, Serializer};
use uuid::Uuid;

use crate::status::StatusCell;
use crate::used::LastUse;

/// What is known of a key, but for its standing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyRecord<'a> {
    /// Its id.
    pub key_id: KeyId,
    /// The hash of its secret.
    pub hash: KeyHash,
    /// Who it belongs to.
    pub owner: Owner<'a>,
    /// The owner's address, where it is known.
    pub owner_email: Option<&'a str>,
    /// What the owner calls it.
    pub name: &'a str,
    /// When it was created.
    pub created_at: Timestamp,
    /// From when on it does not verify, if ever.
    pub expires_at: Option<Timestamp>,
}

/// Who a key belongs to. Most identity providers name users by UUIDs, which are kept as such.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner<'a> {
    /// A UUID, in lower case with hyphens.
    Uuid(Uuid),
    /// Anything else.
    Text(&'a str),
}

impl<'a> Owner<'a> {
    /// The owner with this id.
    #[must_use]
    pub fn of(id: &'a str) -> Self {
        let mut buffer = Uuid::encode_buffer();
        match Uuid::try_parse(id) {
            Ok(uuid) if uuid.hyphenated().encode_lower(&mut buffer) == id => Self::Uuid(uuid),
            Ok(_) | Err(_) => Self::Text(id),
        }
    }

    /// The id as text, in this buffer or elsewhere.
    #[must_use]
    pub fn text<'b>(&self, buffer: &'b mut [u8; 36]) -> &'b str
    where
        'a: 'b,
    {
        match self {
            Self::Uuid(uuid) => uuid.hyphenated().encode_lower(buffer),
            Self::Text(text) => text,
        }
    }
}

impl Serialize for Owner<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.text(&mut [0; 36]))
    }
}

/// What is kept of a key.
pub(super) struct Record {
    /// The hash, the id, the creation, flags; the expiry and the owner's UUID, where there are; the
    /// address, the name, the owner if that is no UUID, each after its length.
    packed: Packed,
    pub(super) status: StatusCell,
    pub(super) used: LastUse,
}

/// Those of most keys have room where the record is, which spares a look elsewhere. Whatever comes
/// after what was put in is zero.
enum Packed {
    Here([u8; Packed::ROOM]),
    Elsewhere(Box<[u8]>),
}

impl Packed {
    const ROOM: usize = 127;

    fn new(bytes: Vec<u8>) -> Self {
        let mut room = [0; Self::ROOM];
        match room.get_mut(..bytes.len()) {
            Some(here) => {
                here.copy_from_slice(&bytes);
                Self::Here(room)
            }
            None => Self::Elsewhere(bytes.into()),
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Here(bytes) => bytes,
            Self::Elsewhere(bytes) => bytes,
        }
    }
}

/// Appends a text after its length, seven bits of it in a byte: one is enough for most, and two for
/// the longest of ours. `None` for one that is longer.
fn put_text(bytes: &mut Vec<u8>, text: &str) -> Option<()> {
    let low = u8::try_from(text.len() & 0x7F).ok()?;
    match u8::try_from(text.len() >> 7).ok()? {
        0 => bytes.push(low),
        high => bytes.extend([low | 0x80, high]),
    }
    bytes.extend_from_slice(text.as_bytes());
    Some(())
}

/// The text at the beginning, and what comes after it.
fn take_text(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (low, mut rest) = bytes.split_first()?;
    let mut length = usize::from(low & 0x7F);
    if low & 0x80 != 0 {
        let (high, after) = rest.split_first()?;
        (length, rest) = (length | usize::from(*high) << 7, after);
    }
    let (text, rest) = rest.split_at_checked(length)?;
    Some((str::from_utf8(text).ok()?, rest))
}

const HAS_EXPIRY: u8 = 1;
const HAS_UUID: u8 = 2;

impl Record {
    /// `None` for a text that is longer than any of ours.
    pub(super) fn new(of: &KeyRecord<'_>, revision: Revision, status: KeyStatus) -> Option<Self> {
        let mut packed = Vec::with_capacity(Packed::ROOM);
        packed.extend_from_slice(of.hash.as_bytes());
        packed.extend_from_slice(of.key_id.as_uuid().as_bytes());
        packed.extend_from_slice(&of.created_at.unix_micros().to_le_bytes());
        let (uuid, text) = match of.owner {
            Owner::Uuid(uuid) => (Some(uuid), ""),
            Owner::Text(text) => (None, text),
        };
        let flag = |there: bool, flag| if there { flag } else { 0 };
        packed.push(flag(of.expires_at.is_some(), HAS_EXPIRY) | flag(uuid.is_some(), HAS_UUID));
        if let Some(at) = of.expires_at {
            packed.extend_from_slice(&at.unix_micros().to_le_bytes());
        }
        if let Some(uuid) = uuid {
            packed.extend_from_slice(uuid.as_bytes());
        }
        put_text(&mut packed, of.owner_email.unwrap_or_default())?;
        put_text(&mut packed, of.name)?;
        if uuid.is_none() {
            put_text(&mut packed, text)?;
        }
        let packed = Packed::new(packed);
        Some(Self { packed, status: StatusCell::new(revision, status), used: LastUse::new() })
    }

    pub(super) fn has_hash(&self, hash: &KeyHash) -> bool {
        self.packed.bytes().first_chunk() == Some(hash.as_bytes())
    }

    /// The hash of the key's secret, and the key's id.
    pub(super) fn names(&self) -> Option<(&[u8; 32], KeyId)> {
        let (hash, rest) = self.packed.bytes().split_first_chunk::<32>()?;
        let id = rest.first_chunk::<16>()?;
        Some((hash, KeyId::from_uuid(Uuid::from_bytes(*id))))
    }

    pub(super) fn key_id(&self) -> Option<KeyId> {
        self.names().map(|(_, key_id)| key_id)
    }

    /// The last use of the key, if that is not recorded yet.
    pub(super) fn last_use(&self) -> Option<Timestamp> {
        self.used.waiting().map(Timestamp::saturating_from_unix_micros)
    }

    /// What was put in.
    pub(super) fn key_record(&self) -> Option<KeyRecord<'_>> {
        let (hash, rest) = self.packed.bytes().split_first_chunk::<32>()?;
        let (id, rest) = rest.split_first_chunk::<16>()?;
        let (created, rest) = rest.split_first_chunk::<8>()?;
        let (flags, mut rest) = rest.split_first()?;
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
        let (email, rest) = take_text(rest)?;
        let (name, rest) = take_text(rest)?;
        let owner = match uuid {
            Some(uuid) => Owner::Uuid(uuid),
            None => Owner::Text(take_text(rest)?.0),
        };
        Some(KeyRecord {
            key_id: KeyId::from_uuid(Uuid::from_bytes(*id)),
            hash: KeyHash::try_from(hash.as_slice()).ok()?,
            owner,
            owner_email: Some(email).filter(|email| !email.is_empty()),
            name,
            created_at: time(*created),
            expires_at,
        })
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record").field("key_id", &self.key_id()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u32) -> Timestamp {
        Timestamp::UNIX_EPOCH.plus_seconds(second).unwrap()
    }

    fn key_record() -> KeyRecord<'static> {
        KeyRecord {
            key_id: KeyId::from_uuid(Uuid::from_u128(1)),
            hash: KeyHash::try_from([7; 32].as_slice()).unwrap(),
            owner: Owner::of("ann"),
            owner_email: None,
            name: "my key",
            created_at: at(1),
            expires_at: None,
        }
    }

    fn record(of: &KeyRecord<'_>) -> Record {
        Record::new(of, Revision::FIRST, KeyStatus::Active).unwrap()
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
                    let of = KeyRecord { owner, owner_email, expires_at, ..key_record() };
                    assert_eq!(record(&of).key_record(), Some(of));
                    assert!(record(&of).has_hash(&of.hash));
                    assert_eq!(record(&of).key_id(), Some(of.key_id));
                }
            }
        }
    }

    #[test]
    fn an_owner_has_the_text_that_it_was_made_of() {
        let uuid = "0b9fbb4a-c5bc-56bf-bb7f-7456ac743748";
        for text in [uuid, &uuid.to_uppercase(), &uuid.replace('-', ""), "ann", ""] {
            let owner = Owner::of(text);
            assert_eq!(owner.text(&mut [0; 36]), text);
            assert_eq!(matches!(owner, Owner::Uuid(_)), text == uuid, "{text}");
        }
    }

    #[test]
    fn a_record_of_a_usual_key_is_small() {
        let of = KeyRecord {
            owner: Owner::of("0b9fbb4a-c5bc-56bf-bb7f-7456ac743748"),
            owner_email: Some("ken.hopper6@example.com"),
            name: "staging server 1",
            ..key_record()
        };
        assert!(size_of::<std::sync::OnceLock<Record>>() <= 152);
        assert!(matches!(record(&of).packed, Packed::Here(_)));
        let name = "x".repeat(100);
        assert!(matches!(record(&KeyRecord { name: &name, ..of }).packed, Packed::Elsewhere(_)));
    }
}
