//! What a caller is told when something is wrong: one place for all of it.
//!
//! A body is at once what the UI expects (`success`, `error`) and a problem document of RFC 9457.
//! It never holds an internal text; the cause goes to the log, once, from here.

use std::any::Any;
use std::borrow::Cow;

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use keyledger_domain::key::{Corrupt, Refusal};
use keyledger_domain::{KeyId, KeyNameError, ReasonError};
use keyledger_projections::log::TreeReadError;
use serde::Serialize;
use utoipa::ToSchema;

use crate::audit::KeyAtError;
use crate::commands::CommandError;
use keyledger_domain::chain;
use keyledger_journal::{Cause, ReadError};

/// What can be wrong with a request, or with us.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    #[error("no credential was honoured")]
    AuthenticationRequired {
        /// Whether there was a token, which then was a bad one.
        bad_token: bool,
    },
    #[error("a cookie came with a request from another site")]
    CrossSite,
    #[error("the keys that sign tokens cannot be fetched")]
    IdentityUnavailable(#[source] Cause),
    #[error("the body is not JSON")]
    MalformedJson,
    #[error("the body is not an object that names each field once")]
    NotAnObject,
    #[error("the body has the unknown field {0:?}")]
    UnknownField(String),
    #[error("the field {field} is not {expected}")]
    WrongType { field: &'static str, expected: &'static str },
    #[error("two expiries were given")]
    TwoExpiries,
    #[error("the body is too large")]
    BodyTooLarge,
    #[error("the body did not arrive")]
    BodyIncomplete,
    #[error("the body is of another type than JSON")]
    UnsupportedMediaType,
    #[error("the body is no form")]
    FormRequired,
    #[error("no key was presented")]
    KeyRequired,
    #[error("no token was presented")]
    TokenRequired,
    #[error(transparent)]
    Name(#[from] KeyNameError),
    #[error(transparent)]
    Reason(#[from] ReasonError),
    #[error("the parameter {name} is not {expected}")]
    InvalidParameter { name: &'static str, expected: &'static str },
    #[error("the parameter {0:?} is unknown")]
    UnknownParameter(String),
    #[error("the header {name} is not {expected}")]
    InvalidHeader { name: &'static str, expected: &'static str },
    #[error("the key is another user's")]
    NotYoursToView,
    #[error("only auditors may ask for this")]
    AuditorsOnly,
    #[error("no checkpoint was signed yet")]
    NoCheckpoint,
    #[error("the tree has no such event, or not this size")]
    NotInTree,
    #[error("the tree cannot be read")]
    Tree(#[from] TreeReadError),
    #[error("there is no such key")]
    KeyNotFound,
    #[error("there is no such path")]
    PathNotFound,
    #[error("the path has no such method")]
    MethodNotAllowed,
    #[error("the command failed")]
    Command(#[from] CommandError),
    #[error("the read tables are behind the position asked for")]
    ReadBehind,
    #[error("the index is behind the position asked for")]
    VerificationBehind,
    #[error("the index is not proven level with the journal")]
    CannotVerify,
    #[error("the read tables do not answer")]
    ReadTables(#[from] keyledger_projections::QueryError),
    #[error("the journal cannot be read")]
    Journal(#[from] ReadError),
    #[error("the events of a key contradict each other")]
    Corrupt(#[from] Corrupt),
    #[error("the service has not reached its stores yet")]
    Starting,
    #[error("the request took too long")]
    TimedOut,
    #[error("a defect: {0}")]
    Defect(Cow<'static, str>),
}

impl From<KeyAtError> for ApiError {
    fn from(error: KeyAtError) -> Self {
        match error {
            KeyAtError::Read(error) => error.into(),
            KeyAtError::Corrupt(error) => error.into(),
        }
    }
}

/// A problem, without what is particular to one request.
struct Kind {
    status: StatusCode,
    code: &'static str,
    title: &'static str,
}

const fn kind(status: StatusCode, code: &'static str, title: &'static str) -> Kind {
    Kind { status, code, title }
}

impl ApiError {
    fn kind(&self) -> Kind {
        use StatusCode as S;
        match self {
            Self::AuthenticationRequired { .. } => {
                kind(S::UNAUTHORIZED, "authentication_required", "Authentication required")
            }
            Self::CrossSite => kind(S::FORBIDDEN, "cross_site_request", "Cross-site request"),
            Self::IdentityUnavailable(_) => {
                kind(S::SERVICE_UNAVAILABLE, "identity_unavailable", "Sign-in cannot be checked")
            }
            Self::MalformedJson => kind(S::BAD_REQUEST, "malformed_json", "Malformed JSON"),
            Self::NotAnObject => kind(S::BAD_REQUEST, "invalid_body", "Invalid body"),
            Self::UnknownField(_) => kind(S::BAD_REQUEST, "unknown_field", "Unknown field"),
            Self::WrongType { .. } => kind(S::BAD_REQUEST, "wrong_type", "Wrong type"),
            Self::TwoExpiries => kind(S::UNPROCESSABLE_ENTITY, "two_expiries", "Two expiries"),
            Self::BodyTooLarge => kind(S::PAYLOAD_TOO_LARGE, "body_too_large", "Body too large"),
            Self::BodyIncomplete => kind(S::BAD_REQUEST, "body_incomplete", "Body incomplete"),
            Self::UnsupportedMediaType => {
                kind(S::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "Unsupported media type")
            }
            Self::FormRequired => kind(S::UNSUPPORTED_MEDIA_TYPE, "form_required", "Form required"),
            Self::KeyRequired => kind(S::BAD_REQUEST, "key_required", "Key required"),
            Self::TokenRequired => kind(S::BAD_REQUEST, "token_required", "Token required"),
            Self::Name(KeyNameError::Required) => {
                kind(S::BAD_REQUEST, "name_required", "Name required")
            }
            Self::Name(KeyNameError::TooLong) => {
                kind(S::BAD_REQUEST, "name_too_long", "Name too long")
            }
            Self::Name(KeyNameError::ControlCharacter) => {
                kind(S::BAD_REQUEST, "name_has_control_characters", "Name not printable")
            }
            Self::Reason(ReasonError::TooLong) => {
                kind(S::BAD_REQUEST, "reason_too_long", "Reason too long")
            }
            Self::Reason(ReasonError::ControlCharacter) => {
                kind(S::BAD_REQUEST, "reason_has_control_characters", "Reason not printable")
            }
            Self::InvalidParameter { .. } => {
                kind(S::BAD_REQUEST, "invalid_parameter", "Invalid parameter")
            }
            Self::UnknownParameter(_) => {
                kind(S::BAD_REQUEST, "unknown_parameter", "Unknown parameter")
            }
            Self::InvalidHeader { .. } => kind(S::BAD_REQUEST, "invalid_header", "Invalid header"),
            Self::NotYoursToView => kind(S::FORBIDDEN, "not_authorized", "Not authorized"),
            Self::AuditorsOnly => kind(S::FORBIDDEN, "auditors_only", "Auditors only"),
            Self::NoCheckpoint => kind(S::NOT_FOUND, "no_checkpoint", "No checkpoint yet"),
            Self::NotInTree => kind(S::NOT_FOUND, "not_in_tree", "Not in the tree"),
            Self::Tree(error) if error.is_unavailable() => {
                kind(S::SERVICE_UNAVAILABLE, "unavailable", "Unavailable")
            }
            Self::KeyNotFound => kind(S::NOT_FOUND, "key_not_found", "Key not found"),
            Self::PathNotFound => kind(S::NOT_FOUND, "path_not_found", "Path not found"),
            Self::MethodNotAllowed => {
                kind(S::METHOD_NOT_ALLOWED, "method_not_allowed", "Method not allowed")
            }
            Self::Command(error) => command_kind(error),
            Self::ReadBehind => kind(S::SERVICE_UNAVAILABLE, "read_behind", "Not there yet"),
            Self::VerificationBehind => {
                kind(S::SERVICE_UNAVAILABLE, "verification_behind", "Not there yet")
            }
            Self::CannotVerify => {
                kind(S::SERVICE_UNAVAILABLE, "cannot_verify", "Keys cannot be verified")
            }
            Self::ReadTables(error) if error.is_unavailable() => {
                kind(S::SERVICE_UNAVAILABLE, "unavailable", "Unavailable")
            }
            Self::Journal(ReadError::Unavailable(_)) => {
                kind(S::SERVICE_UNAVAILABLE, "unavailable", "Unavailable")
            }
            Self::Starting => kind(S::SERVICE_UNAVAILABLE, "starting", "Starting"),
            Self::TimedOut => kind(S::SERVICE_UNAVAILABLE, "timed_out", "Timed out"),
            Self::ReadTables(_)
            | Self::Tree(_)
            | Self::Journal(ReadError::Undecodable { .. })
            | Self::Corrupt(_)
            | Self::Defect(_) => INTERNAL,
        }
    }

    /// What the caller is told.
    fn sentence(&self) -> Cow<'static, str> {
        match self {
            Self::AuthenticationRequired { .. } => "Authentication required".into(),
            Self::CrossSite => "Cross-site requests must not use the sign-in cookie".into(),
            Self::IdentityUnavailable(_) => "The sign-in cannot be checked at the moment".into(),
            Self::MalformedJson => "The body must be valid JSON".into(),
            Self::NotAnObject => "The body must be a JSON object that names each field once".into(),
            Self::UnknownField(name) => format!("Unknown field {}", quoted(name)).into(),
            Self::WrongType { field, expected } => format!("{field} must be {expected}").into(),
            Self::TwoExpiries => "Give expires_at or expires_in_seconds, not both".into(),
            Self::BodyTooLarge => "The body must be 16 KiB or less".into(),
            Self::BodyIncomplete => "The body did not arrive in full".into(),
            Self::UnsupportedMediaType => "The body must be of type application/json".into(),
            Self::FormRequired => {
                "The body must be of type application/x-www-form-urlencoded".into()
            }
            Self::KeyRequired => "key is required".into(),
            Self::TokenRequired => "token is required".into(),
            Self::Name(error) => error.to_string().into(),
            Self::Reason(error) => error.to_string().into(),
            Self::InvalidParameter { name, expected } => {
                format!("Parameter {name} must be {expected}").into()
            }
            Self::UnknownParameter(name) => format!("Unknown parameter {}", quoted(name)).into(),
            Self::InvalidHeader { name, expected } => {
                format!("Header {name} must be {expected}").into()
            }
            Self::NotYoursToView => "Not authorized to view this key".into(),
            Self::AuditorsOnly => "Only auditors may see this".into(),
            Self::NoCheckpoint => "No checkpoint was signed yet".into(),
            Self::NotInTree => "The tree has no such event, or not this size".into(),
            Self::Tree(error) if !error.is_unavailable() => INTERNAL_SENTENCE.into(),
            Self::KeyNotFound => "Key not found".into(),
            Self::PathNotFound => "There is nothing at this path".into(),
            Self::MethodNotAllowed => "This path does not support that method".into(),
            Self::Command(error) => command_sentence(error).into(),
            Self::ReadBehind | Self::VerificationBehind => {
                "This node has not reached that position yet".into()
            }
            Self::CannotVerify => {
                "This node cannot tell at the moment whether keys are good".into()
            }
            Self::ReadTables(error) if !error.is_unavailable() => INTERNAL_SENTENCE.into(),
            Self::Journal(ReadError::Undecodable { .. }) | Self::Corrupt(_) | Self::Defect(_) => {
                INTERNAL_SENTENCE.into()
            }
            Self::ReadTables(_) | Self::Tree(_) | Self::Journal(ReadError::Unavailable(_)) => {
                "The service cannot read its data at the moment".into()
            }
            Self::Starting => "The service is starting and cannot reach its data yet".into(),
            Self::TimedOut => "The request took too long".into(),
        }
    }
}

const INTERNAL: Kind = kind(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", "Internal error");
const INTERNAL_SENTENCE: &str = "Something went wrong on our side";

fn command_kind(error: &CommandError) -> Kind {
    use StatusCode as S;
    match error {
        CommandError::Refused(Refusal::NotFound) => {
            kind(S::NOT_FOUND, "key_not_found", "Key not found")
        }
        CommandError::Refused(Refusal::NotYoursToRevoke | Refusal::NotYoursToDelete) => {
            kind(S::FORBIDDEN, "not_authorized", "Not authorized")
        }
        CommandError::Refused(Refusal::ExpiryNotInFuture) => {
            kind(S::UNPROCESSABLE_ENTITY, "expiry_not_in_future", "Expiry not in the future")
        }
        // Only imports come to the second, and they do not come over HTTP.
        CommandError::Refused(Refusal::AlreadyExists | Refusal::CreatedInFuture)
        | CommandError::Contended => kind(S::CONFLICT, "conflict", "Conflict"),
        CommandError::Replayed { .. } => {
            kind(S::CONFLICT, "idempotency_replayed", "Request replayed")
        }
        CommandError::IdempotencyMismatch => {
            kind(S::UNPROCESSABLE_ENTITY, "idempotency_mismatch", "Idempotency key reused")
        }
        CommandError::Unavailable(_) => kind(S::SERVICE_UNAVAILABLE, "unavailable", "Unavailable"),
        CommandError::OutcomeUnknown(_) => {
            kind(S::SERVICE_UNAVAILABLE, "outcome_unknown", "Outcome unknown")
        }
        CommandError::Corrupt(_) => INTERNAL,
    }
}

fn command_sentence(error: &CommandError) -> &'static str {
    match error {
        CommandError::Refused(Refusal::NotFound) => "Key not found",
        CommandError::Refused(Refusal::NotYoursToRevoke) => "Not authorized to revoke this key",
        CommandError::Refused(Refusal::NotYoursToDelete) => "Not authorized to delete this key",
        CommandError::Refused(Refusal::ExpiryNotInFuture) => "The expiry must be in the future",
        CommandError::Refused(Refusal::AlreadyExists | Refusal::CreatedInFuture)
        | CommandError::Contended => "Others are changing this key at the same time; try again",
        CommandError::Replayed { .. } => {
            "This request was carried out before; the secret cannot be shown again"
        }
        CommandError::IdempotencyMismatch => {
            "The idempotency key was used for another request before"
        }
        CommandError::Unavailable(_) => "The service cannot write at the moment; nothing was done",
        CommandError::OutcomeUnknown(_) => {
            "The service cannot tell whether this was done; look before you try again"
        }
        CommandError::Corrupt(_) => INTERNAL_SENTENCE,
    }
}

/// A caller's text in an answer: short, and nothing that a terminal would act on.
fn quoted(text: &str) -> String {
    format!("{:?}", text.chars().take(40).collect::<String>())
}

/// The body of every error: the UI's fields and those of RFC 9457.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Problem {
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

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let Kind { status, code, title } = self.kind();
        // What the whole service cannot do now, its readiness says, and the log once; and a position
        // may be one that will never be.
        let is_told = matches!(
            self,
            Self::Starting | Self::CannotVerify | Self::ReadBehind | Self::VerificationBehind
        );
        if status.is_server_error() && !is_told {
            tracing::error!(code, cause = %chain(&self), "request failed");
        }
        let key_id = if let Self::Command(CommandError::Replayed { key_id }) = &self {
            Some(*key_id)
        } else {
            None
        };
        let problem = Problem {
            success: false,
            error: self.sentence(),
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
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            set(header::RETRY_AFTER, "1");
        }
        response
    }
}

/// The answer to a request whose handler panicked.
pub(super) fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let text = panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "a panic without a text".to_owned());
    ApiError::Defect(text.into()).into_response()
}
