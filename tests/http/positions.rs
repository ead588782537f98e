//! Positions in answers and requests: a caller reads what was written before.

use serde_json::json;

use crate::support::{Service, assert_problem};

#[keyledger_bounded::test]
async fn a_list_after_a_create_shows_the_key() {
    let service = Service::start();
    let ann = service.user("ann");
    for number in 1..=50 {
        ann.create(&format!("k{number}")).await;
        assert_eq!(ann.keys().await.len(), number);
    }
}

#[keyledger_bounded::test]
async fn answers_tell_their_position() {
    let service = Service::start();
    let ann = service.user("ann");
    let created = ann.post("/keys", &json!({"name": "ci"})).await;
    assert_eq!(created.header("keyledger-lagging"), None);
    assert!(ann.get("/keys").await.position() >= created.position());
    let id = created.json()["key_id"].as_str().unwrap().to_owned();
    let revoked = ann.delete(&format!("/keys/{id}")).await;
    let events = service.events().await;
    let positions: Vec<_> = events.iter().map(|event| event.position.as_u64()).collect();
    assert_eq!(positions, [created.position(), revoked.position()]);
}

#[keyledger_bounded::test]
async fn a_position_that_is_not_there_yet_is_waited_for_and_then_refused() {
    let service = Service::start();
    let ann = service.user("ann");
    let reached = ann.post("/keys", &json!({"name": "ci"})).await.position();
    assert_eq!(ann.keys_at(reached).await.len(), 1);
    let begun = std::time::Instant::now();
    let far = (reached + 1_000_000_000).to_string();
    let answer = ann.with("keyledger-min-position", &far).get("/keys").await;
    assert!(begun.elapsed().as_secs() >= 2);
    assert_problem!(answer, 503, "read_behind");
    assert_eq!(answer.header("retry-after"), Some("1"));
}

#[keyledger_bounded::test]
async fn a_waiting_list_is_answered_as_soon_as_the_position_is_reached() {
    let service = Service::start();
    let ann = service.user("ann");
    let before = ann.post("/keys", &json!({"name": "ci"})).await.position();
    let waiting = ann.keys_at(before + 1);
    let creating = ann.create("ci");
    let (keys, _) = tokio::join!(waiting, creating);
    assert!((1..=2).contains(&keys.len()));
}
