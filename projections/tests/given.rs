//! Histories, tables, and the fold that tables must equal.

use std::collections::HashMap;
use std::convert::Infallible;
use std::time::Duration;

use std::future::{Ready, ready};

use futures::{Stream, stream};
use keyledger_domain::key::{Key, KeyDetails, Lifecycle, evolve};
use keyledger_domain::testing::{Attempt, OWNERS, at};
use keyledger_domain::{Batch, Delivery, KeyId, Position, RecordedEvent, Revision, UserId};
use keyledger_projections::{
    KeyView, Lease, LeaseName, ListPage, PROJECTION_BATCH, Projector, ReadTables, StatusFilter,
    WriteError,
};
use keyledger_test_servers::postgres::Postgres;
use proptest::prelude::*;
use sqlx::Connection;
use tempfile::TempDir;
use uuid::Uuid;

/// A page that holds all keys of an owner.
pub(crate) const WHOLE: ListPage = ListPage { limit: 1_000_000, after: None };

/// The maximum number of attempts, enough that most keys have more than one event.
pub(crate) fn attempts(most: usize) -> impl Strategy<Value = Vec<Attempt>> {
    let keys = u64::try_from(most / 3 + 1).unwrap();
    let one = (0..keys, 0..6).prop_map(|(key, kind)| match kind {
        0..=2 => Attempt::Create(key),
        3 => Attempt::ChangeEmail(key),
        4 => Attempt::Revoke(key),
        _ => Attempt::Delete(key),
    });
    prop::collection::vec(one, 0..most)
}

pub(crate) fn block_on(work: impl Future<Output = ()>) {
    tokio::runtime::Runtime::new().unwrap().block_on(work);
}

/// Either kind of database.
pub(crate) fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Sqlite), Just(Kind::Postgres)]
}

/// The databases that hold read tables.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
}

/// A database of its own.
pub(crate) struct Database {
    pub(crate) url: String,
    _folder: TempDir,
}

impl Database {
    pub(crate) async fn new(kind: Kind) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = match kind {
            Kind::Sqlite => format!("sqlite://{}/read.db", folder.path().display()),
            Kind::Postgres => Postgres::shared().database().await,
        };
        Self { url, _folder: folder }
    }

    /// Runs a statement as another program would; returns the number that it selects, or 0.
    pub(crate) async fn tamper(&self, statement: &str) -> i64 {
        let statement = sqlx::AssertSqlSafe(statement.to_owned());
        if self.url.starts_with("sqlite") {
            let mut connection = sqlx::SqliteConnection::connect(&self.url).await.unwrap();
            let counted = sqlx::query_scalar(statement).fetch_optional(&mut connection).await;
            counted.unwrap().unwrap_or_default()
        } else {
            let mut connection = sqlx::PgConnection::connect(&self.url).await.unwrap();
            let counted = sqlx::query_scalar(statement).fetch_optional(&mut connection).await;
            counted.unwrap().unwrap_or_default()
        }
    }
}

/// Runs each of these tests on every kind of database.
macro_rules! on_both_databases {
    ($($name:ident,)*) => {
        mod on_sqlite {
            $(
                #[keyledger_bounded::test]
                async fn $name() {
                    super::$name($crate::given::Kind::Sqlite).await;
                }
            )*
        }
        mod on_postgres {
            $(
                #[keyledger_bounded::test]
                async fn $name() {
                    super::$name($crate::given::Kind::Postgres).await;
                }
            )*
        }
    };
}
pub(crate) use on_both_databases;

/// Empty tables, and the database that they are in.
pub(crate) async fn tables(kind: Kind) -> (Database, ReadTables) {
    let database = Database::new(kind).await;
    let tables = open(&database).await;
    (database, tables)
}

pub(crate) async fn open(database: &Database) -> ReadTables {
    ReadTables::open(&database.url).await.unwrap()
}

/// The lease of a fixed holder, which has claimed it.
pub(crate) fn lease(tables: &ReadTables) -> Lease {
    Lease::new(tables, LeaseName::Project, Uuid::from_u128(1), Duration::from_secs(60))
}

/// A projector in the epoch of that lease.
pub(crate) async fn projector(tables: &ReadTables) -> Projector {
    let epoch = lease(tables).claim().await.unwrap().unwrap();
    Projector::load(tables, epoch).await.unwrap()
}

/// Hands events to a projector in batches, as its supervisor does.
pub(crate) async fn apply(
    projector: &mut Projector,
    events: &[RecordedEvent],
) -> Result<(), WriteError> {
    for some in events.chunks(PROJECTION_BATCH) {
        let deliveries = some.iter().cloned().map(Delivery::Event).map(Ok::<_, Infallible>);
        let batch = Batch::gather(deliveries);
        let to = batch.reaches(projector.reached().position);
        projector.apply(&batch.events, &batch.closed, to).await?;
    }
    Ok(())
}

/// The head of a journal that holds these events.
pub(crate) fn head(events: &[RecordedEvent]) -> Ready<Result<Position, Infallible>> {
    ready(Ok(events.last().map_or(Position::START, |last| last.position)))
}

/// A subscription that delivers these events, the mark, and then ends.
pub(crate) fn delivered(
    events: &[RecordedEvent],
) -> impl Stream<Item = Result<Delivery, Infallible>> + use<> {
    let head = events.last().map_or(Position::START, |last| last.position);
    let events: Vec<_> = events.iter().cloned().map(Delivery::Event).collect();
    stream::iter(events.into_iter().chain([Delivery::CaughtUp(head)]).map(Ok))
}

/// Applies these events to the tables.
pub(crate) async fn project(tables: &ReadTables, events: &[RecordedEvent]) {
    apply(&mut projector(tables).await, events).await.unwrap();
}

/// The keys of all owners, as the tables list them.
pub(crate) async fn shown(tables: &ReadTables) -> Vec<KeyView> {
    let mut all = Vec::new();
    for owner in OWNERS {
        let owner = UserId::parse(owner).unwrap();
        all.extend(tables.list(&owner, StatusFilter::All, at(0), WHOLE).await.unwrap().keys);
    }
    all
}

/// The keys that the tables must list after these events, computed by the domain's rules alone.
pub(crate) fn folded(events: &[RecordedEvent]) -> Vec<KeyView> {
    let mut keys: HashMap<KeyId, (Option<Key>, Revision)> = HashMap::new();
    for recorded in events {
        let entry = keys.entry(recorded.event.key_id()).or_insert((None, Revision::FIRST));
        *entry = (Some(evolve(entry.0.take(), &recorded.event).unwrap()), recorded.revision);
    }
    let view = |(key, revision): (Option<Key>, Revision)| {
        let key = key.unwrap();
        let revoked_at = match key.lifecycle {
            Lifecycle::Active => None,
            Lifecycle::Revoked(ended) => Some(ended.at),
            Lifecycle::Deleted { .. } => return None,
        };
        let KeyDetails { owner, owner_email, name, prefix, expires_at, .. } = key.details;
        Some(KeyView {
            key_id: key.id,
            owner,
            owner_email,
            name,
            prefix,
            created_at: key.created_at,
            expires_at,
            revoked_at,
            closed: None,
            last_used_at: None,
            revision,
        })
    };
    let mut all: Vec<_> = keys.into_values().filter_map(view).collect();
    all.sort_by(|one, other| {
        let newest = (other.created_at, other.key_id).cmp(&(one.created_at, one.key_id));
        one.owner.cmp(&other.owner).then(newest)
    });
    all
}
