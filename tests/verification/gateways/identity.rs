//! Whose key it is: what the application learns of that, and what a client cannot claim.

use axum::Router;
use keyledger_test_servers::gateway::Kind;
use serde_json::{Value, json};

use super::{Application, Door, IDENTITY, KINDS, create, doors, key, serve};
use crate::support::{Answer, Client, Service, assert_status, raw_answer};

/// Checks that the gateway's answer (`told`) is keyledger's own (`said`).
#[track_caller]
fn assert_refused(kind: Kind, told: &Answer, said: &Answer, error: &str) {
    assert_status!(told, 401, "{kind:?}");
    said.expect_status(401);
    assert_eq!(told.json()["error"], error, "{kind:?}");
    assert_eq!(told.json(), said.json(), "{kind:?}");
    assert_eq!(told.header("content-type"), said.header("content-type"), "{kind:?}");
    let challenges: Vec<_> = told.headers.get_all("www-authenticate").iter().collect();
    assert_eq!(challenges, [said.header("www-authenticate").unwrap()], "{kind:?}");
}

#[keyledger_bounded::test]
async fn a_good_key_passes_the_gateway_and_the_application_learns_whose_it_is() {
    let (service, application) = (Service::start().ready().await, Application::start().await);
    let key = create(&service.user("ann"), &json!({ "name": "café" })).await;
    for door in doors(&service, &application).await {
        let bearer = door.stranger.with("authorization", &format!("Bearer {}", key.secret));
        for client in [door.with(&key.secret), bearer] {
            let answer = client.get("/orders?page=2").await;
            assert_status!(answer, 200, "{:?}", door.kind);
            let headers = &answer.json()["headers"];
            let told = IDENTITY.map(|name| headers[name].clone());
            let expected = [&*key.id, "caf%C3%A9", "ann", "ann@example.com"];
            assert_eq!(told, expected.map(|text| json!([text])), "{:?}", door.kind);
            let kept = !answer.text.contains(&key.secret);
            assert!(kept, "{:?}: the key stays at the gateway", door.kind);
        }
    }
}

#[keyledger_bounded::test]
async fn a_key_that_is_missing_unknown_or_revoked_is_refused_in_keyledgers_words() {
    let (service, application) = (Service::start().ready().await, Application::start().await);
    let ann = service.user("ann");
    let keyledger = Client::new(&service.internal, None);
    let missing = keyledger.get("/auth").await;
    for door in doors(&service, &application).await {
        let key = key(&service).await;
        let holder = door.with(&key.secret);
        assert_refused(door.kind, &door.stranger.get("/").await, &missing, "API key required");
        assert_status!(holder.get("/").await, 200, "{:?}", door.kind);
        ann.delete(&format!("/keys/{}", key.id)).await.expect_status(200);
        let revoked = keyledger.with("x-api-key", &key.secret).get("/auth").await;
        application.seen.take();
        assert_refused(door.kind, &holder.get("/").await, &revoked, "Invalid API key");
        let unknown = door.with("no key at all").get("/").await;
        assert_refused(door.kind, &unknown, &revoked, "Invalid API key");
        assert_eq!(application.seen.take(), Vec::<Value>::new(), "{:?}", door.kind);
    }
}

#[keyledger_bounded::test]
async fn who_a_client_claims_to_be_does_not_reach_the_application() {
    let (service, application) = (Service::start().ready().await, Application::start().await);
    let key = key(&service).await;
    for door in doors(&service, &application).await {
        let mut liar = door.with(&key.secret);
        for name in IDENTITY {
            liar = liar.with(name, "mallory").with(&name.replace('-', "_"), "mallory");
        }
        let answer = liar.get("/").await;
        assert_eq!(answer.json()["headers"]["x-key-id"], json!([key.id]), "{:?}", door.kind);
        assert_eq!(answer.json()["headers"]["x-user-id"], json!(["ann"]), "{:?}", door.kind);
        assert!(!answer.text.contains("mallory"), "{:?}", door.kind);

        let mut liar = door.stranger.clone();
        for name in IDENTITY {
            liar = liar.with(name, "mallory");
        }
        assert_status!(liar.get("/").await, 401, "{:?}", door.kind);
    }
}

/// A proxy drops the headers that `Connection` names (RFC 9110, section 7.6.1).
#[keyledger_bounded::test]
async fn a_client_cannot_have_its_identity_dropped() {
    let (service, application) = (Service::start().ready().await, Application::start().await);
    let key = key(&service).await;
    for door in doors(&service, &application).await {
        application.seen.take();
        let request = format!(
            "GET / HTTP/1.1\r\nHost: a\r\nX-API-Key: {}\r\nConnection: close, {}\r\n\r\n",
            key.secret,
            IDENTITY.join(", ")
        );
        let (status, answer) = raw_answer(&door.gateway.address(), &request).await;
        assert_eq!(status, 200, "{:?}: {answer}", door.kind);
        let [seen] = &application.seen.take()[..] else { panic!("{:?}: one request", door.kind) };
        for name in IDENTITY {
            assert!(!seen["headers"][name].is_null(), "{:?}: {name}: {seen}", door.kind);
        }
    }
}

#[keyledger_bounded::test]
async fn a_header_that_keyledger_does_not_send_is_not_taken_from_the_client() {
    let who = [("x-key-id", "1"), ("x-user-id", "ann")];
    let keyledger = serve(Router::new().fallback(async move || who)).await;
    let application = Application::start().await;
    for kind in KINDS {
        let door = Door::open(kind, keyledger, application.port, 200).await;
        let answer = door.with("key").with("x-user-email", "mallory@example.com").get("/").await;
        assert_eq!(answer.json()["headers"]["x-user-id"], json!(["ann"]), "{kind:?}");
        // Caddy 2.6 sends the name of its variable instead.
        assert!(!answer.text.contains("mallory"), "{kind:?}: {answer}");
    }
}

#[keyledger_bounded::test]
async fn keyledger_gets_the_key_and_nothing_else_that_a_client_sends() {
    let asked = Application::start().await;
    let application = Application::start().await;
    for kind in KINDS {
        let door = Door::open(kind, asked.port, application.port, 200).await;
        asked.seen.take();
        let client = door.with("key").with("cookie", "session=1");
        let client = client.with("keyledger-min-position", "9").with("keyledger-token", "token");
        assert_status!(client.send("POST", "/", Some(b"body".to_vec())).await, 200, "{kind:?}");
        let [question] = &asked.seen.take()[..] else { panic!("{kind:?}: it asks once") };
        assert_eq!(question["headers"]["x-api-key"], json!(["key"]), "{kind:?}");
        assert_eq!((&question["target"], &question["body"]), (&json!("/auth"), &json!("")));
        for name in ["cookie", "keyledger-min-position", "keyledger-token"] {
            assert!(question["headers"][name].is_null(), "{kind:?}: {question}");
        }
    }
}
