//! What happened to a key, from the journal itself.

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRef, State};
use keyledger_domain::key::{Lifecycle, fold};
use serde::Serialize;
use utoipa::ToSchema;

use super::caller::{Authenticator, SignedIn};
use super::commands::KeyPath;
use super::event::HistoryEvent;
use super::openapi::{Problems, QueryProblems};
use super::problem::ApiError;
use keyledger_journal::JournalReader;

/// What histories need.
#[derive(Clone, Debug)]
pub struct HistoryState {
    /// Who may come in.
    pub gate: Arc<Authenticator>,
    /// The events themselves.
    pub journal: Arc<dyn JournalReader>,
}

impl FromRef<HistoryState> for Arc<Authenticator> {
    fn from_ref(state: &HistoryState) -> Self {
        state.gate.clone()
    }
}

/// Show what happened to a key
///
/// Its owner may ask, and auditors; for a deleted key, auditors only.
#[utoipa::path(
    get, path = "/keys/{key_id}/history", tag = "keys",
    params(("key_id" = Uuid, Path)),
    responses(
        (status = 200, description = "The events, oldest first", body = History),
        Problems, QueryProblems,
    ),
    security(("cookie" = []), ("bearer" = [])),
)]
pub(super) async fn history(
    State(state): State<HistoryState>,
    SignedIn(caller): SignedIn,
    KeyPath(key_id): KeyPath,
) -> Result<Json<History>, ApiError> {
    let events = state.journal.read(key_id).await?;
    let key = fold(events.iter().map(|recorded| &recorded.event))?.ok_or(ApiError::KeyNotFound)?;
    if !caller.is_auditor {
        if matches!(key.lifecycle, Lifecycle::Deleted { .. }) {
            return Err(ApiError::KeyNotFound);
        }
        if key.owner != caller.user_id {
            return Err(ApiError::NotYoursToView);
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
