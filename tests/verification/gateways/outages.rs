//! What clients see when keyledger or the application cannot answer.

use axum::Router;
use axum::http::StatusCode;
use axum::routing::any;
use keyledger_test_servers::free_port;
use keyledger_test_servers::gateway::Kind;
use serde_json::Value;

use super::{Application, Door, KINDS, doors, key, port, serve};
use crate::support::{Service, assert_status};

#[keyledger_bounded::test]
async fn a_keyledger_that_is_gone_is_503_to_the_client() {
    let (service, application) = (Service::start().ready().await, Application::start().await);
    let key = key(&service).await;
    let doors = doors(&service, &application).await;
    for door in &doors {
        assert_status!(door.with(&key.secret).get("/").await, 200, "{:?}", door.kind);
    }
    application.seen.take();
    service.kill();
    for door in &doors {
        for client in [door.with(&key.secret), door.stranger.clone()] {
            let answer = client.get("/").await;
            assert_status!(answer, 503, "{:?}", door.kind);
            let later = (door.kind != Kind::Traefik).then_some("1");
            assert_eq!(answer.header("retry-after"), later, "{:?}", door.kind);
            assert_eq!(answer.header("www-authenticate"), None, "{:?}", door.kind);
        }
    }
    assert_eq!(application.seen.take(), Vec::<Value>::new(), "nothing passes");
}

#[keyledger_bounded::test]
async fn a_keyledger_that_cannot_know_is_503_to_the_client() {
    let unsure = (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "7")], "{}");
    let healthy = Router::new().route("/healthz", any(async || "{}"));
    let keyledger = serve(healthy.fallback(async move || unsure)).await;
    let application = Application::start().await;
    for kind in KINDS {
        let door = Door::open(kind, keyledger, application.port, 503).await;
        let answer = door.with("key").get("/").await;
        assert_status!(answer, 503, "{kind:?}");
        let later = if kind == Kind::Envoy { "1" } else { "7" };
        assert_eq!(answer.header("retry-after"), Some(later), "{kind:?}");
        assert_eq!(answer.header("www-authenticate"), None, "{kind:?}");
    }
    assert_eq!(application.seen.take(), Vec::<Value>::new(), "nothing passes");
}

#[keyledger_bounded::test]
async fn a_keyledger_that_never_answers_is_503_to_the_client() {
    let healthy = Router::new().route("/healthz", any(async || "{}"));
    let keyledger = serve(healthy.fallback(async || std::future::pending::<()>().await)).await;
    let application = Application::start().await;
    for kind in KINDS {
        let door = Door::open(kind, keyledger, application.port, 503).await;
        let answer = door.with("key").get("/").await;
        assert_status!(answer, 503, "{kind:?}");
        let later = (kind != Kind::Traefik).then_some("1");
        assert_eq!(answer.header("retry-after"), later, "{kind:?}");
    }
    assert_eq!(application.seen.take(), Vec::<Value>::new(), "nothing passes");
}

#[keyledger_bounded::test]
async fn an_application_that_is_gone_is_not_taken_for_a_keyledger_that_is_gone() {
    let service = Service::start().ready().await;
    let key = key(&service).await;
    for kind in KINDS {
        let door = Door::open(kind, port(&service.internal), free_port(), 401).await;
        let answer = door.with(&key.secret).get("/").await;
        assert_status!(answer, if kind == Kind::Envoy { 503 } else { 502 }, "{kind:?}");
        assert!(!answer.text.contains("API keys"), "{kind:?}: {answer}");
        assert_eq!(answer.header("retry-after"), None, "{kind:?}");
    }
}
