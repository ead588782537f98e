//! The metrics that are sent are those of `/metrics`.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{Metric, NumberDataPoint};
use serde_json::json;

use super::collector::{Collector, value as value_in};
use super::sending_to;
use crate::support::wait::until;

/// Metrics whose values change while nobody does anything.
const RESTLESS: [&str; 1] = ["keyledger_index_staleness_seconds"];

/// The lines of `/metrics`: each name with its labels, and its value.
fn shown(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.rsplit_once(' ').unwrap()).map(row).collect()
}

fn row((name, value): (&str, &str)) -> (String, f64) {
    let is_restless = RESTLESS.contains(&name);
    (name.to_owned(), if is_restless { 0.0 } else { value.parse().unwrap() })
}

/// Metrics that were sent, as lines of `/metrics`.
fn sent(metrics: &[Metric]) -> BTreeMap<String, f64> {
    let mut rows = BTreeMap::new();
    let mut number = |name: &str, point: &NumberDataPoint| {
        let value = match point.value.unwrap() {
            Value::AsInt(whole) => whole.to_string(),
            Value::AsDouble(number) => number.to_string(),
        };
        let labels = point
            .attributes
            .iter()
            .map(|label| format!("{}=\"{}\"", label.key, value_in(&point.attributes, &label.key)));
        let labels = labels.collect::<Vec<_>>().join(",");
        let name = if labels.is_empty() { name.to_owned() } else { format!("{name}{{{labels}}}") };
        rows.extend([row((&name, &value))]);
    };
    for metric in metrics {
        match metric.data.as_ref().unwrap() {
            Data::Gauge(gauge) => gauge.data_points.iter().for_each(|it| number(&metric.name, it)),
            Data::Sum(sum) => sum.data_points.iter().for_each(|it| number(&metric.name, it)),
            Data::Histogram(histogram) => {
                let [point] = &*histogram.data_points else { panic!("{histogram:?}") };
                let name = &metric.name;
                let whole = |count: u64| NumberDataPoint {
                    value: Some(Value::AsInt(count.try_into().unwrap())),
                    ..Default::default()
                };
                let sum = Some(Value::AsDouble(point.sum.unwrap()));
                number(
                    &format!("{name}_sum"),
                    &NumberDataPoint { value: sum, ..Default::default() },
                );
                number(&format!("{name}_count"), &whole(point.count));
                let bounds = point.explicit_bounds.iter().map(ToString::to_string);
                let bounds = bounds.chain(["+Inf".to_owned()]);
                let mut below = 0;
                for (bound, count) in bounds.zip(&point.bucket_counts) {
                    below += count;
                    number(&format!("{name}_bucket{{le=\"{bound}\"}}"), &whole(below));
                }
            }
            Data::ExponentialHistogram(_) | Data::Summary(_) => panic!("{metric:?}"),
        }
    }
    rows
}

#[keyledger_bounded::test]
async fn the_metrics_that_are_sent_are_those_that_are_shown() {
    let collector = Collector::start().await;
    let setup = sending_to(&collector)
        .set("OTEL_TRACES_EXPORTER", "none")
        .set("OTEL_SERVICE_NAME", "keys of the shop")
        .set(
            "OTEL_RESOURCE_ATTRIBUTES",
            "deployment.environment.name=caf%C3%A9,service.instance.id=a",
        )
        .set("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Bearer%20of%20the%20test,x-tenant=7");
    let service = setup.start().ready().await;
    let ann = service.user("ann");
    let created = ann.post("/keys", &json!({ "name": "deploy" })).await;
    let created = created.expect_status(200).json();
    for _ in 0..3 {
        let answer = service.gateway().post("/verify", &json!({ "key": created["api_key"] })).await;
        answer.expect_status(200);
    }
    ann.delete(&format!("/keys/{}", created["key_id"].as_str().unwrap())).await.expect_status(200);
    service.metric_is("keyledger_uses_waiting", 0).await;

    let metrics = until("the same metrics", async || {
        let shown = shown(&service.gateway().get("/metrics").await.text);
        let metrics = collector.metrics();
        let sent = sent(&metrics);
        if shown == sent { Ok(metrics) } else { Err(format!("shown {shown:?}, sent {sent:?}")) }
    })
    .await;
    let rows = sent(&metrics);
    assert_eq!(rows["keyledger_verifications_total{code=\"VALID\"}"], 3.0);
    assert_eq!(rows["keyledger_revocation_lag_seconds_count"], 1.0);
    let named = |name: &str| metrics.iter().find(|metric| metric.name == name).unwrap();
    assert_eq!(named("keyledger_revocation_lag_seconds").unit, "s");
    assert!(!named("keyledger_ready").description.is_empty());
    let Some(Data::Sum(sum)) = &named("keyledger_verifications_total").data else { panic!() };
    let point = &sum.data_points[0];
    assert!(sum.is_monotonic && point.start_time_unix_nano < point.time_unix_nano, "{point:?}");
    assert!(point.start_time_unix_nano > 1_700_000_000_000_000_000, "{point:?}");

    let resource = collector.resource();
    assert_eq!(value_in(&resource, "service.name"), "keys of the shop");
    assert_eq!(value_in(&resource, "deployment.environment.name"), "café");
    assert_eq!(value_in(&resource, "service.instance.id"), "a");
    let (_, headers) = collector.everything();
    for headers in headers {
        assert_eq!(headers["authorization"], "Bearer of the test");
        assert_eq!(headers["x-tenant"], "7");
    }
    assert!(collector.spans().is_empty(), "traces are off");
}
