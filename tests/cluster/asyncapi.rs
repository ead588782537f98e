//! Every message that is published is as the AsyncAPI document says.

use std::path::Path;
use std::process::Command;

use async_nats::HeaderMap;
use keyledger_test_servers::nats::{Nats, Version};
use serde_json::{Value, json};

use crate::support::log::Log;
use crate::support::nats::{Messages, messages};
use crate::support::{from_now, keyledger, run};

#[keyledger_bounded::test]
async fn every_message_is_as_the_document_says() {
    let nats = Nats::start(Version::Current);
    let log = Log::on_sqlite();
    let service = log.setup().set("KEYLEDGER_NATS_URL", &nats.url()).start();
    let ann = service.user("ann");
    for body in [json!({"name": "a"}), json!({"name": "ü\u{1f600}", "expires_in_seconds": 60})] {
        let created = ann.post("/keys", &body).await.json();
        let id = created["key_id"].as_str().unwrap();
        let why = Some(br#"{"reason":"no longer needed"}"#.to_vec());
        let json = ann.with("content-type", "application/json");
        json.send("DELETE", &format!("/keys/{id}"), why).await;
        ann.delete(&format!("/keys/{id}/permanent")).await;
    }
    let mut lines = String::new();
    let mut check = |subject: &str, headers: &HeaderMap, payload: Value| {
        let headers: serde_json::Map<_, _> = headers
            .iter()
            .filter(|(name, _)| !name.to_string().starts_with("Nats-Expected"))
            .map(|(name, values)| (name.to_string(), json!(values[0].as_str())))
            .collect();
        let line = json!({"subject": subject, "headers": headers, "payload": payload});
        lines += &format!("{line}\n");
    };
    messages(&nats, 6).await;
    let mut adopt = keyledger(log.folder.path());
    adopt.args(["relay", "adopt", "--journal-url", &log.journal]);
    let adopted = run(adopt.env("KEYLEDGER_NATS_URL", nats.url()));
    assert!(adopted.status.success(), "{adopted:?}");
    ann.create("after").await;
    service.user_with_email("ann", "ann@example.net", from_now(20)).keys().await;
    for message in messages(&nats, 9).await {
        check(&message.subject, &message.headers, message.body);
    }
    let signed = Messages::of(&nats, "KEYS_CHECKPOINTS").await.next().await;
    let note = str::from_utf8(&signed.payload).unwrap();
    check(&signed.subject, signed.headers.as_ref().unwrap(), json!(note));
    let (root, file) = (Path::new(env!("CARGO_MANIFEST_DIR")), log.path("messages"));
    std::fs::write(&file, lines).unwrap();
    let output = run(Command::new(root.join("target/tools/schemathesis/bin/python"))
        .arg(root.join("tests/cluster/asyncapi.py"))
        .arg(root.join("docs/asyncapi.yaml"))
        .arg(file));
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let all = "'adopted', 'checkpoint', 'created', 'deleted', 'owner_email_changed', 'revoked'";
    assert!(told.contains(&format!("checked [{all}]")), "{told}");
}
