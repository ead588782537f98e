//! Tells whether the journal can be read, and where its head is.

use std::sync::Arc;
use std::time::Duration;

use keyledger_domain::Position;
use tokio::sync::watch;

use crate::journal::JournalReader;
use crate::readiness::{Part, Readiness, State};
use crate::telemetry::chain;

const INTERVAL: Duration = Duration::from_secs(1);

/// Asks the journal now and then for its head, and tells it.
pub async fn watch_journal(
    journal: Arc<dyn JournalReader>,
    head: watch::Sender<Option<Position>>,
    readiness: Readiness,
) {
    loop {
        match journal.barrier().await {
            Ok(position) => {
                readiness.set(Part::Journal, State::Ready);
                head.send_replace(Some(position));
            }
            Err(error) => {
                tracing::warn!(cause = %chain(&error), "journal does not answer");
                readiness.set(Part::Journal, State::Failing);
            }
        }
        tokio::time::sleep(INTERVAL).await;
    }
}
