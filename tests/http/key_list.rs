//! What the list has beyond the UI's contract: pages, filters, expiry, one key and its tag.

use serde_json::{Value, json};

use crate::support::wait::until;
use crate::support::{Client, Service, Setup, assert_status, is_time};

async fn page(client: &Client, query: &str) -> (Vec<String>, Value) {
    let answer = client.get(&format!("/keys?{query}")).await;
    answer.expect_status(200);
    let body = answer.json();
    let name = |key: &Value| key["name"].as_str().unwrap().to_owned();
    (body["keys"].as_array().unwrap().iter().map(name).collect(), body["next_cursor"].clone())
}

#[keyledger_bounded::test]
async fn pages_show_every_key_once_newest_first() {
    let service = Service::start();
    let ann = service.user("ann");
    for number in 0..7 {
        ann.create(&format!("k{number}")).await;
        service.user("bob").create("other").await;
    }
    let (mut seen, mut cursor) = page(&ann, "limit=3").await;
    let mut pages = 1;
    while let Some(next) = cursor.as_str().map(ToOwned::to_owned) {
        // A key that is created meanwhile is on no later page.
        ann.create("late").await;
        let (names, following) = page(&ann, &format!("limit=3&cursor={next}")).await;
        seen.extend(names);
        cursor = following;
        pages += 1;
    }
    assert_eq!(pages, 3);
    assert_eq!(seen, ["k6", "k5", "k4", "k3", "k2", "k1", "k0"]);
}

#[keyledger_bounded::test]
async fn a_last_page_that_is_full_says_that_it_is_the_last() {
    let service = Service::start();
    let ann = service.user("ann");
    for number in 0..4 {
        ann.create(&format!("k{number}")).await;
    }
    let (names, cursor) = page(&ann, "limit=4").await;
    assert_eq!((names.len(), cursor), (4, Value::Null));
}

#[keyledger_bounded::test]
async fn a_page_can_be_of_active_or_of_revoked_keys() {
    let service = Service::start();
    let ann = service.user("ann");
    let mut ids = Vec::new();
    for number in 0..6 {
        ids.push(ann.create(&format!("k{number}")).await);
    }
    for id in [&ids[1], &ids[4]] {
        ann.delete(&format!("/keys/{id}")).await;
    }
    ann.delete(&format!("/keys/{}/permanent", ids[5])).await;
    assert_eq!(page(&ann, "status=active").await.0, ["k3", "k2", "k0"]);
    assert_eq!(page(&ann, "status=revoked").await.0, ["k4", "k1"]);
    assert_eq!(page(&ann, "status=all").await.0, ["k4", "k3", "k2", "k1", "k0"]);
    let (names, cursor) = page(&ann, "status=active&limit=2").await;
    assert_eq!(names, ["k3", "k2"]);
    let rest = format!("status=active&limit=2&cursor={}", cursor.as_str().unwrap());
    assert_eq!(page(&ann, &rest).await, (vec!["k0".to_owned()], Value::Null));
}

/// Creates a key that soon expires.
async fn create_short(client: &Client, name: &str) -> String {
    let created = client.post("/keys", &json!({"name": name, "expires_in_seconds": 1})).await;
    created.expect_status(200).json()["key_id"].as_str().unwrap().to_owned()
}

/// Waits until this many keys have expired.
async fn expired(client: &Client, count: usize) {
    until(format!("{count} expired keys"), async || match page(client, "status=expired").await.0 {
        names if names.len() == count => Ok(()),
        names => Err(format!("{names:?}")),
    })
    .await;
}

#[keyledger_bounded::test]
async fn an_expired_key_is_expired_and_neither_active_nor_revoked() {
    let service = Service::start();
    let ann = service.user("ann");
    for number in 0..3 {
        create_short(&ann, &format!("short{number}")).await;
        let lasting = json!({"name": format!("long{number}"), "expires_in_seconds": 100_000});
        ann.post("/keys", &lasting).await.expect_status(200);
    }
    let both = create_short(&ann, "both").await;
    let gone = create_short(&ann, "gone").await;
    create_short(&service.user("bob"), "other").await;
    ann.delete(&format!("/keys/{both}")).await.expect_status(200);
    ann.delete(&format!("/keys/{gone}/permanent")).await.expect_status(200);
    expired(&ann, 3).await;
    assert_eq!(page(&ann, "status=expired").await.0, ["short2", "short1", "short0"]);
    assert_eq!(page(&ann, "status=active").await.0, ["long2", "long1", "long0"]);
    assert_eq!(page(&ann, "status=revoked").await.0, ["both"]);
    assert_eq!(page(&ann, "status=all").await.0.len(), 7);
    // The list and verification agree.
    let all = ann.keys().await;
    let revoked: Vec<_> = all.iter().filter(|key| key["revoked"] == true).collect();
    assert_eq!(revoked.len(), 1, "an expired key is not shown as revoked");

    let (names, cursor) = page(&ann, "status=expired&limit=2").await;
    assert_eq!(names, ["short2", "short1"]);
    let rest = format!("status=expired&limit=2&cursor={}", cursor.as_str().unwrap());
    assert_eq!(page(&ann, &rest).await, (vec!["short0".to_owned()], Value::Null));
    let (names, cursor) = page(&ann, "status=active&limit=3").await;
    assert_eq!((names.len(), cursor), (3, Value::Null), "the expired ones are no next page");
}

#[keyledger_bounded::test]
async fn a_list_can_have_only_active_keys_unless_it_is_asked_for_others() {
    let service = Setup::new().set("KEYLEDGER_LIST_DEFAULT", "active").start();
    let ann = service.user("ann");
    let revoked = ann.create("revoked").await;
    create_short(&ann, "short").await;
    for number in 0..3 {
        ann.create(&format!("k{number}")).await;
    }
    ann.delete(&format!("/keys/{revoked}")).await.expect_status(200);
    expired(&ann, 1).await;
    let names = |keys: &[Value]| -> Vec<_> { keys.iter().map(|key| key["name"].clone()).collect() };
    assert_eq!(names(&ann.keys().await), ["k2", "k1", "k0"]);
    let (first, cursor) = page(&ann, "limit=2").await;
    assert_eq!(first, ["k2", "k1"]);
    let rest = format!("limit=2&cursor={}", cursor.as_str().unwrap());
    assert_eq!(page(&ann, &rest).await, (vec!["k0".to_owned()], Value::Null));
    assert_eq!(page(&ann, "status=active").await.0, ["k2", "k1", "k0"]);
    assert_eq!(page(&ann, "status=all").await.0, ["k2", "k1", "k0", "short", "revoked"]);
    assert_eq!(page(&ann, "status=revoked").await.0, ["revoked"]);
    assert_eq!(page(&ann, "status=expired").await.0, ["short"]);
    // What is not listed is still there.
    let one = ann.get(&format!("/keys/{revoked}")).await;
    assert_eq!(one.expect_status(200).json()["key"]["revoked"], true);
}

#[keyledger_bounded::test]
async fn a_key_may_expire() {
    let service = Service::start();
    let ann = service.user("ann");
    let body = json!({"name": "at", "expires_at": "2090-01-31T13:00:00+01:00"});
    let created = ann.post("/keys", &body).await.json();
    assert_eq!(created["expires_at"], "2090-01-31T12:00:00.000000Z");

    let body = json!({"name": "in", "expires_in_seconds": 60});
    let created = ann.post("/keys", &body).await.json();
    assert!(is_time(&created["expires_at"]));
    let keys = ann.keys().await;
    assert_eq!(keys[0]["expires_at"], created["expires_at"]);
    assert_eq!(keys[1]["expires_at"], "2090-01-31T12:00:00.000000Z");
    let seconds = |text: &Value| {
        keyledger_domain::Timestamp::parse(text.as_str().unwrap()).unwrap().unix_micros()
    };
    assert_eq!(seconds(&created["expires_at"]) - seconds(&created["created_at"]), 60_000_000);
}

#[keyledger_bounded::test]
async fn one_key_is_shown_with_a_tag_that_changes_with_it() {
    let service = Service::start();
    let ann = service.user("ann");
    let id = ann.create("ci").await;
    let path = format!("/keys/{id}");
    let first = ann.get(&path).await;
    first.expect_status(200);
    assert_eq!(first.json()["key"], ann.keys().await[0]);
    let tag = first.header("etag").unwrap().to_owned();

    for tags in [&*tag, &format!("W/{tag}"), &format!("\"x\", {tag}"), "*"] {
        let same = ann.with("if-none-match", tags).get(&path).await;
        assert_status!(same, 304, "{tags}");
        assert_eq!(&*same.text, "", "{tags}");
        assert_eq!(same.header("etag"), Some(&*tag));
    }
    ann.delete(&path).await;
    let changed = ann.with("if-none-match", &tag).get(&path).await;
    assert_eq!(changed.expect_status(200).json()["key"]["revoked"], true);
    assert_ne!(changed.header("etag"), Some(&*tag));

    let refused = service.user("bob").get(&path).await;
    let (_, _, sentence) = refused.expect_status(403).problem();
    assert_eq!(sentence, "Not authorized to view this key");
    ann.delete(&format!("{path}/permanent")).await;
    for client in [ann, service.user("bob"), service.auditor("eve")] {
        client.get(&path).await.expect_status(404).problem();
    }
}
