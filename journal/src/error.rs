//! Errors of a journal. `is_passing` says of each whether another attempt may succeed.

pub use keyledger_domain::Cause;
use keyledger_domain::{Closure, DecodeError, Position};

/// Why an append failed.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The stream is not in the expected state. Nothing was written.
    #[error("the stream has changed since it was read")]
    Conflict,
    /// The database cannot be reached, or refuses to write now. Nothing was written.
    #[error("the journal cannot be written")]
    Unavailable(#[source] Cause),
    /// The events may have been written or not. Sending the same events again tells which.
    #[error("the journal did not tell whether the events were written")]
    Ambiguous(#[source] Cause),
    /// The key is closed: an operator has deleted its stream from the journal's database.
    #[error("the key's stream was deleted from the journal's database")]
    Closed,
    /// These events can never be written.
    #[error("the events cannot be appended")]
    Invalid(#[source] Cause),
}

impl AppendError {
    /// Whether the same append may succeed later.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Ambiguous(_))
    }
}

/// Why events cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The database cannot be reached, or refuses to answer now.
    #[error("the journal cannot be read")]
    Unavailable(#[source] Cause),
    /// The journal holds something that this program cannot decode.
    #[error("the event at position {position} cannot be read: {why}")]
    Undecodable {
        /// The position of the event; 0 if not even that can be decoded.
        position: Position,
        /// What is wrong with it.
        why: String,
    },
    /// The key is closed: an operator has deleted its stream from the journal's database, or another
    /// program has written to it.
    #[error("the key is closed: {0}")]
    Closed(Closure),
}

impl ReadError {
    /// Whether another attempt may succeed before someone has repaired the journal.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

/// What is wrong with a stored event.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    /// Its type, data or metadata is not of a known form.
    #[error(transparent)]
    Form(#[from] DecodeError),
    /// This field is out of range, or contradicts the event's data.
    #[error("{0} is not valid")]
    Field(&'static str),
}

/// Why a journal cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL's scheme is not that of any adapter.
    #[error("a journal URL begins with sqlite://, postgres:// or kurrentdb://, not {0:?}")]
    UnknownScheme(String),
    /// The URL is not valid.
    #[error("the journal URL {url:?} cannot be used")]
    BadUrl {
        /// The URL, without passwords.
        url: String,
        /// What is wrong with it.
        #[source]
        source: Cause,
    },
    /// There is no journal to read: only a process that appends creates it.
    #[error("there is no journal at {0} yet: a process that appends creates it")]
    Missing(String),
    /// Another process has the journal open for appending.
    #[error("the journal {0} is in use by another keyledger process")]
    InUse(String),
    /// The file or database refuses to be opened by this program.
    #[error("the journal {location} cannot be opened")]
    Refused {
        /// The file or database.
        location: String,
        /// The reason.
        #[source]
        source: Cause,
    },
    /// The server cannot be reached, or is not ready yet.
    #[error("the journal {location} cannot be reached")]
    Unreachable {
        /// The server.
        location: String,
        /// The reason.
        #[source]
        source: Cause,
    },
}

impl OpenError {
    /// Whether another attempt may succeed without a change of the configuration.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Missing(_))
    }
}

/// A journal was not closed in good order. No event is lost.
#[derive(Debug, thiserror::Error)]
#[error("the journal's file does not hold all events without its -wal file: copy both")]
pub struct CloseError(#[source] pub Cause);
