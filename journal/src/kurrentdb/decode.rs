//! Events as the server tells them, and what they mean.

use eventstore::RecordedEvent as Told;
use keyledger_domain::{EventId, KeyId, Position, RecordedEvent, Revision, decode};

use crate::{ReadError, Unreadable};

/// Reads an event of a key.
pub(super) fn decode_event(told: Told) -> Result<RecordedEvent, ReadError> {
    let position = position_of(&told);
    let place = Unreadable::Place;
    let decoded = || {
        let position = position.ok_or(place("its position"))?;
        let revision = u32::try_from(told.revision).map_err(|_| place("its revision"))?;
        let (event, metadata) = decode(&told.event_type, &told.data, &told.custom_metadata)?;
        if KeyId::from_stream(&told.stream_id) != Some(event.key_id()) {
            return Err(place("its stream"));
        }
        let (revision, id) = (Revision::new(revision), EventId::from_uuid(told.id));
        Ok(RecordedEvent { position, revision, id, event, metadata })
    };
    decoded()
        .map_err(|source| ReadError::Corrupt { position: position.unwrap_or_default(), source })
}

/// An event's place in the journal; `None` when the server does not tell it.
pub(super) fn position_of(told: &Told) -> Option<Position> {
    Position::try_from(told.position.commit).ok()
}
