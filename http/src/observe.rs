//! What every request gets: an id, a time limit, a log line, and the headers of every answer.

use std::fmt;
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use rand::Rng;
use rand::rngs::SysRng;
use tracing::Instrument;
use tracing::field::display;

use crate::headers::REQUEST_ID;
use crate::problem::ApiError;
use crate::{trace, well_formed};

/// How long it may take until an answer begins. Its body may take longer.
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// The id of a request: the caller's `X-Request-Id` if it has 1 to 64 characters of
/// `A-Za-z0-9._-`, else a random UUID.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(String);

impl RequestId {
    fn of(request: &Request) -> Self {
        let given = request.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok());
        let fits = |id: &&str| {
            (1..=64).contains(&id.len())
                && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        };
        match given.filter(fits) {
            Some(id) => Self(id.to_owned()),
            None => {
                let mut bytes = [0; 16];
                rand::rand_core::UnwrapErr(SysRng).fill_bytes(&mut bytes);
                Self(uuid::Builder::from_random_bytes(bytes).into_uuid().to_string())
            }
        }
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Gives the request an id and a time limit, logs its outcome, and adds the headers of every answer.
/// All of this is one layer, because each layer clones the whole service inside it for each request.
pub(crate) async fn surround(mut request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let id = RequestId::of(&request);
    let method = request.method().clone();
    // The log has the route and not the path, because a mistyped path can contain a secret.
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map(MatchedPath::as_str);
    let path = route.unwrap_or("unknown");
    let policy = if path.starts_with("/docs") { DOCS_POLICY } else { API_POLICY };
    let span = tracing::info_span!("request", request.id = %id);
    let trace = trace::request(&method, route, request.headers());
    trace.record("request.id", display(&id));
    request.extensions_mut().insert(id.clone());
    let answer = async {
        match well_formed::check(&request) {
            Ok(()) => next.run(request).await,
            Err(refusal) => refusal.into_response(),
        }
    };
    let answer = tokio::time::timeout(TIME_LIMIT, answer);
    let answer = answer.instrument(trace.clone()).instrument(span.clone());
    let mut response = match answer.await {
        Ok(response) => response,
        Err(_) => span.in_scope(|| trace.in_scope(|| ApiError::TimedOut.into_response())),
    };
    trace::answered(&trace, &response);
    let status = response.status().as_u16();
    let duration_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(parent: &span, %method, path, status, duration_ms, "request done");
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::try_from(id.0) {
        headers.insert(REQUEST_ID, value);
    }
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Swagger UI has inline styles, and images as `data:` URLs. The answers of the API load nothing.
const DOCS_POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
const API_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

/// Headers that forbid a browser what no answer needs: caching, referrers, sniffing, framing.
const HEADERS: [(HeaderName, &str); 5] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];
