//! Publishes signed checkpoints to a stream of their own, each once and in order.

use std::convert::Infallible;
use std::sync::Arc;

use async_nats::Client;
use async_nats::jetstream::message::StreamMessage;
use async_trait::async_trait;
use futures::future::BoxFuture;
use keyledger_domain::chain;
use keyledger_projections::Epoch;
use keyledger_projections::log::{LogReader, SignedCheckpoint};
use keyledger_tlog::{Checkpoint, Note, NoteVerifyingKey, TreeHash};
use tokio::sync::Notify;

use super::outlet::{Outgoing, Outlet};
use super::stream::{IfMissing, Inspection, check_connected, connect, last_message, open};
use super::{NatsError, TICK};
use crate::nats::settings::{NatsSettings, Topic};
use keyledger_node::readiness::State;
use keyledger_node::tasks::Publisher;
use keyledger_node::{Health, Interruption, Work, supervise};

/// The header that holds the log's size at the checkpoint, in events.
const SIZE: &str = "Keyledger-Tree-Size";

/// Where checkpoints are read from, and where they are published.
#[derive(Debug)]
pub struct CheckpointSource {
    /// The NATS servers and the stream.
    pub nats: NatsSettings,
    /// The log, which stores the signed checkpoints.
    pub tree: LogReader,
    /// The log's origin: the first line of its checkpoints.
    pub origin: String,
    /// The public keys of the log, which verify the stream's last message.
    pub keys: Vec<NoteVerifyingKey>,
    /// Notified after each signing.
    pub signed: Arc<Notify>,
}

/// Publishes signed checkpoints. While NATS cannot be reached they stay in the read database. The
/// stream's last message says which one was published last.
#[derive(Debug)]
pub struct CheckpointPublisher {
    source: Arc<CheckpointSource>,
    health: Health,
}

/// An open stream, and the checkpoint that was published last.
struct OpenStream {
    outlet: Outlet,
    inspection: Inspection,
    last: Last,
}

/// The checkpoint that was published last: its size, and its root if the stream still has the
/// message.
#[derive(Clone, Copy, Default)]
struct Last {
    size: u64,
    root: Option<TreeHash>,
}

impl CheckpointPublisher {
    /// A publisher that reports its state to `health`.
    #[must_use]
    pub fn new(source: CheckpointSource, health: Health) -> Self {
        Self { source: Arc::new(source), health }
    }
}

impl Publisher for CheckpointPublisher {
    fn publish(self: Arc<Self>) -> BoxFuture<'static, ()> {
        let publishing = Publishing { source: self.source.clone(), stored: 0 };
        Box::pin(supervise(publishing, None, self.health.clone()))
    }

    fn publish_rest(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            if self.health.is(State::Stopped) {
                return;
            }
            let mut publishing = Publishing { source: self.source.clone(), stored: 0 };
            if let Err(error) = publishing.publish_once().await {
                tracing::warn!(cause = %chain(&error), "the last checkpoint is not published");
            }
        })
    }

    fn stand_by(&self) {
        self.health.set(State::Ready);
    }
}

/// The supervised work of a publisher.
struct Publishing {
    source: Arc<CheckpointSource>,
    /// The size of the last checkpoint that this work published, used if the stream is emptied.
    stored: u64,
}

#[async_trait]
impl Work for Publishing {
    async fn run(&mut self, _: Option<Epoch>, health: &Health) -> Interruption {
        let Err(error) = self.follow(health).await;
        error.into()
    }

    fn remedy(&self) -> &'static str {
        "no checkpoint is published: compare the stream with the log, then restart this node"
    }
}

impl Publishing {
    async fn follow(&mut self, health: &Health) -> Result<Infallible, NatsError> {
        let client = connect(&self.source.nats).await?;
        let mut stream = self.open_stream(&client).await?;
        let mut tick = tokio::time::interval(TICK);
        loop {
            self.catch_up(&mut stream).await?;
            health.progressed();
            health.set(State::Ready);
            loop {
                tokio::select! {
                    () = self.source.signed.notified() => break,
                    _ = tick.tick() => {
                        check_connected(&client)?;
                        let OpenStream { inspection, outlet, .. } = &mut stream;
                        inspection.check(&self.source.nats, outlet.sequence()).await?;
                    }
                }
            }
        }
    }

    /// Publishes all signed checkpoints that are not published yet, then returns.
    async fn publish_once(&mut self) -> Result<(), NatsError> {
        let client = connect(&self.source.nats).await?;
        let mut stream = self.open_stream(&client).await?;
        self.catch_up(&mut stream).await
    }

    /// Opens the stream and reads its last message. If the stream is empty, it goes on after
    /// `stored`, so that checkpoints which this process has published are not published again.
    async fn open_stream(&self, client: &Client) -> Result<OpenStream, NatsError> {
        let if_missing = if self.stored == 0 { IfMissing::Create } else { IfMissing::Fail };
        let (context, stream) =
            open(client, &self.source.nats, Topic::Checkpoints, if_missing).await?;
        let sequence = stream.cached_info().state.last_sequence;
        let last = match last_message(&stream, Topic::Checkpoints).await? {
            None => Last { size: self.stored, root: None },
            Some(message) => self.last(&message).await?,
        };
        let name = self.source.nats.stream_of(Topic::Checkpoints);
        let inspection = Inspection::new(context.clone(), Topic::Checkpoints);
        Ok(OpenStream { outlet: Outlet::new(context, name, sequence), inspection, last })
    }

    /// The checkpoint in the stream's last message. The message must be signed by one of the keys or,
    /// if keys have changed since, equal the stored note of that size.
    async fn last(&self, message: &StreamMessage) -> Result<Last, NatsError> {
        let note = str::from_utf8(&message.payload).map_err(|_| NatsError::Foreign)?;
        let text = Note::parse(note).map_err(|_| NatsError::Foreign)?;
        let published = Checkpoint::parse(text.text()).map_err(|_| NatsError::Foreign)?;
        let is_known = Checkpoint::open(note, &self.source.keys).is_ok() || {
            let stored = self.source.tree.signed_after(published.size.saturating_sub(1)).await?;
            stored.first().is_some_and(|stored| stored.note == note)
        };
        if !is_known || published.origin != self.source.origin {
            return Err(NatsError::Foreign);
        }
        Ok(Last { size: published.size, root: Some(published.root) })
    }

    /// Publishes all checkpoints that were signed after the last published one.
    async fn catch_up(&mut self, stream: &mut OpenStream) -> Result<(), NatsError> {
        loop {
            let Last { size, root } = stream.last;
            let signed = self.source.tree.signed_after(size).await?;
            if signed.is_empty() {
                return Ok(());
            }
            // Publish only if the log continues the checkpoint that was published last.
            if let Some(root) = root {
                if self.source.tree.state().await?.size < size {
                    return Err(NatsError::TreeBehind(size));
                }
                if self.source.tree.root_at(size).await? != root {
                    return Err(NatsError::OtherTree(size));
                }
            }
            for checkpoint in signed {
                stream.last = Last { size: checkpoint.size, root: Some(checkpoint.root) };
                let is_new = stream.outlet.send(self.message(checkpoint)).await?.await?;
                self.stored = stream.last.size;
                if !is_new {
                    // The server ignored the message as a duplicate, so the sequence that the next
                    // message would expect is too high by one.
                    return Err(NatsError::OutOfStep);
                }
            }
        }
    }

    fn message(&self, SignedCheckpoint { size, note, .. }: SignedCheckpoint) -> Outgoing {
        Outgoing {
            subject: "keys.checkpoints.v1.signed".to_owned(),
            payload: note.into_bytes(),
            content_type: "text/plain; charset=utf-8",
            id: format!("{}/{size}", self.source.origin),
            headers: vec![(SIZE, size.to_string())],
        }
    }
}
