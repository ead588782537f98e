//! The Merkle tree of RFC 6962 and RFC 9162: appending leaves, the root at each size, and proofs of
//! inclusion and of consistency.

mod frontier;
mod hash;
mod plan;
#[cfg(test)]
mod tests;
mod tile;
mod verify;

pub use frontier::{Frontier, FrontierError, TreeFull, root_of};
pub use hash::{TreeHash, TreeHashError};
pub use plan::{Node, Plan, PlanError};
pub use tile::{ShortTile, TILE_WIDTH, Tile};
pub use verify::{WrongProof, verify_consistency, verify_inclusion};
