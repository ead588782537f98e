//! Copies of a journal that are interrupted, and targets that are not what they should be.

use std::sync::Arc;

use futures::StreamExt;
use futures::future::join_all;
use keyledger_domain::key::KeyEvent;
use keyledger_domain::{Delivery, Place, Position, RecordedEvent};
use keyledger_journal::copy::{CopyError, Difference, Side, copy};
use keyledger_journal::testing::{
    after, create, created, deleted, first, new_key, revoked, until_caught_up,
};
use keyledger_journal::{AppendError, Journal, JournalReader, NewEvent};
use keyledger_test_servers::kurrentdb::Server;
use keyledger_test_servers::postgres::Postgres;
use keyledger_test_servers::proxy::{Network, Proxy};
use keyledger_test_servers::wait::until;
use tempfile::TempDir;

/// Of so many keys, a copy makes several groups: one of 256 creations, for instance.
const KEYS: usize = 600;

async fn on_sqlite(folder: &TempDir) -> Arc<dyn Journal> {
    let url = format!("sqlite://{}/journal.db", folder.path().display());
    keyledger_journal::open(&url).await.unwrap()
}

/// A journal with this many creations, the same number of revocations, and one deletion.
async fn journal(folder: &TempDir, keys: usize) -> Arc<dyn Journal> {
    let journal = on_sqlite(folder).await;
    let created: Vec<_> = join_all((0..keys).map(|_| create(&*journal))).await;
    let ends = created.iter().map(|(key_id, _)| after(0, *key_id, vec![revoked(*key_id)]));
    let ends = join_all(ends.map(|append| journal.append(append))).await;
    assert!(ends.iter().all(Result::is_ok));
    let (key_id, _) = created[0];
    journal.append(after(1, key_id, vec![deleted(key_id)])).await.unwrap();
    journal
}

/// All events in order, without their positions.
async fn events(journal: &dyn JournalReader) -> Result<Vec<RecordedEvent>, String> {
    let mut subscription = journal.subscribe(Position::START);
    let mut events = Vec::new();
    loop {
        match subscription.next().await {
            Some(Ok(Delivery::Event(event))) => {
                events.push(RecordedEvent { position: Position::START, ..event });
            }
            Some(Ok(Delivery::CaughtUp(_))) => return Ok(events),
            other => return Err(format!("{other:?}")),
        }
    }
}

/// Copies to a target that is reached through a proxy, and is lost in each of these ways after a
/// group of events. What it has then is what the source begins with, and the copy goes on from there.
async fn goes_on_after_each_loss(target: &dyn Journal, proxy: &Proxy, losses: &[Network]) {
    let folder = TempDir::new().unwrap();
    let source = journal(&folder, KEYS).await;
    let all = events(&*source).await.unwrap();
    assert_eq!(all.len(), 2 * KEYS + 1);
    let mut reached = 0;
    for loss in losses {
        let lost = copy(&*source, target, |number| {
            if number > reached {
                proxy.set(*loss);
            }
        });
        let lost = lost.await;
        assert!(lost.as_ref().is_err_and(CopyError::is_passing), "{loss:?}: {lost:?}");
        proxy.set(Network::Works);
        let there = until("the target", async || events(target).await).await;
        assert_eq!(there, all[..there.len()], "{loss:?}: in the order of the source");
        assert!(there.len() as u64 > reached && there.len() < all.len(), "{loss:?}");
        reached = there.len() as u64;
    }
    let contents = copy(&*source, target, |_| ()).await.unwrap();
    assert_eq!(contents.events, all.len() as u64);
    assert_eq!(events(target).await.unwrap(), all);
}

#[keyledger_bounded::test]
async fn a_copy_to_postgres_goes_on_after_its_connections_broke_within_a_group() {
    let server = Postgres::shared();
    let url = server.database().await;
    let proxy = Proxy::start(server.port());
    let through = url.replace(&server.port().to_string(), &proxy.port().to_string());
    let target = keyledger_journal::open(&through).await.unwrap();
    // A group of 256 events is more than 200 kB.
    let losses = [Network::Truncates(1_000), Network::Truncates(90_000), Network::Cut];
    goes_on_after_each_loss(&*target, &proxy, &losses).await;
}

#[keyledger_bounded::test]
async fn a_copy_to_kurrentdb_goes_on_after_its_connections_broke_within_a_group() {
    let server = Server::start();
    let proxy = Proxy::start(server.address().port());
    let through =
        server.url().replace(&server.address().port().to_string(), &proxy.port().to_string());
    let target = keyledger_journal::open(&through).await.unwrap();
    goes_on_after_each_loss(&*target, &proxy, &[Network::Truncates(30_000), Network::Cut]).await;
}

#[keyledger_bounded::test]
async fn a_target_that_is_set_back_during_a_copy_gets_nothing_after_the_gap() {
    let (folder, server) = (TempDir::new().unwrap(), Server::start());
    let source = journal(&folder, KEYS).await;
    let all = events(&*source).await.unwrap();
    let target = keyledger_journal::open(&server.url()).await.unwrap();
    let mut is_set_back = false;
    let outcome = copy(&*source, &*target, |_| {
        if !std::mem::replace(&mut is_set_back, true) {
            server.database().set_back_keys(3);
        }
    });
    let outcome = outcome.await;
    let Err(CopyError::HistoryChanged { journal: Side::Target, place }) = outcome else {
        panic!("{outcome:?}");
    };
    let there = events(&*target).await.unwrap();
    assert_eq!(there, all[..there.len()]);
    assert_eq!(place.event_id, all[there.len() + 2].id, "the last that was copied");
    copy(&*source, &*target, |_| ()).await.unwrap();
    assert_eq!(events(&*target).await.unwrap(), all);
}

#[keyledger_bounded::test]
async fn a_target_that_is_set_back_when_a_copy_is_continued_gets_nothing_after_the_gap() {
    let (folder, server) = (TempDir::new().unwrap(), Server::start());
    let source = journal(&folder, 3).await;
    let target = keyledger_journal::open(&server.url()).await.unwrap();
    copy(&*source, &*target, |_| ()).await.unwrap();
    let there = events(&*source).await.unwrap().len();
    create(&*source).await;
    // All that is there is compared. Then it is set back, and the next event would follow a gap.
    let outcome = copy(&*source, &*target, |number| {
        if number == there as u64 {
            server.database().set_back_keys(1);
        }
    });
    let outcome = outcome.await;
    let changed = matches!(outcome, Err(CopyError::HistoryChanged { journal: Side::Target, .. }));
    assert!(changed, "{outcome:?}");
    copy(&*source, &*target, |_| ()).await.unwrap();
    assert_eq!(events(&*target).await.unwrap(), events(&*source).await.unwrap());
}

#[keyledger_bounded::test]
async fn a_source_that_is_set_back_during_a_copy_ends_it() {
    let server = Server::start();
    let source = keyledger_journal::open(&server.url()).await.unwrap();
    let folder = TempDir::new().unwrap();
    let few = journal(&folder, 3).await;
    copy(&*few, &*source, |_| ()).await.unwrap();
    let other = TempDir::new().unwrap();
    let target = on_sqlite(&other).await;
    let outcome = copy(&*source, &*target, |number| {
        if number == 3 {
            server.database().set_back_keys(7);
        }
    });
    let outcome = outcome.await;
    let changed = matches!(outcome, Err(CopyError::HistoryChanged { journal: Side::Source, .. }));
    assert!(changed, "{outcome:?}");
}

/// A change to an event.
type Forge<'a> = &'a dyn Fn(&mut NewEvent);

/// Appends this event again to another journal.
async fn repeat(target: &dyn Journal, event: &RecordedEvent, change: impl Fn(&mut NewEvent)) {
    let RecordedEvent { id, event, metadata, .. } = event.clone();
    let key_id = event.key_id();
    let mut new = NewEvent { id, event, metadata };
    change(&mut new);
    target.append(first(key_id, vec![new])).await.unwrap();
}

#[keyledger_bounded::test]
async fn a_target_that_is_no_copy_of_the_source_is_told_in_what_it_differs() {
    let folder = TempDir::new().unwrap();
    let source = journal(&folder, 2).await;
    let (all, _) = until_caught_up(&mut source.subscribe(Position::START)).await;
    let differs = async |target: &dyn Journal| match copy(&*source, target, |_| ()).await {
        Err(error @ CopyError::Differs { .. }) if !error.is_passing() => {
            let told = error.to_string();
            let CopyError::Differs { number, how } = error else { unreachable!() };
            (number, how, told)
        }
        other => panic!("{other:?}"),
    };
    let at = |number: u64, event: &RecordedEvent| Place {
        position: Position::try_from(number).unwrap(),
        event_id: event.id,
    };

    let folder = TempDir::new().unwrap();
    let target = on_sqlite(&folder).await;
    repeat(&*target, &all[1], |_| ()).await;
    let how = Difference::Event { target: at(1, &all[1]), origin: at(1, &all[0]) };
    let (number, difference, told) = differs(&*target).await;
    assert_eq!((number, difference), (1, how));
    let ids = format!("the target has {}, and the source has {}", at(1, &all[1]), at(1, &all[0]));
    assert!(told.contains(&ids), "{told}");

    let forge_data = |new: &mut NewEvent| match &mut new.event {
        KeyEvent::Created(created) => created.details.owner_email = None,
        KeyEvent::Revoked(_) | KeyEvent::Deleted(_) | KeyEvent::OwnerEmailChanged(_) => {
            unreachable!()
        }
    };
    let forge_metadata = |new: &mut NewEvent| new.metadata.correlation_id = "another".to_owned();
    let forgeries: [(_, Forge<'_>); 2] = [("data", &forge_data), ("metadata", &forge_metadata)];
    for (part, forge) in forgeries {
        let folder = TempDir::new().unwrap();
        let target = on_sqlite(&folder).await;
        repeat(&*target, &all[0], |_| ()).await;
        repeat(&*target, &all[1], forge).await;
        let how = Difference::Part { target: at(2, &all[1]), part };
        let (number, difference, told) = differs(&*target).await;
        assert_eq!((number, difference), (2, how));
        assert!(told.contains(&format!("with another {part} than the source")), "{told}");
    }

    let folder = TempDir::new().unwrap();
    let target = on_sqlite(&folder).await;
    copy(&*source, &*target, |_| ()).await.unwrap();
    create(&*target).await;
    let (number, difference, _) = differs(&*target).await;
    assert_eq!(number, all.len() as u64 + 1);
    assert!(matches!(difference, Difference::Beyond(_)), "{difference:?}");
}

async fn appends_in_order_are_one_commit(journal: &dyn Journal) {
    let keys: Vec<_> = (0..256).map(|_| new_key()).collect();
    let all: Vec<_> = keys.iter().map(|key_id| first(*key_id, vec![created(*key_id)])).collect();
    let appended = journal.append_in_order(all.clone()).await.unwrap();
    let positions: Vec<_> = appended.iter().map(|it| it.position.as_u64()).collect();
    assert_eq!(positions, (1..=256).collect::<Vec<_>>());
    // Sent again, each is written once.
    let again = journal.append_in_order(all.clone()).await.unwrap();
    assert_eq!(again, appended);
    let (one, other) = (new_key(), new_key());
    let twice = vec![first(one, vec![created(one)]), first(one, vec![created(one)])];
    let too_many = [all, vec![first(other, vec![created(other)])]].concat();
    for wrong in [twice, too_many] {
        let outcome = journal.append_in_order(wrong).await;
        assert!(matches!(outcome, Err(AppendError::Invalid(_))), "{outcome:?}");
    }
    assert_eq!(journal.head().await.unwrap().as_u64(), 256);
}

#[keyledger_bounded::test]
async fn appends_in_order_are_one_commit_on_each_sql_database() {
    let folder = TempDir::new().unwrap();
    appends_in_order_are_one_commit(&*on_sqlite(&folder).await).await;
    let url = Postgres::shared().database().await;
    appends_in_order_are_one_commit(&*keyledger_journal::open(&url).await.unwrap()).await;
}
