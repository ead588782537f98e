//! A small collector: it takes traces and metrics with OTLP over HTTP, and remembers them.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::support::wait::until;

/// What it does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Takes,
    /// Answers with this status.
    Refuses(u16),
    /// Answers 503, and asks for a pause of so many seconds.
    Asks(&'static str),
    /// Never answers.
    Hangs,
}

/// A collector, until it is dropped.
pub(super) struct Collector {
    pub(super) address: SocketAddr,
    memory: Arc<Memory>,
    serving: JoinHandle<()>,
}

struct Memory {
    mode: Mutex<Mode>,
    /// How many requests came.
    requests: Mutex<usize>,
    /// Everything that was taken, as it came.
    bytes: Mutex<Vec<u8>>,
    headers: Mutex<Vec<HeaderMap>>,
    spans: Mutex<Vec<Sent>>,
    /// The last message with metrics.
    metrics: Mutex<Vec<Metric>>,
    resource: Mutex<Vec<KeyValue>>,
}

/// A span that was taken.
#[derive(Clone, Debug)]
pub(super) struct Sent(pub(super) Span);

impl Sent {
    pub(super) fn name(&self) -> &str {
        &self.0.name
    }

    pub(super) fn trace(&self) -> String {
        hex(&self.0.trace_id)
    }

    pub(super) fn id(&self) -> String {
        hex(&self.0.span_id)
    }

    pub(super) fn parent(&self) -> String {
        hex(&self.0.parent_span_id)
    }

    /// An attribute as text; empty if there is none.
    pub(super) fn attribute(&self, name: &str) -> String {
        value(&self.0.attributes, name)
    }
}

/// The value of an attribute as text; empty if there is none.
pub(super) fn value(attributes: &[KeyValue], name: &str) -> String {
    let attribute = attributes.iter().find(|attribute| attribute.key == name);
    match attribute.and_then(|attribute| attribute.value.clone()?.value) {
        None => String::new(),
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        Some(other) => panic!("{name}: {other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Collector {
    pub(super) async fn start() -> Self {
        Self::at("127.0.0.1:0".parse().unwrap()).await
    }

    /// A new collector at this address.
    pub(super) async fn at(address: SocketAddr) -> Self {
        let memory = Arc::new(Memory {
            mode: Mutex::new(Mode::Takes),
            requests: Mutex::default(),
            bytes: Mutex::default(),
            headers: Mutex::default(),
            spans: Mutex::default(),
            metrics: Mutex::default(),
            resource: Mutex::default(),
        });
        let router = Router::new()
            .route("/v1/traces", post(take_traces))
            .route("/v1/metrics", post(take_metrics))
            .with_state(memory.clone());
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, memory, serving }
    }

    pub(super) fn set(&self, mode: Mode) {
        *self.memory.mode.lock().unwrap() = mode;
    }

    /// Waits until this many more requests have come.
    pub(super) async fn more_requests(&self, more: usize) {
        let so_far = *self.memory.requests.lock().unwrap();
        self.requests(so_far + more).await;
    }

    /// Waits until as many requests have come.
    pub(super) async fn requests(&self, count: usize) {
        until(format!("{count} requests"), async || {
            let now = *self.memory.requests.lock().unwrap();
            if now >= count { Ok(()) } else { Err(now) }
        })
        .await;
    }

    /// All spans so far.
    pub(super) fn spans(&self) -> Vec<Sent> {
        self.memory.spans.lock().unwrap().clone()
    }

    /// Waits for a span of this name; tells the first.
    pub(super) async fn span(&self, name: &str) -> Sent {
        self.span_where(name, |span| span.name() == name).await
    }

    /// Waits for a span of this name in this trace.
    pub(super) async fn span_of(&self, trace: &str, name: &str) -> Sent {
        let what = format!("{name} in {trace}");
        self.span_where(&what, |span| span.name() == name && span.trace() == trace).await
    }

    async fn span_where(&self, what: &str, is_it: impl Fn(&Sent) -> bool) -> Sent {
        until(format!("the span {what}"), async || {
            let spans = self.spans();
            let found = spans.iter().find(|span| is_it(span)).cloned();
            found.ok_or_else(|| format!("{:?}", spans.iter().map(Sent::name).collect::<Vec<_>>()))
        })
        .await
    }

    /// The metrics of the last message.
    pub(super) fn metrics(&self) -> Vec<Metric> {
        self.memory.metrics.lock().unwrap().clone()
    }

    /// The same, which are then forgotten.
    pub(super) fn take_metrics(&self) -> Vec<Metric> {
        std::mem::take(&mut self.memory.metrics.lock().unwrap())
    }

    /// Forgets all spans so far.
    pub(super) fn forget_spans(&self) {
        self.memory.spans.lock().unwrap().clear();
    }

    /// The attributes of the process that sent last.
    pub(super) fn resource(&self) -> Vec<KeyValue> {
        self.memory.resource.lock().unwrap().clone()
    }

    /// Everything that came, as bytes, and the headers of all requests.
    pub(super) fn everything(&self) -> (Vec<u8>, Vec<HeaderMap>) {
        let headers = self.memory.headers.lock().unwrap().clone();
        (self.memory.bytes.lock().unwrap().clone(), headers)
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Memory {
    /// Notes a request; whether it is taken.
    async fn takes(&self, headers: HeaderMap, body: &[u8]) -> Result<(), Response> {
        *self.requests.lock().unwrap() += 1;
        let mode = *self.mode.lock().unwrap();
        match mode {
            Mode::Takes => {}
            Mode::Refuses(status) => {
                return Err(StatusCode::from_u16(status).unwrap().into_response());
            }
            Mode::Asks(pause) => {
                let pause = [(RETRY_AFTER, pause)];
                return Err((StatusCode::SERVICE_UNAVAILABLE, pause).into_response());
            }
            Mode::Hangs => std::future::pending().await,
        }
        assert_eq!(headers["content-type"], "application/x-protobuf");
        self.bytes.lock().unwrap().extend(body);
        self.headers.lock().unwrap().push(headers);
        Ok(())
    }
}

async fn take_traces(
    State(memory): State<Arc<Memory>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<(), Response> {
    memory.takes(headers, &body).await?;
    for resource in ExportTraceServiceRequest::decode(body).unwrap().resource_spans {
        *memory.resource.lock().unwrap() = resource.resource.unwrap().attributes;
        let spans = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
        memory.spans.lock().unwrap().extend(spans.map(Sent));
    }
    Ok(())
}

async fn take_metrics(
    State(memory): State<Arc<Memory>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<(), Response> {
    memory.takes(headers, &body).await?;
    for resource in ExportMetricsServiceRequest::decode(body).unwrap().resource_metrics {
        *memory.resource.lock().unwrap() = resource.resource.unwrap().attributes;
        let metrics = resource.scope_metrics.into_iter().flat_map(|scope| scope.metrics);
        *memory.metrics.lock().unwrap() = metrics.collect();
    }
    Ok(())
}
