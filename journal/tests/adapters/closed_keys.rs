//! What closes a key on KurrentDB: an operator who deletes its stream, another program that writes to it,
//! and an event that cannot be read. Tested on a stand-in.

use futures::StreamExt;
use keyledger_domain::{ClosedKey, Closure, KeyDelivery, KeyId, Position};
use keyledger_journal::testing::{
    after, create, created, first, new_key, next_event, recurring, revoked,
};
use keyledger_journal::{AppendError, JournalReader, ReadError};
use keyledger_test_servers::kurrentdb::{Database, Server};
use keyledger_test_servers::wait::within;

use crate::kurrentdb::until;

/// The keys that are closed, up to the first time that the subscription has caught up, and the keys of all
/// events until then.
async fn closed_keys(journal: &dyn JournalReader) -> (Vec<ClosedKey>, Vec<KeyId>) {
    let mut deliveries = journal.subscribe_to_keys(Position::START);
    let (mut closed, mut of_events) = (Vec::new(), Vec::new());
    loop {
        match within("a delivery", deliveries.next()).await.unwrap().unwrap() {
            KeyDelivery::Closed(key) => closed.push(key),
            KeyDelivery::Event(event) => of_events.push(event.event.key_id()),
            KeyDelivery::CaughtUp(_) => return (closed, of_events),
        }
    }
}

pub(crate) fn is_removed<T: std::fmt::Debug>(read: Result<T, ReadError>) -> bool {
    matches!(read, Err(ReadError::Closed(Closure::Removed)))
}

#[keyledger_bounded::test]
async fn a_key_whose_stream_an_operator_has_deleted_is_closed_at_once_and_for_good() {
    let database = Database::default();
    let server = Server::serve(&database, 0);
    let journal = keyledger_journal::open(&server.url()).await.unwrap();
    let mut all = journal.subscribe(Position::START);
    let mut live = journal.subscribe_to_keys(Position::START);
    let (hidden, _) = create(&*journal).await;
    let (ended, _) = create(&*journal).await;
    database.append_foreign(1_700);
    database.soft_delete(&hidden.stream());
    database.tombstone(&ended.stream());
    database.append_foreign(1_700);
    let (last, appended) = create(&*journal).await;
    for key_id in [hidden, ended] {
        assert!(is_removed(journal.read(key_id).await));
        let next = loop {
            match within("a closed key", live.next()).await.unwrap().unwrap() {
                KeyDelivery::Closed(key) => break key,
                KeyDelivery::Event(_) | KeyDelivery::CaughtUp(_) => {}
            }
        };
        assert_eq!((next.key_id, next.closure), (key_id, Closure::Removed));
    }
    assert_eq!(journal.read(new_key()).await.unwrap(), [], "it never was");
    let outcome = journal.append(after(0, ended, vec![revoked(ended)])).await;
    assert!(matches!(outcome, Err(AppendError::Closed)), "{outcome:?}");
    for has_scavenged in [false, true] {
        if has_scavenged {
            database.scavenge();
        }
        let (closed, _) = closed_keys(&*journal).await;
        let closed: Vec<_> = closed.iter().map(|key| key.key_id).collect();
        assert_eq!(closed, [hidden, ended]);
    }
    // Whoever needs every event gets those that are there.
    for expected in [hidden, ended, last] {
        assert_eq!(next_event(&mut all).await.event.key_id(), expected);
    }
    until(&*journal, &mut all, appended.position).await;
}

#[keyledger_bounded::test]
async fn a_deleted_stream_is_not_begun_anew() {
    let database = Database::default();
    let server = Server::serve(&database, 0);
    let journal = keyledger_journal::open(&server.url()).await.unwrap();
    for number in 0..2 {
        // As a request with an idempotency key has it, which can come again.
        let key_id = recurring(&format!("key {number}"));
        journal.append(first(key_id, vec![created(key_id)])).await.unwrap();
        let before = database.key_events();
        if number == 0 {
            database.soft_delete(&key_id.stream());
        } else {
            database.tombstone(&key_id.stream());
        }
        let again = journal.append(first(key_id, vec![created(key_id)])).await;
        assert!(matches!(again, Err(AppendError::Closed)), "{again:?}");
        let tombstones = number;
        assert_eq!(database.key_events().0, before.0 + tombstones, "nothing was written");
        assert!(is_removed(journal.read(key_id).await));
    }
}

#[keyledger_bounded::test]
async fn a_stream_that_is_deleted_while_it_is_appended_to_closes_its_key() {
    let database = Database::default();
    let server = Server::serve(&database, 0);
    let journal = keyledger_journal::open(&server.url()).await.unwrap();
    // Its metadata were not looked at, since its id cannot come again: as if they had come in between.
    let (key_id, _) = create(&*journal).await;
    database.soft_delete(&key_id.stream());
    let appended = journal.append(first(key_id, vec![created(key_id)])).await;
    assert!(matches!(appended, Err(AppendError::Closed)), "{appended:?}");
    assert!(is_removed(journal.read(key_id).await));
    database.scavenge();
    let (closed, of_events) = closed_keys(&*journal).await;
    assert!(closed.iter().all(|key| key.key_id == key_id), "{closed:?}");
    assert_eq!(
        of_events,
        [key_id],
        "the second creation is left, at a revision that is not the first"
    );
    assert!(is_removed(journal.read(key_id).await));
}

#[keyledger_bounded::test]
async fn what_cannot_be_read_closes_its_own_key_only() {
    let database = Database::default();
    let server = Server::serve(&database, 0);
    let journal = keyledger_journal::open(&server.url()).await.unwrap();
    let mut keys = Vec::new();
    for _ in 0..4 {
        keys.push(create(&*journal).await.0);
    }
    let [foreign, damaged, strange, good] = keys.as_slice() else { panic!() };
    database.write_foreign(&foreign.stream(), "OrderPlaced", "{}");
    journal.append(after(0, *damaged, vec![revoked(*damaged)])).await.unwrap();
    database.rewrite(|events| events.last_mut().unwrap().event_type = "KeyRenamed".to_owned());
    database.write_foreign(&strange.stream(), "$>", "0@apikey-1");
    // Not the stream of a key.
    database.write_foreign("apikey-of-another-program", "OrderPlaced", "{}");
    database.write_foreign("$$apikey-of-another-program", "$metadata", r#"{"$tb":9}"#);
    database.write_foreign(
        &format!("$${}", good.stream()),
        "$metadata",
        r#"{"$acl":{"$r":"ann"}}"#,
    );
    create(&*journal).await;
    let (closed, of_events) = closed_keys(&*journal).await;
    let names: Vec<_> = closed.iter().map(|key| (key.key_id, key.closure.name())).collect();
    assert_eq!(names, [(*foreign, "foreign"), (*damaged, "unreadable"), (*strange, "foreign")]);
    assert_eq!(of_events.len(), keys.len() + 1);
    assert!(closed[0].closure.to_string().contains("OrderPlaced"), "{}", closed[0].closure);
    assert!(closed[1].closure.to_string().contains("KeyRenamed"), "{}", closed[1].closure);
    let read = journal.read(*foreign).await;
    assert!(matches!(read, Err(ReadError::Closed(Closure::Foreign(_)))), "{read:?}");
    let read = journal.read(*damaged).await;
    assert!(matches!(read, Err(ReadError::Undecodable { .. })), "{read:?}");
    // An event of this program that cannot be read stops whoever needs every event; others are left out.
    let told: Vec<_> = journal.subscribe(Position::START).collect().await;
    assert!(matches!(told.as_slice(), [.., Err(ReadError::Undecodable { .. })]), "{told:?}");
    assert_eq!(told.iter().filter(|delivery| delivery.is_ok()).count(), keys.len());
}
