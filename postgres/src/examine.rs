//! What a server says of itself, without a change.

use sqlx::Connection;
use sqlx::migrate::Migrator;

use crate::schema::check;
use crate::{Location, Rights, SchemaError, bounded};

/// A server, and the tables of one of its databases.
#[derive(Debug)]
pub struct Examined {
    /// The server's version, such as `15.12`.
    pub version: String,
    /// Whether the connection is encrypted.
    pub is_encrypted: bool,
    /// Whether the server is a standby, which refuses every change.
    pub is_standby: bool,
    /// Whether transactions are read-only by default, for this role or on the whole server.
    pub is_read_only: bool,
    /// How many migrations are to be applied, or why the tables cannot be used.
    pub tables: Result<usize, SchemaError>,
}

/// Looks at a server, and at the tables that need these migrations and rights. Changes nothing. `makes` says whether
/// the process makes tables that are missing.
///
/// # Errors
/// The server's error, or that it cannot be reached.
pub async fn examine(
    location: &Location,
    migrations: &Migrator,
    rights: &Rights,
    makes: bool,
) -> Result<Examined, sqlx::Error> {
    let mut connection = location.connect().await?;
    let state = sqlx::query_as(
        "SELECT current_setting('server_version'),
                coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false),
                pg_is_in_recovery(),
                current_setting('default_transaction_read_only')::boolean",
    );
    let state = bounded(state.fetch_one(&mut connection)).await?;
    let (version, is_encrypted, is_standby, is_read_only): (String, _, _, _) = state;
    let tables = check(&mut connection, migrations, rights, makes).await;
    // The server closes the connection anyway.
    let _ = bounded(connection.close()).await;
    // What follows is the name of a package.
    let version = version.split(' ').next().unwrap_or_default().to_owned();
    Ok(Examined { version, is_encrypted, is_standby, is_read_only, tables })
}
