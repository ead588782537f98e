//! What is sent, and where to.

use std::time::Duration;

pub use opentelemetry_sdk::trace::Sampler;
use reqwest::header::HeaderMap;
use reqwest::{Certificate, Url};

/// What is sent to collectors.
#[derive(Debug)]
pub struct ExportSettings {
    /// How traces are sent; `None` if they are not.
    pub traces: Option<TraceSettings>,
    /// How metrics are sent; `None` if they are not.
    pub metrics: Option<MetricSettings>,
    /// The attributes of this process, such as `service.name`.
    pub resource: Vec<(String, String)>,
}

/// How traces are sent.
#[derive(Debug)]
pub struct TraceSettings {
    /// Where to.
    pub to: Collector,
    /// Which traces are sent.
    pub sampler: Sampler,
}

/// How metrics are sent.
#[derive(Debug)]
pub struct MetricSettings {
    /// Where to.
    pub to: Collector,
    /// How often.
    pub interval: Duration,
}

/// Where one signal is sent to.
#[derive(Debug)]
pub struct Collector {
    /// The whole URL, with the path of the signal.
    pub url: Url,
    /// Headers of every request. Their values may be secrets, and are marked so.
    pub headers: HeaderMap,
    /// How long one message may take, with all attempts.
    pub timeout: Duration,
    /// Certificates to trust besides those of the system.
    pub roots: Vec<Certificate>,
}
