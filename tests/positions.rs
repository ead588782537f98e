//! Reading what was written: positions.

use serde_json::json;

use crate::support::Service;

#[tokio::test]
async fn a_list_after_a_create_shows_the_key() {
    let service = Service::start();
    let ann = service.user("ann");
    for number in 1..=50 {
        ann.create(&format!("k{number}")).await;
        assert_eq!(ann.keys().await.len(), number);
    }
}

#[tokio::test]
async fn answers_tell_their_position() {
    let service = Service::start();
    let ann = service.user("ann");
    assert_eq!(ann.get("/keys").await.position(), 0);
    let created = ann.post("/keys", &json!({"name": "ci"})).await;
    assert_eq!(created.position(), 1);
    assert_eq!(created.header("keyledger-lagging"), None);
    assert_eq!(ann.get("/keys").await.position(), 1);
    let id = created.json()["key_id"].as_str().unwrap().to_owned();
    assert_eq!(ann.delete(&format!("/keys/{id}")).await.position(), 2);
}

#[tokio::test]
async fn a_position_that_is_not_there_yet_is_waited_for_and_then_refused() {
    let service = Service::start();
    let ann = service.user("ann");
    ann.create("ci").await;
    assert_eq!(ann.keys_at(1).await.len(), 1);
    let begun = std::time::Instant::now();
    let answer = ann.with("keyledger-min-position", "2").get("/keys").await;
    assert!(begun.elapsed().as_secs() >= 2);
    let (status, code, _) = answer.problem();
    assert_eq!((status, &*code), (503, "read_behind"));
    assert_eq!(answer.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn a_waiting_list_is_answered_as_soon_as_the_position_is_reached() {
    let service = Service::start();
    let ann = service.user("ann");
    let waiting = ann.keys_at(1);
    let creating = ann.create("ci");
    let (keys, _) = tokio::join!(waiting, creating);
    assert_eq!(keys.len(), 1);
}
