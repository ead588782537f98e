//! The standard variables of OpenTelemetry: which traces and metrics are sent, and where to. A test compares
//! the table in docs/reference.md with the one here.
//!
//! They are looked at only when an endpoint is set, since a platform may set the others for every program.
//! As the standard says, an empty value counts as none.

mod values;

use std::collections::BTreeMap;
use std::time::Duration;

use keyledger_telemetry::{Collector, ExportSettings, MetricSettings, TraceSettings};
use uuid::Uuid;

use super::parse::Reader;

/// A variable of OpenTelemetry that is read here.
#[derive(Clone, Copy, Debug)]
pub struct OtelVariable {
    /// Its name; `_TRACES` or `_METRICS` after `OTLP` makes it one of that signal, where that is said.
    pub name: &'static str,
    /// The default value; empty if there is none.
    pub default: &'static str,
    /// What it is for.
    pub help: &'static str,
}

/// A row of the table.
const fn variable(name: &'static str, default: &'static str, help: &'static str) -> OtelVariable {
    OtelVariable { name, default, help }
}

/// All that are read here, in the order in which docs/reference.md shows them.
#[rustfmt::skip]
pub const OTEL_VARIABLES: &[OtelVariable] = &[
    variable("OTEL_EXPORTER_OTLP_ENDPOINT", "",
        "URL of the collector, such as http://localhost:4318; v1/traces and v1/metrics are added; none: nothing is sent"),
    variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "",
        "The whole URL that traces are sent to, instead; _METRICS_ENDPOINT is that of metrics"),
    variable("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf",
        "Only http/protobuf; also _TRACES_PROTOCOL, _METRICS_PROTOCOL"),
    variable("OTEL_EXPORTER_OTLP_HEADERS", "",
        "Headers of every request, as name=value, separated by commas, percent-encoded; also _TRACES_HEADERS, _METRICS_HEADERS"),
    variable("OTEL_EXPORTER_OTLP_TIMEOUT", "10000",
        "Milliseconds that sending one message may take, with all attempts: 1 to 600000; also _TRACES_TIMEOUT, _METRICS_TIMEOUT"),
    variable("OTEL_EXPORTER_OTLP_CERTIFICATE", "",
        "File of PEM certificates to trust besides those of the system; also _TRACES_CERTIFICATE, _METRICS_CERTIFICATE"),
    variable("OTEL_EXPORTER_OTLP_COMPRESSION", "none",
        "Only none; also _TRACES_COMPRESSION, _METRICS_COMPRESSION"),
    variable("OTEL_TRACES_EXPORTER", "otlp",
        "otlp, or none: no traces are sent"),
    variable("OTEL_METRICS_EXPORTER", "otlp",
        "otlp, or none: no metrics are sent"),
    variable("OTEL_METRIC_EXPORT_INTERVAL", "60000",
        "Milliseconds between two messages with metrics: 100 to 3600000"),
    variable("OTEL_TRACES_SAMPLER", "parentbased_always_on",
        "Which traces are recorded: always_on, always_off, traceidratio, or one of these after parentbased_"),
    variable("OTEL_TRACES_SAMPLER_ARG", "1",
        "The part of traces that traceidratio records: 0 to 1"),
    variable("OTEL_SERVICE_NAME", "keyledger",
        "The attribute service.name"),
    variable("OTEL_RESOURCE_ATTRIBUTES", "",
        "More attributes of this process, as name=value, separated by commas, percent-encoded"),
    variable("OTEL_SDK_DISABLED", "false",
        "true: nothing is sent"),
];

/// The variables of the environment that have a value.
pub(super) struct Variables(BTreeMap<String, String>);

impl Variables {
    pub(super) fn of_environment() -> Self {
        Self::from_iter(std::env::vars_os().filter_map(|(name, value)| {
            let name = name.into_string().ok().filter(|name| name.starts_with("OTEL_"))?;
            Some((name, value.to_string_lossy().into_owned()))
        }))
    }

    /// Reads a variable.
    fn read<T>(
        &self,
        name: &str,
        mistakes: &mut Reader<'_>,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let parsed = parse(self.0.get(name)?);
        parsed.map_err(|why| mistakes.mistake(&format!("{name}: {why}"))).ok()
    }

    /// Reads a variable of a signal or, if it is not there, that of all signals.
    fn of_signal<T>(
        &self,
        signal: &Signal,
        name: &str,
        mistakes: &mut Reader<'_>,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let own = format!("OTEL_EXPORTER_OTLP_{}_{name}", signal.name);
        let any = format!("OTEL_EXPORTER_OTLP_{name}");
        let name = if self.0.contains_key(&own) { own } else { any };
        self.read(&name, mistakes, parse)
    }
}

impl FromIterator<(String, String)> for Variables {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(all: I) -> Self {
        let trimmed = all.into_iter().map(|(name, value)| (name, value.trim().to_owned()));
        Self(trimmed.filter(|(_, value)| !value.is_empty()).collect())
    }
}

/// A kind of what is sent.
struct Signal {
    /// As names of variables have it.
    name: &'static str,
    /// What is added to the endpoint of all signals.
    path: &'static str,
}

impl Signal {
    /// The variables of its endpoint: its own, and that of all signals.
    fn endpoints(&self) -> [String; 2] {
        let own = format!("OTEL_EXPORTER_OTLP_{}_ENDPOINT", self.name);
        [own, "OTEL_EXPORTER_OTLP_ENDPOINT".to_owned()]
    }
}

const TRACES: Signal = Signal { name: "TRACES", path: "v1/traces" };
const METRICS: Signal = Signal { name: "METRICS", path: "v1/metrics" };

/// What is to be sent; `None` if nothing is.
pub(super) fn export(variables: &Variables, mistakes: &mut Reader<'_>) -> Option<ExportSettings> {
    // The standard takes any other value for false.
    if variables.0.get("OTEL_SDK_DISABLED").is_some_and(|it| it.eq_ignore_ascii_case("true")) {
        return None;
    }
    let is_set = |name: &String| variables.0.contains_key(name);
    if ![&TRACES, &METRICS].iter().any(|signal| signal.endpoints().iter().any(is_set)) {
        return None;
    }
    let traces = collector(&TRACES, variables, mistakes);
    let ratio = variables.read("OTEL_TRACES_SAMPLER_ARG", mistakes, values::ratio).unwrap_or(1.0);
    let sampler = |name: &str| values::sampler(name, ratio);
    let sampler = variables.read("OTEL_TRACES_SAMPLER", mistakes, sampler);
    let sampler = sampler.unwrap_or_else(values::default_sampler);
    let metrics = collector(&METRICS, variables, mistakes);
    let interval = values::millis(100, 3_600_000);
    let interval = variables.read("OTEL_METRIC_EXPORT_INTERVAL", mistakes, interval);
    let interval = interval.unwrap_or(Duration::from_secs(60));
    let settings = ExportSettings {
        traces: traces.map(|to| TraceSettings { to, sampler }),
        metrics: metrics.map(|to| MetricSettings { to, interval }),
        resource: resource(variables, mistakes),
    };
    (settings.traces.is_some() || settings.metrics.is_some()).then_some(settings)
}

/// Where a signal is sent to; `None` if it is not sent.
fn collector(
    signal: &Signal,
    variables: &Variables,
    mistakes: &mut Reader<'_>,
) -> Option<Collector> {
    let [own, all] = signal.endpoints();
    if !variables.0.contains_key(&own) && !variables.0.contains_key(&all) {
        return None;
    }
    let exporter = format!("OTEL_{}_EXPORTER", signal.name);
    if variables.read(&exporter, mistakes, values::is_sent) == Some(false) {
        return None;
    }
    let url = if variables.0.contains_key(&own) {
        variables.read(&own, mistakes, values::url)
    } else {
        variables.read(&all, mistakes, |value| values::url_with(value, signal.path))
    };
    variables.of_signal(signal, "PROTOCOL", mistakes, values::protocol);
    variables.of_signal(signal, "COMPRESSION", mistakes, values::compression);
    for name in ["CLIENT_KEY", "CLIENT_CERTIFICATE"] {
        variables.of_signal(signal, name, mistakes, values::unsupported);
    }
    let headers = variables.of_signal(signal, "HEADERS", mistakes, values::headers);
    let timeout = variables.of_signal(signal, "TIMEOUT", mistakes, values::millis(1, 600_000));
    let roots = variables.of_signal(signal, "CERTIFICATE", mistakes, values::certificates);
    Some(Collector {
        url: url?,
        headers: headers.unwrap_or_default(),
        timeout: timeout.unwrap_or(Duration::from_secs(10)),
        roots: roots.unwrap_or_default(),
    })
}

/// The attributes of this process. Without an id of its own, the metrics of several nodes would be taken for
/// those of one.
fn resource(variables: &Variables, mistakes: &mut Reader<'_>) -> Vec<(String, String)> {
    let given = variables.read("OTEL_RESOURCE_ATTRIBUTES", mistakes, values::pairs);
    let mut attributes: BTreeMap<String, String> = [
        ("service.name".to_owned(), "keyledger".to_owned()),
        ("service.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        ("service.instance.id".to_owned(), random_id().to_string()),
    ]
    .into();
    attributes.extend(given.unwrap_or_default());
    if let Some(name) = variables.0.get("OTEL_SERVICE_NAME") {
        attributes.insert("service.name".to_owned(), name.clone());
    }
    attributes.into_iter().collect()
}

fn random_id() -> Uuid {
    use rand::RngExt;
    let mut random = rand::rand_core::UnwrapErr(rand::rngs::SysRng);
    uuid::Builder::from_random_bytes(random.random()).into_uuid()
}
