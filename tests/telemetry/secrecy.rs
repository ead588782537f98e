//! What is sent to a collector holds no secrets and no personal data.

use serde_json::json;

use super::collector::Collector;
use super::sending_to;
use crate::support::{token, wait::until};

#[keyledger_bounded::test]
async fn nothing_that_is_sent_holds_a_secret_or_a_person() {
    let collector = Collector::start().await;
    let service = sending_to(&collector).start().ready().await;
    let token = token("ann-of-accounting", &[]);
    let traceparent = format!("00-{}-b7ad6b7169203331-01", "c".repeat(32));
    let ann = service.user("ann-of-accounting").with("traceparent", &traceparent);
    let gateway = service.gateway().with("traceparent", &traceparent);
    let created = ann.post("/keys", &json!({ "name": "the payroll key" })).await;
    let created = created.expect_status(200).json();
    let (key, id) = (created["api_key"].as_str().unwrap(), created["key_id"].as_str().unwrap());
    gateway.post("/verify", &json!({ "key": key })).await.expect_status(200);
    gateway.with("x-api-key", key).get(&format!("/auth/{key}?key={key}")).await.expect_status(200);
    gateway.with("authorization", &format!("Bearer {key}")).get("/auth").await.expect_status(200);
    gateway.post("/verify", &json!({ "key": [key] })).await.expect_status(400);
    ann.get(&format!("/keys/{key}")).await.expect_status(404);
    ann.get(&format!("/{key}?key={key}")).await.expect_status(404);
    ann.send(&key.replace('_', "-"), "/keys", None).await.expect_status(405);
    let with_key = ann.with("idempotency-key", "the-idempotency-key");
    with_key.post("/keys", &json!({ "name": "second" })).await.expect_status(200);
    service
        .stranger()
        .with("cookie", "auth_token=a-bad-cookie")
        .get("/keys")
        .await
        .expect_status(401);
    let reason = Some(json!({ "reason": "left the company" }).to_string().into_bytes());
    let json = ann.with("content-type", "application/json");
    json.send("DELETE", &format!("/keys/{id}"), reason).await.expect_status(200);

    collector.span("DELETE /keys/{key_id}").await;
    collector.span("revoke key").await;
    until("metrics", async || if collector.metrics().is_empty() { Err("none") } else { Ok(()) })
        .await;
    let (bytes, mut headers) = collector.everything();
    for headers in &mut headers {
        // The collector's own address.
        headers.remove("host");
    }
    let text = format!("{} {headers:?}", String::from_utf8_lossy(&bytes)).to_lowercase();
    assert!(text.contains(id), "the search finds what is there");
    assert!(text.contains("_other"), "a method that is none is not told");
    for secret in [
        key,
        &key.replace('_', "-"),
        &key[5..20],
        created["key_prefix"].as_str().unwrap(),
        &token,
        token.rsplit('.').next().unwrap(),
        "ann-of-accounting",
        "the payroll key",
        "the-idempotency-key",
        "a-bad-cookie",
        "left the company",
        "127.0.0.1:",
    ] {
        let secret = secret.to_lowercase();
        let found =
            text.find(&secret).map(|at| text[at.saturating_sub(80)..].chars().take(200).collect());
        assert_eq!(found, None::<String>, "{secret}");
    }
}
