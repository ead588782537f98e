//! Events as CloudEvents 1.0 in their JSON form, on the subjects that they have outside.

use keyledger_domain::RecordedEvent;
use keyledger_domain::key::KeyEvent;
use serde::Serialize;

/// A message that tells of an event.
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
    /// The `sequence` extension: sorts as text in the order of the journal.
    sequence: String,
    data: Data<'a>,
}

/// What is told of an event: never a key's hash.
#[derive(Serialize)]
struct Data<'a> {
    key_id: String,
    revision: u32,
    actor: &'a str,
    user_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_email: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_prefix: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

/// The message that tells of this event.
pub(super) fn message(source: &str, recorded: &RecordedEvent) -> serde_json::Result<Message> {
    let key_id = recorded.event.key_id().to_string();
    let mut data = Data {
        key_id: key_id.clone(),
        revision: recorded.revision.as_u32(),
        actor: recorded.metadata.actor.as_str(),
        user_id: "",
        user_email: None,
        name: None,
        key_prefix: None,
        expires_at: None,
        reason: None,
    };
    let (kind, time) = match &recorded.event {
        KeyEvent::Created(created) => {
            data.user_id = created.user_id.as_str();
            data.user_email = created.user_email.as_ref().map(|email| email.as_str());
            data.name = Some(created.name.as_str());
            data.key_prefix = Some(created.key_prefix.as_str());
            data.expires_at = created.expires_at.map(|at| at.to_string());
            ("created", created.occurred_at)
        }
        KeyEvent::Revoked(revoked) => {
            data.user_id = revoked.user_id.as_str();
            data.reason = revoked.reason.as_ref().map(|reason| reason.as_str());
            ("revoked", revoked.occurred_at)
        }
        KeyEvent::Deleted(deleted) => {
            data.user_id = deleted.user_id.as_str();
            data.reason = deleted.reason.as_ref().map(|reason| reason.as_str());
            ("deleted", deleted.occurred_at)
        }
    };
    let event = CloudEvent {
        specversion: "1.0",
        id: recorded.id.to_string(),
        source,
        event_type: format!("io.keyledger.key.{kind}"),
        subject: key_id.clone(),
        time: time.to_string(),
        datacontenttype: "application/json",
        sequence: format!("{:020}", recorded.position.as_u64()),
        data,
    };
    let payload = serde_json::to_vec(&event)?;
    Ok(Message { subject: format!("keys.v1.{kind}.{key_id}"), payload })
}
