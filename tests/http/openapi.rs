//! The OpenAPI documents of both listeners: the committed ones are those that are served, and the service
//! keeps to them.

use std::path::Path;

use serde_json::Value;

use crate::support::fuzzer::fuzz;
use crate::support::{Service, keyledger, run, token};

/// A document in `docs/`.
fn committed(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(file);
    std::fs::read_to_string(path).unwrap()
}

#[keyledger_bounded::test]
async fn the_committed_documents_are_those_that_are_served() {
    let folder = tempfile::TempDir::new().unwrap();
    let service = Service::start();
    for (file, arguments, listener) in [
        ("openapi.json", &["openapi"][..], service.stranger()),
        ("openapi-internal.json", &["openapi", "--internal"], service.gateway()),
    ] {
        let output = run(keyledger(folder.path()).args(arguments));
        let printed = String::from_utf8(output.stdout).unwrap();
        assert_eq!(printed, committed(file), "run `make openapi` and look at the difference");
        let served = listener.get("/openapi.json").await;
        assert_eq!(served.header("content-type"), Some("application/json"), "{file}");
        let printed: Value = serde_json::from_str(&printed).unwrap();
        assert_eq!(served.json(), printed, "{file}");
    }
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
fn the_documents_contain_everything_that_they_refer_to() {
    for file in ["openapi.json", "openapi-internal.json"] {
        let document: Value = serde_json::from_str(&committed(file)).unwrap();
        let references = references(&document);
        assert!(references.contains(&"#/components/schemas/Problem"), "{references:?}");
        for reference in references {
            let target = reference.strip_prefix('#').and_then(|path| document.pointer(path));
            assert!(target.is_some(), "{reference} is not in {file}");
        }
    }
}

#[keyledger_bounded::test]
async fn a_fuzzer_finds_no_answer_that_the_document_does_not_allow() {
    let service = Service::start().ready().await;
    let ann = service.user("ann");
    for number in 0..3 {
        ann.create(&format!("key {number}")).await;
    }
    let auditor = token("ann", &["keyledger:audit"]);
    let told = fuzz(&service, &service.address, include_str!("schemathesis.toml"), &auditor);
    let log = service.output();
    // The one server error that the fuzzer may cause: a position that the journal does not have.
    let others: Vec<_> = log
        .lines()
        .filter(|line| line.contains("\"request failed\"") && !line.contains("\"read_behind\""))
        .collect();
    assert!(others.is_empty(), "{others:?}");
    assert!(log.matches("\"request done\"").count() > 300, "it did ask: {told}");
}
