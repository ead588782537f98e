//! A consumer of the published events that keeps a table of its own: who has which keys.
//!
//! One transaction writes the change of an event and the event's sequence in the stream. The consumer
//! starts after the stored sequence, so each event takes effect once, however often the process is
//! killed. If the file is missing, the table is rebuilt from the stream.
//!
//! A stream may lose messages, also from its middle. Each message names the one before it, so the
//! consumer notices that and ends, rather than keep a table that is wrong.
//!
//! ```console
//! $ cargo run --example key_directory -- nats://127.0.0.1:4222 directory.db
//! ```

#![expect(clippy::print_stderr, reason = "it tells what it does")]

use std::error::Error;
use std::str::FromStr;

use async_nats::jetstream;
use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::consumer::pull::OrderedConfig;
use futures::StreamExt;
use serde::Deserialize;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode};
use sqlx::{ConnectOptions, Connection};

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS place (only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
                                      sequence INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS last_event (only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
                                           id TEXT NOT NULL, position TEXT NOT NULL);
    INSERT OR IGNORE INTO place (only_row, sequence) VALUES (1, 0);
    CREATE TABLE IF NOT EXISTS key (key_id TEXT PRIMARY KEY, user_id TEXT NOT NULL,
                                    name TEXT NOT NULL, state TEXT NOT NULL);";

/// The fields of a CloudEvent that this consumer needs. All other fields are ignored.
#[derive(Debug, Deserialize)]
struct CloudEvent {
    id: String,
    #[serde(rename = "type")]
    event_type: String,
    subject: String,
    /// The event's position in the journal, in 20 digits.
    sequence: String,
    /// The id of the event before; missing in the first message, and where only its position is known.
    previousid: Option<String>,
    /// The position of the event before; missing in messages of early versions.
    previousposition: Option<String>,
    data: Data,
}

#[derive(Debug, Deserialize)]
struct Data {
    user_id: Option<String>,
    name: Option<String>,
}

/// The last event that was applied.
#[derive(Debug, sqlx::FromRow)]
struct Last {
    id: String,
    position: String,
}

/// What an event is to the last one that was applied.
#[derive(Debug, PartialEq, Eq)]
enum Relation {
    Next,
    /// It was applied before: the stream had lost its last messages, and got them again.
    Known,
    /// Events between the two are missing.
    Beyond,
}

impl CloudEvent {
    fn relation_to(&self, last: Option<&Last>) -> Relation {
        let Some(last) = last else { return Relation::Next };
        let follows = match (&self.previousid, &self.previousposition) {
            (Some(id), _) => *id == last.id,
            (None, Some(position)) => *position == last.position,
            (None, None) => true,
        };
        if follows {
            Relation::Next
        } else if self.sequence <= last.position {
            Relation::Known
        } else {
            Relation::Beyond
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().unwrap_or_else(|| "nats://127.0.0.1:4222".to_owned());
    let file = arguments.next().unwrap_or_else(|| "directory.db".to_owned());
    let mut table = SqliteConnectOptions::from_str(&format!("sqlite://{file}"))?
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .connect()
        .await?;
    sqlx::raw_sql(TABLES).execute(&mut table).await?;
    let place = sqlx::query_scalar("SELECT sequence FROM place").fetch_one(&mut table);
    let after = u64::try_from(place.await.unwrap_or(0_i64))?;

    let stream = jetstream::new(async_nats::connect(url).await?).get_stream("KEYS").await?;
    let deliver_policy = DeliverPolicy::ByStartSequence { start_sequence: after + 1 };
    let config = OrderedConfig { deliver_policy, ..OrderedConfig::default() };
    // An ordered consumer resumes by itself after an outage, and delivers in order and without gaps.
    let mut messages = stream.create_consumer(config).await?.messages().await?;
    while let Some(message) = messages.next().await {
        let message = message?;
        let sequence = i64::try_from(message.info()?.stream_sequence)?;
        let event: CloudEvent = serde_json::from_slice(&message.payload)?;
        apply(&mut table, sequence, &event).await?;
        eprintln!("{sequence} {} {}", event.event_type, event.subject);
    }
    Ok(())
}

/// Applies an event to the table, and stores the event's sequence.
async fn apply(
    table: &mut SqliteConnection,
    sequence: i64,
    event: &CloudEvent,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut transaction = table.begin().await?;
    let moved = sqlx::query("UPDATE place SET sequence = $1 WHERE sequence < $1");
    if moved.bind(sequence).execute(&mut *transaction).await?.rows_affected() == 0 {
        // This event was applied before.
        return Ok(());
    }
    let last = sqlx::query_as("SELECT id, position FROM last_event");
    let last: Option<Last> = last.fetch_optional(&mut *transaction).await?;
    match event.relation_to(last.as_ref()) {
        Relation::Next => {}
        Relation::Known => return Ok(transaction.commit().await?),
        Relation::Beyond => {
            let (from, to) = (last.map(|last| last.position), &event.sequence);
            let from = from.unwrap_or_default();
            return Err(format!(
                "the stream has lost events between positions {from} and {to}: the table is not right \
                 any more; read them at /audit/events, or rebuild the table from a new stream"
            )
            .into());
        }
    }
    sqlx::query("INSERT OR REPLACE INTO last_event (only_row, id, position) VALUES (1, $1, $2)")
        .bind(&event.id)
        .bind(&event.sequence)
        .execute(&mut *transaction)
        .await?;
    match event.event_type.as_str() {
        "io.keyledger.key.created" => {
            sqlx::query(
                "INSERT INTO key (key_id, user_id, name, state) VALUES ($1, $2, $3, 'active')",
            )
            .bind(&event.subject)
            .bind(event.data.user_id.as_deref().unwrap_or_default())
            .bind(event.data.name.as_deref().unwrap_or_default())
            .execute(&mut *transaction)
            .await?;
        }
        "io.keyledger.key.revoked" => {
            sqlx::query("UPDATE key SET state = 'revoked' WHERE key_id = $1")
                .bind(&event.subject)
                .execute(&mut *transaction)
                .await?;
        }
        "io.keyledger.key.deleted" => {
            sqlx::query("DELETE FROM key WHERE key_id = $1")
                .bind(&event.subject)
                .execute(&mut *transaction)
                .await?;
        }
        // The journal was replaced or restored, and an operator has accepted what the stream has: events
        // before this one may not be in the journal any more.
        "io.keyledger.stream.adopted" => eprintln!("the stream was adopted: compare the table"),
        // A later version may publish other types of events.
        _ => {}
    }
    Ok(transaction.commit().await?)
}
