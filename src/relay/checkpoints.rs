//! Publishes signed checkpoints: each once and in order, to a stream of their own.

use std::convert::Infallible;

use async_nats::Client;
use async_nats::jetstream::stream::Stream;
use keyledger_projections::audit::{Checkpoint, Note, TreeHash, VerifyingKey};
use keyledger_projections::tree::{EventTree, SignedCheckpoint};
use tokio::sync::Notify;

use super::outlet::{Outgoing, Outlet};
use super::stream::{check_connected, open};
use super::{Interruption, NatsSettings, TICK, Topic};
use crate::pause::Pause;
use crate::readiness::{Part, Readiness, State};
use crate::telemetry::chain;

/// The header that tells how many events the tree held.
const SIZE: &str = "Keyledger-Tree-Size";

/// Publishes the checkpoints that are signed. What waits for NATS waits in the read database; the
/// stream's own last message tells how far it has come.
#[derive(Debug)]
pub struct Checkpoints {
    /// Where they go.
    pub nats: NatsSettings,
    /// Where they are kept.
    pub tree: EventTree,
    /// The log's name.
    pub origin: String,
    /// The public keys of those that sign.
    pub keys: Vec<VerifyingKey>,
    /// Where it is told whether that works.
    pub readiness: Readiness,
    /// Notified when one was signed.
    pub signed: Notify,
}

/// A stream, and how far it has come.
struct Place {
    outlet: Outlet,
    last: Last,
}

/// What was published last: a size, and the root if the stream still tells it.
#[derive(Clone, Copy, Default)]
struct Last {
    size: u64,
    root: Option<TreeHash>,
}

impl Checkpoints {
    /// Publishes what is not published yet, and what comes. Only the node that signs does this.
    pub async fn run(&self) -> Infallible {
        let (mut pause, mut stored) = (Pause::new(), 0);
        loop {
            let Err(interruption) = self.follow(&mut stored, &mut pause).await;
            if !interruption.is_passing() {
                tracing::error!(
                    cause = %chain(&interruption),
                    "checkpoints are not published before someone has looked at this"
                );
                self.tell(State::Stopped);
                return std::future::pending().await;
            }
            tracing::warn!(cause = %chain(&interruption), "publishing of checkpoints interrupted");
            self.tell(State::Failing);
            pause.wait().await;
        }
    }

    /// Publishes what is not published yet, before the process ends.
    pub async fn publish_rest(&self) {
        if self.readiness.is(Part::Checkpoints, State::Stopped) {
            return;
        }
        let publishing = async {
            let client = self.nats.connect().await?;
            let mut place = self.place(&client, 0).await?;
            self.catch_up(&mut place, &mut 0).await
        };
        if let Err(interruption) = publishing.await {
            tracing::warn!(cause = %chain(&interruption), "the last checkpoint is not published");
        }
    }

    /// Tells what it can do.
    pub fn tell(&self, state: State) {
        self.readiness.set(Part::Checkpoints, state);
    }

    async fn follow(
        &self,
        stored: &mut u64,
        pause: &mut Pause,
    ) -> Result<Infallible, Interruption> {
        let client = self.nats.connect().await?;
        let mut place = self.place(&client, *stored).await?;
        let mut tick = tokio::time::interval(TICK);
        loop {
            self.catch_up(&mut place, stored).await?;
            *pause = Pause::new();
            self.tell(State::Ready);
            loop {
                tokio::select! {
                    () = self.signed.notified() => break,
                    _ = tick.tick() => check_connected(&client)?,
                }
            }
        }
    }

    /// Opens the stream and reads its last message. `stored` is how far it is known to have come,
    /// should it be empty: those that were ever published are published again otherwise.
    async fn place(&self, client: &Client, stored: u64) -> Result<Place, Interruption> {
        let (context, stream) = open(client, &self.nats, Topic::Checkpoints).await?;
        let state = stream.get_info().await.map_err(Interruption::nats)?.state;
        let last = match state.messages {
            0 => Last { size: stored, root: None },
            _ => self.last(&stream, state.last_sequence).await?,
        };
        let name = self.nats.stream_of(Topic::Checkpoints);
        Ok(Place { outlet: Outlet::new(context, name, state.last_sequence), last })
    }

    /// What the last message tells, if it is believed: by its signature or, when keys have changed,
    /// because it is the very note that was kept.
    async fn last(&self, stream: &Stream, sequence: u64) -> Result<Last, Interruption> {
        let message = stream.get_raw_message(sequence).await.map_err(Interruption::nats)?;
        let note = str::from_utf8(&message.payload).map_err(|_| Interruption::Foreign)?;
        let text = Note::parse(note).map_err(|_| Interruption::Foreign)?;
        let told = Checkpoint::parse(text.text()).map_err(|_| Interruption::Foreign)?;
        let is_known = Checkpoint::open(note, &self.keys).is_ok() || {
            let kept = self.tree.signed_after(told.size.saturating_sub(1)).await?;
            kept.first().is_some_and(|kept| kept.note == note)
        };
        if !is_known || told.origin != self.origin {
            return Err(Interruption::Foreign);
        }
        Ok(Last { size: told.size, root: Some(told.root) })
    }

    /// Publishes all that were signed after the last one.
    async fn catch_up(&self, place: &mut Place, stored: &mut u64) -> Result<(), Interruption> {
        loop {
            let Last { size, root } = place.last;
            let signed = self.tree.signed_after(size).await?;
            if signed.is_empty() {
                return Ok(());
            }
            // Nothing is put behind a checkpoint that it does not continue.
            if let Some(root) = root {
                if self.tree.state().await?.size < size {
                    return Err(Interruption::TreeBehind(size));
                }
                if self.tree.root_at(size).await? != root {
                    return Err(Interruption::OtherTree(size));
                }
            }
            for checkpoint in signed {
                place.last = Last { size: checkpoint.size, root: Some(checkpoint.root) };
                let is_new = place.outlet.send(self.message(checkpoint)).await?.await?;
                *stored = place.last.size;
                if !is_new {
                    // The fences of those after it are wrong by one.
                    return Err(Interruption::OutOfStep);
                }
            }
        }
    }

    fn message(&self, SignedCheckpoint { size, note, .. }: SignedCheckpoint) -> Outgoing {
        Outgoing {
            subject: "keys.checkpoints.v1.signed".to_owned(),
            payload: note.into_bytes(),
            content_type: "text/plain; charset=utf-8",
            id: format!("{}/{size}", self.origin),
            place: (SIZE, size.to_string()),
        }
    }
}
