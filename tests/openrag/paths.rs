//! Which requests go where, and what they need.

use keyledger_test_servers::free_port;
use keyledger_test_servers::gateway::Gateway;
use serde_json::{Value, json};

use super::front;
use crate::support::wait::within;
use crate::support::{Client, SECRET, Service, assert_status, keyledger, run, token};

/// A client of the example's nginx.
fn client(front: &Gateway) -> Client {
    Client::new(&front.address(), None)
}

#[keyledger_bounded::test]
async fn the_public_api_needs_a_good_key_and_gets_it() {
    let service = Service::start().ready().await;
    let front = front(&service, free_port(), None).await;
    let ann = client(&front).with("cookie", &format!("auth_token={}", token("ann", &[])));
    let created = ann.post("/api/keys", &json!({ "name": "sdk" })).await;
    let created = created.expect_status(200).json();
    let (id, key) = (created["key_id"].as_str().unwrap(), created["api_key"].as_str().unwrap());
    let sdk = client(&front).with("x-api-key", key);
    let bearer = client(&front).with("authorization", &format!("Bearer {key}"));
    let upload = "0123456789abcdef".repeat(3 * 1024 * 1024 / 16);
    for path in ["/api/v1/chat?q=a%2Fb", "/mcp"] {
        for (client, presented) in [(&sdk, key.to_owned()), (&bearer, format!("Bearer {key}"))] {
            let answer = client.send("POST", path, Some(upload.clone().into())).await;
            assert_status!(answer, 200, "{path}");
            let told = answer.json();
            assert_eq!((&told["target"], &told["key"]), (&json!(path), &json!(presented)));
            assert!(told["body"] == upload, "{path}");
        }
        // The page's cookie is no key.
        for stranger in [&client(&front), &ann] {
            let answer = stranger.get(path).await;
            assert_status!(answer, 401, "{path}");
            assert_eq!(answer.json()["error"], "API key required");
        }
    }
    ann.delete(&format!("/api/keys/{id}")).await.expect_status(200);
    assert_eq!(sdk.get("/mcp").await.expect_status(401).json()["error"], "Invalid API key");
    service.kill();
    for client in [&sdk, &client(&front)] {
        assert_status!(client.get("/api/v1/chat").await, 503, "keyledger is gone");
    }
    client(&front).get("/").await.expect_status(200);
    let logs = front.logs();
    assert!(logs.contains("/api/v1/chat") && !logs.contains(&key[13..]), "{logs}");
}

#[keyledger_bounded::test]
async fn answers_come_in_pieces() {
    let service = Service::start().ready().await;
    let front = front(&service, free_port(), None).await;
    let created = service.user("ann").post("/keys", &json!({ "name": "sdk" })).await.json();
    let sdk = client(&front).with("x-api-key", created["api_key"].as_str().unwrap());
    for (client, path) in [(sdk, "/api/v1/stream"), (client(&front), "/api/langflow")] {
        let mut answer = client.open(path).await;
        let piece = within("the first piece of an answer", answer.chunk()).await.unwrap();
        assert_eq!(piece.as_deref(), Some(&b"data: 1\n\n"[..]), "{path}");
    }
}

#[keyledger_bounded::test]
async fn requests_about_keys_go_to_keyledger_as_they_are() {
    let service = Service::start().ready().await;
    let front = front(&service, free_port(), None).await;
    let ann = client(&front).with("cookie", &format!("auth_token={}", token("ann", &[])));
    let id = ann.post("/api/keys", &json!({ "name": "one" })).await.json()["key_id"].clone();
    let id = id.as_str().unwrap();
    let page = ann.get("/api/keys?limit=1&status=active").await;
    assert_eq!(page.expect_status(200).json()["keys"][0]["key_id"], id);
    ann.get(&format!("/api/keys/{id}/history")).await.expect_status(200);
    ann.delete(&format!("/api/keys/{id}/permanent")).await.expect_status(200);
    for path in ["/api/keys/no-id", "/api/keys/%0d%0aX-User-Id:%20ann"] {
        assert_status!(ann.get(path).await, 404, "{path}");
    }
    client(&front).get("/api/keys").await.expect_status(401);
    // A token of the sign-in may come as a bearer token too.
    let bob = client(&front).with("authorization", &format!("Bearer {}", token("bob", &[])));
    assert_eq!(bob.get("/api/keys").await.expect_status(200).json()["keys"], json!([]));
    // Pages of other sites cannot use the cookie, or a plain form.
    let other = ann.with("origin", "http://elsewhere.example");
    assert_status!(other.post("/api/keys", &json!({ "name": "two" })).await, 403, "another site");
}

#[keyledger_bounded::test]
async fn without_sign_in_everyone_is_the_anonymous_user() {
    let service = Service::start().ready().await;
    let arguments = ["token", "--user=anonymous", "--expires-in=365d"];
    let mut mint = keyledger(service.folder().path());
    let minted = run(mint.args(arguments).env("KEYLEDGER_JWT_HS256_SECRET", SECRET));
    let token = String::from_utf8(minted.stdout).unwrap();
    let front = front(&service, free_port(), Some(&format!("Bearer {}", token.trim()))).await;
    let anyone = client(&front);
    let created = anyone.post("/api/keys", &json!({ "name": "sdk" })).await;
    let key = created.expect_status(200).json()["api_key"].as_str().unwrap().to_owned();
    let verdict = service.gateway().post("/verify", &json!({ "key": key })).await.json();
    assert_eq!((&verdict["code"], &verdict["user_id"]), (&json!("VALID"), &json!("anonymous")));
    // What a client claims does not matter.
    let claims = anyone.with("authorization", "Bearer token");
    assert_eq!(claims.get("/api/keys").await.json()["keys"].as_array().map(Vec::len), Some(1));
    // The public API needs a key all the same.
    assert_status!(anyone.get("/api/v1/chat").await, 401, "no key");
    let answer = anyone.with("x-api-key", &key).get("/api/v1/chat").await;
    assert_eq!(answer.expect_status(200).json()["key"], Value::String(key));
    // A page of another site cannot create keys: JSON needs a preflight, which is refused.
    let other = anyone.with("origin", "http://elsewhere.example");
    let form = other.with("content-type", "text/plain");
    assert_status!(
        form.send("POST", "/api/keys", Some(b"{\"name\":\"x\"}".to_vec())).await,
        415,
        "a form"
    );
    let asked = other.with("access-control-request-method", "POST");
    let asked = asked.with("access-control-request-headers", "content-type");
    let answer = asked.send("OPTIONS", "/api/keys", None).await;
    assert_eq!(answer.header("access-control-allow-origin"), None, "{answer}");
}
