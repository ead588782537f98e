//! The relay: publishes the journal's events to a NATS JetStream stream, each once and in order.
//! Checkpoints of the tree go to a stream of their own, by the same rules.
//!
//! It is a second reader of the journal and no part of any request: when NATS is down, events wait in
//! the journal. The stream's own last message tells how far it has come. Each message is published
//! with the sequence that the stream must have before it, so of two relays one fails, and a message
//! that arrives late or again is refused. After any failure the last message is read again before
//! anything is published.

mod checkpoints;
mod cloud_event;
mod outlet;
mod publish;
mod stream;
mod tail;

use std::sync::Arc;
use std::time::Duration;

use keyledger_domain::Position;
use keyledger_projections::tree::TreeReadError;
use keyledger_projections::{Lease, ReadTables};
use tokio::sync::watch;

use crate::journal::{Cause, JournalReader, ReadError};
use crate::lease::hold;
use crate::pause::Pause;
use crate::readiness::{Part, Readiness, State};
use crate::telemetry::chain;
pub use checkpoints::Checkpoints;
pub use stream::{NatsSettings, StreamDiffers, Topic, check};
pub use tail::{TailError, TailFrom, tail};

/// How long NATS may take to answer.
const ANSWER: Duration = Duration::from_secs(3);

/// How often to look after the connection, and to remember in the read database how far the relay has
/// come.
const TICK: Duration = Duration::from_millis(500);

/// Why publishing was interrupted.
#[derive(Debug, thiserror::Error)]
enum Interruption {
    #[error("NATS does not answer")]
    Nats(#[source] async_nats::Error),
    #[error(transparent)]
    Differs(#[from] StreamDiffers),
    #[error("the stream's last message is none of this program's")]
    Foreign,
    #[error("the stream has come to position {stream}, but the journal ends at {head}")]
    OtherJournal { stream: Position, head: Position },
    #[error("a message was not stored as the next one")]
    OutOfStep,
    #[error("the events cannot be read")]
    Journal(#[from] ReadError),
    #[error("the events ended")]
    Ended,
    #[error("where the relay has come cannot be remembered")]
    Tables(#[source] Cause),
    #[error("an event has no JSON form")]
    Form(#[from] serde_json::Error),
    #[error(transparent)]
    Tree(#[from] TreeReadError),
    #[error("the tree has not come to the checkpoint of {0} events that was published last")]
    TreeBehind(u64),
    #[error("the tree does not continue the checkpoint of {0} events that was published last")]
    OtherTree(u64),
}

impl Interruption {
    fn tables(error: impl Into<Cause>) -> Self {
        Self::Tables(error.into())
    }

    fn nats(error: impl Into<async_nats::Error>) -> Self {
        Self::Nats(error.into())
    }

    /// Whether another try makes sense before someone has looked at it.
    fn is_passing(&self) -> bool {
        match self {
            Self::Nats(_)
            | Self::OutOfStep
            | Self::Ended
            | Self::Tables(_)
            | Self::TreeBehind(_) => true,
            Self::Journal(error) => matches!(error, ReadError::Unavailable(_)),
            Self::Tree(error) => error.is_unavailable(),
            Self::Differs(_)
            | Self::Foreign
            | Self::OtherJournal { .. }
            | Self::OtherTree(_)
            | Self::Form(_) => false,
        }
    }
}

/// Publishes events.
#[derive(Debug)]
pub struct Relay {
    /// Where they come from.
    pub journal: Arc<dyn JournalReader>,
    /// Where it is remembered how far it has come, for when the stream is empty.
    pub tables: ReadTables,
    /// The contest for the right to publish. It only keeps nodes from disturbing each other.
    pub lease: Lease,
    /// Where they go.
    pub nats: NatsSettings,
    /// Where it is told whether that works.
    pub readiness: Readiness,
    /// Where it is told how far this node has published, while it does.
    pub relayed: watch::Sender<Option<Position>>,
}

impl Relay {
    /// Publishes for as long as the process lives, whenever this node holds the lease.
    pub async fn run(self) {
        self.tell(State::Starting);
        let mut pause = Pause::new();
        // How far messages are known to be stored that the stream may not show any more.
        let mut stored = Position::START;
        let mut is_ours = false;
        loop {
            match self.lease.claim().await {
                Ok(Some(term)) => {
                    if !std::mem::replace(&mut is_ours, true) {
                        tracing::info!("this node publishes events");
                    }
                    let interruption = tokio::select! {
                        interruption = publish::publish(&self, &mut stored, &mut pause) => interruption,
                        () = hold(&self.lease, term) => continue,
                    };
                    if !interruption.is_passing() {
                        tracing::error!(
                            cause = %chain(&interruption),
                            "relay stopped: it cannot go on before someone has looked at this"
                        );
                        return self.tell(State::Stopped);
                    }
                    tracing::warn!(cause = %chain(&interruption), "relay interrupted");
                    self.tell(State::Failing);
                    pause.wait().await;
                }
                Ok(None) => {
                    is_ours = false;
                    self.relayed.send_replace(None);
                    self.tell(State::Ready);
                    tokio::time::sleep(self.lease.period() / 3).await;
                }
                Err(error) => {
                    tracing::warn!(cause = %chain(&error), "relay cannot reach its lease");
                    self.tell(State::Failing);
                    pause.wait().await;
                }
            }
        }
    }

    fn tell(&self, state: State) {
        self.readiness.set(Part::Relay, state);
    }
}
