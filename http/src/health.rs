//! `GET /healthz` and `GET /readyz`: whether the process runs, and whether it can serve requests.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::map_response;
use axum::response::Response;
use axum::{Json, Router};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::layers::{finished, surrounded};
use crate::problem::ApiError;
use keyledger_node::readiness::{Part, Readiness, State as PartState};

pub(crate) fn routes() -> OpenApiRouter<Readiness> {
    OpenApiRouter::new().routes(routes!(alive)).routes(routes!(ready))
}

/// The same for the internal listener of a process that verifies keys: it is ready when it can verify them,
/// whatever else cannot be done.
pub(crate) fn verification_routes() -> OpenApiRouter<Readiness> {
    OpenApiRouter::new().routes(routes!(alive)).routes(routes!(can_verify))
}

/// The public listener of a process without the API.
pub fn health_router(readiness: Readiness) -> Router {
    finished(routes().with_state(readiness).into(), None)
}

/// The public listener of a process that has not opened its stores yet. Each connection is closed
/// after one answer, so that the next request meets the router that is there then.
pub fn starting_router(readiness: Readiness) -> Router {
    let router: Router = routes().with_state(readiness).into();
    let ended = map_response(async |mut response: Response| {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        response
    });
    surrounded(router.fallback(async || ApiError::Starting), None).layer(ended)
}

/// Whether the service lives.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Alive {
    #[schema(example = "ok")]
    status: &'static str,
}

/// Whether the service can do its work, and which part of it cannot.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Ready {
    ready: bool,
    /// The state of each part, by its name.
    #[schema(value_type = BTreeMap<String, String>)]
    parts: BTreeMap<&'static str, &'static str>,
}

/// Tell that the service lives
#[utoipa::path(
    get, path = "/healthz", tag = "health",
    responses((status = 200, description = "It lives", body = Alive)),
)]
pub(crate) async fn alive() -> Json<Alive> {
    Json(Alive { status: "ok" })
}

/// Tell whether the service can do its work
#[utoipa::path(
    get, path = "/readyz", tag = "health",
    responses(
        (status = 200, description = "It can", body = Ready),
        (status = 503, description = "It cannot now", body = Ready),
    ),
)]
pub(crate) async fn ready(State(readiness): State<Readiness>) -> (StatusCode, Json<Ready>) {
    answer(&readiness, readiness.is_ready())
}

/// Tell whether this node can verify keys
///
/// The other parts of the service do not count.
#[utoipa::path(
    get, path = "/readyz", tag = "health", operation_id = "ready",
    responses(
        (status = 200, description = "It can", body = Ready),
        (status = 503, description = "It cannot now", body = Ready),
    ),
)]
pub(crate) async fn can_verify(State(readiness): State<Readiness>) -> (StatusCode, Json<Ready>) {
    answer(&readiness, readiness.is(Part::Verification, PartState::Ready))
}

fn answer(readiness: &Readiness, ready: bool) -> (StatusCode, Json<Ready>) {
    let parts = readiness.parts();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let parts = parts.into_iter().map(|(part, state)| (part.name(), state.name())).collect();
    (status, Json(Ready { ready, parts }))
}
