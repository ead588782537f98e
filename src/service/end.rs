//! What is done before the process ends, each within its time.

use std::sync::OnceLock;
use std::time::Duration;

use keyledger_projections::{Lease, ReadTables};
use keyledger_verifier::Verification;
use tokio::time::{Instant, timeout, timeout_at};

use super::node::Node;
use crate::node::readiness::Part;
use crate::node::tasks::{self, LogFollower};
use keyledger_domain::chain;

/// How long it may take to give a lease back, and to record last uses.
const GIVE_BACK: Duration = Duration::from_secs(1);
const LAST_FLUSH: Duration = Duration::from_millis(1_500);
/// How long it may take to sign the last checkpoint and to publish it.
const LAST_CHECKPOINT: Duration = Duration::from_millis(1_500);

/// Records the uses that are not recorded yet.
pub(super) async fn record_last_uses(verification: &OnceLock<Verification>, tables: &ReadTables) {
    match timeout(LAST_FLUSH, tasks::record_now(verification, tables)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(cause = %chain(&error), "last uses are not recorded"),
        Err(_) => tracing::warn!("last uses are not recorded: that took too long"),
    }
}

/// Signs what has happened since the last checkpoint, and publishes it.
pub(super) async fn sign_last(node: &Node, log: &LogFollower, lease: &Lease) {
    let end = Instant::now() + LAST_CHECKPOINT;
    let health = node.health(Part::Tree);
    let signing = tasks::sign_last(log, &*node.journal, lease, &health);
    match timeout_at(end, signing).await {
        Ok(false) => {}
        Ok(true) => {
            let Some(publisher) = &log.publisher else { return };
            if timeout_at(end, publisher.publish_rest()).await.is_err() {
                tracing::warn!("the last checkpoint is not published: that took too long");
            }
        }
        Err(_) => tracing::warn!("no last checkpoint is signed: that took too long"),
    }
}

/// Gives leases back, so that other nodes need not wait for their end.
pub(super) async fn give_back(leases: impl IntoIterator<Item = Lease>) {
    for lease in leases {
        match timeout(GIVE_BACK, lease.release()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "a lease could not be given back"),
            Err(_) => tracing::debug!("a lease could not be given back in time"),
        }
    }
}
