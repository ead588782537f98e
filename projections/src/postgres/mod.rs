//! The read tables in a PostgreSQL database, for any number of nodes.

mod log;
mod store;
mod swap;
#[cfg(test)]
mod tests;
mod write;

use keyledger_checks::{self as checks, Found};
use keyledger_domain::without_password;
use keyledger_postgres::{
    Changes, Listener, Location, Pool, Rights, SchemaError, bounded, prepare,
};
use sqlx::migrate::Migrator;
use tokio::sync::watch;

use crate::OpenTablesError;
use crate::error::check_version;
use write::CHANNEL;

/// The maximum number of connections for queries.
const CONNECTIONS: u32 = 8;

/// What the role does with each table.
const RIGHTS: &Rights = &[
    ("keyledger_read_migrations", &["SELECT"]),
    ("projection", &["SELECT", "UPDATE"]),
    ("build", &ALL),
    ("keys", &ALL),
    ("closed_keys", &ALL),
    ("key_usage", &["SELECT", "INSERT", "UPDATE"]),
    ("lease", &["SELECT", "INSERT", "UPDATE"]),
    ("relay", &["SELECT", "INSERT", "UPDATE"]),
    ("tree", &["SELECT", "UPDATE"]),
    ("tree_tile", &["SELECT", "INSERT", "UPDATE"]),
    ("tree_event", &["SELECT", "INSERT", "UPDATE"]),
    ("tree_checkpoint", &["SELECT", "INSERT", "UPDATE"]),
];
const ALL: [&str; 4] = ["SELECT", "INSERT", "UPDATE", "DELETE"];

/// The read tables in a PostgreSQL database.
#[derive(Debug)]
pub(crate) struct PostgresStore {
    location: Location,
    reads: Pool,
    changes: Changes,
    /// The number of notifications of writes received so far.
    heard: watch::Sender<u64>,
    /// `None` if the tables were opened read-only: a standby server refuses `LISTEN`.
    _listener: Option<Listener>,
}

impl PostgresStore {
    /// Opens the tables, creates them where they are missing, and applies the migrations.
    pub(crate) async fn open(url: &str) -> Result<Self, OpenTablesError> {
        let location = parse(url)?;
        prepare(&location, &migrations(), RIGHTS).await.map_err(|error| match error {
            SchemaError::Database(error) => unavailable(&location)(error),
            SchemaError::Version(error) => OpenTablesError::Migration(error),
            error @ (SchemaError::Encoding(_)
            | SchemaError::NoTables { .. }
            | SchemaError::NoRights(_)) => {
                OpenTablesError::Refused { place: location.to_string(), source: error.into() }
            }
        })?;
        let reads = Pool::open(&location, CONNECTIONS).await.map_err(unavailable(&location))?;
        let heard = watch::Sender::new(0);
        let told = heard.clone();
        let listener = Listener::start(&location, CHANNEL, move |_| {
            told.send_modify(|count: &mut u64| *count = count.wrapping_add(1));
        });
        let changes = Changes::new(location.clone());
        Ok(Self { location, reads, changes, heard, _listener: Some(listener) })
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
        let changes = Changes::new(location.clone());
        Ok(Self { location, reads, changes, heard: watch::Sender::new(0), _listener: None })
    }
}

/// Looks at the database without a change.
pub(crate) async fn examine(url: &str) -> Result<Found, OpenTablesError> {
    Ok(checks::postgres::examine(&parse(url)?, &migrations(), RIGHTS, true).await)
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
