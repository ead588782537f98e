//! Verification of proofs, as RFC 9162 specifies it.

use super::TreeHash;

/// Why a proof is not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WrongProof {
    /// No proof can exist: the tree has no such leaf, or the earlier tree is larger than the later
    /// one.
    #[error("there is no such leaf, or no such earlier tree")]
    Impossible,
    /// The proof has too few or too many hashes.
    #[error("the proof has too few or too many hashes")]
    Length,
    /// The hashes of the proof lead to another root.
    #[error("the proof leads to another root")]
    Root,
}

/// Checks that the tree of this size and root has this leaf at this index (RFC 9162, 2.1.3.2).
///
/// # Errors
/// Every variant of [`WrongProof`].
pub fn verify_inclusion(
    leaf: TreeHash,
    index: u64,
    size: u64,
    proof: &[TreeHash],
    root: TreeHash,
) -> Result<(), WrongProof> {
    if index >= size {
        return Err(WrongProof::Impossible);
    }
    let mut path = Path { at: index, last: size - 1 };
    let mut hash = leaf;
    for &sibling in proof {
        hash = match path.climb()? {
            Side::Left => TreeHash::node(sibling, hash),
            Side::Right => TreeHash::node(hash, sibling),
        };
    }
    path.arrived()?;
    if hash == root { Ok(()) } else { Err(WrongProof::Root) }
}

/// Checks that the later tree begins with the leaves of the earlier (RFC 9162, 2.1.4.2). Every
/// tree continues the empty one.
///
/// # Errors
/// Every variant of [`WrongProof`].
pub fn verify_consistency(
    earlier: (u64, TreeHash),
    later: (u64, TreeHash),
    proof: &[TreeHash],
) -> Result<(), WrongProof> {
    let ((earlier_size, earlier_root), (later_size, later_root)) = (earlier, later);
    if earlier_size > later_size {
        return Err(WrongProof::Impossible);
    }
    if earlier_size == later_size || earlier_size == 0 {
        let same = if earlier_size == 0 { TreeHash::empty() } else { later_root };
        let empty = later_size > 0 || later_root == TreeHash::empty();
        return match proof {
            [] if earlier_root == same && empty => Ok(()),
            [] => Err(WrongProof::Root),
            [_, ..] => Err(WrongProof::Length),
        };
    }
    let mut path = Path { at: earlier_size - 1, last: later_size - 1 };
    path.skip_complete();
    // If the earlier tree is one complete subtree, its root takes the place of the proof's first
    // hash.
    let (seed, rest) = if earlier_size.is_power_of_two() {
        (earlier_root, proof)
    } else {
        let (first, rest) = proof.split_first().ok_or(WrongProof::Length)?;
        (*first, rest)
    };
    let (mut old, mut new) = (seed, seed);
    for &sibling in rest {
        match path.climb()? {
            Side::Left => {
                old = TreeHash::node(sibling, old);
                new = TreeHash::node(sibling, new);
            }
            Side::Right => new = TreeHash::node(new, sibling),
        }
    }
    path.arrived()?;
    if old == earlier_root && new == later_root { Ok(()) } else { Err(WrongProof::Root) }
}

/// The side of the path on which a hash of the proof is.
enum Side {
    Left,
    Right,
}

/// The path from a node up to the root: `fn` and `sn` in the RFC.
struct Path {
    at: u64,
    last: u64,
}

impl Path {
    /// Goes up to the largest subtree that is complete in both trees.
    fn skip_complete(&mut self) {
        while !self.at.is_multiple_of(2) {
            self.up();
        }
    }

    fn up(&mut self) {
        self.at /= 2;
        self.last /= 2;
    }

    /// Goes up by one hash of the proof; returns the side on which that hash is.
    fn climb(&mut self) -> Result<Side, WrongProof> {
        if self.last == 0 {
            return Err(WrongProof::Length);
        }
        let side = if !self.at.is_multiple_of(2) || self.at == self.last {
            // A node without a right sibling is also the node one level above.
            while self.at.is_multiple_of(2) && self.at > 0 {
                self.up();
            }
            Side::Left
        } else {
            Side::Right
        };
        self.up();
        Ok(side)
    }

    fn arrived(&self) -> Result<(), WrongProof> {
        if self.last == 0 { Ok(()) } else { Err(WrongProof::Length) }
    }
}
