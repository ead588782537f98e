//! Publishes signed checkpoints: each once and in order, to a stream of their own.

use std::convert::Infallible;
use std::sync::Arc;

use async_nats::Client;
use async_nats::jetstream::stream::Stream;
use async_trait::async_trait;
use futures::future::BoxFuture;
use keyledger_domain::chain;
use keyledger_projections::Epoch;
use keyledger_projections::log::{EventTree, SignedCheckpoint};
use keyledger_tlog::{Checkpoint, Note, TreeHash, VerifyingKey};
use tokio::sync::Notify;

use super::outlet::{Outgoing, Outlet};
use super::stream::{check_connected, connect, open};
use super::{NatsError, TICK};
use crate::config::{NatsSettings, Topic};
use crate::node::readiness::State;
use crate::node::tasks::Publisher;
use crate::node::{Health, Interruption, Work, supervise};

/// The header that holds how many events the log had.
const SIZE: &str = "Keyledger-Tree-Size";

/// The checkpoints that are to be published, and where to.
#[derive(Debug)]
pub struct CheckpointSource {
    /// Where they go.
    pub nats: NatsSettings,
    /// Where they are stored.
    pub tree: EventTree,
    /// The log's name.
    pub origin: String,
    /// The public keys of those that sign.
    pub keys: Vec<VerifyingKey>,
    /// Notified when a checkpoint was signed.
    pub signed: Arc<Notify>,
}

/// Publishes the checkpoints that are signed. While NATS is away they wait in the read database;
/// the stream's own last message says how far it has come.
#[derive(Debug)]
pub struct CheckpointPublisher {
    source: Arc<CheckpointSource>,
    health: Health,
}

/// An open stream, and how far it has come.
struct OpenStream {
    outlet: Outlet,
    last: Last,
}

/// What was published last: a size, and the root if the stream still has the message.
#[derive(Clone, Copy, Default)]
struct Last {
    size: u64,
    root: Option<TreeHash>,
}

impl CheckpointPublisher {
    /// A publisher that reports to this part's health.
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

/// The work of publishing.
struct Publishing {
    source: Arc<CheckpointSource>,
    /// The size up to which checkpoints are known to be published, should the stream be empty.
    stored: u64,
}

#[async_trait]
impl Work for Publishing {
    async fn run(&mut self, _: Option<Epoch>, health: &Health) -> Interruption {
        let Err(error) = self.follow(health).await;
        error.into()
    }

    fn remedy(&self) -> &'static str {
        "no checkpoint is published: compare the stream with the log, then start this node again"
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
                    _ = tick.tick() => check_connected(&client)?,
                }
            }
        }
    }

    /// Publishes what is not published yet.
    async fn publish_once(&mut self) -> Result<(), NatsError> {
        let client = connect(&self.source.nats).await?;
        let mut stream = self.open_stream(&client).await?;
        self.catch_up(&mut stream).await
    }

    /// Opens the stream and reads its last message. `stored` is how far it is known to have come,
    /// should it be empty: those that were ever published are published again otherwise.
    async fn open_stream(&self, client: &Client) -> Result<OpenStream, NatsError> {
        let (context, stream) = open(client, &self.source.nats, Topic::Checkpoints).await?;
        let state = stream.get_info().await.map_err(NatsError::nats)?.state;
        let last = match state.messages {
            0 => Last { size: self.stored, root: None },
            _ => self.last(&stream, state.last_sequence).await?,
        };
        let name = self.source.nats.stream_of(Topic::Checkpoints);
        Ok(OpenStream { outlet: Outlet::new(context, name, state.last_sequence), last })
    }

    /// What the last message tells, if it is believed: by its signature or, when keys have changed,
    /// because it is the very note that was kept.
    async fn last(&self, stream: &Stream, sequence: u64) -> Result<Last, NatsError> {
        let message = stream.get_raw_message(sequence).await.map_err(NatsError::nats)?;
        let note = str::from_utf8(&message.payload).map_err(|_| NatsError::Foreign)?;
        let text = Note::parse(note).map_err(|_| NatsError::Foreign)?;
        let told = Checkpoint::parse(text.text()).map_err(|_| NatsError::Foreign)?;
        let is_known = Checkpoint::open(note, &self.source.keys).is_ok() || {
            let kept = self.source.tree.signed_after(told.size.saturating_sub(1)).await?;
            kept.first().is_some_and(|kept| kept.note == note)
        };
        if !is_known || told.origin != self.source.origin {
            return Err(NatsError::Foreign);
        }
        Ok(Last { size: told.size, root: Some(told.root) })
    }

    /// Publishes all that were signed after the last one.
    async fn catch_up(&mut self, stream: &mut OpenStream) -> Result<(), NatsError> {
        loop {
            let Last { size, root } = stream.last;
            let signed = self.source.tree.signed_after(size).await?;
            if signed.is_empty() {
                return Ok(());
            }
            // Nothing is put behind a checkpoint that it does not continue.
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
                    // The fences of those after it are wrong by one.
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
            reached: (SIZE, size.to_string()),
        }
    }
}
