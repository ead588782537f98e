//! The state of a key at an earlier moment or position.

use std::process::Output;

use keyledger_domain::Timestamp;
use serde_json::{Value, json};

use super::{events, whole_life};
use crate::support::wait::until;
use crate::support::{Client, Service, Setup, assert_problem, is_time, keyledger, run};

const UNKNOWN: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

/// One microsecond before a time.
fn before(time: &Value) -> String {
    let time = Timestamp::parse(time.as_str().unwrap()).unwrap();
    Timestamp::from_unix_micros(time.unix_micros() - 1).unwrap().to_string()
}

async fn at(client: &Client, id: &str, moment: &str) -> Value {
    let answer = client.get(&format!("/audit/keys/{id}?at={moment}")).await;
    answer.expect_status(200);
    let state = answer.json();
    assert_eq!((&state["success"], &state["key_id"]), (&json!(true), &json!(id)));
    state
}

#[keyledger_bounded::test]
async fn a_key_is_what_its_events_up_to_then_made_it() {
    let service = Service::start();
    let id = whole_life(&service.user("ann"), "ci").await;
    let eve = service.auditor("eve");
    let history = events(&eve.get(&format!("/keys/{id}/history")).await);
    let [created, revoked, deleted] = history.as_slice() else { panic!("{history:?}") };
    let time = |event: &Value| event["occurred_at"].as_str().unwrap().to_owned();
    for (moment, status, verdict, because, reason) in [
        (
            before(&created["occurred_at"]),
            "none",
            "NOT_FOUND",
            &Value::Null,
            format!("created only later, at {}", time(created)),
        ),
        (time(created), "active", "VALID", created, format!("in use since {}", time(created))),
        (
            before(&revoked["occurred_at"]),
            "active",
            "VALID",
            created,
            format!("in use since {}", time(created)),
        ),
        (time(revoked), "revoked", "REVOKED", revoked, format!("revoked at {}", time(revoked))),
        (
            before(&deleted["occurred_at"]),
            "revoked",
            "REVOKED",
            revoked,
            format!("revoked at {}", time(revoked)),
        ),
        (time(deleted), "deleted", "NOT_FOUND", deleted, format!("deleted at {}", time(deleted))),
        (
            "9999-12-31T23:59:59.999999Z".to_owned(),
            "deleted",
            "NOT_FOUND",
            deleted,
            format!("deleted at {}", time(deleted)),
        ),
    ] {
        let state = at(&eve, &id, &moment).await;
        assert_eq!(state["at"], moment);
        assert_eq!((&state["status"], &state["verdict"]), (&json!(status), &json!(verdict)));
        assert_eq!((&state["because"], &state["reason"]), (because, &json!(reason)));
    }
    for (position, status) in [
        (0, "none"),
        (created["position"].as_u64().unwrap() - 1, "none"),
        (created["position"].as_u64().unwrap(), "active"),
        (revoked["position"].as_u64().unwrap() - 1, "active"),
        (revoked["position"].as_u64().unwrap(), "revoked"),
        (deleted["position"].as_u64().unwrap() - 1, "revoked"),
        (deleted["position"].as_u64().unwrap(), "deleted"),
        (i64::MAX.cast_unsigned(), "deleted"),
    ] {
        let state = at(&eve, &id, &position.to_string()).await;
        assert_eq!(
            (&state["at"], &state["status"]),
            (&json!(position.to_string()), &json!(status))
        );
    }
}

#[keyledger_bounded::test]
async fn the_whole_key_is_shown_and_before_its_creation_none_of_it() {
    let service = Service::start();
    let ann = service.user("ann");
    let expiry = "2090-01-01T00:00:00.000000Z";
    let created = ann.post("/keys", &json!({"name": "ci", "expires_at": expiry})).await.json();
    let id = created["key_id"].as_str().unwrap();
    let eve = service.auditor("eve");
    let now = eve.get(&format!("/audit/keys/{id}")).await.json();
    assert!(is_time(&now["at"]) && now["at"].as_str() > created["created_at"].as_str());
    let known = [
        ("user_id", json!("ann")),
        ("user_email", json!("ann@example.com")),
        ("name", json!("ci")),
        ("key_prefix", created["key_prefix"].clone()),
        ("created_at", created["created_at"].clone()),
        ("expires_at", json!(expiry)),
    ];
    let none = at(&eve, id, &before(&created["created_at"])).await;
    for (field, value) in known {
        assert_eq!((&now[field], &none[field]), (&value, &Value::Null), "{field}");
    }
}

#[keyledger_bounded::test]
async fn a_key_expires_to_the_microsecond() {
    let service = Service::start();
    let ann = service.user("ann");
    let expiry = "2090-01-01T00:00:00.000000Z";
    let created = ann.post("/keys", &json!({"name": "ci", "expires_at": expiry})).await.json();
    let id = created["key_id"].as_str().unwrap();
    let eve = service.auditor("eve");
    let good = at(&eve, id, &before(&json!(expiry))).await;
    assert_eq!((&good["status"], &good["verdict"]), (&json!("active"), &json!("VALID")));
    let expired = at(&eve, id, expiry).await;
    assert_eq!((&expired["status"], &expired["verdict"]), (&json!("active"), &json!("EXPIRED")));
    assert_eq!(expired["because"]["type"], "KeyCreated");
    assert_eq!(expired["reason"], format!("expired at {expiry}"));
    // The same moment in another time zone.
    let elsewhere = at(&eve, id, "2090-01-01T02:00:00%2B02:00").await;
    assert_eq!((&elsewhere["at"], &elsewhere["verdict"]), (&json!(expiry), &json!("EXPIRED")));
}

#[keyledger_bounded::test]
async fn by_a_position_expiry_is_judged_by_what_else_had_happened() {
    let service = Service::start();
    let ann = service.user("ann");
    let body = json!({"name": "short", "expires_in_seconds": 1});
    let created = ann.post("/keys", &body).await;
    let id = created.json()["key_id"].as_str().unwrap().to_owned();
    let first = created.position();
    let eve = service.auditor("eve");
    let path = format!("/audit/keys/{id}");
    until("the key to expire", async || {
        let answer = eve.get(&path).await;
        if answer.json()["verdict"] == "EXPIRED" { Ok(()) } else { Err(answer) }
    })
    .await;
    assert_eq!(at(&eve, &id, &first.to_string()).await["verdict"], "VALID", "when it was made");
    let later = ann.post("/keys", &json!({"name": "later"})).await.position();
    assert_eq!(at(&eve, &id, &later.to_string()).await["verdict"], "EXPIRED");
    assert_eq!(at(&eve, &id, &(later - 1).to_string()).await["verdict"], "VALID");
}

#[keyledger_bounded::test]
async fn a_key_that_had_expired_before_its_import_was_never_valid() {
    let folder = Service::start().ready().await.stop_well();
    let line = |number: u32, expiry: &str| {
        let hash = keyledger_domain::hash_presented(&format!("orag_{number:043}")).unwrap();
        json!({
            "key_hash": hash.to_hex(), "key_prefix": "orag_00000000", "name": expiry,
            "user_id": "ann", "user_email": null, "created_at": "2025-01-31T12:00:00Z",
            "expires_at": expiry,
        })
    };
    let (past, future) = ("2025-06-30T12:00:00Z", "2090-01-01T00:00:00Z");
    let lines = format!("{}\n{}\n", line(0, past), line(1, future));
    std::fs::write(folder.path().join("keys.ndjson"), lines).unwrap();
    let stores = crate::support::stores::Stores::at(folder.path());
    let imported = run(keyledger(folder.path())
        .args(["import", "--from", "keys.ndjson"])
        .env("KEYLEDGER_JOURNAL_URL", stores.journal)
        .env("KEYLEDGER_READ_URL", stores.read));
    assert!(imported.status.success(), "{imported:?}");

    let service = Setup::in_folder(folder).start().ready().await;
    let eve = service.auditor("eve");
    let keys = service.user("ann").keys().await;
    for (name, verdict) in [(past, "EXPIRED"), (future, "VALID")] {
        let key = keys.iter().find(|key| key["name"] == name).unwrap();
        let id = key["key_id"].as_str().unwrap();
        let history = events(&eve.get(&format!("/keys/{id}/history")).await);
        let position = history[0]["position"].to_string();
        let state = at(&eve, id, &position).await;
        assert_eq!(state["verdict"], verdict, "{state}");
        let output = audit_at(&service, &["--key", id, "--at", &position]);
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(told, state);
        // By a time, the key is what it was in the former service.
        let state = at(&eve, id, "2025-03-01T00:00:00Z").await;
        assert_eq!(state["verdict"], "VALID", "{state}");
    }
}

#[keyledger_bounded::test]
async fn what_is_no_key_or_no_moment_is_told() {
    let service = Service::start();
    let id = service.user("ann").create("ci").await;
    let eve = service.auditor("eve");
    for path in [format!("/audit/keys/{UNKNOWN}"), "/audit/keys/x".to_owned()] {
        assert_problem!(eve.get(&path).await, 404, "key_not_found", "{path}");
    }
    for (query, code) in [
        ("at=", "invalid_parameter"),
        ("at=yesterday", "invalid_parameter"),
        ("at=-1", "invalid_parameter"),
        ("at=2026-03-01", "invalid_parameter"),
        ("at=9223372036854775808", "invalid_parameter"),
        ("at=1&at=1", "invalid_parameter"),
        ("when=1", "unknown_parameter"),
    ] {
        assert_problem!(eve.get(&format!("/audit/keys/{id}?{query}")).await, 400, code, "{query}");
    }
}

fn audit_at(service: &Service, arguments: &[&str]) -> Output {
    let options = ["audit", "at", "--journal-url", &service.stores().journal];
    run(keyledger(service.folder().path()).args(options).args(arguments))
}

#[keyledger_bounded::test]
async fn the_command_line_tells_the_same_beside_a_running_service() {
    let service = Service::start();
    let ann = service.user("ann");
    let id = whole_life(&ann, "ci").await;
    let eve = service.auditor("eve");
    let history = events(&eve.get(&format!("/keys/{id}/history")).await);
    let position = history[1]["position"].to_string();
    for moment in [position.as_str(), "0", history[0]["occurred_at"].as_str().unwrap()] {
        let output = audit_at(&service, &["--key", &id, "--at", moment]);
        assert!(output.status.success(), "{output:?}");
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(told, at(&eve, &id, moment).await, "{moment}");
    }
    let now: Value = serde_json::from_slice(&audit_at(&service, &["--key", &id]).stdout).unwrap();
    assert_eq!((&now["status"], &now["because"]), (&json!("deleted"), &history[2]));
    for (arguments, sentence) in [
        (["--key", UNKNOWN, "--at", "1"], format!("there was never a key {UNKNOWN}")),
        (["--key", "x", "--at", "1"], "--key: \"x\" is no id of a key".to_owned()),
        (["--key", UNKNOWN, "--at", "soon"], "--at: neither a date and time".to_owned()),
    ] {
        let output = audit_at(&service, &arguments);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains(&sentence), "{told}");
    }
}
