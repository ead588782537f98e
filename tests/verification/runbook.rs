//! The runbook in docs/operations.md: its commands do what it says. `failover.rs` follows the section on
//! failovers.

use keyledger_test_servers::kurrentdb::Server;
use keyledger_test_servers::nats::{Nats, Version};
use keyledger_test_servers::postgres::Postgres;
use serde_json::Value;

use super::history::{becomes, listed, revoke};
use super::{Key, key};
use crate::support::log::{Log, NAME, signed};
use crate::support::nats::{Message, assert_chained, messages, messages_of};
use crate::support::runbook::Section;
use crate::support::{Service, Setup};

/// Keys before a backup, and what is acknowledged after it.
struct Lossy {
    kept: Key,
    /// Is created before the backup and revoked after it.
    revoked: Key,
    /// Is created after the backup.
    lost: Key,
}

impl Lossy {
    async fn on(service: &Service, back_up: impl FnOnce()) -> Self {
        let (kept, revoked) = (key(service).await, key(service).await);
        back_up();
        revoke(service, &revoked).await;
        Self { kept, revoked, lost: key(service).await }
    }

    /// What a restored service says of the keys, and what an operator does about it.
    async fn is_restored(&self, service: &Service) {
        let gateway = service.gateway();
        becomes(&gateway, &self.kept, "VALID").await;
        becomes(&gateway, &self.lost, "NOT_FOUND").await;
        // As the runbook says: this revocation is undone, and has to be made again.
        becomes(&gateway, &self.revoked, "VALID").await;
        assert_eq!(listed(service).await.len(), 2);
        revoke(service, &self.revoked).await;
    }
}

/// The sequences of the published events, without those of decisions.
fn sequences(published: &str) -> Vec<String> {
    let sequence = |line: &str| {
        let body: Value = serde_json::from_str(line).unwrap();
        body["sequence"].as_str().unwrap().to_owned()
    };
    published.lines().map(sequence).collect()
}

#[keyledger_bounded::test]
async fn a_backup_on_sqlite_is_restored_and_the_loss_resolved_as_the_runbook_says() {
    let nats = Nats::start(Version::Current);
    let log = Log::on_sqlite();
    let setup = || log.setup().set("KEYLEDGER_NATS_URL", &nats.url());
    let mut restoring = Section::of("Restore a backup on SQLite", log.folder.clone());
    let service = setup().start().ready().await;
    let keys = Lossy::on(&service, || drop(restoring.follow())).await;
    messages(&nats, 4).await;
    signed(&service, 4).await;
    service.stop_well();
    restoring.follow();
    let service = setup().start().ready().await;
    service.part_is("relay", "stopped").await;
    service.part_is("tree", "stopped").await;

    let mut resolving = Section::of("After a loss", log.folder.clone())
        .set("KEYLEDGER_NATS_URL", &nats.url())
        .set("KEYLEDGER_JOURNAL_URL", &log.journal)
        .set("KEYLEDGER_READ_URL", &log.read);
    let told = resolving.follow();
    assert!(told.contains("The journal's events after position 2 are published next"), "{told}");
    let published = std::fs::read_to_string(log.path("published")).unwrap();
    let late = |sequence: &String| sequence.parse::<u64>().unwrap() > 2;
    assert_eq!(sequences(&published).into_iter().filter(late).count(), 2, "the lost events");
    keys.is_restored(&service).await;
    service.stop_well();
    let service = setup().start().ready().await;
    service.part_is("relay", "ready").await;
    // Four events, the decision, and the second revocation.
    let all = messages(&nats, 6).await;
    assert_eq!(all[5].position(), 3);

    service.stop_well();
    resolving.follow();
    let service = setup()
        .set("KEYLEDGER_AUDIT_KEY", "audit-2.key")
        .set("KEYLEDGER_NATS_STREAM", "KEYS_2")
        .set("KEYLEDGER_READ_URL", &format!("sqlite://{}", log.path("data/read-2.db").display()))
        .start()
        .ready()
        .await;
    let note = signed(&service, 3).await.text;
    assert!(note.starts_with("keys.example.com/production-2\n3\n"), "{note}");
    assert!(std::fs::read_to_string(log.path("data/checkpoints.former")).unwrap().contains(NAME));
    assert_chained(&messages_of(&nats, "KEYS_2", 3).await);
    for part in ["relay", "tree", "checkpoints"] {
        service.part_is(part, "ready").await;
    }
    becomes(&service.gateway(), &keys.revoked, "REVOKED").await;
}

#[keyledger_bounded::test]
async fn a_backup_on_postgres_is_restored_as_the_runbook_says() {
    let server = Postgres::start();
    let (former, read) = (server.database().await, server.database().await);
    let service = |journal: &str| {
        Setup::new().set("KEYLEDGER_JOURNAL_URL", journal).set("KEYLEDGER_READ_URL", &read)
    };
    let node = service(&former).start().ready().await;
    let restored = server.url("restored");
    let mut restoring = Section::of("Restore a backup on PostgreSQL", node.folder())
        .set("KEYLEDGER_JOURNAL_URL", &former)
        .set("RESTORED", &restored);
    let keys = Lossy::on(&node, || drop(restoring.follow())).await;
    node.stop_well();
    restoring.follow();
    let nodes =
        [service(&restored).start().ready().await, service(&restored).start().ready().await];
    keys.is_restored(&nodes[0]).await;
    becomes(&nodes[1].gateway(), &keys.revoked, "REVOKED").await;
}

/// A service with everything moves to a journal at another URL.
async fn moves_as_the_runbook_says(to: &str) {
    let nats = Nats::start(Version::Current);
    let log = Log::on_sqlite();
    let setup = || log.setup().set("KEYLEDGER_NATS_URL", &nats.url());
    let service = setup().start().ready().await;
    let (kept, revoked) = (key(&service).await, key(&service).await);
    revoke(&service, &revoked).await;
    messages(&nats, 3).await;
    signed(&service, 3).await;
    service.stop_well();
    let key_file = log.path("audit.key");
    let mut moving = Section::of("Move to another journal", log.folder.clone())
        .set("KEYLEDGER_JOURNAL_URL", to)
        .set("KEYLEDGER_READ_URL", &log.read)
        .set("KEYLEDGER_AUDIT_KEY", key_file.to_str().unwrap());
    let told = moving.follow_with("postgres://keyledger@db/keyledger", to);
    assert!(told.contains("Copied 3 events"), "{told}");
    let told = moving.follow();
    assert!(told.contains("built anew from 3 events"), "{told}");

    let service = setup().set("KEYLEDGER_JOURNAL_URL", to).start().ready().await;
    becomes(&service.gateway(), &kept, "VALID").await;
    becomes(&service.gateway(), &revoked, "REVOKED").await;
    assert_eq!(listed(&service).await.len(), 2);
    key(&service).await;
    signed(&service, 4).await;
    for part in ["relay", "tree", "checkpoints"] {
        service.part_is(part, "ready").await;
    }
    let ids = |messages: &[Message]| -> std::collections::HashSet<String> {
        messages.iter().map(|message| message.header("Nats-Msg-Id").to_owned()).collect()
    };
    assert_eq!(ids(&messages(&nats, 4).await).len(), 4, "nothing is published twice");
    service.stop_well();
    assert!(log.checkpoints().iter().any(|note| note.contains("\n4\n")), "one file goes on");
}

#[keyledger_bounded::test]
async fn a_service_moves_to_postgres_as_the_runbook_says() {
    moves_as_the_runbook_says(&Postgres::shared().database().await).await;
}

#[keyledger_bounded::test]
async fn a_service_moves_to_kurrentdb_as_the_runbook_says() {
    let server = Server::start();
    moves_as_the_runbook_says(&server.url()).await;
}

#[keyledger_bounded::test]
async fn two_installations_on_one_stream_are_told_apart_as_the_runbook_says() {
    let (nats, elsewhere) = (Nats::start(Version::Current), Nats::start(Version::Current));
    let publishing = |folder, nats: &Nats| {
        Setup::in_folder(folder).set("KEYLEDGER_NATS_URL", &nats.url()).start()
    };
    let new = || std::sync::Arc::new(tempfile::TempDir::new().unwrap());
    let intruder = publishing(new(), &nats);
    key(&intruder).await;
    messages(&nats, 1).await;
    let owner = publishing(new(), &nats);
    key(&owner).await;
    owner.part_is("relay", "stopped").await;
    owner.printed("or another installation publishes to this stream").await;

    let folder = intruder.stop_well();
    let moving = Section::of("Two installations on one stream", folder.clone());
    let mut moving = moving.set("KEYLEDGER_NATS_URL", &elsewhere.url());
    assert!(moving.follow().contains("after position 0 are published next"));
    let moved = publishing(folder, &elsewhere);
    assert_eq!(messages(&elsewhere, 2).await[1].position(), 1);
    moved.part_is("relay", "ready").await;
    let mut deciding = moving.goes_on_in(owner.folder()).set("KEYLEDGER_NATS_URL", &nats.url());
    assert!(deciding.follow().contains("after position 0 are published next"));
    let owner = publishing(owner.stop_well(), &nats);
    owner.part_is("relay", "ready").await;
    assert_eq!(messages(&nats, 3).await[2].position(), 1);
}

#[keyledger_bounded::test]
fn every_section_of_the_runbook_is_followed_by_a_test() {
    let operations = include_str!("../../docs/operations.md");
    let (_, runbook) = operations.split_once("\n## Runbook\n").unwrap();
    let tests = [include_str!("runbook.rs"), include_str!("failover.rs")].concat();
    let titles: Vec<_> = runbook.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    assert_eq!(titles.len(), 6);
    for title in titles {
        assert!(tests.contains(&format!("Section::of(\"{title}\"")), "{title}");
    }
}
