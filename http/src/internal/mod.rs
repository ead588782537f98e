//! The internal listener: metrics, health and verification, for operators and gateways.
//!
//! The verification routes have no layers and write no log lines. They get far more requests than all
//! others together; their answers are counted instead.

mod auth;
mod introspect;
mod metrics;
mod state;
mod verify;

use std::convert::Infallible;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Method;
use axum::response::IntoResponse;
use axum::routing::{any, get, post};
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};

use super::health;
use super::layers::finished;
use super::problem::ApiError;
use super::server::{Answers, routed};
use crate::metrics::Metrics;
pub use state::VerificationState;

/// The service of the internal listener; without a verification state, it does not verify keys.
///
/// `/verify` and `/auth` are asked on every request of the API that keyledger protects. They go to
/// their handlers directly, because the way through a router takes longer than a look-up in the
/// index. The router answers everything else.
pub fn internal_service(
    metrics: Metrics,
    verification: Option<VerificationState>,
) -> impl Answers + Clone {
    let health = health::routes().with_state(metrics.readiness.clone());
    let metrics = Router::new().route("/metrics", get(metrics::metrics)).with_state(metrics);
    let mut router = finished(Router::from(health).merge(metrics), None);
    // Both are leaked: they live as long as the process, and requests that share a reference need not
    // count the owners of an `Arc`, which would cost more than most of their other work.
    let verification = verification.map(|state| &*Box::leak(Box::new(state)));
    if let Some(state) = verification {
        router = router.merge(verification_routes(state));
    }
    let router = &*Box::leak(Box::new(routed(router)));
    service_fn(move |request: Request<Incoming>| async move {
        Ok::<_, Infallible>(match (verification, request.method(), request.uri().path()) {
            (Some(state), &Method::POST, "/verify") => {
                verify::verify(State(state), request).await.into_response()
            }
            (Some(state), _, "/auth") => auth::auth(State(state), request).await.into_response(),
            _ => return Box::pin(router.call(request)).await,
        })
    })
}

fn verification_routes(state: &'static VerificationState) -> Router {
    Router::new()
        .route("/verify", post(verify::verify::<Body>))
        .route("/introspect", post(introspect::introspect))
        // Envoy appends the path of the request that it asks about.
        .route("/auth", any(auth::auth::<Body>))
        .route("/auth/", any(auth::auth::<Body>))
        .route("/auth/{*path}", any(auth::auth::<Body>))
        .method_not_allowed_fallback(async || ApiError::MethodNotAllowed)
        .with_state(state)
}
