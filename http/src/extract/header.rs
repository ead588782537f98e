//! Parameters that come in headers.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use keyledger_domain::Position;
use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::{RefOr, Required, Schema};

use super::schema;
use crate::headers::{IDEMPOTENCY_KEY, LAST_EVENT_ID, MIN_POSITION};
use crate::position::WAIT;
use crate::problem::ApiError;
use keyledger_node::Progress;

/// The OpenAPI form of a header that may be left out.
pub(crate) fn optional_header(
    name: &str,
    description: &str,
    schema: RefOr<Schema>,
) -> Vec<Parameter> {
    let parameter = ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .description(Some(description))
        .required(Required::False)
        .schema(Some(schema));
    vec![parameter.build()]
}

/// The value of a header that may be given once; `Some(None)` when it is given twice or is not
/// visible ASCII.
pub(crate) fn single(headers: &HeaderMap, name: HeaderName) -> Option<Option<&str>> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    Some(first.to_str().ok().filter(|_| values.next().is_none()))
}

/// Whether `Accept` names this media type; its parameters and preferences do not count.
pub(crate) fn accepts(headers: &HeaderMap, media_type: &str) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let kinds = accepted.flat_map(|accepted| accepted.split(','));
    kinds.filter_map(|kind| kind.split(';').next()).any(|kind| kind.trim() == media_type)
}

/// The token in a value of `Authorization` (RFC 6750 § 2.1); `None` for another scheme.
pub(crate) fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The position that the answer must include, from `Keyledger-Min-Position`.
pub(crate) struct MinPosition(Option<Position>);

/// Reads `Keyledger-Min-Position`.
pub(crate) fn min_position(headers: &HeaderMap) -> Result<Option<Position>, ApiError> {
    let Some(value) = headers.get(MIN_POSITION) else {
        return Ok(None);
    };
    let position = value.to_str().ok().and_then(|text| text.parse().ok());
    position.map(Some).ok_or(ApiError::InvalidHeader {
        name: "Keyledger-Min-Position",
        expected: "a position, as Keyledger-Position tells one",
    })
}

impl<S: Send + Sync> FromRequestParts<S> for MinPosition {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        min_position(&parts.headers).map(Self)
    }
}

impl MinPosition {
    /// Waits until the read tables include the position, for [`WAIT`] at most. Returns the position
    /// that they include then.
    pub(crate) async fn reached(self, progress: &Progress) -> Result<Position, ApiError> {
        match self.0 {
            // Tables that are of another history than the journal show nothing.
            None if !progress.is_known() => Err(ApiError::ReadBehind),
            None => Ok(progress.current()),
            Some(position) => {
                progress.wait_in_turn(position, WAIT).await.map_err(|_| ApiError::ReadBehind)
            }
        }
    }
}

impl IntoParams for MinPosition {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let description = "A position that the answer must include";
        optional_header("Keyledger-Min-Position", description, schema::position())
    }
}

/// The caller's name for a request (draft-ietf-httpapi-idempotency-key-header): a structured-field
/// string, or the same without its quotes.
pub(crate) struct IdempotencyKey(pub(crate) Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let Some(text) = single(&parts.headers, IDEMPOTENCY_KEY) else {
            return Ok(Self(None));
        };
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

impl IntoParams for IdempotencyKey {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let description = "1 to 255 visible ASCII characters that name this request";
        optional_header("Idempotency-Key", description, schema::short_pattern(255, "^[!-~]+$"))
    }
}

/// The position of the last event that the caller has seen, from `Last-Event-ID`.
pub(crate) struct LastEventId(pub(crate) Option<Position>);

impl<S: Send + Sync> FromRequestParts<S> for LastEventId {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let Some(text) = single(&parts.headers, LAST_EVENT_ID) else {
            return Ok(Self(None));
        };
        let position = text.and_then(|text| text.parse().ok());
        position.map(|position| Self(Some(position))).ok_or(ApiError::InvalidHeader {
            name: "Last-Event-ID",
            expected: "the position of an event, given once",
        })
    }
}

impl IntoParams for LastEventId {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        optional_header("Last-Event-ID", "The same as `after`", schema::position())
    }
}

/// The values of `If-None-Match`.
pub(crate) struct IfNoneMatch(Vec<HeaderValue>);

impl<S: Send + Sync> FromRequestParts<S> for IfNoneMatch {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Ok(Self(parts.headers.get_all(header::IF_NONE_MATCH).iter().cloned().collect()))
    }
}

impl IfNoneMatch {
    /// Whether the header names this entity tag, or is `*`. Tags are compared weakly
    /// (RFC 9110 § 13.1.2).
    pub(crate) fn matches(&self, etag: &str) -> bool {
        let lists = self.0.iter().filter_map(|value| value.to_str().ok());
        let mut tags = lists.flat_map(|list| list.split(',').map(str::trim));
        tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
    }
}

impl IntoParams for IfNoneMatch {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let description = "An `ETag`; the same one is answered with 304 and no body";
        optional_header("If-None-Match", description, schema::text())
    }
}
