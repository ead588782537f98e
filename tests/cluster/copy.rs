//! `keyledger copy-journal`, from each kind of database to others.

use std::process::{Command, Output};

use keyledger_domain::{KeyId, RecordedEvent};
use keyledger_test_servers::kurrentdb::{Database, Server};
use keyledger_test_servers::nats::{Nats, Version};
use keyledger_test_servers::postgres::Postgres;
use keyledger_test_servers::proxy::{Network, Proxy};
use tempfile::TempDir;

use crate::support::nats::{messages, with};
use crate::support::wait::until;
use crate::support::{Process, Service, Setup, events_of, keyledger, run};

fn copy(from: &str, to: &str) -> Command {
    let mut command = keyledger(std::path::Path::new("/"));
    command.args(["copy-journal", "--from", from, "--to", to]);
    command
}

#[track_caller]
fn copied(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told = String::from_utf8(output.stdout.clone()).unwrap();
    told.lines().last().unwrap().to_owned()
}

/// A service with active, revoked and deleted keys: 60 events.
async fn busy(setup: Setup) -> Service {
    let service = setup.start().ready().await;
    let ann = service.user("ann");
    for number in 0..30 {
        let id = ann.create(&format!("key {number}")).await;
        for end in [format!("/keys/{id}"), format!("/keys/{id}/permanent")].iter().take(number % 3)
        {
            ann.delete(end).await;
        }
    }
    service
}

fn without_positions(events: Vec<RecordedEvent>) -> Vec<RecordedEvent> {
    let zero = keyledger_domain::Position::START;
    events.into_iter().map(|event| RecordedEvent { position: zero, ..event }).collect()
}

#[keyledger_bounded::test]
async fn a_closed_key_is_not_copied_to_where_nobody_knows_that_it_is_closed() {
    let database = Database::default();
    let kurrent = Server::serve(&database, 0);
    let setup = Setup::new().set("KEYLEDGER_JOURNAL_URL", &kurrent.url());
    let service = setup.start().ready().await;
    let ann = service.user("ann");
    let [hidden, cut, good] = [ann.create("a").await, ann.create("b").await, ann.create("c").await];
    ann.delete(&format!("/keys/{cut}")).await.expect_status(200);
    let stream = |id: &str| id.parse::<KeyId>().unwrap().stream();
    for id in [&hidden, &cut] {
        database.soft_delete(&stream(id));
    }
    // Of the revoked key, only the revocation is left.
    database.scavenge();
    service.stop_well();
    let to = Postgres::shared().database().await;
    for _ in 0..2 {
        let output = run(&mut copy(&kurrent.url(), &to));
        assert!(copied(&output).starts_with("Copied 1 events; "), "{output:?}");
        let told = String::from_utf8(output.stdout).unwrap();
        for id in [&hidden, &cut] {
            assert!(told.contains(&format!("Key {id} is closed and is not copied: ")), "{told}");
        }
    }
    let moved = Setup::new().set("KEYLEDGER_JOURNAL_URL", &to).start().ready().await;
    let keys = moved.user("ann").keys().await;
    assert_eq!(keys.len(), 1, "{keys:?}");
    assert_eq!(keys[0]["key_id"], good);
}

#[keyledger_bounded::test]
async fn a_journal_moves_from_database_to_database_as_it_is() {
    let service = busy(Setup::new()).await;
    let first = service.stores().journal;
    let original = without_positions(service.events().await);
    assert_eq!(original.len(), 60);
    let keys = service.user("ann").keys().await;
    let kurrent = Server::start();
    let end = TempDir::new().unwrap();
    let places = [
        first,
        Postgres::shared().database().await,
        kurrent.url(),
        Postgres::shared().database().await,
        format!("sqlite://{}/journal.db", end.path().display()),
    ];
    let mut told = Vec::new();
    for pair in places.windows(2) {
        told.push(copied(&run(&mut copy(&pair[0], &pair[1]))));
        let events = events_of(&pair[1]).await;
        assert_eq!(without_positions(events), original, "{}", pair[1]);
        // A second copy changes nothing.
        told.push(copied(&run(&mut copy(&pair[0], &pair[1]))));
    }
    assert!(told.iter().all(|line| *line == told[0] && line.starts_with("Copied 60 events")));
    let moved = Setup::new().set("KEYLEDGER_JOURNAL_URL", &places[4]).start().ready().await;
    assert_eq!(moved.user("ann").keys().await, keys);
}

#[keyledger_bounded::test]
async fn a_copy_that_was_broken_off_is_finished() {
    let service = busy(Setup::new()).await;
    let source = service.stores().journal;
    let original = without_positions(service.events().await);
    let target = Server::start();
    for _ in 0..3 {
        let mut copying = Process::start(&mut copy(&source, &target.url()));
        until("five events in the copy, or its end", async || match target.key_events() {
            0..5 if copying.is_running() => Err(copying.output()),
            _ => Ok(()),
        })
        .await;
        copying.kill();
    }
    copied(&run(&mut copy(&source, &target.url())));
    assert_eq!(without_positions(events_of(&target.url()).await), original);
}

#[keyledger_bounded::test]
async fn a_copy_whose_server_was_gone_for_a_moment_is_finished_by_the_same_command() {
    let service = busy(Setup::new()).await;
    let source = service.stores().journal;
    let original = without_positions(service.events().await);
    let server = Postgres::shared();
    let target = server.database().await;
    let proxy = Proxy::start(server.port());
    let through = target.replace(&server.port().to_string(), &proxy.port().to_string());
    // The tables are made first. Then each connection ends within one of the first groups of events.
    keyledger_journal::open(&target).await.unwrap();
    proxy.set(Network::Truncates(20_000));
    let output = run(&mut copy(&source, &through));
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("the copy is not complete; run the command again to continue"), "{told}");
    proxy.set(Network::Works);
    assert!(copied(&run(&mut copy(&source, &through))).starts_with("Copied 60 events"));
    assert_eq!(without_positions(events_of(&target).await), original);
}

#[keyledger_bounded::test]
async fn a_journal_with_other_events_is_left_alone() {
    let (one, other) = (busy(Setup::new()).await, Service::start().ready().await);
    other.user("bob").create("of another journal").await;
    let (source, target) = (one.stores().journal, other.stores().journal);
    let _folder = other.stop_well();
    let output = run(&mut copy(&source, &target));
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("event 1 of the target is not event 1 of the source: the target has "));
    assert!(
        told.contains("; copy into an empty journal") && !told.contains("run the command again")
    );
    let output = run(&mut copy(&source, &source));
    assert!(String::from_utf8(output.stderr).unwrap().contains("are the same journal"));
}

#[keyledger_bounded::test]
async fn the_relay_goes_on_after_a_move() {
    let nats = Nats::start(Version::Current);
    let service = busy(with(&nats)).await;
    messages(&nats, 60).await;
    let source = service.stores().journal;
    let kurrent = Server::start();
    copied(&run(&mut copy(&source, &kurrent.url())));
    drop(service);
    let moved = with(&nats).set("KEYLEDGER_JOURNAL_URL", &kurrent.url()).start().ready().await;
    moved.user("ann").create("after the move").await;
    let messages = messages(&nats, 61).await;
    assert_eq!(messages[60].body["data"]["name"], "after the move");
    let ids: std::collections::HashSet<_> =
        messages.iter().map(|message| message.header("Nats-Msg-Id")).collect();
    assert_eq!(ids.len(), 61, "nothing is published twice");
}
