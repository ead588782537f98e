//! The tree as tiles (C2SP tlog-tiles): 256 hashes of every eighth level, which hold all others.

use super::frontier::root_of;
use super::{Node, TreeHash};

/// The most hashes of a tile.
pub const TILE_WIDTH: u16 = 256;
const TILE_LEVELS: u8 = 8;

/// A tile: hashes `index * 256` onwards of the tree's level `level * 8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tile {
    /// Its level among tiles, up to 7.
    pub level: u8,
    /// Its place among the tiles of its level.
    pub index: u64,
}

/// The tile does not hold all hashes that are needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("tile {}/{} is too short", .0.level, .0.index)]
pub struct ShortTile(pub Tile);

impl Tile {
    /// The tile that holds a node's hash, or the hashes below it.
    #[must_use]
    pub fn of(node: Node) -> Self {
        let level = node.level / TILE_LEVELS;
        Self { level, index: node.index >> (TILE_LEVELS - node.level % TILE_LEVELS) }
    }

    /// How many hashes this tile has in a tree of this size: 0 up to 256.
    #[must_use]
    pub fn width_at(self, size: u64) -> u16 {
        let hashes = size.checked_shr(u32::from(self.level) * 8).unwrap_or(0);
        let before = self.index.saturating_mul(u64::from(TILE_WIDTH));
        u16::try_from(hashes.saturating_sub(before)).map_or(TILE_WIDTH, |n| n.min(TILE_WIDTH))
    }

    /// The hash of a node of which this is the tile, by the tile's hashes.
    ///
    /// # Errors
    /// [`ShortTile`] when the node lies beyond them, or in another tile.
    pub fn hash_of(self, node: Node, hashes: &[TreeHash]) -> Result<TreeHash, ShortTile> {
        if Self::of(node) != self {
            return Err(ShortTile(self));
        }
        let above = node.level % TILE_LEVELS;
        let count = 1_usize << above;
        // What is left of the index below the tile's own is less than 256.
        let place = node.index & ((1 << (TILE_LEVELS - above)) - 1);
        let from = usize::try_from(place).unwrap_or(usize::MAX).saturating_mul(count);
        let below = hashes.get(from..from.saturating_add(count)).ok_or(ShortTile(self))?;
        Ok(root_of(below.iter().copied()))
    }

    /// The path below which tiles are published, such as `tile/0/x001/x234/067.p/8`.
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
