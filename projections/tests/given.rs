//! Histories, tables, and the fold that tables must equal.

use std::collections::HashMap;
use std::convert::Infallible;
use std::time::Duration;

use std::future::{Ready, ready};

use futures::{Stream, stream};
use keyledger_domain::key::{
    Command, CreateKey, DeleteKey, Key, KeyEvent, Lifecycle, RevokeKey, decide, evolve,
};
use keyledger_domain::{
    Batch, CommandId, Delivery, Email, KeyId, KeyName, KeyPrefix, Metadata, Position,
    RecordedEvent, Revision, Secret, Timestamp, UserId,
};
use keyledger_projections::{
    KeyView, Lease, LeaseName, PROJECTION_BATCH, Projector, ReadTables, StatusFilter, WriteError,
};
use keyledger_test_servers::postgres::Postgres;
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;
use sqlx::Connection;
use tempfile::TempDir;
use uuid::Uuid;

pub(crate) const OWNERS: [&str; 3] = ["ann", "bob", "eve"];

/// What someone tries to do with the key of a number.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Try {
    Create(usize),
    Revoke(usize),
    Delete(usize),
}

/// Up to this many tries, so that most keys have more than one event.
pub(crate) fn tries(most: usize) -> impl Strategy<Value = Vec<Try>> {
    let key = 0..most / 3 + 1;
    let one = (key, 0..5).prop_map(|(key, kind)| match kind {
        0..=2 => Try::Create(key),
        3 => Try::Revoke(key),
        _ => Try::Delete(key),
    });
    prop::collection::vec(one, 0..most)
}

/// The events that tries lead to, as a journal would record them.
pub(crate) fn history(tries: &[Try]) -> Vec<RecordedEvent> {
    let mut keys: HashMap<KeyId, (Key, Revision)> = HashMap::new();
    let mut events = Vec::new();
    for (number, attempt) in tries.iter().enumerate() {
        let (key_id, command) = command(*attempt);
        let before = keys.get(&key_id);
        let key = before.map(|(key, _)| key.clone());
        let mut revision = before.map(|(_, revision)| *revision);
        for event in decide(key.as_ref(), &command, at(number)).unwrap_or_default() {
            let after = evolve(key.clone(), &event).unwrap();
            let next = revision.map_or(Revision::FIRST, |revision| revision.next().unwrap());
            revision = Some(next);
            keys.insert(key_id, (after, next));
            events.push(recorded(events.len() + 1, next, event));
        }
    }
    events
}

/// As many keys, each created and nothing else.
pub(crate) fn creations(count: usize) -> Vec<RecordedEvent> {
    history(&(0..count).map(Try::Create).collect::<Vec<_>>())
}

fn recorded(position: usize, revision: Revision, event: KeyEvent) -> RecordedEvent {
    let command_id = CommandId::generate(&mut StdRng::seed_from_u64(position as u64));
    let metadata = Metadata {
        actor: UserId::parse("ann").unwrap(),
        correlation_id: String::new(),
        causation_id: command_id.as_uuid(),
        traceparent: None,
        client: None,
    };
    let position = Position::START.plus(position).unwrap();
    RecordedEvent { position, revision, id: command_id.event_id(0), event, metadata }
}

pub(crate) fn at(seconds: usize) -> Timestamp {
    let start = Timestamp::parse("2026-03-01T12:00:00Z").unwrap();
    start.plus_seconds(u32::try_from(seconds).unwrap()).unwrap()
}

pub(crate) fn key_id(number: usize) -> KeyId {
    KeyId::generate(at(number), &mut StdRng::seed_from_u64(number as u64))
}

fn command(attempt: Try) -> (KeyId, Command) {
    let (Try::Create(number) | Try::Revoke(number) | Try::Delete(number)) = attempt;
    let (key_id, owner) = (key_id(number), UserId::parse(OWNERS[number % 3]).unwrap());
    let command = match attempt {
        Try::Create(_) => {
            let mut random = StdRng::seed_from_u64(number as u64);
            let secret = Secret::generate(&KeyPrefix::parse("orag").unwrap(), &mut random);
            Command::Create(CreateKey {
                key_id,
                owner_email: Email::parse("someone@example.com").filter(|_| number % 2 == 0),
                owner,
                name: KeyName::parse(&format!("key {number}")).unwrap(),
                prefix: secret.display_prefix(),
                hash: secret.hash(),
                expires_at: (number % 4 == 0).then_some(Timestamp::MAX),
            })
        }
        Try::Revoke(_) => Command::Revoke(RevokeKey { key_id, by: owner, reason: None }),
        Try::Delete(_) => Command::Delete(DeleteKey { key_id, by: owner, reason: None }),
    };
    (key_id, command)
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

    /// Someone with another program; tells how many rows a query has that counts some.
    pub(crate) async fn tamper(&self, statement: &'static str) -> i64 {
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
                #[tokio::test]
                async fn $name() {
                    super::$name($crate::given::Kind::Sqlite).await;
                }
            )*
        }
        mod on_postgres {
            $(
                #[tokio::test]
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

/// The lease of one and the same node, which holds it.
pub(crate) fn lease(tables: &ReadTables) -> Lease {
    Lease::new(tables, LeaseName::Project, Uuid::from_u128(1), Duration::from_secs(60))
}

/// A projector of that node.
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
        let to = batch.reaches(projector.position());
        projector.apply(&batch.events, to).await?;
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
    let level = events.last().map_or(Position::START, |last| last.position);
    let events: Vec<_> = events.iter().cloned().map(Delivery::Event).collect();
    stream::iter(events.into_iter().chain([Delivery::CaughtUp(level)]).map(Ok))
}

/// Applies these events to the tables.
pub(crate) async fn project(tables: &ReadTables, events: &[RecordedEvent]) {
    apply(&mut projector(tables).await, events).await.unwrap();
}

/// What the tables show of all owners' keys.
pub(crate) async fn shown(tables: &ReadTables) -> Vec<KeyView> {
    let mut all = Vec::new();
    for owner in OWNERS {
        let owner = UserId::parse(owner).unwrap();
        all.extend(tables.list(&owner, StatusFilter::All, None).await.unwrap().keys);
    }
    all
}

/// What they must show after these events, by the rules alone.
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
        Some(KeyView {
            key_id: key.id,
            owner: key.owner,
            name: key.name,
            prefix: key.prefix,
            created_at: key.created_at,
            expires_at: key.expires_at,
            revoked_at,
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
