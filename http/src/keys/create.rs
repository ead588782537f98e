//! `POST /keys`

use axum::Json;
use axum::extract::{FromRequest, Request, State};
use axum::response::Response;
use keyledger_domain::key::{Key, KeyDetails};
use keyledger_domain::{KeyName, KeyNameError, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use super::state::CommandState;
use super::written;
use crate::extract::{CommandCaller, Creator, Fields, IdempotencyKey, parse, read_json, time};
use crate::problem::documented::{ClosedKeyProblem, CommandProblems};
use crate::problem::{ApiError, Problem};
use keyledger_commands::{Expiry, NewKey};

/// Create a key
///
/// The answer holds the key itself, this once. With `Idempotency-Key`, the same request creates
/// one key however often it is sent; a repetition answers 409 with the `key_id` of the first. A caller
/// who has as many keys as one may have gets 409 too, with the code `too_many_keys`.
#[utoipa::path(
    post, path = "/keys", tag = "keys",
    params(IdempotencyKey),
    request_body = CreateKeyBody,
    responses(
        (status = 200, description = "The key, and its secret", body = CreatedKey,
            headers(("Keyledger-Position" = u64))),
        (status = 422, description = "The expiry is not in the future, there are two of them, or \
            the idempotency key was used for another request", body = Problem,
            content_type = "application/problem+json"),
        ClosedKeyProblem, CommandProblems,
        (status = 403, description = "Creating keys needs a role that the caller does not have, or the \
            request is from another site", body = Problem, content_type = "application/problem+json"),
    ),
    security(("cookie" = []), ("bearer" = [])),
)]
pub(super) async fn create(
    State(state): State<CommandState>,
    Creator(CommandCaller { caller, origin }): Creator,
    IdempotencyKey(idempotency_key): IdempotencyKey,
    body: CreateKeyBody,
) -> Result<Response, ApiError> {
    let expires = body.expires();
    let new = NewKey {
        owner: caller.user_id,
        owner_email: caller.email,
        name: body.name,
        expires,
        idempotency_key,
    };
    if !state.owners.have_room(&new.owner, state.max_keys_per_owner).await {
        // What was created before is no new key.
        state.commands.refuse_replay(&new).await?;
        return Err(ApiError::TooManyKeys { most: state.max_keys_per_owner });
    }
    let created = state.commands.create(new, &origin).await?;
    let answer = Json(CreatedKey::new(&created.key, created.secret.expose()));
    Ok(written::after(created.position, &state.followers, answer).await)
}

/// The largest `expires_in_seconds`: 100 years.
const MAX_EXPIRES_IN_SECONDS: u32 = 3_155_760_000;

/// A key that is wanted.
#[derive(Debug, ToSchema)]
pub(crate) struct CreateKeyBody {
    /// What to call it; trimmed of white space at both ends.
    #[schema(
        value_type = String,
        min_length = 1,
        max_length = 100,
        pattern = r"^[^\u0000-\u001F\u007F-\u009F\u061C\u200E\u200F\u202A-\u202E\u2066-\u2069]*[^\s\u0000-\u001F\u007F-\u009F\u00AD\u034F\u061C\u115F\u1160\u17B4\u17B5\u180B-\u180F\u200B-\u200F\u202A-\u202E\u2060-\u206F\u2800\u3164\uFE00-\uFE0F\uFEFF\uFFA0\uFFF0-\uFFF8][^\u0000-\u001F\u007F-\u009F\u061C\u200E\u200F\u202A-\u202E\u2066-\u2069]*$"
    )]
    name: KeyName,
    /// From when on the key shall not verify.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// After how many seconds the key shall not verify, instead of `expires_at`.
    #[schema(format = Int64, minimum = 1, maximum = 3_155_760_000_u32)]
    expires_in_seconds: Option<u32>,
}

impl CreateKeyBody {
    fn expires(&self) -> Option<Expiry> {
        self.expires_at.map(Expiry::At).or(self.expires_in_seconds.map(Expiry::InSeconds))
    }
}

impl<S: Send + Sync> FromRequest<S> for CreateKeyBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let mut fields: Fields = parse(&read_json(request).await?)?;
        let name = fields.string("name")?;
        let expires_at = fields.string("expires_at")?;
        let seconds = "a whole number of seconds from 1 to 3155760000";
        let expires_in_seconds =
            fields.positive("expires_in_seconds", MAX_EXPIRES_IN_SECONDS, seconds)?;
        fields.finish()?;
        if expires_at.is_some() && expires_in_seconds.is_some() {
            return Err(ApiError::TwoExpiries);
        }
        let expires_at = expires_at.as_deref().map(|text| time("expires_at", text)).transpose()?;
        let name = KeyName::parse(&name.ok_or(KeyNameError::Required)?)?;
        Ok(Self { name, expires_at, expires_in_seconds })
    }
}

/// A key that was just made, with the secret that is shown this once.
#[derive(Serialize, ToSchema)]
struct CreatedKey<'a> {
    /// Always true.
    success: bool,
    #[schema(value_type = Uuid)]
    key_id: String,
    /// The beginning of the key, to recognise it by.
    #[schema(example = "orag_AbCdEfGh")]
    key_prefix: &'a str,
    name: &'a str,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    expires_at: Option<Timestamp>,
    /// The key itself. It is not stored and cannot be shown again.
    api_key: &'a str,
}

impl<'a> CreatedKey<'a> {
    fn new(key: &'a Key, api_key: &'a str) -> Self {
        // The owner asked for the key, and knows its owner and address. It is not imported.
        let KeyDetails {
            owner: _,
            owner_email: _,
            name,
            prefix,
            hash: _,
            expires_at,
            hash_function: _,
            source_id: _,
        } = &key.details;
        Self {
            success: true,
            key_id: key.id.to_string(),
            key_prefix: prefix.as_str(),
            name: name.as_str(),
            created_at: key.created_at,
            expires_at: *expires_at,
            api_key,
        }
    }
}
