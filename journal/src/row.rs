//! Rows of a table of events, and what they mean.

use keyledger_domain::{EventId, KeyId, Position, RecordedEvent, Revision, decode};
use uuid::Uuid;

use super::{ReadError, Unreadable};

#[derive(sqlx::FromRow)]
pub(super) struct Row {
    position: i64,
    stream: String,
    revision: i64,
    id: Vec<u8>,
    #[sqlx(rename = "type")]
    event_type: String,
    data: String,
    metadata: String,
}

impl Row {
    pub(super) fn into_event(self) -> Result<RecordedEvent, ReadError> {
        let position = Position::try_from(self.position).unwrap_or_default();
        self.decode(position).map_err(|source| ReadError::Corrupt { position, source })
    }

    fn decode(self, position: Position) -> Result<RecordedEvent, Unreadable> {
        let place = Unreadable::Place;
        let revision = Revision::try_from(self.revision).map_err(|_| place("its revision"))?;
        let id = Uuid::from_slice(&self.id).map_err(|_| place("its id"))?;
        let (event, metadata) =
            decode(&self.event_type, self.data.as_bytes(), self.metadata.as_bytes())?;
        if KeyId::from_stream(&self.stream) != Some(event.key_id()) {
            return Err(place("its stream"));
        }
        Ok(RecordedEvent { position, revision, id: EventId::from_uuid(id), event, metadata })
    }
}

/// The head of a journal, as a database tells it.
pub(super) fn head(number: Result<i64, sqlx::Error>) -> Result<Position, ReadError> {
    let number = number.map_err(unavailable)?;
    Position::try_from(number).map_err(|error| ReadError::Unavailable(error.into()))
}

pub(super) fn unavailable(error: sqlx::Error) -> ReadError {
    ReadError::Unavailable(error.into())
}
