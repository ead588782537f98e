//! Changes to a journal that its database's administrator can make, on each kind of database.

use keyledger_domain::{EventId, RecordedEvent};
use keyledger_test_servers::kurrentdb::{Database, Stored};
use sqlx::{AssertSqlSafe, Connection};
use uuid::Uuid;

use crate::support::log::Log;

/// Changes a database as its administrator can: directly, past the service.
pub(super) async fn tamper(url: &str, statements: &[impl AsRef<str>]) {
    for statement in statements {
        if url.starts_with("sqlite") {
            let mut connection = sqlx::SqliteConnection::connect(url).await.unwrap();
            sqlx::query(AssertSqlSafe(statement.as_ref().to_owned()))
                .execute(&mut connection)
                .await
                .unwrap();
        } else {
            let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
            sqlx::query(AssertSqlSafe(statement.as_ref().to_owned()))
                .execute(&mut connection)
                .await
                .unwrap();
        }
    }
}

/// Statements that rename the key of event 3 in a journal on SQLite.
pub(super) const ALTER_SQLITE: &[&str] = &[
    "DROP TRIGGER events_are_never_changed",
    "UPDATE events SET data = replace(data, '\"k3\"', '\"k4\"') WHERE position = 4",
];

/// A change to an event.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    /// The first text is replaced by the second in its data.
    Data(&'static str, &'static str),
    /// The same in its metadata.
    Metadata(&'static str, &'static str),
    /// It gets this type.
    Type(&'static str),
    /// The last digit of its id changes.
    Id,
    /// The last digit of its stream's name changes.
    Stream,
    /// Its revision is one higher.
    Revision,
    /// It is removed.
    Remove,
    /// It changes places with the event at this index.
    Swap(usize),
    /// A forged event is added after it: a copy with another id and a later revision.
    Forge,
}

/// Changes the event at this index in the tree; `events` are all events of the journal.
pub(super) async fn change(log: &Log, events: &[RecordedEvent], at: usize, change: Change) {
    match log.database() {
        Some(database) => in_memory(database, at, change),
        None => {
            let is_sqlite = log.journal.starts_with("sqlite");
            let statements = Sql { is_sqlite, events }.statements(at, change);
            tamper(&log.journal, &statements).await;
        }
    }
}

/// A copy of a journal, from which it can be restored.
pub(super) enum Backup {
    Events(Vec<Stored>),
    Table,
}

impl Backup {
    pub(super) async fn of(log: &Log) -> Self {
        if let Some(database) = log.database() {
            return Self::Events(database.rewrite(|events| events.clone()));
        }
        // Who administers the database can drop the triggers that protect the events.
        let guards: &[&str] = if log.journal.starts_with("sqlite") {
            &["DROP TRIGGER events_are_never_changed", "DROP TRIGGER events_are_never_deleted"]
        } else {
            &["DROP TRIGGER events_are_never_changed ON events"]
        };
        tamper(&log.journal, guards).await;
        tamper(&log.journal, &["CREATE TABLE kept AS SELECT * FROM events"]).await;
        Self::Table
    }

    pub(super) async fn restore(&self, log: &Log) {
        match (self, log.database()) {
            (Self::Events(kept), Some(database)) => {
                database.rewrite(|events| events.clone_from(kept));
            }
            _ => {
                let statements = ["DELETE FROM events", "INSERT INTO events SELECT * FROM kept"];
                tamper(&log.journal, &statements).await;
            }
        }
    }
}

/// The id with another last digit.
fn other_id(id: Uuid) -> Uuid {
    Uuid::from_u128(id.as_u128() ^ 1)
}

fn other_stream(stream: &str) -> String {
    let id = stream.strip_prefix("apikey-").unwrap().parse().unwrap();
    format!("apikey-{}", other_id(id))
}

fn in_memory(database: &Database, at: usize, change: Change) {
    database.rewrite(|all| {
        let of_keys: Vec<usize> =
            (0..all.len()).filter(|number| all[*number].stream.starts_with("apikey-")).collect();
        let at = of_keys[at];
        let event = &mut all[at];
        match change {
            Change::Data(from, to) => event.data = event.data.replace(from, to),
            Change::Metadata(from, to) => event.metadata = event.metadata.replace(from, to),
            Change::Type(name) => event.event_type = name.to_owned(),
            Change::Id => event.id = other_id(event.id),
            Change::Stream => event.stream = other_stream(&event.stream),
            Change::Revision => event.revision += 1,
            Change::Remove => drop(all.remove(at)),
            Change::Swap(other) => {
                let other = of_keys[other];
                let (one, two) = (all[at].position, all[other].position);
                all.swap(at, other);
                (all[at].position, all[other].position) = (one, two);
            }
            Change::Forge => {
                let mut forged = event.clone();
                forged.id = other_id(forged.id);
                forged.revision += 7;
                forged.position += 1;
                all.insert(at + 1, forged);
            }
        }
    });
}

/// The changes as SQL.
struct Sql<'a> {
    is_sqlite: bool,
    events: &'a [RecordedEvent],
}

impl Sql<'_> {
    fn statements(&self, at: usize, change: Change) -> Vec<String> {
        let event = &self.events[at];
        let position = event.position;
        let set =
            |what: String| vec![format!("UPDATE events SET {what} WHERE position = {position}")];
        match change {
            Change::Data(from, to) => set(self.replaced("data", from, to)),
            Change::Metadata(from, to) => set(self.replaced("metadata", from, to)),
            Change::Type(name) => set(format!("type = '{name}'")),
            Change::Id => set(format!("id = {}", self.other_id(event.id))),
            Change::Stream => {
                set(format!("stream = '{}'", other_stream(&event.event.key_id().stream())))
            }
            Change::Revision => set("revision = revision + 1".to_owned()),
            Change::Remove => vec![format!("DELETE FROM events WHERE position = {position}")],
            Change::Swap(other) => {
                let other = self.events[other].position;
                let moved = |from: &str, to: &str| {
                    format!("UPDATE events SET position = {to} WHERE position = {from}")
                };
                let (one, two) = (position.to_string(), other.to_string());
                vec![moved(&one, "-1"), moved(&two, &one), moved("-1", &two)]
            }
            Change::Forge => vec![
                format!("UPDATE events SET position = -position WHERE position > {position}"),
                "UPDATE events SET position = 1 - position WHERE position < 0".to_owned(),
                format!(
                    "INSERT INTO events (position, stream, revision, id, type, data, metadata)
                     SELECT position + 1, stream, revision + 7, {}, type, data, metadata
                     FROM events WHERE position = {position}",
                    self.other_id(event.id)
                ),
            ],
        }
    }

    fn replaced(&self, column: &str, from: &str, to: &str) -> String {
        if self.is_sqlite {
            format!("{column} = replace({column}, '{from}', '{to}')")
        } else {
            format!("{column} = replace({column}::text, '{from}', '{to}')::json")
        }
    }

    fn other_id(&self, id: EventId) -> String {
        let id = other_id(id.as_uuid());
        if self.is_sqlite { format!("x'{}'", id.simple()) } else { format!("'{id}'") }
    }
}
