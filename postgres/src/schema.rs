//! Tables: makes them where they are missing, and checks that they can be used.

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection};

use crate::{Location, bounded, sqlstate};

/// Tables, and what the program does with each.
pub type Rights = [(&'static str, &'static [&'static str])];

/// Why tables cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The server cannot be reached, or refuses a statement.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// The tables were made by another version of the program.
    #[error(transparent)]
    Version(MigrateError),
    /// The database cannot hold every text.
    #[error(
        "the database has the encoding {0} and must have UTF8: make another one with CREATE DATABASE … \
         ENCODING 'UTF8' TEMPLATE template0"
    )]
    Encoding(String),
    /// The role may not make the tables.
    #[error(
        "the role {role} may not make or change tables: run `keyledger migrate` with a role that may, or \
         GRANT CREATE, USAGE ON SCHEMA {schema} TO {role}"
    )]
    NoTables {
        /// The role, quoted.
        role: String,
        /// The schema in which tables are made, quoted.
        schema: String,
    },
    /// The role may not use the tables.
    #[error("the role may not use the tables as it must: {0}")]
    NoRights(String),
}

/// Makes the tables of a database as these migrations say, and checks that the role has these rights.
/// Where no migration is pending, nothing is made, so the role needs no right to make tables.
///
/// # Errors
/// Every variant of [`SchemaError`].
pub async fn prepare(
    location: &Location,
    migrations: &Migrator,
    rights: &Rights,
) -> Result<(), SchemaError> {
    let mut connection = location.connect().await?;
    let encoding: String =
        bounded(sqlx::query_scalar("SHOW server_encoding").fetch_one(&mut connection)).await?;
    if encoding != "UTF8" {
        return Err(SchemaError::Encoding(encoding));
    }
    if !is_done(&mut connection, migrations).await? {
        // A migration may take long, and waits for one that another node runs.
        let endless = "SET statement_timeout = 0; SET lock_timeout = 0";
        bounded(sqlx::raw_sql(endless).execute(&mut connection)).await?;
        if let Err(error) = migrations.run_direct(None, &mut connection, false).await {
            return Err(refusal(&mut connection, error).await);
        }
    }
    check_rights(&mut connection, rights).await?;
    // The server closes the connection anyway.
    let _ = bounded(connection.close()).await;
    Ok(())
}

/// Whether these migrations were applied. Fails if others were, which a later version knows.
async fn is_done(
    connection: &mut PgConnection,
    migrations: &Migrator,
) -> Result<bool, SchemaError> {
    let table = &migrations.table_name;
    let state = sqlx::query_as(
        "SELECT to_regclass($1) IS NOT NULL,
                coalesce(has_table_privilege(to_regclass($1), 'SELECT'), false)",
    );
    let state = state.bind(&**table).fetch_one(&mut *connection);
    match bounded(state).await? {
        (false, _) => return Ok(false),
        // The check of rights says which are missing.
        (true, false) => return Ok(true),
        (true, true) => {}
    }
    let applied = sqlx::query_as(AssertSqlSafe(format!(
        "SELECT version, checksum FROM {table} WHERE success ORDER BY version"
    )));
    let applied: Vec<(i64, Vec<u8>)> = bounded(applied.fetch_all(connection)).await?;
    let is_known = |version| migrations.iter().any(|known| known.version == version);
    if let Some((version, _)) = applied.iter().find(|(version, _)| !is_known(*version)) {
        return Err(SchemaError::Version(MigrateError::VersionMissing(*version)));
    }
    let applied = applied.iter().map(|(version, checksum)| (*version, checksum.as_slice()));
    Ok(applied.eq(migrations.iter().map(|known| (known.version, known.checksum.as_ref()))))
}

/// Why migrations cannot be applied.
async fn refusal(connection: &mut PgConnection, error: MigrateError) -> SchemaError {
    let (MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) = error else {
        return SchemaError::Version(error);
    };
    // Insufficient privilege.
    if sqlstate(&error).is_none_or(|code| code != "42501") {
        return error.into();
    }
    let names = sqlx::query_as(
        "SELECT quote_ident(current_user), quote_ident(coalesce(current_schema(), 'public'))",
    );
    match bounded(names.fetch_one(connection)).await {
        Ok((role, schema)) => SchemaError::NoTables { role, schema },
        Err(_) => error.into(),
    }
}

async fn check_rights(connection: &mut PgConnection, rights: &Rights) -> Result<(), SchemaError> {
    let each =
        rights.iter().flat_map(|(table, rights)| rights.iter().map(move |one| (*table, *one)));
    let (tables, rights): (Vec<_>, Vec<_>) = each.unzip();
    let missing = sqlx::query_scalar(
        "SELECT 'GRANT ' || string_agg(privilege, ', ' ORDER BY number) || ' ON ' || name || ' TO '
                || quote_ident(current_user)
         FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS wanted (name, privilege, number)
         WHERE NOT has_table_privilege(to_regclass(name), privilege)
         GROUP BY name ORDER BY name",
    );
    let missing: Vec<String> =
        bounded(missing.bind(tables).bind(rights).fetch_all(connection)).await?;
    if missing.is_empty() { Ok(()) } else { Err(SchemaError::NoRights(missing.join("; "))) }
}
