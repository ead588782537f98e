//! Spans of requests, for traces. They have the names of the semantic conventions for HTTP servers, and hold
//! neither paths nor headers: route, method, status, codes and ids.

use axum::http::{HeaderMap, Method, Request};
use axum::response::Response;
use keyledger_telemetry::{Traceparent, traces_are_on};
use keyledger_verifier::Outcome;
use tracing::field::{Empty, display};
use tracing::{Instrument, Span};

/// Routes that are asked often and tell little. They have a span if the caller has one that is recorded.
const QUIET: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// The span of a request for this route, which continues the caller's trace; `None` is an unknown path.
pub(crate) fn request(method: &Method, route: Option<&str>, headers: &HeaderMap) -> Span {
    if !traces_are_on() {
        return Span::none();
    }
    let parent = Traceparent::of(headers);
    let is_recorded = parent.is_some_and(|parent| parent.is_sampled());
    if route.is_some_and(|route| QUIET.contains(&route)) && !is_recorded {
        return Span::none();
    }
    let span = begun(method, route);
    if let Some(parent) = parent {
        parent.continue_in(&span, headers);
    }
    span
}

/// The span of a verification. There is one only if the caller's is recorded: verifications are far more
/// frequent, and far shorter, than what a span is for.
pub(crate) fn verification<B>(request: &Request<B>) -> Option<Span> {
    if !traces_are_on() {
        return None;
    }
    let parent = Traceparent::sampled(request.headers())?;
    let route = match request.uri().path() {
        "/verify" => "/verify",
        "/introspect" => "/introspect",
        path if path == "/auth" || path.starts_with("/auth/") => "/auth",
        _ => return None,
    };
    let span = begun(request.method(), Some(route));
    parent.continue_in(&span, request.headers());
    Some(span)
}

fn begun(method: &Method, route: Option<&str>) -> Span {
    // A method of the caller's own could be anything.
    let is_known = KNOWN.contains(method);
    let method = if is_known { method.as_str() } else { "_OTHER" };
    let name = if is_known { method } else { "HTTP" };
    let span = tracing::info_span!(
        "request",
        otel.kind = "server",
        otel.name = name,
        otel.status_code = Empty,
        http.request.method = method,
        http.route = route,
        http.response.status_code = Empty,
        error.type = Empty,
        request.id = Empty,
        key.id = Empty,
        keyledger.code = Empty,
    );
    if let Some(route) = route {
        span.record("otel.name", display(format_args!("{name} {route}")));
    }
    span
}

const KNOWN: [Method; 9] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::DELETE,
    Method::CONNECT,
    Method::OPTIONS,
    Method::TRACE,
    Method::PATCH,
];

/// The answer to a request, made within its span.
pub(crate) async fn within<E>(
    span: Span,
    answer: impl Future<Output = Result<Response, E>>,
) -> Result<Response, E> {
    let answer = answer.instrument(span.clone()).await;
    if let Ok(response) = &answer {
        answered(&span, response);
    }
    answer
}

/// Notes the status of an answer.
pub(crate) fn answered(span: &Span, response: &Response) {
    let status = response.status();
    span.record("http.response.status_code", i64::from(status.as_u16()));
    if status.is_server_error() {
        span.record("otel.status_code", "error");
        span.record("error.type", status.as_str());
    }
}

/// Notes the code of a problem in the span of the current request.
pub(crate) fn code(code: &'static str) {
    if traces_are_on() {
        Span::current().record("keyledger.code", code);
    }
}

/// Notes the outcome of a verification in the span of the current request.
pub(crate) fn outcome(outcome: &Outcome<'_>, code: &'static str) {
    if !traces_are_on() {
        return;
    }
    let span = Span::current();
    span.record("keyledger.code", code);
    if let Outcome::Valid(key) = outcome {
        span.record("key.id", display(key.key_id));
    }
}
