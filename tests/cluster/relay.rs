//! Events on NATS: the stream holds every event once and in order, also after failures.

use async_nats::jetstream::stream::Config;
use keyledger_test_servers::certificate::Certificate;
use keyledger_test_servers::nats::{Nats, Version};
use serde_json::Value;

use crate::support::nats::{assert_once_in_order, connect, count, forge, messages, purge, with};
use crate::support::{Setup, assert_status, keyledger, run};

const VERSIONS: [Version; 2] = [Version::Old, Version::Current];

#[keyledger_bounded::test]
async fn every_event_is_published_once_in_order_as_a_cloud_event() {
    for version in VERSIONS {
        let nats = Nats::start(version);
        let service = with(&nats).set("KEYLEDGER_EVENT_SOURCE", "https://keys.example.com").start();
        let ann = service.user("ann");
        let body = serde_json::json!({"name": "ci", "expires_in_seconds": 3600});
        let created = ann.post("/keys", &body).await.json();
        let id = created["key_id"].as_str().unwrap();
        let secret = created["api_key"].as_str().unwrap();
        let why = Some(br#"{"reason":"leaked"}"#.to_vec());
        let json = ann.with("content-type", "application/json");
        json.send("DELETE", &format!("/keys/{id}"), why).await;
        ann.delete(&format!("/keys/{id}/permanent")).await;
        let messages = messages(&nats, 3).await;
        let subjects: Vec<_> = messages.iter().map(|message| message.subject.as_str()).collect();
        let kinds = ["created", "revoked", "deleted"];
        assert_eq!(subjects, kinds.map(|kind| format!("keys.v1.{kind}.{id}")));
        for (message, kind) in messages.iter().zip(kinds) {
            let body = &message.body;
            assert_eq!(message.header("Content-Type"), "application/cloudevents+json");
            assert_eq!(message.header("Nats-Msg-Id"), body["id"].as_str().unwrap());
            assert_eq!(body["specversion"], "1.0");
            assert_eq!(body["source"], "https://keys.example.com");
            assert_eq!(body["type"], format!("io.keyledger.key.{kind}"));
            assert_eq!(body["subject"], id);
            assert!(crate::support::is_time(&body["time"]), "{body}");
            let sequence = format!("{:020}", message.position());
            assert_eq!(body["sequence"], sequence);
            assert_eq!(body["data"]["user_id"], "ann");
            assert_eq!(body["data"]["actor"], "ann");
        }
        assert_eq!(messages[0].body["data"]["name"], "ci");
        assert_eq!(messages[0].body["data"]["user_email"], "ann@example.com");
        assert!(crate::support::is_time(&messages[0].body["data"]["expires_at"]));
        assert_eq!(messages[1].body["data"]["reason"], "leaked");
        for message in &messages {
            let text = message.body.to_string();
            assert!(!text.contains(secret) && !text.contains("hash"), "{text}");
        }
    }
}

#[keyledger_bounded::test]
async fn what_was_published_is_not_published_again_after_a_restart() {
    for version in VERSIONS {
        let nats = Nats::start(version);
        let mut service = with(&nats).start();
        let mut written = 0;
        for _ in 0..3 {
            for _ in 0..20 {
                service.user("ann").create("k").await;
                written += 1;
            }
            let folder = service.kill();
            service = Setup::in_folder(folder).set("KEYLEDGER_NATS_URL", &nats.url()).start();
            assert_once_in_order(&messages(&nats, written).await);
        }
        service.user("ann").create("last").await;
        assert_once_in_order(&messages(&nats, written + 1).await);
        assert_eq!(count(&nats, "KEYS").await, written + 1);
    }
}

#[keyledger_bounded::test]
async fn an_outage_of_nats_blocks_nothing_and_loses_nothing() {
    for version in VERSIONS {
        let nats = Nats::start(version);
        let service = with(&nats).start().ready().await;
        let ann = service.user("ann");
        let mut written = 0;
        for _ in 0..3 {
            for _ in 0..30 {
                ann.create("k").await;
                written += 1;
            }
            nats.kill();
            service.part_is("relay", "failing").await;
            for _ in 0..30 {
                ann.create("k").await;
                written += 1;
            }
            assert_status!(service.stranger().get("/readyz").await, 200, "requests go on");
            nats.start_again();
            service.part_is("relay", "ready").await;
            assert_once_in_order(&messages(&nats, written).await);
        }
        assert_eq!(count(&nats, "KEYS").await, written);
    }
}

#[keyledger_bounded::test]
async fn nats_over_tls_works_beside_the_client_of_kurrentdb() {
    let certificate = Certificate::make();
    let nats = Nats::start_with_tls(certificate.path(), certificate.key());
    let kurrent = keyledger_test_servers::kurrentdb::Server::start();
    for journal in [kurrent.url(), "sqlite://data/journal.db".to_owned()] {
        let service = Setup::new()
            .set("KEYLEDGER_JOURNAL_URL", &journal)
            .set("KEYLEDGER_NATS_URL", &nats.url().replace("nats://", "tls://"))
            .set("KEYLEDGER_NATS_STREAM", if journal == kurrent.url() { "ONE" } else { "TWO" })
            .set("SSL_CERT_FILE", certificate.path().to_str().unwrap())
            .start();
        if journal == kurrent.url() {
            service.user("ann").create("over TLS").await;
            service.part_is("relay", "ready").await;
            service.part_is("journal", "ready").await;
        } else {
            // Both streams want the same subjects, so the server refuses the second one: the refusal
            // shows that the connection works.
            service.printed("subjects overlap with an existing stream").await;
        }
    }
}

#[keyledger_bounded::test]
async fn nats_may_come_later() {
    let nats = Nats::start(Version::Current);
    nats.kill();
    let service = with(&nats).start().ready().await;
    service.user("ann").create("early").await;
    nats.start_again();
    assert_eq!(messages(&nats, 1).await[0].body["data"]["name"], "early");
}

#[keyledger_bounded::test]
async fn a_stream_that_is_not_as_it_must_be_is_refused_with_the_difference() {
    for version in VERSIONS {
        let nats = Nats::start(version);
        let config = Config {
            name: "KEYS".to_owned(),
            subjects: vec!["keys.v1.*.*".to_owned()],
            max_messages: 100,
            ..Config::default()
        };
        connect(&nats).await.create_stream(config).await.unwrap();
        let output = with(&nats).run();
        assert_eq!(output.status.code(), Some(1));
        let told = String::from_utf8(output.stderr).unwrap();
        for difference in [
            r#"subjects is ["keys.v1.*.*"], not ["keys.v1.>"]"#,
            "max_messages is 100, not -1",
            "deny_delete is false, not true",
        ] {
            assert!(told.contains(difference), "{told}");
        }
    }
}

#[keyledger_bounded::test]
async fn a_stream_that_was_emptied_goes_on_where_it_was() {
    for version in VERSIONS {
        let nats = Nats::start(version);
        let service = with(&nats).start().ready().await;
        for _ in 0..5 {
            service.user("ann").create("old").await;
        }
        messages(&nats, 5).await;
        purge(&nats, "KEYS").await;
        let folder = service.stop_well();
        let service = Setup::in_folder(folder).set("KEYLEDGER_NATS_URL", &nats.url()).start();
        service.user("ann").create("new").await;
        assert_eq!(messages(&nats, 1).await[0].body["data"]["name"], "new");
        assert_eq!(count(&nats, "KEYS").await, 1);
    }
}

#[keyledger_bounded::test]
async fn a_message_of_someone_else_stops_the_relay_with_an_alarm() {
    let nats = Nats::start(Version::Current);
    let service = with(&nats).start().ready().await;
    service.user("ann").create("k").await;
    messages(&nats, 1).await;
    forge(&nats, "keys.v1.created.forged", "{}".to_owned()).await;
    service.user("ann").create("k").await;
    service.part_is("relay", "stopped").await;
    let output = service.printed("relay stopped").await;
    assert!(
        output.contains("the stream's last message was not published by keyledger"),
        "{output}"
    );
    service.stranger().get("/readyz").await.expect_status(200);
}

#[keyledger_bounded::test]
async fn the_tail_prints_what_is_published() {
    let nats = Nats::start(Version::Current);
    let service = with(&nats).start();
    for name in ["one", "two"] {
        service.user("ann").create(name).await;
    }
    messages(&nats, 2).await;
    let folder = service.folder();
    let tail = |arguments: &[&str]| {
        let mut command = keyledger(folder.path());
        command.arg("tail").args(arguments).env("KEYLEDGER_NATS_URL", nats.url());
        run(&mut command)
    };
    let output = tail(&["--no-follow"]);
    assert!(output.status.success(), "{output:?}");
    let lines = String::from_utf8(output.stdout).unwrap();
    let names: Vec<_> = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["data"]["name"].clone())
        .collect();
    assert_eq!(names, ["one", "two"]);
    let output = tail(&["--no-follow", "--nats-url", "nats://127.0.0.1:1"]);
    assert_eq!(output.status.code(), Some(1));
    let output = tail(&["--nats-url", ""]);
    assert!(String::from_utf8(output.stderr).unwrap().contains("KEYLEDGER_NATS_URL"));
}

#[keyledger_bounded::test]
async fn the_login_in_the_url_is_used_and_never_logged() {
    for version in VERSIONS {
        let (user, password, token) = ("key ledger", "p@ss/w:rd%", "t0k3n-of-tests");
        for (nats, login) in [
            (Nats::start_with_user(version, user, password), "key%20ledger:p%40ss%2Fw%3Ard%25"),
            (Nats::start_with_token(version, token), token),
        ] {
            let address = format!("127.0.0.1:{}", nats.port());
            let url = format!("nats://{login}@{address}");
            let service = Setup::new()
                .set("KEYLEDGER_NATS_URL", &url)
                .set("KEYLEDGER_LOG", "debug,async_nats=trace")
                .start()
                .ready()
                .await;
            service.user("ann").create("k").await;
            service.metric_is("keyledger_relay_position", 1).await;
            let folder = service.folder();
            let tail = |url: &str| {
                let mut command = keyledger(folder.path());
                command.args(["tail", "--no-follow"]).env("KEYLEDGER_NATS_URL", url);
                run(command.env("KEYLEDGER_LOG", "debug,async_nats=trace"))
            };
            let tailed = tail(&url);
            assert!(tailed.status.success(), "{tailed:?}");
            assert!(String::from_utf8_lossy(&tailed.stdout).contains("io.keyledger.key.created"));
            let refused = tail(&format!("nats://ann:wrong-password@{address}"));
            assert_eq!(refused.status.code(), Some(1));
            let (_, mut told) = service.stop();
            for output in [tailed, refused] {
                told += &String::from_utf8_lossy(&output.stdout);
                told += &String::from_utf8_lossy(&output.stderr);
            }
            for secret in [password, token, "p%40ss", "wrong-password"] {
                assert!(!told.contains(secret), "{told}");
            }
        }
    }
}
