//! Bodies from outside, taken apart field by field, so that each mistake has a sentence.

use std::fmt;

use axum::BoxError;
use axum::body::{Bytes, HttpBody};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use keyledger_domain::{KeyName, KeyNameError, Reason, Timestamp};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::problem::ApiError;
use crate::commands::Expiry;

/// The most bytes that a body may have.
const MAX_BODY: usize = 16 * 1024;
/// 100 years.
const MAX_EXPIRES_IN_SECONDS: u32 = 3_155_760_000;

/// A key that is wanted.
#[derive(Debug, ToSchema)]
pub(super) struct CreateKeyBody {
    /// What to call it; trimmed of white space at both ends.
    #[schema(
        value_type = String,
        min_length = 1,
        max_length = 100,
        pattern = r"^[^\u0000-\u001F\u007F-\u009F]*[^\s\u0000-\u001F\u007F-\u009F][^\u0000-\u001F\u007F-\u009F]*$"
    )]
    pub(super) name: KeyName,
    /// From when on the key shall not verify.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// After how many seconds the key shall not verify, instead of `expires_at`.
    #[schema(format = Int64, minimum = 1, maximum = 3_155_760_000_u32)]
    expires_in_seconds: Option<u32>,
}

impl CreateKeyBody {
    pub(super) fn expires(&self) -> Option<Expiry> {
        self.expires_at.map(Expiry::At).or(self.expires_in_seconds.map(Expiry::InSeconds))
    }
}

/// Why a key is to be revoked or deleted. The body may be left out.
#[derive(Debug, ToSchema)]
pub(super) struct ReasonBody {
    /// Why, for the history; trimmed of white space at both ends.
    #[schema(
        value_type = Option<String>,
        max_length = 500,
        pattern = r"^[^\u0000-\u001F\u007F-\u009F]*$"
    )]
    pub(super) reason: Option<Reason>,
}

impl<S: Send + Sync> FromRequest<S> for CreateKeyBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let mut fields: Fields = parse(&read_json(request).await?)?;
        let name = fields.string("name")?;
        let expires_at = fields.string("expires_at")?;
        let expires_in_seconds = fields.seconds("expires_in_seconds")?;
        fields.finish()?;
        if expires_at.is_some() && expires_in_seconds.is_some() {
            return Err(ApiError::TwoExpiries);
        }
        let expires_at = expires_at.as_deref().map(|text| time("expires_at", text)).transpose()?;
        let name = KeyName::parse(&name.ok_or(KeyNameError::Required)?)?;
        Ok(Self { name, expires_at, expires_in_seconds })
    }
}

impl<S: Send + Sync> FromRequest<S> for ReasonBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let (is_json, bytes) = read(request).await?;
        if bytes.is_empty() {
            return Ok(Self { reason: None });
        }
        if !is_json {
            return Err(ApiError::UnsupportedMediaType);
        }
        let Some(mut fields) = parse::<Option<Fields>>(&bytes)? else {
            return Ok(Self { reason: None });
        };
        let reason = fields.string("reason")?;
        fields.finish()?;
        let reason = reason.as_deref().map(Reason::parse).transpose()?.flatten();
        Ok(Self { reason })
    }
}

/// A body that is JSON, if one believes the caller.
pub(super) async fn read_json<B>(request: Request<B>) -> Result<Bytes, ApiError>
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Unpin,
{
    let (is_json, bytes) = read(request).await?;
    if is_json { Ok(bytes) } else { Err(ApiError::UnsupportedMediaType) }
}

/// A body that is a form, if one believes the caller.
pub(super) async fn read_form(request: Request) -> Result<Bytes, ApiError> {
    let is_form = says(request.headers(), "application/x-www-form-urlencoded");
    let (_, bytes) = read(request).await?;
    if is_form { Ok(bytes) } else { Err(ApiError::FormRequired) }
}

/// The body, and whether the caller says that it is JSON.
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
    Ok((says(&parts.headers, "application/json"), bytes))
}

/// All of a body. Nearly all come in one piece, which is not copied.
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
    let rest = body.collect().await?.to_bytes();
    // The limit was for both.
    Ok([first, rest].concat().into())
}

fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn says(headers: &HeaderMap, media_type: &str) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = content_type.and_then(|value| value.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case(media_type))
}

fn time(field: &'static str, text: &str) -> Result<Timestamp, ApiError> {
    Timestamp::parse(text).map_err(|_| ApiError::WrongType {
        field,
        expected: "a date and time of RFC 3339, such as 2030-01-31T12:00:00Z",
    })
}

/// The fields of a JSON object, each named once.
pub(super) struct Fields(Map<String, Value>);

pub(super) fn parse<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(bytes).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => ApiError::NotAnObject,
        serde_json::error::Category::Syntax
        | serde_json::error::Category::Eof
        | serde_json::error::Category::Io => ApiError::MalformedJson,
    })
}

impl Fields {
    /// Takes a text; `null` is as good as absent.
    pub(super) fn string(&mut self, field: &'static str) -> Result<Option<String>, ApiError> {
        match self.0.remove(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
                Err(ApiError::WrongType { field, expected: "a string" })
            }
        }
    }

    /// Takes a whole number; `null` is as good as absent.
    pub(super) fn whole_number(&mut self, field: &'static str) -> Result<Option<u64>, ApiError> {
        match self.0.remove(field) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value
                .as_u64()
                .map(Some)
                .ok_or(ApiError::WrongType { field, expected: "a whole number" }),
        }
    }

    /// Takes a number of seconds; `null` is as good as absent.
    fn seconds(&mut self, field: &'static str) -> Result<Option<u32>, ApiError> {
        let value = match self.0.remove(field) {
            None | Some(Value::Null) => return Ok(None),
            Some(value) => value,
        };
        // To JSON Schema, 60.0 is an integer.
        let text = if value.is_number() { value.to_string() } else { String::new() };
        let seconds = text.strip_suffix(".0").unwrap_or(&text).parse::<u32>().ok();
        match seconds {
            Some(seconds @ 1..=MAX_EXPIRES_IN_SECONDS) => Ok(Some(seconds)),
            _ => Err(ApiError::WrongType {
                field,
                expected: "a whole number of seconds from 1 to 3155760000",
            }),
        }
    }

    pub(super) fn finish(self) -> Result<(), ApiError> {
        match self.0.into_iter().next() {
            None => Ok(()),
            Some((name, _)) => Err(ApiError::UnknownField(name)),
        }
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Once;

        impl<'de> Visitor<'de> for Once {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Fields, A::Error> {
                let mut fields = Map::new();
                while let Some((name, value)) = entries.next_entry::<String, Value>()? {
                    if fields.insert(name, value).is_some() {
                        return Err(A::Error::custom("a field is named twice"));
                    }
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(Once)
    }
}
