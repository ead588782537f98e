//! What the handlers need.

use std::sync::Arc;

use axum::extract::FromRef;
use keyledger_projections::log::LogReader;

use crate::extract::Authenticator;

/// The state of the transparency log's endpoints.
#[derive(Clone, Debug)]
pub struct LogRoutesState {
    /// Checks who asks.
    pub authenticator: Arc<Authenticator>,
    /// The Merkle tree over all events.
    pub tree: LogReader,
}

impl FromRef<LogRoutesState> for Arc<Authenticator> {
    fn from_ref(state: &LogRoutesState) -> Self {
        state.authenticator.clone()
    }
}
