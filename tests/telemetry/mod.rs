//! Traces and metrics, as a collector receives them.

mod collector;
mod metrics;
mod outages;
mod secrecy;
mod settings;
mod tls;
mod traces;

use collector::Collector;

use crate::support::Setup;

/// A service that sends to this collector soon.
fn sending_to(collector: &Collector) -> Setup {
    Setup::new()
        .set("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://{}", collector.address))
        .set("OTEL_BSP_SCHEDULE_DELAY", "50")
        .set("OTEL_METRIC_EXPORT_INTERVAL", "100")
}
