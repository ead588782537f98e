//! Whether the service lives, and whether it can do its work.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::node::readiness::Readiness;

/// Whether the service lives.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Alive {
    #[schema(example = "ok")]
    status: &'static str,
}

/// Whether the service can do its work, and which part of it cannot.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Ready {
    ready: bool,
    #[schema(value_type = BTreeMap<String, String>)]
    parts: BTreeMap<&'static str, &'static str>,
}

/// Tell that the service lives
#[utoipa::path(
    get, path = "/healthz", tag = "health",
    responses((status = 200, description = "It lives", body = Alive)),
)]
pub(super) async fn alive() -> Json<Alive> {
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
pub(super) async fn ready(State(readiness): State<Readiness>) -> (StatusCode, Json<Ready>) {
    let parts = readiness.parts();
    let ready = readiness.is_ready();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let parts = parts.into_iter().map(|(part, state)| (part.name(), state.name())).collect();
    (status, Json(Ready { ready, parts }))
}
