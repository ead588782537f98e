//! The tables of the vault. They hold no text in clear and no key that is not wrapped.

mod postgres;
mod sqlite;

use async_trait::async_trait;
use keyledger_domain::{Erasure, OwnerId};
use uuid::Uuid;

pub(crate) use postgres::{PostgresStore, examine as examine_postgres};
pub(crate) use sqlite::{SqliteStore, examine as examine_sqlite};

/// Under which key secrets are wrapped, and users are looked up.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct Generation {
    /// The number of the generation, from 1.
    pub(crate) generation: i64,
    /// The id of the key-encryption key.
    pub(crate) key_id: String,
    /// The key of the look-ups, wrapped with it.
    pub(crate) wrapped: Vec<u8>,
    /// Microseconds since 1970.
    pub(crate) made_at: i64,
}

/// A row of an owner.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct OwnerRow {
    pub(crate) owner_id: Uuid,
    /// `None` if the owner is erased, as the next three.
    pub(crate) generation: Option<i64>,
    /// The id of the key-encryption key.
    pub(crate) key_id: Option<String>,
    pub(crate) wrapped: Option<Vec<u8>>,
    pub(crate) person: Option<Vec<u8>>,
    pub(crate) commitment: Option<Vec<u8>>,
    pub(crate) is_registered: bool,
    pub(crate) erased_at: Option<i64>,
    pub(crate) erased_position: Option<i64>,
}

/// A new owner.
#[derive(Clone, Debug)]
pub(crate) struct NewOwner {
    pub(crate) owner_id: Uuid,
    pub(crate) generation: i64,
    pub(crate) wrapped: Vec<u8>,
    pub(crate) person: Vec<u8>,
    pub(crate) commitment: Vec<u8>,
    /// The user's hash in each generation that there is.
    pub(crate) lookups: Vec<LookUp>,
}

/// The hash of a user id in a generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LookUp {
    pub(crate) generation: i64,
    pub(crate) hash: Vec<u8>,
}

/// What became of a new owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inserted {
    /// It is in the vault.
    New,
    /// Another process has made an owner for this user, or has begun or ended a rotation: roll back.
    Outdated,
}

/// An owner whose secrets are wrapped and looked up in another generation from now on.
#[derive(Clone, Debug)]
pub(crate) struct Rewrapped {
    pub(crate) owner_id: Uuid,
    /// The generation so far.
    pub(crate) from: i64,
    pub(crate) wrapped: Vec<u8>,
    pub(crate) hash: Vec<u8>,
}

/// A database with the vault's tables. Each change is one transaction, and durable.
#[async_trait]
pub(crate) trait Store: std::fmt::Debug + Send + Sync + 'static {
    /// All generations, the newest last. There are two while a rotation runs, and none in a new vault.
    async fn generations(&self) -> Result<Vec<Generation>, sqlx::Error>;

    /// Adds a generation, if the newest one is the one before it. Returns whether it was added.
    async fn add_generation(&self, new: &Generation) -> Result<bool, sqlx::Error>;

    /// Removes all generations but this one with their look-ups, unless an owner is still in one of them. Returns
    /// whether they are removed.
    async fn retire_generations(&self, newest: i64) -> Result<bool, sqlx::Error>;

    /// The owner who is found by one of these hashes.
    async fn find(&self, lookups: &[LookUp]) -> Result<Option<OwnerRow>, sqlx::Error>;

    /// The rows of these owners, in any order. An owner who is not there has none.
    async fn owners(&self, ids: &[Uuid]) -> Result<Vec<OwnerRow>, sqlx::Error>;

    /// Adds an owner, if `generations` are those that there are, and nobody is found by its hashes.
    async fn insert(&self, new: &NewOwner) -> Result<Inserted, sqlx::Error>;

    /// Remembers that the owner's first event is in the journal.
    async fn set_registered(&self, owner: Uuid) -> Result<(), sqlx::Error>;

    /// Replaces what is known of a person, unless it is not `before` any more. Returns whether it was replaced.
    async fn set_person(
        &self,
        owner: Uuid,
        before: &[u8],
        person: &[u8],
    ) -> Result<bool, sqlx::Error>;

    /// Destroys what is known of an owner, and remembers the erasure also of one who is not there. Returns whether
    /// anything was destroyed.
    async fn erase(&self, owner: OwnerId, erasure: Erasure) -> Result<bool, sqlx::Error>;

    /// At most 500 owners who are in an earlier generation than this.
    async fn before(&self, generation: i64) -> Result<Vec<OwnerRow>, sqlx::Error>;

    /// Moves owners to a generation: those who are still in the generation that they were read in.
    async fn rewrap(&self, to: i64, owners: &[Rewrapped]) -> Result<(), sqlx::Error>;
}

/// How many owners one step of a rotation takes.
const STEP: i64 = 500;

/// The statements that both databases take, as functions on a connection. Those that change something are called in a
/// transaction. `$shared` is what makes a query lock its rows against changes until the transaction ends, and
/// `$exclusive` what locks them against `$shared` too.
macro_rules! statements {
    ($connection:ty, $shared:literal, $exclusive:literal) => {
        const OWNER: &str = "
            SELECT owner_id, generation, key_id, owners.wrapped, person, commitment, is_registered,
                   erased_at, erased_position
            FROM vault_owners AS owners LEFT JOIN vault_generation USING (generation)";

        async fn generations(
            connection: &mut $connection,
        ) -> Result<Vec<Generation>, sqlx::Error> {
            let all = "SELECT generation, key_id, wrapped, made_at FROM vault_generation
                       ORDER BY generation";
            sqlx::query_as(all).fetch_all(connection).await
        }

        async fn add_generation(
            connection: &mut $connection,
            new: &Generation,
        ) -> Result<bool, sqlx::Error> {
            // Owners who are being added are waited for: they have no hash in the new generation.
            let known: Vec<i64> = sqlx::query_scalar(concat!(
                "SELECT generation FROM vault_generation ORDER BY generation",
                $exclusive
            ))
            .fetch_all(&mut *connection)
            .await?;
            if known.last().copied().unwrap_or_default() + 1 != new.generation {
                return Ok(false);
            }
            let Generation { generation, key_id, wrapped, made_at } = new;
            let added = sqlx::query(
                "INSERT INTO vault_generation (generation, key_id, wrapped, made_at)
                 VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
            );
            let added = added.bind(generation).bind(key_id).bind(wrapped).bind(made_at);
            Ok(added.execute(connection).await?.rows_affected() == 1)
        }

        async fn retire_generations(
            connection: &mut $connection,
            newest: i64,
        ) -> Result<bool, sqlx::Error> {
            let _: Vec<i64> =
                sqlx::query_scalar(concat!("SELECT generation FROM vault_generation", $exclusive))
                    .fetch_all(&mut *connection)
                    .await?;
            let left = "SELECT EXISTS (SELECT 1 FROM vault_owners WHERE generation < $1)";
            if sqlx::query_scalar(left).bind(newest).fetch_one(&mut *connection).await? {
                return Ok(false);
            }
            for statement in [
                "DELETE FROM vault_lookup WHERE generation < $1",
                "DELETE FROM vault_generation WHERE generation < $1",
            ] {
                sqlx::query(statement).bind(newest).execute(&mut *connection).await?;
            }
            Ok(true)
        }

        async fn find(
            connection: &mut $connection,
            lookups: &[LookUp],
        ) -> Result<Option<OwnerRow>, sqlx::Error> {
            for LookUp { generation, hash } in lookups.iter().rev() {
                let found = AssertSqlSafe(format!(
                    "{OWNER} WHERE owner_id = (SELECT owner_id FROM vault_lookup
                                               WHERE generation = $1 AND hash = $2)"
                ));
                let found = sqlx::query_as(found).bind(generation).bind(hash);
                if let Some(found) = found.fetch_optional(&mut *connection).await? {
                    return Ok(Some(found));
                }
            }
            Ok(None)
        }

        async fn insert(
            connection: &mut $connection,
            new: &NewOwner,
        ) -> Result<Inserted, sqlx::Error> {
            let NewOwner { owner_id, generation, wrapped, person, commitment, lookups } = new;
            let there: Vec<i64> = sqlx::query_scalar(concat!(
                "SELECT generation FROM vault_generation ORDER BY generation",
                $shared
            ))
            .fetch_all(&mut *connection)
            .await?;
            if !lookups.iter().map(|lookup| lookup.generation).eq(there) {
                return Ok(Inserted::Outdated);
            }
            let row = sqlx::query(
                "INSERT INTO vault_owners
                     (owner_id, generation, wrapped, person, commitment, is_registered)
                 VALUES ($1, $2, $3, $4, $5, 1 = 0)",
            );
            let row = row.bind(owner_id).bind(generation).bind(wrapped).bind(person).bind(commitment);
            row.execute(&mut *connection).await?;
            for LookUp { generation, hash } in lookups {
                let row = sqlx::query(
                    "INSERT INTO vault_lookup (generation, hash, owner_id) VALUES ($1, $2, $3)
                     ON CONFLICT DO NOTHING",
                );
                let row = row.bind(generation).bind(hash).bind(owner_id);
                if row.execute(&mut *connection).await?.rows_affected() == 0 {
                    return Ok(Inserted::Outdated);
                }
            }
            Ok(Inserted::New)
        }

        async fn set_registered(
            connection: &mut $connection,
            owner: Uuid,
        ) -> Result<(), sqlx::Error> {
            let set = "UPDATE vault_owners SET is_registered = (1 = 1) WHERE owner_id = $1";
            sqlx::query(set).bind(owner).execute(connection).await.map(drop)
        }

        async fn set_person(
            connection: &mut $connection,
            owner: Uuid,
            before: &[u8],
            person: &[u8],
        ) -> Result<bool, sqlx::Error> {
            let set = "UPDATE vault_owners SET person = $3 WHERE owner_id = $1 AND person = $2";
            let set = sqlx::query(set).bind(owner).bind(before).bind(person);
            Ok(set.execute(connection).await?.rows_affected() == 1)
        }

        async fn erase(
            connection: &mut $connection,
            owner: OwnerId,
            erasure: Erasure,
        ) -> Result<bool, sqlx::Error> {
            let (owner, at) = (owner.as_uuid(), erasure.at.unix_micros());
            let lookups = sqlx::query("DELETE FROM vault_lookup WHERE owner_id = $1").bind(owner);
            lookups.execute(&mut *connection).await?;
            let row = sqlx::query(
                "UPDATE vault_owners SET generation = NULL, wrapped = NULL, person = NULL,
                                         erased_at = $2, erased_position = $3
                 WHERE owner_id = $1 AND erased_at IS NULL",
            );
            let position = erasure.position.as_i64();
            let row = row.bind(owner).bind(at).bind(position);
            if row.execute(&mut *connection).await?.rows_affected() == 1 {
                return Ok(true);
            }
            let fence = sqlx::query(
                "INSERT INTO vault_owners (owner_id, is_registered, erased_at, erased_position)
                 VALUES ($1, 1 = 1, $2, $3) ON CONFLICT DO NOTHING",
            );
            fence.bind(owner).bind(at).bind(position).execute(connection).await?;
            Ok(false)
        }

        async fn before(
            connection: &mut $connection,
            generation: i64,
        ) -> Result<Vec<OwnerRow>, sqlx::Error> {
            let rows = AssertSqlSafe(format!("{OWNER} WHERE generation < $1 LIMIT $2"));
            sqlx::query_as(rows).bind(generation).bind(STEP).fetch_all(connection).await
        }

        async fn rewrap(
            connection: &mut $connection,
            to: i64,
            owners: &[Rewrapped],
        ) -> Result<(), sqlx::Error> {
            for Rewrapped { owner_id, from, wrapped, hash } in owners {
                let row = sqlx::query(
                    "UPDATE vault_owners SET generation = $3, wrapped = $4
                     WHERE owner_id = $1 AND generation = $2",
                );
                let row = row.bind(owner_id).bind(from).bind(to).bind(wrapped);
                // Else the owner was erased, or moved by another process.
                if row.execute(&mut *connection).await?.rows_affected() == 1 {
                    let lookup = sqlx::query(
                        "INSERT INTO vault_lookup (generation, hash, owner_id) VALUES ($1, $2, $3)
                         ON CONFLICT DO NOTHING",
                    );
                    lookup.bind(to).bind(hash).bind(owner_id).execute(&mut *connection).await?;
                }
            }
            Ok(())
        }
    };
}
use statements;
