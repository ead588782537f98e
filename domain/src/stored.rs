//! The form in which events are stored: a type's name, JSON data and JSON metadata.
//!
//! The form outlives the code: the reader ignores unknown fields, and fails on an unknown version
//! or type. Every form ever written has a file in `golden/`, which must always decode.

use serde::{Deserialize, Serialize};

use crate::Metadata;
use crate::key::KeyEvent;

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
    /// The code knows no event of this type.
    #[error("the event type {0:?} is unknown")]
    UnknownType(String),
    /// The code knows no stored form of this version.
    #[error("version {0} of the stored form is unknown")]
    UnknownVersion(u32),
    /// The data does not have the form of the event's type.
    #[error("the event's data cannot be read")]
    Data(#[source] serde_json::Error),
    /// The metadata does not have its form.
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
    let metadata = serde_json::to_string(&VersionedRef { v: VERSION, metadata })?;
    Ok(StoredForm { event_type: event.event_type(), data: event.data()?, metadata })
}

/// Whether this is metadata that a version of this program has written, with whichever event: it says who
/// caused the event, in which request.
#[must_use]
pub fn is_metadata(metadata: &[u8]) -> bool {
    serde_json::from_slice::<Versioned>(metadata).is_ok()
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
    let event = KeyEvent::from_data(event_type, data)
        .ok_or_else(|| DecodeError::UnknownType(event_type.to_owned()))?
        .map_err(DecodeError::Data)?;
    Ok((event, versioned.metadata))
}
