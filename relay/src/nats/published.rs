//! What the messages of the stream of events say of the journal.

use std::str::FromStr;

use async_nats::HeaderMap;
use async_nats::header::NATS_MESSAGE_ID;
use async_nats::jetstream::message::StreamMessage;
use keyledger_domain::{EventId, KeyId, Position, Reached, RecordedEvent};
use keyledger_journal::{JournalReader, ReadError};
use uuid::Uuid;

use super::NatsError;
use super::outlet::Header;
use crate::cloud_event::{ADOPTED, Previous};

/// The header that holds the journal's position that the stream includes with the message.
const POSITION: &str = "Keyledger-Position";
/// Headers of an adoption: the last event of the journal that the stream has, and its key.
const AFTER_EVENT: &str = "Keyledger-After-Event";
const AFTER_KEY: &str = "Keyledger-After-Key";
/// Separates an event's id from the stream's sequence in the id of a message that is published again.
const AGAIN: char = ':';

/// A message of the stream of events.
#[derive(Clone, Copy, Debug)]
pub(super) struct Published {
    /// Its sequence in the stream.
    pub(super) sequence: u64,
    /// The id of its CloudEvent.
    pub(super) id: EventId,
    /// The position in the journal of its time.
    pub(super) position: Position,
    /// The last event of the journal that the stream has with this message; `None` for an adoption
    /// after which all events are published.
    event: Option<EventOfKey>,
    /// Whether it is an adoption.
    pub(super) is_adoption: bool,
}

#[derive(Clone, Copy, Debug)]
struct EventOfKey {
    id: EventId,
    key_id: KeyId,
}

/// The stream has an event that the journal does not have.
#[derive(Debug, thiserror::Error)]
#[error(
    "message {sequence} of the stream {stream} has event {event} of key {key_id} at position \
     {position}, which the journal does not have: the journal was replaced or restored from a backup, \
     or another installation publishes to this stream. Decide which of the two is right; \
     `keyledger relay adopt` accepts the stream as it is, and publishing goes on after it"
)]
pub(super) struct NotInJournal {
    sequence: u64,
    stream: String,
    event: EventId,
    key_id: KeyId,
    position: Position,
}

impl Published {
    /// What a message says; `None` if keyledger did not publish it.
    pub(super) fn of(message: &StreamMessage) -> Option<Self> {
        let headers = &message.headers;
        let id = text(headers, NATS_MESSAGE_ID.as_ref())?.split(AGAIN).next()?;
        let id = EventId::from_uuid(Uuid::parse_str(id).ok()?);
        let position = i64::from_str(text(headers, POSITION)?).ok()?;
        let is_adoption = message.subject.as_str() == ADOPTED;
        let event = if is_adoption {
            match (text(headers, AFTER_EVENT), text(headers, AFTER_KEY)) {
                (None, None) => None,
                (event, key) => Some(EventOfKey {
                    id: EventId::from_uuid(Uuid::parse_str(event?).ok()?),
                    key_id: KeyId::from_uuid(Uuid::parse_str(key?).ok()?),
                }),
            }
        } else {
            let key_id = Uuid::parse_str(message.subject.rsplit('.').next()?).ok()?;
            Some(EventOfKey { id, key_id: KeyId::from_uuid(key_id) })
        };
        let position = Position::try_from(position).ok()?;
        Some(Self { sequence: message.sequence, id, position, event, is_adoption })
    }

    /// The message as the one before the next. `place` is that of its event in the journal.
    pub(super) fn as_previous(&self, place: Reached) -> Previous {
        Previous { position: place.position, id: Some(self.id) }
    }

    /// The place in the journal of the last event that the stream has with this message. The position
    /// may differ from the published one, since the journal may be a copy of the one that the event was
    /// published from.
    ///
    /// Of a key whose stream was deleted from the journal's database, the published position is returned
    /// without an event.
    pub(super) async fn place_in(
        &self,
        journal: &dyn JournalReader,
        stream: &str,
    ) -> Result<Reached, NatsError> {
        let Some(EventOfKey { id, key_id }) = self.event else { return Ok(Reached::START) };
        let events = match journal.read(key_id).await {
            Err(ReadError::Closed(_)) => return Ok(Reached::at(self.position)),
            events => events?,
        };
        let found = events.iter().find(|event| event.id == id);
        let reached =
            |event: &RecordedEvent| Reached { position: event.position, last: Some(event.place()) };
        found.map(reached).ok_or_else(|| {
            let (sequence, position) = (self.sequence, self.position);
            let stream = stream.to_owned();
            NotInJournal { sequence, stream, event: id, key_id, position }.into()
        })
    }

    /// Whether it is the message of this event.
    pub(super) fn is_of(&self, event: EventId) -> bool {
        !self.is_adoption && self.id == event
    }

    /// The headers of an adoption after this message, whose event is in the journal at `place`.
    pub(super) fn adoption_headers(&self, place: Reached) -> Vec<Header> {
        let Some(EventOfKey { id, key_id }) = self.event else { return from_the_start() };
        vec![
            (POSITION, place.position.to_string()),
            (AFTER_EVENT, id.to_string()),
            (AFTER_KEY, key_id.to_string()),
        ]
    }
}

/// The headers of an adoption after which all events are published.
pub(super) fn from_the_start() -> Vec<Header> {
    vec![position(Position::START)]
}

/// The header that holds a position.
pub(super) fn position(position: Position) -> Header {
    (POSITION, position.to_string())
}

/// The id of a message: that of its event. If the stream has lost the message of the event, the id ends
/// with the stream's last sequence, since the server still ignores the event's id as a duplicate.
pub(super) fn message_id(event: EventId, lost_before: Option<u64>) -> String {
    match lost_before {
        None => event.to_string(),
        Some(sequence) => format!("{event}{AGAIN}{sequence}"),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.as_str())
}
