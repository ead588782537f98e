//! The example gateways: which requests pass them, and what clients and the application see.

use std::collections::BTreeMap;

use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::any;
use axum::{Json, Router};
use keyledger_test_servers::gateway::{Gateway, Kind};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::wait::until;
use crate::support::{Answer, Client, Service, assert_status};

const KINDS: [Kind; 3] = [Kind::Nginx, Kind::Traefik, Kind::Envoy];

/// The headers in which keyledger says whose a key is.
const IDENTITY: [&str; 4] = ["x-key-id", "x-key-name", "x-user-id", "x-user-email"];

/// A running gateway, and a client of it without a key.
struct Door {
    kind: Kind,
    stranger: Client,
    _gateway: Gateway,
}

impl Door {
    /// Starts a gateway; waits until it answers with this status to a client without a key.
    async fn open(kind: Kind, keyledger: u16, application: u16, answer: u16) -> Self {
        let gateway = Gateway::start(kind, keyledger, application);
        let stranger = Client::new(&gateway.address(), None);
        until(format!("{kind:?} to answer {answer}"), async || {
            match stranger.try_send("GET", "/", None).await {
                Ok(answered) if answered.status == answer => Ok(()),
                Ok(answered) => Err(answered.to_string()),
                Err(error) => Err(error.to_string()),
            }
        })
        .await;
        Self { kind, stranger, _gateway: gateway }
    }

    fn with(&self, key: &str) -> Client {
        self.stranger.with("x-api-key", key)
    }
}

async fn serve(router: Router) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, router).await });
    port
}

/// An application that answers with what it was sent, and below `/status/` with the status that the
/// path names.
async fn application() -> u16 {
    async fn tell(headers: HeaderMap, body: String) -> Json<Value> {
        let mut told = BTreeMap::<_, Vec<_>>::new();
        for (name, value) in &headers {
            told.entry(name.to_string()).or_default().push(value.to_str().unwrap().to_owned());
        }
        Json(json!({ "headers": told, "body": body }))
    }
    let refuse = async |Path(status): Path<u16>| StatusCode::from_u16(status).unwrap();
    serve(Router::new().route("/status/{status}", any(refuse)).fallback(tell)).await
}

fn port(address: &str) -> u16 {
    address.rsplit_once(':').unwrap().1.parse().unwrap()
}

/// All gateways in front of an application.
async fn doors(service: &Service) -> Vec<Door> {
    let application = application().await;
    let mut doors = Vec::new();
    for kind in KINDS {
        doors.push(Door::open(kind, port(&service.internal), application, 401).await);
    }
    doors
}

/// The id and the secret of a new key.
async fn create(owner: &Client, name: &str) -> (String, String) {
    let created = owner.post("/keys", &json!({ "name": name })).await.json();
    let text = |field: &str| created[field].as_str().unwrap().to_owned();
    (text("key_id"), text("api_key"))
}

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
    let service = Service::start().ready().await;
    let (id, key) = create(&service.user("ann"), "café").await;
    for door in doors(&service).await {
        let bearer = door.stranger.with("authorization", &format!("Bearer {key}"));
        for client in [door.with(&key), bearer] {
            let answer = client.get("/orders?page=2").await;
            assert_status!(answer, 200, "{:?}", door.kind);
            let headers = &answer.json()["headers"];
            let told = IDENTITY.map(|name| headers[name].clone());
            let expected = [&*id, "caf%C3%A9", "ann", "ann@example.com"].map(|text| json!([text]));
            assert_eq!(told, expected, "{:?}", door.kind);
            assert!(!answer.text.contains(&key), "{:?}: the key stays at the gateway", door.kind);
        }
    }
}

#[keyledger_bounded::test]
async fn a_key_that_is_missing_unknown_or_revoked_is_refused_in_keyledgers_words() {
    let service = Service::start().ready().await;
    let ann = service.user("ann");
    let keyledger = Client::new(&service.internal, None);
    let missing = keyledger.get("/auth").await;
    for door in doors(&service).await {
        let (id, key) = create(&ann, "ci").await;
        let holder = door.with(&key);
        assert_refused(door.kind, &door.stranger.get("/").await, &missing, "API key required");
        assert_status!(holder.get("/").await, 200, "{:?}", door.kind);
        ann.delete(&format!("/keys/{id}")).await.expect_status(200);
        let revoked = keyledger.with("x-api-key", &key).get("/auth").await;
        assert_refused(door.kind, &holder.get("/").await, &revoked, "Invalid API key");
        let unknown = door.with("no key at all").get("/").await;
        assert_refused(door.kind, &unknown, &revoked, "Invalid API key");
    }
}

#[keyledger_bounded::test]
async fn who_a_client_claims_to_be_does_not_reach_the_application() {
    let service = Service::start().ready().await;
    let (id, key) = create(&service.user("ann"), "ci").await;
    for door in doors(&service).await {
        let mut liar = door.with(&key);
        for name in IDENTITY {
            liar = liar.with(name, "mallory").with(&name.replace('-', "_"), "mallory");
        }
        let answer = liar.get("/").await;
        assert_eq!(answer.json()["headers"]["x-key-id"], json!([id]), "{:?}", door.kind);
        assert_eq!(answer.json()["headers"]["x-user-id"], json!(["ann"]), "{:?}", door.kind);
        assert!(!answer.text.contains("mallory"), "{:?}", door.kind);

        let mut liar = door.stranger.clone();
        for name in IDENTITY {
            liar = liar.with(name, "mallory");
        }
        assert_status!(liar.get("/").await, 401, "{:?}", door.kind);
    }
}

#[keyledger_bounded::test]
async fn a_header_that_keyledger_does_not_send_is_not_taken_from_the_client() {
    let who = [("x-key-id", "1"), ("x-user-id", "ann")];
    let keyledger = serve(Router::new().fallback(async move || who)).await;
    let application = application().await;
    for kind in KINDS {
        let door = Door::open(kind, keyledger, application, 200).await;
        let answer = door.with("key").with("x-user-email", "mallory@example.com").get("/").await;
        assert_eq!(answer.json()["headers"]["x-user-id"], json!(["ann"]), "{kind:?}");
        assert_eq!(answer.json()["headers"]["x-user-email"], Value::Null, "{kind:?}");
    }
}

#[keyledger_bounded::test]
async fn bodies_and_the_applications_own_failures_pass_the_gateway_as_they_are() {
    let service = Service::start().ready().await;
    let (_, key) = create(&service.user("ann"), "ci").await;
    for door in doors(&service).await {
        let holder = door.with(&key);
        let body = "0123456789".repeat(20_000);
        let answer = holder.send("POST", "/", Some(body.clone().into_bytes())).await;
        assert!(answer.json()["body"] == body, "{:?}: {}", door.kind, answer.status);
        let answer = door.stranger.send("POST", "/", Some(body.into_bytes())).await;
        assert_status!(answer, 401, "{:?}", door.kind);
        for status in [401, 403, 404, 500, 502, 503] {
            let answer = holder.get(&format!("/status/{status}")).await;
            assert_status!(answer, status, "{:?}", door.kind);
            assert_eq!(&*answer.text, "", "{:?}", door.kind);
        }
    }
}

#[keyledger_bounded::test]
async fn a_keyledger_that_is_gone_is_503_to_the_client() {
    let service = Service::start().ready().await;
    let (_, key) = create(&service.user("ann"), "ci").await;
    let doors = doors(&service).await;
    for door in &doors {
        assert_status!(door.with(&key).get("/").await, 200, "{:?}", door.kind);
    }
    service.kill();
    for door in &doors {
        for client in [door.with(&key), door.stranger.clone()] {
            let answer = client.get("/").await;
            assert_status!(answer, 503, "{:?}", door.kind);
            let later = (door.kind != Kind::Traefik).then_some("1");
            assert_eq!(answer.header("retry-after"), later, "{:?}", door.kind);
            assert_eq!(answer.header("www-authenticate"), None, "{:?}", door.kind);
        }
    }
}

#[keyledger_bounded::test]
async fn a_keyledger_that_cannot_know_is_503_to_the_client() {
    let unsure = (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "7")], "{}");
    let healthy = Router::new().route("/healthz", any(async || "{}"));
    let keyledger = serve(healthy.fallback(async move || unsure)).await;
    let application = application().await;
    for kind in KINDS {
        let door = Door::open(kind, keyledger, application, 503).await;
        let answer = door.with("key").get("/").await;
        assert_status!(answer, 503, "{kind:?}");
        let later = if kind == Kind::Envoy { "1" } else { "7" };
        assert_eq!(answer.header("retry-after"), Some(later), "{kind:?}");
        assert_eq!(answer.header("www-authenticate"), None, "{kind:?}");
    }
}
