//! The last checkpoint, for everyone.

use axum::extract::State;

use super::TreeState;
use crate::http::openapi::NoCheckpoint;
use crate::http::problem::ApiError;

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
pub(super) async fn checkpoint(State(state): State<TreeState>) -> Result<String, ApiError> {
    let signed = state.tree.last_signed().await?;
    signed.map(|signed| signed.note).ok_or(ApiError::NoCheckpoint)
}
