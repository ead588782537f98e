//! Spans of requests, commands, appends and batches, and the traces that they belong to.

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use serde_json::json;

use super::collector::{Collector, value};
use super::sending_to;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

fn traceparent(trace: &str, flags: &str) -> String {
    format!("00-{trace}-{PARENT}-{flags}")
}

#[keyledger_bounded::test]
async fn a_request_continues_the_trace_of_its_caller_down_to_the_append() {
    let collector = Collector::start().await;
    let service = sending_to(&collector).start().ready().await;
    let ann = service.user("ann").with("traceparent", &traceparent(TRACE, "01"));
    let ann = ann.with("tracestate", "rojo=00f067aa0ba902b7");
    let key_id = ann.create("deploy").await;

    let request = collector.span_of(TRACE, "POST /keys").await;
    assert_eq!(request.parent(), PARENT);
    assert_eq!(request.0.trace_state, "rojo=00f067aa0ba902b7");
    assert_eq!(request.0.kind(), SpanKind::Server);
    assert_eq!(request.attribute("http.request.method"), "POST");
    assert_eq!(request.attribute("http.route"), "/keys");
    assert_eq!(request.attribute("http.response.status_code"), "200");
    let command = collector.span_of(TRACE, "create key").await;
    assert_eq!(command.parent(), request.id());
    assert_eq!(command.attribute("key.id"), key_id);
    let append = collector.span_of(TRACE, "append").await;
    assert_eq!(append.parent(), command.id());
    assert_eq!(append.attribute("keyledger.outcome"), "appended");
    assert_eq!(append.attribute("keyledger.events"), "1");
    assert_eq!(append.attribute("keyledger.position"), "1");
    assert!(append.0.start_time_unix_nano >= request.0.start_time_unix_nano);
    assert!(append.0.end_time_unix_nano <= request.0.end_time_unix_nano);

    // What applies the event is no part of the request, and has a trace of its own.
    for part in ["read_tables", "verification"] {
        let batch = collector.span(&format!("apply {part}")).await;
        assert_eq!(batch.parent(), "");
        assert_eq!(batch.attribute("keyledger.part"), part);
        assert_eq!(batch.attribute("keyledger.position"), "1");
        assert_eq!(batch.0.kind(), SpanKind::Consumer);
    }
    let resource = collector.resource();
    assert_eq!(value(&resource, "service.name"), "keyledger");
    assert_eq!(value(&resource, "service.version"), env!("CARGO_PKG_VERSION"));
    assert!(!value(&resource, "service.instance.id").is_empty(), "{resource:?}");

    // The log has the span of its own and none of these.
    let output = service.printed("request done").await;
    let done = output.lines().find(|line| line.contains("request done")).unwrap();
    let done: serde_json::Value = serde_json::from_str(done).unwrap();
    let span = done["span"].as_object().unwrap();
    assert_eq!(span.keys().collect::<Vec<_>>(), ["name", "request.id"], "{done}");
}

#[keyledger_bounded::test]
async fn a_request_without_a_good_traceparent_begins_a_trace() {
    let collector = Collector::start().await;
    let service = sending_to(&collector).start().ready().await;
    for bad in ["00", "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "é"] {
        service.user("ann").with("traceparent", bad).get("/keys").await.expect_status(200);
    }
    let mut twice = service.user("ann");
    twice.append("traceparent", &traceparent(TRACE, "01"));
    twice.append("traceparent", &traceparent(TRACE, "01"));
    twice.get("/keys").await.expect_status(200);
    // The queue keeps the order: when this one is there, so are the others.
    service.user("ann").get("/keys/none").await.expect_status(404);
    let last = collector.span("GET /keys/{key_id}").await;
    assert_eq!(last.attribute("keyledger.code"), "key_not_found");
    assert_eq!(last.0.status.clone().unwrap_or_default().code(), StatusCode::Unset);
    let spans = collector.spans();
    let lists: Vec<_> = spans.iter().filter(|span| span.name() == "GET /keys").collect();
    assert_eq!(lists.len(), 4, "{spans:?}");
    assert!(
        lists.iter().all(|span| span.parent().is_empty() && span.trace() != TRACE),
        "{lists:?}"
    );
}

#[keyledger_bounded::test]
async fn a_caller_that_does_not_record_is_followed_in_that_too() {
    let collector = Collector::start().await;
    let service = sending_to(&collector).start().ready().await;
    let ann = service.user("ann");
    ann.with("traceparent", &traceparent(TRACE, "00")).create("quiet").await;
    ann.get("/healthz").await.expect_status(200);
    ann.get("/keys").await.expect_status(200);
    collector.span("GET /keys").await;
    let spans = collector.spans();
    assert!(spans.iter().all(|span| span.trace() != TRACE), "{spans:?}");
    assert!(spans.iter().all(|span| span.name() != "GET /healthz"), "{spans:?}");
}

#[keyledger_bounded::test]
async fn a_verification_has_a_span_only_if_its_caller_records() {
    let collector = Collector::start().await;
    // What is logged decides nothing about traces.
    let setup = sending_to(&collector).set("KEYLEDGER_LOG", "warn,keyledger::service=info");
    let service = setup.start().ready().await;
    let created = service.user("ann").post("/keys", &json!({ "name": "deploy" })).await;
    let created = created.expect_status(200).json();
    let (key, key_id) = (created["api_key"].as_str().unwrap(), &created["key_id"]);
    let ask = async |headers: &[(&str, &str)]| {
        let mut gateway = service.gateway();
        for (name, value) in headers {
            gateway = gateway.with(name, value);
        }
        gateway.post("/verify", &json!({ "key": key })).await.expect_status(200);
        gateway.with("x-api-key", key).get("/auth/v1/search").await.expect_status(200);
        gateway.with("x-api-key", "orag_none").get("/auth").await.expect_status(401);
        let form = gateway.with("content-type", "application/x-www-form-urlencoded");
        form.send("POST", "/introspect", Some(format!("token={key}").into()))
            .await
            .expect_status(200);
    };
    ask(&[]).await;
    ask(&[("traceparent", &traceparent(&"a".repeat(32), "00"))]).await;
    ask(&[("traceparent", "00-nonsense")]).await;
    ask(&[("traceparent", &traceparent(TRACE, "01"))]).await;

    collector.span("POST /introspect").await;
    let spans = collector.spans();
    let verifications: Vec<_> = spans
        .iter()
        .filter(|span| {
            ["/verify", "/auth", "/introspect"].contains(&&*span.attribute("http.route"))
        })
        .collect();
    let told: Vec<_> = verifications
        .iter()
        .map(|span| {
            assert_eq!((span.trace(), span.parent()), (TRACE.to_owned(), PARENT.to_owned()));
            let status = span.attribute("http.response.status_code");
            (span.name(), status, span.attribute("keyledger.code"), span.attribute("key.id"))
        })
        .collect();
    let row = |name, status: &str, code: &str, id: &str| {
        (name, status.to_owned(), code.to_owned(), id.to_owned())
    };
    let key_id = key_id.as_str().unwrap();
    assert_eq!(
        told,
        [
            row("POST /verify", "200", "VALID", key_id),
            row("GET /auth", "200", "VALID", key_id),
            row("GET /auth", "401", "NOT_FOUND", ""),
            row("POST /introspect", "200", "VALID", key_id),
        ]
    );
}

#[keyledger_bounded::test]
async fn the_sampler_decides_about_traces_that_begin_here() {
    let collector = Collector::start().await;
    let setup = sending_to(&collector).set("OTEL_TRACES_SAMPLER", "parentbased_always_off");
    let service = setup.start().ready().await;
    service.user("ann").create("unseen").await;
    let recorded = service.user("ann").with("traceparent", &traceparent(TRACE, "01"));
    recorded.get("/keys").await.expect_status(200);
    collector.span("GET /keys").await;
    let spans = collector.spans();
    assert!(spans.iter().all(|span| span.trace() == TRACE), "{spans:?}");
}
