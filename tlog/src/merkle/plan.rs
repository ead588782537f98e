//! Plans of proofs: which hashes a proof consists of.
//!
//! A tree is stored as the hashes of its complete subtrees, which never change. A plan lists those
//! that a proof needs, so that a store can fetch all of them at once.

use super::TreeHash;
use super::frontier::fold;

/// A complete subtree: the leaves from `index * 2^level` up to, and not including, `(index + 1) *
/// 2^level`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node {
    /// The level of the subtree's root above the leaves, 0 to 63.
    pub level: u8,
    /// The index among the subtrees of this level, from 0.
    pub index: u64,
}

/// Why a proof does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The tree has no leaf with this index.
    #[error("a tree of {size} leaves has no leaf {index}")]
    NoSuchLeaf {
        /// The index of the leaf.
        index: u64,
        /// The size of the tree.
        size: u64,
    },
    /// The earlier tree is larger than the later one.
    #[error("a tree of {later} leaves does not continue one of {earlier}")]
    NoSuchPast {
        /// The size of the earlier tree.
        earlier: u64,
        /// The size of the later tree.
        later: u64,
    },
}

/// The plan of a proof: for each of its hashes, the neighbouring complete subtrees whose root it
/// is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan(Vec<Vec<Node>>);

impl Plan {
    /// The plan of the inclusion proof of the leaf at this index (RFC 9162, 2.1.3.1).
    ///
    /// # Errors
    /// [`PlanError::NoSuchLeaf`].
    pub fn inclusion(index: u64, size: u64) -> Result<Self, PlanError> {
        if index >= size {
            return Err(PlanError::NoSuchLeaf { index, size });
        }
        let mut path = Vec::new();
        let (mut from, mut to) = (0, size);
        while to - from > 1 {
            let middle = from + split(to - from);
            if index < middle {
                path.push(cover(middle, to));
                to = middle;
            } else {
                path.push(cover(from, middle));
                from = middle;
            }
        }
        path.reverse();
        Ok(Self(path))
    }

    /// The plan of the consistency proof that the later tree begins with the leaves of the earlier
    /// (RFC 9162, 2.1.4.1). The proof is empty if the earlier tree is empty or both have the same
    /// size.
    ///
    /// # Errors
    /// [`PlanError::NoSuchPast`].
    pub fn consistency(earlier: u64, later: u64) -> Result<Self, PlanError> {
        if earlier > later {
            return Err(PlanError::NoSuchPast { earlier, later });
        }
        let mut path = Vec::new();
        if earlier == 0 || earlier == later {
            return Ok(Self(path));
        }
        let (mut from, mut to) = (0, later);
        while to != earlier {
            let middle = from + split(to - from);
            if earlier <= middle {
                path.push(cover(middle, to));
                to = middle;
            } else {
                path.push(cover(from, middle));
                from = middle;
            }
        }
        // The last complete subtree of the earlier tree, unless it is the whole earlier tree.
        if from > 0 {
            path.push(cover(from, to));
        }
        path.reverse();
        Ok(Self(path))
    }

    /// The plan of the root of the tree of this size, as a single hash; of an empty tree, no hash.
    #[must_use]
    pub fn root(size: u64) -> Self {
        Self(if size == 0 { Vec::new() } else { vec![cover(0, size)] })
    }

    /// The complete subtrees whose hashes the plan needs.
    pub fn nodes(&self) -> impl Iterator<Item = Node> {
        self.0.iter().flatten().copied()
    }

    /// Makes the proof from the hashes of complete subtrees.
    ///
    /// # Errors
    /// The first error of `hash_of`.
    pub fn gather<E>(
        &self,
        mut hash_of: impl FnMut(Node) -> Result<TreeHash, E>,
    ) -> Result<Vec<TreeHash>, E> {
        let mut proof = Vec::with_capacity(self.0.len());
        for nodes in &self.0 {
            let roots = nodes.iter().map(|node| hash_of(*node)).collect::<Result<Vec<_>, E>>()?;
            proof.extend(fold(&roots));
        }
        Ok(proof)
    }
}

/// The largest power of two smaller than `size`, which is above 1.
fn split(size: u64) -> u64 {
    1 << (size - 1).ilog2()
}

/// The largest complete subtrees that cover the leaves from `from` up to `to`, in order. `from`
/// must be a multiple of the size of each of them, as it is wherever RFC 9162 splits a tree.
fn cover(from: u64, to: u64) -> Vec<Node> {
    let mut nodes = Vec::new();
    let mut at = from;
    while at < to {
        let level = (to - at).ilog2();
        nodes.push(Node { level: u8::try_from(level).unwrap_or(63), index: at >> level });
        at += 1 << level;
    }
    nodes
}
