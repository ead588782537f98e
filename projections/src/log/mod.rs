//! The Merkle tree over all events, as the read database keeps it.
//!
//! Delivery: hashes, the places of events and the tree's own state change in one transaction, and
//! only from where whoever writes has left them, in the term of its lease. So each event becomes one
//! leaf, whatever crashes and however many nodes run. What is to be signed is remembered first, and a
//! size that was remembered with one root is never signed with another.

mod reader;
mod walk;
mod writer;

use keyledger_domain::{EventId, Position};

use crate::WriteError;
use keyledger_tlog::EntryError;
use keyledger_tlog::merkle::{PlanError, Tile, TreeFull, TreeHash};
pub use reader::LogReader;
pub use walk::LeafWalk;
pub use writer::{LOG_BATCH, LogWriter};

/// What the tree is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogState {
    /// How far in the journal it has come.
    pub position: Position,
    /// How many events it holds.
    pub size: u64,
    /// Its root.
    pub root: TreeHash,
}

/// A checkpoint that was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCheckpoint {
    /// How many events the tree held.
    pub size: u64,
    /// Its root.
    pub root: TreeHash,
    /// The signed note.
    pub note: String,
}

/// Why the tree cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LogReadError {
    /// The database does not answer.
    #[error("the tree cannot be read")]
    Unavailable(#[from] sqlx::Error),
    /// The tree is not as this program writes it: someone else has changed it.
    #[error("the tree is damaged: {0}")]
    Damaged(String),
    /// The tree has no such leaf, or no such past.
    #[error(transparent)]
    Absent(#[from] PlanError),
}

impl LogReadError {
    /// Whether it may be different in a moment.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }

    fn short(tile: Tile) -> Self {
        Self::Damaged(format!("tile {}/{} is too short", tile.level, tile.index))
    }
}

/// Why the tree cannot grow, or must not be signed.
#[derive(Debug, thiserror::Error)]
pub enum LogWriteError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] LogReadError),
    /// It cannot be written; nothing was changed then.
    #[error("the tree cannot be written")]
    Write(#[from] WriteError),
    /// An event has no entry.
    #[error("the event {id} at position {position} cannot be a leaf")]
    Entry {
        /// Its id.
        id: EventId,
        /// Where it stands.
        position: Position,
        /// Why.
        #[source]
        source: EntryError,
    },
    /// There is no room.
    #[error(transparent)]
    Full(#[from] TreeFull),
    /// A tree of this size has another root than the one that was to be signed before.
    #[error("the tree does not continue what was signed of it at {size} events")]
    NotContinued {
        /// The size.
        size: u64,
    },
}

impl From<sqlx::Error> for LogWriteError {
    fn from(error: sqlx::Error) -> Self {
        Self::Read(error.into())
    }
}
