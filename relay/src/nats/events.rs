//! Publishes events. Up to 256 messages are in flight, and each names the stream sequence that it
//! expects before it.

use std::sync::Arc;
use std::time::Duration;

use async_nats::Client;
use async_nats::jetstream::stream::Stream;
use async_trait::async_trait;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesOrdered;
use keyledger_domain::{ClosedKey, Position, Reached, RecordedEvent};
use keyledger_journal::JournalReader;
use keyledger_projections::{Epoch, ReadTables};

use super::outlet::{Outgoing, Outlet};
use super::published::{Published, message_id, position};
use super::scrub::Scrub;
use super::stream::{IfMissing, Inspection, check_connected, connect, last_message, open};
use super::{MissingEvents, NatsError, Relayed, TICK};
use crate::cloud_event::{Message, Previous, message};
use crate::nats::settings::{NatsSettings, Topic};
use keyledger_node::readiness::State;
use keyledger_node::{Follower, Health, Interruption, Pace, Reads, ReadyWhen};

/// The most messages in flight, that is sent and not yet acknowledged.
const IN_FLIGHT: usize = 256;
/// The most events that are published between two checks of the connection.
const BATCH: usize = 4_096;

/// Publishes events to the stream of events.
#[derive(Debug)]
pub struct EventRelay {
    nats: NatsSettings,
    journal: Arc<dyn JournalReader>,
    /// They store the position up to which events are published, for when the stream is empty.
    tables: ReadTables,
    relayed: Relayed,
    missing: MissingEvents,
    /// The position of the last event that this relay published. The stream may have lost the message
    /// since.
    stored: Position,
    /// The last value of `stored` that was written to the tables.
    remembered: Position,
    /// Whether the log says already that the stream does not exist any more.
    told_gone: bool,
    connected: Option<Connected>,
}

/// A connection with an open stream.
#[derive(Debug)]
struct Connected {
    client: Client,
    stream: Stream,
    outlet: Outlet,
    inspection: Inspection,
    /// The message before the next one.
    previous: Previous,
    lost: Option<Lost>,
}

/// Messages at the stream's end were removed. Their events are published again.
#[derive(Clone, Copy, Debug)]
struct Lost {
    /// The position of the last of these events, or of an earlier one.
    to: Position,
    /// The stream's last sequence.
    sequence: u64,
}

/// Where publishing goes on.
struct Start {
    /// The place of the last event that the stream has.
    place: Reached,
    previous: Previous,
    lost: Option<Lost>,
}

impl EventRelay {
    /// A relay that is not connected yet.
    #[must_use]
    pub fn new(
        nats: NatsSettings,
        journal: Arc<dyn JournalReader>,
        tables: ReadTables,
        relayed: Relayed,
        missing: MissingEvents,
    ) -> Self {
        let (stored, remembered) = (Position::START, Position::START);
        Self {
            nats,
            journal,
            tables,
            relayed,
            missing,
            stored,
            remembered,
            told_gone: false,
            connected: None,
        }
    }

    /// Connects, and returns the place of the last published event.
    async fn resume(&mut self) -> Result<Reached, NatsError> {
        self.connected = None;
        self.remember().await?;
        // After a crash, it may be one tick late.
        let remembered = self.tables.relayed(&self.nats.stream).await;
        let published = remembered.map_err(NatsError::Tables)?.max(self.stored);
        let if_missing =
            if published == Position::START { IfMissing::Create } else { IfMissing::Fail };
        let client = connect(&self.nats).await?;
        let (context, stream) = open(&client, &self.nats, Topic::Events, if_missing).await?;
        self.told_gone = false;
        let sequence = stream.cached_info().state.last_sequence;
        let Start { place, previous, lost } = self.start(&stream, published).await?;
        let inspection = Inspection::new(context.clone(), Topic::Events);
        let outlet = Outlet::new(context, self.nats.stream_of(Topic::Events), sequence);
        self.connected = Some(Connected { client, stream, outlet, inspection, previous, lost });
        Ok(place)
    }

    /// Where publishing goes on. `published` is a position up to which events were published.
    async fn start(&self, stream: &Stream, published: Position) -> Result<Start, NatsError> {
        let sequence = stream.cached_info().state.last_sequence;
        let place = if sequence == 0 {
            // The stream is new: all events are published to it.
            Reached::START
        } else if let Some(last) = last_message(stream, Topic::Events).await? {
            let last = Published::of(&last).ok_or(NatsError::Foreign)?;
            let place = last.place_in(&*self.journal, &self.nats.stream).await?;
            let lost = (last.sequence < sequence).then_some(Lost { to: published, sequence });
            return Ok(Start { place, previous: last.as_previous(place), lost });
        } else {
            // The stream was emptied. Events of the last tick are sent again, and the server recognises
            // their ids.
            Reached::at(published)
        };
        Ok(Start { place, previous: place.into(), lost: None })
    }

    /// Says once in the log that the stream does not exist any more.
    fn tell_gone(&mut self, error: &NatsError) {
        if matches!(error, NatsError::Gone(_)) && !std::mem::replace(&mut self.told_gone, true) {
            tracing::error!("{error}");
        }
    }

    /// Publishes events, and waits until the server has stored all of them.
    async fn publish(&mut self, events: &[RecordedEvent]) -> Result<(), NatsError> {
        let connected = self.connected.as_mut().ok_or(NatsError::NotConnected)?;
        let Connected { outlet, previous, lost, .. } = connected;
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
                        let lost = lost.filter(|lost| position <= lost.to).map(|lost| lost.sequence);
                        let outgoing = outgoing(&self.nats.source, event, *previous, lost)?;
                        let ack = outlet.send(outgoing).await?;
                        *previous = Previous { position: event.position, id: Some(event.id) };
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
        Pace {
            batch: BATCH,
            gather: Duration::ZERO,
            tick: Some(TICK),
            ready: ReadyWhen::Loaded,
            reads: Reads::Events,
        }
    }

    async fn load(&mut self, _: Option<Epoch>) -> Result<Reached, Interruption> {
        let resumed = self.resume().await;
        match &resumed {
            Ok(place) => {
                self.relayed.send_replace(Some(place.position));
            }
            Err(error) => self.tell_gone(error),
        }
        Ok(resumed?)
    }

    async fn apply(
        &mut self,
        events: &[RecordedEvent],
        _: &[ClosedKey],
        to: Position,
    ) -> Result<Reached, Interruption> {
        self.publish(events).await?;
        // On KurrentDB, the head is a later position than that of the last event.
        self.relayed.send_replace(Some(to));
        Ok(Reached::START.after(events, to))
    }

    async fn tick(&mut self, _: bool) -> Result<(), Interruption> {
        let connected = self.connected.as_mut().ok_or(NatsError::NotConnected)?;
        let Connected { client, inspection, outlet, .. } = connected;
        check_connected(client)?;
        inspection.check(&self.nats, outlet.sequence()).await?;
        Ok(self.remember().await?)
    }

    fn beside(&self, _: &Health) -> BoxFuture<'static, Interruption> {
        let Some(Connected { stream, .. }) = &self.connected else {
            return Box::pin(std::future::pending());
        };
        let (stream, name) = (stream.clone(), self.nats.stream.clone());
        let scrub = Scrub::new(stream, name, self.journal.clone(), self.missing.clone());
        Box::pin(async move { scrub.run().await.into() })
    }

    async fn stand_by(&mut self, health: &Health, period: Duration) {
        self.connected = None;
        self.relayed.send_replace(None);
        self.missing.send_replace(None);
        health.set(State::Ready);
        tokio::time::sleep(period / 3).await;
    }

    fn remedy(&self) -> &'static str {
        "no event is published: decide what is right (`keyledger relay`, docs/operations.md), then restart \
         this node"
    }
}

/// The message for an event. `lost` is the stream's last sequence, if the stream has lost the message
/// that it had for the event.
fn outgoing(
    source: &str,
    event: &RecordedEvent,
    previous: Previous,
    lost: Option<u64>,
) -> Result<Outgoing, NatsError> {
    let Message { subject, payload } = message(source, event, previous)?;
    Ok(Outgoing {
        subject,
        payload,
        content_type: "application/cloudevents+json",
        id: message_id(event.id, lost),
        headers: vec![position(event.position)],
    })
}
