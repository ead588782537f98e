//! Checkpoints on NATS: each once and in order, and signing never waits for NATS.

use async_nats::jetstream::stream::Config;
use keyledger_test_servers::nats::{Nats, Version};

use super::tampering::{ALTER_SQLITE, tamper};
use crate::support::log::{Log, NAME, checkpoints_in, signed, size_of, work};
use crate::support::nats::{self, Messages, connect, forge, purge};
use crate::support::{Setup, assert_status};

const VERSIONS: [Version; 2] = [Version::Old, Version::Current];
const STREAM: &str = "KEYS_CHECKPOINTS";

fn with(log: &Log, nats: &Nats) -> Setup {
    log.setup().set("KEYLEDGER_NATS_URL", &nats.url())
}

/// The notes that were published, once one of this size is among them.
pub(super) async fn published(nats: &Nats, size: u64) -> Vec<String> {
    let (mut notes, mut messages) = (Vec::<String>::new(), Messages::of(nats, STREAM).await);
    while notes.last().is_none_or(|note| size_of(note) < size) {
        let message = messages.next().await;
        let headers = message.headers.clone().unwrap();
        let note = String::from_utf8(message.payload.to_vec()).unwrap();
        let told = size_of(&note).to_string();
        assert_eq!(message.subject.as_str(), "keys.checkpoints.v1.signed");
        assert_eq!(headers.get("Keyledger-Tree-Size").unwrap().as_str(), told);
        assert_eq!(headers.get("Nats-Msg-Id").unwrap().as_str(), format!("{NAME}/{told}"));
        assert_eq!(headers.get("Content-Type").unwrap().as_str(), "text/plain; charset=utf-8");
        notes.push(note);
    }
    notes
}

#[keyledger_bounded::test]
async fn each_checkpoint_is_published_once_and_in_order() {
    for version in VERSIONS {
        let (log, nats) = (Log::on_sqlite(), Nats::start(version));
        let service = with(&log, &nats).start().ready().await;
        work(&service, 5).await;
        signed(&service, 6).await;
        service.part_is("checkpoints", "ready").await;
        published(&nats, 6).await;
        service.user("ann").create("last").await;
        service.stop_well();
        // The last one was signed, and published, when the service stopped.
        assert_eq!(published(&nats, 7).await, log.checkpoints());
        let folder = with(&log, &nats).start().ready().await.kill();
        let service = with(&log, &nats).start().ready().await;
        service.user("ann").create("one more").await;
        assert_eq!(published(&nats, 8).await, checkpoints_in(folder.path()));
        drop(service);
        assert_eq!(nats::count(&nats, STREAM).await, log.checkpoints().len());
    }
}

#[keyledger_bounded::test]
async fn an_outage_of_nats_keeps_no_checkpoint_from_being_signed() {
    for version in VERSIONS {
        let (log, nats) = (Log::on_sqlite(), Nats::start(version));
        nats.kill();
        let service = with(&log, &nats).start().ready().await;
        for size in [1, 3, 5] {
            service.part_is("checkpoints", "failing").await;
            service.user("ann").create("while it is away").await;
            signed(&service, size).await;
            assert_status!(service.stranger().get("/readyz").await, 200, "requests go on");
            nats.start_again();
            service.part_is("checkpoints", "ready").await;
            service.user("ann").create("while it is there").await;
            assert_eq!(published(&nats, size + 1).await, log.checkpoints());
            nats.kill();
        }
        service.part_is("checkpoints", "failing").await;
        service.user("ann").create("and away at the end").await;
        service.stop_well();
        nats.start_again();
        let service = with(&log, &nats).start().ready().await;
        assert_eq!(published(&nats, 7).await, log.checkpoints());
        drop(service);
    }
}

#[keyledger_bounded::test]
async fn a_stream_that_was_emptied_gets_what_is_signed_from_then_on() {
    for version in VERSIONS {
        let (log, nats) = (Log::on_sqlite(), Nats::start(version));
        let service = with(&log, &nats).start().ready().await;
        for size in 1..=2 {
            service.user("ann").create("k").await;
            published(&nats, size).await;
        }
        purge(&nats, STREAM).await;
        service.user("ann").create("k").await;
        assert_eq!(published(&nats, 3).await, log.checkpoints()[2..]);
        purge(&nats, STREAM).await;
        service.stop_well();
        // The server remembers the ids of what it had, and does not store the same ones again.
        let service = with(&log, &nats).start().ready().await;
        service.user("ann").create("k").await;
        assert_eq!(published(&nats, 4).await, log.checkpoints()[3..]);
        drop(service);
    }
}

#[keyledger_bounded::test]
async fn a_message_of_someone_else_stops_the_publishing_and_not_the_signing() {
    let (log, nats) = (Log::on_sqlite(), Nats::start(Version::Current));
    let service = with(&log, &nats).start().ready().await;
    service.user("ann").create("k").await;
    let notes = published(&nats, 1).await;
    // A checkpoint whose signature is wrong; nothing could be published after it.
    let forged = notes[0].replace("\n1\n", "\n1000\n");
    forge(&nats, "keys.checkpoints.v1.signed", forged).await;
    service.user("ann").create("k").await;
    service.part_is("checkpoints", "stopped").await;
    let output = service.printed("checkpoints stopped").await;
    assert!(
        output.contains("the stream's last message was not published by keyledger"),
        "{output}"
    );
    service.user("ann").create("k").await;
    signed(&service, 3).await;
    service.part_is("tree", "ready").await;
    service.stranger().get("/readyz").await.expect_status(200);
}

#[keyledger_bounded::test]
async fn nothing_is_published_behind_a_checkpoint_that_it_does_not_continue() {
    let (mut log, nats) = (Log::on_sqlite(), Nats::start(Version::Current));
    let service = with(&log, &nats).start().ready().await;
    work(&service, 10).await;
    service.stop_well();
    let notes = published(&nats, 11).await;
    tamper(&log.journal, ALTER_SQLITE).await;
    log.forget_the_tree();
    let service = with(&log, &nats).start().ready().await;
    service.user("ann").create("one more").await;
    service.part_is("checkpoints", "stopped").await;
    let output = service.printed("checkpoints stopped").await;
    assert!(output.contains("does not continue the checkpoint of 11 events"), "{output}");
    assert_eq!(nats::count(&nats, STREAM).await, notes.len());
}

#[keyledger_bounded::test]
async fn a_stream_of_checkpoints_that_is_not_as_it_must_be_is_refused() {
    let (log, nats) = (Log::on_sqlite(), Nats::start(Version::Current));
    let config = Config {
        name: STREAM.to_owned(),
        subjects: vec!["keys.checkpoints.v1.*".to_owned()],
        max_messages: 100,
        ..Config::default()
    };
    connect(&nats).await.create_stream(config).await.unwrap();
    let output = with(&log, &nats).run();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        told.contains("the stream KEYS_CHECKPOINTS has a configuration that keyledger cannot use"),
        "{told}"
    );
    assert!(told.contains("max_messages is 100, not -1"), "{told}");
}
