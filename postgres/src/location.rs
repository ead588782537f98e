//! The address of a database.

use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use tokio::sync::watch;

use crate::session::{self, Backend};
use crate::{CONNECT, within};

/// The least time between two renewals.
const PAUSE: Duration = Duration::from_secs(1);

/// The address of a database, and the options to connect to it. Clones share what [`Location::renew`]
/// does.
#[derive(Clone, Debug)]
pub struct Location {
    options: PgConnectOptions,
    /// Connections that were opened before this time are not used any more.
    renewed: Arc<watch::Sender<Option<Instant>>>,
}

impl Location {
    /// Parses a URL such as `postgres://user:password@host:5432/database?sslmode=verify-full`. The
    /// server shows `application` as the name of the connections.
    ///
    /// # Errors
    /// [`sqlx::Error::Configuration`] if the URL is not valid.
    pub fn parse(url: &str, application: &str) -> Result<Self, sqlx::Error> {
        let options = PgConnectOptions::from_str(url)?;
        let options = options.application_name(application).disable_statement_logging();
        Ok(Self { options, renewed: Arc::default() })
    }

    /// The same database with connections on which the server refuses every change.
    #[must_use]
    pub fn read_only(self) -> Self {
        let options = self.options.options([("default_transaction_read_only", "on")]);
        Self { options, ..self }
    }

    /// Opens a connection with the settings that every connection has: no statement runs longer than
    /// 4 s or waits longer than 3 s for a lock, transactions are `READ COMMITTED`, and a commit waits
    /// until it is durable, whatever the role, the database and the server have as defaults.
    ///
    /// # Errors
    /// The server's error, or [`sqlx::Error::Io`] if it takes longer than [`CONNECT`].
    pub async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        self.open().await.map(|(connection, _)| connection)
    }

    /// The same, with the process of the server that serves the connection.
    pub(crate) async fn open(&self) -> Result<(PgConnection, Backend), sqlx::Error> {
        let opening = async {
            let mut connection = self.options.connect().await?;
            let backend = session::set_up(&mut connection).await?;
            Ok((connection, backend))
        };
        within(CONNECT, opening).await
    }

    /// Makes every connection outdated that was opened before now: each is closed before its next
    /// use. Another server may have the address by now. Does nothing if the last renewal was less
    /// than a second ago.
    pub fn renew(&self) {
        self.renewed.send_if_modified(|renewed| {
            let is_due = renewed.is_none_or(|renewed| renewed.elapsed() >= PAUSE);
            if is_due {
                *renewed = Some(Instant::now());
            }
            is_due
        });
    }

    /// Whether a connection that was opened at this time is outdated.
    pub(crate) fn is_outdated(&self, opened: Instant) -> bool {
        self.renewed.borrow().is_some_and(|renewed| opened < renewed)
    }

    /// Waits for the next renewal.
    pub(crate) async fn renewed(&self) {
        // The sender lives as long as this value.
        let _ = self.renewed.subscribe().changed().await;
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

    #[test]
    fn a_renewal_makes_earlier_connections_outdated() {
        let location = Location::parse("postgres://db/keys", "tests").unwrap();
        let (before, clone) = (Instant::now(), location.clone());
        assert!(!clone.is_outdated(before));
        location.renew();
        assert!(clone.is_outdated(before));
        assert!(!clone.is_outdated(Instant::now()));
    }
}
