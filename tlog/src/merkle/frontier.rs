//! The frontier of a tree: the hashes that are needed to append leaves.

use serde::{Deserialize, Serialize};

use super::{Node, TreeHash};

/// A tree of any size, represented by the roots of its complete subtrees, largest first: at most 64
/// hashes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Parts", into = "Parts")]
pub struct Frontier {
    size: u64,
    roots: Vec<TreeHash>,
}

/// The number of hashes does not fit a tree of this size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a tree of {size} leaves has {expected} complete subtrees, not {found}")]
pub struct FrontierError {
    /// The number of leaves.
    pub size: u64,
    /// The number of complete subtrees of a tree of this size.
    pub expected: u32,
    /// The number of hashes that were given.
    pub found: usize,
}

/// The tree has the maximum number of leaves, 2^64 - 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the tree is full")]
pub struct TreeFull;

impl Frontier {
    /// The tree of this size whose complete subtrees have these roots, largest first.
    ///
    /// # Errors
    /// [`FrontierError`] unless the number of roots is the number of ones in the binary form of the
    /// size.
    pub fn from_parts(size: u64, roots: Vec<TreeHash>) -> Result<Self, FrontierError> {
        let expected = size.count_ones();
        if usize::try_from(expected) == Ok(roots.len()) {
            Ok(Self { size, roots })
        } else {
            Err(FrontierError { size, expected, found: roots.len() })
        }
    }

    /// The number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The roots of the complete subtrees, largest first.
    #[must_use]
    pub fn roots(&self) -> &[TreeHash] {
        &self.roots
    }

    /// Appends a leaf.
    ///
    /// # Errors
    /// [`TreeFull`] at 2^64 - 1 leaves.
    pub fn append(&mut self, leaf: TreeHash) -> Result<(), TreeFull> {
        self.append_with(leaf, |_, _| ())
    }

    /// Appends a leaf. Calls `completed` with each subtree that the leaf completes: first the leaf
    /// itself, then those above it.
    ///
    /// # Errors
    /// [`TreeFull`] at 2^64 - 1 leaves; `completed` is then not called.
    pub fn append_with(
        &mut self,
        leaf: TreeHash,
        mut completed: impl FnMut(Node, TreeHash),
    ) -> Result<(), TreeFull> {
        let grown = self.size.checked_add(1).ok_or(TreeFull)?;
        let mut node = Node { level: 0, index: self.size };
        let mut hash = leaf;
        completed(node, hash);
        // Each trailing one in the binary form of the size is a subtree that now gets its right
        // sibling.
        while !node.index.is_multiple_of(2) {
            let Some(left) = self.roots.pop() else { break };
            node = Node { level: node.level.saturating_add(1), index: node.index / 2 };
            hash = TreeHash::node(left, hash);
            completed(node, hash);
        }
        self.roots.push(hash);
        self.size = grown;
        Ok(())
    }

    /// The root of the tree.
    #[must_use]
    pub fn root(&self) -> TreeHash {
        fold(&self.roots).unwrap_or_else(TreeHash::empty)
    }
}

/// The root over neighbouring complete subtrees, largest first; `None` if there are none.
pub(super) fn fold(roots: &[TreeHash]) -> Option<TreeHash> {
    roots.iter().rev().copied().reduce(|right, left| TreeHash::node(left, right))
}

/// The root of the tree with these leaves.
#[must_use]
pub fn root_of(leaves: impl IntoIterator<Item = TreeHash>) -> TreeHash {
    let mut frontier = Frontier::default();
    for leaf in leaves {
        // An iterator does not yield 2^64 hashes.
        let _ = frontier.append(leaf);
    }
    frontier.root()
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parts {
    size: u64,
    roots: Vec<TreeHash>,
}

impl TryFrom<Parts> for Frontier {
    type Error = FrontierError;

    fn try_from(parts: Parts) -> Result<Self, Self::Error> {
        Self::from_parts(parts.size, parts.roots)
    }
}

impl From<Frontier> for Parts {
    fn from(frontier: Frontier) -> Self {
        Self { size: frontier.size, roots: frontier.roots }
    }
}
