//! Reads the leaves of a tree in order.

use std::collections::BTreeMap;

use super::{LogReadError, LogReader};
use keyledger_tlog::merkle::{Node, Plan, TILE_WIDTH, Tile, TreeHash, root_of};

/// The number of cached tiles above which those before the current leaf are dropped.
const KEPT: usize = 64;

/// A walk through the leaves of a tree of a fixed size. Reading leaves in order reads each tile
/// once.
#[derive(Debug)]
pub struct LeafWalk {
    size: u64,
    tiles: Tiles,
}

impl LeafWalk {
    pub(super) fn new(tree: LogReader, size: u64) -> Self {
        Self { size, tiles: Tiles::new(tree) }
    }

    /// The hash of the leaf at this index. Tiles that only earlier leaves need may be dropped from
    /// the cache.
    ///
    /// # Errors
    /// Every variant of [`LogReadError`].
    pub async fn leaf(&mut self, leaf: u64) -> Result<TreeHash, LogReadError> {
        self.tiles.forget_before(leaf);
        self.tiles.hash(Node { level: 0, index: leaf }).await
    }

    /// The hash over range `range` of 256 leaves: the stored one if the range is full, else
    /// computed from the leaves.
    ///
    /// # Errors
    /// Every variant of [`LogReadError`].
    pub async fn range(&mut self, range: u64) -> Result<TreeHash, LogReadError> {
        if range < self.size >> 8 {
            return self.tiles.hash(Node { level: 8, index: range }).await;
        }
        let mut leaves = Vec::new();
        for index in range.saturating_mul(u64::from(TILE_WIDTH))..self.size {
            leaves.push(self.tiles.hash(Node { level: 0, index }).await?);
        }
        Ok(root_of(leaves))
    }

    /// The inclusion proof of a leaf in this tree.
    ///
    /// # Errors
    /// Every variant of [`LogReadError`].
    pub async fn inclusion(&mut self, leaf: u64) -> Result<Vec<TreeHash>, LogReadError> {
        self.tiles.gather(&Plan::inclusion(leaf, self.size)?).await
    }
}

/// A cache of tiles.
#[derive(Debug)]
pub(super) struct Tiles {
    tree: LogReader,
    read: BTreeMap<Tile, Vec<TreeHash>>,
}

impl Tiles {
    pub(super) fn new(tree: LogReader) -> Self {
        Self { tree, read: BTreeMap::new() }
    }

    /// The root of the tree of this size.
    pub(super) async fn root(&mut self, size: u64) -> Result<TreeHash, LogReadError> {
        let roots = self.gather(&Plan::root(size)).await?;
        Ok(roots.first().copied().unwrap_or_else(TreeHash::empty))
    }

    /// The hash of a complete subtree.
    pub(super) async fn hash(&mut self, node: Node) -> Result<TreeHash, LogReadError> {
        let tile = Tile::of(node);
        if let Some(hashes) = self.read.get(&tile) {
            return tile.hash_of(node, hashes).map_err(|_| LogReadError::short(tile));
        }
        let hashes = self.tree.tile(tile).await?;
        let hash = tile.hash_of(node, &hashes).map_err(|_| LogReadError::short(tile));
        self.read.insert(tile, hashes);
        hash
    }

    /// The hashes of a plan.
    pub(super) async fn gather(&mut self, plan: &Plan) -> Result<Vec<TreeHash>, LogReadError> {
        let mut hashes = BTreeMap::new();
        for node in plan.nodes() {
            hashes.insert(node, self.hash(node).await?);
        }
        plan.gather(|node| {
            let absent = || LogReadError::short(Tile::of(node));
            hashes.get(&node).copied().ok_or_else(absent)
        })
    }

    /// Drops the tiles that hold no hash of this leaf or a later one, if too many are cached.
    fn forget_before(&mut self, leaf: u64) {
        if self.read.len() > KEPT {
            let first = |level| leaf.checked_shr(8 * (u32::from(level) + 1)).unwrap_or(0);
            self.read.retain(|tile, _| tile.index >= first(tile.level));
        }
    }
}
