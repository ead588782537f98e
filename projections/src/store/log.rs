//! What a database does for the tree.

use async_trait::async_trait;
use keyledger_domain::{EventId, Position, Timestamp};

use super::lease::Epoch;
use crate::WriteError;
use keyledger_tlog::merkle::{Tile, TreeHash};

/// What the tree is: position, size and frontier.
pub(crate) const TREE: &str = "SELECT position, size, frontier FROM tree WHERE name = 'events'";

/// The hashes of the tile `$2` of level `$1`.
pub(crate) const TILE: &str = "SELECT hashes FROM tree_tile WHERE level = $1 AND number = $2";

/// The ids of the events of the tile `$1`.
pub(crate) const IDS: &str = "SELECT ids FROM tree_event WHERE number = $1";

/// The largest checkpoint, signed or not.
pub(crate) const LAST_CHECKPOINT: &str =
    "SELECT size, root, note FROM tree_checkpoint ORDER BY size DESC LIMIT 1";

/// The largest that was signed.
pub(crate) const LAST_SIGNED: &str = "
    SELECT size, root, note FROM tree_checkpoint WHERE note IS NOT NULL ORDER BY size DESC LIMIT 1";

/// The next ones after size `$1` that were signed, `$2` at most.
pub(crate) const CHECKPOINTS_AFTER: &str = "
    SELECT size, root, note FROM tree_checkpoint WHERE note IS NOT NULL AND size > $1
    ORDER BY size LIMIT $2";

/// The row of the tree, as it is stored.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct LogRow {
    pub(crate) position: i64,
    pub(crate) size: i64,
    pub(crate) frontier: Vec<u8>,
}

/// The row of a checkpoint, as it is stored.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct CheckpointRow {
    pub(crate) size: i64,
    pub(crate) root: Vec<u8>,
    pub(crate) note: Option<String>,
}

/// What changes when the tree grows.
#[derive(Debug)]
pub(crate) struct Growth {
    /// From where: the tree must be exactly there.
    pub(crate) from: (Position, i64),
    /// To where.
    pub(crate) to: (Position, i64),
    /// The roots of its complete subtrees then.
    pub(crate) frontier: Vec<u8>,
    /// All hashes of the tiles that have changed.
    pub(crate) tiles: Vec<(Tile, Vec<u8>)>,
    /// All ids of the tiles of events that have changed, by the tiles' numbers.
    pub(crate) events: Vec<(i64, Vec<u8>)>,
}

/// A tile's level and number as the tables have them.
pub(crate) fn place_of(tile: Tile) -> (i16, i64) {
    // No table has 2^63 tiles.
    (i16::from(tile.level), i64::try_from(tile.index).unwrap_or(i64::MAX))
}

/// A database that holds the tree.
#[async_trait]
pub(crate) trait LogStore: Send + Sync {
    /// What the tree is.
    async fn tree(&self) -> Result<LogRow, sqlx::Error>;

    /// The hashes of a tile, one after another.
    async fn tile(&self, tile: Tile) -> Result<Option<Vec<u8>>, sqlx::Error>;

    /// The ids of the events of a tile, one after another.
    async fn ids(&self, number: i64) -> Result<Option<Vec<u8>>, sqlx::Error>;

    /// Lets the tree grow, wholly or not at all.
    async fn grow(&self, growth: &Growth, term: Epoch) -> Result<(), WriteError>;

    /// The place of an event among the leaves; all ids are gone through for it.
    async fn leaf_of(&self, event_id: EventId) -> Result<Option<i64>, sqlx::Error>;

    /// Remembers, on the disk, what is about to be signed; tells which root is remembered for the
    /// size, which is another one if there was one before.
    async fn remember(&self, size: i64, root: TreeHash, term: Epoch)
    -> Result<Vec<u8>, WriteError>;

    /// Keeps the note that was signed of a size.
    async fn keep_note(
        &self,
        size: i64,
        note: &str,
        at: Timestamp,
        term: Epoch,
    ) -> Result<(), WriteError>;

    /// The largest checkpoint, signed or not.
    async fn last_checkpoint(&self) -> Result<Option<CheckpointRow>, sqlx::Error>;

    /// The largest checkpoint that was signed.
    async fn last_signed(&self) -> Result<Option<CheckpointRow>, sqlx::Error>;

    /// Up to so many that were signed, beyond a size, the smallest first.
    async fn signed_after(&self, size: i64, most: i64) -> Result<Vec<CheckpointRow>, sqlx::Error>;
}
