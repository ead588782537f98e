//! Where a sealed text stands.

use uuid::Uuid;

/// What the bytes of each place begin with.
const FORM: &[u8] = b"keyledger-field-v1";

/// The field of an event in which a sealed text stands. The text opens nowhere else, so that nobody can move a
/// ciphertext to another field, event or key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldPlace<'a> {
    /// The event's stream, such as `apikey-<key id>`.
    pub stream: &'a str,
    /// The event's revision: its index in its stream, from 0.
    pub revision: u32,
    /// The event's id.
    pub event_id: Uuid,
    /// The event's type, such as `KeyCreated`.
    pub event_type: &'a str,
    /// The name of the field.
    pub field: &'a str,
}

impl FieldPlace<'_> {
    /// The place as the associated data of its text: each part after its length, as four bytes in network order.
    /// The revision is in decimal digits, and the event's id in lower case with hyphens.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let Self { stream, revision, event_id, event_type, field } = self;
        let (revision, event_id) = (revision.to_string(), event_id.to_string());
        let texts = [*stream, &revision, &event_id, event_type, field].map(str::as_bytes);
        let mut bytes = Vec::with_capacity(192);
        for part in std::iter::once(FORM).chain(texts) {
            // No part of 4 GiB can occur.
            bytes.extend(u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
            bytes.extend(part);
        }
        bytes
    }
}
