//! A rebuild gives the same tables, and neither queries nor the projector are interrupted.

use std::convert::Infallible;

use futures::channel::mpsc::{UnboundedSender, unbounded};
use futures::{StreamExt, stream};
use keyledger_domain::testing::{Attempt, at, creations, history, key_id};
use keyledger_domain::{Delivery, Position, RecordedEvent};
use keyledger_projections::{Rebuild, RebuildError, WriteError, rebuild};
use keyledger_test_servers::wait::within;
use keyledger_verifier::UseSink;

use crate::given::{
    Kind, apply, delivered, folded, head, on_both_databases, open, project, projector, shown,
    tables,
};

type Sender = UnboundedSender<Result<Delivery, Infallible>>;

fn send(to: &Sender, events: &[RecordedEvent]) {
    for event in events {
        to.unbounded_send(Ok(Delivery::Event(event.clone()))).unwrap();
    }
}

fn mark(to: &Sender, events: &[RecordedEvent]) {
    to.unbounded_send(Ok(Delivery::CaughtUp(events.last().unwrap().position))).unwrap();
}

fn some_history() -> Vec<RecordedEvent> {
    let mut attempts: Vec<_> = (0..900).map(Attempt::Create).collect();
    attempts.extend((0..900).step_by(3).map(Attempt::Revoke));
    attempts.extend((0..900).step_by(5).map(Attempt::Delete));
    history(&attempts)
}

async fn a_rebuild_gives_the_same_tables(kind: Kind) {
    let events = some_history();
    let (database, tables) = tables(kind).await;
    project(&tables, &events).await;
    let before = shown(&tables).await;
    let build = Rebuild::begin(&tables).await.unwrap();
    let mut reached = Vec::new();
    let built = build
        .run(delivered(&events), head(&events), |position| reached.push(position))
        .await
        .unwrap();
    assert_eq!(built.events, events.len());
    assert_eq!(built.position, events.last().unwrap().position);
    assert_eq!(reached.last(), Some(&built.position));
    assert!(reached.is_sorted());
    assert_eq!(shown(&tables).await, before);
    assert_eq!(shown(&tables).await, folded(&events));
    // A new process reads the same tables and continues at the same position.
    let tables = open(&database).await;
    assert_eq!(tables.position().await.unwrap(), built.position);
    assert_eq!(shown(&tables).await, before);
}

async fn a_rebuild_repairs_what_someone_has_broken(kind: Kind) {
    let events = some_history();
    let (database, tables) = tables(kind).await;
    project(&tables, &events).await;
    database.tamper("UPDATE keys SET name = 'broken', revoked_at = NULL").await;
    database.tamper("DELETE FROM keys WHERE user_id = 'bob'").await;
    assert_ne!(shown(&tables).await, folded(&events));
    let build = Rebuild::begin(&tables).await.unwrap();
    build.run(delivered(&events), head(&events), |_| {}).await.unwrap();
    assert_eq!(shown(&tables).await, folded(&events));
    rebuild::clear(&tables).await.unwrap();
    let rows = database.tamper("SELECT count(*) FROM keys").await;
    assert_eq!(rows, 900, "the old build is gone");
}

async fn queries_and_the_projector_go_on_during_a_rebuild(kind: Kind) {
    let events = creations(60);
    let (_database, tables) = tables(kind).await;
    project(&tables, &events[..20]).await;
    let build = Rebuild::begin(&tables).await.unwrap();
    let (feed, fed) = unbounded();
    let building = tokio::spawn(build.run(fed, head(&events), |_| {}));
    send(&feed, &events[..10]);
    // The projector is always ahead of the rebuild.
    project(&tables, &events[20..50]).await;
    assert_eq!(shown(&tables).await, folded(&events[..50]));
    send(&feed, &events[10..40]);
    mark(&feed, &events[..40]);
    // The stream reports that it has caught up, but the rebuild must not swap before it includes
    // everything that queries show.
    send(&feed, &events[40..50]);
    building.await.unwrap().unwrap();
    assert_eq!(shown(&tables).await, folded(&events[..50]));
    project(&tables, &events[50..]).await;
    assert_eq!(shown(&tables).await, folded(&events));
}

async fn the_projector_finds_that_a_rebuild_took_over(kind: Kind) {
    let events = creations(30);
    let (_database, tables) = tables(kind).await;
    project(&tables, &events[..20]).await;
    let mut old = projector(&tables).await;
    let build = Rebuild::begin(&tables).await.unwrap();
    build.run(delivered(&events[..20]), head(&events[..20]), |_| {}).await.unwrap();
    let outcome = apply(&mut old, &events[20..]).await;
    assert!(matches!(outcome, Err(WriteError::Superseded)), "{outcome:?}");
    assert_eq!(shown(&tables).await, folded(&events[..20]));
    project(&tables, &events[20..]).await;
    assert_eq!(shown(&tables).await, folded(&events));
}

async fn a_rebuild_that_was_broken_off_is_cleared_by_the_next(kind: Kind) {
    let events = some_history();
    let (database, tables) = tables(kind).await;
    project(&tables, &events).await;
    let broken = Rebuild::begin(&tables).await.unwrap();
    let (feed, fed) = unbounded();
    send(&feed, &events[..600]);
    drop(feed);
    let outcome = broken.run(fed, head(&events), |_| {}).await;
    assert!(matches!(outcome, Err(RebuildError::SourceEnded)), "{outcome:?}");
    assert_eq!(shown(&tables).await, folded(&events));
    let tables = open(&database).await;
    let build = Rebuild::begin(&tables).await.unwrap();
    build.run(delivered(&events), head(&events), |_| {}).await.unwrap();
    assert_eq!(shown(&tables).await, folded(&events));
}

async fn of_two_rebuilds_the_later_one_wins(kind: Kind) {
    let events = some_history();
    let (_database, tables) = tables(kind).await;
    project(&tables, &events).await;
    let early = Rebuild::begin(&tables).await.unwrap();
    let late = Rebuild::begin(&tables).await.unwrap();
    late.run(delivered(&events), head(&events), |_| {}).await.unwrap();
    let outcome = early.run(delivered(&events), head(&events), |_| {}).await;
    assert!(matches!(outcome, Err(RebuildError::Write(WriteError::Superseded))), "{outcome:?}");
    assert_eq!(shown(&tables).await, folded(&events));
}

async fn a_rebuild_that_another_has_cleared_away_ends(kind: Kind) {
    let events = some_history();
    let (_database, tables) = tables(kind).await;
    project(&tables, &events).await;
    let first = Rebuild::begin(&tables).await.unwrap();
    let (feed, fed) = unbounded();
    let (reached, mut written) = unbounded();
    let reached = move |position| drop(reached.unbounded_send(position));
    let building = tokio::spawn(first.run(fed, head(&events), reached));
    send(&feed, &events[..100]);
    let position = within("the first rows of the rebuild", written.next()).await;
    assert!(position > Some(Position::START), "{position:?}");
    let second = Rebuild::begin(&tables).await.unwrap();
    send(&feed, &events[100..]);
    mark(&feed, &events);
    let outcome = building.await.unwrap();
    assert!(matches!(outcome, Err(RebuildError::Write(WriteError::Superseded))), "{outcome:?}");
    second.run(delivered(&events), head(&events), |_| {}).await.unwrap();
    assert_eq!(shown(&tables).await, folded(&events));
}

async fn a_table_made_from_another_journal_is_replaced_too(kind: Kind) {
    let (_database, tables) = tables(kind).await;
    project(&tables, &creations(30)).await;
    let shorter = creations(5);
    let build = Rebuild::begin(&tables).await.unwrap();
    // A poll that finds no event reports again that it has caught up.
    let mark = Ok(Delivery::CaughtUp(shorter.last().unwrap().position));
    let polled = delivered(&shorter).chain(stream::repeat(mark));
    build.run(polled, head(&shorter), |_| {}).await.unwrap();
    assert_eq!(shown(&tables).await, folded(&shorter));
}

async fn the_last_use_of_a_key_survives_a_rebuild(kind: Kind) {
    let events = creations(3);
    let (_database, tables) = tables(kind).await;
    project(&tables, &events).await;
    tables.record(&[(key_id(1), at(77))]).await.unwrap();
    let before = shown(&tables).await;
    let build = Rebuild::begin(&tables).await.unwrap();
    build.run(delivered(&events), head(&events), |_| {}).await.unwrap();
    assert_eq!(shown(&tables).await, before);
    assert_eq!(tables.get(key_id(1)).await.unwrap().unwrap().last_used_at, Some(at(77)));
}

on_both_databases!(
    a_rebuild_gives_the_same_tables,
    a_rebuild_repairs_what_someone_has_broken,
    queries_and_the_projector_go_on_during_a_rebuild,
    the_projector_finds_that_a_rebuild_took_over,
    a_rebuild_that_was_broken_off_is_cleared_by_the_next,
    of_two_rebuilds_the_later_one_wins,
    a_rebuild_that_another_has_cleared_away_ends,
    a_table_made_from_another_journal_is_replaced_too,
    the_last_use_of_a_key_survives_a_rebuild,
);
