//! An acknowledged write survives a kill of the process, and nothing is written in part.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::join_all;
use keyledger_domain::KeyId;
use keyledger_projections::ReadTables;
use keyledger_verifier::UseSink;
use rand::RngExt;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::wait::{until, within};
use crate::support::{Client, Service, Setup, keyledger, run};

const CLIENTS: usize = 16;

/// The ids of keys whose creation or revocation was acknowledged.
#[derive(Default)]
struct Told {
    created: Vec<String>,
    revoked: Vec<String>,
}

/// Creates keys, and revokes some, until the connection breaks.
async fn until_it_dies(client: Client, count: Arc<AtomicUsize>) -> Told {
    let mut told = Told::default();
    let json = client.with("content-type", "application/json");
    loop {
        let body = json!({"name": "survivor"}).to_string().into_bytes();
        let Ok(answer) = json.try_send("POST", "/keys", Some(body)).await else {
            return told;
        };
        answer.expect_status(200);
        let id = answer.json()["key_id"].as_str().unwrap().to_owned();
        told.created.push(id.clone());
        count.fetch_add(1, Ordering::SeqCst);
        if told.created.len() % 3 == 0 {
            let Ok(answer) = json.try_send("DELETE", &format!("/keys/{id}"), None).await else {
                return told;
            };
            answer.expect_status(200);
            told.revoked.push(id);
        }
    }
}

#[keyledger_bounded::test]
async fn what_was_acknowledged_is_there_after_every_kill() {
    kill_under_load(15).await;
}

#[keyledger_bounded::test(minutes = 240)]
#[ignore = "takes many minutes: `make soak`"]
async fn what_was_acknowledged_is_there_after_hundreds_of_kills() {
    for _ in 0..20 {
        kill_under_load(20).await;
    }
}

async fn kill_under_load(kills: usize) {
    let mut random = keyledger_journal::testing::random();
    let mut folder = Arc::new(TempDir::new().unwrap());
    let mut created: BTreeSet<String> = BTreeSet::new();
    let mut revoked: BTreeSet<String> = BTreeSet::new();
    for _ in 0..kills {
        let service = Setup::in_folder(folder).start();
        let count = Arc::new(AtomicUsize::new(0));
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let client = service.user("ann");
                tokio::spawn(until_it_dies(client, count.clone()))
            })
            .collect();
        // Killed while they work, after another number of keys each time.
        let wanted = random.random_range(1..120);
        until(format!("{wanted} keys to be created"), async || {
            match count.load(Ordering::SeqCst) {
                now if now >= wanted => Ok(()),
                now => Err(now),
            }
        })
        .await;
        folder = service.kill();
        for told in within("the end of all clients", join_all(clients)).await {
            let told = told.unwrap();
            created.extend(told.created);
            revoked.extend(told.revoked);
        }
        let service = Setup::in_folder(folder).start().ready().await;
        check(&service, &created, &revoked).await;
        folder = service.kill();
    }
}

/// Checks that everything acknowledged is listed, and that everything listed has its whole history.
async fn check(service: &Service, created: &BTreeSet<String>, revoked: &BTreeSet<String>) {
    let listed: BTreeMap<String, bool> = service
        .user("ann")
        .keys()
        .await
        .iter()
        .map(|key| {
            assert_eq!(key["name"], "survivor");
            let id = key["key_id"].as_str().unwrap().to_owned();
            (id, key["revoked"].as_bool().unwrap())
        })
        .collect();
    let missing: Vec<_> = created.iter().filter(|id| !listed.contains_key(*id)).collect();
    assert!(missing.is_empty(), "lost: {missing:?}");
    let alive: Vec<_> = revoked.iter().filter(|id| !listed[*id]).collect();
    assert!(alive.is_empty(), "revoked, and alive again: {alive:?}");

    // A key whose creation was not acknowledged may be there or not; if it is, it is whole.
    let untold = listed.iter().filter(|(id, _)| !created.contains(*id));
    for (id, is_revoked) in untold {
        let history = service.user("ann").get(&format!("/keys/{id}/history")).await.json();
        let events = history["events"].as_array().unwrap();
        assert_eq!(events[0]["type"], "KeyCreated");
        assert_eq!(events.len(), 1 + usize::from(*is_revoked));
    }
}

async fn everything(service: &Service) -> Vec<Value> {
    let mut all = Vec::new();
    for user in ["ann", "bob", "eve"] {
        all.extend(service.user(user).keys().await);
    }
    all
}

#[keyledger_bounded::test]
async fn a_rebuild_gives_the_same_table_and_keeps_the_last_use() {
    let service = Service::start().ready().await;
    let mut ids = Vec::new();
    for number in 0..40 {
        let user = service.user(["ann", "bob", "eve"][number % 3]);
        let id = user.create(&format!("key {number}")).await;
        if number % 4 == 0 {
            user.delete(&format!("/keys/{id}")).await;
        }
        if number % 5 == 0 {
            user.delete(&format!("/keys/{id}/permanent")).await;
        }
        ids.push(id);
    }
    let (status, _) = {
        let folder = service.folder();
        let stopped = service.stop();
        let tables = open(&folder).await;
        let at = keyledger_domain::Timestamp::parse("2026-03-01T12:00:00Z").unwrap();
        let id: KeyId = ids[1].parse().unwrap();
        tables.record(&[(id, at)]).await.unwrap();
        drop(tables);
        let service = Setup::in_folder(folder.clone()).start().ready().await;
        let before = everything(&service).await;
        assert!(before.iter().any(|key| key["last_used_at"] == "2026-03-01T12:00:00.000000Z"));
        let told = rebuild(&folder);
        assert!(told.contains("rebuilt from 58 events"), "{told}");
        assert_eq!(everything(&service).await, before);
        stopped
    };
    assert!(status.success());
}

async fn open(folder: &TempDir) -> ReadTables {
    ReadTables::open(&format!("sqlite://{}/data/read.db", folder.path().display())).await.unwrap()
}

fn rebuild(folder: &TempDir) -> String {
    let output = run(keyledger(folder.path()).arg("rebuild"));
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{told} {}", String::from_utf8_lossy(&output.stderr));
    told
}
