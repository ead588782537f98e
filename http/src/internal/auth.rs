//! `/auth`: forward authentication. A gateway sends the headers of a request, and forwards the request
//! if the answer has status 200. nginx, Traefik, Envoy and Caddy can do this.

use std::collections::BTreeMap;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use keyledger_verifier::{KeyRecord, Outcome, Owner, RecordBuffer};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::Serialize;
use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::openapi::{RefOr, Response as DocumentedResponse};
use utoipa::{IntoResponses, ToSchema};

use super::problems::verification_problems;
use super::state::VerificationState;
use crate::extract::{MinPosition, bearer, min_position, optional_header, schema};
use crate::problem::{ApiError, Problem};

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const KEY_ID: HeaderName = HeaderName::from_static("x-key-id");
const USER_ID: HeaderName = HeaderName::from_static("x-user-id");
const USER_EMAIL: HeaderName = HeaderName::from_static("x-user-email");
const KEY_NAME: HeaderName = HeaderName::from_static("x-key-name");

/// No cache may answer in the place of this service: a key may be revoked at any time.
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// The characters that are percent-encoded in a header: everything but visible ASCII, and `%`.
const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'%');

/// Decide whether a gateway may forward a request
///
/// The gateway sends the headers of the request. Every method is answered as `GET` is, and every path below
/// `/auth/` as `/auth`. The key is in `X-API-Key`, or else in `Authorization: Bearer`.
#[utoipa::path(
    get, path = "/auth", tag = "verification",
    params(ApiKeyHeader, MinPosition),
    responses(
        (status = 200, description = "The key is good. The values of the headers are percent-encoded: all \
            but visible ASCII, and `%`", headers(
                ("X-Key-Id" = String, description = "The key's id"),
                ("X-User-Id" = String, description = "The key's owner"),
                ("X-User-Email" = String, description = "The owner's address, or nothing"),
                ("X-Key-Name" = String, description = "What its owner calls the key"),
        )),
        AuthProblems,
        (status = 401, description = "The request has no key, or one that is not good; or the gateway has \
            no token of the internal listener: `internal_token_required` (Token required)", content(
                (AuthRefusal = "application/json"), (Problem = "application/problem+json"),
            ), headers(("WWW-Authenticate" = String))),
    ),
    security((), ("token" = [])),
)]
pub(super) async fn auth(
    State(state): State<&'static VerificationState>,
    request: Request,
) -> Result<Response, ApiError> {
    answer(state, request).await
}

/// The same for a request with any kind of body.
pub(super) async fn answer<B>(
    state: &VerificationState,
    request: Request<B>,
) -> Result<Response, ApiError> {
    let headers = request.headers();
    state.reach(min_position(headers)?).await?;
    let key = match presented(headers, state) {
        Ok(key) => key,
        Err(refusal) => return Ok(refusal.into_response()),
    };
    let mut buffer = RecordBuffer::new();
    match state.verify(key, &mut buffer)? {
        Outcome::Valid(key) => Ok(identity(&key)),
        Outcome::Refused(_) => Ok(Unauthorized::Invalid.into_response()),
    }
}

/// The problems of this endpoint.
struct AuthProblems;

impl IntoResponses for AuthProblems {
    fn responses() -> BTreeMap<String, RefOr<DocumentedResponse>> {
        verification_problems([])
    }
}

/// The parameter `X-API-Key`, for the OpenAPI document.
struct ApiKeyHeader;

// Not imported, since the macro above names the trait by its whole path.
impl utoipa::IntoParams for ApiKeyHeader {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        optional_header("X-API-Key", "The key", schema::text())
    }
}

/// The key of a request, from `X-API-Key` or else from `Authorization: Bearer`. What is in `X-API-Key` may be for
/// the service behind the gateway, if it does not begin as new keys do and is no key that is known.
fn presented<'h>(
    headers: &'h HeaderMap,
    state: &VerificationState,
) -> Result<&'h str, Unauthorized> {
    let Some(value) = once(headers, API_KEY)?.filter(|value| !value.is_empty()) else {
        return bearer_key(headers);
    };
    let key = text(value);
    if key.is_ok_and(|key| state.key_prefix.begins(key)) {
        return key;
    }
    match bearer_key(headers) {
        Ok(bearer) if !key.is_ok_and(|key| state.knows(key)) => Ok(bearer),
        _ => key,
    }
}

fn bearer_key(headers: &HeaderMap) -> Result<&str, Unauthorized> {
    let authorization = once(headers, header::AUTHORIZATION)?.ok_or(Unauthorized::Missing)?;
    bearer(text(authorization)?).ok_or(Unauthorized::Missing)
}

/// A key is visible ASCII, so another value cannot be one.
fn text(value: &HeaderValue) -> Result<&str, Unauthorized> {
    value.to_str().map_err(|_| Unauthorized::Invalid)
}

fn once(headers: &HeaderMap, name: HeaderName) -> Result<Option<&HeaderValue>, Unauthorized> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (first, None) => Ok(first),
        (_, Some(_)) => Err(Unauthorized::Several),
    }
}

/// The answer for a valid key: headers that tell the service behind the gateway whose key it is.
fn identity(key: &KeyRecord<'_>) -> Response {
    let mut buffer = uuid::Uuid::encode_buffer();
    // All values are slices of one allocation.
    let mut all = String::with_capacity(256);
    all.push_str(key.key_id.as_uuid().hyphenated().encode_lower(&mut buffer));
    let id = all.len();
    match key.owner {
        Owner::Uuid(uuid) => all.push_str(uuid.hyphenated().encode_lower(&mut buffer)),
        Owner::Text(text) => all.extend(utf8_percent_encode(text, ENCODED)),
    }
    let owner = all.len();
    all.extend(utf8_percent_encode(key.owner_email.unwrap_or_default(), ENCODED));
    let email = all.len();
    all.extend(utf8_percent_encode(key.name, ENCODED));
    let values = [(KEY_ID, id), (USER_ID, owner), (USER_EMAIL, email), (KEY_NAME, all.len())];
    let all = Bytes::from(all);
    let mut headers = HeaderMap::with_capacity(8);
    let mut begin = 0;
    for (name, end) in values {
        // A percent-encoded text is always a valid header value.
        if let Ok(value) = HeaderValue::from_maybe_shared(all.slice(begin..end)) {
            headers.insert(name, value);
        }
        begin = end;
    }
    let mut response = Response::new(Body::empty());
    headers.insert(header::CACHE_CONTROL, NO_STORE);
    *response.headers_mut() = headers;
    response
}

/// Why a request is refused.
#[derive(Clone, Copy)]
enum Unauthorized {
    Missing,
    Several,
    Invalid,
}

/// Why a request is not to be forwarded, for the client that sent it.
#[derive(Serialize, ToSchema)]
struct AuthRefusal {
    #[schema(example = "Invalid API key")]
    error: &'static str,
    /// What to do about it. A problem document has none.
    #[schema(required = false, example = "The API key is unknown, revoked or expired")]
    message: &'static str,
}

/// How to present a key (RFC 6750, section 3).
const NO_KEY: &str = "Bearer realm=\"api\"";
const BAD_KEY: &str = "Bearer realm=\"api\", error=\"invalid_token\"";

impl IntoResponse for Unauthorized {
    fn into_response(self) -> Response {
        let (error, message, challenge) = match self {
            Self::Missing => {
                ("API key required", "Send an API key in X-API-Key or as a bearer token", NO_KEY)
            }
            Self::Several => ("Invalid API key", "Send one API key, not several", BAD_KEY),
            Self::Invalid => {
                ("Invalid API key", "The API key is unknown, revoked or expired", BAD_KEY)
            }
        };
        let challenge = HeaderValue::from_static(challenge);
        let body = Json(AuthRefusal { error, message });
        let headers = [(header::WWW_AUTHENTICATE, challenge), (header::CACHE_CONTROL, NO_STORE)];
        (StatusCode::UNAUTHORIZED, headers, body).into_response()
    }
}
