//! Several nodes on one database: one signs at a time, and no size ever has two roots.

use std::collections::BTreeMap;
use std::sync::Arc;

use keyledger_projections::ReadTables;
use keyledger_projections::log::LogReader;
use keyledger_test_servers::nats::{Nats, Version};
use keyledger_tlog::{Checkpoint, TreeHash};
use tempfile::TempDir;

use super::publishing::published;
use crate::support::log::{Log, checkpoints_in, signed};
use crate::support::{Service, Setup, latest, took_lease};

/// The part of the service that signs.
const SIGNS: &str = "tree";

/// Nodes that sign the same log, and the folders of all that there ever were.
struct Nodes {
    log: Log,
    nats: Nats,
    running: Vec<Service>,
    folders: Vec<Arc<TempDir>>,
    created: u64,
}

impl Nodes {
    async fn start(count: usize, lease_period: &str) -> Self {
        let (log, nats) = (Log::on_postgres(), Nats::start(Version::Current));
        let mut nodes = Self { log, nats, running: vec![], folders: vec![], created: 0 };
        for _ in 0..count {
            nodes.add(lease_period).await;
        }
        nodes
    }

    fn setup(&self, lease_period: &str) -> Setup {
        let setup = self.log.node().set("KEYLEDGER_LEASE_PERIOD", lease_period);
        setup.set("KEYLEDGER_NATS_URL", &self.nats.url())
    }

    async fn add(&mut self, lease_period: &str) {
        let node = self.setup(lease_period).start().ready().await;
        self.folders.push(node.folder());
        self.running.push(node);
    }

    /// Creates this many keys, on each node in turn.
    async fn create(&mut self, count: usize) {
        for number in 0..count {
            self.running[number % self.running.len()].user("ann").create("k").await;
            self.created += 1;
        }
    }

    /// Waits until this node tells of a checkpoint that includes every event.
    async fn signed(&self, node: usize) {
        signed(&self.running[node], self.created).await;
    }

    /// Which node was the last to say that it signs.
    fn signer(&self) -> usize {
        latest(&self.running, SIGNS)
    }

    /// Checks that all notes of one size have one root, that this is the root of the stored tree, and
    /// that notes were published in order. Tells how often each size was signed.
    async fn assert_one_history(&self) -> BTreeMap<u64, usize> {
        let key = [self.log.key.parse().unwrap()];
        let notes = self.folders.iter().flat_map(|folder| checkpoints_in(folder.path()));
        let (mut roots, mut times) = (BTreeMap::<u64, TreeHash>::new(), BTreeMap::new());
        for note in notes {
            let Checkpoint { size, root, .. } = Checkpoint::open(&note, &key).unwrap();
            assert_eq!(*roots.entry(size).or_insert(root), root, "two roots for {size}");
            *times.entry(size).or_default() += 1;
        }
        let tree = LogReader::new(&ReadTables::open(&self.log.read).await.unwrap());
        for (size, root) in &roots {
            assert_eq!(tree.root_at(*size).await.unwrap(), *root);
        }
        let published = published(&self.nats, self.created).await;
        let published: Vec<_> =
            published.iter().map(|note| Checkpoint::open(note, &key).unwrap()).collect();
        assert!(published.is_sorted_by(|one, next| one.size < next.size), "{published:?}");
        for Checkpoint { size, root, .. } in published {
            assert_eq!(roots.get(&size), Some(&root));
        }
        times
    }
}

#[keyledger_bounded::test]
async fn of_two_nodes_one_signs_and_each_size_once() {
    let mut nodes = Nodes::start(2, "5s").await;
    for _ in 0..3 {
        nodes.create(20).await;
        nodes.signed(0).await;
        nodes.signed(1).await;
    }
    let times = nodes.assert_one_history().await;
    assert!(times.len() >= 3 && times.values().all(|times| *times == 1), "{times:?}");
    let signing = nodes.folders.iter().filter(|folder| !checkpoints_in(folder.path()).is_empty());
    assert_eq!(signing.count(), 1, "the other one signs nothing");
}

#[keyledger_bounded::test]
async fn a_signer_that_is_killed_is_replaced_and_no_size_has_two_roots() {
    let mut nodes = Nodes::start(2, "500ms").await;
    let mut signing = 0;
    for _ in 0..6 {
        nodes.create(10).await;
        let signer = nodes.signer();
        signing += usize::from(took_lease(&nodes.running[signer], SIGNS).is_some());
        // At a moment when what was created may be signed or not.
        nodes.running.remove(signer).kill();
        nodes.create(10).await;
        nodes.signed(0).await;
        nodes.add("500ms").await;
    }
    assert!(signing >= 5, "{signing}");
    nodes.assert_one_history().await;
}

#[keyledger_bounded::test]
async fn a_signer_that_was_paused_signs_nothing_in_the_term_of_another() {
    let mut nodes = Nodes::start(2, "300ms").await;
    for _ in 0..4 {
        nodes.create(10).await;
        nodes.signed(0).await;
        let signer = nodes.signer();
        nodes.running[signer].signal("STOP");
        let other = 1 - signer;
        nodes.running[other].user("ann").create("while it sleeps").await;
        nodes.created += 1;
        nodes.signed(other).await;
        nodes.running[signer].signal("CONT");
        nodes.create(10).await;
    }
    nodes.signed(0).await;
    let times = nodes.assert_one_history().await;
    assert!(times.values().all(|times| *times == 1), "{times:?}");
}
