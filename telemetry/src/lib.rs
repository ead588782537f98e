//! Traces and metrics, sent to a collector in the OpenTelemetry protocol (OTLP) over HTTP.
//!
//! Spans are made with `tracing`. Those that have the field `otel.kind` are for traces; all others are for
//! the log. Without a collector, the former are disabled at their call sites, and nothing of this crate runs.

mod context;
mod export;
mod metrics;
mod sender;
mod settings;
mod spans;

pub use context::Traceparent;
pub use export::{Exporting, StartError};
pub use settings::{Collector, ExportSettings, MetricSettings, Sampler, TraceSettings};
pub use spans::{is_for_traces, traces_are_on};
