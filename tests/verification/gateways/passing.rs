//! What passes a gateway as it is.

use keyledger_test_servers::gateway::Kind;
use serde_json::json;

use super::{Application, doors, key};
use crate::support::{Service, assert_status, raw_answer};

#[keyledger_bounded::test]
async fn bodies_and_the_applications_own_failures_pass_the_gateway_as_they_are() {
    let (service, application) = (Service::start().ready().await, Application::start().await);
    let key = key(&service).await;
    for door in doors(&service, &application).await {
        let holder = door.with(&key.secret);
        let body = "0123456789".repeat(20_000);
        let answer = holder.send("POST", "/", Some(body.clone().into_bytes())).await;
        assert!(answer.json()["body"] == body, "{:?}: {}", door.kind, answer.status);
        let answer = door.stranger.send("POST", "/", Some(body.into_bytes())).await;
        assert_status!(answer, 401, "{:?}", door.kind);
        for status in [401, 403, 404, 500, 502, 503] {
            let answer = holder.get(&format!("/status/{status}")).await;
            assert_status!(answer, status, "{:?}", door.kind);
            assert_eq!(&*answer.text, "", "{:?}", door.kind);
        }
    }
}

#[keyledger_bounded::test]
async fn an_upload_of_3_mb_passes_the_gateway_whole() {
    let (service, application) = (Service::start().ready().await, Application::start().await);
    let key = key(&service).await;
    let body = "0123456789abcdef".repeat(3 * 1024 * 1024 / 16);
    for door in doors(&service, &application).await {
        let holder = door.with(&key.secret);
        let answer = holder.send("POST", "/upload", Some(body.clone().into())).await;
        assert_status!(answer, 200, "{:?}", door.kind);
        let chunked = format!(
            "POST /upload HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-API-Key: {}\r\n\
             Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
            key.secret,
            body.len()
        );
        let (status, _) = raw_answer(&door.gateway.address(), &chunked).await;
        assert_eq!(status, 200, "{:?}", door.kind);
        let seen: Vec<_> = application.seen.take();
        let uploads: Vec<_> = seen.iter().filter(|seen| seen["target"] == "/upload").collect();
        assert_eq!(uploads.len(), 2, "{:?}", door.kind);
        assert!(uploads.iter().all(|upload| upload["body"] == body), "{:?}", door.kind);
    }
}

/// Paths and queries that a gateway may be tempted to tidy up.
const TARGETS: [&str; 10] = [
    "/orders/",
    "/orders//7/",
    "/orders?",
    "/a%20b/c%2Fd/%C3%A9/%25/e%3Ff/g%23h?x=%2F",
    "/?a=1+2&b=%26&&c=&a=2&d",
    "/a/../b/./c?d=/../e",
    "/a/%2E%2E/b",
    "/a:b@c,d;e=f/$g!h'(i)*~",
    "/auth?key=1",
    "/.keyledger/",
];

/// What Traefik writes in another way, which means the same (RFC 3986, section 6.2.2): an escaped character
/// that needs no escape. In a query, it writes `&` for `;`.
const BY_TRAEFIK: [(&str, &str); 2] = [("/a/%2E%2E/b", "/a/../b"), ("/?a;b", "/?a&b")];

#[keyledger_bounded::test]
async fn path_and_query_reach_the_application_exactly_as_the_client_sent_them() {
    let (service, application) = (Service::start().ready().await, Application::start().await);
    let key = key(&service).await;
    for door in doors(&service, &application).await {
        application.seen.take();
        for target in TARGETS.into_iter().chain(["/?a;b"]) {
            let request = format!(
                "GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-API-Key: {}\r\n\r\n",
                key.secret
            );
            let (status, answer) = raw_answer(&door.gateway.address(), &request).await;
            assert_eq!(status, 200, "{:?}: {target}: {answer}", door.kind);
            let other = BY_TRAEFIK.into_iter().find(|(sent, _)| *sent == target);
            let expected = match other {
                Some((_, written)) if door.kind == Kind::Traefik => written,
                _ => target,
            };
            let seen: Vec<_> =
                application.seen.take().iter().map(|seen| seen["target"].clone()).collect();
            assert_eq!(seen, [json!(expected)], "{:?}", door.kind);

            let request = request.replace("X-API-Key", "X-Other");
            let (status, answer) = raw_answer(&door.gateway.address(), &request).await;
            assert_eq!(status, 401, "{:?}: {target}: {answer}", door.kind);
        }
    }
}
