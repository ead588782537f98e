//! The Merkle tree over all events, stored in the read database.
//!
//! Exactly once: hashes, event ids and the state of the tree change in one transaction, which fails
//! unless the state is the one that the writer wrote last and its lease is still in the same epoch.
//! So each event becomes one leaf, even if a node crashes or several run. The size and root of a
//! checkpoint are stored before it is signed, and a size that is stored with one root is never
//! signed with another.

mod proofs;
mod reader;
mod walk;
mod writer;

use keyledger_domain::{EventId, Position};

use crate::WriteError;
use keyledger_tlog::EntryError;
use keyledger_tlog::merkle::{PlanError, Tile, TreeFull, TreeHash};
pub use proofs::{ConsistencyProof, InclusionProof};
pub use reader::LogReader;
pub use walk::LeafWalk;
pub use writer::{LOG_BATCH, LogWriter};

/// The state of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogState {
    /// The position up to which all events are leaves.
    pub position: Position,
    /// The number of leaves, one per event.
    pub size: u64,
    /// The root of the tree.
    pub root: TreeHash,
}

/// A signed checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCheckpoint {
    /// The number of leaves of the tree.
    pub size: u64,
    /// The root of the tree.
    pub root: TreeHash,
    /// The signed note, in text form.
    pub note: String,
}

/// Why a read of the tree failed.
#[derive(Debug, thiserror::Error)]
pub enum LogReadError {
    /// The database cannot be reached, or reports an error.
    #[error("the tree cannot be read")]
    Unavailable(#[from] sqlx::Error),
    /// The stored tree is inconsistent in a way that this program never writes: something else has
    /// changed it.
    #[error("the tree is damaged: {0}")]
    Damaged(String),
    /// The tree has no such leaf, or is smaller than the size that was asked for.
    #[error(transparent)]
    Absent(#[from] PlanError),
}

impl LogReadError {
    /// Whether the same read may succeed later.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }

    fn short(tile: Tile) -> Self {
        Self::Damaged(format!("tile {}/{} is too short", tile.level, tile.index))
    }
}

/// Why events cannot be appended to the tree, or a checkpoint must not be signed.
#[derive(Debug, thiserror::Error)]
pub enum LogWriteError {
    /// The tree cannot be read.
    #[error(transparent)]
    Read(#[from] LogReadError),
    /// The tree cannot be written. The write had no effect.
    #[error("the tree cannot be written")]
    Write(#[from] WriteError),
    /// An event cannot be converted into a leaf.
    #[error("the event {id} at position {position} cannot be converted into a leaf")]
    Entry {
        /// The event's id.
        id: EventId,
        /// The event's position.
        position: Position,
        /// The underlying error.
        #[source]
        source: EntryError,
    },
    /// The tree has 2^64 - 1 leaves.
    #[error(transparent)]
    Full(#[from] TreeFull),
    /// The tree of this size has another root than the one that was stored to be signed.
    #[error("the tree does not continue what was signed of it at {size} events")]
    NotContinued {
        /// The size of the stored checkpoint.
        size: u64,
    },
}

impl From<sqlx::Error> for LogWriteError {
    fn from(error: sqlx::Error) -> Self {
        Self::Read(error.into())
    }
}
