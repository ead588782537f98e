//! What the internal listener answers with.

use std::convert::Infallible;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::Method;
use axum::response::IntoResponse;
use axum::routing::get;
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};

use super::server::{Answers, routed};
use super::verification::{Verifier, auth, routes, verify};
use super::{finished, health_routes, metrics};
use crate::metrics::Metrics;

/// What only those who run the service, and the gateways before it, may ask: on a listener of its own.
///
/// What is asked on every request of the public API goes to its handler at once, since the way through
/// a router takes longer than a look into the index; the router answers all else.
pub fn internal_service(metrics: Metrics, verifier: Option<Verifier>) -> impl Answers + Clone {
    let (health, _) = health_routes().with_state(metrics.readiness.clone()).split_for_parts();
    let watched = Router::new().route("/metrics", get(metrics::metrics)).with_state(metrics);
    let mut router = finished(health.merge(watched), None);
    // It lives as long as the process: requests that share it need not count who holds it, which would
    // cost more than most of what they do.
    let verifier = verifier.map(|verifier| &*Box::leak(Box::new(verifier)));
    if let Some(verifier) = verifier {
        router = router.merge(routes(verifier));
    }
    let router = &*Box::leak(Box::new(routed(router)));
    service_fn(move |request: Request<Incoming>| async move {
        Ok::<_, Infallible>(match (verifier, request.method(), request.uri().path()) {
            (Some(verifier), &Method::POST, "/verify") => {
                verify(State(verifier), request).await.into_response()
            }
            (Some(verifier), _, "/auth") => auth(State(verifier), request).await.into_response(),
            _ => return Box::pin(router.call(request)).await,
        })
    })
}
