//! Decodes rows of a table of events.

use keyledger_domain::{
    ClosedKey, Closure, EventId, KeyDelivery, KeyId, Position, RecordedEvent, Revision, chain,
    decode,
};
use uuid::Uuid;

use crate::{ReadError, Unreadable};

#[derive(sqlx::FromRow)]
pub(crate) struct EventRow {
    position: i64,
    stream: String,
    revision: i64,
    id: Vec<u8>,
    #[sqlx(rename = "type")]
    event_type: String,
    data: String,
    metadata: String,
}

impl EventRow {
    pub(crate) fn into_event(self) -> Result<RecordedEvent, ReadError> {
        let position = self.position();
        let undecodable = |wrong| ReadError::Undecodable { position, why: chain(&wrong) };
        self.decode(position).map_err(undecodable)
    }

    /// The event, or if that cannot be read, the key that is closed because of it.
    pub(crate) fn into_delivery(self) -> Result<KeyDelivery, ReadError> {
        let position = self.position();
        match (KeyId::from_stream(&self.stream), self.decode(position)) {
            (_, Ok(event)) => Ok(KeyDelivery::Event(event)),
            (Some(key_id), Err(wrong)) => {
                let closure = Closure::Unreadable(chain(&wrong));
                Ok(KeyDelivery::Closed(ClosedKey { key_id, position, closure }))
            }
            (None, Err(wrong)) => Err(ReadError::Undecodable { position, why: chain(&wrong) }),
        }
    }

    fn position(&self) -> Position {
        Position::try_from(self.position).unwrap_or_default()
    }

    fn decode(self, position: Position) -> Result<RecordedEvent, Unreadable> {
        let invalid = Unreadable::Field;
        let revision = Revision::try_from(self.revision).map_err(|_| invalid("its revision"))?;
        let id = Uuid::from_slice(&self.id).map_err(|_| invalid("its id"))?;
        let (event, metadata) =
            decode(&self.event_type, self.data.as_bytes(), self.metadata.as_bytes())?;
        if KeyId::from_stream(&self.stream) != Some(event.key_id()) {
            return Err(invalid("its stream"));
        }
        Ok(RecordedEvent { position, revision, id: EventId::from_uuid(id), event, metadata })
    }
}

/// Decodes the answer of a query for the head.
pub(crate) fn head(position: Result<i64, sqlx::Error>) -> Result<Position, ReadError> {
    let position = position.map_err(unavailable)?;
    Position::try_from(position).map_err(|error| ReadError::Unavailable(error.into()))
}

pub(crate) fn unavailable(error: sqlx::Error) -> ReadError {
    ReadError::Unavailable(error.into())
}
