//! When keys were last used: shown within an interval, and kept over restarts.

use std::sync::Arc;

use keyledger_domain::Timestamp;
use keyledger_test_servers::postgres::Postgres;

use super::{Key, gateway, key, verdict};
use crate::support::wait::until;
use crate::support::{Service, Setup, keyledger, run};

/// When the key was last used, as its owner's list shows it.
async fn used(service: &Service, key: &Key) -> Option<Timestamp> {
    let keys = service.user("ann").keys().await;
    let shown = keys.iter().find(|shown| shown["key_id"] == key.id.as_str())?;
    shown["last_used_at"].as_str().map(|at| at.parse().unwrap())
}

async fn until_used(service: &Service, key: &Key) -> Timestamp {
    until("the last use in the list", async || used(service, key).await.ok_or("none")).await
}

#[keyledger_bounded::test]
async fn the_last_use_of_a_key_is_shown_and_moves_forward() {
    let service = Setup::new().set("KEYLEDGER_LAST_USED_FLUSH", "20ms").start().ready().await;
    let (gateway, key, unused) = (gateway(&service), key(&service).await, key(&service).await);
    assert_eq!(used(&service, &key).await, None);
    assert_eq!(verdict(&gateway, &key.secret).await, "VALID");
    let first = until_used(&service, &key).await;
    assert_eq!(verdict(&gateway, &key.secret).await, "VALID");
    let second = until("a later use in the list", async || match used(&service, &key).await {
        now if now == Some(first) => Err("the first one"),
        now => Ok(now),
    });
    assert!(second.await > Some(first));
    // A key that is refused is not used.
    service.user("ann").delete(&format!("/keys/{}", key.id)).await;
    let last = used(&service, &key).await;
    for _ in 0..20 {
        assert_eq!(verdict(&gateway, &key.secret).await, "REVOKED");
    }
    assert_eq!(verdict(&gateway, &unused.secret).await, "VALID");
    until_used(&service, &unused).await;
    assert_eq!(used(&service, &key).await, last);
}

#[keyledger_bounded::test]
async fn a_node_that_stops_records_the_uses_that_wait() {
    let setup = |folder| match folder {
        None => Setup::new(),
        Some(folder) => Setup::in_folder(folder),
    };
    let service = setup(None).set("KEYLEDGER_LAST_USED_FLUSH", "10m").start().ready().await;
    let key = key(&service).await;
    // The first flush is at once.
    service.metric_is("keyledger_uses_waiting", 0).await;
    verdict(&gateway(&service), &key.secret).await;
    assert_eq!(used(&service, &key).await, None);
    let service = setup(Some(service.stop_well())).start().ready().await;
    assert!(used(&service, &key).await.is_some());
}

#[keyledger_bounded::test]
async fn a_rebuild_keeps_when_keys_were_last_used() {
    let service = Setup::new().set("KEYLEDGER_LAST_USED_FLUSH", "20ms").start().ready().await;
    let key = key(&service).await;
    verdict(&gateway(&service), &key.secret).await;
    let at = until_used(&service, &key).await;
    let folder = service.folder();
    let rebuilt = run(keyledger(folder.path()).arg("rebuild"));
    assert!(rebuilt.status.success(), "{rebuilt:?}");
    assert_eq!(used(&service, &key).await, Some(at));
}

#[keyledger_bounded::test]
async fn uses_wait_while_the_read_tables_are_away() {
    let server = Arc::new(Postgres::start());
    let journal = Postgres::shared().database().await;
    let read = server.database().await;
    let service = Setup::new()
        .set("KEYLEDGER_JOURNAL_URL", &journal)
        .set("KEYLEDGER_READ_URL", &read)
        .set("KEYLEDGER_LAST_USED_FLUSH", "50ms")
        .start()
        .ready()
        .await;
    let (gateway, key) = (gateway(&service), key(&service).await);
    server.kill();
    // Verification needs no read tables.
    assert_eq!(verdict(&gateway, &key.secret).await, "VALID");
    service.printed("last uses cannot be recorded; they stay in memory").await;
    service.metric_is("keyledger_uses_waiting", 1).await;
    let started = server.clone();
    tokio::task::spawn_blocking(move || started.start_again()).await.unwrap();
    service.printed("last uses are recorded again").await;
    let service = service.ready().await;
    until_used(&service, &key).await;
}
