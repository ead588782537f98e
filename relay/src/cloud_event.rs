//! Events as CloudEvents 1.0 in JSON, and the subjects that they are published on.

use keyledger_domain::{PublishedData, PublishedEvent, RecordedEvent};
use serde::Serialize;

/// The NATS message for an event.
pub(super) struct Message {
    pub(super) subject: String,
    pub(super) payload: Vec<u8>,
}

#[derive(Serialize)]
struct CloudEvent<'a> {
    specversion: &'static str,
    id: String,
    source: &'a str,
    #[serde(rename = "type")]
    event_type: String,
    subject: String,
    time: String,
    datacontenttype: &'static str,
    /// The `sequence` extension: the position in 20 digits, so that texts sort in journal order.
    sequence: String,
    data: Data<'a>,
}

/// The `data` of a CloudEvent.
#[derive(Serialize)]
struct Data<'a> {
    key_id: String,
    revision: u32,
    actor: &'a str,
    #[serde(flatten)]
    data: PublishedData<'a>,
}

/// The message for an event. `source` is the `source` attribute of its CloudEvent.
pub(super) fn message(source: &str, recorded: &RecordedEvent) -> serde_json::Result<Message> {
    let published = PublishedEvent::from(recorded);
    let (key_id, verb) = (published.key_id.to_string(), published.verb);
    let event = CloudEvent {
        specversion: "1.0",
        id: published.id.to_string(),
        source,
        event_type: format!("io.keyledger.key.{verb}"),
        subject: key_id.clone(),
        time: published.occurred_at.to_string(),
        datacontenttype: "application/json",
        sequence: format!("{:020}", published.position.as_u64()),
        data: Data {
            key_id: key_id.clone(),
            revision: published.revision.as_u32(),
            actor: published.metadata.actor.as_str(),
            data: published.data,
        },
    };
    let payload = serde_json::to_vec(&event)?;
    Ok(Message { subject: format!("keys.v1.{verb}.{key_id}"), payload })
}
