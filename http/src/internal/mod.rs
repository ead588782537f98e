//! The internal listener: metrics, health and verification, for operators and gateways. Its router and its
//! OpenAPI document are made from the same list.
//!
//! The verification routes have no layers and write no log lines. They get far more requests than all
//! others together; their answers are counted instead.

mod auth;
mod callers;
mod introspect;
mod metrics;
mod problems;
mod state;
#[cfg(test)]
mod tests;
mod verify;

use std::convert::Infallible;

use axum::body::{Bytes, HttpBody};
use axum::extract::Request;
use axum::http::Method;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use axum::{BoxError, Router};
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt};
use utoipa_axum::routes;

use super::layers::finished;
use super::problem::ApiError;
use super::server::{Answers, routed};
use super::{docs, document, health};
use crate::metrics::Metrics;
use crate::trace;
use keyledger_node::readiness::Readiness;

pub use callers::InternalCallers;
pub use state::VerificationState;

/// All routes, each with its documentation, by the state that they need.
struct Routes {
    health: OpenApiRouter<Readiness>,
    metrics: OpenApiRouter<Metrics>,
    /// Empty if the process does not verify keys.
    verification: OpenApiRouter<&'static VerificationState>,
}

impl Routes {
    fn new(verifies: bool) -> Self {
        Self {
            health: if verifies { health::verification_routes() } else { health::routes() },
            metrics: OpenApiRouter::new().routes(routes!(metrics::metrics)),
            verification: if verifies { verification_routes() } else { OpenApiRouter::new() },
        }
    }

    fn document(&self) -> OpenApi {
        let Self { health, metrics, verification } = self;
        let mut document = document::internal_head();
        for part in [health.get_openapi(), metrics.get_openapi(), verification.get_openapi()] {
            document.merge(part.clone());
        }
        document
    }
}

fn verification_routes() -> OpenApiRouter<&'static VerificationState> {
    OpenApiRouter::new()
        .routes(routes!(verify::verify))
        .routes(routes!(introspect::introspect))
        .routes(routes!(auth::auth).map(|_| any(auth::auth)))
        // Envoy appends the path of the request that it asks about.
        .route("/auth/", any(auth::auth))
        .route("/auth/{*path}", any(auth::auth))
}

/// The OpenAPI document of the internal listener of a process that verifies keys.
#[must_use]
pub fn internal_document() -> OpenApi {
    Routes::new(true).document()
}

/// The service of the internal listener; without a verification state, it does not verify keys.
///
/// `/verify` and `/auth` are asked on every request of the API that keyledger protects. They go to
/// their handlers directly, because the way through a router takes longer than a look-up in the
/// index. The router answers everything else.
///
/// # Errors
/// That the OpenAPI document cannot be encoded, which is a defect.
pub fn internal_service(
    metrics: Metrics,
    verification: Option<VerificationState>,
    callers: InternalCallers,
) -> Result<impl Answers + Clone, serde_json::Error> {
    // These are leaked: they live as long as the process, and requests that share a reference need not
    // count the owners of an `Arc`, which would cost more than most of their other work.
    let verification = verification.map(|state| &*Box::leak(Box::new(state)));
    let callers = &*Box::leak(Box::new(callers));
    let router = router(metrics, verification, callers)?;
    let router = &*Box::leak(Box::new(routed(router)));
    let answer = move |request: Request<Incoming>| async move {
        let direct = verification.zip(Direct::of(request.method(), request.uri().path()));
        let answer = match direct {
            Some((state, direct)) => direct.answer(state, callers, request).await,
            None => return Box::pin(router.call(request)).await,
        };
        Ok::<_, Infallible>(answer.into_response())
    };
    Ok(service_fn(move |request: Request<Incoming>| async move {
        match trace::verification(&request) {
            None => answer(request).await,
            Some(span) => Box::pin(trace::within(span, answer(request))).await,
        }
    }))
}

/// The router, which has all routes.
fn router(
    metrics: Metrics,
    verification: Option<&'static VerificationState>,
    callers: &'static InternalCallers,
) -> Result<Router, serde_json::Error> {
    let routes = Routes::new(verification.is_some());
    let document = docs::document(&routes.document())?;
    let only_callers = || from_fn_with_state(callers, callers::require);
    let readiness = metrics.readiness.clone();
    let observed = OpenApiRouter::new()
        .merge(routes.metrics.with_state(metrics).layer(only_callers()))
        .merge(routes.health.with_state(readiness));
    let router = finished(Router::from(observed).merge(document), None);
    let Some(state) = verification else { return Ok(router) };
    let verification = Router::from(routes.verification.with_state(state));
    let verification =
        verification.method_not_allowed_fallback(async || ApiError::MethodNotAllowed);
    Ok(router.merge(verification.layer(only_callers())))
}

/// The endpoints that are not reached through the router. Both ways lead to the same function.
#[derive(Clone, Copy, Debug)]
enum Direct {
    Verify,
    Auth,
}

impl Direct {
    /// The endpoint that this request is for, if it is one of these.
    fn of(method: &Method, path: &str) -> Option<Self> {
        match (method, path) {
            (&Method::POST, "/verify") => Some(Self::Verify),
            (_, "/auth") => Some(Self::Auth),
            _ => None,
        }
    }

    async fn answer<B>(
        self,
        state: &VerificationState,
        callers: &InternalCallers,
        request: Request<B>,
    ) -> Result<Response, ApiError>
    where
        B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Unpin,
    {
        callers.check(&request)?;
        match self {
            Self::Verify => verify::answer(state, request).await,
            Self::Auth => auth::answer(state, request).await,
        }
    }
}
