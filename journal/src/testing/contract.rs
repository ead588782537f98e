//! What every journal does, whichever database it is in.
//!
//! A database may contain other events too, and other programs may append at the same time, so no
//! test relies on being alone.

#![expect(missing_docs, reason = "the names of the tests say what they check")]

use std::collections::HashSet;
use std::pin::pin;

use futures::future::{join_all, maybe_done};
use keyledger_domain::{
    Delivery, InstallationSecret, KeyId, Place, Position, RecordedEvent, Revision,
};

use super::{
    JournalUnderTest, after, create, created, deleted, first, is_same, new_key, next_delivery,
    next_event, revoked, settle, until_caught_up,
};
use crate::{Append, AppendError, Expected, Journal, JournalReader, Subscription};

pub async fn events_are_read_as_they_were_appended(under_test: &dyn JournalUnderTest) {
    let journal = under_test.open().await;
    let key_id = new_key();
    let events = [created(key_id), revoked(key_id), deleted(key_id)];
    let mut expected = Expected::NoStream;
    let mut written = Vec::new();
    for event in &events {
        let append = Append { key_id, expected, events: vec![event.clone()] };
        let appended = settle(&*journal, append).await.unwrap();
        expected = Expected::Revision(appended.revision);
        written.push((appended.position, appended.revision));
    }
    let read = journal.read(key_id).await.unwrap();
    assert_eq!(read.len(), 3);
    assert!(read.iter().zip(&events).all(|(read, new)| is_same(read, new)), "{read:?}");
    let found: Vec<_> = read.iter().map(|event| (event.position, event.revision)).collect();
    assert_eq!(found, written);
    assert_eq!(written.iter().map(|(_, r)| r.as_u32()).collect::<Vec<_>>(), [0, 1, 2]);
}

pub async fn a_key_that_never_was_has_no_events(under_test: &dyn JournalUnderTest) {
    assert_eq!(under_test.open().await.read(new_key()).await.unwrap(), []);
}

pub async fn several_events_are_appended_together(under_test: &dyn JournalUnderTest) {
    let journal = under_test.open().await;
    let key_id = new_key();
    let events = vec![created(key_id), revoked(key_id), deleted(key_id)];
    let appended = settle(&*journal, first(key_id, events.clone())).await.unwrap();
    let read = journal.read(key_id).await.unwrap();
    assert!(read.iter().zip(&events).all(|(read, new)| is_same(read, new)));
    let last = read.last().unwrap();
    assert_eq!((last.position, last.revision), (appended.position, appended.revision));
    assert_eq!(appended.revision, Revision::new(2));
}

async fn conflicts(journal: &dyn Journal, append: Append) {
    let outcome = settle(journal, append).await;
    assert!(matches!(outcome, Err(AppendError::Conflict)), "{outcome:?}");
}

pub async fn an_append_to_a_stream_that_is_not_as_expected_is_a_conflict(
    under_test: &dyn JournalUnderTest,
) {
    let journal = under_test.open().await;
    let unknown = new_key();
    conflicts(&*journal, after(0, unknown, vec![revoked(unknown)])).await;
    let (key_id, _) = create(&*journal).await;
    conflicts(&*journal, first(key_id, vec![created(key_id)])).await;
    conflicts(&*journal, after(1, key_id, vec![revoked(key_id)])).await;
    conflicts(&*journal, after(u32::MAX - 2, key_id, vec![revoked(key_id)])).await;
    settle(&*journal, after(0, key_id, vec![revoked(key_id)])).await.unwrap();
    conflicts(&*journal, after(0, key_id, vec![deleted(key_id)])).await;
}

pub async fn a_conflict_writes_nothing(under_test: &dyn JournalUnderTest) {
    let journal = under_test.open().await;
    let (key_id, _) = create(&*journal).await;
    let before = journal.read(key_id).await.unwrap();
    conflicts(&*journal, first(key_id, vec![created(key_id), revoked(key_id)])).await;
    conflicts(&*journal, after(5, key_id, vec![revoked(key_id), deleted(key_id)])).await;
    assert_eq!(journal.read(key_id).await.unwrap(), before);
}

pub async fn an_append_that_is_sent_again_is_written_once(under_test: &dyn JournalUnderTest) {
    let journal = under_test.open().await;
    let key_id = new_key();
    for append in [
        first(key_id, vec![created(key_id)]),
        after(0, key_id, vec![revoked(key_id), deleted(key_id)]),
    ] {
        let once = settle(&*journal, append.clone()).await.unwrap();
        for _ in 0..3 {
            assert_eq!(settle(&*journal, append.clone()).await.unwrap(), once);
        }
        let together = join_all((0..8).map(|_| settle(&*journal, append.clone()))).await;
        assert!(together.into_iter().all(|outcome| outcome.unwrap() == once));
    }
    assert_eq!(journal.read(key_id).await.unwrap().len(), 3);
}

pub async fn an_append_that_is_sent_again_is_known_after_others(under_test: &dyn JournalUnderTest) {
    let journal = under_test.open().await;
    let key_id = new_key();
    let append = first(key_id, vec![created(key_id)]);
    let once = settle(&*journal, append.clone()).await.unwrap();
    settle(&*journal, after(0, key_id, vec![revoked(key_id)])).await.unwrap();
    create(&*journal).await;
    assert_eq!(settle(&*journal, append).await.unwrap(), once);
    assert_eq!(journal.read(key_id).await.unwrap().len(), 2);
}

pub async fn part_of_an_append_is_another_append(under_test: &dyn JournalUnderTest) {
    let journal = under_test.open().await;
    let key_id = new_key();
    let (one, two) = (created(key_id), revoked(key_id));
    settle(&*journal, first(key_id, vec![one.clone()])).await.unwrap();
    conflicts(&*journal, first(key_id, vec![one.clone(), two.clone()])).await;
    conflicts(&*journal, first(key_id, vec![two])).await;
    assert_eq!(journal.read(key_id).await.unwrap().len(), 1);
}

pub async fn an_append_without_events_is_refused(under_test: &dyn JournalUnderTest) {
    let journal = under_test.open().await;
    let outcome = settle(&*journal, first(new_key(), Vec::new())).await;
    assert!(matches!(outcome, Err(AppendError::Invalid(_))), "{outcome:?}");
}

pub async fn of_many_that_expect_the_same_one_wins(under_test: &dyn JournalUnderTest) {
    let journal = under_test.open().await;
    for _ in 0..10 {
        let (key_id, _) = create(&*journal).await;
        let appends = (0..16).map(|_| settle(&*journal, after(0, key_id, vec![revoked(key_id)])));
        let outcomes = join_all(appends).await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
        let lost = |outcome: &&Result<_, _>| matches!(outcome, Err(AppendError::Conflict));
        assert_eq!(outcomes.iter().filter(lost).count(), 15);
        assert_eq!(journal.read(key_id).await.unwrap().len(), 2);
    }
}

pub async fn positions_grow_in_the_order_of_the_journal(under_test: &dyn JournalUnderTest) {
    let journal = under_test.open().await;
    let mut last = Position::START;
    for _ in 0..20 {
        let (_, appended) = create(&*journal).await;
        assert!(appended.position > last);
        last = appended.position;
    }
}

pub async fn a_subscription_delivers_what_is_there_then_a_mark_then_what_comes(
    under_test: &dyn JournalUnderTest,
) {
    let journal = under_test.open().await;
    let start = journal.head().await.unwrap();
    let mut there = Vec::new();
    // More than one page.
    for _ in 0..25 {
        let creates = (0..100).map(|_| create(&*journal));
        there.extend(join_all(creates).await.into_iter().map(|(_, appended)| appended.position));
    }
    there.sort_unstable();
    let mut subscription = journal.subscribe(start);
    let (events, caught_up) = until_caught_up(&mut subscription).await;
    let positions: Vec<_> = events.iter().map(|event| event.position).collect();
    assert!(positions.is_sorted() && there.iter().all(|it| positions.binary_search(it).is_ok()));
    assert!(caught_up >= *there.last().unwrap());
    for _ in 0..3 {
        let (key_id, appended) = create(&*journal).await;
        let event = next_event_of(&mut subscription, key_id).await;
        assert_eq!(event.position, appended.position);
    }
}

pub async fn a_subscription_begins_after_its_position(under_test: &dyn JournalUnderTest) {
    let journal = under_test.open().await;
    let (earlier_key, earlier) = create(&*journal).await;
    let (later_key, later) = create(&*journal).await;
    let mut subscription = journal.subscribe(earlier.position);
    loop {
        let event = next_event(&mut subscription).await;
        assert!(event.position > earlier.position && event.event.key_id() != earlier_key);
        if event.event.key_id() == later_key {
            return assert_eq!(event.position, later.position);
        }
    }
}

pub async fn a_subscription_from_the_head_is_level_at_once(under_test: &dyn JournalUnderTest) {
    let journal = under_test.open().await;
    create(&*journal).await;
    let head = journal.head().await.unwrap();
    let (events, caught_up) = until_caught_up(&mut journal.subscribe(head)).await;
    assert!(events.iter().all(|event| event.position > head));
    assert!(caught_up >= head);
}

pub async fn no_subscription_misses_or_reorders_events_while_many_append(
    under_test: &dyn JournalUnderTest,
) {
    const APPENDERS: usize = 16;
    const EACH: usize = 60;
    let journal = under_test.open().await;
    let start = journal.head().await.unwrap();
    let keys: Vec<_> = (0..APPENDERS * EACH).map(|_| new_key()).collect();
    let ours: HashSet<_> = keys.iter().copied().collect();
    let appending = tokio::spawn({
        let journal = journal.clone();
        async move {
            let appenders = keys.chunks(EACH).map(async |keys| {
                let mut positions = Vec::new();
                for key_id in keys {
                    let append = first(*key_id, vec![created(*key_id)]);
                    positions.push((settle(&*journal, append).await.unwrap().position, *key_id));
                }
                positions
            });
            let mut all: Vec<_> = join_all(appenders).await.into_iter().flatten().collect();
            all.sort_unstable();
            all
        }
    });
    // Some subscribe before the appends, some while they go on.
    let reader = under_test.open_reader().await;
    let readers = (0..6).map(async |number: usize| {
        let mut early = journal.subscribe(start);
        for _ in 0..number * 100 {
            next_event(&mut early).await;
        }
        let is_own = number.is_multiple_of(2);
        let from: &dyn JournalReader = if is_own { &*journal } else { &*reader };
        collect(from.subscribe(start), &ours).await
    });
    let seen = join_all(readers).await;
    let appended = appending.await.unwrap();
    for events in seen {
        assert_eq!(events, appended);
    }
}

/// The positions of these keys' events, once each key has one.
async fn collect(mut subscription: Subscription, keys: &HashSet<KeyId>) -> Vec<(Position, KeyId)> {
    let mut positions = Vec::new();
    while positions.len() < keys.len() {
        let RecordedEvent { position, event, .. } = next_event(&mut subscription).await;
        if keys.contains(&event.key_id()) {
            positions.push((position, event.key_id()));
        }
    }
    positions
}

/// The next event of this key; others are skipped.
async fn next_event_of(subscription: &mut Subscription, key_id: KeyId) -> RecordedEvent {
    loop {
        let event = next_event(subscription).await;
        if event.event.key_id() == key_id {
            return event;
        }
    }
}

pub async fn the_head_is_not_before_what_was_appended(under_test: &dyn JournalUnderTest) {
    let journal = under_test.open().await;
    let reader = under_test.open_reader().await;
    let mut last = Position::START;
    for _ in 0..10 {
        let (_, appended) = create(&*journal).await;
        for head in [journal.head().await.unwrap(), reader.head().await.unwrap()] {
            assert!(head >= appended.position && head >= last);
            last = head;
        }
    }
}

pub async fn a_reader_that_has_reached_the_head_has_seen_what_was_there(
    under_test: &dyn JournalUnderTest,
) {
    let journal = under_test.open().await;
    let start = journal.head().await.unwrap();
    let creates = join_all((0..50).map(|_| create(&*journal))).await;
    let head = journal.head().await.unwrap();
    let mut subscription = journal.subscribe(start);
    let mut seen = Vec::new();
    let mut reached = start;
    while reached < head {
        match next_delivery(&mut subscription).await {
            Delivery::Event(event) => {
                reached = event.position;
                seen.push(event.event.key_id());
            }
            Delivery::CaughtUp(position) => reached = position,
        }
    }
    assert!(creates.iter().all(|(key_id, _)| seen.contains(key_id)));
}

pub async fn a_reader_in_another_process_sees_what_comes(under_test: &dyn JournalUnderTest) {
    let journal = under_test.open().await;
    let (key_id, appended) = create(&*journal).await;
    let reader = under_test.open_reader().await;
    assert_eq!(reader.read(key_id).await.unwrap(), journal.read(key_id).await.unwrap());
    let mut subscription = reader.subscribe(appended.position);
    until_caught_up(&mut subscription).await;
    for _ in 0..3 {
        let (key_id, appended) = create(&*journal).await;
        let event = next_event_of(&mut subscription, key_id).await;
        assert_eq!(event.position, appended.position);
    }
}

pub async fn what_was_appended_is_there_when_it_is_opened_again(under_test: &dyn JournalUnderTest) {
    let journal = under_test.open().await;
    let (key_id, before) = create(&*journal).await;
    let read = journal.read(key_id).await.unwrap();
    drop(journal);
    let journal = under_test.open().await;
    assert_eq!(journal.read(key_id).await.unwrap(), read);
    let appended = settle(&*journal, after(0, key_id, vec![revoked(key_id)])).await.unwrap();
    assert!(appended.position > before.position);
}

pub async fn the_first_secret_of_an_installation_is_kept(under_test: &dyn JournalUnderTest) {
    let journal = under_test.open().await;
    let secret = |byte: u8| InstallationSecret::try_from([byte; 32].as_slice()).unwrap();
    // Another test on the same database may have been first.
    let kept = journal.keep_installation_secret(secret(1)).await.unwrap();
    let (one, other) = tokio::join!(
        journal.keep_installation_secret(secret(2)),
        journal.keep_installation_secret(secret(3)),
    );
    assert_eq!((one.unwrap(), other.unwrap()), (kept.clone(), kept.clone()));
    let reader = under_test.open_reader().await;
    assert_eq!(reader.installation_secret().await.unwrap(), Some(kept));
}

pub async fn an_event_is_known_by_its_position_and_its_id(under_test: &dyn JournalUnderTest) {
    let journal = under_test.open().await;
    let (one, _) = create(&*journal).await;
    let (other, _) = create(&*journal).await;
    let place = async |key_id| journal.read(key_id).await.unwrap().first().unwrap().place();
    let (one, other) = (place(one).await, place(other).await);
    assert_eq!(journal.holds(one).await.unwrap(), Some(true));
    assert_eq!(journal.holds(other).await.unwrap(), Some(true));
    let moved = Place { position: other.position, event_id: one.event_id };
    assert_eq!(journal.holds(moved).await.unwrap(), Some(false));
    let beyond = Place { position: Position::MAX, event_id: one.event_id };
    assert_eq!(journal.holds(beyond).await.unwrap(), Some(false));
}

pub async fn a_probe_is_no_event(under_test: &dyn JournalUnderTest) {
    let journal = under_test.open().await;
    let (key_id, before) = create(&*journal).await;
    let mut subscription = journal.subscribe(before.position);
    for _ in 0..2 {
        journal.probe().await.unwrap();
    }
    assert_eq!(journal.read(key_id).await.unwrap().len(), 1);
    let (next, appended) = create(&*journal).await;
    assert!(appended.position > before.position);
    assert_eq!(next_event_of(&mut subscription, next).await.position, appended.position);
}

pub async fn what_waits_when_a_journal_is_closed_is_appended(under_test: &dyn JournalUnderTest) {
    let journal = under_test.open().await;
    let ids: Vec<_> = (0..40).map(|_| new_key()).collect();
    {
        let append = |key_id: &KeyId| journal.append(first(*key_id, vec![created(*key_id)]));
        let mut appends = pin!(maybe_done(join_all(ids.iter().map(append))));
        // Polled once, the appends are sent.
        let _ = futures::poll!(appends.as_mut());
        journal.close().await.unwrap();
        appends.as_mut().await;
        for outcome in appends.take_output().unwrap() {
            outcome.unwrap();
        }
    }
    drop(journal);
    let journal = under_test.open().await;
    for key_id in ids {
        assert_eq!(journal.read(key_id).await.unwrap().len(), 1);
    }
}
