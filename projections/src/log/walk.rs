//! Goes through the leaves of a tree in their order.

use std::collections::BTreeMap;

use super::{EventTree, TreeReadError};
use keyledger_tlog::merkle::{Node, Plan, TILE_WIDTH, Tile, TreeHash, root_of};

/// How many tiles are kept before those that are behind are forgotten.
const KEPT: usize = 64;

/// A tree of one size, for whoever goes through its leaves in order: each tile is read once.
#[derive(Debug)]
pub struct Walk {
    size: u64,
    tiles: Tiles,
}

impl Walk {
    pub(super) fn new(tree: EventTree, size: u64) -> Self {
        Self { size, tiles: Tiles::new(tree) }
    }

    /// The hash of a leaf.
    ///
    /// # Errors
    /// Every variant of [`TreeReadError`].
    pub async fn leaf(&mut self, leaf: u64) -> Result<TreeHash, TreeReadError> {
        self.tiles.forget_before(leaf);
        self.tiles.hash(Node { level: 0, index: leaf }).await
    }

    /// The hash over a range of 256 leaves: the one that the tree keeps, if the range is full.
    ///
    /// # Errors
    /// Every variant of [`TreeReadError`].
    pub async fn range(&mut self, range: u64) -> Result<TreeHash, TreeReadError> {
        if range < self.size >> 8 {
            return self.tiles.hash(Node { level: 8, index: range }).await;
        }
        let mut leaves = Vec::new();
        for index in range.saturating_mul(u64::from(TILE_WIDTH))..self.size {
            leaves.push(self.tiles.hash(Node { level: 0, index }).await?);
        }
        Ok(root_of(leaves))
    }

    /// The proof that the tree has a leaf.
    ///
    /// # Errors
    /// Every variant of [`TreeReadError`].
    pub async fn inclusion(&mut self, leaf: u64) -> Result<Vec<TreeHash>, TreeReadError> {
        self.tiles.gather(&Plan::inclusion(leaf, self.size)?).await
    }
}

/// Tiles that were read.
#[derive(Debug)]
pub(super) struct Tiles {
    tree: EventTree,
    read: BTreeMap<Tile, Vec<TreeHash>>,
}

impl Tiles {
    pub(super) fn new(tree: EventTree) -> Self {
        Self { tree, read: BTreeMap::new() }
    }

    async fn hash(&mut self, node: Node) -> Result<TreeHash, TreeReadError> {
        let tile = Tile::of(node);
        if let Some(hashes) = self.read.get(&tile) {
            return tile.hash_of(node, hashes).map_err(|_| TreeReadError::short(tile));
        }
        let hashes = self.tree.tile(tile).await?;
        let hash = tile.hash_of(node, &hashes).map_err(|_| TreeReadError::short(tile));
        self.read.insert(tile, hashes);
        hash
    }

    /// The hashes of a plan.
    pub(super) async fn gather(&mut self, plan: &Plan) -> Result<Vec<TreeHash>, TreeReadError> {
        let mut hashes = BTreeMap::new();
        for node in plan.nodes() {
            hashes.insert(node, self.hash(node).await?);
        }
        plan.gather(|node| {
            let absent = || TreeReadError::short(Tile::of(node));
            hashes.get(&node).copied().ok_or_else(absent)
        })
    }

    /// Forgets tiles that no leaf from here on has a part in.
    fn forget_before(&mut self, leaf: u64) {
        if self.read.len() > KEPT {
            let first = |level| leaf.checked_shr(8 * (u32::from(level) + 1)).unwrap_or(0);
            self.read.retain(|tile, _| tile.index >= first(tile.level));
        }
    }
}
