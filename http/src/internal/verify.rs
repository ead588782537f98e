//! `POST /verify`: whether a key is valid, as JSON.

use std::borrow::Cow;
use std::collections::BTreeMap;

use axum::BoxError;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use keyledger_domain::key::Verdict;
use keyledger_domain::{KeyId, Position, Timestamp};
use keyledger_verifier::{KeyRecord, Outcome, Owner, RecordBuffer};
use serde::{Deserialize, Serialize};
use utoipa::openapi::{RefOr, Response as DocumentedResponse};
use utoipa::{IntoResponses, ToSchema};

use super::problems::verification_problems;
use super::state::VerificationState;
use crate::extract::{self, Fields, MinPosition, min_position, schema};
use crate::problem::ApiError;

/// Verify a key
///
/// Asked on each request of the API that the keys are for. The status is 200 for every key that could be
/// looked up, good or not.
#[utoipa::path(
    post, path = "/verify", tag = "verification",
    params(MinPosition),
    request_body = VerifyQuestion,
    responses(
        (status = 200, description = "Whether the key is good, and whose it is", body = VerifyAnswer),
        VerifyProblems,
    ),
    security((), ("bearer" = []), ("token" = [])),
)]
pub(super) async fn verify(
    State(state): State<&'static VerificationState>,
    request: Request,
) -> Result<Response, ApiError> {
    answer(state, request).await
}

/// The same for a request with any kind of body.
pub(super) async fn answer<B>(
    state: &VerificationState,
    request: Request<B>,
) -> Result<Response, ApiError>
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Unpin,
{
    let from_header = min_position(request.headers())?;
    let bytes = extract::read_json(request).await?;
    let question = VerifyQuestion::parse(&bytes)?;
    let position = question.min_position()?.or(from_header);
    state.reach(position).await?;
    let mut buffer = RecordBuffer::new();
    json(&match state.verify(&question.key, &mut buffer)? {
        Outcome::Valid(key) => VerifyAnswer::Valid(key.into()),
        Outcome::Refused(verdict) => {
            VerifyAnswer::Refused(RefusedKey { valid: false, code: verdict.code() })
        }
    })
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

/// The problems of this endpoint.
struct VerifyProblems;

impl IntoResponses for VerifyProblems {
    fn responses() -> BTreeMap<String, RefOr<DocumentedResponse>> {
        verification_problems([
            ApiError::MalformedJson,
            ApiError::NotAnObject,
            ApiError::UnknownField(String::new()),
            ApiError::WrongType { field: "", expected: "" },
            ApiError::KeyRequired,
            ApiError::BodyIncomplete,
            ApiError::BodyTooLarge,
            ApiError::UnsupportedMediaType,
        ])
    }
}

/// Which key to verify.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct VerifyQuestion<'a> {
    /// The whole key, as its holder sent it.
    #[serde(borrow)]
    #[schema(value_type = String)]
    key: Cow<'a, str>,
    /// A position that the answer must include, such as the one of a revocation. It has precedence over
    /// `Keyledger-Min-Position`.
    #[schema(maximum = 9_223_372_036_854_775_807_i64)]
    min_position: Option<u64>,
}

impl<'a> VerifyQuestion<'a> {
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

/// Whether a key is good.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum VerifyAnswer<'a> {
    Valid(ValidKey<'a>),
    Refused(RefusedKey),
}

/// A key that is good, and whose it is.
#[derive(Serialize, ToSchema)]
struct ValidKey<'a> {
    /// Always true.
    #[schema(schema_with = schema::always_true)]
    valid: bool,
    #[schema(pattern = "^VALID$")]
    code: &'static str,
    #[schema(value_type = Uuid)]
    key_id: KeyId,
    /// The key's owner.
    #[schema(value_type = String)]
    user_id: Owner<'a>,
    #[schema(required)]
    user_email: Option<&'a str>,
    name: &'a str,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// From when on the key does not verify; `null` when it does not expire.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    expires_at: Option<Timestamp>,
}

impl<'a> From<KeyRecord<'a>> for ValidKey<'a> {
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

/// A key that is not good.
#[derive(Serialize, ToSchema)]
struct RefusedKey {
    /// Always false.
    #[schema(schema_with = schema::always_false)]
    valid: bool,
    /// Why. A key that was deleted is not found.
    #[schema(pattern = "^(NOT_FOUND|REVOKED|EXPIRED)$")]
    code: &'static str,
}
