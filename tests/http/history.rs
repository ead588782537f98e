//! The history of a key, for its owner and for auditors.

use serde_json::json;

use crate::support::{Service, is_time};

#[keyledger_bounded::test]
async fn a_history_tells_what_happened_and_who_did_it() {
    let service = Service::start();
    let ann = service.user("ann").with("x-request-id", "req-1");
    let id = ann.create("ci").await;
    let json = ann.with("content-type", "application/json");
    let reason = json!({"reason": " the laptop was stolen "}).to_string().into_bytes();
    json.send("DELETE", &format!("/keys/{id}"), Some(reason)).await;
    let answer = ann.get(&format!("/keys/{id}/history")).await;
    answer.expect_status(200);
    let body = answer.json();
    let events = body["events"].as_array().unwrap();
    assert_eq!(events.len(), 2);
    let written = service.events().await;
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event["revision"], number);
        assert_eq!(event["position"], written[number].position.as_u64());
        assert_eq!(event["event_id"], written[number].id.to_string());
        assert_eq!(event["actor"], "ann");
        assert_eq!(event["correlation_id"], "req-1");
        assert!(is_time(&event["occurred_at"]));
    }
    assert_eq!(events[0]["type"], "KeyCreated");
    assert_eq!(events[0]["data"]["name"], "ci");
    assert_eq!(events[0]["data"]["user_email"], "ann@example.com");
    assert_eq!(events[1]["type"], "KeyRevoked");
    assert_eq!(events[1]["data"], json!({"user_id": "ann", "reason": "the laptop was stolen"}));
    assert!(!answer.text.contains("hash"));
}

#[keyledger_bounded::test]
async fn a_history_is_for_the_owner_and_for_auditors() {
    let service = Service::start();
    let (ann, bob, eve) = (service.user("ann"), service.user("bob"), service.auditor("eve"));
    let id = ann.create("ci").await;
    let path = format!("/keys/{id}/history");
    ann.get(&path).await.expect_status(200);
    eve.get(&path).await.expect_status(200);
    bob.get(&path).await.expect_status(403).problem();

    ann.delete(&format!("/keys/{id}/permanent")).await;
    ann.get(&path).await.expect_status(404).problem();
    bob.get(&path).await.expect_status(404).problem();
    let events = eve.get(&path).await.json()["events"].clone();
    assert_eq!(events[1]["type"], "KeyDeleted");

    let unknown = "/keys/01890a5d-ac96-774b-bcce-b302099a8057/history";
    eve.get(unknown).await.expect_status(404).problem();
}
