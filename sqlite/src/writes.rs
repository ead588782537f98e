//! The one connection that changes tables, and its replacement after a failure.

use std::ops::{Deref, DerefMut};

use sqlx::ConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use tokio::sync::{Mutex, MutexGuard};

/// The connection for changes: SQLite allows one writer at a time.
#[derive(Debug)]
pub struct Writes {
    options: SqliteConnectOptions,
    /// `None` after a change that has failed: see [`Writer`].
    connection: Mutex<Option<SqliteConnection>>,
}

impl Writes {
    /// Changes on this connection, or on others with these options after a failure.
    #[must_use]
    pub fn new(options: SqliteConnectOptions, connection: SqliteConnection) -> Self {
        Self { options, connection: Mutex::new(Some(connection)) }
    }

    /// Waits for the changes of other tasks, and opens the connection if the last change has failed.
    ///
    /// # Errors
    /// The connection cannot be opened.
    pub async fn begin(&self) -> Result<Writer<'_>, sqlx::Error> {
        let mut place = self.connection.lock().await;
        let connection = match place.take() {
            Some(connection) => connection,
            None => self.options.connect().await?,
        };
        Ok(Writer { place, connection })
    }

    /// Waits for the changes of other tasks. Until this is dropped, further ones wait here and not for
    /// the lock of the file, where a wait fails after 10 seconds.
    pub async fn pause(&self) -> Paused<'_> {
        Paused { _place: self.connection.lock().await }
    }
}

/// While this lives, the connection is not used.
#[derive(Debug)]
pub struct Paused<'a> {
    _place: MutexGuard<'a, Option<SqliteConnection>>,
}

/// The connection during one change. Unless the change ends with [`Writer::done`], the connection is
/// closed, which rolls back what is not committed, and the next change opens a new one. A connection on
/// which a change has failed or was interrupted is not used again: after an error such as a full disk,
/// SQLite has ended the transaction, but the driver takes it for open, and refuses to begin another.
#[derive(Debug)]
pub struct Writer<'a> {
    place: MutexGuard<'a, Option<SqliteConnection>>,
    connection: SqliteConnection,
}

impl Writer<'_> {
    /// Ends a change that has succeeded.
    pub fn done(mut self) {
        *self.place = Some(self.connection);
    }
}

impl Deref for Writer<'_> {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        &self.connection
    }
}

impl DerefMut for Writer<'_> {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        &mut self.connection
    }
}
