//! The example consumer: its table is what the service says, however often it is killed.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use keyledger_test_servers::nats::{Nats, Version};
use sqlx::{Connection, SqliteConnection};

use crate::cluster::relay::{messages, with};
use crate::support::Service;

fn consumer(nats: &Nats, file: &Path) -> Child {
    // Beside this program's folder: target/debug/deps, target/debug/examples.
    let own = std::env::current_exe().unwrap();
    let program = own.parent().unwrap().join("../examples/key_directory");
    Command::new(program).arg(nats.url()).arg(file).stderr(Stdio::null()).spawn().unwrap()
}

/// How far it has come, and the states of its keys.
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

/// Waits until it has come this far; tells its keys then.
async fn table_at(file: &Path, sequence: i64) -> BTreeMap<String, String> {
    loop {
        let (reached, keys) = table(file).await;
        if reached >= sequence {
            return keys;
        }
        tokio::task::yield_now().await;
    }
}

async fn shown(service: &Service) -> BTreeMap<String, String> {
    let state = |key: &serde_json::Value| if key["revoked"] == true { "revoked" } else { "active" };
    let keys = service.user("ann").keys().await;
    let of = |key: &serde_json::Value| {
        (key["key_id"].as_str().unwrap().to_owned(), state(key).to_owned())
    };
    keys.iter().map(of).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
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
                // In the midst of it.
                table_at(&file, events as i64 / 2).await;
                running.kill().unwrap();
                running.wait().unwrap();
            } else {
                assert_eq!(table_at(&file, events as i64).await, shown(&service).await);
                running.kill().unwrap();
                running.wait().unwrap();
            }
        }
        for end in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(folder.path().join(format!("directory.db{end}")));
        }
        let mut running = consumer(&nats, &file);
        assert_eq!(table_at(&file, events as i64).await, shown(&service).await);
        running.kill().unwrap();
        running.wait().unwrap();
    }
}
