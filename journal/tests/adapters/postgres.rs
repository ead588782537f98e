//! The journal in a PostgreSQL database.

use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt;
use futures::future::{join, join_all};
use keyledger_domain::Position;
use keyledger_journal::testing::{
    JournalUnderTest, after, closes_one_key, create, created, first, new_key, next_event, revoked,
    until_caught_up,
};
use keyledger_journal::{
    AppendError, Journal, JournalReader, OpenError, ReadError, contract_suite,
};
use keyledger_test_servers::postgres::Postgres;
use keyledger_test_servers::wait::until;
use sqlx::Connection;
use tokio::sync::OnceCell;

/// A database of its own.
#[derive(Default)]
struct Database(OnceCell<String>);

impl Database {
    async fn url(&self) -> &str {
        self.0.get_or_init(|| Postgres::shared().database()).await
    }
}

#[async_trait]
impl JournalUnderTest for Database {
    async fn open(&self) -> Arc<dyn Journal> {
        keyledger_journal::open(self.url().await).await.unwrap()
    }

    async fn open_reader(&self) -> Arc<dyn JournalReader> {
        keyledger_journal::open_reader(self.url().await).await.unwrap()
    }
}

contract_suite!(Database::default());

/// Changes the database as another program could.
async fn tamper(url: &str, statement: &'static str) -> Result<(), sqlx::Error> {
    let mut connection = sqlx::PgConnection::connect(url).await?;
    sqlx::raw_sql(statement).execute(&mut connection).await.map(drop)
}

#[keyledger_bounded::test]
async fn the_database_itself_refuses_changes() {
    let database = Database::default();
    create(&*database.open().await).await;
    for change in ["UPDATE events SET data = '{}'", "DELETE FROM events", "TRUNCATE events"] {
        assert!(tamper(database.url().await, change).await.is_err(), "{change}");
    }
}

#[keyledger_bounded::test]
async fn a_probe_fails_where_an_append_does() {
    let database = Database::default();
    let journal = database.open().await;
    let url = database.url().await;
    tamper(url, "ALTER TABLE journal_head RENAME TO elsewhere").await.unwrap();
    for outcome in [
        journal.append(first(new_key(), vec![created(new_key())])).await.map(drop),
        journal.probe().await,
    ] {
        assert!(matches!(outcome, Err(AppendError::Unavailable(_))), "{outcome:?}");
    }
    tamper(url, "ALTER TABLE elsewhere RENAME TO journal_head").await.unwrap();
    journal.probe().await.unwrap();
    create(&*journal).await;
}

#[keyledger_bounded::test]
async fn an_event_that_cannot_be_read_stops_whoever_needs_every_event_and_else_closes_its_key() {
    for change in [
        "UPDATE events SET type = 'KeyRenamed' WHERE position = 2",
        "UPDATE events SET data = '{}' WHERE position = 2",
        "UPDATE events SET revision = -1 WHERE position = 2",
        "UPDATE events SET stream = 'other' WHERE position = 2",
    ] {
        let database = Database::default();
        let journal = database.open().await;
        for _ in 0..3 {
            create(&*journal).await;
        }
        let url = database.url().await;
        tamper(url, "ALTER TABLE events DISABLE TRIGGER ALL").await.unwrap();
        tamper(url, change).await.unwrap();
        let deliveries: Vec<_> = journal.subscribe(Position::START).collect().await;
        let [.., Err(ReadError::Undecodable { position, .. })] = deliveries.as_slice() else {
            panic!("{change}: {deliveries:?}");
        };
        assert_eq!(position.as_u64(), 2, "{change}");
        assert!(deliveries.iter().rev().skip(1).all(Result::is_ok), "{change}");
        closes_one_key(&*journal, !change.contains("'other'"), change).await;
    }
}

#[keyledger_bounded::test]
async fn of_many_processes_that_expect_the_same_one_wins() {
    let database = Database::default();
    let journals = join_all((0..4).map(|_| database.open())).await;
    for _ in 0..40 {
        let (key_id, _) = create(&*journals[0]).await;
        let appends = journals.iter().map(|journal| {
            // Together with another append, so that only a part of the group is refused.
            join(journal.append(after(0, key_id, vec![revoked(key_id)])), create(&**journal))
        });
        let outcomes = join_all(appends).await;
        assert_eq!(outcomes.iter().filter(|(outcome, _)| outcome.is_ok()).count(), 1);
        let lost = |outcome: &&(Result<_, _>, _)| matches!(outcome.0, Err(AppendError::Conflict));
        assert_eq!(outcomes.iter().filter(lost).count(), 3);
        assert_eq!(journals[1].read(key_id).await.unwrap().len(), 2);
    }
}

#[keyledger_bounded::test]
async fn an_append_whose_outcome_is_unknown_ends_exactly_once() {
    let server = Arc::new(Postgres::start_durable());
    let url = server.database().await;
    let journal = keyledger_journal::open(&url).await.unwrap();
    let mut keys = Vec::new();
    for _ in 0..5 {
        // The server is killed during many appends; each is sent again until its outcome is known.
        let appending = join_all((0..40).map(async |_| {
            let key_id = new_key();
            let append = first(key_id, vec![created(key_id), revoked(key_id)]);
            let settled = until("the outcome of an append", async || {
                match journal.append(append.clone()).await {
                    Err(error) if !error.is_passing() => panic!("{error:?}"),
                    outcome => outcome,
                }
            });
            (key_id, settled.await)
        }));
        let restarting = tokio::task::spawn_blocking({
            let server = server.clone();
            move || {
                server.kill();
                server.start_again();
            }
        });
        let (appended, restarted) = join(appending, restarting).await;
        restarted.unwrap();
        keys.extend(appended);
    }
    let (events, _) = until_caught_up(&mut journal.subscribe(Position::START)).await;
    assert_eq!(events.len(), keys.len() * 2, "nothing is lost, nothing is there twice");
    let positions: Vec<_> = events.iter().map(|event| event.position.as_u64()).collect();
    assert_eq!(positions, (1..=events.len() as u64).collect::<Vec<_>>(), "there are no gaps");
    for (key_id, appended) in keys {
        let read = journal.read(key_id).await.unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!(read[1].position, appended.position);
    }
}

#[keyledger_bounded::test]
async fn subscriptions_outlive_the_connections_that_the_database_closes() {
    let database = Database::default();
    let journal = database.open().await;
    let mut subscription = database.open_reader().await.subscribe(Position::START);
    until_caught_up(&mut subscription).await;
    for _ in 0..5 {
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";
        tamper(database.url().await, end).await.unwrap();
        let key_id = new_key();
        let append = first(key_id, vec![created(key_id)]);
        let appended = until("the outcome of an append", async || {
            match journal.append(append.clone()).await {
                Err(error) if !matches!(error, AppendError::Ambiguous(_)) => panic!("{error:?}"),
                outcome => outcome,
            }
        })
        .await;
        assert_eq!(next_event(&mut subscription).await.position, appended.position);
    }
}

#[keyledger_bounded::test]
async fn what_is_no_database_is_refused_without_telling_the_password() {
    for url in ["postgres://ann:hidden@[", "postgres://ann:hidden@127.0.0.1:1/none"] {
        let error = keyledger_journal::open(url).await.unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(!text.contains("hidden"), "{text}");
        assert!(text.contains("127.0.0.1:1/none") || text.contains("postgres://["), "{text}");
    }
    let empty = Database::default();
    let opened = keyledger_journal::open_reader(empty.url().await).await;
    assert!(matches!(opened, Err(OpenError::Unreachable { .. })), "nobody has made its tables");
}
