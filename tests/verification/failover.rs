//! A real streaming standby takes over: one that has everything, and one that was behind.

use std::sync::Arc;

use keyledger_test_servers::nats::{Nats, Version};
use keyledger_test_servers::postgres::Postgres;
use keyledger_test_servers::proxy::{Network, Proxy};
use tempfile::TempDir;

use super::history::{Before, becomes, revoke};
use super::key;
use crate::support::log::{Log, signed};
use crate::support::nats::{assert_chained, assert_once_in_order, messages};
use crate::support::runbook::Section;
use crate::support::wait::until;
use crate::support::{Service, events_of};

/// A primary and its standby, which is asynchronous, behind one address.
struct Servers {
    primary: Postgres,
    standby: Postgres,
    /// What the services connect to.
    address: Proxy,
    /// What the standby connects to.
    replication: Proxy,
}

impl Servers {
    fn start() -> Self {
        let primary = Postgres::start();
        let (address, replication) = (Proxy::start(primary.port()), Proxy::start(primary.port()));
        let standby = Postgres::standby_of(replication.port());
        Self { primary, standby, address, replication }
    }

    /// A new database of the primary, at the common address.
    async fn database(&self) -> String {
        let (port, common) = (self.primary.port(), self.address.port());
        self.primary.database().await.replace(&port.to_string(), &common.to_string())
    }

    /// The commands of the runbook for these servers.
    fn runbook(&self) -> Section {
        Section::of("Fail over to a standby", Arc::new(TempDir::new().unwrap()))
            .set("PRIMARY", &self.primary.url("postgres"))
            .set("STANDBY", &self.standby.url("postgres"))
    }

    /// The primary is gone from one moment to the next, and an operator promotes the standby.
    fn fail_over(&self, mut runbook: Section) {
        self.primary.kill();
        runbook.follow();
        self.address.redirect(self.standby.port());
    }
}

/// Waits until this part has stopped on one of the nodes; tells the line that says so.
async fn stopped(nodes: &[Service], part: &str) -> String {
    let words = format!("{part} stopped");
    until(format!("{words:?} of a node"), async || {
        let outputs: Vec<_> = nodes.iter().map(Service::output).collect();
        let mut lines = outputs.iter().flat_map(|output| output.lines());
        match lines.find(|line| line.contains(&words)) {
            Some(line) => Ok(line.to_owned()),
            None => Err("no node has said so"),
        }
    })
    .await
}

/// With `is_read_behind`, the read tables and the tree are on the same servers.
async fn a_standby_that_was_behind_is_told_from_the_former_primary(is_read_behind: bool) {
    let servers = Servers::start();
    let read = match is_read_behind {
        true => servers.database().await,
        false => Postgres::shared().database().await,
    };
    let nats = Nats::start(Version::Current);
    let log = Log::in_databases(servers.database().await, read);
    let node = || log.node().set("KEYLEDGER_NATS_URL", &nats.url());
    let nodes = [node().start().ready().await, node().start().ready().await];
    let before = Before::on(&nodes[0]).await;
    servers.primary.is_replayed_by(&servers.standby).await;
    servers.replication.set(Network::Cut);
    let lost = async || {
        let published = messages(&nats, 7).await;
        signed(&nodes[0], 7).await;
        servers.fail_over(servers.runbook().skip(2));
        published
    };
    let mut published = Vec::new();
    before.goes_on_after(&nodes, async || published = lost().await).await;
    // What was given away cannot be taken back: a person has to decide.
    let last = published.last().unwrap().header("Nats-Msg-Id").to_owned();
    let relay = stopped(&nodes, "relay").await;
    assert!(relay.contains("which the journal does not have: the journal was"), "{relay}");
    assert!(relay.contains(&last) && relay.contains("relay adopt"), "{relay}");
    let tree = stopped(&nodes, "tree").await;
    let event = format!("tree includes event {last} at position {}", published[6].position());
    let cause =
        if is_read_behind { "does not continue the last checkpoint, of 7 events" } else { &event };
    assert!(tree.contains(cause), "{tree}");
    for node in &nodes {
        node.stranger().get("/readyz").await.expect_status(200);
    }
}

#[keyledger_bounded::test]
async fn a_standby_that_was_behind_is_told_from_the_former_primary_by_tables_elsewhere() {
    a_standby_that_was_behind_is_told_from_the_former_primary(false).await;
}

#[keyledger_bounded::test]
async fn a_standby_that_was_behind_is_told_from_the_former_primary_although_the_tables_are_too() {
    a_standby_that_was_behind_is_told_from_the_former_primary(true).await;
}

#[keyledger_bounded::test]
async fn nothing_alarms_when_a_standby_that_has_everything_takes_over() {
    let servers = Servers::start();
    let nats = Nats::start(Version::Current);
    let log = Log::in_databases(servers.database().await, servers.database().await);
    let mut runbook = servers.runbook();
    runbook.follow();
    runbook.follow_until("1");
    let node = || log.node().set("KEYLEDGER_NATS_URL", &nats.url());
    let nodes = [node().start().ready().await, node().start().ready().await];
    let (revoked, kept) = (key(&nodes[0]).await, key(&nodes[0]).await);
    revoke(&nodes[0], &revoked).await;
    signed(&nodes[0], 3).await;
    messages(&nats, 3).await;
    servers.fail_over(runbook);
    // Until the new primary is reached, creations are refused.
    until("a creation", async || {
        let body = serde_json::json!({ "name": "after" });
        let answer = nodes[0].user("ann").post("/keys", &body).await;
        if answer.status == 200 { Ok(()) } else { Err(answer) }
    })
    .await;
    for node in &nodes {
        node.readiness_is(200).await;
        becomes(&node.gateway(), &revoked, "REVOKED").await;
        becomes(&node.gateway(), &kept, "VALID").await;
        assert_eq!(node.metric("keyledger_history_changes_total").await, Some(0));
    }
    let events = events_of(&log.journal).await;
    let published = messages(&nats, events.len()).await;
    assert_once_in_order(&published);
    assert_chained(&published);
    signed(&nodes[0], u64::try_from(events.len()).unwrap()).await;
    for node in &nodes {
        node.part_is("relay", "ready").await;
        node.part_is("tree", "ready").await;
        assert!(!node.output().contains("history has changed"), "{}", node.output());
    }
}
