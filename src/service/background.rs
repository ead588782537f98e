//! Starts and stops the background tasks that the roles of this process need.

use std::sync::Arc;
use std::time::Duration;

use keyledger_projections::log::LogReader;
use keyledger_projections::{Lease, LeaseName};
use rand::RngExt;
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use tokio::sync::{Notify, mpsc};
use tokio::task::{JoinError, JoinSet};
use uuid::Uuid;

use super::addresses::take_addresses;
use super::end;
use super::node::{Node, Shared};
use super::sign_in::prepare_sign_in;
use crate::config::{BackgroundSettings, Roles};
use keyledger_commands::Commands;
use keyledger_domain::Clock;
use keyledger_http::{Owners, SignIn, SignIns};
use keyledger_identity::TokenVerifier;
use keyledger_journal::Journal;
use keyledger_node::readiness::Part;
use keyledger_node::tasks::{
    self, IndexFollower, LogFollower, LogSettings, Publisher, TablesFollower,
};
use keyledger_node::{Follower, Following, LeaseClaims, Progress, ReportedAppends, supervise};
use keyledger_relay::nats::{
    self, CheckpointPublisher, CheckpointSource, EventRelay, NatsSettings, StreamDiffers, Topic,
};

/// The running background tasks, and what is needed to stop them.
pub(super) struct Background {
    tasks: JoinSet<()>,
    /// The id of this process as a holder of leases.
    holder: Uuid,
    lease_period: Duration,
    /// The leases to release at the end.
    leases: Vec<Lease>,
    /// The follower that signs the last checkpoint, and its lease; `None` if this process does not sign.
    log: Option<(LogFollower, Lease)>,
}

impl Background {
    /// Starts the tasks. Fails if a stream of NATS has a wrong configuration.
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
            log: None,
        };
        background.follow_tables(node, roles, settings.max_staleness);
        if roles.verify {
            background.follow_keys(node, settings.max_staleness, settings.last_used_flush);
        }
        let (log, nats) = (settings.log.filter(|_| roles.projector), settings.nats);
        if let Some(nats) = &nats {
            let events = roles.relay.then_some(Topic::Events);
            let checkpoints = log.as_ref().map(|_| Topic::Checkpoints);
            let topics: Vec<_> = events.into_iter().chain(checkpoints).collect();
            nats::check(nats, &topics).await?;
        }
        if let Some(nats) = nats.clone().filter(|_| roles.relay) {
            background.publish(node, nats);
        }
        if let Some(log) = log {
            background.keep_log(node, log, nats);
        }
        Ok(background)
    }

    /// This process's claim to a lease, which is released at the end.
    fn lease(&mut self, node: &Node, name: LeaseName) -> Lease {
        let lease = Lease::new(&node.tables, name, self.holder, self.lease_period);
        self.leases.push(lease.clone());
        lease
    }

    /// Starts a supervised follower of the journal.
    fn follow(
        &mut self,
        node: &Node,
        follower: impl Follower + 'static,
        progress: Progress,
        lease: Option<Lease>,
        part: Part,
    ) {
        let history = node.shared.history.clone();
        let following = Following::new(follower, node.journal.clone(), progress, history);
        let lease = lease.map(|lease| -> Arc<dyn LeaseClaims> { Arc::new(lease) });
        self.tasks.spawn(supervise(following, lease, node.health(part)));
    }

    /// Applies events to the read tables or, without the role, watches the position that they include.
    /// Watches the journal's head too.
    fn follow_tables(&mut self, node: &Node, roles: Roles, max_staleness: Duration) {
        let Shared { history, ask, clock, head, .. } = node.shared.clone();
        let heads = head.subscribe();
        let (journal, health) = (node.journal.clone(), node.health(Part::Journal));
        self.tasks.spawn(tasks::watch_head(journal, max_staleness, clock, ask, head, health));
        let (tables, part) = (node.tables.clone(), Part::ReadTables);
        if roles.projector {
            let progress = history.tables().clone();
            let follower = TablesFollower::new(tables, heads, node.journal.clone(), history);
            let lease = self.lease(node, LeaseName::Project);
            self.follow(node, follower, progress, Some(lease), part);
        } else {
            let (journal, health) = (node.journal.clone(), node.health(part));
            self.tasks.spawn(tasks::watch_tables(tables, journal, history, heads, health));
        }
    }

    /// Applies events to the verification index, proves its freshness, and records last uses of keys.
    fn follow_keys(&mut self, node: &Node, max_staleness: Duration, flush: Duration) {
        let Shared { head, history, ask, counters, clock, .. } = node.shared.clone();
        let (tables, journal) = (node.tables.clone(), node.journal.clone());
        let (metrics, of_index) = (counters.index, clock.clone());
        let follower =
            IndexFollower::new(tables.clone(), history.clone(), ask, journal, metrics, of_index);
        self.follow(node, follower, history.verified().clone(), None, Part::Verification);
        let (heads, health) = (head.subscribe(), node.health(Part::Verification));
        self.tasks.spawn(tasks::prove(history.clone(), heads, clock, max_staleness, health));
        self.tasks.spawn(tasks::record_uses(history, tables, flush));
    }

    /// Publishes events to NATS.
    fn publish(&mut self, node: &Node, nats: NatsSettings) {
        let Shared { relayed, missing, .. } = node.shared.clone();
        let (journal, tables) = (node.journal.clone(), node.tables.clone());
        let relay = EventRelay::new(nats, journal, tables, relayed, missing);
        let lease = self.lease(node, LeaseName::Relay);
        self.follow(node, relay, Progress::default(), Some(lease), Part::Relay);
    }

    /// Appends events to the transparency log, signs checkpoints and, with NATS, publishes them.
    fn keep_log(&mut self, node: &Node, settings: LogSettings, nats: Option<NatsSettings>) {
        let signed = Arc::new(Notify::new());
        let source = nats.map(|nats| CheckpointSource {
            nats,
            tree: LogReader::new(&node.tables),
            origin: settings.keys.origin().to_owned(),
            keys: settings.keys.public(),
            signed: signed.clone(),
        });
        let health = node.health(Part::Checkpoints);
        let publisher = source.map(|source| -> Arc<dyn Publisher> {
            Arc::new(CheckpointPublisher::new(source, health))
        });
        let follower = LogFollower {
            tables: node.tables.clone(),
            settings: Arc::new(settings),
            publisher,
            signed,
            clock: node.shared.clock.clone(),
            writer: None,
            is_checked: false,
        };
        let lease = self.lease(node, LeaseName::Tree);
        self.log = Some((follower.afresh(), lease.clone()));
        self.follow(node, follower, Progress::default(), Some(lease), Part::Tree);
    }

    /// Reports whether the journal takes appends.
    pub(super) fn report_appends(
        &mut self,
        journal: Arc<dyn Journal>,
        node: &Node,
    ) -> Arc<ReportedAppends> {
        let failures = node.shared.counters.append_failures.clone();
        let appends = ReportedAppends::new(journal, node.health(Part::Appends), failures);
        let appends = Arc::new(appends);
        let probed = appends.clone();
        self.tasks.spawn(async move { probed.probe_after_failures().await });
        appends
    }

    /// Fetches the keys that verify sign-in tokens.
    pub(super) fn prepare_sign_in(&mut self, verifier: Arc<TokenVerifier>, node: &Node) {
        self.tasks.spawn(prepare_sign_in(verifier, node.health(Part::SignIn)));
    }

    /// Takes over addresses of owners that have changed at the identity provider.
    pub(super) fn take_addresses(
        &mut self,
        waiting: mpsc::Receiver<SignIn>,
        sign_ins: SignIns,
        owners: Owners,
        commands: Arc<Commands>,
        clock: Arc<dyn Clock>,
    ) {
        self.tasks.spawn(take_addresses(waiting, sign_ins, owners, commands, clock));
    }

    /// Waits until a task panics. Tasks that end without a panic are ignored.
    pub(super) async fn first_defect(&mut self) -> JoinError {
        loop {
            match self.tasks.join_next().await {
                Some(Ok(())) => {}
                Some(Err(panicked)) => return panicked,
                None => std::future::pending().await,
            }
        }
    }

    /// Ends the tasks, then records last uses, signs the last checkpoint and releases the leases.
    pub(super) async fn stop(mut self, node: &Node) {
        self.tasks.shutdown().await;
        let signing = async {
            if let Some((log, lease)) = &self.log {
                end::sign_last(node, log, lease).await;
            }
        };
        tokio::join!(end::record_last_uses(&node.shared.history, &node.tables), signing);
        end::give_back(self.leases).await;
    }
}
