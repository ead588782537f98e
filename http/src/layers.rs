//! The layers around a router: answers for unknown paths and methods, CORS, and what every answer has.

use std::time::Duration;

use axum::Router;
use axum::http::{HeaderName, HeaderValue, Method, header};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::headers::{IDEMPOTENCY_KEY, LAGGING, LAST_EVENT_ID, MIN_POSITION, POSITION, REQUEST_ID};
use crate::observe;
use crate::problem::{ApiError, panicked};

/// How long a browser may remember the answer to a preflight request.
const PREFLIGHT_AGE: Duration = Duration::from_secs(600);

/// Adds the layers to a router; other paths than its own are answered with 404.
pub(crate) fn finished(router: Router, cors: Option<CorsLayer>) -> Router {
    surrounded(router.fallback(async || ApiError::PathNotFound), cors)
}

/// Adds the layers to a router that has a fallback.
pub(crate) fn surrounded(router: Router, cors: Option<CorsLayer>) -> Router {
    let router = router.method_not_allowed_fallback(async || ApiError::MethodNotAllowed);
    let router = match cors {
        Some(cors) => router.layer(cors),
        None => router,
    };
    router
        .layer(CatchPanicLayer::custom(panicked))
        .layer(axum::middleware::from_fn(observe::surround))
}

/// Allows cross-origin requests from these origins; `None` when there are none.
pub(crate) fn cors(origins: &[HeaderValue]) -> Option<CorsLayer> {
    (!origins.is_empty()).then(|| {
        CorsLayer::new()
            .allow_origin(AllowOrigin::list(origins.iter().cloned()))
            .allow_credentials(true)
            .allow_methods([Method::GET, Method::POST, Method::DELETE])
            .allow_headers([
                header::AUTHORIZATION,
                header::CONTENT_TYPE,
                header::IF_NONE_MATCH,
                IDEMPOTENCY_KEY,
                MIN_POSITION,
                LAST_EVENT_ID,
                REQUEST_ID,
                HeaderName::from_static("traceparent"),
            ])
            .expose_headers([header::ETAG, header::RETRY_AFTER, LAGGING, POSITION, REQUEST_ID])
            .max_age(PREFLIGHT_AGE)
    })
}
