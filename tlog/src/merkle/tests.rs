use std::convert::Infallible;
use std::sync::LazyLock;

use keyledger_domain::hex;
use proptest::prelude::*;

use super::*;

/// The test vectors of the reference implementation of Certificate Transparency: the leaves, and
/// the roots over the first 0, 1, … 8 of them.
const INPUTS: [&[u8]; 8] = [
    b"",
    b"\x00",
    b"\x10",
    b"\x20\x21",
    b"\x30\x31",
    b"\x40\x41\x42\x43",
    b"\x50\x51\x52\x53\x54\x55\x56\x57",
    b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
];
const ROOTS: [&str; 9] = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

fn long(number: usize) -> u64 {
    u64::try_from(number).unwrap()
}

/// A tree with all its complete subtrees, which include those of every smaller tree.
struct Tree {
    leaves: Vec<TreeHash>,
    levels: Vec<Vec<TreeHash>>,
}

impl Tree {
    fn of(leaves: Vec<TreeHash>) -> Self {
        let mut levels: Vec<Vec<TreeHash>> = Vec::new();
        let mut frontier = Frontier::default();
        for leaf in &leaves {
            let completed = |node: Node, hash| {
                let level = usize::from(node.level);
                levels.resize_with(levels.len().max(level + 1), Vec::new);
                assert_eq!(node.index, long(levels[level].len()));
                levels[level].push(hash);
            };
            frontier.append_with(*leaf, completed).unwrap();
        }
        Self { leaves, levels }
    }

    fn published() -> Self {
        Self::of(INPUTS.map(TreeHash::leaf).to_vec())
    }

    fn gather(&self, plan: &Plan) -> Vec<TreeHash> {
        let node = |node: Node| -> Result<_, Infallible> {
            Ok(self.levels[usize::from(node.level)][usize::try_from(node.index).unwrap()])
        };
        plan.gather(node).unwrap()
    }

    fn root(&self, size: u64) -> TreeHash {
        self.gather(&Plan::root(size)).first().copied().unwrap_or_else(TreeHash::empty)
    }

    fn inclusion(&self, index: u64, size: u64) -> Vec<TreeHash> {
        self.gather(&Plan::inclusion(index, size).unwrap())
    }

    fn consistency(&self, earlier: u64, later: u64) -> Vec<TreeHash> {
        self.gather(&Plan::consistency(earlier, later).unwrap())
    }

    fn leaf(&self, index: u64) -> TreeHash {
        self.leaves[usize::try_from(index).unwrap()]
    }
}

const LARGEST: u64 = 10_000;
static TREE: LazyLock<Tree> = LazyLock::new(|| {
    Tree::of((0..LARGEST).map(|number| TreeHash::leaf(&number.to_be_bytes())).collect())
});

/// The definition in RFC 6962, section 2.1, written as a recursion.
fn defined_root(leaves: &[TreeHash]) -> TreeHash {
    match leaves {
        [] => TreeHash::empty(),
        [leaf] => *leaf,
        _ => {
            let mut split = 1;
            while split * 2 < leaves.len() {
                split *= 2;
            }
            TreeHash::node(defined_root(&leaves[..split]), defined_root(&leaves[split..]))
        }
    }
}

fn flip(hash: TreeHash, bit: u8) -> TreeHash {
    let mut bytes = *hash.as_bytes();
    bytes[usize::from(bit / 8)] ^= 1 << (bit % 8);
    TreeHash::from(bytes)
}

/// Small changes of a proof.
fn mutations(proof: &[TreeHash], root: TreeHash, at: usize, bit: u8) -> Vec<Vec<TreeHash>> {
    let mut changed = vec![[proof, &[root]].concat(), [&[root], proof].concat()];
    if !proof.is_empty() {
        let at = at % proof.len();
        let mut flipped = proof.to_vec();
        flipped[at] = flip(flipped[at], bit);
        let mut shorter = proof.to_vec();
        shorter.remove(at);
        let mut doubled = proof.to_vec();
        doubled.insert(at, proof[at]);
        changed.extend([flipped, shorter, doubled, Vec::new()]);
        let mut turned = proof.to_vec();
        turned.rotate_left(1);
        if turned != proof {
            changed.push(turned);
        }
    }
    changed
}

#[test]
fn the_roots_are_those_that_are_published() {
    let tree = Tree::published();
    for (size, root) in ROOTS.iter().enumerate() {
        assert_eq!(hex(tree.root(long(size)).as_bytes()), *root);
        assert_eq!(root_of(tree.leaves[..size].iter().copied()), tree.root(long(size)));
    }
}

#[test]
fn the_proofs_are_those_that_are_published() {
    let tree = Tree::published();
    let text = |proof: Vec<TreeHash>| proof.iter().map(|h| hex(h.as_bytes())).collect::<Vec<_>>();
    let first_of_8 = [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ];
    assert_eq!(text(tree.inclusion(0, 8)), first_of_8);
    assert_eq!(text(tree.consistency(1, 8)), first_of_8);
    let sixth_of_8 = [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ];
    assert_eq!(text(tree.inclusion(5, 8)), sixth_of_8);
    let six_to_8 = [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ];
    assert_eq!(text(tree.consistency(6, 8)), six_to_8);
    let two_to_5 = [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ];
    assert_eq!(text(tree.consistency(2, 5)), two_to_5);
}

#[test]
fn every_proof_of_every_small_tree_verifies() {
    for size in 1..=40 {
        let root = TREE.root(size);
        for index in 0..size {
            let proof = TREE.inclusion(index, size);
            assert_eq!(verify_inclusion(TREE.leaf(index), index, size, &proof, root), Ok(()));
        }
        for earlier in 0..=size {
            let proof = TREE.consistency(earlier, size);
            let past = (earlier, TREE.root(earlier));
            assert_eq!(verify_consistency(past, (size, root), &proof), Ok(()), "{past:?} {size}");
        }
    }
}

#[test]
fn what_cannot_be_is_neither_proven_nor_planned() {
    let root = TREE.root(4);
    let impossible = Err(WrongProof::Impossible);
    assert_eq!(verify_inclusion(root, 0, 0, &[], root), impossible);
    assert_eq!(verify_inclusion(root, 4, 4, &[], root), impossible);
    assert_eq!(verify_consistency((5, root), (4, root), &[]), impossible);
    assert_eq!(verify_consistency((0, root), (4, root), &[]), Err(WrongProof::Root));
    assert_eq!(verify_consistency((4, TREE.root(3)), (4, root), &[]), Err(WrongProof::Root));
    assert_eq!(verify_consistency((4, root), (4, root), &[root]), Err(WrongProof::Length));
    assert!(Plan::inclusion(4, 4).is_err());
    assert!(Plan::consistency(5, 4).is_err());
    assert!(verify_inclusion(root, u64::MAX - 1, u64::MAX, &[root; 64], root).is_err());
    assert!(verify_consistency((u64::MAX - 1, root), (u64::MAX, root), &[root; 70]).is_err());
}

#[test]
fn a_frontier_survives_being_stored() {
    let mut frontier = Frontier::default();
    for index in 0..1_000 {
        let json = serde_json::to_string(&frontier).unwrap();
        assert_eq!(serde_json::from_str::<Frontier>(&json).unwrap(), frontier);
        let (size, roots) = (frontier.size(), frontier.roots().to_vec());
        assert_eq!(Frontier::from_parts(size, roots), Ok(frontier.clone()));
        frontier.append(TREE.leaf(index)).unwrap();
    }
    assert!(Frontier::from_parts(3, vec![TREE.leaf(0)]).is_err());
    let full = vec![TREE.leaf(0); 64];
    assert_eq!(Frontier::from_parts(u64::MAX, full).unwrap().append(TREE.leaf(0)), Err(TreeFull));
}

#[test]
fn tiles_hold_every_node_of_a_tree() {
    for level in 0..TREE.levels.len() {
        for (index, hash) in TREE.levels[level].iter().enumerate() {
            let node = Node { level: u8::try_from(level).unwrap(), index: long(index) };
            let tile = Tile::of(node);
            let hashes = &TREE.levels[usize::from(tile.level) * 8];
            let from = usize::try_from(tile.index).unwrap() * 256;
            let width = usize::from(tile.width_at(LARGEST));
            assert_eq!(tile.hash_of(node, &hashes[from..from + width]), Ok(*hash), "{node:?}");
        }
    }
    let beyond = Node { level: 0, index: 15 };
    assert!(Tile::of(beyond).hash_of(beyond, &TREE.leaves[..15]).is_err());
}

#[test]
fn tiles_have_the_widths_and_paths_of_their_specification() {
    let tile = Tile { level: 0, index: 1_234_067 };
    assert_eq!(tile.path(256), "tile/0/x001/x234/067");
    assert_eq!(Tile { level: 1, index: 0 }.path(8), "tile/1/000.p/8");
    let widths = [(0, 273), (1, 273), (2, 273)].map(|(index, size)| {
        (Tile { level: 0, index }.width_at(size), Tile { level: 1, index }.width_at(size))
    });
    assert_eq!(widths, [(256, 1), (17, 0), (0, 0)]);
    assert_eq!(Tile { level: 0, index: u64::MAX }.width_at(u64::MAX), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_root_is_what_the_definition_says(size in 0..300_usize, from in 0..9_000_usize) {
        let leaves = &TREE.leaves[from..from + size];
        let defined = defined_root(leaves);
        prop_assert_eq!(root_of(leaves.iter().copied()), defined);
    }

    #[test]
    fn inclusion_proofs_verify_and_mutated_ones_never_do(
        (index, size) in (1..=LARGEST).prop_flat_map(|size| (0..size, Just(size))),
        at in any::<usize>(), bit in any::<u8>(), other in 0..LARGEST,
    ) {
        let (leaf, root) = (TREE.leaf(index), TREE.root(size));
        let proof = TREE.inclusion(index, size);
        prop_assert_eq!(verify_inclusion(leaf, index, size, &proof, root), Ok(()));
        for wrong in mutations(&proof, root, at, bit) {
            prop_assert!(verify_inclusion(leaf, index, size, &wrong, root).is_err());
        }
        prop_assert!(verify_inclusion(flip(leaf, bit), index, size, &proof, root).is_err());
        prop_assert!(verify_inclusion(leaf, index, size, &proof, flip(root, bit)).is_err());
        if other != index {
            prop_assert!(verify_inclusion(leaf, other, size, &proof, root).is_err());
            prop_assert!(verify_inclusion(TREE.leaf(other), index, size, &proof, root).is_err());
        }
        if other + 1 != size {
            let other = other + 1;
            prop_assert!(verify_inclusion(leaf, index, other, &proof, TREE.root(other)).is_err());
        }
    }

    #[test]
    fn consistency_proofs_verify_and_mutated_ones_never_do(
        (earlier, later) in (2..=LARGEST).prop_flat_map(|later| (1..later, Just(later))),
        at in any::<usize>(), bit in any::<u8>(), other in 1..LARGEST,
    ) {
        let (past, now) = ((earlier, TREE.root(earlier)), (later, TREE.root(later)));
        let proof = TREE.consistency(earlier, later);
        prop_assert_eq!(verify_consistency(past, now, &proof), Ok(()));
        for wrong in mutations(&proof, now.1, at, bit) {
            prop_assert!(verify_consistency(past, now, &wrong).is_err());
        }
        let flipped = |tree: (u64, TreeHash)| (tree.0, flip(tree.1, bit));
        prop_assert!(verify_consistency(flipped(past), now, &proof).is_err());
        prop_assert!(verify_consistency(past, flipped(now), &proof).is_err());
        prop_assert!(verify_consistency(past, (later, past.1), &proof).is_err());
        if other != earlier {
            let otherwise = (other, TREE.root(other));
            prop_assert!(verify_consistency(otherwise, now, &proof).is_err());
        }
        if other != later && other >= earlier {
            let otherwise = (other, TREE.root(other));
            prop_assert!(verify_consistency(past, otherwise, &proof).is_err());
        }
    }
}
