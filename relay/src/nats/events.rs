//! Publishes events. Up to 256 messages are in flight, and each names the stream sequence that it
//! expects before it.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use async_nats::Client;
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::Stream;
use async_trait::async_trait;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesOrdered;
use keyledger_domain::{EventId, KeyId, Position, Reached, RecordedEvent};
use keyledger_journal::JournalReader;
use keyledger_projections::{Epoch, ReadTables};
use uuid::Uuid;

use super::outlet::{Outgoing, Outlet};
use super::stream::{check_connected, connect, open};
use super::{NatsError, Relayed, TICK};
use crate::cloud_event::{Message, message};
use crate::nats::settings::{NatsSettings, Topic};
use keyledger_node::readiness::State;
use keyledger_node::{Follower, Health, Interruption, Pace, ReadyWhen};

/// The most messages in flight, that is sent and not yet acknowledged.
const IN_FLIGHT: usize = 256;
/// The most events that are published between two checks of the connection.
const BATCH: usize = 4_096;
/// The header that holds an event's journal position.
const POSITION: &str = "Keyledger-Position";

/// Publishes events to the stream of events.
#[derive(Debug)]
pub struct EventRelay {
    nats: NatsSettings,
    journal: Arc<dyn JournalReader>,
    /// They store the position up to which events are published, for when the stream is empty.
    tables: ReadTables,
    relayed: Relayed,
    /// The position of the last event that this relay published. The stream may have lost the message
    /// since.
    stored: Position,
    /// The last value of `stored` that was written to the tables.
    remembered: Position,
    connected: Option<Connected>,
}

/// A connection with an open stream.
#[derive(Debug)]
struct Connected {
    client: Client,
    outlet: Outlet,
}

impl EventRelay {
    /// A relay that is not connected yet.
    #[must_use]
    pub fn new(
        nats: NatsSettings,
        journal: Arc<dyn JournalReader>,
        tables: ReadTables,
        relayed: Relayed,
    ) -> Self {
        let (stored, remembered) = (Position::START, Position::START);
        Self { nats, journal, tables, relayed, stored, remembered, connected: None }
    }

    /// Connects, and returns the place of the last published event.
    async fn resume(&mut self) -> Result<Reached, NatsError> {
        self.connected = None;
        let client = connect(&self.nats).await?;
        let (context, stream) = open(&client, &self.nats, Topic::Events).await?;
        let (sequence, place) = self.place_of(&stream).await?;
        let outlet = Outlet::new(context, self.nats.stream_of(Topic::Events), sequence);
        self.connected = Some(Connected { client, outlet });
        Ok(place)
    }

    /// The stream's last sequence, and the place of the last published event.
    async fn place_of(&self, stream: &Stream) -> Result<(u64, Reached), NatsError> {
        let state = stream.get_info().await.map_err(NatsError::nats)?.state;
        if state.last_sequence == 0 {
            // The stream is new: all events are published to it.
            return Ok((0, Reached::START));
        }
        if state.messages == 0 {
            // The stream was emptied. The tables hold the last published position, at most one tick
            // late. Events of that tick are sent again, and the server recognises their ids.
            let remembered = self.tables.relayed(&self.nats.stream).await;
            let remembered = remembered.map_err(NatsError::Tables)?;
            return Ok((state.last_sequence, Reached::at(remembered.max(self.stored))));
        }
        let last = stream.get_raw_message(state.last_sequence).await.map_err(NatsError::nats)?;
        let last = Last::of(&last).ok_or(NatsError::Foreign)?;
        Ok((state.last_sequence, last.place_in(&*self.journal).await?))
    }

    /// Publishes events, and waits until the server has stored all of them.
    async fn publish(&mut self, events: &[RecordedEvent]) -> Result<(), NatsError> {
        let Connected { outlet, .. } = self.connected.as_mut().ok_or(NatsError::NotConnected)?;
        let mut acks: FuturesOrdered<BoxFuture<'static, Result<(Position, bool), NatsError>>> =
            FuturesOrdered::new();
        let mut events = events.iter();
        loop {
            // `biased`: acknowledgements that have arrived are taken before more messages are sent.
            tokio::select! {
                biased;
                Some(ack) = acks.next() => {
                    let (position, is_new) = ack?;
                    self.stored = position;
                    self.relayed.send_replace(Some(position));
                    if !is_new {
                        // The server ignored the message as a duplicate, so the sequences that the
                        // messages after it expect are too high by one.
                        return Err(NatsError::OutOfStep);
                    }
                }
                () = std::future::ready(()), if acks.len() < IN_FLIGHT && !events.as_slice().is_empty() => {
                    if let Some(event) = events.next() {
                        let position = event.position;
                        let ack = outlet.send(outgoing(&self.nats.source, event)?).await?;
                        acks.push_back(Box::pin(async move { Ok((position, ack.await?)) }));
                    }
                }
                else => return Ok(()),
            }
        }
    }

    /// Writes the last published position to the tables.
    async fn remember(&mut self) -> Result<(), NatsError> {
        if self.stored > self.remembered {
            let set = self.tables.set_relayed(&self.nats.stream, self.stored);
            set.await.map_err(NatsError::Tables)?;
            self.remembered = self.stored;
        }
        Ok(())
    }
}

#[async_trait]
impl Follower for EventRelay {
    fn pace(&self) -> Pace {
        Pace { batch: BATCH, gather: Duration::ZERO, tick: Some(TICK), ready: ReadyWhen::Loaded }
    }

    async fn load(&mut self, _: Option<Epoch>) -> Result<Reached, Interruption> {
        Ok(self.resume().await?)
    }

    async fn apply(
        &mut self,
        events: &[RecordedEvent],
        to: Position,
    ) -> Result<Reached, Interruption> {
        self.publish(events).await?;
        Ok(Reached::START.after(events, to))
    }

    async fn tick(&mut self, _: bool) -> Result<(), Interruption> {
        let Connected { client, .. } = self.connected.as_ref().ok_or(NatsError::NotConnected)?;
        check_connected(client)?;
        Ok(self.remember().await?)
    }

    async fn stand_by(&mut self, health: &Health, period: Duration) {
        self.connected = None;
        self.relayed.send_replace(None);
        health.set(State::Ready);
        tokio::time::sleep(period / 3).await;
    }

    fn remedy(&self) -> &'static str {
        "no event is published: compare the stream with the journal, then restart this node"
    }
}

/// The message for an event.
fn outgoing(source: &str, event: &RecordedEvent) -> Result<Outgoing, NatsError> {
    let Message { subject, payload } = message(source, event)?;
    Ok(Outgoing {
        subject,
        payload,
        content_type: "application/cloudevents+json",
        id: event.id.to_string(),
        reached: (POSITION, event.position.to_string()),
    })
}

/// The event in the stream's last message.
struct Last {
    id: EventId,
    key_id: KeyId,
    position: Position,
}

impl Last {
    fn of(message: &StreamMessage) -> Option<Self> {
        let header = |name| message.headers.get(name).map(|value| value.as_str());
        let position = i64::from_str(header(POSITION)?).ok()?;
        Some(Self {
            id: EventId::from_uuid(
                Uuid::parse_str(header(async_nats::header::NATS_MESSAGE_ID.as_ref())?).ok()?,
            ),
            key_id: KeyId::from_uuid(Uuid::parse_str(message.subject.rsplit('.').next()?).ok()?),
            position: Position::try_from(position).ok()?,
        })
    }

    /// The event's place in this journal. It may differ from the published position, since this
    /// journal may be a copy of the one that the event was published from.
    async fn place_in(self, journal: &dyn JournalReader) -> Result<Reached, NatsError> {
        let events = journal.read(self.key_id).await?;
        if events.is_empty() {
            // An operator has deleted the key's stream from the journal's database.
            return Ok(Reached::at(self.position));
        }
        let event = events.into_iter().find(|event| event.id == self.id);
        let place = event.map(|event| event.place()).ok_or(NatsError::Foreign)?;
        Ok(Reached { position: place.position, last: Some(place) })
    }
}
