//! `Idempotency-Key`: one key, however often the request is sent.

use std::collections::HashSet;

use futures::future::join_all;
use serde_json::json;

use crate::support::Service;

#[tokio::test]
async fn a_repeated_request_creates_one_key() {
    let service = Service::start();
    let ann = service.user("ann").with("idempotency-key", "\"order-1\"");
    let first = ann.post("/keys", &json!({"name": "ci"})).await;
    assert_eq!(first.status, 200);

    // The same key without its quotes, and a body that means the same.
    let again =
        ann.with("idempotency-key", "order-1").post("/keys", &json!({"name": " ci "})).await;
    let (status, code, _) = again.problem();
    assert_eq!((status, &*code), (409, "idempotency_replayed"));
    assert_eq!(again.json()["key_id"], first.json()["key_id"]);
    assert!(!again.text.contains("api_key"));
    assert_eq!(ann.keys().await.len(), 1);
}

#[tokio::test]
async fn another_request_under_the_same_key_is_refused() {
    let service = Service::start();
    let ann = service.user("ann").with("idempotency-key", "order-1");
    assert_eq!(ann.post("/keys", &json!({"name": "ci"})).await.status, 200);
    for body in [
        json!({"name": "other"}),
        json!({"name": "ci", "expires_in_seconds": 60}),
        json!({"name": "ci", "expires_at": "2090-01-01T00:00:00Z"}),
    ] {
        let (status, code, _) = ann.post("/keys", &body).await.problem();
        assert_eq!((status, &*code), (422, "idempotency_mismatch"), "{body}");
    }
    assert_eq!(ann.keys().await.len(), 1);
}

#[tokio::test]
async fn each_user_has_idempotency_keys_of_their_own() {
    let service = Service::start();
    for user in ["ann", "bob"] {
        let client = service.user(user).with("idempotency-key", "order-1");
        assert_eq!(client.post("/keys", &json!({"name": "ci"})).await.status, 200);
    }
}

#[tokio::test]
async fn a_repetition_is_known_after_the_key_is_gone() {
    let service = Service::start();
    let ann = service.user("ann").with("idempotency-key", "order-1");
    let id = ann.create("ci").await;
    ann.delete(&format!("/keys/{id}/permanent")).await;
    let (status, code, _) = ann.post("/keys", &json!({"name": "ci"})).await.problem();
    assert_eq!((status, &*code), (409, "idempotency_replayed"));
    assert!(ann.keys().await.is_empty());
}

#[tokio::test]
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
        assert_eq!(answer.problem().1, "idempotency_replayed");
    }
    assert_eq!(ann.keys().await.len(), 1);
}
