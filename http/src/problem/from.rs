//! How the errors of other modules are answered.

use keyledger_domain::key::{Corrupt, Refusal};
use keyledger_domain::{KeyNameError, ReasonError};
use keyledger_identity::TokenError;
use keyledger_journal::ReadError;
use keyledger_projections::QueryError;
use keyledger_projections::log::LogReadError;

use super::{Access, ApiError};
use keyledger_audit::KeyAtError;
use keyledger_commands::CommandError;

impl From<TokenError> for ApiError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Rejected(_) => Self::AuthenticationRequired { bad_token: true },
            // Logged where the keys are fetched, once for each outage.
            TokenError::KeysUnavailable(_) => Self::IdentityUnavailable,
        }
    }
}

impl From<CommandError> for ApiError {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Refused(refusal) => refusal.into(),
            CommandError::Contended => Self::Conflict,
            CommandError::Replayed { key_id } => Self::Replayed { key_id },
            CommandError::IdempotencyMismatch => Self::IdempotencyMismatch,
            CommandError::Unavailable(_) => {
                Self::Unavailable { access: Access::Write, cause: error.into() }
            }
            CommandError::OutcomeUnknown(_) => Self::OutcomeUnknown(error.into()),
            CommandError::Closed(_) => Self::KeyClosed,
            CommandError::Corrupt(_) => Self::Internal(error.into()),
        }
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotFound => Self::KeyNotFound,
            Refusal::NotYoursToRevoke => Self::NotAuthorized { to: "revoke" },
            Refusal::NotYoursToDelete => Self::NotAuthorized { to: "delete" },
            Refusal::ExpiryNotInFuture => Self::ExpiryNotInFuture,
            // Only imports are refused as created in the future, and they do not come over HTTP.
            Refusal::AlreadyExists | Refusal::CreatedInFuture => Self::Conflict,
        }
    }
}

impl From<ReadError> for ApiError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Unavailable(_) => {
                Self::Unavailable { access: Access::Read, cause: error.into() }
            }
            ReadError::Closed(_) => Self::KeyClosed,
            ReadError::Undecodable { .. } => Self::Internal(error.into()),
        }
    }
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> Self {
        if error.is_passing() {
            Self::Unavailable { access: Access::Read, cause: error.into() }
        } else {
            Self::Internal(error.into())
        }
    }
}

impl From<LogReadError> for ApiError {
    fn from(error: LogReadError) -> Self {
        match error {
            LogReadError::Unavailable(_) => {
                Self::Unavailable { access: Access::Read, cause: error.into() }
            }
            LogReadError::Damaged(_) => Self::TreeDamaged(error.into()),
            LogReadError::Absent(_) => Self::NotInTree,
        }
    }
}

impl From<KeyAtError> for ApiError {
    fn from(error: KeyAtError) -> Self {
        match error {
            KeyAtError::Read(error) => error.into(),
            KeyAtError::Corrupt(error) => error.into(),
        }
    }
}

impl From<Corrupt> for ApiError {
    fn from(error: Corrupt) -> Self {
        Self::Internal(error.into())
    }
}

impl From<KeyNameError> for ApiError {
    fn from(error: KeyNameError) -> Self {
        Self::Name(error)
    }
}

impl From<ReasonError> for ApiError {
    fn from(error: ReasonError) -> Self {
        Self::Reason(error)
    }
}
