//! The answer to a failed request, as JSON: at once what the UI expects (`success`, `error`) and a
//! problem document of RFC 9457.

use std::any::Any;
use std::borrow::Cow;

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use keyledger_domain::{KeyId, chain};
use serde::Serialize;
use utoipa::ToSchema;

use super::ApiError;
use super::rows::Kind;
use crate::trace;

/// The body of every error: the UI's fields and those of RFC 9457.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// Always false.
    success: bool,
    /// What is wrong, as a sentence for people.
    #[schema(example = "Name is required")]
    error: Cow<'static, str>,
    /// The kind of problem, as a URI.
    #[serde(rename = "type")]
    #[schema(example = "urn:keyledger:problem:name_required")]
    kind: String,
    /// The kind of problem, in a few words.
    #[schema(example = "Name required")]
    title: &'static str,
    /// The status code of the answer.
    #[schema(example = 400)]
    status: u16,
    /// The kind of problem, for programs.
    #[schema(example = "name_required")]
    code: &'static str,
    /// The key that a replayed request created before.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<uuid::Uuid>, nullable = false)]
    key_id: Option<KeyId>,
}

/// How to sign in (RFC 6750 § 3).
const NO_TOKEN: &str = "Bearer realm=\"keyledger\"";
const BAD_TOKEN: &str = "Bearer realm=\"keyledger\", error=\"invalid_token\"";
const INTERNAL_TOKEN: &str = "Bearer realm=\"keyledger internal\"";

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let Kind { status, code, title, sentence } = self.kind();
        self.log(code, title);
        trace::code(code);
        let key_id = if let Self::Replayed { key_id } = self { Some(key_id) } else { None };
        let problem = Problem {
            success: false,
            error: sentence,
            kind: format!("urn:keyledger:problem:{code}"),
            title,
            status: status.as_u16(),
            code,
            key_id,
        };
        let mut response = (status, Json(problem)).into_response();
        let headers = response.headers_mut();
        let mut set = |name: HeaderName, value| {
            headers.insert(name, HeaderValue::from_static(value));
        };
        set(header::CONTENT_TYPE, "application/problem+json");
        if let Self::AuthenticationRequired { bad_token } = self {
            set(header::WWW_AUTHENTICATE, if bad_token { BAD_TOKEN } else { NO_TOKEN });
        } else if matches!(self, Self::InternalTokenRequired) {
            set(header::WWW_AUTHENTICATE, INTERNAL_TOKEN);
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            set(header::RETRY_AFTER, "1");
        }
        response
    }
}

impl ApiError {
    /// Logs a failure of ours. The problems of the caller are not logged; nor is what the readiness
    /// of the whole service says and logs already, nor a position that may never be reached, nor that the
    /// identity provider is away, which is logged once and not for each request.
    fn log(&self, code: &str, title: &str) {
        if let Self::Unavailable { cause, .. }
        | Self::OutcomeUnknown(cause)
        | Self::TreeDamaged(cause)
        | Self::Internal(cause) = self
        {
            tracing::error!(code, cause = %chain(&**cause), "request failed");
        } else if matches!(self, Self::TimedOut) {
            tracing::error!(code, cause = title, "request failed");
        }
    }
}

/// The answer to a request whose handler panicked.
pub(crate) fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let text = panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "a panic without a text".to_owned());
    ApiError::Internal(text.into()).into_response()
}
