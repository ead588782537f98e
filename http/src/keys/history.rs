//! `GET /keys/{key_id}/history`

use axum::Json;
use axum::extract::State;
use keyledger_domain::key::{Lifecycle, fold};
use keyledger_journal::ReadError;
use serde::Serialize;
use utoipa::ToSchema;

use super::state::HistoryState;
use crate::event::HistoryEvent;
use crate::extract::{KeyPath, SignedIn};
use crate::problem::ApiError;
use crate::problem::documented::{ClosedKeyProblem, KeyProblems, QueryProblems};

/// Show what happened to a key
///
/// Its owner may ask, and auditors; for a deleted key, auditors only.
#[utoipa::path(
    get, path = "/keys/{key_id}/history", tag = "keys",
    params(KeyPath),
    responses(
        (status = 200, description = "The events, oldest first", body = History),
        KeyProblems, ClosedKeyProblem, QueryProblems,
    ),
    security(("cookie" = []), ("bearer" = [])),
)]
pub(super) async fn history(
    State(state): State<HistoryState>,
    SignedIn(caller): SignedIn,
    KeyPath(key_id): KeyPath,
) -> Result<Json<History>, ApiError> {
    let events = match state.journal.read(key_id).await {
        Err(ReadError::Closed(_) | ReadError::Undecodable { .. }) => {
            if !caller.is_auditor {
                state.owners.check(key_id, &caller.user_id, "view").await?;
            }
            return Err(ApiError::KeyClosed);
        }
        events => events?,
    };
    let key = fold(events.iter().map(|recorded| &recorded.event))?.ok_or(ApiError::KeyNotFound)?;
    if !caller.is_auditor {
        if matches!(key.lifecycle, Lifecycle::Deleted { .. }) {
            return Err(ApiError::KeyNotFound);
        }
        if key.details.owner != caller.user_id {
            return Err(ApiError::NotAuthorized { to: "view" });
        }
    }
    let events = events.into_iter().map(HistoryEvent::from).collect();
    Ok(Json(History { success: true, events }))
}

/// All that happened to a key, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct History {
    /// Always true.
    success: bool,
    events: Vec<HistoryEvent>,
}
