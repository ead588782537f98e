//! What does not go through the router is answered as if it did.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::service::Service;
use keyledger_domain::{KeyHash, KeyPrefix};
use keyledger_node::History;
use keyledger_node::clock::SystemClock;
use keyledger_node::readiness::Readiness;
use tokio::sync::watch;

use super::{Direct, InternalCallers, VerificationState, internal_document, router};
use crate::metrics::{Counters, Metrics};
use crate::server::routed;

#[keyledger_bounded::test]
fn what_does_not_go_through_the_router_is_in_the_document() {
    let document = internal_document();
    let mut direct = Vec::new();
    for (path, item) in &document.paths.paths {
        for (method, operation) in [(Method::GET, &item.get), (Method::POST, &item.post)] {
            let Some(operation) = operation else { continue };
            if let Some(endpoint) = Direct::of(&method, path) {
                let id = operation.operation_id.as_deref().unwrap();
                assert_eq!(format!("{endpoint:?}").to_lowercase(), id, "{method} {path}");
                direct.push(id);
            }
        }
    }
    assert_eq!(direct, ["auth", "verify"]);
}

/// Headers of a request.
type Headers = &'static [(&'static str, &'static str)];

/// What is compared of an answer.
type Seen = (StatusCode, HeaderMap, Vec<u8>);

async fn seen(response: Response) -> Seen {
    let (mut parts, body) = response.into_parts();
    // The router adds it; of direct answers, the server does.
    parts.headers.remove(header::CONTENT_LENGTH);
    (parts.status, parts.headers, to_bytes(body, 1 << 16).await.unwrap().to_vec())
}

fn metrics(history: History) -> Metrics {
    Metrics {
        readiness: Readiness::default(),
        history,
        clock: Arc::new(SystemClock),
        head: watch::channel(None).1,
        relayed: watch::channel(None).1,
        missing: watch::channel(None).1,
        dropped_lines: || 0,
        counters: Counters::default(),
    }
}

#[keyledger_bounded::test]
async fn both_ways_to_an_endpoint_give_the_same_answer() {
    let history = History::new(Duration::from_secs(10), Arc::default());
    let metrics = metrics(history.clone());
    let (clock, counters) = (metrics.clock.clone(), metrics.counters.clone());
    let key_prefix = KeyPrefix::parse("orag").unwrap();
    let state = VerificationState { history, clock, counters, key_prefix };
    let state = &*Box::leak(Box::new(state));
    let callers = InternalCallers::with_tokens(HashSet::from([KeyHash::of("token")]));
    let callers = &*Box::leak(Box::new(callers));
    let router = routed(router(metrics, Some(state), callers).unwrap());

    let json: Headers = &[("content-type", "application/json")];
    let cases: [(Method, &str, Headers, &str); 11] = [
        (Method::POST, "/verify", json, r#"{"key":"a"}"#),
        (Method::POST, "/verify", json, r#"{"key":1}"#),
        (Method::POST, "/verify", json, "nonsense"),
        (Method::POST, "/verify", &[], r#"{"key":"a"}"#),
        (Method::POST, "/verify", &[("keyledger-min-position", "x")], ""),
        (Method::GET, "/auth", &[("x-api-key", "a")], ""),
        (Method::PUT, "/auth", &[], ""),
        (Method::OPTIONS, "/auth", &[("x-api-key", "a"), ("x-api-key", "a")], "a body"),
        (Method::GET, "/auth", &[("keyledger-min-position", "x")], ""),
        (Method::GET, "/auth", &[("host", "a"), ("host", "b")], ""),
        (Method::POST, "/verify", &[("transfer-encoding", "gzip")], ""),
    ];
    let mut statuses = HashSet::new();
    for (method, path, headers, body) in cases {
        for token in ["token", "another"] {
            let request = || {
                let request = Request::builder().method(&method).uri(path).header("host", "a");
                let request = request.header("keyledger-token", token);
                let request =
                    headers.iter().fold(request, |it, (name, value)| it.header(*name, *value));
                request.body(Body::from(body.to_owned())).unwrap()
            };
            let direct = Direct::of(&method, path).unwrap();
            let direct = direct.answer(state, callers, request()).await.into_response();
            let direct = seen(direct).await;
            let routed = seen(router.call(request()).await.unwrap()).await;
            assert_eq!(direct, routed, "{method} {path} {headers:?} {body}");
            statuses.insert(direct.0.as_u16());
        }
    }
    let expected = [400, 401, 415, 501, 503];
    assert_eq!(statuses, HashSet::from(expected), "each kind of answer was compared");
}
