//! How the journal and the read tables talk to PostgreSQL.
//!
//! Every wait has a time limit. A connection that does not answer in time counts as lost and is
//! closed without a goodbye. A query that only reads is then sent again on another connection.

#![deny(missing_docs)]

mod listen;
mod location;
mod pool;

use std::time::Duration;

use sqlx::migrate::MigrateError;

pub use listen::{Listener, Notification};
pub use location::Location;
pub use pool::Pool;

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

/// Whether the server could not be reached, or stopped answering: the statement may have been
/// carried out or not. Any other error is a refusal by the server, or a row that cannot be decoded.
#[must_use]
pub fn is_unreachable(error: &sqlx::Error) -> bool {
    // SQLSTATE class 57P: the server is shutting down, or still starting.
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| code.starts_with("57P"))
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
