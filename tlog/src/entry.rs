//! The canonical form of a stored event, and the hash of its leaf.

use std::fmt;

use keyledger_domain::key::{KeyCreated, KeyEvent};
use keyledger_domain::{RecordedEvent, StoredForm, encode, hex};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::TreeHash;

/// The first field of every entry, so that the hash of an entry never equals that of another
/// format.
const FORM: &[u8] = b"keyledger-leaf-v1";

/// An event in the form that the tree commits to.
///
/// It does not include the event's position: a journal that is copied to another database has other
/// positions and the same tree.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The stream: `apikey-<key id>`.
    pub stream: String,
    /// The event's revision: its index in its stream, from 0.
    pub revision: u32,
    /// The event's id, a lower-case hyphenated UUID.
    pub event_id: String,
    /// The event's type, such as `KeyCreated`.
    #[serde(rename = "type")]
    pub event_type: String,
    /// The data as JSON text. The hash of a key is replaced by the SHA-256 of that hash.
    pub data: String,
    /// The metadata as JSON text.
    pub metadata: String,
}

/// Why an event cannot be converted into an [`Entry`].
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    /// The event cannot be encoded.
    #[error("the event cannot be encoded")]
    Encode(#[source] serde_json::Error),
    /// The encoded data does not contain the key's hash in the expected form, so it cannot be
    /// replaced.
    #[error("the key's hash is not where it is expected in the event's data")]
    HashNotFound,
}

impl Entry {
    /// The entry of a recorded event.
    ///
    /// # Errors
    /// Every variant of [`EntryError`].
    pub fn of(recorded: &RecordedEvent) -> Result<Self, EntryError> {
        let StoredForm { event_type, data, metadata } =
            encode(&recorded.event, &recorded.metadata).map_err(EntryError::Encode)?;
        let data = match &recorded.event {
            KeyEvent::Created(created) => without_key_hash(&data, created)?,
            KeyEvent::Revoked(_) | KeyEvent::Deleted(_) | KeyEvent::OwnerEmailChanged(_) => data,
        };
        Ok(Self {
            stream: recorded.event.key_id().stream(),
            revision: recorded.revision.as_u32(),
            event_id: recorded.id.to_string(),
            event_type: event_type.to_owned(),
            data,
            metadata,
        })
    }

    /// The hash of the tree's leaf that holds this entry.
    #[must_use]
    pub fn hash(&self) -> TreeHash {
        Fields {
            stream: self.stream.as_bytes(),
            revision: self.revision,
            event_id: self.event_id.as_bytes(),
            event_type: self.event_type.as_bytes(),
            data: self.data.as_bytes(),
            metadata: self.metadata.as_bytes(),
        }
        .hash(&mut Vec::new())
    }
}

/// Omits the data and the metadata, which hold personal data.
impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stream, revision, event_type, .. } = self;
        write!(f, "Entry({stream}, revision {revision}, {event_type}, ..)")
    }
}

/// Replaces the key's hash in the data by the SHA-256 of that hash. So an export never shows the
/// value that a presented key is compared with, and still commits to it.
fn without_key_hash(data: &str, created: &KeyCreated) -> Result<String, EntryError> {
    // Quotes in JSON strings are escaped, so this text can only be the member itself.
    let member = format!("\"key_hash\":\"{}\"", created.details.hash.to_hex());
    let (before, after) = data.split_once(&member).ok_or(EntryError::HashNotFound)?;
    let hashed = hex(&Sha256::digest(created.details.hash.as_bytes()));
    Ok(format!("{before}\"key_hash_sha256\":\"{hashed}\"{after}"))
}

/// The fields of an entry, borrowed from an [`Entry`] or from a line of an export.
pub(super) struct Fields<'a> {
    pub(super) stream: &'a [u8],
    pub(super) revision: u32,
    pub(super) event_id: &'a [u8],
    pub(super) event_type: &'a [u8],
    pub(super) data: &'a [u8],
    pub(super) metadata: &'a [u8],
}

impl Fields<'_> {
    /// The hash of the leaf. Overwrites `scratch`: hashing the entry in one piece is faster.
    pub(super) fn hash(&self, scratch: &mut Vec<u8>) -> TreeHash {
        let Self { stream, event_id, event_type, data, metadata, .. } = *self;
        let revision = self.revision.to_string();
        scratch.clear();
        for field in [FORM, stream, revision.as_bytes(), event_id, event_type, data, metadata] {
            // A field of 4 GiB cannot occur: no journal and no line of an export holds one.
            let length = u32::try_from(field.len()).unwrap_or(u32::MAX);
            scratch.extend_from_slice(&length.to_be_bytes());
            scratch.extend_from_slice(field);
        }
        TreeHash::leaf(scratch)
    }
}

#[cfg(test)]
mod tests {
    use keyledger_domain::{EventId, Position, Revision, decode};
    use serde_json::Value;
    use uuid::Uuid;

    use super::*;

    fn recorded(golden: &str, revision: u32) -> RecordedEvent {
        let golden: Value = serde_json::from_str(golden).unwrap();
        let (event, metadata) = decode(
            golden["type"].as_str().unwrap(),
            golden["data"].to_string().as_bytes(),
            golden["metadata"].to_string().as_bytes(),
        )
        .unwrap();
        RecordedEvent {
            position: Position::try_from(u64::from(revision)).unwrap(),
            revision: Revision::new(revision),
            id: EventId::from_uuid(Uuid::from_u128(0x0b9f_7d4e_0f6a_5a60_8d11_1d2c_3b4a_5f60)),
            event,
            metadata,
        }
    }

    const CREATED: &str = include_str!("../../domain/golden/key_created.v1.json");
    const MINIMAL: &str = include_str!("../../domain/golden/key_created.v1.minimal.json");
    const REVOKED: &str = include_str!("../../domain/golden/key_revoked.v1.json");
    const DELETED: &str = include_str!("../../domain/golden/key_deleted.v1.json");
    const CHANGED: &str = include_str!("../../domain/golden/key_owner_email_changed.v1.json");

    /// The expected hashes were computed from the golden files with a short Python script.
    #[test]
    fn the_leaf_of_every_type_of_event_never_changes() {
        let expected = [
            (CREATED, 0, "9aebc8fe8edd537a05497b7273106462b1cd4b2b9d806f8e83f932203c3ce290"),
            (MINIMAL, 0, "62316a14ddd94a6ccc480e1d908c4233cc10d424a7e3515530b51b5e18e70e49"),
            (REVOKED, 1, "d3212500d8d9b87723b58d2ac3736118c510e466bd68e18eec72a081a735379e"),
            (DELETED, 2, "470a5fad94770d35ecb5e68ba498ca1e090b339aa50090fda796fd42b89ac7e8"),
            (CHANGED, 1, "91b882be9829f94d8bca7e25027d48cdc12382d2b68c473b771aa68fa418cf72"),
        ];
        for (golden, revision, hash) in expected {
            let entry = Entry::of(&recorded(golden, revision)).unwrap();
            assert_eq!(hex(entry.hash().as_bytes()), hash, "{entry:?}");
        }
    }

    #[test]
    fn a_keys_hash_is_committed_to_and_not_shown() {
        let mut event = recorded(CREATED, 0);
        let entry = Entry::of(&event).unwrap();
        let KeyEvent::Created(created) = &mut event.event else { panic!("a creation") };
        let json = serde_json::to_string(&entry).unwrap();
        assert!(!json.contains(&created.details.hash.to_hex()));
        assert!(!format!("{entry:?}").contains("ann@example.com"));
        assert!(entry.data.contains(r#""key_prefix":"orag_AbCdEfGh","key_hash_sha256":""#));
        created.details.hash = keyledger_domain::KeyHash::from_hex(&"0".repeat(64)).unwrap();
        assert_ne!(Entry::of(&event).unwrap().hash(), entry.hash());
    }

    #[test]
    fn every_field_and_no_position_counts() {
        let mut event = recorded(REVOKED, 1);
        let entry = Entry::of(&event).unwrap();
        event.position = Position::try_from(99_u64).unwrap();
        assert_eq!(Entry::of(&event).unwrap(), entry);
        let changed = [
            Entry { stream: format!("{}0", entry.stream), ..entry.clone() },
            Entry { revision: 11, ..entry.clone() },
            Entry { event_id: String::new(), ..entry.clone() },
            Entry { event_type: "KeyDeleted".into(), ..entry.clone() },
            Entry { data: format!("{} ", entry.data), ..entry.clone() },
            Entry { metadata: "{}".into(), ..entry.clone() },
        ];
        for other in changed {
            assert_ne!(other.hash(), entry.hash(), "{other:?}");
        }
    }

    #[test]
    fn text_cannot_move_from_one_field_to_the_next() {
        let entry = Entry::of(&recorded(REVOKED, 1)).unwrap();
        let (data, metadata) = (entry.data.clone() + "{", entry.metadata[1..].to_owned());
        assert_ne!(Entry { data, metadata, ..entry.clone() }.hash(), entry.hash());
    }
}
