//! What the handlers need.

use std::sync::Arc;

use axum::extract::FromRef;
use keyledger_projections::log::{LogReadError, LogReader};

use crate::Counters;
use crate::extract::Authenticator;
use crate::problem::ApiError;

/// The state of the transparency log's endpoints.
#[derive(Clone, Debug)]
pub struct LogRoutesState {
    /// Checks who asks.
    pub authenticator: Arc<Authenticator>,
    /// The Merkle tree over all events.
    pub tree: LogReader,
    /// Counts the proofs that a damaged tree cannot give.
    pub counters: Counters,
}

impl LogRoutesState {
    /// The proof, or the problem that there is none.
    pub(super) fn proven<T>(&self, proof: Result<T, LogReadError>) -> Result<T, ApiError> {
        proof.map_err(|error| {
            if matches!(error, LogReadError::Damaged(_)) {
                self.counters.damaged_proofs.inc();
            }
            error.into()
        })
    }
}

impl FromRef<LogRoutesState> for Arc<Authenticator> {
    fn from_ref(state: &LogRoutesState) -> Self {
        state.authenticator.clone()
    }
}
