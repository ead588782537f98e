//! The layers around a router: answers for unknown paths and methods, CORS, and what every answer has.

use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderName, HeaderValue, Method, Uri, header};
use hyper::service::Service;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::headers::{IDEMPOTENCY_KEY, LAGGING, LAST_EVENT_ID, MIN_POSITION, POSITION, REQUEST_ID};
use crate::observe;
use crate::problem::{ApiError, panicked};
use crate::server::routed;

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

/// Answers a path that ends with a slash and that nothing is at, such as `/keys/`, as the path without the
/// slash. A redirect would name a path that is another one behind a proxy that adds a prefix.
pub(crate) fn with_or_without_slash(router: Router) -> Router {
    let whole = routed(router.clone());
    router.fallback(move |request: Request| {
        let request = without_slash(request);
        let whole = whole.clone();
        async move { whole.call(request).await }
    })
}

fn without_slash(mut request: Request) -> Request {
    let mut parts = request.uri().clone().into_parts();
    let path = request.uri().path().strip_suffix('/').filter(|path| !path.is_empty());
    let query = request.uri().query().map(|query| format!("?{query}"));
    let shorter = path.map(|path| format!("{path}{}", query.unwrap_or_default()));
    if let Some(shorter) = shorter.and_then(|shorter| PathAndQuery::try_from(shorter).ok()) {
        parts.path_and_query = Some(shorter);
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
    }
    request
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
                HeaderName::from_static("tracestate"),
            ])
            .expose_headers([header::ETAG, header::RETRY_AFTER, LAGGING, POSITION, REQUEST_ID])
            .max_age(PREFLIGHT_AGE)
    })
}
