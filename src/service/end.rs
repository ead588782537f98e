//! The last steps before the process ends. Each has a time limit.

use std::sync::Arc;
use std::time::Duration;

use keyledger_projections::{Lease, ReadTables};
use tokio::time::{Instant, timeout, timeout_at};

use super::node::Node;
use keyledger_domain::chain;
use keyledger_journal::Journal;
use keyledger_node::History;
use keyledger_node::readiness::Part;
use keyledger_node::tasks::{self, LogFollower};

/// The time limit for releasing one lease.
const GIVE_BACK: Duration = Duration::from_secs(1);
/// The time limit for recording the last uses of keys.
const LAST_FLUSH: Duration = Duration::from_millis(1_500);
/// The time limit for signing the last checkpoint and publishing it, both together.
const LAST_CHECKPOINT: Duration = Duration::from_millis(1_500);

/// The time limit for closing the journal.
const CLOSE: Duration = Duration::from_secs(5);

/// Closes the journal, so that its file can be copied alone.
pub(super) async fn close(appends: Option<Arc<dyn Journal>>) {
    let Some(journal) = appends else { return };
    match timeout(CLOSE, journal.close()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(cause = %chain(&error), "the journal is not closed"),
        Err(_) => tracing::warn!("the journal is not closed: the time limit has passed"),
    }
}

/// Records all uses of keys that are not recorded yet.
pub(super) async fn record_last_uses(history: &History, tables: &ReadTables) {
    match timeout(LAST_FLUSH, tasks::record_now(history, tables)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(cause = %chain(&error), "the last uses are not recorded"),
        Err(_) => tracing::warn!("the last uses are not recorded: the time limit has passed"),
    }
}

/// Signs and publishes a checkpoint with all events since the last one, if this node holds the lease.
pub(super) async fn sign_last(node: &Node, log: &LogFollower, lease: &Lease) {
    let end = Instant::now() + LAST_CHECKPOINT;
    let health = node.health(Part::Tree);
    let signing = tasks::sign_last(log, &*node.journal, lease, &health);
    match timeout_at(end, signing).await {
        Ok(false) => {}
        Ok(true) => {
            let Some(publisher) = &log.publisher else { return };
            if timeout_at(end, publisher.publish_rest()).await.is_err() {
                tracing::warn!("the last checkpoint is not published: the time limit has passed");
            }
        }
        Err(_) => tracing::warn!("the last checkpoint is not signed: the time limit has passed"),
    }
}

/// Releases the leases, so that other nodes need not wait until they expire.
pub(super) async fn give_back(leases: impl IntoIterator<Item = Lease>) {
    for lease in leases {
        match timeout(GIVE_BACK, lease.release()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "a lease could not be released"),
            Err(_) => tracing::debug!("a lease could not be released in time"),
        }
    }
}
