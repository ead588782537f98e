//! Starting and stopping the service, and the commands that `--dev` prints.

use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::wait::{until, within};
use crate::support::{Client, SECRET, Service, Setup, keyledger, run, token};

fn development() -> Setup {
    Setup::new().unset("KEYLEDGER_JWT_HS256_SECRET").argument("--dev")
}

fn shell(script: &str) -> Output {
    run(Command::new("sh").args(["-e", "-c", script]))
}

#[keyledger_bounded::test]
async fn what_development_prints_works_when_it_is_pasted() {
    let service = development().start().ready().await;
    let printed = service.printed("$INTERNAL/verify").await;
    let begins = ["export ", "curl ", "KEY_ID=", "API_KEY="];
    let lines = printed.lines().filter(|line| begins.iter().any(|begin| line.starts_with(begin)));
    let script: Vec<_> = lines
        .map(|line| if line.starts_with("curl") { format!("{line}; echo") } else { line.into() })
        .collect();
    let output = shell(&script.join("\n"));
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let answers: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [created, listed, revoked, history, deleted, verified] = answers.as_slice() else {
        panic!("{answers:?}");
    };
    assert_eq!(created["name"], "my first key");
    assert!(created["api_key"].as_str().unwrap().starts_with("orag_"));
    assert_eq!(listed["keys"][0]["key_id"], created["key_id"]);
    assert_eq!(revoked, &json!({"success": true}));
    assert_eq!(history["events"][1]["type"], "KeyRevoked");
    assert_eq!(deleted, &json!({"success": true}));
    assert_eq!((&verified["code"], &verified["name"]), (&json!("VALID"), &json!("my second key")));
}

#[keyledger_bounded::test]
async fn a_token_of_one_development_process_is_no_token_of_the_next() {
    let first = development().start();
    let printed = first.printed("export TOKEN=").await;
    let token = printed.lines().find_map(|line| line.strip_prefix("export TOKEN=")).unwrap();
    let token = token.to_owned();
    Client::new(&first.address, Some(token.clone())).get("/keys").await.expect_status(200);
    let second = development().start();
    Client::new(&second.address, Some(token)).get("/keys").await.expect_status(401);
}

#[keyledger_bounded::test]
async fn the_whole_flow_works_from_javascript() {
    let service = Service::start().ready().await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/http/ui_flow.mjs");
    // `make tools` installs Node.js.
    let base = format!("http://{}", service.address);
    let output = run(Command::new("node").args([script, &base, &token("ann", &[])]));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "ok\n");
}

#[keyledger_bounded::test]
async fn a_minted_token_signs_in() {
    let service = Service::start();
    let folder = TempDir::new().unwrap();
    let mint = |arguments: &[&str]| {
        let output = run(keyledger(folder.path())
            .arg("token")
            .args(arguments)
            .env("KEYLEDGER_JWT_HS256_SECRET", SECRET));
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let ann = Client::new(&service.address, Some(mint(&["--user=ann", "--expires-in=5m"])));
    let id = ann.create("ci").await;
    let eve = mint(&["--user=eve", "--role=keyledger:audit"]);
    let eve = Client::new(&service.address, Some(eve));
    eve.get(&format!("/keys/{id}/history")).await.expect_status(200);
}

#[keyledger_bounded::test]
async fn a_second_process_on_the_same_journal_is_refused() {
    let service = Service::start().ready().await;
    let folder = service.folder();
    let output = Setup::in_folder(folder).run();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    let sentence = "the journal data/journal.db is in use by another keyledger process";
    assert!(told.contains(sentence), "{told}");
    service.user("ann").create("undisturbed").await;
}

#[keyledger_bounded::test]
async fn an_address_that_is_taken_is_told() {
    let service = Service::start();
    let output = Setup::new().set("KEYLEDGER_LISTEN", &service.address).run();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains(&format!("cannot listen on {}", service.address)), "{told}");
}

/// A request of which only a part has been sent.
async fn half_a_request(service: &Service) -> (TcpStream, &'static str) {
    let body = r#"{"name":"late"}"#;
    let mut stream = TcpStream::connect(&service.address).await.unwrap();
    let head = format!(
        "POST /keys HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        token("ann", &[]),
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // The service asks for the body: it is at work on the request.
    let mut line = [0; 25];
    within("100 Continue", stream.read_exact(&mut line)).await.unwrap();
    assert_eq!(&line, b"HTTP/1.1 100 Continue\r\n\r\n");
    (stream, body)
}

#[keyledger_bounded::test]
async fn a_stop_lets_running_requests_finish_and_takes_no_more() {
    let service = Setup::new().set("KEYLEDGER_SHUTDOWN_GRACE", "1h").start().ready().await;
    let (mut stream, body) = half_a_request(&service).await;
    service.signal("TERM");
    service.printed("stopping").await;
    until("the listener to be closed", async || match TcpStream::connect(&service.address).await {
        Ok(_) => Err("it takes connections"),
        Err(_) => Ok(()),
    })
    .await;
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut answer = String::new();
    within("the answer", stream.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    let folder = service.folder();
    let (status, output) = service.ended();
    assert!(status.success(), "{output}");
    assert!(output.contains("\"stopped\""), "{output}");
    let service = Setup::in_folder(folder).start().ready().await;
    assert_eq!(service.user("ann").keys().await[0]["name"], "late");
}

#[keyledger_bounded::test]
async fn a_stop_is_not_held_up_by_idle_connections() {
    let service = Setup::new().set("KEYLEDGER_SHUTDOWN_GRACE", "1h").start().ready().await;
    let ann = service.user("ann");
    ann.keys().await;
    let _silent = TcpStream::connect(&service.address).await.unwrap();
    let (status, output) = service.stop();
    assert!(status.success(), "{output}");
}

#[keyledger_bounded::test]
async fn a_stop_ends_when_its_time_is_over() {
    let service = Setup::new().set("KEYLEDGER_SHUTDOWN_GRACE", "100ms").start().ready().await;
    let (_stream, _) = half_a_request(&service).await;
    let (status, output) = service.stop();
    assert!(status.success(), "{output}");
    assert!(output.contains("connections cut off"), "{output}");
}

#[keyledger_bounded::test]
async fn a_second_signal_stops_at_once() {
    let service = Setup::new().set("KEYLEDGER_SHUTDOWN_GRACE", "1h").start().ready().await;
    let (_stream, _) = half_a_request(&service).await;
    service.signal("TERM");
    service.printed("stopping").await;
    service.signal("INT");
    let (_, output) = service.ended();
    assert!(output.contains("stopped at once after a second signal"), "{output}");
}

#[keyledger_bounded::test]
async fn an_api_and_a_projector_may_be_two_processes() {
    let api = Setup::new().set("KEYLEDGER_ROLES", "api").start();
    let projector =
        Setup::in_folder(api.folder()).set("KEYLEDGER_ROLES", "projector").start().ready().await;
    let ann = api.user("ann");
    for number in 1..=5 {
        let created = ann.post("/keys", &json!({"name": "ci"})).await;
        assert_eq!(created.header("keyledger-lagging"), None);
        assert_eq!(ann.keys_at(created.position()).await.len(), number);
    }
    projector.user("ann").get("/keys").await.expect_status(404);

    // Without a projector writes go on, and say that what they wrote is not shown yet.
    projector.stop_well();
    let created = ann.post("/keys", &json!({"name": "late"})).await;
    created.expect_status(200);
    assert_eq!(created.header("keyledger-lagging"), Some("true"));
    assert_eq!(ann.keys().await.len(), 5);
    let _projector = Setup::in_folder(api.folder()).set("KEYLEDGER_ROLES", "projector").start();
    assert_eq!(ann.keys_at(created.position()).await.len(), 6);
}

#[keyledger_bounded::test]
async fn health_tells_of_every_part() {
    let service = Service::start().ready().await;
    let answer = service.stranger().get("/readyz").await.json();
    let parts = json!({
        "journal": "ready", "appends": "ready", "read_tables": "ready", "sign_in": "ready",
        "verification": "ready",
    });
    assert_eq!(answer, json!({"ready": true, "parts": parts}));
    assert_eq!(service.stranger().get("/healthz").await.json(), json!({"status": "ok"}));
}

#[keyledger_bounded::test]
fn an_unknown_command_is_told() {
    let folder = TempDir::new().unwrap();
    let output = run(keyledger(folder.path()).arg("cook"));
    assert_eq!(output.status.code(), Some(2));
    let none = run(&mut keyledger(folder.path()));
    assert!(String::from_utf8_lossy(&none.stderr).contains("Usage: keyledger"));
    let version = run(keyledger(folder.path()).arg("--version"));
    assert_eq!(String::from_utf8_lossy(&version.stdout), "keyledger 0.1.0\n");
}
