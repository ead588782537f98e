//! Values that the chart does not take, and what it says.

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{answer, answer_to, file};

/// What the chart says of these values on top of one of its files.
#[track_caller]
fn refusal(values: &str, more: &Value) -> String {
    let answer = answer(values, more);
    let Some(refusal) = answer["refusal"].as_str() else {
        panic!("{values} with {more}: {answer}")
    };
    refusal.to_owned()
}

#[keyledger_bounded::test]
fn values_that_do_not_fit_together_are_refused_in_a_sentence() {
    for (values, more, sentence) in [
        ("sqlite", json!({"replicas": 2}), "replicas must be 1 while a store is on SQLite"),
        (
            "postgres",
            json!({"stores": {"readTables": "sqlite"}, "secret": {"values": ["KEYLEDGER_JOURNAL_URL"]}}),
            "replicas must be 1 while a store is on SQLite",
        ),
        (
            "sqlite",
            json!({"settings": {"KEYLEDGER_JOURNAL_URL": "sqlite://elsewhere.db"}}),
            "KEYLEDGER_JOURNAL_URL is set by the chart while stores.journal is sqlite",
        ),
        (
            "postgres",
            json!({"secret": {"values": ["KEYLEDGER_READ_URL"]}}),
            "KEYLEDGER_JOURNAL_URL is missing",
        ),
        (
            "postgres",
            json!({"secret": {"values": ["KEYLEDGER_JOURNAL_URL"]}}),
            "KEYLEDGER_READ_URL is missing",
        ),
        ("sqlite", json!({"secret": {"values": []}}), "set exactly one source of sign-in keys"),
        (
            "sqlite",
            json!({"settings": {"KEYLEDGER_JWT_JWKS_URL": "https://id.example.com/keys"}}),
            "set exactly one source of sign-in keys",
        ),
        ("sqlite", json!({"secret": {"name": ""}}), "secret.name is missing"),
        (
            "everything",
            json!({"settings": {"KEYLEDGER_NATS_URL": "nats://nats:4222"}}),
            "KEYLEDGER_NATS_URL is given more than once",
        ),
        ("postgres", json!({"ingress": {"enabled": true}}), "ingress.hosts is missing"),
        (
            "everything",
            json!({"serviceMonitor": {"tokenSecret": {"name": ""}}}),
            "serviceMonitor.tokenSecret (name and key) is missing",
        ),
        (
            "everything",
            json!({"serviceMonitor": {"tokenSecret": {"key": ""}}}),
            "serviceMonitor.tokenSecret (name and key) is missing",
        ),
    ] {
        let told = refusal(values, &more);
        assert!(told.contains(sentence), "{values} with {more}: {told}");
    }
}

#[keyledger_bounded::test]
fn wrong_values_are_refused_by_their_names() {
    let setting = |name: &str, value: Value| json!({"settings": {name: value}});
    for (more, name) in [
        (json!({"replicaCount": 3}), "replicaCount"),
        (json!({"replicas": 0}), "replicas"),
        (json!({"replicas": "3"}), "replicas"),
        (json!({"stores": {"journal": "mysql"}}), "journal"),
        (json!({"stores": {"readTables": "kurrentdb"}}), "readTables"),
        (json!({"image": {"digest": "sha256:abc"}}), "digest"),
        (json!({"image": {"pullPolicy": "Sometimes"}}), "pullPolicy"),
        (json!({"bindAddress": "127.0.0.1"}), "bindAddress"),
        (json!({"service": {"type": "ExternalName"}}), "type"),
        (json!({"service": {"port": 70000}}), "port"),
        (json!({"internalService": {"type": "LoadBalancer"}}), "type"),
        (json!({"stop": {"graceSeconds": "8s"}}), "graceSeconds"),
        (json!({"persistence": {"size": "much"}}), "size"),
        (json!({"ingress": {"hosts": [{"host": "Keys.example.com", "paths": ["/"]}]}}), "host"),
        (json!({"networkPolicy": {"internalFrom": [null]}}), "internalFrom"),
        (json!({"podAnnotations": {"number": 1}}), "podAnnotations"),
        (json!({"extraEnv": [{"name": "KEYLEDGER_LISTEN", "value": "0.0.0.0:80"}]}), "extraEnv"),
        (json!({"secret": {"values": ["KEYLEDGER_AUDIT_KEY"]}}), "values"),
        (
            json!({"secret": {"files": {"KEYLEDGER_AUDIT_KEY": ["../audit.key"]}}}),
            "KEYLEDGER_AUDIT_KEY",
        ),
        (setting("KEYLEDGER_LISTEN", json!("0.0.0.0:80")), "KEYLEDGER_LISTEN"),
        (setting("KEYLEDGER_JWT_ISUER", json!("https://id.example.com")), "KEYLEDGER_JWT_ISUER"),
        (
            setting("KEYLEDGER_JWT_HS256_SECRET", json!("x".repeat(32))),
            "KEYLEDGER_JWT_HS256_SECRET",
        ),
        (setting("KEYLEDGER_NATS_REPLICAS", json!(6)), "KEYLEDGER_NATS_REPLICAS"),
        (setting("KEYLEDGER_MAX_STALENESS", json!(10)), "KEYLEDGER_MAX_STALENESS"),
        (setting("KEYLEDGER_MAX_STALENESS", json!("10")), "KEYLEDGER_MAX_STALENESS"),
        (setting("KEYLEDGER_KEY_PREFIX", json!("API")), "KEYLEDGER_KEY_PREFIX"),
    ] {
        let told = refusal("postgres", &more);
        assert!(told.contains(name), "{more}: {told}");
    }
}

#[keyledger_bounded::test]
fn passwords_belong_into_the_secret() {
    for (name, url) in [
        ("KEYLEDGER_READ_URL", "postgres://keyledger:hunter2@postgres/keyledger"),
        ("KEYLEDGER_READ_URL", "postgres://postgres/keyledger?user=keyledger&password=hunter2"),
        ("KEYLEDGER_NATS_URL", "nats://hunter2@nats:4222"),
        ("KEYLEDGER_JWT_JWKS_URL", "https://user:hunter2@id.example.com/keys"),
    ] {
        let told = refusal("everything", &json!({"settings": {name: url}}));
        assert!(told.contains(name) && !told.contains("hunter2"), "{told}");
    }
}

#[keyledger_bounded::test]
fn the_values_in_the_documents_are_taken_and_those_of_the_chart_alone_are_not() {
    let documents = std::fs::read_to_string(file("docs/operations.md")).unwrap();
    let (_, example) = documents.split_once("```yaml\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("keyledger-values.yaml");
    std::fs::write(&path, example).unwrap();
    let answer = answer_to(&path, &json!({}));
    assert!(answer["objects"].is_array(), "{example}: {answer}");
    let defaults = answer_to(&file("deploy/helm/keyledger/values.yaml"), &json!({}));
    let told = defaults["refusal"].as_str().unwrap();
    assert!(told.contains("KEYLEDGER_JOURNAL_URL is missing"), "{told}");
}
