//! The first line of an export.

use keyledger_domain::{KeyId, Timestamp};
use serde::{Deserialize, Serialize};

use super::VERSION;

/// What an export is of, and what it is checked against.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    pub(super) keyledger_export: u32,
    /// The log: that of the checkpoint.
    pub origin: String,
    /// Which events the file holds; all of the tree's without one.
    pub subset: Option<Subset>,
    /// The public key that has signed the checkpoint, in text form. Whoever has the key from
    /// elsewhere does not believe this one.
    pub public_key: String,
    /// The signed checkpoint.
    pub checkpoint: String,
    /// How many events the file holds.
    pub events: u64,
}

/// Which events a subset holds: those that fit every condition that is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subset {
    /// The owner of their keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// Their key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<KeyId>,
    /// The earliest time at which they happened.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "canonical")]
    pub from: Option<Timestamp>,
    /// The time before which they happened.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "canonical")]
    pub to: Option<Timestamp>,
}

impl Header {
    /// The header of an export of this many events.
    #[must_use]
    pub fn new(
        origin: String,
        subset: Option<Subset>,
        public_key: String,
        checkpoint: String,
        events: u64,
    ) -> Self {
        Self { keyledger_export: VERSION, origin, subset, public_key, checkpoint, events }
    }

    pub(super) fn is_known(&self) -> bool {
        self.keyledger_export == VERSION
    }
}

/// Times in the one form that they are written in.
mod canonical {
    use keyledger_domain::Timestamp;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(
        time: &Option<Timestamp>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        time.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Timestamp>, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
        let time = Timestamp::parse(&text).ok().filter(|time| time.to_string() == text);
        time.map(Some).ok_or_else(|| serde::de::Error::custom("not a time as it is written here"))
    }
}
