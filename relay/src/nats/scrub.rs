//! Compares the stream with the journal, again and again and at a low rate: a stream may lose messages
//! that it has acknowledged, also from its middle.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::stream::Stream;
use futures::StreamExt;
use keyledger_domain::{Delivery, Position, Reached, RecordedEvent, chain};
use keyledger_journal::{JournalReader, Subscription};
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::published::Published;
use super::settings::Topic;
use super::stream::{last_on, next_message};
use super::{MissingEvents, NatsError};
use crate::cloud_event::ADOPTED;

/// How many messages are read in each [`PERIOD`]: at most 400 a second.
const MESSAGES: usize = 100;
const PERIOD: Duration = Duration::from_millis(250);
/// The time between the end of one comparison and the beginning of the next.
const PAUSE: Duration = Duration::from_secs(10);

/// The stream lacks events of the journal between two of its messages, or before its first one.
#[derive(Debug, thiserror::Error)]
#[error(
    "the stream {stream} has lost {count} of the journal's events, from position {from} to {to}, before \
     its message {before}. To publish all events to a new stream, run `keyledger relay retire` and \
     give another name to the stream (nats-stream); to go on with this stream as it is, run \
     `keyledger relay adopt`"
)]
pub(super) struct Hole {
    stream: String,
    count: u64,
    from: Position,
    to: Position,
    before: u64,
}

/// Compares a stream with the journal.
pub(super) struct Scrub {
    stream: Stream,
    name: String,
    journal: Arc<dyn JournalReader>,
    missing: MissingEvents,
}

/// Reads the journal in step with the stream.
struct Events {
    subscription: Subscription,
    /// The position of the last event that was compared.
    position: Position,
    /// The next event, if it is known.
    next: Option<RecordedEvent>,
}

impl Scrub {
    pub(super) fn new(
        stream: Stream,
        name: String,
        journal: Arc<dyn JournalReader>,
        missing: MissingEvents,
    ) -> Self {
        Self { stream, name, journal, missing }
    }

    /// Compares until there is a difference that only an operator can resolve. Other failures end only
    /// the comparison that runs: the relay notices by itself if a server is away.
    pub(super) async fn run(self) -> NatsError {
        loop {
            match self.compare().await {
                Ok(()) => {
                    self.missing.send_replace(Some(0));
                }
                Err(error) if error.is_passing() => {
                    tracing::debug!(cause = %chain(&error), "the stream cannot be compared now");
                }
                Err(error) => return error,
            }
            sleep(PAUSE).await;
        }
    }

    /// Compares the messages that the stream has now with the journal, in the order of both.
    async fn compare(&self) -> Result<(), NatsError> {
        let Some((place, mut sequence)) = self.start().await? else { return Ok(()) };
        let subscription = self.journal.subscribe(place.position);
        let mut events = Events { subscription, position: place.position, next: None };
        let mut period = interval(PERIOD);
        period.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            period.tick().await;
            for _ in 0..MESSAGES {
                let message = next_message(&self.stream, Topic::Events, sequence).await?;
                let Some(message) = message else { return Ok(()) };
                sequence = message.sequence.saturating_add(1);
                let message = Published::of(&message).ok_or(NatsError::Foreign)?;
                if message.is_adoption {
                    // The comparison begins after it the next time.
                    return Ok(());
                }
                if let Some((count, from, to)) = self.skipped(&mut events, &message).await? {
                    self.missing.send_replace(Some(count));
                    let (stream, before) = (self.name.clone(), message.sequence);
                    return Err(Hole { stream, count, from, to, before }.into());
                }
            }
        }
    }

    /// After which place, and with which sequence of the stream, the comparison begins; `None` if the
    /// stream has no message. What an operator has accepted is not compared, and messages that are
    /// missing at the stream's front were removed by a limit or by an operator.
    async fn start(&self) -> Result<Option<(Reached, u64)>, NatsError> {
        let adopted = last_on(&self.stream, ADOPTED).await?;
        let first = match &adopted {
            Some(_) => adopted,
            None => next_message(&self.stream, Topic::Events, 1).await?,
        };
        let Some(first) = first else { return Ok(None) };
        let first = Published::of(&first).ok_or(NatsError::Foreign)?;
        if first.sequence == 1 && !first.is_adoption {
            return Ok(Some((Reached::START, 1)));
        }
        let place = first.place_in(&*self.journal, &self.name).await?;
        Ok(Some((place, first.sequence.saturating_add(1))))
    }

    /// The journal's events between the message before and this one: how many there are, and the
    /// positions of the first and the last; `None` if there are none.
    async fn skipped(
        &self,
        events: &mut Events,
        message: &Published,
    ) -> Result<Option<(u64, Position, Position)>, NatsError> {
        if events.next.is_none() {
            events.next = events.read().await?;
        }
        if events.next.as_ref().is_some_and(|next| message.is_of(next.id)) {
            events.advance();
            return Ok(None);
        }
        let place = message.place_in(&*self.journal, &self.name).await?;
        // The event was deleted from the journal's database, or the stream has it twice.
        if place.last.is_none() || place.position <= events.position {
            return Ok(None);
        }
        let mut skipped: Option<(u64, Position, Position)> = None;
        loop {
            let next = match events.next.take() {
                Some(next) => Some(next),
                None => events.read().await?,
            };
            // The journal has caught up, and goes on: the message's event is still to come.
            let Some(next) = next else { continue };
            events.position = next.position;
            if message.is_of(next.id) {
                return Ok(skipped);
            }
            let (count, from, _) = skipped.unwrap_or((0, next.position, next.position));
            skipped = Some((count.saturating_add(1), from, next.position));
        }
    }
}

impl Events {
    /// The next event, or `None` if the journal has no more now.
    async fn read(&mut self) -> Result<Option<RecordedEvent>, NatsError> {
        match self.subscription.next().await.transpose()? {
            Some(Delivery::Event(event)) => Ok(Some(event)),
            Some(Delivery::CaughtUp(_)) => Ok(None),
            None => Err(NatsError::NotConnected),
        }
    }

    /// Goes on after the next event.
    fn advance(&mut self) {
        if let Some(event) = self.next.take() {
            self.position = event.position;
        }
    }
}
