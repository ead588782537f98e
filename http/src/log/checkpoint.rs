//! `GET /audit/checkpoint`

use std::collections::BTreeMap;

use axum::extract::State;
use utoipa::IntoResponses;
use utoipa::openapi::{RefOr, Response};

use super::state::LogRoutesState;
use crate::problem::ApiError;
use crate::problem::documented::problems;

/// Show the last signed checkpoint
///
/// A C2SP signed note. Keep it: what is shown later must continue it.
#[utoipa::path(
    get, path = "/audit/checkpoint", tag = "audit",
    responses(
        (status = 200, description = "The signed note", body = String, content_type = "text/plain"),
        NoCheckpoint,
    ),
)]
pub(super) async fn checkpoint(State(state): State<LogRoutesState>) -> Result<String, ApiError> {
    let signed = state.tree.last_signed().await?;
    signed.map(|signed| signed.note).ok_or(ApiError::NoCheckpoint)
}

/// The problems of those who ask for the checkpoint; anyone may.
struct NoCheckpoint;

impl IntoResponses for NoCheckpoint {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&[
            ("404", "No checkpoint was signed yet"),
            ("503", "Not possible now; `Retry-After` tells when to try again"),
        ])
    }
}
