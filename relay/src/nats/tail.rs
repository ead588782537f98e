//! Prints the messages of the stream of events.

use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::consumer::pull::OrderedConfig;
use futures::StreamExt;

use super::NatsError;
use super::stream::{connect, context};
use crate::nats::settings::NatsSettings;

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

/// Writes the CloudEvent of each message on a line of its own. Ends after the last message that the
/// stream has at the start, or never if `follow` is set.
///
/// # Errors
/// Every variant of [`TailError`].
pub async fn tail(
    nats: &NatsSettings,
    from: TailFrom,
    follow: bool,
    mut out: impl std::io::Write,
) -> Result<(), TailError> {
    let nats_error = |error: async_nats::Error| TailError::Nats(error);
    let client = connect(nats).await?;
    let stream = context(&client).get_stream(&nats.stream).await;
    let stream = stream.map_err(|error| nats_error(error.into()))?;
    let last = stream.cached_info().state.last_sequence;
    if !follow && (stream.cached_info().state.messages == 0 || from == TailFrom::New) {
        return Ok(());
    }
    let deliver_policy = match from {
        TailFrom::First => DeliverPolicy::All,
        TailFrom::New => DeliverPolicy::New,
    };
    let config = OrderedConfig { deliver_policy, ..OrderedConfig::default() };
    let consumer = stream.create_consumer(config).await;
    let consumer = consumer.map_err(|error| nats_error(error.into()))?;
    let messages = consumer.messages().await;
    let mut messages = messages.map_err(|error| nats_error(error.into()))?;
    while let Some(message) = messages.next().await {
        let message = message.map_err(|error| nats_error(error.into()))?;
        out.write_all(&message.payload)?;
        out.write_all(b"\n")?;
        out.flush()?;
        let sequence = message.info().map_err(nats_error)?.stream_sequence;
        if !follow && sequence >= last {
            break;
        }
    }
    Ok(())
}
