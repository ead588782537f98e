//! Reads the tree: its hashes, proofs from them, and what was signed of it.

use keyledger_domain::{EventId, Position};

use super::walk::{LeafWalk, Tiles};
use super::{LogReadError, LogState, SignedCheckpoint};
use crate::ReadTables;
use crate::store::CheckpointRow;
use keyledger_tlog::merkle::{Frontier, Node, Plan, TILE_WIDTH, Tile, TreeHash};

/// How many bytes a hash has.
const HASH: usize = 32;
/// How many checkpoints are read at a time.
const CHECKPOINTS: i64 = 100;

/// The tree over all events; cheap to clone.
#[derive(Clone, Debug)]
pub struct LogReader {
    tables: ReadTables,
}

impl LogReader {
    /// The tree that is in the same database as these tables.
    #[must_use]
    pub fn new(tables: &ReadTables) -> Self {
        Self { tables: tables.clone() }
    }

    /// What the tree is.
    ///
    /// # Errors
    /// [`LogReadError::Unavailable`] and [`LogReadError::Damaged`].
    pub async fn state(&self) -> Result<LogState, LogReadError> {
        let (position, frontier) = self.frontier().await?;
        Ok(LogState { position, size: frontier.size(), root: frontier.root() })
    }

    pub(super) async fn frontier(&self) -> Result<(Position, Frontier), LogReadError> {
        let row = self.tables.store.tree().await?;
        let damaged = |what: &str| LogReadError::Damaged(what.to_owned());
        let position = Position::try_from(row.position).map_err(|_| damaged("its position"))?;
        let size = u64::try_from(row.size).map_err(|_| damaged("its size"))?;
        let roots = hashes_in(&row.frontier).ok_or_else(|| damaged("its frontier"))?;
        let frontier = Frontier::from_parts(size, roots);
        Ok((position, frontier.map_err(|error| LogReadError::Damaged(error.to_string()))?))
    }

    /// All hashes of a tile that there are.
    pub(super) async fn tile(&self, tile: Tile) -> Result<Vec<TreeHash>, LogReadError> {
        let stored = self.tables.store.tile(tile).await?.unwrap_or_default();
        hashes_in(&stored).ok_or_else(|| LogReadError::short(tile))
    }

    /// The tree as it was when it had this size, to be gone through in order.
    #[must_use]
    pub fn walk(&self, size: u64) -> LeafWalk {
        LeafWalk::new(self.clone(), size)
    }

    /// The root of the tree when it had this size.
    ///
    /// # Errors
    /// Every variant of [`LogReadError`].
    pub async fn root_at(&self, size: u64) -> Result<TreeHash, LogReadError> {
        let roots = self.gather(&Plan::root(size)).await?;
        Ok(roots.first().copied().unwrap_or_else(TreeHash::empty))
    }

    /// The proof that the tree of this size has this leaf.
    ///
    /// # Errors
    /// Every variant of [`LogReadError`].
    pub async fn inclusion(&self, leaf: u64, size: u64) -> Result<Vec<TreeHash>, LogReadError> {
        self.gather(&Plan::inclusion(leaf, size)?).await
    }

    /// The proof that the later tree begins with the leaves of the earlier.
    ///
    /// # Errors
    /// Every variant of [`LogReadError`].
    pub async fn consistency(
        &self,
        earlier: u64,
        later: u64,
    ) -> Result<Vec<TreeHash>, LogReadError> {
        self.gather(&Plan::consistency(earlier, later)?).await
    }

    /// The leaf hash at a place.
    ///
    /// # Errors
    /// Every variant of [`LogReadError`].
    pub async fn leaf(&self, leaf: u64) -> Result<TreeHash, LogReadError> {
        let node = Node { level: 0, index: leaf };
        let tile = Tile::of(node);
        tile.hash_of(node, &self.tile(tile).await?).map_err(|_| LogReadError::short(tile))
    }

    /// The place of an event among the leaves.
    ///
    /// # Errors
    /// [`LogReadError::Unavailable`].
    pub async fn leaf_of(&self, event_id: EventId) -> Result<Option<u64>, LogReadError> {
        let leaf = self.tables.store.leaf_of(event_id).await?;
        Ok(leaf.and_then(|leaf| u64::try_from(leaf).ok()))
    }

    /// The last checkpoint that was signed.
    ///
    /// # Errors
    /// [`LogReadError::Unavailable`] and [`LogReadError::Damaged`].
    pub async fn last_signed(&self) -> Result<Option<SignedCheckpoint>, LogReadError> {
        self.tables.store.last_signed().await?.map(signed).transpose()
    }

    /// The next checkpoints that were signed beyond this size, the smallest first: 100 at most.
    ///
    /// # Errors
    /// [`LogReadError::Unavailable`] and [`LogReadError::Damaged`].
    pub async fn signed_after(&self, size: u64) -> Result<Vec<SignedCheckpoint>, LogReadError> {
        let size = i64::try_from(size).unwrap_or(i64::MAX);
        let rows = self.tables.store.signed_after(size, CHECKPOINTS).await?;
        rows.into_iter().map(signed).collect()
    }

    /// The hashes of a plan, each tile read once.
    async fn gather(&self, plan: &Plan) -> Result<Vec<TreeHash>, LogReadError> {
        Tiles::new(self.clone()).gather(plan).await
    }
}

/// Hashes that stand one after another; `None` if there is a part of one, or more than a tile's.
pub(super) fn hashes_in(bytes: &[u8]) -> Option<Vec<TreeHash>> {
    let (hashes, rest) = bytes.as_chunks::<HASH>();
    let fits = rest.is_empty() && hashes.len() <= usize::from(TILE_WIDTH);
    fits.then(|| hashes.iter().map(|hash| TreeHash::from(*hash)).collect())
}

/// A remembered size and root.
pub(super) fn remembered(row: &CheckpointRow) -> Result<(u64, TreeHash), LogReadError> {
    let size = u64::try_from(row.size).ok();
    let root = TreeHash::try_from(row.root.as_slice()).ok();
    size.zip(root).ok_or_else(|| LogReadError::Damaged(format!("checkpoint {}", row.size)))
}

fn signed(row: CheckpointRow) -> Result<SignedCheckpoint, LogReadError> {
    let (size, root) = remembered(&row)?;
    Ok(SignedCheckpoint { size, root, note: row.note.unwrap_or_default() })
}
