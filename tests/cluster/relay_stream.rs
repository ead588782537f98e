//! A stream of events that does not agree with the journal: nothing is skipped silently, and an operator
//! decides.

use std::path::Path;
use std::process::Output;
use std::time::Duration;

use async_nats::jetstream::stream::{Config, PersistenceMode, StorageType, SubjectTransform};
use keyledger_test_servers::nats::{Nats, Version};

use crate::support::nats::{
    Message, assert_chained, assert_once_in_order, connect, count, delete_stream, messages,
    messages_of, purge, purge_subject, stream_named, with,
};
use crate::support::wait::{BusyClock, until, within};
use crate::support::{Process, Service, Setup, keyledger, run};

const VERSIONS: [Version; 2] = [Version::Old, Version::Current];

fn names(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|message| message.body["data"]["name"].as_str().unwrap()).collect()
}

async fn create(service: &Service, names: &[&str]) {
    for name in names {
        service.user("ann").create(name).await;
    }
}

/// The same service again.
fn again(folder: std::sync::Arc<tempfile::TempDir>, nats: &Nats) -> Service {
    Setup::in_folder(folder).set("KEYLEDGER_NATS_URL", &nats.url()).start()
}

/// Runs `keyledger relay` in a service's folder.
fn decide(folder: &Path, nats: &Nats, decision: &str) -> Output {
    let mut command = keyledger(folder);
    command.args(["relay", decision]).env("KEYLEDGER_NATS_URL", nats.url());
    run(&mut command)
}

/// Waits until the relay has stopped for this reason.
async fn stopped_with(service: &Service, reason: &str) {
    service.part_is("relay", "stopped").await;
    let output = service.printed("relay stopped").await;
    assert!(output.contains(reason), "{output}");
    service.stranger().get("/readyz").await.expect_status(200);
}

#[keyledger_bounded::test]
async fn each_message_names_the_one_before_it_also_after_restarts() {
    for version in VERSIONS {
        let nats = Nats::start(version);
        let mut service = with(&nats).start();
        for round in 0..3 {
            create(&service, &["a", "b", "c"]).await;
            let messages = messages(&nats, 3 * (round + 1)).await;
            assert_chained(&messages);
            service = again(service.kill(), &nats);
        }
        let before = messages(&nats, 9).await.pop().unwrap();
        service.metric_is("keyledger_relay_missing", 0).await;
        purge(&nats, "KEYS").await;
        let service = again(service.stop_well(), &nats);
        create(&service, &["d"]).await;
        let after = messages(&nats, 1).await.pop().unwrap();
        assert_eq!(after.body["previousposition"], before.body["sequence"]);
    }
}

#[keyledger_bounded::test]
async fn a_last_message_that_was_removed_is_published_again() {
    for version in VERSIONS {
        let nats = Nats::start(version);
        let service = with(&nats).start();
        create(&service, &["a", "b", "c"]).await;
        let last = messages(&nats, 3).await.pop().unwrap();
        service.metric_is("keyledger_relay_position", 3).await;
        let folder = service.stop_well();
        purge_subject(&nats, "KEYS", &last.subject).await;
        let mut tail = keyledger(folder.path());
        tail.args(["tail", "--no-follow"]).env("KEYLEDGER_NATS_URL", nats.url());
        let lines = String::from_utf8(run(&mut tail).stdout).unwrap();
        assert_eq!(lines.lines().count(), 2, "{lines}");
        let service = again(folder, &nats);
        create(&service, &["d"]).await;
        let published = messages(&nats, 4).await;
        assert_eq!(names(&published), ["a", "b", "c", "d"]);
        assert_once_in_order(&published);
        assert_chained(&published);
        service.part_is("relay", "ready").await;
        service.metric_is("keyledger_relay_missing", 0).await;
        // The last message is that of an event that was published again.
        let folder = service.stop_well();
        purge_subject(&nats, "KEYS", &published[3].subject).await;
        let service = again(folder, &nats);
        service.metric_is("keyledger_relay_position", 4).await;
        let service = again(service.kill(), &nats);
        create(&service, &["e"]).await;
        let published = messages(&nats, 5).await;
        assert_eq!(names(&published), ["a", "b", "c", "d", "e"]);
        assert_chained(&published);
        assert_eq!(count(&nats, "KEYS").await, 5);
    }
}

#[keyledger_bounded::test]
async fn messages_that_are_missing_at_the_front_are_no_hole() {
    for version in VERSIONS {
        let nats = Nats::start(version);
        let service = with(&nats).start();
        create(&service, &["a", "b", "c", "d"]).await;
        messages(&nats, 4).await;
        let stream = stream_named(&nats, "KEYS").await;
        let purging = async { stream.purge().sequence(3).await };
        within("the first messages to be removed", purging).await.unwrap();
        let service = again(service.stop_well(), &nats);
        service.metric_is("keyledger_relay_missing", 0).await;
        create(&service, &["e"]).await;
        assert_eq!(names(&messages(&nats, 3).await), ["c", "d", "e"]);
        service.part_is("relay", "ready").await;
    }
}

#[keyledger_bounded::test]
async fn a_hole_in_the_stream_stops_the_relay_until_an_operator_accepts_it() {
    for version in VERSIONS {
        let nats = Nats::start(version);
        let service = with(&nats).start();
        create(&service, &["a", "b", "c", "d"]).await;
        let lost = messages(&nats, 4).await;
        service.metric_is("keyledger_relay_missing", 0).await;
        for message in &lost[1..3] {
            purge_subject(&nats, "KEYS", &message.subject).await;
        }
        stopped_with(&service, "has lost 2 of the journal's events, from position 2 to 3").await;
        service.metric_is("keyledger_relay_missing", 2).await;
        create(&service, &["e"]).await;
        let folder = service.stop_well();
        let adopted = decide(folder.path(), &nats, "adopt");
        assert!(adopted.status.success(), "{adopted:?}");
        let service = again(folder, &nats);
        let messages = messages(&nats, 4).await;
        assert_eq!(messages[2].body["type"], "io.keyledger.stream.adopted");
        assert_eq!(messages[3].body["data"]["name"], "e");
        for pair in messages[1..].windows(2) {
            assert_eq!(pair[1].body["previousid"], pair[0].body["id"]);
        }
        service.metric_is("keyledger_relay_missing", 0).await;
        service.part_is("relay", "ready").await;
    }
}

#[keyledger_bounded::test]
async fn a_stream_with_a_hole_can_be_replaced_by_a_new_one() {
    for version in VERSIONS {
        let nats = Nats::start(version);
        let service = with(&nats).start();
        create(&service, &["a", "b", "c"]).await;
        let lost = messages(&nats, 3).await.swap_remove(1);
        purge_subject(&nats, "KEYS", &lost.subject).await;
        let service = again(service.stop_well(), &nats);
        stopped_with(&service, "run `keyledger relay retire`").await;
        let folder = service.stop_well();
        let retired = decide(folder.path(), &nats, "retire");
        assert!(retired.status.success(), "{retired:?}");
        let service = Setup::in_folder(folder)
            .set("KEYLEDGER_NATS_URL", &nats.url())
            .set("KEYLEDGER_NATS_STREAM", "KEYS_2")
            .start();
        create(&service, &["d"]).await;
        let messages = messages_of(&nats, "KEYS_2", 4).await;
        assert_eq!(names(&messages), ["a", "b", "c", "d"]);
        assert_chained(&messages);
        assert_eq!(count(&nats, "KEYS").await, 2);
    }
}

#[keyledger_bounded::test]
async fn a_stream_that_is_gone_is_noticed_and_not_created_silently() {
    for version in VERSIONS {
        for events_flow in [false, true] {
            let nats = Nats::start(version);
            let service = with(&nats).start();
            create(&service, &["a", "b"]).await;
            messages(&nats, 2).await;
            service.metric_is("keyledger_relay_position", 2).await;
            let clock = BusyClock::start();
            delete_stream(&nats, "KEYS").await;
            if events_flow {
                create(&service, &["c"]).await;
            }
            service.part_is("relay", "failing").await;
            assert!(clock.elapsed() < Duration::from_secs(10), "{:?}", clock.elapsed());
            let tries = |output: &str| output.matches("relay interrupted, trying again").count();
            let output = until("several attempts", async || match service.output() {
                output if tries(&output) < 4 => Err(output),
                output => Ok(output),
            })
            .await;
            let errors: Vec<_> =
                output.lines().filter(|line| line.contains(r#""level":"ERROR""#)).collect();
            assert_eq!(errors.len(), 1, "{errors:?}");
            assert!(errors[0].contains("the stream KEYS does not exist any more"), "{errors:?}");
            // It is not created at the next start either.
            let service = again(service.kill(), &nats);
            service.part_is("relay", "failing").await;
            assert!(connect(&nats).await.get_stream("KEYS").await.is_err());
            let adopted = decide(service.folder().path(), &nats, "adopt");
            assert!(adopted.status.success(), "{adopted:?}");
            service.part_is("relay", "ready").await;
            create(&service, &["d"]).await;
            let expected = if events_flow { vec!["a", "b", "c", "d"] } else { vec!["a", "b", "d"] };
            let messages = messages(&nats, 1 + expected.len()).await;
            assert_eq!(names(&messages[1..]), expected);
        }
    }
}

#[keyledger_bounded::test]
async fn a_stream_that_changes_subjects_or_acknowledges_early_is_refused() {
    let config = Config {
        name: "KEYS".to_owned(),
        subjects: vec!["keys.v1.>".to_owned()],
        storage: StorageType::File,
        deny_delete: true,
        ..Config::default()
    };
    let transform = SubjectTransform {
        source: "keys.v1.created.*".to_owned(),
        destination: "keys.v1.deleted.{{wildcard(1)}}".to_owned(),
    };
    for (config, difference) in [
        (Config { subject_transform: Some(transform), ..config.clone() }, "subject_transform is"),
        (
            Config { persist_mode: Some(PersistenceMode::Async), ..config },
            "persist_mode is async, not default",
        ),
    ] {
        let nats = Nats::start(Version::Current);
        connect(&nats).await.create_stream(config).await.unwrap();
        let output = with(&nats).run();
        assert_eq!(output.status.code(), Some(1));
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(told.contains(difference), "{told}");
    }
}

#[keyledger_bounded::test]
async fn of_two_installations_on_one_stream_only_one_publishes() {
    for version in VERSIONS {
        let nats = Nats::start(version);
        let (one, other) = (with(&nats).start(), with(&nats).start());
        for round in 0..5 {
            create(&one, &[&format!("one {round}")]).await;
            create(&other, &[&format!("other {round}")]).await;
        }
        let (first, second) = until("one of the two to stop", async || {
            for (first, second) in [(&one, &other), (&other, &one)] {
                let answer = first.stranger().get("/readyz").await.json();
                if answer["parts"]["relay"] == "stopped" {
                    return Ok((second, first));
                }
            }
            Err("both go on")
        })
        .await;
        stopped_with(second, "which the journal does not have").await;
        stopped_with(second, "`keyledger relay adopt` accepts the stream as it is").await;
        let messages = messages(&nats, 5).await;
        assert_once_in_order(&messages);
        first.part_is("relay", "ready").await;
        first.metric_is("keyledger_relay_missing", 0).await;
        assert_eq!(count(&nats, "KEYS").await, 5);
    }
}

#[keyledger_bounded::test]
async fn a_journal_restored_from_a_backup_publishes_nothing_until_an_operator_has_decided() {
    for version in VERSIONS {
        let nats = Nats::start(version);
        let service = with(&nats).start();
        create(&service, &["a", "b"]).await;
        messages(&nats, 2).await;
        let folder = service.stop_well();
        let backup = folder.path().join("backup");
        let data = folder.path().join("data");
        run(std::process::Command::new("cp").arg("-r").arg(&data).arg(&backup));
        let service = again(folder, &nats);
        create(&service, &["lost 1", "lost 2", "lost 3"]).await;
        messages(&nats, 5).await;
        let folder = service.stop_well();
        std::fs::remove_dir_all(&data).unwrap();
        std::fs::rename(&backup, &data).unwrap();
        let service = again(folder, &nats);
        stopped_with(&service, "message 5 of the stream KEYS has event").await;
        stopped_with(&service, "at position 5, which the journal does not have").await;
        create(&service, &["c", "d", "e", "f", "g"]).await;
        let service = again(service.stop_well(), &nats);
        stopped_with(&service, "which the journal does not have").await;
        let folder = service.stop_well();
        let adopted = decide(folder.path(), &nats, "adopt");
        assert!(adopted.status.success(), "{adopted:?}");
        let told = String::from_utf8(adopted.stdout).unwrap();
        assert!(told.contains("after position 2 are published next"), "{told}");
        let service = again(folder, &nats);
        create(&service, &["h"]).await;
        let messages = messages(&nats, 12).await;
        assert_eq!(names(&messages[6..]), ["c", "d", "e", "f", "g", "h"]);
        for pair in messages.windows(2) {
            assert_eq!(pair[1].body["previousid"], pair[0].body["id"]);
            assert_eq!(pair[1].body["previousposition"], pair[0].body["sequence"]);
        }
        service.metric_is("keyledger_relay_missing", 0).await;
        service.part_is("relay", "ready").await;
        assert_eq!(count(&nats, "KEYS").await, 12);
    }
}

#[keyledger_bounded::test]
async fn the_tail_survives_a_restart_of_the_server() {
    for version in VERSIONS {
        let nats = Nats::start(version);
        let service = with(&nats).start();
        create(&service, &["before"]).await;
        messages(&nats, 1).await;
        let folder = service.folder();
        let mut command = keyledger(folder.path());
        command.arg("tail").env("KEYLEDGER_NATS_URL", nats.url());
        let mut tail = Process::start(&mut command);
        let shows = |name: &'static str| {
            move |output: &str| output.contains(&format!(r#""name":"{name}""#)).then_some(())
        };
        tail.said("the first event", shows("before"));
        for name in ["during 1", "during 2"] {
            nats.kill();
            create(&service, &[name]).await;
            nats.start_again();
            tail.said("the event of the outage", shows(name));
        }
        let output = tail.output();
        assert_eq!(output.matches(r#""specversion""#).count(), 3, "{output}");
        tail.kill();
    }
}
