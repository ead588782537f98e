//! Sends messages to a stream. Each names the stream sequence that it expects before it.

use async_nats::jetstream::Context;
use async_nats::jetstream::context::PublishAckFuture;
use async_nats::jetstream::message::PublishMessage;

use super::{ANSWER, NatsError};

/// A stream that messages are sent to.
#[derive(Debug)]
pub(super) struct Outlet {
    context: Context,
    stream: String,
    /// The stream sequence of the last message that was sent, if all before it are stored.
    sequence: u64,
}

/// A message to be sent.
pub(super) struct Outgoing {
    pub(super) subject: String,
    pub(super) payload: Vec<u8>,
    pub(super) content_type: &'static str,
    /// The message id (`Nats-Msg-Id`), by which the server recognises a message that it gets twice.
    pub(super) id: String,
    /// Headers that say which event or checkpoint this is.
    pub(super) headers: Vec<Header>,
}

/// The name of a header, and its value.
pub(super) type Header = (&'static str, String);

impl Outlet {
    pub(super) fn new(context: Context, stream: String, sequence: u64) -> Self {
        Self { context, stream, sequence }
    }

    /// The stream sequence of the last message, if all that were sent are stored.
    pub(super) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Sends a message. The returned future completes when the server has stored the message, with
    /// `false` if an earlier attempt had stored it already.
    pub(super) async fn send(
        &mut self,
        message: Outgoing,
    ) -> Result<impl Future<Output = Result<bool, NatsError>> + use<>, NatsError> {
        let mut publish = PublishMessage::build()
            .payload(message.payload.into())
            .header("Content-Type", message.content_type);
        for (name, value) in message.headers {
            publish = publish.header(name, value);
        }
        let publish = publish
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

/// Waits until the server has stored a message under this sequence.
async fn stored(ack: PublishAckFuture, sequence: u64) -> Result<bool, NatsError> {
    let ack = ack.await.map_err(NatsError::nats)?;
    if ack.sequence == sequence || ack.duplicate {
        return Ok(!ack.duplicate);
    }
    Err(NatsError::OutOfStep)
}
