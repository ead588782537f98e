//! Reading what was written: positions in headers, and the wait for them.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use keyledger_domain::Position;
use keyledger_verifier::Verification;

use super::problem::ApiError;
use super::wire;
use crate::node::Progress;

/// How long a request waits for what is read.
pub(super) const WAIT: Duration = Duration::from_secs(2);

/// The position that the caller wants the answer to include.
pub(super) fn min_position(headers: &HeaderMap) -> Result<Option<Position>, ApiError> {
    let Some(value) = headers.get(wire::MIN_POSITION) else {
        return Ok(None);
    };
    let position = value.to_str().ok().and_then(|text| text.parse().ok());
    position.map(Some).ok_or(ApiError::InvalidHeader {
        name: "Keyledger-Min-Position",
        expected: "a position, as Keyledger-Position tells one",
    })
}

/// The same, as a part of a request.
pub(super) struct MinPosition(Option<Position>);

impl<S: Send + Sync> FromRequestParts<S> for MinPosition {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        min_position(&parts.headers).map(Self)
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

/// What of this node is to include what a command has written, before its answer is sent.
#[derive(Clone, Debug)]
pub struct Followers {
    /// The read tables.
    pub tables: Progress,
    /// The index of keys; not there on a node that does not verify, or not yet.
    pub verification: Arc<OnceLock<Verification>>,
    /// How far that index has come.
    pub verified: Progress,
}

impl Followers {
    /// Waits until all of it includes the position; tells whether that took too long.
    async fn lag_behind(&self, position: Position) -> bool {
        let verification = async {
            let Some(verification) = self.verification.get() else { return false };
            let lags = self.verified.wait_for(position, WAIT).await.is_err();
            if lags {
                // Until it does, this node says nothing of any key.
                verification.freshness.owe(position);
            }
            lags
        };
        let tables = async { self.tables.wait_for(position, WAIT).await.is_err() };
        let (verification, tables) = tokio::join!(verification, tables);
        verification || tables
    }
}

/// Adds the position of what a command has written, once this node's reads include it. When they
/// take too long, the answer says so: what was written stays written.
pub(super) async fn after(
    position: Position,
    followers: &Followers,
    answer: impl IntoResponse,
) -> Response {
    let lagging = followers.lag_behind(position).await;
    let mut response = at(position, answer);
    if lagging {
        tracing::warn!(%position, "reads lag behind a command");
        response.headers_mut().insert(wire::LAGGING, HeaderValue::from_static("true"));
    }
    response
}
