//! How both sides of keyledger talk to PostgreSQL: the journal and the read tables.
//!
//! Every wait has an end, whatever the server and the network do: a connection that does not answer
//! in time counts as lost, and is closed without a word. A question that only reads is asked again
//! on another connection.

#![deny(missing_docs)]

mod listen;
mod place;
mod pool;

use std::time::Duration;

use sqlx::migrate::MigrateError;

pub use listen::{Heard, Listening};
pub use place::{Place, without_password};
pub use pool::Pool;

/// How long a connection may take to come about.
pub const CONNECT: Duration = Duration::from_secs(3);
/// How long the server may take to answer a statement, before the connection counts as lost.
pub const ANSWER: Duration = Duration::from_secs(5);

/// Waits for an answer, but no longer than [`ANSWER`].
///
/// # Errors
/// The answer's, or [`sqlx::Error::Io`] when there is none in time. The connection is in the midst of
/// a statement then: it must be closed.
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
        Err(late) => Err(sqlx::Error::Io(late.into())),
    }
}

/// Whether an error tells that the connection is gone, so that what was asked may have been done.
#[must_use]
pub fn is_lost(error: &sqlx::Error) -> bool {
    // Class 57P: the server is stopping, or has not started yet.
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

/// Whether a migration was begun and failed, rather than found that it does not fit the database.
#[must_use]
pub fn is_execution(error: &MigrateError) -> bool {
    matches!(error, MigrateError::Execute(_) | MigrateError::ExecuteMigration(..))
}
