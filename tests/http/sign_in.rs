//! Signing in: by cookie or bearer token, from other sites, with keys of an identity provider.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::{Client, Service, Setup, assert_problem, assert_status, token, token_with};

const CHALLENGE: &str = "Bearer realm=\"keyledger\", error=\"invalid_token\"";

fn with_cookie(service: &Service, user: &str) -> Client {
    service.stranger().with("cookie", &format!("a=b; auth_token={}; c=d", token(user, &[])))
}

#[keyledger_bounded::test]
async fn a_cookie_is_as_good_as_a_bearer_token() {
    let service = Service::start();
    let ann = with_cookie(&service, "ann");
    let id = ann.create("ci").await;
    assert_eq!(ann.keys().await.len(), 1);
    ann.delete(&format!("/keys/{id}")).await.expect_status(200);
    assert_eq!(service.user("ann").keys().await[0]["revoked"], true);
}

#[keyledger_bounded::test]
async fn a_bearer_token_comes_before_a_cookie() {
    let service = Service::start();
    service.user("ann").create("ann's").await;
    let both = with_cookie(&service, "bob")
        .with("authorization", &format!("bearer {}", token("ann", &[])));
    assert_eq!(both.keys().await.len(), 1);
}

#[keyledger_bounded::test]
async fn an_expired_token_is_told_from_none() {
    let service = Service::start();
    let late = Client::new(&service.address, Some(token_with("ann", &[], -60)));
    let answer = late.get("/keys").await;
    let expected =
        (401, "authentication_required".to_owned(), "Authentication required".to_owned());
    assert_eq!(answer.problem(), expected);
    assert_eq!(answer.header("www-authenticate"), Some(CHALLENGE));
    assert_eq!(service.stranger().get("/keys").await.problem(), expected);
}

#[keyledger_bounded::test]
async fn a_cookie_is_honoured_on_changes_from_ones_own_pages_only() {
    let service = Setup::new()
        .set("KEYLEDGER_ALLOWED_ORIGINS", "https://app.example.com, http://localhost:3000")
        .start();
    let ann = with_cookie(&service, "ann");
    let allowed: &[&[(&str, &str)]] = &[
        &[],
        &[("sec-fetch-site", "same-origin")],
        &[("sec-fetch-site", "none")],
        &[("origin", "https://app.example.com")],
        &[("origin", "http://localhost:3000")],
        &[("sec-fetch-site", "same-origin"), ("origin", "https://elsewhere.example.com")],
        &[("sec-fetch-site", "same-site"), ("origin", "https://app.example.com")],
    ];
    let refused: &[&[(&str, &str)]] = &[
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "")],
        &[("sec-fetch-site", "cross-site"), ("origin", "https://app.example.com")],
        &[("sec-fetch-site", "same-site"), ("origin", "https://elsewhere.example.com")],
        &[("origin", "https://elsewhere.example.com")],
        &[("origin", "https://app.example.com.evil.example")],
        &[("origin", "http://app.example.com")],
        &[("origin", "null")],
    ];
    let with = |headers: &[(&str, &str)]| {
        headers.iter().fold(ann.clone(), |client, (name, value)| client.with(name, value))
    };
    for headers in allowed {
        let answer = with(headers).post("/keys", &json!({"name": "ci"})).await;
        assert_status!(answer, 200, "{headers:?}");
    }
    let keys = ann.keys().await;
    let id = keys[0]["key_id"].as_str().unwrap();
    for headers in refused {
        let expected = (
            403,
            "cross_site_request".to_owned(),
            "Cross-site requests must not use the sign-in cookie".to_owned(),
        );
        let client = with(headers);
        let created = client.post("/keys", &json!({"name": "ci"})).await;
        assert_eq!(created.problem(), expected, "{headers:?}");
        assert_eq!(client.delete(&format!("/keys/{id}")).await.problem(), expected);
        assert_eq!(client.delete(&format!("/keys/{id}/permanent")).await.problem(), expected);
        assert_status!(client.get("/keys").await, 200, "reading is harmless: {headers:?}");
        // No page can send a bearer token that it does not have.
        let bearer = client.with("authorization", &format!("Bearer {}", token("bob", &[])));
        bearer.post("/keys", &json!({"name": "ci"})).await.expect_status(200);
    }
    assert_eq!(ann.keys().await, keys, "nothing was written");
    let log = service.printed("KEYLEDGER_ALLOWED_ORIGINS does not list its origin").await;
    assert!(log.contains("https://elsewhere.example.com"), "the origin is told");
}

#[keyledger_bounded::test]
async fn of_several_cookies_those_that_are_good_name_one_user() {
    let service = Service::start();
    let [ann, again, bob] = ["ann", "ann", "bob"].map(|user| token(user, &[]));
    let old = token_with("ann", &[], -60);
    service.user("ann").create("ann's").await;
    for (cookies, status) in [
        (format!("auth_token={ann}"), 200),
        (format!("other=\u{e9}\u{e9}; auth_token={ann}"), 200),
        (format!("auth_token=\"{ann}\""), 200),
        (format!("auth_token={old}; auth_token={ann}"), 200),
        (format!("auth_token=x; auth_token={ann}; auth_token={again}"), 200),
        (format!("auth_token={ann}; auth_token={bob}"), 401),
        (format!("auth_token={bob}; auth_token={old}; auth_token={ann}"), 401),
        (format!("auth_token={old}; auth_token={old}"), 401),
        (format!("auth%5Ftoken={ann}"), 401),
        (vec![format!("auth_token={ann}"); 5].join("; "), 401),
    ] {
        let answer = service.stranger().with("cookie", &cookies).get("/keys").await;
        assert_status!(answer, status, "{cookies}");
        if status == 200 {
            assert_eq!(answer.json()["keys"][0]["name"], "ann's", "{cookies}");
        }
    }
}

#[keyledger_bounded::test]
async fn two_authorizations_are_none() {
    let service = Service::start();
    let mut two = service.user("ann");
    two.append("authorization", &format!("Bearer {}", token("ann", &[])));
    two.get("/keys").await.expect_status(401);
    let mut basic = with_cookie(&service, "ann").with("authorization", "Basic YTpi");
    basic.get("/keys").await.expect_status(200);
    basic.append("authorization", &format!("Bearer {}", token("ann", &[])));
    basic.get("/keys").await.expect_status(401);
}

#[keyledger_bounded::test]
async fn pages_of_the_configured_origins_may_use_the_api() {
    let service = Setup::new().set("KEYLEDGER_ALLOWED_ORIGINS", "https://app.example.com").start();
    let preflight = |origin: &str| {
        service
            .stranger()
            .with("origin", origin)
            .with("access-control-request-method", "DELETE")
            .with("access-control-request-headers", "content-type,idempotency-key")
    };
    let ours = preflight("https://app.example.com").send("OPTIONS", "/keys/x", None).await;
    ours.expect_status(200);
    assert_eq!(ours.header("access-control-allow-origin"), Some("https://app.example.com"));
    assert_eq!(ours.header("access-control-allow-credentials"), Some("true"));
    assert!(ours.header("access-control-allow-methods").unwrap().contains("DELETE"));
    assert!(ours.header("access-control-allow-headers").unwrap().contains("idempotency-key"));
    let answer = service.user("ann").with("origin", "https://app.example.com").get("/keys").await;
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.example.com"));
    assert!(answer.header("access-control-expose-headers").unwrap().contains("keyledger-position"));

    let theirs = preflight("https://evil.example").send("OPTIONS", "/keys/x", None).await;
    assert_eq!(theirs.header("access-control-allow-origin"), None);
    let closed = Service::start();
    let answer = closed.user("ann").with("origin", "https://app.example.com").get("/keys").await;
    assert_eq!(answer.header("access-control-allow-origin"), None);
}

#[keyledger_bounded::test]
async fn every_answer_is_marked_as_private_and_named() {
    let service = Service::start();
    let ann = service.user("ann");
    for path in ["/keys", "/nowhere", "/healthz", "/openapi.json", "/docs/"] {
        let answer = ann.get(path).await;
        for (name, value) in [
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{path}");
        }
        assert!(answer.header("content-security-policy").is_some(), "{path}");
        assert_eq!(answer.header("x-request-id").unwrap().len(), 36, "{path}");
    }
    let named = ann.with("x-request-id", "my-request.1").get("/keys").await;
    assert_eq!(named.header("x-request-id"), Some("my-request.1"));
    for odd in ["", "a b", "x\"y", &"x".repeat(65), "é"] {
        let answer = ann.with("x-request-id", odd).get("/keys").await;
        assert_eq!(answer.header("x-request-id").unwrap().len(), 36, "{odd}");
    }
}

/// An identity provider whose answer the test decides.
async fn provider(answer: Arc<Mutex<(StatusCode, String)>>) -> String {
    let router = Router::new().route("/keys", get(async move || answer.lock().unwrap().clone()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}/keys")
}

/// A new Ed25519 key: its PEM form for signing, and its public half for a set.
fn ed25519(kid: &str) -> (String, Value) {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
    let pair = Ed25519KeyPair::generate().unwrap();
    let private = STANDARD.encode(pair.to_pkcs8().unwrap().as_ref());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{private}\n-----END PRIVATE KEY-----\n");
    let x = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
    (pem, json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "use": "sig", "x": x}))
}

fn minted(pem: &str, kid: &str) -> String {
    let claims = crate::support::claims("ann", &[], 3600);
    let key = keyledger_identity::SigningKey::from_pem(pem).unwrap();
    keyledger_identity::mint(&key, &claims, Some(kid.to_owned())).unwrap()
}

#[keyledger_bounded::test]
async fn a_service_is_not_ready_before_it_can_check_a_sign_in() {
    // It takes connections, and never answers.
    let provider = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let service = Setup::new()
        .unset("KEYLEDGER_JWT_HS256_SECRET")
        .set("KEYLEDGER_JWT_JWKS_URL", &format!("http://{}/keys", provider.local_addr().unwrap()))
        .start();
    for part in ["journal", "read_tables", "verification"] {
        service.part_is(part, "ready").await;
    }
    service.stranger().get("/readyz").await.expect_status(503);
    // Keys can be verified, which is all that gateways need.
    let answer = service.gateway().get("/readyz").await;
    assert_eq!(answer.expect_status(200).json()["parts"]["sign_in"], "starting");
    let verified = service.gateway().post("/verify", &json!({"key": "no key"})).await;
    verified.expect_status(200);
}

#[keyledger_bounded::test]
async fn a_provider_that_redirects_gives_no_keys() {
    let (pem, public) = ed25519("k1");
    let set = json!({ "keys": [public] }).to_string();
    let elsewhere = provider(Arc::new(Mutex::new((StatusCode::OK, set)))).await;
    let redirect = async move || (StatusCode::FOUND, [("location", elsewhere)]);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    let router = Router::new().route("/keys", get(redirect));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let service = Setup::new()
        .unset("KEYLEDGER_JWT_HS256_SECRET")
        .set("KEYLEDGER_JWT_JWKS_URL", &url)
        .start();
    service.part_is("sign_in", "failing").await;
    let ann = Client::new(&service.address, Some(minted(&pem, "k1")));
    assert_problem!(ann.get("/keys").await, 503, "identity_unavailable");
    service.printed("answers with a redirect, which is not followed").await;
}

#[keyledger_bounded::test]
async fn an_outage_of_the_provider_is_logged_once_and_not_for_each_request() {
    let answer = Arc::new(Mutex::new((StatusCode::BAD_GATEWAY, String::new())));
    let url = provider(answer).await;
    let service = Setup::new()
        .unset("KEYLEDGER_JWT_HS256_SECRET")
        .set("KEYLEDGER_JWT_JWKS_URL", &url)
        .start();
    service.part_is("sign_in", "failing").await;
    let (pem, _) = ed25519("k1");
    for number in 0..50 {
        let ann = Client::new(&service.address, Some(minted(&pem, &number.to_string())));
        assert_problem!(ann.get("/keys").await, 503, "identity_unavailable");
    }
    let (_, output) = service.stop();
    let lines = output.lines().filter(|line| line.contains("the key set cannot be fetched"));
    assert_eq!(lines.count(), 1, "{output}");
    assert!(!output.contains("request failed"), "{output}");
}

#[keyledger_bounded::test]
async fn a_provider_that_is_away_at_the_start_is_waited_for() {
    let (pem, public) = ed25519("k1");
    let answer = Arc::new(Mutex::new((StatusCode::BAD_GATEWAY, String::new())));
    let url = provider(answer.clone()).await;
    let service = Setup::new()
        .unset("KEYLEDGER_JWT_HS256_SECRET")
        .set("KEYLEDGER_JWT_JWKS_URL", &url)
        .start();
    let ann = Client::new(&service.address, Some(minted(&pem, "k1")));
    service.part_is("sign_in", "failing").await;
    let refused = ann.get("/keys").await;
    assert_problem!(refused, 503, "identity_unavailable");
    assert_eq!(refused.problem().2, "The sign-in cannot be checked at the moment");

    *answer.lock().unwrap() = (StatusCode::OK, json!({ "keys": [public] }).to_string());
    let service = service.ready().await;
    ann.get("/keys").await.expect_status(200);
    let stranger = Client::new(&service.address, Some(minted(&ed25519("k1").0, "k1")));
    stranger.get("/keys").await.expect_status(401);
    let unknown = Client::new(&service.address, Some(minted(&pem, "k2")));
    unknown.get("/keys").await.expect_status(401);
    // This service has no shared secret.
    service.user("ann").get("/keys").await.expect_status(401);
    service.printed("the key set cannot be fetched").await;
    service.printed("the key set is fetched again").await;
}
