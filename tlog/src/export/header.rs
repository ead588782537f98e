//! The first line of an export.

use keyledger_domain::{KeyId, Timestamp};
use serde::{Deserialize, Serialize};

use super::VERSION;

/// The content of the first line: which events the export holds, and the checkpoint that they are
/// checked against.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    pub(super) keyledger_export: u32,
    /// The name of the log, as in the checkpoint.
    pub origin: String,
    /// The conditions that the events meet; `None` if the file holds all events of the tree.
    pub subset: Option<Subset>,
    /// The public key that verifies the checkpoint, in text form. To be trusted, it must be
    /// compared with a copy from another source.
    pub public_key: String,
    /// The signed note of the checkpoint.
    pub checkpoint: String,
    /// The number of events in the file.
    pub events: u64,
}

/// The conditions of a subset: it holds the events that meet all conditions that are not `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subset {
    /// The owner of the events' keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// The key of the events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<KeyId>,
    /// The events occurred at this time or later.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "canonical")]
    pub from: Option<Timestamp>,
    /// The events occurred before this time.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "canonical")]
    pub to: Option<Timestamp>,
}

impl Header {
    /// The header of an export, in the current version.
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

/// Times in canonical form; parsing refuses any other form.
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
