//! The problem codes: for each its status, its title and its sentence.

use std::borrow::Cow;

use axum::http::StatusCode;
use keyledger_domain::{KeyNameError, ReasonError};

use super::{Access, ApiError};

impl Access {
    fn sentence(self) -> &'static str {
        match self {
            Self::Read => "The service cannot read its data at the moment",
            Self::Write => "The service cannot write at the moment; nothing was done",
        }
    }
}

/// What the answer says about a problem.
pub(super) struct Kind {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) title: &'static str,
    pub(super) sentence: Cow<'static, str>,
}

fn kind(
    status: StatusCode,
    code: &'static str,
    title: &'static str,
    sentence: impl Into<Cow<'static, str>>,
) -> Kind {
    Kind { status, code, title, sentence: sentence.into() }
}

/// A caller's text as a part of a sentence: at most 40 characters, with control characters escaped.
fn quoted(text: &str) -> String {
    format!("{:?}", text.chars().take(40).collect::<String>())
}

impl ApiError {
    /// The one row of each code.
    pub(super) fn kind(&self) -> Kind {
        use StatusCode as S;
        match self {
            Self::AuthenticationRequired { .. } => kind(
                S::UNAUTHORIZED,
                "authentication_required",
                "Authentication required",
                "Authentication required",
            ),
            Self::CrossSite => kind(
                S::FORBIDDEN,
                "cross_site_request",
                "Cross-site request",
                "Cross-site requests must not use the sign-in cookie",
            ),
            Self::InternalTokenRequired => kind(
                S::UNAUTHORIZED,
                "internal_token_required",
                "Token required",
                "This needs a token of the internal listener",
            ),
            Self::IdentityUnavailable => kind(
                S::SERVICE_UNAVAILABLE,
                "identity_unavailable",
                "Sign-in cannot be checked",
                "The sign-in cannot be checked at the moment",
            ),
            Self::AuditorsOnly => {
                kind(S::FORBIDDEN, "auditors_only", "Auditors only", "Only auditors may see this")
            }
            Self::CreatorsOnly => kind(
                S::FORBIDDEN,
                "create_role_required",
                "Role required",
                "Creating keys needs a role that you do not have",
            ),
            Self::NotAuthorized { to } => kind(
                S::FORBIDDEN,
                "not_authorized",
                "Not authorized",
                format!("Not authorized to {to} this key"),
            ),
            Self::MalformedJson => kind(
                S::BAD_REQUEST,
                "malformed_json",
                "Malformed JSON",
                "The body must be valid JSON",
            ),
            Self::NotAnObject => kind(
                S::BAD_REQUEST,
                "invalid_body",
                "Invalid body",
                "The body must be a JSON object that names each field once",
            ),
            Self::UnknownField(name) => kind(
                S::BAD_REQUEST,
                "unknown_field",
                "Unknown field",
                format!("Unknown field {}", quoted(name)),
            ),
            Self::WrongType { field, expected } => kind(
                S::BAD_REQUEST,
                "wrong_type",
                "Wrong type",
                format!("{field} must be {expected}"),
            ),
            Self::TwoExpiries => kind(
                S::UNPROCESSABLE_ENTITY,
                "two_expiries",
                "Two expiries",
                "Give expires_at or expires_in_seconds, not both",
            ),
            Self::Name(error @ KeyNameError::Required) => {
                kind(S::BAD_REQUEST, "name_required", "Name required", error.to_string())
            }
            Self::Name(error @ KeyNameError::TooLong) => {
                kind(S::BAD_REQUEST, "name_too_long", "Name too long", error.to_string())
            }
            Self::Name(error @ KeyNameError::ControlCharacter) => kind(
                S::BAD_REQUEST,
                "name_has_control_characters",
                "Name not printable",
                error.to_string(),
            ),
            Self::Reason(error @ ReasonError::TooLong) => {
                kind(S::BAD_REQUEST, "reason_too_long", "Reason too long", error.to_string())
            }
            Self::Reason(error @ ReasonError::ControlCharacter) => kind(
                S::BAD_REQUEST,
                "reason_has_control_characters",
                "Reason not printable",
                error.to_string(),
            ),
            Self::BodyTooLarge => kind(
                S::PAYLOAD_TOO_LARGE,
                "body_too_large",
                "Body too large",
                "The body must be 16 KiB or less",
            ),
            Self::BodyIncomplete => kind(
                S::BAD_REQUEST,
                "body_incomplete",
                "Body incomplete",
                "The body did not arrive in full",
            ),
            Self::UnsupportedMediaType => kind(
                S::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "Unsupported media type",
                "The body must be of type application/json",
            ),
            Self::FormRequired => kind(
                S::UNSUPPORTED_MEDIA_TYPE,
                "form_required",
                "Form required",
                "The body must be of type application/x-www-form-urlencoded",
            ),
            Self::KeyRequired => {
                kind(S::BAD_REQUEST, "key_required", "Key required", "key is required")
            }
            Self::TokenRequired => {
                kind(S::BAD_REQUEST, "token_required", "Token required", "token is required")
            }
            Self::InvalidParameter { name, expected } => kind(
                S::BAD_REQUEST,
                "invalid_parameter",
                "Invalid parameter",
                format!("Parameter {name} must be {expected}"),
            ),
            Self::UnknownParameter(name) => kind(
                S::BAD_REQUEST,
                "unknown_parameter",
                "Unknown parameter",
                format!("Unknown parameter {}", quoted(name)),
            ),
            Self::InvalidHeader { name, expected } => kind(
                S::BAD_REQUEST,
                "invalid_header",
                "Invalid header",
                format!("Header {name} must be {expected}"),
            ),
            Self::KeyNotFound => {
                kind(S::NOT_FOUND, "key_not_found", "Key not found", "Key not found")
            }
            Self::KeyClosed => kind(
                S::GONE,
                "key_closed",
                "Key closed",
                "The key's events were taken out of the journal, or cannot be read; it is refused for good",
            ),
            Self::NoCheckpoint => kind(
                S::NOT_FOUND,
                "no_checkpoint",
                "No checkpoint yet",
                "No checkpoint was signed yet",
            ),
            Self::NotInTree => kind(
                S::NOT_FOUND,
                "not_in_tree",
                "Not in the tree",
                "The tree has no such event, or not this size",
            ),
            Self::PathNotFound => kind(
                S::NOT_FOUND,
                "path_not_found",
                "Path not found",
                "There is nothing at this path",
            ),
            Self::MethodNotAllowed => kind(
                S::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "Method not allowed",
                "This path does not support that method",
            ),
            Self::BadHost => kind(
                S::BAD_REQUEST,
                "bad_host",
                "Bad Host header",
                "The header Host must be given once, and name a host",
            ),
            Self::TransferCoding => kind(
                S::NOT_IMPLEMENTED,
                "transfer_coding",
                "Transfer coding not implemented",
                "A body may be chunked, and have no other transfer coding",
            ),
            Self::TooManyHeaders => kind(
                S::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "too_many_headers",
                "Too many headers",
                "A request may have 64 headers",
            ),
            Self::ExpiryNotInFuture => kind(
                S::UNPROCESSABLE_ENTITY,
                "expiry_not_in_future",
                "Expiry not in the future",
                "The expiry must be in the future",
            ),
            Self::TooManyKeys { most } => kind(
                S::CONFLICT,
                "too_many_keys",
                "Too many keys",
                format!("You have {most} keys, and may not have more; delete one first"),
            ),
            Self::Conflict => kind(
                S::CONFLICT,
                "conflict",
                "Conflict",
                "Others are changing this key at the same time; try again",
            ),
            Self::Replayed { .. } => kind(
                S::CONFLICT,
                "idempotency_replayed",
                "Request replayed",
                "This request was carried out before; the secret cannot be shown again",
            ),
            Self::IdempotencyMismatch => kind(
                S::UNPROCESSABLE_ENTITY,
                "idempotency_mismatch",
                "Idempotency key reused",
                "The idempotency key was used for another request before",
            ),
            Self::Unavailable { access, .. } => {
                kind(S::SERVICE_UNAVAILABLE, "unavailable", "Unavailable", access.sentence())
            }
            Self::OutcomeUnknown(_) => kind(
                S::SERVICE_UNAVAILABLE,
                "outcome_unknown",
                "Outcome unknown",
                "The service cannot tell whether this was done; look before you try again",
            ),
            Self::ReadBehind => kind(
                S::SERVICE_UNAVAILABLE,
                "read_behind",
                "Not there yet",
                "This node has not reached that position yet",
            ),
            Self::VerificationBehind => kind(
                S::SERVICE_UNAVAILABLE,
                "verification_behind",
                "Not there yet",
                "This node has not reached that position yet",
            ),
            Self::CannotVerify => kind(
                S::SERVICE_UNAVAILABLE,
                "cannot_verify",
                "Keys cannot be verified",
                "This node cannot tell at the moment whether keys are good",
            ),
            Self::Starting => kind(
                S::SERVICE_UNAVAILABLE,
                "starting",
                "Starting",
                "The service is starting and cannot reach its data yet",
            ),
            Self::TimedOut => {
                kind(S::SERVICE_UNAVAILABLE, "timed_out", "Timed out", "The request took too long")
            }
            Self::TooBusy => kind(
                S::SERVICE_UNAVAILABLE,
                "too_busy",
                "Too busy",
                "The service is giving too many large answers at the moment",
            ),
            Self::TreeDamaged(_) => kind(
                S::INTERNAL_SERVER_ERROR,
                "tree_damaged",
                "Tree damaged",
                "The stored tree is damaged and proves nothing until it is repaired",
            ),
            Self::Internal(_) => kind(
                S::INTERNAL_SERVER_ERROR,
                "internal_error",
                "Internal error",
                "Something went wrong on our side",
            ),
        }
    }
}
