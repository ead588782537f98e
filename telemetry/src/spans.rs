//! Spans for traces, and how they are sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use opentelemetry::trace::TracerProvider;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use prost::Message;
use tokio::runtime::Handle;
use tracing::Metadata;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::{Layer, Registry};

use crate::sender::Sender;

/// Whether spans for traces are made.
static ARE_ON: AtomicBool = AtomicBool::new(false);

/// Whether spans for traces are made in this process.
#[must_use]
pub fn traces_are_on() -> bool {
    ARE_ON.load(Ordering::Relaxed)
}

/// Whether something that `tracing` records is a span for traces; it is not for the log then.
#[must_use]
pub fn is_for_traces(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && metadata.fields().field("otel.kind").is_some()
}

/// The layer that makes spans for traces. It takes no other spans and no events: those may hold more than
/// leaves this machine.
pub(crate) fn layer(provider: &SdkTracerProvider) -> Box<dyn Layer<Registry> + Send + Sync> {
    ARE_ON.store(true, Ordering::Relaxed);
    tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("keyledger"))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        .with_context_activation(false)
        .with_filter(filter_fn(is_for_traces).with_max_level_hint(LevelFilter::INFO))
        .boxed()
}

/// Sends batches of spans. The thread that calls it has no runtime, so it sends on the service's.
#[derive(Debug)]
pub(crate) struct SpanSender {
    pub(crate) sender: Arc<Sender>,
    pub(crate) runtime: Handle,
    pub(crate) resource: ResourceAttributesWithSchema,
}

impl SpanExporter for SpanSender {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let resource_spans = group_spans_by_resource_and_scope(batch, &self.resource);
        let message = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
        let sender = self.sender.clone();
        let sent = self.runtime.spawn(async move { sender.send(message).await }).await;
        // The sender has logged the failure.
        let failed = |error: String| OTelSdkError::InternalFailure(error);
        sent.map_err(|error| failed(error.to_string()))?.map_err(|error| failed(error.to_string()))
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.resource = resource.into();
    }
}
