//! The OpenAPI document of the internal listener: who may use which endpoint, and what it answers.

use std::collections::BTreeSet;

use serde_json::Value;

use super::callers::{TOKEN, with_tokens};
use super::{gateway, key};
use crate::support::fuzzer::fuzz;
use crate::support::{Client, Setup, assert_status};

/// Each endpoint, and what it answers to callers without a token and with one. These requests have no key, and
/// no body.
const RULES: [(&str, u16, u16); 6] = [
    ("GET /auth", 401, 401),
    ("GET /healthz", 200, 200),
    ("GET /metrics", 401, 200),
    ("GET /readyz", 200, 200),
    ("POST /introspect", 401, 415),
    ("POST /verify", 401, 415),
];

/// The endpoints of a document, each with its description.
fn endpoints(document: &Value) -> Vec<(String, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    let endpoints = paths.flat_map(|(path, methods)| {
        let methods = methods.as_object().unwrap().iter();
        methods.map(move |(method, told)| (format!("{} {path}", method.to_uppercase()), told))
    });
    endpoints.collect()
}

#[keyledger_bounded::test]
async fn every_internal_endpoint_of_the_document_has_its_rule_and_keeps_it() {
    let service = with_tokens().ready().await;
    let stranger = gateway(&service);
    let holder = stranger.with("keyledger-token", TOKEN);
    // The document is open to all.
    let document = stranger.get("/openapi.json").await.expect_status(200).json();
    let endpoints = endpoints(&document);
    let documented: BTreeSet<_> = endpoints.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(documented, RULES.iter().map(|(name, ..)| *name).collect());
    for (name, without, with) in RULES {
        let (method, path) = name.split_once(' ').unwrap();
        assert_status!(stranger.send(method, path, None).await, without, "{name}");
        assert_status!(holder.send(method, path, None).await, with, "{name}");
        let (_, told) = endpoints.iter().find(|(it, _)| it == name).unwrap();
        let has_security = told["security"].as_array().is_some_and(|list| list.len() > 1);
        assert_eq!(has_security, without == 401, "{name}");
    }
}

#[keyledger_bounded::test]
async fn a_process_that_does_not_verify_keys_documents_what_it_has() {
    let service = Setup::new().set("KEYLEDGER_ROLES", "api,projector").start().ready().await;
    let document = gateway(&service).get("/openapi.json").await.expect_status(200).json();
    let endpoints = endpoints(&document);
    let names: Vec<_> = endpoints.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["GET /healthz", "GET /metrics", "GET /readyz"]);
}

/// The problems that the document names, as endpoint, status and code.
fn documented(document: &Value) -> BTreeSet<(String, u16, String)> {
    let mut problems = BTreeSet::new();
    for (name, told) in endpoints(document) {
        for (status, response) in told["responses"].as_object().unwrap() {
            if response["content"]["application/problem+json"].is_null() {
                continue;
            }
            let description = response["description"].as_str().unwrap();
            let codes: Vec<_> = description.split('`').skip(1).step_by(2).collect();
            assert!(!codes.is_empty(), "{name} {status}: {description}");
            let status = status.parse().unwrap();
            problems.extend(codes.into_iter().map(|code| (name.clone(), status, code.to_owned())));
        }
    }
    problems
}

/// Problems that no request alone can cause: a body that breaks off, and a node that cannot know.
const OTHERS: [&str; 2] = ["body_incomplete", "cannot_verify"];

#[keyledger_bounded::test]
async fn the_document_names_the_problems_that_are_answered() {
    let service = with_tokens().ready().await;
    let stranger = gateway(&service);
    let client = stranger.with("keyledger-token", TOKEN);
    let json = client.with("content-type", "application/json");
    let form = client.with("content-type", "application/x-www-form-urlencoded");
    let large = "x".repeat(16 * 1024 + 1);
    let bad = |client: &Client| client.with("keyledger-min-position", "x");
    // It is waited for; the journal is empty.
    let late = |client: &Client| client.with("keyledger-min-position", "7");
    let cases: [(&str, Client, &str); 21] = [
        ("POST /verify", stranger.clone(), ""),
        ("POST /verify", client.clone(), ""),
        ("POST /verify", json.clone(), "{"),
        ("POST /verify", json.clone(), "7"),
        ("POST /verify", json.clone(), "{}"),
        ("POST /verify", json.clone(), r#"{"key":7}"#),
        ("POST /verify", json.clone(), r#"{"key":"a","colour":"red"}"#),
        ("POST /verify", json.clone(), &large),
        ("POST /verify", bad(&json), r#"{"key":"a"}"#),
        ("POST /verify", late(&json), r#"{"key":"a"}"#),
        ("POST /introspect", stranger.clone(), ""),
        ("POST /introspect", client.clone(), ""),
        ("POST /introspect", form.clone(), ""),
        ("POST /introspect", form.clone(), "token=a&token=b"),
        ("POST /introspect", form.clone(), &large),
        ("POST /introspect", bad(&form), "token=a"),
        ("POST /introspect", late(&form), "token=a"),
        ("GET /auth", stranger.clone(), ""),
        ("GET /auth", bad(&client), ""),
        ("GET /auth", late(&client).with("x-api-key", "a"), ""),
        ("GET /metrics", stranger.clone(), ""),
    ];
    let mut answered = BTreeSet::new();
    for (name, client, body) in cases {
        let (method, path) = name.split_once(' ').unwrap();
        let answer = client.send(method, path, Some(body.as_bytes().to_vec())).await;
        let (status, code, _) = answer.problem();
        answered.insert((name.to_owned(), status, code));
    }
    let document = stranger.get("/openapi.json").await.json();
    let mut documented = documented(&document);
    documented.retain(|(.., code)| !OTHERS.contains(&&**code));
    assert_eq!(answered, documented);
}

#[keyledger_bounded::test]
async fn metrics_come_in_the_format_that_the_caller_reads() {
    let service = Setup::new().start().ready().await;
    let gateway = gateway(&service);
    let open = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let plain = "text/plain; version=0.0.4; charset=utf-8";
    for (accept, expected) in [
        ("*/*", open),
        ("application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5", open),
        ("text/plain;version=0.0.4;q=1,*/*;q=0.1", plain),
    ] {
        let answer = gateway.with("accept", accept).get("/metrics").await;
        assert_eq!(answer.header("content-type"), Some(expected), "{accept}");
        let is_open = answer.text.ends_with("# EOF\n");
        assert_eq!(is_open, expected == open, "{accept}");
        let counter = "# TYPE keyledger_append_failures_total counter";
        assert_eq!(answer.text.contains(counter), expected == plain, "{accept}");
    }
}

#[keyledger_bounded::test]
async fn a_fuzzer_finds_no_answer_that_the_internal_document_does_not_allow() {
    let service = with_tokens().ready().await;
    let settings = include_str!("schemathesis.toml").replace("{KEY}", &key(&service).await.secret);
    let told = fuzz(&service, &service.internal, &settings, TOKEN);
    let holder = gateway(&service).with("keyledger-token", TOKEN);
    let metrics = holder.get("/metrics").await.text;
    for (code, least) in [("VALID", 5), ("NOT_FOUND", 20)] {
        let name = format!("keyledger_verifications_total{{code=\"{code}\"}} ");
        let count = metrics.lines().find_map(|line| line.strip_prefix(&name)).unwrap();
        assert!(count.parse::<u64>().unwrap() >= least, "it did ask: {code} {count}, {told}");
    }
}
