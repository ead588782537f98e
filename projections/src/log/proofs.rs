//! Proofs of the stored tree. Each is checked before it is returned, so that a damaged tree proves
//! nothing instead of something wrong.

use super::walk::Tiles;
use super::{LogReadError, LogReader};
use keyledger_tlog::merkle::{
    Node, Plan, PlanError, TILE_WIDTH, Tile, TreeHash, WrongProof, root_of, verify_consistency,
    verify_inclusion,
};

/// A proof that the tree has a leaf (RFC 9162, 2.1.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InclusionProof {
    /// The hash of the leaf.
    pub leaf: TreeHash,
    /// The hashes of the proof.
    pub path: Vec<TreeHash>,
    /// The root that the proof leads to.
    pub root: TreeHash,
}

/// A proof that a tree continues an earlier one (RFC 9162, 2.1.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsistencyProof {
    /// The root of the earlier tree.
    pub from_root: TreeHash,
    /// The root of the later tree.
    pub to_root: TreeHash,
    /// The hashes of the proof.
    pub path: Vec<TreeHash>,
}

impl LogReader {
    /// Proves that the tree of this size has the leaf at this index. The proof leads to the root of
    /// the stored tree and, through it, to that of the last signed checkpoint.
    ///
    /// Reads at most about 20 tiles of 8 KiB, each once.
    ///
    /// # Errors
    /// Every variant of [`LogReadError`].
    pub async fn prove_inclusion(
        &self,
        index: u64,
        size: u64,
    ) -> Result<InclusionProof, LogReadError> {
        let plan = Plan::inclusion(index, size)?;
        let mut tiles = Tiles::new(self.clone());
        let root = self.checked_root(size, &mut tiles).await?;
        let leaf = tiles.hash(Node { level: 0, index }).await?;
        let path = tiles.gather(&plan).await?;
        verify_inclusion(leaf, index, size, &path, root).map_err(|wrong| {
            LogReadError::disproven(format!("the inclusion of leaf {index} in {size}"), wrong)
        })?;
        Ok(InclusionProof { leaf, path, root })
    }

    /// Proves that the tree of size `later` continues that of size `earlier`. Both lead to the root
    /// of the stored tree and, through it, to that of the last signed checkpoint.
    ///
    /// Reads at most about 20 tiles of 8 KiB, each once.
    ///
    /// # Errors
    /// Every variant of [`LogReadError`].
    pub async fn prove_consistency(
        &self,
        earlier: u64,
        later: u64,
    ) -> Result<ConsistencyProof, LogReadError> {
        let plan = Plan::consistency(earlier, later)?;
        let mut tiles = Tiles::new(self.clone());
        let to_root = self.checked_root(later, &mut tiles).await?;
        let from_root = tiles.root(earlier).await?;
        let path = tiles.gather(&plan).await?;
        let (from, to) = ((earlier, from_root), (later, to_root));
        verify_consistency(from, to, &path).map_err(|wrong| {
            LogReadError::disproven(format!("the step from {earlier} to {later}"), wrong)
        })?;
        Ok(ConsistencyProof { from_root, to_root, path })
    }

    /// Checks that full tiles hash to the hash in the tile above them: first those of the highest
    /// level, of each level the newest first. Ends after `most` tiles. Returns the number of checked
    /// tiles.
    ///
    /// # Errors
    /// Every variant of [`LogReadError`].
    pub async fn check_tiles(&self, most: usize) -> Result<usize, LogReadError> {
        let state = self.state().await?;
        let mut above = Tiles::new(self.clone());
        if above.root(state.size).await? != state.root {
            return Err(LogReadError::Damaged("its hashes do not lead to its root".into()));
        }
        let mut checked = 0;
        for level in (0_u8..7).rev() {
            let full = state.size.checked_shr(8 * (u32::from(level) + 1)).unwrap_or(0);
            for index in (0..full).rev() {
                if checked == most {
                    return Ok(checked);
                }
                let tile = Tile { level, index };
                let hashes = self.tile(tile).await?;
                if hashes.len() < usize::from(TILE_WIDTH) {
                    return Err(LogReadError::short(tile));
                }
                let expected = above.hash(Node { level: 8 * (level + 1), index }).await?;
                if root_of(hashes) != expected {
                    let what = format!("tile {level}/{index} does not lead to the hash above it");
                    return Err(LogReadError::Damaged(what));
                }
                checked += 1;
            }
        }
        Ok(checked)
    }

    /// The root of the tree of this size, after a check that the stored tree and the last signed
    /// checkpoint agree with it.
    async fn checked_root(&self, size: u64, tiles: &mut Tiles) -> Result<TreeHash, LogReadError> {
        let signed = self.last_signed().await?;
        let state = self.state().await?;
        if size > state.size {
            return Err(PlanError::NoSuchPast { earlier: size, later: state.size }.into());
        }
        let root = tiles.root(size).await?;
        let signed = signed.map(|signed| (signed.size, signed.root));
        // After a crash of the database, the tree may be behind the checkpoint.
        let signed = signed.filter(|(signed, _)| *signed <= state.size);
        for (known, known_root) in [Some((state.size, state.root)), signed].into_iter().flatten() {
            let (one, other) = ((size, root), (known, known_root));
            let (earlier, later) = if size <= known { (one, other) } else { (other, one) };
            let path = tiles.gather(&Plan::consistency(earlier.0, later.0)?).await?;
            verify_consistency(earlier, later, &path).map_err(|wrong| {
                LogReadError::disproven(
                    format!("the step from {} to {}", earlier.0, later.0),
                    wrong,
                )
            })?;
        }
        Ok(root)
    }
}

impl LogReadError {
    fn disproven(what: String, wrong: WrongProof) -> Self {
        Self::Damaged(format!("{what} cannot be proven: {wrong}"))
    }
}
