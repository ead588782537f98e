//! `POST /introspect`: whether a key is valid, as token introspection (RFC 7662), which OAuth resource
//! servers use.

use std::borrow::Cow;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use keyledger_domain::KeyId;
use keyledger_verifier::{KeyRecord, Outcome, Owner, RecordBuffer};
use serde::Serialize;

use super::state::VerificationState;
use crate::extract::{self, min_position};
use crate::problem::ApiError;

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

#[derive(Default, Serialize)]
struct Introspection<'a> {
    active: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_type: Option<&'static str>,
    /// The key's owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<Owner<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<&'a str>,
    /// The key.
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<KeyId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iat: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
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
