//! A machine whose clock is far off.

use serde_json::{Value, json};

use crate::support::wait::until;
use crate::support::{Client, Setup, keyledger, preloadable, run};

/// Waits until this is said of a key: a clock that jumps makes a node prove anew that it may answer.
async fn is_said(gateway: &Client, created: &Value, code: &str) {
    until(format!("the verdict {code}"), async || {
        let answer = gateway.post("/verify", &json!({"key": created["api_key"]})).await;
        if answer.json()["code"] == code { Ok(()) } else { Err(answer) }
    })
    .await;
}

#[keyledger_bounded::test]
async fn a_clock_outside_1970_to_9999_lets_nobody_in_and_writes_nothing() {
    let tools = tempfile::tempdir().unwrap();
    let library = preloadable("limits/clock.c", tools.path());
    let time = tools.path().join("time");
    let service = Setup::new()
        .set("LD_PRELOAD", &library)
        .set("FAKE_TIME", time.to_str().unwrap())
        .start()
        .ready()
        .await;
    let (ann, gateway) = (service.user("ann"), service.gateway());
    let create = async |body| ann.post("/keys", &body).await.expect_status(200).json();
    let lasting = create(json!({"name": "lasting"})).await;
    let expiring = create(json!({"name": "expiring", "expires_in_seconds": 3600})).await;
    // 1960, and the year 10889.
    for far in ["-315619200", "281474976710"] {
        std::fs::write(&time, far).unwrap();
        for client in [&ann, &gateway, &service.stranger()] {
            let answer = client.try_send("GET", "/readyz", None).await;
            assert!(answer.is_err(), "{far}: {answer:?}");
        }
        let refused = ann.try_send("POST", "/keys", Some(b"{\"name\":\"no\"}".to_vec())).await;
        assert!(refused.is_err(), "{far}: {refused:?}");
    }
    std::fs::remove_file(&time).unwrap();
    is_said(&gateway, &expiring, "VALID").await;
    is_said(&gateway, &lasting, "VALID").await;
    assert_eq!(ann.keys().await.len(), 2);
    let folder = service.folder();
    let (status, output) = service.stop();
    assert!(status.success(), "{output}");
    assert!(!output.contains("defect"), "{output}");

    let service = Setup::in_folder(folder.clone()).start().ready().await;
    for key in service.user("ann").keys().await {
        let used = key["last_used_at"].as_str().unwrap();
        assert!(!used.starts_with("9999"), "{key}");
    }
    service.stop_well();
    std::fs::write(&time, "-1").unwrap();
    let started = Setup::in_folder(folder.clone())
        .set("LD_PRELOAD", &library)
        .set("FAKE_TIME", time.to_str().unwrap())
        .run();
    let told = String::from_utf8(started.stderr).unwrap();
    assert!(told.contains("this machine's clock is outside the years 1970 to 9999"), "{told}");

    let line = json!({
        "key_hash": "a".repeat(64), "key_prefix": "old_", "name": "old", "user_id": "ann",
        "created_at": "2020-01-01T00:00:00Z",
    });
    std::fs::write(folder.path().join("keys.ndjson"), line.to_string()).unwrap();
    let import = run(keyledger(folder.path())
        .args(["import", "--from", "keys.ndjson"])
        .env("LD_PRELOAD", &library)
        .env("FAKE_TIME", &time));
    let told = String::from_utf8(import.stderr).unwrap();
    assert!(!import.status.success(), "{told}");
    assert!(told.contains("this machine's clock is outside the years 1970 to 9999"), "{told}");
}
