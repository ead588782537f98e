//! What changes keys: create, revoke, delete.

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRef, FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::response::Response;
use keyledger_domain::KeyId;
use keyledger_domain::key::{Command, DeleteKey, RevokeKey};
use uuid::Uuid;

use super::body::{CreateKeyBody, ReasonBody};
use super::caller::{Asking, Authenticator};
use super::openapi::{CommandProblems, Problems};
use super::position::{self, Followers};
use super::problem::ApiError;
use super::wire::{self, CreatedKey, Success};
use crate::commands::{Commands, NewKey};

/// What commands need.
#[derive(Clone, Debug)]
pub struct CommandState {
    /// Who may come in.
    pub gate: Arc<Authenticator>,
    /// The write side.
    pub commands: Arc<Commands>,
    /// What answers wait for.
    pub followers: Followers,
}

impl FromRef<CommandState> for Arc<Authenticator> {
    fn from_ref(state: &CommandState) -> Self {
        state.gate.clone()
    }
}

/// Create a key
///
/// The answer holds the key itself, this once. With `Idempotency-Key`, the same request creates
/// one key however often it is sent; a repetition answers 409 with the `key_id` of the first.
#[utoipa::path(
    post, path = "/keys", tag = "keys",
    params(("Idempotency-Key" = Option<String>, Header, nullable = false,
        description = "1 to 255 visible ASCII characters that name this request",
        min_length = 1, max_length = 255, pattern = "^[!-~]+$")),
    request_body = CreateKeyBody,
    responses(
        (status = 200, description = "The key, and its secret", body = CreatedKey,
            headers(("Keyledger-Position" = u64))),
        (status = 422, description = "The expiry is not in the future, there are two of them, or \
            the idempotency key was used for another request", body = super::problem::Problem,
            content_type = "application/problem+json"),
        CommandProblems,
    ),
    security(("cookie" = []), ("bearer" = [])),
)]
pub(super) async fn create(
    State(state): State<CommandState>,
    asking: Asking,
    IdempotencyKey(idempotency_key): IdempotencyKey,
    body: CreateKeyBody,
) -> Result<Response, ApiError> {
    let expires = body.expires();
    let new = NewKey {
        owner: asking.caller.user_id,
        owner_email: asking.caller.email,
        name: body.name,
        expires,
        idempotency_key,
    };
    let created = state.commands.create(new, &asking.origin).await?;
    let answer = Json(CreatedKey::new(&created.key, created.secret.expose()));
    Ok(position::after(created.position, &state.followers, answer).await)
}

/// Revoke a key
///
/// The key is refused from the moment of the answer, and stays in the list. Revoking a revoked
/// key succeeds.
#[utoipa::path(
    delete, path = "/keys/{key_id}", tag = "keys",
    params(("key_id" = Uuid, Path)),
    request_body(content = Option<ReasonBody>, content_type = "application/json"),
    responses(
        (status = 200, description = "The key is revoked", body = Success,
            headers(("Keyledger-Position" = u64))),
        Problems, CommandProblems,
    ),
    security(("cookie" = []), ("bearer" = [])),
)]
pub(super) async fn revoke(
    State(state): State<CommandState>,
    asking: Asking,
    KeyPath(key_id): KeyPath,
    ReasonBody { reason }: ReasonBody,
) -> Result<Response, ApiError> {
    let by = asking.origin.actor.clone();
    let command = Command::Revoke(RevokeKey { key_id, by, reason });
    state.carry_out(key_id, &command, &asking).await
}

/// Delete a key
///
/// The key is refused from the moment of the answer and is gone from the list. Its history stays,
/// for auditors.
#[utoipa::path(
    delete, path = "/keys/{key_id}/permanent", tag = "keys",
    params(("key_id" = Uuid, Path)),
    request_body(content = Option<ReasonBody>, content_type = "application/json"),
    responses(
        (status = 200, description = "The key is deleted", body = Success,
            headers(("Keyledger-Position" = u64))),
        Problems, CommandProblems,
    ),
    security(("cookie" = []), ("bearer" = [])),
)]
pub(super) async fn delete(
    State(state): State<CommandState>,
    asking: Asking,
    KeyPath(key_id): KeyPath,
    ReasonBody { reason }: ReasonBody,
) -> Result<Response, ApiError> {
    let by = asking.origin.actor.clone();
    let command = Command::Delete(DeleteKey { key_id, by, reason });
    state.carry_out(key_id, &command, &asking).await
}

impl CommandState {
    async fn carry_out(
        &self,
        key_id: KeyId,
        command: &Command,
        asking: &Asking,
    ) -> Result<Response, ApiError> {
        let done = self.commands.execute(key_id, command, &asking.origin).await?;
        let answer = Json(Success { success: true });
        Ok(position::after(done.position, &self.followers, answer).await)
    }
}

/// The key that a path names. What is no id names no key.
pub(super) struct KeyPath(pub(super) KeyId);

impl<S: Send + Sync> FromRequestParts<S> for KeyPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = Path::<Uuid>::from_request_parts(parts, state).await;
        path.map(|Path(id)| Self(KeyId::from_uuid(id))).map_err(|_| ApiError::KeyNotFound)
    }
}

/// The name that the caller gives to a request (draft-ietf-httpapi-idempotency-key-header): a
/// structured-field string, or the same without its quotes.
pub(super) struct IdempotencyKey(Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let mut values = parts.headers.get_all(wire::IDEMPOTENCY_KEY).iter();
        let Some(value) = values.next() else {
            return Ok(Self(None));
        };
        let text = value.to_str().ok().filter(|_| values.next().is_none());
        let bare = text.map(|text| {
            text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text)
        });
        let key = bare.filter(|bare| {
            (1..=255).contains(&bare.len()) && bare.bytes().all(|byte| byte.is_ascii_graphic())
        });
        key.map(|key| Self(Some(key.to_owned()))).ok_or(ApiError::InvalidHeader {
            name: "Idempotency-Key",
            expected: "1 to 255 visible ASCII characters, given once",
        })
    }
}
