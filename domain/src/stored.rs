//! The form in which events are stored: a type's name, JSON data and JSON metadata.
//!
//! The form outlives the code: fields that are unknown are passed over, a version or a type that
//! is unknown stops the reader, and every form ever written has a file in `golden/` that must
//! decode for ever.

use serde::{Deserialize, Serialize};

use crate::Metadata;
use crate::key::{KeyCreated, KeyDeleted, KeyEvent, KeyRevoked};

/// The version of the stored form that this code writes, kept as `v` in the metadata.
const VERSION: u32 = 1;

/// An event in the form in which a journal stores it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredForm {
    /// The event's type, such as `KeyCreated`.
    pub event_type: &'static str,
    /// The event's data as JSON.
    pub data: String,
    /// The event's metadata as JSON.
    pub metadata: String,
}

/// Why a stored event cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The type is none that this code knows.
    #[error("the event type {0:?} is unknown")]
    UnknownType(String),
    /// The stored form is of a version that this code does not know.
    #[error("version {0} of the stored form is unknown")]
    UnknownVersion(u32),
    /// The data is not that of its type.
    #[error("the event's data cannot be read")]
    Data(#[source] serde_json::Error),
    /// The metadata cannot be read.
    #[error("the event's metadata cannot be read")]
    Metadata(#[source] serde_json::Error),
}

#[derive(Serialize)]
struct VersionedRef<'a> {
    v: u32,
    #[serde(flatten)]
    metadata: &'a Metadata,
}

#[derive(Deserialize)]
struct Versioned {
    v: u32,
    #[serde(flatten)]
    metadata: Metadata,
}

/// The form in which to store an event.
///
/// # Errors
/// The JSON error of a value that has no JSON form.
pub fn encode(event: &KeyEvent, metadata: &Metadata) -> Result<StoredForm, serde_json::Error> {
    let (event_type, data) = match event {
        KeyEvent::Created(data) => (KeyCreated::TYPE, serde_json::to_string(data)?),
        KeyEvent::Revoked(data) => (KeyRevoked::TYPE, serde_json::to_string(data)?),
        KeyEvent::Deleted(data) => (KeyDeleted::TYPE, serde_json::to_string(data)?),
    };
    let metadata = serde_json::to_string(&VersionedRef { v: VERSION, metadata })?;
    Ok(StoredForm { event_type, data, metadata })
}

/// Reads an event from its stored form.
///
/// # Errors
/// Every variant of [`DecodeError`].
pub fn decode(
    event_type: &str,
    data: &[u8],
    metadata: &[u8],
) -> Result<(KeyEvent, Metadata), DecodeError> {
    let versioned: Versioned = serde_json::from_slice(metadata).map_err(DecodeError::Metadata)?;
    if versioned.v != VERSION {
        return Err(DecodeError::UnknownVersion(versioned.v));
    }
    let event = match event_type {
        KeyCreated::TYPE => serde_json::from_slice(data).map(KeyEvent::Created),
        KeyRevoked::TYPE => serde_json::from_slice(data).map(KeyEvent::Revoked),
        KeyDeleted::TYPE => serde_json::from_slice(data).map(KeyEvent::Deleted),
        unknown => return Err(DecodeError::UnknownType(unknown.to_owned())),
    };
    Ok((event.map_err(DecodeError::Data)?, versioned.metadata))
}
