//! The transparency log: its last checkpoint, and proofs.

mod checkpoint;
mod consistency;
mod inclusion;
mod size;
mod state;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use state::LogRoutesState;

pub(super) fn routes() -> OpenApiRouter<LogRoutesState> {
    OpenApiRouter::new()
        .routes(routes!(checkpoint::checkpoint))
        .routes(routes!(inclusion::inclusion))
        .routes(routes!(consistency::consistency))
}
