//! Who may ask on the internal listener.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use keyledger_domain::KeyHash;
use serde_json::json;
use tempfile::TempDir;

use super::{gateway, introspect, key};
use crate::support::{Client, Service, Setup, assert_problem};

pub(super) const TOKEN: &str = "a token of the gateway";

/// A service whose internal listener requires tokens, of which this is one.
pub(super) fn with_tokens() -> Service {
    let folder = Arc::new(TempDir::new().unwrap());
    let file = folder.path().join("tokens");
    let hash = KeyHash::of(TOKEN).to_hex();
    std::fs::write(&file, format!("# gateways\n\n{hash}  -\n{}\n", KeyHash::of("x").to_hex()))
        .unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    Setup::in_folder(folder).set("KEYLEDGER_INTERNAL_TOKENS", file.to_str().unwrap()).start()
}

#[keyledger_bounded::test]
async fn with_tokens_only_those_who_have_one_are_answered() {
    let service = with_tokens().ready().await;
    let key = key(&service).await;
    let stranger = gateway(&service);
    let body = json!({ "key": key.secret });
    for refused in [
        stranger.clone(),
        stranger.with("keyledger-token", "another"),
        stranger.with("keyledger-token", ""),
        stranger.with("authorization", "Bearer another"),
        stranger.with("authorization", &format!("Basic {TOKEN}")),
    ] {
        assert_problem!(refused.post("/verify", &body).await, 401, "internal_token_required");
        assert_problem!(introspect(&refused, &key.secret).await, 401, "internal_token_required");
        assert_problem!(refused.get("/metrics").await, 401, "internal_token_required");
        for path in ["/auth", "/auth/", "/auth/any/path"] {
            let answer = refused.with("x-api-key", &key.secret).get(path).await;
            assert_problem!(answer, 401, "internal_token_required", "{path}");
        }
        refused.get("/healthz").await.expect_status(200);
        refused.get("/readyz").await.expect_status(200);
    }
    let by_header = stranger.with("keyledger-token", TOKEN);
    let by_authorization = stranger.with("authorization", &format!("Bearer {TOKEN}"));
    for client in [&by_header, &by_authorization] {
        assert_eq!(client.post("/verify", &body).await.expect_status(200).json()["code"], "VALID");
        assert_eq!(introspect(client, &key.secret).await.expect_status(200).json()["active"], true);
        client.get("/metrics").await.expect_status(200);
    }
    // `Authorization` may be that of the request which is asked about.
    let forwarded =
        |client: &Client| client.with("authorization", &format!("Bearer {}", key.secret));
    forwarded(&by_header).get("/auth").await.expect_status(200);
    assert_problem!(forwarded(&stranger).get("/auth").await, 401, "internal_token_required");
    let answer = by_authorization.with("x-api-key", &key.secret).get("/auth").await;
    assert_problem!(answer, 401, "internal_token_required");
}

#[keyledger_bounded::test]
async fn answers_about_keys_are_not_for_caches() {
    let service = Service::start().ready().await;
    let key = key(&service).await;
    let gateway = gateway(&service);
    for secret in [key.secret.as_str(), "no key"] {
        let answers = [
            gateway.post("/verify", &json!({ "key": secret })).await,
            introspect(&gateway, secret).await,
            gateway.with("x-api-key", secret).get("/auth").await,
            gateway.with("x-api-key", secret).get("/auth/some/path").await,
        ];
        for answer in answers {
            assert_eq!(answer.header("cache-control"), Some("no-store"), "{answer}");
        }
    }
    let none = gateway.get("/auth").await;
    assert_eq!(none.header("cache-control"), Some("no-store"), "{none}");
}
