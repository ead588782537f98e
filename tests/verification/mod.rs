//! Verification: the question that gateways ask on every request.

mod answers;
mod bad_requests;
mod callers;
mod closed;
mod document;
mod failover;
mod former_keys;
mod freshness;
mod gateways;
mod history;
mod imports;
mod last_use;
mod owner_email;
mod revocations;
mod runbook;

use serde_json::{Value, json};

use crate::support::{Answer, Client, Service};

/// A key, as its owner was told of it.
pub(super) struct Key {
    pub(super) id: String,
    pub(super) secret: String,
    pub(super) position: u64,
}

pub(super) async fn create(client: &Client, body: &Value) -> Key {
    let answer = client.post("/keys", body).await;
    answer.expect_status(200);
    let text = |name: &str| answer.json()[name].as_str().unwrap().to_owned();
    Key { id: text("key_id"), secret: text("api_key"), position: answer.position() }
}

/// A new key of the user ann.
pub(super) async fn key(service: &Service) -> Key {
    create(&service.user("ann"), &json!({ "name": "my key" })).await
}

/// A gateway, which asks on the internal listener.
pub(super) fn gateway(service: &Service) -> Client {
    service.gateway()
}

pub(super) async fn verify(gateway: &Client, secret: &str) -> Answer {
    gateway.post("/verify", &json!({ "key": secret })).await
}

/// The code of the verdict on a key.
pub(super) async fn verdict(gateway: &Client, secret: &str) -> String {
    let answer = verify(gateway, secret).await;
    answer.expect_status(200);
    answer.json()["code"].as_str().unwrap().to_owned()
}

pub(super) async fn introspect(gateway: &Client, secret: &str) -> Answer {
    let form = gateway.with("content-type", "application/x-www-form-urlencoded");
    form.send("POST", "/introspect", Some(format!("token={secret}").into_bytes())).await
}
