//! Tells whether the journal can be read.

use std::sync::Arc;
use std::time::Duration;

use crate::journal::JournalReader;
use crate::readiness::{Part, Readiness, State};
use crate::telemetry::chain;

const INTERVAL: Duration = Duration::from_secs(2);

/// Asks the journal now and then for its head.
pub async fn watch_journal(journal: Arc<dyn JournalReader>, readiness: Readiness) {
    loop {
        match journal.barrier().await {
            Ok(_) => readiness.set(Part::Journal, State::Ready),
            Err(error) => {
                tracing::warn!(cause = %chain(&error), "journal does not answer");
                readiness.set(Part::Journal, State::Failing);
            }
        }
        tokio::time::sleep(INTERVAL).await;
    }
}
