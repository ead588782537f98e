//! Whether the journal takes appends.
//!
//! A journal can be read while nothing can be appended to it: when the disk is full or read-only, or when
//! another program holds a lock. Then the part `appends` is not ready. It becomes ready again with the
//! next append or probe that succeeds.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use keyledger_domain::{InstallationSecret, KeyId, Place, Position, RecordedEvent, chain};
use keyledger_journal::{
    Append, AppendError, Appended, CloseError, Journal, JournalReader, KeySubscription, ReadError,
};
use prometheus_client::metrics::counter::Counter;
use tokio::sync::watch;

use crate::Health;
use crate::readiness::State;

/// The time between two probes while appends fail.
const PAUSE: Duration = Duration::from_secs(1);

/// A journal that reports whether it takes appends.
#[derive(Debug)]
pub struct ReportedAppends {
    journal: Arc<dyn Journal>,
    health: Health,
    failures: Counter,
    /// Whether the last append or probe was written.
    works: watch::Sender<bool>,
}

impl ReportedAppends {
    /// Reports to `health`, and counts in `failures` the appends that the journal did not take, or of
    /// which it did not tell whether it took them. Conflicts are no failures.
    #[must_use]
    pub fn new(journal: Arc<dyn Journal>, health: Health, failures: Counter) -> Self {
        Self { journal, health, failures, works: watch::Sender::new(false) }
    }

    /// Probes the journal now and, whenever an append has failed, each second until one succeeds. Runs
    /// for as long as the process lives.
    pub async fn probe_after_failures(&self) {
        loop {
            match self.journal.probe().await {
                Ok(()) => self.note_success(),
                Err(error) => self.note_failure(&error),
            }
            // Fails only without a sender, and `self` has it.
            let _ = self.works.subscribe().wait_for(|works| !works).await;
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn note_success(&self) {
        if !*self.works.borrow() {
            self.works.send_replace(true);
            self.health.set(State::Ready);
        }
    }

    /// Logs the first failure after a success; the requests that fail are logged by themselves.
    fn note_failure(&self, error: &AppendError) {
        if self.works.send_replace(false) || self.health.is(State::Starting) {
            tracing::error!(
                cause = %chain(error),
                "the journal takes no appends: they are answered with 503 until it does"
            );
        }
        self.health.set(State::Failing);
    }
}

#[async_trait]
impl JournalReader for ReportedAppends {
    async fn read(&self, key_id: KeyId) -> Result<Vec<RecordedEvent>, ReadError> {
        self.journal.read(key_id).await
    }

    fn subscribe_to_keys(&self, after: Position) -> KeySubscription {
        self.journal.subscribe_to_keys(after)
    }

    async fn head(&self) -> Result<Position, ReadError> {
        self.journal.head().await
    }

    async fn holds(&self, place: Place) -> Result<Option<bool>, ReadError> {
        self.journal.holds(place).await
    }

    async fn installation_secret(&self) -> Result<Option<InstallationSecret>, ReadError> {
        self.journal.installation_secret().await
    }
}

#[async_trait]
impl Journal for ReportedAppends {
    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        let outcome = self.journal.append(append).await;
        match &outcome {
            Ok(_) => self.note_success(),
            Err(error) if error.is_passing() => {
                self.failures.inc();
                self.note_failure(error);
            }
            Err(_) => {}
        }
        outcome
    }

    async fn probe(&self) -> Result<(), AppendError> {
        self.journal.probe().await
    }

    async fn keep_installation_secret(
        &self,
        secret: InstallationSecret,
    ) -> Result<InstallationSecret, AppendError> {
        self.journal.keep_installation_secret(secret).await
    }

    async fn close(&self) -> Result<(), CloseError> {
        self.journal.close().await
    }
}
