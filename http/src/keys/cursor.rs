//! The text form of a cursor, which marks the end of a page. Callers do not interpret it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keyledger_domain::{KeyId, Timestamp};
use keyledger_projections::Cursor;
use uuid::Uuid;

/// Encodes a cursor: base64url of the last key's creation time (8 bytes, big-endian microseconds)
/// and its id (16 bytes).
pub(super) fn encode(cursor: &Cursor) -> String {
    let mut bytes = cursor.created_at.unix_micros().to_be_bytes().to_vec();
    bytes.extend_from_slice(cursor.key_id.as_uuid().as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Decodes a cursor; `None` when the text is none.
pub(super) fn decode(text: &str) -> Option<Cursor> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (micros, id) = bytes.split_first_chunk::<8>()?;
    // A time that no timestamp can hold is moved to the nearest one: the order stays the same.
    let created_at = Timestamp::saturating_from_unix_micros(i64::from_be_bytes(*micros));
    let key_id = KeyId::from_uuid(Uuid::from_slice(id).ok()?);
    Some(Cursor { created_at, key_id })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_its_text_form() {
        let cursor = Cursor {
            created_at: Timestamp::parse("2026-03-01T12:00:00.123456Z").unwrap(),
            key_id: "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap(),
        };
        let text = encode(&cursor);
        assert_eq!(text.len(), 32);
        assert_eq!(decode(&text), Some(cursor));
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        for text in ["", "x", "AAAA", "é", "////////////////////////////////", &"A".repeat(33)] {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}
