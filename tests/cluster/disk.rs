//! What is on the disk when a change is acknowledged, and disks that take no more: the service says so, and
//! goes on by itself.

use std::time::Duration;

use serde_json::json;
use sqlx::{Connection, SqliteConnection};

use crate::support::wait::throughout;
use crate::support::{Service, Setup, assert_problem, from_now, preloadable};

/// A crash of the process does not show whether a commit waits for the disk; only a power cut would.
#[keyledger_bounded::test]
async fn every_acknowledged_change_was_synced_to_the_disk_before() {
    let tools = tempfile::tempdir().unwrap();
    let syncs = tools.path().join("syncs");
    let service = Setup::new()
        .set("LD_PRELOAD", &preloadable("cluster/syncs.c", tools.path()))
        .set("SYNCED", "/data/journal.db-wal")
        .set("SYNCS", syncs.to_str().unwrap())
        .start()
        .ready()
        .await;
    let count = || std::fs::metadata(&syncs).map_or(0, |file| file.len());
    let ann = service.user("ann");
    for _ in 0..5 {
        let before = count();
        let id = ann.create("durable").await;
        let created = count();
        assert!(created > before, "a key is created without a sync");
        ann.delete(&format!("/keys/{id}")).await.expect_status(200);
        assert!(count() > created, "a key is revoked without a sync");
    }
    assert!(count() < 100, "{} syncs", count());
}

const FAILURES: &str = "keyledger_append_failures_total";
const APPENDS_READY: &str = r#"keyledger_part_ready{part="appends"}"#;

/// Checks that a service whose appends fail says so, that the rest of it goes on, and that it says by
/// itself when appends are possible again.
async fn says_that_appends_fail(service: &Service, heals: impl AsyncFnOnce()) {
    let ann = service.user("ann");
    assert_eq!(service.metric(FAILURES).await, Some(0));
    let kept = ann.keys().await.len();
    let refused = ann.post("/keys", &json!({"name": "refused"})).await;
    assert_problem!(refused, 503, "unavailable");
    service.part_is("appends", "failing").await;
    service.readiness_is(503).await;
    assert_eq!(service.metric(APPENDS_READY).await, Some(0));
    assert_eq!(service.metric("keyledger_ready").await, Some(0));
    assert!(service.metric(FAILURES).await.unwrap() > 0);
    service.part_is("journal", "ready").await;
    assert_eq!(ann.keys().await.len(), kept);
    let told = "the journal takes no appends";
    service.printed(told).await;
    throughout(Duration::from_secs(3), async || {
        let answer = service.stranger().get("/readyz").await;
        assert_eq!(answer.expect_status(503).json()["parts"]["appends"], "failing");
    })
    .await;
    heals().await;
    service.part_is("appends", "ready").await;
    service.readiness_is(200).await;
    assert_eq!(service.metric(APPENDS_READY).await, Some(1));
    ann.create("late").await;
    assert_eq!(ann.keys().await.len(), kept + 1);
    assert_eq!(service.output().matches(told).count(), 1);
}

#[keyledger_bounded::test]
async fn a_full_disk_is_told_until_it_has_room() {
    let service = Setup::new().survives_limits().start().ready().await;
    service.user("ann").create("before").await;
    // The next append would make the file larger.
    let wal = service.folder().path().join("data/journal.db-wal");
    service.limit_files(Some(std::fs::metadata(wal).unwrap().len()));
    says_that_appends_fail(&service, async || service.limit_files(None)).await;
}

#[keyledger_bounded::test]
async fn an_address_that_cannot_be_written_is_taken_from_the_next_request() {
    let service = Setup::new().survives_limits().start().ready().await;
    let created = service.user("ann").post("/keys", &json!({"name": "a"})).await.json();
    let wal = service.folder().path().join("data/journal.db-wal");
    service.limit_files(Some(std::fs::metadata(wal).unwrap().len()));
    let ann = service.user_with_email("ann", "ann@example.net", from_now(20));
    assert_eq!(ann.keys().await.len(), 1, "the request itself succeeds");
    service.printed("owners' addresses cannot be taken over").await;
    service.limit_files(None);
    service.part_is("appends", "ready").await;
    ann.keys().await;
    let secret = created["api_key"].as_str().unwrap();
    service.verifies_with_email(secret, "ann@example.net").await;
    service.printed("owners' addresses are taken over again").await;
}

#[keyledger_bounded::test]
async fn a_journal_that_another_program_has_locked_is_told_until_it_is_free() {
    let service = Service::start().ready().await;
    service.user("ann").create("before").await;
    let path = service.folder().path().join("data/journal.db");
    let mut other =
        SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    says_that_appends_fail(&service, async || other.close().await.unwrap()).await;
}
