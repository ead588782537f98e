//! The public HTTP API: what a browser, a script or a proxy may ask.
//!
//! A handler extracts, makes one call and maps the outcome. Commands and queries have states of
//! their own; none holds both the journal and the read tables, so that no command can decide from
//! a table that lags behind.

mod audit;
mod body;
mod caller;
mod commands;
mod cursor;
mod event;
mod health;
mod history;
mod internal;
mod log;
mod metrics;
mod observe;
mod openapi;
mod parameter;
mod position;
mod problem;
mod queries;
mod server;
mod verification;
mod wire;

pub use axum::Router;
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::map_response;
use axum::response::Response;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::SwaggerUi;

use crate::node::readiness::Readiness;
pub use audit::{AuditState, KeyState};
pub use caller::Authenticator;
pub use commands::CommandState;
pub use history::HistoryState;
pub use internal::internal_service;
pub use log::TreeState;
pub use position::Followers;
pub use queries::QueryState;
pub use server::{Answers, Exposure, routed, serve};
pub use verification::Verifier;

use problem::ApiError;

/// The public API.
pub fn router(
    commands: CommandState,
    queries: QueryState,
    histories: HistoryState,
    audits: AuditState,
    tree: TreeState,
    readiness: Readiness,
) -> Router {
    let cors = cors(commands.gate.allowed_origins());
    let (router, api) = OpenApiRouter::with_openapi(openapi::head())
        .merge(command_routes().with_state(commands))
        .merge(query_routes().with_state(queries))
        .merge(history_routes().with_state(histories))
        .merge(audit::routes().with_state(audits))
        .merge(log::routes().with_state(tree))
        .merge(health_routes().with_state(readiness))
        .split_for_parts();
    finished(router.merge(SwaggerUi::new("/docs").url("/openapi.json", api)), cors)
}

/// Adds what every answer has; what is at no path that is known is not there.
fn finished(router: Router, cors: Option<CorsLayer>) -> Router {
    surrounded(router.fallback(async || ApiError::PathNotFound), cors)
}

/// Adds what every answer has.
fn surrounded(router: Router, cors: Option<CorsLayer>) -> Router {
    let router = router.method_not_allowed_fallback(async || ApiError::MethodNotAllowed);
    let router = match cors {
        Some(cors) => router.layer(cors),
        None => router,
    };
    router
        .layer(CatchPanicLayer::custom(problem::panicked))
        .layer(axum::middleware::from_fn(observe::surround))
}

/// What a process without the public API serves.
pub fn health_router(readiness: Readiness) -> Router {
    let (router, _) = health_routes().with_state(readiness).split_for_parts();
    finished(router, None)
}

/// What a process serves as long as it has not reached its journal and its read tables. Each
/// connection ends with its answer, so that the next question finds what there is then.
pub fn starting_router(readiness: Readiness) -> Router {
    let (router, _) = health_routes().with_state(readiness).split_for_parts();
    let ended = map_response(async |mut response: Response| {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        response
    });
    surrounded(router.fallback(async || ApiError::Starting), None).layer(ended)
}

fn command_routes() -> OpenApiRouter<CommandState> {
    OpenApiRouter::new()
        .routes(routes!(commands::create))
        .routes(routes!(commands::revoke))
        .routes(routes!(commands::delete))
}

fn query_routes() -> OpenApiRouter<QueryState> {
    OpenApiRouter::new().routes(routes!(queries::list)).routes(routes!(queries::get))
}

fn history_routes() -> OpenApiRouter<HistoryState> {
    OpenApiRouter::new().routes(routes!(history::history))
}

fn health_routes() -> OpenApiRouter<Readiness> {
    OpenApiRouter::new().routes(routes!(health::alive)).routes(routes!(health::ready))
}

/// The API's OpenAPI document.
#[must_use]
pub fn openapi_document() -> OpenApi {
    let mut document = openapi::head();
    document.merge(command_routes().into_openapi());
    document.merge(query_routes().into_openapi());
    document.merge(history_routes().into_openapi());
    document.merge(audit::routes().into_openapi());
    document.merge(log::routes().into_openapi());
    document.merge(health_routes().into_openapi());
    document
}

/// Cross-origin use by the configured origins; none without any.
fn cors(origins: &[HeaderValue]) -> Option<CorsLayer> {
    (!origins.is_empty()).then(|| {
        CorsLayer::new()
            .allow_origin(AllowOrigin::list(origins.iter().cloned()))
            .allow_credentials(true)
            .allow_methods([Method::GET, Method::POST, Method::DELETE])
            .allow_headers([
                header::AUTHORIZATION,
                header::CONTENT_TYPE,
                header::IF_NONE_MATCH,
                wire::IDEMPOTENCY_KEY,
                wire::MIN_POSITION,
                wire::LAST_EVENT_ID,
                wire::REQUEST_ID,
                HeaderName::from_static("traceparent"),
            ])
            .expose_headers([
                header::ETAG,
                header::RETRY_AFTER,
                wire::LAGGING,
                wire::POSITION,
                wire::REQUEST_ID,
            ])
            .max_age(std::time::Duration::from_secs(600))
    })
}
