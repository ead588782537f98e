//! What the handlers need.

use std::sync::Arc;

use axum::extract::FromRef;
use keyledger_projections::log::LogReader;

use crate::http::extract::Authenticator;

/// The state of the transparency log's endpoints.
#[derive(Clone, Debug)]
pub struct LogState {
    /// Checks who asks.
    pub authenticator: Arc<Authenticator>,
    /// The Merkle tree over all events.
    pub tree: LogReader,
}

impl FromRef<LogState> for Arc<Authenticator> {
    fn from_ref(state: &LogState) -> Self {
        state.authenticator.clone()
    }
}
