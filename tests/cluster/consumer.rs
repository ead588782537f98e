//! The example consumer: its table agrees with the service, also after it was killed.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use keyledger_test_servers::nats::{Nats, Version};
use sqlx::{Connection, SqliteConnection};

use crate::support::nats::{messages, purge_subject, with};
use crate::support::wait::until;
use crate::support::{Process, Service};

fn consumer(nats: &Nats, file: &Path) -> Process {
    // This program is in target/debug/deps, the example in target/debug/examples.
    let own = std::env::current_exe().unwrap();
    let program = own.parent().unwrap().join("../examples/key_directory");
    Process::start(Command::new(program).arg(nats.url()).arg(file))
}

/// The last message that it has taken in, and the state of each key.
async fn table(file: &Path) -> (i64, BTreeMap<String, String>) {
    let url = format!("sqlite://{}?mode=ro", file.display());
    let Ok(mut table) = SqliteConnection::connect(&url).await else {
        return (0, BTreeMap::new());
    };
    let place = sqlx::query_scalar("SELECT sequence FROM place").fetch_one(&mut table).await;
    let keys: Vec<(String, String)> = sqlx::query_as("SELECT key_id, state FROM key")
        .fetch_all(&mut table)
        .await
        .unwrap_or_default();
    (place.unwrap_or(0), keys.into_iter().collect())
}

/// Waits until it has taken in this message; tells the state of each key then.
async fn table_at(file: &Path, sequence: usize) -> BTreeMap<String, String> {
    until(format!("the consumer to come to message {sequence}"), async || {
        let (reached, keys) = table(file).await;
        if reached >= i64::try_from(sequence).unwrap() { Ok(keys) } else { Err(reached) }
    })
    .await
}

async fn shown(service: &Service) -> BTreeMap<String, String> {
    let state = |key: &serde_json::Value| if key["revoked"] == true { "revoked" } else { "active" };
    let keys = service.user("ann").keys().await;
    let of = |key: &serde_json::Value| {
        (key["key_id"].as_str().unwrap().to_owned(), state(key).to_owned())
    };
    keys.iter().map(of).collect()
}

#[keyledger_bounded::test]
async fn a_consumer_survives_restarts_and_rebuilds_its_table() {
    for version in [Version::Old, Version::Current] {
        let nats = Nats::start(version);
        let service = with(&nats).start().ready().await;
        let ann = service.user("ann");
        let folder = tempfile::TempDir::new().unwrap();
        let file = folder.path().join("directory.db");
        let mut events = 0;
        for round in 0..4 {
            messages(&nats, events).await;
            let mut running = consumer(&nats, &file);
            for number in 0..20 {
                let id = ann.create(&format!("key {number}")).await;
                let ends = [format!("/keys/{id}"), format!("/keys/{id}/permanent")];
                for end in ends.iter().take(number % 3) {
                    ann.delete(end).await;
                }
                events += 1 + number % 3;
            }
            if round < 3 {
                // Killed while messages are still to come.
                table_at(&file, events / 2).await;
                running.kill();
            } else {
                assert_eq!(table_at(&file, events).await, shown(&service).await);
                running.kill();
            }
        }
        for end in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(folder.path().join(format!("directory.db{end}")));
        }
        let mut running = consumer(&nats, &file);
        assert_eq!(table_at(&file, events).await, shown(&service).await);
        running.kill();
    }
}

#[keyledger_bounded::test]
async fn a_consumer_notices_that_the_stream_has_lost_an_event() {
    let nats = Nats::start(Version::Current);
    let service = with(&nats).start();
    for name in ["a", "b", "c"] {
        service.user("ann").create(name).await;
    }
    let lost = messages(&nats, 3).await.swap_remove(1);
    purge_subject(&nats, "KEYS", &lost.subject).await;
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("directory.db");
    let (status, output) = consumer(&nats, &file).ended_with_output();
    assert!(!status.success(), "{output}");
    assert!(output.contains("the stream has lost events between positions 0"), "{output}");
    assert_eq!(table(&file).await.1.len(), 1);
}
