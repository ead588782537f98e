//! What a caller is told when a request fails.
//!
//! `rows` has one row for each problem code, `from` turns the errors of other modules into an
//! [`ApiError`], and `body` makes the answer. The answer never holds an internal text: the cause goes to the log.

mod body;
pub(super) mod documented;
mod from;
mod rows;

use keyledger_domain::{KeyId, KeyNameError, ReasonError};
use keyledger_journal::Cause;

pub(super) use body::{Problem, panicked};

/// A failed request. Variants hold what their sentence, their headers or the log need.
#[derive(Debug)]
pub(super) enum ApiError {
    AuthenticationRequired {
        /// Whether a token was sent, and refused.
        bad_token: bool,
    },
    /// The sign-in cookie came with a request from another site.
    CrossSite,
    /// The internal listener requires a token of its own, and the request has none that is right.
    InternalTokenRequired,
    /// The keys that verify sign-in tokens cannot be fetched.
    IdentityUnavailable,
    AuditorsOnly,
    /// Creating keys needs a role that the caller does not have.
    CreatorsOnly,
    NotAuthorized {
        /// What the caller wanted to do to another user's key, as a verb.
        to: &'static str,
    },

    MalformedJson,
    NotAnObject,
    UnknownField(String),
    WrongType {
        field: &'static str,
        expected: &'static str,
    },
    TwoExpiries,
    Name(KeyNameError),
    Reason(ReasonError),
    BodyTooLarge,
    BodyIncomplete,
    UnsupportedMediaType,
    FormRequired,
    KeyRequired,
    TokenRequired,
    InvalidParameter {
        name: &'static str,
        expected: &'static str,
    },
    UnknownParameter(String),
    InvalidHeader {
        name: &'static str,
        expected: &'static str,
    },

    KeyNotFound,
    /// The journal cannot tell the key's state any more.
    KeyClosed,
    NoCheckpoint,
    NotInTree,
    PathNotFound,
    MethodNotAllowed,
    /// The header `Host` is missing, repeated or malformed (RFC 9112 § 3.2).
    BadHost,
    /// The body has a transfer coding other than `chunked` (RFC 9112 § 6.1).
    TransferCoding,
    TooManyHeaders,

    ExpiryNotInFuture,
    /// The caller has as many keys as one may have.
    TooManyKeys {
        most: u32,
    },
    /// Others changed the key at the same time.
    Conflict,
    Replayed {
        /// The key that the first request created.
        key_id: KeyId,
    },
    IdempotencyMismatch,

    /// A store does not answer.
    Unavailable {
        access: Access,
        cause: Cause,
    },
    /// It is not known whether an event was appended.
    OutcomeUnknown(Cause),
    /// The read tables do not include the position that the caller asked for.
    ReadBehind,
    /// The verification index does not include the position that the caller asked for.
    VerificationBehind,
    /// The verification index is not proven to have caught up with the journal.
    CannotVerify,
    /// The stores are not open yet.
    Starting,
    TimedOut,
    /// There is no room for another large answer.
    TooBusy,
    /// The stored tree does not lead to its root, or to what was signed of it.
    TreeDamaged(Cause),
    /// Stored data is damaged, or the program has a defect.
    Internal(Cause),
}

/// What was to be done with a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    /// Nothing was written.
    Write,
}
