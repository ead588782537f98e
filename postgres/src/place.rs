//! Where a database is.

use std::str::FromStr;

use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgConnection};

use crate::{CONNECT, within};

/// Where a database is, and how it is connected to.
#[derive(Clone, Debug)]
pub struct Place {
    options: PgConnectOptions,
}

impl Place {
    /// Reads a URL such as `postgres://user:password@host:5432/database?sslmode=verify-full`; the
    /// server will know the connections by the application's name.
    ///
    /// # Errors
    /// [`sqlx::Error::Configuration`] when it is none.
    pub fn parse(url: &str, application: &str) -> Result<Self, sqlx::Error> {
        let options = PgConnectOptions::from_str(url)?;
        Ok(Self { options: options.application_name(application).disable_statement_logging() })
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// The server's error, or [`sqlx::Error::Io`] when it takes longer than [`CONNECT`].
    pub async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        within(CONNECT, self.options.connect()).await
    }

    pub(crate) fn options(&self) -> PgConnectOptions {
        self.options.clone()
    }
}

/// For people: without the password.
impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (host, port) = (self.options.get_host(), self.options.get_port());
        let database = self.options.get_database().unwrap_or(self.options.get_username());
        write!(f, "{host}:{port}/{database}")
    }
}

/// A URL as people may see it: without who connects, and without what follows the path, either of
/// which may hold a password.
#[must_use]
pub fn without_password(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    match url.split_once("://") {
        Some((scheme, rest)) => match rest.rsplit_once('@') {
            Some((_, place)) => format!("{scheme}://{place}"),
            None => format!("{scheme}://{rest}"),
        },
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown() {
        for (url, shown) in [
            ("postgres://ann:secret@db:5432/keys", "postgres://db:5432/keys"),
            ("postgres://ann:se@cret@db/keys?password=secret", "postgres://db/keys"),
            ("postgres://db/keys#secret", "postgres://db/keys"),
            ("sqlite://data/journal.db", "sqlite://data/journal.db"),
            ("nonsense", "nonsense"),
        ] {
            assert_eq!(without_password(url), shown);
        }
        let place = Place::parse("postgres://ann:secret@db:5433/keys", "tests").unwrap();
        assert_eq!(place.to_string(), "db:5433/keys");
    }
}
