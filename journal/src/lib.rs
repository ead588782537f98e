//! The journal: the append-only log of events, in a total order. It is the only truth; all else
//! follows from it.
//!
//! This is the port. Each adapter passes one contract suite (`tests/journal`), whatever database
//! stands behind it.

pub mod copy;
mod follow;
mod group;
mod kurrentdb;
mod news;
mod postgres;
mod row;
mod sqlite;

use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use keyledger_domain::Delivery;
use keyledger_domain::key::KeyEvent;
use keyledger_domain::{DecodeError, EventId, KeyId, Metadata, Position, RecordedEvent, Revision};

/// An error of the database behind a journal, for the log.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Reads events.
#[async_trait]
pub trait JournalReader: std::fmt::Debug + Send + Sync + 'static {
    /// All events of a key, oldest first; none for a key that never was.
    ///
    /// # Errors
    /// [`ReadError::Unavailable`] and [`ReadError::Corrupt`].
    async fn read(&self, key_id: KeyId) -> Result<Vec<RecordedEvent>, ReadError>;

    /// All events after a position in journal order, each exactly once: first what is there, then
    /// a caught-up mark, then what comes, as it comes. The stream ends after an error; whoever
    /// reads subscribes anew from the last position seen.
    fn subscribe(&self, after: Position) -> Subscription;

    /// A position that was the journal's head when asked, or a later one. Who has read up to it
    /// was level with the journal at the moment of the question.
    ///
    /// # Errors
    /// [`ReadError::Unavailable`].
    async fn head(&self) -> Result<Position, ReadError>;
}

/// Reads and appends events.
#[async_trait]
pub trait Journal: JournalReader {
    /// Appends events to a key's stream, all or none, durably: once this returns, they survive a
    /// crash. The same events may be sent again with the same expectation; they are written once,
    /// and the first outcome is returned again.
    ///
    /// # Errors
    /// Every variant of [`AppendError`].
    async fn append(&self, append: Append) -> Result<Appended, AppendError>;
}

/// The events of a subscription.
pub type Subscription = BoxStream<'static, Result<Delivery, ReadError>>;

/// What a stream must look like for an append to be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// The stream has no event yet.
    NoStream,
    /// The stream's last event has this revision.
    Revision(Revision),
}

impl Expected {
    /// The revision that the first appended event will have; `None` when the stream is full.
    #[must_use]
    pub fn next(self) -> Option<Revision> {
        match self {
            Self::NoStream => Some(Revision::FIRST),
            Self::Revision(revision) => revision.next(),
        }
    }
}

/// Events to append to one stream.
#[derive(Clone, Debug)]
pub struct Append {
    /// The key whose stream it is.
    pub key_id: KeyId,
    /// What the stream must look like.
    pub expected: Expected,
    /// The events, at least one, in order.
    pub events: Vec<NewEvent>,
}

/// An event that is not in the journal yet.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// Its id.
    pub id: EventId,
    /// The fact.
    pub event: KeyEvent,
    /// Who, and why.
    pub metadata: Metadata,
}

/// Where the last of the appended events stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Its place among all events.
    pub position: Position,
    /// Its place in its stream.
    pub revision: Revision,
}

/// Why an append failed.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The stream is not as expected; nothing was written.
    #[error("the stream has changed since it was read")]
    Conflict,
    /// The journal cannot take it now; nothing was written.
    #[error("the journal cannot be written")]
    Unavailable(#[source] Cause),
    /// It may have been written or not: send the same events again to know.
    #[error("the journal did not tell whether the events were written")]
    Ambiguous(#[source] Cause),
    /// The append can never be written.
    #[error("the events cannot be appended")]
    Invalid(#[source] Cause),
}

/// Why events cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The journal does not answer.
    #[error("the journal cannot be read")]
    Unavailable(#[source] Cause),
    /// What the journal holds here is no event that this program knows.
    #[error("the event at position {position} cannot be read")]
    Corrupt {
        /// Where.
        position: Position,
        /// Why.
        #[source]
        source: Unreadable,
    },
}

/// Why a stored event cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// Its type, data or metadata.
    #[error(transparent)]
    Form(#[from] DecodeError),
    /// Its place or id is out of range, or it stands in the stream of another key.
    #[error("{0} is not what it can be")]
    Place(&'static str),
}

/// Why a journal cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL names no kind of journal that this program knows.
    #[error("a journal URL begins with sqlite://, postgres:// or kurrentdb://, not {0:?}")]
    UnknownScheme(String),
    /// The URL cannot be understood.
    #[error("the journal URL {url:?} cannot be used")]
    BadUrl {
        /// The URL.
        url: String,
        /// Why.
        #[source]
        source: Cause,
    },
    /// Another process writes to it.
    #[error("the journal {0} is in use by another keyledger process")]
    InUse(String),
    /// The file or database cannot be opened.
    #[error("the journal {place} cannot be opened")]
    Failed {
        /// Which.
        place: String,
        /// Why.
        #[source]
        source: Cause,
    },
    /// The server does not answer as it must, or not yet.
    #[error("the journal {place} cannot be reached")]
    Unavailable {
        /// Which.
        place: String,
        /// Why.
        #[source]
        source: Cause,
    },
}

impl OpenError {
    /// Whether it may be different in a moment.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

/// The kinds of journals.
enum Kind {
    Sqlite,
    Postgres,
    Kurrent,
}

/// Opens a journal for reading and appending.
///
/// # Errors
/// Every variant of [`OpenError`].
pub async fn open(url: &str) -> Result<Arc<dyn Journal>, OpenError> {
    Ok(match kind(url)? {
        Kind::Sqlite => Arc::new(sqlite::open(url).await?),
        Kind::Postgres => Arc::new(postgres::open(url).await?),
        Kind::Kurrent => Arc::new(kurrentdb::KurrentJournal::open(url).await?),
    })
}

/// Opens a journal for reading only, beside the process that writes to it.
///
/// # Errors
/// Every variant of [`OpenError`] but [`OpenError::InUse`].
pub async fn open_reader(url: &str) -> Result<Arc<dyn JournalReader>, OpenError> {
    Ok(match kind(url)? {
        Kind::Sqlite => Arc::new(sqlite::SqliteReader::open(url).await?),
        Kind::Postgres => Arc::new(postgres::PostgresReader::open(url).await?),
        Kind::Kurrent => Arc::new(kurrentdb::KurrentJournal::open(url).await?),
    })
}

/// Whether a journal keeps the order of appends that are asked for at once, one after another.
#[must_use]
pub fn keeps_order(url: &str) -> bool {
    matches!(kind(url), Ok(Kind::Sqlite | Kind::Postgres))
}

/// Whether the URL is one that [`open`] knows.
///
/// # Errors
/// [`OpenError::UnknownScheme`].
pub fn check_scheme(url: &str) -> Result<(), OpenError> {
    kind(url).map(drop)
}

fn kind(url: &str) -> Result<Kind, OpenError> {
    match url.split_once("://") {
        Some(("sqlite", _)) => Ok(Kind::Sqlite),
        Some(("postgres" | "postgresql", _)) => Ok(Kind::Postgres),
        Some(("esdb" | "esdb+discover" | "kurrentdb" | "kurrentdb+discover", _)) => {
            Ok(Kind::Kurrent)
        }
        _ => Err(OpenError::UnknownScheme(url.split(':').next().unwrap_or_default().to_owned())),
    }
}
