//! `DELETE /keys/{key_id}/permanent`

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use keyledger_commands::CommandError;
use keyledger_domain::key::{Command, DeleteKey};

use super::reason::ReasonBody;
use super::state::CommandState;
use super::written::{self, Success};
use crate::extract::{CommandCaller, KeyPath};
use crate::problem::ApiError;
use crate::problem::documented::{ClosedKeyProblem, CommandProblems, KeyProblems};

/// Delete a key
///
/// The key is refused from the moment of the answer and is gone from the list. Its history stays,
/// for auditors.
#[utoipa::path(
    delete, path = "/keys/{key_id}/permanent", tag = "keys",
    params(KeyPath),
    request_body(
        content = ref("#/components/schemas/ReasonBody"),
        content_type = "application/json",
    ),
    responses(
        (status = 200, description = "The key is deleted", body = Success,
            headers(("Keyledger-Position" = u64))),
        KeyProblems, ClosedKeyProblem, CommandProblems,
    ),
    security(("cookie" = []), ("bearer" = [])),
)]
pub(super) async fn delete(
    State(state): State<CommandState>,
    CommandCaller { origin, .. }: CommandCaller,
    KeyPath(key_id): KeyPath,
    ReasonBody { reason }: ReasonBody,
) -> Result<Response, ApiError> {
    let by = origin.actor.clone();
    let command = Command::Delete(DeleteKey { key_id, by, reason });
    let done = match state.commands.execute(key_id, &command, &origin).await {
        Err(error @ CommandError::Closed(_)) => {
            state.owners.check(key_id, &origin.actor, "delete").await?;
            return Err(error.into());
        }
        done => done?,
    };
    Ok(written::after(done.position, &state.followers, Json(Success::DONE)).await)
}
