//! Reads the tree: its hashes, proofs, and signed checkpoints.

use keyledger_domain::{EventId, Position};
use uuid::Uuid;

use super::walk::{LeafWalk, Tiles};
use super::{LogReadError, LogState, SignedCheckpoint};
use crate::ReadTables;
use crate::store::CheckpointRow;
use keyledger_tlog::merkle::{Frontier, TILE_WIDTH, Tile, TreeHash};

/// The length of a hash, in bytes.
const HASH: usize = 32;
/// The maximum number of checkpoints per read.
const CHECKPOINTS: i64 = 100;

/// A reader of the tree over all events; cheap to clone.
#[derive(Clone, Debug)]
pub struct LogReader {
    tables: ReadTables,
}

impl LogReader {
    /// A reader of the tree in the database of these tables.
    #[must_use]
    pub fn new(tables: &ReadTables) -> Self {
        Self { tables: tables.clone() }
    }

    /// The current state of the tree.
    ///
    /// # Errors
    /// [`LogReadError::Unavailable`] and [`LogReadError::Damaged`].
    pub async fn state(&self) -> Result<LogState, LogReadError> {
        let (position, _, frontier) = self.frontier().await?;
        Ok(LogState { position, size: frontier.size(), root: frontier.root() })
    }

    /// The position up to which all events are leaves, the position of the last of them, and the
    /// tree's frontier.
    pub(super) async fn frontier(
        &self,
    ) -> Result<(Position, Option<Position>, Frontier), LogReadError> {
        let row = self.tables.store.tree().await?;
        let damaged = |what: &str| LogReadError::Damaged(what.to_owned());
        let position = |number| Position::try_from(number).map_err(|_| damaged("its position"));
        let size = u64::try_from(row.size).map_err(|_| damaged("its size"))?;
        let roots = hashes_in(&row.frontier).ok_or_else(|| damaged("its frontier"))?;
        let frontier = Frontier::from_parts(size, roots);
        let frontier = frontier.map_err(|error| LogReadError::Damaged(error.to_string()))?;
        let last = row.event_position.map(position).transpose()?;
        Ok((position(row.position)?, last, frontier))
    }

    /// The id of the event that is the leaf at this index.
    pub(super) async fn event_id(&self, leaf: u64) -> Result<EventId, LogReadError> {
        let (number, index) = (leaf / u64::from(TILE_WIDTH), leaf % u64::from(TILE_WIDTH));
        let ids = self.tables.store.ids(i64::try_from(number).unwrap_or(i64::MAX)).await?;
        let id = ids.unwrap_or_default();
        let id = usize::try_from(index).ok().and_then(|index| id.chunks_exact(16).nth(index));
        let id = id.and_then(|id| Uuid::from_slice(id).ok());
        let missing = || LogReadError::Damaged(format!("the id of leaf {leaf} is missing"));
        id.map(EventId::from_uuid).ok_or_else(missing)
    }

    /// The stored hashes of a tile; empty if the tile is not stored.
    pub(super) async fn tile(&self, tile: Tile) -> Result<Vec<TreeHash>, LogReadError> {
        let stored = self.tables.store.tile(tile).await?.unwrap_or_default();
        hashes_in(&stored).ok_or_else(|| LogReadError::short(tile))
    }

    /// A walk through the leaves of the tree at this size, in order.
    #[must_use]
    pub fn walk(&self, size: u64) -> LeafWalk {
        LeafWalk::new(self.clone(), size)
    }

    /// The root of the tree at this size.
    ///
    /// # Errors
    /// Every variant of [`LogReadError`].
    pub async fn root_at(&self, size: u64) -> Result<TreeHash, LogReadError> {
        Tiles::new(self.clone()).root(size).await
    }

    /// The index of an event's leaf; `None` if the tree does not hold the event.
    ///
    /// # Errors
    /// [`LogReadError::Unavailable`].
    pub async fn leaf_of(&self, event_id: EventId) -> Result<Option<u64>, LogReadError> {
        let leaf = self.tables.store.leaf_of(event_id).await?;
        Ok(leaf.and_then(|leaf| u64::try_from(leaf).ok()))
    }

    /// The largest signed checkpoint; `None` if none is signed.
    ///
    /// # Errors
    /// [`LogReadError::Unavailable`] and [`LogReadError::Damaged`].
    pub async fn last_signed(&self) -> Result<Option<SignedCheckpoint>, LogReadError> {
        self.tables.store.last_signed().await?.map(signed).transpose()
    }

    /// At most 100 signed checkpoints larger than this size, smallest first.
    ///
    /// # Errors
    /// [`LogReadError::Unavailable`] and [`LogReadError::Damaged`].
    pub async fn signed_after(&self, size: u64) -> Result<Vec<SignedCheckpoint>, LogReadError> {
        let size = i64::try_from(size).unwrap_or(i64::MAX);
        let rows = self.tables.store.signed_after(size, CHECKPOINTS).await?;
        rows.into_iter().map(signed).collect()
    }

    /// The sizes and roots of at most 100 checkpoints larger than this size, smallest first. They
    /// are signed, or were about to be when the process stopped.
    ///
    /// # Errors
    /// [`LogReadError::Unavailable`] and [`LogReadError::Damaged`].
    pub async fn stored_after(&self, size: u64) -> Result<Vec<(u64, TreeHash)>, LogReadError> {
        let size = i64::try_from(size).unwrap_or(i64::MAX);
        let rows = self.tables.store.stored_after(size, CHECKPOINTS).await?;
        rows.iter().map(remembered).collect()
    }
}

/// Splits bytes into hashes; `None` if the length is no multiple of 32 or there are more than 256.
pub(super) fn hashes_in(bytes: &[u8]) -> Option<Vec<TreeHash>> {
    let (hashes, rest) = bytes.as_chunks::<HASH>();
    let fits = rest.is_empty() && hashes.len() <= usize::from(TILE_WIDTH);
    fits.then(|| hashes.iter().map(|hash| TreeHash::from(*hash)).collect())
}

/// The size and root of a stored checkpoint.
pub(super) fn remembered(row: &CheckpointRow) -> Result<(u64, TreeHash), LogReadError> {
    let size = u64::try_from(row.size).ok();
    let root = TreeHash::try_from(row.root.as_slice()).ok();
    size.zip(root).ok_or_else(|| LogReadError::Damaged(format!("checkpoint {}", row.size)))
}

fn signed(row: CheckpointRow) -> Result<SignedCheckpoint, LogReadError> {
    let (size, root) = remembered(&row)?;
    Ok(SignedCheckpoint { size, root, note: row.note.unwrap_or_default() })
}
