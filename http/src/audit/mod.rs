//! What auditors can ask: the events of all keys, and what a key was at some time.

mod events;
mod key_as_of;
mod state;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use key_as_of::KeyState;
pub use state::AuditState;

pub(super) fn routes() -> OpenApiRouter<AuditState> {
    OpenApiRouter::new().routes(routes!(events::events)).routes(routes!(key_as_of::key_as_of))
}
