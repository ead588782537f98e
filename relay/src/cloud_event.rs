//! The messages of the stream of events: CloudEvents 1.0 in JSON, and the subjects that they are
//! published on.
//!
//! Each message names the message before it, in the extension attributes `previousid` and
//! `previousposition`. They are attributes and neither headers nor members of `data`, so that they stay
//! with the event where a bridge passes it on over another protocol, and so that a consumer can check
//! every type of event in the same way, known or not. Names of attributes have only a-z and 0-9, and
//! their integers only 32 bits, so the position is a text.

use keyledger_domain::{EventId, Position, PublishedData, PublishedEvent, Reached, RecordedEvent};
use serde::Serialize;

/// The subject of the message that says that an operator has accepted the stream as it is.
pub(super) const ADOPTED: &str = "keys.v1.adopted";

/// The NATS message for an event.
pub(super) struct Message {
    pub(super) subject: String,
    pub(super) payload: Vec<u8>,
}

/// The message before one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Previous {
    /// The position in the journal that the stream includes with that message; the start if the next
    /// message is the first.
    pub(super) position: Position,
    /// The id of that message's CloudEvent; `None` if there is none, or if it was removed and only its
    /// position is known.
    pub(super) id: Option<EventId>,
}

impl From<Reached> for Previous {
    fn from(Reached { position, last }: Reached) -> Self {
        let last = last.filter(|last| last.position == position);
        Self { position, id: last.map(|last| last.event_id) }
    }
}

/// What an operator has accepted.
pub(super) struct Adopted<'a> {
    /// The id of the message.
    pub(super) id: EventId,
    pub(super) stream: &'a str,
    /// The sequence in the stream up to which it is accepted.
    pub(super) sequence: u64,
    /// The last event of the journal that the stream has: the next ones are published after this
    /// message.
    pub(super) after: Reached,
    /// When the operator accepted it, in RFC 3339.
    pub(super) time: String,
    pub(super) previous: Previous,
}

#[derive(Serialize)]
struct CloudEvent<'a, D> {
    specversion: &'static str,
    id: String,
    source: &'a str,
    #[serde(rename = "type")]
    event_type: String,
    subject: &'a str,
    time: String,
    datacontenttype: &'static str,
    /// The `sequence` extension: the position in 20 digits, so that texts sort in journal order.
    sequence: String,
    /// The position of the message before, in the same form.
    previousposition: String,
    /// The id of the message before.
    #[serde(skip_serializing_if = "Option::is_none")]
    previousid: Option<String>,
    data: D,
}

/// The `data` of an event of a key.
#[derive(Serialize)]
struct Data<'a> {
    key_id: &'a str,
    revision: u32,
    actor: &'a str,
    #[serde(flatten)]
    data: PublishedData<'a>,
}

/// The `data` of the message that says that an operator has accepted the stream as it is.
#[derive(Serialize)]
struct AdoptedData {
    /// The sequence in the stream up to which it is accepted.
    stream_sequence: u64,
    /// The event that publishing goes on after; `None` if all events are published again.
    #[serde(skip_serializing_if = "Option::is_none")]
    after_id: Option<String>,
}

/// The message for an event. `source` is the `source` attribute of its CloudEvent.
pub(super) fn message(
    source: &str,
    recorded: &RecordedEvent,
    previous: Previous,
) -> serde_json::Result<Message> {
    let published = PublishedEvent::from(recorded);
    let (key_id, verb) = (published.key_id.to_string(), published.verb);
    let event = CloudEvent {
        specversion: "1.0",
        id: published.id.to_string(),
        source,
        event_type: format!("io.keyledger.key.{verb}"),
        subject: &key_id,
        time: published.occurred_at.to_string(),
        datacontenttype: "application/json",
        sequence: digits(published.position),
        previousposition: digits(previous.position),
        previousid: previous.id.map(|id| id.to_string()),
        data: Data {
            key_id: &key_id,
            revision: published.revision.as_u32(),
            actor: published.metadata.actor.as_str(),
            data: published.data,
        },
    };
    let payload = serde_json::to_vec(&event)?;
    Ok(Message { subject: format!("keys.v1.{verb}.{key_id}"), payload })
}

/// The message that says that an operator has accepted the stream as it is.
pub(super) fn adopted(source: &str, adopted: &Adopted<'_>) -> serde_json::Result<Message> {
    let event = CloudEvent {
        specversion: "1.0",
        id: adopted.id.to_string(),
        source,
        event_type: "io.keyledger.stream.adopted".to_owned(),
        subject: adopted.stream,
        time: adopted.time.clone(),
        datacontenttype: "application/json",
        sequence: digits(adopted.after.position),
        previousposition: digits(adopted.previous.position),
        previousid: adopted.previous.id.map(|id| id.to_string()),
        data: AdoptedData {
            stream_sequence: adopted.sequence,
            after_id: adopted.after.last.map(|last| last.event_id.to_string()),
        },
    };
    Ok(Message { subject: ADOPTED.to_owned(), payload: serde_json::to_vec(&event)? })
}

fn digits(position: Position) -> String {
    format!("{:020}", position.as_u64())
}
