//! The parts that run beside requests, by the roles of this process.

use std::sync::Arc;
use std::time::Duration;

use keyledger_projections::tree::EventTree;
use keyledger_projections::{Duty, Lease};
use rand::RngExt;
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use tokio::sync::Notify;
use tokio::task::{JoinError, JoinSet};
use uuid::Uuid;

use super::end;
use super::node::{Node, Shared};
use crate::config::{AuditSettings, BackgroundSettings, Roles};
use crate::identity::TokenVerifier;
use crate::relay::{self, Checkpoints, NatsSettings, Relay, StreamDiffers, Topic};
use crate::upkeep::{self, IndexUpkeep, ReadSide, TreeUpkeep};

/// The parts that run, and what is to be done in the end.
pub(super) struct Background {
    tasks: JoinSet<()>,
    /// Who this process is among others.
    holder: Uuid,
    lease_period: Duration,
    /// What is given back.
    leases: Vec<Lease>,
    /// What is signed once more.
    tree: Option<Arc<TreeUpkeep>>,
}

impl Background {
    /// Starts them.
    pub(super) async fn start(
        node: &Node,
        roles: Roles,
        settings: BackgroundSettings,
    ) -> Result<Self, StreamDiffers> {
        let mut background = Self {
            tasks: JoinSet::new(),
            holder: uuid::Builder::from_random_bytes(UnwrapErr(SysRng).random()).into_uuid(),
            lease_period: settings.lease_period,
            leases: Vec::new(),
            tree: None,
        };
        background.follow_journal(node, roles, settings.max_staleness);
        if roles.verify {
            background.follow_keys(node, settings.max_staleness, settings.last_used_flush);
        }
        let (audit, nats) = (settings.audit.filter(|_| roles.projector), settings.nats);
        if let Some(nats) = &nats {
            let events = roles.relay.then_some(Topic::Events);
            let checkpoints = audit.as_ref().map(|_| Topic::Checkpoints);
            let topics: Vec<_> = events.into_iter().chain(checkpoints).collect();
            relay::check(nats, &topics).await?;
        }
        if let Some(nats) = nats.clone().filter(|_| roles.relay) {
            background.publish(node, nats);
        }
        if let Some(audit) = audit {
            background.keep_tree(node, audit, nats);
        }
        Ok(background)
    }

    /// The contest for what only one process does at a time.
    fn lease(&mut self, node: &Node, duty: Duty) -> Lease {
        let lease = Lease::new(&node.tables, duty, self.holder, self.lease_period);
        self.leases.push(lease.clone());
        lease
    }

    /// Keeps the read tables level, or waits until whoever does has.
    fn follow_journal(&mut self, node: &Node, roles: Roles, max_staleness: Duration) {
        let Shared { readiness, progress, head, .. } = node.shared.clone();
        let heads = head.subscribe();
        let watching =
            upkeep::watch_journal(node.journal.clone(), max_staleness, head, readiness.clone());
        self.tasks.spawn(watching);
        let read_side = ReadSide {
            journal: node.journal.clone(),
            tables: node.tables.clone(),
            lease: roles.projector.then(|| self.lease(node, Duty::Project)),
            progress,
            readiness,
            head: heads,
        };
        self.tasks.spawn(read_side.keep_level());
    }

    /// Keeps the verification index level, and records when keys were used.
    fn follow_keys(&mut self, node: &Node, max_staleness: Duration, flush: Duration) {
        let Shared { readiness, head, verification, counters, clock, .. } = node.shared.clone();
        let index = IndexUpkeep {
            journal: node.journal.clone(),
            tables: node.tables.clone(),
            verification: verification.clone(),
            max_staleness,
            head: head.subscribe(),
            readiness,
            counters,
            clock,
        };
        self.tasks.spawn(index.keep_level());
        let tables = node.tables.clone();
        self.tasks.spawn(upkeep::record_uses(verification, tables, flush));
    }

    /// Publishes events.
    fn publish(&mut self, node: &Node, nats: NatsSettings) {
        let relay = Relay {
            journal: node.journal.clone(),
            tables: node.tables.clone(),
            lease: self.lease(node, Duty::Relay),
            nats,
            readiness: node.shared.readiness.clone(),
            relayed: node.shared.relayed.clone(),
        };
        self.tasks.spawn(relay.run());
    }

    /// Keeps the tree over all events, signs it, and publishes what is signed.
    fn keep_tree(&mut self, node: &Node, audit: AuditSettings, nats: Option<NatsSettings>) {
        let Shared { readiness, clock, .. } = node.shared.clone();
        let published = nats.map(|nats| Checkpoints {
            nats,
            tree: EventTree::new(&node.tables),
            origin: audit.keys.origin().to_owned(),
            keys: audit.keys.public(),
            readiness: readiness.clone(),
            signed: Notify::new(),
        });
        let upkeep = Arc::new(TreeUpkeep {
            journal: node.journal.clone(),
            tables: node.tables.clone(),
            lease: self.lease(node, Duty::Tree),
            audit,
            published,
            clock,
            readiness,
        });
        self.tree = Some(upkeep.clone());
        self.tasks.spawn(async move { upkeep.keep().await });
    }

    /// Fetches what tokens are checked with.
    pub(super) fn prepare_sign_in(&mut self, verifier: Arc<TokenVerifier>, node: &Node) {
        self.tasks.spawn(upkeep::prepare_sign_in(verifier, node.shared.readiness.clone()));
    }

    /// Waits for a part to panic; parts may end otherwise.
    pub(super) async fn first_defect(&mut self) -> JoinError {
        loop {
            match self.tasks.join_next().await {
                Some(Ok(())) => {}
                Some(Err(panicked)) => return panicked,
                None => std::future::pending().await,
            }
        }
    }

    /// Ends them, and does what is left to do.
    pub(super) async fn stop(mut self, Node { shared, tables, .. }: &Node) {
        self.tasks.shutdown().await;
        let signing = async {
            if let Some(tree) = &self.tree {
                end::sign_last(tree).await;
            }
        };
        tokio::join!(end::record_last_uses(&shared.verification, tables), signing);
        end::give_back(self.leases).await;
    }
}
