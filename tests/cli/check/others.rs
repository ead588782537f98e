//! NATS, and the key set of the identity provider.

use std::net::TcpListener;

use async_nats::jetstream::stream::Config;
use keyledger_test_servers::nats::{Nats, Version};
use tempfile::TempDir;

use super::{Checked, check};
use crate::support::nats::connect;

#[track_caller]
fn nats(url: &str) -> Checked {
    let folder = TempDir::new().unwrap();
    check(folder.path(), &[("KEYLEDGER_NATS_URL", url)])
}

#[keyledger_bounded::test]
async fn a_nats_server_is_told_with_its_streams_and_none_is_made() {
    for version in [Version::Old, Version::Current] {
        let server = Nats::start(version);
        let part = nats(&server.url()).works().part("NATS");
        assert!(part["version"].as_str().unwrap().starts_with("2."), "{part}");
        assert_eq!(part["place"], server.url());
        assert_eq!(part["encrypted"], false);
        assert!(
            part["notes"][0].as_str().unwrap().starts_with("there is no stream KEYS"),
            "{part}"
        );
        assert!(connect(&server).await.get_stream("KEYS").await.is_err(), "none is made");
        let config = Config {
            name: "KEYS".to_owned(),
            subjects: vec!["keys.v1.>".to_owned()],
            max_messages: 100,
            ..Config::default()
        };
        connect(&server).await.create_stream(config).await.unwrap();
        let told = nats(&server.url()).problem("NATS");
        assert!(told.contains("the stream KEYS has a configuration"), "{told}");
        assert!(told.contains("max_messages is 100, not -1"), "{told}");
        server.kill();
        let told = nats(&server.url()).problem("NATS");
        assert!(told.contains("Connection refused"), "{told}");
    }
}

#[keyledger_bounded::test]
fn a_nats_server_that_refuses_the_login_is_told() {
    let server = Nats::start_with_user(Version::Current, "ann", "right");
    let with = |login: &str| server.url().replace("nats://", &format!("nats://{login}@"));
    nats(&with("ann:right")).works();
    for url in [with("ann:wr0ng"), server.url()] {
        let checked = nats(&url);
        let told = checked.problem("NATS");
        assert!(told.starts_with("the server refuses the user"), "{told}");
        assert!(!checked.stdout.contains("wr0ng") && !checked.stderr.contains("wr0ng"));
    }
}

#[keyledger_bounded::test]
fn a_nats_server_that_never_answers_is_waited_for_only_so_long() {
    // The system takes the connections.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let told = nats(&format!("nats://{}", silent.local_addr().unwrap())).problem("NATS");
    assert!(told.contains("NATS does not answer") || told.contains("10 s"), "{told}");
}

#[keyledger_bounded::test]
fn a_process_that_publishes_nothing_needs_no_nats() {
    let folder = TempDir::new().unwrap();
    let settings =
        [("KEYLEDGER_NATS_URL", "nats://127.0.0.1:1"), ("KEYLEDGER_ROLES", "api,verify")];
    check(folder.path(), &settings).works();
}

/// Serves this answer to every request on a port of its own; tells the URL.
async fn provider(status: u16, body: &'static str) -> String {
    let status = axum::http::StatusCode::from_u16(status).unwrap();
    let router = axum::Router::new().fallback(async move || (status, body));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/keys?token=hidden", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

async fn key_set(url: String) -> Checked {
    let checking = move || {
        let folder = TempDir::new().unwrap();
        check(folder.path(), &[("KEYLEDGER_JWT_JWKS_URL", &url)])
    };
    tokio::task::spawn_blocking(checking).await.unwrap()
}

#[keyledger_bounded::test]
async fn a_key_set_is_fetched_and_told_without_its_query() {
    let set = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","use":"sig",
                  "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    let checked = key_set(provider(200, set).await).await;
    let part = checked.works().part("sign-in");
    assert_eq!(part["kind"], "key set");
    assert!(part["place"].as_str().unwrap().ends_with("/keys"), "{part}");
    assert!(!checked.stdout.contains("hidden") && !checked.stderr.contains("hidden"));
    for (status, body, sentence) in [
        (404, "", "404"),
        (200, "<html>", "the answer is not a key set"),
        (200, r#"{"keys":[]}"#, "the key set has no signing key"),
    ] {
        let checked = key_set(provider(status, body).await).await;
        let told = checked.problem("sign-in");
        assert!(told.contains(sentence), "{told}");
        assert!(!checked.stdout.contains("hidden") && !checked.stderr.contains("hidden"));
    }
    let told = key_set("http://127.0.0.1:1/keys".to_owned()).await.problem("sign-in");
    assert!(told.contains("cannot be fetched"), "{told}");
}
