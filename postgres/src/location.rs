//! The address of a database.

use std::str::FromStr;

use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgConnection};

use crate::{CONNECT, within};

/// The address of a database, and the options to connect to it.
#[derive(Clone, Debug)]
pub struct Location {
    options: PgConnectOptions,
}

impl Location {
    /// Parses a URL such as `postgres://user:password@host:5432/database?sslmode=verify-full`. The
    /// server shows `application` as the name of the connections.
    ///
    /// # Errors
    /// [`sqlx::Error::Configuration`] if the URL is not valid.
    pub fn parse(url: &str, application: &str) -> Result<Self, sqlx::Error> {
        let options = PgConnectOptions::from_str(url)?;
        Ok(Self { options: options.application_name(application).disable_statement_logging() })
    }

    /// The same database with connections on which the server refuses every change.
    #[must_use]
    pub fn read_only(self) -> Self {
        let options = self.options.options([("default_transaction_read_only", "on")]);
        Self { options }
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// The server's error, or [`sqlx::Error::Io`] if it takes longer than [`CONNECT`].
    pub async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        within(CONNECT, self.options.connect()).await
    }

    pub(crate) fn options(&self) -> PgConnectOptions {
        self.options.clone()
    }
}

/// Host, port and database, for logs and error texts: without user and password.
impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (host, port) = (self.options.get_host(), self.options.get_port());
        let database = self.options.get_database().unwrap_or(self.options.get_username());
        write!(f, "{host}:{port}/{database}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown() {
        let location = Location::parse("postgres://ann:secret@db:5433/keys", "tests").unwrap();
        assert_eq!(location.to_string(), "db:5433/keys");
    }
}
