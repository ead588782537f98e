//! Prints the stream.

use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::consumer::pull::OrderedConfig;
use futures::StreamExt;

use super::NatsError;
use super::stream::{connect, context};
use crate::config::NatsSettings;

/// Where to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TailFrom {
    /// With the first message that the stream has.
    First,
    /// With the next one that comes.
    New,
}

/// Why the stream cannot be printed.
#[derive(Debug, thiserror::Error)]
pub enum TailError {
    /// NATS does not answer, or has no such stream.
    #[error("the stream cannot be read")]
    Nats(#[source] async_nats::Error),
    /// What reads it has gone.
    #[error("it cannot be written")]
    Write(#[from] std::io::Error),
}

impl From<NatsError> for TailError {
    fn from(error: NatsError) -> Self {
        Self::Nats(error.into())
    }
}

/// Writes each message's CloudEvent on a line of its own: those that come too, if it is to follow.
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
