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
    check_encoding(&mut connection).await?;
    if pending(&mut connection, migrations).await? > 0 {
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

/// Checks tables as [`prepare`] does, and that the role may make what is missing if it `makes` tables, but makes
/// nothing. Returns how many migrations are to be applied.
pub(crate) async fn check(
    connection: &mut PgConnection,
    migrations: &Migrator,
    rights: &Rights,
    makes: bool,
) -> Result<usize, SchemaError> {
    check_encoding(connection).await?;
    let pending = pending(connection, migrations).await?;
    if pending == 0 {
        check_rights(connection, rights).await?;
    }
    if pending == 0 || !makes {
        return Ok(pending);
    }
    let may_make = sqlx::query_scalar(
        "SELECT coalesce(has_schema_privilege(current_schema(), 'CREATE'), false)",
    );
    if bounded(may_make.fetch_one(&mut *connection)).await? {
        Ok(pending)
    } else {
        Err(no_tables(connection).await?)
    }
}

async fn check_encoding(connection: &mut PgConnection) -> Result<(), SchemaError> {
    let encoding: String =
        bounded(sqlx::query_scalar("SHOW server_encoding").fetch_one(connection)).await?;
    if encoding == "UTF8" { Ok(()) } else { Err(SchemaError::Encoding(encoding)) }
}

/// How many of these migrations are to be applied. Fails if others were applied, which a later version knows.
async fn pending(
    connection: &mut PgConnection,
    migrations: &Migrator,
) -> Result<usize, SchemaError> {
    let table = &migrations.table_name;
    let state = sqlx::query_as(
        "SELECT to_regclass($1) IS NOT NULL,
                coalesce(has_table_privilege(to_regclass($1), 'SELECT'), false)",
    );
    let state = state.bind(&**table).fetch_one(&mut *connection);
    match bounded(state).await? {
        (false, _) => return Ok(migrations.iter().count()),
        // The check of rights says which are missing.
        (true, false) => return Ok(0),
        (true, true) => {}
    }
    let applied = sqlx::query_as(AssertSqlSafe(format!(
        "SELECT version, checksum FROM {table} WHERE success ORDER BY version"
    )));
    let applied: Vec<(i64, Vec<u8>)> = bounded(applied.fetch_all(connection)).await?;
    for (version, checksum) in &applied {
        let error = match migrations.iter().find(|known| known.version == *version) {
            None => MigrateError::VersionMissing(*version),
            Some(known) if *known.checksum != **checksum => MigrateError::VersionMismatch(*version),
            Some(_) => continue,
        };
        return Err(SchemaError::Version(error));
    }
    let is_applied = |version| applied.iter().any(|(applied, _)| *applied == version);
    Ok(migrations.iter().filter(|known| !is_applied(known.version)).count())
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
    no_tables(connection).await.unwrap_or_else(|_| error.into())
}

/// The error of a role that may not make tables.
async fn no_tables(connection: &mut PgConnection) -> Result<SchemaError, sqlx::Error> {
    let names = sqlx::query_as(
        "SELECT quote_ident(current_user), quote_ident(coalesce(current_schema(), 'public'))",
    );
    let (role, schema) = bounded(names.fetch_one(connection)).await?;
    Ok(SchemaError::NoTables { role, schema })
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
