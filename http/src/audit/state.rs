//! What the handlers need.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRef;
use keyledger_domain::{HmacSecret, Timestamp};
use keyledger_journal::JournalReader;
use tokio::sync::watch;

use crate::budget::AnswerBudget;
use crate::extract::Authenticator;
use keyledger_domain::Clock;

/// The state of the audits.
#[derive(Clone, Debug)]
pub struct AuditState {
    /// Checks who asks.
    pub authenticator: Arc<Authenticator>,
    /// The journal.
    pub journal: Arc<dyn JournalReader>,
    /// Tells the current time.
    pub clock: Arc<dyn Clock>,
    /// Closed when the service stops.
    pub stopping: watch::Receiver<()>,
    /// The secrets under which former services hashed imported keys.
    pub hmac_secrets: Arc<[HmacSecret]>,
    /// The memory for pages.
    pub budget: AnswerBudget,
}

impl FromRef<AuditState> for Arc<Authenticator> {
    fn from_ref(state: &AuditState) -> Self {
        state.authenticator.clone()
    }
}

impl AuditState {
    /// Completes when the service stops, or at this time.
    pub(super) fn until(&self, time: Timestamp) -> impl Future<Output = ()> + Send + 'static {
        let left = time.unix_micros().saturating_sub(self.clock.now().unix_micros());
        let left = Duration::from_micros(u64::try_from(left).unwrap_or(0));
        let mut stopping = self.stopping.clone();
        async move {
            tokio::select! {
                _ = stopping.changed() => {}
                () = tokio::time::sleep(left) => {}
            }
        }
    }
}
