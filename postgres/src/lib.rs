//! How the journal and the read tables talk to PostgreSQL.
//!
//! Every wait has a time limit. A connection that is used for reading and does not answer in time is
//! closed without a goodbye, and the query may be sent again on another one. A statement that changes
//! something goes on (see [`Changes`]). Whatever the promises depend on, each connection sets itself.

#![deny(missing_docs)]

mod changes;
mod examine;
mod listen;
mod location;
mod pool;
mod schema;
mod session;

use std::time::Duration;

use sqlx::migrate::MigrateError;

pub use changes::{ChangeError, Changes};
pub use examine::{Examined, examine};
pub use listen::{Listener, Notification};
pub use location::Location;
pub use pool::Pool;
pub use schema::{Rights, SchemaError, prepare};

/// How long it may take to open a connection.
pub const CONNECT: Duration = Duration::from_secs(3);
/// How long the server may take to answer a statement before the connection counts as lost.
pub const ANSWER: Duration = Duration::from_secs(5);

/// Waits for an answer, but no longer than [`ANSWER`].
///
/// # Errors
/// The statement's own error, or [`sqlx::Error::Io`] if there is no answer in time. In that case the
/// statement may still be running on the connection, so the caller must close it.
pub async fn bounded<T>(
    answer: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    within(ANSWER, answer).await
}

async fn within<T>(
    limit: Duration,
    answer: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    match tokio::time::timeout(limit, answer).await {
        Ok(answer) => answer,
        Err(elapsed) => Err(sqlx::Error::Io(elapsed.into())),
    }
}

/// An error of the connection, with this text.
fn failed(text: &str) -> sqlx::Error {
    sqlx::Error::Io(std::io::Error::other(text))
}

/// The error of a server that answers, but on which nothing can be committed.
#[must_use]
pub fn read_only() -> sqlx::Error {
    let kind = std::io::ErrorKind::ReadOnlyFilesystem;
    sqlx::Error::Io(std::io::Error::new(kind, "the server is read-only"))
}

/// Whether the server refuses every change: it is a standby, or a primary that was set read-only.
#[must_use]
pub fn is_read_only(error: &sqlx::Error) -> bool {
    let is_own = |cause: &std::io::Error| cause.kind() == std::io::ErrorKind::ReadOnlyFilesystem;
    sqlstate(error).is_some_and(|code| code == "25006")
        || matches!(error, sqlx::Error::Io(cause) if is_own(cause))
}

/// Whether another session's change collided with this one. Nothing was written, and another attempt
/// may succeed.
fn is_collision(error: &sqlx::Error) -> bool {
    // Serialization failure, deadlock, unique violation.
    sqlstate(error).is_some_and(|code| ["40001", "40P01", "23505"].contains(&&*code))
}

/// Whether the server refuses the data itself (SQLSTATE class 22), such as a text that it cannot store.
#[must_use]
pub fn is_bad_data(error: &sqlx::Error) -> bool {
    sqlstate(error).is_some_and(|code| code.starts_with("22"))
}

fn sqlstate(error: &sqlx::Error) -> Option<std::borrow::Cow<'_, str>> {
    error.as_database_error().and_then(sqlx::error::DatabaseError::code)
}

/// Whether the server could not be reached, or stopped answering: the statement may have been
/// carried out or not. Any other error is a refusal by the server, or a row that cannot be decoded.
#[must_use]
pub fn is_unreachable(error: &sqlx::Error) -> bool {
    // SQLSTATE class 57P: the server is shutting down, or still starting.
    sqlstate(error).is_some_and(|code| code.starts_with("57P"))
        || matches!(
            error,
            sqlx::Error::Io(_)
                | sqlx::Error::Tls(_)
                | sqlx::Error::Protocol(_)
                | sqlx::Error::WorkerCrashed
        )
}

/// Whether a migration was started and failed. The other errors of a migrator say that the tables
/// were made by another version of the program, which another attempt does not change.
#[must_use]
pub fn is_execution(error: &MigrateError) -> bool {
    matches!(error, MigrateError::Execute(_) | MigrateError::ExecuteMigration(..))
}
