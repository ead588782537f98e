//! Publishes: many messages on their way at once, each fenced by the sequence before it.

use std::str::FromStr;

use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::Stream;
use futures::future::BoxFuture;
use futures::stream::FuturesOrdered;
use futures::{StreamExt, TryFutureExt};
use keyledger_domain::{EventId, KeyId, Position, RecordedEvent};
use keyledger_projections::Delivery;
use uuid::Uuid;

use super::cloud_event::{Message, message};
use super::outlet::{Outgoing, Outlet};
use super::stream::{Topic, check_connected, open};
use super::{Interruption, Relay, TICK};
use crate::journal::JournalReader;
use crate::pause::Pause;
use crate::readiness::State;

/// How many messages may be on their way.
const IN_FLIGHT: usize = 256;
/// The header that tells an event's position.
pub(super) const POSITION: &str = "Keyledger-Position";

/// Publishes what the stream does not have yet, and what comes, until something interrupts it.
pub(super) async fn publish(
    relay: &Relay,
    stored: &mut Position,
    pause: &mut Pause,
) -> Interruption {
    match follow(relay, stored, pause).await {
        Ok(()) => Interruption::Ended,
        Err(interruption) => interruption,
    }
}

async fn follow(
    relay: &Relay,
    stored: &mut Position,
    pause: &mut Pause,
) -> Result<(), Interruption> {
    let client = relay.nats.connect().await?;
    let (context, stream) = open(&client, &relay.nats, Topic::Events).await?;
    let (sequence, from) = resume(relay, &stream, *stored).await?;
    let head = relay.journal.barrier().await?;
    if from > head {
        return Err(Interruption::OtherJournal { stream: from, head });
    }
    relay.tell(State::Ready);
    let mut events = relay.journal.subscribe(from);
    let outlet = Outlet::new(context, relay.nats.stream_of(Topic::Events), sequence);
    let mut window = Window { outlet, relay, acks: FuturesOrdered::new() };
    let mut remembered = *stored;
    let mut tick = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            biased;
            Some(ack) = window.acks.next() => {
                let Stored { position, is_new } = ack?;
                *stored = position;
                relay.relayed.send_replace(Some(position));
                *pause = Pause::new();
                if !is_new {
                    // The fences of those after it are wrong by one.
                    return Err(Interruption::OutOfStep);
                }
            }
            _ = tick.tick() => {
                check_connected(&client)?;
                if *stored > remembered {
                    remembered = *stored;
                    let remembering = relay.tables.set_relayed(&relay.nats.stream, remembered);
                    remembering.await.map_err(Interruption::tables)?;
                }
            }
            delivery = events.next(), if window.acks.len() < IN_FLIGHT => {
                match delivery.ok_or(Interruption::Ended)?? {
                    Delivery::Event(event) => window.send(&event).await?,
                    Delivery::CaughtUp(_) => {}
                }
            }
        }
    }
}

/// The stream's last sequence, and the position that it has come to.
async fn resume(
    relay: &Relay,
    stream: &Stream,
    stored: Position,
) -> Result<(u64, Position), Interruption> {
    let state = stream.get_info().await.map_err(Interruption::nats)?.state;
    if state.last_sequence == 0 {
        // It has never had a message: it gets all of them.
        return Ok((0, Position::START));
    }
    if state.messages == 0 {
        // What it had is gone. How far it was is remembered, give or take what the server will
        // recognise as sent before.
        let remembered = relay.tables.relayed(&relay.nats.stream).await;
        let remembered = remembered.map_err(Interruption::tables)?;
        return Ok((state.last_sequence, remembered.max(stored)));
    }
    let last = stream.get_raw_message(state.last_sequence).await.map_err(Interruption::nats)?;
    let last = Last::of(&last).ok_or(Interruption::Foreign)?;
    Ok((state.last_sequence, last.place_in(&*relay.journal).await?))
}

/// What the stream's last message tells.
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

    /// Where the event stands in this journal, which may have been copied from another.
    async fn place_in(self, journal: &dyn JournalReader) -> Result<Position, Interruption> {
        let events = journal.read(self.key_id).await?;
        if events.is_empty() {
            // An operator has deleted the key's stream from the database.
            return Ok(self.position);
        }
        let event = events.into_iter().find(|event| event.id == self.id);
        event.map(|event| event.position).ok_or(Interruption::Foreign)
    }
}

/// The messages that are on their way.
struct Window<'a> {
    outlet: Outlet,
    relay: &'a Relay,
    acks: FuturesOrdered<BoxFuture<'static, Result<Stored, Interruption>>>,
}

impl Window<'_> {
    /// Sends a message, fenced by the one before it.
    async fn send(&mut self, event: &RecordedEvent) -> Result<(), Interruption> {
        let Message { subject, payload } = message(&self.relay.nats.source, event)?;
        let position = event.position;
        let outgoing = Outgoing {
            subject,
            payload,
            content_type: "application/cloudevents+json",
            id: event.id.to_string(),
            place: (POSITION, position.to_string()),
        };
        let ack = self.outlet.send(outgoing).await?;
        self.acks.push_back(Box::pin(ack.map_ok(move |is_new| Stored { position, is_new })));
        Ok(())
    }
}

/// A message that the stream has stored.
struct Stored {
    position: Position,
    /// Whether it was stored just now, rather than when it was sent before.
    is_new: bool,
}
