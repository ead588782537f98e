//! What auditors may ask: what happened to all keys, and what a key was at a moment.

mod events;
mod key_state;
mod lines;
mod query;

use std::sync::Arc;

use axum::extract::FromRef;
use tokio::sync::watch;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::caller::Authenticator;
use crate::clock::Clock;
pub use key_state::KeyState;
use keyledger_journal::JournalReader;

/// What audits need.
#[derive(Clone, Debug)]
pub struct AuditState {
    /// Who may come in.
    pub gate: Arc<Authenticator>,
    /// The events themselves.
    pub journal: Arc<dyn JournalReader>,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// Closed when the service stops.
    pub stopping: watch::Receiver<()>,
}

impl FromRef<AuditState> for Arc<Authenticator> {
    fn from_ref(state: &AuditState) -> Self {
        state.gate.clone()
    }
}

pub(super) fn routes() -> OpenApiRouter<AuditState> {
    OpenApiRouter::new().routes(routes!(events::events)).routes(routes!(key_state::key_state))
}
