//! The OpenAPI document: the committed one is the one that is served, and the service keeps to it.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::support::{Service, keyledger, run, run_within, token};

fn committed() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");
    std::fs::read_to_string(path).unwrap()
}

#[keyledger_bounded::test]
async fn the_committed_document_is_the_one_that_is_served() {
    let folder = tempfile::TempDir::new().unwrap();
    let output = run(keyledger(folder.path()).arg("openapi"));
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(printed, committed(), "run `make openapi` and look at the difference");
    let served = Service::start().stranger().get("/openapi.json").await.json();
    let printed: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(served, printed);
}

/// A proxy may serve the API below a path of its own, of which the service knows nothing.
#[keyledger_bounded::test]
async fn the_page_and_the_document_name_no_path_from_the_root() {
    let service = Service::start();
    let redirect = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    let redirect = redirect.build().unwrap().get(format!("http://{}/docs", service.address));
    let redirect = redirect.send().await.unwrap();
    assert_eq!(redirect.status(), 308);
    assert_eq!(redirect.headers()["location"], "docs/");
    let stranger = service.stranger();
    let page = stranger.get("/docs/").await;
    let page = page.expect_status(200).text.as_str();
    let start = stranger.get("/docs/swagger-initializer.js").await;
    let start = start.expect_status(200).text.as_str();
    assert!(start.contains("\"../openapi.json\""), "{start}");
    for text in [page, start] {
        for absolute in ["href=\"/", "src=\"/", "url\": \"/", "url: \"/"] {
            assert!(!text.contains(absolute), "{absolute}: {text}");
        }
    }
    stranger.get("/docs/swagger-ui.css").await.expect_status(200);
    stranger.get("/docs/nothing").await.expect_status(404);
    let document = stranger.get("/openapi.json").await.json();
    assert_eq!(document["servers"], serde_json::json!([{"url": "."}]));
}

/// The values of all members `$ref`, at any depth.
fn references(value: &Value) -> Vec<&str> {
    match value {
        Value::Object(members) => members
            .iter()
            .flat_map(|(name, value)| match value.as_str() {
                Some(target) if name == "$ref" => vec![target],
                _ => references(value),
            })
            .collect(),
        Value::Array(values) => values.iter().flat_map(references).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

#[keyledger_bounded::test]
async fn the_document_contains_everything_that_it_refers_to() {
    let document: Value = serde_json::from_str(&committed()).unwrap();
    let references = references(&document);
    assert!(references.contains(&"#/components/schemas/Problem"), "{references:?}");
    for reference in references {
        let target = reference.strip_prefix('#').and_then(|path| document.pointer(path));
        assert!(target.is_some(), "{reference} is not in the document");
    }
}

/// The most that the fuzzer may take: it asks hundreds of times.
const LIMIT: Duration = Duration::from_secs(15 * 60);
/// Schemathesis, installed by `make tools`.
const SCHEMATHESIS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/tools/schemathesis/bin/st");

#[keyledger_bounded::test]
async fn a_fuzzer_finds_no_answer_that_the_document_does_not_allow() {
    assert!(Path::new(SCHEMATHESIS).exists(), "run `make tools` first");
    let service = Service::start().ready().await;
    let ann = service.user("ann");
    for number in 0..3 {
        ann.create(&format!("key {number}")).await;
    }
    let folder = tempfile::TempDir::new().unwrap();
    let configuration = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/http/schemathesis.toml");
    let output = run_within(
        LIMIT,
        Command::new(SCHEMATHESIS)
            .args(["--config-file", configuration, "run", "--output-sanitize", "false"])
            .arg(format!("http://{}/openapi.json", service.address))
            .env("TOKEN", token("ann", &["keyledger:audit"]))
            .current_dir(folder.path()),
    );
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let log = service.output();
    assert!(output.status.success(), "{told}\n{log}");
    // The one server error that the fuzzer may cause: a position that the journal does not have.
    let others: Vec<_> = log
        .lines()
        .filter(|line| line.contains("\"request failed\"") && !line.contains("\"read_behind\""))
        .collect();
    assert!(others.is_empty(), "{others:?}");
    assert!(log.matches("\"request done\"").count() > 300, "it did ask: {told}");
}
