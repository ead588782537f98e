//! The routes of the public API. The router and the OpenAPI document are made from the same list, so
//! no route is served that is not documented, and none is documented that is not served.

use axum::Router;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::audit::{self, AuditState};
use crate::keys::{self, CommandState, HistoryState, QueryState};
use crate::layers::{cors, finished, with_or_without_slash};
use crate::log::{self, LogRoutesState};
use crate::{docs, document, health};
use keyledger_node::readiness::Readiness;

/// All routes, each with its documentation, by the state that they need.
struct Routes {
    commands: OpenApiRouter<CommandState>,
    queries: OpenApiRouter<QueryState>,
    histories: OpenApiRouter<HistoryState>,
    audits: OpenApiRouter<AuditState>,
    log: OpenApiRouter<LogRoutesState>,
    health: OpenApiRouter<Readiness>,
}

fn routes() -> Routes {
    Routes {
        commands: keys::commands(),
        queries: keys::queries(),
        histories: keys::histories(),
        audits: audit::routes(),
        log: log::routes(),
        health: health::routes(),
    }
}

/// The public API.
///
/// # Errors
/// That the OpenAPI document cannot be encoded, which is a defect.
pub fn router(
    for_commands: CommandState,
    for_queries: QueryState,
    for_histories: HistoryState,
    for_audits: AuditState,
    for_log: LogRoutesState,
    readiness: Readiness,
) -> Result<Router, serde_json::Error> {
    let Routes { commands, queries, histories, audits, log, health } = routes();
    let cors = cors(for_commands.authenticator.allowed_origins());
    let (router, document) = OpenApiRouter::with_openapi(document::head())
        .merge(commands.with_state(for_commands))
        .merge(queries.with_state(for_queries))
        .merge(histories.with_state(for_histories))
        .merge(audits.with_state(for_audits))
        .merge(log.with_state(for_log))
        .merge(health.with_state(readiness))
        .split_for_parts();
    let router = router.merge(docs::document(&document)?).merge(docs::page());
    Ok(with_or_without_slash(finished(router, cors)))
}

/// The OpenAPI document of the public API.
#[must_use]
pub fn openapi_document() -> OpenApi {
    let Routes { commands, queries, histories, audits, log, health } = routes();
    let mut document = document::head();
    for part in [
        commands.into_openapi(),
        queries.into_openapi(),
        histories.into_openapi(),
        audits.into_openapi(),
        log.into_openapi(),
        health.into_openapi(),
    ] {
        document.merge(part);
    }
    document
}
