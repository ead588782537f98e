//! `GET /metrics`, in the OpenMetrics text format.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use crate::metrics::Metrics;
use crate::problem::ApiError;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(super) async fn metrics(State(metrics): State<Metrics>) -> Result<Response, ApiError> {
    let text = metrics.text().map_err(|error| ApiError::Internal(error.to_string().into()))?;
    Ok(([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response())
}
