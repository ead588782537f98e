//! `Idempotency-Key`: a request that is sent again creates no second key.

use std::collections::HashSet;

use futures::future::join_all;
use serde_json::json;

use crate::support::{Service, assert_problem};

#[keyledger_bounded::test]
async fn a_repeated_request_creates_one_key() {
    let service = Service::start();
    let ann = service.user("ann").with("idempotency-key", "\"order-1\"");
    let first = ann.post("/keys", &json!({"name": "ci"})).await;
    first.expect_status(200);

    // The same key without its quotes, and a body that means the same.
    let again =
        ann.with("idempotency-key", "order-1").post("/keys", &json!({"name": " ci "})).await;
    assert_problem!(again, 409, "idempotency_replayed");
    assert_eq!(again.json()["key_id"], first.json()["key_id"]);
    assert!(!again.text.contains("api_key"));
    assert_eq!(ann.keys().await.len(), 1);
}

#[keyledger_bounded::test]
async fn another_request_under_the_same_key_is_refused() {
    let service = Service::start();
    let ann = service.user("ann").with("idempotency-key", "order-1");
    ann.post("/keys", &json!({"name": "ci"})).await.expect_status(200);
    for body in [
        json!({"name": "other"}),
        json!({"name": "ci", "expires_in_seconds": 60}),
        json!({"name": "ci", "expires_at": "2090-01-01T00:00:00Z"}),
    ] {
        assert_problem!(ann.post("/keys", &body).await, 422, "idempotency_mismatch", "{body}");
    }
    assert_eq!(ann.keys().await.len(), 1);
}

#[keyledger_bounded::test]
async fn each_user_has_idempotency_keys_of_their_own() {
    let service = Service::start();
    for user in ["ann", "bob"] {
        let client = service.user(user).with("idempotency-key", "order-1");
        client.post("/keys", &json!({"name": "ci"})).await.expect_status(200);
    }
}

#[keyledger_bounded::test]
async fn a_repetition_is_known_after_the_key_is_gone() {
    let service = Service::start();
    let ann = service.user("ann").with("idempotency-key", "order-1");
    let id = ann.create("ci").await;
    ann.delete(&format!("/keys/{id}/permanent")).await;
    assert_problem!(ann.post("/keys", &json!({"name": "ci"})).await, 409, "idempotency_replayed");
    assert!(ann.keys().await.is_empty());
}

#[keyledger_bounded::test]
async fn of_many_at_once_one_gets_the_secret() {
    let service = Service::start();
    let ann = service.user("ann").with("idempotency-key", "order-1");
    let body = json!({"name": "ci"});
    let answers = join_all((0..32).map(|_| ann.post("/keys", &body))).await;
    let made: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
    assert_eq!(made.len(), 1, "{answers:?}");
    let ids: HashSet<String> =
        answers.iter().map(|answer| answer.json()["key_id"].to_string()).collect();
    assert_eq!(ids.len(), 1);
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        assert_problem!(answer, 409, "idempotency_replayed");
    }
    assert_eq!(ann.keys().await.len(), 1);
}
