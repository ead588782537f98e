//! `POST /verify`: whether a key is valid, as JSON.

use std::borrow::Cow;

use axum::BoxError;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use keyledger_domain::key::Verdict;
use keyledger_domain::{KeyId, Position, Timestamp};
use keyledger_verifier::{KeyRecord, Outcome, Owner, RecordBuffer};
use serde::{Deserialize, Serialize};

use super::state::VerificationState;
use crate::extract::{self, Fields, min_position};
use crate::problem::ApiError;

pub(super) async fn verify<B>(
    State(state): State<&'static VerificationState>,
    request: Request<B>,
) -> Result<Response, ApiError>
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Unpin,
{
    let from_header = min_position(request.headers())?;
    let bytes = extract::read_json(request).await?;
    let question = Question::parse(&bytes)?;
    let position = question.min_position()?.or(from_header);
    state.reach(position).await?;
    let mut buffer = RecordBuffer::new();
    match state.verify(&question.key, &mut buffer)? {
        Outcome::Valid(key) => json(&Good::from(key)),
        Outcome::Refused(verdict) => json(&Refused { valid: false, code: verdict.code() }),
    }
}

/// Serializes the answer into a buffer that is large enough for most, so that it rarely grows.
fn json(answer: &impl Serialize) -> Result<Response, ApiError> {
    let mut body = Vec::with_capacity(384);
    serde_json::to_writer(&mut body, answer)
        .map_err(|error| ApiError::Internal(error.to_string().into()))?;
    let mut response = Response::new(Body::from(body));
    let json = HeaderValue::from_static("application/json");
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, json);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question<'a> {
    #[serde(borrow)]
    key: Cow<'a, str>,
    min_position: Option<u64>,
}

impl<'a> Question<'a> {
    /// Parses a body. If that fails, the body is parsed again field by field, to find out which
    /// mistake to name.
    fn parse(bytes: &'a [u8]) -> Result<Self, ApiError> {
        if let Ok(question) = serde_json::from_slice(bytes) {
            return Ok(question);
        }
        let mut fields: Fields = extract::parse(bytes)?;
        let key = fields.string("key")?;
        let min_position = fields.whole_number("min_position")?;
        fields.finish()?;
        let key = key.ok_or(ApiError::KeyRequired)?;
        Ok(Self { key: key.into(), min_position })
    }

    fn min_position(&self) -> Result<Option<Position>, ApiError> {
        let position = self.min_position.map(Position::try_from).transpose();
        position.map_err(|_| ApiError::WrongType {
            field: "min_position",
            expected: "a position, as Keyledger-Position tells one",
        })
    }
}

#[derive(Serialize)]
struct Good<'a> {
    valid: bool,
    code: &'static str,
    key_id: KeyId,
    user_id: Owner<'a>,
    user_email: Option<&'a str>,
    name: &'a str,
    created_at: Timestamp,
    expires_at: Option<Timestamp>,
}

impl<'a> From<KeyRecord<'a>> for Good<'a> {
    fn from(key: KeyRecord<'a>) -> Self {
        Self {
            valid: true,
            code: Verdict::Valid.code(),
            key_id: key.key_id,
            user_id: key.owner,
            user_email: key.owner_email,
            name: key.name,
            created_at: key.created_at,
            expires_at: key.expires_at,
        }
    }
}

#[derive(Serialize)]
struct Refused {
    valid: bool,
    code: &'static str,
}
