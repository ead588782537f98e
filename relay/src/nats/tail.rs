//! Prints the messages of the stream of events.

use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::Client;
use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::consumer::pull::OrderedConfig;
use futures::StreamExt;
use keyledger_domain::chain;

use super::stream::{check_connected, connect, context, last_message};
use super::{NatsError, TICK};
use crate::nats::settings::{NatsSettings, Topic};

/// The message to begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TailFrom {
    /// The first message that the stream has.
    First,
    /// The first message that is published after the start.
    New,
}

/// Why the stream cannot be printed.
#[derive(Debug, thiserror::Error)]
pub enum TailError {
    /// NATS does not answer, or has no such stream.
    #[error("the stream cannot be read")]
    Nats(#[source] async_nats::Error),
    /// The output is closed, for instance because its reader has ended.
    #[error("a message cannot be written to the output")]
    Write(#[from] std::io::Error),
}

impl From<NatsError> for TailError {
    fn from(error: NatsError) -> Self {
        Self::Nats(error.into())
    }
}

/// How long to wait before the stream is read again after a failure.
const PAUSE: Duration = Duration::from_millis(500);

/// Writes the CloudEvent of each message on a line of its own. Ends after the last message that the
/// stream has at the start, or never if `follow` is set: after a failure of NATS, it goes on with the
/// message after the last one that it has written.
///
/// # Errors
/// Every variant of [`TailError`]. With `follow`, [`TailError::Nats`] only if the stream cannot be read
/// at the start.
pub async fn tail(
    nats: &NatsSettings,
    from: TailFrom,
    follow: bool,
    out: impl std::io::Write,
) -> Result<(), TailError> {
    let client = connect(nats).await?;
    let context = context(&client);
    let stream = context.get_stream(&nats.stream).await;
    let stream = stream.map_err(|error| TailError::Nats(error.into()))?;
    let state = &stream.cached_info().state;
    if !follow && from == TailFrom::New {
        return Ok(());
    }
    let next = match from {
        TailFrom::First => 1,
        TailFrom::New => state.last_sequence.saturating_add(1),
    };
    // The stream may end with sequences whose messages were removed.
    let end = match last_message(&stream, Topic::Events).await? {
        Some(last) if !follow => Some(last.sequence),
        None if !follow => return Ok(()),
        Some(_) | None => None,
    };
    let mut printing =
        Printing { client, context, stream: &nats.stream, next, is_away: false, out };
    loop {
        match printing.print(end).await {
            Err(TailError::Nats(error)) if follow => {
                if !std::mem::replace(&mut printing.is_away, true) {
                    tracing::warn!(cause = %chain(&*error), "NATS does not answer, trying again");
                }
                tokio::time::sleep(PAUSE).await;
            }
            ended => return ended,
        }
    }
}

/// Prints messages.
struct Printing<'a, W> {
    client: Client,
    context: Context,
    stream: &'a str,
    /// The sequence of the next message.
    next: u64,
    /// Whether the log says already that NATS does not answer.
    is_away: bool,
    out: W,
}

impl<W: std::io::Write> Printing<'_, W> {
    /// Prints messages up to this sequence, or until there is an error.
    async fn print(&mut self, end: Option<u64>) -> Result<(), TailError> {
        let nats_error = |error: async_nats::Error| TailError::Nats(error);
        check_connected(&self.client)?;
        let connects = self.connects();
        let stream = self.context.get_stream(self.stream).await;
        let stream = stream.map_err(|error| nats_error(error.into()))?;
        let config = OrderedConfig {
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: self.next },
            ..OrderedConfig::default()
        };
        let consumer = stream.create_consumer(config).await;
        let consumer = consumer.map_err(|error| nats_error(error.into()))?;
        let messages = consumer.messages().await;
        let mut messages = messages.map_err(|error| nats_error(error.into()))?;
        self.is_away = false;
        let mut tick = tokio::time::interval(TICK);
        loop {
            let message = tokio::select! {
                message = messages.next() => message,
                _ = tick.tick() => {
                    // The server may have forgotten the consumer, which the client notices late.
                    check_connected(&self.client)?;
                    if self.connects() != connects {
                        return Err(nats_error("the connection was lost".into()));
                    }
                    continue;
                }
            };
            let message = message.ok_or_else(|| nats_error("the consumer has ended".into()))?;
            let message = message.map_err(|error| nats_error(error.into()))?;
            let sequence = message.info().map_err(nats_error)?.stream_sequence;
            self.out.write_all(&message.payload)?;
            self.out.write_all(b"\n")?;
            self.out.flush()?;
            self.next = sequence.saturating_add(1);
            if end.is_some_and(|end| sequence >= end) {
                return Ok(());
            }
        }
    }

    /// How often the client has connected.
    fn connects(&self) -> u64 {
        self.client.statistics().connects.load(Ordering::Relaxed)
    }
}
