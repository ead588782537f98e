//! The internal listener: metrics, health and verification, for operators and gateways.
//!
//! The verification routes have no layers and write no log lines. They get far more requests than all
//! others together; their answers are counted instead.

mod auth;
mod callers;
mod introspect;
mod metrics;
mod state;
mod verify;

use std::convert::Infallible;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse;
use axum::routing::{any, get, post};
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};

use super::health;
use super::layers::finished;
use super::problem::ApiError;
use super::server::{Answers, routed};
use crate::metrics::Metrics;
use crate::{trace, well_formed};
pub use callers::InternalCallers;
pub use state::VerificationState;

/// The service of the internal listener; without a verification state, it does not verify keys.
///
/// `/verify` and `/auth` are asked on every request of the API that keyledger protects. They go to
/// their handlers directly, because the way through a router takes longer than a look-up in the
/// index. The router answers everything else.
pub fn internal_service(
    metrics: Metrics,
    verification: Option<VerificationState>,
    callers: InternalCallers,
) -> impl Answers + Clone {
    let readiness = metrics.readiness.clone();
    let health: Router = match verification {
        Some(_) => health::verification_routes().with_state(readiness),
        None => health::routes().with_state(readiness).into(),
    };
    let only_callers = || from_fn_with_state(callers.clone(), callers::require);
    let metrics = Router::new().route("/metrics", get(metrics::metrics)).with_state(metrics);
    let mut router = finished(health.merge(metrics.layer(only_callers())), None);
    // These are leaked: they live as long as the process, and requests that share a reference need not
    // count the owners of an `Arc`, which would cost more than most of their other work.
    let verification = verification.map(|state| &*Box::leak(Box::new(state)));
    if let Some(state) = verification {
        router = router.merge(verification_routes(state).layer(only_callers()));
    }
    let router = &*Box::leak(Box::new(routed(router)));
    let callers = &*Box::leak(Box::new(callers));
    let answer = move |request: Request<Incoming>| async move {
        let direct = match (request.method(), request.uri().path()) {
            (&Method::POST, "/verify") => Direct::Verify,
            (_, "/auth") => Direct::Auth,
            _ => return Box::pin(router.call(request)).await,
        };
        let Some(state) = verification else { return Box::pin(router.call(request)).await };
        let answer = match check(callers, &request) {
            Err(refusal) => Err(refusal),
            Ok(()) => match direct {
                Direct::Verify => verify::verify(State(state), request).await,
                Direct::Auth => auth::auth(State(state), request).await,
            },
        };
        Ok::<_, Infallible>(answer.into_response())
    };
    service_fn(move |request: Request<Incoming>| async move {
        match trace::verification(&request) {
            None => answer(request).await,
            Some(span) => Box::pin(trace::within(span, answer(request))).await,
        }
    })
}

/// The routes that are not reached through the router.
enum Direct {
    Verify,
    Auth,
}

fn check<B>(callers: &InternalCallers, request: &Request<B>) -> Result<(), ApiError> {
    well_formed::check(request)?;
    callers.check(request)
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
