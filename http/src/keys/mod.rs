//! The keys of a caller. Commands and queries have states of their own; none holds both the journal
//! and the read tables, so no command can decide from a table that lags behind.

mod create;
mod cursor;
mod delete;
mod history;
mod item;
mod list;
mod owners;
mod reason;
mod revoke;
mod show;
mod state;
mod written;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) use create::CreateKeyBody;
pub use owners::Owners;
pub(super) use reason::ReasonBody;
pub use state::{CommandState, HistoryState, QueryState};
pub use written::Followers;

pub(super) fn commands() -> OpenApiRouter<CommandState> {
    OpenApiRouter::new()
        .routes(routes!(create::create))
        .routes(routes!(revoke::revoke))
        .routes(routes!(delete::delete))
}

pub(super) fn queries() -> OpenApiRouter<QueryState> {
    OpenApiRouter::new().routes(routes!(list::list)).routes(routes!(show::show))
}

pub(super) fn histories() -> OpenApiRouter<HistoryState> {
    OpenApiRouter::new().routes(routes!(history::history))
}
