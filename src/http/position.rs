//! Reading what was written: positions in headers, and the wait for them.

use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::HeaderValue;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use keyledger_domain::Position;
use keyledger_projections::Progress;

use super::problem::ApiError;
use super::wire;

/// How long a request waits for the read tables.
const WAIT: Duration = Duration::from_secs(2);

/// The position that the caller wants the answer to include.
pub(super) struct MinPosition(Option<Position>);

impl<S: Send + Sync> FromRequestParts<S> for MinPosition {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let Some(value) = parts.headers.get(wire::MIN_POSITION) else {
            return Ok(Self(None));
        };
        let number = value.to_str().ok().and_then(|text| text.parse::<u64>().ok());
        let position = number.and_then(|number| Position::try_from(number).ok());
        position.map(|position| Self(Some(position))).ok_or(ApiError::InvalidHeader {
            name: "Keyledger-Min-Position",
            expected: "a position, as Keyledger-Position tells one",
        })
    }
}

impl MinPosition {
    /// Waits until the read tables include the position; tells which they include now.
    pub(super) async fn reached(self, progress: &Progress) -> Result<Position, ApiError> {
        match self.0 {
            None => Ok(progress.current()),
            Some(position) => {
                progress.wait_for(position, WAIT).await.map_err(|_| ApiError::ReadBehind)
            }
        }
    }
}

/// Adds the position that a query's answer includes at least.
pub(super) fn at(position: Position, answer: impl IntoResponse) -> Response {
    let mut response = answer.into_response();
    response.headers_mut().insert(wire::POSITION, HeaderValue::from(position.as_u64()));
    response
}

/// Adds the position of what a command has written, once this node's read tables include it. When
/// they take too long, the answer says so: what was written stays written.
pub(super) async fn after(
    position: Position,
    progress: &Progress,
    answer: impl IntoResponse,
) -> Response {
    let lagging = progress.wait_for(position, WAIT).await.is_err();
    let mut response = at(position, answer);
    if lagging {
        tracing::warn!(%position, "read tables lag behind a command");
        response.headers_mut().insert(wire::LAGGING, HeaderValue::from_static("true"));
    }
    response
}
