//! `GET /metrics`, in the text format of OpenMetrics, or in the older one of Prometheus.

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};

use super::problems::TokenProblem;
use crate::extract::accepts;
use crate::metrics::{Metrics, plain};
use crate::problem::ApiError;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PLAIN: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Show the metrics
///
/// In the text format of OpenMetrics 1.0. A caller whose `Accept` names `text/plain` and not OpenMetrics gets
/// the older text format of Prometheus.
#[utoipa::path(
    get, path = "/metrics", tag = "operations",
    responses(
        (status = 200, description = "The metrics", content(
            (String = "application/openmetrics-text; version=1.0.0; charset=utf-8"),
            (String = "text/plain; version=0.0.4; charset=utf-8"),
        )),
        TokenProblem,
    ),
    security((), ("bearer" = []), ("token" = [])),
)]
pub(super) async fn metrics(
    State(metrics): State<Metrics>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let text = metrics.text().map_err(|error| ApiError::Internal(error.to_string().into()))?;
    let reads_open_metrics = accepts(&headers, "application/openmetrics-text");
    let answer = if accepts(&headers, "text/plain") && !reads_open_metrics {
        ([(header::CONTENT_TYPE, PLAIN)], plain(&text))
    } else {
        ([(header::CONTENT_TYPE, OPEN_METRICS)], text)
    };
    Ok(answer.into_response())
}
