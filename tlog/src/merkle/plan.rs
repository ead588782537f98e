//! Which hashes a proof is made of.
//!
//! A tree is stored as the hashes of its complete subtrees, which never change. A plan names those
//! that a proof needs before any is read, so that a store of any kind can fetch them at once.

use super::TreeHash;
use super::frontier::fold;

/// A complete subtree: of the leaves `index * 2^level` up to `(index + 1) * 2^level`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node {
    /// How far above the leaves its root is, up to 63.
    pub level: u8,
    /// Its place among the subtrees of this level.
    pub index: u64,
}

/// Why there is no such proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The tree has no leaf with this index.
    #[error("a tree of {size} leaves has no leaf {index}")]
    NoSuchLeaf {
        /// The leaf.
        index: u64,
        /// The tree.
        size: u64,
    },
    /// The earlier tree is larger than the later one.
    #[error("a tree of {later} leaves does not continue one of {earlier}")]
    NoSuchPast {
        /// The size of the tree that is to be continued.
        earlier: u64,
        /// The size of the tree that is to continue it.
        later: u64,
    },
}

/// The hashes of a proof, each the root over one or more neighbouring complete subtrees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan(Vec<Vec<Node>>);

impl Plan {
    /// The proof that the tree of this size has a leaf at this index (RFC 9162, 2.1.3.1).
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

    /// The proof that the later tree begins with the leaves of the earlier (RFC 9162, 2.1.4.1).
    /// Nothing needs proof of an empty tree or of the same one.
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
        // The subtree that ends where the earlier tree does, unless that is the earlier tree.
        if from > 0 {
            path.push(cover(from, to));
        }
        path.reverse();
        Ok(Self(path))
    }

    /// The root of the tree of this size, as the one hash of its plan; no hash of no leaves.
    #[must_use]
    pub fn root(size: u64) -> Self {
        Self(if size == 0 { Vec::new() } else { vec![cover(0, size)] })
    }

    /// The complete subtrees whose hashes are needed.
    pub fn nodes(&self) -> impl Iterator<Item = Node> {
        self.0.iter().flatten().copied()
    }

    /// The proof, by the hashes of complete subtrees.
    ///
    /// # Errors
    /// Whatever keeps a hash from being had.
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

/// The largest power of two that is smaller than a number above 1.
fn split(size: u64) -> u64 {
    1 << (size - 1).ilog2()
}

/// The largest complete subtrees that cover these leaves, in their order. `from` is a multiple of
/// every one's size, as it is wherever RFC 9162 splits a tree.
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
