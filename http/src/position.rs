//! Positions in answers: which events the answer includes, so that a later read can ask for them.

use std::time::Duration;

use axum::http::HeaderValue;
use axum::response::{IntoResponse, Response};
use keyledger_domain::Position;

use crate::headers::POSITION;

/// How long a request waits until the reads of this node include a position.
pub(crate) const WAIT: Duration = Duration::from_secs(2);

/// Adds `Keyledger-Position`: the answer includes every event up to this position, and may include
/// later ones.
pub(crate) fn at(position: Position, answer: impl IntoResponse) -> Response {
    let mut response = answer.into_response();
    response.headers_mut().insert(POSITION, HeaderValue::from(position.as_u64()));
    response
}
