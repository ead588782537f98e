//! Bad input: each kind has its own 4xx and its own sentence, and nothing is written.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::wait::within;
use crate::support::{Client, Service, assert_problem};

async fn create(client: &Client, body: &[u8]) -> (u16, String, String) {
    let json = client.with("content-type", "application/json");
    json.send("POST", "/keys", Some(body.to_vec())).await.problem()
}

#[keyledger_bounded::test]
async fn a_bad_body_creates_nothing() {
    let service = Service::start();
    let ann = service.user("ann");
    let long = format!("{{\"name\":\"{}\"}}", "x".repeat(16 * 1024));
    let long_expiry = "a date and time of RFC 3339, such as 2030-01-31T12:00:00Z";
    let deep = format!("{{\"name\":{}", "[".repeat(10_000));
    let cases: &[(&[u8], u16, &str, &str)] = &[
        (b"", 400, "malformed_json", "The body must be valid JSON"),
        (b"{", 400, "malformed_json", "The body must be valid JSON"),
        (b"{\"name\":\"a\"} x", 400, "malformed_json", "The body must be valid JSON"),
        (b"{\"name\":\"\xff\"}", 400, "malformed_json", "The body must be valid JSON"),
        (b"{\"name\":\"\\ud800\"}", 400, "malformed_json", "The body must be valid JSON"),
        (deep.as_bytes(), 400, "malformed_json", "The body must be valid JSON"),
        (b"[]", 400, "invalid_body", "The body must be a JSON object that names each field once"),
        (
            b"{\"name\":\"a\",\"name\":\"b\"}",
            400,
            "invalid_body",
            "The body must be a JSON object that names each field once",
        ),
        (b"{\"name\":5}", 400, "wrong_type", "name must be a string"),
        (b"{\"name\":[\"a\"]}", 400, "wrong_type", "name must be a string"),
        (b"{\"name\":\"a\",\"user_id\":\"b\"}", 400, "unknown_field", "Unknown field \"user_id\""),
        (
            b"{\"name\":\"a\",\"\\u001b[2J\":1}",
            400,
            "unknown_field",
            "Unknown field \"\\u{1b}[2J\"",
        ),
        (
            b"{\"name\":\"a\\u0000b\"}",
            400,
            "name_has_control_characters",
            "Name must not contain control characters",
        ),
        (
            b"{\"name\":\"a\\nb\"}",
            400,
            "name_has_control_characters",
            "Name must not contain control characters",
        ),
        (long.as_bytes(), 413, "body_too_large", "The body must be 16 KiB or less"),
        (
            b"{\"name\":\"a\",\"expires_at\":\"soon\"}",
            400,
            "wrong_type",
            &format!("expires_at must be {long_expiry}"),
        ),
        (
            b"{\"name\":\"a\",\"expires_at\":\"2020-01-01T00:00:00Z\"}",
            422,
            "expiry_not_in_future",
            "The expiry must be in the future",
        ),
        (
            b"{\"name\":\"a\",\"expires_in_seconds\":0}",
            400,
            "wrong_type",
            "expires_in_seconds must be a whole number of seconds from 1 to 3155760000",
        ),
        (
            b"{\"name\":\"a\",\"expires_in_seconds\":1.5}",
            400,
            "wrong_type",
            "expires_in_seconds must be a whole number of seconds from 1 to 3155760000",
        ),
        (
            b"{\"name\":\"a\",\"expires_in_seconds\":1e400}",
            400,
            "malformed_json",
            "The body must be valid JSON",
        ),
        (
            b"{\"name\":\"a\",\"expires_in_seconds\":9,\"expires_at\":\"2090-01-01T00:00:00Z\"}",
            422,
            "two_expiries",
            "Give expires_at or expires_in_seconds, not both",
        ),
    ];
    for (body, status, code, sentence) in cases {
        let shown = String::from_utf8_lossy(&body[..body.len().min(60)]);
        let expected = (*status, (*code).to_owned(), (*sentence).to_owned());
        assert_eq!(create(&ann, body).await, expected, "{shown}");
    }
    assert!(ann.keys().await.is_empty());
    assert_eq!(service.events().await, [], "nothing was written");
}

#[keyledger_bounded::test]
async fn a_body_must_say_that_it_is_json() {
    let service = Service::start();
    let ann = service.user("ann");
    let expected = (
        415,
        "unsupported_media_type".to_owned(),
        "The body must be of type application/json".to_owned(),
    );
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "application/jsonx"] {
        let client = ann.with("content-type", content_type);
        let answer = client.send("POST", "/keys", Some(br#"{"name":"a"}"#.to_vec())).await;
        assert_eq!(answer.problem(), expected, "{content_type}");
    }
    let bare = ann.send("POST", "/keys", Some(br#"{"name":"a"}"#.to_vec())).await;
    assert_eq!(bare.problem(), expected);
    let with_charset = ann.with("content-type", "application/json; charset=utf-8");
    let answer = with_charset.send("POST", "/keys", Some(br#"{"name":"a"}"#.to_vec())).await;
    answer.expect_status(200);
}

#[keyledger_bounded::test]
async fn a_bad_reason_revokes_and_deletes_nothing() {
    let service = Service::start();
    let ann = service.user("ann");
    let id = ann.create("ci").await;
    let json = ann.with("content-type", "application/json");
    for path in [format!("/keys/{id}"), format!("/keys/{id}/permanent")] {
        for (body, code) in [
            (json!({"reason": "x".repeat(501)}), "reason_too_long"),
            (json!({"reason": "a\u{0}b"}), "reason_has_control_characters"),
            (json!({"reason": 7}), "wrong_type"),
            (json!({"why": "x"}), "unknown_field"),
            (json!("why"), "invalid_body"),
            (json!(null), "invalid_body"),
        ] {
            let body = body.to_string().into_bytes();
            assert_problem!(json.send("DELETE", &path, Some(body)).await, 400, code, "{path}");
        }
        let plain = ann.send("DELETE", &path, Some(b"{}".to_vec())).await;
        plain.expect_status(415).problem();
    }
    assert_eq!(ann.keys().await[0]["revoked"], false);
}

#[keyledger_bounded::test]
async fn a_wrong_path_or_method_is_told_apart() {
    let service = Service::start();
    let ann = service.user("ann");
    let id = ann.create("ci").await;
    for path in ["/", "/key", "/keys//", &format!("/keys/{id}/history/x"), "/KEYS", "/keys/a/b/c"] {
        assert_problem!(ann.get(path).await, 404, "path_not_found", "{path}");
    }
    for (method, path, allow) in [
        ("PUT", "/keys".to_owned(), "GET,HEAD,POST"),
        ("PATCH", format!("/keys/{id}"), "DELETE,GET,HEAD"),
        ("GET", format!("/keys/{id}/permanent"), "DELETE"),
        ("TRACE", "/keys".to_owned(), "GET,HEAD,POST"),
        ("BREW", "/keys".to_owned(), "GET,HEAD,POST"),
        ("POST", "/healthz".to_owned(), "GET,HEAD"),
    ] {
        let answer = ann.send(method, &path, None).await;
        assert_problem!(answer, 405, "method_not_allowed", "{method} {path}");
        let mut allowed: Vec<_> = answer.header("allow").unwrap().split(',').collect();
        allowed.sort_unstable();
        assert_eq!(allowed.join(","), allow, "{method} {path}");
    }
}

#[keyledger_bounded::test]
async fn a_bad_query_lists_nothing() {
    let service = Service::start();
    let ann = service.user("ann");
    for (query, code) in [
        ("limit=0", "invalid_parameter"),
        ("limit=101", "invalid_parameter"),
        ("limit=-1", "invalid_parameter"),
        ("limit=ten", "invalid_parameter"),
        ("limit=1&limit=2", "invalid_parameter"),
        ("status=dead", "invalid_parameter"),
        ("status=", "invalid_parameter"),
        ("status=Active", "invalid_parameter"),
        ("status=active,expired", "invalid_parameter"),
        ("status=active&status=expired", "invalid_parameter"),
        ("cursor=x", "invalid_parameter"),
        ("cursor=%00", "invalid_parameter"),
        ("user_id=bob", "unknown_parameter"),
    ] {
        assert_problem!(ann.get(&format!("/keys?{query}")).await, 400, code, "{query}");
    }
}

#[keyledger_bounded::test]
async fn headers_have_a_bound() {
    let service = Service::start();
    let ann = service.user("ann").with("x-filler", &"x".repeat(32 * 1024));
    ann.get("/keys").await.expect_status(431);
    let mut many = service.user("ann");
    for number in 0..70 {
        many = many.with(&format!("x-filler-{number}"), "x");
    }
    many.get("/keys").await.expect_status(431);
    service.user("ann").get("/keys").await.expect_status(200);
}

#[keyledger_bounded::test]
async fn a_bad_header_is_told() {
    let service = Service::start();
    let ann = service.user("ann");
    for value in ["", "-1", "x", "1.5", "9223372036854775808", "99999999999999999999"] {
        let answer = ann.with("keyledger-min-position", value).get("/keys").await;
        assert_problem!(answer, 400, "invalid_header", "{value}");
    }
    for value in ["", "\"\"", "a b", "é", &"x".repeat(256)] {
        let answer = ann.with("idempotency-key", value).post("/keys", &json!({"name": "a"})).await;
        assert_problem!(answer, 400, "invalid_header", "{value}");
    }
    assert!(ann.keys().await.is_empty());
}

#[keyledger_bounded::test]
async fn a_caller_that_does_not_send_its_headers_keeps_no_connection() {
    let service = Service::start();
    let mut silent = TcpStream::connect(&service.address).await.unwrap();
    silent.write_all(b"GET /keys HTTP/1.1\r\nHost: localhost\r\n").await.unwrap();
    let mut answer = Vec::new();
    // The limit of this wait is far above the ten seconds that a caller has.
    within("the end of the connection", silent.read_to_end(&mut answer)).await.unwrap();
    assert!(!answer.starts_with(b"HTTP/1.1 2"), "{}", String::from_utf8_lossy(&answer));
}
