//! An owner's address that changed at the identity provider is taken from the owner's next token.

use futures::future::join_all;
use keyledger_domain::Timestamp;
use keyledger_identity::Claims;
use serde_json::{Value, json};

use super::{Key, create, introspect, key, verify};
use crate::support::{Client, Service, Setup, claims, from_now, token, token_of};

/// Waits until all that was handed on before is done: sign-ins are compared one after the other.
async fn all_is_compared(service: &Service) {
    let other = create(&service.user("other"), &json!({"name": "other"})).await;
    service.user_with_email("other", "other@example.net", from_now(20)).keys().await;
    service.verifies_with_email(&other.secret, "other@example.net").await;
}

/// A key's events, as an auditor sees them.
async fn history(service: &Service, key: &Key) -> Vec<Value> {
    let answer = service.auditor("eve").get(&format!("/keys/{}/history", key.id)).await;
    answer.expect_status(200).json()["events"].as_array().unwrap().clone()
}

/// Their types.
async fn types(service: &Service, key: &Key) -> Vec<String> {
    let events = history(service, key).await;
    events.iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
}

#[keyledger_bounded::test]
async fn a_changed_address_is_taken_from_the_next_sign_in_for_each_active_key() {
    let service = Service::start().ready().await;
    let ann = service.user("ann");
    let keys = [key(&service).await, key(&service).await];
    let (revoked, deleted) = (key(&service).await, key(&service).await);
    ann.delete(&format!("/keys/{}", revoked.id)).await.expect_status(200);
    ann.delete(&format!("/keys/{}/permanent", deleted.id)).await.expect_status(200);
    let bobs = create(&service.user("bob"), &json!({"name": "bob's"})).await;

    let (new, issued_at) = ("ann@example.net", from_now(5));
    // Who has no keys has nothing to change.
    service.user_with_email("dave", "dave@example.net", issued_at).keys().await;
    let changed = service.user_with_email("ann", new, issued_at).with("x-request-id", "req-9");
    changed.with("user-agent", "browser/1").keys().await;
    let gateway = service.gateway();
    for key in &keys {
        service.verifies_with_email(&key.secret, new).await;
        let answer = gateway.with("x-api-key", &key.secret).get("/auth").await;
        assert_eq!(answer.expect_status(200).header("x-user-email"), Some(new));
        assert_eq!(introspect(&gateway, &key.secret).await.json()["username"], new);
    }
    all_is_compared(&service).await;
    for key in &keys {
        let events = history(&service, key).await;
        assert_eq!(events.len(), 2, "{events:?}");
        let event = &events[1];
        assert_eq!(event["type"], "KeyOwnerEmailChanged");
        assert_eq!((&event["actor"], &event["correlation_id"]), (&json!("ann"), &json!("req-9")));
        let issued = Timestamp::from_unix_micros(issued_at * 1_000_000).unwrap().to_string();
        let expected = json!({"user_id": "ann", "user_email": new, "token_issued_at": issued});
        assert_eq!(event["data"], expected);
        // What auditors see at a moment.
        let at = async |position: &Value| {
            let path = format!("/audit/keys/{}?at={position}", key.id);
            service.auditor("eve").get(&path).await.expect_status(200).json()
        };
        let (before, after) = (at(&events[0]["position"]).await, at(&event["position"]).await);
        assert_eq!(
            (&before["user_email"], &after["user_email"]),
            (&json!("ann@example.com"), &json!(new))
        );
        assert_eq!(
            (&after["verdict"], &after["because"]["revision"]),
            (&json!("VALID"), &json!(0))
        );
    }
    assert_eq!(types(&service, &revoked).await, ["KeyCreated", "KeyRevoked"]);
    assert_eq!(types(&service, &deleted).await, ["KeyCreated", "KeyDeleted"]);
    assert_eq!(types(&service, &bobs).await, ["KeyCreated"]);
    let events = service.events().await;
    let changes = events.iter().filter(|event| event.event.event_type() == "KeyOwnerEmailChanged");
    let clients: Vec<_> = changes.map(|event| event.metadata.client.as_deref()).collect();
    assert_eq!(clients, [Some("browser/1"), Some("browser/1"), None], "the last is the other's");

    // A process that starts again has the address from its tables, and a key is still refused afterwards.
    let service = Setup::in_folder(service.stop_well()).start().ready().await;
    service.verifies_with_email(&keys[0].secret, new).await;
    let again = service.user_with_email("ann", new, issued_at + 1);
    again.delete(&format!("/keys/{}", keys[0].id)).await.expect_status(200);
    let told = verify(&service.gateway(), &keys[0].secret).await.json();
    assert_eq!(told, json!({"valid": false, "code": "REVOKED"}));
}

#[keyledger_bounded::test]
async fn the_newest_token_counts_however_often_and_in_whichever_order_tokens_come() {
    let service = Service::start().ready().await;
    let key = key(&service).await;
    let begun = from_now(0);
    let first = token("ann", &[]);
    let old = |service: &Service| service.user_with_email("ann", "old@example.net", begun + 10);
    let new = |service: &Service| service.user_with_email("ann", "new@example.net", begun + 15);
    let newest = new(&service);
    join_all((0..30).map(|_| newest.keys())).await;
    service.verifies_with_email(&key.secret, "new@example.net").await;
    let first = Client::new(&service.address, Some(first));
    join_all([old(&service), first, newest].iter().map(Client::keys)).await;
    all_is_compared(&service).await;
    let expected = ["KeyCreated", "KeyOwnerEmailChanged"];
    assert_eq!(types(&service, &key).await, expected);

    // A process that starts again remembers no token: the key's own events decide.
    let service = Setup::in_folder(service.stop_well()).start().ready().await;
    old(&service).keys().await;
    all_is_compared(&service).await;
    assert_eq!(types(&service, &key).await, expected);
    service.verifies_with_email(&key.secret, "new@example.net").await;

    let newer = service.user_with_email("ann", "newer@example.net", begun + 20);
    // Whatever the request is, and whether it succeeds or not.
    newer.delete("/keys/01890a5d-ac96-774b-bcce-b302099a8057").await.expect_status(404);
    service.verifies_with_email(&key.secret, "newer@example.net").await;
    let expected = ["KeyCreated", "KeyOwnerEmailChanged", "KeyOwnerEmailChanged"];
    assert_eq!(types(&service, &key).await, expected);
}

#[keyledger_bounded::test]
async fn a_token_that_says_too_little_changes_nothing() {
    let service = Service::start().ready().await;
    let key = key(&service).await;
    // One without an address, one with an odd address, and one that comes from the future.
    let issued_at = from_now(20);
    let without = Claims { email: None, issued_at, ..claims("ann", &[], 3600) };
    Client::new(&service.address, Some(token_of(&without))).keys().await;
    service.user_with_email("ann", "", issued_at).keys().await;
    service.user_with_email("ann", "ann@example.net", from_now(3600)).keys().await;
    all_is_compared(&service).await;
    assert_eq!(types(&service, &key).await, ["KeyCreated"]);
    service.verifies_with_email(&key.secret, "ann@example.com").await;
}
