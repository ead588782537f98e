//! Preflights, which browsers send without the key (Fetch, "CORS-preflight request").

use serde_json::{Value, json};

use super::{Application, Door, IDENTITY, doors, key};
use crate::support::{Client, Service, assert_status, raw_answer};

const ORIGIN: (&str, &str) = ("origin", "https://app.example.com");
const METHOD: (&str, &str) = ("access-control-request-method", "PUT");

fn preflight(door: &Door) -> Client {
    with(&door.stranger, &[ORIGIN, METHOD, ("access-control-request-headers", "x-api-key")])
}

fn with(client: &Client, headers: &[(&str, &str)]) -> Client {
    headers.iter().fold(client.clone(), |client, (name, value)| client.with(name, value))
}

#[keyledger_bounded::test]
async fn a_preflight_reaches_the_application_without_a_key() {
    let (service, application) = (Service::start().ready().await, Application::start().await);
    let doors = doors(&service, &application).await;
    // It needs no answer of keyledger.
    service.kill();
    for door in doors {
        let answer = preflight(&door).send("OPTIONS", "/a%2Fb/?page=2", None).await;
        assert_status!(answer, 204, "{:?}", door.kind);
        assert_eq!(answer.header("access-control-allow-origin"), Some(ORIGIN.1), "{:?}", door.kind);
        assert_eq!(answer.header("access-control-allow-headers"), Some("x-api-key"));
        let [seen] = &application.seen.take()[..] else { panic!("{:?}: one request", door.kind) };
        assert_eq!(seen["method"], "OPTIONS", "{:?}", door.kind);
        assert_eq!(seen["target"], "/a%2Fb/?page=2", "{:?}", door.kind);
        let asked = &seen["headers"]["access-control-request-headers"];
        assert_eq!(asked, &json!(["x-api-key"]), "{:?}", door.kind);
    }
}

#[keyledger_bounded::test]
async fn what_is_no_preflight_needs_a_key() {
    let (service, application) = (Service::start().ready().await, Application::start().await);
    let cases: &[&[(&str, &str)]] = &[
        &[],
        &[ORIGIN],
        &[METHOD],
        &[ORIGIN, (METHOD.0, "")],
        &[("origin", ""), METHOD],
        &[ORIGIN, ("access_control_request_method", "PUT")],
    ];
    for door in doors(&service, &application).await {
        for headers in cases {
            let answer = with(&door.stranger, headers).send("OPTIONS", "/", None).await;
            assert_status!(answer, 401, "{:?}: {headers:?}", door.kind);
        }
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] {
            let client = preflight(&door).with("x-http-method-override", "OPTIONS");
            assert_status!(client.send(method, "/", None).await, 401, "{:?}: {method}", door.kind);
        }
        // Each of these is refused in one way or another.
        for line in ["options /", "Options /", "OPTIONSX /", "XOPTIONS /", "OPTIONS *", "GET /"] {
            let request = format!(
                "{line} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{}: {}\r\n{}: {}\r\n\r\n",
                ORIGIN.0, ORIGIN.1, METHOD.0, METHOD.1
            );
            raw_answer(&door.gateway.address(), &request).await;
        }
        assert_eq!(application.seen.take(), Vec::<Value>::new(), "{:?}", door.kind);
    }
}

#[keyledger_bounded::test]
async fn a_preflight_takes_nothing_to_the_application_but_its_question() {
    let (service, application) = (Service::start().ready().await, Application::start().await);
    let key = key(&service).await;
    let bearer = format!("Bearer {}", key.secret);
    let mut extra = vec![
        ("x-api-key", &*key.secret),
        ("authorization", &bearer),
        ("cookie", "session=1"),
        ("x-http-method", "DELETE"),
        ("x-http-method-override", "DELETE"),
        ("x-method-override", "DELETE"),
    ];
    extra.extend(IDENTITY.map(|name| (name, "mallory")));
    let underscored = IDENTITY.map(|name| name.replace('-', "_"));
    extra.extend(underscored.iter().map(|name| (&**name, "mallory")));
    for door in doors(&service, &application).await {
        let answer = with(&preflight(&door), &extra).send("OPTIONS", "/", None).await;
        assert_status!(answer, 204, "{:?}", door.kind);
        let [seen] = &application.seen.take()[..] else { panic!("{:?}: one request", door.kind) };
        for (name, _) in &extra {
            assert!(seen["headers"][name].is_null(), "{:?}: {name}: {seen}", door.kind);
        }
    }
}

/// A request in the body of a preflight.
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n";

#[keyledger_bounded::test]
async fn a_preflight_brings_no_other_request_with_it() {
    let (service, application) = (Service::start().ready().await, Application::start().await);
    let framed = [
        format!("Content-Length: {}\r\n\r\n{HIDDEN}", HIDDEN.len()),
        format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{HIDDEN}\r\n0\r\n\r\n", HIDDEN.len()),
        format!("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{HIDDEN}"),
        format!("Content-Length: 0\r\nContent-Length: {}\r\n\r\n{HIDDEN}", HIDDEN.len()),
        format!("\r\n{HIDDEN}"),
    ];
    for door in doors(&service, &application).await {
        for rest in &framed {
            let request = format!(
                "OPTIONS / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{}: {}\r\n{}: {}\r\n{rest}",
                ORIGIN.0, ORIGIN.1, METHOD.0, METHOD.1
            );
            raw_answer(&door.gateway.address(), &request).await;
        }
        let upgrade = [("connection", "upgrade"), ("upgrade", "websocket")];
        with(&preflight(&door), &upgrade).send("OPTIONS", "/", None).await;
        for seen in application.seen.take() {
            assert_eq!(seen["method"], "OPTIONS", "{:?}: {seen}", door.kind);
            assert_eq!(seen["body"], "", "{:?}: {seen}", door.kind);
            assert!(seen["headers"]["upgrade"].is_null(), "{:?}: {seen}", door.kind);
        }
    }
}
