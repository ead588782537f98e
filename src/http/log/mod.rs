//! What the tree over all events is, and proofs of what is in it.

mod checkpoint;
mod proofs;

use std::sync::Arc;

use axum::extract::FromRef;
use keyledger_projections::log::EventTree;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::caller::Authenticator;

/// What is needed to tell of the tree.
#[derive(Clone, Debug)]
pub struct TreeState {
    /// Who may come in.
    pub gate: Arc<Authenticator>,
    /// The tree.
    pub tree: EventTree,
}

impl FromRef<TreeState> for Arc<Authenticator> {
    fn from_ref(state: &TreeState) -> Self {
        state.gate.clone()
    }
}

pub(super) fn routes() -> OpenApiRouter<TreeState> {
    OpenApiRouter::new()
        .routes(routes!(checkpoint::checkpoint))
        .routes(routes!(proofs::inclusion))
        .routes(routes!(proofs::consistency))
}
