//! The standard variables as users meet them.

use keyledger::config::OTEL_VARIABLES;
use tempfile::TempDir;

use super::collector::Collector;
use super::sending_to;
use crate::support::{Setup, keyledger, run};

/// What the service says of its configuration with these variables.
fn said(variables: &[(&str, &str)]) -> String {
    let folder = TempDir::new().unwrap();
    // A mistake, so that it never starts.
    let mut serve = keyledger(folder.path());
    serve.arg("serve").env("KEYLEDGER_LISTEN", "nowhere").envs(variables.iter().copied());
    let output = run(&mut serve);
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).unwrap()
}

#[keyledger_bounded::test]
fn mistakes_are_told_before_anything_is_started_and_no_value_is_repeated() {
    let told = said(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://user:hush@localhost:4318"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "hush"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "10s"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/no/such/hush"),
        ("OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY", "hush"),
        ("OTEL_TRACES_SAMPLER", "xray"),
        ("OTEL_TRACES_SAMPLER_ARG", "2"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "0"),
        ("OTEL_RESOURCE_ATTRIBUTES", "hush"),
    ]);
    for line in [
        "  OTEL_EXPORTER_OTLP_ENDPOINT: must have no user and no password",
        "  OTEL_EXPORTER_OTLP_PROTOCOL: only http/protobuf is spoken",
        "  OTEL_EXPORTER_OTLP_HEADERS: no list of name=value",
        "  OTEL_EXPORTER_OTLP_TRACES_TIMEOUT: must be a number of milliseconds from 1 to 600000",
        "  OTEL_EXPORTER_OTLP_COMPRESSION: messages are not compressed",
        "  OTEL_EXPORTER_OTLP_CERTIFICATE: the file cannot be read",
        "  OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY: client certificates are not supported",
        "  OTEL_TRACES_SAMPLER: none of always_on, always_off and traceidratio",
        "  OTEL_TRACES_SAMPLER_ARG: must be a number from 0 to 1",
        "  OTEL_METRIC_EXPORT_INTERVAL: must be a number of milliseconds from 100 to 3600000",
        "  OTEL_RESOURCE_ATTRIBUTES: no list of name=value",
    ] {
        assert_eq!(told.matches(line).count(), 1, "{line}: {told}");
    }
    assert!(!told.contains("hush"), "{told}");
    let told = said(&[
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "localhost:4317"),
        ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://localhost:4318/v1/metrics"),
        ("OTEL_METRICS_EXPORTER", "prometheus"),
    ]);
    for line in [
        "  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: no URL of a collector",
        "  OTEL_METRICS_EXPORTER: only otlp and none are known",
    ] {
        assert_eq!(told.matches(line).count(), 1, "{line}: {told}");
    }
}

#[keyledger_bounded::test]
fn what_a_platform_sets_for_others_is_no_mistake() {
    let others = [("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"), ("OTEL_TRACES_SAMPLER", "xray")];
    assert!(!said(&others).contains("OTEL"), "there is no endpoint");
    let off = [others[0], ("OTEL_EXPORTER_OTLP_ENDPOINT", "x"), ("OTEL_SDK_DISABLED", "TRUE")];
    assert!(!said(&off).contains("OTEL"), "it is off");
    let empty = [others[0], ("OTEL_EXPORTER_OTLP_ENDPOINT", "")];
    assert!(!said(&empty).contains("OTEL"), "empty is none");
}

#[keyledger_bounded::test]
async fn without_an_endpoint_nothing_of_it_runs() {
    let is_sending = |threads: &[String]| threads.iter().any(|name| name.starts_with("OpenTel"));
    let collector = Collector::start().await;
    let service = sending_to(&collector).start().ready().await;
    assert!(is_sending(&service.threads()), "{:?}", service.threads());
    let endpoint = format!("http://{}", collector.address);
    let off = [
        Setup::new(),
        Setup::new()
            .set("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)
            .set("OTEL_TRACES_EXPORTER", "none")
            .set("OTEL_METRICS_EXPORTER", "none"),
        Setup::new().set("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint).set("OTEL_SDK_DISABLED", "true"),
    ];
    for setup in off {
        let service = setup.start().ready().await;
        service.user("ann").create("quiet").await;
        assert!(!is_sending(&service.threads()), "{:?}", service.threads());
    }
}

#[keyledger_bounded::test]
fn the_table_in_the_reference_is_the_table_of_the_program() {
    let reference = include_str!("../../docs/reference.md");
    let rows: Vec<&str> = reference.lines().filter(|line| line.starts_with("| `OTEL_")).collect();
    let expected: Vec<String> = OTEL_VARIABLES
        .iter()
        .map(|variable| {
            let default = match variable.default {
                "" => String::new(),
                default => format!("`{default}`"),
            };
            format!("| `{}` | {default} | {} |", variable.name, variable.help)
        })
        .collect();
    assert_eq!(rows, expected);
}
