//! Decodes events that the server sends.

use eventstore::RecordedEvent as ServerEvent;
use keyledger_domain::{
    ClosedKey, Closure, EventId, KeyDelivery, KeyId, Position, RecordedEvent, Revision, chain,
    decode, is_metadata,
};

use super::removed::{METADATA, is_removing, stream_of};
use crate::{ReadError, Unreadable};

/// The type of the event that the server writes when a stream is deleted for ever.
const TOMBSTONE: &str = "$streamDeleted";

/// What an event of a key's stream, or of that stream's metadata, means for the key; `None` if nothing.
/// The stream of no key belongs to another program.
pub(super) fn deliver(stored: ServerEvent) -> Option<Result<KeyDelivery, ReadError>> {
    let Some(position) = position_of(&stored) else {
        let why = chain(&Unreadable::Field("its position"));
        return Some(Err(ReadError::Undecodable { position: Position::START, why }));
    };
    let closed =
        |key_id, closure| Some(Ok(KeyDelivery::Closed(ClosedKey { key_id, position, closure })));
    if let Some(stream) = stream_of(&stored.stream_id) {
        let key_id = KeyId::from_stream(stream)?;
        let is_removed = stored.event_type == METADATA && is_removing(&stored.data);
        return is_removed.then(|| closed(key_id, Closure::Removed)).flatten();
    }
    let Some(key_id) = KeyId::from_stream(&stored.stream_id) else {
        tracing::debug!(stream = stored.stream_id, "this stream belongs to no key");
        return None;
    };
    if stored.event_type == TOMBSTONE {
        return closed(key_id, Closure::Removed);
    }
    match decode_event(&stored) {
        Ok(event) => Some(Ok(KeyDelivery::Event(event))),
        Err(ReadError::Closed(closure)) => closed(key_id, closure),
        Err(ReadError::Undecodable { why, .. }) => closed(key_id, Closure::Unreadable(why)),
        Err(error @ ReadError::Unavailable(_)) => Some(Err(error)),
    }
}

/// Decodes an event of a key.
///
/// # Errors
/// [`ReadError::Undecodable`], and [`ReadError::Closed`] if another program has written the event.
pub(super) fn decode_event(stored: &ServerEvent) -> Result<RecordedEvent, ReadError> {
    let position = position_of(stored);
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
    decoded().map_err(|wrong| {
        if is_metadata(&stored.custom_metadata) {
            let position = position.unwrap_or_default();
            ReadError::Undecodable { position, why: chain(&wrong) }
        } else {
            ReadError::Closed(Closure::Foreign(format!("an event of type {:?}", stored.event_type)))
        }
    })
}

/// The position of an event; `None` if the server did not send one.
pub(super) fn position_of(stored: &ServerEvent) -> Option<Position> {
    Position::try_from(stored.position.commit).ok()
}
