//! `POST /introspect`: whether a key is valid, as token introspection (RFC 7662), which OAuth resource
//! servers use.

use std::borrow::Cow;
use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use keyledger_domain::KeyId;
use keyledger_verifier::{KeyRecord, Outcome, Owner, RecordBuffer};
use serde::Serialize;
use utoipa::openapi::{RefOr, Response as DocumentedResponse};
use utoipa::{IntoResponses, ToSchema};

use super::problems::verification_problems;
use super::state::VerificationState;
use crate::extract::{self, MinPosition, min_position};
use crate::problem::ApiError;

/// Verify a key by token introspection
///
/// RFC 7662, for OAuth resource servers. The key is the token.
#[utoipa::path(
    post, path = "/introspect", tag = "verification",
    params(MinPosition),
    request_body(
        content = IntrospectionForm,
        content_type = "application/x-www-form-urlencoded",
    ),
    responses(
        (status = 200, description = "Whether the key is good, and whose it is",
            body = Introspection),
        IntrospectProblems,
    ),
    security((), ("bearer" = []), ("token" = [])),
)]
pub(super) async fn introspect(
    State(state): State<&'static VerificationState>,
    request: Request,
) -> Result<Response, ApiError> {
    let position = min_position(request.headers())?;
    let bytes = extract::read_form(request).await?;
    let token = token(&bytes)?;
    state.reach(position).await?;
    let mut buffer = RecordBuffer::new();
    let answer = match state.verify(&token, &mut buffer)? {
        Outcome::Valid(key) => Json(Introspection::from(key)).into_response(),
        // The answer must not say more about a token that is not active (section 2.2).
        Outcome::Refused(_) => Json(Introspection::default()).into_response(),
    };
    Ok(([(header::CACHE_CONTROL, "no-store")], answer).into_response())
}

/// The parameter `token`, which is given once. Other parameters, such as `token_type_hint`, are ignored.
fn token(bytes: &[u8]) -> Result<Cow<'_, str>, ApiError> {
    let mut tokens =
        form_urlencoded::parse(bytes).filter(|(name, _)| name == "token").map(|(_, value)| value);
    match (tokens.next(), tokens.next()) {
        (Some(token), None) => Ok(token),
        (None, _) => Err(ApiError::TokenRequired),
        (Some(_), Some(_)) => {
            Err(ApiError::InvalidParameter { name: "token", expected: "given once" })
        }
    }
}

/// The problems of this endpoint.
struct IntrospectProblems;

impl IntoResponses for IntrospectProblems {
    fn responses() -> BTreeMap<String, RefOr<DocumentedResponse>> {
        verification_problems([
            ApiError::TokenRequired,
            ApiError::InvalidParameter { name: "", expected: "" },
            ApiError::BodyIncomplete,
            ApiError::BodyTooLarge,
            ApiError::FormRequired,
        ])
    }
}

/// Which key to verify. Other fields are ignored.
#[derive(ToSchema)]
#[expect(dead_code, reason = "this is the form of what `token` reads")]
struct IntrospectionForm {
    /// The whole key, as its holder sent it.
    token: String,
    /// Ignored.
    #[schema(nullable = false)]
    token_type_hint: Option<String>,
}

/// What is known of a key. All but `active` is absent unless the key is good.
#[derive(Default, Serialize, ToSchema)]
struct Introspection<'a> {
    /// Whether the key is good.
    active: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "api_key")]
    token_type: Option<&'static str>,
    /// The key's owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false)]
    sub: Option<Owner<'a>>,
    /// The owner's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    username: Option<&'a str>,
    /// The key's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Uuid>, nullable = false)]
    jti: Option<KeyId>,
    /// When the key was created, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    iat: Option<i64>,
    /// From when on the key does not verify, in seconds since 1970; absent when it does not expire.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    exp: Option<i64>,
}

impl<'a> From<KeyRecord<'a>> for Introspection<'a> {
    fn from(key: KeyRecord<'a>) -> Self {
        Self {
            active: true,
            token_type: Some("api_key"),
            sub: Some(key.owner),
            username: key.owner_email,
            jti: Some(key.key_id),
            iat: Some(key.created_at.unix_seconds()),
            exp: key.expires_at.map(|at| at.unix_seconds()),
        }
    }
}
