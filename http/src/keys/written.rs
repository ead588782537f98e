//! The answer to a command: sent when the reads of this node include what was written.

use axum::http::HeaderValue;
use axum::response::{IntoResponse, Response};
use keyledger_domain::Position;
use serde::Serialize;
use utoipa::ToSchema;

use crate::headers::LAGGING;
use crate::position::{WAIT, at};
use keyledger_node::History;

/// An answer that says no more than that it was done.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Success {
    /// Always true.
    success: bool,
}

impl Success {
    pub(super) const DONE: Self = Self { success: true };
}

/// The reads of this node that follow the journal.
#[derive(Clone, Debug)]
pub struct Followers {
    /// What this node has followed.
    pub history: History,
    /// Whether this node verifies keys.
    pub verifies: bool,
}

impl Followers {
    /// Waits until all reads include the position, for [`WAIT`] at most. Returns whether one of them
    /// still does not.
    async fn lag_behind(&self, position: Position) -> bool {
        let verification = async {
            if !self.verifies {
                return false;
            }
            let verification = self.history.verification();
            // An index that is still loading is not waited for, but must include the position too.
            let is_loaded = verification.index().is_some();
            let lags = is_loaded && self.history.verified().wait_for(position, WAIT).await.is_err();
            if lags || !is_loaded {
                // Until the index includes the position, this node must not verify any key.
                verification.owe(position);
            }
            lags
        };
        let tables = async { self.history.tables().wait_for(position, WAIT).await.is_err() };
        let (verification, tables) = tokio::join!(verification, tables);
        verification || tables
    }
}

/// Adds the position of what a command has written, once the reads of this node include it. If that
/// takes too long, the answer is sent and marked as lagging: the events are written, and a caller
/// who is told of a failure would try again.
pub(super) async fn after(
    position: Position,
    followers: &Followers,
    answer: impl IntoResponse,
) -> Response {
    let lagging = followers.lag_behind(position).await;
    let mut response = at(position, answer);
    if lagging {
        tracing::warn!(%position, "reads lag behind a command");
        response.headers_mut().insert(LAGGING, HeaderValue::from_static("true"));
    }
    response
}
