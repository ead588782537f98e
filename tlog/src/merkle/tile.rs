//! The tree as tiles (C2SP tlog-tiles): up to 256 hashes of every eighth level, from which all
//! others follow.

use super::frontier::root_of;
use super::{Node, TreeHash};

/// The maximum number of hashes in a tile.
pub const TILE_WIDTH: u16 = 256;
const TILE_LEVELS: u8 = 8;

/// A tile: up to 256 hashes of level `level * 8` of the tree, from index `index * 256` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tile {
    /// The level of the tile, 0 to 7.
    pub level: u8,
    /// The index among the tiles of this level, from 0.
    pub index: u64,
}

/// The tile does not hold all hashes that a node needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("tile {}/{} is too short", .0.level, .0.index)]
pub struct ShortTile(pub Tile);

impl Tile {
    /// The tile that holds a node's hash, or the hashes from which it follows.
    #[must_use]
    pub fn of(node: Node) -> Self {
        let level = node.level / TILE_LEVELS;
        Self { level, index: node.index >> (TILE_LEVELS - node.level % TILE_LEVELS) }
    }

    /// The number of hashes that this tile has in a tree of this size, 0 to 256.
    #[must_use]
    pub fn width_at(self, size: u64) -> u16 {
        let hashes = size.checked_shr(u32::from(self.level) * 8).unwrap_or(0);
        let before = self.index.saturating_mul(u64::from(TILE_WIDTH));
        u16::try_from(hashes.saturating_sub(before)).map_or(TILE_WIDTH, |n| n.min(TILE_WIDTH))
    }

    /// The hash of a node of this tile, computed from the tile's hashes.
    ///
    /// # Errors
    /// [`ShortTile`] when the node needs a hash that is not given, or is in another tile.
    pub fn hash_of(self, node: Node, hashes: &[TreeHash]) -> Result<TreeHash, ShortTile> {
        if Self::of(node) != self {
            return Err(ShortTile(self));
        }
        let above = node.level % TILE_LEVELS;
        let count = 1_usize << above;
        // The index of the node within the tile, which is less than 256.
        let place = node.index & ((1 << (TILE_LEVELS - above)) - 1);
        let from = usize::try_from(place).unwrap_or(usize::MAX).saturating_mul(count);
        let below = hashes.get(from..from.saturating_add(count)).ok_or(ShortTile(self))?;
        Ok(root_of(below.iter().copied()))
    }

    /// The path at which a tile of this width is published, such as `tile/0/x001/x234/067.p/8`.
    #[must_use]
    pub fn path(self, width: u16) -> String {
        let mut rest = self.index / 1_000;
        let mut number = format!("{:03}", self.index % 1_000);
        while rest > 0 {
            number = format!("x{:03}/{number}", rest % 1_000);
            rest /= 1_000;
        }
        let partial = if width < TILE_WIDTH { format!(".p/{width}") } else { String::new() };
        format!("tile/{}/{number}{partial}", self.level)
    }
}
