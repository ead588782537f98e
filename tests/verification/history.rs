//! The journal's past changes: a database is set back, or a backup is restored. What the service has
//! acknowledged since is lost, but what it acknowledges from then on holds: a key whose revocation was
//! answered is never valid again, and lists and verification follow the journal as it is.

use std::path::Path;
use std::sync::Arc;

use keyledger_test_servers::kurrentdb::{Database, Server};
use keyledger_test_servers::postgres::{Postgres, sql};
use serde_json::Value;
use tempfile::TempDir;

use super::{Key, key, verdict, verify};
use crate::support::wait::until;
use crate::support::{Client, Service, Setup};

/// How many keys are created in the part of the history that is lost.
const LOST_KEYS: usize = 3;
/// How many events are lost: these creations, and a revocation.
const LOST: usize = LOST_KEYS + 1;

/// Waits until a key gets this verdict. Until then verification may answer that it does not know, but
/// never that the key is valid.
pub(super) async fn becomes(gateway: &Client, key: &Key, wanted: &str) {
    until(format!("the verdict {wanted}"), async || {
        let answer = verify(gateway, &key.secret).await;
        if answer.status == 503 {
            return Err(answer);
        }
        let code = answer.expect_status(200).json()["code"].clone();
        assert_eq!(code, wanted);
        Ok(())
    })
    .await;
}

/// Revokes a key as soon as the service accepts it, and checks that the key is not valid from the
/// answer on.
pub(super) async fn revoke(service: &Service, key: &Key) {
    let ann = service.user("ann");
    until("an answer to the revocation", async || {
        let answer = ann.delete(&format!("/keys/{}", key.id)).await;
        if answer.status == 503 { Err(answer) } else { Ok(answer) }
    })
    .await
    .expect_status(200);
    becomes(&service.gateway(), key, "REVOKED").await;
}

pub(super) async fn listed(service: &Service) -> Vec<String> {
    let answer = service.user("ann").get("/keys").await;
    answer.expect_status(200);
    let id = |key: &Value| key["key_id"].as_str().unwrap().to_owned();
    answer.json()["keys"].as_array().unwrap().iter().map(id).collect()
}

/// Keys as they are before the journal loses its last events.
pub(super) struct Before {
    /// Is revoked as soon as the history has changed.
    pub(super) kept: Key,
    pub(super) other: Key,
    /// Is revoked in the part that is lost.
    pub(super) revived: Key,
}

impl Before {
    pub(super) async fn on(node: &Service) -> Self {
        Self { kept: key(node).await, other: key(node).await, revived: key(node).await }
    }

    /// The journal loses its last events, and everything goes on from what is left. What every node
    /// has acknowledged before, it has answered to verifications too.
    pub(super) async fn goes_on_after(self, nodes: &[Service], set_back: impl AsyncFnOnce()) {
        let Self { kept, other, revived } = self;
        let [node, others @ ..] = nodes else { panic!("no node") };
        let mut lost = Vec::new();
        for _ in 0..LOST_KEYS {
            lost.push(key(node).await);
        }
        let revoked = node.user("ann").delete(&format!("/keys/{}", revived.id)).await;
        revoked.expect_status(200);
        for each in nodes {
            let position = revoked.position().to_string();
            let waiting = each.gateway().with("keyledger-min-position", &position);
            becomes(&waiting, &revived, "REVOKED").await;
            becomes(&waiting, lost.last().unwrap(), "VALID").await;
        }
        set_back().await;
        revoke(node, &kept).await;
        for each in others {
            each.metric_is("keyledger_history_changes_total", 1).await;
        }
        for each in nodes {
            each.readiness_is(200).await;
            let gateway = each.gateway();
            becomes(&gateway, &kept, "REVOKED").await;
            becomes(&gateway, &other, "VALID").await;
            // Its revocation is one of the events that are lost.
            becomes(&gateway, &revived, "VALID").await;
            for lost in &lost {
                becomes(&gateway, lost, "NOT_FOUND").await;
            }
            assert_eq!(each.metric("keyledger_history_changes_total").await, Some(1));
            let mut ids = listed(each).await;
            ids.sort_unstable();
            let mut expected = [&kept, &other, &revived].map(|key| key.id.clone());
            expected.sort_unstable();
            assert_eq!(ids, expected);
            let told = "no key is verified until the index and the read tables are of the journal's \
                        history";
            assert!(each.output().contains(told));
        }
        revoke(node, &revived).await;
        let new = key(node).await;
        assert_eq!(verdict(&node.gateway(), &new.secret).await, "VALID");
    }
}

#[keyledger_bounded::test]
async fn nodes_go_on_when_postgres_is_set_back_under_them() {
    let server = Postgres::shared();
    let (journal, read) = (server.database().await, server.database().await);
    let node =
        || Setup::new().set("KEYLEDGER_JOURNAL_URL", &journal).set("KEYLEDGER_READ_URL", &read);
    let nodes = [node().start().ready().await, node().start().ready().await];
    let set_back = async || {
        let set_back = format!(
            "BEGIN; SET LOCAL session_replication_role = replica;
             UPDATE journal_head SET position = position - {LOST};
             DELETE FROM events WHERE position > (SELECT position FROM journal_head);
             COMMIT"
        );
        sql(&journal, &[&set_back]).await;
    };
    Before::on(&nodes[0]).await.goes_on_after(&nodes, set_back).await;
}

#[keyledger_bounded::test]
async fn a_node_goes_on_when_kurrentdb_is_set_back_under_it() {
    let database = Database::default();
    let server = Server::serve(&database, 0);
    let node = Setup::new().set("KEYLEDGER_JOURNAL_URL", &server.url()).start().ready().await;
    let before = Before::on(&node).await;
    before.goes_on_after(&[node], async || database.set_back_keys(LOST)).await;
}

fn restore(folder: &Path, backup: &Path) {
    for old in ["journal.db", "journal.db-wal", "journal.db-shm"] {
        let _ = std::fs::remove_file(folder.join("data").join(old));
    }
    copy(backup, &folder.join("data"));
}

/// Copies the journal with its write-ahead log, if there is one.
fn copy(from: &Path, to: &Path) {
    std::fs::copy(from.join("journal.db"), to.join("journal.db")).unwrap();
    if from.join("journal.db-wal").exists() {
        std::fs::copy(from.join("journal.db-wal"), to.join("journal.db-wal")).unwrap();
    }
}

/// A service that is stopped, whose journal was set back to a backup.
struct Restored {
    folder: Arc<TempDir>,
    /// Created before the backup.
    kept: Key,
    /// Created after it.
    lost: Vec<Key>,
}

/// Restores a backup that lacks the creations of this many keys.
async fn restored(lost: usize) -> Restored {
    let backup = tempfile::tempdir().unwrap();
    let service = Service::start().ready().await;
    let kept = key(&service).await;
    let folder = service.stop_well();
    copy(&folder.path().join("data"), backup.path());
    let service = Setup::in_folder(folder).start().ready().await;
    let mut keys = Vec::new();
    for _ in 0..lost {
        keys.push(key(&service).await);
    }
    let folder = service.stop_well();
    restore(folder.path(), backup.path());
    Restored { folder, kept, lost: keys }
}

#[keyledger_bounded::test]
async fn a_restored_backup_is_followed_without_a_rebuild_by_hand() {
    let Restored { folder, kept, lost } = restored(LOST_KEYS).await;
    let service = Setup::in_folder(folder).start().ready().await;
    becomes(&service.gateway(), &kept, "VALID").await;
    for lost in &lost {
        becomes(&service.gateway(), lost, "NOT_FOUND").await;
    }
    assert_eq!(listed(&service).await, std::slice::from_ref(&kept.id));
    assert!(service.output().contains("the read tables are of another history"));
    service.metric_is("keyledger_history_changes_total", 1).await;
    revoke(&service, &kept).await;
}

/// The read tables include a position that the journal has too, with another event.
#[keyledger_bounded::test]
async fn a_restored_backup_that_has_grown_beyond_the_read_tables_is_told_from_the_former_journal() {
    let Restored { folder, kept, lost } = restored(1).await;
    let elsewhere = format!("sqlite://{}/data/elsewhere.db", folder.path().display());
    let service =
        Setup::in_folder(folder).set("KEYLEDGER_READ_URL", &elsewhere).start().ready().await;
    revoke(&service, &kept).await;
    let mut since = Vec::new();
    for _ in 0..LOST_KEYS {
        since.push(key(&service).await);
    }
    let folder = service.stop_well();

    let service = Setup::in_folder(folder).start().ready().await;
    becomes(&service.gateway(), &kept, "REVOKED").await;
    becomes(&service.gateway(), &lost[0], "NOT_FOUND").await;
    for key in &since {
        becomes(&service.gateway(), key, "VALID").await;
    }
    assert_eq!(listed(&service).await.len(), 1 + LOST_KEYS);
}
