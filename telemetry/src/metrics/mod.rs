//! Metrics as messages. They are made of the text that `/metrics` answers, so both have the same metrics, with
//! the same names.

mod open_metrics;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
    ResourceMetrics, ScopeMetrics, Sum, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;

use open_metrics::{MetricFamily, Sample, families};

/// When counting began, and when the values were read: nanoseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) begun: u64,
    pub(crate) now: u64,
}

/// The message with the metrics of a text in the form of OpenMetrics 1.0.
pub(crate) fn message(
    text: &str,
    resource: &[KeyValue],
    times: Times,
) -> ExportMetricsServiceRequest {
    let metrics = families(text).into_iter().filter_map(|family| metric(&family, times)).collect();
    let scope = InstrumentationScope { name: "keyledger".to_owned(), ..Default::default() };
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(Resource { attributes: resource.to_vec(), ..Default::default() }),
            scope_metrics: vec![ScopeMetrics { scope: Some(scope), metrics, ..Default::default() }],
            ..Default::default()
        }],
    }
}

/// The metric of a family; `None` if it has no values, or is of another kind than the service uses.
fn metric(family: &MetricFamily<'_>, times: Times) -> Option<Metric> {
    let cumulative = AggregationTemporality::Cumulative.into();
    let numbers = |begun: u64| -> Vec<NumberDataPoint> {
        family
            .samples
            .iter()
            .filter_map(|sample| number(sample, Times { begun, ..times }))
            .collect()
    };
    let data = match family.kind {
        // The time when a gauge began means nothing.
        "gauge" => Data::Gauge(Gauge { data_points: numbers(0) }),
        "counter" => Data::Sum(Sum {
            data_points: numbers(times.begun),
            aggregation_temporality: cumulative,
            is_monotonic: true,
        }),
        "histogram" => Data::Histogram(Histogram {
            data_points: histograms(family, times),
            aggregation_temporality: cumulative,
        }),
        _ => return None,
    };
    let name = match family.kind {
        "counter" => format!("{}_total", family.name),
        _ => family.name.to_owned(),
    };
    // Units have the codes of UCUM.
    let unit = match family.unit {
        "seconds" => "s",
        "bytes" => "By",
        other => other,
    };
    (!family.samples.is_empty()).then(|| Metric {
        name,
        description: family.help.to_owned(),
        unit: unit.to_owned(),
        data: Some(data),
        ..Default::default()
    })
}

fn number(sample: &Sample<'_>, times: Times) -> Option<NumberDataPoint> {
    let value = match sample.value.parse() {
        Ok(whole) => number_data_point::Value::AsInt(whole),
        Err(_) => number_data_point::Value::AsDouble(sample.value.parse().ok()?),
    };
    Some(NumberDataPoint {
        attributes: attributes(&sample.labels),
        start_time_unix_nano: times.begun,
        time_unix_nano: times.now,
        value: Some(value),
        ..Default::default()
    })
}

/// The points of a histogram, one for each set of labels. The text counts all values up to each bound; a
/// point counts those between two bounds.
fn histograms(family: &MetricFamily<'_>, times: Times) -> Vec<HistogramDataPoint> {
    let mut points: Vec<HistogramDataPoint> = Vec::new();
    let mut below = 0;
    for sample in &family.samples {
        let (bound, labels): (Vec<_>, Vec<_>) =
            sample.labels.iter().cloned().partition(|(name, _)| *name == "le");
        let attributes = attributes(&labels);
        if points.last().is_none_or(|last| last.attributes != attributes) {
            below = 0;
            points.push(HistogramDataPoint {
                attributes,
                start_time_unix_nano: times.begun,
                time_unix_nano: times.now,
                ..Default::default()
            });
        }
        let Some(point) = points.last_mut() else { continue };
        match sample.name.strip_prefix(family.name) {
            Some("_sum") => point.sum = sample.value.parse().ok(),
            Some("_count") => point.count = sample.value.parse().unwrap_or_default(),
            Some("_bucket") => {
                let up_to: u64 = sample.value.parse().unwrap_or_default();
                point.bucket_counts.push(up_to.saturating_sub(below));
                below = up_to;
                // The last bucket has no bound.
                let bound = bound.first().and_then(|(_, bound)| bound.parse::<f64>().ok());
                point.explicit_bounds.extend(bound.filter(|bound| bound.is_finite()));
            }
            _ => {}
        }
    }
    points
}

fn attributes(labels: &[(&str, String)]) -> Vec<KeyValue> {
    let attribute = |(name, value): &(&str, String)| KeyValue {
        key: (*name).to_owned(),
        value: Some(AnyValue { value: Some(any_value::Value::StringValue(value.clone())) }),
        ..Default::default()
    };
    labels.iter().map(attribute).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use prometheus_client::encoding::text;
    use prometheus_client::metrics::counter::Counter;
    use prometheus_client::metrics::family::Family;
    use prometheus_client::metrics::gauge::Gauge as TextGauge;
    use prometheus_client::metrics::histogram::Histogram as TextHistogram;
    use prometheus_client::registry::{Registry, Unit};

    use super::*;

    const TIMES: Times = Times { begun: 5, now: 9 };

    /// The metrics of a registry, in the way of the service.
    fn sent(registry: &Registry) -> Vec<Metric> {
        let mut written = String::new();
        text::encode(&mut written, registry).unwrap();
        let mut message = message(&written, &[], TIMES);
        message.resource_metrics.remove(0).scope_metrics.remove(0).metrics
    }

    #[test]
    fn a_counter_is_a_sum_that_only_grows() {
        let mut registry = Registry::with_prefix("keyledger");
        let answers = Family::<[(&'static str, &'static str); 1], Counter>::default();
        answers.get_or_create(&[("code", "VALID")]).inc_by(3);
        registry.register("verifications", "Keys that were verified", answers);
        let metrics = sent(&registry);
        assert_eq!(metrics.len(), 1, "{metrics:?}");
        assert_eq!(metrics[0].name, "keyledger_verifications_total");
        assert_eq!(metrics[0].description, "Keys that were verified.");
        let Some(Data::Sum(sum)) = &metrics[0].data else { panic!("{metrics:?}") };
        assert!(sum.is_monotonic);
        assert_eq!(sum.aggregation_temporality(), AggregationTemporality::Cumulative);
        let point = &sum.data_points[0];
        assert_eq!(point.value, Some(number_data_point::Value::AsInt(3)));
        assert_eq!((point.start_time_unix_nano, point.time_unix_nano), (5, 9));
        assert_eq!(point.attributes, attributes(&[("code", "VALID".to_owned())]));
    }

    #[test]
    fn a_gauge_keeps_its_unit_and_its_fraction() {
        let mut registry = Registry::with_prefix("keyledger");
        let staleness = TextGauge::<f64, AtomicU64>::default();
        staleness.set(0.25);
        registry.register_with_unit("index_staleness", "Age", Unit::Seconds, staleness);
        let metrics = sent(&registry);
        assert_eq!(metrics[0].name, "keyledger_index_staleness_seconds");
        assert_eq!(metrics[0].unit, "s");
        let Some(Data::Gauge(gauge)) = &metrics[0].data else { panic!("{metrics:?}") };
        let value = gauge.data_points[0].value;
        assert_eq!(value, Some(number_data_point::Value::AsDouble(0.25)));
    }

    #[test]
    fn a_histogram_counts_the_values_between_its_bounds() {
        let mut registry = Registry::default();
        let lag = TextHistogram::new([1.0, 2.0]);
        for value in [0.5, 1.5, 1.75, 100.0] {
            lag.observe(value);
        }
        registry.register_with_unit("lag", "Lag", Unit::Seconds, lag);
        let metrics = sent(&registry);
        let Some(Data::Histogram(histogram)) = &metrics[0].data else { panic!("{metrics:?}") };
        let point = &histogram.data_points[0];
        assert_eq!(point.explicit_bounds, [1.0, 2.0]);
        assert_eq!(point.bucket_counts, [1, 2, 1]);
        assert_eq!((point.count, point.sum), (4, Some(103.75)));
    }

    #[test]
    fn a_family_without_values_is_left_out() {
        let mut registry = Registry::default();
        let none = Family::<[(&'static str, &'static str); 1], Counter>::default();
        registry.register("none", "Nothing", none);
        assert_eq!(sent(&registry), []);
    }
}
