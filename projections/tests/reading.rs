//! Tables that are opened read-only, as by commands that only query.

use keyledger_domain::testing::{at, creations, key_id};
use keyledger_projections::{OpenTablesError, ReadTables};
use keyledger_verifier::UseSink;

use crate::given::{Database, Kind, folded, on_both_databases, project, shown, tables};

async fn tables_that_are_opened_read_only_answer_queries_and_refuse_changes(kind: Kind) {
    let (database, tables) = tables(kind).await;
    let events = creations(3);
    project(&tables, &events).await;
    let read_only = ReadTables::open_read_only(&database.url).await.unwrap();
    assert_eq!(shown(&read_only).await, folded(&events));
    assert_eq!(read_only.reached().await.unwrap().position, events[2].position);
    let refused = read_only.record(&[(key_id(0), at(9))]).await;
    assert!(refused.is_err(), "{refused:?}");
    assert_eq!(shown(&tables).await, folded(&events), "nothing has changed");
}

async fn tables_that_are_not_there_are_not_made_by_opening_them_read_only(kind: Kind) {
    let database = Database::new(kind).await;
    for _ in 0..2 {
        let opened = ReadTables::open_read_only(&database.url).await;
        assert!(opened.is_err(), "{opened:?}");
    }
    ReadTables::open(&database.url).await.unwrap();
    ReadTables::open_read_only(&database.url).await.unwrap();
}

async fn tables_of_another_version_are_not_read(kind: Kind) {
    let (database, _tables) = tables(kind).await;
    let forget = match kind {
        Kind::Sqlite => "DELETE FROM _sqlx_migrations WHERE version > 1",
        Kind::Postgres => "DELETE FROM keyledger_read_migrations WHERE version > 1",
    };
    database.tamper(forget).await;
    let opened = ReadTables::open_read_only(&database.url).await;
    assert!(matches!(opened, Err(OpenTablesError::OtherVersion)), "{opened:?}");
}

async fn tables_that_many_open_at_once_are_made_once(kind: Kind) {
    for _ in 0..5 {
        let database = Database::new(kind).await;
        let opening: Vec<_> = (0..8)
            .map(|_| {
                let url = database.url.clone();
                tokio::spawn(async move { ReadTables::open(&url).await })
            })
            .collect();
        let mut opened = Vec::new();
        for opening in opening {
            opened.push(opening.await.unwrap().unwrap());
        }
        let events = creations(3);
        project(&opened[0], &events).await;
        for tables in &opened {
            assert_eq!(shown(tables).await, folded(&events));
        }
    }
}

on_both_databases!(
    tables_that_many_open_at_once_are_made_once,
    tables_that_are_opened_read_only_answer_queries_and_refuse_changes,
    tables_that_are_not_there_are_not_made_by_opening_them_read_only,
    tables_of_another_version_are_not_read,
);
