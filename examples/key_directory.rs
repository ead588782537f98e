//! A consumer of the published events that keeps a table of its own: who has which keys.
//!
//! One transaction writes the change of an event and the event's sequence in the stream. The consumer
//! starts after the stored sequence, so each event takes effect once, however often the process is
//! killed. If the file is missing, the table is rebuilt from the stream.
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
    INSERT OR IGNORE INTO place (only_row, sequence) VALUES (1, 0);
    CREATE TABLE IF NOT EXISTS key (key_id TEXT PRIMARY KEY, user_id TEXT NOT NULL,
                                    name TEXT NOT NULL, state TEXT NOT NULL);";

/// The fields of a CloudEvent that this consumer needs. All other fields are ignored.
#[derive(Debug, Deserialize)]
struct CloudEvent {
    #[serde(rename = "type")]
    event_type: String,
    subject: String,
    data: Data,
}

#[derive(Debug, Deserialize)]
struct Data {
    user_id: String,
    name: Option<String>,
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
) -> Result<(), sqlx::Error> {
    let mut transaction = table.begin().await?;
    let moved = sqlx::query("UPDATE place SET sequence = $1 WHERE sequence < $1");
    if moved.bind(sequence).execute(&mut *transaction).await?.rows_affected() == 0 {
        // This event was applied before.
        return Ok(());
    }
    match event.event_type.as_str() {
        "io.keyledger.key.created" => {
            sqlx::query(
                "INSERT INTO key (key_id, user_id, name, state) VALUES ($1, $2, $3, 'active')",
            )
            .bind(&event.subject)
            .bind(&event.data.user_id)
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
        // A later version may publish other types of events.
        _ => {}
    }
    transaction.commit().await
}
