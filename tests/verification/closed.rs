//! A key whose events an operator has deleted from the journal's database, or whose events cannot be read,
//! is closed: every node refuses it, and all other keys are verified as before.

use keyledger_domain::KeyId;
use keyledger_test_servers::kurrentdb::{Database, Server};
use keyledger_test_servers::postgres::Postgres;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

use super::{Key, create, key, verdict, verify};
use crate::support::wait::until;
use crate::support::{Client, Service, Setup, assert_problem, keyledger, run};

fn stream(key: &Key) -> String {
    key.id.parse::<KeyId>().unwrap().stream()
}

/// Waits until each node refuses the key; until then it is still valid there.
async fn is_refused(nodes: &[Service], key: &Key, code: &str) {
    for node in nodes {
        let gateway = node.gateway();
        until(format!("the verdict {code}"), async || {
            let answer = verify(&gateway, &key.secret).await;
            let told = answer.expect_status(200).json()["code"].clone();
            if told == code { Ok(()) } else { Err(told) }
        })
        .await;
    }
}

async fn shown(client: &Client, key: &Key) -> Option<Value> {
    client.keys().await.into_iter().find(|shown| shown["key_id"] == key.id)
}

/// What a closed key is to its owner and to others.
async fn is_told_as_closed(node: &Service, key: &Key, why: &str) {
    let (ann, bob) = (node.user("ann"), node.user("bob"));
    until("the list to say it", async || {
        let shown = shown(&ann, key).await.unwrap();
        if shown["closed"] == why { Ok(()) } else { Err(shown) }
    })
    .await;
    let shown = shown(&ann, key).await.unwrap();
    assert_eq!(shown["revoked"], true);
    let listed = |status: &str| format!("/keys?status={status}");
    for (status, has_it) in [("active", false), ("revoked", true)] {
        let keys = ann.get(&listed(status)).await.expect_status(200).json();
        let keys = keys["keys"].as_array().unwrap();
        assert_eq!(keys.iter().any(|shown| shown["key_id"] == key.id), has_it, "{status}");
    }
    let path = format!("/keys/{}", key.id);
    assert_eq!(ann.get(&path).await.expect_status(200).json()["key"]["closed"], why);
    let history = format!("{path}/history");
    assert_problem!(ann.get(&history).await, 410, "key_closed");
    assert_problem!(node.auditor("eve").get(&history).await, 410, "key_closed");
    assert_problem!(bob.get(&history).await, 403, "not_authorized");
    // It is refused already, so there is nothing left to do.
    let revoked = ann.delete(&path).await;
    revoked.expect_status(200);
    let waiting = node.gateway().with("keyledger-min-position", &revoked.position().to_string());
    assert_ne!(verdict(&waiting, &key.secret).await, "VALID");
    assert_problem!(bob.delete(&path).await, 403, "not_authorized");
    assert_problem!(ann.delete(&format!("{path}/permanent")).await, 410, "key_closed");
    assert_problem!(bob.delete(&format!("{path}/permanent")).await, 403, "not_authorized");
}

#[keyledger_bounded::test]
async fn a_key_whose_stream_is_deleted_from_kurrentdb_is_refused_by_every_node() {
    let database = Database::default();
    let server = Server::serve(&database, 0);
    let read = Postgres::shared().database().await;
    let node = || {
        Setup::new()
            .set("KEYLEDGER_JOURNAL_URL", &server.url())
            .set("KEYLEDGER_READ_URL", &read)
            .start()
    };
    let mut nodes = [node().ready().await, node().ready().await];
    let (hidden, ended, good) = (key(&nodes[0]).await, key(&nodes[1]).await, key(&nodes[0]).await);
    let revoked = key(&nodes[0]).await;
    nodes[0].user("ann").delete(&format!("/keys/{}", revoked.id)).await.expect_status(200);
    for deleted in [&hidden, &ended, &revoked] {
        is_refused(&nodes, &good, "VALID").await;
        if std::ptr::eq(deleted, &ended) {
            database.tombstone(&stream(deleted));
        } else {
            database.soft_delete(&stream(deleted));
        }
        is_refused(&nodes, deleted, "REVOKED").await;
    }
    for node in &nodes {
        for closed in [&hidden, &ended, &revoked] {
            is_told_as_closed(node, closed, "removed").await;
            let told = format!("\"key_id\":\"{}\"", closed.id);
            let is_told = |line: &&str| line.contains("key closed") && line.contains(&told);
            let output = node.output();
            assert_eq!(output.lines().filter(is_told).count(), 1, "{output}");
        }
        node.metric_is("keyledger_closed_keys", 3).await;
    }
    // The same after a restart, after a scavenge, and after a rebuild that no longer sees all of it.
    for round in 0..3 {
        if round == 1 {
            database.scavenge();
        }
        nodes[1].signal("TERM");
        nodes[1] = node().ready().await;
        if round == 2 {
            let mut rebuild = keyledger(nodes[1].folder().path());
            rebuild.env("KEYLEDGER_JOURNAL_URL", server.url()).env("KEYLEDGER_READ_URL", &read);
            let rebuilt = run(rebuild.arg("rebuild"));
            let told = String::from_utf8(rebuilt.stdout.clone()).unwrap();
            assert!(told.contains("3 keys are closed"), "{rebuilt:?}");
        }
        for closed in [&hidden, &ended, &revoked] {
            let gateway = nodes[1].gateway();
            assert_ne!(verdict(&gateway, &closed.secret).await, "VALID", "round {round}");
        }
        is_refused(&nodes, &good, "VALID").await;
        let new = key(&nodes[1]).await;
        is_refused(&nodes, &new, "VALID").await;
        nodes[1].readiness_is(200).await;
    }
}

#[keyledger_bounded::test]
async fn nobody_gets_a_secret_for_a_stream_that_was_deleted() {
    let database = Database::default();
    let server = Server::serve(&database, 0);
    let nodes = [Setup::new().set("KEYLEDGER_JOURNAL_URL", &server.url()).start().ready().await];
    let [node] = &nodes;
    let good = key(node).await;
    for is_tombstone in [false, true] {
        let request = format!("order-{is_tombstone}");
        let ann = node.user("ann").with("idempotency-key", &request);
        let created = create(&ann, &json!({ "name": "ci" })).await;
        if is_tombstone {
            database.tombstone(&stream(&created));
        } else {
            database.soft_delete(&stream(&created));
        }
        let before = database.key_events();
        for _ in 0..2 {
            let again = ann.post("/keys", &json!({ "name": "ci" })).await;
            assert_problem!(again, 410, "key_closed");
            assert!(!again.text.contains("api_key"), "{}", again.text);
        }
        assert_eq!(database.key_events(), before, "nothing was written");
        is_refused(&nodes, &created, "REVOKED").await;
    }
    is_refused(&nodes, &good, "VALID").await;
    node.readiness_is(200).await;
}

#[keyledger_bounded::test]
async fn what_another_program_leaves_in_a_stream_ends_no_other_key() {
    let database = Database::default();
    let server = Server::serve(&database, 0);
    let start = || Setup::new().set("KEYLEDGER_JOURNAL_URL", &server.url()).start();
    let mut nodes = [start().ready().await];
    let (struck, good) = (key(&nodes[0]).await, key(&nodes[0]).await);
    database.write_foreign(&stream(&struck), "OrderPlaced", "{}");
    database.write_foreign("apikey-of-another-program", "OrderPlaced", "{}");
    for _ in 0..2 {
        is_refused(&nodes, &struck, "REVOKED").await;
        is_refused(&nodes, &good, "VALID").await;
        is_told_as_closed(&nodes[0], &struck, "foreign").await;
        // Without the tables of the first process too.
        nodes[0].signal("TERM");
        nodes[0] = start().ready().await;
    }
}

#[keyledger_bounded::test]
async fn an_event_that_cannot_be_read_closes_its_key_until_a_version_can_read_it() {
    let server = Postgres::shared();
    let (journal, read) = (server.database().await, server.database().await);
    let start = || {
        Setup::new().set("KEYLEDGER_JOURNAL_URL", &journal).set("KEYLEDGER_READ_URL", &read).start()
    };
    let mut nodes = [start().ready().await];
    let (struck, good) = (key(&nodes[0]).await, key(&nodes[0]).await);
    nodes[0].user("ann").delete(&format!("/keys/{}", struck.id)).await.expect_status(200);
    let rename = async |from: &str, to: &str| {
        let mut connection = PgConnection::connect(&journal).await.unwrap();
        let change = format!(
            "BEGIN; SET LOCAL session_replication_role = replica;
             UPDATE events SET type = '{to}' WHERE type = '{from}'; COMMIT"
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(change)).execute(&mut connection).await.unwrap();
    };
    // As a newer version has written it, and the tables are built from the start.
    rename("KeyRevoked", "KeyEnded").await;
    nodes[0].signal("TERM");
    let mut rebuild = keyledger(nodes[0].folder().path());
    rebuild.env("KEYLEDGER_JOURNAL_URL", &journal).env("KEYLEDGER_READ_URL", &read);
    let rebuilt = run(rebuild.arg("rebuild"));
    assert!(rebuilt.status.success(), "{rebuilt:?}");
    nodes[0] = start().ready().await;
    is_refused(&nodes, &struck, "REVOKED").await;
    is_refused(&nodes, &good, "VALID").await;
    is_told_as_closed(&nodes[0], &struck, "unreadable").await;
    let new = key(&nodes[0]).await;
    is_refused(&nodes, &new, "VALID").await;
    // The newer version reads it.
    rename("KeyEnded", "KeyRevoked").await;
    nodes[0].signal("TERM");
    nodes[0] = start().ready().await;
    is_refused(&nodes, &struck, "REVOKED").await;
    let ann = nodes[0].user("ann");
    until("the key to be open again", async || {
        let shown = shown(&ann, &struck).await.unwrap();
        if shown.get("closed").is_none() { Ok(()) } else { Err(shown) }
    })
    .await;
    let history = ann.get(&format!("/keys/{}/history", struck.id)).await;
    assert_eq!(history.expect_status(200).json()["events"].as_array().unwrap().len(), 2);
    is_refused(&nodes, &new, "VALID").await;
}
