//! The read tables in a PostgreSQL database, for any number of nodes.

mod log;
mod store;
mod swap;
mod write;

use futures::future::BoxFuture;
use keyledger_domain::without_password;
use keyledger_postgres::{Listener, Location, Pool, bounded, is_execution};
use sqlx::migrate::Migrator;
use sqlx::postgres::PgConnection;
use tokio::sync::{Mutex, MutexGuard, watch};

use crate::OpenTablesError;
use crate::error::check_version;
use write::CHANNEL;

/// The maximum number of connections for queries.
const CONNECTIONS: u32 = 8;

/// The read tables in a PostgreSQL database.
#[derive(Debug)]
pub(crate) struct PostgresStore {
    location: Location,
    reads: Pool,
    /// The connection for changes; `None` after a change whose outcome is unknown.
    writes: Mutex<Option<PgConnection>>,
    /// The number of notifications of writes received so far.
    heard: watch::Sender<u64>,
    /// `None` if the tables were opened read-only: a standby server refuses `LISTEN`.
    _listener: Option<Listener>,
}

impl PostgresStore {
    /// Opens the tables, creates them where they are missing, and applies the migrations.
    pub(crate) async fn open(url: &str) -> Result<Self, OpenTablesError> {
        let location = parse(url)?;
        let mut writes = location.connect().await.map_err(unavailable(&location))?;
        let migrated = migrations().run_direct(None, &mut writes, false).await;
        migrated.map_err(|error| match error {
            error if is_execution(&error) => unavailable(&location)(error.into()),
            error => OpenTablesError::Migration(error),
        })?;
        let reads = Pool::open(&location, CONNECTIONS).await.map_err(unavailable(&location))?;
        let heard = watch::Sender::new(0);
        let told = heard.clone();
        let listener = Listener::start(&location, CHANNEL, move |_| {
            told.send_modify(|count: &mut u64| *count = count.wrapping_add(1));
        });
        let (writes, listener) = (Mutex::new(Some(writes)), Some(listener));
        Ok(Self { location, reads, writes, heard, _listener: listener })
    }

    /// Opens existing tables of this version's form, and changes nothing. The server refuses every
    /// change on these connections.
    pub(crate) async fn open_read_only(url: &str) -> Result<Self, OpenTablesError> {
        let location = parse(url)?.read_only();
        let mut connection = location.connect().await.map_err(unavailable(&location))?;
        let version =
            sqlx::query_scalar("SELECT max(version) FROM keyledger_read_migrations WHERE success");
        let version = bounded(version.fetch_one(&mut connection)).await;
        check_version(version.map_err(unavailable(&location))?, &migrations())?;
        let reads = Pool::open(&location, CONNECTIONS).await.map_err(unavailable(&location))?;
        let writes = Mutex::new(Some(connection));
        Ok(Self { location, reads, writes, heard: watch::Sender::new(0), _listener: None })
    }

    /// Waits until no other task uses the connection for changes, and takes it.
    async fn writer(&self) -> Result<Writer<'_>, sqlx::Error> {
        let mut place = self.writes.lock().await;
        let connection = match place.take() {
            Some(connection) => connection,
            None => self.location.connect().await?,
        };
        Ok(Writer { place, connection })
    }
}

/// The connection for changes. After a change that failed or was abandoned it is dropped, since a
/// statement may still run on it; the next change opens another.
struct Writer<'a> {
    place: MutexGuard<'a, Option<PgConnection>>,
    connection: PgConnection,
}

impl Writer<'_> {
    /// Makes a change, and gives the connection back if the change succeeded.
    async fn change<T>(
        mut self,
        change: impl for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, Result<T, sqlx::Error>>,
    ) -> Result<T, sqlx::Error> {
        let changed = bounded(change(&mut self.connection)).await?;
        self.keep();
        Ok(changed)
    }

    fn keep(mut self) {
        *self.place = Some(self.connection);
    }
}

/// The migrations of the read tables. The journal may be in the same database and records its own
/// migrations, so these are recorded in a table with another name.
fn migrations() -> Migrator {
    let mut migrations = sqlx::migrate!("../migrations/read/postgres");
    migrations.dangerous_set_table_name("keyledger_read_migrations");
    migrations
}

fn parse(url: &str) -> Result<Location, OpenTablesError> {
    Location::parse(url, "keyledger-read")
        .map_err(|source| OpenTablesError::BadUrl { url: without_password(url), source })
}

/// The error for a server that cannot be reached or refuses a statement.
fn unavailable(location: &Location) -> impl FnOnce(sqlx::Error) -> OpenTablesError + use<> {
    let place = location.to_string();
    move |source| OpenTablesError::Unavailable { place, source }
}
