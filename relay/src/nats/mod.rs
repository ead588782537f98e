//! Publishes events, and the checkpoints of the log, to NATS JetStream.
//!
//! The last message of a stream says what was published last; there is no other checkpoint. Each
//! message is published with the sequence that the stream must have before it, so the server refuses
//! messages of a second relay and messages that arrive late or twice. After any failure the last
//! message is read again before anything is published.

mod checkpoints;
mod events;
mod operator;
mod outlet;
mod published;
mod scrub;
mod servers;
mod settings;
mod stream;
mod tail;

use std::time::Duration;

use keyledger_domain::Position;
use keyledger_journal::ReadError;
use keyledger_projections::DatabaseError;
use keyledger_projections::log::LogReadError;

pub use checkpoints::{CheckpointPublisher, CheckpointSource};
pub use events::EventRelay;
use keyledger_node::Interruption;
pub use operator::{Adoption, OperatorError, adopt, retire};
pub use servers::{NatsServers, NatsServersError};
pub use settings::{NatsSettings, Topic};
pub use stream::{StreamDiffers, check, examine};
pub use tail::{TailError, TailFrom, tail};

/// How long NATS may take to answer a request.
const ANSWER: Duration = Duration::from_secs(3);

/// How often the connection is checked, and the last published position is written to the read
/// tables.
const TICK: Duration = Duration::from_millis(500);

/// Why publishing was interrupted.
#[derive(Debug, thiserror::Error)]
enum NatsError {
    #[error("NATS does not answer")]
    Nats(#[source] async_nats::Error),
    #[error(transparent)]
    Differs(#[from] StreamDiffers),
    #[error(
        "the stream {0} does not exist any more: restore it, or run `keyledger relay adopt`, which \
         creates it, so that all events are published to it again"
    )]
    Gone(String),
    #[error("the stream's last message was not published by keyledger")]
    Foreign,
    #[error(transparent)]
    NotInJournal(#[from] published::NotInJournal),
    #[error(transparent)]
    Hole(#[from] scrub::Hole),
    #[error("the stream does not end with the message that was published last")]
    OutOfStep,
    #[error("the journal cannot be read")]
    Journal(#[from] ReadError),
    #[error("the last published position cannot be read from or written to the read tables")]
    Tables(#[source] DatabaseError),
    #[error("an event has no JSON form")]
    Form(#[from] serde_json::Error),
    #[error("the relay is not connected")]
    NotConnected,
    #[error(transparent)]
    Tree(#[from] LogReadError),
    #[error("the log is shorter than the checkpoint of {0} events that was published last")]
    TreeBehind(u64),
    #[error("the log does not continue the checkpoint of {0} events that was published last")]
    OtherTree(u64),
}

impl NatsError {
    fn nats(error: impl Into<async_nats::Error>) -> Self {
        Self::Nats(error.into())
    }

    /// Whether another attempt may succeed without an operator's help.
    fn is_passing(&self) -> bool {
        match self {
            Self::Nats(_)
            | Self::Gone(_)
            | Self::OutOfStep
            | Self::Tables(_)
            | Self::NotConnected
            | Self::TreeBehind(_) => true,
            Self::Journal(error) => error.is_passing(),
            Self::Tree(error) => error.is_passing(),
            Self::Differs(_)
            | Self::Foreign
            | Self::NotInJournal(_)
            | Self::Hole(_)
            | Self::OtherTree(_)
            | Self::Form(_) => false,
        }
    }
}

impl From<NatsError> for Interruption {
    fn from(error: NatsError) -> Self {
        Self::retry_if(error.is_passing(), error)
    }
}

/// The position up to which this node has published all events; `None` while another node publishes.
pub type Relayed = tokio::sync::watch::Sender<Option<Position>>;

/// How many events the stream lacks, as the last comparison with the journal has found; `None` before
/// the first one is finished, and while another node publishes.
pub type MissingEvents = tokio::sync::watch::Sender<Option<u64>>;
