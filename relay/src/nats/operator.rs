//! What operators decide about a stream that does not agree with the journal.

use async_nats::jetstream::stream::Stream;
use keyledger_domain::{Clock, EventId, Position, Reached};
use keyledger_journal::JournalReader;
use uuid::Uuid;

use super::NatsError;
use super::outlet::{Header, Outgoing, Outlet};
use super::published::{Published, from_the_start};
use super::settings::{NatsSettings, Topic};
use super::stream::{IfMissing, connect, context, last_message, open};
use crate::cloud_event::{Adopted, Previous, adopted};

/// Why a decision cannot be carried out.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// NATS or the journal cannot be used, or the stream cannot.
    #[error("the stream cannot be used")]
    Stream(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The relay has published a message in the meantime, so there was nothing to decide.
    #[error("the stream has changed at the same time; look at it again")]
    Changed,
}

impl From<NatsError> for OperatorError {
    fn from(error: NatsError) -> Self {
        Self::Stream(error.into())
    }
}

/// What was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adoption {
    /// The stream sequence of the message that says so.
    pub sequence: u64,
    /// The last event of the journal that the stream has. The events after it are published next.
    pub after: Position,
}

/// Accepts the stream of events as it is, and creates it if it is missing. Appends a message that says
/// so, after which the relay publishes the journal's events after the last one that the stream has.
///
/// # Errors
/// Every variant of [`OperatorError`].
pub async fn adopt(
    nats: &NatsSettings,
    journal: &dyn JournalReader,
    clock: &dyn Clock,
) -> Result<Adoption, OperatorError> {
    let client = connect(nats).await?;
    let (context, stream) = open(&client, nats, Topic::Events, IfMissing::Create).await?;
    let sequence = stream.cached_info().state.last_sequence;
    let last = last_message(&stream, Topic::Events).await?;
    let last = last.as_ref().and_then(Published::of);
    let (after, headers) = last_in_common(&stream, journal, &nats.stream).await?;
    let time = clock.now().to_string();
    let name = format!("{}/{sequence}/{time}", nats.stream);
    let id = EventId::from_uuid(Uuid::new_v5(&Uuid::NAMESPACE_URL, name.as_bytes()));
    let message = adopted(
        &nats.source,
        &Adopted {
            id,
            stream: &nats.stream,
            sequence,
            after,
            time,
            previous: Previous {
                position: last.map_or(after.position, |last| last.position),
                id: last.map(|last| last.id),
            },
        },
    )
    .map_err(NatsError::from)?;
    let mut outlet = Outlet::new(context, nats.stream_of(Topic::Events), sequence);
    let outgoing = Outgoing {
        subject: message.subject,
        payload: message.payload,
        content_type: "application/cloudevents+json",
        id: id.to_string(),
        headers,
    };
    match outlet.send(outgoing).await?.await {
        Ok(true) => Ok(Adoption { sequence: outlet.sequence(), after: after.position }),
        Ok(false) => Err(OperatorError::Changed),
        Err(error) => Err(error.into()),
    }
}

/// The last event of the journal that the stream has, and the headers that name it. It is searched from
/// the stream's end.
async fn last_in_common(
    stream: &Stream,
    journal: &dyn JournalReader,
    name: &str,
) -> Result<(Reached, Vec<Header>), NatsError> {
    let state = &stream.cached_info().state;
    for sequence in (state.first_sequence.max(1)..=state.last_sequence).rev() {
        let Some(message) = super::stream::message(stream, sequence).await? else { continue };
        let Some(message) = Published::of(&message) else { continue };
        match message.place_in(journal, name).await {
            Ok(place) if place.last.is_some() => {
                return Ok((place, message.adoption_headers(place)));
            }
            Ok(_) | Err(NatsError::NotInJournal(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok((Reached::START, from_the_start()))
}

/// Lets the streams of events and of checkpoints capture nothing more, so that new ones can be created
/// under another name. They keep their messages. Returns the names of those that exist.
///
/// # Errors
/// [`OperatorError::Stream`].
pub async fn retire(nats: &NatsSettings) -> Result<Vec<String>, OperatorError> {
    let context = context(&connect(nats).await?);
    let mut retired = Vec::new();
    for topic in [Topic::Events, Topic::Checkpoints] {
        let name = nats.stream_of(topic);
        let Some(stream) = super::stream::find(&context, &name).await? else { continue };
        let mut config = stream.cached_info().config.clone();
        config.subjects = vec![format!("keys.retired.{name}")];
        context.update_stream(&config).await.map_err(NatsError::nats)?;
        retired.push(name);
    }
    Ok(retired)
}
