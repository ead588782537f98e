//! Bad requests: each kind has its own answer, and none changes anything.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{gateway, key, verdict, verify};
use crate::support::wait::{until, within};
use crate::support::{Answer, Client, Service, assert_problem};

async fn raw(gateway: &Client, path: &str, content_type: &str, body: &[u8]) -> Answer {
    gateway.with("content-type", content_type).send("POST", path, Some(body.to_vec())).await
}

#[keyledger_bounded::test]
async fn a_body_that_is_not_a_question_is_told_what_is_wrong() {
    let service = Service::start().ready().await;
    let gateway = gateway(&service);
    let long = format!("{{\"key\":\"{}\"}}", "x".repeat(16 * 1024));
    let cases: [(&[u8], u16, &str); 18] = [
        (b"", 400, "malformed_json"),
        (b"{", 400, "malformed_json"),
        (b"nonsense", 400, "malformed_json"),
        (b"{\"key\":\"a\"} x", 400, "malformed_json"),
        (b"{\"key\":\"\xff\xfe\"}", 400, "malformed_json"),
        (b"null", 400, "invalid_body"),
        (b"[]", 400, "invalid_body"),
        (b"\"a\"", 400, "invalid_body"),
        (b"{\"key\":\"a\",\"key\":\"b\"}", 400, "invalid_body"),
        (b"{}", 400, "key_required"),
        (b"{\"key\":null}", 400, "key_required"),
        (b"{\"key\":5}", 400, "wrong_type"),
        (b"{\"key\":{}}", 400, "wrong_type"),
        (b"{\"key\":\"a\",\"min_position\":\"1\"}", 400, "wrong_type"),
        (b"{\"key\":\"a\",\"min_position\":-1}", 400, "wrong_type"),
        (b"{\"key\":\"a\",\"min_position\":18446744073709551615}", 400, "wrong_type"),
        (b"{\"key\":\"a\",\"more\":true}", 400, "unknown_field"),
        (long.as_bytes(), 413, "body_too_large"),
    ];
    for (body, status, code) in cases {
        let answer = raw(&gateway, "/verify", "application/json", body).await;
        let (told, told_code, sentence) = answer.problem();
        assert_eq!((told, &*told_code), (status, code), "{:?}", String::from_utf8_lossy(body));
        assert!(!sentence.is_empty());
    }
    let form = raw(&gateway, "/verify", "text/plain", b"{\"key\":\"a\"}").await;
    assert_problem!(form, 415, "unsupported_media_type");
}

#[keyledger_bounded::test]
async fn a_form_that_names_no_one_token_is_told_what_is_wrong() {
    let service = Service::start().ready().await;
    let gateway = gateway(&service);
    const FORM: &str = "application/x-www-form-urlencoded";
    let long = format!("token={}", "x".repeat(16 * 1024));
    let cases: [(&str, &[u8], u16, &str); 6] = [
        (FORM, b"", 400, "token_required"),
        (FORM, b"key=a", 400, "token_required"),
        (FORM, b"token=a&token=b", 400, "invalid_parameter"),
        (FORM, long.as_bytes(), 413, "body_too_large"),
        ("application/json", b"{\"token\":\"a\"}", 415, "form_required"),
        ("", b"token=a", 415, "form_required"),
    ];
    for (content_type, body, status, code) in cases {
        let answer = raw(&gateway, "/introspect", content_type, body).await;
        assert_problem!(answer, status, code, "{:?}", String::from_utf8_lossy(body));
    }
    let hinted = raw(&gateway, "/introspect", FORM, b"token=a&token_type_hint=access_token").await;
    assert_eq!(hinted.json(), json!({"active": false}));
}

#[keyledger_bounded::test]
async fn a_request_without_one_key_is_not_let_in() {
    let service = Service::start().ready().await;
    let (gateway, key) = (gateway(&service), key(&service).await);
    let several = {
        let mut client = gateway.with("x-api-key", &key.secret);
        client.append("x-api-key", &key.secret);
        client
    };
    let several_tokens = {
        let mut client = gateway.with("authorization", &format!("Bearer {}", key.secret));
        client.append("authorization", "Bearer other");
        client
    };
    let (required, invalid) = ("API key required", "Invalid API key");
    for (client, error) in [
        (gateway.clone(), required),
        (gateway.with("authorization", &format!("Basic {}", key.secret)), required),
        (gateway.with("authorization", &key.secret), required),
        (gateway.with("authorization", "Bearer "), required),
        (gateway.with("x-api-key", ""), required),
        (gateway.with("x-api-key", "sch\u{fc}ssel"), invalid),
        (several, invalid),
        (several_tokens, invalid),
    ] {
        let answer = client.get("/auth").await;
        answer.expect_status(401);
        assert_eq!(answer.json()["error"], error, "{answer:?}");
        assert!(!answer.json()["message"].as_str().unwrap().is_empty());
        let challenge = answer.header("www-authenticate").unwrap();
        assert_eq!(challenge.contains("invalid_token"), error == invalid);
    }
}

#[keyledger_bounded::test]
async fn a_wrong_method_or_path_is_told() {
    let service = Service::start().ready().await;
    let gateway = gateway(&service);
    for (method, path, code) in [
        ("GET", "/verify", "method_not_allowed"),
        ("PUT", "/introspect", "method_not_allowed"),
        ("POST", "/verify/", "path_not_found"),
        ("GET", "/authx", "path_not_found"),
        ("GET", "/keys", "path_not_found"),
    ] {
        assert_eq!(gateway.send(method, path, None).await.problem().1, code, "{method} {path}");
    }
}

#[keyledger_bounded::test]
async fn a_head_that_is_too_large_is_refused() {
    let service = Service::start().ready().await;
    let mut stream = TcpStream::connect(&service.internal).await.unwrap();
    let key = "x".repeat(64 * 1024);
    let request = format!("GET /auth HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\n\r\n");
    // It may be refused before all of it is sent.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = within("the answer", stream.read_to_end(&mut answer)).await;
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
}

#[keyledger_bounded::test]
async fn a_flood_of_keys_that_are_none_changes_nothing() {
    let service = Service::start().ready().await;
    let (gateway, ann) = (gateway(&service), service.user("ann"));
    let (key, revoked) = (key(&service).await, key(&service).await);
    ann.delete(&format!("/keys/{}", revoked.id)).await;
    let before: Vec<Value> = ann.keys().await;
    let stored = service.events().await;
    for number in 0..300 {
        verify(&gateway, &format!("orag_{number}")).await;
        assert_eq!(verdict(&gateway, &revoked.secret).await, "REVOKED");
    }
    // A use of a good key is recorded. Uses before it, had there been any, would be recorded with it.
    verify(&gateway, &key.secret).await;
    let used = |keys: &[Value]| {
        keys.iter().map(|key| (key["key_id"].clone(), key["last_used_at"].clone())).collect()
    };
    let now: Vec<(Value, Value)> = until("a last use in the list", async || {
        let now: Vec<(Value, Value)> = used(&ann.keys().await);
        if now.iter().all(|(_, at)| at.is_null()) { Err("none") } else { Ok(now) }
    })
    .await;
    assert!(used(&before).iter().all(|(_, at): &(Value, Value)| at.is_null()));
    for (id, at) in now {
        assert_eq!(at.is_null(), id != key.id.as_str(), "{id}");
    }
    assert_eq!(service.events().await, stored);
    assert_eq!(service.metric("keyledger_index_keys").await, Some(2));
}
