//! Starts and ends the sending of traces and metrics.

use std::sync::Arc;
use std::time::Duration;

use keyledger_domain::{Clock, Timestamp};
use opentelemetry::KeyValue;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::TelemetryResourceDetector;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SdkTracerProvider};
use prost::Message;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing_subscriber::{Layer, Registry};

use crate::metrics::{self, Times};
use crate::sender::Sender;
use crate::settings::{ExportSettings, MetricSettings, TraceSettings};
use crate::spans::{self, SpanSender};

/// The time limit for what is sent last, traces and metrics at the same time.
const LAST: Duration = Duration::from_millis(1_500);

/// Sending cannot start.
#[derive(Debug, thiserror::Error)]
#[error("the client of the OpenTelemetry collector cannot be made")]
pub struct StartError(#[from] reqwest::Error);

/// Sends traces and metrics until it is finished.
#[derive(Debug)]
pub struct Exporting {
    traces: Option<SdkTracerProvider>,
    metrics: Option<MetricSender>,
    /// Sends metrics in intervals, and a last time when `stop` is dropped.
    task: Option<JoinHandle<()>>,
    stop: watch::Sender<()>,
}

impl Exporting {
    /// Prepares to send. Must be called in the runtime of the service.
    ///
    /// # Errors
    /// [`StartError`], if the system has no TLS.
    pub fn start(settings: ExportSettings, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        let ExportSettings { traces, metrics, resource } = settings;
        let resource = Resource::builder_empty()
            .with_detector(Box::new(TelemetryResourceDetector))
            .with_attributes(resource.into_iter().map(|(name, value)| KeyValue::new(name, value)))
            .build();
        let traces = traces.map(|settings| provider(settings, &resource)).transpose()?;
        let metrics = metrics.map(|settings| MetricSender::new(settings, &resource, clock));
        Ok(Self { traces, metrics: metrics.transpose()?, task: None, stop: watch::Sender::new(()) })
    }

    /// The layer of `tracing` that makes spans for traces; `None` if traces are not sent.
    #[must_use]
    pub fn layer(&self) -> Option<Box<dyn Layer<Registry> + Send + Sync>> {
        self.traces.as_ref().map(spans::layer)
    }

    /// Sends metrics in intervals from now on, if they are to be sent. `text` tells all of them, in the form
    /// of OpenMetrics 1.0.
    pub fn send_metrics(&mut self, text: impl Fn() -> String + Send + 'static) {
        if let Some(metrics) = self.metrics.take() {
            self.task = Some(tokio::spawn(metrics.send_all(text, self.stop.subscribe())));
        }
    }

    /// Sends what is not sent yet, for 1.5 seconds at most.
    pub async fn finish(self) {
        let Self { traces, task, stop, .. } = self;
        drop(stop);
        let spans = async {
            let Some(provider) = traces else { return true };
            let ending = spawn_blocking(move || provider.shutdown_with_timeout(LAST));
            ending.await.is_ok_and(|ended| ended.is_ok())
        };
        let metrics = async {
            let Some(task) = task else { return true };
            timeout(LAST, task).await.is_ok_and(|ended| ended.is_ok())
        };
        if tokio::join!(spans, metrics) != (true, true) {
            tracing::warn!("the last traces or metrics are not sent to the collector");
        }
    }
}

fn provider(settings: TraceSettings, resource: &Resource) -> Result<SdkTracerProvider, StartError> {
    let sender = Arc::new(Sender::new(settings.to, "traces")?);
    let exporter = SpanSender { sender, runtime: Handle::current(), resource: resource.into() };
    Ok(SdkTracerProvider::builder()
        .with_span_processor(BatchSpanProcessor::builder(exporter).build())
        .with_sampler(settings.sampler)
        .with_resource(resource.clone())
        .build())
}

/// Sends metrics.
#[derive(Debug)]
struct MetricSender {
    sender: Sender,
    interval: Duration,
    resource: ResourceAttributesWithSchema,
    clock: Arc<dyn Clock>,
    begun: Timestamp,
}

impl MetricSender {
    fn new(
        settings: MetricSettings,
        resource: &Resource,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StartError> {
        let MetricSettings { to, interval } = settings;
        let (sender, begun) = (Sender::new(to, "metrics")?, clock.now());
        Ok(Self { sender, interval, resource: resource.into(), clock, begun })
    }

    async fn send_all(self, text: impl Fn() -> String, mut stopping: watch::Receiver<()>) {
        let mut ticks = interval(self.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first tick is now, when the service has just begun.
        ticks.tick().await;
        loop {
            let is_last = tokio::select! {
                _ = ticks.tick() => false,
                // No value is ever sent.
                _ = stopping.changed() => true,
            };
            let times = Times { begun: nanos(self.begun), now: nanos(self.clock.now()) };
            let message = metrics::message(&text(), &self.resource.attributes.0, times);
            // The sender logs failures; the next message has the same counters.
            let _ = self.sender.send(message.encode_to_vec()).await;
            if is_last {
                return;
            }
        }
    }
}

fn nanos(time: Timestamp) -> u64 {
    u64::try_from(time.unix_micros()).unwrap_or_default().saturating_mul(1_000)
}
