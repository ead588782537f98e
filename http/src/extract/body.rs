//! Request bodies: the limit of their size, their media type, and the parsing of JSON.

use axum::BoxError;
use axum::body::{Bytes, HttpBody};
use axum::extract::Request;
use axum::http::{HeaderMap, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use crate::problem::ApiError;

/// The most bytes that a body may have.
const MAX_BODY: usize = 16 * 1024;

/// Reads a body whose `Content-Type` is JSON.
pub(crate) async fn read_json<B>(request: Request<B>) -> Result<Bytes, ApiError>
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Unpin,
{
    let (is_json, bytes) = read(request).await?;
    if is_json { Ok(bytes) } else { Err(ApiError::UnsupportedMediaType) }
}

/// Reads a body whose `Content-Type` is JSON; `None` for an empty body of any type.
pub(crate) async fn read_optional_json(request: Request) -> Result<Option<Bytes>, ApiError> {
    match read(request).await? {
        (_, bytes) if bytes.is_empty() => Ok(None),
        (true, bytes) => Ok(Some(bytes)),
        (false, _) => Err(ApiError::UnsupportedMediaType),
    }
}

/// Reads a body whose `Content-Type` is a form.
pub(crate) async fn read_form(request: Request) -> Result<Bytes, ApiError> {
    let is_form = has_type(request.headers(), "application/x-www-form-urlencoded");
    let (_, bytes) = read(request).await?;
    if is_form { Ok(bytes) } else { Err(ApiError::FormRequired) }
}

/// Parses a JSON text.
pub(crate) fn parse<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(bytes).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => ApiError::NotAnObject,
        serde_json::error::Category::Syntax
        | serde_json::error::Category::Eof
        | serde_json::error::Category::Io => ApiError::MalformedJson,
    })
}

/// Reads a body; tells whether its `Content-Type` is JSON.
async fn read<B>(request: Request<B>) -> Result<(bool, Bytes), ApiError>
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Unpin,
{
    let (parts, body) = request.into_parts();
    let too_large = |length: u64| length > u64::try_from(MAX_BODY).unwrap_or(u64::MAX);
    if declared_length(&parts.headers).is_some_and(too_large) {
        return Err(ApiError::BodyTooLarge);
    }
    let bytes = whole(Limited::new(body, MAX_BODY)).await.map_err(|error| {
        if error.is::<LengthLimitError>() {
            ApiError::BodyTooLarge
        } else {
            ApiError::BodyIncomplete
        }
    })?;
    Ok((has_type(&parts.headers, "application/json"), bytes))
}

/// Collects a body. Nearly all bodies come in one frame, which is not copied.
async fn whole<B>(mut body: Limited<B>) -> Result<Bytes, BoxError>
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Unpin,
{
    let first = match body.frame().await {
        Some(frame) => frame?.into_data().unwrap_or_default(),
        None => Bytes::new(),
    };
    if body.is_end_stream() {
        return Ok(first);
    }
    // The limit counts the first frame and the rest together.
    let rest = body.collect().await?.to_bytes();
    Ok([first, rest].concat().into())
}

fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn has_type(headers: &HeaderMap, media_type: &str) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = content_type.and_then(|value| value.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case(media_type))
}
