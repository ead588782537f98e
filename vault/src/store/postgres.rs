//! The vault in a PostgreSQL database, for any number of nodes.

use async_trait::async_trait;
use futures::FutureExt;
use keyledger_checks::{self as checks, Found};
use keyledger_domain::{Erasure, OwnerId, without_password};
use keyledger_postgres::{Changes, Location, Pool, Rights, SchemaError, prepare};
use sqlx::migrate::Migrator;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection};
use uuid::Uuid;

use super::{Generation, Inserted, LookUp, NewOwner, OwnerRow, Rewrapped, STEP, Store, statements};
use crate::OpenVaultError;

/// The maximum number of connections for queries.
const CONNECTIONS: u32 = 4;

/// What the role does with each table.
const RIGHTS: &Rights = &[
    ("keyledger_vault_migrations", &["SELECT"]),
    ("vault_generation", &["SELECT", "INSERT", "UPDATE", "DELETE"]),
    ("vault_owners", &["SELECT", "INSERT", "UPDATE"]),
    ("vault_lookup", &["SELECT", "INSERT", "DELETE"]),
];

/// The vault in a PostgreSQL database.
#[derive(Debug)]
pub(crate) struct PostgresStore {
    reads: Pool,
    changes: Changes,
}

statements!(PgConnection, " FOR SHARE", " FOR UPDATE");

impl PostgresStore {
    /// Opens the tables, creates them where they are missing, and applies the migrations.
    pub(crate) async fn open(url: &str) -> Result<Self, OpenVaultError> {
        let location = parse(url)?;
        let place = location.to_string();
        prepare(&location, &migrations(), RIGHTS).await.map_err(|error| match error {
            SchemaError::Database(error) => OpenVaultError::unavailable(&place, error),
            error @ (SchemaError::Version(_)
            | SchemaError::Encoding(_)
            | SchemaError::NoTables { .. }
            | SchemaError::NoRights(_)) => OpenVaultError::refused(&place, error),
        })?;
        let reads = Pool::open(&location, CONNECTIONS).await;
        let reads = reads.map_err(|error| OpenVaultError::unavailable(&place, error))?;
        Ok(Self { reads, changes: Changes::new(location) })
    }
}

/// Looks at the database without a change.
pub(crate) async fn examine(url: &str) -> Result<Found, OpenVaultError> {
    Ok(checks::postgres::examine(&parse(url)?, &migrations(), RIGHTS, true).await)
}

/// The migrations of the vault, recorded in a table of their own.
fn migrations() -> Migrator {
    let mut migrations = sqlx::migrate!("../migrations/vault/postgres");
    migrations.dangerous_set_table_name("keyledger_vault_migrations");
    migrations
}

fn parse(url: &str) -> Result<Location, OpenVaultError> {
    Location::parse(url, "keyledger-vault")
        .map_err(|source| OpenVaultError::BadUrl { url: without_password(url), source })
}

/// Runs a change as one transaction. It may run several times, so it owns what it needs.
macro_rules! change {
    ($store:expr, ($($value:ident),*), $transaction:ident => $change:expr) => {{
        let outcome = $store.changes.run(move |connection| {
            $(let $value = $value.clone();)*
            async move {
                let mut $transaction = connection.begin().await?;
                let outcome = $change.await?;
                $transaction.commit().await?;
                Ok(outcome)
            }
            .boxed()
        });
        Ok(outcome.await?)
    }};
}

#[async_trait]
impl Store for PostgresStore {
    async fn generations(&self) -> Result<Vec<Generation>, sqlx::Error> {
        self.reads.ask(|connection| generations(connection).boxed()).await
    }

    async fn add_generation(&self, new: &Generation) -> Result<bool, sqlx::Error> {
        let new = new.clone();
        change!(self, (new), transaction => add_generation(&mut transaction, &new))
    }

    async fn retire_generations(&self, newest: i64) -> Result<bool, sqlx::Error> {
        change!(self, (), transaction => retire_generations(&mut transaction, newest))
    }

    async fn find(&self, lookups: &[LookUp]) -> Result<Option<OwnerRow>, sqlx::Error> {
        self.reads
            .ask(|connection| {
                let lookups = lookups.to_vec();
                async move { find(connection, &lookups).await }.boxed()
            })
            .await
    }

    async fn owners(&self, ids: &[Uuid]) -> Result<Vec<OwnerRow>, sqlx::Error> {
        self.reads
            .ask(|connection| {
                let ids = ids.to_vec();
                async move {
                    let rows = AssertSqlSafe(format!("{OWNER} WHERE owner_id = ANY ($1)"));
                    sqlx::query_as(rows).bind(ids).fetch_all(connection).await
                }
                .boxed()
            })
            .await
    }

    async fn insert(&self, new: &NewOwner) -> Result<Inserted, sqlx::Error> {
        let new = new.clone();
        let inserted = self.changes.run(move |connection| {
            let new = new.clone();
            async move {
                let mut transaction = connection.begin().await?;
                let inserted = insert(&mut transaction, &new).await?;
                match inserted {
                    Inserted::New => transaction.commit().await?,
                    Inserted::Outdated => transaction.rollback().await?,
                }
                Ok(inserted)
            }
            .boxed()
        });
        Ok(inserted.await?)
    }

    async fn set_registered(&self, owner: Uuid) -> Result<(), sqlx::Error> {
        change!(self, (), transaction => set_registered(&mut transaction, owner))
    }

    async fn set_person(
        &self,
        owner: Uuid,
        before: &[u8],
        person: &[u8],
    ) -> Result<bool, sqlx::Error> {
        let (before, person) = (before.to_vec(), person.to_vec());
        change!(self, (before, person), transaction =>
            set_person(&mut transaction, owner, &before, &person))
    }

    async fn erase(&self, owner: OwnerId, erasure: Erasure) -> Result<bool, sqlx::Error> {
        change!(self, (), transaction => erase(&mut transaction, owner, erasure))
    }

    async fn before(&self, generation: i64) -> Result<Vec<OwnerRow>, sqlx::Error> {
        self.reads.ask(move |connection| before(connection, generation).boxed()).await
    }

    async fn rewrap(&self, to: i64, owners: &[Rewrapped]) -> Result<(), sqlx::Error> {
        let owners = owners.to_vec();
        change!(self, (owners), transaction => rewrap(&mut transaction, to, &owners))
    }
}
