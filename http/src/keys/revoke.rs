//! `DELETE /keys/{key_id}`

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use keyledger_commands::CommandError;
use keyledger_domain::key::{Command, RevokeKey};

use super::reason::ReasonBody;
use super::state::CommandState;
use super::written::{self, Success};
use crate::extract::{CommandCaller, KeyPath};
use crate::problem::ApiError;
use crate::problem::documented::{CommandProblems, KeyProblems};

/// Revoke a key
///
/// The key is refused from the moment of the answer, and stays in the list. Revoking a key that is
/// revoked, or closed, succeeds.
#[utoipa::path(
    delete, path = "/keys/{key_id}", tag = "keys",
    params(KeyPath),
    request_body(
        content = ref("#/components/schemas/ReasonBody"),
        content_type = "application/json",
    ),
    responses(
        (status = 200, description = "The key is revoked", body = Success,
            headers(("Keyledger-Position" = u64))),
        KeyProblems, CommandProblems,
    ),
    security(("cookie" = []), ("bearer" = [])),
)]
pub(super) async fn revoke(
    State(state): State<CommandState>,
    CommandCaller { origin, .. }: CommandCaller,
    KeyPath(key_id): KeyPath,
    ReasonBody { reason }: ReasonBody,
) -> Result<Response, ApiError> {
    let by = origin.actor.clone();
    let command = Command::Revoke(RevokeKey { key_id, by, reason });
    let position = match state.commands.execute(key_id, &command, &origin).await {
        Ok(done) => done.position,
        // The key is refused already, on each node that has come so far.
        Err(CommandError::Closed(_)) => {
            state.owners.check(key_id, &origin.actor, "revoke").await?;
            state.commands.head().await?
        }
        Err(error) => return Err(error.into()),
    };
    Ok(written::after(position, &state.followers, Json(Success::DONE)).await)
}
