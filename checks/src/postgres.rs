//! A database of PostgreSQL.

use keyledger_domain::chain;
use keyledger_postgres::{self as server, Examined, Location, Rights, SchemaError, is_unreachable};
use sqlx::migrate::{MigrateError, Migrator};

use crate::{Found, Migrations};

/// SQLSTATE of a login that is refused, and of a database that does not exist.
const LOGIN: [&str; 2] = ["28P01", "28000"];
const NO_DATABASE: &str = "3D000";

/// What is in a database that needs these migrations and rights. `makes` says whether the process makes the
/// tables, or only uses them.
pub async fn examine(
    location: &Location,
    migrations: &Migrator,
    rights: &Rights,
    makes: bool,
) -> Found {
    let mut found = Found::at("PostgreSQL", location.to_string());
    let examined = match server::examine(location, migrations, rights, makes).await {
        Ok(examined) => examined,
        Err(error) => return found.with_problem(unusable(&error)),
    };
    let Examined { version, is_encrypted, is_standby, is_read_only, tables } = examined;
    found.version = Some(version);
    found.is_encrypted = Some(is_encrypted);
    found.is_writable = Some(!is_standby && !is_read_only);
    if is_standby {
        found.problems.push("the server is a standby, and refuses every change".to_owned());
    } else if is_read_only {
        found.problems.push(
            "the server is read-only (default_transaction_read_only), and refuses every change"
                .to_owned(),
        );
    }
    match tables {
        Ok(pending) => {
            let known = migrations.iter().count();
            found.migrations = Some(Migrations { known, pending });
            if pending == known && !makes {
                found.problems.push("there are no tables yet".to_owned());
            }
        }
        // Without tables, the process cannot make them on such a server in any case.
        Err(SchemaError::NoTables { .. }) if found.is_writable == Some(false) => {}
        Err(SchemaError::Version(MigrateError::VersionMissing(version))) => {
            found.problems.push(later_version(version));
        }
        Err(error) => found.problems.push(chain(&error)),
    }
    found
}

/// What is said of tables with a migration that this version does not know.
pub(crate) fn later_version(version: i64) -> String {
    format!("the tables are of a later version of keyledger, which has a migration {version}")
}

fn unusable(error: &sqlx::Error) -> String {
    let code = error.as_database_error().and_then(|error| error.code());
    let told = chain(error);
    match code.as_deref() {
        Some(code) if LOGIN.contains(&code) => {
            format!("the server refuses the user or the password: {told}")
        }
        Some(NO_DATABASE) => format!("there is no such database: {told}"),
        _ if told.contains("UnknownIssuer") => format!(
            "the server's certificate is not trusted: name the certificate of its authority with sslrootcert \
             in the URL, or with PGSSLROOTCERT: {told}"
        ),
        _ if is_unreachable(error) => format!("the server cannot be reached: {told}"),
        _ => told,
    }
}
