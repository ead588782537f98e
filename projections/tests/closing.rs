//! A key that is closed is shown as such, and whatever else the journal has of it does not count.

use std::convert::Infallible;

use futures::{Stream, StreamExt, stream};
use keyledger_domain::testing::{Attempt, at, creations, history};
use keyledger_domain::{ClosedKey, Closure, KeyDelivery, KeyId, Position, RecordedEvent, Revision};
use keyledger_projections::{ReadTables, Rebuild, StatusFilter};
use keyledger_verifier::{IndexWriter, RecordBuffer};

use crate::given::{
    Kind, WHOLE, apply, delivered, folded, head, on_both_databases, open, project, projector,
    shown, tables,
};

fn closed(event: &RecordedEvent, position: u64, closure: Closure) -> ClosedKey {
    let position = Position::try_from(position).unwrap();
    ClosedKey { key_id: event.event.key_id(), position, closure }
}

/// The closures of all keys, as the tables show them.
async fn closures(tables: &ReadTables, filter: StatusFilter) -> Vec<(KeyId, Option<String>)> {
    let mut keys = Vec::new();
    for view in shown(tables).await {
        let listed = tables.list(&view.owner, filter, at(99), WHOLE).await.unwrap().keys;
        let one = tables.get(view.key_id).await.unwrap().unwrap();
        assert_eq!(one.closed, view.closed);
        if listed.iter().any(|listed| listed.key_id == view.key_id) {
            keys.push((view.key_id, view.closed));
        }
    }
    keys
}

async fn a_closed_key_is_shown_among_the_revoked_ones(kind: Kind) {
    let events = creations(3);
    let (database, tables) = tables(kind).await;
    let mut projector = projector(&tables).await;
    apply(&mut projector, &events).await.unwrap();
    let [one, two, three] = [0, 1, 2].map(|number: usize| &events[number]);
    let keys = [
        closed(one, 11, Closure::Removed),
        closed(two, 12, Closure::Foreign("an event".to_owned())),
        // What closes a key for the second time changes nothing.
        closed(one, 13, Closure::Foreign("an event".to_owned())),
    ];
    projector.apply(&[], &keys, Position::try_from(13_u64).unwrap()).await.unwrap();
    for tables in [tables, open(&database).await] {
        assert_eq!(tables.reached().await.unwrap().position.as_u64(), 13);
        let mut revoked = closures(&tables, StatusFilter::Revoked).await;
        revoked.sort_unstable();
        let mut expected = vec![
            (one.event.key_id(), Some("removed".to_owned())),
            (two.event.key_id(), Some("foreign".to_owned())),
        ];
        expected.sort_unstable();
        assert_eq!(revoked, expected);
        let active = closures(&tables, StatusFilter::Active).await;
        assert_eq!(active, [(three.event.key_id(), None)]);
        let index = IndexWriter::load(&tables).await.unwrap();
        assert_eq!(index.closed(), 2);
        let verdict = |event: &RecordedEvent| {
            let mut buffer = RecordBuffer::new();
            let key = index.get(event.event.key_id(), &mut buffer).unwrap();
            key.status.verdict(None, at(99)).code()
        };
        assert_eq!([one, two, three].map(verdict), ["REVOKED", "REVOKED", "VALID"]);
    }
}

async fn events_of_a_closed_key_count_until_it_was_closed(kind: Kind) {
    let events = history(&[Attempt::Create(0), Attempt::Create(1), Attempt::Revoke(0)]);
    let (_database, tables) = tables(kind).await;
    let mut before = projector(&tables).await;
    let [created, other, revoked] = [0, 1, 2].map(|number: usize| &events[number]);
    let end = revoked.position.plus(1).unwrap();
    let key = closed(created, other.position.as_u64(), Closure::Removed);
    before.apply(&events, &[key], end).await.unwrap();
    let view = tables.get(created.event.key_id()).await.unwrap().unwrap();
    assert_eq!((view.revision, view.revoked_at), (Revision::FIRST, None));
    assert_eq!(view.closed.as_deref(), Some("removed"));
    // A projector that starts later ignores them too, whatever revisions they have.
    let mut late = revoked.clone();
    late.position = end.plus(1).unwrap();
    late.revision = Revision::new(7);
    let mut after = projector(&tables).await;
    after.apply(&[late.clone()], &[], late.position).await.unwrap();
    assert_eq!(tables.get(created.event.key_id()).await.unwrap().unwrap(), view);
    assert_eq!(tables.reached().await.unwrap().position, late.position);
}

async fn a_rebuild_closes_the_keys_whose_events_do_not_follow(kind: Kind) {
    let whole = history(&[
        Attempt::Create(0),
        Attempt::Create(1),
        Attempt::Revoke(0),
        Attempt::Create(2),
        Attempt::Delete(2),
    ]);
    let (_database, tables) = tables(kind).await;
    project(&tables, &whole).await;
    // The creation of the first key was removed, and its revocation is left.
    let left: Vec<_> = whole[1..].to_vec();
    let build = Rebuild::begin(&tables).await.unwrap();
    let built = build.run(delivered(&left), head(&left), |_| {}).await.unwrap();
    assert_eq!((built.events, built.closed), (left.len(), 1));
    let others: Vec<_> = left
        .iter()
        .filter(|event| event.event.key_id() != whole[0].event.key_id())
        .cloned()
        .collect();
    assert_eq!(shown(&tables).await, folded(&others));
    let writer = IndexWriter::load(&tables).await.unwrap();
    assert_eq!(writer.closed(), 1);
}

async fn a_rebuild_closes_what_the_journal_closes_also_at_the_very_end(kind: Kind) {
    let events = creations(2);
    let (_database, tables) = tables(kind).await;
    let mut projector = projector(&tables).await;
    apply(&mut projector, &events).await.unwrap();
    let key = closed(&events[0], 9, Closure::Unreadable("it is new".to_owned()));
    projector.apply(&[], std::slice::from_ref(&key), key.position).await.unwrap();
    assert_eq!(tables.unreadable().await.unwrap(), [key.key_id]);
    for is_late in [false, true] {
        let mut deliveries: Vec<_> = events.iter().cloned().map(KeyDelivery::Event).collect();
        if is_late {
            // The build has caught up with an earlier head, and the swap waits for the rest.
            deliveries.push(KeyDelivery::CaughtUp(events[1].position));
        }
        deliveries.push(KeyDelivery::Closed(key.clone()));
        deliveries.push(KeyDelivery::CaughtUp(key.position));
        let deliveries = deliveries.into_iter().map(Ok::<_, Infallible>);
        let build = Rebuild::begin(&tables).await.unwrap();
        let head = async { Ok(key.position) };
        // Each is a batch of its own.
        let built = build.run(one_by_one(deliveries), head, |_| {}).await.unwrap();
        assert_eq!((built.closed, built.position), (1, key.position), "late: {is_late}");
        let closed = closures(&tables, StatusFilter::Revoked).await;
        assert_eq!(closed, [(key.key_id, Some("unreadable".to_owned()))], "late: {is_late}");
    }
    // A version that can read the event opens the key again.
    let build = Rebuild::begin(&tables).await.unwrap();
    build.run(delivered(&events), head(&events), |_| {}).await.unwrap();
    assert_eq!(tables.unreadable().await.unwrap(), []);
    assert_eq!(shown(&tables).await, folded(&events));
}

/// A stream that is pending before each item.
fn one_by_one<T: Send + 'static>(items: impl Iterator<Item = T>) -> impl Stream<Item = T> {
    stream::iter(items).then(async |item| tokio::spawn(async move { item }).await.unwrap())
}

on_both_databases!(
    a_closed_key_is_shown_among_the_revoked_ones,
    events_of_a_closed_key_count_until_it_was_closed,
    a_rebuild_closes_the_keys_whose_events_do_not_follow,
    a_rebuild_closes_what_the_journal_closes_also_at_the_very_end,
);
