//! Sends messages to a stream, each fenced by the one before it.

use async_nats::jetstream::Context;
use async_nats::jetstream::context::PublishAckFuture;
use async_nats::jetstream::message::PublishMessage;

use super::{ANSWER, Interruption};

/// A stream that messages are sent to.
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
    /// By what the server passes over one that is sent again.
    pub(super) id: String,
    /// The header that tells how far the stream has come with it.
    pub(super) place: (&'static str, String),
}

impl Outlet {
    pub(super) fn new(context: Context, stream: String, sequence: u64) -> Self {
        Self { context, stream, sequence }
    }

    /// Sends a message. What is returned waits until it is stored, and tells whether that was just
    /// now, rather than when it was sent before.
    pub(super) async fn send(
        &mut self,
        message: Outgoing,
    ) -> Result<impl Future<Output = Result<bool, Interruption>> + use<>, Interruption> {
        let (header, place) = message.place;
        let publish = PublishMessage::build()
            .payload(message.payload.into())
            .header("Content-Type", message.content_type)
            .header(header, place)
            .message_id(message.id)
            .expected_stream(&self.stream)
            .expected_last_sequence(self.sequence);
        let sending = self.context.send_publish(message.subject, publish);
        let sent = tokio::time::timeout(ANSWER, sending).await.map_err(Interruption::nats)?;
        let ack = sent.map_err(Interruption::nats)?;
        self.sequence += 1;
        Ok(stored(ack, self.sequence))
    }
}

/// Waits until a message is stored as the one that it was to be.
async fn stored(ack: PublishAckFuture, sequence: u64) -> Result<bool, Interruption> {
    let ack = ack.await.map_err(Interruption::nats)?;
    if ack.sequence == sequence || ack.duplicate {
        return Ok(!ack.duplicate);
    }
    Err(Interruption::OutOfStep)
}
