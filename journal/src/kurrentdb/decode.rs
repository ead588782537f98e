//! Decodes events that the server sends.

use eventstore::RecordedEvent as ServerEvent;
use keyledger_domain::{EventId, KeyId, Position, RecordedEvent, Revision, decode};

use crate::{ReadError, Unreadable};

/// Decodes an event of a key.
pub(super) fn decode_event(stored: ServerEvent) -> Result<RecordedEvent, ReadError> {
    let position = position_of(&stored);
    let invalid = Unreadable::Field;
    let decoded = || {
        let position = position.ok_or(invalid("its position"))?;
        let revision = u32::try_from(stored.revision).map_err(|_| invalid("its revision"))?;
        let (event, metadata) = decode(&stored.event_type, &stored.data, &stored.custom_metadata)?;
        if KeyId::from_stream(&stored.stream_id) != Some(event.key_id()) {
            return Err(invalid("its stream"));
        }
        let (revision, id) = (Revision::new(revision), EventId::from_uuid(stored.id));
        Ok(RecordedEvent { position, revision, id, event, metadata })
    };
    decoded()
        .map_err(|source| ReadError::Undecodable { position: position.unwrap_or_default(), source })
}

/// The position of an event; `None` if the server did not send one.
pub(super) fn position_of(stored: &ServerEvent) -> Option<Position> {
    Position::try_from(stored.position.commit).ok()
}
