//! Sends messages to a stream, each fenced by the one before it.

use async_nats::jetstream::Context;
use async_nats::jetstream::context::PublishAckFuture;
use async_nats::jetstream::message::PublishMessage;

use super::{ANSWER, NatsError};

/// A stream that messages are sent to.
#[derive(Debug)]
pub(super) struct Outlet {
    context: Context,
    stream: String,
    /// The sequence of the last message.
    sequence: u64,
}

/// A message that is to be sent.
pub(super) struct Outgoing {
    pub(super) subject: String,
    pub(super) payload: Vec<u8>,
    pub(super) content_type: &'static str,
    /// By which the server recognises a message that it gets twice.
    pub(super) id: String,
    /// The header, and its value, that says how far the stream has come with this message.
    pub(super) reached: (&'static str, String),
}

impl Outlet {
    pub(super) fn new(context: Context, stream: String, sequence: u64) -> Self {
        Self { context, stream, sequence }
    }

    /// Sends a message. The returned future completes when the message is stored, with `false` if it
    /// was stored by an earlier attempt.
    pub(super) async fn send(
        &mut self,
        message: Outgoing,
    ) -> Result<impl Future<Output = Result<bool, NatsError>> + use<>, NatsError> {
        let (header, reached) = message.reached;
        let publish = PublishMessage::build()
            .payload(message.payload.into())
            .header("Content-Type", message.content_type)
            .header(header, reached)
            .message_id(message.id)
            .expected_stream(&self.stream)
            .expected_last_sequence(self.sequence);
        let sending = self.context.send_publish(message.subject, publish);
        let sent = tokio::time::timeout(ANSWER, sending).await.map_err(NatsError::nats)?;
        let ack = sent.map_err(NatsError::nats)?;
        self.sequence += 1;
        Ok(stored(ack, self.sequence))
    }
}

/// Waits until a message is stored under this sequence.
async fn stored(ack: PublishAckFuture, sequence: u64) -> Result<bool, NatsError> {
    let ack = ack.await.map_err(NatsError::nats)?;
    if ack.sequence == sequence || ack.duplicate {
        return Ok(!ack.duplicate);
    }
    Err(NatsError::OutOfStep)
}
