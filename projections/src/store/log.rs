//! The interface between the Merkle tree and its database, and the SQL that both kinds of database
//! share.

use async_trait::async_trait;
use keyledger_domain::{EventId, Position, Timestamp};

use super::lease::Epoch;
use crate::WriteError;
use keyledger_tlog::merkle::{Tile, TreeHash};

/// The position, the position of the last event, the size and the frontier of the tree.
pub(crate) const TREE: &str =
    "SELECT position, event_position, size, frontier FROM tree WHERE name = 'events'";

/// The hashes of tile `$2` of level `$1`.
pub(crate) const TILE: &str = "SELECT hashes FROM tree_tile WHERE level = $1 AND number = $2";

/// The ids of the events in row `$1`, 256 events per row.
pub(crate) const IDS: &str = "SELECT ids FROM tree_event WHERE number = $1";

/// The largest checkpoint, signed or not.
pub(crate) const LAST_CHECKPOINT: &str =
    "SELECT size, root, note FROM tree_checkpoint ORDER BY size DESC LIMIT 1";

/// The largest signed checkpoint.
pub(crate) const LAST_SIGNED: &str = "
    SELECT size, root, note FROM tree_checkpoint WHERE note IS NOT NULL ORDER BY size DESC LIMIT 1";

/// At most `$2` signed checkpoints larger than `$1`, smallest first.
pub(crate) const CHECKPOINTS_AFTER: &str = "
    SELECT size, root, note FROM tree_checkpoint WHERE note IS NOT NULL AND size > $1
    ORDER BY size LIMIT $2";

/// At most `$2` checkpoints larger than `$1`, signed or not, smallest first.
pub(crate) const STORED_AFTER: &str = "
    SELECT size, root, note FROM tree_checkpoint WHERE size > $1 ORDER BY size LIMIT $2";

/// The stored row of the tree.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct LogRow {
    pub(crate) position: i64,
    /// `None` while the tree has no event, and in a tree from before this was stored.
    pub(crate) event_position: Option<i64>,
    pub(crate) size: i64,
    pub(crate) frontier: Vec<u8>,
}

/// The stored row of a checkpoint. `note` is `None` until the checkpoint is signed.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct CheckpointRow {
    pub(crate) size: i64,
    pub(crate) root: Vec<u8>,
    pub(crate) note: Option<String>,
}

/// The changes of the tables when events are appended to the tree.
#[derive(Debug)]
pub(crate) struct Growth {
    /// The position and size before. The write fails unless the stored tree has both.
    pub(crate) from: (Position, i64),
    /// The position and size after.
    pub(crate) to: (Position, i64),
    /// The position of the last event after; `None` if it is unknown.
    pub(crate) event_position: Option<Position>,
    /// The roots of the complete subtrees after, 32 bytes each.
    pub(crate) frontier: Vec<u8>,
    /// The tiles that have changed, each with all its hashes, 32 bytes each.
    pub(crate) tiles: Vec<(Tile, Vec<u8>)>,
    /// The rows of event ids that have changed: the row's number and all its ids, 16 bytes each.
    pub(crate) events: Vec<(i64, Vec<u8>)>,
}

/// The level and number of a tile, in the tables' column types.
pub(crate) fn place_of(tile: Tile) -> (i16, i64) {
    // A number above 2^63 - 1 cannot occur: no table holds as many tiles.
    (i16::from(tile.level), i64::try_from(tile.index).unwrap_or(i64::MAX))
}

/// A database that holds the tree.
#[async_trait]
pub(crate) trait LogStore: Send + Sync {
    /// The position, size and frontier of the tree.
    async fn tree(&self) -> Result<LogRow, sqlx::Error>;

    /// The hashes of a tile, 32 bytes each; `None` if the tile is not stored.
    async fn tile(&self, tile: Tile) -> Result<Option<Vec<u8>>, sqlx::Error>;

    /// The event ids of a row, 16 bytes each; `None` if the row is not stored.
    async fn ids(&self, number: i64) -> Result<Option<Vec<u8>>, sqlx::Error>;

    /// Writes the changes in one transaction.
    async fn grow(&self, growth: &Growth, epoch: Epoch) -> Result<(), WriteError>;

    /// The index of an event's leaf. Searches all rows of ids, so it takes time in proportion to
    /// the size of the tree.
    async fn leaf_of(&self, event_id: EventId) -> Result<Option<i64>, sqlx::Error>;

    /// Stores the size and root of a checkpoint before it is signed, and waits until they are on
    /// disk. Returns the root that is stored for this size: if one was stored before, it is that
    /// one.
    async fn remember(
        &self,
        size: i64,
        root: TreeHash,
        epoch: Epoch,
    ) -> Result<Vec<u8>, WriteError>;

    /// Stores the signed note of a checkpoint.
    async fn keep_note(
        &self,
        size: i64,
        note: &str,
        at: Timestamp,
        epoch: Epoch,
    ) -> Result<(), WriteError>;

    /// The largest checkpoint, signed or not.
    async fn last_checkpoint(&self) -> Result<Option<CheckpointRow>, sqlx::Error>;

    /// The largest signed checkpoint.
    async fn last_signed(&self) -> Result<Option<CheckpointRow>, sqlx::Error>;

    /// At most `most` signed checkpoints larger than `size`, smallest first.
    async fn signed_after(&self, size: i64, most: i64) -> Result<Vec<CheckpointRow>, sqlx::Error>;

    /// At most `most` checkpoints larger than `size`, signed or not, smallest first.
    async fn stored_after(&self, size: i64, most: i64) -> Result<Vec<CheckpointRow>, sqlx::Error>;

    /// Makes the tree empty. Its tiles and rows of ids stay until they are written over.
    async fn restart(&self, epoch: Epoch) -> Result<(), WriteError>;
}
